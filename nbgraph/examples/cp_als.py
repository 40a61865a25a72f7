"""Tensors as sums of rank-one terms by alternating least squares, and how good a fit depends on the tensor.

In: a tensor T[i, j, k], a rank r. Out: factors with T ~ sum_r A[i, r] B[j, r] C[k, r], and |T - that| / |T|.
Holds: every sweep is the same three operations, so all of them are one piece of code.

With two factors fixed the third is a linear least-squares problem (Kolda and Bader, SIAM Review 51, 455 (2009)):

    A = X G^-1,   X[i, r] = sum T[i, j, k] B[j, r] C[k, r],   G = (B^T B) * (C^T C) + l2 1,

and so in turn, until a sweep no longer moves the error. `l2` keeps G from being singular, and slows
the growth of terms that cancel each other.

The tensor of the product of two 2x2 matrices, t[(ij), (jk), (ki)] = 1, has eight ones and rank seven: Strassen (1969).

>>> factors, errors = als(nbg.asarray(matrix_multiplication(1)), rank=1, iters=10, seed=0)
>>> errors[-1].item() < 1e-10
True
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

import numpy as np

import nbgraph as nbg
from nbgraph.examples.command import Parser, ends_quietly, integer, progress, real, run

__all__ = ["als", "derivative_check", "example", "matrix_multiplication", "sweep"]

Array = np.ndarray[Any, Any]
Tensor = nbg.TracedTensor


# -- the loop ---------------------------------------------------------------------------------------------------------


def als(
    T: Tensor,
    rank: int,
    iters: int,
    seed: int,
    l2: float = 1e-12,
    tol: float = 1e-10,
    engine: nbg.Engine | None = None,
) -> tuple[list[Tensor], list[Tensor]]:
    """Three factors, and the relative error after each sweep; ends when a sweep moves it by less than `tol`."""
    rng = np.random.default_rng(seed)
    factors = [nbg.constant(rng.standard_normal((n, rank))) for n in T.shape]
    errors: list[Tensor] = []
    before = np.inf
    for _ in range(iters):
        factors, error = sweep(T, factors, l2)
        errors.append(error)
        now = float(error.eval(engine))
        if abs(before - now) < tol:
            break
        before = now
    return factors, errors


def sweep(T: Tensor, factors: list[Tensor], l2: float) -> tuple[list[Tensor], Tensor]:
    """Each factor once, and the error after it."""
    A, B, C = factors
    A = solve(nbg.einsum("ijk,jr,kr->ir", T, B, C), B, C, l2)
    B = solve(nbg.einsum("ijk,ir,kr->jr", T, A, C), A, C, l2)
    C = solve(nbg.einsum("ijk,ir,jr->kr", T, A, B), A, B, l2)
    rest = T - nbg.einsum("ir,jr,kr->ijk", A, B, C)
    return [A, B, C], nbg.linalg.norm(rest) / nbg.linalg.norm(T)


def solve(X: Tensor, B: Tensor, C: Tensor, l2: float) -> Tensor:
    """X G^-1."""
    G = (B.T @ B) * (C.T @ C)
    return nbg.linalg.solve(G + l2 * np.eye(G.shape[0]), X.T).T


# -- what is decomposed, and the check --------------------------------------------------------------------------------


def matrix_multiplication(n: int) -> Array:
    """t[(i, j), (j, k), (k, i)] = 1: the product of n x n matrices, transposed."""
    one = np.eye(n)
    return np.asarray(np.einsum("ip,jq,kr->ijqkrp", one, one, one).reshape((n * n,) * 3))


def example(shape: tuple[int, int, int], rank: int) -> Array:
    """The tensor of 2x2 matrix multiplication for the shape (4, 4, 4), else a random one of that rank."""
    if shape == (4, 4, 4):
        return matrix_multiplication(2)
    rng = np.random.default_rng(2)
    return np.asarray(np.einsum("ir,jr,kr->ijk", *(rng.standard_normal((n, rank)) for n in shape)))


def derivative_check(
    T: Array, rank: int, seed: int, l2: float, sweeps: int = 5, engine: nbg.Engine | None = None
) -> float | None:
    """How far d(error)/dT through some sweeps is from a difference quotient, relatively, in a random direction.

    The tensor gets 10 % of noise first: at a perfect fit the error is a norm at 0 and has no derivative; None if it is
    perfect all the same.
    """
    rng = np.random.default_rng(seed)
    noise, direction = rng.standard_normal((2, *T.shape))
    direction /= np.linalg.norm(direction)
    start = T + 0.1 * noise * np.linalg.norm(T) / np.linalg.norm(noise)

    def error(values: Array) -> tuple[Tensor, Tensor]:
        leaf = Tensor.from_tensor(values)
        return leaf, als(leaf, rank, sweeps, seed, l2, tol=0.0, engine=engine)[1][-1]

    leaf, at = error(start)
    if float(at) < 1e-8:
        return None
    slope = float(np.sum(at.grad(leaf).eval(engine) * direction))
    h = 1e-3 * float(np.linalg.norm(T))
    weights = ((1, 3 / 4), (2, -3 / 20), (3, 1 / 60))  # to h^6
    steps = [w * (error(start + n * h * direction)[1] - error(start - n * h * direction)[1]) for n, w in weights]
    expected = sum(map(float, steps)) / h
    largest = max(abs(slope), abs(expected))
    return abs(slope - expected) / largest if largest else 0.0


# -- the command ------------------------------------------------------------------------------------------------------


@ends_quietly
def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command; the exit status."""
    parser = Parser("cp_als", "Tensors as sums of rank-one terms by alternating least squares.")
    size = integer(1, 200)
    parser.add_argument("--shape", type=size, nargs=3, default=[4, 4, 4], help="4 4 4: matrix multiplication")
    parser.add_argument("--rank", type=integer(1, 200), default=7, help="terms (%(default)s)")
    parser.add_argument("--iters", type=integer(1, 10**6), default=1000, help="sweeps at most (%(default)s)")
    parser.add_argument("--seeds", type=integer(1, 1000), default=12, help="random starts (%(default)s)")
    parser.add_argument("--l2", type=real(0.0, 1e6), default=1e-12, help="regularisation (%(default)s)")
    args = parser.parse_args(argv)
    engine, values = nbg.Engine(jit=args.jit), example(tuple(args.shape), args.rank)
    histories: list[list[float]] = []

    def found() -> dict[str, Any]:
        T = nbg.constant(values)
        with progress("starts", args.seeds) as advance:
            for seed in range(args.seeds):
                _, errors = als(T, args.rank, args.iters, seed, args.l2, engine=engine)
                histories.append([float(e) for e in errors])
                advance()
        check = derivative_check(values, args.rank, 0, args.l2, engine=engine)
        return {"errors": [history[-1] for history in histories], "dfit_dT_check": check}

    return run(parser, args, found, lambda r: report(r, histories), lambda f, r: draw(f, histories), engine)


def report(result: dict[str, Any], histories: list[list[float]]) -> None:
    print("seed  sweeps  relative error")
    for seed, history in enumerate(histories):
        print(f"{seed:4}  {len(history):6}  {history[-1]:14.3e}")
    print(f"derivative of the fit by the tensor through 5 sweeps, off by {result['dfit_dT_check']}")


def draw(figure: Any, histories: list[list[float]]) -> None:
    """The error of every start over its sweeps."""
    axes = figure.subplots()
    for seed, history in enumerate(histories):
        axes.loglog(range(1, len(history) + 1), np.maximum(history, 1e-17), lw=1, label=f"seed {seed}")
    axes.set(xlabel="sweep", ylabel="relative error")
    if len(histories) <= 12:
        axes.legend(fontsize="small", ncols=2)


if __name__ == "__main__":
    sys.exit(main())
