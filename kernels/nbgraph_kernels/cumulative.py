"""Recurrences along the middle axis.

In:    words. `cumsum`, `cumprod`: out, x, outer, n, inner, reverse. `argcummax`, `argcummin`: the same, out int64.
       `recurrence`: out, a, x, outer, n, inner, reverse. Arrays are [outer, n, inner], C-contiguous; reverse is 0 or
       1, and then the axis is gone through from its end.
       `convolve`: out, a, v, n, m, start, count.
Out:   `cumsum`, `cumprod`: sums and products so far, in the dtype of x. `argcummax`, `argcummin`: where the greatest
       (least) element so far is: the first of equals, the first NaN. `recurrence`: y_i = a_i y_(i-1) + x_i, y_(-1) = 0.
       `convolve`: out_k = sum over j of a_j v_(start + k - j), elements outside being 0. Status 0.
Holds: out overlaps nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .language import helper
from .words import ELEMENTS, POINTERS


def _sum(y: Any, x: Any) -> Any:
    return y + x


def _product(y: Any, x: Any) -> Any:
    return y * x


def _greater(x: Any, best: Any) -> Any:
    return (x > best or x != x) and best == best


def _less(x: Any, best: Any) -> Any:
    return (x < best or x != x) and best == best


_STEP = {"cumsum": _sum, "cumprod": _product}
_BEATS = {"argcummax": _greater, "argcummin": _less}


def build(name: str, dtype: str) -> Callable[[Any], int]:
    """The Python function of one of the kernels for elements of `dtype`."""
    if name in _STEP:
        return _accumulate(name, dtype)
    if name in _BEATS:
        return _position(name, dtype)
    return _recurrence(dtype) if name == "recurrence" else _convolve(dtype)


def _accumulate(name: str, dtype: str) -> Callable[[Any], int]:
    elements, step = POINTERS[dtype], helper(_STEP[name])

    def accumulate(w: Any) -> int:
        out, x, n, inner, reverse = elements(w[0]), elements(w[1]), w[3], w[4], w[5]
        for o in range(w[2]):
            for k in range(n):
                at = (o * n + (n - 1 - k if reverse else k)) * inner
                before = at + inner if reverse else at - inner
                for i in range(inner):
                    out[at + i] = x[at + i] if k == 0 else step(out[before + i], x[at + i])
        return 0

    return accumulate


def _position(name: str, dtype: str) -> Callable[[Any], int]:
    elements, integers, beats = POINTERS[dtype], POINTERS["i8"], helper(_BEATS[name])

    def position(w: Any) -> int:
        out, x, n, inner, reverse = integers(w[0]), elements(w[1]), w[3], w[4], w[5]
        for o in range(w[2]):
            start = o * n * inner
            for k in range(n):
                j = n - 1 - k if reverse else k
                for i in range(inner):
                    best = j if k == 0 else out[start + (j + 1 if reverse else j - 1) * inner + i]
                    if beats(x[start + j * inner + i], x[start + best * inner + i]):
                        best = j
                    out[start + j * inner + i] = best
        return 0

    return position


def _recurrence(dtype: str) -> Callable[[Any], int]:
    elements = POINTERS[dtype]

    def recurrence(w: Any) -> int:
        out, a, x, n, inner, reverse = elements(w[0]), elements(w[1]), elements(w[2]), w[4], w[5], w[6]
        for o in range(w[3]):
            for k in range(n):
                at = (o * n + (n - 1 - k if reverse else k)) * inner
                before = at + inner if reverse else at - inner
                for i in range(inner):
                    out[at + i] = x[at + i] if k == 0 else a[at + i] * out[before + i] + x[at + i]
        return 0

    return recurrence


def _convolve(dtype: str) -> Callable[[Any], int]:
    elements, element = POINTERS[dtype], ELEMENTS[dtype]

    def convolve(w: Any) -> int:
        out, a, v, n, m, start, count = elements(w[0]), elements(w[1]), elements(w[2]), w[3], w[4], w[5], w[6]
        if n > m:
            a, v, n, m = v, a, m, n
        for k in range(count):
            out[k] = element(0)
        # The longer operand, times one element of the shorter, is added where it overlaps the result.
        for j in range(n):
            factor, shift = a[j], start - j
            for k in range(max(0, -shift), min(count, m - shift)):
                out[k] += factor * v[shift + k]
        return 0

    return convolve
