"""Loops of jitted calls, recorded as one.

In: a call that is about to be recorded, and the one that made its operands. Out: a `LoopCall`, to which the next calls
are added as rows; or the calls that it stands for (`dissolve`).
Holds: every row works on results of the row before; its other operands are the same throughout, or were there before
the loop was. So nothing that a loop needs depends on it. It is closed, and gets no more rows, once it is to be
evaluated or differentiated. What goes from row to row is kept alive by nobody but a user who asks for it.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import chain
from operator import attrgetter
from threading import get_ident
from typing import Any, NamedTuple

import numpy as np

from nbgraph.calls import FragmentCall, SumCall
from nbgraph.errors import GENERATED
from nbgraph.fragment import Fragment, at_sizes
from nbgraph.node import LOCK, Node, reserved
from nbgraph.stretch import EACH, SAME
from nbgraph.trace import RECORDING, new_node
from nbgraph.types import Shape, TensorType
from nbgraph_kernels.locks import in_forked_process, lock

_active = attrgetter("active")
#: Guards rows being added. Who holds it takes no other lock.
_ROWS = lock()
#: The threads that want none to be added.
_held: list[int] = []
#: A loop begins after so many calls of a trace, none of which has run; where it cannot, so many more come first.
AFTER, PAUSE = 8, 64
#: A loop of fewer rows is taken apart when it is to run or to be differentiated: it may be part of something larger.
LONG = 64
#: So many rows at most of the first loop, and of those that go on with it: creation numbers are set aside for them.
_ROOM, _MORE_ROOM = 1024, 4096
#: In the place of a row's number: all rows.
TOTAL = -1


class Traced(NamedTuple):
    """What the calls of one trace have in common. `results`: of each value that they hand out the slot, the type, and
    the operands that reach it; `compiled`: functions that add a row, by what they take for granted."""

    fragment: Fragment
    words: Shape
    sites: Any
    results: tuple[tuple[int, TensorType, tuple[int, ...]], ...]
    compiled: dict[Any, tuple[Callable[..., Any], Any]]


class LoopCall:
    """Calls of one fragment, each of which works on results of the one before, as one.

    Row k is the call with creation number `seq + k`; there are fewer rows than `room`, the last number is for totals.
    `pattern` says of each operand SAME, EACH, or which slot of the row before it is; `first` are the operands of row 0,
    `columns` those that every row has of its own, by position; `flags` says of each result whether a differentiable
    leaf reaches it. `row` says all that to machine code (`nbgraph_kernels/jitted.py`), `lists` are the columns.
    `nodes` lists its values weakly: one of row k has (slot, k) as its slot, the sum of a scalar over
    all rows (slot, TOTAL). Once the loop has run, `ran` knows the values (`engine.chains.Chain`). `calls`, oldest
    first, may take its place.
    """

    __slots__ = (
        "__weakref__",
        "active",
        "calls",
        "columns",
        "extend",
        "first",
        "flags",
        "lists",
        "n",
        "nodes",
        "of",
        "pattern",
        "ran",
        "room",
        "row",
        "seq",
        "tip",
    )
    #: As of a `FragmentCall` that is derived from no other.
    origin = None

    def __init__(self, of: Traced, first: tuple[Node, ...], pattern: tuple[int, ...], flags: Any, room: int) -> None:
        self.of, self.first, self.pattern, self.flags, self.room = of, first, pattern, flags, room
        self.active = True in map(_active, first)
        self.columns: dict[int, list[Node]] = {p: [first[p]] for p, kind in enumerate(pattern) if kind == EACH}
        self.nodes: list[weakref.ref[Node]] = []
        self.seq = reserved(room)[0]
        self.n = 0
        self.ran: Any = None
        self.calls: list[FragmentCall] | None = None
        #: The slots of the newest row; none where no row may be added.
        self.tip: tuple[Any, ...] = ()
        self.lists = tuple(self.columns.values())
        self.extend, self.row = _extension(self)

    @property
    def fragment(self) -> Fragment:
        return self.of.fragment

    @property
    def words(self) -> Shape:
        return self.of.words

    @property
    def sites(self) -> Any:
        return self.of.sites

    @property
    def inputs(self) -> tuple[Node, ...]:
        """All operands from outside."""
        return (*self.first, *(node for column in self.columns.values() for node in column[1 : self.n]))

    @property
    def waits(self) -> bool:
        """Whether it has still to run."""
        return self.ran is None and self.calls is None

    def settle(self, ran: Any) -> None:
        """It has run."""
        self.ran, self.nodes = ran, list(map(weakref.ref, self.living()))

    def close(self) -> None:
        """No row is added any more; most of its values are nobody's by now."""
        with _ROWS:
            self.tip = ()
            self.nodes = list(map(weakref.ref, self.living()))

    def living(self) -> list[Node]:
        """The nodes that are values of it."""
        return [node for reference in self.nodes if (node := reference()) is not None]

    def value(self, slot: int, k: int) -> Node:
        """A node for a value of a row."""
        node = self.fresh(slot, k)
        self.nodes.append(weakref.ref(node))
        return node

    def fresh(self, slot: int, k: int) -> Node:
        """The same, which the loop does not know of."""
        f = self.fragment
        t = at_sizes(f.types[slot], f.environment([i.type for i in self.first], self.words))
        flags = dict(zip([s for s, _, _ in self.of.results], self.flags, strict=True))
        node = new_node(t, flags.get(slot, self.active and t.inexact))
        node.call, node.slot = self, (slot, k)
        if self.ran is not None:
            node.data = self.ran.value(slot, k)
        return node

    def total(self, slot: int) -> Node:
        """A node for the sum of a scalar result over all rows; the loop is closed and has not run."""
        node = self.value(slot, 0)
        node.slot = (slot, TOTAL)
        return node

    @property
    def carried(self) -> set[int]:
        """The slots that go from row to row."""
        return {kind for kind in self.pattern if kind >= 0}

    def operands(self, k: int, before: Mapping[int, Node]) -> tuple[Node, ...]:
        """The operands of row k, of which the row before made `before`, by slot."""
        if k == 0:
            return self.first
        return tuple(
            [
                self.columns[p][k] if kind == EACH else self.first[p] if kind == SAME else before[kind]
                for p, kind in enumerate(self.pattern)
            ]
        )


