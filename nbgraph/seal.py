"""Sealing: the open operations below some nodes become calls of fragments.

In: target nodes. Out: `Draft`s: calls, and which live node stands for which value of them. Nothing changes until
`commit`, so a failed or interrupted eval leaves the graph as it was.
Holds: the structure of a region is its operations in recording order with operands numbered by first use; sizes and
scalars are run-time words and inputs, never part of it. A loop body is the same `Fragment` object each time.
Which values are live is read once, here, off reference counts: a node that something outside the region refers to
(a user's variable, an operation recorded but not sealed) is live. A wrong answer could only cost time, not values:
nodes that are not committed stay open.
"""

from __future__ import annotations

import weakref
from collections.abc import Iterable, Sequence
from operator import attrgetter
from sys import getrefcount
from typing import Any, NamedTuple

from nbgraph.fragment import Fragment, FragmentBuilder, Instr
from nbgraph.roll import cut
from nbgraph.trace import SCALAR, Dropped, FragmentCall, Node, Pack, Projection
from nbgraph.types import TensorType
from nbgraph.verify import verify

_seq = attrgetter("seq")
#: What `getrefcount` says, by way of `map`, of an object that only its list refers to.
_BASE = list(map(getrefcount, [object()]))[0]


class Draft(NamedTuple):
    """A call that is not part of the graph yet; `nodes` are the live nodes and their slots."""

    call: FragmentCall
    nodes: list[tuple[int, Node]]


class _Plan(NamedTuple):
    """What a region's structure says, whatever its sizes: the fragment, and which raw sizes are its words."""

    fragment: Fragment
    words: tuple[int, ...]


_PLANS: dict[Any, _Plan] = {}
_PLANS_LIMIT = 4096


def draft(targets: Iterable[Node]) -> list[Draft]:
    """Calls for the open region below `targets`, in the order in which they run."""
    region = _open_region(targets)
    if not region:
        return []
    live = _live_positions(region)
    for t in targets:
        live.add(id(t))
    return [_draft_chunk(chunk, live) for chunk in cut(region, live)]


def _open_region(targets: Iterable[Node]) -> list[Node]:
    """The open nodes below `targets` in recording order, which is a topological one."""
    stack = [t for t in targets if t.op is not None]
    seen: set[int] = set()
    region: list[Node] = []
    while stack:
        node = stack.pop()
        if id(node) in seen:
            continue
        seen.add(id(node))
        if type(node.op) is Projection and node.inputs[0].op is None:
            _adopt(node)
            continue
        region.append(node)
        for i in node.inputs:
            if i.op is not None:
                stack.append(i)
    region.sort(key=_seq)
    return region


def _adopt(node: Node) -> None:
    """A projection of a pack that was sealed before it: it is a value of the pack's call."""
    pack, index = node.inputs[0], node.op.index  # type: ignore[union-attr]
    node.call, node.slot = pack.call, pack.slot + index
    if pack.data is not None:
        node.data = pack.data[index]
    elif isinstance(node.call, FragmentCall):
        saved = node.call.saved
        if saved is not None:
            node.data = saved.get(node.slot)
    node.op, node.inputs = None, ()


def _live_positions(region: list[Node]) -> set[int]:
    """Ids of the nodes that something outside the region refers to."""
    uses = dict.fromkeys(map(id, region), _BASE)
    for operands in [n.inputs for n in region]:
        for key in map(id, operands):
            if key in uses:
                uses[key] += 1
    # The tuples of operands were the loop's own; here only the region and its operand tuples refer to the nodes.
    counts = list(map(getrefcount, region))
    return {key for key, count in zip(uses, counts, strict=True) if count > uses[key]}


