"""What benches/peers compares: how each tool runs a command under a lock.

Each one is used with the options that its documentation has to offer against the faults.
"""

import os
import pathlib
import re
import shutil
import subprocess
import time

import locks
import servers
import tools

# Of the leases that are renewed, in seconds: etcdctl's default.
LEASE = 10
# Of those that are not: the one of the recipe. It has to outlast the command.
FIXED_LEASE = 60
# How soon a tool that does not wait is tried again, where it has to.
RETRY = 0.2
# Until a tool has surely come to wait, where nothing tells.
SETTLE = 2.5
HELD = "99"


class Contender:
    """A tool with its store.

    `wait` and `once` are what stands before a command: to wait for the lock, and to
    skip the command if another has it. None, where a tool cannot.
    """

    name = ""
    # What has to be there: (program, where from).
    program = ("", "")
    store = None
    # Whether the lease is renewed; None without a lease.
    renews = None
    wait = once = None
    waits = skips = True
    # What it makes of its command's 0.
    success = 0
    # A command that frees what a run leaves locked, if it does.
    clear = None
    # For a reader: how it was called.
    usage = ""

    def __init__(self, directory, server, lease=LEASE):
        self.directory, self.server, self.lease = directory, server, lease
        self.joined = []
        self.prepare()

    def prepare(self):
        pass

    @classmethod
    def path(cls):
        return shutil.which(cls.program[0])

    @classmethod
    def missing(cls):
        """Why it cannot be measured here; None if it can."""
        if not cls.path():
            return f"not installed ({cls.program[1]})"
        return None if cls.store is None else cls.store.missing()

    @classmethod
    def version(cls):
        return package_version(cls.program[1])

    def command(self):
        """For a Line."""
        self.joined.append(time.monotonic())
        return self.wait

    def in_line(self):
        """How many wait, of those that `command` was asked for; the first one holds."""
        return len([since for since in self.joined[1:] if time.monotonic() > since + SETTLE])

    def steal(self):
        """What somebody does who takes the lock away."""
        raise NotImplementedError


class Store:
    """A kind of server, and what it needs."""

    def __init__(self, name, kind, program, package, forgets=False):
        self.name, self.kind, self.program, self.package = name, kind, program, package
        # Whether it can be run without keeping anything on disk.
        self.forgets = forgets

    def missing(self):
        if self.program():
            return None
        return f"its server is not installed ({self.package})"

    def open(self, directory, persistent):
        return self.kind(directory, persistent)


REDIS = Store("Redis", servers.Redis, lambda: shutil.which("redis-server"), "redis-server", forgets=True)
ETCD = Store("etcd", lambda directory, _: servers.Etcd(directory), lambda: shutil.which("etcd"), "etcd-server")
POSTGRES = Store("PostgreSQL", lambda *_: servers.Postgres(), servers.postgres_programs, "postgresql")


class File(Contender):
    """A lock file of this host. `options` is what stands before its name."""

    options = ([], [])

    def prepare(self):
        self.file = f"{self.directory}/peers.lock"
        pathlib.Path(self.file).touch()
        waits, tries = self.options
        self.wait = [self.path(), *waits, self.file]
        self.once = [self.path(), *tries, self.file]

    def in_line(self):
        return locks.kernel_locks(self.file).count("->")

    def steal(self):
        os.unlink(self.file)


class Flock(File):
    name = "flock(1)"
    program = ("flock", "Debian util-linux")
    options = (["-w", "300"], ["-n", "-E", HELD])
    usage = "flock -w 300 FILE"


class FlockClosing(Flock):
    name = "flock -o"
    options = (["-o", "-w", "300"], ["-o", "-n", "-E", HELD])
    usage = "flock -o -w 300 FILE"


class FlockInPlace(Flock):
    name = "flock -F"
    options = (["-F", "-w", "300"], ["-F", "-n", "-E", HELD])
    usage = "flock -F -w 300 FILE"


class Lckdo(File):
    name = "lckdo"
    program = ("lckdo", "Debian moreutils")
    options = (["-e", "-W", "300"], ["-e"])
    usage = "lckdo -e -W 300 FILE"


class Setlock(File):
    name = "setlock"
    program = ("setlock", "Debian daemontools")
    options = (["-N"], ["-n"])
    usage = "setlock -N FILE"


