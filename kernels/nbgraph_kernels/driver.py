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
Words of `patch`: destination, template, base numbers (int64 each), bases, count.
    destination[i] = template[i] + bases[number[i]]; destination and template may be the same table.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .words import POINTERS, address_of, call_at

_table = POINTERS["i8"]


def build(name: str, dtype: str) -> Callable[[Any], int]:
    """The Python function of kernel `name`; `dtype` is ""."""
    return {"driver": driver, "objects_driver": objects_driver, "entry": entry, "patch": patch}[name]


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


def patch(w: Any) -> int:
    """Relocate a whole table."""
    destination, template, numbers, bases = _table(w[0]), _table(w[1]), _table(w[2]), _table(w[3])
    for i in range(w[4]):
        destination[i] = template[i] + bases[numbers[i]]
    return 0
