"""The node of an operation, and the call that an eval leaves in its place, made by machine code: what recording costs
is mostly the making of nodes, what an eval costs besides running much the making of a call.

In:    as `PyObject* f(PyObject* self, PyObject** arguments, Py_ssize_t count)`: `self` is the template of
       `graph_objects`; the arguments are an operation, or what else is asked for, and its one or two operands; or an
       operation, a tuple of operands, one of sizes, the result's type and its activity; or the type, activity, call and
       slot of a call's result; or of an active call that has run the fragment, inputs, words, kept values, sites and
       kind, and for each of its nodes the node, its slot and its value.
Out:   a new node; None where an operation was not met on operands of these types, or one of them is no node; the new
       call, which the nodes that were open are values of now, and no longer open; NULL with an exception set if there
       is no memory.
Holds: called with the global interpreter lock, which it keeps: nothing of Python runs but its allocator, the counter
       that numbers nodes, and what the last reference to an object sets off, once all is in its place.

The table holds six words an entry: ids of an operation, or of what else is asked for, and of its operands' types (0
where there is none), id of the result's type, whether that is inexact, id of the operation. An entry has its place by
`place`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from . import graph_objects as g
from .graph_objects import decrease, increase, kept, node_of, result_of, swapped, tuple_of, words
from .language import helper
from .words import address_of, c_function

ENTRY = 6


def place(op: int, a: int, b: int, mask: int) -> int:
    """The number of an entry, from ids."""
    return (((op >> 4) * 40503 + (a >> 4) * 30011 + (b >> 4) * 20011) >> 3) & mask


_place = helper(place)


def build(name: str, dtype: str) -> Callable[..., int]:
    """The Python function of the kernel; `dtype` is ""."""
    return recorder


def recorder(self: Any, arguments: Any, count: Any) -> int:
    """Look up, make."""
    t = words(words(self + g.DATA)[0])
    if count == 4:
        return result_of(t, arguments[0], arguments[1], arguments[2], arguments[3])
    if count == 5:
        inputs = increase(t, arguments[1])
        return node_of(t, arguments[0], inputs, arguments[2], arguments[3], arguments[4], t[g.NONE], t[g.ZERO])
    if count > 5:
        return call_of(t, arguments, count)
    op, a, b = arguments[0], arguments[1], np.int64(0)
    of_b, active_b = np.int64(0), t[g.FALSE]
    known = 0
    if words(a + g.CLASS)[0] == t[g.NODES]:
        known = 1
    if count == 3:
        b = arguments[2]
        if words(b + g.CLASS)[0] == t[g.NODES]:
            of_b, active_b = words(b + t[g.KIND])[0], words(b + t[g.ACTIVE])[0]
        else:
            known = 0
    if known == 1:
        of_a, active = words(a + t[g.KIND])[0], words(a + t[g.ACTIVE])[0]
        entry = words(t[g.TABLE] + 8 * ENTRY * _place(op, of_a, of_b, t[g.MASK]))
        if entry[0] == op and entry[1] == of_a and entry[2] == of_b:
            if active != t[g.TRUE]:
                active = active_b
            if entry[4] == 0:
                active = t[g.FALSE]
            inputs = tuple_of(t, words(address_of(arguments) + 8), count - 1)
            if inputs == 0:
                return 0
            return node_of(t, entry[5], inputs, t[g.EMPTY], entry[3], active, t[g.NONE], t[g.ZERO])
    return increase(t, t[g.NONE])


@helper
def call_of(t: Any, arguments: Any, count: Any) -> Any:
    """The call that has run, of which nodes are values now; 0 where there is no memory."""
    number = c_function(t[g.NEXT], (t[g.COUNTER],))
    if number == 0:
        return np.int64(0)
    call = c_function(t[g.ALLOCATE], (t[g.CALLS], np.int64(0)))
    if call == 0:
        decrease(t, number)
        return np.int64(0)
    for k in range(6):
        kept(t, call + t[g.CALL_FRAGMENT + k], arguments[k])
    kept(t, call + t[g.CALL_ACTIVE], t[g.TRUE])
    kept(t, call + t[g.CALL_AFTER], t[g.ZERO])
    kept(t, call + t[g.CALL_NODES], t[g.NONE])
    kept(t, call + t[g.CALL_ORIGIN], t[g.NONE])
    words(call + t[g.CALL_NUMBER])[0] = number
    for k in range(6, count, 3):
        _settled(t, call, arguments[k], arguments[k + 1], arguments[k + 2])
    return call


@helper
def _settled(t: Any, call: Any, node: Any, slot: Any, value: Any) -> Any:
    """An open node becomes a value of a call."""
    if words(node + t[g.OP])[0] == t[g.NONE]:  # another thread was first
        return 0
    call_before = swapped(t, node + t[g.CALL], call)
    slot_before = swapped(t, node + t[g.SLOT], slot)
    value_before = swapped(t, node + t[g.VALUE], value)
    op = swapped(t, node + t[g.OP], t[g.NONE])
    inputs = swapped(t, node + t[g.INPUTS], t[g.EMPTY])
    sizes = swapped(t, node + t[g.SIZES], t[g.EMPTY])
    decrease(t, call_before)
    decrease(t, slot_before)
    decrease(t, value_before)
    decrease(t, op)
    decrease(t, sizes)
    decrease(t, inputs)
    return 1
