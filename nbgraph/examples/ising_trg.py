"""The 2D Ising model by tensor renormalisation; energy and specific heat as derivatives through every truncation.

In: couplings K = J/T, a bond dimension chi, steps n: the lattice has 2^n sites. Out: per site lnZ,
U = -dlnZ/dK and C = K^2 d2lnZ/dK2.
Holds: zero and equal singular values occur at every other step; nothing is divided by them or by their gaps.

The partition function is a square network of tensors with four bonds of two values,

    T[i, j, k, l] = sqrt(c_i c_j c_k c_l)/2 if i + j + k + l is even, else 0;   c = 2 cosh K, 2 sinh K.

A step (Levin and Nave, Phys. Rev. Lett. 99, 120601 (2007)) divides T by its largest element, splits it in two along
either diagonal by a singular value decomposition, T = (U sqrt S) (sqrt S V), keeps chi singular values, and puts four
halves together round a plaquette: one tensor for two. So the largest element of step n counts 2^-n times per site.

>>> import numpy as np
>>> lnZ, U, C = solve(0.3, chi=4, steps=10)
>>> bool(np.allclose([lnZ, U], [0.79056, -0.7045], atol=2e-3))
True
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import product
from typing import Any, NamedTuple

import numpy as np

import nbgraph as nbg
from nbgraph.examples.command import Parser, ends_quietly, integer, progress, real, run
from nbgraph.ising import onsager

__all__ = ["PerSite", "free_energy", "solve"]

SMALLEST = 1e-15  #: singular values below are zeros

EVEN = (np.indices((2, 2, 2, 2)).sum(0) % 2 == 0) / 2


class PerSite(NamedTuple):
    """Free energy, energy and specific heat of one site."""

    lnZ: float
    U: float
    C: float


def solve(K: float, chi: int, steps: int, engine: nbg.Engine | None = None) -> PerSite:
    """The loop at one coupling, and two derivatives through all of it."""
    leaf = nbg.TracedTensor.from_tensor(float(K))
    lnZ = free_energy(leaf, chi, steps, engine)
    U = -lnZ.grad(leaf)
    C = -(leaf**2) * U.grad(leaf)
    return PerSite(*map(float, nbg.eval(lnZ, U, C, engine=engine)))


# -- the loop ---------------------------------------------------------------------------------------------------------


def free_energy(K: nbg.TracedTensor, chi: int, steps: int, engine: nbg.Engine | None = None) -> nbg.TracedTensor:
    """lnZ per site."""
    root = nbg.sqrt(nbg.stack([2 * nbg.cosh(K), 2 * nbg.sinh(K)]))
    T = nbg.einsum("i,j,k,l,ijkl->ijkl", root, root, root, root, EVEN)
    lnZ = nbg.constant(0.0)
    for n in range(steps):
        D = T.shape[0]
        largest = nbg.max(nbg.abs(T))
        T = T / largest
        lnZ = lnZ + nbg.log(largest) / 2**n

        Ua, Sa, Va = nbg.linalg.svd(nbg.transpose(T, (2, 1, 0, 3)).reshape(D * D, D * D))
        Ub, Sb, Vb = nbg.linalg.svd(nbg.transpose(T, (3, 2, 1, 0)).reshape(D * D, D * D))
        rank = min(chi, *(int(np.sum(S > SMALLEST)) for S in nbg.eval(Sa, Sb, engine=engine)))
        a, b = nbg.sqrt(Sa[:rank]), nbg.sqrt(Sb[:rank])
        A1, A2 = (Ua[:, :rank] * a).reshape(D, D, rank), (Va[:rank].T * a).reshape(D, D, rank)
        B1, B2 = (Ub[:, :rank] * b).reshape(D, D, rank), (Vb[:rank].T * b).reshape(D, D, rank)
        upper, lower = nbg.einsum("war,abu->wrbu", A1, B1), nbg.einsum("bgl,gwd->blwd", A2, B2)
        T = nbg.einsum("wrbu,blwd->ruld", upper, lower)
    total: nbg.TracedTensor = lnZ + nbg.log(nbg.einsum("ijij->", T)) / 2**steps
    return total


# -- the command ------------------------------------------------------------------------------------------------------


@ends_quietly
def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command; the exit status."""
    parser = Parser("ising_trg", "The 2D Ising model by tensor renormalisation, differentiated twice through it.")
    parser.add_argument("--K", type=real(1e-3, 100), nargs="+", default=[0.3, 0.4, 0.45, 0.5], help="couplings J/T")
    parser.add_argument("--chi", type=integer(1, 64), default=8, help="bond dimension (%(default)s)")
    parser.add_argument("--steps", type=integer(1, 200), default=20, help="2^steps sites (%(default)s)")
    args = parser.parse_args(argv)
    engine = nbg.Engine(jit=args.jit)

    def found() -> list[dict[str, float]]:
        with progress("TRG", len(args.K)) as advance:
            return [row(K, args.chi, args.steps, engine, advance) for K in args.K]

    return run(parser, args, found, report, lambda figure, _: draw(figure, args.chi, args.steps), engine)


def row(K: float, chi: int, steps: int, engine: nbg.Engine, advance: Callable[[], None]) -> dict[str, float]:
    values = solve(K, chi, steps, engine)
    if not np.isfinite(values).all():
        raise ArithmeticError(f"K = {K:g}: the result is not finite")
    advance()
    return {"K": K, **values._asdict()}


def report(rows: list[dict[str, float]]) -> None:
    """The table, beside Onsager's values."""
    print("Ising model, per site; U = -dlnZ/dK, C = K^2 d2lnZ/dK2; TRG, and below it the infinite lattice (Onsager)")
    print(f"{'K':>10}  {'lnZ':>14}  {'U':>14}  {'C':>14}")
    for r in rows:
        print(f"{r['K']:10.6g}  {r['lnZ']:14.10f}  {r['U']:14.10f}  {r['C']:14.10f}")
        print(" " * 10 + "".join(f"  {v:14.10f}" for v in onsager(r["K"])))


def draw(figure: Any, chi: int, steps: int) -> None:
    """U and C at 51 temperatures beside Onsager's, with chi and its double, or its half if that is above 8.

    Two threads share the temperatures, and what is compiled for them.
    """
    T, fine = np.linspace(1.5, 3.5, 51), np.linspace(1.5, 3.5, 801)
    sizes, engine = (chi, 2 * chi) if chi <= 8 else (chi // 2, chi), nbg.Engine()
    with progress("plot", 2 * len(T)) as advance, ThreadPoolExecutor(2) as threads:

        def at(size: int, t: float) -> dict[str, float]:
            return row(1 / t, size, steps, engine, advance)

        rows = list(threads.map(lambda job: at(*job), product(sizes, T)))
    exact = [onsager(1 / t) for t in fine]
    for axes, name, k in zip(figure.subplots(1, 2), ("U", "C"), (1, 2), strict=True):
        axes.plot(fine, [e[k] for e in exact], "k-", lw=1, label="exact (Onsager)")
        for size, found, marker in zip(sizes, (rows[: len(T)], rows[len(T) :]), ("o", "x"), strict=True):
            axes.plot(T, [r[name] for r in found], marker, ms=4, mfc="none", label=f"TRG, chi = {size}")
        axes.set(xlabel="T / J", ylabel=f"{name} per site")
    axes.set_ylim(0, 3)
    axes.legend()


if __name__ == "__main__":
    sys.exit(main())
