-- KEYS: 1 the lock, 2 its state hash. ARGV: 1 token.
-- Answers: released | forgotten | other who (false: nobody has it)
local me = ARGV[1]
local repeated = is_gone(me)
local released = key == me or not key and owner == me or repeated
local forgotten = not key and fence == ''

redis.call('PERSIST', KEYS[2]) -- first, even if it does nothing: lifts the out-of-memory refusal
if key == me then
  redis.call('DEL', KEYS[1])
  key = false
end
if owner == me then owner = '' end -- even under the key of another
-- Recorded even when it held nothing: its ACQUIRE may still be on the way.
redis.call('HSET', KEYS[2], 'v', '1', 'o0', owner, 'rel', repeated and gone or with_gone(me))
let_rest()

if released then return {'released'} end
if forgotten then return {'forgotten'} end
return {'other', held()}
