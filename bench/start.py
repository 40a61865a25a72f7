"""Whole wall time of a fresh process: from its start, over imports and the first gradient of a loop, to its end.

The power iteration of `python -m bench loops` at one n and K, once (`bench.started`); every result is checked against
NumPy.

    nothing   no compiled code on disk: another empty cache folder for every process
    warm      the folder that an earlier process of the same kind has filled

The rows are measured by turns, a process of each in a round. `numba`: whether the process imported it. Bytecode of
Python is on disk everywhere, as where a package is installed.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from typing import Any, NamedTuple

from bench import harness, report
from bench.loops import POWER
from bench.workload import TOLERANCE, error

SUMMARY = "whole wall time of a fresh process, with and without compiled code on disk"


class Case(NamedTuple):
    """An implementation of the loop, and whether its cache folder has been filled before."""

    implementation: str
    warm: bool


CASES = [
    Case("nbgraph auto", False),
    Case("nbgraph always", False),
    Case("nbgraph auto", True),
    Case("nbgraph always", True),
    Case("torch eager", False),
    Case("jax scan", False),
    Case("jax scan", True),
]


# -- the driver ------------------------------------------------------------------------------------------------------


def timed_process(name: str, n: int, K: int, cache: str) -> dict[str, Any]:
    """What a fresh pinned process found, whether that is right, and its seconds from outside."""
    env = harness.pinned_environment(cache) | {
        "JAX_COMPILATION_CACHE_DIR": os.path.join(cache, "jax"),
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
    }
    env.pop("PYTHONDONTWRITEBYTECODE", None)
    data, chosen = POWER.data(n), POWER.implementations[name]
    job = {"module": f"{POWER.folder}.{chosen.module}", "options": dict(chosen.options), "n": n, "K": K}
    job |= {"a": data.a.tolist(), "x": data.x.tolist(), "tol": data.tol}
    command = [sys.executable, "-m", "bench.started"]
    start = time.perf_counter()
    done = subprocess.run(command, cwd=harness.ROOT, env=env, input=json.dumps(job), capture_output=True, text=True)
    seconds = time.perf_counter() - start
    if done.returncode:
        return {"status": (done.stderr.splitlines() or ["died without a word"])[-1]}
    found = json.loads(done.stdout.splitlines()[-1])
    if found["status"] != "ok":
        return dict(found)
    off = error((found["value"], found["gradient"]), POWER.reference(n, K, data))
    status = "ok" if off <= TOLERANCE else f"off by {off:.1e}"
    return {"status": status, "numba": found["numba"], "seconds": seconds}


def measure(cases: Sequence[Case], n: int, K: int, repeats: int) -> list[dict[str, Any]]:
    """A row each: the median of some processes, in rounds of one of each, after a round that is not counted (it fills
    the warm folders, and writes bytecode)."""
    rows = [
        {"name": case.implementation, "cache": "warm" if case.warm else "nothing", "status": "ok"} for case in cases
    ]
    taken: list[list[float]] = [[] for _ in cases]
    with tempfile.TemporaryDirectory(prefix="bench-", ignore_cleanup_errors=True) as folder:
        for turn in range(repeats + 1):
            for k, case in enumerate(cases):
                cache = os.path.join(folder, f"{k}" if case.warm else f"{k}-{turn}")
                if rows[k]["status"] == "ok":
                    rows[k] |= timed_process(case.implementation, n, K, cache)
                    taken[k].append(rows[k].pop("seconds", math.nan))
    for row, seconds in zip(rows, taken, strict=True):
        if row["status"] == "ok":
            row |= {"seconds": statistics.median(seconds[1:]), "fastest": min(seconds[1:])}
    return rows


# -- the command -----------------------------------------------------------------------------------------------------


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--n", type=int, default=8)
    parser.add_argument("--K", type=int, default=50)
    parser.add_argument("--repeats", type=int, default=5, metavar="R", help="processes for each row")
    parser.add_argument("--only", default="", metavar="NAME", help="rows whose name begins with this")
    parser.add_argument("--json", metavar="FILE", help="also write the results here")


def run(options: argparse.Namespace) -> int:
    """Measures and reports; 1 if nbgraph is not right everywhere."""
    environment = harness.environment()
    cases = [c for c in CASES if c.implementation.startswith(options.only)]
    rows = measure(cases, options.n, options.K, options.repeats)
    print(report.environment_text(environment | {"in_use": {}}))
    columns = ["name", "cache", "seconds", "fastest", "numba", "status"]
    report.table(columns, [[_cell(r.get(c)) for c in columns] for r in rows], text_columns=("name", "cache", "status"))
    if options.json:
        report.write_json({"benchmark": "start", "environment": environment, "rows": rows}, options.json)
    return int(any(r["status"] != "ok" for r in rows if r["name"].startswith("nbgraph")))


def _cell(x: Any) -> str:
    if isinstance(x, bool):
        return "yes" if x else "no"
    return f"{x:.3f}" if isinstance(x, float) else str(x or "")
