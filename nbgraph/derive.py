"""Derivatives of the graph of calls: `vjp` and `jvp`.

In: output nodes with cotangents (or input nodes with tangents), and the nodes to differentiate by. The open tail is
sealed first. Out: nodes: calls of derived fragments, one for each step of the path between, unevaluated, differentiable
again.
Holds: calls stay flat: the gradient of K calls of a fragment is K calls of its backward fragment.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from nbgraph import inline, joins, picks, repeats
from nbgraph.again import PIECES
from nbgraph.calls import FragmentCall
from nbgraph.collector import Waiting
from nbgraph.decided import ALIVE
from nbgraph.errors import DifferentiationError
from nbgraph.fragment import Fragment
from nbgraph.leaves import leaf
from nbgraph.loops import LoopCall
from nbgraph.node import LOCK, Node
from nbgraph.path import Key, Path, Step, key_of, seal
from nbgraph.plans import Plan, jvp_plan, vjp_plan
from nbgraph.repeats import LoopRun, repeat, result, slot_node, type_at
from nbgraph.settle import settle
from nbgraph.stretch import EACH, SAME
from nbgraph.trace import new_node, sum_of, value_of

#: So many of a run's newest calls may be pulled back one by one before the rest is, at once.
_TRIES = 3


def _derived_call(step: Step, plan: Plan, given: Mapping[tuple[str, int], Node]) -> FragmentCall:
    """A call of a derived fragment, its inputs gathered from where the plan says."""
    inputs = []
    for source in plan.sources:
        kind, which = source
        if kind == "input":
            inputs.append(step.inputs[which])
        elif kind == "saved":
            inputs.append(_value_at(step, which))
        else:
            inputs.append(given[source])
    words = plan.words_at(step.fragment, tuple([i.type for i in step.inputs]), step.words) if plan.words else ()
    derived = FragmentCall(plan.fragment, tuple(inputs), words, None)
    call, slot_map = step.origin
    derived.origin = (call if slot_map is None else None, plan)
    if step.piece is not None:
        PIECES[derived] = call, step.piece
    return derived


def _value_at(step: Step, slot: int) -> Node:
    """A value of what a step stands for."""
    of, place = step.origin
    if type(of) is LoopCall:
        return of.value(slot, place) if slot >= len(step.inputs) else step.inputs[slot]
    return slot_node(of, slot if place is None else place[slot])


def _result(call: FragmentCall, slot: int, like: Any, active: bool) -> Node:
    """A node for a value of a derived call that has not run."""
    node = new_node(like, active)
    node.call, node.slot = call, slot
    assert call.nodes is not None
    call.nodes.append((slot, weakref.ref(node)))
    return node


def vjp(outputs: Sequence[tuple[Node, Node]], wrt: Sequence[Node], ends: Sequence[Node] = ()) -> list[Node | None]:
    """Cotangents of `wrt` from (output, cotangent) pairs; None where an output does not depend on it at all,
    a zero node where it does and the derivative is exactly zero.

    `ends` are independent variables, whatever they are made of: partial derivatives."""
    if ALIVE:
        settle([n for pair in outputs for n in pair], partly=True)
    # First, so that a step of an optimiser is a region of its own, and the loop of them a chain.
    if open_ones := [w for w in wrt if w.op is not None]:
        seal(open_ones)
    if len(outputs) == 1 and outputs[0][0].op is not None:
        recorded = inline.gradient(*outputs[0], wrt) if wrt else None
        if recorded is not None:
            return list(recorded)
    with LOCK, Waiting():
        seal([ct for _, ct in outputs])
        if len(outputs) == 1:
            found = _through_one_call(*outputs[0], wrt)
            if found is not None:
                return found
        path = Path([out for out, _ in outputs], wrt, vjp, runs=True, ends=ends)
        cts: dict[Key, list[Node]] = {}
        for out, ct in outputs:
            cts.setdefault(key_of(out), []).append(ct)
        for step in reversed(path.steps):
            if step.kind == "run":
                _pull_back_run(path, step.origin, cts)
            else:
                _pull_back(path, step, cts)
        return [_total(path, w, cts) for w in wrt]


def _through_one_call(out: Node, ct: Node, wrt: Sequence[Node]) -> list[Node | None] | None:
    """The cotangents where all of `wrt` are operands of the call that made the output and nothing else leads there."""
    call = out.call
    if out.op is not None or type(call) is not FragmentCall or not all(w.active and w.op is None for w in wrt):
        return None
    if call.origin is not None and any(w.call is not None for w in wrt):
        return None  # it may make some of them again
    keys, oldest = list(map(key_of, wrt)), min((w.seq for w in wrt), default=0)
    inputs = [(p, key_of(i), i) for p, i in enumerate(call.inputs) if i.active]
    if any(key not in keys and i.call is not None and i.seq > oldest for _, key, i in inputs):
        return None  # it may be made of one of them
    if any(w.call is not None and w.seq > oldest for w in wrt) or not {k for _, k, _ in inputs}.issuperset(keys):
        return None
    mask = tuple([p for p, key, i in inputs if key in keys and i.type.inexact])
    plan = vjp_plan(call.fragment, (out.slot,), mask)
    step = Step("call", call.inputs, ())
    step.fragment, step.words, step.origin = call.fragment, call.words, (call, None)
    cts: dict[Key, list[Node]] = {}
    _apply(step, plan, {out.slot: ct}, mask, cts)
    return [sum_of(cts[key]) if key in cts else _zeros(w) for key, w in zip(keys, wrt, strict=True)]


#: From the cotangents of a call's results, by slot, those of the inputs in a mask.
_PULL_BACK: dict[str, Callable[[Any, dict[Any, Node], Sequence[int]], dict[int, Node]]] = {
    "part": lambda call, cts, mask: call.pull_back(cts, mask),
    "join": lambda call, cts, mask: joins.pull_back(call, cts[0], mask),
    "pick": lambda call, cts, mask: {k: picks.place(call, cts) for k in mask},
    "place": lambda call, cts, mask: picks.pull_back(call, cts[0], mask),
}


def _total(path: Path, w: Node, cts: dict[Key, list[Node]]) -> Node | None:
    key = key_of(w)
    if key in cts:
        return sum_of(cts[key])
    return _zeros(w) if key in path.met else None


def _pull_back(path: Path, step: Step, cts: dict[Key, list[Node]]) -> None:
    """Moves the cotangents of a step's results to its inputs."""
    gathered: dict[int, list[Node]] = {}
    for slot, key in step.outs:
        if key in cts:
            cts[key] = [sum_of(cts[key])]  # summed once; it may be asked for as a result too
            gathered.setdefault(slot, []).extend(cts[key])
    if not gathered:
        return
    taken = {slot: sum_of(nodes) for slot, nodes in gathered.items()}
    mask = path.mask(step)
    if step.kind == "sum":
        for k in mask:
            cts.setdefault(step.keys[k], []).append(taken[0])
        return
    if step.kind != "call":
        for k, node in _PULL_BACK[step.kind](step.origin, taken, mask).items():
            cts.setdefault(step.keys[k], []).append(node)
        return
    slots = tuple(sorted(taken))
    _apply(step, vjp_plan(step.fragment, slots, mask), taken, mask, cts)