# -- recording --------------------------------------------------------------------------------------------------------


@contextmanager
def none_here() -> Iterator[None]:
    """As long as this lasts, no thread adds to a loop: what is recorded belongs to one part of the graph."""
    me = get_ident()
    with _ROWS:
        _held.append(me)
    try:
        yield
    finally:
        with _ROWS:
            _held.remove(me)


def holders() -> list[int]:
    """The list of them."""
    return _held


def _held_here() -> None:
    me = get_ident()
    _held[:] = [thread for thread in _held if thread == me]


in_forked_process(_held_here)


def begin(of: Traced, before: Any, inputs: tuple[Node, ...]) -> tuple[Node, ...] | None:
    """The results of a call as those of the first row of a loop; None where it could not go on.

    `before` is the call that made some of the operands: of the same fragment, and it has not run."""
    with LOCK:  # who dissolves a loop, or puts calls together, holds it
        pattern = _pattern_after(before, inputs)
    if pattern is None or _held:
        return None
    flags = tuple([any(inputs[i].active for i in reach) for _, _, reach in of.results])
    of_slot = {slot: flag for (slot, _, _), flag in zip(of.results, flags, strict=True)}
    if any(kind >= 0 and x.active != of_slot.get(kind) for x, kind in zip(inputs, pattern, strict=True)):
        return None
    loop = LoopCall(of, inputs, pattern, flags, _ROOM if type(before) is FragmentCall else _MORE_ROOM)
    rows = [_result(loop, r, flag) for r, flag in zip(of.results, flags, strict=True)]
    loop.nodes = list(map(weakref.ref, rows))
    loop.n = 1
    loop.tip = tuple([node.slot for node in rows])
    return tuple(rows)


def _result(loop: LoopCall, result: Any, flag: bool) -> Node:
    node = new_node(result[1], flag)
    node.call, node.slot = loop, (result[0], 0)
    return node


def _pattern_after(before: Any, inputs: Sequence[Node]) -> tuple[int, ...] | None:
    """What each operand would be to a loop that goes on after a call."""
    if type(before) is LoopCall:
        newest = before.n - 1
        older = [x if kind == SAME else None for x, kind in zip(before.first, before.pattern, strict=True)]
        slots = [x.slot[0] if x.call is before and x.slot[1] == newest else None for x in inputs]
    else:
        older, slots = before.inputs, [x.slot if x.call is before else None for x in inputs]
    pattern = []
    for x, other, slot in zip(inputs, older, slots, strict=True):
        if x is not other and slot is None and x.call is not None and x.call.seq >= before.seq:
            return None
        pattern.append(SAME if x is other else EACH if slot is None else slot)
    return tuple(pattern)


def _extension(loop: LoopCall) -> tuple[Callable[..., Any], Any]:
    """The function that adds a row, by what it may take for granted of the loop; the same as words."""
    each = tuple([x.active for x, kind in zip(loop.first, loop.pattern, strict=True) if kind == EACH])
    key = (loop.pattern, loop.flags, each)
    made = loop.of.compiled.get(key)
    if made is None:
        made = loop.of.compiled[key] = _compile(loop), _row_of(loop)
    return made


def _row_of(loop: LoopCall) -> Any:
    """For each operand which result of the row before it is, or its kind and, with EACH, the id of its activity; then
    the ids of the results' activities."""
    place = {slot: j for j, (slot, _, _) in enumerate(loop.of.results)}
    kinds = [place[kind] if kind >= 0 else kind for kind in loop.pattern]
    pairs = zip(kinds, (id(x.active) for x in loop.first), strict=True)
    return np.array([*chain.from_iterable(pairs), *map(id, loop.flags)], np.int64)


