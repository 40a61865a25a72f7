"""What a call costs besides the work: recording an operation, an eval, a compiled program, an interpreted operation.

Operands have 4 x 4 or 4 elements of float64, so hardly anything is computed. Times are medians, in microseconds; all
libraries run in one process, by turns of a millisecond.

    record     one operation recorded on a differentiable tensor, and forgotten again; NumPy and PyTorch compute it
               (PyTorch with its tape: `requires_grad`)
    eval       record and evaluate a graph of one operation whose structure is known and compiled; `eval alone` is
               that without recording
    program    a `CompiledProgram` of four inputs, called with ndarrays
    interpret  an operation of a graph that is interpreted, beside the same NumPy calls in a Python function
"""

from __future__ import annotations

import argparse
import statistics
import sys
import timeit
from collections.abc import Hashable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple, TypeVar

from bench import harness, report
from bench.peers import missing

SUMMARY = "what recording, evaluating and calling cost besides the work"


K = TypeVar("K", bound=Hashable)


class Operation(NamedTuple):
    """One operation as source: for nbgraph, and for the others where they write it otherwise (None: they have none)."""

    nbgraph: str
    torch: str | None = ""
    numpy: str | None = ""


#: x, y: matrices; v: a vector; mask: of booleans; a: an ndarray or tensor that is a constant; lib: the library.
OPERATIONS = [
    Operation("x + y"),
    Operation("x * 2.0"),
    Operation("2.0 - x"),
    Operation("x * next(numbers)"),
    Operation("x + a"),
    Operation("x / y"),
    Operation("-x"),
    Operation("x ** 2"),
    Operation("x < y"),
    Operation("x @ y"),
    Operation("x @ v"),
    Operation("lib.exp(x)"),
    Operation("lib.maximum(x, y)"),
    Operation("lib.where(mask, x, y)"),
    Operation("lib.where(mask, x, 0.0)"),
    Operation("lib.sum(x)"),
    Operation("x.sum(axis=0)"),
    Operation("x.mean()"),
    Operation("lib.linalg.norm(v)"),
    Operation("lib.max(x, axis=1)", "lib.amax(x, axis=1)"),
    Operation("x[1:]"),
    Operation("x[0]"),
    Operation("x[:, None]"),
    Operation("v[t]"),
    Operation("x.T"),
    Operation("x.reshape(2, 8)"),
    Operation("lib.reshape(x, (16,))"),
    Operation("lib.swapaxes(x, 0, 1)"),
    Operation("lib.broadcast_to(v, (4, 4))"),
    Operation("lib.concatenate([x, y])"),
    Operation("lib.stack([x, y])"),
    Operation("lib.einsum('ij,jk->ik', x, y)"),
    Operation("lib.tensordot(x, y, 1)"),
    Operation("x.astype('float32')", "x.to(lib.float32)"),
    Operation("x.at[0].set(v)", None, None),
]
LIBRARIES = ("nbgraph", "torch", "numpy")

#: Straight-line functions of (lib, x, y), for what an interpreted operation costs.
CHAINS = {
    "elementwise": "lib.tanh(lib.exp(x * y) + x) * y - lib.sin(x) / (y * y + 2.0)",
    "matrices": "lib.sum((x @ y) @ (x.T @ y) + x[1] * y[:, 0])",
}


# -- in a measuring process ------------------------------------------------------------------------------------------


def measure(libraries: Sequence[str], rounds: int) -> Iterator[dict[str, Any]]:
    """Yields a row for each operation and library, then (for nbgraph) for what else is measured."""
    absent = {library: reason for library in libraries if (reason := missing(library))}
    yield from ({"kind": "absent", "library": library, "name": reason} for library, reason in absent.items())
    present = [library for library in libraries if library not in absent]
    names = {library: _names(library) for library in present}
    statements = {
        (op.nbgraph, library): (source, names[library])
        for op in OPERATIONS
        for library in present
        if (source := _source(op, library)) is not None
    }
    for (name, library), us in microseconds(statements, rounds).items():
        yield {"kind": "record", "library": library, "name": name, "us": us}
    if "nbgraph" in present:
        yield from _evals(names["nbgraph"], rounds)
        yield from _programs(rounds)
        yield from _interpreted(rounds)
    yield {"kind": "in_use", "versions": harness.versions([*present, "numpy"]), "thread_pools": []}


def microseconds(statements: Mapping[K, tuple[str, Mapping[str, Any]]], rounds: int) -> dict[K, float]:
    """The median time of each statement, the garbage collector running as it does. Each round takes all of them for a
    millisecond, so that what disturbs the machine for a while disturbs all alike."""
    timers = {
        k: timeit.Timer(source, "import gc; gc.enable()", globals=dict(g)) for k, (source, g) in statements.items()
    }
    number = {}
    for name, timer in timers.items():
        timer.timeit(20)
        number[name] = max(int(1e-3 / (timer.timeit(20) / 20)), 1)
    taken: dict[K, list[float]] = {name: [] for name in timers}
    for _ in range(rounds):
        for name, timer in timers.items():
            taken[name].append(timer.timeit(number[name]) / number[name] * 1e6)
    return {name: statistics.median(each) for name, each in taken.items()}


def _source(operation: Operation, library: str) -> str | None:
    other: str | None = getattr(operation, library)
    return operation.nbgraph if other == "" else other


