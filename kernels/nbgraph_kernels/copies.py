"""Copies of matrices, for kernels: as they are, transposed, one triangle; whether one is finite.

In:    typed pointers and sizes. Out: the target, written whole.
Holds: helpers of compiled code; source and target do not overlap.
"""

from __future__ import annotations

from typing import Any

from .language import helper

BLOCK = 16
"""A block of 16 x 16 complex128 is 4 KiB: it stays in the first cache while its columns are gathered."""


@helper
def copy(to: Any, source: Any, count: Any) -> None:
    """`count` elements."""
    for i in range(count):
        to[i] = source[i]


@helper
def copy_rows(to: Any, lead: Any, source: Any, rows: Any, columns: Any) -> None:
    """Rows of [rows, columns] to where they lie `lead` elements apart."""
    for i in range(rows):
        for j in range(columns):
            to[i * lead + j] = source[i * columns + j]


def _transpose_rows(to: Any, lead: Any, source: Any, given: Any, rows: Any, columns: Any) -> None:
    """[rows, columns], whose rows lie `given` elements apart, to columns that lie `lead` apart.

    Written in order: where columns lie a power of 2 apart, written lines would push each other out of the cache.
    """
    for top in range(0, rows, BLOCK):
        for left in range(0, columns, BLOCK):
            for j in range(left, min(left + BLOCK, columns)):
                for i in range(top, min(top + BLOCK, rows)):
                    to[j * lead + i] = source[i * given + j]


transpose_rows = helper(_transpose_rows, (), True)


@helper
def transpose(to: Any, source: Any, rows: Any, columns: Any) -> None:
    """Row-major [rows, columns] to column-major, or the other way with rows and columns swapped."""
    transpose_rows(to, rows, source, columns, rows, columns)


@helper
def lower_triangle(to: Any, source: Any, n: Any) -> None:
    """The lower triangle of a row-major [n, n], zeros above."""
    for i in range(n):
        for j in range(i + 1):
            to[i * n + j] = source[i * n + j]
        for j in range(i + 1, n):
            to[i * n + j] = 0


@helper
def identity(to: Any, n: Any) -> None:
    """The identity [n, n]."""
    for i in range(n * n):
        to[i] = 0
    for i in range(n):
        to[i * n + i] = 1


def _is_finite(x: Any, rows: Any, columns: Any, lower: Any) -> Any:
    """Whether no element of a row-major matrix, or of its lower triangle, is NaN or infinite."""
    total = 0.0
    for i in range(rows):
        for j in range(i + 1 if lower else columns):
            z = x[i * columns + j]
            total += (z.real - z.real) + (z.imag - z.imag)
    return total == 0.0


is_finite = helper(_is_finite, {"reassoc"})
