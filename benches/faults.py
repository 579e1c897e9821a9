"""What happens to a command under each lock, and to the lock, when something goes wrong.

Nothing here is taken from documentation: a holder's job runs, a rival waits, a fault is
made, and the journal of the jobs (benches/job.c) and the kernel say what became of them.
"""

import contextlib
import os
import pathlib
import select
import signal
import subprocess
import tempfile
import time

import tools
from contenders import FIXED_LEASE, LEASE, RETRY

JOB = tools.BUILT / "job"
# How long the jobs of holders work, in s. One that is longer than a lease must have it renewed.
LONG_JOB = 2 * LEASE
SHORT_JOB = 0.8 * LEASE
FROZEN = 1.5 * LEASE
DOWN = 0.5
# How often a code is looked at, in case it is not always the same.
CODE_RUNS = 5
# How soon after the start of the job a fault comes.
BEFORE = 1
# Until a job begins where nothing is in its way.
PATIENCE = 30


def now():
    return time.clock_gettime(time.CLOCK_BOOTTIME)


class Broken(Exception):
    """A tool that does not do even without a fault what it should."""


class Job:
    """What is known of one command; times as of `now`, None until it happens."""

    def __init__(self, pid, began, overlapped):
        self.pid, self.began, self.overlapped = pid, began, overlapped
        self.signalled = self.stopped = self.ended = self.died = None
        try:
            self.fd = os.pidfd_open(pid)
        except ProcessLookupError:
            self.fd, self.died = None, now()

    def gone(self):
        """When it was no more: by its own word, or as the kernel told."""
        return self.died and (self.ended or self.stopped or self.died)


class Scene:
    """A contender with a store of its own: a holder whose job runs, and a rival."""

    def __init__(self, contender, persistent=True, fixed_lease=FIXED_LEASE):
        self.opening = (contender, persistent, LEASE if contender.renews else fixed_lease)

    def __enter__(self):
        contender, persistent, lease = self.opening
        with contextlib.ExitStack() as stack:
            self.directory = stack.enter_context(tempfile.TemporaryDirectory(ignore_cleanup_errors=True))
            self.server = None
            if contender.store:
                self.server = stack.enter_context(contender.store.open(self.directory, persistent))
            self.contender = contender(self.directory, self.server, lease)
            self.jobs, self.left, self.wrappers = {}, [], {}
            self.rival = None
            self.read = 0
            self.poll = select.poll()
            stack.callback(self.end)
            self.stack = stack.pop_all()
        return self

    def __exit__(self, *_):
        self.stack.close()

    def end(self):
        if self.server:
            self.server.thaw()
        for process in self.wrappers.values():
            process.kill()
            process.wait()
        # A last look: a wrapper may have started its job just now.
        self.look()
        for fd in [job.fd for job in self.jobs.values() if job.fd is not None] + self.left:
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(fd, signal.SIGKILL)
            os.close(fd)

    def run(self, label, seconds, how="plain", once=False):
        start = self.contender.once if once or not self.contender.wait else self.contender.wait
        job = [str(JOB), self.directory, label, str(int(seconds * 1000)), how]
        with open(f"{self.directory}/stderr", "ab") as stderr:
            self.wrappers[label] = subprocess.Popen(
                [*start, *job], stdin=subprocess.DEVNULL, stdout=stderr, stderr=stderr, start_new_session=True)
        return self.wrappers[label]

    def hold(self, seconds, how="plain"):
        """The holder's job; returns when it has begun."""
        self.run("holder", seconds, how)
        if not self.until(lambda: "holder" in self.jobs, PATIENCE):
            errors = pathlib.Path(f"{self.directory}/stderr").read_text()
            raise Broken(f"{self.contender.name} does not run its command: {errors[-2000:]}")
        self.pause(BEFORE)

    def contend(self):
        """A rival from here on, tried again whenever it gives up before its job began."""
        self.rival = now()
        self.pause(BEFORE)

    def pause(self, seconds):
        self.until(lambda: False, seconds)

    def until(self, condition, seconds):
        """Whether it came true in time."""
        limit = now() + seconds
        while True:
            self.look()
            if condition():
                return True
            if now() > limit:
                return False

    def look(self):
        for fd, _ in self.poll.poll(10):
            self.poll.unregister(fd)
            for job in self.jobs.values():
                if job.fd == fd:
                    job.died = now()
        self.read_journal()
        if self.rival and "rival" not in self.jobs and now() > self.rival:
            process = self.wrappers.get("rival")
            if process is None:
                self.run("rival", 0.5)
            elif process.poll() is not None:
                del self.wrappers["rival"]
                self.rival = now() + RETRY

    def read_journal(self):
        path = pathlib.Path(f"{self.directory}/journal")
        lines = path.read_text().splitlines() if path.exists() else []
        for line in lines[self.read:]:
            label, what, pid, at = line.split()
            at = int(at) / 1e9
            if what in ("begins", "overlaps"):
                if label not in self.jobs:
                    job = self.jobs[label] = Job(int(pid), at, what == "overlaps")
                    if job.fd is not None:
                        self.poll.register(job.fd, select.POLLIN)
            elif what == "signalled":
                self.jobs[label].signalled = at
            elif what == "stops":
                self.jobs[label].stopped = at
            elif what == "ends":
                self.jobs[label].ended = at
            elif what == "left":
                with contextlib.suppress(ProcessLookupError):
                    self.left.append(os.pidfd_open(int(pid)))
        self.read = len(lines)

    @property
    def holder(self):
        return self.jobs["holder"]

    @property
    def next(self):
        """The rival's job, if it has begun."""
        return self.jobs.get("rival")

    def settled(self):
        return self.holder.gone() and self.next

    def watch(self, since, seconds):
        """Waits until the job is gone and the next one has begun; tells what happened after `since`."""
        wrapper = self.wrappers["holder"]
        done = self.until(lambda: self.settled() and wrapper.poll() is not None, seconds)
        job = self.holder
        gone = job.gone()
        seen = {
            "seconds": seconds,
            "all_over": bool(done),
            "job_signalled": job.signalled and job.signalled - since,
            "job_gone": gone and gone - since,
            "job_stopped": bool(job.stopped),
            "job_killed": bool(gone and not job.ended and not job.stopped),
            "job_is_wrapper": job.pid == wrapper.pid,
            "wrapper_code": wrapper.poll(),
            "next_began": self.next and self.next.began - since,
            "overlap": None,
        }
        if self.next and self.next.overlapped:
            seen["overlap"] = max((gone or now()) - self.next.began, 0.001)
        return seen


