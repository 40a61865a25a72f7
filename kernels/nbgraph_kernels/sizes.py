"""How much memory the LAPACK drivers need.

In:    the order of a matrix and counts of right-hand sides: ints, or anything that adds and multiplies with
       ints.
Out:   sizes in elements (of the unit named) or in bytes.
Holds: only `+` and `*` are used, so sizes may be symbolic. numba is not imported; compiled code inlines the
       same functions, so the kernels and their callers cannot disagree.
"""

from __future__ import annotations

from typing import Any

ITEMSIZE: dict[str, int] = {"f4": 4, "f8": 8, "c8": 8, "c16": 16, "i4": 4, "i8": 8, "b1": 1}
"""Bytes of one element, by dtype code."""

PADDING = 64
"""Bytes that may lie between the columns of a workspace matrix."""


def leading(rows: int, size: int) -> int:
    """Elements from column to column of a workspace matrix (LDA), of `size` bytes each, as compiled code computes it.

    Columns that lie 2048 bytes apart, or a multiple of that, fall into few sets of the cache.
    """
    return rows + PADDING // size if rows * size % 2048 == 0 else rows


def matrix_bytes(dtype: str, rows: Any, columns: Any) -> Any:
    """Bytes of a workspace matrix at most."""
    return columns * (rows * ITEMSIZE[dtype] + PADDING)


SMALL, SMALL_VALUES = 32, 16
"""The largest sizes of a matrix for `small_hermitian` and `small_singular`, with vectors and without."""


def syevd_work(n: Any) -> Any:
    """LWORK of xSYEVD with vectors, in reals."""
    return 1 + 6 * n + 2 * n * n


def heevd_work(n: Any) -> Any:
    """LWORK of xHEEVD with vectors, in complex elements."""
    return 1 + 2 * n + n * n


def heevd_real_work(n: Any) -> Any:
    """LRWORK of xHEEVD with vectors, in reals."""
    return 1 + 5 * n + 2 * n * n


def evd_integer_work(n: Any) -> Any:
    """LIWORK of xSYEVD and xHEEVD with vectors, in 32 bit integers."""
    return 3 + 5 * n


def implicit_workspace(dtype: str, n: Any) -> Any:
    """Bytes for a system of n reals whose matrix is made column by column: matrix, a unit vector, pivots."""
    return n * n * ITEMSIZE[dtype] + n * (ITEMSIZE[dtype] + 4)


def solve_workspace(dtype: str, n: Any, nrhs: Any) -> Any:
    """Bytes for `solve`: the matrix, the right-hand sides, then the pivots."""
    return matrix_bytes(dtype, n, n) + matrix_bytes(dtype, n, nrhs) + n * 4


def eigh_workspace(dtype: str, n: Any) -> Any:
    """Bytes for `eigh`: the matrix, the work arrays, then the integers."""
    integers = evd_integer_work(n) * 4
    if dtype in ("f4", "f8"):
        return matrix_bytes(dtype, n, n) + syevd_work(n) * ITEMSIZE[dtype] + integers
    reals = heevd_real_work(n) * (ITEMSIZE[dtype] // 2)
    return matrix_bytes(dtype, n, n) + heevd_work(n) * ITEMSIZE[dtype] + reals + integers


def sort_workspace(dtype: str, n: Any) -> Any:
    """Bytes for `argsort` and `sort`: keys and places, twice, and the counts of the digits."""
    return 32 * n + 8 * 8 * 256


def fft_workspace(dtype: str, n: Any) -> Any:
    """Bytes for `fft`, `rfft` and `irfft`: planes twice, roots, the chirp and its transform, of up to 4 n numbers."""
    return 16 * (8 * n + 4 * n + n + n + 4 * n + 2 * (2 * n + 16)) + 3072
