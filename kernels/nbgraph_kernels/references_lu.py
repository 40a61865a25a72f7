"""The kernels of `lapack_lu` again, in plain SciPy.

In:    arrays [..., m, n] of float32, float64, complex64 or complex128; pivots of int32.
Out:   new C-contiguous arrays, the same bits that the kernels give.
Holds: the same routines on the same layouts. numba is not imported.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import scipy.linalg

Array = np.ndarray[Any, Any]


def _members(batch: Sequence[int]) -> Iterable[tuple[int, ...]]:
    """The indices of a batch; of one matrix in less than the time of `np.ndindex`."""
    return np.ndindex(*batch) if batch else ((),)


def reference_lu_factor(a: Array) -> tuple[Array, Array, Array]:
    """(lu, pivots, info) of every member of a batch, by xGETRF; pivots are counted from 0."""
    *batch, m, n = a.shape
    lu, pivots = np.empty_like(a, order="C"), np.empty((*batch, min(m, n)), np.int32)
    info = np.zeros(batch, np.int32)
    if pivots.shape[-1]:
        (getrf,) = scipy.linalg.get_lapack_funcs(("getrf",), dtype=a.dtype)
        for index in _members(batch):
            lu[index], pivots[index], info[index] = getrf(np.asfortranarray(a[index]))
    return lu, pivots, info


def reference_regular_factors(a: Array) -> tuple[Array, Array]:
    """(lu, pivots) of square matrices. Raises `numpy.linalg.LinAlgError` if one is singular."""
    lu, pivots, info = reference_lu_factor(a)
    failed = info[info != 0]
    if failed.size:
        error = np.linalg.LinAlgError(f"singular matrix (LAPACK info {failed[0]})")
        error.info = failed[0]  # type: ignore[attr-defined]
        raise error
    return lu, pivots


def reference_exchange_rows(a: Array, pivots: Array, backward: bool) -> Array:
    """a with row i exchanged with row pivots[i], for i ascending, or descending if `backward`.

    Raises `numpy.linalg.LinAlgError` if there is no such row.
    """
    x, m = np.array(a, order="C"), a.shape[-2]
    for index in _members(x.shape[:-2]):
        order, to = list(range(m)), pivots[index].tolist()
        if to and not (min(to) >= 0 and max(to) < max(m, 1)):
            raise np.linalg.LinAlgError("a pivot is outside of the matrix")
        steps = range(len(to))
        for i in reversed(steps) if backward else steps:
            order[i], order[to[i]] = order[to[i]], order[i]
        x[index] = a[index][order]
    return x


def reference_packed_solve(t: Array, b: Array, upper: bool, adjoint: bool) -> Array:
    """x with op(T) x = b, by xTRSM, of one real vector by xTRSV: T is the upper triangle of t, or the lower one with a
    unit diagonal."""
    x = np.array(b, order="C")
    if x.shape[-1] == 1 and x.size and t.dtype.kind == "f":
        (trsv,) = scipy.linalg.get_blas_funcs(("trsv",), dtype=t.dtype)
        for index in _members(x.shape[:-2]):
            matrix = np.ascontiguousarray(t[index]).T
            x[index][:, 0] = trsv(matrix, x[index][:, 0], lower=upper, trans=not adjoint, diag=not upper)
    elif x.size:
        (trsm,) = scipy.linalg.get_blas_funcs(("trsm",), dtype=t.dtype)
        form = {"side": 1, "lower": upper, "trans_a": 2 if adjoint else 0, "diag": not upper}
        for index in _members(x.shape[:-2]):
            x[index] = trsm(1, np.ascontiguousarray(t[index]).T, x[index].T, **form).T
    return x


def reference_inv(a: Array) -> Array:
    """The inverse of every member of a batch, by xGESV. Raises `numpy.linalg.LinAlgError` if one is singular."""
    x = np.empty_like(a, order="C")
    if x.size:
        (gesv,) = scipy.linalg.get_lapack_funcs(("gesv",), dtype=a.dtype)
        identity = np.eye(a.shape[-1], dtype=a.dtype, order="F")
        for index in _members(a.shape[:-2]):
            _, _, x[index], info = gesv(np.asfortranarray(a[index]), identity)
            if info:
                error = np.linalg.LinAlgError(f"singular matrix (LAPACK info {info})")
                error.info = info  # type: ignore[attr-defined]
                raise error
    return x
