"""The calls that seals leave behind: what a sealed node is a value of.

In: a fragment or what else says how values come about, and the nodes it is applied to. Out: a call; nothing is computed
here. Loops, slices and parts of the graph that are recorded whole have calls of their own (`nbgraph.loops`,
`nbgraph.picks`, `nbgraph.parts`).
Holds: a call refers to nodes older than itself; the nodes that are its values refer to it, and it lists them weakly
while it has not run.
"""

from __future__ import annotations

import itertools
import weakref
from collections.abc import Mapping, Sequence
from operator import attrgetter
from typing import Any

from nbgraph.errors import ConcretizationError
from nbgraph.fragment import Fragment
from nbgraph.node import Node, _next_seq, reserved
from nbgraph.types import Shape

_active = attrgetter("active")


#: Slots (a tuple that calls of a fragment share) and their values.
Saved = tuple[tuple[int, ...], tuple[Any, ...]]


class FragmentCall:
    """One operation in the graph of calls: a fragment applied to nodes.

    `active` says whether a differentiable leaf can be reached, so that history is kept. `nodes` lists weakly which
    node stands for which slot while the call has not run; `saved` holds results that must not be computed twice
    (`Op.unique`); `origin` says what a derived call was derived from; `sites` are the user's lines of operations that
    may fail; `after` counts the calls of the same trace before it that had not run (`nbgraph.loops`).
    """

    __slots__ = (
        "__weakref__",
        "active",
        "after",
        "fragment",
        "inputs",
        "kind",
        "nodes",
        "origin",
        "saved",
        "seq",
        "sites",
        "words",
    )

    def __init__(self, fragment: Fragment, inputs: tuple[Node, ...], words: Shape, sites: Any = None) -> None:
        self.fragment, self.inputs, self.words, self.sites = fragment, inputs, words, sites
        self.active = True in map(_active, inputs)
        self.seq = _next_seq()
        self.nodes: list[tuple[int, weakref.ref[Node]]] | None = None
        self.saved: Saved | None = None
        self.origin: Any = None  # of a derived call: (call, plan), the call None if it was only a piece
        self.kind = self.after = 0  # see `nbgraph.roll`, `nbgraph.loops`

    def kept(self, slot: int) -> Any:
        """The value of a slot if it is among the saved ones."""
        if self.saved is None or slot not in self.saved[0]:
            return None
        return self.saved[1][self.saved[0].index(slot)]


#: Of a call that lives on, by values that nobody knew of or by others derived from it: the round in its place, and
#: which slots its own are there.
TAKEN: weakref.WeakKeyDictionary[FragmentCall, tuple[FragmentCall, tuple[int, ...]]] = weakref.WeakKeyDictionary()


#: In a fragment's cache: how many calls of it were run by an eval together with operations on top of them.
TOPPED = "topped"
#: After so many of these, calls of a short one are recorded as its operations.
OFTEN = 16


def call_that_ran(
    fragment: Fragment, inputs: tuple[Node, ...], words: Shape, active: bool, saved: Saved | None, sites: Any, kind: int
) -> FragmentCall:
    """A call whose values are known (the hot path)."""
    made = object.__new__(FragmentCall)
    made.fragment, made.inputs, made.words, made.sites = fragment, inputs, words, sites
    made.active, made.seq, made.nodes, made.saved, made.origin = active, _next_seq(), None, saved, None
    made.kind, made.after = kind, 0
    return made


class SumCall:
    """A sum of any number of nodes of one type: how cotangents of a value with many uses meet.

    It is not a fragment, so that its length is no part of any structure.
    """

    __slots__ = ("inputs", "nodes", "seq")

    def __init__(self, inputs: tuple[Node, ...]) -> None:
        self.inputs = inputs
        self.nodes: tuple[weakref.ref[Node], ...] = ()
        self.seq = _next_seq()


class JoinCall:
    """Any number of nodes one after another along an axis, or along a new one.

    It is not a fragment, so that its length is no part of any structure: how a list that grows from step to step is
    stacked. `nbgraph.joins` says when, and what it is as operations.
    """

    __slots__ = ("active", "axis", "inputs", "new_axis", "nodes", "seq")

    def __init__(self, inputs: tuple[Node, ...], axis: int, new_axis: bool) -> None:
        self.inputs, self.axis, self.new_axis = inputs, axis, new_axis
        self.active = True in map(_active, inputs)
        self.nodes: tuple[weakref.ref[Node], ...] = ()
        self.seq = _next_seq()


