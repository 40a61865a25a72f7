"""Elementary functions of a million numbers: nanoseconds an element, against NumPy (SciPy where it has none) and JAX.

    nbgraph   one compiled loop that applies the function and stores the result
    NumPy     the ufunc, with `out=`
    JAX       jitted, if it is installed

Medians; all run in one process by turns. `ratio` is to the better of the others, the median of the rounds' ratios;
`compile ms` is what compiling the loop takes beyond a loop without the function (the least of several).
"""

from __future__ import annotations

import argparse
import math
import statistics
import sys
from collections.abc import Callable, Iterator
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
LIBRARIES = ("nbgraph", "numpy", "jax")

Call = Callable[[], Any]
#: Of a function's name and its arguments.
Maker = Callable[[str, list[Any]], Call]


# -- in the measuring process ----------------------------------------------------------------------------------------


def data(name: str, code: str, count: int) -> list[Any]:
    """The arguments, the same for everybody."""
    import numpy as np

    rng = np.random.default_rng(3)
    return [rng.uniform(*RANGES[name], count).astype(code) for _ in range(1 + (name in BINARY))]


def measure(count: int, repeats: int, only: str) -> Iterator[dict[str, Any]]:
    """A row for each function and dtype."""
    from nbgraph_kernels.compile import compile_words

    compile_words(_loop("f8", abs, 1))
    empty = {code: _compile_ms(_loop(code, abs, 1)) for code in CODES}
    makers = {name: maker for name, maker in (("numpy", _numpy()), ("jax", _jax())) if maker}
    for name, code in cases(only):
        arguments = data(name, code, count)
        run, loop = _nbgraph(name, code, arguments)
        runs = {"nbgraph": run} | {library: make(name, arguments) for library, make in makers.items()}
        for each in runs.values():
            each()
        rounds = harness.by_turns(runs, repeats)
        row: dict[str, Any] = {"name": name, "dtype": CODES[code]}
        for library in LIBRARIES:
            row[library] = statistics.median(rounds[library]) * 1e6 / count if library in rounds else None
        ratios = [harness.ratio(rounds["nbgraph"], rounds[library]) for library in makers]
        yield row | {"ratio": max(ratios), "compile_ms": _compile_ms(loop) - empty[code]}


def _nbgraph(name: str, code: str, arguments: list[Any]) -> tuple[Call, Any]:
    """A call of the compiled loop, and the loop."""
    import ctypes

    import numpy as np

    from nbgraph_kernels.compile import compile_words
    from nbgraph_kernels.math import namespace

    loop = _loop(code, getattr(namespace(math), name), len(arguments))
    machine, out = compile_words(loop), np.empty_like(arguments[0])
    table = np.array([out.ctypes.data, out.size, *(a.ctypes.data for a in arguments)], np.int64)
    call = ctypes.CFUNCTYPE(ctypes.c_int64, ctypes.c_void_p)(machine.address)
    return lambda held=(out, machine): call(table.ctypes.data), loop


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


def _numpy() -> Maker:
    """NumPy's ufuncs, or SciPy's."""
    import numpy as np
    from scipy import special

    scipy = {"sigmoid": special.expit, "erf": special.erf, "erfc": special.erfc, "pow": np.power}

    def make(name: str, arguments: list[Any]) -> Call:
        function, out = scipy.get(name) or getattr(np, name), np.empty_like(arguments[0])
        return lambda: function(*arguments, out=out)

    return make


def _jax() -> Maker | None:
    """JAX, jitted; None where it is absent."""
    try:
        import jax
    except ModuleNotFoundError:
        return None
    import jax.numpy as jnp

    jax.config.update("jax_enable_x64", True)
    own = {"sigmoid": jax.nn.sigmoid, "erf": jax.scipy.special.erf, "erfc": jax.scipy.special.erfc, "pow": jnp.power}

    def make(name: str, arguments: list[Any]) -> Call:
        function, held = jax.jit(own.get(name) or getattr(jnp, name)), [jnp.asarray(a) for a in arguments]
        return lambda: function(*held).block_until_ready()

    return make


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
    sizes = {"count": options.count, "repeats": options.repeats, "only": options.only}
    rows, failure = harness.isolated("bench.functions:measure", **sizes)
    if failure:
        print(f"failed: {failure}", file=sys.stderr)
    environment = harness.environment()
    print(report.environment_text(environment | {"in_use": {}}))
    head = ["function", "dtype", "nbgraph ns", "NumPy ns", "JAX ns", "ratio", "compile ms"]
    report.table(head, [[*map(_cell, row.values())] for row in rows], text_columns=("function", "dtype"))
    if options.json:
        report.write_json({"benchmark": "functions", "environment": environment, "rows": rows}, options.json)
    return int(failure is not None)


def _cell(x: Any) -> str:
    return x if isinstance(x, str) else "" if x is None else report.number(x)
