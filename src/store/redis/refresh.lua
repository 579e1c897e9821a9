-- KEYS: 1 the lock, 2 its state hash. ARGV: 1 token, 2 ttl in ms, 3 fence, 4 end last heard in ms, 5 holder as JSON.
-- Answers: held end | retaken end | revoked by | taken who | moved | expired
local me, ttl, mine, heard = ARGV[1], tonumber(ARGV[2]), ARGV[3], tonumber(ARGV[4])
expect_master()
local ours = owner == me and fence == mine
local forgotten = fence == '' -- every grant leaves a fence: nobody was granted since

if (key == me or not key) and (ours or forgotten) then
  if not key and heard <= now then return {'expired'} end
  if revoked then return {'revoked', revoker} end
  redis.call('PERSIST', KEYS[2])
  if key then
    redis.call('PEXPIRE', KEYS[1], ttl)
  else
    redis.call('SET', KEYS[1], me, 'PX', ttl)
  end
  redis.call('HSET', KEYS[2], 'e0', num(now + ttl), 't0', num(ttl))
  if forgotten then
    redis.call('HSET', KEYS[2], 'v', '1', 'n', num(math.max(places, 1)), 'o0', me, 'f0', mine,
      's0', num(now), 'h0', ARGV[5], 'x0', '', 'y0', '')
  end
  return {key and 'held' or 'retaken', num(now + ttl)}
end

-- Our own later grant (a request that was carried out twice) is nobody else's.
local who = key ~= me and (key or owner ~= me) and held()
if who then return {'taken', who} end
return {'moved'}
