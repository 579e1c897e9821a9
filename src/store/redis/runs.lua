-- What is remembered of runs. In the hash:
--   r     record of the last run that ended
--   rs    when a success last ended
--   skips "count ids": runs that were skipped since the last grant, and the last of them
--   k<i>  "count keep" of the run in place i: those before it, and how many records it keeps
-- A list beside the hash has the last records, the oldest first. It may be missing, or out of our
-- reach: what is written there goes through pcall. A record is
--   "place start ms outcome fence skips pid id bytes-of-who who" and the command, without a gap
-- with '-' for what is not known.
local REMEMBERED = 2592000000 -- ms after the last run
local kept = string.sub(KEYS[2], 1, -3) .. 'runs'

-- The first bytes of a text, and no half of a character.
local function cut(text, most)
  if type(text) ~= 'string' then return '' end
  if #text <= most then return text end
  while most > 0 and math.floor(string.byte(text, most + 1) / 64) == 2 do most = most - 1 end
  return string.sub(text, 1, most)
end

-- The record of the run that has place p, or had it last, and how many records it keeps.
local function record_of(p, outcome)
  local told = redis.call('HMGET', KEYS[2], 's' .. p.at, 'h' .. p.at, 'k' .. p.at)
  local since = whole(told[1])
  local lasted = outcome ~= 'vanished' and num(math.max(now - since, 0)) or '-'
  local before, keep = string.match(told[3] or '', '^(%d+) (%d+)$')
  local is_json, holder = pcall(cjson.decode, told[2] or '')
  if not is_json or type(holder) ~= 'table' then holder = {} end
  local who, command = cut(holder.who, 96), cut(holder.command, 80)
  local id = string.match(cut(holder.id, 16), '^%w+$') or '-'
  local record = {p.at, num(since), lasted, outcome, p.fence ~= '' and p.fence or '-',
    num(whole(before)), num(whole(holder.pid)), id, num(#who), who .. command}
  return table.concat(record, ' '), whole(keep)
end

-- Ends the run in place p; at most `most` records are kept.
local function remember(p, outcome, most)
  local record, keep = record_of(p, outcome)
  keep = math.min(most or keep, 200)
  redis.call('HSET', KEYS[2], 'r', record)
  if outcome == 'exit:0' or outcome == 'released' then redis.call('HSET', KEYS[2], 'rs', num(now)) end
  if ARGV.moving then return end -- the list may still be where the slot comes from
  if keep == 0 then
    redis.pcall('DEL', kept)
  else
    redis.pcall('RPUSH', kept, record)
    redis.pcall('LTRIM', kept, -keep, -1)
    redis.pcall('PEXPIRE', kept, REMEMBERED)
  end
end

-- Whether a run ended in place p without a word.
local function has_vanished(p) return p.owner ~= '' and p.key ~= p.owner and not lives(p) end

local function records_of_vanished()
  local records = {}
  for i = 0, places - 1 do
    if has_vanished(place(i)) then records[#records + 1] = record_of(place(i), 'vanished') end
  end
  return records
end

local function skipped()
  local count, ids = string.match(skips or '', '^(%d+) (.*)$')
  return whole(count), ids or ''
end

-- One more run was skipped. It may hear that several times, and counts once.
local function count_skip(id)
  local count, ids = skipped()
  if has(ids, id) then return end
  skips = num(count + 1) .. ' ' .. with(ids, id)
  redis.call('HSET', KEYS[2], 'skips', skips)
  let_rest() -- a lock that only jobs on the recipe use has no state that would expire else
end

-- The grant of a place: how many were skipped before it, but for the run itself.
local function count_anew(id)
  local count, ids = skipped()
  if skips then redis.call('HDEL', KEYS[2], 'skips') end
  skips = false
  return has(ids, id) and count - 1 or count
end

-- The grant of place p has come to nothing: its skips are of the next.
local function count_on(p)
  local before = string.match(redis.call('HGET', KEYS[2], 'k' .. p.at) or '', '^(%d+)')
  if whole(before) == 0 then return end
  local count, ids = skipped()
  skips = num(count + whole(before)) .. ' ' .. ids
  redis.call('HSET', KEYS[2], 'skips', skips)
  write(p, 'k', '')
end

