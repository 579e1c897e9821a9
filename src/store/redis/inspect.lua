-- KEYS: 1 the lock, 2 its state hash. ARGV: none. Writes nothing.
-- Answers: status fence ms-of-cooldown who (false: nobody has it)
return {'status', fence, cooling > now and num(cooling - now) or '', held()}
