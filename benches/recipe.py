"""The well-known recipe, as the benchmarks compare it: SET NX EX, run, DEL.

    recipe.py PORT EX COMMAND [ARG]...
"""

import subprocess
import sys

import redis

server = redis.Redis(port=int(sys.argv[1]))
if not server.set("task_lock:bench", 1, nx=True, ex=int(sys.argv[2])):
    sys.exit(75)
try:
    code = subprocess.run(sys.argv[3:]).returncode
finally:
    server.delete("task_lock:bench")
sys.exit(code)
