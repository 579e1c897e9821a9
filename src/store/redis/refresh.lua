-- KEYS: 1 the lock, 2 its state hash.
-- ARGV: 1 token, 2 ttl in ms, 3 fence, 4 end last heard in ms, 5 holder as JSON, 6 place.
-- Answers: held end place ttl | retaken end place ttl | revoked by | taken who | moved | expired
local me, ttl, mine, heard = ARGV[1], tonumber(ARGV[2]), ARGV[3], tonumber(ARGV[4])
local p = place(tonumber(ARGV[6]))
expect_master()
local ours = p.owner == me and p.fence == mine
local forgotten = p.fence == '' -- every grant leaves a fence: nobody was granted since

if (p.key == me or not p.key) and (ours or forgotten) then
  if not p.key and heard <= now then return {'expired'} end
  if p.revoked then return {'revoked', redis.call('HGET', KEYS[2], 'y' .. p.at) or ''} end
  redis.call('PERSIST', KEYS[2])
  if p.key and p.index == 0 then
    redis.call('PEXPIRE', KEYS[1], ttl)
  else
    set_key(p, me, ttl)
  end
  write(p, 'e', num(now + ttl), 't', num(ttl))
  if forgotten then
    redis.call('HSET', KEYS[2], 'v', '1', 'n', num(math.max(places, p.index + 1)))
    write(p, 'o', me, 'f', mine, 's', num(now), 'h', ARGV[5], 'x', '', 'y', '')
  end
  return {p.key and 'held' or 'retaken', num(now + ttl), p.at, num(ttl)}
end

-- Our own later grant (a request that was carried out twice) is nobody else's.
local who = p.key ~= me and (p.key or p.owner ~= me) and held(p)
if who then return {'taken', who} end
return {'moved'}
