"""Batched matrix products for layouts that BLAS reads: C = A B, or C += A B.

In:    the words of `matmul` (see there); conj_a and conj_b are not read.
Out:   c. Status 0 always.
Holds: what `matmul` holds. A matrix without a unit stride is multiplied by plain loops: right, but slow.
       Most programs need no more than this, and less of it is compiled than of `matmul`.
Source: BLAS xGEMM, xGEMV.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from . import machine
from .language import helper
from .panels import panels
from .products import SCALARS
from .small import small
from .words import ELEMENTS, POINTERS, fortran, slot

TINY = 5**3
"""Where xGEMM overtakes the loops for complex numbers (see `matmul`)."""

FEW, COLUMN = 16**3, 32**2
"""Where xGEMM, and for one column xGEMV, overtake the loops of `small` (measured, float64; a column, n = 8, 16, 32:
0.03, 0.06, 0.16 us, xGEMV 0.08, 0.19, 0.28)."""

FEWEST, LARGEST, THIN = 200, 256**3, 32
"""Where `panels` overtakes the loops of `small`, and xGEMM overtakes `panels`: not where at most `THIN` rows or columns
are (measured, float64, AVX2; GFLOP/s, those of xGEMM in brackets: n = 16 37 (16), 32 40 (38), 64 42 (35), 128 43
(37), 256 42 (39); 429 x 21 x 427 37 (26))."""

_LARGEST_WIDE = 24**3
"""The same where xGEMM computes with AVX-512, with vectors twice as long as those of `panels`."""

_LIMIT = 2**31 - 1
_PLAIN, _TRANSPOSED = ord("N"), ord("T")


def build(name: str, dtype: str) -> Callable[[Any], int]:
    """The Python function of `gemm` for elements of `dtype`."""
    elements, scalar, size = POINTERS[dtype], SCALARS[dtype], ELEMENTS[dtype].bitwidth // 8
    real = dtype[0] == "f"
    multiply: Any = small(dtype) if real else _plain(dtype)
    by_panels: Any = panels(dtype) if real else None
    few, few_of_column = (FEW, COLUMN) if real else (TINY, TINY)
    largest, thin = (_LARGEST_WIDE, 0) if "avx512f" in machine.features() else (LARGEST, THIN)

    def gemm(w: Any) -> int:
        c, a, b, m, n, k, keep = w[2], w[3], w[4], w[6], w[7], w[8], w[20]
        c_row, c_column, a_row, a_column, b_row, b_column = w[10], w[11], w[13], w[14], w[16], w[17]
        step_c, step_a, step_b = w[9] * size, w[12] * size, w[15] * size
        if (c_row != 1 and m > 1) or m == 1:  # C^T = B^T A^T: a row-major C by columns
            a, b, step_a, step_b, m, n = b, a, step_b, step_a, n, m
            c_row, c_column = c_column, c_row
            a_row, a_column, b_row, b_column = b_column, b_row, a_column, a_row
        # A dimension of size 1 has no stride to speak of.
        plain_a, plain_b = a_row == 1 or m == 1, b_row == 1 or k == 1
        lead_a = (a_column if k > 1 else m) if plain_a else (a_row if m > 1 else k)
        lead_b = (b_column if n > 1 else k) if plain_b else (b_row if k > 1 else n)
        lead_c = c_column if n > 1 else m
        fits_a = (plain_a and lead_a >= m) or (not plain_a and a_column == 1 and lead_a >= k)
        fits_b = (plain_b and lead_b >= k) or (not plain_b and b_column == 1 and lead_b >= n)
        fits_c = (c_row == 1 or m == 1) and lead_c >= m and max(lead_a, lead_b, lead_c) <= _LIMIT
        work = m * n * k
        if real and c_row == 1 and m >= 4 and n >= 4 and work >= FEWEST and (work <= largest or min(m, n) <= thin):
            for _ in range(w[5]):
                strides_c, strides_a, strides_b = (c_row, c_column), (a_row, a_column), (b_row, b_column)
                by_panels(elements(c), elements(a), elements(b), (m, n, k), strides_c, strides_a, strides_b, keep)
                c, a, b = c + step_c, a + step_a, b + step_b
            return 0
        if work > (few_of_column if n == 1 else few) and fits_a and fits_b and fits_c:
            letter_a = slot(np.uint8(_PLAIN if plain_a else _TRANSPOSED))
            letter_b = slot(np.uint8(_PLAIN if plain_b else _TRANSPOSED))
            height, width, depth = slot(np.int32(m)), slot(np.int32(n)), slot(np.int32(k))
            at_a, at_b, at_c = slot(np.int32(lead_a)), slot(np.int32(lead_b)), slot(np.int32(lead_c))
            one, beta = slot(scalar(1)), slot(scalar(keep))
            if n == 1 and 0 < b_row <= _LIMIT and 0 < c_row <= _LIMIT:
                next_b, next_c = slot(np.int32(b_row)), slot(np.int32(c_row))
                rows, columns = (height, depth) if plain_a else (depth, height)
                for _ in range(w[5]):
                    fortran(w[1], (letter_a, rows, columns, one, a, at_a, b, next_b, beta, c, next_c))
                    c, a, b = c + step_c, a + step_a, b + step_b
                return 0
            for _ in range(w[5]):
                fortran(w[0], (letter_a, letter_b, height, width, depth, one, a, at_a, b, at_b, beta, c, at_c))
                c, a, b = c + step_c, a + step_a, b + step_b
            return 0
        for _ in range(w[5]):
            strides_c, strides_a, strides_b = (c_row, c_column), (a_row, a_column), (b_row, b_column)
            multiply(elements(c), elements(a), elements(b), (m, n, k), strides_c, strides_a, strides_b, keep)
            c, a, b = c + step_c, a + step_a, b + step_b
        return 0

    return gemm


def _plain(dtype: str) -> Any:
    """What `small` does, element by element."""
    zero = SCALARS[dtype](0)

    def run(c: Any, a: Any, b: Any, extents: Any, of_c: Any, of_a: Any, of_b: Any, keep: Any) -> None:
        (m, n, k), (ci, cj), (ai, ap), (bp, bj) = extents, of_c, of_a, of_b
        for j in range(n):
            for i in range(m):
                total = c[i * ci + j * cj] if keep != 0 else zero
                for p in range(k):
                    total = total + a[i * ai + p * ap] * b[p * bp + j * bj]
                c[i * ci + j * cj] = total

    return helper(run, {"contract"})
