"""One waiter of the benchmarks with redis-py's Lock, as its documentation has it.

    waiter.py PORT TIMEOUT BLOCKING_TIMEOUT COMMAND [ARG]...

Both in seconds, "none" for no limit.
"""

import subprocess
import sys

import redis

timeout, patience = (None if word == "none" else float(word) for word in sys.argv[2:4])
with redis.Redis(port=int(sys.argv[1])).lock("handoff", timeout=timeout, blocking_timeout=patience):
    sys.exit(subprocess.run(sys.argv[4:]).returncode)
