"""Derivatives of the graph of calls: `vjp` and `jvp`.

In: output nodes with cotangents (or input nodes with tangents), and the nodes to differentiate by. The open tail is
sealed first. Out: nodes: calls of derived fragments, one for each call between, unevaluated, differentiable again.
Holds: calls stay flat: the gradient of K calls of a fragment is K calls of its backward fragment. Nothing older than
the oldest node differentiated by is visited. Dropped history raises; it is never a zero.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterable, Mapping, Sequence
from heapq import heappop, heappush
from operator import attrgetter
from typing import Any

import numpy as np

from nbgraph import inline, joins, picks, repeats
from nbgraph.collector import WAITING
from nbgraph.decided import ALIVE
from nbgraph.errors import DifferentiationError, describe
from nbgraph.fragment import Fragment, size_at
from nbgraph.parts import Part, plain_call
from nbgraph.picks import PickCall, PlaceCall, is_pick, take
from nbgraph.plans import Piece, Plan, cut_at, jvp_plan, vjp_plan
from nbgraph.repeats import Run, call_environment, repeat, result, run_from, slot_node, type_at
from nbgraph.seal import commit, draft
from nbgraph.settle import settle
from nbgraph.stretch import EACH, SAME
from nbgraph.trace import (
    LOCK,
    AliasCall,
    Dropped,
    FragmentCall,
    JoinCall,
    Node,
    SumCall,
    leaf,
    new_node,
    sum_of,
    value_of,
)
from nbgraph.turns import fuse, may_be_part
from nbgraph.types import Size

Key = tuple[int, Any]


def key_of(node: Node) -> Key:
    """Identity of a value in the graph of calls: (call, slot), or the leaf itself."""
    call = node.call
    if type(call) is FragmentCall or type(call) is PickCall:
        return id(call), node.slot
    return (id(node), -1) if call is None or type(call) is Dropped else (id(call), -1)


def seal(nodes: Sequence[Node]) -> None:
    """Seals the open operations below nodes without running them (but for what decides sizes)."""
    if ALIVE:
        settle(nodes, partly=True)
    with LOCK:
        rest = []
        for node in nodes:
            if is_pick(node):
                take(node)
            else:
                rest.append(node)
        for d in draft(rest) if rest else ():
            commit(d, None)


_NOTHING: set[int] = set()
_seq = attrgetter("seq")
#: So many of a run's newest calls may be pulled back one by one before the rest is, at once.
_TRIES = 3
_PLAIN = (FragmentCall, SumCall, Dropped, type(None))


class _Step:
    """A call on the path: (a piece of) a fragment call, a sum, an alias, a join, a checkpointed part; or a run.

    `outs` pairs its slots, those that somebody uses, with keys (equal values of a piece share a slot); `origin` is the
    call and, for a piece, which slot of the call each of its own is.
    """

    __slots__ = ("fragment", "inputs", "keys", "kind", "origin", "outs", "words")

    def __init__(self, kind: str, inputs: Sequence[Node], outs: Iterable[tuple[int, Key]]) -> None:
        self.kind, self.inputs, self.outs = kind, inputs, tuple(outs)
        self.keys = [key_of(i) for i in inputs]
        self.fragment: Any = None
        self.words: Sequence[Size] = ()
        self.origin: Any = None


class Path:
    """The calls between the nodes differentiated by and the outputs, oldest first.

    With `runs`, many calls of one loop are one step, of kind "run".
    """

    def __init__(self, outputs: Sequence[Node], wrt: Sequence[Node], runs: bool = False) -> None:
        self.runs = runs and all(w.active for w in wrt)
        seal([n for n in (*outputs, *wrt) if n.op is not None])
        for w in wrt:  # before it is known by what it is a value of
            plain_call(w, vjp, self.runs)
        self.wrt = {key_of(w): w for w in wrt}
        self.here: dict[int, set[int]] = {}  # by call, its slots that are differentiated by
        for w in wrt:
            self.here.setdefault(id(w.call), set()).add(w.slot)
        self.oldest = min((w.seq for w in wrt), default=0)
        self.passive = any(not w.active for w in wrt)
        self.met: set[Key] = set()
        self.kept: list[Any] = []  # keeps alive what is known by id
        calls = self._calls(outputs)
        if self.runs and self._fuse(calls, outputs):
            self.met.clear()
            calls = self._calls(outputs)
        self.steps = self._active(self.steps_of(calls))

    def _calls(self, outputs: Sequence[Node]) -> list[tuple[Any, Node, set[int]]]:
        """Every call that outputs depend on and that is young enough, with the slots that are used of it.

        Youngest first, so that a call is met when all that uses it is known. The place of a run is that of its
        newest call.
        """
        self._found: dict[int, tuple[Any, Node, set[int]]] = {}
        self._waiting: list[tuple[int, int]] = []
        self._visit(outputs)
        ordered: list[tuple[Any, Node, set[int]]] = []
        while self._waiting:
            _, key = heappop(self._waiting)
            call, node, used = self._found[key]
            run = self._run(call, used) if self.runs and id(call) not in self.here else None
            ordered.append((call if run is None else run, node, used))
            self._visit(call.inputs if run is None else (*run.calls[-1].inputs, *run.each))
            if type(call) is FragmentCall and call.origin is not None and call.origin[0] is not None:
                # What it was derived from it depends on, if only by an exact zero.
                self._visit(call.origin[0].inputs)
        return ordered[::-1]

    def _fuse(self, calls: Sequence[tuple[Any, Node, set[int]]], outputs: Sequence[Node]) -> bool:
        """Makes calls of several fragments by turns calls of one; whether there were any."""
        if len(calls) < 2 * repeats.SHORTEST:
            return False
        parts = [c for c, _, _ in calls if type(c) is FragmentCall and id(c) not in self.here and may_be_part(c)]
        if len(parts) < 2 * repeats.SHORTEST:
            return False
        nodes: dict[int, dict[int, Node]] = {id(c): {} for c in parts}
        for used in (outputs, *(call.inputs for call, _, _ in calls if type(call) is not Run)):
            for node in used:
                if id(node.call) in nodes:
                    nodes[id(node.call)][id(node)] = node
        for run in (call for call, _, _ in calls if type(call) is Run):
            for node in (i for c in run.calls for i in c.inputs if id(i.call) in nodes):
                nodes[id(node.call)][id(node)] = node
        return fuse(sorted(parts, key=_seq), {key: list(found.values()) for key, found in nodes.items()})

    def _visit(self, nodes: Iterable[Node]) -> None:
        """Notes what calls nodes are values of."""
        for node in nodes:
            call = node.call if type(node.call) in _PLAIN else plain_call(node, vjp, self.runs)
            self.met.add((id(call), node.slot) if type(call) is FragmentCall else key_of(node))
            if node.seq < self.oldest or call is None:
                continue
            if type(call) is Dropped:
                self._dropped(node)
                continue
            entry = self._found.get(id(call))
            if entry is None:
                entry = self._found[id(call)] = (call, node, set())
                heappush(self._waiting, (-call.seq, id(call)))
            entry[2].add(node.slot)

    def _run(self, call: Any, used: set[int]) -> Run | None:
        """The run that ends with a call: older ones that nothing else waits for, of which others use the same slots.

        They wait no longer.
        """
        waiting, found = self._waiting, self._found
        taken: list[tuple[int, int]] = []
        beside: Any = None

        def admits(older: FragmentCall) -> bool:
            nonlocal beside
            key = id(older)
            if older.seq < self.oldest or key in self.here or (waiting and -waiting[0][0] > older.seq):
                return False
            others = found[key][2] if key in found else _NOTHING
            if beside is None:
                beside = others
            if others != beside:
                return False
            if waiting and waiting[0][1] == key:
                taken.append(heappop(waiting))
            return True

        run = run_from(call, used, admits)
        inside = set(map(id, run.calls)) if run else ()
        for entry in taken:
            if entry[1] not in inside:
                heappush(waiting, entry)
        return run and run._replace(beside=beside)

    def _dropped(self, node: Node) -> None:
        """A value without history may depend on what we differentiate by only if that is not differentiable."""
        if self.passive and key_of(node) not in self.wrt:
            raise DifferentiationError(
                "history was dropped: a value on the path was evaluated while it depended on no differentiable leaf",
                operation="grad",
                got=f"dropped by the eval at {describe(node.call.site)}",
                hint="make what you differentiate by with TracedTensor.from_tensor, not nbg.constant",
            )

    def steps_of(self, calls: Iterable[tuple[Any, Node, set[int]]]) -> list[_Step]:
        """Steps for calls, each with a node of it and the slots that are used."""
        steps: list[_Step] = []
        for call, node, used in calls:
            if type(call) is Run:
                outs = [(s, (id(call.calls[0]), s)) for s in call.used]
                outs += [(s, (id(c), s)) for c in call.calls[1:] for s in call.beside]
                step = _Step("run", (*call.calls[-1].inputs, *call.each), outs)
                step.origin = call
                steps.append(step)
            elif type(call) is FragmentCall:
                steps += self.fragment_steps(call, used)
            elif type(call) is Part:
                step = _Step("part", call.inputs, [(s, (call.key(s), -1)) for s in used])
                step.origin = call
                steps.append(step)
            elif type(call) is JoinCall:
                step = _Step("join", call.inputs, [(0, key_of(node))])
                step.origin = call
                steps.append(step)
            elif type(call) is PickCall:
                step = _Step("pick", call.inputs, [(s, (id(call), s)) for s in used])
                step.origin = call
                steps.append(step)
            elif type(call) is PlaceCall:
                step = _Step("place", call.inputs, [(0, key_of(node))])
                step.origin = call
                steps.append(step)
            elif type(call) in (SumCall, AliasCall):
                steps.append(_Step("sum", call.inputs, [(0, key_of(node))]))
        return steps

    def fragment_steps(self, call: FragmentCall, used: set[int]) -> list[_Step]:
        """The call as one step, or as pieces where a value inside it is differentiated by and used inside it."""
        f = call.fragment
        here = self.here.get(id(call))
        inside = {i for instr in f.instrs for i in instr.ins} if here else ()
        cuts = tuple(s for s in sorted(here) if s in inside) if here else ()
        if not cuts:
            step = _Step("call", call.inputs, [(s, (id(call), s)) for s in used])
            step.fragment, step.words, step.origin = f, call.words, (call, None)
            return [step]
        return [self._piece_step(call, piece) for piece in cut_at(f, cuts, tuple(sorted(used)))]

    def _piece_step(self, call: FragmentCall, piece: Piece) -> _Step:
        inputs = [call.inputs[k] if kind == "input" else slot_node(call, k) for kind, k in piece.sources]
        self.kept += inputs
        self.met.update(key_of(i) for i in inputs)
        step = _Step("call", inputs, [(piece.slots[s], (id(call), s)) for s in piece.wanted])
        env = call_environment(call) if piece.words else {}
        step.fragment = piece.fragment
        step.words = tuple(size_at(w, env) for w in piece.words)
        step.origin = (call, {mine: theirs for theirs, mine in piece.slots.items()})
        return step

    def _active(self, steps: Sequence[_Step]) -> list[_Step]:
        """The steps that depend on a node differentiated by; marks what they give as depending on it too."""
        self.active: set[Key] = set(self.wrt)
        found = []
        for step in steps:
            if not self.active.isdisjoint(step.keys):
                self.active.update(key for _, key in step.outs)
                found.append(step)
        return found

    def mask(self, step: _Step) -> tuple[int, ...]:
        """The positions of a step's inputs that depend on a node differentiated by."""
        active, inputs = self.active, step.inputs
        return tuple([k for k, key in enumerate(step.keys) if key in active and inputs[k].type.inexact])


