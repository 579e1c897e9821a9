-- The second phase of the fence. ARGV: 1 token, 2 place, 3 the number given here, 4 the number agreed on.
-- Answers: noted | refused
local p = place(tonumber(ARGV[2]))
expect_master()
if p.owner ~= ARGV[1] or p.fence ~= ARGV[3] or p.key and p.key ~= ARGV[1] then return {'refused'} end
redis.call('PERSIST', KEYS[2])
if tonumber(ARGV[4]) > tonumber(p.fence) then
  write(p, 'f', ARGV[4])
  if p.revoked then write(p, 'x', ARGV[4]) end
end
return {'noted'}
