"""Batched eigenvalues of Hermitian row-major matrices.

In:    words after the external's address: w, a, nbatch, n, workspace; w real [nbatch, n], a [nbatch, n, n], of which
       the lower triangle is read. C-contiguous; sizes of the workspace are in `sizes_factors`.
Out:   w, ascending. Status: 0, or LAPACK's INFO of the first member of the batch that failed, after which none is
       done, n if it is not finite; -1 if n does not fit LAPACK's 32 bit integers.
Holds: a is left as it is. Its lower triangle, row-major, is the upper one, column-major, of the conjugate, which has
       the same eigenvalues: nothing is transposed. Equal to `references_factors` to the bit. What `small_hermitian` can
       do the driver is not asked for.
Source: LAPACK xSYEVD, xHEEVD.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from . import copies, sizes_factors
from .language import helper
from .sizes import SMALL_VALUES, leading
from .small_hermitian import hermitian
from .words import ELEMENTS, POINTERS, fortran, slot

_LIMIT = 2**31 - 1

_work, _leading = helper(sizes_factors.syevd_values_work), helper(leading)


def build(name: str, dtype: str) -> Callable[[Any], int]:
    """The Python function of `eigvalsh` for elements of `dtype`."""
    elements, integers, is_real = POINTERS[dtype], POINTERS["i4"], dtype in sizes_factors.REAL
    size = ELEMENTS[dtype].bitwidth // 8
    real = size if is_real else size // 2
    small = hermitian(dtype, False)

    def eigvalsh(w: Any) -> int:
        nbatch, n, matrix = w[3], w[4], w[5]
        if n > _LIMIT // 128:
            return -1
        if n == 0:
            return 0
        lwork = _work(n)
        lead = _leading(n, size)
        work = matrix + lead * n * size
        rwork = work + lwork * size
        iwork = rwork if is_real else rwork + (n + 1) * real
        letter, upper = slot(np.uint8(78)), slot(np.uint8(85))
        order, apart, length = slot(np.int32(n)), slot(np.int32(lead)), slot(np.int32(lwork))
        one, info = slot(np.int32(1)), slot(np.int32(0))
        for member in range(nbatch):
            given, values = w[2] + member * n * n * size, w[1] + member * n * real
            if n <= SMALL_VALUES and small(values, values, given, n) != 0:
                continue
            if not copies.is_finite(elements(given), n, n, True):
                return n
            copies.copy_rows(elements(matrix), lead, elements(given), n, n)
            if is_real:
                fortran(w[0], (letter, upper, order, matrix, apart, values, work, length, iwork, one, info))
            else:
                fortran(
                    w[0],
                    (letter, upper, order, matrix, apart, values, work, length, rwork, order, iwork, one, info),
                )
            if integers(info)[0] != 0:
                return integers(info)[0]
        return 0

    return eigvalsh