def _derived_call(step: _Step, plan: Plan, given: Mapping[tuple[str, int], Node]) -> FragmentCall:
    """A call of a derived fragment, its inputs gathered from where the plan says."""
    call, slot_map = step.origin
    inputs = []
    for source in plan.sources:
        kind, which = source
        if kind == "input":
            inputs.append(step.inputs[which])
        elif kind == "saved":
            inputs.append(slot_node(call, which if slot_map is None else slot_map[which]))
        else:
            inputs.append(given[source])
    words = plan.words_at(step.fragment, tuple([i.type for i in step.inputs]), step.words) if plan.words else ()
    derived = FragmentCall(plan.fragment, tuple(inputs), words, None)
    derived.origin = (call if slot_map is None else None, plan)
    return derived


def _result(call: FragmentCall, slot: int, like: Any, active: bool) -> Node:
    """A node for a value of a derived call that has not run."""
    node = new_node(like, active)
    node.call, node.slot = call, slot
    assert call.nodes is not None
    call.nodes.append((slot, weakref.ref(node)))
    return node


def vjp(outputs: Sequence[tuple[Node, Node]], wrt: Sequence[Node]) -> list[Node | None]:
    """Cotangents of `wrt` from (output, cotangent) pairs; None where an output does not depend on it at all,
    a zero node where it does and the derivative is exactly zero."""
    if ALIVE:
        settle([n for pair in outputs for n in pair], partly=True)
    if len(outputs) == 1 and outputs[0][0].op is not None:
        recorded = inline.gradient(*outputs[0], wrt) if wrt else None
        if recorded is not None:
            return list(recorded)
    with LOCK, WAITING:
        seal([ct for _, ct in outputs])
        if len(outputs) == 1:
            found = _through_one_call(*outputs[0], wrt)
            if found is not None:
                return found
        path = Path([out for out, _ in outputs], wrt, runs=True)
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
    keys, oldest = list(map(key_of, wrt)), min((w.seq for w in wrt), default=0)
    inputs = [(p, key_of(i), i) for p, i in enumerate(call.inputs) if i.active]
    if any(key not in keys and i.call is not None and i.seq > oldest for _, key, i in inputs):
        return None  # it may be made of one of them
    if any(w.call is not None and w.seq > oldest for w in wrt) or not {k for _, k, _ in inputs}.issuperset(keys):
        return None
    mask = tuple([p for p, key, i in inputs if key in keys and i.type.inexact])
    plan = vjp_plan(call.fragment, (out.slot,), mask)
    step = _Step("call", call.inputs, ())
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


