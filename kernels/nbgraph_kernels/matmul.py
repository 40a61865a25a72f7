"""Batched matrix products over any strides: C = A B, or C += A B.

In:    words after the externals' addresses (xGEMM, xGEMV; none for integers):
         0-2 c, a, b   3 nbatch   4-6 m, n, k   7-9 strides of c (batch, row, column)   10-12 of a   13-15 of b
         16 conj_a   17 conj_b   18 accumulate.
       c [nbatch, m, n], a [nbatch, m, k], b [nbatch, k, n]. Strides in elements; those of a and b may be 0 or
       negative. Flags are 0 or 1; conj_a and conj_b are read for complex elements only.
Out:   c. Status 0 always; k = 0 writes zeros, unless accumulating.
Holds: c does not overlap a or b, and its own elements do not overlap. Integers wrap; booleans use `or` and `and`.
Source: BLAS xGEMM, xGEMV.

The ways, tried in this order; only the last copies:
  loops    m n k <= TINY, and all integers.
  BLAS     each matrix has a unit stride and a leading dimension BLAS takes: xGEMV for one column, else xGEMM. A
           row-major C is computed as its transpose, from the transposes of B and A. BLAS conjugates only what it
           also transposes.
  loops    m n k <= SMALL.
  tiles    anything else (`products.tiles`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from .language import helper
from .products import SCALARS, loops, tiles
from .words import ELEMENTS, POINTERS, fortran, slot

TINY = 5**3
"""Where xGEMM overtakes the loops (measured, n = 4, 6, 8: float64 loops 0.045, 0.13, 0.26 us, xGEMM 0.08, 0.11, 0.13;
complex128 loops 0.08, 0.24, 0.54, xGEMM 0.12, 0.16, 0.30)."""

SMALL = 8**3
"""Where tiles overtake the loops (float64, n = 8, 10: loops 0.26, 0.52 us, tiles 0.26, 0.43)."""

_LIMIT = 2**31 - 1
_PLAIN, _TRANSPOSED, _ADJOINT = ord("N"), ord("T"), ord("C")


def build(name: str, dtype: str) -> Callable[[Any], int]:
    """The Python function of `matmul` for elements of `dtype`."""
    return _floating(dtype) if dtype[0] in "fc" else _integer(dtype)


@helper
def _leading(rows: Any, columns: Any, strides: Any) -> Any:
    """The leading dimension under which BLAS reads the matrix by columns; 0 if it cannot."""
    unit = strides[0] == 1 or rows == 1
    wide = strides[1] if columns > 1 else rows
    return wide if unit and rows <= wide <= _LIMIT else 0


@helper
def _form(rows: Any, columns: Any, strides: Any, conj: Any) -> Any:
    """How BLAS reads the matrix: (its TRANS letter, its leading dimension); the dimension is 0 if it cannot."""
    direct = _leading(rows, columns, strides)
    if direct > 0 and conj == 0:
        return _PLAIN, direct
    turned = _leading(columns, rows, (strides[1], strides[0]))
    return (_TRANSPOSED if conj == 0 else _ADJOINT), turned


@helper
def _turned(strides: Any) -> Any:
    return strides[1], strides[0]


def _integer(dtype: str) -> Callable[[Any], int]:
    elements, multiply = POINTERS[dtype], loops(dtype)
    size = ELEMENTS[dtype].bitwidth // 8

    def matmul(w: Any) -> int:
        c, a, b, m, n, k = w[0], w[1], w[2], w[4], w[5], w[6]
        step_c, step_a, step_b = w[7] * size, w[10] * size, w[13] * size
        of_c, of_a, of_b = (w[8], w[9]), (w[11], w[12]), (w[14], w[15])
        if of_c[1] == 1 and of_b[1] == 1:
            a, b, step_a, step_b, m, n = b, a, step_b, step_a, n, m
            of_c, of_a, of_b = _turned(of_c), _turned(of_b), _turned(of_a)
        for _ in range(w[3]):
            multiply(elements(c), elements(a), elements(b), (m, n, k), of_c, of_a, of_b, (1, 1), w[18])
            c, a, b = c + step_c, a + step_a, b + step_b
        return 0

    return matmul


def _blas(dtype: str) -> Any:
    """Make `blas(gemm, gemv, c, a, b, nbatch, extents, strides..., steps, conj, keep)`: 1 if BLAS did it, else 0."""
    scalar = SCALARS[dtype]

    def run(
        gemm: Any, gemv: Any, c: Any, a: Any, b: Any, nbatch: Any, extents: Any,
        of_c: Any, of_a: Any, of_b: Any, steps: Any, conj: Any, keep: Any,
    ) -> Any:  # fmt: skip
        m, n, k = extents
        if m > _LIMIT or n > _LIMIT or k > _LIMIT:
            return 0
        form_a, lead_a = _form(m, k, of_a, conj[0])
        form_b, lead_b = _form(k, n, of_b, conj[1])
        lead_c = _leading(m, n, of_c)
        letter_a, letter_b = slot(np.uint8(form_a)), slot(np.uint8(form_b))
        at_a, at_b, at_c = slot(np.int32(lead_a)), slot(np.int32(lead_b)), slot(np.int32(lead_c))
        height, width, depth = slot(np.int32(m)), slot(np.int32(n)), slot(np.int32(k))
        one, beta = slot(scalar(1)), slot(scalar(keep))
        if n == 1 and lead_a > 0 and conj[1] == 0 and 0 < of_b[0] <= _LIMIT and 0 < of_c[0] <= _LIMIT:
            rows, columns = (height, depth) if form_a == _PLAIN else (depth, height)
            next_b, next_c = slot(np.int32(of_b[0])), slot(np.int32(of_c[0]))
            for _ in range(nbatch):
                fortran(gemv, (letter_a, rows, columns, one, a, at_a, b, next_b, beta, c, next_c))
                c, a, b = c + steps[0], a + steps[1], b + steps[2]
            return 1
        if lead_a == 0 or lead_b == 0 or lead_c == 0:
            return 0
        for _ in range(nbatch):
            fortran(gemm, (letter_a, letter_b, height, width, depth, one, a, at_a, b, at_b, beta, c, at_c))
            c, a, b = c + steps[0], a + steps[1], b + steps[2]
        return 1

    return helper(run)


def _floating(dtype: str) -> Callable[[Any], int]:
    elements, multiply, blas, gather = POINTERS[dtype], loops(dtype), _blas(dtype), tiles(dtype)
    size = ELEMENTS[dtype].bitwidth // 8
    may_conjugate = 1 if dtype[0] == "c" else 0

    def matmul(w: Any) -> int:
        gemm, gemv, c, a, b, nbatch, m, n, k, keep = w[0], w[1], w[2], w[3], w[4], w[5], w[6], w[7], w[8], w[20]
        step_c, step_a, step_b = w[9] * size, w[12] * size, w[15] * size
        of_c, of_a, of_b = (w[10], w[11]), (w[13], w[14]), (w[16], w[17])
        conj_a, conj_b = w[18] * may_conjugate, w[19] * may_conjugate
        if m <= 0 or n <= 0 or nbatch <= 0:
            return 0
        if (of_c[1] == 1 and of_c[0] != 1 and m > 1) or (m == 1 and n > 1):
            a, b, step_a, step_b, m, n, conj_a, conj_b = b, a, step_b, step_a, n, m, conj_b, conj_a
            of_c, of_a, of_b = _turned(of_c), _turned(of_b), _turned(of_a)
        extents, signs, conj = (m, n, k), (1 - 2 * conj_a, 1 - 2 * conj_b), (conj_a, conj_b)
        work, steps = m * n * k, (step_c, step_a, step_b)
        if work > TINY and blas(gemm, gemv, c, a, b, nbatch, extents, of_c, of_a, of_b, steps, conj, keep) != 0:
            return 0
        for _ in range(nbatch):
            if work <= SMALL:
                multiply(elements(c), elements(a), elements(b), extents, of_c, of_a, of_b, signs, keep)
            else:
                gather(gemm, c, a, b, extents, of_c, of_a, of_b, signs, keep)
            c, a, b = c + step_c, a + step_a, b + step_b
        return 0

    return matmul
