"""A workload and its implementations: how one is measured, in which processes.

In: a `Workload`, the name of one of its implementations, points (n, K). Out: rows (dicts that are JSON), one a point.
Holds: what is not right to `TOLERANCE` is reported as wrong and not timed. Times include no imports:

    cold   preparing and the first call, in a fresh process, compiling included
    first  preparing and the first call at this (n, K), in a process that has run another (n, K) before
    warm   median of the calls after that

A cold time is taken in a process of its own. First and warm times are taken in one process for all implementations,
which runs the points in the order given, after `BEFORE`, which is not timed; at each point they run by turns
(`harness.by_turns`), so that what slows the machine for a while slows all alike, and a ratio is the median of the
rounds'.
"""

from __future__ import annotations

import argparse
import gc
import importlib
import statistics
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import ModuleType
from typing import Any, NamedTuple

from bench import harness

Row = dict[str, Any]
Point = tuple[int, int]

TOLERANCE = 1e-8
BEFORE: Point = (5, 4)
PACKAGES = (
    "nbgraph",
    "numpy",
    "scipy",
    "numba",
    "llvmlite",
    "torch",
    "jax",
    "jaxlib",
    "casadi",
    "autograd",
    "pytensor",
)


class Implementation(NamedTuple):
    """A row of the table: the module in the workload's folder, and extra arguments of its functions."""

    module: str
    options: Mapping[str, Any] = {}


@dataclass(frozen=True)
class Workload:
    """A loop of K steps at size n.

    `path` is where it can be imported from, "module:NAME"; `folder` the package of its implementations (what they
    hold: `bench.peers`); the times of the others are compared with `baseline`'s.
    """

    path: str
    title: str
    folder: str
    data: Callable[[int], Any]
    reference: Callable[[int, int, Any], tuple[Any, Any]]
    implementations: Mapping[str, Implementation]
    baseline: str

    def module(self, name: str) -> ModuleType:
        return importlib.import_module(f"{self.folder}.{self.implementations[name].module}")

    def select(self, wanted: Sequence[str]) -> list[str]:
        """The implementations whose names begin with one of those given; all if none is."""
        for prefix in wanted:
            if not any(name.startswith(prefix) for name in self.implementations):
                raise ValueError(f"no {prefix!r} among {', '.join(self.implementations)}")
        return [name for name in self.implementations if not wanted or name.startswith(tuple(wanted))]


def error(result: Sequence[Any], wanted: Sequence[Any]) -> float:
    """The largest difference of value and gradient, each relative to its largest entry; infinite if shapes differ."""
    import numpy as np

    worst = 0.0
    for r, w in zip(result, wanted, strict=True):
        r, w = np.asarray(r), np.asarray(w)
        if r.shape != w.shape or not np.isfinite(r).all():
            return float("inf")
        worst = max(worst, float(np.abs(r - w).max() / np.abs(w).max()))
    return worst


# -- in a measuring process ------------------------------------------------------------------------------------------


def measure(path: str, name: str, n: int, K: int) -> Iterator[Row]:
    """Yields a row with `call_ms` (preparing and first call), then one with `in_use`: versions and thread pools.

    A single row where the library is absent.
    """
    workload = _workload(path)
    module, options = workload.module(name), workload.implementations[name].options
    absent, import_ms = harness.timed(module.available)
    if absent:
        yield {"status": "absent", "detail": absent}
        return
    data = workload.data(n)
    wanted = workload.reference(n, K, data)
    gc.collect()
    (_, result), call_ms = harness.timed(lambda: _prepare_and_run(module, options, n, K, data))
    times = {"call_ms": call_ms, "import_ms": import_ms}
    yield {"n": n, "K": K} | _judged(module, options, result, wanted, times)
    yield {"in_use": _in_use()}


def measure_warm(path: str, points: Mapping[str, Sequence[Point]], repeats: int, limit: float) -> Iterator[Row]:
    """Yields a row for each point and each implementation that has it, with `first_ms` and the warm times.

    What takes over `limit` seconds to prepare and run once at a point is in no round there. A single row where a
    library is absent.
    """
    workload = _workload(path)
    modules = {name: workload.module(name) for name in points}
    options = {name: workload.implementations[name].options for name in points}
    absent = {name: reason for name, module in modules.items() if (reason := module.available())}
    yield from ({"implementation": name, "status": "absent", "detail": reason} for name, reason in absent.items())
    points = {name: each for name, each in points.items() if name not in absent}
    for name in points:
        module = modules[name]
        _prepare_and_run(module, options[name], *BEFORE, workload.data(BEFORE[0]))
    for n, K in dict.fromkeys(tuple(point) for each in points.values() for point in each):
        data = workload.data(n)
        wanted = workload.reference(n, K, data)
        runs: dict[str, Callable[[], Any]] = {}
        rows: dict[str, Row] = {}
        for name in [name for name in points if [n, K] in map(list, points[name])]:
            gc.collect()
            (run, result), first = harness.timed(
                lambda name=name: _prepare_and_run(modules[name], options[name], n, K, data)  # noqa: B023
            )
            rows[name] = _judged(modules[name], options[name], result, wanted, {"first_ms": first})
            if rows[name]["status"] == "ok" and first < limit * 1e3:
                runs[name] = run
        rounds = harness.by_turns(runs, repeats, 20.0 * len(runs)) if runs else {}
        for name, run in runs.items():  # still right, as it runs by now
            times = {"first_ms": rows[name]["first_ms"]} | _times(rounds[name], rounds.get(workload.baseline))
            rows[name] = _judged(modules[name], options[name], run(), wanted, times)
        for name, row in rows.items():
            yield {"implementation": name, "n": n, "K": K} | row
    yield {"in_use": _in_use()}


