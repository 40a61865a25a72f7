"""Norms, bases of the range and the null space of a matrix, angles and rotations between spaces, by SciPy's signatures.

In: anything array-like. Out: `TracedTensor`s, not evaluated; how many vectors a basis has, the data decides.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from nbgraph import api, linalg
from nbgraph.errors import named
from nbgraph.linalg.least_squares import rounding_unit
from nbgraph.linalg.stacks import matrix
from nbgraph.promote import common, to_inexact
from nbgraph.scipy.linalg.keywords import adjoint, check_driver

if TYPE_CHECKING:
    from nbgraph.tensor import TracedTensor


@named
def norm(a: Any, ord: Any = None, axis: Any = None, keepdims: bool = False, check_finite: bool = True) -> TracedTensor:
    """As `nbg.linalg.norm`.

    >>> norm([3.0, 4.0]).item()
    5.0
    """
    return linalg.norm(a, ord, axis, keepdims)


@named
def orth(A: Any, rcond: Any = None) -> TracedTensor:
    """An orthonormal basis of the range of A[m, n]: as many columns as there are singular values above `rcond` (by
    default max(m, n) times the rounding unit) times the largest, a number that the data decides.

    >>> abs(orth([[2.0, 0.0], [0.0, 0.0]])).tolist()
    [[1.0], [0.0]]
    """
    u, s, _ = linalg.svd(A, full_matrices=False)
    return api.truncate(u, _rank(A, s, rcond), axis=1)


@named
def null_space(
    A: Any,
    rcond: Any = None,
    *,
    overwrite_a: bool = False,
    check_finite: bool = True,
    lapack_driver: str = "gesdd",
) -> TracedTensor:
    """An orthonormal basis of the null space of A[m, n], the columns that `orth` leaves out of the right vectors.

    >>> abs(null_space([[2.0, 0.0], [0.0, 0.0]])).tolist()
    [[0.0], [1.0]]
    """
    check_driver("null_space", lapack_driver, ("gesdd", "gesvd"))
    _, s, vh = linalg.svd(A)
    n, rank = vh.shape[0], _rank(A, s, rcond)
    return adjoint(api.flip(api.truncate(api.flip(vh, 0), n - rank, axis=0), 0))


@named
def orthogonal_procrustes(A: Any, B: Any, check_finite: bool = True) -> tuple[TracedTensor, TracedTensor]:
    """(R, scale): the unitary R[n, n] with the least norm of A @ R - B, for A and B[m, n]; the nuclear norm of A^H B.

    R is the unitary polar factor of A^H B (Schoenemann, Psychometrika 31, 1 (1966)), which has a derivative where that
    has full rank.

    >>> orthogonal_procrustes([[1.0, 0.0], [0.0, 1.0]], [[0.0, 2.0], [-1.0, 0.0]])[1].item()
    3.0
    """
    a, b = (matrix("orthogonal_procrustes", to_inexact(x), k) for k, x in enumerate(common(A, B)))
    between = adjoint(a) @ b
    return linalg.polar(between)[0], linalg.matrix_norm(between, ord="nuc")


@named
def subspace_angles(A: Any, B: Any) -> TracedTensor:
    """The principal angles between the spaces of the columns of A[m, n] and B[m, k], the largest first, min(n, k) of
    them; NaN unless the columns of each are independent.

    By cosines where those are small and by sines where these are (Knyazev and Argentati, SIAM J. Sci. Comput. 23, 2008
    (2002)).

    >>> bool(abs(subspace_angles([[1.0], [0.0]], [[1.0], [1.0]])[0] - np.pi / 4) < 1e-15)
    True
    """
    a, b = (matrix("subspace_angles", to_inexact(x), k) for k, x in enumerate(common(A, B)))
    if a.shape[-1] < b.shape[-1]:
        a, b = b, a
    (qa, is_basis), (qb, is_other) = _basis(a), _basis(b)
    cosine = api.flip(linalg.svdvals(adjoint(qa) @ qb), -1)
    sine = linalg.svdvals(qb - qa @ (adjoint(qa) @ qb))
    by_sine = cosine * cosine >= 0.5
    small = api.arcsin(api.where(by_sine, sine, 0))
    large = api.arccos(api.where(by_sine, 0, cosine))
    independent = api.logical_and(is_basis, is_other)
    return api.where(api.expand_dims(independent, -1), api.where(by_sine, small, large), np.nan)


def _basis(x: TracedTensor) -> tuple[TracedTensor, TracedTensor]:
    """Orthonormal columns that span what those of x[..., m, n] do, and whether those are independent."""
    q, r = linalg.qr(x)
    if x.shape[-1] > x.shape[-2]:
        return q, api.zeros(x.shape[:-2], bool)
    size = api.abs(api.diagonal(r, axis1=-2, axis2=-1))
    return q, api.min(size, -1) > api.max(size, -1) * rounding_unit(x)


def _rank(A: Any, s: TracedTensor, rcond: Any) -> TracedTensor:
    """How many singular values count."""
    x = matrix("rank", A)
    unit = rounding_unit(x) if rcond is None else rcond
    return api.sum(s > api.max(s, initial=0.0) * unit)