def _apply(step: Step, plan: Plan, taken: Mapping[int, Node], mask: Sequence[int], cts: dict[Key, list[Node]]) -> None:
    """Records a derived call, and where its results go."""
    if not plan.results:
        return
    derived = _derived_call(step, plan, {("cotangent", s): ct for s, ct in taken.items()})
    derived.nodes = []
    for k in mask:
        if k in plan.results:
            slot = plan.results[k]
            passes = plan.sources[slot:] and plan.sources[slot][0] == "cotangent"  # unchanged, as in a sum
            node = derived.inputs[slot] if passes else _result(derived, slot, step.inputs[k].type, derived.active)
            cts.setdefault(step.keys[k], []).append(node)


def _pull_back_run(path: Path, run: Any, cts: dict[Key, list[Node]]) -> None:
    """Moves the cotangents of a run's newest call to the operands of its oldest, and to those that stay the same.

    Call by call, until the cotangents of one call are those that go on; then the rest at once.
    """
    used, carried = run.used, set(run.carried)
    for k in range(run.steps):
        # What the newest calls do not settle, none of the others will.
        if k < _TRIES and run.steps - k >= repeats.SHORTEST and _pull_back_at_once(path, run, k, cts):
            return
        if k == _TRIES and type(run) is LoopRun:
            run = path.opened(run, k, cts)
            used = carried | run.beside
        if k + 1 < run.steps:
            path.active.update(run.key(s, k + 1) for s in carried)
        if type(run) is LoopRun:
            for s in run.totals:
                cts.setdefault(run.key(s, k), []).extend(cts.get(run.total_key(s), ()))
        for step in path.steps_at(run, k, used | run.totals):
            _pull_back(path, step, cts)
        used = carried | run.beside


