"""Batched Cholesky factors and solutions of triangular systems, on row-major matrices.

In:    words after the external's address. `cholesky`: l, a, nbatch, n; both [nbatch, n, n], of a the lower triangle is
       read. `cholesky_ex`: l, info, a, nbatch, n; info int32 [nbatch]. `solve_triangular`: x, t, b, nbatch, n, nrhs,
       lower, adjoint, unit; t [nbatch, n, n], of which one triangle is read, and not its diagonal if unit; x and b
       [nbatch, n, nrhs]. All C-contiguous.
Out:   l, lower triangular, with a = l l^H; x with op(T) x = b, op(T) being T, or T^H if adjoint. Status: 0; i if the
       leading minor of order i is not positive, or if the diagonal's element i (from 1) is exactly 0, of the first
       member of the batch that failed, after which none is done; -1 if a size does not fit LAPACK's 32 bit integers.
       `cholesky_ex` goes on: info is that number for each member, whose l is NaN if it failed.
Holds: operands are left as they are. What lies row-major is, column-major, the transpose: a^T = U^H U has the memory of
       l in U, and T x = b is x^T T^T = b^T. Nothing is transposed. Equal to `references_factors` to the bit.
Source: LAPACK xPOTRF; BLAS xTRSM behind the check of LAPACK's xTRTRS.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from . import copies
from .products import SCALARS
from .words import ELEMENTS, POINTERS, fortran, slot

_LIMIT = 2**31 - 1


def build(name: str, dtype: str) -> Callable[[Any], int]:
    """The Python function of `cholesky`, `cholesky_ex` or `solve_triangular` for elements of `dtype`."""
    return {"cholesky": _cholesky, "cholesky_ex": _cholesky_ex, "solve_triangular": _solve_triangular}[name](dtype)


def _cholesky(dtype: str) -> Callable[[Any], int]:
    elements, integers = POINTERS[dtype], POINTERS["i4"]
    size = ELEMENTS[dtype].bitwidth // 8

    def cholesky(w: Any) -> int:
        nbatch, n = w[3], w[4]
        if n > _LIMIT:
            return -1
        if n == 0:
            return 0
        upper, order, info = slot(np.uint8(85)), slot(np.int32(n)), slot(np.int32(0))
        for member in range(nbatch):
            factor = w[1] + member * n * n * size
            copies.lower_triangle(elements(factor), elements(w[2] + member * n * n * size), n)
            fortran(w[0], (upper, order, factor, order, info))
            if integers(info)[0] != 0:
                return integers(info)[0]
        return 0

    return cholesky


def _cholesky_ex(dtype: str) -> Callable[[Any], int]:
    elements, integers = POINTERS[dtype], POINTERS["i4"]
    size = ELEMENTS[dtype].bitwidth // 8

    def cholesky_ex(w: Any) -> int:
        nbatch, n = w[4], w[5]
        if n > _LIMIT:
            return -1
        upper, order, info = slot(np.uint8(85)), slot(np.int32(n)), slot(np.int32(0))
        for member in range(nbatch):
            factor = w[1] + member * n * n * size
            if n > 0:
                copies.lower_triangle(elements(factor), elements(w[3] + member * n * n * size), n)
                fortran(w[0], (upper, order, factor, order, info))
            integers(w[2])[member] = integers(info)[0]
            if integers(info)[0] != 0:
                for i in range(n * n):
                    elements(factor)[i] = np.nan
        return 0

    return cholesky_ex


def _solve_triangular(dtype: str) -> Callable[[Any], int]:
    elements = POINTERS[dtype]
    size, scalar = ELEMENTS[dtype].bitwidth // 8, SCALARS[dtype]

    def solve_triangular(w: Any) -> int:
        nbatch, n, nrhs, lower, adjoint, unit = w[4], w[5], w[6], w[7], w[8], w[9]
        if n > _LIMIT or nrhs > _LIMIT:
            return -1
        if n == 0 or nrhs == 0:
            return 0
        right, triangle = slot(np.uint8(82)), slot(np.uint8(85 if lower != 0 else 76))
        form, diagonal = slot(np.uint8(67 if adjoint != 0 else 78)), slot(np.uint8(85 if unit != 0 else 78))
        rows, order, one = slot(np.int32(nrhs)), slot(np.int32(n)), slot(scalar(1))
        for member in range(nbatch):
            t, x = w[2] + member * n * n * size, w[1] + member * n * nrhs * size
            if unit == 0:
                for i in range(n):
                    if elements(t)[i * n + i] == 0:
                        return i + 1
            copies.copy(elements(x), elements(w[3] + member * n * nrhs * size), n * nrhs)
            fortran(w[0], (right, triangle, form, diagonal, rows, order, one, t, order, x, rows))
        return 0

    return solve_triangular
