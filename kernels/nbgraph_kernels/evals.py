"""The eval of a loop by machine code: the region below its targets is compared with the one before, its program is run,
and it becomes a call of the graph.

In:    as `PyObject* f(PyObject* self, PyObject** arguments, Py_ssize_t count)`: `self` is an array of words, the
       template of one region as it was run before; the arguments are the targets, open nodes.
Out:   the value of the only target, True for several; None where Python has to look: the region is another one, an
       operand has no value or another type, other nodes are live, an operation failed; NULL with an exception set if
       there is no memory.
Holds: called with the global interpreter lock, which it keeps, and with that of the graph. All that it looks at is
       held, since Python code may run where something is made; nothing is changed before the program has run.

The template holds, by name
    OBJECTS      address of that of `graph_objects`
    TARGETS      the number of targets, and the address of their places
    REGION       the number of nodes, and the address of the comparisons: for each node, users before what they use, its
                 place, ids of its operation and of its sizes (0: none), the number of its operands, and for each of
                 these how (a sum of `MET` and `OUTSIDE`) and its place
    OPERANDS     the number of operands from outside, and the address of their types
    LIVE         the nodes that are live, as bits; USES the address of the number of references to each node from the
                 region
    PROGRAM      address and `self` of the program's builtin function; LISTS, INTS ids of these classes
    FRAGMENT ... ids of the call's fragment, words, kind
    KEPT         id of the slots that are kept, 0 if none, how many, and the address of the outputs that they are
    COMMITS      how many nodes are given values, and an address: place, id of the slot, output, for each
    ROOT         which output the only target is
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from . import graph_objects as g
from .graph_objects import decrease, halves, increase, kept_values, tuple_of, words
from .language import helper
from .recorder import call_of
from .words import address_of, c_function, stack

#: How an operand of a node is known: met before (else for the first time); from outside (else of the region).
MET, OUTSIDE = 1, 2
#: So many nodes, operands from outside, and values that are given or kept at most.
MOST = 60
_EQUAL = 2
"""`Py_EQ`."""
OBJECTS, TARGETS, REGION, OPERANDS, LIVE, USES = 0, 1, 3, 5, 7, 8
PROGRAM, LISTS, INTS, FRAGMENT, WORDS, CALL_KIND, KEPT, COMMITS, ROOT = 9, 11, 12, 13, 14, 15, 16, 19, 21
_nodes, _outside, _arrays, _given = stack(8 * MOST), stack(8 * MOST), stack(8 * MOST), stack(8 * (6 + 3 * MOST))


def build(name: str, dtype: str) -> Callable[..., int]:
    """The Python function of the kernel; `dtype` is ""."""
    return evals


def evals(self: Any, targets: Any, count: Any) -> int:
    """Compare, run, commit."""
    u = words(words(self + g.DATA)[0])
    t = words(u[OBJECTS])
    nodes, outside, arrays = words(_nodes()), words(_outside()), words(_arrays())
    if count != u[TARGETS] or _is_known(t, u, targets, nodes, outside, arrays) == 0:
        return increase(t, t[g.NONE])
    for k in range(u[REGION]):
        increase(t, nodes[k])
    for k in range(u[OPERANDS]):
        increase(t, outside[k])
        increase(t, arrays[k])
    found = _run(t, u, nodes, outside, arrays)
    for k in range(u[OPERANDS]):
        decrease(t, arrays[k])
        decrease(t, outside[k])
    for k in range(u[REGION]):
        decrease(t, nodes[k])
    return found


# -- the region -------------------------------------------------------------------------------------------------------


@helper
def _is_known(t: Any, u: Any, targets: Any, nodes: Any, outside: Any, arrays: Any) -> Any:
    """Whether the region below the targets is that of the template, and may be run: 1 or 0."""
    roots = words(u[TARGETS + 1])
    for k in range(u[TARGETS]):
        nodes[roots[k]] = targets[k]
        if words(targets[k] + g.CLASS)[0] != t[g.NODES]:
            return 0
    if _is_matched(t, u, nodes, outside) == 0:
        return 0
    types, active = words(u[OPERANDS + 1]), 0
    for k in range(u[OPERANDS]):
        x = outside[k]
        a = words(x + t[g.VALUE])[0]
        if a == t[g.NONE] or words(x + t[g.KIND])[0] != types[k] or words(x + t[g.OP])[0] != t[g.NONE]:
            return 0
        if words(x + t[g.ACTIVE])[0] == t[g.TRUE]:
            active = 1
        arrays[k] = a
    if active == 0:
        return 0
    live, uses = np.int64(0), words(u[USES])
    for k in range(u[REGION]):
        if halves(nodes[k])[0] > uses[k]:
            live |= np.int64(1) << k
    for k in range(u[TARGETS]):
        live |= np.int64(1) << roots[k]
    return 1 if live == u[LIVE] else 0


@helper
def _is_matched(t: Any, u: Any, nodes: Any, outside: Any) -> Any:
    """Whether operations and operands are those of the template, which are put into `nodes` and `outside`: 1 or 0."""
    what = words(u[REGION + 1])
    at = 0
    for _ in range(u[REGION]):
        node, n = nodes[what[at]], what[at + 3]
        if words(node + t[g.OP])[0] != what[at + 1]:
            return 0
        if what[at + 2] != 0 and _are_equal(t, u, words(node + t[g.SIZES])[0], what[at + 2]) == 0:
            return 0
        inputs = words(node + t[g.INPUTS])[0]
        if words(inputs + g.BEHIND)[0] != n:
            return 0
        at += 4
        for p in range(n):
            x, how, place = words(inputs + g.ITEMS)[p], what[at], what[at + 1]
            at += 2
            if words(x + g.CLASS)[0] != t[g.NODES]:
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
    for k in range(words(sizes + g.BEHIND)[0]):
        if words(words(sizes + g.ITEMS)[k] + g.CLASS)[0] != u[INTS]:
            return 0
    return c_function(t[g.COMPARE], (sizes, wanted, np.int64(_EQUAL))) & 1


# -- the run ----------------------------------------------------------------------------------------------------------


@helper
def _run(t: Any, u: Any, nodes: Any, outside: Any, arrays: Any) -> Any:
    """Runs the program, and gives what the caller gets."""
    outs = c_function(u[PROGRAM], (u[PROGRAM + 1], address_of(arrays), u[OPERANDS]))
    if outs == 0:
        return np.int64(0)
    if words(outs + g.CLASS)[0] != u[LISTS]:
        decrease(t, outs)
        return increase(t, t[g.NONE])
    values = words(words(outs + g.LIST)[0])
    found = np.int64(0)
    if _commit(t, u, nodes, outside, values) == 1:
        found = t[g.TRUE]
        if u[TARGETS] == 1:
            found = values[u[ROOT]]
        increase(t, found)
    decrease(t, outs)
    return found


@helper
def _commit(t: Any, u: Any, nodes: Any, outside: Any, values: Any) -> Any:
    """Makes the region a call of the graph: 1, or 0 without memory."""
    given = words(_given())
    inputs, saved = tuple_of(t, outside, u[OPERANDS]), t[g.NONE]
    if inputs == 0:
        return 0
    increase(t, saved)
    if u[KEPT] != 0:
        decrease(t, saved)
        saved = kept_values(t, u[KEPT], u[KEPT + 1], u[KEPT + 2], values)
        if saved == 0:
            decrease(t, inputs)
            return 0
    given[0], given[1], given[2], given[3], given[4], given[5] = (
        u[FRAGMENT],
        inputs,
        u[WORDS],
        saved,
        t[g.NONE],
        u[CALL_KIND],
    )
    commits = words(u[COMMITS + 1])
    for k in range(u[COMMITS]):
        given[6 + 3 * k] = nodes[commits[3 * k]]
        given[7 + 3 * k] = commits[3 * k + 1]
        given[8 + 3 * k] = values[commits[3 * k + 2]]
    call = call_of(t, given, 6 + 3 * u[COMMITS])
    decrease(t, saved)
    decrease(t, inputs)
    if call == 0:
        return 0
    decrease(t, call)  # its nodes refer to it
    return 1
