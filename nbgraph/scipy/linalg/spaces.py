"""Norms, and bases of the range and the null space of a matrix, with SciPy's signatures.

In: anything array-like. Out: `TracedTensor`s, not evaluated; how many vectors a basis has, the data decides.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from nbgraph import api, linalg
from nbgraph.errors import named
from nbgraph.linalg.least_squares import rounding_unit
from nbgraph.linalg.stacks import matrix
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


def _rank(A: Any, s: TracedTensor, rcond: Any) -> TracedTensor:
    """How many singular values count."""
    x = matrix("rank", A)
    unit = rounding_unit(x) if rcond is None else rcond
    return api.sum(s > api.max(s, initial=0.0) * unit)
