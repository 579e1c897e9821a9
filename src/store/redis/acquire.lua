-- KEYS: 1 the lock, 2 its state hash. ARGV: 1 token, 2 ttl in ms, 3 holder as JSON, 4 slots,
--   5 minimum hold in ms, 6 ms since the run was asked for, 7 line, try, or look (a try of who would stand in
--   line), 8 public id, 9 ticket or 0,
--   10 period in ms or '', 11 attempts in it, 12 '=' and the once-key, or '', 13 how many runs are remembered
-- Answers: withdrawn | granted fence end place | held who | queued ticket place ms who | reserved details
--   | cooling ms | recently ms | samekey | attempts count
local me, ttl, slots, min_hold = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[4]), tonumber(ARGV[5])
local asked = math.max(now - tonumber(ARGV[6]), 0)
local in_line, id = ARGV[7] == 'line', ARGV[8]
expect_master()
if is_gone(me) or has(forced_off, me) then return {'withdrawn'} end

-- Ours already: the first answer was lost on its way.
for i = 0, math.min(places, slots) - 1 do
  local p = place(i)
  if p.owner == me and (p.key == me or not p.key and p.ending > now) then
    redis.call('PERSIST', KEYS[2])
    set_key(p, me, ttl)
    write(p, 'e', num(now + ttl), 't', num(ttl))
    return {'granted', p.fence, num(now + ttl), num(i)}
  end
end

local ticket = (in_line or last >= place(0).first) and ticket_of(id, ticket_in(ARGV[9])) or nil
-- Whoever was in line is so no more.
local function go(answer)
  if ticket then
    leave(ticket, id)
    serve()
    let_rest()
  end
  return answer
end

-- A moment that is still to come was written before the server's clock stepped back.
local function past(field, ms, rest)
  if ms > now then redis.call('HSET', KEYS[2], field, num(now) .. rest) end
  return math.min(ms, now)
end

local half, most = (tonumber(ARGV[10]) or 0) / 2, tonumber(ARGV[11])
local count, since = 0, asked
if half > 0 and succeeded then
  local success = past('os', whole(succeeded), '')
  if asked - success < half then return go({'recently', num(now - success)}) end
end
if last_key and ARGV[12] == '=' .. last_key then return go({'samekey'}) end
if half > 0 and attempts then
  local first, tries = string.match(attempts, '^(%d+):(%d+)$')
  first = past('oa', whole(first), ':' .. num(whole(tries)))
  if asked - first < half then count, since = whole(tries), first end
  if count >= most then return go({'attempts', num(count)}) end
end

-- More time left than was ever granted: the server's clock has stepped back.
local function cut(p)
  if p.owner ~= '' and p.ttl > 0 then
    if p.index == 0 and p.key == p.owner and redis.call('PTTL', KEYS[1]) > p.ttl then
      redis.call('PEXPIRE', KEYS[1], p.ttl)
    end
    if p.ending - now > p.ttl then
      p.ending = now + p.ttl
      write(p, 'e', num(p.ending))
    end
  end
  local since = p.cooling > now and whole(redis.call('HGET', KEYS[2], 's' .. p.at)) or 0
  if since > now then
    p.cooling = p.cooling - since + now
    write(p, 'c', num(p.cooling), 's', num(now))
    if p.index == 0 and closed > 0 then redis.call('PEXPIRE', KEYS[1], num(p.cooling - now)) end
  end
end

local taken, holder, keeper, soonest, shortest
local function sooner(ms) if ms then soonest = math.min(soonest or ms, ms) end end
for i = 0, math.max(places, slots) - 1 do
  local p, wanted = place(i), i < slots and not taken
  if is_held(p) or p.cooling > now then cut(p) end
  if is_held(p) then
    if wanted then
      holder = holder or p
      sooner(left(p))
    end
  elseif p.cooling > now then
    if wanted then shortest = math.min(shortest or p.cooling, p.cooling) end
  else
    local taker = offer(p, wanted and ticket or last + 1)
    if wanted and not taker then
      taken = p
      if ticket then promised[ticket] = true end
    elseif wanted then
      keeper = keeper or taker
      if taker.woken > 0 then sooner(taker.woken + MOMENT - now) end
    end
  end
  if taken and i >= places - 1 then break end
end

if taken then
  local fence = next_fence(taken)
  redis.call('PERSIST', KEYS[2])
  if taken.owner ~= me and has_vanished(taken) then remember(taken, 'vanished') end
  set_key(taken, me, ttl)
  write(taken, 'o', me, 'f', fence, 'e', num(now + ttl), 't', num(ttl), 's', num(now), 'h', ARGV[3],
    'c', min_hold > 0 and num(now + min_hold) or '', 'x', '', 'y', '',
    'k', num(count_anew(id)) .. ' ' .. ARGV[13])
  if raw[8] ~= '1' or taken.index >= whole(raw[9]) then
    redis.call('HSET', KEYS[2], 'v', '1', 'n', num(math.max(places, taken.index + 1)))
  end
  if half > 0 then redis.call('HSET', KEYS[2], 'oa', num(since) .. ':' .. num(count + 1)) end
  if ticket then leave(ticket, id) end
  return {'granted', fence, num(now + ttl), num(taken.index)}
end

if not holder and not keeper then
  count_skip(id)
  return go({'cooling', num(shortest - now)})
end
if not in_line then
  if ARGV[7] == 'try' then count_skip(id) end
  if not keeper then return {'held', held(holder)} end
  local told = keeper.id and redis.call('HGET', KEYS[2], 'i' .. keeper.id)
  return {'reserved', string.match(told or '', '^%d+ %d+ (.*)$') or ''}
end

local nobody = nobody_waits()
ticket = ticket or math.max(last, place(0).first - 1) + 1
local joined = redis.call('HGET', KEYS[2], 'i' .. id)
if not joined or ticket_in(string.match(joined, '^%d+')) ~= ticket then
  redis.call('PERSIST', KEYS[2])
  redis.call('HSET', KEYS[2], 'i' .. id, num(ticket) .. ' ' .. num(now) .. ' ' .. ARGV[3])
end
for i = 0, math.min(places, slots) - 1 do
  local p = place(i)
  if ticket < p.first or nobody and ticket ~= p.first then
    p.first = ticket
    write(p, 'w', num(ticket))
  end
end
if ticket > last then
  last = ticket
  redis.call('HSET', KEYS[2], 'q', num(last))
end
put({ticket = ticket, ending = now + STAY, woken = 0, slots = slots, id = id})

local before = count_before(ticket)
local ask_in = ASK_IN
local waking = 0
for t in pairs(promised) do
  if t < ticket then waking = waking + 1 end
end
if before and before <= waking and soonest then ask_in = math.min(ask_in, soonest + 1) end
return {'queued', num(ticket), before and num(before + 1) or '', num(ask_in), holder and held(holder) or false}
