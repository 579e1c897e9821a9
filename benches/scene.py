"""One lock under watch: a holder's job, a rival that waits, and what becomes of both.

Nothing here is taken from documentation: the journal of the jobs (benches/job.c) and the
kernel say what happened, and when.
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
# How soon after the start of the job a fault comes, in s.
BEFORE = 1
# Until a job begins where nothing is in its way, in s.
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
