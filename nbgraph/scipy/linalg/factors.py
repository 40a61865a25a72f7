"""Factors of matrices with SciPy's signatures and defaults: the upper Cholesky factor, the square Q.

In: anything array-like; matrices are the last two axes. Out: `TracedTensor`s, not evaluated, or tuples of them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from nbgraph import api, linalg
from nbgraph.errors import named
from nbgraph.scipy.linalg.keywords import refuse

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
