"""What compiling a fragment costs, as a line over its loop nests and operations.

    seconds = BASE + PER_NEST * nests + PER_OPERATION * operations

fitted (relative errors, least squares, no negative term) to fragments of growing size and to those of a power iteration
and its gradient. By these constants `nbgraph/engine/tiers.py` decides when compiling pays. Nests are counted as there:
one, and one more for each reduction and kernel call; once over a program's body, as it is before lowering, and once
over the lowered body, from which code is generated. `predicted` is what tiers.py says at present, also of the kernels,
which are compiled once each.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from typing import Any

from bench import harness, report

SUMMARY = "compile seconds of generated fragments over loop nests and operations: the constants of tiers.py"

#: (reductions, elementwise operations before each) of the fragments made for this.
SHAPES = [(0, 1), (0, 10), (0, 40), (1, 1), (1, 10), (2, 2), (4, 2), (4, 10), (8, 1), (8, 5), (10, 10), (16, 2)]
#: What the elementwise operations are, in turn, with the number of their operands.
CHAIN = (("multiply", 2), ("sin", 1), ("add", 2), ("exp", 1), ("subtract", 2), ("tanh", 1))


# -- in the measuring process ----------------------------------------------------------------------------------------


def measure(repeats: int) -> Iterator[dict[str, Any]]:
    """Yields the cost of the first compile in the process, then a row for each fragment."""
    from nbgraph.engine.native import compile_program
    from nbgraph.engine.tiers import own_seconds

    _, first_ms = harness.timed(lambda: compile_program(_program(0, 1)))
    yield {"first_ms": first_ms, "versions": harness.versions(["nbgraph", "numba", "llvmlite"]), "thread_pools": []}
    for name, program in _programs():
        taken = harness.repeated(lambda program=program: compile_program(program), repeats)  # type: ignore[misc]
        row = {"name": name, "seconds": taken["warm_min_ms"] / 1e3, "predicted": own_seconds(program.lowered()[0])}
        yield row | {"body": count(program.body), "lowered": count(program.lowered()[0])}
    yield from _kernels()


def measure_first(reductions: int, chain: int) -> Iterator[dict[str, Any]]:
    """The seconds of one fragment, compiled first in a process; the compiler's import counts."""
    from nbgraph.engine.native import compile_program

    program = _program(reductions, chain)
    yield {"seconds": harness.timed(lambda: compile_program(program))[1] / 1e3}


def _kernels() -> Iterator[dict[str, Any]]:
    """A row for each kernel that this process has not compiled yet."""
    from nbgraph.engine.tiers import FIRST_USE, FIRST_USE_OF_OTHERS
    from nbgraph_kernels import registry

    for name in registry.names():
        code = "f8" if "f8" in registry.dtypes(name) else registry.dtypes(name)[0]
        if not registry.is_made(name, code):
            _, ms = harness.timed(lambda name=name, code=code: registry.kernel(name, code))
            yield {
                "kernel": name,
                "code": code,
                "seconds": ms / 1e3,
                "predicted": FIRST_USE.get(name, FIRST_USE_OF_OTHERS),
            }


def count(body: Any) -> tuple[int, int]:
    """Loop nests and operations of a body, as `tiers.own_seconds` counts them."""
    from nbgraph.kinds import Assembly, Kernel, Reduction

    return 1 + sum(isinstance(i.op, (Kernel, Reduction, Assembly)) for i in body.instrs), len(body.instrs)


def _programs() -> Iterator[tuple[str, Any]]:
    for reductions, chain in SHAPES:
        yield f"{reductions} sums, {chain} elementwise each", _program(reductions, chain)
    for k, program in enumerate(_power_programs()):
        yield f"power iteration {k}", program


