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
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import accumulate, chain, pairwise
from operator import add, attrgetter
from sys import getrefcount
from typing import Any, NamedTuple

from nbgraph.calls import Dropped, FragmentCall
from nbgraph.errors import NbgraphError, ShapeError, user_frame
from nbgraph.fragment import Fragment, FragmentBuilder, Instr, at_sizes, size_at
from nbgraph.match import Found, Matcher, matcher_for, operations_of, recognise, remember
from nbgraph.moving import moving_words
from nbgraph.node import Node, Pack
from nbgraph.roll import SHORT, cut, kinds_before
from nbgraph.totals import sum_up, totalled
from nbgraph.trace import SCALAR, Projection, is_adopted, site_of
from nbgraph.types import Size, TensorType
from nbgraph.verify import verify

_seq, _op, _inputs, _klass = attrgetter("seq"), attrgetter("op"), attrgetter("inputs"), attrgetter("type.klass")
#: What `getrefcount` says, by way of `map`, of an object that only its list refers to.
(ONLY_REFERENCE,) = map(getrefcount, [object()])


class Draft(NamedTuple):
    """A call that is not part of the graph yet; `nodes` are the live nodes and their slots."""

    call: FragmentCall
    nodes: list[tuple[int, Node]]


class Plan(NamedTuple):
    """What a region's structure says, whatever its sizes.

    `slots[k]` is the fragment's slot for the k-th node, `words` picks its words from the region's sizes; `fallible`
    are nodes whose lines are kept. `equal`: sizes of the region that an operation needs to be what another one says.
    """

    fragment: Fragment
    slots: tuple[int, ...]
    words: tuple[int, ...]
    fallible: tuple[int, ...]
    equal: tuple[tuple[int, Size], ...]


class Tile(NamedTuple):
    """Nodes `start` to `end` of a region, which become one call, and its operands: nodes of the region by position, ~k
    for the k-th from outside it."""

    start: int
    end: int
    plan: Plan
    outside: tuple[int, ...]


class Tiling(NamedTuple):
    """How a region becomes calls, whatever its sizes: its tiles, its kind (`nbgraph.roll`), and for each node minus the
    references that are no sign of life, those of its list and of its own tile. `matchers` recognise it, by the
    places of its targets; None where those have been met once, and it is several tiles."""

    tiles: tuple[Tile, ...]
    kind: int
    spare: list[int]
    matchers: dict[tuple[int, ...], Matcher | None]

    def meets(self, roots: tuple[int, ...]) -> bool:
        """Notes targets; whether they were met before."""
        met = not roots or roots in self.matchers
        if not met:
            if len(self.matchers) >= MANY:
                self.matchers.clear()
            self.matchers[roots] = None
        return met and bool(roots)


class _Tilings(dict[Any, Tiling]):
    """Tilings by structure. What they hold is bounded by the operations in all of them together."""

    LIMIT = 2**18

    def __init__(self) -> None:
        super().__init__()
        self.operations = 0

    def remember(self, key: Any, tiling: Tiling) -> None:
        n = len(tiling.spare)
        if self.operations + n > self.LIMIT:
            self.clear()
            self.operations = 0
        if n <= self.LIMIT:
            self[key] = tiling
            self.operations += n


#: So many tiles at most are recognised at once, and a region by so many sets of targets.
MANY = 16
#: So many targets at most are recognised.
TARGETS = 64
#: By call, sizes that have to be equal and are known only when it runs. Guarded by `LOCK`.
EQUAL: weakref.WeakKeyDictionary[FragmentCall, list[tuple[Size, Size]]] = weakref.WeakKeyDictionary()
_PLANS: dict[Any, Plan] = {}
_PLANS_LIMIT = 4096
_TILINGS = _Tilings()


def draft(targets: Sequence[Node], aside: Callable[[list[Node]], list[Node]] | None = None) -> list[Draft]:
    """Calls for the open region below `targets`, in the order in which they run. `aside` gives what is left of a long
    region after it has sealed some of it otherwise."""
    if len(targets) == 1 and targets[0].op is not None:
        found = recognise(targets[0])
        if found is not None:
            return [draft_of(found)]
    sum_up(targets)
    region = open_region(targets)
    if aside is not None and len(region) > SHORT:
        region = aside(region)
    region = totalled(region)
    if not region:
        return []
    signature = _sign(region)
    tiling = _tiling_of(signature)
    if len(tiling.tiles) == 1:
        return [_draft_whole(signature, tiling, targets)]
    if len(tiling.tiles) <= MANY:
        _expect_tiles(signature, tiling, targets)
    return _draft_tiles(signature, tiling)


