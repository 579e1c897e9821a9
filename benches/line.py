"""Waiters in line behind one holder, and the gaps between their commands."""

import os
import pathlib
import subprocess
import tempfile
import time

import tools
from tools import fail

CHILD = tools.BUILT / "child"
# Until a waiter is in line, or all have run.
PATIENCE = 120


def build_child():
    tools.compile("child", "-static", "-nostdlib", "-ffreestanding", "-fno-stack-protector")


def until(condition, what):
    limit = time.monotonic() + PATIENCE
    while not condition():
        if time.monotonic() > limit:
            fail(f"waited {PATIENCE} s in vain for {what}")
        time.sleep(0.001)


class Line:
    """Waiters in line behind a holder, who lets go when he is told to.

    `success` is what the lock makes of its command's 0.
    """

    def __init__(self, lock, success=0):
        self.lock, self.success = lock, success
        self.directory = tempfile.TemporaryDirectory()
        self.journal = f"{self.directory.name}/journal"
        self.waiters = {}

    def __enter__(self):
        fifo = f"{self.directory.name}/fifo"
        os.mkfifo(fifo)
        self.holder = self.start(0, fifo)
        try:
            until(lambda: self.opened(fifo), f"{self.lock.name} to run its command")
        except BaseException:
            self.__exit__()
            raise
        return self

    def opened(self, fifo):
        try:
            self.writer = os.open(fifo, os.O_WRONLY | os.O_NONBLOCK)
        except OSError:  # nobody reads it yet
            return False
        return True

    def __exit__(self, *_):
        for process in [self.holder, *self.waiters.values()]:
            process.kill()
            process.wait()
        self.directory.cleanup()

    def start(self, label, *hold):
        with open(f"{self.directory.name}/stderr", "ab") as stderr:
            return subprocess.Popen(
                [*self.lock.command(), CHILD, self.journal, str(label), *hold],
                stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=stderr)

    def join(self, label, *hold):
        self.waiters[label] = self.start(label, *hold)
        return self.waiters[label].pid

    def is_waiting(self, label):
        return self.waiters[label].poll() is None

    def kill(self, label):
        process = self.waiters.pop(label)
        process.kill()
        process.wait()

    def join_in_turn(self, count):
        """Waiters 1 to `count`, each in line before the next one comes."""
        for label in range(1, count + 1):
            self.join(label)
            until(lambda: self.lock.in_line() >= label,
                  f"waiter {label} of {self.lock.name} to be in line")

    def let_go(self):
        os.close(self.writer)

    def finish(self):
        """What ran, in its order, as (label, start, end); all must have ended well, one at a time."""
        # The last to come is the last to go: so we hardly wake up while the others run.
        for label in sorted(self.waiters, reverse=True):
            if self.waiters[label].wait(PATIENCE) != self.success:
                errors = pathlib.Path(f"{self.directory.name}/stderr").read_text()
                fail(f"{self.lock.name}: waiter {label} failed: {errors[-2000:]}")
        self.holder.wait(PATIENCE)
        runs = runs_in(self.journal)
        if sorted(label for label, _, _ in runs) != [0, *sorted(self.waiters)]:
            fail(f"{self.lock.name}: not each one ran exactly once")
        if min(gaps(runs)) <= 0:
            fail(f"{self.lock.name}: two ran at the same time")
        return runs


def runs_in(journal):
    """(label, start, end) of all that ran, by start."""
    lines = pathlib.Path(journal).read_text().splitlines()
    return sorted((tuple(map(int, line.split())) for line in lines), key=lambda run: run[1])


def gaps(runs):
    """The times between the end of one and the start of the next, in ms."""
    return [(later[1] - earlier[2]) / 1e6 for earlier, later in zip(runs, runs[1:])]


def overtaken(labels):
    """How many ran after somebody who had come later."""
    return sum(label < max(labels[:place], default=0) for place, label in enumerate(labels))
