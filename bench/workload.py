"""A workload and its implementations: how one is measured, in which processes.

In: a `Workload`, the name of one of its implementations, points (n, K). Out: rows (dicts that are JSON), one a point.
Holds: what is not right to `TOLERANCE` is reported as wrong and not timed. Times include no imports:

    cold   preparing and the first call, in a fresh process, compiling included
    first  preparing and the first call at this (n, K), in a process that has run another (n, K) before
    warm   median of the calls after that

A cold time is taken in a process of its own. First and warm times are taken in one process an implementation, which
runs the points in the order given, after `BEFORE`, which is not timed.
"""

from __future__ import annotations

import argparse
import gc
import importlib
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


def measure(path: str, name: str, points: Sequence[Point], repeats: int, before: Point | None) -> Iterator[Row]:
    """Yields a row for each point, with `call_ms` (preparing and first call) and the warm times, if repeats > 0.

    Then one with `in_use`: versions and thread pools. A single row where the library is absent.
    """
    module_name, _, attribute = path.partition(":")
    workload: Workload = getattr(importlib.import_module(module_name), attribute)
    module, options = workload.module(name), workload.implementations[name].options
    absent, import_ms = harness.timed(module.available)
    if absent:
        yield {"status": "absent", "detail": absent}
        return
    if before:
        _prepare_and_run(module, options, *before, workload.data(before[0]))
    for n, K in points:
        row = _measure_point(workload, module, options, n, K, repeats)
        yield row | {"import_ms": import_ms}
    yield {"in_use": {"versions": harness.versions(PACKAGES), "thread_pools": harness.thread_pools()}}


def _measure_point(w: Workload, module: Any, options: Any, n: int, K: int, repeats: int) -> Row:
    data = w.data(n)
    wanted = w.reference(n, K, data)
    gc.collect()
    (run, result), call_ms = harness.timed(lambda: _prepare_and_run(module, options, n, K, data))
    off = error(result, wanted)
    times = {"call_ms": call_ms}
    if repeats and off <= TOLERANCE:
        times |= harness.repeated(run, repeats)
        off = max(off, error(run(), wanted))  # still right, however it runs by now
    if off > TOLERANCE:
        return {"n": n, "K": K, "status": "wrong", "error": off, "detail": f"off by {off:.1e}, relative"}
    remark = {"remark": module.remark(**options)} if hasattr(module, "remark") else {}
    return {"n": n, "K": K, "status": "ok", "error": off} | times | remark


def _prepare_and_run(module: Any, options: Any, n: int, K: int, data: Any) -> tuple[Any, Any]:
    run = module.make(n, K, data, **options)
    return run, run()


# -- the driver ------------------------------------------------------------------------------------------------------


class Absent(Exception):
    """A library is not installed."""


class Driver:
    """Measures implementations of a workload at points; rows are in `rows`, what was loaded in `in_use`."""

    def __init__(self, workload: Workload, options: argparse.Namespace, say: Callable[[str], None]) -> None:
        self.workload, self.options, self.say = workload, options, say
        self.rows: list[Row] = []
        self.in_use: dict[str, Any] = {}

    def run(self, name: str) -> None:
        """One implementation: a row for each point, or one where its library is absent."""
        head = {"implementation": name, "note": getattr(self.workload.module(name), "NOTE", "")}
        try:
            rows = {point: self._cold(name, point) for point in self.options.points}
        except Absent as reason:
            self.rows.append(head | {"status": "absent", "detail": str(reason)})
            return
        if not self.options.smoke:
            self._warm(name, rows)
        self.rows += [head | {"n": n, "K": K} | row for (n, K), row in rows.items()]

    def _cold(self, name: str, point: Point) -> Row:
        """A row with the cold time; in a smoke run, with the warm times too."""
        reason = self._reason_to_skip(name, *point)
        if reason:
            return {"status": "skipped", "detail": reason}
        found, failure = self._ask(name, [point], self.options.repeats if self.options.smoke else 0, None)
        row = found.get(point, {"status": "failed", "detail": failure})
        return {"cold_ms": row.pop("call_ms", None)} | row

    def _warm(self, name: str, rows: dict[Point, Row]) -> None:
        """Adds first and warm times to the rows that are right."""
        points = [point for point, row in rows.items() if row["status"] == "ok"]
        if not points:
            return
        found, failure = self._ask(name, points, self.options.repeats, BEFORE)
        for point in points:
            row = found.get(point, {"detail": failure})
            rows[point] |= {"first_ms": row.pop("call_ms", None)} | row

    def _reason_to_skip(self, name: str, n: int, K: int) -> str | None:
        module = self.workload.module(name)
        if self.options.smoke and getattr(module, "SLOW", False):
            return "slow"
        limit = getattr(module, "limit", None)
        return limit(n, K) if limit and self.options.limits else None

    def _ask(self, name: str, points: list[Point], repeats: int, before: Point | None) -> tuple[dict[Point, Row], Any]:
        """The rows that a measuring process gives, by point, and what went wrong if something did."""
        self.say(f"{name}: {', '.join(f'n={n} K={K}' for n, K in points)}")
        seconds = self.options.seconds * (len(points) + bool(before))
        job = {"path": self.workload.path, "name": name, "points": points, "repeats": repeats, "before": before}
        results, failure = harness.isolated("bench.workload:measure", seconds, **job)
        found: dict[Point, Row] = {}
        for row in results:
            if row.get("status") == "absent":
                raise Absent(row["detail"])
            if "in_use" in row:
                self.in_use[name] = row["in_use"]
            else:
                found[row["n"], row["K"]] = row
        return found, failure
