"""Pseudo-inverses, least squares and rank: what is made with singular values above a cutoff.

In: anything array-like; matrices are the last two axes, batch dimensions broadcast; integers and booleans become
float64. Out: a `TracedTensor`, or a named tuple of them.
Holds: derivatives take the rank to stay as it is, and divide by no gap of singular values.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from nbgraph import api
from nbgraph.api import matrix_transpose, stop_gradient
from nbgraph.dims import dim_max, dim_min
from nbgraph.errors import ShapeError, named
from nbgraph.linalg.spectra import eigh, eigvalsh
from nbgraph.linalg.stacks import matrix, square, system
from nbgraph.promote import apply, operand

if TYPE_CHECKING:
    from nbgraph.tensor import TracedTensor

_DEFAULT = object()


class LstsqResult(NamedTuple):
    """Solution, sums of squared residuals, rank, singular values: NumPy's tuple."""

    x: TracedTensor
    residuals: TracedTensor
    rank: TracedTensor
    s: TracedTensor


@named
def pinv(a: Any, rcond: Any = None, hermitian: bool = False, *, rtol: Any = _DEFAULT) -> TracedTensor:
    """The pseudo-inverses [..., n, m] of a[..., m, n].

    Singular values of at most `rcond` (or `rtol`, its other name) times the largest count as zero: by default 1e-15
    as in NumPy; with `rtol=None` max(m, n) times the rounding unit. It is a number, or an array of the batch's shape.
    With `hermitian` a is Hermitian, and so are gradients.

    >>> pinv([[2.0, 0.0], [0.0, 0.0]]).tolist()
    [[0.5, 0.0], [0.0, 0.0]]
    """
    a = square("pinv", a) if hermitian else matrix("pinv", a)
    if rcond is None:
        rcond = 1e-15 if rtol is _DEFAULT else rounding_unit(a) if rtol is None else rtol
    elif rtol is not _DEFAULT:
        raise ShapeError("`rcond` and `rtol` are one", operation="pinv", position="rtol", got=rtol, wanted="only one")
    u, s, vh = _factors(stop_gradient(a), hermitian)
    return _pinv(a, u, _inverse(s, rcond), vh, hermitian)


@named
def lstsq(a: Any, b: Any, rcond: Any = None) -> LstsqResult:
    """The shortest x for which |a @ x - b| is least, for a[..., m, n] and b[m] or b[..., m, k]; and what NumPy tells.

    Singular values below `rcond` times the largest count as zero, by default max(m, n) times the rounding unit; -1 is
    the rounding unit. `residuals` are the sums of squares of b - a @ x, [..., k] ([1] for one vector), if m > n, else
    none; unlike in NumPy they are there where a has not the full rank, which is known only when the program runs.

    >>> api.abs(lstsq([[1.0], [1.0]], [1.0, 3.0]).x - 2.0).item() < 1e-15
    True
    """
    a, b, is_vector = system("lstsq", a, b)
    rows, wanted = a.type.shape[-2], b.type.shape[-2]
    if isinstance(rows, int) and isinstance(wanted, int) and rows != wanted:
        raise ShapeError("sizes differ", operation="lstsq", position=1, got=b.type.shape, wanted=f"{rows} rows")
    if rcond is None:
        rcond = rounding_unit(a)
    elif isinstance(rcond, int | float) and rcond == -1:
        rcond = np.finfo(a.dtype).eps
    u, s, vh = apply("svd", a, full=False, broadening=0.0)
    inverse = _inverse(stop_gradient(s), rcond)
    left, right = stop_gradient(u), stop_gradient(vh)
    p = _pinv(a, left, inverse, right, False)
    along = api.astype(api.expand_dims(inverse, -1), a.dtype) * (_adjoint(left) @ stop_gradient(b))
    x = apply("least_squares", a, b, p, _adjoint(right) @ along)
    residuals = _residuals(a, b, x)
    rank = api.sum(api.astype(inverse != 0, "int64"), -1)
    return LstsqResult(api.squeeze(x, -1) if is_vector else x, residuals, rank, s)


def _residuals(a: TracedTensor, b: TracedTensor, x: TracedTensor) -> TracedTensor:
    m, n = a.type.shape[-2:]
    if isinstance(m, int) and isinstance(n, int) and m <= n:
        return api.zeros((0,), api.real(x).dtype)
    found = api.sum(api.square(api.abs(b - a @ x)), -2)
    if isinstance(m, int) and isinstance(n, int):
        return found
    is_tall = dim_min(dim_max(m - n, 0), 1)
    return found[..., : found.type.shape[-1] * is_tall]


@named
def matrix_rank(A: Any, tol: Any = None, hermitian: bool = False, *, rtol: Any = None) -> TracedTensor:
    """How many singular values of A[..., m, n] are more than `tol`; of a vector 1, or 0 if all is zero.

    `tol` is max(m, n) times the rounding unit times the largest one by default, or `rtol` times that one.

    >>> matrix_rank([[1.0, 2.0], [2.0, 4.0]]).item()
    1
    """
    if operand(A).type.ndim < 2:
        return api.astype(api.any(operand(A) != 0), "int64")
    a = square("matrix_rank", A) if hermitian else matrix("matrix_rank", A)
    s = api.abs(eigvalsh(a)) if hermitian else apply("svdvals", a)
    if tol is None:
        limit = _largest(s) * _last(rounding_unit(a) if rtol is None else rtol)
    elif rtol is not None:
        raise ShapeError(
            "`tol` and `rtol` exclude each other",
            operation="matrix_rank",
            position="rtol",
            got=rtol,
            wanted="one of them",
        )
    else:
        limit = _last(tol)
    return api.sum(api.astype(s > limit, "int64"), -1)


# -- pieces -----------------------------------------------------------------------------------------------------------


def _factors(a: TracedTensor, hermitian: bool) -> Any:
    """u, s, vh with a = u diag(s) vh; eigenvalues of either sign if it is Hermitian."""
    if not hermitian:
        return apply("svd", a, full=False, broadening=0.0)
    w, v = eigh(a)
    return v, w, _adjoint(v)


def _pinv(a: TracedTensor, u: TracedTensor, inverse: TracedTensor, vh: TracedTensor, hermitian: bool) -> TracedTensor:
    row = api.astype(api.expand_dims(inverse, -2), a.dtype)
    made: TracedTensor = apply("pseudo_inverse", a, (_adjoint(vh) * row) @ _adjoint(u), hermitian=bool(hermitian))
    return made


def _inverse(s: TracedTensor, rcond: Any) -> TracedTensor:
    """1/s, and 0 where s counts as zero."""
    is_kept = api.abs(s) > _largest(s) * _last(rcond)
    return api.where(is_kept, 1 / api.where(is_kept, s, 1), 0)


def _largest(s: TracedTensor) -> TracedTensor:
    """max |s| over the last axis, which stays; 0 if there is none."""
    zero = api.zeros((*s.type.shape[:-1], 1), s.dtype)
    return api.max(api.concatenate([api.abs(s), zero], -1), -1, keepdims=True)


def rounding_unit(a: TracedTensor) -> Any:
    """max(m, n) times the rounding unit."""
    return dim_max(*a.type.shape[-2:]) * api.asarray(np.finfo(a.dtype).eps)


def _last(x: Any) -> Any:
    """A number as it is, an array of the batch's shape with one more axis."""
    return x if isinstance(x, int | float) else api.expand_dims(operand(x), -1)


def _adjoint(a: TracedTensor) -> TracedTensor:
    return api.conj(matrix_transpose(a))
