"""Slices that the steps of a loop are handed: one call for all that are taken of a node.

In: a recorded slice of a sealed node or leaf. Out: the slice as a value of a `PickCall`, which has any number of them;
the cotangents of all of them as one `PlaceCall`: zeros with everything in its place. Both as fragment calls, where
somebody needs those.
Holds: where a slice lies is no part of any structure. Of a node whose value is known a slice is a view, at once: it
breaks no chain. The cotangent of the whole is made once, not once for each slice.
"""

from __future__ import annotations

import weakref
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import groupby
from operator import attrgetter
from typing import Any

import numpy as np

from nbgraph.calls import SumCall
from nbgraph.decided import ALIVE
from nbgraph.leaves import leaf, own_array
from nbgraph.node import LOCK, Node, _next_seq, number_within, reserved
from nbgraph.op import REGISTRY
from nbgraph.seal import commit, draft
from nbgraph.trace import RECORDING, new_node, record
from nbgraph.types import Shape, TensorType

Array = np.ndarray[Any, Any]
#: Lists of more slices than this are values of one call, wherever they come from.
MANY = 32
_INT = frozenset((int,))
_op = attrgetter("op")
#: The creation number of a slice, and its sizes.
Slot = tuple[int, Shape]


class PickCall:
    """Slices of a node by one operation. A slot is where the slice lies; `nodes` lists weakly which node without a
    value stands for which."""

    __slots__ = ("__weakref__", "active", "expanded", "inputs", "nodes", "op", "seq")

    def __init__(self, node: Node, op: Any) -> None:
        self.inputs, self.op, self.active = (node,), op, node.active
        self.seq, self.expanded = _next_seq(), 0
        self.nodes: list[tuple[Slot, weakref.ref[Node]]] = []

    def result(self, node: Node, slot: Slot) -> None:
        """Lets a node without a value stand for a slice."""
        node.call, node.slot = self, slot
        self.nodes.append((slot, weakref.ref(node)))


class PlaceCall:
    """Zeros of a shape, with nodes added where slices of it lie: `slots`."""

    __slots__ = ("active", "inputs", "nodes", "numbers", "op", "seq", "shape", "slots")

    def __init__(self, nodes: Sequence[Node], op: Any, slots: Sequence[Slot], shape: Shape) -> None:
        self.inputs, self.op, self.slots, self.shape = tuple(nodes), op, tuple(slots), shape
        self.active = any(n.active for n in nodes)
        self.nodes: tuple[weakref.ref[Node], ...] = ()
        self.numbers = reserved(len(nodes) + 1)  # those but the last are set aside for what it stands for
        self.seq = self.numbers[-1]


class _Kept(weakref.ref[Any]):
    """A call, as long as it is in use; or a constant, slices of which are constants."""

    __slots__ = ("key",)
    key: tuple[int, Any]


#: What was taken of nodes before, by their ids and the operation. Guarded by `LOCK`.
_PICKS: dict[tuple[int, Any], _Kept] = {}


def _forget(kept: Any, table: Any = _PICKS) -> None:
    """Its call is gone. (The table is an argument, since it may be when Python ends.)"""
    if table.get(kept.key) is kept:
        table.pop(kept.key, None)


def _call_of(of: Node, op: Any) -> PickCall:
    """The call whose values are slices of a node by an operation."""
    known = _PICKS.get((id(of), op))
    call = None if known is None else known()
    if call is None:
        call = PickCall(of, op)
        _keep(of, op, call)
    return call


def _keep(of: Node, op: Any, what: Any) -> None:
    key = id(of), op
    kept = _PICKS[key] = _Kept(what, _forget)
    kept.key = key


def row_of(of: Node, op: Any, index: int, t: TensorType) -> Node | None:
    """A row of type `t` of a node whose value is known, as a value at once, if steps were handed others before."""
    known, data = _PICKS.get((id(of), op)), of.data
    if known is None or data is None or (call := known()) is None:
        return None
    if call is of:
        node: Node = RECORDING.result(t, False, None, 0)
    else:
        node = RECORDING.result(t, call.active, call, 0)
        node.slot = node.seq, (index,)
    node.data = data[index, ...]
    return node


def is_pick(node: Node) -> bool:
    """Whether a node is a slice of a sealed node or leaf, all sizes of which are known."""
    op = node.op
    if op is None or op.name != "slice":
        return False
    for of in node.inputs:  # none where another thread has taken it meanwhile
        if of.op is not None or not of.type.concrete or not node.type.concrete:
            return False
    return _INT.issuperset(map(type, node.sizes))


def is_taken(node: Node) -> bool:
    """Whether an open node is a slice that can be taken, which is done."""
    if ALIVE or not is_pick(node):
        return False
    with LOCK:
        if node.op is not None:  # else another thread was first
            take(node)
    return True


