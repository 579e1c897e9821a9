"""What each lock, and the command under it, does when something goes wrong.

Each fault takes a contender, and tells a table's cell and what was seen, in seconds since the fault.
"""

from contenders import FIXED_LEASE, LEASE
from scene import BEFORE, PATIENCE, Broken, Scene, now

# How long the jobs of holders work, in s. One that is longer than a lease must have it renewed.
LONG_JOB = 2 * LEASE
SHORT_JOB = 0.8 * LEASE
FROZEN = 1.5 * LEASE
FROZEN_JOB = FROZEN + LEASE
DOWN = 0.5
# How long a rival has for coming next.
LIMIT = FIXED_LEASE + PATIENCE / 2
# How often a code is looked at, in case it is not always the same.
CODE_RUNS = 5


def within(value):
    return "at once" if value < 0.1 else f"in {length(value)}"


def length(value):
    return f"{value:.1f} s" if value >= 0.1 else f"{value * 1000:.0f} ms"


def fate(seen):
    """What became of the holder's job."""
    gone = seen["job_gone"]
    if gone is None:
        return "runs on"
    if seen["job_killed"]:
        return f"killed {within(gone)}"
    if seen["job_stopped"]:
        return f"stopped {within(gone)}"
    return "ran to its end"


def lock(seen):
    """Who came next, and when."""
    if seen["next_began"] is None:
        return f"nobody next in {seen['seconds']:.0f} s"
    if seen["overlap"]:
        return f"**overlap {length(seen['overlap'])}**"
    if seen["job_gone"] is None:
        return "next while it runs"
    return f"next {within(seen['next_began'] - seen['job_gone'])}"


def both(seen):
    return f"{fate(seen)}, {lock(seen)}"


def long_job(contender):
    """No fault at all, but a job of twice the lease, which a lease that is not renewed does not survive."""
    with Scene(contender, fixed_lease=LEASE) as scene:
        scene.hold(LONG_JOB)
        scene.contend()
        seen = scene.watch(scene.holder.began, LONG_JOB + PATIENCE)
        return lock(seen), seen


def wrapper_killed(contender):
    with Scene(contender) as scene:
        scene.hold(LONG_JOB)
        scene.contend()
        since = now()
        scene.wrappers["holder"].kill()
        seen = scene.watch(since, LIMIT)
        return ("runs in place: " if seen["job_is_wrapper"] else "") + both(seen), seen


def wrapper_told_to_stop(contender):
    with Scene(contender) as scene:
        scene.hold(LONG_JOB, "tidy")
        scene.contend()
        since = now()
        scene.wrappers["holder"].terminate()
        seen = scene.watch(since, LIMIT)
        return ("" if seen["job_signalled"] else "not told: ") + both(seen), seen


def job_ignores_it(contender):
    with Scene(contender) as scene:
        scene.hold(LONG_JOB, "stubborn")
        scene.contend()
        since = now()
        scene.wrappers["holder"].terminate()
        seen = scene.watch(since, LIMIT)
        told = both(seen)
    if not contender.store:
        return told, {"term": seen}
    lost_told, lost = frozen(contender, "stubborn")
    return f"{told}; when frozen: {lost_told}", {"term": seen, "frozen": lost}


def store_frozen(contender):
    return frozen(contender, "plain") if contender.store else ("", None)


def frozen(contender, how):
    """The lease must be shorter than the frost, so here all have the short one."""
    with Scene(contender, fixed_lease=LEASE) as scene:
        scene.hold(FROZEN_JOB, how)
        scene.contend()
        since = now()
        scene.server.freeze()
        scene.pause(FROZEN)
        scene.server.thaw()
        seen = scene.watch(since, FROZEN + PATIENCE)
        seen["thawed"] = FROZEN
        return both(seen), seen


def store_restarted(contender):
    """Once with its data, and once without if it can be without."""
    if not contender.store:
        return "", None
    kept = restarted(contender, True)
    if not contender.store.forgets:
        return f"with its data: {both(kept)}", {"kept": kept}
    lost = restarted(contender, False)
    return f"with its data: {both(kept)}; without: {both(lost)}", {"kept": kept, "lost": lost}


def restarted(contender, persistent):
    with Scene(contender, persistent) as scene:
        scene.hold(SHORT_JOB)
        scene.contend()
        since = now()
        scene.server.crash()
        scene.pause(DOWN)
        scene.server.start()
        return scene.watch(since, LIMIT)


def lock_stolen(contender):
    with Scene(contender) as scene:
        scene.hold(SHORT_JOB)
        since = now()
        scene.contender.steal()
        # Only now: one that waits already may have the old file open.
        scene.contend()
        seen = scene.watch(since, LIMIT)
        return both(seen), seen


def process_left(contender):
    cells, raw = [], {}
    for how, name in [("leaves", "without descriptors"), ("leaves-open", "with them")]:
        with Scene(contender) as scene:
            scene.hold(2 * BEFORE + 0.5, how)
            scene.contend()
            seen = scene.watch(scene.holder.began, LIMIT)
            raw[how] = seen
            cells.append(f"{name}: {lock(seen)}")
    return "; ".join(cells), raw


def code_of_job(contender):
    codes = set()
    with Scene(contender) as scene:
        for number in range(CODE_RUNS):
            process = scene.run(f"job{number}", 0, "fails")
            process.wait(PATIENCE)
            codes.add(process.returncode)
    passed = "75 passed on" if codes == {75} else f"75 becomes {' or '.join(map(str, sorted(codes)))}"
    if not contender.skips:
        return f"{passed}; cannot skip", {"codes": sorted(codes)}
    with Scene(contender) as scene:
        scene.hold(SHORT_JOB)
        process = scene.run("skipped", 0, once=True)
        process.wait(PATIENCE)
        held = process.returncode
        scene.look()
        if "skipped" in scene.jobs:
            raise Broken(f"{contender.name} waits although it was told to skip")
    return f"{passed}; skipped: {held}", {"codes": sorted(codes), "held": held}


ALL = {
    "no fault, job of two leases": long_job,
    "1 `kill -9` of the wrapper": wrapper_killed,
    "2 TERM to the wrapper": wrapper_told_to_stop,
    "3 store frozen": store_frozen,
    "4 store restarted": store_restarted,
    "5 lock stolen": lock_stolen,
    "6 job ignores TERM": job_ignores_it,
    "7 job leaves a process": process_left,
    "8 job exits 75": code_of_job,
}
