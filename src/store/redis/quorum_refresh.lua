-- Goes before REFRESH. ARGV ends with: the number agreed on, ms of the minimum hold to come or ''
-- for not to heal, and the above.
-- Answers besides those of REFRESH: healed end fence
local rest = tonumber(table.remove(ARGV))
local agreed = table.remove(ARGV)
local wanted = place(tonumber(ARGV[6]))
expect_master()
-- Whoever has the lock knows that the quorum has served before.
if not marked or restarted then mark(0, HOLD_OFF) end

-- A vote that came too late to count may have been for another place.
for i = 0, places - 1 do
  local p = place(i)
  if i ~= wanted.index and p.owner == ARGV[1] then
    if i == 0 and p.key == ARGV[1] then redis.call('DEL', KEYS[1]) end
    write(p, 'o', '', 'c', '')
  end
end

if wanted.owner == ARGV[1] and (wanted.fence == ARGV[3] or wanted.fence == agreed) then
  if tonumber(agreed) > tonumber(wanted.fence) then -- the second phase did not come through
    write(wanted, 'f', agreed)
    if wanted.revoked then write(wanted, 'x', agreed) end
    wanted.fence = agreed
  end
  ARGV[3] = wanted.fence
elseif wanted.fence == '' then
  ARGV[3] = agreed
end

local known = wanted.owner == ARGV[1] and wanted.fence == ARGV[3]
local intact = known and (wanted.key == ARGV[1] or not wanted.key and tonumber(ARGV[4]) > now)
  or wanted.fence == '' and wanted.key == ARGV[1]
local mine = wanted.owner == ARGV[1] and (not wanted.key or wanted.key == ARGV[1])
local free = not is_held(wanted) and wanted.cooling <= now
local _, of = grant_of(wanted)
if intact then
  if round > of then write_grant(wanted, ARGV[1]) end
elseif rest and (mine or free) and not is_gone(ARGV[1]) and not has(forced_off, ARGV[1]) then
  -- It lost its memory, or was never asked in time: ours from now on, for the next time.
  local ttl, fence = tonumber(ARGV[2]), num(math.max(whole(wanted.fence), tonumber(agreed)))
  redis.call('PERSIST', KEYS[2])
  set_key(wanted, ARGV[1], ttl)
  redis.call('HSET', KEYS[2], 'v', '1', 'n', num(math.max(places, wanted.index + 1)))
  write(wanted, 'o', ARGV[1], 'f', fence, 'e', num(now + ttl), 't', num(ttl), 's', num(now),
    'h', ARGV[5], 'c', rest > 0 and num(now + rest) or '', 'x', '', 'y', '', 'k', '')
  write_grant(wanted, ARGV[1])
  return {'healed', num(now + ttl), fence}
elseif wanted.fence == '' then
  return {'moved'} -- what was never granted here is no hold
end
