"""Seconds to the first value and gradient over the number of steps K: whose compile time grows with the loop?

The power iteration of `python -m bench loops` at one n: the cold time of each (in a fresh process, with an empty cache
folder, compiling included, imports not), K by K, of all by turns. An implementation that was given up at some K is not
asked for a larger one. `--repeats` takes the median of so many, in rounds of one of each.
"""

from __future__ import annotations

import argparse
import statistics
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from bench import harness, report
from bench.loops import POWER

SUMMARY = "seconds to the first gradient over the number of steps, against other libraries"

NAMES = ("nbgraph always", "jax unrolled", "pytensor scan", "compiled torch", "torch eager")
HEAD = ("implementation", "K", "seconds", "status")
Row = dict[str, Any]


def measure(name: str, n: int, K: int, seconds: float) -> Row:
    """One cold time, in milliseconds."""
    results, failure = harness.isolated("bench.workload:measure", seconds, path=POWER.path, name=name, n=n, K=K)
    row = results[0] if results else {"status": "failed", "detail": failure}
    return {"implementation": name, "n": n, "K": K, "cold_ms": row.get("call_ms")} | {
        k: row[k] for k in ("status", "detail") if k in row
    }


def measured(options: argparse.Namespace) -> Iterator[Row]:
    """A row for each K and implementation that was not given up before."""
    names = list(options.only)
    for K in sorted(options.K):
        found: dict[str, list[Row]] = {name: [] for name in names}
        for _ in range(options.repeats):
            for name in names:
                if all(row["status"] == "ok" for row in found[name]):
                    print(f"{name}, K = {K}", file=sys.stderr, flush=True)
                    found[name].append(measure(name, options.n, K, options.seconds))
        for name, rows in found.items():
            right = [row["cold_ms"] for row in rows if row["status"] == "ok"]
            if len(right) == len(rows):
                yield rows[-1] | {"cold_ms": statistics.median(right)}
            else:
                yield rows[-1]
                names.remove(name)


def draw(rows: Sequence[Row], file: str) -> None:
    """Seconds over K, both logarithmic; an arrow up where an implementation was given up."""
    import matplotlib
    from matplotlib.figure import Figure

    matplotlib.rcParams["svg.fonttype"] = "none"  # letters, not outlines
    figure = Figure(figsize=(6.4, 3.6), layout="constrained")
    axes = figure.subplots()
    for name in dict.fromkeys(row["implementation"] for row in rows):
        found = sorted(
            (r["K"], r["cold_ms"] / 1e3) for r in rows if r["implementation"] == name and r["status"] == "ok"
        )
        if found:
            ours = name.startswith("nbgraph")
            axes.loglog(
                *zip(*found, strict=True), "o-", lw=2.5 if ours else 1.2, ms=4, label=name, zorder=3 if ours else 2
            )
    axes.set(xlabel="steps of the loop, K", ylabel="seconds to the first gradient")
    axes.grid(alpha=0.3)
    axes.legend(fontsize="small")
    figure.savefig(file, metadata={"Date": None} if file.endswith(".svg") else None)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--n", type=int, default=8, help="size (%(default)s)")
    parser.add_argument("--K", type=int, nargs="*", default=[10, 30, 100, 300, 1000], help="steps; none: only show")
    parser.add_argument("--only", nargs="+", choices=NAMES, default=NAMES, metavar="NAME", help=", ".join(NAMES))
    parser.add_argument("--repeats", type=int, default=1, metavar="R", help="processes for each row")
    parser.add_argument("--seconds", type=float, default=90, metavar="S", help="after which a process is given up")
    parser.add_argument("--json", type=Path, metavar="FILE", help="add the rows to those here, and show all")
    parser.add_argument("--plot", metavar="FILE", help="draw into FILE (needs matplotlib)")


def run(options: argparse.Namespace) -> int:
    """Measures and reports; 1 if nbgraph is not right everywhere."""
    rows = report.Ledger(options.json, ("implementation", "n", "K"))
    for row in measured(options):
        rows.add(row, harness.environment())
    cells = [
        [
            r["implementation"],
            str(r["K"]),
            report.number(r["cold_ms"] and r["cold_ms"] / 1e3),
            r.get("detail", r["status"]),
        ]
        for r in rows.rows
    ]
    report.table(HEAD, cells, ("implementation", "status"))
    if options.plot:
        draw(rows.rows, options.plot)
    return int(any(r["status"] != "ok" for r in rows.rows if r["implementation"].startswith("nbgraph")))
