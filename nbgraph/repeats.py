"""Runs: many calls of one loop, pulled back as one `RepeatCall`.

In: a call on the way from outputs to what is differentiated by. Out: the run of calls that ends with it (same fragment,
same sizes; every operand the same throughout, or a result of the call before, or one of its own that depends on none of
them), and the one call that is its backward pass. Results of every call may also go elsewhere, into a loss that is
added up, say.
Holds: a run stands for its calls one by one; whoever needs them (a second derivative, a pickle) gets them by `unroll`.
"""

from __future__ import annotations

import weakref
from collections import Counter
from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from operator import attrgetter
from typing import Any, NamedTuple

from nbgraph.calls import FragmentCall, RepeatCall, SumCall
from nbgraph.fragment import Fragment, size_at
from nbgraph.loops import TOTAL, LoopCall, dissolve
from nbgraph.node import Node
from nbgraph.plans import Plan
from nbgraph.resolve import saved_slots
from nbgraph.stretch import EACH, Columns, admitted_by, pattern_of, stretch_from
from nbgraph.trace import new_node
from nbgraph.types import Shape, Size, TensorType, type_of_array

_call, _slot, _seq, _active = (attrgetter(name) for name in ("call", "slot", "seq", "active"))
_origin, _saved = attrgetter("origin"), attrgetter("saved")
#: Shorter runs are pulled back call by call.
SHORTEST = 8


class Run(NamedTuple):
    """Calls of a loop, newest first. `pattern`: for each operand SAME, EACH, or the slot of the call before; `used`:
    the slots of the newest call that somebody uses; `beside`: those of every other call that others than the next use.
    """

    calls: list[FragmentCall]
    pattern: tuple[int, ...]
    used: set[int]
    beside: set[int]
    #: The slots of which there is a sum over all calls.
    totals: frozenset[int] = frozenset()

    @property
    def steps(self) -> int:
        return len(self.calls)

    @property
    def fragment(self) -> Fragment:
        return self.calls[0].fragment

    @property
    def types(self) -> list[TensorType]:
        """The types of a call's operands."""
        return [i.type for i in self.calls[0].inputs]

    @property
    def newest(self) -> tuple[Node, ...]:
        """The operands of the newest call."""
        return self.calls[0].inputs

    @property
    def oldest(self) -> tuple[Node, ...]:
        return self.calls[-1].inputs

    @property
    def each(self) -> list[Node]:
        """The differentiable operands that every call but the oldest has of its own."""
        positions = [p for p, kind in enumerate(self.pattern) if kind == EACH]
        if not positions:
            return []
        return [c.inputs[p] for c in self.calls[:-1] for p in positions if c.inputs[p].active]

    @property
    def carried(self) -> list[int]:
        """The slots that go from call to call."""
        return [slot for slot in self.pattern if slot >= 0]

    def column(self, p: int) -> list[Node]:
        """Operand p of every call."""
        return [c.inputs[p] for c in self.calls]

    def key(self, slot: int, k: int = 0) -> Any:
        """What a value of call k is known by."""
        return id(self.calls[k]), slot

    def keys(self, slot: int, first: int = 0) -> list[Any]:
        """The same of every call from `first` on."""
        return [(id(c), slot) for c in self.calls[first:]]

    @property
    def words(self) -> list[Any]:
        """The words of each call, where they differ."""
        words = [c.words for c in self.calls]
        return words if any(w != words[0] for w in words) else []

    @property
    def newest_words(self) -> Shape:
        return self.calls[0].words

    @property
    def waits(self) -> bool:
        """Whether the calls have not run."""
        return bool(self.calls[0].nodes or self.calls[-1].nodes)

    @property
    def ran(self) -> tuple[Any, int]:
        """What ran all of the calls, and which of its calls is the newest, where that is known."""
        return None, 0

    def call(self, k: int) -> Any:
        """What a failure of call k is named by."""
        return self.calls[k]

    def without(self, k: int) -> Run:
        """The run without its k newest calls."""
        return self._replace(calls=self.calls[k:]) if k else self


