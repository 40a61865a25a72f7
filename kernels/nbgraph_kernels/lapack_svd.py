"""Batched singular value decompositions of row-major matrices.

In:    words after the external's address: u, s, vh, a, nbatch, m, n, k, job, workspace. k is min(m, n); a
       [nbatch, m, n], s real [nbatch, k]. job 0 gives s alone (u and vh are not touched), 1 also u [nbatch, m, k] and
       vh [nbatch, k, n], 2 the square u [nbatch, m, m] and vh [nbatch, n, n]. All C-contiguous; sizes of the workspace
       are in `sizes_factors`.
Out:   a = u diag(s) vh, s descending. Status: 0, or LAPACK's INFO of the first member of the batch that failed (-4 if
       it has a NaN or an infinity), after which none is done; -1 if sizes do not fit together or not LAPACK's 32 bit
       integers.
Holds: a is left as it is. What lies row-major is, column-major, the transpose, and if a^T = U S V^H, then the memory
       of U is that of vh, and the memory of V^H is that of u: nothing is transposed. The driver sees what
       `references_factors` gives it, with the same LWORK, so results are equal to the bit. What `small_singular` can do
       the driver is not asked for.
Source: LAPACK xGESDD.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from . import copies, sizes_factors
from .language import helper
from .sizes import SMALL, SMALL_VALUES, leading
from .small_singular import singular
from .words import ELEMENTS, POINTERS, fortran, slot

_LIMIT = 2**31 - 1
_SMALLER_LIMIT = 23_000  # LWORK, 4 k^2 and more, is a 32 bit integer

_values_work = helper(sizes_factors.gesdd_values_work)
_work = helper(sizes_factors.gesdd_work)
_real_work = helper(sizes_factors.gesdd_real_work)
_leading = helper(leading)


def build(name: str, dtype: str) -> Callable[[Any], int]:
    """The Python function of `svd` for elements of `dtype`."""
    elements, integers, is_real = POINTERS[dtype], POINTERS["i4"], dtype in sizes_factors.REAL
    size = ELEMENTS[dtype].bitwidth // 8
    real = size if is_real else size // 2
    small = singular(dtype)

    def svd(w: Any) -> int:
        nbatch, m, n, k, job, matrix = w[5], w[6], w[7], w[8], w[9], w[10]
        if k != min(m, n) or m * n > _LIMIT or m + n > _LIMIT // 128 or k > _SMALLER_LIMIT:
            return -1
        rows = m if job == 2 else k  # of U^T and V^H
        columns = n if job == 2 else k
        if k == 0:
            if job == 2:
                for member in range(nbatch):
                    copies.identity(elements(w[1] + member * m * m * size), m)
                    copies.identity(elements(w[3] + member * n * n * size), n)
            return 0
        lwork = _values_work(m, n, k) if job == 0 else _work(m, n, k)
        lead = _leading(n, size)
        work = matrix + m * lead * size
        rwork = work + lwork * size
        iwork = rwork if is_real else rwork + _real_work(m, n, k) * real
        letter = slot(np.uint8(78 if job == 0 else 83 if job == 1 else 65))  # N, S, A
        wide, tall, smaller = slot(np.int32(n)), slot(np.int32(m)), slot(np.int32(rows))
        apart, length, info = slot(np.int32(lead)), slot(np.int32(lwork)), slot(np.int32(0))
        is_small = (job != 2 or m == n) and max(m, n) <= (SMALL_VALUES if job == 0 else SMALL)
        for member in range(nbatch):
            given, s = w[4] + member * m * n * size, w[2] + member * k * real
            u, vh = w[1] + member * m * rows * size, w[3] + member * columns * n * size
            if is_small and small(u, s, vh, given, m, n, job) != 0:
                continue
            if not copies.is_finite(elements(given), m, n, False):
                return -4
            copies.copy_rows(elements(matrix), lead, elements(given), m, n)
            if is_real:
                fortran(
                    w[0],
                    (letter, wide, tall, matrix, apart, s, vh, wide, u, smaller, work, length, iwork, info),
                )
            else:
                fortran(
                    w[0],
                    (letter, wide, tall, matrix, apart, s, vh, wide, u, smaller, work, length, rwork, iwork, info),
                )
            if integers(info)[0] != 0:
                return integers(info)[0]
        return 0

    return svd