class _Numbering:
    """Numbers a run of nodes canonically and merges common subexpressions.

    References are result numbers, or ~k for the k-th input.
    """

    __slots__ = ("distinct", "entries", "inputs", "merged", "refs", "results")

    def __init__(self, chunk: Sequence[Node]) -> None:
        self.refs: dict[int, int] = {}
        self.inputs: list[Node] = []
        self.entries: list[Any] = []
        self.distinct: list[Node] = []
        self.merged: dict[Any, int] = {}
        self.results = 0
        for node in chunk:
            if type(node.op) is Projection:
                self.refs[id(node)] = self.refs[id(node.inputs[0])] + node.op.index
            else:
                self._add(node)

    def _add(self, node: Node) -> None:
        refs = self.refs
        operands: list[Any] = []
        identity: list[Any] = [node.op, node.sizes]
        scalars = False
        for i in node.inputs:
            ref: Any = refs.get(id(i))
            if ref is None:
                if i.slot == SCALAR and i.call is None:
                    scalars = True
                    identity.append((i.type.code, i.data.tobytes()))
                    operands.append(i)
                    continue
                ref = refs[id(i)] = ~len(self.inputs)
                self.inputs.append(i)
            identity.append(ref)
            operands.append(ref)
        key = tuple(identity)
        same = self.merged.get(key)
        if same is not None:
            refs[id(node)] = same
            return
        if scalars:  # a scalar is an input of its own at every use, so that no value is ever structure
            for k, ref in enumerate(operands):
                if type(ref) is not int:
                    operands[k] = ~len(self.inputs)
                    self.inputs.append(ref)
        self.entries.append((node.op, *operands))
        self.distinct.append(node)
        self.merged[key] = refs[id(node)] = self.results
        self.results += node.op.n_out  # type: ignore[union-attr]


def _draft_chunk(chunk: Sequence[Node], live: set[int]) -> Draft:
    """The call for a run of nodes."""
    numbering = _Numbering(chunk)
    inputs, refs, n = numbering.inputs, numbering.refs, len(numbering.inputs)
    structure = (tuple(numbering.entries), tuple([i.type.klass for i in inputs]))
    plan = _PLANS.get(structure)
    if plan is None:
        plan = _build(structure, numbering)
    words: Any = ()
    if plan.words:
        raw = [size for node in numbering.distinct for size in node.sizes]
        words = tuple([raw[j] for j in plan.words])
    sites = [(refs[id(node)] + n, node.call) for node in numbering.distinct if node.call is not None]
    call = FragmentCall(plan.fragment, tuple(inputs), words, sites or None)
    return Draft(call, [(refs[id(node)] + n, node) for node in chunk if id(node) in live])


def _build(structure: Any, numbering: _Numbering) -> _Plan:
    """The fragment of a structure met for the first time: shape rules run over symbols."""
    b = FragmentBuilder()
    for i in numbering.inputs:
        b.input(_anonymous(i.type))
    n = len(numbering.inputs)
    for entry, node in zip(structure[0], numbering.distinct, strict=True):
        operands = tuple(~r if r < 0 else r + n for r in entry[1:])
        b.append(entry[0], operands, tuple(b.word() for _ in node.sizes))
    fragment, words = b.finish(b.instrs, _sinks(b.instrs))
    verify(fragment, "seal")
    plan = _Plan(fragment, tuple(w.symbol[1] for w in words))  # type: ignore[union-attr]
    if len(_PLANS) >= _PLANS_LIMIT:
        for stale in list(_PLANS)[: _PLANS_LIMIT // 2]:
            del _PLANS[stale]
    _PLANS[structure] = plan
    return plan


def _anonymous(t: TensorType) -> TensorType:
    """The type with every size that is not 1 forgotten, so that no number becomes structure."""
    return TensorType(t.code, tuple(1 if one else 2 for one in t.klass.ones))


def _sinks(instrs: Sequence[Instr]) -> list[int]:
    """The values that no operation of the region uses: they reach every operation."""
    used = {i for instr in instrs for i in instr.ins}
    return [o for instr in instrs for o in instr.outs if o not in used]


def commit(d: Draft, values: Any, site: Any) -> None:
    """Makes a draft part of the graph. `values` maps slots to arrays, or is None where the call has not run."""
    call = d.call
    if values is None:
        call.nodes = [(slot, weakref.ref(node)) for slot, node in d.nodes if not isinstance(node, Pack)]
    history: Any = call
    if values is not None and not any(i.active for i in call.inputs):
        history = Dropped(site, call.seq)
    for slot, node in d.nodes:
        if node.op is None:  # another thread was first
            continue
        node.call, node.slot = history, slot
        if values is not None:
            node.data = _packed(node, slot, values) if isinstance(node, Pack) else values.get(slot)
        node.op, node.inputs, node.sizes = None, (), ()


def _packed(pack: Pack, slot: int, values: Any) -> Any:
    return tuple(values.get(slot + k) for k in range(len(pack.types)))