def _pull_back(path: Path, step: _Step, cts: dict[Key, list[Node]]) -> None:
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


def _apply(step: _Step, plan: Plan, taken: Mapping[int, Node], mask: Sequence[int], cts: dict[Key, list[Node]]) -> None:
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


def _pull_back_run(path: Path, run: Run, cts: dict[Key, list[Node]]) -> None:
    """Moves the cotangents of a run's newest call to the operands of its oldest, and to those that stay the same.

    Call by call, until the cotangents of one call are those that go on; then the rest at once.
    """
    used, carried = run.used, set(run.carried)
    for k, call in enumerate(run.calls):
        rest = run.calls[k:]
        # What the newest calls do not settle, none of the others will.
        if k < _TRIES and len(rest) >= repeats.SHORTEST and _pull_back_at_once(path, run, rest, cts):
            return
        if k + 1 < len(run.calls):
            path.active.update((id(run.calls[k + 1]), s) for s in carried)
        for step in path.fragment_steps(call, used):
            _pull_back(path, step, cts)
        used = carried | run.beside


def _pull_back_at_once(path: Path, run: Run, calls: Sequence[FragmentCall], cts: dict[Key, list[Node]]) -> bool:
    """Does it if the cotangents of the newest call are just those that every other call will have."""
    newest, oldest = calls[0], calls[-1]
    given = {s: sum_of(cts[id(newest), s]) for s in run.carried if (id(newest), s) in cts}
    of_each = {s: [cts[id(c), s] for c in calls if (id(c), s) in cts] for s in run.beside}
    of_each = {s: found for s, found in of_each.items() if s not in given or len(found) > 1}
    each = {s: _one_or_all([sum_of(nodes) for nodes in found]) for s, found in of_each.items() if found}
    beside = tuple(sorted(each.keys() & given.keys()))
    given.update({s: _nothing(given[s]) for s in beside})
    if not given:
        return not each and not any((id(newest), s) in cts for s in run.used)
    others = run.used - given.keys() - each.keys() if newest is run.calls[0] else ()
    partly = any(len(found) not in (0, len(calls)) for found in of_each.values())
    if partly or any((id(newest), s) in cts for s in others):
        return False
    mask = tuple([p for p, i in enumerate(newest.inputs) if i.type.inexact and _is_active(path, calls, run.pattern, p)])
    together = _together(run.pattern, mask)
    plan = vjp_plan(newest.fragment, tuple(sorted({*given, *each})), mask, beside, together)
    results = {p: plan.results[p] for p in mask if p in plan.results}
    going: dict[int, set[int]] = {kind: set() for kind in (SAME, EACH)}
    for p, slot in results.items():
        if run.pattern[p] < 0:
            going[run.pattern[p]].add(slot)
    links = {run.pattern[p]: slot for p, slot in results.items() if run.pattern[p] >= 0}
    apart = [set(links.values()), going[SAME], going[EACH]]
    if links.keys() != given.keys() or len(apart[0]) != len(links) or len(set().union(*apart)) != sum(map(len, apart)):
        return False
    call = repeat(calls, plan, links, given, each, going[SAME], going[EACH])
    for p, slot in results.items():
        for k, of in enumerate(calls if run.pattern[p] == EACH else [oldest]):
            key = key_of(of.inputs[p])
            if key in path.active:
                place = (slot, k) if run.pattern[p] == EACH else slot
                cts.setdefault(key, []).append(result(call, place, newest.inputs[p].type))
    return True


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


