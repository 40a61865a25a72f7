"""The eval of a jitted step by machine code: a call that waits is run, and its nodes get their values.

In:    as `PyObject* f(PyObject* self, PyObject** arguments, Py_ssize_t count)`: `self` is an array of words, the
       template of a call as it was run before; the argument is a call.
Out:   True; None where Python has to look: it is another call or does not wait, an operand has no value or another
       type, other nodes are live, an operation failed; NULL with an exception set if there is no memory.
Holds: called with the global interpreter lock, which it keeps, and with that of the graph. All that it looks at is
       held, since Python code may run where something is made; nothing is changed before the program has run.

The template holds
    0 address of the recorder's (`recorder`, and further on `jitted`)   1, 2 ids of the fragment and the words
    3 number of operands   4 address of their types   5 number of results   6 address of these: slot, and the output
    that it is, -1 if its node is not live   7, 8 address and `self` of the program's builtin function   9 id of the
    class of lists   10 id of the slots that are kept, 0 if none   11, 12 how many, and the address of the outputs
    that they are
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from .evals import MOST, kept_values
from .language import helper
from .recorder import DATA, TYPE, swapped
from .words import POINTERS, address_of, c_function, stack

# Words of the recorder's template.
_NONE, _TRUE = 1, 2
_INCREASE, _DECREASE = 11, 12
_VALUE, _KIND = 17, 23
_CLASS_OF_CALLS = 24
_FRAGMENT, _INPUTS, _WORDS, _SAVED, _IS_ACTIVE, _WAITING, _ORIGIN = 25, 26, 27, 28, 31, 33, 34
_INT = 40
#: Where the items of a tuple are, and what is right behind the class: how many, or what a weak reference refers to;
#: where the address of a list's items is.
_ITEMS, _BEHIND, _LIST = tuple.__basicsize__, object.__basicsize__, object.__basicsize__ + 8
_words, _halves = POINTERS["i8"], POINTERS["i4"]
_nodes, _arrays = stack(8 * MOST), stack(8 * MOST)


def build(name: str, dtype: str) -> Callable[..., int]:
    """The Python function of the kernel; `dtype` is ""."""
    return waiting


def waiting(self: Any, arguments: Any, count: Any) -> int:
    """Compare, run, commit."""
    u = _words(_words(self + DATA)[0])
    t = _words(u[0])
    nodes, arrays, call = _words(_nodes()), _words(_arrays()), arguments[0]
    if count != 1 or _is_known(t, u, call, nodes, arrays) == 0:
        c_function(t[_INCREASE], (t[_NONE],))
        return t[_NONE]
    entries = _words(call + t[_WAITING])[0]
    c_function(t[_INCREASE], (entries,))
    for k in range(u[3]):
        c_function(t[_INCREASE], (arrays[k],))
    for k in range(u[5]):
        c_function(t[_INCREASE], (nodes[k],))
    found = _run(t, u, call, entries, nodes, arrays)
    for k in range(u[5]):
        c_function(t[_DECREASE], (nodes[k],))
    for k in range(u[3]):
        c_function(t[_DECREASE], (arrays[k],))
    c_function(t[_DECREASE], (entries,))
    return found


@helper
def _is_known(t: Any, u: Any, call: Any, nodes: Any, arrays: Any) -> Any:
    """Whether a call is that of the template and may be run: 1, and its live nodes (None for others) and the values of
    its operands are in `nodes` and `arrays`; or 0."""
    if _words(call + TYPE)[0] != t[_CLASS_OF_CALLS] or _words(call + t[_FRAGMENT])[0] != u[1]:
        return 0
    if _words(call + t[_WORDS])[0] != u[2] or _words(call + t[_IS_ACTIVE])[0] != t[_TRUE]:
        return 0
    entries, inputs = _words(call + t[_WAITING])[0], _words(call + t[_INPUTS])[0]
    if _words(call + t[_ORIGIN])[0] != t[_NONE] or _words(entries + TYPE)[0] != u[9]:
        return 0
    if _words(entries + _BEHIND)[0] != u[5] or _words(inputs + _BEHIND)[0] != u[3]:
        return 0
    types = _words(u[4])
    for k in range(u[3]):
        x = _words(inputs + _ITEMS)[k]
        a = _words(x + t[_VALUE])[0]
        if a == t[_NONE] or _words(x + t[_KIND])[0] != types[k]:
            return 0
        arrays[k] = a
    results = _words(u[6])
    for j in range(u[5]):
        entry = _words(_words(_words(entries + _LIST)[0])[j] + _ITEMS)
        if c_function(t[_INT], (entry[0],)) != results[2 * j]:
            return 0
        node = _words(entry[1] + _BEHIND)[0]
        if node == t[_NONE] or _halves(node)[0] == 0:
            node = t[_NONE]
            if results[2 * j + 1] >= 0:
                return 0
        elif results[2 * j + 1] < 0:
            return 0
        nodes[j] = node
    return 1


@helper
def _run(t: Any, u: Any, call: Any, entries: Any, nodes: Any, arrays: Any) -> Any:
    """Runs the program, and gives what the caller gets."""
    outs = c_function(u[7], (u[8], address_of(arrays), u[3]))
    if outs == 0:
        return np.int64(0)
    found = t[_NONE]
    if _words(outs + TYPE)[0] == u[9]:
        values = _words(_words(outs + _LIST)[0])
        saved = t[_NONE]
        if u[10] != 0:
            saved = kept_values(t, u[10], u[11], u[12], values)
        else:
            c_function(t[_INCREASE], (saved,))
        if saved == 0:
            found = np.int64(0)
        else:
            if _words(call + t[_WAITING])[0] == entries and _words(entries + _BEHIND)[0] == u[5]:
                _commit(t, u, call, nodes, values, saved)
                found = t[_TRUE]
            c_function(t[_DECREASE], (saved,))
    c_function(t[_DECREASE], (outs,))
    if found != 0:
        c_function(t[_INCREASE], (found,))
    return found


@helper
def _commit(t: Any, u: Any, call: Any, nodes: Any, values: Any, saved: Any) -> Any:
    """The call has run: its nodes have their values."""
    results = _words(u[6])
    if u[10] != 0:
        c_function(t[_DECREASE], (swapped(t, call + t[_SAVED], saved),))
    for j in range(u[5]):
        if results[2 * j + 1] >= 0:
            c_function(t[_DECREASE], (swapped(t, nodes[j] + t[_VALUE], values[results[2 * j + 1]]),))
    c_function(t[_DECREASE], (swapped(t, call + t[_WAITING], t[_NONE]),))
    return 0
