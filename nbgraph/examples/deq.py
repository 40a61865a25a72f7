"""A fixed point, its gradient through the iteration and by the implicit function theorem.

In: a size, a tolerance. Out: the gradient of |x*|^2/2 in both ways, and their difference.
Holds: the loop ends when a step moves x by less than the tolerance.

x* = tanh(W x* + b) with |W| = 0.9 is found by iteration (a deep equilibrium model; Bai, Kolter, Koltun, NeurIPS 2019).
With J = dtanh(W x + b)/dx at x*, a change of the step by d moves x* by (I - J)^-1 d, so for a loss with dL/dx* = c

    dL/db = d(step)/db^T u,   dL/dW = d(step)/dW^T u,   (I - J)^T u = c:

one linear system instead of the way back through all iterations, which gives the same up to |J|^iterations.
`nbg.fixed_point` does so.

>>> solve(5)["diff"] < 1e-10
True
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

import numpy as np

import nbgraph as nbg
from nbgraph.examples.command import Parser, ends_quietly, integer, real, run

__all__ = ["NotConverged", "implicit_gradient", "layer", "problem", "solve", "step", "unrolled"]

Array = np.ndarray[Any, Any]
Tensor = nbg.TracedTensor

MAX_ITERATIONS = 10_000


class NotConverged(ArithmeticError):
    """The iteration reached its last step before its tolerance."""


def problem(n: int) -> tuple[Array, Array]:
    """W of norm 0.9, and b."""
    rng = np.random.default_rng(n)
    W = rng.standard_normal((n, n))
    return 0.9 * W / np.linalg.norm(W, 2), rng.standard_normal(n)


@nbg.jit
def step(W: Tensor, b: Tensor, x: Tensor) -> Tensor:
    return nbg.tanh(W @ x + b)


def unrolled(W: Tensor, b: Tensor, tol: float, engine: nbg.Engine | None = None) -> tuple[Tensor, list[float]]:
    """x*, and how far each step moved."""
    x = nbg.constant(np.zeros(b.shape))
    moved: list[float] = []
    while not moved or moved[-1] >= tol:
        if len(moved) == MAX_ITERATIONS:
            raise NotConverged(f"not converged to {tol:g} in {MAX_ITERATIONS} iterations")
        previous, x = x, step(W, b, x)
        moved.append(float(nbg.linalg.norm(x - previous).eval(engine)))
    return x, moved


def layer(x: Tensor, W: Tensor, b: Tensor) -> Tensor:
    return step(W, b, x)


def implicit_gradient(W: Tensor, b: Tensor, tol: float, engine: nbg.Engine | None = None) -> list[Tensor]:
    """dL/dW and dL/db by the equation that x* solves."""
    x = nbg.fixed_point(layer, np.zeros(b.shape), W, b, tol=tol, max_iter=MAX_ITERATIONS, engine=engine)
    gradient: list[Tensor] = loss_of(x).grad([W, b])
    return gradient


def loss_of(x: Tensor) -> Tensor:
    return nbg.sum(x * x) / 2


def solve(n: int, tol: float = 1e-13, engine: nbg.Engine | None = None) -> dict[str, Any]:
    """The gradients by b, and the largest difference of the two, by W and b."""
    W, b = map(Tensor.from_tensor, problem(n))
    x, moved = unrolled(W, b, tol, engine)
    both = [*loss_of(x).grad([W, b]), *implicit_gradient(W, b, tol, engine)]
    W1, b1, W2, b2 = map(np.asarray, nbg.eval(*both, engine=engine))
    return {
        "grad_unrolled": b1.tolist(),
        "grad_implicit": b2.tolist(),
        "diff": float(max(np.max(np.abs(W1 - W2)), np.max(np.abs(b1 - b2)))),
        "iterations": len(moved),
        "moved": moved,
    }


# -- the command ------------------------------------------------------------------------------------------------------


@ends_quietly
def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command; the exit status."""
    parser = Parser("deq", "A fixed point: the gradient through the iteration beside the implicit one.")
    parser.add_argument("--n", type=integer(1, 1000), default=50, help="size (%(default)s)")
    parser.add_argument("--tol", type=real(1e-15, 1.0), default=1e-13, help="the last step's length (%(default)s)")
    args = parser.parse_args(argv)
    engine = nbg.Engine(jit=args.jit)
    return run(parser, args, lambda: solve(args.n, args.tol, engine), report, draw, engine)


def report(found: dict[str, Any]) -> None:
    """The first components, and the difference of all."""
    for way in ("unrolled", "implicit"):
        values = found[f"grad_{way}"]
        print(f"dL/db {way}  ", *(f"{g:.12f}" for g in values[:4]), "..." if len(values) > 4 else "")
    print(f"difference      {found['diff']:.2g}, the largest by W and b\niterations      {found['iterations']}")


def draw(figure: Any, found: dict[str, Any]) -> None:
    """How the iteration converges; the two gradients."""
    left, right = figure.subplots(1, 2)
    left.semilogy(range(1, found["iterations"] + 1), found["moved"])
    left.set(xlabel="iteration", ylabel="moved by")
    right.plot(found["grad_unrolled"], "o", mfc="none", label="unrolled")
    right.plot(found["grad_implicit"], "x", label="implicit")
    right.set(xlabel="component", ylabel="dL/db")
    right.legend()


if __name__ == "__main__":
    sys.exit(main())