class LoopRun(NamedTuple):
    """The rows of a loop up to number `steps`, as a `Run`."""

    loop: LoopCall
    steps: int
    used: set[int]
    beside: set[int]
    totals: frozenset[int]

    @property
    def pattern(self) -> tuple[int, ...]:
        return self.loop.pattern

    @property
    def fragment(self) -> Fragment:
        return self.loop.fragment

    @property
    def calls(self) -> list[FragmentCall]:
        """The rows as calls, newest first: the loop is dissolved."""
        return dissolve(self.loop)[: self.steps][::-1]

    @property
    def types(self) -> list[TensorType]:
        return [i.type for i in self.loop.first]

    @property
    def newest(self) -> tuple[Node, ...]:
        k, carried = self.steps - 1, self.loop.carried if self.steps > 1 else ()
        return self.loop.operands(k, {slot: self.loop.value(slot, k - 1) for slot in carried})

    @property
    def oldest(self) -> tuple[Node, ...]:
        return self.loop.first

    @property
    def each(self) -> list[Node]:
        columns = self.loop.columns.values()
        return [node for column in columns if column[0].active for node in column[1 : self.steps]]

    @property
    def carried(self) -> list[int]:
        return [slot for slot in self.loop.pattern if slot >= 0]

    def column(self, p: int) -> list[Node]:
        """Operand p of every row; while the loop is one, only of what rows have of their own or have in common."""
        if self.loop.calls is not None:
            return [c.inputs[p] for c in self.calls]
        columns = self.loop.columns
        return columns[p][: self.steps][::-1] if p in columns else [self.loop.first[p]] * self.steps

    def key(self, slot: int, k: int = 0) -> Any:
        return id(self.loop), (slot, self.steps - 1 - k)

    def keys(self, slot: int, first: int = 0) -> list[Any]:
        place = id(self.loop)
        return [(place, (slot, k)) for k in range(self.steps - 1 - first, -1, -1)]

    def total_key(self, slot: int) -> Any:
        """What the sum of a result over all rows is known by."""
        return id(self.loop), (slot, TOTAL)

    @property
    def words(self) -> list[Any]:
        return []

    @property
    def newest_words(self) -> Shape:
        return self.loop.words

    @property
    def waits(self) -> bool:
        return self.loop.ran is None

    @property
    def ran(self) -> tuple[Any, int]:
        return self.loop.ran, self.steps - 1

    def call(self, k: int) -> Any:
        return self.loop

    def without(self, k: int) -> LoopRun:
        return self._replace(steps=self.steps - k)


def run_from(call: Any, used: set[int], admitted: Callable[[Sequence[FragmentCall]], int]) -> Run | None:
    """The run that ends with a call; None if it would be too short to pay. `admitted` says how many of the first of
    older calls may be in it; the run's `beside` is empty yet."""
    if type(call) is not FragmentCall:
        return None
    slots = saved_slots(call.fragment)
    before = _before(call) if _is_whole(call, slots) else None
    if before is None or before.fragment is not call.fragment or not all(i.type.concrete for i in call.inputs):
        return None
    pattern = pattern_of(call, before, _makers)
    calls = stretch_from(
        call,
        pattern,
        _call,
        _makers,
        lambda calls: admitted(calls[: _whole(calls, slots)]),
        lambda calls, columns: _apart(calls, columns, pattern),
    )
    if not _begins_together(calls[-1], pattern):
        calls = calls[:-1]
    return Run(calls, pattern, used, set()) if len(calls) >= SHORTEST else None


def _begins_together(oldest: FragmentCall, pattern: Sequence[int]) -> bool:
    """Whether operands that are the same result of the call before are also the same in the oldest call."""
    of: dict[int, tuple[Any, int]] = {}
    for node, slot in zip(oldest.inputs, pattern, strict=True):
        place = (id(node if node.call is None else node.call), node.slot)
        if slot >= 0 and of.setdefault(slot, place) != place:
            return False
    return True


