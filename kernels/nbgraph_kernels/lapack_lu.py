"""Batched LU factors, exchanges of rows, triangular solves and inverses, on row-major matrices.

In:    words after the externals' addresses. All arrays C-contiguous; sizes of workspaces are in `sizes_lu`.
       `lu_factor`: lu, pivots, info, a, nbatch, m, n, workspace; lu and a [nbatch, m, n], pivots i4
       [nbatch, min(m, n)], info i4 [nbatch].
       `regular_factors`: lu, pivots, a, nbatch, n, workspace; the same of square matrices.
       `exchange_rows`: x, a, pivots, nbatch, m, n, k, backward; x and a [nbatch, m, n], pivots i4 [nbatch, k].
       `packed_solve`: x, t, b, nbatch, n, nrhs, upper, adjoint; t [nbatch, n, n], x and b [nbatch, n, nrhs].
       `inv`: x, a, nbatch, n, workspace; x and a [nbatch, n, n].
Out:   P a = L U, with L (unit diagonal not stored) and U in one matrix, and row i exchanged with row pivots[i] (counted
       from 0), i ascending; info is 0, or i where U[i - 1, i - 1] is exactly 0. The rows exchanged, in that order or
       backward. Solutions of op(T) x = b, T the upper triangle of t or the unit lower one. The inverses. Status: 0;
       of `inv` and `regular_factors`, LAPACK's INFO of the first singular member, after which none is done; -1 if a
       size does not fit LAPACK's 32 bit integers; of `exchange_rows`, more than k if a pivot is no row.
Holds: operands are left as they are. The same calls on the same layouts as `references_lu`: results are equal to the
       bit. A triangular system needs no copy: a row-major matrix is the column-major transposed one.
Source: LAPACK xGETRF, xGESV, BLAS xTRSM, xTRSV.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from . import copies
from .language import helper
from .sizes import leading
from .words import ELEMENTS, POINTERS, fortran, slot

_LIMIT = 2**31 - 1

_leading = helper(leading)


@helper
def _swap(x: Any, one: Any, other: Any, count: Any) -> None:
    """Exchanges `count` elements that begin at `one` with those that begin at `other`."""
    for j in range(count):
        kept = x[one + j]
        x[one + j] = x[other + j]
        x[other + j] = kept


def build(name: str, dtype: str) -> Callable[[Any], int]:
    """The Python function of a kernel of this module for elements of `dtype`."""
    return _BUILDERS[name](dtype)


def _lu_factor(dtype: str) -> Callable[[Any], int]:
    elements, integers = POINTERS[dtype], POINTERS["i4"]
    size = ELEMENTS[dtype].bitwidth // 8

    def lu_factor(w: Any) -> int:
        nbatch, m, n, matrix = w[5], w[6], w[7], w[8]
        if m > _LIMIT or n > _LIMIT:
            return -1
        k = min(m, n)
        lead = _leading(m, size)
        rows, columns, apart, found = slot(np.int32(m)), slot(np.int32(n)), slot(np.int32(lead)), slot(np.int32(0))
        for member in range(nbatch):
            integers(w[3])[member] = np.int32(0)
            if k > 0:
                pivots = w[2] + member * k * 4
                copies.transpose_rows(elements(matrix), lead, elements(w[4] + member * m * n * size), n, m, n)
                fortran(w[0], (rows, columns, matrix, apart, pivots, found))
                integers(w[3])[member] = integers(found)[0]
                copies.transpose_rows(elements(w[1] + member * m * n * size), n, elements(matrix), lead, n, m)
                for i in range(k):
                    integers(pivots)[i] -= np.int32(1)
        return 0

    return lu_factor


def _regular_factors(dtype: str) -> Callable[[Any], int]:
    elements, integers = POINTERS[dtype], POINTERS["i4"]
    size = ELEMENTS[dtype].bitwidth // 8

    def regular_factors(w: Any) -> int:
        nbatch, n, matrix = w[4], w[5], w[6]
        if n > _LIMIT:
            return -1
        if n == 0:
            return 0
        lead = _leading(n, size)
        order, apart, info = slot(np.int32(n)), slot(np.int32(lead)), slot(np.int32(0))
        for member in range(nbatch):
            pivots = w[2] + member * n * 4
            copies.transpose_rows(elements(matrix), lead, elements(w[3] + member * n * n * size), n, n, n)
            fortran(w[0], (order, order, matrix, apart, pivots, info))
            if integers(info)[0] != 0:
                return integers(info)[0]
            copies.transpose_rows(elements(w[1] + member * n * n * size), n, elements(matrix), lead, n, n)
            for i in range(n):
                integers(pivots)[i] -= np.int32(1)
        return 0

    return regular_factors


def _exchange_rows(dtype: str) -> Callable[[Any], int]:
    elements, integers = POINTERS[dtype], POINTERS["i4"]
    size = ELEMENTS[dtype].bitwidth // 8

    def exchange_rows(w: Any) -> int:
        nbatch, m, n, k, backward = w[3], w[4], w[5], w[6], w[7]
        for member in range(nbatch):
            x, pivots = elements(w[0] + member * m * n * size), integers(w[2] + member * k * 4)
            copies.copy(x, elements(w[1] + member * m * n * size), m * n)
            for step in range(k):
                i = k - 1 - step if backward != 0 else step
                other = np.int64(pivots[i])
                if other < 0 or other >= m:
                    return k + 1
                if other != i:
                    _swap(x, i * n, other * n, n)
        return 0

    return exchange_rows


def _packed_solve(dtype: str) -> Callable[[Any], int]:
    elements, is_real = POINTERS[dtype], dtype in ("f4", "f8")
    size = ELEMENTS[dtype].bitwidth // 8

    def packed_solve(w: Any) -> int:
        nbatch, n, nrhs, upper, adjoint = w[5], w[6], w[7], w[8], w[9]
        if n > _LIMIT or nrhs > _LIMIT:
            return -1
        if n == 0 or nrhs == 0:
            return 0
        # Column-major, x is its transpose and T is T^T: T x = b is x^T T^T = b^T, and T^H x = b is
        # x^T conj(T) = b^T, where conj(T) is the adjoint of T^T. The upper triangle becomes the lower one.
        right, triangle = slot(np.uint8(82)), slot(np.uint8(76 if upper != 0 else 85))
        form = slot(np.uint8(67 if adjoint != 0 else 78))
        diagonal = slot(np.uint8(78 if upper != 0 else 85))
        rows, order = slot(np.int32(nrhs)), slot(np.int32(n))
        one, unit, turned = slot(ONE), slot(np.int32(1)), slot(np.uint8(78 if adjoint != 0 else 84))
        for member in range(nbatch):
            x = w[2] + member * n * nrhs * size
            copies.copy(elements(x), elements(w[4] + member * n * nrhs * size), n * nrhs)
            t = w[3] + member * n * n * size
            if is_real and nrhs == 1:  # one vector: xTRSM would copy the triangle
                fortran(w[1], (triangle, turned, diagonal, order, t, order, x, unit))
            else:
                fortran(w[0], (right, triangle, form, diagonal, rows, order, one, t, order, x, rows))
        return 0

    ONE = np.dtype(dtype).type(1)
    return packed_solve


def _inv(dtype: str) -> Callable[[Any], int]:
    elements, integers = POINTERS[dtype], POINTERS["i4"]
    size = ELEMENTS[dtype].bitwidth // 8

    def inv(w: Any) -> int:
        nbatch, n = w[3], w[4]
        if n > _LIMIT:
            return -1
        if n == 0:
            return 0
        lead = _leading(n, size)
        matrix, right = w[5], w[5] + lead * n * size
        pivots = right + lead * n * size
        order, apart, info = slot(np.int32(n)), slot(np.int32(lead)), slot(np.int32(0))
        for member in range(nbatch):
            copies.transpose_rows(elements(matrix), lead, elements(w[2] + member * n * n * size), n, n, n)
            identity = elements(right)
            for i in range(lead * n):
                identity[i] = 0
            for i in range(n):
                identity[i * lead + i] = 1
            fortran(w[0], (order, order, matrix, apart, pivots, right, apart, info))
            if integers(info)[0] != 0:
                return integers(info)[0]
            copies.transpose_rows(elements(w[1] + member * n * n * size), n, elements(right), lead, n, n)
        return 0

    return inv


_BUILDERS = {
    "lu_factor": _lu_factor,
    "regular_factors": _regular_factors,
    "exchange_rows": _exchange_rows,
    "packed_solve": _packed_solve,
    "inv": _inv,
}
