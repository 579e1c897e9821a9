-- As one node of a quorum. KEYS: 3 this node's mark. ARGV ends with: round, hash of the set of nodes
-- with the number of this one behind a slash.
local set, number = string.match(table.remove(ARGV), '^(%S+)/(%d+)$')
local round = tonumber(table.remove(ARGV))
local HOLD_OFF = 300000 -- ms without a vote after memory was lost: the longest ttl on a quorum

-- The mark says that this node has served before: "start founded serves", of which
-- start of the server, when the quorum was first used (0: before), from when on it votes.
local about = redis.pcall('INFO', 'server')
local start = type(about) == 'string' and string.match(about, 'run_id:(%w+)') or '-'
local marked, founded, serves = string.match(redis.call('GET', KEYS[3]) or '', '^(%S+) (%d+) (%d+)$')
founded, serves = whole(founded), whole(serves)
local restarted = marked and marked ~= '-' and start ~= '-' and marked ~= start

local function mark(since, ms)
  founded, serves = since, now + ms
  redis.call('SET', KEYS[3], start .. ' ' .. num(founded) .. ' ' .. num(serves))
end

-- Of which set of nodes and round the grant of a place is, and as which node it was given.
local function grant_of(p)
  local text = redis.call('HGET', KEYS[2], 'g' .. p.index) or ''
  local token, nodes, as, of = string.match(text, '^(%S+) (%S+)/(%d+) (%d+)$')
  if token == p.owner then return nodes, tonumber(of), as end
  return '', 0, ''
end

local function write_grant(p, token)
  write(p, 'g', token .. ' ' .. set .. '/' .. number .. ' ' .. num(round))
end
