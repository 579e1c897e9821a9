"""One waiter of benches/handoff with redis-py's Lock, as its documentation has it.

    waiter.py PORT COMMAND [ARG]...
"""

import subprocess
import sys

import redis

with redis.Redis(port=int(sys.argv[1])).lock("handoff"):
    sys.exit(subprocess.run(sys.argv[2:]).returncode)