def _pull_back_at_once(path: Path, run: Any, k: int, cts: dict[Key, list[Node]]) -> bool:
    """Does it from call k on if its cotangents are just those that every other call will have."""
    rest = run.without(k)
    newest = {s: rest.key(s) for s in {*run.carried, *run.used}}
    given = {s: sum_of(cts[newest[s]]) for s in run.carried if newest[s] in cts}
    besides = {s: [key for key in rest.keys(s) if key in cts] for s in run.beside}
    totals = {s: cts[run.total_key(s)] for s in run.totals if run.total_key(s) in cts}
    if not given:
        return not totals and not any(newest[s] in cts for s in run.used) and not any(besides.values())
    besides = {s: keys for s, keys in besides.items() if s not in given or len(keys) > 1}
    each = {s: _one_or_all([sum_of(cts[key]) for key in keys]) for s, keys in besides.items() if keys}
    given.update({s: _nothing(given[s]) for s in each.keys() & given.keys()})
    others = run.used - given.keys() - each.keys() if k == 0 else ()
    each.update({s: [sum_of(nodes)] for s, nodes in totals.items()})
    beside = tuple(sorted(each.keys() & given.keys()))
    partly = any(len(keys) not in (0, rest.steps) for keys in besides.values())
    if partly or any(newest[s] in cts for s in others):
        return False
    types = rest.types
    mask = tuple([p for p, t in enumerate(types) if t.inexact and _is_active(path, rest, p)])
    back = _backward(rest.fragment, run.pattern, mask, frozenset(given), frozenset(each), beside)
    if back is None:
        return False
    call = repeat(run, rest, back.plan, back.links, given, each, back.sums, back.apart)
    for p, slot in back.results.items():
        own = run.pattern[p] == EACH
        for step, node in enumerate(rest.column(p) if own else rest.oldest[p : p + 1]):
            key = key_of(node)
            if key in path.active:
                cts.setdefault(key, []).append(result(call, (slot, step) if own else slot, types[p]))
    return True


class _Backward(NamedTuple):
    """A step back through a run: its plan, which results (by operand) are the cotangents `links` of the step before,
    and which slots are `sums` over all steps, or each step's own, `apart`."""

    plan: Plan
    results: dict[int, int]
    links: dict[int, int]
    sums: tuple[int, ...]
    apart: tuple[int, ...]


def _backward(
    f: Fragment,
    pattern: tuple[int, ...],
    mask: tuple[int, ...],
    given: frozenset[int],
    each: frozenset[int],
    beside: tuple[int, ...],
) -> _Backward | None:
    """The step back of calls of a fragment in a pattern, made once; None where the cotangents that come out are not
    those that went in."""
    key = ("backward", pattern, mask, given, each, beside)
    if key in f.cache:
        return f.cache[key]  # type: ignore[no-any-return]
    plan = vjp_plan(f, tuple(sorted(given | each)), mask, beside, _together(pattern, mask))
    results = {p: plan.results[p] for p in mask if p in plan.results}
    links = {pattern[p]: slot for p, slot in results.items() if pattern[p] >= 0}
    of_kind = {kind: {slot for p, slot in results.items() if pattern[p] == kind} for kind in (SAME, EACH)}
    going = [set(links.values()), of_kind[SAME], of_kind[EACH]]
    closed = links.keys() == given and len(going[0]) == len(links) and len(set().union(*going)) == sum(map(len, going))
    sums, apart = tuple(sorted(of_kind[SAME])), tuple(sorted(of_kind[EACH]))
    made = f.cache[key] = _Backward(plan, results, links, sums, apart) if closed else None
    return made


def _together(pattern: Sequence[int], mask: Sequence[int]) -> tuple[tuple[int, ...], ...]:
    """The operands in a mask that are the same result of the call before."""
    of: dict[int, list[int]] = {}
    for p in mask:
        if pattern[p] >= 0:
            of.setdefault(pattern[p], []).append(p)
    return tuple(tuple(group) for group in of.values() if len(group) > 1)


