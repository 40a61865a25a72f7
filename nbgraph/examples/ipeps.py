"""The ground state of the 2D Heisenberg antiferromagnet as an infinite tensor network, by gradients through CTMRG.

In: a bond dimension D, the size chi of the environment. Out: energy per site, staggered magnetisation.
Holds: the loss does not depend on bases of the environment's bonds; no multiplet of the spectrum is cut in two.

The state is one real tensor A[s, u, l, d, r] on every site of the square lattice, symmetric under rotations and
reflections of the square (C4v). One sublattice is turned by pi about the y axis, so that all sites look alike; there
S.S is

    h = -Sz Sz - (S+ S+ + S- S-)/2.

Its norm is a network of a = sum_s A_s A_s, with bonds of size D^2. What surrounds a site is four equal corners C and
four equal edges T, found by the corner transfer matrix: put an edge on either side of the corner and a site between,

    M[(x, i), (y, j)] = sum C[p, q] T[x, l, p] T[q, k, y] a[k, l, i, j],

keep the eigenvectors P of the symmetric M whose eigenvalues are largest in magnitude, and go on with C = P^T M P and
T = P^T (T a) P, until the spectrum of M stays. (Nishino and Okunishi, J. Phys. Soc. Jpn. 65, 891 (1996); derivatives:
Liao, Liu, Wang and Xiang, Phys. Rev. X 9, 031041 (2019).) C is P^T M P and not the diagonal of eigenvalues: then any
other basis of the kept space gives the same energy, and derivatives need no gap inside of it.

>>> round(minimise(D=1, chi=4, seed=0, maxiter=50).E, 6)
-0.5
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
from itertools import permutations
from typing import Any, NamedTuple

import numpy as np
from scipy.optimize import minimize

import nbgraph as nbg
from nbgraph.examples.command import Parser, ends_quietly, integer, progress, run

__all__ = ["Found", "environment", "measure", "minimise", "symmetric"]

Array = np.ndarray[Any, Any]

SZ = np.diag([0.5, -0.5])
SX = np.array([[0.0, 0.5], [0.5, 0.0]])
UP = np.array([[0.0, 1.0], [0.0, 0.0]])
BOND: Array = -1.0 * np.kron(SZ, SZ) - (np.kron(UP, UP) + np.kron(UP.T, UP.T)) / 2

D2 = -0.66023109348  #: the published energy of the best state with D = 2
EXACT = -0.669437  #: quantum Monte Carlo: A. W. Sandvik, Phys. Rev. B 56, 11678 (1997)

#: The symmetries of the square as permutations of (u, l, d, r): neighbours stay neighbours.
SQUARE = [p for p in permutations(range(4)) if (p[0] - p[2]) % 4 == 2 and (p[1] - p[3]) % 4 == 2]


class Found(NamedTuple):
    """Energy per site, staggered magnetisation, how often the energy was computed, and how long that took."""

    E: float
    m: float
    evaluations: int
    seconds: float


def symmetric(x: nbg.TracedTensor) -> nbg.TracedTensor:
    """The C4v-symmetric part of x[s, u, l, d, r], of norm 1."""
    A = sum(nbg.transpose(x, (0, *(1 + k for k in p))) for p in SQUARE)
    unit: nbg.TracedTensor = A / nbg.linalg.norm(A)
    return unit


# -- the loop ---------------------------------------------------------------------------------------------------------


def environment(
    A: nbg.TracedTensor, chi: int, steps: int = 200, tol: float = 1e-10, engine: nbg.Engine | None = None
) -> tuple[nbg.TracedTensor, nbg.TracedTensor]:
    """C[x, y] and T[x, k, y], after the spectrum has moved by less than `tol`."""
    D = A.shape[1]
    a = nbg.einsum("suldr,sULDR->uUlLdDrR", A, A).reshape((D * D,) * 4)
    C = nbg.einsum("suldr,sulDR->dDrR", A, A).reshape(D * D, D * D)
    T = nbg.einsum("suldr,suLDR->lLdDrR", A, A).reshape(D * D, D * D, D * D)
    spectrum = np.zeros(0)
    for _ in range(steps):
        size = C.shape[0] * D * D
        M = nbg.einsum("pq,xlp,qky,klij->xiyj", C, T, T, a).reshape(size, size)
        w, v = nbg.linalg.eigh((M + M.T) / 2)
        previous, (order, spectrum) = spectrum, largest(w.eval(engine), chi)
        P = v[:, order]
        C = P.T @ M @ P
        P = P.reshape(-1, D * D, len(order))
        T = nbg.einsum("pkq,kilj,pix,qjy->xly", T, a, P, P)
        C, T = (C + C.T) / 2, (T + nbg.transpose(T, (2, 1, 0))) / 2
        C, T = C / nbg.linalg.norm(C), T / nbg.linalg.norm(T)
        if len(spectrum) == len(previous) and np.max(abs(spectrum - previous)) < tol:
            break
    return C, T


def largest(w: Array, chi: int) -> tuple[Array, Array]:
    """The places of at most chi eigenvalues, largest in magnitude, and these over the first of them.

    What is next to nothing is left out; a multiplet at the end is left out as a whole, since half of it has no
    derivative.
    """
    order = np.argsort(-abs(w), kind="stable")
    size = abs(w[order]) / abs(w[order[0]])
    count = min(chi, int(np.sum(size > 1e-12)))
    whole = [n for n in range(1, count + 1) if n == len(size) or size[n] < (1 - 1e-4) * size[n - 1]]
    count = whole[-1] if whole else count
    return order[:count], size[:count]


def measure(A: nbg.TracedTensor, C: nbg.TracedTensor, T: nbg.TracedTensor) -> tuple[nbg.TracedTensor, nbg.TracedTensor]:
    """Energy per site (two bonds), and the density matrix of one site, from two neighbours in their environment."""
    D, chi = A.shape[1], C.shape[0]
    # Half of the network: corner, edge, corner to the left of a site; edges above and below it.
    edge = nbg.einsum("pq,pLm,mn->qLn", C, T, C).reshape(chi, D, D, chi)
    rows = T.reshape(chi, D, D, chi)
    half = nbg.einsum("qlLn,quUx,ndDy,suldr,tULDR->xyrRst", edge, rows, rows, A, A)
    rho = nbg.einsum("xyrRst,xyrRSU->sStU", half, half)
    norm = nbg.einsum("sSsS->", rho)
    energy = 2 * nbg.sum(rho.reshape(4, 4) * BOND) / norm
    return energy, nbg.einsum("sStS->st", rho) / norm


# -- the minimum ------------------------------------------------------------------------------------------------------


def minimise(
    D: int = 2,
    chi: int = 16,
    seed: int = 0,
    maxiter: int = 100,
    engine: nbg.Engine | None = None,
    progress: Callable[[float], Any] = lambda energy: None,
) -> Found:
    """L-BFGS from a random tensor: each energy is a CTMRG loop, each gradient goes back through all of it."""
    start, evaluations = time.perf_counter(), 0
    shape = (2, D, D, D, D)

    def value(x: Array) -> tuple[float, Array]:
        nonlocal evaluations
        evaluations += 1
        leaf = nbg.TracedTensor.from_tensor(x.reshape(shape))
        A = symmetric(leaf)
        C, T = environment(A, chi, engine=engine)
        energy, _ = measure(A, C, T)
        E, gradient = nbg.eval(energy, energy.grad(leaf), engine=engine)
        progress(float(E))
        return float(E), gradient.ravel()

    x = np.random.default_rng(seed).random(shape).ravel()  # positive: no bad minima were met from there
    options = {"maxiter": maxiter, "ftol": 1e-13, "gtol": 1e-7, "maxcor": 20}
    best = minimize(value, x, jac=True, method="L-BFGS-B", options=options)
    A = symmetric(nbg.constant(best.x.reshape(shape)))
    energy, site = measure(A, *environment(A, chi, engine=engine))
    E, rho = nbg.eval(energy, site, engine=engine)
    m = float(np.hypot(np.sum(rho * SX), np.sum(rho * SZ)))
    return Found(float(E), m, evaluations, time.perf_counter() - start)


# -- the command ------------------------------------------------------------------------------------------------------


@ends_quietly
def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command; the exit status."""
    parser = Parser("ipeps", "The 2D Heisenberg antiferromagnet by iPEPS: gradients through the whole CTMRG loop.")
    parser.add_argument("--D", type=integer(1, 6), default=2, help="bond dimension (%(default)s)")
    parser.add_argument("--chi", type=integer(1, 256), default=16, help="of the environment (%(default)s)")
    parser.add_argument("--seed", type=integer(0, 2**32 - 1), default=0, help="of the start (%(default)s)")
    parser.add_argument("--maxiter", type=integer(1, 10**5), default=100, help="of L-BFGS (%(default)s)")
    args = parser.parse_args(argv)
    engine, energies = nbg.Engine(jit=args.jit), list[float]()

    def found() -> dict[str, Any]:
        with progress("L-BFGS", args.maxiter) as advance:

            def note(energy: float) -> None:
                energies.append(energy)
                advance()

            return minimise(args.D, args.chi, args.seed, args.maxiter, engine, note)._asdict()

    return run(parser, args, found, report, lambda figure, _: draw(figure, energies), engine)


def report(found: dict[str, Any]) -> None:
    print(f"E = {found['E']:.12f} per site, staggered magnetisation m = {found['m']:.8f}")
    print(f"{found['evaluations']} energies and gradients in {found['seconds']:.2f} s")
    print(f"known: E = {D2:.11f} for D = 2, {EXACT} for the exact ground state (Monte Carlo)")


def draw(figure: Any, energies: list[float]) -> None:
    """The energy over the evaluations, above the exact one and above the last."""
    left, right = figure.subplots(1, 2)
    count = range(1, len(energies) + 1)
    left.semilogy(count, np.array(energies) - EXACT, "o-", ms=3)
    left.axhline(D2 - EXACT, color="k", lw=1, ls=":", label="D = 2, published")
    left.set(xlabel="evaluation", ylabel="E above the exact ground state")
    left.legend()
    right.semilogy(count, np.maximum(np.array(energies) - min(energies), 1e-13), "o-", ms=3)
    right.set(xlabel="evaluation", ylabel="E above the lowest found")


if __name__ == "__main__":
    sys.exit(main())
