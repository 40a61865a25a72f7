"""The template of `jitted`, by name, and how its tables are read.

In:    nothing. Out: numbers of words; helpers, `u` being the template. Holds: see `jitted`.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from . import graph_objects as g
from .graph_objects import decrease, increase, inlined, item, words
from .language import helper
from .words import c_function

OBJECTS, COUNT, TYPES = range(3)
TRACE, FRAGMENT, WORDS, SITES, CACHE, KEY = range(3, 9)
#: A number, and an address.
OPERANDS, RESULTS, HANDED_OUT, READS, ASKED, OPERATIONS = range(9, 21, 2)
SINGLE, PLACES, OFTEN = range(21, 24)
#: How something is read, as `nbgraph.steps` says.
BY_ATTRIBUTE, BY_ITEM, BY_SIZE = range(3)


@inlined
def operand(u: Any, arguments: Any, reads: Any, p: Any) -> Any:
    """An operand of the call."""
    what = words(u[OPERANDS + 1] + 16 * p)
    if what[0] == 0:
        return arguments[what[1]]
    if what[0] == 1:
        return reads[what[1]]
    return what[1]


@inlined
def result(u: Any, j: Any) -> Any:
    """What is said of a result: ids of slot and type, and which operands reach it."""
    return words(u[RESULTS + 1] + 24 * j)


@helper
def placed(t: Any, results: Any, j: Any, node: Any) -> Any:
    """A weak reference to a new node, which is put into the tuple of results; 0 without memory."""
    if node == 0:
        return np.int64(0)
    c_function(t[g.FILL], (results, j, node))
    return c_function(t[g.NEW_REFERENCE], (node, np.int64(0)))


@helper
def handed_out(t: Any, u: Any, results: Any) -> Any:
    """What the caller gets of the results; takes the reference to the tuple of them."""
    order = words(u[HANDED_OUT + 1])
    if u[SINGLE] == 1:
        out = increase(t, item(results, order[0]))
    else:
        out = c_function(t[g.NEW_TUPLE], (u[HANDED_OUT],))
        if out != 0:
            for k in range(u[HANDED_OUT]):
                c_function(t[g.FILL], (out, k, increase(t, item(results, order[k]))))
    decrease(t, results)
    return out
