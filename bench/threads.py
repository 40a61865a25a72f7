"""What a second thread gives: compiled programs with `threads=1` and `threads=2`, by turns in one process on two cores.

`speed-up` is the median over the rounds of the time with one thread over that with two. Results are the same bits.
"""

from __future__ import annotations

import argparse
import statistics
import sys
from collections.abc import Iterator, Sequence
from typing import Any

from bench import harness, report
from bench.cases import every_case

SUMMARY = "what a second thread gives"

CASES = ("memory/axpy", "options/value", "options/gradients", "rows/softmax", "rows/softmax/gradient")
CASES += ("rows/layer_norm", "rows/logsumexp", "reductions/sum/all/f8", "reductions/max/rows/f4", "products/1024")


def measure(names: Sequence[str], threads: int, repeats: int, budget: float) -> Iterator[dict[str, Any]]:
    """A row for each case."""
    import numpy as np

    from bench import libraries

    known = every_case()
    for name in names:
        arrays = known[name].data()
        runs = {str(k): libraries.nbgraph(known[name], arrays, threads=k) for k in (1, threads)}
        results = [run() for run in runs.values()]
        same = all(np.array_equal(a, b) for a, b in zip(*results, strict=True))
        rounds = harness.by_turns(runs, repeats, budget)
        one, many = rounds["1"], rounds[str(threads)]
        row = {"name": name, "one": statistics.median(one), "many": statistics.median(many)}
        yield row | {"speed_up": harness.ratio(one, many), "same": same}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--only", metavar="PREFIX", default="", help="cases whose names begin so (several by commas)")
    parser.add_argument("--threads", type=int, default=2, metavar="N", help="how many, on as many cores")
    parser.add_argument("--repeats", type=int, default=25, metavar="R", help="rounds")
    parser.add_argument("--seconds", type=float, default=3.0, metavar="S", help="fewer, if they take longer together")
    parser.add_argument("--json", metavar="FILE", help="also write the results here")


def run(options: argparse.Namespace) -> int:
    names = [name for name in CASES if name.startswith(tuple(options.only.split(",")))]
    sizes = {"repeats": options.repeats, "budget": options.seconds}
    target = "bench.threads:measure"
    rows, failure = harness.isolated(target, cores=options.threads, names=names, threads=options.threads, **sizes)
    if failure:
        print(failure, file=sys.stderr)
    environment = harness.environment() | {"threads": f"1 and {options.threads}"}
    print(report.environment_text(environment))
    head = ["case", "1 thread ms", f"{options.threads} threads ms", "speed-up", "same bits"]
    cells = [
        [r["name"], *map(report.number, (r["one"], r["many"], r["speed_up"])), "yes" if r["same"] else "NO"]
        for r in rows
    ]
    report.table(head, cells, text_columns=("case", "same bits"))
    if options.json:
        report.write_json({"benchmark": "threads", "environment": environment, "rows": rows}, options.json)
    return int(failure is not None or not all(r["same"] for r in rows))
