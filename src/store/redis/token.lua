-- The place of whoever has the token ARGV[1], or nil: it holds nothing.
local mine
for i = 0, places - 1 do
  local p = place(i)
  local here = p.key == ARGV[1] or not p.key and p.owner == ARGV[1] and p.ending > now
  -- Without a fence no grant is remembered: the key alone says that it is ours.
  if here and (p.owner == ARGV[1] or p.fence == '') then mine = mine or p end
end

local function holder()
  for i = 0, places - 1 do
    local who = held(place(i))
    if who then return who end
  end
  return false
end
