"""Servers that the benchmarks start for themselves, on free ports of 127.0.0.1."""

import base64
import contextlib
import glob
import http.client
import json
import os
import pathlib
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time

import tools


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Server:
    """A process that is gone at the end of its `with`."""

    def __init__(self, name, command, answers, user=None):
        self.name, self.command, self.answers, self.user = name, command, answers, user
        self.start()

    def start(self):
        self.process = subprocess.Popen(
            self.command, user=self.user, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        limit = time.monotonic() + 30
        while time.monotonic() < limit:
            try:
                if self.answers():
                    return
            except (OSError, http.client.HTTPException):
                pass
            time.sleep(0.02)
        self.stop()
        tools.fail(f"{self.name} does not answer")

    def stop(self):
        self.crash()

    def crash(self):
        """Like stop, but it may be started again."""
        self.send(signal.SIGKILL)
        self.process.wait()

    def freeze(self):
        self.send(signal.SIGSTOP)

    def thaw(self):
        self.send(signal.SIGCONT)

    def send(self, number):
        """To the server and the processes that it started."""
        if self.process.poll() is not None:
            return
        children = f"/proc/{self.process.pid}/task/{self.process.pid}/children"
        for pid in [self.process.pid, *map(int, pathlib.Path(children).read_text().split())]:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()


class Redis(Server):
    def __init__(self, directory, persistent=False):
        self.port = free_port()
        options = ["--bind", "127.0.0.1", "--port", str(self.port), "--save", "", "--dir", directory]
        if persistent:
            options += ["--appendonly", "yes", "--appendfsync", "always"]
        self.monitor = None
        super().__init__("redis-server", ["redis-server", *options], self.is_loaded)

    def start(self):
        super().start()
        self.connection = Connection(self.port)

    def is_loaded(self):
        return Connection(self.port).ask("PING") == "PONG"

    def ask(self, *words):
        return self.connection.ask(*words)

    def watch(self):
        """From here on, `sent` and `requests` know what clients send. Slows the server down."""
        self.monitor = Connection(self.port)
        self.monitor.ask("MONITOR")

    def unwatch(self):
        self.monitor.close()
        self.monitor = None

    def sent(self):
        """What clients sent since the last call, as (address, COMMAND); ours and scripts' left out."""
        self.ask("ECHO", "the-end")
        seen = []
        while True:
            line = self.monitor.answer()
            where, _, words = line.partition("] ")
            client = where.split()[-1]
            if client == self.connection.address:
                if "the-end" in line:
                    return seen
            elif client != "lua":
                seen.append((client, words.split('"')[1].upper()))

    def requests(self):
        return len(self.sent())


class Connection:
    """Redis' protocol, as far as needed here."""

    def __init__(self, port):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=30)
        self.lines = self.socket.makefile("rb")
        self.address = "%s:%d" % self.socket.getsockname()

    def close(self):
        self.lines.close()
        self.socket.close()

    def ask(self, *words):
        self.socket.sendall((" ".join(words) + "\r\n").encode())
        return self.answer()

    def answer(self):
        line = self.lines.readline().decode(errors="replace").rstrip("\r\n")
        kind, rest = line[:1], line[1:]
        if kind == "+":
            return rest
        if kind == ":":
            return int(rest)
        if kind == "$":
            return None if rest == "-1" else self.lines.read(int(rest) + 2)[:-2].decode(errors="replace")
        if kind == "*":
            return [self.answer() for _ in range(int(rest))]
        raise OSError(f"Redis answered {line!r}")


class Etcd(Server):
    """One etcd node with the defaults of its package: every write is synced to disk."""

    def __init__(self, directory):
        self.port = free_port()
        self.ours = 0
        self.counted = 0
        client, peer = f"http://127.0.0.1:{self.port}", f"http://127.0.0.1:{free_port()}"
        super().__init__("etcd", [
            "etcd", "--name", "bench", "--data-dir", f"{directory}/etcd", "--log-level", "error",
            "--listen-client-urls", client, "--advertise-client-urls", client,
            "--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer,
            "--initial-cluster", f"bench={peer}",
        ], lambda: b"true" in self.http("GET", "/health"))

    def http(self, method, path, body=None):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            connection.request(method, path, body)
            return connection.getresponse().read()
        finally:
            connection.close()

    def keys_under(self, prefix):
        first, end = prefix.encode(), prefix[:-1].encode() + bytes([ord(prefix[-1]) + 1])
        body = {"key": base64.b64encode(first).decode(), "range_end": base64.b64encode(end).decode(),
                "count_only": True}
        self.ours += 1
        answer = json.loads(self.http("POST", "/v3/kv/range", json.dumps(body)))
        return int(answer.get("count", 0))

    def watch(self):
        self.requests()

    def unwatch(self):
        pass

    def requests(self):
        """How many messages clients sent since the last call, ours left out."""
        lines = self.http("GET", "/metrics").decode().splitlines()
        counts = [line for line in lines if line.startswith("grpc_server_msg_received_total{")]
        total = int(sum(float(line.split()[-1]) for line in counts)) - self.ours
        new, self.counted = total - self.counted, total
        return new


class Postgres(Server):
    """A node of PostgreSQL that believes whoever connects. It refuses to run as root."""

    def __init__(self):
        self.port = free_port()
        programs = postgres_programs()
        user = pwd.getpwnam("nobody") if os.geteuid() == 0 else None
        self.directory = tempfile.mkdtemp()
        if user:
            os.chown(self.directory, user.pw_uid, -1)
        self.url = f"postgresql://postgres@127.0.0.1:{self.port}/postgres"
        subprocess.run([f"{programs}/initdb", "-D", f"{self.directory}/data", "-U", "postgres", "--no-sync"],
                       user=user and user.pw_uid, cwd=self.directory, check=True,
                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        super().__init__("postgres", [
            f"{programs}/postgres", "-D", f"{self.directory}/data", "-p", str(self.port),
            "-c", "listen_addresses=127.0.0.1", "-k", self.directory,
        ], lambda: self.sql("SELECT 1"), user and user.pw_uid)

    def sql(self, statement):
        """Whether it could be carried out."""
        command = ["psql", "-q", self.url, "-c", statement]
        return subprocess.run(command, capture_output=True).returncode == 0

    def stop(self):
        super().stop()
        shutil.rmtree(self.directory, ignore_errors=True)

    def start(self):
        with contextlib.suppress(FileNotFoundError):
            os.unlink(f"{self.directory}/data/postmaster.pid")
        super().start()


def postgres_programs():
    """Where Debian keeps what only a server needs."""
    return max(glob.glob("/usr/lib/postgresql/*/bin"), default=None)
