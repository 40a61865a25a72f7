"""The node of an operation, made by machine code: what recording costs is mostly the making of nodes.

In:    as `PyObject* f(PyObject* self, PyObject** arguments, Py_ssize_t count)`: `self` is an array of words, the
       template; the arguments are an operation and its one or two operands; or an operation, a tuple of operands, one
       of sizes, the result's type and its activity; or the type, activity, call and slot of a call's result.
Out:   a new node; None where an operation was not met on operands of these types, or one of them is no node; NULL
       with an exception set if there is no memory.
Holds: called with the global interpreter lock, which it keeps: nothing of Python runs but its allocator, and the
       counter that numbers nodes.

The template holds
    0 id of the nodes' class   1 to 5 ids of None, True, False, () and 0   6 id of the counter   7 on: addresses of the
    functions `CALLED`   13 address of a table   14 its number of entries, a power of two, less 1   15 on: offsets in a
    node of the slots `SLOTS`
The table holds five words an entry: ids of an operation and of its operands' types (0 where there is none), id of the
result's type, whether that is inexact. An entry has its place by `place`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from .arrays import array_data_offset
from .language import helper
from .words import POINTERS, c_function

CALLED = ("PyType_GenericAlloc", "PyTuple_New", "PyTuple_SetItem", "PyIter_Next", "Py_IncRef", "Py_DecRef")
SLOTS = ("active", "call", "data", "inputs", "op", "seq", "sizes", "slot", "type")
ENTRY = 5
_DATA = array_data_offset()
_TYPE = _DATA - 8
_words = POINTERS["i8"]


def place(op: int, a: int, b: int, mask: int) -> int:
    """The number of an entry, from ids."""
    return (((op >> 4) * 40503 + (a >> 4) * 30011 + (b >> 4) * 20011) >> 3) & mask


_place = helper(place)


@helper
def _store(t: Any, node: Any, which: Any, value: Any) -> Any:
    """A slot of a new node, which takes a reference of its own."""
    c_function(t[11], (value,))
    _words(node + t[15 + which])[0] = value
    return 0


@helper
def _made(t: Any, op: Any, inputs: Any, sizes: Any, kind: Any, active: Any, call: Any, slot: Any) -> Any:
    """A new node; 0 where there is no memory. It takes the reference to `inputs`."""
    number = c_function(t[10], (t[6],))
    node = np.int64(0)
    if number != 0:
        node = c_function(t[7], (t[0], np.int64(0)))
        if node == 0:
            c_function(t[12], (number,))
    if node == 0:
        c_function(t[12], (inputs,))
        return np.int64(0)
    _words(node + t[18])[0] = inputs
    _words(node + t[20])[0] = number
    _store(t, node, 0, active)
    _store(t, node, 1, call)
    _store(t, node, 2, t[1])
    _store(t, node, 4, op)
    _store(t, node, 6, sizes)
    _store(t, node, 7, slot)
    _store(t, node, 8, kind)
    return node


def build(name: str, dtype: str) -> Callable[..., int]:
    """The Python function of the kernel; `dtype` is ""."""
    return recorder


def recorder(self: Any, arguments: Any, count: Any) -> int:
    """Look up, make."""
    t = _words(_words(self + _DATA)[0])
    if count == 4:
        c_function(t[11], (t[4],))
        return _made(t, t[1], t[4], t[4], arguments[0], arguments[1], arguments[2], arguments[3])
    if count == 5:
        c_function(t[11], (arguments[1],))
        return _made(t, arguments[0], arguments[1], arguments[2], arguments[3], arguments[4], t[1], t[5])
    op, a, b = arguments[0], arguments[1], np.int64(0)
    of_b, active_b = np.int64(0), t[3]
    known = 0
    if _words(a + _TYPE)[0] == t[0]:
        known = 1
    if count == 3:
        b = arguments[2]
        if _words(b + _TYPE)[0] == t[0]:
            of_b, active_b = _words(b + t[23])[0], _words(b + t[15])[0]
        else:
            known = 0
    if known == 1:
        of_a, active = _words(a + t[23])[0], _words(a + t[15])[0]
        entry = _words(t[13] + 40 * _place(op, of_a, of_b, t[14]))
        if entry[0] == op and entry[1] == of_a and entry[2] == of_b:
            if active != t[2]:
                active = active_b
            if entry[4] == 0:
                active = t[3]
            inputs = c_function(t[8], (count - 1,))
            if inputs == 0:
                return 0
            c_function(t[11], (a,))
            c_function(t[9], (inputs, np.int64(0), a))
            if count == 3:
                c_function(t[11], (b,))
                c_function(t[9], (inputs, np.int64(1), b))
            return _made(t, op, inputs, t[4], entry[3], active, t[1], t[5])
    c_function(t[11], (t[1],))
    return t[1]
