-- KEYS: 1 the lock, 2 its state hash. ARGV: those of the script that follows.
-- Every script begins with this: the server's time, the key, the hash, and the places of the lock.
local clock = redis.call('TIME') -- once: what is decided and what is written must agree
local micros = tonumber(clock[1]) * 1000000 + tonumber(clock[2])
local now = math.floor(micros / 1000)
local key = redis.pcall('GET', KEYS[1])
local raw = redis.pcall('HMGET', KEYS[2], 'o0', 'f0', 'e0', 't0', 'c0', 'x0', 'w0',
  'v', 'n', 'rel', 'off', 'q', 'os', 'ok', 'oa', 'skips')
for number, reply in ipairs({key, raw}) do -- the error itself does not name the key
  if type(reply) == 'table' and reply.err then
    if string.find(reply.err, 'WRONGTYPE', 1, true) then return {'foreign', KEYS[number]} end
    return reply
  end
end
if (tonumber(raw[8]) or 1) > 1 then return {'newer', KEYS[2]} end

-- A number of ours, to which one can be added. Whatever else somebody wrote there counts as 0.
local function whole(text)
  local number = tonumber(text)
  return number and number >= 0 and number < 2 ^ 53 - 1 and math.floor(number) or 0
end

-- A ticket in line; of ours are all below 10^12.
local function ticket_in(text)
  local t = whole(text)
  return t < 1e12 and t or 0
end

-- tostring() would give 1.79e+15
local function num(x) return string.format('%.0f', x) end

local places = math.min(math.max(whole(raw[9]), 1), 1000)
local gone = raw[10] or ''
local forced_off = raw[11] or ''
local last = ticket_in(raw[12]) -- given
local succeeded, last_key, attempts = raw[13], raw[14], raw[15] -- of runs with once
local skips = raw[16]

-- A cooldown that keeps jobs on the recipe out, too, stands in the place of the key.
local closed = key and string.sub(key, 1, 1) == '~' and redis.call('PTTL', KEYS[1]) or 0
if closed > 0 then key = false end

-- Place i of the lock. Only place 0 has a key, which jobs on the recipe set and
-- delete; the others are as if theirs stood until the end of the lease.
local read = {}
local function place(i)
  if read[i] then return read[i] end
  local at = tostring(i)
  local fields = i == 0 and raw or redis.call('HMGET', KEYS[2],
    'o' .. at, 'f' .. at, 'e' .. at, 't' .. at, 'c' .. at, 'x' .. at, 'w' .. at)
  local fence = whole(fields[2])
  local p = {
    index = i,
    at = at, -- behind the names of its fields
    key = key,
    owner = fields[1] or '',
    fence = fence > 0 and num(fence) or '', -- '': no grant is remembered
    ending = whole(fields[3]),
    ttl = whole(fields[4]),
    cooling = whole(fields[5]),
    first = math.max(ticket_in(fields[7]), 1), -- ticket that may want it
    revoked = fence > 0 and fields[6] == fields[2],
  }
  if closed > 0 and i == 0 then p.cooling = math.max(p.cooling, now + closed) end
  if i > 0 then
    p.key = p.owner ~= '' and p.ending > now and p.owner
    p.first = math.max(p.first, place(0).first)
  end
  read[i] = p
  return p
end

-- Writes fields of a place: write(p, 'o', token, 'e', …)
local function write(p, ...)
  local fields = {...}
  for number = 1, #fields, 2 do fields[number] = fields[number] .. p.at end
  redis.call('HSET', KEYS[2], unpack(fields))
end

local function set_key(p, value, ms)
  if p.index == 0 then redis.call('SET', KEYS[1], value, 'PX', num(ms)) end
end

-- Larger than the last fence, and than any fence of lost data, as long as the clock is right.
local function next_fence(p) return num(math.max(whole(p.fence) + 1, micros)) end

-- Changes nothing, and fails on a replica: what that has seen decides nothing.
-- On a server out of memory it lifts the refusal for the writes that follow.
local function expect_master() redis.call('HDEL', KEYS[2], '') end

-- The hash counts without the key while its lease still runs: then the key was
-- evicted, or deleted by a job that did not own it.
local function lives(p) return p.owner ~= '' and (p.key == p.owner or p.ending > now) end

local function is_held(p) return p.key or lives(p) end

-- ms until its lease ends unless it is refreshed; false: a key that does not expire.
local function left(p)
  local ms = p.index == 0 and p.key and redis.call('PTTL', KEYS[1]) or 0
  return ms ~= -1 and math.max(ms, lives(p) and p.ending - now or 0, 0)
end

-- Who has the place, or false.
local function held(p)
  if not is_held(p) then return false end
  local lasts = left(p)
  lasts = lasts and num(lasts) or ''
  if p.key and p.key ~= p.owner then return {'recipe', '', '', lasts, ''} end
  local told = redis.call('HMGET', KEYS[2], 's' .. p.at, 'h' .. p.at)
  local since = whole(told[1])
  local age = since > 0 and num(math.max(now - since, 0)) or ''
  return {'holder', string.sub(told[2] or '', 1, 4096), age, lasts, p.revoked and '1' or ''}
end

local function has(list, token)
  return list ~= '' and string.find(',' .. list .. ',', ',' .. token .. ',', 1, true) ~= nil
end

-- Released, or withdrawn ('!') before it held anything that it could have released.
local function is_gone(token) return has(gone, token) or has(gone, '!' .. token) end

-- The list with this token in front, of the last eight.
local function with(list, token)
  local longer, count = token, 1
  for old in string.gmatch(list, '[^,]+') do
    if old ~= token and count < 8 then
      longer, count = longer .. ',' .. old, count + 1
    end
  end
  return longer
end

