"""Systems, inverses and pseudo-inverses with SciPy's signatures.

In: anything array-like; matrices are the last two axes. Out: `TracedTensor`s, not evaluated.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from nbgraph import api, fft, linalg
from nbgraph.errors import ShapeError, named
from nbgraph.linalg.least_squares import rounding_unit
from nbgraph.linalg.stacks import lower as lower_part
from nbgraph.linalg.stacks import matrix, upper
from nbgraph.promote import common, to_inexact
from nbgraph.scipy.linalg.keywords import assumed, check_driver, refuse

if TYPE_CHECKING:
    from nbgraph.tensor import TracedTensor


@named
def solve(
    a: Any,
    b: Any,
    lower: bool = False,
    overwrite_a: bool = False,
    overwrite_b: bool = False,
    check_finite: bool = True,
    assume_a: Any = None,
    transposed: bool = False,
) -> TracedTensor:
    """x with a @ x = b, or a.T @ x = b if `transposed`. `assume_a` names a structure; then only what that needs is
    read, of symmetric matrices the `lower` or the upper triangle.

    >>> solve([[4.0, 99.0], [0.0, 4.0]], [2.0, 4.0], lower=True, assume_a="pos").tolist()
    [0.5, 1.0]
    """
    structure, x = assumed("solve", a, assume_a, lower)
    if structure in ("upper triangular", "lower triangular"):
        trans = "T" if transposed else "N"
        return linalg.solve_triangular(x, b, trans=trans, lower=structure == "lower triangular")
    if structure == "diagonal":
        entries, right = common(api.diagonal(x, 0, -2, -1), b)
        return api.divide(right, entries if right.ndim == 1 else api.expand_dims(entries, -1))
    x = api.matrix_transpose(x) if transposed else x
    if structure == "positive definite":
        return linalg.cho_solve(linalg.cho_factor(x, lower=True), b)
    return linalg.solve(x, b)


@named
def inv(
    a: Any, overwrite_a: bool = False, check_finite: bool = True, *, assume_a: Any = None, lower: bool = False
) -> TracedTensor:
    """The inverse; `assume_a` and `lower` as for `solve`.

    >>> inv([[2.0]]).tolist()
    [[0.5]]
    """
    structure, x = assumed("inv", a, assume_a, lower)
    if structure == "upper triangular":
        x = upper(x)
    elif structure == "lower triangular":
        x = lower_part(x, diagonal=True)
    elif structure == "diagonal":
        x = x * api.eye(x.shape[-1], dtype=x.dtype)
    return linalg.inv(x)


@named
def det(a: Any, overwrite_a: bool = False, check_finite: bool = True) -> TracedTensor:
    """The determinant.

    >>> det([[2.0]]).item()
    2.0
    """
    return linalg.det(a)


@named
def lstsq(
    a: Any,
    b: Any,
    cond: Any = None,
    overwrite_a: bool = False,
    overwrite_b: bool = False,
    check_finite: bool = True,
    lapack_driver: Any = None,
) -> Any:
    """(x, residuals, rank, s) of least squares; singular values below `cond` times the largest count as zero, by
    default the rounding unit.

    >>> lstsq([[2.0]], [4.0])[0].tolist()
    [2.0]
    """
    check_driver("lstsq", lapack_driver, (None, "gelsd", "gelsy", "gelss"))
    return linalg.lstsq(a, b, -1 if cond is None else cond)


@named
def pinv(a: Any, *, atol: Any = None, rtol: Any = None, return_rank: bool = False, check_finite: bool = True) -> Any:
    """The pseudo-inverse; singular values up to atol + rtol times the largest count as zero, by default max(m, n) times
    the rounding unit. With `return_rank` the pair of it and the rank.

    >>> pinv([[2.0], [0.0]]).tolist()
    [[0.5, 0.0]]
    """
    return _pseudo("pinv", matrix("pinv", a), atol, rtol, return_rank, False)


@named
def pinvh(
    a: Any,
    atol: Any = None,
    rtol: Any = None,
    lower: bool = True,
    return_rank: bool = False,
    check_finite: bool = True,
) -> Any:
    """`pinv` of Hermitian matrices; only their `lower` triangle is read, or the upper one.

    >>> pinvh([[2.0, 99.0], [0.0, 0.0]]).tolist()
    [[0.5, 0.0], [0.0, 0.0]]
    """
    return _pseudo("pinvh", assumed("pinvh", a, "hermitian", lower)[1], atol, rtol, return_rank, True)


def _pseudo(name: str, x: TracedTensor, atol: Any, rtol: Any, return_rank: bool, hermitian: bool) -> Any:
    if rtol is None:
        rtol = 0.0 if atol is not None else rounding_unit(x)
    if atol is None and not return_rank:
        return linalg.pinv(x, rtol=rtol, hermitian=hermitian)
    s = api.stop_gradient(linalg.svdvals(x))
    largest = api.max(s, -1)
    limit = rtol * largest + (0.0 if atol is None else atol)
    made = linalg.pinv(
        x, rtol=api.where(largest == 0, 1.0, limit / api.where(largest == 0, 1.0, largest)), hermitian=hermitian
    )
    return (made, api.sum(s > api.expand_dims(limit, -1), -1)) if return_rank else made


@named
def solve_triangular(
    a: Any,
    b: Any,
    trans: int | str = 0,
    lower: bool = False,
    unit_diagonal: bool = False,
    overwrite_b: bool = False,
    check_finite: bool = True,
) -> TracedTensor:
    """As `nbg.linalg.solve_triangular`.

    >>> solve_triangular([[2.0]], [4.0]).tolist()
    [2.0]
    """
    return linalg.solve_triangular(a, b, trans, lower, unit_diagonal)


@named
def solve_circulant(
    c: Any, b: Any, singular: str = "raise", tol: Any = None, caxis: int = -1, baxis: int = 0, outaxis: int = 0
) -> TracedTensor:
    """x with circulant(c) @ x = b along `baxis`, by Fourier transforms; other axes broadcast.

    What the transform of c has that is not larger than `tol` (by default its length times the rounding unit times the
    largest) is 0: with singular "raise" a `LinAlgError` at the eval, with "lstsq" the shortest of least squares.

    >>> solve_circulant([1.0, 0.0, 1.0], [3.0, 1.0, 2.0]).round(12).tolist()
    [2.0, 1.0, 0.0]
    """
    if singular not in ("raise", "lstsq"):
        refuse("solve_circulant", "singular", singular, "'raise' or 'lstsq'")
    column, right = (to_inexact(x) for x in common(c, b))
    given, wanted = fft.fft(api.moveaxis(column, caxis, -1)), fft.fft(api.moveaxis(right, baxis, -1))
    if column.shape[caxis] != right.shape[baxis]:
        told: Any = {"got": f"{column.shape} and {right.shape}", "wanted": f"as many along {caxis} as along {baxis}"}
        raise ShapeError("sizes differ", operation="solve_circulant", position=1, **told)
    size = api.abs(given)
    unit = given.shape[-1] * np.finfo(given.dtype).eps
    none = size <= (api.max(size, -1, keepdims=True, initial=0.0) * unit if tol is None else tol)
    if singular == "raise":
        # systems of one equation: a zero is told, and where
        entries = api.broadcast_arrays(api.where(none, 0, given), wanted)
        quotient = linalg.solve(*(x[..., None, None] for x in entries))[..., 0, 0]
    else:
        quotient = api.where(none, 0, wanted / api.where(none, 1, given))
    x = fft.ifft(quotient)
    return api.moveaxis(x if column.type.is_complex else api.real(x), -1, outaxis)
