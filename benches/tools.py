"""What the benchmarks need on the machine, and the binary that they measure."""

import datetime
import os
import pathlib
import shutil
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
BUILT = ROOT / "target" / "bench"
# One virtual environment for each package of PyPI, for not all agree on what they need.
CACHE = pathlib.Path(os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache") / "tasklock-bench"


def fail(text):
    sys.exit(f"benches/{pathlib.Path(sys.argv[0]).name}: {text}")


def python_with_redis():
    """An interpreter that has redis-py, if there is one."""
    for python in [str(CACHE / "redis" / "bin" / "python3"), sys.executable]:
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


def install_of_pypi(package):
    """Whether it could be had."""
    subprocess.run([sys.executable, "-m", "venv", CACHE / package], check=True)
    pip = [CACHE / package / "bin" / "pip", "-q", "--disable-pip-version-check", "install", package]
    return subprocess.run(pip, stdout=sys.stderr).returncode == 0


def need(packages, may_install):
    """Ends the benchmark if one of `packages` (tool: Debian package) is missing."""
    if may_install and missing_of(packages):
        install(missing_of(packages))
    if missing_of(packages):
        fail(f"missing: apt-get install {' '.join(missing_of(packages))} (or run with --install)")


def need_redis_py(may_install):
    if may_install and not python_with_redis():
        install_of_pypi("redis")
    if not python_with_redis():
        fail(f"redis-py is missing: {sys.executable} -m pip install redis (or run with --install)")


def program_of_pypi(package, program):
    """Where a program of PyPI is, if it is installed."""
    path = CACHE / package / "bin" / program
    return str(path) if path.exists() else shutil.which(program)


def version_of_pypi(package):
    python = CACHE / package / "bin" / "python3"
    ask = [python if python.exists() else sys.executable, "-c",
           f"import importlib.metadata as m; print(m.version({package!r}))"]
    return subprocess.run(ask, capture_output=True, text=True).stdout.strip()


def compile(name, *options):
    BUILT.mkdir(parents=True, exist_ok=True)
    subprocess.run(["cc", "-O2", *options, "-o", BUILT / name, ROOT / "benches" / f"{name}.c"], check=True)


def machine():
    policy = {os.SCHED_FIFO: "SCHED_FIFO", os.SCHED_RR: "SCHED_RR"}.get(os.sched_getscheduler(0))
    at = f" at {policy} {os.sched_getparam(0).sched_priority}" if policy else ""
    return f"{len(os.sched_getaffinity(0))} CPUs{at}, {datetime.date.today().isoformat()}"


def release_path():
    target = os.environ.get("CARGO_TARGET_DIR", ROOT / "target")
    return str(pathlib.Path(target) / "release" / "tasklock")


def release_binary():
    """Builds tasklock; where it is. Takes tasklock's variables out of the environment."""
    subprocess.run(["cargo", "build", "--release", "--locked", "-q"], cwd=ROOT, check=True)
    for name in [name for name in os.environ if name.startswith("TASKLOCK_")]:
        del os.environ[name]
    return release_path()
