"""Fixed points of a function that is called again and again, and systems whose matrix is the columns it gives.

In:    words; the function as the last of them: number of its parts (functions that run in turn), positions of its
       argument and of its result in its table, addresses of the parts, then its table of words.
       `iterate`: x, start, address of the tolerance (float64), memory for the next x, elements of x, most steps.
       `implicit_solve`, after the external's address: x, b, reals in b, workspace (`sizes.implicit_workspace`).
Out:   `iterate`: x with x = f(x), to a change of at most tolerance * (1 + max|x|). `implicit_solve`: x = f(x) + b for
       a function that is linear in the real and imaginary parts. Status: 0; what the function returns but 0; 1 for too
       many steps or a singular matrix, 2 for an x that is not finite (or LAPACK's info).
Holds: the function's table is the caller's copy for this call: its argument and result are written into it. A tolerance
       below the rounding of the last digits counts as that.
Source: LAPACK xGESV.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from .language import helper
from .words import ELEMENTS, POINTERS, address_of, call_at, fortran, slot

#: Tolerances at least, in units of the last digit of 1.
DIGITS = 4
_EPS = {"f4": 2.0**-23, "c8": 2.0**-23, "f8": 2.0**-52, "c16": 2.0**-52}
_LIMIT = 2**31 - 1

_table = POINTERS["i8"]


def smallest_tolerance(dtype: str) -> float:
    """The smallest tolerance that is told from rounding."""
    return DIGITS * _EPS[dtype]


@helper
def _apply(w: Any, at: Any, argument: Any, result: Any) -> Any:
    """Calls the function that the words from `at` on describe."""
    parts, words = w[at], address_of(w) + 8 * (at + 3 + w[at])
    table = _table(words)
    table[w[at + 1]] = argument
    table[w[at + 2]] = result
    for k in range(parts):
        status = call_at(w[at + 3 + k], words)
        if status != 0:
            return status
    return 0


def build(name: str, dtype: str) -> Callable[[Any], int]:
    """The Python function of one of the kernels for elements of `dtype`."""
    return _iterate(dtype) if name == "iterate" else _implicit_solve(dtype)


def _iterate(dtype: str) -> Callable[[Any], int]:
    elements, numbers, least = POINTERS[dtype], POINTERS["f8"], smallest_tolerance(dtype)

    def iterate(w: Any) -> int:
        x, start, following, n = elements(w[0]), elements(w[1]), elements(w[3]), w[4]
        tolerance = max(numbers(w[2])[0], least)
        for i in range(n):
            x[i] = start[i]
        for _ in range(w[5]):
            status = _apply(w, 6, w[0], w[3])
            if status != 0:
                return status
            change, size, zero = 0.0, 0.0, 0.0
            for i in range(n):
                new = following[i]
                change = max(change, float(abs(new - x[i])))
                length = float(abs(new))
                size = max(size, length)
                zero += 0.0 * length
                x[i] = new
            if zero != 0.0:  # NaN: one of them is not finite
                return 2
            if change <= tolerance * (1.0 + size):
                return 0
        return 1

    return iterate


def _implicit_solve(dtype: str) -> Callable[[Any], int]:
    elements, integers = POINTERS[dtype], POINTERS["i4"]
    size = ELEMENTS[dtype].bitwidth // 8

    def implicit_solve(w: Any) -> int:
        n, matrix = w[3], w[4]
        if n > _LIMIT:
            return -1
        if n == 0:
            return 0
        unit = matrix + n * n * size
        pivots = unit + n * size
        x, b, direction = elements(w[1]), elements(w[2]), elements(unit)
        for i in range(n):
            x[i] = b[i]
            direction[i] = 0
        for j in range(n):
            direction[j] = 1
            status = _apply(w, 5, unit, matrix + j * n * size)
            if status != 0:
                return status
            direction[j] = 0
            column = elements(matrix + j * n * size)
            for i in range(n):
                column[i] = -column[i]
            column[j] += 1
        order, columns, info = slot(np.int32(n)), slot(np.int32(1)), slot(np.int32(0))
        fortran(w[0], (order, columns, matrix, order, pivots, w[1], order, info))
        return integers(info)[0]

    return implicit_solve
