"""Batched QR decompositions of row-major matrices.

In:    words after the externals' addresses: q, r, a, nbatch, m, n, p, workspace; p, the columns of q, is min(m, n), or
       m for the square q; a [nbatch, m, n], q [nbatch, m, p], r [nbatch, p, n]. All C-contiguous; sizes of the
       workspace are in `sizes_factors`.
Out:   a = q r, q^H q = 1, r upper triangular with a real diagonal of either sign. Status: 0, or -1 if sizes do not fit
       together or not LAPACK's 32 bit integers.
Holds: a is left as it is. The routines see the column-major copies of `references_factors`, with the same LWORK, so
       results are equal to the bit.
Source: LAPACK xGEQRF, xORGQR, xUNGQR.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from . import copies, sizes_factors
from .language import helper
from .sizes import leading
from .words import ELEMENTS, POINTERS, fortran, slot

_LIMIT = 2**31 - 1

_work, _leading = helper(sizes_factors.qr_work), helper(leading)


@helper
def _upper_trapezium(to: Any, matrix: Any, lead: Any, n: Any, p: Any) -> None:
    """The first p rows of a matrix of n columns, `lead` apart, what is below its diagonal left out, row-major."""
    for i in range(p):
        for j in range(min(i, n)):
            to[i * n + j] = 0
        for j in range(i, n):
            to[i * n + j] = matrix[j * lead + i]


def build(name: str, dtype: str) -> Callable[[Any], int]:
    """The Python function of `qr` for elements of `dtype`."""
    elements, integers = POINTERS[dtype], POINTERS["i4"]
    size = ELEMENTS[dtype].bitwidth // 8

    def qr(w: Any) -> int:
        nbatch, m, n, p, matrix = w[5], w[6], w[7], w[8], w[9]
        k = min(m, n)
        if (p != k and p != m) or m > _LIMIT or n > _LIMIT // 128 or p > _LIMIT // 128:
            return -1
        if k == 0:
            if p > 0:
                for member in range(nbatch):
                    copies.identity(elements(w[2] + member * m * m * size), m)
            return 0
        lwork = _work(n, p)
        lead = _leading(m, size)
        scalars = matrix + lead * (n + p) * size
        work = scalars + n * size
        rows, columns, wanted = slot(np.int32(m)), slot(np.int32(n)), slot(np.int32(p))
        apart = slot(np.int32(lead))
        reflectors, length, info = slot(np.int32(k)), slot(np.int32(lwork)), slot(np.int32(0))
        for member in range(nbatch):
            copies.transpose_rows(elements(matrix), lead, elements(w[4] + member * m * n * size), n, m, n)
            fortran(w[0], (rows, columns, matrix, apart, scalars, work, length, info))
            if integers(info)[0] != 0:
                return integers(info)[0]
            _upper_trapezium(elements(w[3] + member * p * n * size), elements(matrix), lead, n, p)
            fortran(w[1], (rows, wanted, reflectors, matrix, apart, scalars, work, length, info))
            if integers(info)[0] != 0:
                return integers(info)[0]
            copies.transpose_rows(elements(w[2] + member * m * p * size), p, elements(matrix), lead, p, m)
        return 0

    return qr
