"""Factors of matrices with SciPy's signatures and defaults: the upper Cholesky factor, the square Q.

In: anything array-like; matrices are the last two axes. Out: `TracedTensor`s, not evaluated, or tuples of them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from nbgraph import api, linalg
from nbgraph.errors import ShapeError, named
from nbgraph.linalg.stacks import matrix, square
from nbgraph.scipy.linalg.keywords import adjoint, refuse

if TYPE_CHECKING:
    from nbgraph.tensor import TracedTensor


@named
def cholesky(a: Any, lower: bool = False, overwrite_a: bool = False, check_finite: bool = True) -> TracedTensor:
    """The Cholesky factor; the upper one by default, a = U^H @ U.

    >>> cholesky([[4.0, 2.0], [2.0, 5.0]]).tolist()
    [[2.0, 1.0], [0.0, 2.0]]
    """
    return linalg.cholesky(a, upper=not lower)


@named
def cho_factor(a: Any, lower: bool = False, overwrite_a: bool = False, check_finite: bool = True) -> Any:
    """(c, lower) for `cho_solve`.

    >>> cho_factor([[4.0]])[0].tolist()
    [[2.0]]
    """
    return linalg.cho_factor(a, lower)


@named
def cho_solve(c_and_lower: Any, b: Any, overwrite_b: bool = False, check_finite: bool = True) -> TracedTensor:
    """x with a @ x = b, given `cho_factor(a)`.

    >>> cho_solve(cho_factor([[4.0]]), [8.0]).tolist()
    [2.0]
    """
    return linalg.cho_solve(c_and_lower, b)


@named
def qr(
    a: Any,
    overwrite_a: bool = False,
    lwork: Any = None,
    mode: str = "full",
    pivoting: bool = False,
    check_finite: bool = True,
) -> Any:
    """(Q, R): square Q with mode "full", min(m, n) columns with "economic"; with "r" the tuple (R,).

    >>> [x.shape for x in qr([[3.0], [4.0]])]
    [(2, 2), (2, 1)]
    """
    if pivoting:
        refuse("qr", "pivoting", pivoting, "False")
    if mode not in ("full", "r", "economic"):
        refuse("qr", "mode", mode, "'full', 'r' or 'economic'")
    q, r = linalg.qr(a, "reduced" if mode == "economic" else "complete")
    return (r,) if mode == "r" else (q, r)


@named
def lu(
    a: Any, permute_l: bool = False, overwrite_a: bool = False, check_finite: bool = True, p_indices: bool = False
) -> Any:
    """(p, l, u) with a = p @ l @ u; with `p_indices` p is a vector, a = l[p] @ u; with `permute_l` (p @ l, u).

    >>> [x.tolist() for x in lu([[1.0, 2.0], [2.0, 2.0]], p_indices=True)]
    [[1, 0], [[1.0, 0.0], [0.5, 1.0]], [[2.0, 2.0], [0.0, 1.0]]]
    """
    if permute_l:
        return linalg.lu(a, True)
    p, left, right = linalg.lu(a)
    return (api.argmax(p, -1) if p_indices else p), left, right


@named
def lu_factor(a: Any, overwrite_a: bool = False, check_finite: bool = True) -> Any:
    """(lu, piv) for `lu_solve`.

    >>> lu_factor([[2.0]])[0].tolist()
    [[2.0]]
    """
    return linalg.lu_factor(a)


@named
def lu_solve(
    lu_and_piv: Any, b: Any, trans: int = 0, overwrite_b: bool = False, check_finite: bool = True
) -> TracedTensor:
    """x with a @ x = b, given `lu_factor(a)`.

    >>> lu_solve(lu_factor([[2.0]]), [4.0]).tolist()
    [2.0]
    """
    return linalg.lu_solve(lu_and_piv, b, trans)


@named
def schur(
    a: Any,
    output: str = "real",
    lwork: Any = None,
    overwrite_a: bool = False,
    sort: Any = None,
    check_finite: bool = True,
) -> Any:
    """(T, Z), not sorted; see `nbg.linalg.schur`.

    >>> schur([[2.0]])[0].tolist()
    [[2.0]]
    """
    if sort is not None:
        refuse("schur", "sort", sort, "None")
    return linalg.schur(a, output)


@named
def rq(a: Any, overwrite_a: bool = False, lwork: Any = None, mode: str = "full", check_finite: bool = True) -> Any:
    """(R, Q) with a = R @ Q, R upper triangular at its right edge, rows of Q orthonormal; by QR of the matrix turned
    round. Q is square with mode "full", has min(m, n) rows with "economic"; "r" gives R alone, as "full" has it.

    >>> [x.shape for x in rq([[3.0, 4.0]])]
    [(1, 2), (2, 2)]
    """
    if mode not in ("full", "r", "economic"):
        refuse("rq", "mode", mode, "'full', 'r' or 'economic'")
    turned = adjoint(api.flip(matrix("rq", a), (-2, -1)))
    q, r = linalg.qr(turned, "reduced" if mode == "economic" else "complete")
    right = api.flip(adjoint(r), (-2, -1))
    return right if mode == "r" else (right, api.flip(adjoint(q), (-2, -1)))


@named
def hessenberg(a: Any, calc_q: bool = False, overwrite_a: bool = False, check_finite: bool = True) -> Any:
    """H, or (H, Q), with a = Q @ H @ Q^H for a[..., n, n]: H is zero below the diagonal next to the main one, the first
    column of Q is that of the identity. n is known; recorded as n - 2 reflections, one more of a complex matrix, whose
    diagonal beside the main one becomes real (LAPACK xGEHD2).

    >>> bool(abs(hessenberg([[1.0, 2.0, 0.0], [3.0, 0.0, 0.0], [4.0, 0.0, 0.0]])[1, 0] + 5.0) < 1e-14)
    True
    """
    h = square("hessenberg", a)
    n = h.shape[-1]
    if not isinstance(n, int):
        raise ShapeError("size not known", operation="hessenberg", position=0, got=h.shape, wanted="a known size")
    q = api.broadcast_to(api.eye(n, dtype=h.dtype), h.shape)
    for k in range(n - 1 if h.type.is_complex else n - 2):
        u, factor = _reflection(h[..., k], k + 1)
        outer = api.expand_dims(u, -1) * api.expand_dims(api.conj(u), -2)
        change = outer * api.expand_dims(factor, (-2, -1))
        h = h - adjoint(change) @ h
        h = h - h @ change
        q = q - q @ change
    h = api.triu(h, -1)
    return (h, q) if calc_q else h


def _reflection(x: Any, at: int) -> Any:
    """u and t with (1 - t u u^H)^H x zero after place `at` and real there, as xLARFG chooses; t 0 where it is so."""
    place = np.arange(x.shape[-1])
    alpha, after = x[..., at], api.where(place > at, x, 0)
    rest = api.sum(api.abs(after) ** 2, -1) + api.imag(alpha) ** 2
    done = rest == 0
    beta = -api.copysign(api.sqrt(api.where(done, 1, rest + api.real(alpha) ** 2)), api.real(alpha))
    factor = api.where(done, 0, -1 / (beta * api.conj(alpha - beta)))
    return after + (place == at) * api.expand_dims(alpha - beta, -1), factor
