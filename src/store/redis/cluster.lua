-- In front of a script for a node of a Cluster. A server that is none gives its own refusal
-- before anything is done. Without the right to CLUSTER KEYSLOT there is no telling.
do
  local slot = redis.pcall('CLUSTER', 'KEYSLOT', KEYS[1])
  if type(slot) == 'table' and string.find(slot.err, 'cluster support disabled', 1, true) then
    return slot
  end
end
