-- Goes before RELEASE, for whoever has nothing but the token. ARGV: 1 token.
-- What was never held leaves nothing behind.
if not mine and redis.call('EXISTS', KEYS[2]) == 0 then return {'other', held(place(0))} end
-- A lease that has ended is nobody's, also where nobody was granted the lock since.
for i = 0, places - 1 do
  local p = place(i)
  if p.owner == ARGV[1] and p ~= mine then
    redis.call('PERSIST', KEYS[2])
    p.owner = ''
    write(p, 'o', '')
  end
end
ARGV[2], ARGV[3], ARGV[4] = mine and mine.at or '', 'released', '0'
local counts = mine and redis.call('HGET', KEYS[2], 'k' .. mine.at) or ''
ARGV[8] = string.match(counts or '', '^%d+ (%d+)$') or '100' -- as it was granted
ARGV[5], ARGV[6], ARGV[7] = '', '', '' -- in line it does not stand, and bound by nothing done it is not
