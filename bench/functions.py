"""Elementary functions of a million numbers: nanoseconds an element, against NumPy (SciPy where it has none) and JAX.

    nbgraph   one compiled loop that applies the function and stores the result
    NumPy     the ufunc, with `out=`
    JAX       jitted, if it is installed

Medians. `ratio` is nbgraph's time over that of the better of the others; `compile ms` is what compiling the loop takes
beyond a loop without the function (the least of several).
"""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Iterator
from typing import Any

from bench import harness, report

SUMMARY = "elementary functions in compiled loops against NumPy and JAX"

#: Function -> smallest and largest argument. Two functions take a second argument, of the same range.
RANGES = {
    **dict.fromkeys(("exp", "exp2", "expm1", "sigmoid", "sinh", "cosh", "tanh", "erf", "erfc"), (-5.0, 5.0)),
    **dict.fromkeys(("sin", "cos", "tan"), (-100.0, 100.0)),
    **dict.fromkeys(("log", "log2", "log10", "log1p", "pow"), (0.01, 10.0)),
    **dict.fromkeys(("arctan", "arctan2"), (-5.0, 5.0)),
    **dict.fromkeys(("arcsin", "arccos"), (-1.0, 1.0)),
}
BINARY = ("pow", "arctan2")
CODES = {"f8": "float64", "f4": "float32"}


# -- in the measuring process ----------------------------------------------------------------------------------------


def data(name: str, code: str, count: int) -> list[Any]:
    """The arguments, the same for everybody."""
    import numpy as np

    rng = np.random.default_rng(3)
    return [rng.uniform(*RANGES[name], count).astype(code) for _ in range(1 + (name in BINARY))]


def measure_nbgraph(count: int, repeats: int, only: str) -> Iterator[dict[str, Any]]:
    """A row for each function and dtype."""
    import ctypes

    import numpy as np

    from nbgraph_kernels.compile import compile_words
    from nbgraph_kernels.math import namespace

    compile_words(_loop("f8", abs, 1))
    empty = {code: _compile_ms(_loop(code, abs, 1)) for code in CODES}
    for name, code in cases(only):
        loop = _loop(code, getattr(namespace(math), name), 1 + (name in BINARY))
        machine, arguments = compile_words(loop), data(name, code, count)
        out = np.empty_like(arguments[0])
        table = np.array([out.ctypes.data, count, *(a.ctypes.data for a in arguments)], np.int64)
        call = ctypes.CFUNCTYPE(ctypes.c_int64, ctypes.c_void_p)(machine.address)
        row = {"name": name, "code": code, "ns": _median(lambda c=call, t=table: c(t.ctypes.data), count, repeats)}
        yield row | {"compile_ms": _compile_ms(loop) - empty[code]}


def _loop(code: str, function: Any, operands: int) -> Any:
    """Python for the compiler: out[i] = f(x[i]) or f(x[i], y[i])."""
    from nbgraph_kernels.regions import POINTERS

    pointer = POINTERS[code]

    def unary(w: Any) -> int:
        out, x = pointer(w[0], 2), pointer(w[2], 0)
        for i in range(w[1]):
            out[i] = function(x[i])
        return 0

    def binary(w: Any) -> int:
        out, x, y = pointer(w[0], 2), pointer(w[2], 0), pointer(w[3], 0)
        for i in range(w[1]):
            out[i] = function(x[i], y[i])
        return 0

    return unary if operands == 1 else binary


def _compile_ms(loop: Any) -> float:
    from nbgraph_kernels.compile import emit

    return min(harness.timed(lambda: emit(loop))[1] for _ in range(5))


def _median(f: Any, count: int, repeats: int) -> float:
    f()
    return harness.repeated(f, repeats)["warm_ms"] * 1e6 / count


def measure_numpy(count: int, repeats: int, only: str) -> Iterator[dict[str, Any]]:
    """The same by NumPy's ufuncs, or SciPy's."""
    import numpy as np
    from scipy import special

    scipy = {"sigmoid": special.expit, "erf": special.erf, "erfc": special.erfc, "pow": np.power}
    for name, code in cases(only):
        function, arguments = scipy.get(name) or getattr(np, name), data(name, code, count)
        out = np.empty_like(arguments[0])
        run = lambda f=function, a=arguments, o=out: f(*a, out=o)  # noqa: E731
        yield {"name": name, "code": code, "ns": _median(run, count, repeats)}


def measure_jax(count: int, repeats: int, only: str) -> Iterator[dict[str, Any]]:
    """The same by JAX, jitted."""
    import jax
    import jax.numpy as jnp

    jax.config.update("jax_enable_x64", True)
    own = {"sigmoid": jax.nn.sigmoid, "erf": jax.scipy.special.erf, "erfc": jax.scipy.special.erfc, "pow": jnp.power}
    for name, code in cases(only):
        function = jax.jit(own.get(name) or getattr(jnp, name))
        arguments = [jnp.asarray(a) for a in data(name, code, count)]
        run = lambda f=function, a=arguments: f(*a).block_until_ready()  # noqa: E731
        yield {"name": name, "code": code, "ns": _median(run, count, repeats)}


def cases(only: str = "") -> list[tuple[str, str]]:
    """Every function in both precisions; those whose names "function/dtype" begin so (several by commas)."""
    starts = tuple(only.split(","))
    return [(name, code) for code in CODES for name in RANGES if f"{name}/{CODES[code]}".startswith(starts)]


# -- the command -----------------------------------------------------------------------------------------------------


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--count", type=int, default=10**6, metavar="N", help="numbers in an array")
    parser.add_argument("--only", metavar="PREFIX", default="", help="as erf/float32 (several by commas)")
    parser.add_argument("--repeats", type=int, default=15, metavar="R", help="calls of each")
    parser.add_argument("--json", metavar="FILE", help="also write the results here")


def run(options: argparse.Namespace) -> int:
    found: dict[str, dict[tuple[str, str], Any]] = {}
    for library in ("nbgraph", "numpy", "jax"):
        sizes = {"count": options.count, "repeats": options.repeats, "only": options.only}
        results, failure = harness.isolated(f"bench.functions:measure_{library}", **sizes)
        found[library] = {(r["name"], r["code"]): r for r in results}
        if failure and library == "nbgraph":
            print(f"failed: {failure}", file=sys.stderr)
            return 1
    environment = harness.environment()
    rows = [_row(name, code, found) for name, code in cases(options.only)]
    print(report.environment_text(environment | {"in_use": {}}))
    head = ["function", "dtype", "nbgraph ns", "NumPy ns", "JAX ns", "ratio", "compile ms"]
    report.table(head, [[*map(_cell, row.values())] for row in rows], text_columns=("function", "dtype"))
    if options.json:
        report.write_json({"benchmark": "functions", "environment": environment, "rows": rows}, options.json)
    return 0


def _row(name: str, code: str, found: dict[str, dict[tuple[str, str], Any]]) -> dict[str, Any]:
    ours, *others = (found[library].get((name, code)) for library in found)
    assert ours is not None
    times = [o["ns"] if o else None for o in others]
    best = min(t for t in times if t is not None)
    row = {"name": name, "dtype": CODES[code], "nbgraph": ours["ns"]}
    return row | {"numpy": times[0], "jax": times[1], "ratio": ours["ns"] / best, "compile_ms": ours["compile_ms"]}


def _cell(x: Any) -> str:
    return x if isinstance(x, str) else "" if x is None else report.number(x)
