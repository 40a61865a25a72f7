"""Replaying: a whole program, many calls in runs, from one call out of Python.

In:    the `id()` of arrays, as they lie in a tuple: the memory, then the program's arguments.
Out:   0, or at the first nonzero status that status; the head then says where.
Holds: writes only to the memory, which belongs to one call at a time. Needs the arrays alive.

The memory, from its first address that is a multiple of 64 on, holds words; all addresses in it are absolute. The head:
    0 number of arguments' places   1 their address: two words each, the address of a word, the argument (from 1)
    2 number of runs                3 their address: three words each, repetitions, number of rows, address of rows
    4 address of zeros              5 how many words of them
    6 run, 7 repetition, 8 row of the call that failed
A row is four words: a function's address, its table's address, number of columns, address of columns. All rows of a run
are called in turn, then all again. A column is five words and says what one word of the table is at repetition k:
address of the word, kind, a, b, c. Kind 0: a + b * k. Kind 1: the word at a + 8 * (k & c).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .arrays import array_data_offset
from .words import POINTERS, call_at

_table = POINTERS["i8"]
_OFFSET = array_data_offset()


def build(name: str, dtype: str) -> Callable[[Any], int]:
    """The Python function of the kernel; `dtype` is ""."""
    return replay


def replay(w: Any) -> int:
    """Fill in arguments and zeros, then call row after row."""
    head = _table((_table(w[0] + _OFFSET)[0] + 63) & ~63)
    places, runs, zeros = _table(head[1]), _table(head[3]), _table(head[4])
    for i in range(head[0]):
        _table(places[2 * i])[0] = _table(w[places[2 * i + 1]] + _OFFSET)[0]
    for i in range(head[5]):
        zeros[i] = 0
    for run in range(head[2]):
        n_rows, rows = runs[3 * run + 1], _table(runs[3 * run + 2])
        for k in range(runs[3 * run]):
            for row in range(n_rows):
                columns = _table(rows[4 * row + 3])
                for column in range(0, 5 * rows[4 * row + 2], 5):
                    word = columns[column + 2]
                    if columns[column + 1] == 0:
                        word += columns[column + 3] * k
                    else:
                        word = _table(word)[k & columns[column + 4]]
                    _table(columns[column])[0] = word
                status = call_at(rows[4 * row], rows[4 * row + 1])
                if status != 0:
                    head[6], head[7], head[8] = run, k, row
                    return status
    return 0
