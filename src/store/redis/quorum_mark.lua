-- ARGV: 1 look, or note: without a mark it has lost its memory, and does not vote for a while.
-- Answers: new | marked ms-since-founded
if marked then return {'marked', num(math.max(now - founded, 0))} end
if ARGV[1] == 'note' then
  expect_master()
  mark(0, HOLD_OFF)
end
return {'new'}
