"""Elements picked by index arrays along the middle axis, and put back by them.

In:    words. `gather`: out, x, index, outer, n, m, inner, then the index's strides (outer, m, inner) and its number
       of elements; out [outer, m, inner], x [outer, n, inner].
       `scatter_add`, `_set`, `_mul`, `_max`, `_min`: out, x, index, u, then the same; out and x [outer, n, inner]
       (x = 0: zeros), u [outer, m, inner]. Arrays are C-contiguous, index is int64; strides are in elements, 0 where
       the index does not depend on that axis, and the index has no gaps.
       `ravel_index`: out, i, j, count, m, n.
Out:   `gather`: x at the index. `scatter_*`: x with u combined at the index, one element after another, so that of
       equal indices the last one is set. `ravel_index`: i n + j, of i counted in m and j in n.
       Status: 0; the number, from 1, of the first index that is out of bounds (at most 2^24 - 1), and nothing written.
Holds: negative indices count from the end. NaN wins in max and min. Elements of a line that no cache near the core
       holds are asked for `_AHEAD` turns before they are needed: processors do not foresee random addresses.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .language import helper
from .regions import prefetch_element, shifted
from .words import ELEMENTS, POINTERS

_MOST = 2**24 - 1
#: 10^6 float64 added at random places take 11-19 ms without it, 6-8 with it. Lines of fewer bytes are in the cache.
_AHEAD, _CACHED = 32, 2**18


def _add(old: Any, new: Any) -> Any:
    return old + new


def _set(old: Any, new: Any) -> Any:
    return new


def _mul(old: Any, new: Any) -> Any:
    return old * new


def _max(old: Any, new: Any) -> Any:
    return new if new > old or new != new else old


def _min(old: Any, new: Any) -> Any:
    return new if new < old or new != new else old


_COMBINE = {f"scatter{f.__name__}": f for f in (_add, _set, _mul, _max, _min)}


@helper
def _wrapped(k: Any, n: Any) -> Any:
    return k + n if k < 0 else k


@helper
def _outside(index: Any, count: Any, n: Any) -> Any:
    """The number, from 1, of the first index that is out of bounds; 0 if there is none."""
    for position in range(count):
        if index[position] < -n or index[position] >= n:
            return min(position + 1, _MOST)
    return 0


def build(name: str, dtype: str) -> Callable[[Any], int]:
    """The Python function of one of the kernels for elements of `dtype`."""
    if name == "ravel_index":
        return _ravel_index()
    return _gather(dtype) if name == "gather" else _scatter(name, dtype)


def _gather(dtype: str) -> Callable[[Any], int]:
    elements, integers = POINTERS[dtype], POINTERS["i8"]
    size = ELEMENTS[dtype].bitwidth // 8

    def some(out: Any, x: Any, index: Any, m: Any, n: Any) -> None:
        for j in range(m):
            out[j] = x[_wrapped(index[j], n)]

    gather_some = helper(some)

    def line(out: Any, x: Any, index: Any, m: Any, n: Any) -> None:
        far = max(m - _AHEAD, 0) if n * size > _CACHED else 0
        for j in range(far):
            prefetch_element(x, _wrapped(index[j + _AHEAD], n))
            out[j] = x[_wrapped(index[j], n)]
        gather_some(shifted(out, far), x, shifted(index, far), m - far, n)

    gather_line = helper(line)

    def gather(w: Any) -> int:
        out, x, index = elements(w[0]), elements(w[1]), integers(w[2])
        outer, n, m, inner = w[3], w[4], w[5], w[6]
        status = _outside(index, w[10], n)
        if status != 0:
            return status
        if inner == 1:
            for o in range(outer):
                to_line, x_line, line = w[0] + o * m * size, w[1] + o * n * size, w[2] + 8 * o * w[7]
                gather_line(elements(to_line), elements(x_line), integers(line), m, n)
            return 0
        for o in range(outer):
            for j in range(m):
                to, at = (o * m + j) * inner, o * w[7] + j * w[8]
                if w[9] == 0:
                    row = (o * n + _wrapped(index[at], n)) * inner
                    for i in range(inner):
                        out[to + i] = x[row + i]
                else:
                    for i in range(inner):
                        out[to + i] = x[(o * n + _wrapped(index[at + i], n)) * inner + i]
        return 0

    return gather


def _scatter(name: str, dtype: str) -> Callable[[Any], int]:
    elements, integers, combine = POINTERS[dtype], POINTERS["i8"], helper(_COMBINE[name])
    element, size = ELEMENTS[dtype], ELEMENTS[dtype].bitwidth // 8

    def some(out: Any, u: Any, index: Any, m: Any, n: Any) -> None:
        for j in range(m):
            to = _wrapped(index[j], n)
            out[to] = combine(out[to], u[j])

    scatter_some = helper(some)

    def line(out: Any, u: Any, index: Any, m: Any, n: Any) -> None:
        far = max(m - _AHEAD, 0) if n * size > _CACHED else 0
        for j in range(far):
            prefetch_element(out, _wrapped(index[j + _AHEAD], n))
            to = _wrapped(index[j], n)
            out[to] = combine(out[to], u[j])
        scatter_some(out, shifted(u, far), shifted(index, far), m - far, n)

    scatter_line = helper(line)

    def scatter(w: Any) -> int:
        out, x, index, u = elements(w[0]), elements(w[1]), integers(w[2]), elements(w[3])
        outer, n, m, inner = w[4], w[5], w[6], w[7]
        status = _outside(index, w[11], n)
        if status != 0:
            return status
        for i in range(outer * n * inner):
            out[i] = x[i] if w[1] != 0 else element(0)
        if inner == 1:
            for o in range(outer):
                to_line, u_line, line = w[0] + o * n * size, w[3] + o * m * size, w[2] + 8 * o * w[8]
                scatter_line(elements(to_line), elements(u_line), integers(line), m, n)
            return 0
        for o in range(outer):
            for j in range(m):
                row, at = (o * m + j) * inner, o * w[8] + j * w[9]
                for i in range(inner):
                    to = (o * n + _wrapped(index[at + i * w[10]], n)) * inner + i
                    out[to] = combine(out[to], u[row + i])
        return 0

    return scatter


def _ravel_index() -> Callable[[Any], int]:
    integers = POINTERS["i8"]

    def ravel_index(w: Any) -> int:
        out, i, j, count, m, n = integers(w[0]), integers(w[1]), integers(w[2]), w[3], w[4], w[5]
        status = max(_outside(i, count, m), _outside(j, count, n))
        if status != 0:
            return status
        for position in range(count):
            out[position] = _wrapped(i[position], m) * n + _wrapped(j[position], n)
        return 0

    return ravel_index
