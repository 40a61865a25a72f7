"""Batched systems with banded matrices, and Cholesky factors of such.

In:    words after the external's address. All arrays C-contiguous; sizes of workspaces are in `sizes_banded`. A matrix
       is its band, as LAPACK stores it: a[i, j] in row u + i - j of column j of [l + u + 1, n], for l diagonals below
       the main one and u above; of a Hermitian one only one half: u = 0 (`below`) or l = 0.
       `banded_solve`: x, ab, b, nbatch, l, u, n, k, workspace; ab [nbatch, l + u + 1, n], x and b [nbatch, n, k].
       `banded_definite_solve`: x, ab, b, nbatch, below, r, n, k, workspace; ab [nbatch, r, n].
       `banded_cholesky`: c, ab, nbatch, below, r, n, workspace; c and ab [nbatch, r, n].
Out:   a x = b; the factor c with a = c c^H (below) or c^H c, 0 where the band leaves the matrix. Status: 0, or LAPACK's
       INFO of the first member that is singular or not positive definite, after which none is done; -1 if a size does
       not fit LAPACK's 32 bit integers.
Holds: operands are left as they are. The same calls on the same layouts as `references_banded`: equal to the bit.
Source: LAPACK xGBSV, xPBSV, xPBTRF.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from . import copies
from .words import ELEMENTS, POINTERS, fortran, slot

_LIMIT = 2**31 - 1


def build(name: str, dtype: str) -> Callable[[Any], int]:
    """The Python function of a kernel of this module for elements of `dtype`."""
    return _BUILDERS[name](dtype)


def _banded_solve(dtype: str) -> Callable[[Any], int]:
    elements, integers = POINTERS[dtype], POINTERS["i4"]
    size = ELEMENTS[dtype].bitwidth // 8

    def banded_solve(w: Any) -> int:
        nbatch, l, u, n, k, matrix = w[4], w[5], w[6], w[7], w[8], w[9]  # noqa: E741
        lead, rows = 2 * l + u + 1, l + u + 1  # the factors need l rows more
        if n > _LIMIT or k > _LIMIT or lead > _LIMIT:
            return -1
        if n == 0 or k == 0:
            return 0
        right = matrix + n * lead * size
        pivots = right + n * k * size
        order, below, above, columns = slot(np.int32(n)), slot(np.int32(l)), slot(np.int32(u)), slot(np.int32(k))
        leading, info = slot(np.int32(lead)), slot(np.int32(0))
        for member in range(nbatch):
            band, source = elements(matrix), elements(w[2] + member * rows * n * size)
            for j in range(n):
                for r in range(l):
                    band[j * lead + r] = 0
                for r in range(rows):
                    band[j * lead + l + r] = source[r * n + j]
            copies.transpose(elements(right), elements(w[3] + member * n * k * size), n, k)
            fortran(w[0], (order, below, above, columns, matrix, leading, pivots, right, order, info))
            if integers(info)[0] != 0:
                return integers(info)[0]
            copies.transpose(elements(w[1] + member * n * k * size), elements(right), k, n)
        return 0

    return banded_solve


def _banded_definite_solve(dtype: str) -> Callable[[Any], int]:
    elements, integers = POINTERS[dtype], POINTERS["i4"]
    size = ELEMENTS[dtype].bitwidth // 8

    def banded_definite_solve(w: Any) -> int:
        nbatch, below, rows, n, k, matrix = w[4], w[5], w[6], w[7], w[8], w[9]
        if n > _LIMIT or k > _LIMIT or rows > _LIMIT:
            return -1
        if n == 0 or k == 0:
            return 0
        right = matrix + n * rows * size
        half, order, columns = slot(np.uint8(76 if below != 0 else 85)), slot(np.int32(n)), slot(np.int32(k))
        beside, leading, info = slot(np.int32(rows - 1)), slot(np.int32(rows)), slot(np.int32(0))
        for member in range(nbatch):
            copies.transpose(elements(matrix), elements(w[2] + member * rows * n * size), rows, n)
            copies.transpose(elements(right), elements(w[3] + member * n * k * size), n, k)
            fortran(w[0], (half, order, beside, columns, matrix, leading, right, order, info))
            if integers(info)[0] != 0:
                return integers(info)[0]
            copies.transpose(elements(w[1] + member * n * k * size), elements(right), k, n)
        return 0

    return banded_definite_solve


def _banded_cholesky(dtype: str) -> Callable[[Any], int]:
    elements, integers = POINTERS[dtype], POINTERS["i4"]
    size = ELEMENTS[dtype].bitwidth // 8

    def banded_cholesky(w: Any) -> int:
        nbatch, below, rows, n, matrix = w[3], w[4], w[5], w[6], w[7]
        if n > _LIMIT or rows > _LIMIT:
            return -1
        if n == 0:
            return 0
        half, order = slot(np.uint8(76 if below != 0 else 85)), slot(np.int32(n))
        beside, leading, info = slot(np.int32(rows - 1)), slot(np.int32(rows)), slot(np.int32(0))
        for member in range(nbatch):
            copies.transpose(elements(matrix), elements(w[2] + member * rows * n * size), rows, n)
            fortran(w[0], (half, order, beside, matrix, leading, info))
            if integers(info)[0] != 0:
                return integers(info)[0]
            factor = elements(w[1] + member * rows * n * size)
            copies.transpose(factor, elements(matrix), n, rows)
            for r in range(rows):
                outside = min(r if below != 0 else rows - 1 - r, n)
                first = n - outside if below != 0 else 0
                for j in range(first, first + outside):
                    factor[r * n + j] = 0
        return 0

    return banded_cholesky


_BUILDERS = {
    "banded_solve": _banded_solve,
    "banded_definite_solve": _banded_definite_solve,
    "banded_cholesky": _banded_cholesky,
}
