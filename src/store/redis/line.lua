-- The line. Tickets count up. Of who stands in it with ticket t there is
--   q<t>   "end woken slots id": until when without asking again, when told that a place is free (0: not yet)
--   i<id>  "t joined details", by the public id of the run
local STAY = 6000 -- ms in line after the last asking
local MOMENT = 1000 -- ms to take a place after being told
local ASK_IN = 2500 -- ms until a waiter asks again, at the latest
local COUNTED = 1000 -- tickets that are counted, at the most
local steps = 1000 -- tickets that one script looks at, at the most; the next goes on from there

local function waiter(t)
  local text = redis.call('HGET', KEYS[2], 'q' .. t)
  if not text then return nil end
  local ending, woken, slots, id = string.match(text, '^(%d+) (%d+) (%d+) (.*)$')
  if id then
    return {ticket = t, ending = whole(ending), woken = whole(woken), slots = whole(slots), id = id}
  end
  redis.call('HDEL', KEYS[2], 'q' .. t) -- not of ours
end

local function put(w)
  -- More time left than was ever given: the server's clock has stepped back.
  local ending = math.min(w.ending, now + STAY)
  redis.call('HSET', KEYS[2], 'q' .. w.ticket,
    num(ending) .. ' ' .. num(w.woken) .. ' ' .. num(w.slots) .. ' ' .. w.id)
end

local function drop(w) redis.call('HDEL', KEYS[2], 'q' .. w.ticket, 'i' .. w.id) end

-- Passes over those at the head of the line who left or died; true if nobody is left.
local function nobody_waits()
  local p = place(0)
  local from = p.first
  while p.first <= last and steps > 0 do
    local w = waiter(p.first)
    if w and w.ending > now then break end
    if w then drop(w) end
    p.first, steps = p.first + 1, steps - 1
  end
  if p.first ~= from then write(p, 'w', num(p.first)) end
  return p.first > last
end

-- Tells a waiter of a free place, once. False: there is nobody to tell any more.
local function tell(w)
  local late = w.woken > 0 and w.woken <= now - MOMENT
  if late or w.ending <= now then return drop(w) end
  if w.woken == 0 then
    local heard = redis.pcall('PUBLISH', KEYS[1] .. ':w:' .. w.id, 'ask')
    if heard == 0 then return drop(w) end
    if type(heard) == 'table' then return true end -- no right to: it asks by itself before long
  end
  if w.woken == 0 or w.woken > now then
    w.woken = now
    put(w)
  end
  return true
end

-- Offers the free place p to those in line before ticket t, first come, first
-- served. Returns who is to have it: nobody, if none of them wants it.
local promised = {}
local function offer(p, t)
  local at, from = p.first, p.first
  local taker
  while at < t and at <= last and not taker do
    if steps == 0 then taker = {woken = now} break end
    steps = steps - 1
    local w = not promised[at] and waiter(at)
    if w and w.slots > p.index and tell(w) then
      promised[at], taker = true, w
    else
      at = at + 1
      -- Behind all that will never want it the next script goes on.
      if p.first == at - 1 and not promised[at - 1] then p.first = at end
    end
  end
  if p.first ~= from then write(p, 'w', num(p.first)) end
  return taker
end

-- Tells those in line of all places that are free. If there is none, but all
-- cool down, the first is to hear that: it leaves, and the next is told.
local function serve()
  if place(0).first > last then return end
  local cools = true
  for i = 0, places - 1 do
    local p = place(i)
    if is_held(p) then
      cools = false
    elseif p.cooling <= now then
      offer(p, last + 1)
      cools = false
    end
  end
  if cools then offer(place(0), last + 1) end
end

-- How many stand in line before ticket t; nil: too many to count.
local function count_before(t)
  local from = place(0).first
  if t <= from then return 0 end
  if t - from > COUNTED then return nil end
  local fields, count = {}, 0
  for at = from, t - 1 do fields[#fields + 1] = 'q' .. at end
  for _, text in ipairs(redis.call('HMGET', KEYS[2], unpack(fields))) do
    if text and whole(string.match(text, '^%d+')) > now then count = count + 1 end
  end
  return count
end

-- The ticket with which a run stands in line, or could again, if it was passed
-- over or the server lost its data: `old` is the one that it remembers.
local function ticket_of(id, old)
  local known = redis.call('HGET', KEYS[2], 'i' .. id)
  for _, t in ipairs({known and ticket_in(string.match(known, '^%d+')) or 0, old}) do
    local w = t > 0 and waiter(t)
    if w and w.id == id then return t end
    if t > 0 and t == old and not w then
      local far = last > 0 and (t < place(0).first - 10000 or t > last + 10000)
      if not far then return t end
    end
  end
end

local function leave(t, id)
  redis.call('HDEL', KEYS[2], 'q' .. t, 'i' .. id)
  nobody_waits()
end

-- Names must not pile up for ever: a hash that nobody needs lives 30 days more.
local function let_rest()
  if succeeded or last_key or attempts then return end
  local rest = 2592000000
  for i = 0, places - 1 do
    local p = place(i)
    if lives(p) then return end
    rest = math.max(rest, p.cooling - now)
  end
  if nobody_waits() then redis.call('PEXPIRE', KEYS[2], num(rest)) end
end

