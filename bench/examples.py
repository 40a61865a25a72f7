"""The examples at one size each: cold and warm times, compile counts, beside the same in PyTorch and JAX.

    cold   preparing and the first run in a fresh process with an empty cache folder, compiling included
    warm   median of the runs after that, of all libraries in one process, by turns

PyTorch runs eagerly; JAX is jitted, with a fixed number of steps where nbgraph and PyTorch stop by the data. Every
result is compared with that of nbgraph interpreted by NumPy; one that is off is not shown. Times include no imports.
"""

from __future__ import annotations

import argparse
import gc
import importlib
import statistics
import sys
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from bench import harness, report

SUMMARY = "cold and warm times of the examples, against PyTorch and JAX"

NAMES = ("kalman", "ode", "hyperopt", "lstm", "sinkhorn", "deq", "cp_als", "ising_trg", "ipeps", "dmrg")
WAYS = ("always", "auto", "torch", "jax")
Row = dict[str, Any]


# -- in a measuring process ------------------------------------------------------------------------------------------


def measure(name: str, way: str) -> Iterator[Row]:
    """One row: of an example, in one way, cold."""
    module: Any = importlib.import_module(f"bench.peers.examples.{name}")
    make, engine = prepared(module, way)
    if make is None:
        yield {"status": "absent"}
        return
    gc.collect()
    result, cold = harness.timed(lambda: make()())
    counts = compiles(engine) if engine else {}
    yield _judged(module, result) | {"cold_ms": cold} | counts


def measure_warm(name: str, ways: Sequence[str], repeats: int) -> Iterator[Row]:
    """A row for each way that is there."""
    module: Any = importlib.import_module(f"bench.peers.examples.{name}")
    runs = {way: make() for way in ways if (make := prepared(module, way)[0]) is not None}
    for run in runs.values():
        run()
    rounds = harness.by_turns(runs, repeats, 15.0 * len(runs))
    for way, run in runs.items():
        taken = rounds[way]
        times = {"warm_ms": statistics.median(taken), "warm_min_ms": min(taken), "calls": len(taken)}
        ratio = {"to_torch": harness.ratio(taken, rounds["torch"])} if "torch" in rounds else {}
        yield {"way": way} | _judged(module, run()) | times | ratio


def _judged(module: Any, result: Any) -> Row:
    """Whether a result is that of nbgraph interpreted."""
    off = difference(result, prepared(module, "never")[0]()())  # type: ignore[misc]
    return {"status": "ok" if off <= getattr(module, "TOLERANCE", 1e-8) else "wrong", "error": off}


def prepared(module: Any, way: str) -> tuple[Callable[[], Any] | None, Any]:
    """What makes a run, None if it cannot be; and the engine that runs it. Imports the library."""
    if way in ("torch", "jax"):
        try:
            library: Any = importlib.import_module(way)
        except ModuleNotFoundError:
            return None, None
        if way == "jax":
            library.config.update("jax_enable_x64", True)
        else:
            library.set_num_threads(1)
        return getattr(module, way, None), None
    import nbgraph as nbg

    engine = nbg.Engine(jit=way)
    return partial(module.nbgraph, engine), engine


def compiles(engine: Any) -> Row:
    s = engine.stats()
    return {"compiled": s.compiled, "compile_seconds": s.compile_seconds, "fragments": s.fragments}


def difference(result: Sequence[Any], wanted: Sequence[Any]) -> float:
    """The largest, each relative to its largest entry."""
    import numpy as np

    pairs = [tuple(map(np.asarray, pair)) for pair in zip(result, wanted, strict=True)]
    if any(r.shape != w.shape or not np.isfinite(r).all() for r, w in pairs):
        return float("inf")
    return max(float(np.abs(r - w).max() / np.abs(w).max()) for r, w in pairs)


# -- the table -------------------------------------------------------------------------------------------------------

HEAD = ("example", "size", "cold s", "compiled", "always ms", "auto ms", "torch ms", "always/torch", "jax s", "jax ms")


def table_of(rows: Sequence[Row]) -> list[list[str]]:
    """One line an example; times in seconds are cold, those in milliseconds warm."""
    found = {(row["example"], row["way"]): row for row in rows if row["status"] == "ok"}

    def cell(name: str, way: str, field: str, scale: float = 1.0) -> float | None:
        value = found.get((name, way), {}).get(field)
        return None if value is None else value * scale

    lines = []
    for name in dict.fromkeys(row["example"] for row in rows):
        always, auto, torch, jax = (cell(name, way, "warm_ms") for way in WAYS)
        compiled = found.get((name, "always"), {}).get("compiled", "-")
        numbers = [always, auto, torch, cell(name, "always", "to_torch")]
        numbers += [cell(name, "jax", "cold_ms", 1e-3), jax]
        cold = report.number(cell(name, "always", "cold_ms", 1e-3))
        size = importlib.import_module(f"bench.peers.examples.{name}").SIZE
        lines.append([name, size, cold, str(compiled), *map(report.number, numbers)])
    return lines


# -- the command -----------------------------------------------------------------------------------------------------


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--only", nargs="+", choices=NAMES, default=NAMES, metavar="NAME", help="these examples")
    parser.add_argument("--ways", nargs="+", choices=WAYS, default=WAYS, metavar="WAY", help=", ".join(WAYS))
    parser.add_argument("--repeats", type=int, default=9, metavar="R", help="warm runs")
    parser.add_argument("--seconds", type=float, default=300, metavar="S", help="after which a process is given up")
    parser.add_argument("--json", type=Path, metavar="FILE", help="add the rows to those here, and show all")
    parser.add_argument("--markdown", action="store_true", help="print the table as Markdown")


def _cold(name: str, way: str, seconds: float) -> Row:
    print(f"{name}, {way}", file=sys.stderr, flush=True)
    results, failure = harness.isolated("bench.examples:measure", seconds, name=name, way=way)
    return results[0] if results else {"status": "failed", "detail": failure}


def run(options: argparse.Namespace) -> int:
    """Measures and reports; 1 if nbgraph is not right everywhere."""
    rows = report.Ledger(options.json, ("example", "way"))
    for name in options.only:
        cold = {way: _cold(name, way, options.seconds) for way in options.ways}
        good = [way for way, row in cold.items() if row["status"] == "ok"]
        print(f"{name}, warm", file=sys.stderr, flush=True)
        job = {"name": name, "ways": good, "repeats": options.repeats}
        results, failure = harness.isolated("bench.examples:measure_warm", options.seconds * len(good), **job)
        warm = {row["way"]: row for row in results}
        for way in options.ways:
            failed = {"status": "failed", "detail": failure} if way in good and failure else {}
            rows.add({"example": name, "way": way} | cold[way] | warm.get(way, failed), harness.environment())
    if options.markdown:
        print(report.markdown(HEAD, table_of(rows.rows), HEAD[:2]))
    else:
        report.table(HEAD, table_of(rows.rows), HEAD[:2])
    for row in rows.rows:
        if row["status"] not in ("ok", "absent"):
            print(f"{row['example']}, {row['way']}: {row['status']}: {row.get('detail') or row.get('error')}")
    return int(any(r["status"] != "ok" for r in rows.rows if r["way"] in ("always", "auto")))