def _is_active(path: Path, calls: Sequence[FragmentCall], pattern: Sequence[int], p: int) -> bool:
    """Whether operand p depends on a node differentiated by, in any of the calls."""
    if pattern[p] >= 0:
        return True
    operands = [c.inputs[p] for c in (calls if pattern[p] == EACH else calls[:1])]
    return any(key_of(x) in path.active for x in operands if x.active)


def jvp(outputs: Sequence[Node], wrt: Sequence[tuple[Node, Node]]) -> list[Node | None]:
    """Tangents of `outputs` from (node, tangent) pairs; None where an output does not depend on any of them."""
    if ALIVE:
        settle([*outputs, *(n for pair in wrt for n in pair)], partly=True)
    with LOCK, WAITING:
        seal([t for _, t in wrt])
        path = Path(outputs, [w for w, _ in wrt])
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


def _push_forward(step: _Step, tangents: dict[Key, Node], needed: set[Key]) -> Fragment | None:
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
    from nbgraph.op import REGISTRY
    from nbgraph.trace import record, scalar

    op, sizes = REGISTRY["broadcast_to"].bind([scalar(0, like.type.code).type], shape=like.type.shape)
    return record(op, [scalar(0, like.type.code)], sizes)  # type: ignore[no-any-return]


__all__ = ["Path", "jvp", "key_of", "seal", "slot_node", "value_of", "vjp"]
