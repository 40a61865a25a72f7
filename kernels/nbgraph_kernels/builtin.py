"""A program as a builtin function of Python: checks its arguments, makes its results, calls.

In:    as `PyObject* f(PyObject* self, PyObject** arguments, Py_ssize_t count)`: `self` is an array of words, the
       template; the arguments may be any objects.
Out:   a list of new arrays; None if an argument is not what the template says (nothing is called then); the status as
       an int if it is not 0; NULL with an exception set if there is no memory.
Holds: called with the global interpreter lock, which it keeps: for short programs. Nothing of Python runs between the
       last array's making and the end, so a workspace that the template names is in use once.

The template holds (`_HEAD` words, then what they point to):
    0 function   1 number of arguments   2 address of their checks, for each: id of the type `ndarray`, id of
    the dtype, number of dimensions, sizes   3 id of None
    4 number of words   5 address of two for each: a value and what it is: 0 as it stands, 1 the address of the data of
    an argument, 2 that of a result   6 number of results   7 address of three for each: id of the dtype, number of
    dimensions, address of sizes   8 address of a tally: calls, operations, nanoseconds   9 operations of a call
    10 on: addresses of the functions `python_api.CALLED`
    17 how many threads BLAS may use, 0 if that does not matter   18, 19 addresses of its functions that tell and set
    how many it uses
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from .arrays import ENTRY_WORDS, array_data_offset
from .language import helper
from .words import POINTERS, address_of, c_function, call_at, stack

_MONOTONIC = 1
"""`CLOCK_MONOTONIC`."""

_READABLE = 0x0101
"""C-contiguous and aligned."""

_words, _halves = POINTERS["i8"], POINTERS["i4"]
_table, _results, _start, _end = stack(8 * ENTRY_WORDS), stack(8 * ENTRY_WORDS), stack(16), stack(16)

# What follows the data's address in an array object: number of dimensions, sizes, strides, base, dtype, flags
# (`PyArrayObject_fields` of NumPy's C interface); the object's type is right before it.
_DATA = array_data_offset()
_TYPE, _RANK, _SIZES, _DTYPE, _FLAGS = _DATA - 8, _DATA + 8, _DATA + 16, _DATA + 40, _DATA + 48


@helper
def _fit(objects: Any, count: Any, checks: Any) -> Any:
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


def build(name: str, dtype: str) -> Callable[..., int]:
    """The Python function of the kernel; `dtype` is ""."""
    return builtin


def builtin(self: Any, arguments: Any, count: Any) -> int:
    """Check, make, call, count."""
    t = _words(_words(self + _DATA)[0])
    new_list, set_item, new_int, increase, decrease, new_array, clock = t[10], t[11], t[12], t[13], t[14], t[15], t[16]
    if count != t[1] or _fit(arguments, count, t[2]) == 0:
        c_function(increase, (t[3],))
        return t[3]
    made = c_function(new_list, (t[6],))
    if made == 0:
        return 0
    results, kinds = _words(_results()), _words(t[7])
    for p in range(t[6]):
        dtype = kinds[3 * p]
        c_function(increase, (dtype,))  # the next call takes the reference
        result = c_function(new_array, (kinds[3 * p + 1], kinds[3 * p + 2], dtype, np.int64(0)))
        if result == 0:
            c_function(decrease, (made,))
            return 0
        results[p] = result
        c_function(set_item, (made, np.int64(p), result))
    table, sources = _words(_table()), _words(t[5])
    for k in range(t[4]):
        word, kind = sources[2 * k], sources[2 * k + 1]
        if kind == 1:
            word = _words(arguments[word] + _DATA)[0]
        elif kind == 2:
            word = _words(results[word] + _DATA)[0]
        table[k] = word
    before, after, tally = _start(), _end(), _words(t[8])
    most, used = t[17], 0
    if most > 0:
        used = c_function(t[18], ()) & 0xFFFFFFFF  # an int
        if used > most:
            c_function(t[19], (most,))
    c_function(clock, (np.int64(_MONOTONIC), before))
    status = call_at(t[0], address_of(table))
    c_function(clock, (np.int64(_MONOTONIC), after))
    if used > most:
        c_function(t[19], (used,))
    if status != 0:
        c_function(decrease, (made,))
        return c_function(new_int, (status,))
    tally[0] += 1
    tally[1] += t[9]
    tally[2] += (_words(after)[0] - _words(before)[0]) * 1000000000 + _words(after)[1] - _words(before)[1]
    return made
