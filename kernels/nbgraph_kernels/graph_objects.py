"""What machine code knows of the graph's objects: the words of the template that the kernels of recording and of evals
read, where things lie in objects of Python's, and how nodes are made and changed.

In:    nothing.
Out:   the number of each word, by name, and the names of what `nbgraph.engine.recorder` fills in; helpers of these
       kernels, `t` being the template.
Holds: CPython 3.11 and later, with the global interpreter lock. A word is the id of an object, the address of a
       function or a table, or the offset of a slot in the objects of a class. A helper that makes something gives 0
       where there is no memory, with an exception set.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from .arrays import array_data_offset
from .language import helper
from .words import POINTERS, c_function

words = POINTERS["i8"]
#: A helper of a few instructions.
inlined = partial(helper, inline=True)
halves = POINTERS["i4"]

#: Where an array has the address of its data; where any object has its class; what is right behind that: how many items
#: a tuple or a list has, or what a weak reference refers to; where a tuple has its items, a list their address.
DATA = array_data_offset()
CLASS, BEHIND, ITEMS, LIST = DATA - 8, object.__basicsize__, tuple.__basicsize__, object.__basicsize__ + 8

#: Objects: the nodes' class, constants, the counter that numbers nodes; the classes of calls, loops and slices' calls;
#: the list of the threads that want no rows of loops.
NODES, NONE, TRUE, FALSE, EMPTY, ZERO, COUNTER, CALLS, LOOPS, PICKS, HELD = range(11)

FUNCTIONS = (
    "PyType_GenericAlloc",
    "PyTuple_New",
    "PyTuple_SetItem",
    "PyIter_Next",
    "Py_IncRef",
    "Py_DecRef",
    "PyList_New",
    "PyList_Append",
    "PyList_SetItem",
    "PyWeakref_NewRef",
    "PyLong_FromLongLong",
    "PyLong_AsLongLong",
    "PyObject_RichCompareBool",
    "PyObject_GetAttr",
    "PyObject_GetItem",
    "PyObject_Size",
    "PyDict_GetItem",
    "PyErr_Clear",
)
ALLOCATE, NEW_TUPLE, FILL, NEXT, INCREASE, DECREASE, NEW_LIST, APPEND, SET = range(11, 20)
NEW_REFERENCE, NEW_INT, INT, COMPARE, ATTRIBUTE, ITEM, SIZE, FIND, CLEAR = range(20, 29)

#: The table of what results from operations, and its number of entries, a power of two, less 1 (`recorder`).
TABLE, MASK = 29, 30

OF_NODES = ("active", "call", "data", "inputs", "op", "seq", "sizes", "slot", "type")
ACTIVE, CALL, VALUE, INPUTS, OP, NUMBER, SIZES, SLOT, KIND = range(31, 40)

#: The first six are told of a call that has run.
OF_CALLS = ("fragment", "inputs", "words", "saved", "sites", "kind", "active", "after", "nodes", "origin", "seq")
(
    CALL_FRAGMENT,
    CALL_INPUTS,
    CALL_WORDS,
    CALL_SAVED,
    CALL_SITES,
    CALL_KIND,
    CALL_ACTIVE,
    CALL_AFTER,
    CALL_NODES,
    CALL_ORIGIN,
    CALL_NUMBER,
) = range(40, 51)

OF_LOOPS = ("calls", "first", "lists", "n", "nodes", "of", "ran", "room", "row", "seq", "tip")
(
    LOOP_CALLS,
    LOOP_FIRST,
    LOOP_LISTS,
    LOOP_LENGTH,
    LOOP_NODES,
    LOOP_OF,
    LOOP_RAN,
    LOOP_ROOM,
    LOOP_ROW,
    LOOP_NUMBER,
    LOOP_TIP,
) = range(51, 62)

OF_PICKS = ("seq",)
PICK_NUMBER = 62
COUNT = 63

# -- references -------------------------------------------------------------------------------------------------------


@inlined
def increase(t: Any, x: Any) -> Any:
    """One more reference to an object, which is given."""
    c_function(t[INCREASE], (x,))
    return x


@inlined
def decrease(t: Any, x: Any) -> Any:
    """One reference less."""
    c_function(t[DECREASE], (x,))
    return 0


@helper
def drop(t: Any, x: Any) -> Any:
    """One reference less to what may not have been made."""
    if x != 0:
        c_function(t[DECREASE], (x,))
    return 0


@inlined
def kept(t: Any, place: Any, value: Any) -> Any:
    """A slot of a new object, which takes a reference of its own."""
    c_function(t[INCREASE], (value,))
    words(place)[0] = value
    return 0


@inlined
def swapped(t: Any, place: Any, value: Any) -> Any:
    """What was in a slot, in the place of which the value is now; the reference to it goes along."""
    old = words(place)[0]
    c_function(t[INCREASE], (value,))
    words(place)[0] = value
    return old


# -- containers -------------------------------------------------------------------------------------------------------


@inlined
def item(a: Any, k: Any) -> Any:
    """An item of a tuple."""
    return words(a + ITEMS)[k]


@helper
def tuple_of(t: Any, objects: Any, n: Any) -> Any:
    """A tuple of so many objects."""
    new = c_function(t[NEW_TUPLE], (n,))
    if new != 0:
        for k in range(n):
            c_function(t[FILL], (new, k, increase(t, objects[k])))
    return new


@helper
def pair(t: Any, a: Any, b: Any) -> Any:
    """A tuple of two objects."""
    new = c_function(t[NEW_TUPLE], (np.int64(2),))
    if new != 0:
        c_function(t[FILL], (new, np.int64(0), increase(t, a)))
        c_function(t[FILL], (new, np.int64(1), increase(t, b)))
    return new


@helper
def kept_values(t: Any, slots: Any, n: Any, places: Any, values: Any) -> Any:
    """Slots that must not be computed twice, and their values, which are at so many places from an address on."""
    some, at = c_function(t[NEW_TUPLE], (n,)), words(places)
    if some == 0:
        return np.int64(0)
    for k in range(n):
        c_function(t[FILL], (some, k, increase(t, values[at[k]])))
    both = pair(t, slots, some)
    decrease(t, some)
    return both


# -- nodes ------------------------------------------------------------------------------------------------------------


@inlined
def is_sealed(t: Any, a: Any, kind: Any) -> Any:
    """Whether an object is a node of a type that is no longer open: 1 or 0."""
    if words(a + CLASS)[0] != t[NODES]:
        return 0
    if words(a + t[KIND])[0] != kind or words(a + t[OP])[0] != t[NONE]:
        return 0
    return 1


@helper
def node_of(t: Any, op: Any, inputs: Any, sizes: Any, kind: Any, active: Any, call: Any, slot: Any) -> Any:
    """A new node, with a number of its own. It takes the reference to `inputs`."""
    number = c_function(t[NEXT], (t[COUNTER],))
    node = np.int64(0)
    if number != 0:
        node = c_function(t[ALLOCATE], (t[NODES], np.int64(0)))
        if node == 0:
            decrease(t, number)
    if node == 0:
        decrease(t, inputs)
        return np.int64(0)
    words(node + t[INPUTS])[0] = inputs
    words(node + t[NUMBER])[0] = number
    kept(t, node + t[ACTIVE], active)
    kept(t, node + t[CALL], call)
    kept(t, node + t[VALUE], t[NONE])
    kept(t, node + t[OP], op)
    kept(t, node + t[SIZES], sizes)
    kept(t, node + t[SLOT], slot)
    kept(t, node + t[KIND], kind)
    return node


@helper
def result_of(t: Any, kind: Any, active: Any, call: Any, slot: Any) -> Any:
    """A new node for a result of a call."""
    return node_of(t, t[NONE], increase(t, t[EMPTY]), t[EMPTY], kind, active, call, slot)
