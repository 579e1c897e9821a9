-- Goes before ACQUIRE. ARGV ends with: proposed fence, place or '' for any, found or '', and the above.
-- Answers besides those of ACQUIRE: new | away ms | otherset who | twin
local founding = table.remove(ARGV) ~= ''
local only = tonumber(table.remove(ARGV))
local proposed = tonumber(table.remove(ARGV))
expect_master()

if not marked then
  if not founding then return {'new'} end
  mark(now, 0)
elseif restarted or serves > now + HOLD_OFF then -- or the server's clock has stepped back
  mark(0, HOLD_OFF)
end
if serves > now then -- it grants nothing, but who has the lock is true
  for i = 0, tonumber(ARGV[4]) - 1 do
    if not is_held(place(i)) then return {'away', num(serves - now)} end
  end
end

for entry in string.gmatch(redis.call('HGET', KEYS[2], 'u') or '', '[^,]+') do
  local token, undone = string.match(entry, '^(%S+)/(%d+)$')
  if token == ARGV[1] and round <= tonumber(undone) then return {'withdrawn'} end
end

for i = 0, places - 1 do
  local p = place(i)
  local nodes, of, as = grant_of(p)
  if p.owner == ARGV[1] then
    if round == of and number ~= as then return {'twin'} end
    if round > of then write_grant(p, p.owner) end -- an earlier round's is this one's now
  elseif lives(p) and nodes ~= set then
    return {'otherset', held(p)}
  end
end

-- Called once for each grant. All nodes are offered the same number, so that they
-- agree at once, but it is followed only as far as clocks may differ.
local function next_fence(p)
  write_grant(p, ARGV[1])
  local offered = math.max(math.min(proposed, micros + 5000000), micros - 5000000)
  return num(math.max(whole(p.fence) + 1, offered))
end

local held_here = is_held
local function is_held(p) return only and p.index ~= only or held_here(p) end
