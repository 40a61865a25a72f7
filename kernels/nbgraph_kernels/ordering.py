"""Sorting along the middle axis, and positions in a sorted array.

In:    words. `argsort`: out (int64), x, outer, n, inner, workspace; `sort`: the same, out of the dtype of x. Arrays are
       [outer, n, inner], C-contiguous; the size of the workspace is in `sizes`.
       `searchsorted`: out (int64), a, v, n, count, right; a [n] ascending, v and out [count], right 0 or 1.
Out:   `argsort`: the stable permutation that sorts; `sort`: sorted elements. Ascending, NaN last; complex numbers by
       real, then imaginary part, those with a NaN last, in NumPy's order. `searchsorted`: how many elements of a are
       less than v (right = 1: not greater). Status 0.
Holds: an element is sorted by an int64 whose order is the elements' own, byte by byte from the least significant; a
       byte that all have in common costs nothing. A complex number is three such keys.
Source: LSD radix sort: Knuth, The Art of Computer Programming 3, section 5.2.5.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .language import helper
from .words import ELEMENTS, POINTERS, bits_to_f8, f8_to_bits

SMALL = 48
"""Up to here lines are sorted by insertion."""

_GREATEST = 2**63 - 1
_I8 = POINTERS["i8"]


@helper
def _float_key(x: Any) -> Any:
    """Negative numbers have all bits but the sign flipped; NaN comes last; both zeros are equal."""
    bits = f8_to_bits(x)
    if x == 0.0:
        bits = 0
    return _GREATEST if x != x else bits ^ ((bits >> 63) & _GREATEST)


@helper
def _float_of_key(key: Any) -> Any:
    return bits_to_f8(key ^ ((key >> 63) & _GREATEST))


def _key_of(dtype: str) -> Any:
    """Make `key(x, level)`: the key of an element; of a complex one the level says which, the last one leads."""
    if dtype[0] == "c":

        def complex_key(x: Any, level: Any) -> Any:
            re, im = x.real, x.imag
            if level == 0:
                return _float_key(float(im))
            if level == 1:
                return _float_key(float(re))
            return (2 if re != re else 0) + (1 if im != im else 0)

        return helper(complex_key)
    if dtype[0] == "f":

        def real_key(x: Any, level: Any) -> Any:
            return _float_key(float(x))

        return helper(real_key)

    def integer_key(x: Any, level: Any) -> Any:
        return int(x)

    return helper(integer_key)


def _element_of(dtype: str) -> Any:
    """Make `element(key)`, the inverse of `key` for real dtypes."""
    element = ELEMENTS[dtype]
    if dtype[0] == "f":

        def real(key: Any) -> Any:
            return element(_float_of_key(key))

        return helper(real)

    def integer(key: Any) -> Any:
        return element(key)

    return helper(integer)


@helper
def _insertion(keys: Any, order: Any, n: Any) -> None:
    for i in range(1, n):
        key, place, j = keys[i], order[i], i - 1
        while j >= 0 and keys[j] > key:
            keys[j + 1] = keys[j]
            order[j + 1] = order[j]
            j -= 1
        keys[j + 1] = key
        order[j + 1] = place


@helper
def _digit(key: Any, byte: Any, last: Any) -> Any:
    """A byte of a key; of the leading one the sign is flipped, so that negative keys come first."""
    digit = (key >> (8 * byte)) & 255
    return digit ^ 128 if byte == last else digit


def _radix(nbytes: int, ordered: bool) -> Any:
    """Make `radix(keys, order, spare_keys, spare_order, counts, n)`: which pair holds the sorted keys (0: the first).

    The order is carried along if `ordered`.
    """
    last = nbytes - 1

    def radix(keys: Any, order: Any, spare_keys: Any, spare_order: Any, counts: Any, n: Any) -> Any:
        for i in range(256 * nbytes):
            counts[i] = 0
        for i in range(n):
            for byte in range(nbytes):
                counts[256 * byte + _digit(keys[i], byte, last)] += 1
        turns = 0
        for byte in range(nbytes):
            at = 256 * byte
            if counts[at + _digit(keys[0], byte, last)] == n:
                continue
            total = 0
            for digit in range(256):
                here = counts[at + digit]
                counts[at + digit] = total
                total += here
            for i in range(n):
                digit = at + _digit(keys[i], byte, last)
                to = counts[digit]
                counts[digit] = to + 1
                spare_keys[to] = keys[i]
                if ordered:
                    spare_order[to] = order[i]
            keys, spare_keys = spare_keys, keys
            order, spare_order = spare_order, order
            turns += 1
        return turns & 1

    return helper(radix)


def build(name: str, dtype: str) -> Callable[[Any], int]:
    """The Python function of `argsort`, `sort` or `searchsorted` for elements of `dtype`."""
    if name == "searchsorted":
        return _searchsorted(dtype)
    return _sort(dtype) if name == "sort" and dtype[0] != "c" else _argsort(name, dtype)


_BYTES = {"b1": 1, "i4": 4}


def _argsort(name: str, dtype: str) -> Callable[[Any], int]:
    elements, results = POINTERS[dtype], _I8 if name == "argsort" else POINTERS[dtype]
    element_size = ELEMENTS[dtype].bitwidth // 8
    result_size = 8 if name == "argsort" else element_size
    key, radix, levels = _key_of(dtype), _radix(_BYTES.get(dtype, 8), True), 3 if dtype[0] == "c" else 1
    gives_order = name == "argsort"

    def line(out: Any, x: Any, n: Any, stride: Any, work: Any) -> None:
        keys, order = _I8(work), _I8(work + 8 * n)
        spare_keys, spare_order, counts = _I8(work + 16 * n), _I8(work + 24 * n), _I8(work + 32 * n)
        for i in range(n):
            order[i] = i
        for level in range(levels):
            for i in range(n):
                keys[i] = key(x[order[i] * stride], level)
            if n <= SMALL:
                _insertion(keys, order, n)
            elif radix(keys, order, spare_keys, spare_order, counts, n) == 1:
                keys, spare_keys = spare_keys, keys
                order, spare_order = spare_order, order
        for i in range(n):
            if gives_order:
                out[i * stride] = order[i]
            else:
                out[i * stride] = x[order[i] * stride]

    sort_line = helper(line)

    def argsort(w: Any) -> int:
        outer, n, inner = w[2], w[3], w[4]
        for o in range(outer):
            for i in range(inner):
                at = o * n * inner + i
                sort_line(results(w[0] + at * result_size), elements(w[1] + at * element_size), n, inner, w[5])
        return 0

    return argsort


def _sort(dtype: str) -> Callable[[Any], int]:
    elements, size = POINTERS[dtype], ELEMENTS[dtype].bitwidth // 8
    key, element, radix = _key_of(dtype), _element_of(dtype), _radix(_BYTES.get(dtype, 8), False)

    def line(out: Any, x: Any, n: Any, stride: Any, work: Any) -> None:
        keys, spare, counts = _I8(work), _I8(work + 8 * n), _I8(work + 16 * n)
        for i in range(n):
            keys[i] = key(x[i * stride], 0)
        if n <= SMALL:
            _insertion(keys, spare, n)
        elif radix(keys, keys, spare, spare, counts, n) == 1:
            keys = spare
        for i in range(n):
            out[i * stride] = element(keys[i])

    sort_line = helper(line)

    def sort(w: Any) -> int:
        outer, n, inner = w[2], w[3], w[4]
        for o in range(outer):
            for i in range(inner):
                at = (o * n * inner + i) * size
                sort_line(elements(w[0] + at), elements(w[1] + at), n, inner, w[5])
        return 0

    return sort


def _less(a: Any, b: Any) -> Any:
    return a < b or (b != b and a == a)


def _searchsorted(dtype: str) -> Callable[[Any], int]:
    elements, less = POINTERS[dtype], helper(_less)

    def searchsorted(w: Any) -> int:
        out, a, v = _I8(w[0]), elements(w[1]), elements(w[2])
        for i in range(w[4]):
            low, high = 0, w[3]
            while low < high:
                middle = (low + high) >> 1
                before = less(a[middle], v[i]) if w[5] == 0 else not less(v[i], a[middle])
                if before:
                    low = middle + 1
                else:
                    high = middle
            out[i] = low
        return 0

    return searchsorted
