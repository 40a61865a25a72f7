"""A call of a jitted function as a call that waits, or as its operations.

In:    the operands of the call. Out: the results; 0 without memory. Holds: see `jitted`.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from . import graph_objects as g
from .graph_objects import decrease, drop, increase, kept, node_of, pair, result_of, tuple_of, words
from .jitted_words import (
    FRAGMENT,
    OPERANDS,
    OPERATIONS,
    PLACES,
    RESULTS,
    SITES,
    WORDS,
    handed_out,
    operand,
    placed,
    result,
)
from .language import helper
from .words import address_of, c_function, stack

#: So many operands, results, operations and things read at most.
MOST = 60
_nodes = stack(8 * MOST)

# -- a call that waits ------------------------------------------------------------------------------------------------


@helper
def waiting_call(t: Any, u: Any, arguments: Any, reads: Any) -> Any:
    """The results as those of a call that has not run."""
    operands, active = words(_nodes()), np.int64(0)
    for p in range(u[OPERANDS]):
        operands[p] = operand(u, arguments, reads, p)
        if words(operands[p] + t[g.ACTIVE])[0] == t[g.TRUE]:
            active |= np.int64(1) << p
    inputs = tuple_of(t, operands, u[OPERANDS])
    if inputs == 0:
        return np.int64(0)
    call = _new_call(t, u, inputs, active)
    decrease(t, inputs)
    if call == 0:
        return np.int64(0)
    results, waiting = c_function(t[g.NEW_TUPLE], (u[RESULTS],)), c_function(t[g.NEW_LIST], (u[RESULTS],))
    status = 1
    if results != 0 and waiting != 0:
        status = _fill(t, u, call, active, results, waiting)
    number = np.int64(0)
    if status == 0:
        number = c_function(t[g.NEXT], (t[g.COUNTER],))
    if number == 0:
        drop(t, waiting)
        drop(t, results)
        decrease(t, call)
        return np.int64(0)
    words(call + t[g.CALL_NUMBER])[0] = number
    words(call + t[g.CALL_NODES])[0] = waiting
    decrease(t, call)  # its nodes refer to it
    return handed_out(t, u, results)


@helper
def _new_call(t: Any, u: Any, inputs: Any, active: Any) -> Any:
    """The call, without its number and the list of its nodes."""
    call = c_function(t[g.ALLOCATE], (t[g.CALLS], np.int64(0)))
    if call != 0:
        kept(t, call + t[g.CALL_INPUTS], inputs)
        kept(t, call + t[g.CALL_FRAGMENT], u[FRAGMENT])
        kept(t, call + t[g.CALL_WORDS], u[WORDS])
        kept(t, call + t[g.CALL_SAVED], t[g.NONE])
        kept(t, call + t[g.CALL_SITES], u[SITES])
        kept(t, call + t[g.CALL_KIND], t[g.ZERO])
        kept(t, call + t[g.CALL_AFTER], t[g.ZERO])
        kept(t, call + t[g.CALL_ORIGIN], t[g.NONE])
        kept(t, call + t[g.CALL_ACTIVE], t[g.TRUE] if active != 0 else t[g.FALSE])
    return call


@helper
def _fill(t: Any, u: Any, call: Any, active: Any, results: Any, waiting: Any) -> Any:
    """Fills a tuple with the nodes, and a list with their slots and weak references: 0, or 1 without memory."""
    for j in range(u[RESULTS]):
        what = result(u, j)
        node = result_of(t, what[1], t[g.TRUE] if what[2] & active != 0 else t[g.FALSE], call, what[0])
        reference = placed(t, results, j, node)
        if reference == 0:
            return 1
        entry = pair(t, what[0], reference)
        decrease(t, reference)
        if entry == 0:
            return 1
        c_function(t[g.SET], (waiting, j, entry))
    return 0


# -- operations -------------------------------------------------------------------------------------------------------


@helper
def operations(t: Any, u: Any, arguments: Any, reads: Any) -> Any:
    """The results as open nodes."""
    nodes, what, at, n = words(_nodes()), words(u[OPERATIONS + 1]), 0, 0
    for k in range(u[OPERATIONS]):
        if n == k:  # else there was no memory
            nodes[k] = _operation(t, u, arguments, reads, nodes, address_of(what) + 8 * at)
            at += 5 + what[at + 4]
            if nodes[k] != 0:
                n += 1
    results = np.int64(0)
    if n == u[OPERATIONS]:
        results = c_function(t[g.NEW_TUPLE], (u[RESULTS],))
    if results != 0:
        places = words(u[PLACES])
        for j in range(u[RESULTS]):
            c_function(t[g.FILL], (results, j, increase(t, nodes[places[j]])))
    for k in range(n):
        decrease(t, nodes[k])
    if results == 0:
        return np.int64(0)
    return handed_out(t, u, results)


@helper
def _operation(t: Any, u: Any, arguments: Any, reads: Any, nodes: Any, place: Any) -> Any:
    """The node of one operation, of which the table says at an address what it is."""
    what = words(place)
    inputs, active = c_function(t[g.NEW_TUPLE], (what[4],)), t[g.FALSE]
    if inputs == 0:
        return np.int64(0)
    for p in range(what[4]):
        ref = what[5 + p]
        x = nodes[ref] if ref >= 0 else operand(u, arguments, reads, ~ref)
        c_function(t[g.FILL], (inputs, p, increase(t, x)))
        if what[3] != 0 and words(x + t[g.ACTIVE])[0] == t[g.TRUE]:
            active = t[g.TRUE]
    return node_of(t, what[0], inputs, what[1], what[2], active, t[g.NONE], t[g.ZERO])
