"""Checkpointed parts of the graph: what they are made of is forgotten, and made again when it is needed.

In: a function that makes the part's results from nodes. Out: a `Part`, which stands between its inputs and its results
where they are differentiated; and `ReplayCall`, its backward pass: it runs the part again when it runs.
Holds: what a part or a replay stands for can be put in its place in the graph later (for a second derivative, a
pickle), by `expand`; creation numbers are then fractions just below the one of what it replaces.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from nbgraph import joins, picks
from nbgraph.calls import AliasCall, JoinCall, RepeatCall, SplitCall
from nbgraph.decided import ALIVE, names_of, undecided
from nbgraph.errors import DifferentiationError
from nbgraph.leaves import leaf
from nbgraph.loops import LoopCall, dissolve
from nbgraph.node import LOCK, Node, _next_seq
from nbgraph.op import REGISTRY
from nbgraph.picks import PickCall, PlaceCall
from nbgraph.repeats import unroll
from nbgraph.seal import commit, draft
from nbgraph.trace import alias_of, new_node, record

Array = np.ndarray[Any, Any]
#: From nodes in place of a part's arguments (and an engine, if it is to run): the nodes of its results, and what else
#: they depend on.
Again = Callable[[Sequence[Node], Any], tuple[list[Node], list[Node]]]
Evaluate = Callable[[Sequence[Node], Any], list[Array]]
#: From (output, cotangent) pairs, those of other nodes; the third are nodes beyond which it does not go.
Vjp = Callable[[Sequence[tuple[Node, Node]], Sequence[Node], Sequence[Node]], list[Node | None]]


class Part:
    """A function of nodes that was run, of which only inputs and results are kept.

    `inputs` are its `n` arguments, then the differentiable tensors that it read from elsewhere; `aliases` lists weakly
    which call stands for which result.
    """

    __slots__ = ("active", "again", "aliases", "inputs", "n", "seq")

    def __init__(self, again: Again, args: Sequence[Node], captured: Sequence[Node]) -> None:
        self.again, self.inputs, self.n = again, (*args, *captured), len(args)
        self.active = any(i.active for i in self.inputs)
        self.seq = _next_seq()
        self.aliases: list[tuple[int, weakref.ref[AliasCall]]] = []

    def result(self, made: Node) -> Node:
        """A node for one of the results."""
        node = new_node(made.type, self.active and made.type.inexact)
        node.call, node.slot = AliasCall(made, self), len(self.aliases)
        self.aliases.append((node.slot, weakref.ref(node.call)))
        return node

    def key(self, slot: int) -> int:
        """What a result goes by in the graph: the id of its call."""
        return id(self.aliases[slot][1]())

    def run_again(self, args: Sequence[Node], engine: Any = None) -> list[Node]:
        """The results once more, from other nodes."""
        made, captured = self.again(args, engine)
        known = set(map(id, self.inputs))
        if not all(id(c) in known for c in captured):
            raise _changed("it read other tensors")
        return made

    def expand(self, vjp: Vjp) -> None:
        """Puts what the part is made of in its place in the graph."""
        start = _next_seq()
        made = self.run_again(self.inputs[: self.n])
        _renumber(made, start, self.seq, vjp)
        for slot, reference in self.aliases:
            alias = reference()
            if alias is not None and alias.part is self:  # else an earlier attempt, interrupted, came so far
                alias.inputs, alias.part = (made[slot],), None

    def pull_back(self, cts: Mapping[int, Node], mask: Sequence[int]) -> dict[int, Node]:
        """Nodes for the cotangents of the inputs `mask`, from those of results."""
        return ReplayCall(self, cts, mask).results() if mask else {}

    def first(self) -> dict[int, Node]:
        """The results of the first time, by slot, as far as somebody has them."""
        found = {slot: reference() for slot, reference in self.aliases}
        return {slot: a.inputs[0] for slot, a in found.items() if a is not None and a.part is self}


class ReplayCall:
    """The backward pass of a part: runs the part again, differentiates that, and forgets it.

    `inputs` are cotangents of the results `slots`, then the part's inputs; result k is the cotangent of the part's
    input k, for the k in `mask`. `nodes` lists weakly which node stands for which result.
    """

    __slots__ = ("active", "inputs", "mask", "nodes", "part", "seq", "slots")

    def __init__(self, part: Part, cts: Mapping[int, Node], mask: Sequence[int]) -> None:
        self.part, self.slots, self.mask = part, tuple(cts), tuple(mask)
        self.inputs = (*cts.values(), *part.inputs)
        self.active = any(i.active for i in self.inputs)
        self.seq = _next_seq()
        self.nodes: list[tuple[int, weakref.ref[Node]]] = []

    def results(self) -> dict[int, Node]:
        """A node for each result."""
        found = {}
        for k in self.mask:
            node = found[k] = new_node(self.part.inputs[k].type, self.active)
            node.call, node.slot = self, k
            self.nodes.append((k, weakref.ref(node)))
        return found

    def run(
        self, arrays: Sequence[Array], engine: Any, evaluate: Evaluate, evaluate_first: Evaluate, vjp: Vjp
    ) -> dict[int, Array]:
        """The values of the results, from those of the inputs. `evaluate` gives values of the part as it runs again,
        `evaluate_first` those of its results as they were recorded."""
        part, n_cts = self.part, len(self.slots)
        args = [leaf(a, True) for a in arrays[n_cts : n_cts + part.n]]
        made = part.run_again(args, engine)
        first = part.first()
        unknown = [n for n in first.values() if n.data is None]
        before = dict(zip(map(id, unknown), evaluate_first(unknown, engine) if unknown else (), strict=True))
        for n, now in zip(first.values(), evaluate([made[s] for s in first], engine), strict=True):
            if not _is_same(before[id(n)] if n.data is None else n.data, now):
                raise _changed("it gave another result")
        by = [args[k] if k < part.n else part.inputs[k] for k in self.mask]
        cts = [leaf(a, False) for a in arrays[:n_cts]]
        found = vjp([(made[s], ct) for s, ct in zip(self.slots, cts, strict=True)], by, part.inputs[part.n :])
        values = iter(evaluate([g for g in found if g is not None], engine))
        return {
            k: np.zeros_like(arrays[n_cts + k]) if g is None else next(values)
            for k, g in zip(self.mask, found, strict=True)
        }

    def expand(self, vjp: Vjp) -> None:
        """Puts the part and its derivative, as nodes that have not run, in the place of this call in the graph."""
        part, n_cts = self.part, len(self.slots)
        start = _next_seq()
        args = [alias_of(i) for i in part.inputs[: part.n]]
        made = part.run_again(args)
        ends = [*args, *part.inputs[part.n :]]  # one may depend on another: the derivatives here are partial ones
        pulled = vjp(
            [(made[s], ct) for s, ct in zip(self.slots, self.inputs[:n_cts], strict=True)],
            [ends[k] for k in self.mask],
            ends,
        )
        found = [_zeros_like(ends[k]) if g is None else g for k, g in zip(self.mask, pulled, strict=True)]
        with LOCK:  # what stands below an alias is sealed
            for d in draft(found):
                commit(d, None)
        _renumber(found, start, self.seq, vjp)
        of = dict(zip(self.mask, found, strict=True))
        for k, reference in self.nodes:
            node = reference()
            if node is not None and node.call is self:  # else an earlier attempt, interrupted, came so far
                alias = AliasCall(of[k])
                alias.seq = self.seq
                node.call, node.slot = alias, 0


def _zeros_like(node: Node) -> Node:
    t = node.type
    if t.concrete:
        return leaf(np.zeros(t.shape, t.dtype), False)
    zero = leaf(np.zeros((), t.dtype), False)
    op, sizes = REGISTRY["broadcast_to"].bind([zero.type], shape=t.shape)
    made: Node = record(op, (zero,), sizes)
    return made


def plain_call(node: Node, vjp: Vjp, parts: bool = False) -> Any:
    """The call that a node is of, after taking apart what stands for many calls; with `parts`, a part, a
    join, slices and what they are put together to, and a loop, as such."""
    if type(node.call) is JoinCall and not parts:
        joins.expand(node)
    elif type(node.call) is SplitCall:
        joins.expand_split(node.call)
    elif type(node.call) is PickCall and not parts:
        picks.expand_pick(node)
    elif type(node.call) is PlaceCall and not parts:
        picks.expand_place(node)
    elif type(node.call) is RepeatCall:
        unroll(node.call)
    elif type(node.call) is LoopCall and not (parts and node.call.calls is None):
        dissolve(node.call)
    elif type(node.call) is ReplayCall:
        node.call.expand(vjp)
    call = node.call
    if type(call) is AliasCall and call.part is not None:
        if parts:
            return call.part
        call.part.expand(vjp)
    return call


def _renumber(nodes: Sequence[Node], start: int, end: int, vjp: Vjp) -> None:
    """Gives everything younger than `start` that nodes are made of, taken apart, numbers just below `end`, in order."""
    found: dict[int, Any] = {}
    stack: list[Any] = list(nodes)
    while stack:
        thing = stack.pop()
        if thing is None or thing.seq <= start or id(thing) in found:
            continue
        found[id(thing)] = thing
        if isinstance(thing, Node) and thing.op is None:
            stack.append(plain_call(thing, vjp))
        stack.extend(thing.inputs)
        stack.extend(_deciding(thing))
    taken = sorted({thing.seq for thing in found.values()})
    number = {seq: end - 1 + k / (len(taken) + 1) for k, seq in enumerate(taken, 1)}
    for thing in found.values():
        thing.seq = number[thing.seq]


def _deciding(thing: Any) -> list[Node]:
    """The nodes of sizes that a node or call has and that have no value yet."""
    if not ALIVE:
        return []
    sizes = (*thing.sizes, *thing.type.shape) if isinstance(thing, Node) else getattr(thing, "words", ())
    return undecided(names_of(sizes))


def _is_same(a: Array, b: Array) -> bool:
    """Whether values are equal up to rounding."""
    if np.array_equal(a, b):
        return True
    if a.shape != b.shape or a.dtype.kind not in "fc":
        return False
    with np.errstate(all="ignore"):
        tolerance = np.sqrt(np.finfo(a.dtype).eps) * np.max(np.abs(np.where(np.isfinite(a), a, 0)))
        return np.allclose(a, b, rtol=0.0, atol=tolerance, equal_nan=True)


def _changed(what: str) -> DifferentiationError:
    return DifferentiationError(
        f"a checkpointed function was run again for its derivative, and {what} than before",
        operation="checkpoint",
        hint="it has to be a function of its arguments alone: no random numbers, no attributes or arrays that change; "
        "evaluate the gradient before changing them",
    )
