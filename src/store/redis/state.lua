-- KEYS: 1 the lock, 2 its state hash. ARGV: those of the script that follows.
-- Every script begins with this: the server's time, the key, the hash, and who has the lock.
local clock = redis.call('TIME') -- once: what is decided and what is written must agree
local micros = tonumber(clock[1]) * 1000000 + tonumber(clock[2])
local now = math.floor(micros / 1000)
local key = redis.pcall('GET', KEYS[1])
local raw = redis.pcall('HMGET', KEYS[2],
  'v', 'n', 'o0', 'f0', 'e0', 't0', 's0', 'h0', 'c0', 'x0', 'y0', 'rel', 'os', 'off')
for place, reply in ipairs({key, raw}) do -- the error itself does not name the key
  if type(reply) == 'table' and reply.err then
    if string.find(reply.err, 'WRONGTYPE', 1, true) then return {'foreign', KEYS[place]} end
    return reply
  end
end
if (tonumber(raw[1]) or 1) > 1 then return {'newer', KEYS[2]} end
local places = tonumber(raw[2]) or 1
local owner = raw[3] or ''
local fence = raw[4] or '' -- '': no grant is remembered
local ending = tonumber(raw[5]) or 0
local ttl_then = tonumber(raw[6]) or 0
local since = tonumber(raw[7])
local cooling = tonumber(raw[9]) or 0
local revoked = fence ~= '' and raw[10] == fence
local revoker = raw[11] or ''
local gone = raw[12] or ''
local once = raw[13]
local forced_off = raw[14] or ''

-- tostring() would give 1.79e+15
local function num(x) return string.format('%.0f', x) end

-- Larger than the last fence, and than any fence of lost data, as long as the clock is right.
local function next_fence() return num(math.max((tonumber(fence) or 0) + 1, micros)) end

-- Changes nothing, and fails on a replica: what that has seen decides nothing.
-- On a server out of memory it lifts the refusal for the writes that follow.
local function expect_master() redis.call('HDEL', KEYS[2], '') end

-- Who has the lock, or false. The hash counts without the key while its lease
-- still runs: then the key was evicted, or deleted by a job that did not own it.
local function held()
  local live = owner ~= '' and (key == owner or ending > now)
  if not key and not live then return false end
  local left, lasts = 0, ''
  if key then left = redis.call('PTTL', KEYS[1]) end
  if left ~= -1 then lasts = num(math.max(left, live and ending - now or 0, 0)) end
  if key and key ~= owner then return {'recipe', '', '', lasts, ''} end
  local age = since and num(math.max(now - since, 0)) or ''
  return {'holder', string.sub(raw[8] or '', 1, 4096), age, lasts, revoked and '1' or ''}
end

local function is_gone(token)
  return string.find(',' .. gone .. ',', ',' .. token .. ',', 1, true) ~= nil
end

-- The list of tokens that are never granted again, with this one in front.
local function with_gone(token)
  local list, count = token, 1
  for old in string.gmatch(gone, '[^,]+') do
    if old ~= token and count < 8 then
      list, count = list .. ',' .. old, count + 1
    end
  end
  return list
end

-- Names must not pile up for ever: a hash that nobody needs lives 30 days more.
local function let_rest()
  if owner == '' and places <= 1 and not once then
    redis.call('PEXPIRE', KEYS[2], 2592000000)
  end
end

