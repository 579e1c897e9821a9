"""The locks that benches/handoff compares: how to run a command under each, and who waits for it.

Each has its turn `every` so many rounds. `server` is the one whose commands are counted.
"""

import os
import pathlib
import re

import tools

# What waiters have in the state hash, one of each: "q7" and "i19c611b2b8b54abe".
TICKET = re.compile(r"q\d+")
INFO = re.compile(r"i[0-9a-f]{16}")


class Flock:
    name = "flock(1)"
    every = 1
    server = None

    def __init__(self, directory):
        self.path = f"{directory}/flock"
        pathlib.Path(self.path).touch()

    def command(self):
        return ["flock", self.path]

    def in_line(self):
        return kernel_locks(self.path).count("->")


class Local:
    name = "tasklock, `local:`"
    every = 1
    server = None

    def __init__(self, directory, tasklock):
        self.directory = f"{directory}/local"
        os.mkdir(self.directory, 0o700)
        self.tasklock = tasklock

    def command(self):
        return waiting(self.tasklock, f"local:{self.directory}")

    def in_line(self):
        # Each waiter holds a byte of the line's file, and most wait for the byte of another, too.
        line = f"{self.directory}/handoff.line"
        return len([lock for lock in kernel_locks(line) if lock != "->"])


class Tasklock:
    name = "tasklock, Redis"
    every = 1
    state = "{task_lock:handoff}:st"

    def __init__(self, server, tasklock):
        self.server = server
        self.tasklock = tasklock

    def command(self):
        return waiting(self.tasklock, f"redis://127.0.0.1:{self.server.port}")

    def fields(self):
        answer = self.server.ask("HGETALL", self.state)
        return dict(zip(answer[::2], answer[1::2]))

    def in_line(self):
        return len([field for field in self.server.ask("HKEYS", self.state) if TICKET.fullmatch(field)])


class EtcdctlLock:
    name = "etcdctl lock"
    every = 1

    def __init__(self, server):
        self.server = server

    def command(self):
        endpoint = f"http://127.0.0.1:{self.server.port}"
        return ["etcdctl", "--endpoints", endpoint, "lock", "handoff", "--"]

    def in_line(self):
        return self.server.keys_under("handoff/") - 1


class RedisPyLock:
    name = "redis-py Lock"
    # A hundred interpreters take minutes to start, and what they show is not close.
    every = 3

    def __init__(self, server):
        self.server = server
        self.python = tools.python_with_redis()

    def command(self):
        waiter = str(tools.ROOT / "benches" / "waiter.py")
        return [self.python, waiter, str(self.server.port), "none", "none"]

    def in_line(self):
        # The holder, too, asked for nothing after its SET.
        return self.server.ask("CLIENT", "LIST").count(" cmd=set ") - 1


def waiting(tasklock, url):
    return [tasklock, "--name", "handoff", "--url", url, "--wait", "10m", "--"]


def kernel_locks(path):
    """One word for each lock on the file: "->" for one that is waited for, else its kind."""
    if not os.path.exists(path):
        return []
    inode = str(os.stat(path).st_ino)
    lines = [line.split() for line in pathlib.Path("/proc/locks").read_text().splitlines()]
    return [words[1] for words in lines if words[-3].split(":")[-1] == inode]