def open_region(targets: Iterable[Node]) -> list[Node]:
    """The open nodes below `targets` in recording order, which is a topological one."""
    stack = list({id(t): t for t in targets if t.op is not None and not _is_sealed(t)}.values())
    seen = set(map(id, stack))
    region: list[Node] = []
    while stack:
        node = stack.pop()
        if is_adopted(node):
            continue
        region.append(node)
        for i in node.inputs:
            if i.op is not None and id(i) not in seen and (i.data is None or not _is_sealed(i)):
                seen.add(id(i))
                stack.append(i)
    region.sort(key=_seq)
    return region


def _is_sealed(node: Node) -> bool:
    """Whether a node that looks open has its value, because its commit was interrupted; completes that."""
    if node.data is None:
        return False
    node.op, node.inputs, node.sizes = None, (), ()
    return True


class _Signature(NamedTuple):
    """A run of nodes and its structure: operations, and operands by position (~k: the k-th from outside)."""

    nodes: Sequence[Node]
    refs: list[int]
    arities: tuple[int, ...]
    outside: list[Node]

    def structure(self) -> Any:
        """What two runs of nodes have in common that are one fragment."""
        return tuple(map(_op, self.nodes)), tuple(self.refs), self.arities, tuple(map(_klass, self.outside))

    def node(self, ref: int) -> Node:
        return self.nodes[ref] if ref >= 0 else self.outside[~ref]

    def operands(self) -> Iterator[tuple[int, ...]]:
        """The references of each node's operands."""
        start = 0
        for arity in self.arities:
            yield tuple(self.refs[start : start + arity])
            start += arity


def _sign(nodes: Sequence[Node]) -> _Signature:
    position = dict(zip(map(id, nodes), range(len(nodes)), strict=True))
    operands = list(chain.from_iterable(map(_inputs, nodes)))
    refs: list[Any] = list(map(position.get, map(id, operands)))
    outside: list[Node] = []
    known: dict[int, int] = {}
    for k, node in enumerate(operands):
        if refs[k] is None:
            # A scalar is an operand of its own at every use, so that no value is ever structure.
            number = None if node.slot == SCALAR and node.call is None else known.get(id(node))
            if number is None:
                number = known[id(node)] = ~len(outside)
                outside.append(node)
            refs[k] = number
    return _Signature(nodes, refs, tuple(map(len, map(_inputs, nodes))), outside)


def _tiling_of(signature: _Signature) -> Tiling:
    """How a region becomes calls; a structure met before costs a lookup."""
    key = (signature.structure(), kinds_before(len(signature.nodes), signature.outside))
    tiling = _TILINGS.get(key)
    if tiling is None:
        tiling = _tiled(signature)
        _TILINGS.remember(key, tiling)
    return tiling


def _tiled(signature: _Signature) -> Tiling:
    bounds, kind = cut(signature.nodes)
    starts = list(accumulate(signature.arities, initial=0))
    tiles, spare = [], [-ONLY_REFERENCE] * len(signature.nodes)
    for start, end in pairwise(bounds):
        inner, outside = _restricted(signature, start, end, starts)
        for ref in inner.refs:
            if ref >= 0:
                spare[start + ref] -= 1
        tiles.append(Tile(start, end, _plan(inner), outside))
    return Tiling(tuple(tiles), kind, spare, {})


def _restricted(
    signature: _Signature, start: int, end: int, starts: Sequence[int]
) -> tuple[_Signature, tuple[int, ...]]:
    """The signature of a tile of a region, and its operands from outside it, as the region's references."""
    refs = signature.refs[starts[start] : starts[end]]
    numbers: dict[int, int] = {}
    inner = [r - start if start <= r < end else ~numbers.setdefault(r, len(numbers)) for r in refs]
    outside = [signature.node(r) for r in numbers]
    return _Signature(signature.nodes[start:end], inner, signature.arities[start:end], outside), tuple(numbers)


def _draft_whole(signature: _Signature, tiling: Tiling, targets: Sequence[Node]) -> Draft:
    """The call for a region that is one call; it will be recognised below targets of its own."""
    nodes, outside = signature.nodes, signature.outside
    plan = tiling.tiles[0].plan
    live = _live(nodes, tiling.spare)
    roots = _roots(nodes, targets)
    if roots:
        tiling.meets(roots)
        matcher = tiling.matchers[roots]
        if matcher is None:
            matcher = matcher_for(nodes, list(signature.operands()), outside, roots, plan, tiling.kind)
            tiling.matchers[roots] = matcher
        remember(operations_of([nodes[k] for k in roots]), matcher)
    d = _draft(nodes, outside, plan, live)
    d.call.kind = tiling.kind
    return d