def _workload(path: str) -> Workload:
    module_name, _, attribute = path.partition(":")
    found: Workload = getattr(importlib.import_module(module_name), attribute)
    return found


def _in_use() -> Row:
    return {"versions": harness.versions(PACKAGES), "thread_pools": harness.thread_pools()}


def _times(taken: Sequence[float], baseline: Sequence[float] | None) -> Row:
    times = {"warm_ms": statistics.median(taken), "warm_min_ms": min(taken), "calls": len(taken)}
    return times | ({"warm_ratio": harness.ratio(taken, baseline)} if baseline else {})


def _judged(module: Any, options: Any, result: Any, wanted: Any, times: Row) -> Row:
    """Whether a result is right; the times only if it is."""
    off = error(result, wanted)
    if off > TOLERANCE:
        return {"status": "wrong", "error": off, "detail": f"off by {off:.1e}, relative"}
    remark = {"remark": module.remark(**options)} if hasattr(module, "remark") else {}
    return {"status": "ok", "error": off} | remark | times


def _prepare_and_run(module: Any, options: Any, n: int, K: int, data: Any) -> tuple[Any, Any]:
    run = module.make(n, K, data, **options)
    return run, run()


# -- the driver ------------------------------------------------------------------------------------------------------


class Driver:
    """Measures implementations of a workload at points; rows are in `rows`, what was loaded in `in_use`."""

    def __init__(self, workload: Workload, options: argparse.Namespace, say: Callable[[str], None]) -> None:
        self.workload, self.options, self.say = workload, options, say
        self.in_use: dict[str, Any] = {}
        self._absent: dict[str, Row] = {}
        self._found: dict[tuple[str, Point], Row] = {}

    def run(self, names: Sequence[str]) -> None:
        """A row for each implementation and point, or one for an implementation whose library is absent."""
        for point in self.options.points:
            for name in names:
                if name not in self._absent:
                    self._begin(name, point)
        self._warm({name: self._right(name) for name in names if self._right(name)})

    @property
    def rows(self) -> list[Row]:
        """What was found so far."""
        found = {(name, point): {"n": point[0], "K": point[1]} | row for (name, point), row in self._found.items()}
        found |= {(name, None): row for name, row in self._absent.items()}
        order = list(self.workload.implementations)
        names = sorted(found, key=lambda key: order.index(key[0]))
        return [{"implementation": k[0], "note": self._note(k[0])} | found[k] for k in names]

    def _note(self, name: str) -> str:
        return getattr(self.workload.module(name), "NOTE", "")

    def _right(self, name: str) -> list[Point]:
        """The points at which its first result is right."""
        return [p for p in self.options.points if self._found.get((name, p), {}).get("status") == "ok"]

    def _begin(self, name: str, point: Point) -> None:
        """A row, with the cold time if that is wanted."""
        reason = self._reason_to_skip(name, *point)
        if reason:
            self._found[name, point] = {"status": "skipped", "detail": reason}
            return
        if not self.options.cold:
            self._found[name, point] = {"status": "ok"}
            return
        self.say(f"{name}: n={point[0]} K={point[1]}")
        results, failure = self._ask_cold(name, point)
        row = results[0] if results else {"status": "failed", "detail": failure}
        if row["status"] == "absent":
            self._absent[name] = row
            return
        self._found[name, point] = {"cold_ms": row.pop("call_ms", None)} | row
        if len(results) > 1:
            self.in_use[name] = results[1]["in_use"]

    def _warm(self, points: dict[str, list[Point]]) -> None:
        """Adds first and warm times, by turns, to the rows that are right."""
        if points:
            self.say(f"by turns: {', '.join(points)}")
            results, failure = self._ask_warm(points)
            self.in_use |= next(({"by turns": row["in_use"]} for row in results if "in_use" in row), {})
            self._absent |= {row["implementation"]: row for row in results if row.get("status") == "absent"}
            self._found = {key: row for key, row in self._found.items() if key[0] not in self._absent}
            for name in [name for name in points if name not in self._absent]:
                for point in points[name]:
                    row = self._found[name, point]
                    found = [r for r in results if (r.get("implementation"), r.get("n"), r.get("K")) == (name, *point)]
                    row |= found[0] if found else {"status": "failed", "detail": failure}

    def _reason_to_skip(self, name: str, n: int, K: int) -> str | None:
        module = self.workload.module(name)
        if self.options.smoke and getattr(module, "SLOW", False):
            return "slow"
        limit = getattr(module, "limit", None)
        return limit(n, K) if limit and self.options.limits else None

    def _ask_cold(self, name: str, point: Point) -> harness.Outcome:
        job = {"path": self.workload.path, "name": name, "n": point[0], "K": point[1]}
        return harness.isolated("bench.workload:measure", self.options.seconds, **job)

    def _ask_warm(self, points: dict[str, list[Point]]) -> harness.Outcome:
        seconds = self.options.seconds * (len(points) + sum(map(len, points.values())))
        job = {"path": self.workload.path, "points": points, "repeats": self.options.repeats}
        return harness.isolated("bench.workload:measure_warm", seconds, **job, limit=self.options.seconds)
