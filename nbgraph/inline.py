"""The gradient of a few open operations, recorded as operations itself.

In: an open node whose region was sealed before, its cotangent, operands of the region. Out: their cotangents, as open
nodes; or None where the general way (`derive`) has to be taken.
Why: an optimiser's step records a loss, its gradient and an update, and evaluates once. As operations the three are one
region, and so one fragment; and forward values that the gradient uses are there, as nodes, not computed again.
Holds: the region is as short as one fragment may be, and nothing but the operands differentiated by leads below it.
What is recorded at given sizes is decided once; then it is a straight line of code that makes nodes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from nbgraph.calls import TAKEN, FragmentCall
from nbgraph.dims import dim
from nbgraph.errors import user_frame
from nbgraph.fragment import Fragment, at_sizes, size_at
from nbgraph.match import Found, recognise
from nbgraph.moving import function_of_words, moving_words
from nbgraph.node import LOCK, Node, Pack
from nbgraph.plans import Plan, inline_plan
from nbgraph.resolve import made_of
from nbgraph.roll import SHORT
from nbgraph.trace import Projection, recorder

#: A function of (region's nodes, operands, cotangent, words that move), or None where there can be none.
Recording = Callable[..., list[Node]] | None
_RECORDINGS: dict[Any, Any] = {}
_LIMIT = 2048


def gradient(out: Node, ct: Node, wrt: Sequence[Node]) -> list[Node] | None:
    """Cotangents of `wrt` from that of `out`."""
    found = recognise(out)
    if found is None:
        return None
    positions = _positions(found.outside, wrt)
    if positions is None:
        return None
    key = (positions, found.key[0], *found.key[3:])
    record = _RECORDINGS.get(key, ...)
    if record is ...:
        record = _recording(found, positions)
        with LOCK:
            if len(_RECORDINGS) >= _LIMIT:
                _RECORDINGS.clear()
            _RECORDINGS[key] = record
    if record is None:
        return None
    moved = _moved(found)
    return record(found.nodes, found.outside, ct, moved) if all(type(w) is int for w in moved) else None


def _moved(found: Found) -> tuple[Any, ...]:
    """The words that move: where a slice begins, say, is no part of what recordings are known by."""
    plan = found.key[0].plan
    moving = moving_words(plan.fragment)
    words = found.words(plan) if moving else ()
    return tuple([words[k] for k in moving])


def _positions(outside: Sequence[Node], wrt: Sequence[Node]) -> tuple[int, ...] | None:
    """Where among the operands those differentiated by are; None if an operand may depend on one of them."""
    if len(set(map(id, outside))) < len(outside):
        return None  # of `x * y`, met as `x * x`
    positions = []
    for w in wrt:
        for k, x in enumerate(outside):
            if x is w:
                positions.append(k)
                break
        else:
            return None
    if any(x.active and x.call is not None and may_be_made_of(x, wrt) for x in outside):
        return None
    return tuple(positions) if len(set(positions)) == len(positions) else None


def may_be_made_of(x: Node, nodes: Sequence[Node]) -> bool:
    """Whether a sealed node may be made of one of some others, as far as numbers of creation and calls say."""
    call = x.call
    is_plain = type(call) is FragmentCall and not (TAKEN and call in TAKEN)
    for w in nodes:
        if x.seq <= w.seq:  # older, or the same
            continue
        other = w.call
        if not is_plain or type(other) is not FragmentCall or (TAKEN and other in TAKEN):
            return True
        if made_of(call.fragment, x.slot, w.slot) if other is call else _may_lead(call, x.slot, w):
            return True
    return False


def _may_lead(call: FragmentCall, slot: int, w: Node) -> bool:
    """Whether a value of a call may be made of one of another call, as far as its operands say."""
    if call.seq < w.call.seq:
        return False
    if call.origin is not None:  # it may make again what the call makes that it was derived from
        return True
    for k, i in enumerate(call.inputs):
        if i.active and i.call is not None and made_of(call.fragment, slot, k):
            if i is w or type(i.call) is not FragmentCall or (TAKEN and i.call in TAKEN):
                return True
            if made_of(i.call.fragment, i.slot, w.slot) if i.call is w.call else i.call.seq > w.call.seq:
                return True
    return False


def _recording(found: Found, positions: tuple[int, ...]) -> Recording:
    """What records the cotangents of operands of a region at these sizes."""
    if any(isinstance(n, Pack) or type(n.op) is Projection for n in found.nodes):
        return None
    seal_plan = found.key[0].plan
    f: Fragment = seal_plan.fragment
    if any(x.type.klass is not t.klass for x, t in zip(found.outside, f.inputs, strict=True)):
        return None  # sizes that are 1 here would be recorded as any others
    plan = inline_plan(f, seal_plan.slots[-1], positions)
    if any(i.op.n_out > 1 for i in plan.fragment.instrs):
        return None
    if len(plan.results) < len(positions) or len(f.instrs) + len(plan.fragment.instrs) > SHORT:
        return None
    at = {slot: k for k, slot in enumerate(seal_plan.slots)}
    given = [_source(kind, which, at) for kind, which in plan.sources]
    moving = moving_words(f)
    words = [dim(("w", k)) if k in moving else w for k, w in enumerate(found.words(seal_plan))]
    steps = _steps(f, plan, f.environment(tuple([x.type for x in found.outside]), words))
    if not all(t.concrete for *_, t in steps):
        return None
    fallible = next(iter(seal_plan.fallible), None)
    site = user_frame if fallible is None else f"site_of(nodes[{fallible}])"
    moved = {k: sizes for k, (_, _, sizes, _) in enumerate(steps) if any(type(s) is not int for s in sizes)}
    sizes_at = function_of_words(tuple(moved.values()), moving)
    return recorder(given, steps, [plan.results[p] for p in positions], site, tuple(moved), sizes_at)


def _source(kind: str, which: int, at: dict[int, int]) -> str:
    if kind == "input":
        return f"outside[{which}]"
    return f"nodes[{at[which]}]" if kind == "value" else "ct"


def _steps(f: Fragment, plan: Plan, env: Any) -> list[tuple[Any, tuple[int, ...], Any, Any]]:
    """The operations of a plan at concrete sizes, but for words that move: operation, operands, sizes, type."""
    known = [at_sizes(f.types[which], env) for _, which in plan.sources]
    own = plan.fragment.environment(known, tuple([size_at(w, env) for w in plan.words]))
    return [
        (i.op, i.ins, tuple([size_at(s, own) for s in i.sizes]), at_sizes(plan.fragment.types[i.first], own))
        for i in plan.fragment.instrs
    ]
