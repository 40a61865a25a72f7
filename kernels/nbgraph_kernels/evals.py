"""The eval of a loop by machine code: the region below its targets is compared with the one before, its program is run,
and it becomes a call of the graph.

In:    as `PyObject* f(PyObject* self, PyObject** arguments, Py_ssize_t count)`: `self` is an array of words, the
       template of one region as it was run before; the arguments are the targets, open nodes.
Out:   the value of the only target, True for several; None where Python has to look: the region is another one, an
       operand has no value or another type, other nodes are live, an operation failed; NULL with an exception set if
       there is no memory.
Holds: called with the global interpreter lock, which it keeps, and with that of the graph. All that it looks at is
       held, since Python code may run where something is made; nothing is changed before the program has run.

The template holds
    0 address of the recorder's (`recorder`)   1 number of targets   2 number of nodes   3 number of operands from
    outside   4 address of the comparisons: for each node, users before what they use, its place, ids of its operation
    and of its sizes (0: none), the number of its operands, and for each of these how (a sum of `MET` and `OUTSIDE`) and
    its place   5 address of the operands' types   6 the nodes that are live, as bits   7 address of the number of
    references to each node from the region   8 address of the targets' places   9, 10 address and `self` of the
    program's builtin function   11 id of the class of lists   12 to 14 ids of the call's fragment, words, kind
    15 id of the slots that are kept, 0 if none   16, 17 how many, and the address of the outputs that they are
    18, 19 how many nodes are given values, and an address: place, id of the slot, output, for each   20 which output
    the only target is   21 id of the class of ints
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from .language import helper
from .recorder import DATA, TYPE, call_of
from .words import POINTERS, address_of, c_function, stack

#: How an operand of a node is known: met before (else for the first time); from outside (else of the region).
MET, OUTSIDE = 1, 2
#: So many nodes, operands from outside, and values that are given or kept at most.
MOST = 60
# Words of the recorder's template.
_NONE, _TRUE = 1, 2
_NEW_TUPLE, _FILL, _INCREASE, _DECREASE = 8, 9, 11, 12
_ACTIVE, _VALUE, _INPUTS, _OP, _SIZES, _KIND = 15, 17, 18, 19, 21, 23
_COMPARE = 41
#: Where the items of a tuple are, and what is right behind the class: how many; where the address of a list's items is.
_ITEMS, _COUNT, _LIST = tuple.__basicsize__, object.__basicsize__, object.__basicsize__ + 8
_EQUAL = 2
"""`Py_EQ`."""
_words, _halves = POINTERS["i8"], POINTERS["i4"]
_nodes, _outside, _arrays, _given = stack(8 * MOST), stack(8 * MOST), stack(8 * MOST), stack(8 * (6 + 3 * MOST))


def build(name: str, dtype: str) -> Callable[..., int]:
    """The Python function of the kernel; `dtype` is ""."""
    return evals


def evals(self: Any, targets: Any, count: Any) -> int:
    """Compare, run, commit."""
    u = _words(_words(self + DATA)[0])
    t = _words(u[0])
    nodes, outside, arrays = _words(_nodes()), _words(_outside()), _words(_arrays())
    if count != u[1] or _is_known(t, u, targets, nodes, outside, arrays) == 0:
        c_function(t[_INCREASE], (t[_NONE],))
        return t[_NONE]
    for k in range(u[2]):
        c_function(t[_INCREASE], (nodes[k],))
    for k in range(u[3]):
        c_function(t[_INCREASE], (outside[k],))
        c_function(t[_INCREASE], (arrays[k],))
    found = _run(t, u, nodes, outside, arrays)
    for k in range(u[3]):
        c_function(t[_DECREASE], (arrays[k],))
        c_function(t[_DECREASE], (outside[k],))
    for k in range(u[2]):
        c_function(t[_DECREASE], (nodes[k],))
    return found


# -- the region -------------------------------------------------------------------------------------------------------


@helper
def _is_known(t: Any, u: Any, targets: Any, nodes: Any, outside: Any, arrays: Any) -> Any:
    """Whether the region below the targets is that of the template, and may be run: 1 or 0."""
    roots = _words(u[8])
    for k in range(u[1]):
        nodes[roots[k]] = targets[k]
        if _words(targets[k] + TYPE)[0] != t[0]:
            return 0
    if _is_matched(t, u, nodes, outside) == 0:
        return 0
    types, active = _words(u[5]), 0
    for k in range(u[3]):
        x = outside[k]
        a = _words(x + t[_VALUE])[0]
        if a == t[_NONE] or _words(x + t[_KIND])[0] != types[k] or _words(x + t[_OP])[0] != t[_NONE]:
            return 0
        if _words(x + t[_ACTIVE])[0] == t[_TRUE]:
            active = 1
        arrays[k] = a
    if active == 0:
        return 0
    live, uses = np.int64(0), _words(u[7])
    for k in range(u[2]):
        if _halves(nodes[k])[0] > uses[k]:
            live |= np.int64(1) << k
    for k in range(u[1]):
        live |= np.int64(1) << roots[k]
    return 1 if live == u[6] else 0


@helper
def _is_matched(t: Any, u: Any, nodes: Any, outside: Any) -> Any:
    """Whether operations and operands are those of the template, which are put into `nodes` and `outside`: 1 or 0."""
    what = _words(u[4])
    at = 0
    for _ in range(u[2]):
        node, n = nodes[what[at]], what[at + 3]
        if _words(node + t[_OP])[0] != what[at + 1]:
            return 0
        if what[at + 2] != 0 and _are_equal(t, u, _words(node + t[_SIZES])[0], what[at + 2]) == 0:
            return 0
        inputs = _words(node + t[_INPUTS])[0]
        if _words(inputs + _COUNT)[0] != n:
            return 0
        at += 4
        for p in range(n):
            x, how, place = _words(inputs + _ITEMS)[p], what[at], what[at + 1]
            at += 2
            if _words(x + TYPE)[0] != t[0]:
                return 0
            if how == 0:
                nodes[place] = x
            elif how == OUTSIDE:
                outside[place] = x
            elif how == MET:
                if nodes[place] != x:
                    return 0
            elif outside[place] != x:
                return 0
    return 1


@helper
def _are_equal(t: Any, u: Any, sizes: Any, wanted: Any) -> Any:
    """Whether sizes are numbers (else comparing them could run anything), and those: 1 or 0."""
    for k in range(_words(sizes + _COUNT)[0]):
        if _words(_words(sizes + _ITEMS)[k] + TYPE)[0] != u[21]:
            return 0
    return c_function(t[_COMPARE], (sizes, wanted, np.int64(_EQUAL))) & 1


# -- the run ----------------------------------------------------------------------------------------------------------


@helper
def _run(t: Any, u: Any, nodes: Any, outside: Any, arrays: Any) -> Any:
    """Runs the program, and gives what the caller gets."""
    outs = c_function(u[9], (u[10], address_of(arrays), u[3]))
    if outs == 0:
        return np.int64(0)
    if _words(outs + TYPE)[0] != u[11]:
        c_function(t[_DECREASE], (outs,))
        c_function(t[_INCREASE], (t[_NONE],))
        return t[_NONE]
    values = _words(_words(outs + _LIST)[0])
    found = np.int64(0)
    if _commit(t, u, nodes, outside, values) == 1:
        found = t[_TRUE]
        if u[1] == 1:
            found = values[u[20]]
        c_function(t[_INCREASE], (found,))
    c_function(t[_DECREASE], (outs,))
    return found


@helper
def _commit(t: Any, u: Any, nodes: Any, outside: Any, values: Any) -> Any:
    """Makes the region a call of the graph: 1, or 0 without memory."""
    given = _words(_given())
    inputs, saved = _tuple_of(t, outside, u[3]), t[_NONE]
    if inputs == 0:
        return 0
    c_function(t[_INCREASE], (saved,))
    if u[15] != 0:
        c_function(t[_DECREASE], (saved,))
        saved = kept_values(t, u[15], u[16], u[17], values)
        if saved == 0:
            c_function(t[_DECREASE], (inputs,))
            return 0
    given[0], given[1], given[2], given[3], given[4], given[5] = u[12], inputs, u[13], saved, t[_NONE], u[14]
    commits = _words(u[19])
    for k in range(u[18]):
        given[6 + 3 * k] = nodes[commits[3 * k]]
        given[7 + 3 * k] = commits[3 * k + 1]
        given[8 + 3 * k] = values[commits[3 * k + 2]]
    call = call_of(t, given, 6 + 3 * u[18])
    c_function(t[_DECREASE], (saved,))
    c_function(t[_DECREASE], (inputs,))
    if call == 0:
        return 0
    c_function(t[_DECREASE], (call,))  # its nodes refer to it
    return 1


@helper
def kept_values(t: Any, slots: Any, n: Any, places: Any, values: Any) -> Any:
    """Slots that must not be computed twice, and their values, at so many places from an address; 0 without memory."""
    some, at = c_function(t[_NEW_TUPLE], (n,)), _words(places)
    if some == 0:
        return np.int64(0)
    for k in range(n):
        c_function(t[_INCREASE], (values[at[k]],))
        c_function(t[_FILL], (some, k, values[at[k]]))
    both = c_function(t[_NEW_TUPLE], (np.int64(2),))
    if both == 0:
        c_function(t[_DECREASE], (some,))
        return np.int64(0)
    c_function(t[_INCREASE], (slots,))
    c_function(t[_FILL], (both, np.int64(0), slots))
    c_function(t[_FILL], (both, np.int64(1), some))
    return both


@helper
def _tuple_of(t: Any, objects: Any, n: Any) -> Any:
    """A tuple of so many objects; 0 without memory."""
    made = c_function(t[_NEW_TUPLE], (n,))
    if made != 0:
        for k in range(n):
            c_function(t[_INCREASE], (objects[k],))
            c_function(t[_FILL], (made, k, objects[k]))
    return made