def _makers(nodes: Sequence[Node]) -> tuple[list[Any], list[int]]:
    return list(map(_call, nodes)), list(map(_slot, nodes))


def _is_whole(call: FragmentCall, slots: tuple[int, ...]) -> bool:
    """Whether what a derivative of the call needs (values of `slots`) is there, or will be once it runs."""
    if call.origin is not None:
        return False
    return not slots or (call.nodes is not None if call.saved is None else call.saved[0] == slots)


def _whole(calls: Sequence[FragmentCall], slots: tuple[int, ...]) -> int:
    """How many of the first of some calls are whole."""
    saved = list(map(_saved, calls)) if slots else []
    if not any(map(_origin, calls)) and None not in saved and [kept for kept, _ in saved] == [slots] * len(saved):
        return len(calls)
    return admitted_by(lambda call: _is_whole(call, slots))(calls)


def _before(call: FragmentCall) -> FragmentCall | None:
    """The call that a run goes on with: the youngest of the same fragment that made an operand."""
    found: FragmentCall | None = None
    for i in call.inputs:
        made = i.call
        if type(made) is FragmentCall and made.fragment is call.fragment and (found is None or made.seq > found.seq):
            found = made
    return found


def _apart(calls: Sequence[FragmentCall], columns: Columns, pattern: Sequence[int]) -> int:
    """How many of the calls are younger than all that differentiable operands of a call's own are made from; what makes
    such an operand itself may be as young as it likes."""
    own = [c for c, kind in zip(columns, pattern, strict=True) if kind == EACH and any(map(_active, c))]
    made_by = [list(map(_call, c)) for c in own]
    if all(c is None or c.seq < calls[-1].seq for column in made_by for c in column):  # the common case
        return len(calls)
    youngest, inside = -1, set(map(id, calls)) if own else ()
    for k in range(1, len(calls) if own else 0):
        youngest = max(youngest, *[_youngest_below(column[k - 1], inside) for column in own])
        if youngest >= calls[k].seq:
            return k
    return len(calls)


def _youngest_below(node: Node, inside: Container[int]) -> int:
    """The creation number of the youngest call that an operand is made from (-1: none): below the one that makes it,
    unless that is `inside`."""
    if not node.active or node.call is None:
        return -1
    if id(node.call) in inside:
        number: int = node.call.seq
        return number
    made = node.call.inputs if type(node.call) is FragmentCall and node.call.origin is None else (node,)
    return max((i.call.seq for i in made if i.call is not None), default=-1)


def repeat(
    run: Any,
    rest: Any,
    plan: Plan,
    links: dict[int, int],
    given: Mapping[int, Node],
    each: Mapping[int, Sequence[Node]],
    sums: Iterable[int],
    apart: Iterable[int],
) -> RepeatCall:
    """The backward pass of the `rest` of a run as one call; `given` are the cotangents of its newest, by slot; `each`
    those that every call has of its own, or the one that all of them have, besides what comes from the call after it.
    """
    return RepeatCall(run, rest, plan, links, [given[s] for s in links], each, tuple(sums), tuple(apart))


def result(call: RepeatCall, slot: Any, t: TensorType) -> Node:
    """A node for a result of a repeat; `slot` is (slot, step) where each step has one of its own."""
    node = new_node(t, True)
    node.call, node.slot = call, slot
    call.nodes.append((slot, weakref.ref(node)))
    return node


