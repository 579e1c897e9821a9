-- KEYS: 1 the lock, 2 its state hash. ARGV: 1 ask or force, 2 by whom.
-- Answers: unlocked, and of each place that was held {asked or recipe or freed, who}
local answer = {'unlocked'}
local function tell_of(what, who) answer[#answer + 1] = {what, who} end

if ARGV[1] == 'ask' then
  for i = 0, places - 1 do
    local p = place(i)
    local who = held(p)
    if who and who[1] == 'recipe' then
      tell_of('recipe', who)
    elseif who then
      redis.call('PERSIST', KEYS[2])
      write(p, 'x', p.fence, 'y', ARGV[2])
      tell_of('asked', who)
    end
  end
  return answer
end

local freed = false
for i = 0, places - 1 do
  local p = place(i)
  local who = held(p)
  if who or p.cooling > now then
    redis.call('PERSIST', KEYS[2]) -- first, even if it does nothing: lifts the out-of-memory refusal
    if i == 0 then redis.call('DEL', KEYS[1]) end
    p.key, p.cooling, freed = false, 0, true
    write(p, 'c', '')
  end
  if who then
    if p.owner ~= '' then remember(p, who[1] == 'recipe' and 'vanished' or 'lost') end
    -- Not among the released: its own release has to hear that it was not ours.
    if p.owner ~= '' then forced_off = with(forced_off, p.owner) end
    p.owner = ''
    -- The fence moves: the old holder learns at its next refresh that it lost the lock.
    write(p, 'o', '', 'f', next_fence(p))
    redis.call('HSET', KEYS[2], 'v', '1', 'off', forced_off)
    tell_of('freed', who)
  end
end
if freed then
  serve()
  let_rest()
end
return answer
