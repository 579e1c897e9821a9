-- KEYS: 1 the lock, 2 its state hash. ARGV: none. Writes nothing.
-- Answers: history ms-now skips records records-of-vanished
local runs = redis.pcall('LRANGE', kept, 0, -1)
if runs.err then
  if string.find(runs.err, 'WRONGTYPE', 1, true) then return {'foreign', kept} end
  return runs
end
return {'history', num(now), num(skipped()), runs, records_of_vanished()}
