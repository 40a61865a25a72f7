"""Two-site DMRG with a bond dimension that grows from sweep to sweep, over any library with NumPy's names.

In: a module `xp`; what is compiled or evaluated where is the business of the implementations. Out: the energy after
each sweep.
Holds: how many singular values are kept depends on the data. What is compared is the algorithm below in every library:

    x = A_i A_(i+1), moved to the lowest vector in the space of x, H x, ..., H^3 x (made orthogonal twice);
    x = U S V, cut to min(chi, number of S / S_0 > 1e-8); the centre moves on.

The chain is open, H = sum S_i.S_(i+1), S = 1/2, as a product of matrices W[k, l, s, s'] (`nbgraph.examples.dmrg`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

KRYLOV = 4
SMALLEST = 1e-8

ONE, SZ, UP = np.eye(2), np.diag([0.5, -0.5]), np.array([[0.0, 1.0], [0.0, 0.0]])
W = np.zeros((5, 5, 2, 2))
W[0, 0], W[1, 4], W[2, 4], W[3, 4], W[4, 4] = ONE, UP.T, UP, SZ, ONE
W[0, 1], W[0, 2], W[0, 3] = UP / 2, UP.T / 2, SZ


class Data(NamedTuple):
    """The first state (N tensors [a, s, b] of bond dimension 2), the blocks at its ends, and chi for each sweep."""

    state: list[np.ndarray]
    left: np.ndarray
    right: np.ndarray
    chis: list[int]


class Parts(NamedTuple):
    """What an implementation makes of the functions below."""

    solve: Callable[..., Any]
    split: Callable[..., Any]
    grow_left: Callable[..., Any]
    grow_right: Callable[..., Any]


def data_for(chi: int, sites: int) -> Data:
    """The same for everybody. Two sweeps at the largest chi."""
    rng = np.random.default_rng(sites)
    sizes = [1, *[2] * (sites - 1), 1]
    state = [rng.standard_normal((sizes[i], 2, sizes[i + 1])) for i in range(sites)]
    chis = [2**k for k in range(1, chi.bit_length()) if 2**k < chi]
    return Data(state, np.eye(5)[0].reshape(1, 5, 1), np.eye(5)[4].reshape(1, 5, 1), [*chis, chi, chi])


def run(parts: Parts, data: Data, array: Callable[[np.ndarray], Any]) -> list[float]:
    """The energy after each sweep; `array` brings an array into the library."""
    A, N = [array(x / np.linalg.norm(x)) for x in data.state], len(data.state)
    L, R = [array(data.left)] * N, [array(data.right)] * N
    for i in range(N - 1, 1, -1):
        R[i - 1] = parts.grow_right(R[i], A[i])
    energies = []
    for chi in data.chis:
        for i in range(N - 2):
            E, x = parts.solve(L[i], R[i + 1], A[i], A[i + 1])
            A[i], A[i + 1] = parts.split(x, chi, True)
            L[i + 1] = parts.grow_left(L[i], A[i])
        for i in range(N - 2, -1, -1):
            E, x = parts.solve(L[i], R[i + 1], A[i], A[i + 1])
            A[i], A[i + 1] = parts.split(x, chi, False)
            R[i] = parts.grow_right(R[i + 1], A[i + 1])
        energies.append(float(E))
    return energies


# -- the parts --------------------------------------------------------------------------------------------------------


def solve(xp: Any, w: Any, L: Any, R: Any, A: Any, B: Any) -> tuple[Any, Any]:
    """The lowest energy in the Krylov space of A B, and its vector."""
    v, basis, images = xp.tensordot(A, B, 1), [], []
    for _ in range(KRYLOV):
        for _ in range(2):
            v = v / (xp.linalg.norm(v) + 1e-300)
            for u in basis:
                v = v - xp.sum(u * v) * u
        basis.append(v / (xp.linalg.norm(v) + 1e-300))
        v = apply(xp, w, L, R, basis[-1])
        images.append(v)
    rows, columns = xp.stack(basis), xp.stack(images)
    H = xp.einsum("kastb,lastb->kl", rows, columns)
    energies, y = xp.linalg.eigh((H + H.T) / 2)
    return energies[0], xp.tensordot(y[:, 0], rows, 1)


def apply(xp: Any, w: Any, L: Any, R: Any, x: Any) -> Any:
    """H x, one factor after the other."""
    y = xp.tensordot(L, x, ([2], [0]))  # a k S T B
    y = xp.tensordot(w, y, ([0, 3], [1, 2]))  # l s a T B
    y = xp.tensordot(w, y, ([0, 3], [0, 3]))  # m t s a B
    y = xp.tensordot(y, R, ([0, 4], [1, 2]))  # t s a b
    return xp.transpose(y, (2, 1, 0, 3))


def factors(xp: Any, x: Any) -> tuple[Any, Any, Any]:
    """U, S, V of x[(a, s), (t, b)]."""
    a, s, t, b = x.shape
    found: tuple[Any, Any, Any] = xp.linalg.svd(xp.reshape(x, (a * s, t * b)), full_matrices=False)
    return found


def grow_left(xp: Any, w: Any, L: Any, A: Any) -> Any:
    """L with one more site in it."""
    y = xp.tensordot(L, A, ([2], [0]))  # a k S B
    y = xp.tensordot(w, y, ([0, 3], [1, 2]))  # l s a B
    return xp.transpose(xp.tensordot(y, A, ([2, 1], [0, 1])), (2, 0, 1))


def grow_right(xp: Any, w: Any, R: Any, A: Any) -> Any:
    """R with one more site in it."""
    y = xp.tensordot(A, R, ([2], [2]))  # a S b m -> A S b l
    y = xp.tensordot(y, w, ([1, 3], [3, 1]))  # A b k s
    return xp.transpose(xp.tensordot(A, y, ([2, 1], [1, 3])), (0, 2, 1))