def _names(library: str) -> dict[str, Any]:
    """What the statements name."""
    import itertools

    import numpy as np

    rng = np.random.default_rng(0)
    x, y, a, v = rng.random((4, 4)), rng.random((4, 4)), rng.random((4, 4)), rng.random(4)
    numbers = map(float, itertools.count(1))
    if library == "numpy":
        return {"lib": np, "x": x, "y": y, "a": a, "v": v, "mask": x > 0.5, "numbers": numbers, "t": 2}
    if library == "torch":
        import torch

        torch.set_num_threads(1)
        x, y, v = (torch.from_numpy(z).requires_grad_(True) for z in (x, y, v))
        mask, a = x > 0.5, torch.from_numpy(a)
        return {"lib": torch, "x": x, "y": y, "a": a, "v": v, "mask": mask, "numbers": numbers, "t": 2}
    import nbgraph as nbg

    x, y, v = map(nbg.TracedTensor.from_tensor, (x, y, v))
    return {"lib": nbg, "x": x, "y": y, "a": a, "v": v, "mask": nbg.asarray(x > 0.5), "numbers": numbers, "t": 2}


def _evals(names: Mapping[str, Any], rounds: int) -> Iterator[dict[str, Any]]:
    """Record and evaluate one operation, by machine code; and interpreted."""
    import nbgraph as nbg

    sources = ("x + y", "lib.exp(x)", "x @ y")
    for jit in ("always", "never"):
        here = {**names, "engine": nbg.Engine(jit=jit, cache_dir=None)}
        statements = {source: (source, here) for source in sources}
        statements |= {f"eval {source}": (f"({source}).eval(engine)", here) for source in sources}
        times = microseconds(statements, rounds)
        for source in sources:
            both = times[f"eval {source}"]
            yield {"kind": f"eval, {jit}", "name": source, "us": both, "alone_us": both - times[source]}


def _programs(rounds: int) -> Iterator[dict[str, Any]]:
    """A compiled program of four inputs."""
    import numpy as np

    import nbgraph as nbg

    xs = [nbg.TracedTensor.placeholder((4,), name=name) for name in "abcd"]
    a, b, c, d = xs
    program = nbg.Engine(jit="always", cache_dir=None).compile([a * b + c * d], xs)
    arrays = [np.ones(4) * k for k in range(4)]
    times = microseconds({"a * b + c * d": ("program(*arrays)", {"program": program, "arrays": arrays})}, rounds)
    yield from ({"kind": "program", "name": name, "us": us} for name, us in times.items())


def _interpreted(rounds: int) -> Iterator[dict[str, Any]]:
    """An operation of a graph under the first tier, beside NumPy's calls in a function."""
    import numpy as np

    import nbgraph as nbg
    from nbgraph.engine import interpreter
    from nbgraph.graph import fragments_of
    from nbgraph.ssa import program_for

    rng = np.random.default_rng(0)
    arrays = [rng.random((4, 4)), rng.random((4, 4))]
    engine = nbg.Engine(jit="never")
    for name, source in CHAINS.items():
        function = eval(f"lambda x, y: {source}", {"lib": np})
        traced = eval(f"lambda x, y: {source}", {"lib": nbg})(*map(nbg.TracedTensor.from_tensor, arrays))
        traced.eval(engine)
        (fragment,) = fragments_of(traced)
        program = program_for(fragment, frozenset(fragment.outputs))
        inputs = traced.call.inputs
        bound = program.bind(tuple([i.type for i in inputs]), traced.call.words)
        ours = {"run": interpreter.run, "bound": bound, "inputs": [i.data for i in inputs]}
        theirs = {"function": function, "arrays": arrays}
        times = microseconds({"us": ("run(bound, inputs)", ours), "numpy": ("function(*arrays)", theirs)}, rounds)
        extra = (times["us"] - times["numpy"]) / program.n_ops
        yield {"kind": "interpret", "name": name, "us": times["us"], "numpy_us": times["numpy"], "extra_us": extra}


# -- the command -----------------------------------------------------------------------------------------------------


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--rounds", type=int, default=51, metavar="R", help="timings of each row")
    parser.add_argument("--only", default=",".join(LIBRARIES), metavar="NAMES", help="these libraries")
    parser.add_argument("--json", metavar="FILE", help="also write the results here")


def run(options: argparse.Namespace) -> int:
    libraries = options.only.split(",")
    rows, failure = harness.isolated("bench.calls:measure", libraries=libraries, rounds=options.rounds)
    absent = [f"{r['library']}: {r['name']}" for r in rows if r["kind"] == "absent"]
    print(*absent, *([failure] if failure else []), sep="\n", file=sys.stderr)
    in_use = dict.fromkeys(["all"], rows[-1]) if rows and rows[-1]["kind"] == "in_use" else {}
    rows = [r for r in rows if r["kind"] not in ("absent", "in_use")]
    environment = harness.environment() | {"in_use": in_use}
    print(report.environment_text(environment))
    _show(rows)
    if options.json:
        report.write_json({"benchmark": "calls", "environment": environment, "rows": rows}, options.json)
    return int(failure is not None)


def _show(rows: Sequence[Mapping[str, Any]]) -> None:
    """Operations beside the others' times; below, what only nbgraph has."""
    times = {(r["name"], r["library"]): r["us"] for r in rows if r["kind"] == "record"}
    libraries = list(dict.fromkeys(library for _, library in times))
    lines = [
        [op.nbgraph, *(report.number(times.get((op.nbgraph, library))) for library in libraries)]
        for op in OPERATIONS
    ]  # fmt: skip
    report.table(["record", *(f"{name} µs" for name in libraries)], lines, text_columns=("record",))
    others = [r for r in rows if r["kind"] != "record"]
    columns = ["kind", "name", "us", "alone_us", "numpy_us", "extra_us"]
    cells = [[r["kind"], r["name"], *(report.number(r.get(c)) for c in columns[2:])] for r in others]
    head = ["", "", "µs", "eval alone", "NumPy", "extra an operation"]
    report.table(head, cells, text_columns=("",))
