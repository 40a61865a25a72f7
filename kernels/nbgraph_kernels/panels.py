"""Matrix products of middling size, of real numbers, in registers: C = A B, or C += A B.

In:    typed pointers; `extents` (m, n, k); the (row, column) strides of c, a and b, in elements; `keep`, 1 if c's old
       values are to be added to.
Out:   c.
Holds: a helper of `gemm`. Columns of c are contiguous; strides of a and b are any. A BLAS copies both operands before
       it multiplies, which pays in large products only; here a is copied by panels where it cannot be read as it lies,
       b where its lines would be fetched again and again. What comes next is asked for early.
Source: Goto and van de Geijn, Anatomy of High-Performance Matrix Multiplication (2008), for the order of loops.
"""

from __future__ import annotations

from typing import Any

from .language import helper
from .products import SCALARS
from .regions import fetch, shifted
from .tile import copy_row, lanes, multiply, turn
from .words import ELEMENTS, POINTERS, stack

#: Rows and columns of a's block that is copied at a time: 96 KiB of float64 on the stack.
ROWS, DEPTH = 48, 256
#: Columns of a tile; of c, from which a is copied though it can be read as it lies.
COLUMNS, MANY = 6, 24
#: Elements of c, in whole tiles, for which nothing is prepared.
FEW = 256


def panels(dtype: str) -> Any:
    """Make `panels(c, a, b, extents, c_strides, a_strides, b_strides, keep)` over typed pointers."""
    size, high, elements = ELEMENTS[dtype].bitwidth // 8, 2 * lanes(dtype), POINTERS[dtype]
    block, strip, corner = (stack(n * size) for n in (ROWS * DEPTH, COLUMNS * DEPTH, COLUMNS * high))
    pack, six, four = _pack(dtype), _across(dtype, COLUMNS), _across(dtype, 4)
    strip_of_six, strip_of_four = _strip(dtype, COLUMNS), _strip(dtype, 4)
    tile = multiply(dtype, 4)

    def run(c: Any, a: Any, b: Any, extents: Any, of_c: Any, of_a: Any, of_b: Any, keep: Any) -> None:
        (m, n, k), cj, (ai, ap), (bp, bj) = extents, of_c[1], of_a, of_b
        if ai == 1 and m % high == 0 and n % 4 == 0 and m * n <= FEW:
            for j in range(0, n, 4):
                for i in range(0, m, high):
                    tile(shifted(c, i + j * cj), cj, shifted(a, i), ap, shifted(b, j * bj), bp, bj, k, keep)
            return
        packed, narrow, rest = elements(block()), elements(strip()), elements(corner())
        for p in range(0, k, DEPTH):
            depth, old = min(k - p, DEPTH), keep if p == 0 else 1
            for i in range(0, m, ROWS):
                rows = min(m - i, ROWS)
                left, next_panel, next_column = shifted(a, i * ai + p * ap), high, ap
                if ai != 1 or rows % high != 0 or n > MANY:
                    pack(packed, left, rows, depth, ai, ap)
                    left, next_panel, next_column = packed, high * depth, high
                j = 0
                while j < n:
                    # Eight columns left are four and four.
                    wide = n - j > 4 and n - j != 8
                    columns = min(n - j, COLUMNS if wide else 4)
                    right, rp, rj = shifted(b, p * bp + j * bj), bp, bj
                    if columns < 4 or columns == 5 or (bp != 1 and rows > high):
                        if wide:
                            strip_of_six(narrow, right, bp, bj, columns, depth)
                        else:
                            strip_of_four(narrow, right, bp, bj, columns, depth)
                        right, rp, rj = narrow, COLUMNS if wide else 4, 1
                    if bp == 1:
                        for s in range(COLUMNS):
                            fetch(b, p + (j + columns + s) * bj, depth)
                    to = shifted(c, i + j * cj)
                    if wide:
                        six(to, cj, left, next_panel, next_column, right, rp, rj, rows, columns, depth, old, rest)
                    else:
                        four(to, cj, left, next_panel, next_column, right, rp, rj, rows, columns, depth, old, rest)
                    j += columns

    return helper(run, apart=True)


def _across(dtype: str, columns: int) -> Any:
    """All rows of a block times a few columns; tiles that are not whole by way of `rest`."""
    high, tile = 2 * lanes(dtype), multiply(dtype, columns)

    def run(
        c: Any, cj: Any, a: Any, next_panel: Any, ap: Any, b: Any, bp: Any, bj: Any, rows: Any, there: Any,
        depth: Any, keep: Any, rest: Any,
    ) -> None:  # fmt: skip
        for i in range(0, rows, high):
            to, next_to, old = shifted(c, i), cj, keep
            whole = there == columns and rows - i >= high
            if not whole:
                to, next_to, old = rest, high, 0
            for j in range(columns):
                fetch(to, j * next_to, 1)
            tile(to, next_to, a, ap, b, bp, bj, depth, old)
            a = shifted(a, next_panel)
            if not whole:
                for j in range(there):
                    for r in range(min(high, rows - i)):
                        at = i + r + j * cj
                        c[at] = c[at] + rest[j * high + r] if keep != 0 else rest[j * high + r]

    return helper(run, apart=True)


def _strip(dtype: str, columns: int) -> Any:
    """A few columns of b row by row, filled up with zeros."""
    zero, line = SCALARS[dtype](0), copy_row(dtype, columns)

    def run(to: Any, b: Any, bp: Any, bj: Any, there: Any, depth: Any) -> None:
        if there == columns and bj == 1:
            for q in range(depth):
                fetch(b, q * bp + 2 * columns, 1)
                line(shifted(to, q * columns), shifted(b, q * bp))
            return
        for q in range(depth):
            for j in range(columns):
                value = zero
                if j < there:
                    value = b[q * bp + j * bj]
                to[q * columns + j] = value

    return helper(run, apart=True)


def _pack(dtype: str) -> Any:
    """Rows by panels, the last filled up with zeros."""
    width, zero = lanes(dtype), SCALARS[dtype](0)
    copy, turned = copy_row(dtype, 2 * width), turn(dtype)
    high = 2 * width

    def run(to: Any, a: Any, rows: Any, depth: Any, ai: Any, ap: Any) -> None:
        for i in range(0, rows, high):
            there = shifted(to, i * depth)
            even = 0
            if i + high <= rows and ai == 1:
                for p in range(depth):
                    copy(shifted(there, p * high), shifted(a, i + p * ap))
                even = depth
            elif i + high <= rows and ap == 1:
                even = depth - depth % width
                for p in range(0, even, width):
                    turned(shifted(there, p * high), high, shifted(a, i * ai + p), ai)
                    turned(shifted(there, p * high + width), high, shifted(a, (i + width) * ai + p), ai)
            for p in range(even, depth):
                for r in range(high):
                    value = zero
                    if i + r < rows:
                        value = a[(i + r) * ai + p * ap]
                    there[p * high + r] = value

    return helper(run, apart=True)