def _program(reductions: int, chain: int) -> Any:
    """Chains of elementwise operations; each ends in a sum that the next one needs."""
    from nbgraph.graph import FragmentBuilder
    from nbgraph.ssa import program_for

    b = FragmentBuilder()
    x = v = b.input(("float64", ("n",)))
    for _ in range(max(reductions, 1)):
        for k in range(chain):
            name, operands = CHAIN[k % len(CHAIN)]
            v = b.op(name, *(v, x)[:operands])
        if reductions:
            v = b.op("multiply", x, b.op("sum", v, axes=(0,)))
    fragment = b.build([v])
    return program_for(fragment, frozenset(fragment.outputs))


def _power_programs() -> list[Any]:
    """The programs of the loop that `python -m bench loops` measures."""
    from bench.loops import power_data
    from bench.peers.power import nbgraph_loop

    nbgraph_loop.make(8, 4, power_data(8), jit="always")()
    return list(nbgraph_loop.engine("always").native.codes)


# -- the command -----------------------------------------------------------------------------------------------------


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--repeats", type=int, default=3, metavar="R", help="compiles of each fragment")
    parser.add_argument("--json", metavar="FILE", help="also write the results here")


def run(options: argparse.Namespace) -> int:
    results, failure = harness.isolated("bench.compile_cost:measure", repeats=options.repeats)
    if failure:
        print(f"failed: {failure}", file=sys.stderr)
        return 1
    first = [harness.isolated("bench.compile_cost:measure_first", reductions=10, chain=10).results for _ in range(3)]
    head, *rows = results
    kernels = [row for row in rows if "kernel" in row]
    rows = [row for row in rows if "name" in row]
    lines = {counted: fit(rows, counted) for counted in ("body", "lowered")}
    environment = harness.environment() | {"in_use": {"nbgraph": head}}
    print(report.environment_text(environment))
    columns = ["name", "body", "lowered", "seconds", "by body", "by lowered", "predicted"]
    report.table(columns, [[*map(_cell, (r[c] for c in columns))] for r in rows], text_columns=("name",))
    print("body, lowered: loop nests, operations; then seconds")
    print(f"the first compile in a process, numba's import included: {head['first_ms'] / 1e3:.2f} s")
    ten = [row["seconds"] for (row,) in first]
    print(f"ten loops of ten operations, compiled first in a process: {', '.join(f'{s:.2f}' for s in ten)} s")
    for counted, line in lines.items():
        constants = ", ".join(f"{c:.4f}" for c in line)
        print(f"over {counted}: BASE, PER_NEST, PER_OPERATION = {constants}; {_spread(rows, f'by {counted}')}")
    print(f"tiers.py at present: {_spread(rows, 'predicted')}")
    _show_kernels(kernels)
    if options.json:
        report.write_json(
            {"benchmark": "compile", "environment": environment, "fitted": lines, "rows": rows + kernels}, options.json
        )
    return 0


def fit(rows: list[dict[str, Any]], counted: str) -> list[float]:
    """Base, per nest, per operation: nonnegative, least squares of relative errors. Adds it to the rows."""
    import numpy as np
    from scipy.optimize import nnls

    seconds = np.array([r["seconds"] for r in rows])
    terms = np.array([[1.0, *r[counted]] for r in rows])
    line = nnls(terms / seconds[:, None], np.ones(len(rows)))[0]
    for row, value in zip(rows, terms @ line, strict=True):
        row[f"by {counted}"] = float(value)
    return [float(c) for c in line]


def _show_kernels(kernels: list[dict[str, Any]]) -> None:
    """What each kernel's first use cost, beside `FIRST_USE` and `FIRST_USE_OF_OTHERS` of tiers.py."""
    columns = ["kernel", "code", "seconds", "predicted"]
    rows = sorted(kernels, key=lambda row: -row["seconds"])
    report.table(columns, [[*map(_cell, (r[c] for c in columns))] for r in rows], text_columns=("kernel", "code"))


def _spread(rows: list[dict[str, Any]], column: str) -> str:
    ratios = [r[column] / r["seconds"] for r in rows]
    return f"{min(ratios):.2f} to {max(ratios):.2f} times what was measured"


def _cell(x: Any) -> str:
    if isinstance(x, list):
        return ", ".join(map(str, x))
    return report.number(x) if isinstance(x, float) else x
