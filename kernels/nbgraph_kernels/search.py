"""argmax and argmin along the middle axis.

In:    words: out (int64, [outer, inner]), x ([outer, n, inner]), outer, n, inner; both C-contiguous.
Out:   out: the position of the first greatest (least) element. Status -1, and nothing written, if n = 0 and
       out is not empty.
Holds: NumPy's rules. The first NaN wins, the first of equals wins, complex numbers are ordered by their real
       part, then their imaginary part, and one with a NaN in either is a NaN. x is read in its order in
       memory.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .accumulate import greatest, least
from .language import helper
from .regions import FIRST_OUTPUT, INPUTS, POINTERS, WORKSPACE, shifted
from .words import ELEMENTS, stack

#: Elements of a row whose extremum is found before anything else is compared; half of them are searched one by one.
BLOCK = 256
#: Columns that are searched side by side: their best elements and places stay in the first cache.
STRIP = 1024
#: Elements of a single row that is searched at four places at a time.
LONG = 8192


def _greater(x: Any, y: Any) -> Any:
    return x > y


def _less(x: Any, y: Any) -> Any:
    return x < y


def _complex_greater(x: Any, y: Any) -> Any:
    return x.real > y.real or (x.real == y.real and x.imag > y.imag)


def _complex_less(x: Any, y: Any) -> Any:
    return x.real < y.real or (x.real == y.real and x.imag < y.imag)


def _never(x: Any) -> Any:
    return False


def _is_nan(x: Any) -> Any:
    return x != x


def _complex_is_nan(x: Any) -> Any:
    return x.real != x.real or x.imag != x.imag


_BETTER = {
    ("argmax", False): _greater,
    ("argmax", True): _complex_greater,
    ("argmin", False): _less,
    ("argmin", True): _complex_less,
}
_NAN = {"f": _is_nan, "c": _complex_is_nan, "i": _never, "b": _never}


def build(name: str, dtype: str) -> Callable[[Any], int]:
    """The Python function of `argmax` or `argmin` for elements of `dtype`."""
    elements, table = POINTERS[dtype], POINTERS["i8"]
    size = ELEMENTS[dtype].bitwidth // 8
    better = helper(_BETTER[name, dtype[0] == "c"])
    nan = helper(_NAN[dtype[0]])

    @helper
    def beats(new: Any, best: Any) -> Any:
        return not nan(best) and (better(new, best) or nan(new))

    rows = helper(
        _rows(beats) if dtype[0] == "c" else _real_rows(beats, greatest if name == "argmax" else least, dtype)
    )
    plane = helper(_plane(beats, elements, size))

    def search(w: Any) -> int:
        outer, n, inner = w[2], w[3], w[4]
        if n == 0:
            return -1 if outer * inner > 0 else 0
        if inner == 1:
            rows(table(w[0], FIRST_OUTPUT), elements(w[1], INPUTS), outer, n)
            return 0
        for block in range(outer):
            x, out = elements(w[1] + block * n * inner * size, INPUTS), table(w[0] + block * inner * 8, FIRST_OUTPUT)
            plane(out, x, n, inner)
        return 0

    return search


def _rows(beats: Any) -> Any:
    """Row by row, the best so far in a register."""

    def rows(out: Any, x: Any, count: Any, n: Any) -> None:
        for i in range(count):
            row = shifted(x, i * n)
            place, best = 0, row[0]
            for j in range(1, n):
                if beats(row[j], best):
                    place, best = j, row[j]
            out[i] = place

    return rows


def _real_rows(beats: Any, step: Any, dtype: str) -> Any:
    """Rows of real numbers, four at a time, far from each other in memory; a long row as four."""
    one, four = helper(_one_row(beats, step)), helper(_four_rows(beats, step, dtype))
    table, reserve = POINTERS["i8"], stack(4 * 8)

    @helper
    def in_four(x: Any, n: Any) -> Any:
        part, places = n // 4, table(reserve(), WORKSPACE)
        four(places, 1, x, part, part)
        place = places[0]
        for k in range(1, 4):
            other = k * part + places[k]
            if beats(x[other], x[place]):
                place = other
        for j in range(4 * part, n):
            if beats(x[j], x[place]):
                place = j
        return place

    def rows(out: Any, x: Any, count: Any, n: Any) -> None:
        part = count // 4
        for i in range(part):
            four(shifted(out, i), part, shifted(x, i * n), part * n, n)
        for i in range(4 * part, count):
            row = shifted(x, i * n)
            out[i] = in_four(row, n) if n >= LONG else one(row, n)

    return rows


def _one_row(beats: Any, step: Any) -> Any:
    """The extremum of each block by vectors; last, its place in the first best block."""

    def one(x: Any, n: Any) -> Any:
        place, best = 0, x[0]
        for block in range(0, n, BLOCK):
            extremum = x[block]
            for j in range(block, min(block + BLOCK, n)):
                extremum = step(extremum, x[j])
            if beats(extremum, best):
                best, place = extremum, block
        return _found(x, best, place)

    return one


@helper
def _found(x: Any, best: Any, place: Any) -> Any:
    """The place of the best, or of NaN, from a place on."""
    while not (x[place] == best or x[place] != x[place]):
        place += 1
    return place


def _four_rows(beats: Any, step: Any, dtype: str) -> Any:
    """The same for four rows that begin `apart` elements from each other: memory gives more to who reads at several
    places at a time. Their places are written `away` elements from each other."""
    elements, reserve = POINTERS[dtype], stack(4 * ELEMENTS[dtype].bitwidth // 8)

    @helper
    def note(best: Any, k: Any, out: Any, extremum: Any, block: Any) -> None:
        if beats(extremum, best[k]):
            best[k], out[0] = extremum, block

    def four(out: Any, away: Any, x: Any, apart: Any, n: Any) -> None:
        best = elements(reserve(), WORKSPACE)
        second, third, fourth = shifted(x, apart), shifted(x, 2 * apart), shifted(x, 3 * apart)
        for k in range(4):
            best[k], out[k * away] = x[k * apart], 0
        for block in range(0, n, BLOCK):
            a, b, c, d = x[block], second[block], third[block], fourth[block]
            for j in range(block, min(block + BLOCK, n)):
                a, b, c, d = step(a, x[j]), step(b, second[j]), step(c, third[j]), step(d, fourth[j])
            note(best, 0, out, a, block)
            note(best, 1, shifted(out, away), b, block)
            note(best, 2, shifted(out, 2 * away), c, block)
            note(best, 3, shifted(out, 3 * away), d, block)
        for k in range(4):
            out[k * away] = _found(shifted(x, k * apart), best[k], out[k * away])

    return four


def _plane(beats: Any, elements: Any, size: int) -> Any:
    """Columns of a row-major matrix side by side, so that it is read in its order in memory; the best so far of each is
    kept on the stack."""
    reserve = stack(STRIP * size)

    def plane(out: Any, x: Any, n: Any, inner: Any) -> None:
        best = elements(reserve(), WORKSPACE)
        for first in range(0, inner, STRIP):
            width, place = min(STRIP, inner - first), shifted(out, first)
            for i in range(width):
                best[i], place[i] = x[first + i], 0
            for j in range(1, n):
                row = shifted(x, j * inner + first)
                for i in range(width):
                    new, old = row[i], best[i]
                    wins = beats(new, old)
                    best[i] = new if wins else old
                    place[i] = j if wins else place[i]

    return plane