def within(value):
    return "at once" if value < 0.1 else f"in {value:.1f} s"


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
        return f"**overlap {seen['overlap']:.1f} s**" if seen["overlap"] >= 0.1 else f"**overlap {seen['overlap'] * 1000:.0f} ms**"
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
        seen = scene.watch(since, FIXED_LEASE + PATIENCE / 2)
        return ("runs in place: " if seen["job_is_wrapper"] else "") + both(seen), seen


def wrapper_told_to_stop(contender):
    with Scene(contender) as scene:
        scene.hold(LONG_JOB, "tidy")
        scene.contend()
        since = now()
        scene.wrappers["holder"].terminate()
        seen = scene.watch(since, FIXED_LEASE + PATIENCE / 2)
        return ("" if seen["job_signalled"] else "not told: ") + both(seen), seen


def job_ignores_it(contender):
    with Scene(contender) as scene:
        scene.hold(LONG_JOB, "stubborn")
        scene.contend()
        since = now()
        scene.wrappers["holder"].terminate()
        seen = scene.watch(since, FIXED_LEASE + PATIENCE / 2)
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
        scene.hold(FROZEN + LEASE, how)
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
        return scene.watch(since, FIXED_LEASE + PATIENCE / 2)


def lock_stolen(contender):
    with Scene(contender) as scene:
        scene.hold(SHORT_JOB)
        since = now()
        scene.contender.steal()
        # Only now: one that waits already may have the old file open.
        scene.contend()
        seen = scene.watch(since, FIXED_LEASE + PATIENCE / 2)
        return both(seen), seen


def process_left(contender):
    cells, raw = [], {}
    for how, name in [("leaves", "without descriptors"), ("leaves-open", "with them")]:
        with Scene(contender) as scene:
            scene.hold(2 * BEFORE + 0.5, how)
            scene.contend()
            seen = scene.watch(scene.holder.began, FIXED_LEASE + PATIENCE / 2)
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
