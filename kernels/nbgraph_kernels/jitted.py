"""A call of a jitted function, recorded by machine code: one more row of a loop, a call that waits, or its operations.

In:    as `PyObject* f(PyObject* self, PyObject** arguments, Py_ssize_t count)`: `self` is an array of words, the
       template of one trace; the arguments are those of the call.
Out:   the results, a node or a tuple of nodes; None where Python has to look: an argument is not what the trace was
       made for, or is open, what the function reads is not what it was, the call before waits; NULL with an exception
       set if there is no memory.
Holds: called with the global interpreter lock, which it keeps. What is made is made before anything is changed, since
       Python code may run where it makes something; nothing is changed if that was otherwise then.

The template holds, by name
    OBJECTS     address of that of `graph_objects`
    COUNT       number of arguments, and TYPES the address of the ids of their types
    TRACE ...   ids of the trace, its fragment, words, lines, the fragment's cache, and the key by which that says how
                often calls were run together with others
    OPERANDS    their number and address, two words each: 0 and the number of an argument, 1 and that of a thing read,
                2 and an id
    RESULTS     their number and address, three words each: ids of slot and type, and which operands reach it, as bits
    SINGLE      whether one result is handed out as it is; HANDED_OUT the number of those handed out, and the address of
                their numbers
    READS       the number of things read and the address, five words each: how (`BY_ATTRIBUTE`, `BY_ITEM`, `BY_SIZE`),
                whether it is a tensor, ids of what it is read of, of the name, and of what it was (of a tensor's type)
    ASKED       the number of arguments whose calls are looked at, and the address of their numbers
    OPERATIONS  the number of operations, if the call may be recorded as these, and else 0; the address, for each: ids
                of the operation, its sizes and its type, whether that is inexact, the number of its operands, and
                these: an operation's number, ~k for operand k of the call
    PLACES      address of the number of the operation that each result is of
    OFTEN       after how many runs together with others
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from . import graph_objects as g
from .graph_objects import drop, increase, is_sealed, item, words
from .jitted_calls import MOST, operations, waiting_call
from .jitted_rows import row_of
from .jitted_words import (
    ASKED,
    BY_ATTRIBUTE,
    BY_SIZE,
    CACHE,
    COUNT,
    FRAGMENT,
    KEY,
    OBJECTS,
    OFTEN,
    OPERANDS,
    OPERATIONS,
    READS,
    TRACE,
    TYPES,
    operand,
)
from .language import helper
from .words import c_function, stack

_reads = stack(8 * MOST)


def build(name: str, dtype: str) -> Callable[..., int]:
    """The Python function of the kernel; `dtype` is ""."""
    return jitted


def jitted(self: Any, arguments: Any, count: Any) -> int:
    """Compare, look at the call before, make."""
    u = words(words(self + g.DATA)[0])
    t = words(u[OBJECTS])
    reads = words(_reads())
    if count != u[COUNT] or _are_known(t, u, arguments, count) == 0 or _read(t, u, reads) == 0:
        return increase(t, t[g.NONE])
    found = _recorded(t, u, arguments, reads)
    _give_back(t, reads, u[READS])
    return found


@helper
def _recorded(t: Any, u: Any, arguments: Any, reads: Any) -> Any:
    """A row, if the call before is a loop of this trace; Python's to do, if it is a call that waits; else a call, or
    operations, if it is often run together with others."""
    runs = np.int64(0)
    if u[OPERATIONS] != 0:
        runs = c_function(t[g.FIND], (u[CACHE], u[KEY]))
    if runs != 0 and c_function(t[g.INT], (runs,)) > u[OFTEN]:
        if _have_values(t, u, arguments, reads) == 1:
            return operations(t, u, arguments, reads)
        return increase(t, t[g.NONE])
    loop = _before(t, u, arguments)
    if loop == t[g.NONE]:
        return increase(t, loop)
    if loop != 0:
        return row_of(t, u, arguments, reads, loop)
    return waiting_call(t, u, arguments, reads)


@helper
def _are_known(t: Any, u: Any, arguments: Any, count: Any) -> Any:
    """Whether the arguments are sealed nodes of the types of the trace: 1 or 0."""
    types = words(u[TYPES])
    for k in range(count):
        if is_sealed(t, arguments[k], types[k]) == 0:
            return 0
    return 1


@helper
def _have_values(t: Any, u: Any, arguments: Any, reads: Any) -> Any:
    """Whether all operands have values: 1 or 0."""
    for p in range(u[OPERANDS]):
        if words(operand(u, arguments, reads, p) + t[g.VALUE])[0] == t[g.NONE]:
            return 0
    return 1


@helper
def _before(t: Any, u: Any, arguments: Any) -> Any:
    """The loop of this trace that made an argument; None where Python has to look; 0 where there is no call before, or
    it has run."""
    asked = words(u[ASKED + 1])
    for k in range(u[ASKED]):
        call = words(arguments[asked[k]] + t[g.CALL])[0]
        if words(call + g.CLASS)[0] == t[g.LOOPS]:
            of = words(call + t[g.LOOP_OF])[0]
            if of == u[TRACE]:
                return call
            if item(of, np.int64(0)) == u[FRAGMENT]:
                return t[g.NONE]
        elif words(call + g.CLASS)[0] == t[g.CALLS] and words(call + t[g.CALL_FRAGMENT])[0] == u[FRAGMENT]:
            if words(call + t[g.CALL_NODES])[0] == t[g.NONE]:
                return np.int64(0)
            return t[g.NONE]
    return np.int64(0)


# -- what the function reads ------------------------------------------------------------------------------------------


@helper
def _read(t: Any, u: Any, reads: Any) -> Any:
    """Whether what the function reads is what it was: 1, and it is in `reads` with a reference to each; or 0."""
    for k in range(u[READS]):
        what = words(u[READS + 1] + 40 * k)
        reads[k] = 0
        fits = 0
        if what[0] == BY_SIZE:
            if c_function(t[g.SIZE], (what[2],)) == what[4]:
                fits = 1
        else:
            value = np.int64(0)
            if what[0] == BY_ATTRIBUTE:
                value = c_function(t[g.ATTRIBUTE], (what[2], what[3]))
            else:
                value = c_function(t[g.ITEM], (what[2], what[3]))
            reads[k] = value
            if value == 0:
                c_function(t[g.CLEAR], ())
            elif what[1] == 0:
                if value == what[4]:
                    fits = 1
            elif is_sealed(t, value, what[4]) == 1:
                fits = 1
        if fits == 0:
            _give_back(t, reads, k + 1)
            return 0
    return 1


@helper
def _give_back(t: Any, reads: Any, count: Any) -> Any:
    """The references to the first things read."""
    for k in range(count):
        drop(t, reads[k])
    return 0