def _roots(nodes: Sequence[Node], targets: Sequence[Node]) -> tuple[int, ...]:
    """The places of targets in their region; none where there are so many that nobody asks again for just these."""
    if len(targets) > TARGETS:
        return ()
    wanted = set(map(id, targets))
    return tuple([k for k, node in enumerate(nodes) if id(node) in wanted])


def _expect_tiles(signature: _Signature, tiling: Tiling, targets: Sequence[Node]) -> None:
    """A region of a few calls that is met again will be recognised below targets of its own."""
    nodes, tiles = signature.nodes, tiling.tiles
    roots = _roots(nodes, targets)
    if not tiling.meets(roots):
        return
    matcher = tiling.matchers[roots]
    if matcher is None:
        if any(isinstance(n, Pack) for n in nodes) or any(moving_words(t.plan.fragment) for t in tiles):
            return
        operands = list(signature.operands())
        matcher = matcher_for(nodes, operands, signature.outside, roots, None, tiling.kind, tiles)
        tiling.matchers[roots] = matcher
    remember(operations_of([nodes[k] for k in roots]), matcher)


def _draft_tiles(signature: _Signature, tiling: Tiling) -> list[Draft]:
    """The calls for a region that is cut."""
    live, k, drafts = [*_live(signature.nodes, tiling.spare), len(signature.nodes)], 0, []
    for start, end, plan, refs in tiling.tiles:
        first = k
        while live[k] < end:
            k += 1
        within = [place - start for place in live[first:k]]
        d = _draft(signature.nodes[start:end], [signature.node(r) for r in refs], plan, within)
        d.call.kind = tiling.kind
        drafts.append(d)
    return drafts


def plan_of(nodes: Sequence[Node]) -> tuple[Plan, list[Node]]:
    """The plan of a run of nodes, and the operands from outside."""
    signature = _sign(nodes)
    return _plan(signature), signature.outside


def _plan(signature: _Signature) -> Plan:
    key = signature.structure()
    return _PLANS.get(key) or _plan_for(key, signature)


def draft_of(found: Found) -> Draft:
    """The call for a region that was recognised."""
    matcher = found.key[0]
    d = _draft(found.nodes, found.outside, matcher.plan, found.live)
    d.call.kind = matcher.kind
    return d


def _draft(chunk: Sequence[Node], outside: Sequence[Node], plan: Plan, live: Sequence[int]) -> Draft:
    """The call of a plan on a run of nodes."""
    words: Any = ()
    if plan.words:
        raw = [size for node in chunk for size in node.sizes]
        words = tuple([raw[j] for j in plan.words])
    slots = plan.slots
    sites = [(slots[k], site) for k in plan.fallible if (site := site_of(chunk[k]))] if plan.fallible else None
    call = FragmentCall(plan.fragment, tuple(outside), words, sites)
    if plan.equal and not all(node.type.concrete for node in (*outside, *chunk)):
        EQUAL[call] = _equal_sizes(plan, chunk, outside)
    return Draft(call, [(slots[k], chunk[k]) for k in live])


def _equal_sizes(plan: Plan, chunk: Sequence[Node], outside: Sequence[Node]) -> list[tuple[Size, Size]]:
    """The sizes, in symbols of the user's, that have to be equal when the call runs."""
    raw = [size for node in chunk for size in node.sizes]
    env: dict[Any, Size] = {("w", k): size for k, size in enumerate(raw)}
    env.update({("d", i, axis): d for i, node in enumerate(outside) for axis, d in enumerate(node.type.shape)})
    pairs = [(raw[k], size_at(other, env)) for k, other in plan.equal]
    return [(a, b) for a, b in pairs if a != b]


def equal_sizes(call: Any) -> list[tuple[Size, Size]]:
    """The sizes that have to be equal in a call, and in the one that it was derived from."""
    if type(call) is not FragmentCall:
        return []
    origin = call.origin and call.origin[0]
    return EQUAL.get(call, []) + (EQUAL.get(origin, []) if origin is not None else [])


def _live(chunk: Sequence[Node], spare: Sequence[int]) -> list[int]:
    """The positions of nodes that something outside the region refers to."""
    return [k for k, count in enumerate(map(add, map(getrefcount, chunk), spare)) if count > 0]


