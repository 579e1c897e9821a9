-- KEYS: 1 the lock, 2 its state hash. ARGV: 1 token, 2 ttl in ms, 3 holder as JSON.
-- Answers: withdrawn | granted fence end | held who | cooling ms
local me, ttl = ARGV[1], tonumber(ARGV[2])
expect_master()
if is_gone(me) or me == forced_off then return {'withdrawn'} end

-- Ours already: the first answer was lost on its way.
if owner == me and (key == me or not key and ending > now) then
  redis.call('PERSIST', KEYS[2])
  redis.call('SET', KEYS[1], me, 'PX', ttl)
  redis.call('HSET', KEYS[2], 'e0', num(now + ttl), 't0', num(ttl))
  return {'granted', fence, num(now + ttl)}
end

if key and key ~= me or owner ~= '' and owner ~= me and ending > now then
  -- More time left than was ever granted: the server's clock has stepped back.
  if owner ~= '' and ttl_then > 0 then
    if key == owner and redis.call('PTTL', KEYS[1]) > ttl_then then
      redis.call('PEXPIRE', KEYS[1], ttl_then)
    end
    if ending - now > ttl_then then
      ending = now + ttl_then
      redis.call('PERSIST', KEYS[2])
      redis.call('HSET', KEYS[2], 'e0', num(ending))
    end
  end
  return {'held', held()}
end

if cooling > now then return {'cooling', num(cooling - now)} end

local granted = next_fence()
redis.call('PERSIST', KEYS[2])
redis.call('SET', KEYS[1], me, 'PX', ttl)
redis.call('HSET', KEYS[2], 'v', '1', 'n', num(math.max(places, 1)), 'o0', me, 'f0', granted,
  'e0', num(now + ttl), 't0', num(ttl), 's0', num(now), 'h0', ARGV[3], 'x0', '', 'y0', '')
return {'granted', granted, num(now + ttl)}
