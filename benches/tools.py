"""What the benchmarks need on the machine, and the binary that they measure."""

import os
import pathlib
import shutil
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
VENV = ROOT / "target" / "bench"


def fail(text):
    sys.exit(f"benches/{pathlib.Path(sys.argv[0]).name}: {text}")


def python_with_redis():
    """An interpreter that has redis-py, if there is one."""
    for python in [str(VENV / "bin" / "python3"), sys.executable]:
        works = [python, "-c", "import redis"]
        if os.path.exists(python) and subprocess.run(works, capture_output=True).returncode == 0:
            return python
    return None


def missing_of(packages):
    return sorted({package for tool, package in packages.items() if not shutil.which(tool)})


def install(packages):
    if not shutil.which("apt-get"):
        fail(f"no apt-get here; please install: {' '.join(packages)}")
    subprocess.run(["apt-get", "-q", "install", "-y", *packages], check=True, stdout=sys.stderr)


def install_redis_py():
    subprocess.run([sys.executable, "-m", "venv", VENV], check=True)
    subprocess.run([VENV / "bin" / "pip", "-q", "install", "redis"], check=True)


def need(packages, may_install):
    """Ends the benchmark if one of `packages` (tool: Debian package) is missing."""
    if may_install and missing_of(packages):
        install(missing_of(packages))
    if missing_of(packages):
        fail(f"missing: apt-get install {' '.join(missing_of(packages))} (or run with --install)")


def need_redis_py(may_install):
    if may_install and not python_with_redis():
        install_redis_py()
    if not python_with_redis():
        fail(f"redis-py is missing: {sys.executable} -m pip install redis (or run with --install)")


def release_binary():
    """Builds tasklock; where it is. Takes tasklock's variables out of the environment."""
    subprocess.run(["cargo", "build", "--release", "--locked", "-q"], cwd=ROOT, check=True)
    for name in [name for name in os.environ if name.startswith("TASKLOCK_")]:
        del os.environ[name]
    target = os.environ.get("CARGO_TARGET_DIR", ROOT / "target")
    return str(pathlib.Path(target) / "release" / "tasklock")
