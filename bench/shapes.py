"""What sizes known only at run time cost: one program for all sizes, against the same program made for one size.

The program of named sizes is compiled once and called at every n. The other is compiled for each n from the same
generated source, with numbers where that reads sizes: what a compiler can make of known sizes is then in it. Kernels
(products, factorisations) are the same code in both. Times are medians, in microseconds, of calls with ndarrays, which
run by turns of a millisecond; the ratio is the median of the rounds'.
"""

from __future__ import annotations

import argparse
import re
import statistics
import sys
from collections.abc import Iterator
from typing import Any

from bench import harness, report

SUMMARY = "sizes known only at run time against sizes that are compiled in"

#: Losses of (lib, a[n, n], b[n, n], v[n]) as source; the programs compute them and their gradients.
LOSSES = {
    "elementwise": "lib.sum(lib.tanh(a * b + v) * a - lib.exp(-b * b))",
    "rows": "lib.sum(lib.max(a * v, axis=1) * v + lib.sum(a * b, axis=1) / (1.0 + v * v))",
    "slices": "lib.sum((a[1:] - a[:-1]) ** 2) + lib.sum(lib.concatenate([b, a], axis=1)[:, ::2] ** 2) + v[0]",
    "layer": "lib.sum(lib.tanh(a @ b + v) ** 2)",
    "solve": "lib.sum(lib.linalg.solve(a @ a.T + lib.eye(v.shape[0]), b @ v) ** 2)",
}
#: Sizes, and how much slower the program of named sizes may be there.
TARGETS = {4: 1.5, 64: 1.1, 256: 1.1}


# -- in a measuring process ------------------------------------------------------------------------------------------


def measure(name: str, rounds: int) -> Iterator[dict[str, Any]]:
    """Yields a row for each n."""
    import numpy as np

    named = _program(name)
    for n in TARGETS:
        rng = np.random.default_rng(n)
        arrays = [rng.random((n, n)), rng.random((n, n)), rng.random(n)]
        fixed = specialised(_in_one(name), arrays)
        for got, want in zip(fixed(*arrays), named(*arrays), strict=True):
            np.testing.assert_allclose(got, want, rtol=1e-10, atol=1e-10)
        runs = {"named": lambda: named(*arrays), "fixed": lambda: fixed(*arrays)}  # noqa: B023
        taken = harness.by_turns(runs, rounds)
        times = {k: statistics.median(ms) * 1e3 for k, ms in taken.items()}
        yield {"name": name, "n": n, **times, "ratio": harness.ratio(taken["named"], taken["fixed"])}


def _program(name: str) -> Any:
    """The loss and its gradient, compiled by an engine of its own."""
    import nbgraph as nbg

    shapes = {"a": ("n", "n"), "b": ("n", "n"), "v": ("n",)}
    a, b, v = xs = [nbg.TracedTensor.placeholder(shape, name=x) for x, shape in shapes.items()]
    loss = eval(LOSSES[name], {"lib": nbg, "a": a, "b": b, "v": v})
    return nbg.Engine(jit="always", cache_dir=None).compile([loss, *loss.grad(xs)], xs)


def _in_one(name: str) -> Any:
    """The same with all its loops in its own source: none that is compiled for other programs too."""
    from nbgraph.codegen import fuse

    before, fuse.MANY_NESTS = fuse.MANY_NESTS, sys.maxsize
    try:
        return _program(name)
    finally:
        fuse.MANY_NESTS = before


def specialised(program: Any, arrays: list[Any]) -> Any:
    """The program with its code made anew: numbers in place of words that are sizes, as for these arrays."""
    from nbgraph.codegen import runtime
    from nbgraph.engine.native import placed_for

    program(*arrays)  # binds it
    for part in program.programs:
        code = program.engine.native.codes[part]
        *_, bound = part._bound.values()  # the youngest: of these arrays
        source, rest = code.machine.source, placed_for(code, bound).rest
        first = len(source.words) - len(rest)
        sizes = {k: rest[k - first][0] for k in range(first, len(source.words)) if source.words[k][0] == "size"}
        text = re.sub(r"\bw\[(\d+)\]", lambda m: str(sizes.get(int(m[1]), m[0])), source.text)  # noqa: B023
        program.engine.kept = [*getattr(program.engine, "kept", ()), code.machine]  # its code may be called yet
        code.machine = runtime.compile_source(source._replace(text=text))
    program._plans.clear()
    program._last = lambda arrays: None
    return program


# -- the command -----------------------------------------------------------------------------------------------------


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--rounds", type=int, default=31, metavar="R", help="timings of each row")
    parser.add_argument("--only", default=",".join(LOSSES), metavar="NAMES", help="these programs")
    parser.add_argument("--json", metavar="FILE", help="also write the results here")


def run(options: argparse.Namespace) -> int:
    rows: list[dict[str, Any]] = []
    for name in options.only.split(","):
        found, failure = harness.isolated("bench.shapes:measure", name=name, rounds=options.rounds)
        if failure:
            print(f"{name}: {failure}", file=sys.stderr)
            return 1
        rows += found
    environment = harness.environment()
    print(report.environment_text(environment | {"in_use": {}}))
    lines = []
    for r in rows:
        times = r["named"], r["fixed"], r["ratio"], TARGETS[r["n"]]
        lines.append([r["name"], str(r["n"]), *map(report.number, times)])
    report.table(["program", "n", "named µs", "fixed µs", "named / fixed", "wanted"], lines, text_columns=("program",))
    if options.json:
        report.write_json({"benchmark": "shapes", "environment": environment, "rows": rows}, options.json)
    return 0
