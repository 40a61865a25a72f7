"""Runge-Kutta steps in a plain loop, and the gradient by parameters and start through all of them.

In: a problem (`lorenz` or `linear`), a number of steps of the same length. Out: |x(T)|^2/2, its gradient, a check.
Holds: a step is one call of one fragment, whatever the number of steps.

The classical method of fourth order for dx/dt = f(x, p), with h = T/steps:

    k1 = f(x),  k2 = f(x + h/2 k1),  k3 = f(x + h/2 k2),  k4 = f(x + h k3),  x += h/6 (k1 + 2 k2 + 2 k3 + k4).

- `linear`: dx/dt = A x. A step is the polynomial R(hA) = sum_(k <= 4) (hA)^k/k!, so x(T) = R(hA)^steps x(0), and the
  derivative in the direction (E, e) is in closed form, too: the second half of the same for [[A, 0], [E, A]].
- `lorenz`: E. N. Lorenz, J. Atmos. Sci. 20, 130 (1963), chaotic: a difference grows like exp(0.9 t). The same loop run
  by NumPy with p + i e and e = 1e-30 has the derivatives of the steps as its imaginary part, exact to rounding.

>>> found = solve("linear", 100)
>>> found["check"] < 1e-12
True
"""

from __future__ import annotations

import sys
import tracemalloc
from collections.abc import Callable, Sequence
from math import factorial
from typing import Any, NamedTuple

import numpy as np

import nbgraph as nbg
from nbgraph.examples.command import Parser, ends_quietly, integer, progress, real, run

__all__ = ["PROBLEMS", "Problem", "end", "expected", "rk4", "solve"]

Array = np.ndarray[Any, Any]
Tensor = nbg.TracedTensor
State = tuple[Any, ...]


# -- the loop ---------------------------------------------------------------------------------------------------------


def rk4(f: Callable[[State, State], State], x: State, p: State, h: Any) -> State:
    """A step; for tensors and for arrays."""

    def ahead(k: State, by: Any) -> State:
        return tuple(a + by * b for a, b in zip(x, k, strict=True))

    k1 = f(x, p)
    k2 = f(ahead(k1, h / 2), p)
    k3 = f(ahead(k2, h / 2), p)
    k4 = f(ahead(k3, h), p)
    return ahead(tuple(a + 2 * b + 2 * c + d for a, b, c, d in zip(k1, k2, k3, k4, strict=True)), h / 6)


step = nbg.jit(rk4, static_argnums=0)


def end(problem: Problem, x: State, p: State, steps: int, h: float, sparing: bool, engine: nbg.Engine | None) -> State:
    """x(T). `sparing` keeps about 2 sqrt(steps) states for the gradient, not all of them."""
    if sparing:
        f = problem.f
        return tuple(nbg.checkpoint_loop(lambda x: step(f, x, p, h), x, steps, engine=engine))
    for n in range(1, steps + 1):
        x = step(problem.f, x, p, h)
        if n % 1000 == 0 and not all(np.isfinite(v).all() for v in nbg.eval(*x, engine=engine)):
            raise ArithmeticError(f"the solution overflows before step {n}: more --steps or less --time")
    return x


# -- the problems -----------------------------------------------------------------------------------------------------


class Problem(NamedTuple):
    """The right-hand side, its parameters, where it starts, how long it is followed."""

    f: Callable[[State, State], State]
    parameters: State
    start: State
    time: float


def lorenz(state: State, parameters: State) -> State:
    (x, y, z), (sigma, rho, beta) = state, parameters
    return sigma * (y - x), x * (rho - z) - y, x * y - beta * z


def linear(state: State, parameters: State) -> State:
    return (parameters[0] @ state[0],)


PROBLEMS = {
    "lorenz": Problem(lorenz, (10.0, 28.0, 8 / 3), (1.0, 1.0, 1.0), 5.0),
    "linear": Problem(linear, (np.array([[-0.1, 1.0], [-1.0, -0.2]]),), (np.array([1.0, 0.5]),), 10.0),
}


# -- to compare with --------------------------------------------------------------------------------------------------


def expected(name: str, steps: int, h: float) -> Array:
    """The value, then its gradient by parameters and start, in another way."""
    return _closed_form(steps, h) if name == "linear" else _complex_steps(steps, h)


def _closed_form(steps: int, h: float) -> Array:
    (A,), (x,), n = PROBLEMS["linear"].parameters, PROBLEMS["linear"].start, 2

    def moved(X: Array, start: Array) -> Array:
        R = sum(np.linalg.matrix_power(h * X, k) / factorial(k) for k in range(5))
        return np.asarray(np.linalg.matrix_power(R, steps) @ start)

    last = moved(A, x)
    slopes = []
    for direction in np.eye(n * n + n):
        E, e = direction[: n * n].reshape(n, n), direction[n * n :]
        slopes.append(last @ moved(np.block([[A, np.zeros((n, n))], [E, A]]), np.concatenate([x, e]))[n:])
    return np.array([last @ last / 2, *slopes])


