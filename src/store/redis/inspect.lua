-- KEYS: 1 the lock, 2 its state hash. ARGV: for a list, which of them was found: key or state. Writes nothing.
-- Answers: status waiting skips ms-since-success records waiters, and of each place
--   {fence, ms of cooldown, who (false: nobody has it)}
--   | unlisted (it is gone, or another of its keys stands for it)
-- with the records of the last run that ended and of those that vanished, and of each of the first in line
--   {details, ms in line}
if ARGV[1] then
  local is_state = redis.call('EXISTS', KEYS[2]) == 1
  local is_listed = is_state
  if ARGV[1] == 'key' then is_listed = key and not is_state end
  if not is_listed then return {'unlisted'} end
end

local told = redis.call('HMGET', KEYS[2], 'r', 'rs')
local records = records_of_vanished()
if told[1] then table.insert(records, 1, told[1]) end
local ago = told[2] and num(math.max(now - whole(told[2]), 0)) or ''

local function first_waiters()
  local from, ids, waiters = place(0).first, {}, {}
  for t = from, math.min(last, from + COUNTED - 1) do
    local w = redis.call('HGET', KEYS[2], 'q' .. t)
    local ending, id = string.match(w or '', '^(%d+) %d+ %d+ (.*)$')
    if id and whole(ending) > now then ids[#ids + 1] = 'i' .. id end
    if #ids == 100 then break end
  end
  if #ids == 0 then return waiters end
  for number, text in ipairs(redis.call('HMGET', KEYS[2], unpack(ids))) do
    local joined, details = string.match(text or '', '^%d+ (%d+) (.*)$')
    waiters[number] = {string.sub(details or '', 1, 4096), joined and num(math.max(now - whole(joined), 0)) or ''}
  end
  return waiters
end

local waiting = count_before(last + 1)
local answer = {'status', waiting and num(waiting) or '', num(skipped()), ago, records, first_waiters()}
for i = 0, places - 1 do
  local p = place(i)
  answer[#answer + 1] = {p.fence, p.cooling > now and num(p.cooling - now) or '', held(p)}
end
return answer
