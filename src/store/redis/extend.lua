-- Goes before REFRESH, for whoever has nothing but the token: what a run knows of its grant is
-- what the hash says. ARGV: 1 token, 2 ttl in ms, or '' for that of the grant.
-- Answers besides those of REFRESH: other who (false: nobody has it)
expect_master()
if not mine or mine.fence == '' then return {'other', holder()} end
ARGV[2] = ARGV[2] ~= '' and ARGV[2] or num(math.max(mine.ttl, 1))
ARGV[3], ARGV[4], ARGV[5], ARGV[6] = mine.fence, num(mine.ending), '', mine.at