def take(node: Node) -> None:
    """Makes a recorded slice a value of a `PickCall`; of a constant, a constant."""
    op: Any = node.op
    of, sizes = node.inputs[0], node.sizes
    data = of.data
    if data is not None and not of.active:
        if (id(of), op) not in _PICKS:
            _keep(of, op, of)
    else:
        call = _call_of(of, op)
        node.call, node.slot = call, (node.seq, sizes)
        if data is None:
            call.nodes.append((node.slot, weakref.ref(node)))
    if data is not None:  # a view of it is read-only, as it is
        if op.is_leading and len(sizes) < data.ndim:
            node.data = data[sizes]
        else:
            view = op.view(data, sizes)
            node.data = view if view.flags.c_contiguous else own_array(view)
    node.op, node.inputs, node.sizes = None, (), ()  # last: it is open until it has its value


def take_lists(region: list[Node]) -> list[Node]:
    """What is left of a region after many slices of one node, recorded one after another (a list of rows), have become
    values of calls; what they are slices of is sealed."""
    runs = list(_runs(region))
    for run in runs:
        of = run[0].inputs[0]
        for d in draft([of]) if of.op is not None else ():
            commit(d, None)
        for node in filter(is_pick, run):
            take(node)
    return [node for node in region if node.op is not None] if runs else region


def _runs(region: Sequence[Node]) -> Iterator[Sequence[Node]]:
    """Stretches of more than MANY slices of one node."""
    if not any(op.name == "slice" for op in set(map(_op, region))):
        return
    key = [(n.op, id(n.inputs[0])) if n.op.name == "slice" else None for n in region]  # type: ignore[union-attr]
    start = 0
    for what, members in groupby(key):
        end = start + sum(1 for _ in members)
        if what is not None and end - start > MANY:
            yield region[start:end]
        start = end


def values(call: PickCall, array: Array, wanted: Iterable[Slot]) -> dict[Slot, Array]:
    """The slices `wanted` (nodes may have got theirs from another thread since) and those that nodes wait for."""
    slots = {*wanted, *(slot for slot, reference in call.nodes if reference() is not None)}
    return {slot: np.asarray(call.op.view(array, slot[1]), order="C") for slot in slots}


def total(call: PlaceCall, arrays: Sequence[Array]) -> Array:
    """Zeros with the arrays added."""
    made = np.zeros(call.shape, arrays[0].dtype)
    for a, (_, sizes) in zip(arrays, call.slots, strict=True):
        view = call.op.view(made, sizes)
        np.add(view, a, out=view)
    return made


def place(call: PickCall, cts: Mapping[Slot, Node]) -> Node:
    """The cotangent of what slices were taken of, from theirs."""
    made = PlaceCall(list(cts.values()), call.op, list(cts), call.inputs[0].type.shape)
    return _result(made, call.inputs[0])


def pull_back(call: PlaceCall, ct: Node, mask: Sequence[int]) -> dict[int, Node]:
    """The cotangents of the inputs `mask`: slices of that of the result."""
    pick, found = PickCall(ct, call.op), {}
    for k in mask:
        node = found[k] = new_node(call.inputs[k].type, ct.active)
        pick.result(node, (node.seq, call.slots[k][1]))
    return found


def _result(call: PlaceCall, like: Node) -> Node:
    node = new_node(like.type, call.active)
    node.call = call
    call.nodes = (weakref.ref(node),)
    return node


# -- as fragment calls ------------------------------------------------------------------------------------------------


def expand_pick(node: Node) -> None:
    """Puts a call of a fragment in the place of a slice."""
    call: PickCall = node.call
    made = _sealed(record(call.op, call.inputs, node.slot[1]))
    made.call.seq = number_within(call.seq, call.expanded)
    call.expanded += 1
    if node.data is None:
        made.call.nodes = [(made.slot, weakref.ref(node))]
    node.call, node.slot = made.call, made.slot


def expand_place(node: Node) -> None:
    """Puts a sum of padded nodes in the place of a `PlaceCall`."""
    call: PlaceCall = node.call
    zeros = leaf(_zeros(node), False)
    cls: Any = REGISTRY["slice_update"]
    op = cls(call.op.axes)
    padded = [_sealed(record(op, (zeros, i), sizes)) for i, (_, sizes) in zip(call.inputs, call.slots, strict=True)]
    for p, number in zip(padded, call.numbers, strict=False):
        p.call.seq = number
    made = SumCall(tuple(padded))
    made.seq = call.seq
    if node.data is None:
        made.nodes = (weakref.ref(node),)
    node.call, node.slot = made, 0


def _zeros(like: Node) -> Array:
    zeros = np.zeros(like.type.shape, like.type.dtype)
    zeros.setflags(write=False)
    return zeros


def _sealed(node: Node) -> Node:
    for d in draft([node]):
        commit(d, None)
    return node