class WithLockEx(File):
    name = "with-lock-ex"
    program = ("with-lock-ex", "Debian chiark-utils-bin")
    options = (["-w"], ["-f"])
    usage = "with-lock-ex -w FILE"


class Runlock(File):
    name = "runlock"
    program = ("runlock", "Debian cronutils")
    options = (["-t", "300", "-f"], ["-t", "1", "-f"])
    usage = "runlock -t 300 -f FILE"


class Sem(Contender):
    name = "sem"
    program = ("sem", "Debian parallel")
    usage = "sem --fg --id NAME -j 1"

    def prepare(self):
        home = f"{self.directory}/parallel"
        os.makedirs(home)
        pathlib.Path(f"{home}/will-cite").touch()
        self.semaphore = f"{home}/semaphores/id-peers"
        self.wait = ["env", f"PARALLEL_HOME={home}", self.path(), "--fg", "--id", "peers", "-j", "1"]
        # It cannot try once: a second is the shortest wait that gives up.
        self.once = [*self.wait, "--semaphoretimeout", "-1"]

    def steal(self):
        shutil.rmtree(self.semaphore)


class Local(Contender):
    name = "tasklock, `local:`"
    program = ("cargo", "")
    usage = "tasklock --url local: --wait forever --name NAME"
    url = "local:{0.directory}/local"

    def prepare(self):
        os.makedirs(f"{self.directory}/local", 0o700, exist_ok=True)
        start = [tools.release_path(), "--url", self.url.format(self), "--name", "peers", *self.timing()]
        self.wait = [*start, "--wait", "forever", "--"]
        self.once = [*start, "-q", "-E", HELD, "--"]

    def timing(self):
        return []

    def in_line(self):
        # Each waiter holds a byte of the line's file, and most wait for the byte of another, too.
        line = locks.kernel_locks(f"{self.directory}/local/peers.line")
        return len([lock for lock in line if lock != "->"])

    def steal(self):
        for path in pathlib.Path(f"{self.directory}/local").glob("peers*"):
            path.unlink()

    @classmethod
    def version(cls):
        return output_of([tools.release_path(), "--version"]).split()[-1]


class Tasklock(Local):
    name = "tasklock, Redis"
    store = REDIS
    renews = True
    usage = f"tasklock --url redis://… --ttl {LEASE}s --wait forever --name NAME"
    url = "redis://127.0.0.1:{0.server.port}"

    def timing(self):
        return ["--ttl", f"{self.lease}s"]

    def in_line(self):
        fields = self.server.ask("HKEYS", "{task_lock:peers}:st")
        return len([field for field in fields if locks.TICKET.fullmatch(field)])

    def steal(self):
        self.server.ask("DEL", "task_lock:peers")


class Etcdctl(Contender):
    name = "etcdctl lock"
    program = ("etcdctl", "Debian etcd-client")
    store = ETCD
    renews = True
    skips = False
    usage = f"etcdctl lock --ttl {LEASE} NAME"

    def prepare(self):
        self.control = [self.path(), "--endpoints", f"http://127.0.0.1:{self.server.port}"]
        self.wait = [*self.control, "lock", "--ttl", str(self.lease), "peers", "--"]

    def in_line(self):
        return self.server.keys_under("peers/") - 1

    def steal(self):
        subprocess.run([*self.control, "del", "--prefix", "peers/"], check=True, stdout=subprocess.DEVNULL)


class InPython(Contender):
    """A package of PyPI in a virtual environment of its own."""

    package = ""

    @classmethod
    def path(cls):
        return tools.program_of_pypi(cls.package, cls.program[0])

    @classmethod
    def version(cls):
        return tools.version_of_pypi(cls.package)


class RedisPy(InPython):
    name = "redis-py Lock"
    program = ("python3", "PyPI redis")
    package = "redis"
    store = REDIS
    renews = False
    usage = f"with redis.Redis().lock(NAME, timeout={FIXED_LEASE}): subprocess.run(COMMAND)"

    @classmethod
    def path(cls):
        return tools.python_with_redis()

    def prepare(self):
        script = [self.path(), str(tools.ROOT / "benches" / "waiter.py"), str(self.server.port), str(self.lease)]
        self.wait, self.once = [*script, "none"], [*script, "0"]

    def steal(self):
        self.server.ask("DEL", "handoff")


