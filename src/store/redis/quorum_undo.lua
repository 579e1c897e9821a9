-- Goes before RELEASE: takes back what a round was granted, but not what a later one
-- was; the run goes on. That round is refused from now on.
for i = 0, places - 1 do
  local p = place(i)
  local _, of = grant_of(p)
  if p.owner == ARGV[1] and of > round then return {'other', false} end
end
expect_master()
local undone = string.gsub(redis.call('HGET', KEYS[2], 'u') or '', ARGV[1] .. '/%d+,?', '')
local function with(list, entry)
  local longer, count = entry, 1
  for old in string.gmatch(list, '[^,]+') do
    if count < 8 then longer, count = longer .. ',' .. old, count + 1 end
  end
  return longer
end
redis.call('HSET', KEYS[2], 'v', '1', 'u', with(undone, ARGV[1] .. '/' .. num(round)))
local function with(list) return list end -- RELEASE withdraws nothing