def _compile(loop: LoopCall) -> Callable[..., Any]:
    """A function of a loop and the operands of a call: its results as those of a further row; None where it is none."""
    results, pattern = loop.of.results, loop.pattern
    place = {slot: j for j, (slot, _, _) in enumerate(results)}
    tests, each = [], [p for p, kind in enumerate(pattern) if kind == EACH]
    for p, kind in enumerate(pattern):
        if kind >= 0:
            tests.append(f"i{p}.slot is tip[{place[kind]}]")
    tests += [f"i{p} is first[{p}]" for p, kind in enumerate(pattern) if kind == SAME]
    for p in each:
        tests.append(f"i{p}.active is {loop.first[p].active}")
        tests.append(f"((c := i{p}.call) is None or c.seq < loop.seq)")
    names: dict[str, Any] = {"rows": _ROWS, "held": _held, "ref": weakref.ref, "recording": RECORDING}
    lines = [
        f"def extend(loop, {', '.join(f'i{p}' for p in range(len(pattern)))}):",
        "  tip, first = loop.tip, loop.first",
        f"  if not tip or not ({' and '.join(tests)}): return None",
        "  with rows:",
        "    if held or loop.tip is not tip: return None",
        "    loop.tip = ()",
        "    k, make = loop.n, recording.result",
        *(f"    loop.columns[{p}].append(i{p})" for p in each),
    ]
    for j, ((slot, t, _), flag) in enumerate(zip(results, loop.flags, strict=True)):
        names[f"t{j}"] = t
        lines += [
            f"    s{j} = ({slot}, k); r{j} = make(t{j}, {flag}, loop, s{j})",
        ]
    lines += [
        "    loop.n = k = k + 1",  # first: nodes of a row that was interrupted are nobody's
        f"    loop.nodes += ({''.join(f'ref(r{j}), ' for j in range(len(results)))})",
        f"    if k < loop.room - 1: loop.tip = ({''.join(f's{j}, ' for j in range(len(results)))})",
        f"  return ({''.join(f'r{j}, ' for j in range(len(results)))})",
    ]
    exec(compile("\n".join(lines), GENERATED, "exec"), names)
    made: Callable[..., Any] = names["extend"]
    return made


# -- as calls ---------------------------------------------------------------------------------------------------------


def dissolve(loop: LoopCall) -> list[FragmentCall]:
    """Puts calls of the fragment, one a row, in the place of a loop in the graph. Needs the lock."""
    if loop.calls is None:
        loop.close()
        loop.calls = _calls_of(loop)
    for node in loop.living():  # none if that was done before, unless an interrupt came between
        if node.call is loop:
            _move(node, loop.calls)
    loop.nodes = []
    return loop.calls


def _move(node: Node, calls: Sequence[FragmentCall]) -> None:
    slot, k = node.slot
    if k == TOTAL:
        _sum_up(node, [_term(c, slot, node) for c in calls])
    else:
        node.call, node.slot = calls[k], slot


def _sum_up(node: Node, terms: Sequence[Node]) -> None:
    call = SumCall(tuple(terms))
    call.seq = node.call.seq + node.call.room - 1  # younger than its terms, older than what uses it
    call.nodes = (weakref.ref(node),)
    node.call, node.slot = call, 0


def _term(call: FragmentCall, slot: int, like: Node) -> Node:
    """A node for a scalar result of a call."""
    node = new_node(like.type, like.active)
    node.call, node.slot, node.data = call, slot, call.kept(slot)
    if node.data is None:
        call.nodes = [*(call.nodes or ()), (slot, weakref.ref(node))]
    return node


def _calls_of(loop: LoopCall) -> list[FragmentCall]:
    """The rows as calls, with nodes again for what goes from row to row."""
    living = loop.living()
    known = {node.slot: node for node in living}
    waiting: list[list[tuple[int, weakref.ref[Node]]]] = [[] for _ in range(loop.n)]
    for node in living:
        slot, k = node.slot
        if k != TOTAL:
            waiting[k].append((slot, weakref.ref(node)))
    calls: list[FragmentCall] = []
    for k in range(loop.n):
        before: dict[int, Node] = {}
        for slot in loop.carried if k else ():
            if (slot, k - 1) not in known:
                node = known[slot, k - 1] = loop.fresh(slot, k - 1)
                _move(node, calls)
                waiting[k - 1].append((slot, weakref.ref(node)))
            before[slot] = known[slot, k - 1]
        call = FragmentCall(loop.fragment, loop.operands(k, before), loop.words, loop.sites)
        call.seq, call.active = loop.seq + k, loop.active
        if loop.ran is None:
            call.nodes = waiting[k]
        else:
            call.saved = loop.ran.saved_at(k)
        calls.append(call)
    return calls
