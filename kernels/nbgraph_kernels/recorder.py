"""The node of an operation, and the call that an eval leaves in its place, made by machine code: what recording costs
is mostly the making of nodes, what an eval costs besides running much the making of a call.

In:    as `PyObject* f(PyObject* self, PyObject** arguments, Py_ssize_t count)`: `self` is an array of words, the
       template; the arguments are an operation and its one or two operands; or an operation, a tuple of operands, one
       of sizes, the result's type and its activity; or the type, activity, call and slot of a call's result; or of an
       active call that has run the fragment, inputs, words, kept values, sites and kind, and for each of its nodes the
       node, its slot and its value.
Out:   a new node; None where an operation was not met on operands of these types, or one of them is no node; the new
       call, which the nodes that were open are values of now, and no longer open; NULL with an exception set if there
       is no memory.
Holds: called with the global interpreter lock, which it keeps: nothing of Python runs but its allocator, the counter
       that numbers nodes, and what the last reference to an object sets off, once all is in its place.

The template holds
    0 id of the nodes' class   1 to 5 ids of None, True, False, () and 0   6 id of the counter   7 on: addresses of the
    functions `CALLED`   13 address of a table   14 its number of entries, a power of two, less 1   15 on: offsets in a
    node of the slots `SLOTS`   24 id of the calls' class   25 on: offsets in a call of the slots `OF_CALLS`
The table holds six words an entry: ids of an operation, or of what else is asked for, and of its operands' types (0
where there is none), id of the result's type, whether that is inexact, id of the operation. An entry has its place by
`place`.
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
OF_CALLS = ("fragment", "inputs", "words", "saved", "sites", "kind", "active", "after", "nodes", "origin", "seq")
ENTRY = 6
DATA = array_data_offset()
TYPE = DATA - 8
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
def made(t: Any, op: Any, inputs: Any, sizes: Any, kind: Any, active: Any, call: Any, slot: Any) -> Any:
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


@helper
def kept(t: Any, place: Any, value: Any) -> Any:
    """A slot of a new call, which takes a reference of its own."""
    c_function(t[11], (value,))
    _words(place)[0] = value
    return 0


@helper
def swapped(t: Any, place: Any, value: Any) -> Any:
    """What was in a slot, in the place of which the value is now; the reference to it goes along."""
    old = _words(place)[0]
    c_function(t[11], (value,))
    _words(place)[0] = value
    return old


@helper
def _settled(t: Any, call: Any, node: Any, slot: Any, value: Any) -> Any:
    """An open node becomes a value of a call."""
    if _words(node + t[19])[0] == t[1]:  # another thread was first
        return 0
    call_before = swapped(t, node + t[16], call)
    slot_before = swapped(t, node + t[22], slot)
    data_before = swapped(t, node + t[17], value)
    op = swapped(t, node + t[19], t[1])
    inputs = swapped(t, node + t[18], t[4])
    sizes = swapped(t, node + t[21], t[4])
    c_function(t[12], (call_before,))
    c_function(t[12], (slot_before,))
    c_function(t[12], (data_before,))
    c_function(t[12], (op,))
    c_function(t[12], (sizes,))
    c_function(t[12], (inputs,))
    return 1


@helper
def call_of(t: Any, arguments: Any, count: Any) -> Any:
    """The call that has run, of which nodes are values now; 0 where there is no memory."""
    number = c_function(t[10], (t[6],))
    if number == 0:
        return np.int64(0)
    call = c_function(t[7], (t[24], np.int64(0)))
    if call == 0:
        c_function(t[12], (number,))
        return np.int64(0)
    for k in range(6):
        kept(t, call + t[25 + k], arguments[k])
    kept(t, call + t[31], t[2])
    kept(t, call + t[32], t[5])
    kept(t, call + t[33], t[1])
    kept(t, call + t[34], t[1])
    _words(call + t[35])[0] = number
    for k in range(6, count, 3):
        _settled(t, call, arguments[k], arguments[k + 1], arguments[k + 2])
    return call


def build(name: str, dtype: str) -> Callable[..., int]:
    """The Python function of the kernel; `dtype` is ""."""
    return recorder


def recorder(self: Any, arguments: Any, count: Any) -> int:
    """Look up, make."""
    t = _words(_words(self + DATA)[0])
    if count == 4:
        c_function(t[11], (t[4],))
        return made(t, t[1], t[4], t[4], arguments[0], arguments[1], arguments[2], arguments[3])
    if count == 5:
        c_function(t[11], (arguments[1],))
        return made(t, arguments[0], arguments[1], arguments[2], arguments[3], arguments[4], t[1], t[5])
    if count > 5:
        return call_of(t, arguments, count)
    op, a, b = arguments[0], arguments[1], np.int64(0)
    of_b, active_b = np.int64(0), t[3]
    known = 0
    if _words(a + TYPE)[0] == t[0]:
        known = 1
    if count == 3:
        b = arguments[2]
        if _words(b + TYPE)[0] == t[0]:
            of_b, active_b = _words(b + t[23])[0], _words(b + t[15])[0]
        else:
            known = 0
    if known == 1:
        of_a, active = _words(a + t[23])[0], _words(a + t[15])[0]
        entry = _words(t[13] + 8 * ENTRY * _place(op, of_a, of_b, t[14]))
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
            return made(t, entry[5], inputs, t[4], entry[3], active, t[1], t[5])
    c_function(t[11], (t[1],))
    return t[1]
