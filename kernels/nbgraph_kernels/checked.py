"""A call straight from Python's arguments: checks the arrays, takes their addresses, calls.

In:    the `id()` of objects, as they lie in a tuple: a template, a workspace, the arguments (any objects), then arrays.
Out:   the function's status, or `UNFIT` if an argument is not what the template says; nothing is called then.
Holds: writes only a table of its own, of at most `driver.ENTRY_WORDS` words, so threads may share a template. Needs the
       objects alive.

The template holds: function, number of arguments, number of words, where the arguments' checks begin; then for each
word a value and what it is: 0 as it stands, 1 relative to the workspace (aligned to 64), 2 the address of an array,
numbered from the first argument. A check is: id of the type `ndarray`, id of the dtype, number of dimensions, sizes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .arrays import array_data_offset
from .driver import ENTRY_WORDS
from .lowering import helper
from .words import POINTERS, address_of, call_at, stack

UNFIT = -1

_READABLE = 0x0101
"""C-contiguous and aligned."""

_words, _halves = POINTERS["i8"], POINTERS["i4"]
_small_table = stack(8 * ENTRY_WORDS)

# What follows the data's address in an array object: number of dimensions, sizes, strides, base, dtype, flags
# (`PyArrayObject_fields` of NumPy's C interface); the object's type is right before it.
_DATA = array_data_offset()
_TYPE, _RANK, _SIZES, _DTYPE, _FLAGS = _DATA - 8, _DATA + 8, _DATA + 16, _DATA + 40, _DATA + 48


def build(name: str, dtype: str) -> Callable[[Any], int]:
    """The Python function of the kernel; `dtype` is ""."""
    return checked_entry


@helper
def fits(objects: Any, count: Any, checks: Any) -> Any:
    """Whether `count` objects are arrays as the checks at an address say: 1 or 0."""
    check = _words(checks)
    k = 0
    for i in range(count):
        a, rank = objects[i], check[k + 2]
        if _words(a + _TYPE)[0] != check[k]:
            return 0
        if _words(a + _DTYPE)[0] != check[k + 1] or _halves(a + _RANK)[0] != rank:
            return 0
        if _halves(a + _FLAGS)[0] & _READABLE != _READABLE:
            return 0
        sizes = _words(_words(a + _SIZES)[0])
        for axis in range(rank):
            if sizes[axis] != check[k + 3 + axis]:
                return 0
        k += 3 + rank
    return 1


def checked_entry(w: Any) -> int:
    """Check arguments, then call with their addresses."""
    template = _words(_words(w[0] + _DATA)[0])
    if fits(_words(address_of(w) + 16), template[1], address_of(template) + 8 * template[3]) == 0:
        return UNFIT
    base = (_words(w[1] + _DATA)[0] + 63) & ~63
    table = _words(_small_table())
    for k in range(template[2]):
        word, kind = template[4 + 2 * k], template[5 + 2 * k]
        if kind == 1:
            word += base
        elif kind == 2:
            word = _words(w[2 + word] + _DATA)[0]
        table[k] = word
    return call_at(template[0], address_of(table))
