"""Values of many calls of one loop, and tables that step through them.

In: arrays, one a call, or rows of one array. Out: what a call keeps for its derivative; the words of a call and how
they change from call to call, for the kernel `repeat`.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterator, Sequence
from itertools import repeat
from typing import Any

import numpy as np

from nbgraph.engine.native import entry_point, placed_for, words_apart
from nbgraph.stretch import differing

Array = np.ndarray[Any, Any]
_COLUMN, _WORDS, _TURNS = 0, 1, 2  # kinds of columns of the kernel


class Kept(Sequence[Any]):
    """The values that a call of a chain keeps: row `k` of each series."""

    __slots__ = ("k", "series")

    def __init__(self, series: tuple[Any, ...], k: int) -> None:
        self.series, self.k = series, k

    def __getitem__(self, i: Any) -> Any:
        return row(self.series[i], self.k)

    def __len__(self) -> int:
        return len(self.series)

    def __iter__(self) -> Iterator[Any]:
        return (row(s, self.k) for s in self.series)


def row(series: Any, k: int) -> Array:
    """The value of call k, as an array also where it is 0-d."""
    found: Array = series[k, ...] if type(series) is np.ndarray else series[k]
    return found


def all_rows(series: Any) -> list[Array]:
    """The values of all calls."""
    if type(series) is not np.ndarray:
        return list(series)
    if series.ndim > 1:
        return list(series)
    return list(map(series.__getitem__, zip(range(len(series)), repeat(...))))


class Rows:
    """Values in the rows of one array, from row `first` down."""

    __slots__ = ("first", "stack")

    def __init__(self, stack: Array, first: int) -> None:
        self.stack, self.first = stack, first

    def __getitem__(self, k: int) -> Array:
        return row(self.stack, self.first - k)


def part(column: Any, steps: range) -> Sequence[Array]:
    """The arrays of a column, a list or `Rows`, at some steps."""
    if type(column) is not Rows:
        return column[steps.start : steps.stop]
    last = column.first - steps.stop + 1
    return all_rows(column.stack[last : column.first - steps.start + 1])[::-1]


class Table:
    """The words of a step, and what changes of them."""

    def __init__(self, n: int) -> None:
        self.n = n
        self.words = array("q", bytes(8 * n))
        self.columns = array("q")
        self.alive: list[Any] = []

    def fix(self, position: int, a: Array) -> None:
        """An array that is the same at every step."""
        self.words[position] = a.ctypes.data
        self.alive.append(a)

    def turn(self, position: int, pair: Array, first: int) -> None:
        """Two arrays by turns, beginning with `first`."""
        step = pair.nbytes // 2
        start = pair.ctypes.data + first * step
        self.columns.extend((position, _TURNS, start, -step if first else step, 1))

    def column(self, position: int, arrays: Sequence[Array]) -> None:
        """An array for each step."""
        ids = array("q", map(id, arrays))
        self.alive += [ids, arrays]
        self.columns.extend((position, _COLUMN, ids.buffer_info()[0], 0, 0))

    def values(self, position: int, values: Sequence[int]) -> None:
        """A word for each step."""
        column = array("q", values)
        self.alive.append(column)
        self.columns.extend((position, _WORDS, column.buffer_info()[0], 0, 0))

    def rows(self, position: int, stack: Array, first: int, step: int = 1) -> None:
        """Rows of an array at even distances, beginning with `first`."""
        stride = stack.strides[0]
        self.columns.extend((position, _TURNS, stack.ctypes.data + first * stride, step * stride, -1))
        self.alive.append(stack)

    def finish(self, native: Any, code: Any, bound: Any, words: Sequence[Any]) -> None:
        """The words after the arrays; `words` of the fragment at each step, where they are not the same at all."""
        placed = placed_for(code, bound)
        first = self.n - len(placed.rest)
        apart, room = words_apart(code, bound, words, differing(words)) if words else ({}, 0)
        base = native.workspace(max(placed.workspace, room))
        self.words[first:] = array("q", placed.at(base))
        for p, column in apart.items():
            self.values(first + p, [base + v for v in column] if placed.rest[p][1] else column)

    def run(self, native: Any, program: Any, steps: int, call_of: Callable[[int], Any]) -> None:
        """Runs so many steps, and counts them; a failure is that of the call which `call_of` gives for a step."""
        repeat, offset = entry_point("repeat")
        address = native.codes[program].machine.address
        words = [address, steps, self.words.buffer_info()[0], len(self.columns) // 5]
        status = native.timed(repeat, array("q", [*words, self.columns.buffer_info()[0], offset]))
        ran = steps if status == 0 else status >> 32
        native.count(ran, ran * program.n_ops)
        if status:
            failure = native.failure(program, status & 0xFFFFFFFF)
            raise failure.named(call_of(ran - 1)) from failure.error
