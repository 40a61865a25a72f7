"""The power iteration with a convergence check at every step, and the gradient through all of it.

    y = A x;  x' = y / |y|;  stop if |x' - x| < tol   (evaluated at every step; tol = 0, so exactly K steps run)
    afterwards: value x . (A x), gradient by A

Every implementation is first compared with NumPy and an adjoint written by hand, to 1e-8; one that is wrong is not
timed. Times, none of which includes imports:

    cold   preparing and the first call in a fresh process, compiling included
    first  preparing and the first call at this n and K, in a process that has run another n and K before
    warm   median of the calls after that, of all implementations in one process, by turns
"""

from __future__ import annotations

import argparse
import sys
from typing import Any, NamedTuple

from bench import harness, report
from bench.workload import Driver, Implementation, Workload

SUMMARY = "power iteration with a check at every step, and its gradient, against other libraries"


class Data(NamedTuple):
    """A (positive; leading eigenvalue near 1, the others near 1/2 or below), the first x, and tol."""

    a: Any
    x: Any
    tol: float = 0.0


def power_data(n: int) -> Data:
    """The same for everybody."""
    import numpy as np

    rng = np.random.default_rng(n)
    return Data(0.5 * np.eye(n) + rng.random((n, n)) / n, 0.5 + rng.random(n))


def power_reference(n: int, K: int, data: Data) -> tuple[float, Any]:
    """Value and gradient by NumPy: x' = y / s with s = |y| has the adjoint ybar = (xbar - x' (x' . xbar)) / s."""
    import numpy as np

    a, xs, norms = data.a, [data.x], []
    for _ in range(K):
        y = a @ xs[-1]
        norms.append(np.linalg.norm(y))
        xs.append(y / norms[-1])
    x = xs[-1]
    gradient, xbar = np.outer(x, x), a @ x + a.T @ x
    for k in reversed(range(K)):
        ybar = (xbar - xs[k + 1] * (xs[k + 1] @ xbar)) / norms[k]
        gradient += np.outer(ybar, xs[k])
        xbar = a.T @ ybar
    return float(x @ a @ x), gradient


POWER = Workload(
    path="bench.loops:POWER",
    title="power iteration with a check at every step, and its gradient",
    folder="bench.peers.power",
    data=power_data,
    reference=power_reference,
    implementations={
        "nbgraph auto": Implementation("nbgraph_loop", {"jit": "auto"}),
        "nbgraph always": Implementation("nbgraph_loop", {"jit": "always"}),
        "nbgraph program": Implementation("nbgraph_program"),
        "torch eager": Implementation("torch_eager"),
        "compiled torch": Implementation("torch_compiled"),
        "jax scan": Implementation("jax_scan"),
        "jax unrolled": Implementation("jax_unrolled"),
        "jax step": Implementation("jax_step"),
        "casadi": Implementation("casadi_function"),
        "pytensor scan": Implementation("pytensor_scan"),
        "autograd": Implementation("autograd_tape"),
        "numba by hand": Implementation("numba_hand"),
    },
    baseline="torch eager",
)


# -- the command -----------------------------------------------------------------------------------------------------


def _numbers(text: str) -> list[int]:
    numbers = [int(part) for part in text.split(",")]
    if min(numbers) < 1:
        raise ValueError
    return numbers


def _names(text: str) -> list[str]:
    names = [part.strip() for part in text.split(",")]
    try:
        POWER.select(names)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    return names


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--n", type=_numbers, default=[8, 64, 512], metavar="8,64,512", help="sizes")
    parser.add_argument("--K", type=_numbers, default=[10, 100, 1000], metavar="10,100,1000", help="steps")
    parser.add_argument("--repeats", type=int, default=15, metavar="R", help="warm calls")
    parser.add_argument("--seconds", type=float, default=120, metavar="S", help="after which a process is given up")
    parser.add_argument("--only", type=_names, default=[], metavar="NAMES", help="these, by how their names begin")
    parser.add_argument("--no-cold", dest="cold", action="store_false", help="first and warm times only")
    parser.add_argument("--no-limits", dest="limits", action="store_false", help="run what takes minutes, too")
    parser.add_argument("--smoke", action="store_true", help="n=8, K=10, three calls, only what is installed")
    parser.add_argument("--json", metavar="FILE", help="also write the results here")


def run(options: argparse.Namespace) -> int:
    """Measures and reports; 1 if nbgraph is not right everywhere."""
    if options.smoke:
        options.n, options.K, options.repeats = [8], [10], 3
    options.points = [(n, K) for n in options.n for K in options.K]
    driver = Driver(POWER, options, lambda text: print(text, file=sys.stderr, flush=True))
    environment = harness.environment() | {"in_use": driver.in_use}
    driver.run(POWER.select(options.only))
    rows = report.compared(driver.rows, POWER.baseline)
    result = {"benchmark": "loops", "workload": POWER.title, "environment": environment, "rows": rows}
    if options.json:
        report.write_json(result, options.json)
    report.show(result, only_measured=options.smoke)
    bad = [row for row in rows if row["implementation"].startswith("nbgraph") and row["status"] != "ok"]
    return 1 if bad else 0
