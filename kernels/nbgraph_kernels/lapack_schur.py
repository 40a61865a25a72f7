"""Batched Schur forms, and functions of complex matrices by them: square roots, and solutions of Sylvester equations.

In:    words after the externals' addresses. All arrays C-contiguous, and complex but in `schur`; sizes of workspaces
       are in `sizes_functions`.
       `schur`: t, z, a, nbatch, n, workspace; all [nbatch, n, n], real or complex.
       `sqrtm`: x, a, nbatch, n, workspace; x and a [nbatch, n, n].
       `sylvester`: x, a, b, c, nbatch, m, n, workspace; a [nbatch, m, m], b [nbatch, n, n], x and c [nbatch, m, n].
Out:   a = z t z^H, t upper triangular, of real matrices but for 2 x 2 blocks; x x = a, the root whose eigenvalues have
       arguments in (-pi/2, pi/2]; a x + x b = c. Status: 0; a positive number for the first member that has no Schur
       form (not finite, or not converged), no root, or no one solution, after which none is done; -1 if a size does not
       fit LAPACK's 32 bit integers.
Holds: operands are left as they are. The same calls on the same layouts as `references_functions`. A row-major matrix
       is the column-major transposed one, so nothing is transposed.
Source: LAPACK xGEES, xTRSYL; Bjorck and Hammarling, A Schur method for the square root of a matrix, Linear Algebra
       Appl. 52, 127 (1983).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from . import copies, sizes_functions
from .language import helper
from .words import ELEMENTS, POINTERS, fortran, slot

_LIMIT = 2**31 - 1
_FACTOR = {"c8": "f4", "c16": "f8"}

_gees_work = helper(sizes_functions.gees_work)


@helper
def _copy(to: Any, source: Any, count: Any) -> bool:
    """Copies, and says whether all elements are finite."""
    finite = True
    for i in range(count):
        to[i] = source[i]
        finite = finite and np.isfinite(source[i].real) and np.isfinite(source[i].imag)
    return finite


@helper
def _root(z: Any) -> Any:
    """The principal root, by real arithmetic (Numba's raises)."""
    modulus = math.hypot(z.real, z.imag)
    large = math.sqrt(0.5 * (abs(z.real) + modulus))
    small = 0.5 * abs(z.imag) / large if large > 0.0 else 0.0
    re, im = (large, small) if z.real >= 0.0 else (small, large)
    return complex(re, math.copysign(im, z.imag))


@helper
def _quotient(x: Any, y: Any) -> Any:
    """x / y, y not 0, by real arithmetic (Numba's raises)."""
    size = max(abs(y.real), abs(y.imag))
    re, im = y.real / size, y.imag / size
    below = (re * re + im * im) * size
    return complex((x.real * re + x.imag * im) / below, (x.imag * re - x.real * im) / below)


@helper
def _triangular_root(t: Any, n: Any, eps: Any) -> int:
    """The root of an upper triangular matrix (column-major) in its place; a column that has none, or 0.

    Eigenvalues that are negative up to rounding errors have the argument pi, not -pi.
    """
    largest = 0.0
    for j in range(n):
        largest = max(largest, abs(t[j * n + j]))
    for j in range(n):
        value = t[j * n + j]
        if value.real < 0.0 and abs(value.imag) <= n * eps * largest:
            value = complex(value.real, 0.0)
        t[j * n + j] = _root(value)
        for i in range(j - 1, -1, -1):
            total = t[j * n + i]
            for k in range(i + 1, j):
                total -= t[k * n + i] * t[j * n + k]
            both = t[i * n + i] + t[j * n + j]
            if both != 0:
                t[j * n + i] = _quotient(total, both)
            elif total != 0:
                return j + 1
    return 0


@helper
def _scale(x: Any, count: Any, factor: Any) -> None:
    for i in range(count):
        x[i] = x[i] * factor


def build(name: str, dtype: str) -> Callable[[Any], int]:
    """The Python function of `schur`, `sqrtm` or `sylvester` for elements of `dtype`."""
    if name == "schur":
        return _form(dtype)
    return _sqrtm(dtype) if name == "sqrtm" else _sylvester(dtype)


def _schur_of(dtype: str) -> Any:
    """The helper that makes a Schur form: t (overwritten by it), z, then workspace; gives LAPACK's INFO."""
    integers = POINTERS["i4"]
    size = ELEMENTS[dtype].bitwidth // 8

    @helper
    def schur(gees: Any, n: Any, t: Any, z: Any, work: Any) -> int:
        vectors, unsorted = slot(np.uint8(86)), slot(np.uint8(78))
        order, kept, info = slot(np.int32(n)), slot(np.int32(0)), slot(np.int32(0))
        lwork = _gees_work(n)
        length, values = slot(np.int32(lwork)), work + lwork * size
        rwork = values + n * size
        fortran(
            gees, (vectors, unsorted, 0, order, t, order, kept, values, z, order, work, length, rwork, rwork, info)
        )  # fmt: skip
        return integers(info)[0]

    return schur


def _real_schur_of(dtype: str) -> Any:
    """The same of real matrices; the eigenvalues' parts are kept one after the other."""
    integers = POINTERS["i4"]
    size = ELEMENTS[dtype].bitwidth // 8

    @helper
    def schur(gees: Any, n: Any, t: Any, z: Any, work: Any) -> int:
        vectors, unsorted = slot(np.uint8(86)), slot(np.uint8(78))
        order, kept, info = slot(np.int32(n)), slot(np.int32(0)), slot(np.int32(0))
        lwork = _gees_work(n)
        length, re = slot(np.int32(lwork)), work + lwork * size
        im = re + n * size
        fortran(gees, (vectors, unsorted, 0, order, t, order, kept, re, im, z, order, work, length, im, info))
        return integers(info)[0]

    return schur


@helper
def _copy_real(to: Any, source: Any, count: Any) -> bool:
    """As `_copy`."""
    finite = True
    for i in range(count):
        to[i] = source[i]
        finite = finite and np.isfinite(source[i])
    return finite


def _form(dtype: str) -> Callable[[Any], int]:
    elements, size, is_real = POINTERS[dtype], ELEMENTS[dtype].bitwidth // 8, dtype in ("f4", "f8")
    schur, copy = (_real_schur_of(dtype), _copy_real) if is_real else (_schur_of(dtype), _copy)

    def form(w: Any) -> int:
        nbatch, n, t = w[4], w[5], w[6]
        if n > _LIMIT:
            return -1
        if n == 0:
            return 0
        piece = n * n * size
        z, work = t + piece, t + 2 * piece
        for member in range(nbatch):
            if not copy(elements(z), elements(w[3] + member * piece), n * n):
                return n + 1
            copies.transpose(elements(t), elements(z), n, n)
            status = schur(w[0], n, t, z, work)
            if status != 0:
                return status
            copies.transpose(elements(w[1] + member * piece), elements(t), n, n)
            copies.transpose(elements(w[2] + member * piece), elements(z), n, n)
        return 0

    return form


def _sqrtm(dtype: str) -> Callable[[Any], int]:
    elements, size = POINTERS[dtype], ELEMENTS[dtype].bitwidth // 8
    schur, EPS = _schur_of(dtype), float(np.finfo(dtype).eps)
    ONE, ZERO = np.dtype(dtype).type(1), np.dtype(dtype).type(0)

    def sqrtm(w: Any) -> int:
        gees, gemm, nbatch, n, t = w[0], w[1], w[4], w[5], w[6]
        if n > _LIMIT:
            return -1
        if n == 0:
            return 0
        piece = n * n * size
        z, half, work = t + piece, t + 2 * piece, t + 3 * piece
        plain, adjoint, order = slot(np.uint8(78)), slot(np.uint8(67)), slot(np.int32(n))
        one, zero = slot(ONE), slot(ZERO)
        for member in range(nbatch):
            if not _copy(elements(t), elements(w[3] + member * piece), n * n):
                return n + 1
            status = schur(gees, n, t, z, work)
            if status == 0:
                status = _triangular_root(elements(t), n, EPS)
            if status != 0:
                return status
            x = w[2] + member * piece
            fortran(gemm, (plain, plain, order, order, order, one, z, order, t, order, zero, half, order))
            fortran(gemm, (plain, adjoint, order, order, order, one, half, order, z, order, zero, x, order))
        return 0

    return sqrtm


def _sylvester(dtype: str) -> Callable[[Any], int]:
    elements, integers = POINTERS[dtype], POINTERS["i4"]
    size = ELEMENTS[dtype].bitwidth // 8
    reals = POINTERS[_FACTOR[dtype]]
    schur = _schur_of(dtype)
    ONE, ZERO = np.dtype(dtype).type(1), np.dtype(dtype).type(0)
    START = np.dtype(_FACTOR[dtype]).type(1)

    def sylvester(w: Any) -> int:
        gees, trsyl, gemm, nbatch, m, n = w[0], w[1], w[2], w[7], w[8], w[9]
        if m > _LIMIT or n > _LIMIT:
            return -1
        if m == 0 or n == 0:
            return 0
        # Column-major, the equation is b^T y + y a^T = c^T, of y = x^T [n, m].
        tb, zb = w[10], w[10] + n * n * size
        ta = zb + n * n * size
        za = ta + m * m * size
        f, g = za + m * m * size, za + m * m * size + m * n * size
        work = g + m * n * size
        plain, adjoint = slot(np.uint8(78)), slot(np.uint8(67))
        rows, columns, sign, info = slot(np.int32(n)), slot(np.int32(m)), slot(np.int32(1)), slot(np.int32(0))
        one, zero, factor = slot(ONE), slot(ZERO), slot(START)
        for member in range(nbatch):
            finite = _copy(elements(tb), elements(w[5] + member * n * n * size), n * n)
            finite = _copy(elements(ta), elements(w[4] + member * m * m * size), m * m) and finite
            if not finite:
                return m + n + 1
            status = schur(gees, n, tb, zb, work)
            if status == 0:
                status = schur(gees, m, ta, za, work)
            if status != 0:
                return status
            c, x = w[6] + member * m * n * size, w[3] + member * m * n * size
            fortran(gemm, (adjoint, plain, rows, columns, rows, one, zb, rows, c, rows, zero, g, rows))
            fortran(gemm, (plain, plain, rows, columns, columns, one, g, rows, za, columns, zero, f, rows))
            fortran(trsyl, (plain, plain, sign, rows, columns, tb, rows, ta, columns, f, rows, factor, info))
            if integers(info)[0] != 0:
                return integers(info)[0]
            fortran(gemm, (plain, plain, rows, columns, rows, one, zb, rows, f, rows, zero, g, rows))
            fortran(gemm, (plain, adjoint, rows, columns, columns, one, g, rows, za, columns, zero, x, rows))
            _scale(elements(x), m * n, START / reals(factor)[0])
        return 0

    return sylvester
