-- KEYS: 1 the lock, 2 its state hash. ARGV: 1 token, 2 place or '', 3 what became of the run, as in a record, or
--   withdrawn or skipped (there was none), 4 ms since the run was asked for, 5 public id, 6 period in ms or '', 7 '=' and the
--   once-key, or '', 8 how many runs are remembered
-- Answers: released | forgotten | other who (false: nobody has it)
local me, how = ARGV[1], ARGV[3]
local is_success = how == 'exit:0' or how == 'released'
local is_run = how ~= 'withdrawn' and how ~= 'skipped'
local repeated, withdrawn = has(gone, me), has(gone, '!' .. me)
local function is_ours(p) return p.key == me or p.owner == me end
local p = place(tonumber(ARGV[2]) or 0)
if not is_ours(p) then
  for i = 0, places - 1 do
    if is_ours(place(i)) then p = place(i) end
  end
end
local ended = p.key == me or not p.key and p.owner == me
local forgotten = not p.key and p.fence == ''

redis.call('PERSIST', KEYS[2]) -- first, even if it does nothing: lifts the out-of-memory refusal
if p.owner == me and is_run then
  remember(p, ended and how or 'lost', whole(ARGV[8]))
elseif p.owner == me then
  count_on(p)
end
if how == 'skipped' then count_skip(ARGV[5]) end
if p.owner == me and (how == 'unstarted' or not is_run) then
  p.cooling = 0
  write(p, 'c', '')
end
if ended and p.cooling > now then
  set_key(p, '~' .. me, p.cooling - now)
  p.key = false
elseif p.key == me then
  if p.index == 0 then redis.call('DEL', KEYS[1]) end
  p.key = false
end
if p.owner == me then p.owner = '' end -- even under the key of another
-- Recorded even when it held nothing: its ACQUIRE may still be on the way.
redis.call('HSET', KEYS[2], 'v', '1', 'o' .. p.at, p.owner,
  'rel', (repeated or withdrawn) and gone or with(gone, ended and me or '!' .. me))

if ended and is_success then
  local asked = math.max(now - tonumber(ARGV[4]), 0)
  if ARGV[6] ~= '' then
    succeeded = num(math.max(math.min(whole(succeeded), now), asked)) -- never moves back
    redis.call('HSET', KEYS[2], 'os', succeeded)
  end
  if ARGV[7] ~= '' then
    last_key = string.sub(ARGV[7], 2)
    redis.call('HSET', KEYS[2], 'ok', last_key)
  end
elseif ended and (how == 'unstarted' or not is_run) and ARGV[6] ~= '' then
  local first, count = string.match(attempts or '', '^(%d+):(%d+)$')
  if whole(count) > 1 then
    redis.call('HSET', KEYS[2], 'oa', first .. ':' .. num(whole(count) - 1))
  elseif count then
    redis.call('HDEL', KEYS[2], 'oa')
    attempts = false
  end
end

if last >= place(0).first then
  local ticket = not ended and ticket_of(ARGV[5], 0)
  if ticket then leave(ticket, ARGV[5]) end
  serve()
end
let_rest()

if ended or repeated then return {'released'} end
if forgotten then return {'forgotten'} end
return {'other', held(p)}