def _nothing(like: Node) -> Node:
    """What comes from the call after the newest: zeros."""
    zeros = np.zeros(like.type.shape, like.type.dtype)
    zeros.setflags(write=False)
    return leaf(zeros, False)


def _one_or_all(nodes: list[Node]) -> list[Node]:
    """The node, where all are the same."""
    return nodes[:1] if len(set(map(id, nodes))) == 1 else nodes


def _is_active(path: Path, run: Any, p: int) -> bool:
    """Whether operand p depends on a node differentiated by, in any of the calls."""
    kind = run.pattern[p]
    if kind >= 0:
        return True
    operands = run.column(p) if kind == EACH else run.oldest[p : p + 1]
    if all(type(call) is picks.PickCall and path.is_beside(call) for call in {x.call for x in operands}):
        return False
    return any(key_of(x) in path.active for x in operands if x.active)


def jvp(outputs: Sequence[Node], wrt: Sequence[tuple[Node, Node]]) -> list[Node | None]:
    """Tangents of `outputs` from (node, tangent) pairs; None where an output does not depend on any of them."""
    if ALIVE:
        settle([*outputs, *(n for pair in wrt for n in pair)], partly=True)
    with LOCK, Waiting():
        seal([t for _, t in wrt])
        path = Path(outputs, [w for w, _ in wrt], vjp)
        tangents: dict[Key, Node] = {key_of(w): t for w, t in wrt}
        needed = {key_of(out) for out in outputs}
        needed.update(key for step in path.steps for key in step.keys)
        fragments = [_push_forward(step, tangents, needed) for step in path.steps]
        _check_direction(path, [f for f in fragments if f is not None])
        return [_tangent(path, out, tangents) for out in outputs]


def _tangent(path: Path, out: Node, tangents: dict[Key, Node]) -> Node | None:
    key = key_of(out)
    if key in tangents:
        return tangents[key]
    return _zeros(out) if key in path.active else None


def _push_forward(step: Step, tangents: dict[Key, Node], needed: set[Key]) -> Fragment | None:
    """Moves the tangents of a step's inputs to those of its results that somebody needs; the fragment that does it."""
    given = {k: tangents[key] for k, key in enumerate(step.keys) if key in tangents}
    wanted: dict[int, list[Key]] = {}
    for slot, key in step.outs:
        if key in needed and key not in tangents:
            wanted.setdefault(slot, []).append(key)
    if not given or not wanted:
        return None
    if step.kind == "sum":
        tangents[wanted[0][0]] = sum_of(list(given.values()))
        return None
    plan = jvp_plan(step.fragment, tuple(sorted(given)), tuple(sorted(wanted)))
    if not plan.results:
        return None
    derived = _derived_call(step, plan, {("tangent", k): t for k, t in given.items()})
    derived.nodes = []
    env = step.fragment.environment([i.type for i in step.inputs], step.words)
    for slot, keys in wanted.items():
        if slot in plan.results:
            tangent = _result(derived, plan.results[slot], type_at(step.fragment, slot, env), derived.active)
            tangents.update(dict.fromkeys(keys, tangent))
    return plan.fragment


def _check_direction(path: Path, derived: Sequence[Fragment]) -> None:
    """Raises for forward mode of a function whose rule is for reverse mode, but in the derivative of a gradient."""
    only = [i.op for f in derived for i in f.instrs if i.op.direction == "linear"]
    if only and not any(
        s.fragment and any(i.op.direction == "pullback" for i in s.fragment.instrs) for s in path.steps
    ):
        raise DifferentiationError(
            "forward mode of a function that has a rule for reverse mode alone",
            operation=f"custom_vjp of {only[0].function.rule.name}",  # type: ignore[attr-defined]
            hint="use reverse mode (nbg.grad, nbg.vjp, nbg.jacrev), or give it a rule by nbg.custom_jvp",
        )


def _zeros(like: Node) -> Node:
    """An exact zero, as a value."""
    from nbgraph.leaves import scalar
    from nbgraph.op import REGISTRY
    from nbgraph.trace import record

    op, sizes = REGISTRY["broadcast_to"].bind([scalar(0, like.type.code).type], shape=like.type.shape)
    return record(op, [scalar(0, like.type.code)], sizes)  # type: ignore[no-any-return]


__all__ = ["Path", "jvp", "key_of", "seal", "slot_node", "value_of", "vjp"]