class Recipe(RedisPy):
    """See benches/recipe.py."""

    name = "the plain recipe"
    waits = False
    usage = f"SET task_lock:NAME 1 NX EX {FIXED_LEASE}; subprocess.run(COMMAND); DEL in a finally"

    def prepare(self):
        script = str(tools.ROOT / "benches" / "recipe.py")
        self.once = [self.path(), script, str(self.server.port), str(self.lease)]

    def steal(self):
        self.server.ask("DEL", "task_lock:bench")


class SingleBeat(InPython):
    name = "single-beat"
    program = ("single-beat", "PyPI single-beat")
    package = "single-beat"
    store = REDIS
    renews = True
    skips = False
    usage = f"SINGLE_BEAT_IDENTIFIER=NAME SINGLE_BEAT_LOCK_TIME={LEASE} single-beat"

    def prepare(self):
        settings = {"REDIS_SERVER": f"redis://127.0.0.1:{self.server.port}", "IDENTIFIER": "peers",
                    "LOCK_TIME": self.lease, "INITIAL_LOCK_TIME": self.lease + 1, "LOG_LEVEL": "critical"}
        self.wait = ["env", *(f"SINGLE_BEAT_{key}={value}" for key, value in settings.items()), self.path()]
        self.clear = ["redis-cli", "-p", str(self.server.port), "DEL", "SINGLE_BEAT_peers"]

    def steal(self):
        self.server.ask("DEL", "SINGLE_BEAT_peers")


class LockR(InPython):
    """Its command stands in its configuration file: a shell writes that, and becomes lockr."""

    name = "LockR"
    program = ("lockr", "PyPI LockR")
    package = "LockR"
    store = REDIS
    renews = True
    skips = False
    success = 1
    usage = f"lockr run --config-file FILE (timeout = {LEASE}000, lockname = NAME, command = COMMAND)"

    def prepare(self):
        settings = f"[lockr]\\nlockname = peers\\ntimeout = {self.lease}000\\ncommand = %s\\n"
        settings += "[redis]\\nhost = ${REDIS_HOST}\\nport = ${REDIS_PORT}\\n"
        script = f"printf '{settings}' \"$*\" >$0.$$; exec {self.path()} run --config-file $0.$$"
        self.wait = ["env", "REDIS_HOST=127.0.0.1", f"REDIS_PORT={self.server.port}",
                     "sh", "-c", script, f"{self.directory}/lockr.ini"]

    def steal(self):
        self.server.ask("DEL", "peers")


class Dislock(InPython):
    name = "dislock"
    waits = False
    program = ("dislock", "PyPI dislock")
    package = "dislock"
    store = POSTGRES
    renews = True
    usage = f"LOCK_STRATEGY=lease RUN_LOCK_TTL_SECONDS={LEASE} LOCK_KEY=NAME dislock DATABASE_URL"

    def prepare(self):
        self.server.sql("CREATE TABLE IF NOT EXISTS key_value "
                        "(key text PRIMARY KEY, value text NOT NULL, expire_at timestamptz NOT NULL)")
        settings = {"DATABASE_URL": self.server.url, "LOCK_KEY": "peers", "LOCK_STRATEGY": "lease",
                    "RUN_LOCK_TTL_SECONDS": self.lease}
        self.once = ["env", *(f"{key}={value}" for key, value in settings.items()), self.path(), "DATABASE_URL"]

    def steal(self):
        self.server.sql("DELETE FROM key_value")


ALL = [Local, Tasklock, Flock, FlockClosing, FlockInPlace, Lckdo, Setlock, WithLockEx, Runlock, Sem,
       Etcdctl, RedisPy, Recipe, SingleBeat, LockR, Dislock]

# Looked for and not to be had, or not to be used: what, and what became of it.
OTHERS = {
    "redlock-cli": "in none of crates.io, npm and PyPI",
    "fredlock 0.1.3 (PyPI)": "fails at its start with the pottery that pip installs with it (no `__version__`)",
    "consul lock": "Debian 12 has no consul",
    "lockrun, run-one": "not in Debian 12",
}


def output_of(command):
    return subprocess.run(command, capture_output=True, text=True).stdout.strip()


def package_version(source):
    """Of a "Debian PACKAGE", if dpkg knows it; without epoch and revision."""
    if not source.startswith("Debian ") or not shutil.which("dpkg-query"):
        return ""
    version = output_of(["dpkg-query", "-W", "-f", "${Version}", source.split()[1]])
    return re.sub(r"^\d+:|[-+].*$", "", version)
