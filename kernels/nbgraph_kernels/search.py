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

    line = helper(_line(beats) if dtype[0] == "c" else _blocks(beats, greatest if name == "argmax" else least))
    plane = helper(_plane(beats, elements, size))

    def search(w: Any) -> int:
        outer, n, inner = w[2], w[3], w[4]
        if n == 0:
            return -1 if outer * inner > 0 else 0
        for block in range(outer):
            x, out = elements(w[1] + block * n * inner * size, INPUTS), table(w[0] + block * inner * 8, FIRST_OUTPUT)
            if inner == 1:
                out[0] = line(x, n)
            else:
                plane(out, x, n, inner)
        return 0

    return search


def _line(beats: Any) -> Any:
    """One row, the best so far in a register."""

    def line(x: Any, n: Any) -> Any:
        place, best = 0, x[0]
        for j in range(1, n):
            if beats(x[j], best):
                place, best = j, x[j]
        return place

    return line


def _blocks(beats: Any, step: Any) -> Any:
    """One row of real numbers: the extremum of each block by vectors; last, its place in the first best block."""

    def blocks(x: Any, n: Any) -> Any:
        place, best = 0, x[0]
        for block in range(0, n, BLOCK):
            stop = min(block + BLOCK, n)
            extremum = x[block]
            for j in range(block, stop):
                extremum = step(extremum, x[j])
            if beats(extremum, best):
                best, place = extremum, block
        while not (x[place] == best or x[place] != x[place]):
            place += 1
        return place

    return blocks


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