def _plan_for(key: Any, signature: _Signature) -> Plan:
    plan = _of_any_sizes(signature)
    if plan is None or not plan.fragment.cache:
        try:
            plan = _build(signature, [anonymous(n.type) for n in signature.outside])
        except ShapeError:  # a size that a derivative was recorded with is 1 here, and no structure
            if plan is None:
                raise
    if len(_PLANS) >= _PLANS_LIMIT:
        for stale in list(_PLANS)[: _PLANS_LIMIT // 2]:
            del _PLANS[stale]
    _PLANS[key] = plan
    return plan


def _of_any_sizes(signature: _Signature) -> Plan | None:
    """A plan in which operands' sizes that are 1 are sizes like any others, if they broadcast nowhere. It is taken
    where its fragment is in use: at its ends a chain has the structure of its middle."""
    nodes, types = signature.nodes, [n.type for n in signature.outside]
    if not any(True in t.klass.ones for t in types) or not all(t.concrete for t in types):
        return None
    try:
        plan = _build(signature, [TensorType(t.code, (2,) * t.ndim) for t in types])
        raw = [size for node in nodes for size in node.sizes]
        env = plan.fragment.environment(types, tuple([raw[j] for j in plan.words]))
    except NbgraphError:
        return None
    made = zip(nodes, plan.slots, strict=True)
    fits = all(at_sizes(plan.fragment.types[slot], env) == node.type for node, slot in made if type(node) is not Pack)
    return plan if fits else None


def _build(signature: _Signature, inputs: Sequence[TensorType]) -> Plan:
    """The plan of a signature, for operands whose sizes are 1 or not 1 as those of `inputs`: shape rules run over
    symbols.

    Equal operations stay apart here, since one may differentiate by one of them; programs merge them.
    """
    nodes, n = signature.nodes, len(signature.outside)
    b = FragmentBuilder()
    for t in inputs:
        b.input(t)
    slots: list[int] = []
    for node, refs in zip(signature.nodes, signature.operands(), strict=True):
        op = node.op
        assert op is not None
        if type(op) is Projection:
            slots.append(slots[refs[0]] + op.index)
            continue
        slots.append(len(b.types))
        operands = tuple(~r if r < 0 else slots[r] for r in refs)
        b.append(op, operands, tuple(b.word() for _ in node.sizes))
    fragment, words = b.finish(b.instrs, sinks(b.instrs))
    verify(fragment, "seal")
    fallible = tuple(k for k in range(len(nodes)) if nodes[k].op.fallible)  # type: ignore[union-attr]
    assert len(fragment.inputs) == n
    places = tuple(w.symbol[1] for w in words)  # type: ignore[union-attr]
    replaced = sorted(name[1] for name in b.cx.replaced if name[0] == "w")
    return Plan(fragment, tuple(slots), places, fallible, tuple((k, b.cx.find(b.words[k])) for k in replaced))


def anonymous(t: TensorType) -> TensorType:
    """The type with every size that is not 1 forgotten, so that no number becomes structure."""
    return TensorType(t.code, tuple(1 if one else 2 for one in t.klass.ones))


def sinks(instrs: Sequence[Instr]) -> list[int]:
    """The values that no operation of the region uses: they reach every operation."""
    used = {i for instr in instrs for i in instr.ins}
    return [o for instr in instrs for o in instr.outs if o not in used]


def commit(d: Draft, values: Any) -> None:
    """Makes a draft part of the graph. `values` maps slots to arrays, or is None where the call has not run.

    An interrupt between any two statements leaves a graph that gives the same values: a node is open until its value
    is set, and sealed from then on, whatever else it still says.
    """
    call = d.call
    history: Any = call
    if values is None:
        call.nodes = [(slot, weakref.ref(node)) for slot, node in d.nodes if not isinstance(node, Pack)]
    else:
        missing = [(slot, node) for slot, node in d.nodes if slot not in values and not isinstance(node, Pack)]
        if missing:  # an operation they need failed: they stay to be computed
            call.nodes = [(slot, weakref.ref(node)) for slot, node in missing]
        elif not call.active:
            history = Dropped(user_frame(), call.seq)
    for slot, node in d.nodes:
        if node.op is None:  # another thread was first
            continue
        node.call, node.slot = history, slot
        if values is not None:
            node.data = _packed(node, slot, values) if isinstance(node, Pack) else values.get(slot)
        node.op, node.inputs, node.sizes = None, (), ()


def _packed(pack: Pack, slot: int, values: Any) -> Any:
    return tuple(values.get(slot + k) for k in range(len(pack.types)))
