-- KEYS: 1 the lock, 2 its state hash. ARGV: 1 token. Writes nothing.
-- Answers: held place ttl ms-left ('': does not expire) | revoked by | other who (false: nobody has it)
expect_master()
if not mine then return {'other', holder()} end
if mine.revoked then return {'revoked', redis.call('HGET', KEYS[2], 'y' .. mine.at) or ''} end
local lasts = left(mine)
return {'held', mine.at, num(mine.ttl), lasts and num(lasts) or ''}
