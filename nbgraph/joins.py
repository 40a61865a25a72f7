"""Lists that grow, stacked: joins whose length is no part of any structure.

In: nodes of one rank and dtype, an axis. Out: a node of a `JoinCall`; its derivatives; what it is as a fragment call.
Holds: a list that is longer each time it is joined at a place of the user's program (Lanczos, Gram-Schmidt, a history),
a list of one, which may become such a list, and a list of many are joined so: what is recorded before and after is
sealed apart, so that a loop is made of the same fragments whatever it has collected. Other joins are operations, which
fuse with what is around them.
"""

from __future__ import annotations

import weakref
from collections.abc import Sequence
from itertools import accumulate, pairwise
from typing import Any

import numpy as np

from nbgraph.calls import FragmentCall, JoinCall, SplitCall
from nbgraph.decided import ALIVE, HOOKS
from nbgraph.errors import user_place
from nbgraph.fragment import Fragment, FragmentBuilder
from nbgraph.node import LOCK, Node, number_within
from nbgraph.op import REGISTRY
from nbgraph.seal import anonymous, commit, draft, open_region
from nbgraph.trace import new_node, record
from nbgraph.types import Shape

#: Joins of more than this many are calls, wherever they come from.
MANY = 32
#: So many operations below the first elements of many may be one fragment.
FEW = 32
#: A list that is one longer each time for fewer times than this is none that grows.
RISES = 3


#: By place in the user's program its last list: how long it was, the creation number of its last element, how often in
#: a row each had been one longer than the one before, and whether lists fall there before they have risen for long.
#: (Without a lock: of two threads at one place the other's list ends elsewhere.)
_LISTS: dict[Any, tuple[int, Any, int, bool]] = {}
_LISTS_LIMIT = 4096
_NOTHING = (0, 0, 0, False)


def grows(nodes: Sequence[Node], above: int = 0) -> bool:
    """Whether nodes that are joined now, at the user's place, are those of the last time and more, or one more than
    then and made since, as the columns of a triangle are; or the first one of a list; or very many. Called by what
    users call, or so many calls further in."""
    place, n = user_place(2 + above), len(nodes)
    length, last, rises, varies = _LISTS.get(place, _NOTHING)
    newest = nodes[-1].seq
    if n == length:
        _LISTS[place] = n, newest, rises, varies
        return n == 1 or n > MANY
    if len(_LISTS) >= _LISTS_LIMIT:
        _LISTS.clear()
    fell_early = n < length and 0 < rises < RISES
    rises = rises + 1 if n == length + 1 > 1 else 0
    varies = fell_early or (varies and rises < RISES)
    _LISTS[place] = n, newest, rises, varies
    if n == 1 or n > MANY:
        return True
    more = 0 < length < n and nodes[length - 1].seq == last
    return more or (n == length + 1 and nodes[0].seq > last and not varies)


def join(nodes: Sequence[Node], axis: int, new_axis: bool) -> Node:
    """The nodes, of concrete sizes that fit, one after another; what they are made of is sealed."""
    first = nodes[0].type
    if new_axis:
        shape: Shape = (*first.shape[:axis], len(nodes), *first.shape[axis:])
    else:
        length = sum(n.type.shape[axis] for n in nodes)
        shape = (*first.shape[:axis], length, *first.shape[axis + 1 :])
    seal_all(nodes)
    made = new_node(first.with_shape(shape), first.inexact and any(n.active for n in nodes))
    made.call = JoinCall(tuple(nodes), axis, new_axis)
    made.call.nodes = (weakref.ref(made),)
    return made


def seal_all(nodes: Sequence[Node]) -> None:
    """Seals the open operations below nodes, each for itself, so that how many there are is no part of a structure.

    (What decides sizes runs.)
    """
    if ALIVE:
        HOOKS.settle([node for node in nodes if node.op is not None], partly=True)
    with LOCK:
        if len(nodes) > MANY and _begins_otherwise(nodes):
            _seal(nodes[:2])
        for node in nodes:
            if node.op is not None:
                _seal([node])


def _seal(targets: Sequence[Node]) -> None:
    for d in draft(targets):
        commit(d, None)


def _begins_otherwise(nodes: Sequence[Node]) -> bool:
    """Whether the first two of many nodes are made in ways of their own: then they are one fragment, not two."""
    sizes = [len(open_region(nodes[:n])) for n in range(4)]
    added = [b - a for a, b in pairwise(sizes)]
    return 0 not in added and len(set(added)) == len(added) and sizes[2] <= FEW


def run(call: JoinCall, arrays: Sequence[Any]) -> Any:
    """The value of a join, from those of its inputs."""
    return np.stack(arrays, call.axis) if call.new_axis else np.concatenate(arrays, call.axis)


def parts_of(call: SplitCall, array: Any) -> dict[int, Any]:
    """The values of a split, by part, from that of its input."""
    before = (slice(None),) * call.axis
    return {k: np.asarray(array[(*before, *_index(call, k))], order="C") for k, _ in call.nodes}


def _index(call: SplitCall, k: int) -> tuple[Any, ...]:
    return (call.starts[k] if call.new_axis else slice(call.starts[k], call.starts[k + 1]), ...)


def pull_back(call: JoinCall, ct: Node, mask: Sequence[int]) -> dict[int, Node]:
    """The cotangents of the inputs `mask`: parts of that of the result."""
    lengths: list[Any] = [1 if call.new_axis else n.type.shape[call.axis] for n in call.inputs]
    split = SplitCall(ct, call.axis, call.new_axis, [0, *accumulate(lengths)])
    found: dict[int, Node] = {}
    for k in mask:
        node = found[k] = new_node(call.inputs[k].type, split.active)
        node.call, node.slot = split, k
        split.nodes.append((k, weakref.ref(node)))
    return found


def expand_split(call: SplitCall) -> None:
    """Puts calls of fragments in the place of a split."""
    (ct,) = call.inputs
    before = (slice(None),) * call.axis
    for k, reference in call.nodes:
        node = reference()
        if node is not None and node.call is call:  # else an earlier attempt, interrupted, came so far
            op, sizes = REGISTRY["slice"].bind([ct.type], index=(*before, *_index(call, k)))
            part = record(op, [ct], sizes)
            seal_all([part])
            made = part.call
            made.seq = number_within(call.seq, k)
            if node.data is None:
                made.nodes = [(part.slot, weakref.ref(node))]
            node.call, node.slot = made, part.slot


def expand(node: Node) -> None:
    """Puts a call of a fragment in the place of the join that a node is the value of."""
    call: JoinCall = node.call
    fragment = _fragment(call)
    made = FragmentCall(fragment, call.inputs, (), None)
    made.seq = call.seq
    if node.data is None:
        made.nodes = [(fragment.outputs[0], weakref.ref(node))]
    node.call, node.slot = made, fragment.outputs[0]


def _fragment(call: JoinCall) -> Fragment:
    """The operations of a join: no size of them is a word."""
    b = FragmentBuilder()
    values = [b.input(anonymous(n.type)) for n in call.inputs]
    name = "stack" if call.new_axis else "concatenate"
    op, _ = REGISTRY[name].bind([n.type for n in call.inputs], axis=call.axis)
    return b.build(b.append(op, tuple(values), ()))
