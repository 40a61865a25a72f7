"""Running measurements: a pinned, fresh process for each, and what it ran on.

In: the name of a generator function, "module:function", and its arguments (JSON). Out: what it yields (JSON), until it
ends or its time is over.
Holds: thread counts are set in the environment before the process starts, so before any library is imported; it runs
on one core and finds an empty cache folder of its own. What libraries print goes to standard error.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import json
import os
import platform
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).resolve().parents[1]

PINNED = {f"{library}_NUM_THREADS": "1" for library in ("OMP", "OPENBLAS", "MKL", "BLIS", "NUMBA")} | {
    "VECLIB_MAXIMUM_THREADS": "1",
    "XLA_FLAGS": "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1",
    "JAX_PLATFORMS": "cpu",
}
#: Would choose another BLAS kernel, or would keep code of an earlier run.
UNSET = ("OPENBLAS_CORETYPE", "JAX_COMPILATION_CACHE_DIR", "NBGRAPH_CACHE_DIR", "NUMBA_CACHE_DIR")


class Outcome(NamedTuple):
    """What a process yielded, and why it ended early (None if it did not)."""

    results: list[Any]
    failure: str | None


def pinned_environment(cache: str, cores: int = 1) -> dict[str, str]:
    """The environment of a measuring process: as many threads as cores, an empty cache, the checkout's packages."""
    env = {k: v for k, v in os.environ.items() if k not in UNSET}
    paths = [str(ROOT), str(ROOT / "kernels"), env.get("PYTHONPATH", "")]
    caches = {"XDG_CACHE_HOME": cache, "PYTENSOR_FLAGS": f"base_compiledir={cache}"}
    pinned = {name: str(cores) if name.endswith("_THREADS") else value for name, value in PINNED.items()}
    return env | pinned | caches | {"PYTHONPATH": os.pathsep.join(p for p in paths if p)}


def isolated(target: str, seconds: float | None = None, cores: int = 1, **arguments: Any) -> Outcome:
    """Runs a generator function in a fresh process pinned to so many cores, for at most so many seconds."""
    job = json.dumps({"target": target, "cores": cores, "arguments": arguments})
    command = [sys.executable, "-m", "bench.harness"]
    pipes: Any = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with tempfile.TemporaryDirectory(prefix="bench-", ignore_cleanup_errors=True) as cache:
        env = pinned_environment(cache, cores)
        with subprocess.Popen(command, cwd=ROOT, env=env, text=True, start_new_session=True, **pipes) as process:
            try:
                out, err = process.communicate(job, timeout=seconds)
                failure = _failure(err) if process.returncode else None
            except subprocess.TimeoutExpired:
                _kill(process)
                out, _ = process.communicate()
                failure = f"not done after {seconds:g} s"
            except BaseException:
                _kill(process)
                raise
    lines = [line for line in out.splitlines() if line.endswith("}")]  # the last may be cut
    return Outcome([json.loads(line) for line in lines], failure)


def _kill(process: subprocess.Popen[str]) -> None:
    """Ends a process and what it started."""
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except (AttributeError, ProcessLookupError):
        process.kill()


def _failure(err: str) -> str:
    """The last line of what a failed process said; all of it goes to standard error."""
    print(err, file=sys.stderr)
    lines = [line for line in err.splitlines() if line.strip()]
    return lines[-1][:200] if lines else "died without a word"


def _work() -> None:
    """The measuring process: job on standard input, results as lines on what was standard output."""
    results = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    job = json.load(sys.stdin)
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[-job["cores"] :])
    module, _, function = job["target"].partition(":")
    for result in getattr(importlib.import_module(module), function)(**job["arguments"]):
        print(json.dumps(result), file=results, flush=True)


# -- timing ----------------------------------------------------------------------------------------------------------


def timed(f: Callable[[], Any]) -> tuple[Any, float]:
    """The result of a call and its milliseconds."""
    start = time.perf_counter()
    result = f()
    return result, (time.perf_counter() - start) * 1e3


def repeated(f: Callable[[], Any], repeats: int, seconds: float = 20.0) -> dict[str, float]:
    """Median and fastest of `repeats` calls; of fewer, but at least three, once they took so many seconds together."""
    taken: list[float] = []
    while len(taken) < repeats and (len(taken) < 3 or sum(taken) < seconds * 1e3):
        taken.append(timed(f)[1])
    return {"warm_ms": statistics.median(taken), "warm_min_ms": min(taken), "calls": len(taken)}


#: What a turn lasts at least, in milliseconds: calls of microseconds run as they do in a loop, their memory at hand.
TURN = 1.0


def by_turns(runs: Mapping[str, Callable[[], Any]], repeats: int, seconds: float = 20.0) -> dict[str, list[float]]:
    """Milliseconds a call of each, in `repeats` rounds of a turn of each; fewer rounds as with `repeated`.

    So what slows the machine for a while slows all alike. A round begins with another one each time.
    """
    first = {name: timed(run)[1] for name, run in runs.items()}
    number = {name: max(int(TURN / ms), 1) for name, ms in first.items()}
    is_slow = set(number.values()) <= {1}  # then these were a round
    taken = {name: [ms] if is_slow else [] for name, ms in first.items()}
    spent, rounds = sum(first.values()), int(is_slow)
    while rounds < repeats and (rounds < 3 or spent < seconds * 1e3):
        names = list(runs)
        start = rounds % len(names)
        for name in names[start:] + names[:start]:
            ms = timed(lambda run=runs[name], n=number[name]: _call(run, n))[1]
            taken[name].append(ms / number[name])
            spent += ms
        rounds += 1
    return taken


def _call(run: Callable[[], Any], number: int) -> None:
    for _ in range(number):
        run()


def ratio(ours: Sequence[float], theirs: Sequence[float]) -> float:
    """The median of the rounds' ratios."""
    return statistics.median(a / b for a, b in zip(ours, theirs, strict=True))


# -- what it ran on --------------------------------------------------------------------------------------------------


def environment() -> dict[str, Any]:
    """The machine and the settings, for the head of a report."""
    return {
        "cpu": cpu(),
        "system": platform.system(),
        "python": platform.python_version(),
        "commit": _commit(),
        "threads": 1,
        "settings": PINNED,
    }


def cpu() -> str:
    """The model name of the processor."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


def _commit() -> str | None:
    command = ["git", "-C", str(ROOT), "describe", "--always", "--dirty"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return None


def versions(packages: Sequence[str]) -> dict[str, str]:
    """Versions of those packages that are imported in this process."""
    found = {}
    for name in packages:
        module = sys.modules.get(name)
        if module is not None:
            found[name] = str(getattr(module, "__version__", None) or importlib.metadata.version(name))
    return found


def thread_pools() -> list[dict[str, Any]]:
    """The BLAS and OpenMP libraries loaded in this process, as threadpoolctl sees them; empty without it."""
    try:
        from threadpoolctl import threadpool_info
    except ModuleNotFoundError:
        return []
    keep = ("internal_api", "version", "num_threads", "architecture")
    return [{k: pool[k] for k in keep if pool.get(k) is not None} for pool in threadpool_info()]


if __name__ == "__main__":
    _work()
