"""Many short calls that are no loop, run one after another: branches taken now and then, inner loops of any length.

In: nodes without values, and the drafts that their open region becomes. Out: whether they have values now; where not,
the general path has to be taken, which finds what has run already.
Holds: a call of small arrays takes less to run at once, by its route, than to be entered in a schedule and a table.
Where calls repeat, there is no such order: the general path runs them as chains. Cotangents that only these calls
read, and terms that only go into a sum, are let go as soon as they have been used; a second derivative computes them
again.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from operator import attrgetter
from sys import getrefcount
from typing import Any

import numpy as np

from nbgraph.calls import FragmentCall, RepeatCall, SumCall
from nbgraph.engine.backward import let_go, run_repeated, set_sum
from nbgraph.engine.pairs import run_pair, waits_with
from nbgraph.engine.routes import run_waiting
from nbgraph.memory import copy, zeros
from nbgraph.node import LOCK, Node
from nbgraph.repeats import SHORTEST, LoopRun, added_up
from nbgraph.seal import Draft, commit
from nbgraph.trace import unaliased, value_of
from nbgraph.turns import LONGEST, fuse, may_be_part

Array = np.ndarray[Any, Any]
#: Bytes of an array at most: of larger ones it pays to know where each of them can be used again.
LARGEST = 2**13
#: What Python spends on a call is little beside what it computes where it has so many operations.
LONG = 256
#: Gradients of fewer calls gain little; and of so many or more this part at most goes on as a period before.
FEW, MOST = 48, 0.65
#: So many calls of one fragment, one after another, are a loop, whatever else there is.
ALIKE = 64
#: Operands and results of a call that has a route (`runners.Compiled` has `ENTRY_WORDS` for them, and for sizes).
MANY = 128

_seq = attrgetter("seq")


def in_order(targets: Sequence[Node], drafts: Sequence[Draft]) -> list[Any] | None:
    """The calls that the values of targets need, in the order in which they run; None where they are not to be run one
    by one. Needs the lock."""
    home = {id(node): d.call for d in drafts for _, node in d.nodes if node.op is not None}
    calls = _below(targets, home)
    if calls is None:
        return None
    calls.sort(key=_seq)
    plain = [c for c in calls if type(c) is FragmentCall and c.origin is None]
    if 2 * sum(_lengths_of_loops(plain, home)) > len(plain):
        return None
    fragments = [c.fragment for c in calls if type(c) is FragmentCall]
    if _is_periodic(fragments) if len(fragments) >= FEW else len(plain) < len(fragments):
        return None  # of a short gradient a schedule puts more together
    if _adds_up_in_a_pair(calls):
        return None
    parts = [c for c in plain if c.nodes is not None and may_be_part(c)]  # turns are made of what is sealed
    return None if len(parts) >= 2 * SHORTEST and fuse(parts, {}) else calls


def _is_periodic(fragments: Sequence[Any]) -> bool:
    """Whether most calls are of the fragment of the one a period before: loops, or one of several by turns."""
    known: dict[Any, int] = {}
    kinds = np.array([known.setdefault(f, len(known)) for f in fragments])
    return any(np.mean(kinds[p:] == kinds[:-p]) > MOST for p in range(1, LONGEST + 1))


def _adds_up_in_a_pair(calls: Sequence[Any]) -> bool:
    """Whether a call and the one derived from it, which run as one, add several results up: only the general path has
    such programs, and larger arrays take that."""
    many = {f for c in calls if type(c) is SumCall for f in added_up(c)}
    pairs = _pairs(calls) if many else {}
    return any(id(c) in pairs and c.fragment in many for c in calls)


def _below(targets: Sequence[Node], home: Mapping[int, FragmentCall]) -> list[Any] | None:
    """The calls below targets; None where one of them is large, or of another kind, or many are met that are alike."""
    stack, seen, calls = list(targets), set[int](), list[Any]()
    last, alike = None, 0
    while stack:
        node = stack.pop()
        if node.data is not None or (node := unaliased(node)).data is not None:
            continue
        call: Any = node.call if node.op is None else home.get(id(node))
        if id(call) in seen:
            continue
        seen.add(id(call))
        alike = alike + 1 if call.__class__ is FragmentCall and call.fragment is last else 0
        if alike == ALIKE or not _is_small(call, node, home):
            return None
        last = call.fragment if call.__class__ is FragmentCall else None
        calls.append(call)
        stack += call.inputs
        if type(call) is RepeatCall:
            for each in _calls_before(call):
                if id(each) not in seen:
                    seen.add(id(each))
                    calls.append(each)
                    stack += each.inputs
    return calls


def _is_small(call: Any, node: Node, home: Mapping[int, FragmentCall]) -> bool:
    if not node.type.concrete or node.type.nbytes > LARGEST:
        return False
    if type(call) is FragmentCall:
        waits, few = bool(call.nodes) or node.op is not None, len(call.inputs) + len(call.nodes or ()) < MANY
        return waits and few and len(call.fragment.instrs) < LONG and all(type(w) is int for w in call.words)
    if type(call) is RepeatCall:
        return type(call.rest) is not LoopRun and (call.rest.steps < ALIKE or call.calls[0].nodes is None)
    return type(call) is SumCall


def _calls_before(call: RepeatCall) -> Iterator[FragmentCall]:
    """The calls that a repeat goes back through and that have to run for it."""
    if any(kind == "saved" for kind, _ in call.plan.sources):
        yield from (c for c in call.calls if c.saved is None)


def _lengths_of_loops(calls: Sequence[FragmentCall], home: Mapping[int, FragmentCall]) -> Iterator[int]:
    """How many calls of one fragment work on results of the one before, wherever they make a chain."""
    last: dict[Any, tuple[FragmentCall, int]] = {}
    for call in calls:
        before, n = last.get(call.fragment, (None, 0))
        goes_on = any((i.call if i.op is None else home.get(id(i))) is before for i in call.inputs if i.data is None)
        if not goes_on:
            yield n if n >= SHORTEST else 0
            n = 0
        last[call.fragment] = call, n + 1
    yield from (n for _, n in last.values() if n >= SHORTEST)


def run_in_order(targets: Sequence[Node], drafts: Sequence[Draft], calls: Sequence[Any], engine: Any) -> bool:
    """See the module."""
    with LOCK:
        for d in drafts:
            commit(d, None)
    run = _Run(targets, calls, engine)
    if not all(map(run.step, calls)):
        return False
    return all(unaliased(n).data is not None for n in targets)


class _Run:
    """What is known while calls run. `uses`: how many operands of these calls a node is, and of how many of them that
    have not run; `totals`: sums in the making, by the id of their call; `added`: the terms that are in them."""

    def __init__(self, targets: Sequence[Node], calls: Sequence[Any], engine: Any) -> None:
        self.engine, self.targets = engine, set(map(id, targets))
        self.sum_of = {id(term): c for c in calls if type(c) is SumCall for term in c.inputs}
        self.uses = Counter(id(i) for c in calls for i in c.inputs)
        self.left = self.uses.copy()
        #: By the id of a sum, the fragments of which several terms are.
        self.many = {id(c): added_up(c) for c in calls if type(c) is SumCall}
        self.totals: dict[int, Array] = {}
        self.added: set[int] = set()
        #: Calls, by the id of the one that was derived from each and runs with it.
        self.first_of = _pairs(calls)
        self.later = set(map(id, self.first_of.values()))

    def step(self, call: Any) -> bool:
        """Runs a call; whether it could be."""
        if id(call) in self.later:
            return True
        if id(call) in self.first_of:
            ran = self._run_pair(self.first_of[id(call)], call)
        elif type(call) is SumCall:
            ran = self._sum_up(call)
        elif type(call) is RepeatCall:
            ran = run_repeated(call, self.engine, value_of)
        else:  # if it does not wait, another thread has run it
            ran = call.nodes is None or run_waiting(call, self.engine, value_of, self._totals_of)
        if not ran:
            return False
        with LOCK:
            for node in call.inputs:
                self.left[id(node)] -= 1
                if not self.left[id(node)] and getrefcount(node) == _ALONE + self.uses[id(node)]:
                    self._let_go(node)
        return True

    def _run_pair(self, first: FragmentCall, second: FragmentCall) -> bool:
        nodes = [node for _, reference in second.nodes or () if (node := reference()) is not None]
        return bool(nodes) and run_pair(nodes[0], first, second, self.engine, value_of) is not None

    def _let_go(self, node: Node) -> None:
        """Lets go of what only these calls have read."""
        if id(node) not in self.targets:
            let_go(node)

    def _totals_of(self, nodes: Sequence[Node]) -> dict[int, Array]:
        """The sums in the making that results of a call go into and nowhere else, by slot, where the general path, too,
        adds several of their kind where they are made."""
        found: dict[int, Array] = {}
        for k in range(len(nodes)):
            call = self.sum_of.get(id(nodes[k]))
            if call is None or nodes[k].call.origin is None or nodes[k].call.fragment not in self.many[id(call)]:
                continue
            alone = getrefcount(nodes[k]) == _ALONE + self.uses[id(nodes[k])] == _ALONE + 1
            once = [node.slot for node in nodes].count(nodes[k].slot) == 1  # another one of the slot needs the value
            if alone and once and id(nodes[k]) not in self.targets:
                found[nodes[k].slot] = self._total(call)
                self.added.add(id(nodes[k]))
        return found

    def _total(self, call: SumCall) -> Array:
        total = self.totals.get(id(call))
        if total is None:
            t = call.inputs[0].type
            total = self.totals[id(call)] = zeros(t.shape, t.dtype)
        return total

    def _sum_up(self, call: SumCall) -> bool:
        """The sum of a total in the making and all other terms; False where another thread has let one of them go."""
        total = self.totals.pop(id(call), None)
        for term in call.inputs:
            if id(term) not in self.added:
                a = value_of(term)
                if a is None:
                    return False
                total = copy(a) if total is None else np.add(total, a, out=total)
        assert total is not None
        with LOCK:
            set_sum(call, total)
        self.engine.counters.operations += len(call.inputs) - 1
        return True


def _pairs(calls: Sequence[Any]) -> dict[int, FragmentCall]:
    """Calls that only the one that was derived from each reads, by the id of that: the two run as one."""
    waiting = set(map(id, calls))
    found: dict[int, Any] = {}
    for call in calls:
        if type(call) is FragmentCall and call.origin is not None and call.nodes:
            first = waits_with(call)
            if first is not None and id(first) in waiting and first.active:
                found[id(first)] = first, call
    for call in calls if found else ():
        for maker in {id(i.call) for i in call.inputs if i.data is None}:
            if maker in found and found[maker][1] is not call:
                del found[maker]
    return {id(second): first for first, second in found.values()}


def _references_of_a_local() -> int:
    """What `getrefcount` says of an object that only a local variable refers to."""
    local = object()
    return getrefcount(local)


#: So it says where one thing alone, a local variable or a list, refers to an object.
_ALONE = _references_of_a_local()
