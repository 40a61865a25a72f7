"""Batched LAPACK drivers on row-major matrices.

In:    words after the external's address. `solve`: x, a, b, nbatch, n, nrhs, workspace; a [nbatch, n, n],
       b and x [nbatch, n, nrhs]. `eigh`: w, v, a, nbatch, n, workspace; w real [nbatch, n], v and a
       [nbatch, n, n], of which the lower triangle is read. All C-contiguous; sizes of the workspace are in
       `sizes`.
Out:   x; or w, ascending, and v, whose columns are the eigenvectors. Status: 0, or LAPACK's INFO of the
       first member of the batch that failed, after which none is done, n for an eigenvalue problem that is not
       finite (which some builds of LAPACK do not come back from); -1 if n does not fit LAPACK's 32 bit integers.
Holds: a and b are left as they are. The drivers see what `scipy.linalg.lapack` would give them: a
       column-major copy (of which columns may lie further apart) and the same LWORK, so results are `references`'
       to the bit (eigenvectors are unique only up to a phase). What `small_hermitian` can do the driver is not asked
       for.
Source: LAPACK xGESV, xSYEVD, xHEEVD.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from . import copies, sizes
from .language import helper
from .small_hermitian import hermitian
from .words import ELEMENTS, POINTERS, fortran, slot

_LIMIT = 2**31 - 1
_EVD_LIMIT = 32_766  # the last n whose LWORK, 2 n^2 + 6 n + 1, is a 32 bit integer
_REAL_OF = {"f4": "f4", "f8": "f8", "c8": "f4", "c16": "f8"}

_leading = helper(sizes.leading)
_syevd_work = helper(sizes.syevd_work)
_heevd_work = helper(sizes.heevd_work)
_heevd_real_work = helper(sizes.heevd_real_work)
_integer_work = helper(sizes.evd_integer_work)


def build(name: str, dtype: str) -> Callable[[Any], int]:
    """The Python function of `solve` or `eigh` for elements of `dtype`."""
    if name == "solve":
        return _solve(dtype)
    return _syevd(dtype) if dtype in ("f4", "f8") else _heevd(dtype)


def _solve(dtype: str) -> Callable[[Any], int]:
    elements, integers = POINTERS[dtype], POINTERS["i4"]
    size = ELEMENTS[dtype].bitwidth // 8

    def solve(w: Any) -> int:
        nbatch, n, nrhs = w[4], w[5], w[6]
        if n > _LIMIT or nrhs > _LIMIT:
            return -1
        if n == 0 or nrhs == 0:
            return 0
        lead = _leading(n, size)
        matrix, right = w[7], w[7] + lead * n * size
        pivots = right + lead * nrhs * size
        apart = slot(np.int32(lead))
        order, columns, info = slot(np.int32(n)), slot(np.int32(nrhs)), slot(np.int32(0))
        for member in range(nbatch):
            copies.transpose_rows(elements(matrix), lead, elements(w[2] + member * n * n * size), n, n, n)
            copies.transpose_rows(elements(right), lead, elements(w[3] + member * n * nrhs * size), nrhs, n, nrhs)
            fortran(w[0], (order, columns, matrix, apart, pivots, right, apart, info))
            if integers(info)[0] != 0:
                return integers(info)[0]
            copies.transpose_rows(elements(w[1] + member * n * nrhs * size), nrhs, elements(right), lead, nrhs, n)
        return 0

    return solve


def _syevd(dtype: str) -> Callable[[Any], int]:
    elements, integers, small = POINTERS[dtype], POINTERS["i4"], hermitian(dtype, True)
    size = ELEMENTS[dtype].bitwidth // 8

    def eigh(w: Any) -> int:
        nbatch, n, matrix = w[4], w[5], w[6]
        if n > _EVD_LIMIT:
            return -1
        if n == 0:
            return 0
        lwork, liwork = _syevd_work(n), _integer_work(n)
        lead = _leading(n, size)
        work = matrix + lead * n * size
        iwork = work + lwork * size
        vectors, lower = slot(np.uint8(86)), slot(np.uint8(76))
        order, apart, info = slot(np.int32(n)), slot(np.int32(lead)), slot(np.int32(0))
        length, ilength = slot(np.int32(lwork)), slot(np.int32(liwork))
        for member in range(nbatch):
            given, made = w[3] + member * n * n * size, w[2] + member * n * n * size
            values = w[1] + member * n * size
            if n <= sizes.SMALL and small(values, made, given, n) != 0:
                continue
            if not copies.is_finite(elements(given), n, n, True):
                return n
            copies.transpose_rows(elements(matrix), lead, elements(given), n, n, n)
            fortran(w[0], (vectors, lower, order, matrix, apart, values, work, length, iwork, ilength, info))
            if integers(info)[0] != 0:
                return integers(info)[0]
            copies.transpose_rows(elements(made), n, elements(matrix), lead, n, n)
        return 0

    return eigh


def _heevd(dtype: str) -> Callable[[Any], int]:
    elements, integers, small = POINTERS[dtype], POINTERS["i4"], hermitian(dtype, True)
    size = ELEMENTS[dtype].bitwidth // 8
    real = ELEMENTS[_REAL_OF[dtype]].bitwidth // 8

    def eigh(w: Any) -> int:
        nbatch, n, matrix = w[4], w[5], w[6]
        if n > _EVD_LIMIT:
            return -1
        if n == 0:
            return 0
        lwork, lrwork, liwork = _heevd_work(n), _heevd_real_work(n), _integer_work(n)
        lead = _leading(n, size)
        work = matrix + lead * n * size
        rwork = work + lwork * size
        iwork = rwork + lrwork * real
        vectors, lower = slot(np.uint8(86)), slot(np.uint8(76))
        order, apart, info = slot(np.int32(n)), slot(np.int32(lead)), slot(np.int32(0))
        length, rlength, ilength = slot(np.int32(lwork)), slot(np.int32(lrwork)), slot(np.int32(liwork))
        for member in range(nbatch):
            given, made = w[3] + member * n * n * size, w[2] + member * n * n * size
            values = w[1] + member * n * real
            if n <= sizes.SMALL and small(values, made, given, n) != 0:
                continue
            if not copies.is_finite(elements(given), n, n, True):
                return n
            copies.transpose_rows(elements(matrix), lead, elements(given), n, n, n)
            fortran(
                w[0],
                (
                    vectors,
                    lower,
                    order,
                    matrix,
                    apart,
                    values,
                    work,
                    length,
                    rwork,
                    rlength,
                    iwork,
                    ilength,
                    info,
                ),
            )
            if integers(info)[0] != 0:
                return integers(info)[0]
            copies.transpose_rows(elements(made), n, elements(matrix), lead, n, n)
        return 0

    return eigh