def unroll(call: RepeatCall) -> None:
    """Puts the steps of a repeat, as calls of their own, in its place in the graph."""
    numbers = iter(call.numbers)
    cts = dict(zip(call.links, call.inputs, strict=False))
    parts: dict[int, list[Node]] = {slot: [] for slot in call.sums}
    steps: list[Any] = []
    for k, original in enumerate(call.calls):
        step = _step(call, original, cts, {s: nodes[k % len(nodes)] for s, nodes in call.each.items()})
        step.seq = next(numbers)
        steps.append(step)
        cts = {s: _value(step, slot, cts[s].type) for s, slot in call.links.items()}
        for slot, made in parts.items():
            made.append(_value(step, slot, _type_of_sum(call, slot)))
    totals = {}
    for slot, made in parts.items():
        totals[slot] = SumCall(tuple(made))
        totals[slot].seq = next(numbers)
    for slot, reference in call.nodes:
        node = reference()
        if node is not None and node.call is call:  # else an earlier attempt, interrupted, came so far
            made_by, of = (steps[slot[1]], slot[0]) if type(slot) is tuple else (totals.get(slot, steps[-1]), slot)
            _stand_for(node, made_by, of)


def _step(call: RepeatCall, original: FragmentCall, cts: Mapping[int, Node], each: Mapping[int, Node]) -> FragmentCall:
    """One step as a derived call."""
    inputs = []
    for kind, which in call.plan.sources:
        if kind == "input":
            inputs.append(original.inputs[which])
        elif kind == "saved":
            inputs.append(slot_node(original, which))
        else:
            inputs.append(cts[which] if kind == "cotangent" and which in cts else each[which])
    types = tuple([i.type for i in original.inputs])
    words = call.plan.words_at(original.fragment, types, original.words)
    made = FragmentCall(call.fragment, tuple(inputs), words, None)
    made.origin, made.nodes = (original, call.plan), []
    return made


def added_up(call: SumCall) -> set[Fragment]:
    """The fragments that several terms of a sum come from, steps of one kind: their programs add them up where they are
    made, and are those of a loop of any length."""
    times = Counter([n.call.fragment for n in call.inputs if n.data is None and type(n.call) is FragmentCall])
    return {f for f, n in times.items() if n > 1}


def call_environment(call: FragmentCall) -> Mapping[Any, Size]:
    """What the size symbols of a call's fragment stand for."""
    return call.fragment.environment([i.type for i in call.inputs], call.words)


def type_at(f: Fragment, slot: int, env: Mapping[Any, Size]) -> TensorType:
    """The type of a slot where sizes are as `env` says."""
    t = f.types[slot]
    return t if t.concrete else t.with_shape(tuple(size_at(d, env) for d in t.shape))


def _type_of(call: FragmentCall, slot: int) -> TensorType:
    """The type of a slot of a call, remembered for calls at the same sizes."""
    known = call.fragment.cache.setdefault("types", {})
    key = (slot, call.words, *(i.type for i in call.inputs))
    t: TensorType | None = known.get(key)
    if t is None:
        if len(known) > 4096:
            known.clear()
        t = known[key] = type_at(call.fragment, slot, call_environment(call))
    return t


def slot_node(call: FragmentCall, slot: int) -> Node:
    """A node for a value of a call, with its data if the call has kept it."""
    if slot < len(call.fragment.inputs):
        return call.inputs[slot]
    data = call.kept(slot)
    t = _type_of(call, slot) if data is None else type_of_array(data)
    node = new_node(t, t.inexact and call.active)
    node.call, node.slot, node.data = call, slot, data
    node.seq = call.seq
    if data is None:
        call.nodes = [*(call.nodes or ()), (slot, weakref.ref(node))]
    return node


def _value(step: FragmentCall, slot: int, t: TensorType) -> Node:
    node = new_node(t, step.active)
    node.call, node.slot, node.seq = step, slot, step.seq
    assert step.nodes is not None
    step.nodes.append((slot, weakref.ref(node)))
    return node


def _type_of_sum(call: RepeatCall, slot: int) -> TensorType:
    position = next(p for p, made in call.plan.results.items() if made == slot)
    t: TensorType = call.rest.newest[position].type
    return t


def _stand_for(node: Node, call: Any, slot: int) -> None:
    """Lets a node of the repeat stand for the same value of an unrolled call."""
    reference = weakref.ref(node)
    if type(call) is SumCall:
        call.nodes, slot = (*call.nodes, reference), 0
    elif node.data is None:
        call.nodes.append((slot, reference))
    node.call, node.slot = call, slot
