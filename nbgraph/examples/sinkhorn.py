"""Entropic optimal transport by Sinkhorn's iteration, until it has converged.

In: histograms a, b, costs M, a regularisation. Out: the plan, its cost, derivatives by the regularisation and by M.
Holds: an iteration and its check are one fragment; the number of iterations is up to the data.

The plan P >= 0 with row sums a and column sums b that minimises (M. Cuturi, NeurIPS 2013)

    F = <P, M> + reg sum P (log P - 1)     is     P_ij = u_i K_ij v_j,   K = exp(-M/reg),

and u = a / K v, v = b / K^T u in turn converge to it. Where K would underflow the same is done for f = reg log u,
g = reg log v (`log_domain`; Peyre and Cuturi, Computational Optimal Transport, section 4.4). By the envelope theorem
dF/dM = P, which the gradient through the iterations has to give; the cost <P, M> has a derivative by reg, too.

The problem of size n: n points on [0, 1] with squared distances, a_i ~ 2 + sin(2 pi i/n), b_i ~ 2 + sin(4 pi i/n).
For n = 2 that is a = b = (1/2, 1/2), M = [[0, 1], [1, 0]], and the cost is s = 1/(1 + exp(1/reg)), its derivative
s (1 - s)/reg^2.

>>> found = solve(2, 1.0)
>>> print(f"{found['cost']:.12f} {found['dcost_dreg']:.12f}")
0.268941421370 0.196611933241
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

import nbgraph as nbg
from nbgraph.examples.command import Parser, ends_quietly, integer, real, run

__all__ = ["NotConverged", "Plan", "log_domain", "problem", "scaling", "solve"]

Array = np.ndarray[Any, Any]
Tensor = nbg.TracedTensor

MAX_ITERATIONS = 20_000
STEEPEST = 100.0  #: M/reg, from which on the iteration works with logarithms


class NotConverged(ArithmeticError):
    """The iteration reached its last step before its tolerance."""


class Plan(NamedTuple):
    """The plan, its logarithm, and how many iterations it took."""

    P: Tensor
    log_P: Tensor
    iterations: int


# -- the loops --------------------------------------------------------------------------------------------------------


def scaling(a: Any, b: Any, M: Tensor, reg: Tensor, tol: float, engine: nbg.Engine | None = None) -> Plan:
    """Until the row sums are off by less than `tol` together."""
    a, b = nbg.constant(a), nbg.constant(b)  # once: an array is looked at each time it enters an expression
    K = nbg.exp(-M / reg)
    u, v = nbg.constant(np.ones(len(a))), nbg.constant(np.ones(len(b)))
    for iterations in range(1, MAX_ITERATIONS + 1):
        u = a / (K @ v)
        v = b / (u @ K)
        if nbg.sum(nbg.abs(u * (K @ v) - a)).eval(engine) < tol:
            log_P = nbg.log(u)[:, None] + nbg.log(v) - M / reg
            return Plan(u[:, None] * K * v, log_P, iterations)
    raise NotConverged(f"not converged to {tol:g} in {MAX_ITERATIONS} iterations; a larger --reg or --tol would")


def log_domain(a: Any, b: Any, M: Tensor, reg: Tensor, tol: float, engine: nbg.Engine | None = None) -> Plan:
    """The same with f/reg = log u and g/reg = log v."""
    C, a, log_a, log_b = -M / reg, *map(nbg.constant, (a, np.log(a), np.log(b)))
    f, g = nbg.constant(np.zeros(len(a))), nbg.constant(np.zeros(len(b)))
    for iterations in range(1, MAX_ITERATIONS + 1):
        f = log_a - nbg.special.logsumexp(C + g, axis=1)
        g = log_b - nbg.special.logsumexp(C + f[:, None], axis=0)
        log_P = f[:, None] + C + g
        P = nbg.exp(log_P)
        if nbg.sum(nbg.abs(nbg.sum(P, axis=1) - a)).eval(engine) < tol:
            return Plan(P, log_P, iterations)
    raise NotConverged(f"not converged to {tol:g} in {MAX_ITERATIONS} iterations; a larger --reg or --tol would")


# -- the problem ------------------------------------------------------------------------------------------------------


def problem(n: int) -> tuple[Array, Array, Array]:
    """Histograms a and b, and the costs M, of size n."""
    i = np.arange(n)
    a, b = 2 + np.sin(2 * np.pi * i / n), 2 + np.sin(4 * np.pi * i / n)
    x = i / max(n - 1, 1)
    return a / a.sum(), b / b.sum(), (x[:, None] - x) ** 2


def solve(n: int, reg: float, tol: float = 1e-10, engine: nbg.Engine | None = None) -> dict[str, Any]:
    """The cost, its derivative by `reg`, and how far dF/dM is from the plan."""
    a, b, costs = problem(n)
    M, r = Tensor.from_tensor(costs), Tensor.from_tensor(reg)
    loop = log_domain if costs.max() / reg > STEEPEST else scaling
    P, log_P, iterations = loop(a, b, M, r, tol, engine)
    cost = nbg.sum(P * M)
    F = cost + r * nbg.sum(P * (log_P - 1))
    values = nbg.eval(cost, cost.grad(r), nbg.max(nbg.abs(F.grad(M) - P)), engine=engine)
    cost_, slope, error = map(float, values)
    return {"cost": cost_, "iterations": iterations, "dcost_dreg": slope, "dcost_dM_error": error}


# -- the command ------------------------------------------------------------------------------------------------------


@ends_quietly
def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command; the exit status."""
    parser = Parser("sinkhorn", "Entropic optimal transport, differentiated through Sinkhorn's iteration.")
    parser.add_argument("--n", type=integer(1, 2000), default=200, help="points (%(default)s)")
    parser.add_argument("--reg", type=real(1e-6, 1e6), default=0.05, help="regularisation (%(default)s)")
    parser.add_argument("--tol", type=real(1e-15, 1.0), default=1e-10, help="error of the row sums (%(default)s)")
    args = parser.parse_args(argv)
    engine = nbg.Engine(jit=args.jit)

    def draw(figure: Any, found: dict[str, Any]) -> None:
        a, b, costs = problem(args.n)
        loop = log_domain if costs.max() / args.reg > STEEPEST else scaling
        P = loop(a, b, nbg.asarray(costs), nbg.asarray(args.reg), args.tol, engine).P
        left, right = figure.subplots(1, 2)
        x = np.linspace(0, 1, args.n)
        left.plot(x, a, label="a")
        left.plot(x, b, label="b")
        left.legend()
        right.imshow(np.asarray(P), origin="lower", extent=(0, 1, 0, 1))
        right.set(xlabel="to", ylabel="from", title=f"plan, reg = {args.reg:g}")

    return run(parser, args, lambda: solve(args.n, args.reg, args.tol, engine), report, draw, engine)


def report(found: dict[str, Any]) -> None:
    """Four lines."""
    print(f"cost <P, M>      {found['cost']:.12g}\nd cost / d reg   {found['dcost_dreg']:.12g}")
    print(f"iterations       {found['iterations']}\n|dF/dM - P|      {found['dcost_dM_error']:.2g}  (envelope theorem)")


if __name__ == "__main__":
    sys.exit(main())
