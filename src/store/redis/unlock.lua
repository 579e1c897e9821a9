-- KEYS: 1 the lock, 2 its state hash. ARGV: 1 ask or force, 2 by whom.
-- Answers: free | asked who | recipe who | freed who
local who = held()

if ARGV[1] == 'ask' then
  if not who then return {'free'} end
  if who[1] == 'recipe' then return {'recipe', who} end
  redis.call('PERSIST', KEYS[2])
  redis.call('HSET', KEYS[2], 'x0', fence, 'y0', ARGV[2])
  return {'asked', who}
end

if not who and cooling <= now then return {'free'} end
redis.call('PERSIST', KEYS[2]) -- first, even if it does nothing: lifts the out-of-memory refusal
if not who then -- only a cooldown stood in the way
  redis.call('HSET', KEYS[2], 'c0', '')
  let_rest()
  return {'free'}
end
redis.call('DEL', KEYS[1])
-- Not among the released: its own release has to hear that it was not ours.
if owner ~= '' then forced_off = owner end
owner = ''
-- The fence moves: the old holder learns at its next refresh that it lost the lock.
redis.call('HSET', KEYS[2], 'v', '1', 'o0', '', 'f0', next_fence(), 'c0', '', 'off', forced_off)
let_rest()
return {'freed', who}
