"""Batched exponentials of matrices.

In:    words after the externals' addresses: x, a, nbatch, n, workspace; x and a [nbatch, n, n], C-contiguous; the size
       of the workspace is `sizes_functions.expm_workspace`.
Out:   x = exp(a); NaN where a has a NaN or an infinity. Status: 0; LAPACK's INFO if the approximant's denominator was
       singular, which it is not for finite matrices; -1 if n does not fit LAPACK's 32 bit integers.
Holds: the number of squarings is found at run time, for each matrix. A row-major matrix is the column-major transposed
       one, whose exponential is the transposed exponential: nothing is transposed.
Source: Al-Mohy and Higham, A new scaling and squaring algorithm for the matrix exponential, SIAM J. Matrix Anal. Appl.
       31, 970 (2009): the approximant of degree 13, scaled by norms of powers. BLAS xGEMM, LAPACK xGESV.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from .language import helper
from .words import ELEMENTS, POINTERS, fortran, slot

_LIMIT = 2**31 - 1
_REAL_OF = {"f4": "f4", "f8": "f8", "c8": "f4", "c16": "f8"}
#: Up to here in norm the approximant of degree 13 is as good as double precision.
_THETA = 4.25
#: log2 of the coefficient of the first term that the approximant's backward error has: 1 / (C(26, 13) 27!).
_FIRST_ERROR = -math.log2(math.comb(26, 13) * math.factorial(27))


@helper
def _norm(x: Any, n: Any) -> Any:
    """The largest sum of absolute values of a column."""
    largest = 0.0
    for j in range(n):
        total = 0.0
        for i in range(n):
            total += abs(x[j * n + i])
        largest = total if total > largest or total != total else largest
        if largest != largest:
            return largest
    return largest


@helper
def _scale(to: Any, source: Any, count: Any, factor: Any) -> None:
    for i in range(count):
        to[i] = source[i] * factor


@helper
def _combine(to: Any, x6: Any, x4: Any, x2: Any, n: Any, c6: Any, c4: Any, c2: Any, c0: Any) -> None:
    """c6 x6 + c4 x4 + c2 x2 + c0."""
    for i in range(n * n):
        to[i] = x6[i] * c6 + x4[i] * c4 + x2[i] * c2
    for i in range(n):
        to[i * n + i] += c0


@helper
def _add(to: Any, source: Any, count: Any) -> None:
    for i in range(count):
        to[i] += source[i]


@helper
def _log_growth(x: Any, v: Any, y: Any, n: Any) -> Any:
    """log2 of the norm of |x|^27, by products of |x| with a vector that is scaled at each step."""
    total = 0.0
    for i in range(n):
        v[i] = 1
    for _ in range(27):
        largest = 0.0
        for j in range(n):
            y[j] = 0
            for i in range(n):
                y[j] += abs(x[j * n + i]) * v[i]
            largest = max(largest, float(y[j].real))
        if largest == 0.0:
            return -1e9
        total += math.log2(largest)
        for j in range(n):
            v[j] = y[j] * (1.0 / largest)
    return total


@helper
def _powers(gemm: Any, n: Any, one: Any, zero: Any, a: Any, p2: Any, p4: Any, p6: Any) -> None:
    """The second, fourth and sixth power."""
    plain, order = slot(np.uint8(78)), slot(np.int32(n))
    fortran(gemm, (plain, plain, order, order, order, one, a, order, a, order, zero, p2, order))
    fortran(gemm, (plain, plain, order, order, order, one, p2, order, p2, order, zero, p4, order))
    fortran(gemm, (plain, plain, order, order, order, one, p2, order, p4, order, zero, p6, order))


def build(name: str, dtype: str) -> Callable[[Any], int]:
    """The Python function of `expm` for elements of `dtype`."""
    elements, integers = POINTERS[dtype], POINTERS["i4"]
    size = ELEMENTS[dtype].bitwidth // 8
    real = np.dtype(_REAL_OF[dtype]).type
    c0, c1, c2, c3, c4, c5, c6, c7, c8, c9, c10, c11, c12, c13 = (
        real(c / 64764752532480000.0)
        for c in (64764752532480000.0, 32382376266240000.0, 7771770303897600.0, 1187353796428800.0, 129060195264000.0,
                  10559470521600.0, 670442572800.0, 33522128640.0, 1323241920.0, 40840800.0, 960960.0, 16380.0, 182.0,
                  1.0)
    )  # fmt: skip
    ONE, ZERO, NAN = np.dtype(dtype).type(1), np.dtype(dtype).type(0), np.dtype(dtype).type(np.nan)
    precision, reach = (24.0, 20) if real is np.float32 else (53.0, 160)

    def expm(w: Any) -> int:
        gemm, gesv, nbatch, n = w[0], w[1], w[4], w[5]
        if n > _LIMIT:
            return -1
        if n == 0:
            return 0
        piece = n * n * size
        a, p2, p4, p6 = w[6], w[6] + piece, w[6] + 2 * piece, w[6] + 3 * piece
        u, v = w[6] + 4 * piece, w[6] + 5 * piece
        pivots = w[6] + 6 * piece
        plain, order, info = slot(np.uint8(78)), slot(np.int32(n)), slot(np.int32(0))
        one, zero = slot(ONE), slot(ZERO)
        for member in range(nbatch):
            x = w[2] + member * piece
            given = elements(w[3] + member * piece)
            norm = _norm(given, n)
            if not norm < np.inf:
                for i in range(n * n):
                    elements(x)[i] = NAN
                continue
            # 2^-e keeps the powers from overflow where the norm is huge.
            e = max(math.ceil(math.log2(norm)) - reach, 0) if norm > 0.0 else 0
            _scale(elements(a), given, n * n, real(2.0 ** float(-e)))
            _powers(gemm, n, one, zero, a, p2, p4, p6)
            bound = max(_norm(elements(p4), n) ** 0.25, _norm(elements(p6), n) ** (1.0 / 6.0))
            s = max(e + math.ceil(math.log2(bound / _THETA)), 0) if bound > 0.0 else 0
            if norm > 0.0:
                growth = _log_growth(elements(a), elements(u), elements(v), n) + 27.0 * (e - s)
                error = _FIRST_ERROR + growth - (math.log2(norm) - s) + precision
                s += max(0, math.ceil(error / 26.0))
            if s != e:
                _scale(elements(a), elements(a), n * n, real(2.0 ** float(e - s)))
                _powers(gemm, n, one, zero, a, p2, p4, p6)
            # u = a (p6 (c13 p6 + c11 p4 + c9 p2) + c7 p6 + c5 p4 + c3 p2 + c1), v the same of even coefficients
            _combine(elements(x), elements(p6), elements(p4), elements(p2), n, c13, c11, c9, real(0))
            _combine(elements(v), elements(p6), elements(p4), elements(p2), n, c7, c5, c3, c1)
            fortran(gemm, (plain, plain, order, order, order, one, p6, order, x, order, one, v, order))
            fortran(gemm, (plain, plain, order, order, order, one, a, order, v, order, zero, u, order))
            _combine(elements(x), elements(p6), elements(p4), elements(p2), n, c12, c10, c8, real(0))
            _combine(elements(v), elements(p6), elements(p4), elements(p2), n, c6, c4, c2, c0)
            fortran(gemm, (plain, plain, order, order, order, one, p6, order, x, order, one, v, order))
            # (v - u) x = v + u
            _scale(elements(a), elements(v), n * n, real(1))
            _add(elements(v), elements(u), n * n)
            _scale(elements(u), elements(u), n * n, real(-1))
            _add(elements(a), elements(u), n * n)
            fortran(gesv, (order, order, a, order, pivots, v, order, info))
            if integers(info)[0] != 0:
                return integers(info)[0]
            done, other = v, u
            for _ in range(s):
                fortran(gemm, (plain, plain, order, order, order, one, done, order, done, order, zero, other, order))
                done, other = other, done
            _scale(elements(x), elements(done), n * n, real(1))
        return 0

    return expm
