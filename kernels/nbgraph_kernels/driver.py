"""The driver: run a table of calls, take one call from Python, move a table to other memory.

In:    word tables only; no element type matters here.
Out:   the callee's status, or where in the table it failed.
Holds: the tables stay the caller's. `driver` writes nothing itself; `entry` writes only the words it
       replaces.

Words of `driver`: address of the rows, number of rows. A row is two words: a function's address, its
    table's address. Returns 0, or at the first nonzero status `((row + 1) << 32) | (status & 0xffffffff)`.
Words of `objects_driver`: address of the rows, number of rows, byte offset of the data pointer in an array
    object. A row is three words: a function's address, its table's address, how many words at the start of
    that table are `id()`s of arrays; these are replaced by data addresses before the call. Returns as `driver`.
Words of `entry`: function, number of objects, byte offset of the data pointer in an array object (see
    `arrays.array_data_offset`), the `id()` of that many NumPy arrays, further words. Replaces each id by
    the array's data address and calls the function with the table that starts there. Returns its status.
    Needs the arrays alive.
Words of `objects_entry`: the `id()` of arrays, as they lie in a tuple: a template, a workspace, then the arrays whose
    data addresses are the first words of the call. The template holds: function, number of arrays, number of
    further words, and for each of those its value and 1 if it is relative to the workspace (aligned to 64), else 0.
    Writes only a table of its own, of at most `ENTRY_WORDS` words, so threads may share a template. Returns the
    function's status. Needs the arrays alive.
Words of `repeat`: function, number of calls, its table, number of columns, columns, byte offset of the data pointer in
    an array object. A column is five words and says what one word of the table is at call k: position in the table,
    kind, a, b, c. Kind 0: the data address of the k-th of the `id()`s of arrays at a. Kind 1: the k-th word at a.
    Kind 2: a + b * (k & c). Returns as `driver`.
Words of `patch`: destination, template, base numbers (int64 each), bases, count.
    destination[i] = template[i] + bases[number[i]]; destination and template may be the same table.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .arrays import ENTRY_WORDS, array_data_offset
from .words import POINTERS, address_of, call_at, stack

_table = POINTERS["i8"]
_OFFSET = array_data_offset()
_small_table = stack(8 * ENTRY_WORDS)


def build(name: str, dtype: str) -> Callable[[Any], int]:
    """The Python function of kernel `name`; `dtype` is ""."""
    made = (driver, objects_driver, entry, objects_entry, repeat, patch)
    return {function.__name__: function for function in made}[name]


def driver(w: Any) -> int:
    """Call every row of a table; stop at the first that fails."""
    rows = _table(w[0])
    for row in range(w[1]):
        status = call_at(rows[2 * row], rows[2 * row + 1])
        if status != 0:
            return ((row + 1) << 32) | (status & 0xFFFFFFFF)
    return 0


def objects_driver(w: Any) -> int:
    """Call every row of a table whose words begin with array objects; stop at the first that fails."""
    rows = _table(w[0])
    for row in range(w[1]):
        words = _table(rows[3 * row + 1])
        for position in range(rows[3 * row + 2]):
            words[position] = _table(words[position] + w[2])[0]
        status = call_at(rows[3 * row], rows[3 * row + 1])
        if status != 0:
            return ((row + 1) << 32) | (status & 0xFFFFFFFF)
    return 0


def entry(w: Any) -> int:
    """Turn array objects into data addresses, then call."""
    for position in range(3, 3 + w[1]):
        w[position] = _table(w[position] + w[2])[0]
    return call_at(w[0], address_of(w) + 3 * 8)


def objects_entry(w: Any) -> int:
    """Call with the data addresses of the arrays of a tuple, and words from a template."""
    template = _table(_table(w[0] + _OFFSET)[0])
    base = (_table(w[1] + _OFFSET)[0] + 63) & ~63
    count = template[1]
    words = _table(_small_table())
    for position in range(count):
        words[position] = _table(w[2 + position] + _OFFSET)[0]
    for k in range(template[2]):
        words[count + k] = template[3 + 2 * k] + base * template[4 + 2 * k]
    return call_at(template[0], address_of(words))


def repeat(w: Any) -> int:
    """Call one function many times on a table of which some words change from call to call."""
    function, table, columns = w[0], _table(w[2]), _table(w[4])
    for k in range(w[1]):
        for column in range(0, 5 * w[3], 5):
            kind, a = columns[column + 1], columns[column + 2]
            if kind == 0:
                word = _table(_table(a)[k] + w[5])[0]
            elif kind == 1:
                word = _table(a)[k]
            else:
                word = a + columns[column + 3] * (k & columns[column + 4])
            table[columns[column]] = word
        status = call_at(function, w[2])
        if status != 0:
            return ((k + 1) << 32) | (status & 0xFFFFFFFF)
    return 0


def patch(w: Any) -> int:
    """Relocate a whole table."""
    destination, template, numbers, bases = _table(w[0]), _table(w[1]), _table(w[2]), _table(w[3])
    for i in range(w[4]):
        destination[i] = template[i] + bases[numbers[i]]
    return 0
