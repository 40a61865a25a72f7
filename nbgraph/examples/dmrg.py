"""The ground state of an open Heisenberg chain by two-site DMRG, differentiated through all sweeps.

In: couplings J_i of H = sum_i J_i S_i.S_(i+1), S = 1/2; the largest bond dimension chi. Out: the energy and dE/dJ_i.
Holds: nothing depends on bases of the bonds, so singular values that coincide do no harm.

Two neighbouring tensors are one vector x[a, s, t, b]. Blocks L and R hold what is to its left and right, W the
Hamiltonian as a product of matrices [1, S+, S-, Sz, done] (Schollwoeck, Ann. Phys. 326, 96 (2011)), and

    (H x)[a, s, t, b] = sum L[a, k, a'] W_i[k, l, s, s'] W_(i+1)[l, m, t, t'] R[b, m, b'] x[a', s', t', b'].

Lanczos: v_0 = x/|x|; w = H v_k made orthogonal to v_0 ... v_k, v_(k+1) = w/|w|; in this basis H is tridiagonal, with
v_k.H v_k on its diagonal and |w| beside it, and its lowest eigenvector y gives x = sum_k y_k v_k. It ends when |w| is
next to nothing. Then x = U S V^T is cut to the largest singular values, and the centre moves on: the left tensor is U
and the next x begins with U^T x.

The energy is stationary, so dE/dJ_i = <S_i.S_(i+1)> (Hellmann and Feynman), which `correlations` takes from the state.

>>> round(ground_state([1.0, 1.0, 1.0], chi=4, sweeps=4).E.item(), 10)
-1.6160254038
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np

import nbgraph as nbg
from nbgraph.examples.command import Parser, ends_quietly, integer, progress, real, run

__all__ = ["GroundState", "correlations", "ground_state", "lanczos"]

Array = np.ndarray[Any, Any]
Tensor = nbg.TracedTensor

ONE, SZ, UP = np.eye(2), np.diag([0.5, -0.5]), np.array([[0.0, 1.0], [0.0, 0.0]])
EXCHANGE = sum(np.einsum("sS,tT->stST", p, q) for p, q in ((UP / 2, UP.T), (UP.T / 2, UP), (SZ, SZ)))  # S.S

#: W[k, l, s, s'] = FIXED + J COUPLED: nothing yet, S+, S-, Sz just now, all done.
FIXED, COUPLED = np.zeros((5, 5, 2, 2)), np.zeros((5, 5, 2, 2))
FIXED[0, 0], FIXED[1, 4], FIXED[2, 4], FIXED[3, 4], FIXED[4, 4] = ONE, UP.T, UP, SZ, ONE
COUPLED[0, 1], COUPLED[0, 2], COUPLED[0, 3] = UP / 2, UP.T / 2, SZ


class GroundState(NamedTuple):
    """The energy, the couplings it depends on, and the state: a list of tensors [a, s, b]."""

    E: Tensor
    J: Tensor
    state: list[Tensor]


# -- the loop ---------------------------------------------------------------------------------------------------------


def ground_state(
    couplings: Sequence[float],
    chi: int,
    sweeps: int,
    seed: int = 0,
    engine: nbg.Engine | None = None,
    progress: Callable[[float], Any] = lambda energy: None,
) -> GroundState:
    """DMRG from a random product state, until a sweep no longer moves the energy, or for so many sweeps.

    The state's last tensors are those of the first two sites: its centre is the first.
    """
    J = Tensor.from_tensor(np.asarray(couplings, float))
    N = len(couplings) + 1
    W = [*(FIXED + J[i] * COUPLED for i in range(N - 1)), nbg.constant(FIXED)]
    A = [nbg.constant(x) for x in product_state(N, seed)]
    L = [nbg.constant(np.eye(5)[0].reshape(1, 5, 1))] * N  # L[i], R[i]: all to the left, to the right of site i
    R = [nbg.constant(np.eye(5)[4].reshape(1, 5, 1))] * N
    for i in range(N - 1, 1, -1):
        R[i - 1] = grow_right(R[i], W[i], A[i])

    E, before = nbg.constant(0.0), np.inf
    for _ in range(sweeps):
        for i in range(N - 2):  # to the right
            E, x = lanczos(L[i], W[i], W[i + 1], R[i + 1], nbg.tensordot(A[i], A[i + 1], 1), engine)
            U, rank = vectors(x, chi, engine)
            A[i] = U.reshape(*x.shape[:2], rank)
            A[i + 1] = nbg.einsum("asr,astb->rtb", A[i], x)
            L[i + 1] = grow_left(L[i], W[i], A[i])
        for i in range(N - 2, -1, -1):  # to the left: the same, mirrored
            E, x = lanczos(L[i], W[i], W[i + 1], R[i + 1], nbg.tensordot(A[i], A[i + 1], 1), engine)
            V, rank = vectors(nbg.transpose(x, (2, 3, 0, 1)), chi, engine)
            A[i + 1] = nbg.transpose(V.reshape(*x.shape[2:], rank), (2, 0, 1))
            A[i] = nbg.einsum("astb,rtb->asr", x, A[i + 1])
            R[i] = grow_right(R[i + 1], W[i + 1], A[i + 1])
        energy = float(E.eval(engine))
        progress(energy)
        if abs(energy - before) < 1e-12 * max(1.0, abs(energy)):
            break
        before = energy
    return GroundState(E, J, A)


def lanczos(
    L: Tensor, W: Tensor, X: Tensor, R: Tensor, x: Tensor, engine: nbg.Engine | None, steps: int = 8
) -> tuple[Tensor, Tensor]:
    """The lowest eigenvalue, and its vector, in the space of x, H x, H^2 x, ..."""
    basis, diagonal = [x / nbg.linalg.norm(x)], []
    beside: list[Tensor] = []
    while True:
        w = apply(L, W, X, R, basis[-1])
        diagonal.append(nbg.sum(basis[-1] * w))
        w = w - diagonal[-1] * basis[-1]
        if beside:
            w = w - beside[-1] * basis[-2]
        norm = nbg.linalg.norm(w)
        if norm.eval(engine) < 1e-7 or len(basis) == steps:
            break
        beside.append(norm)
        basis.append(w / norm)
    if not beside:
        return diagonal[0], basis[0]
    off = nbg.diag(nbg.stack(beside), 1)
    w, y = nbg.linalg.eigh(nbg.diag(nbg.stack(diagonal)) + off + off.T)
    return w[0], nbg.tensordot(y[:, 0], nbg.stack(basis), 1)


def apply(L: Tensor, W: Tensor, X: Tensor, R: Tensor, x: Tensor) -> Tensor:
    """H x, one factor after the other."""
    y = nbg.einsum("akA,ASTB->akSTB", L, x)
    y = nbg.einsum("klsS,akSTB->alsTB", W, y)
    y = nbg.einsum("lmtT,alsTB->asmtB", X, y)
    return nbg.einsum("asmtB,bmB->astb", y, R)


def vectors(x: Tensor, chi: int, engine: nbg.Engine | None) -> tuple[Tensor, int]:
    """The left singular vectors of x[(a, s), (t, b)] to keep, and how many: at most chi.

    What is next to nothing goes; a multiplet at the end goes as a whole, since half of it has no derivative.
    """
    a, s, t, b = x.shape
    U, S, _ = nbg.linalg.svd(x.reshape(a * s, t * b), full_matrices=False)
    size = S.eval(engine)
    count = min(chi, int(np.sum(size > 1e-8 * size[0])))
    whole = [n for n in range(1, count + 1) if n == len(size) or size[n] < (1 - 1e-4) * size[n - 1]]
    rank = whole[-1] if whole else count
    return U[:, :rank], rank


def grow_left(L: Tensor, W: Tensor, A: Tensor) -> Tensor:
    """L with one more site in it."""
    y = nbg.einsum("akA,ASB->akSB", L, A)
    y = nbg.einsum("klsS,akSB->alsB", W, y)
    return nbg.einsum("asb,alsB->blB", A, y)


def grow_right(R: Tensor, W: Tensor, A: Tensor) -> Tensor:
    """R with one more site in it."""
    y = nbg.einsum("bmB,ASB->bmSA", R, A)
    y = nbg.einsum("kmsS,bmSA->bksA", W, y)
    return nbg.einsum("asb,bksA->akA", A, y)


def product_state(N: int, seed: int) -> list[Array]:
    """Random spins."""
    spins = np.random.default_rng(seed).standard_normal((N, 2))
    return [s.reshape(1, 2, 1) / np.linalg.norm(s) for s in spins]


# -- to compare with --------------------------------------------------------------------------------------------------


def correlations(state: Sequence[Tensor]) -> Array:
    """<S_i.S_(i+1)> of each bond, by contracting the state with itself; its centre is its first tensor."""
    tensors = [t.eval() for t in state]
    found, left = [], np.eye(1)
    for A, B in pairwise(tensors):
        x = np.tensordot(A, B, 1)
        y = np.einsum("aA,ASTB,stST->astB", left, x, EXCHANGE)
        norm = np.einsum("aA,ASTB,aSTB->", left, x, x)
        found.append(np.einsum("astB,astB->", x, y) / norm)
        left = np.einsum("aA,asb,AsB->bB", left, A, A)
    return np.array(found)


# -- the command ------------------------------------------------------------------------------------------------------


@ends_quietly
def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command; the exit status."""
    parser = Parser("dmrg", "The open Heisenberg chain by two-site DMRG, differentiated by every coupling.")
    parser.add_argument("--N", type=integer(2, 200), default=10, help="spins (%(default)s)")
    parser.add_argument("--chi", type=integer(1, 512), default=32, help="bond dimension (%(default)s)")
    parser.add_argument("--sweeps", type=integer(1, 200), default=10, help="at most so many (%(default)s)")
    parser.add_argument("--J", type=real(-1e6, 1e6), nargs="+", default=[1.0], help="one coupling, or N - 1")
    args = parser.parse_args(argv)
    if len(args.J) not in (1, args.N - 1):
        parser.error(f"argument --J: {len(args.J)} couplings for {args.N} spins: give 1 or {args.N - 1}")
    J = args.J if len(args.J) == args.N - 1 else args.J * (args.N - 1)
    engine = nbg.Engine(jit=args.jit)

    def found() -> dict[str, Any]:
        with progress("sweeps", args.sweeps) as advance:
            ground = ground_state(J, args.chi, args.sweeps, engine=engine, progress=lambda _: advance())
        E, slopes = nbg.eval(ground.E, ground.E.grad(ground.J), engine=engine)
        known.append(correlations(ground.state))
        return {"E": float(E), "per_bond": float(E) / (args.N - 1), "dE_dJ": slopes.tolist()}

    known: list[Array] = []
    return run(parser, args, found, lambda r: report(r, known[0]), lambda f, r: draw(f, r, known[0]), engine)


def report(result: dict[str, Any], known: Array) -> None:
    print(f"E = {result['E']:.12f}, {result['per_bond']:.12f} a bond\n{'i':>4}  {'dE/dJ_i':>16}  {'<S_i.S_(i+1)>':>16}")
    for i, (slope, value) in enumerate(zip(result["dE_dJ"], known, strict=True)):
        print(f"{i:4}  {slope:16.12f}  {value:16.12f}")


def draw(figure: Any, result: dict[str, Any], known: Array) -> None:
    """The gradient, and the correlations that it must be."""
    left, right = figure.subplots(1, 2)
    slopes, bonds = np.array(result["dE_dJ"]), np.arange(1, len(known) + 1)
    left.plot(bonds, known, "k-", lw=1, label=r"$\langle S_i \cdot S_{i+1} \rangle$ of the state")
    left.plot(bonds, slopes, "o", mfc="none", label="dE/dJ through all sweeps")
    left.set(xlabel="bond i")
    left.legend()
    right.semilogy(bonds, np.maximum(abs(slopes - known), 1e-17), "o")
    right.set(xlabel="bond i", ylabel="difference")


if __name__ == "__main__":
    sys.exit(main())