class SplitCall:
    """The parts of a node along an axis, or its elements there: the cotangents of what a `JoinCall` joined.

    Part k is from `starts[k]` to `starts[k + 1]`. `nodes` lists weakly which node stands for which part.
    """

    __slots__ = ("active", "axis", "inputs", "new_axis", "nodes", "seq", "starts")

    def __init__(self, node: Node, axis: int, new_axis: bool, starts: Sequence[int]) -> None:
        self.inputs, self.axis, self.new_axis, self.starts = (node,), axis, new_axis, starts
        self.active = node.active
        self.nodes: list[tuple[int, weakref.ref[Node]]] = []
        self.seq = _next_seq()


class RepeatCall:
    """The backward pass through many calls of one loop, as one call: a derived fragment applied once for each of them.

    `calls` are those calls, newest first: the `rest` of the `run` that was found (`nbgraph.repeats.Run`). `plan` says
    where an input of the fragment comes from: inputs and saved values from each call in turn, cotangents from the step
    before: that of slot s is the step's result `links[s]`; the first ones are the first of `inputs`, in the order of
    `links`.
    Other cotangents come from outside, one for each step, or one for all: `each`, by slot; of a slot that is linked too
    they are added. Results that `sums` lists are added up over all steps; of those that `apart` lists every step has
    its own (slot and step are their place); the others are those of the last step. `nodes` lists weakly which node
    stands for which result. `numbers` are creation numbers set aside for what it stands for, see `repeats.unroll`.
    """

    __slots__ = (
        "active",
        "apart",
        "each",
        "inputs",
        "links",
        "nodes",
        "numbers",
        "plan",
        "rest",
        "run",
        "seq",
        "sums",
    )

    def __init__(
        self,
        run: Any,
        rest: Any,
        plan: Any,
        links: dict[int, int],
        given: Sequence[Node],
        each: Mapping[int, Sequence[Node]],
        sums: Sequence[int],
        apart: Sequence[int],
    ) -> None:
        self.run, self.rest, self.plan, self.links = run, rest, plan, links
        self.sums, self.apart = tuple(sums), tuple(apart)
        self.each = dict(each)
        self.inputs = (*given, *itertools.chain.from_iterable(each.values()), *rest.newest)
        self.active = True
        self.numbers = reserved(rest.steps + len(self.sums) + 1)
        self.seq = self.numbers[-1]
        self.nodes: list[tuple[Any, weakref.ref[Node]]] = []

    @property
    def fragment(self) -> Fragment:
        """The fragment of a step."""
        made: Fragment = self.plan.fragment
        return made

    @property
    def calls(self) -> list[FragmentCall]:
        """The calls that are pulled back, newest first."""
        made: list[FragmentCall] = self.rest.calls
        return made


class AliasCall:
    """The same value as another node under a new identity, so that one can differentiate with respect to it.

    With a `part` (`nbgraph.parts.Part`) it is a result of a checkpointed part, and depends on what that depends on.
    """

    __slots__ = ("__weakref__", "inputs", "part", "seq")

    def __init__(self, node: Node, part: Any = None) -> None:
        self.inputs = (node,)
        self.part = part
        self.seq = _next_seq()


class Placeholder:
    """An input whose value comes with each eval."""

    __slots__ = ("inputs", "name", "seq")

    def __init__(self, name: str) -> None:
        self.name = name
        self.inputs: tuple[Node, ...] = ()
        self.seq = _next_seq()


class Formal:
    """An argument of a function that `nbg.jit` traces: it has no value. `weak`: it stands for a Python number."""

    __slots__ = ("function", "inputs", "seq", "weak")

    def __init__(self, function: str, weak: bool) -> None:
        self.function, self.weak = function, weak
        self.inputs: tuple[Node, ...] = ()
        self.seq = _next_seq()

    def asked(self) -> ConcretizationError:
        """The error for asking what depends on it for a value."""
        return ConcretizationError(
            "a value was asked for while the function is traced, when there is none yet",
            operation=f"jit of {self.function}",
            hint="write nbg.where(test, a, b) for an if, or take the test (and float, bool, eval, while) out of the "
            "function; a number that decides the structure belongs in static_argnums",
        )


class Dropped:
    """Stands where history was dropped: the value is known, how it came about is not."""

    __slots__ = ("inputs", "seq", "site")

    def __init__(self, site: Any, seq: int) -> None:
        self.site, self.seq = site, seq
        self.inputs: tuple[Node, ...] = ()
