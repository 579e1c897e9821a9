-- KEYS: 1 the lock, 2 its state hash. ARGV: none. Writes nothing.
-- Answers: status waiting, and of each place {fence, ms of cooldown, who (false: nobody has it)}
local waiting = count_before(last + 1)
local answer = {'status', waiting and num(waiting) or ''}
for i = 0, places - 1 do
  local p = place(i)
  answer[i + 3] = {p.fence, p.cooling > now and num(p.cooling - now) or '', held(p)}
end
return answer
