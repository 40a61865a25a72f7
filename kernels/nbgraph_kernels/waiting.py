"""The eval of a jitted step by machine code: a call that waits is run, and its nodes get their values.

In:    as `PyObject* f(PyObject* self, PyObject** arguments, Py_ssize_t count)`: `self` is an array of words, the
       template of a call as it was run before; the argument is a call.
Out:   True; None where Python has to look: it is another call or does not wait, an operand has no value or another
       type, other nodes are live, an operation failed; NULL with an exception set if there is no memory.
Holds: called with the global interpreter lock, which it keeps, and with that of the graph. All that it looks at is
       held, since Python code may run where something is made; nothing is changed before the program has run.

The template holds, by name
    OBJECTS    address of that of `graph_objects`
    FRAGMENT   ids of the fragment and the words
    OPERANDS   the number of operands, and the address of their types
    RESULTS    the number of results, and the address of these: slot, and the output that it is, -1 if its node is not
               live
    PROGRAM    address and `self` of the program's builtin function; LISTS the id of this class
    KEPT       id of the slots that are kept, 0 if none, how many, and the address of the outputs that they are
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from . import graph_objects as g
from .evals import MOST
from .graph_objects import decrease, halves, increase, kept_values, swapped, words
from .language import helper
from .words import address_of, c_function, stack

OBJECTS, FRAGMENT, OPERANDS, RESULTS, PROGRAM, LISTS, KEPT = 0, 1, 3, 5, 7, 9, 10
_nodes, _arrays = stack(8 * MOST), stack(8 * MOST)


def build(name: str, dtype: str) -> Callable[..., int]:
    """The Python function of the kernel; `dtype` is ""."""
    return waiting


def waiting(self: Any, arguments: Any, count: Any) -> int:
    """Compare, run, commit."""
    u = words(words(self + g.DATA)[0])
    t = words(u[OBJECTS])
    nodes, arrays, call = words(_nodes()), words(_arrays()), arguments[0]
    if count != 1 or _is_known(t, u, call, nodes, arrays) == 0:
        return increase(t, t[g.NONE])
    entries = words(call + t[g.CALL_NODES])[0]
    increase(t, entries)
    for k in range(u[OPERANDS]):
        increase(t, arrays[k])
    for k in range(u[RESULTS]):
        increase(t, nodes[k])
    found = _run(t, u, call, entries, nodes, arrays)
    for k in range(u[RESULTS]):
        decrease(t, nodes[k])
    for k in range(u[OPERANDS]):
        decrease(t, arrays[k])
    decrease(t, entries)
    return found


@helper
def _is_known(t: Any, u: Any, call: Any, nodes: Any, arrays: Any) -> Any:
    """Whether a call is that of the template and may be run: 1, and its live nodes (None for others) and the values of
    its operands are in `nodes` and `arrays`; or 0."""
    if words(call + g.CLASS)[0] != t[g.CALLS] or words(call + t[g.CALL_FRAGMENT])[0] != u[FRAGMENT]:
        return 0
    if words(call + t[g.CALL_WORDS])[0] != u[FRAGMENT + 1] or words(call + t[g.CALL_ACTIVE])[0] != t[g.TRUE]:
        return 0
    entries, inputs = words(call + t[g.CALL_NODES])[0], words(call + t[g.CALL_INPUTS])[0]
    if words(call + t[g.CALL_ORIGIN])[0] != t[g.NONE] or words(entries + g.CLASS)[0] != u[LISTS]:
        return 0
    if words(entries + g.BEHIND)[0] != u[RESULTS] or words(inputs + g.BEHIND)[0] != u[OPERANDS]:
        return 0
    types = words(u[OPERANDS + 1])
    for k in range(u[OPERANDS]):
        x = words(inputs + g.ITEMS)[k]
        a = words(x + t[g.VALUE])[0]
        if a == t[g.NONE] or words(x + t[g.KIND])[0] != types[k]:
            return 0
        arrays[k] = a
    results = words(u[RESULTS + 1])
    for j in range(u[RESULTS]):
        entry = words(words(words(entries + g.LIST)[0])[j] + g.ITEMS)
        if c_function(t[g.INT], (entry[0],)) != results[2 * j]:
            return 0
        node = words(entry[1] + g.BEHIND)[0]
        if node == t[g.NONE] or halves(node)[0] == 0:
            node = t[g.NONE]
            if results[2 * j + 1] >= 0:
                return 0
        elif results[2 * j + 1] < 0:
            return 0
        nodes[j] = node
    return 1


@helper
def _run(t: Any, u: Any, call: Any, entries: Any, nodes: Any, arrays: Any) -> Any:
    """Runs the program, and gives what the caller gets."""
    outs = c_function(u[PROGRAM], (u[PROGRAM + 1], address_of(arrays), u[OPERANDS]))
    if outs == 0:
        return np.int64(0)
    found = t[g.NONE]
    if words(outs + g.CLASS)[0] == u[LISTS]:
        values = words(words(outs + g.LIST)[0])
        saved = t[g.NONE]
        if u[KEPT] != 0:
            saved = kept_values(t, u[KEPT], u[KEPT + 1], u[KEPT + 2], values)
        else:
            increase(t, saved)
        if saved == 0:
            found = np.int64(0)
        else:
            if words(call + t[g.CALL_NODES])[0] == entries and words(entries + g.BEHIND)[0] == u[RESULTS]:
                _commit(t, u, call, nodes, values, saved)
                found = t[g.TRUE]
            decrease(t, saved)
    decrease(t, outs)
    if found != 0:
        increase(t, found)
    return found


@helper
def _commit(t: Any, u: Any, call: Any, nodes: Any, values: Any, saved: Any) -> Any:
    """The call has run: its nodes have their values."""
    results = words(u[RESULTS + 1])
    if u[KEPT] != 0:
        decrease(t, swapped(t, call + t[g.CALL_SAVED], saved))
    for j in range(u[RESULTS]):
        if results[2 * j + 1] >= 0:
            decrease(t, swapped(t, nodes[j] + t[g.VALUE], values[results[2 * j + 1]]))
    decrease(t, swapped(t, call + t[g.CALL_NODES], t[g.NONE]))
    return 0
