"""A call of a jitted function, recorded by machine code: one more row of a loop, or a call that waits.

In:    as `PyObject* f(PyObject* self, PyObject** arguments, Py_ssize_t count)`: `self` is an array of words, the
       template of one trace; the arguments are those of the call.
Out:   the results, a node or a tuple of nodes; None where Python has to look: an argument is not what the trace was
       made for, has no value of a call yet, what the function reads is not what it was, the call before waits; NULL
       with an exception set if there is no memory.
Holds: called with the global interpreter lock, which it keeps. What is made is made before anything is changed, since
       Python code may run where it makes something; nothing is changed if that was otherwise then.

The template holds
    0 address of the recorder's (`recorder`, extended by `nbgraph.engine.recorder`: see below)   1 number of arguments
    2 to 7 ids of the trace, its fragment, words, lines, the fragment's cache and the key that says that calls are
    recorded otherwise   8 number of operands   9 number of results   10 whether one result is handed out as it is
    11 number of those handed out   12 number of things read   13 address of the arguments' types   14 address of the
    operands, two words each: 0 and the number of an argument, 1 and that of a thing read, 2 and an id   15 address of
    the results, three words each: ids of slot and type, and which operands reach it, as bits   16 address of the
    numbers of those handed out   17 address of the things read, four words each: 0 an attribute, 1 an item, 2 the
    size; whether it is a tensor; then ids of what it is read of, the name, and what it was (a tensor's type): five
    18 number of arguments whose calls are looked at   19 address of their numbers   20 number of operations, if the
    call may be recorded as these, and else 0   21 address of them, for each: ids of the operation, its sizes and its
    type, whether that is inexact, the number of its operands, and these: an operation's number, ~k for operand k of the
    call   22 address of the number of the operation that each result is of   23 after how many runs (see 7)
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from .language import helper
from .recorder import DATA, TYPE, kept, made
from .words import POINTERS, address_of, c_function, stack

#: Functions that the recorder's template holds besides, from here on.
FURTHER = 36
CALLED = (
    "PyList_New",
    "PyList_Append",
    "PyWeakref_NewRef",
    "PyLong_FromLongLong",
    "PyLong_AsLongLong",
    "PyObject_RichCompareBool",
    "PyObject_GetAttr",
    "PyObject_GetItem",
    "PyObject_Size",
    "PyErr_Clear",
    "PyDict_GetItem",
    "PyList_SetItem",
)
_NEW_LIST, _APPEND, _REFERENCE, _NEW_INT, _INT, _COMPARE, _ATTRIBUTE, _ITEM, _SIZE, _CLEAR, _FIND, _SET = range(36, 48)
#: The class of loops, and offsets of their slots; the class of slices' calls, and that of their number; who holds rows.
OF_LOOPS = ("calls", "first", "lists", "n", "nodes", "of", "ran", "room", "row", "seq", "tip")
_LOOPS = 48
_CALLS, _FIRST, _LISTS, _N, _NODES, _OF, _RAN, _ROOM, _ROW, _SEQ, _TIP = range(49, 60)
_PICKS, _NUMBER_OF_PICK, _HELD = 60, 61, 62
_NONE, _TRUE, _FALSE, _EMPTY, _ZERO, _COUNTER = range(1, 7)
_ALLOCATE, _NEW_TUPLE, _FILL, _NEXT, _INCREASE, _DECREASE = range(7, 13)
_ACTIVE, _CALL, _VALUE, _OP, _SLOT, _KIND = 15, 16, 17, 19, 22, 23
_CLASS_OF_CALLS = 24
_FRAGMENT, _INPUTS, _WORDS, _SAVED, _SITES, _KIND_OF_CALL, _IS_ACTIVE, _AFTER = range(25, 33)
_WAITING, _ORIGIN, _NUMBER = range(33, 36)
#: Kinds of operands of a row: as `nbgraph.stretch` says.
SAME, EACH = -1, -2
#: So many operands and things read, and so many results at most.
MOST = 60
#: Where the items of a tuple are, and where the address of those of a list is: behind their number.
_ITEMS, _LIST = tuple.__basicsize__, object.__basicsize__ + 8
_words = POINTERS["i8"]
_reads, _nodes = stack(8 * MOST), stack(8 * MOST)


def build(name: str, dtype: str) -> Callable[..., int]:
    """The Python function of the kernel; `dtype` is ""."""
    return jitted


def jitted(self: Any, arguments: Any, count: Any) -> int:
    """Compare, look at the call before, make."""
    u = _words(_words(self + DATA)[0])
    t = _words(u[0])
    reads = _words(_reads())
    if count != u[1] or _are_known(t, u, arguments, count) == 0 or _read(t, u, reads) == 0:
        c_function(t[_INCREASE], (t[_NONE],))
        return t[_NONE]
    found = _recorded(t, u, arguments, reads)
    _give_back(t, u, reads, u[12])
    return found


@helper
def _recorded(t: Any, u: Any, arguments: Any, reads: Any) -> Any:
    """A row, if the call before is a loop of this trace; Python's to do, if it is a call that waits; else a call, or
    operations, if it is often run together with others."""
    runs = np.int64(0)
    if u[20] != 0:
        runs = c_function(t[_FIND], (u[6], u[7]))
    if runs != 0 and c_function(t[_INT], (runs,)) > u[23]:
        if _have_values(t, u, arguments, reads) == 1:
            return _one_by_one(t, u, arguments, reads)
        c_function(t[_INCREASE], (t[_NONE],))
        return t[_NONE]
    loop = _before(t, u, arguments)
    if loop == t[_NONE]:
        c_function(t[_INCREASE], (t[_NONE],))
        return t[_NONE]
    if loop != 0:
        return _row(t, u, arguments, reads, loop)
    return _waiting(t, u, arguments, reads)


@helper
def _are_known(t: Any, u: Any, arguments: Any, count: Any) -> Any:
    """Whether the arguments are sealed nodes of the types of the trace: 1 or 0."""
    types = _words(u[13])
    for k in range(count):
        if _is_known(t, arguments[k], types[k]) == 0:
            return 0
    return 1


@helper
def _is_known(t: Any, a: Any, kind: Any) -> Any:
    """Whether an object is a sealed node of a type: 1 or 0."""
    if _words(a + TYPE)[0] != t[0]:
        return 0
    if _words(a + t[_KIND])[0] != kind or _words(a + t[_OP])[0] != t[_NONE]:
        return 0
    return 1


@helper
def _give_back(t: Any, u: Any, reads: Any, count: Any) -> Any:
    """The references to the first things read."""
    for k in range(count):
        if reads[k] != 0:
            c_function(t[_DECREASE], (reads[k],))
    return 0


@helper
def _read(t: Any, u: Any, reads: Any) -> Any:
    """Whether what the function reads is what it was: 1, and it is in `reads` with a reference to each; or 0."""
    for k in range(u[12]):
        what = _words(u[17] + 40 * k)
        reads[k] = 0
        fits = 0
        if what[0] == 2:
            if c_function(t[_SIZE], (what[2],)) == what[4]:
                fits = 1
        else:
            value = np.int64(0)
            if what[0] == 0:
                value = c_function(t[_ATTRIBUTE], (what[2], what[3]))
            else:
                value = c_function(t[_ITEM], (what[2], what[3]))
            reads[k] = value
            if value == 0:
                c_function(t[_CLEAR], ())
            elif what[1] == 0:
                if value == what[4]:
                    fits = 1
            elif _is_known(t, value, what[4]) == 1:
                fits = 1
        if fits == 0:
            _give_back(t, u, reads, k + 1)
            return 0
    return 1


@helper
def _before(t: Any, u: Any, arguments: Any) -> Any:
    """The loop of this trace that made an argument; None where Python has to look; 0 where there is no call before, or
    it has run."""
    asked = _words(u[19])
    for k in range(u[18]):
        call = _words(arguments[asked[k]] + t[_CALL])[0]
        if _words(call + TYPE)[0] == t[_LOOPS]:
            of = _words(call + t[_OF])[0]
            if of == u[2]:
                return call
            if _item(of, np.int64(0)) == u[3]:
                return t[_NONE]
        elif _words(call + TYPE)[0] == t[_CLASS_OF_CALLS] and _words(call + t[_FRAGMENT])[0] == u[3]:
            if _words(call + t[_WAITING])[0] == t[_NONE]:
                return np.int64(0)
            return t[_NONE]
    return np.int64(0)


@helper
def _operand(u: Any, arguments: Any, reads: Any, p: Any) -> Any:
    """An operand of the call."""
    what = _words(u[14] + 16 * p)
    if what[0] == 0:
        return arguments[what[1]]
    if what[0] == 1:
        return reads[what[1]]
    return what[1]


@helper
def _item(a: Any, k: Any) -> Any:
    """An item of a tuple."""
    return _words(a + _ITEMS)[k]


# -- a row of a loop --------------------------------------------------------------------------------------------------


@helper
def _goes_on(t: Any, u: Any, arguments: Any, reads: Any, loop: Any, tip: Any) -> Any:
    """Whether the operands are those of the next row of a loop that takes rows: 1 or 0."""
    first, row = _words(loop + t[_FIRST])[0], _words(loop + t[_ROW])[0]
    if tip == t[_EMPTY] or _words(loop + t[_RAN])[0] != t[_NONE] or _words(loop + t[_CALLS])[0] != t[_NONE]:
        return 0
    if c_function(t[_SIZE], (t[_HELD],)) != 0:
        return 0
    kinds = _words(_words(row + DATA)[0])
    for p in range(u[8]):
        x, kind = _operand(u, arguments, reads, p), kinds[2 * p]
        if kind >= 0:
            if _words(x + t[_SLOT])[0] != _item(tip, kind):
                return 0
        elif kind == SAME:
            if x != _item(first, p):
                return 0
        elif _words(x + t[_ACTIVE])[0] != kinds[2 * p + 1] or _is_older(t, x, loop) == 0:
            return 0
    return 1


@helper
def _is_older(t: Any, x: Any, loop: Any) -> Any:
    """Whether an operand was there before a loop, as far as can be told here: 1 or 0."""
    call = _words(x + t[_CALL])[0]
    if call == t[_NONE]:
        return 1
    number = np.int64(0)
    if _words(call + TYPE)[0] == t[_PICKS]:
        number = _words(call + t[_NUMBER_OF_PICK])[0]
    elif _words(call + TYPE)[0] == t[_CLASS_OF_CALLS]:
        number = _words(call + t[_NUMBER])[0]
    if number == 0:
        return 0
    return c_function(t[_COMPARE], (number, _words(loop + t[_SEQ])[0], np.int64(0))) & 1


@helper
def _row(t: Any, u: Any, arguments: Any, reads: Any, loop: Any) -> Any:
    """The results as those of a further row; None where it is none. What it looks at of the loop is held: it may go
    where something is made."""
    tip, n = _words(loop + t[_TIP])[0], _words(loop + t[_N])[0]
    c_function(t[_INCREASE], (loop,))
    c_function(t[_INCREASE], (tip,))
    c_function(t[_INCREASE], (n,))
    found = t[_NONE]
    if _goes_on(t, u, arguments, reads, loop, tip) == 1:
        found = _row_after(t, u, arguments, reads, loop, tip, n)
    if found == t[_NONE]:
        c_function(t[_INCREASE], (found,))
    c_function(t[_DECREASE], (n,))
    c_function(t[_DECREASE], (tip,))
    c_function(t[_DECREASE], (loop,))
    return found


@helper
def _row_after(t: Any, u: Any, arguments: Any, reads: Any, loop: Any, tip: Any, n: Any) -> Any:
    """The results of row n; None, to which there is no new reference, if the loop is not what it was by then."""
    number = c_function(t[_INT], (n,)) + 1
    results, tips = c_function(t[_NEW_TUPLE], (u[9],)), c_function(t[_NEW_TUPLE], (u[9],))
    references, after = c_function(t[_NEW_LIST], (u[9],)), c_function(t[_NEW_INT], (number,))
    status = 0
    if results == 0 or tips == 0 or references == 0 or after == 0:
        status = 1
    else:
        status = _results_of_row(t, u, loop, n, results, tips, references)
    if status == 0 and _words(loop + t[_TIP])[0] == tip and c_function(t[_SIZE], (t[_HELD],)) == 0:
        _add(t, u, arguments, reads, loop, references, tips, after)
        c_function(t[_DECREASE], (references,))
        return _handed_out(t, u, results)
    _drop(t, results)
    _drop(t, tips)
    _drop(t, references)
    _drop(t, after)
    if status != 0:
        return np.int64(0)
    return t[_NONE]


@helper
def _drop(t: Any, x: Any) -> Any:
    """A reference to what may not have been made."""
    if x != 0:
        c_function(t[_DECREASE], (x,))
    return 0


@helper
def _results_of_row(t: Any, u: Any, loop: Any, n: Any, results: Any, tips: Any, references: Any) -> Any:
    """Fills three containers with the nodes of row n, their slots, and weak references: 0, or 1 without memory."""
    flags = _words(_words(_words(loop + t[_ROW])[0] + DATA)[0] + 16 * u[8])
    for j in range(u[9]):
        what = _words(u[15] + 24 * j)
        slot = c_function(t[_NEW_TUPLE], (np.int64(2),))
        if slot == 0:
            return 1
        c_function(t[_INCREASE], (what[0],))
        c_function(t[_FILL], (slot, np.int64(0), what[0]))
        c_function(t[_INCREASE], (n,))
        c_function(t[_FILL], (slot, np.int64(1), n))
        c_function(t[_FILL], (tips, j, slot))
        c_function(t[_INCREASE], (t[_EMPTY],))
        node = made(t, t[_NONE], t[_EMPTY], t[_EMPTY], what[1], flags[j], loop, slot)
        if node == 0:
            return 1
        c_function(t[_FILL], (results, j, node))
        reference = c_function(t[_REFERENCE], (node, np.int64(0)))
        if reference == 0:
            return 1
        c_function(t[_SET], (references, j, reference))
    return 0


@helper
def _add(t: Any, u: Any, arguments: Any, reads: Any, loop: Any, references: Any, tips: Any, after: Any) -> Any:
    """The loop has one more row. It takes the references to `tips` and `after`."""
    kinds, column = _words(_words(_words(loop + t[_ROW])[0] + DATA)[0]), 0
    for p in range(u[8]):
        if kinds[2 * p] == EACH:
            columns = _words(loop + t[_LISTS])[0]
            c_function(t[_APPEND], (_item(columns, column), _operand(u, arguments, reads, p)))
            column += 1
    nodes = _words(loop + t[_NODES])[0]
    for j in range(u[9]):
        c_function(t[_APPEND], (nodes, _words(_words(references + _LIST)[0])[j]))
    old = _words(loop + t[_N])[0]
    _words(loop + t[_N])[0] = after
    c_function(t[_DECREASE], (old,))
    tip = _words(loop + t[_TIP])[0]
    if c_function(t[_INT], (after,)) < c_function(t[_INT], (_words(loop + t[_ROOM])[0],)) - 1:
        _words(loop + t[_TIP])[0] = tips
    else:
        c_function(t[_INCREASE], (t[_EMPTY],))
        _words(loop + t[_TIP])[0] = t[_EMPTY]
        c_function(t[_DECREASE], (tips,))
    c_function(t[_DECREASE], (tip,))
    return 0


@helper
def _handed_out(t: Any, u: Any, results: Any) -> Any:
    """What the caller gets of the results; takes the reference to the tuple of them."""
    order = _words(u[16])
    if u[10] == 1:
        only = _item(results, order[0])
        c_function(t[_INCREASE], (only,))
        c_function(t[_DECREASE], (results,))
        return only
    out = c_function(t[_NEW_TUPLE], (u[11],))
    if out != 0:
        for k in range(u[11]):
            item = _item(results, order[k])
            c_function(t[_INCREASE], (item,))
            c_function(t[_FILL], (out, k, item))
    c_function(t[_DECREASE], (results,))
    return out


# -- operations -------------------------------------------------------------------------------------------------------


@helper
def _have_values(t: Any, u: Any, arguments: Any, reads: Any) -> Any:
    """Whether all operands have values: 1 or 0."""
    for p in range(u[8]):
        if _words(_operand(u, arguments, reads, p) + t[_VALUE])[0] == t[_NONE]:
            return 0
    return 1


@helper
def _one_by_one(t: Any, u: Any, arguments: Any, reads: Any) -> Any:
    """The results as open nodes."""
    nodes, what, at = _words(_nodes()), _words(u[21]), 0
    n, status = 0, 0
    for k in range(u[20]):
        if status == 0:
            node = _operation(t, u, arguments, reads, nodes, address_of(what) + 8 * at)
            at += 5 + what[at + 4]
            if node == 0:
                status = 1
            else:
                nodes[k] = node
                n += 1
    results = np.int64(0)
    if status == 0:
        results = c_function(t[_NEW_TUPLE], (u[9],))
    if results != 0:
        numbers = _words(u[22])
        for j in range(u[9]):
            c_function(t[_INCREASE], (nodes[numbers[j]],))
            c_function(t[_FILL], (results, j, nodes[numbers[j]]))
    for k in range(n):
        c_function(t[_DECREASE], (nodes[k],))
    if results == 0:
        return np.int64(0)
    return _handed_out(t, u, results)


@helper
def _operation(t: Any, u: Any, arguments: Any, reads: Any, nodes: Any, place: Any) -> Any:
    """The node of one operation; 0 without memory."""
    what = _words(place)
    inputs, active = c_function(t[_NEW_TUPLE], (what[4],)), t[_FALSE]
    if inputs == 0:
        return np.int64(0)
    for p in range(what[4]):
        ref = what[5 + p]
        x = nodes[ref] if ref >= 0 else _operand(u, arguments, reads, ~ref)
        c_function(t[_INCREASE], (x,))
        c_function(t[_FILL], (inputs, p, x))
        if what[3] != 0 and _words(x + t[_ACTIVE])[0] == t[_TRUE]:
            active = t[_TRUE]
    return made(t, what[0], inputs, what[1], what[2], active, t[_NONE], t[_ZERO])


# -- a call that waits ------------------------------------------------------------------------------------------------


@helper
def _waiting(t: Any, u: Any, arguments: Any, reads: Any) -> Any:
    """The results as those of a call that has not run."""
    inputs, active = c_function(t[_NEW_TUPLE], (u[8],)), np.int64(0)
    if inputs == 0:
        return np.int64(0)
    for p in range(u[8]):
        x = _operand(u, arguments, reads, p)
        c_function(t[_INCREASE], (x,))
        c_function(t[_FILL], (inputs, p, x))
        if _words(x + t[_ACTIVE])[0] == t[_TRUE]:
            active |= np.int64(1) << p
    call = c_function(t[_ALLOCATE], (t[_CLASS_OF_CALLS], np.int64(0)))
    if call == 0:
        c_function(t[_DECREASE], (inputs,))
        return np.int64(0)
    _words(call + t[_INPUTS])[0] = inputs
    kept(t, call + t[_FRAGMENT], u[3])
    kept(t, call + t[_WORDS], u[4])
    kept(t, call + t[_SAVED], t[_NONE])
    kept(t, call + t[_SITES], u[5])
    kept(t, call + t[_KIND_OF_CALL], t[_ZERO])
    kept(t, call + t[_AFTER], t[_ZERO])
    kept(t, call + t[_ORIGIN], t[_NONE])
    if active != 0:
        kept(t, call + t[_IS_ACTIVE], t[_TRUE])
    else:
        kept(t, call + t[_IS_ACTIVE], t[_FALSE])
    results, waiting = c_function(t[_NEW_TUPLE], (u[9],)), c_function(t[_NEW_LIST], (u[9],))
    status = 1
    if results != 0 and waiting != 0:
        status = _results_of_call(t, u, call, active, results, waiting)
    number = np.int64(0)
    if status == 0:
        number = c_function(t[_NEXT], (t[_COUNTER],))
    if number == 0:
        _drop(t, waiting)
        _drop(t, results)
        c_function(t[_DECREASE], (call,))
        return np.int64(0)
    _words(call + t[_NUMBER])[0] = number
    _words(call + t[_WAITING])[0] = waiting
    c_function(t[_DECREASE], (call,))  # its nodes refer to it
    return _handed_out(t, u, results)


@helper
def _results_of_call(t: Any, u: Any, call: Any, active: Any, results: Any, waiting: Any) -> Any:
    """Fills a tuple with the nodes, and a list with their slots and weak references: 0, or 1 without memory."""
    for j in range(u[9]):
        what = _words(u[15] + 24 * j)
        flag = t[_FALSE]
        if what[2] & active != 0:
            flag = t[_TRUE]
        c_function(t[_INCREASE], (t[_EMPTY],))
        node = made(t, t[_NONE], t[_EMPTY], t[_EMPTY], what[1], flag, call, what[0])
        if node == 0:
            return 1
        c_function(t[_FILL], (results, j, node))
        entry, reference = c_function(t[_NEW_TUPLE], (np.int64(2),)), c_function(t[_REFERENCE], (node, np.int64(0)))
        if entry == 0 or reference == 0:
            _drop(t, entry)
            _drop(t, reference)
            return 1
        c_function(t[_INCREASE], (what[0],))
        c_function(t[_FILL], (entry, np.int64(0), what[0]))
        c_function(t[_FILL], (entry, np.int64(1), reference))
        c_function(t[_SET], (waiting, j, entry))
    return 0
