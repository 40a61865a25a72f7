"""A call of a jitted function as one more row of a loop (`nbgraph.loops`).

In:    a loop of the same trace, and the operands of the call. Out: the results; None if the call is no row of it.
Holds: see `jitted`. What it looks at of the loop is held, since it may go where something is made.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from . import graph_objects as g
from .graph_objects import decrease, drop, increase, item, pair, result_of, swapped, words
from .jitted_words import OPERANDS, RESULTS, handed_out, operand, placed, result
from .language import helper
from .words import c_function

#: Kinds of operands of a row: as `nbgraph.stretch` says.
SAME, EACH = -1, -2


@helper
def row_of(t: Any, u: Any, arguments: Any, reads: Any, loop: Any) -> Any:
    """The results as those of a further row; None where it is none."""
    increase(t, loop)
    tip = increase(t, words(loop + t[g.LOOP_TIP])[0])
    n = increase(t, words(loop + t[g.LOOP_LENGTH])[0])
    found = t[g.NONE]
    if _goes_on(t, u, arguments, reads, loop, tip) == 1:
        found = _row_after(t, u, arguments, reads, loop, tip, n)
    if found == t[g.NONE]:
        increase(t, found)
    decrease(t, n)
    decrease(t, tip)
    decrease(t, loop)
    return found


@helper
def _goes_on(t: Any, u: Any, arguments: Any, reads: Any, loop: Any, tip: Any) -> Any:
    """Whether the operands are those of the next row of a loop that takes rows: 1 or 0."""
    first, kinds = words(loop + t[g.LOOP_FIRST])[0], _kinds(t, loop)
    if words(loop + t[g.LOOP_RAN])[0] != t[g.NONE] or words(loop + t[g.LOOP_CALLS])[0] != t[g.NONE]:
        return 0
    if tip == t[g.EMPTY] or c_function(t[g.SIZE], (t[g.HELD],)) != 0:
        return 0
    for p in range(u[OPERANDS]):
        x, kind = operand(u, arguments, reads, p), kinds[2 * p]
        if kind >= 0:
            if words(x + t[g.SLOT])[0] != item(tip, kind):
                return 0
        elif kind == SAME:
            if x != item(first, p):
                return 0
        elif words(x + t[g.ACTIVE])[0] != kinds[2 * p + 1] or _is_older(t, x, loop) == 0:
            return 0
    return 1


@helper
def _kinds(t: Any, loop: Any) -> Any:
    """The words that say what the operands of a row are: see `nbgraph.loops`."""
    return words(words(words(loop + t[g.LOOP_ROW])[0] + g.DATA)[0])


@helper
def _is_older(t: Any, x: Any, loop: Any) -> Any:
    """Whether an operand was there before a loop, as far as can be told here: 1 or 0."""
    call = words(x + t[g.CALL])[0]
    if call == t[g.NONE]:
        return 1
    number = np.int64(0)
    if words(call + g.CLASS)[0] == t[g.PICKS]:
        number = words(call + t[g.PICK_NUMBER])[0]
    elif words(call + g.CLASS)[0] == t[g.CALLS]:
        number = words(call + t[g.CALL_NUMBER])[0]
    if number == 0:
        return 0
    return c_function(t[g.COMPARE], (number, words(loop + t[g.LOOP_NUMBER])[0], np.int64(0))) & 1


@helper
def _row_after(t: Any, u: Any, arguments: Any, reads: Any, loop: Any, tip: Any, n: Any) -> Any:
    """The results of row n; None, to which there is no new reference, if the loop is not what it was by then."""
    number = c_function(t[g.INT], (n,)) + 1
    results, tips = c_function(t[g.NEW_TUPLE], (u[RESULTS],)), c_function(t[g.NEW_TUPLE], (u[RESULTS],))
    references, after = c_function(t[g.NEW_LIST], (u[RESULTS],)), c_function(t[g.NEW_INT], (number,))
    status = 0
    if results == 0 or tips == 0 or references == 0 or after == 0:
        status = 1
    else:
        status = _fill(t, u, loop, n, results, tips, references)
    if status == 0 and words(loop + t[g.LOOP_TIP])[0] == tip and c_function(t[g.SIZE], (t[g.HELD],)) == 0:
        _add(t, u, arguments, reads, loop, references, tips, after)
        decrease(t, references)
        return handed_out(t, u, results)
    drop(t, results)
    drop(t, tips)
    drop(t, references)
    drop(t, after)
    if status != 0:
        return np.int64(0)
    return t[g.NONE]


@helper
def _fill(t: Any, u: Any, loop: Any, n: Any, results: Any, tips: Any, references: Any) -> Any:
    """Fills three containers with the nodes of row n, their slots, and weak references: 0, or 1 without memory."""
    flags = _flags(t, u, loop)
    for j in range(u[RESULTS]):
        what = result(u, j)
        slot = pair(t, what[0], n)
        if slot == 0:
            return 1
        c_function(t[g.FILL], (tips, j, slot))
        reference = placed(t, results, j, result_of(t, what[1], flags[j], loop, slot))
        if reference == 0:
            return 1
        c_function(t[g.SET], (references, j, reference))
    return 0


@helper
def _flags(t: Any, u: Any, loop: Any) -> Any:
    """The ids of the results' activities, which come after the operands' kinds."""
    return words(words(words(loop + t[g.LOOP_ROW])[0] + g.DATA)[0] + 16 * u[OPERANDS])


@helper
def _add(t: Any, u: Any, arguments: Any, reads: Any, loop: Any, references: Any, tips: Any, after: Any) -> Any:
    """The loop has one more row. It takes the references to `tips` and `after`."""
    kinds, column = _kinds(t, loop), 0
    for p in range(u[OPERANDS]):
        if kinds[2 * p] == EACH:
            columns = words(loop + t[g.LOOP_LISTS])[0]
            c_function(t[g.APPEND], (item(columns, column), operand(u, arguments, reads, p)))
            column += 1
    nodes, new = words(loop + t[g.LOOP_NODES])[0], words(words(references + g.LIST)[0])
    for j in range(u[RESULTS]):
        c_function(t[g.APPEND], (nodes, new[j]))
    tip = t[g.EMPTY]
    if c_function(t[g.INT], (after,)) < c_function(t[g.INT], (words(loop + t[g.LOOP_ROOM])[0],)) - 1:
        tip = tips
    n_before = swapped(t, loop + t[g.LOOP_LENGTH], after)
    tip_before = swapped(t, loop + t[g.LOOP_TIP], tip)
    decrease(t, n_before)
    decrease(t, tip_before)
    decrease(t, after)
    decrease(t, tips)
    return 0