def _complex_steps(steps: int, h: float) -> Array:
    problem = PROBLEMS["lorenz"]
    moved = np.array([*problem.parameters, *problem.start])[:, None] + 1e-30j * np.eye(6)
    p, x = tuple(moved[:3]), tuple(moved[3:])
    for _ in range(steps):
        x = rk4(problem.f, x, p, h)
    half = sum(v * v for v in x) / 2
    return np.array([half[0].real, *(half.imag / 1e-30)])


# -- value, gradient, check -------------------------------------------------------------------------------------------


def solve(
    name: str, steps: int, time: float | None = None, sparing: bool = False, engine: nbg.Engine | None = None
) -> dict[str, Any]:
    """The value, the gradient (parameters, then start), and how far both are from `expected`, relatively."""
    problem = PROBLEMS[name]
    h = (problem.time if time is None else time) / steps
    p, x = (tuple(Tensor.from_tensor(v) for v in values) for values in (problem.parameters, problem.start))
    last = end(problem, x, p, steps, h, sparing, engine)
    value = sum((nbg.sum(v * v) for v in last), start=nbg.constant(0.0)) / 2
    gradient = [value.grad(v) for v in (*p, *x)]
    found, *slopes = nbg.eval(value, *gradient, engine=engine)
    flat = np.concatenate([np.ravel(s) for s in slopes])
    if not (np.isfinite(found) and np.isfinite(flat).all()):
        raise ArithmeticError("the solution or its gradient overflows: more --steps or less --time")
    wanted = expected(name, steps, h)
    off = max(abs(found - wanted[0]) / abs(wanted[0]), np.max(np.abs(flat - wanted[1:])) / np.max(np.abs(wanted[1:])))
    return {"value": float(found), "grad": flat.tolist(), "check": float(off)}


def megabytes(name: str, steps: int, time: float | None, sparing: bool, engine: nbg.Engine) -> float:
    """What Python and NumPy hold at most while it is solved, nothing being compiled: the compiler is not the loop."""
    while True:
        compiled = engine.stats().compiled
        tracemalloc.start()
        try:
            solve(name, steps, time, sparing, engine)
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
        if engine.stats().compiled == compiled:
            return peak / 1e6


# -- the command ------------------------------------------------------------------------------------------------------


@ends_quietly
def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command; the exit status."""
    parser = Parser("ode", "Runge-Kutta steps in a plain loop, and the gradient through all of them.")
    parser.add_argument("--steps", type=integer(1, 10**6), default=10_000, help="(%(default)s)")
    parser.add_argument("--problem", choices=tuple(PROBLEMS), default="lorenz", help="(%(default)s)")
    parser.add_argument("--time", type=real(1e-6, 100.0), metavar="T", help="(5 for lorenz, 10 for linear)")
    parser.add_argument("--checkpoint", action="store_true", help="keep some states only, and make the others again")
    parser.add_argument("--memory", action="store_true", help="also measure the memory of both ways")
    args = parser.parse_args(argv)
    engine = nbg.Engine(jit=args.jit)

    def found() -> dict[str, Any]:
        with progress(args.problem, 3 if args.memory else 1) as advance:
            result = solve(args.problem, args.steps, args.time, args.checkpoint, engine)
            advance()
            if args.memory:
                result["megabytes"] = {}
                for way, sparing in (("all states", False), ("checkpoints", True)):
                    result["megabytes"][way] = megabytes(args.problem, args.steps, args.time, sparing, engine)
                    advance()
        return result

    return run(parser, args, found, report, lambda figure, _: draw(figure, args.problem, args.steps, args.time), engine)


def report(found: dict[str, Any]) -> None:
    """Value, gradient, check, memory."""
    print(f"|x(T)|^2/2   {found['value']:.12g}")
    print("gradient    ", *(f"{g:.10g}" for g in found["grad"]), " (parameters, then start)")
    print(f"check        {found['check']:.2g}, relative, against another way")
    for way, size in found.get("megabytes", {}).items():
        print(f"memory       {size:.1f} MB, {way}")


def draw(figure: Any, name: str, steps: int, time: float | None) -> None:
    """The orbit."""
    problem = PROBLEMS[name]
    T = problem.time if time is None else time
    x, path = problem.start, [np.hstack(problem.start)]
    for _ in range(steps):
        x = rk4(problem.f, x, problem.parameters, T / steps)
        path.append(np.hstack(x))
    axes = figure.subplots()
    axes.plot(np.linspace(0, T, steps + 1), np.array(path), label=list("xyz")[: len(path[0])])
    axes.set(xlabel="t")
    axes.legend()


if __name__ == "__main__":
    sys.exit(main())
