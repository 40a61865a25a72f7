"""The way from what is differentiated by to the outputs: what is sealed, what is met, in which steps.

In: output nodes and the nodes differentiated by. Out: a `Path` of steps, oldest first: calls, pieces of calls that are
cut at a node differentiated by, runs of calls of one loop.
Holds: nothing older than the oldest node differentiated by is visited. Dropped history raises; it is never a zero.
Calls of several fragments by turns become calls of one on the way.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from heapq import heappop, heappush
from itertools import groupby
from operator import attrgetter
from typing import Any

from nbgraph.again import made_again
from nbgraph.calls import AliasCall, Dropped, FragmentCall, JoinCall, SumCall
from nbgraph.decided import ALIVE
from nbgraph.errors import DifferentiationError, describe
from nbgraph.fragment import size_at
from nbgraph.loops import LONG, TOTAL, LoopCall, dissolve
from nbgraph.node import LOCK, Node
from nbgraph.parts import Part, Vjp, plain_call
from nbgraph.picks import PickCall, PlaceCall, is_pick, take, take_lists
from nbgraph.plans import Piece, cut_at
from nbgraph.repeats import SHORTEST, LoopRun, Run, call_environment, run_from, slot_node
from nbgraph.seal import commit, draft
from nbgraph.settle import settle
from nbgraph.stretch import Pauses, admitted_by
from nbgraph.turns import fuse, may_be_part, to_round
from nbgraph.types import Size

Key = tuple[int, Any]


def key_of(node: Node) -> Key:
    """Identity of a value in the graph of calls: (call, slot), or the leaf itself."""
    call = node.call
    if type(call) is FragmentCall or type(call) is PickCall or type(call) is LoopCall:
        return id(call), node.slot
    return (id(node), -1) if call is None or type(call) is Dropped else (id(call), -1)


def seal(nodes: Sequence[Node]) -> None:
    """Seals the open operations below nodes without running them (but for what decides sizes)."""
    opened = [node for node in nodes if node.op is not None]
    if not opened:
        return
    if ALIVE:
        settle(opened, partly=True)
    with LOCK:
        rest = []
        for node in opened:
            if is_pick(node):
                take(node)
            else:
                rest.append(node)
        for d in draft(rest, take_lists) if rest else ():
            commit(d, None)


_NOTHING: set[int] = set()
_seq = attrgetter("seq")
_PLAIN = (FragmentCall, SumCall, Dropped, type(None))


class Step:
    """A call on the path: (a piece of) a fragment call, a sum, an alias, a join, a checkpointed part; or a run.

    `outs` pairs its slots, those that somebody uses, with keys (equal values of a piece share a slot); `origin` is the
    call and, for a piece, which slot of the call each of its own is; for a row of a loop the loop and its number.
    """

    __slots__ = ("fragment", "inputs", "keys", "kind", "origin", "outs", "piece", "words")

    def __init__(self, kind: str, inputs: Sequence[Node], outs: Iterable[tuple[int, Key]]) -> None:
        self.kind, self.inputs, self.outs = kind, inputs, tuple(outs)
        self.keys = [key_of(i) for i in inputs]
        self.fragment: Any = None
        self.words: Sequence[Size] = ()
        self.origin: Any = None
        self.piece: Piece | None = None


class Path:
    """The calls between the nodes differentiated by and the outputs, oldest first.

    With `runs`, many calls of one loop are one step, of kind "run". `vjp` is for what has to be taken apart on the way.
    The way goes no further than `ends`.
    """

    def __init__(
        self, outputs: Sequence[Node], wrt: Sequence[Node], vjp: Vjp, runs: bool = False, ends: Sequence[Node] = ()
    ) -> None:
        self._vjp = vjp
        self.runs = runs and all(w.active for w in wrt)
        seal([n for n in (*outputs, *wrt) if n.op is not None])
        for w in (*wrt, *ends):  # before it is known by what it is a value of
            plain_call(w, vjp, self.runs)
            to_round(w)
            if type(w.call) is LoopCall:
                dissolve(w.call)
        self.wrt = {key_of(w): w for w in wrt}
        self.here: dict[int, dict[Any, Node]] = {}  # by call, its slots that are differentiated by
        for w in (*wrt, *ends):
            self.here.setdefault(id(w.call), {})[w.slot] = w
        self._inner = any(type(w.call) is FragmentCall for w in (*wrt, *ends))
        self.ends = {key_of(e) for e in ends}
        self.oldest = min((w.seq for w in wrt), default=0)
        self.passive = any(not w.active for w in wrt)
        self.met: set[Key] = set()
        self.kept: list[Any] = []  # keeps alive what is known by id
        self._beside: dict[int, bool] = {}
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
        pauses = Pauses()
        self._visit(outputs)
        ordered: list[tuple[Any, Node, set[int]]] = []
        while self._waiting:
            _, key = heappop(self._waiting)
            call, node, used = self._found[key]
            if type(call) is LoopCall:
                run: Any = self._loop(call, used)
                if run is None:
                    continue
            else:
                run = None
                may_end = self.runs and type(call) is FragmentCall and not self._is_cut(call)
                if may_end and pauses.are_over(call.fragment):
                    run = self._run(call, used)
                    pauses.note(call.fragment, run is not None)
            ordered.append((call if run is None else run, node, used))
            self._visit(call.inputs if run is None else (*run.oldest, *run.each))
            if type(call) is FragmentCall and call.origin is not None and call.origin[0] is not None:
                # What it was derived from it depends on, if only by an exact zero.
                self._visit(call.origin[0].inputs)
            if type(call) is FragmentCall:
                self._visit(self._again(call).values())
        return ordered[::-1]

    def _again(self, call: FragmentCall) -> dict[int, Node]:
        """What a call makes again of the values that are differentiated by, by its slots."""
        return made_again(call, self.here) if self._inner and call.origin is not None else {}

    def _is_cut(self, call: FragmentCall) -> bool:
        """Whether there is a value inside of a call that is differentiated by."""
        return id(call) in self.here or bool(self._again(call))

    def _fuse(self, calls: Sequence[tuple[Any, Node, set[int]]], outputs: Sequence[Node]) -> bool:
        """Makes calls of several fragments by turns calls of one; whether there were any.

        Not where there are runs between them, loops inside of a round: such rounds would be no run either."""
        stretches = [
            [c for c in between if type(c) is FragmentCall and not self._is_cut(c) and may_be_part(c)]
            for is_run, between in groupby((c for c, _, _ in calls), lambda c: type(c) in _RUNS)
            if not is_run
        ]
        stretches = [parts for parts in stretches if len(parts) >= 2 * SHORTEST]
        if not stretches:
            return False
        nodes: dict[int, dict[int, Node]] = {id(c): {} for parts in stretches for c in parts}
        for used in (outputs, *(call.inputs for call, _, _ in calls if type(call) not in _RUNS)):
            for node in used:
                if id(node.call) in nodes:
                    nodes[id(node.call)][id(node)] = node
        for run in (call for call, _, _ in calls if type(call) in _RUNS):
            operands = run.loop.inputs if type(run) is LoopRun else (i for c in run.calls for i in c.inputs)
            for node in (i for i in operands if id(i.call) in nodes):
                nodes[id(node.call)][id(node)] = node
        values = {key: list(found.values()) for key, found in nodes.items()}
        fused = [fuse(sorted(parts, key=_seq), values) for parts in stretches]
        return any(fused)

    def _visit(self, nodes: Iterable[Node]) -> None:
        """Notes what calls nodes are values of."""
        for node in nodes:
            if type(node.call) is PickCall and self.is_beside(node.call):
                continue
            if self._inner:  # else it does not matter which of two calls that are the same it is a value of
                to_round(node)
            call = node.call if type(node.call) in _PLAIN else plain_call(node, self._vjp, self.runs)
            key = (id(call), node.slot) if type(call) is FragmentCall else key_of(node)
            self.met.add(key)
            if node.seq < self.oldest or call is None or key in self.ends:
                continue
            if type(call) is Dropped:
                self._dropped(node)
                continue
            self._entry(call, node)[2].add(node.slot)

    def is_beside(self, call: PickCall) -> bool:
        """Whether slices are of a leaf, and neither it nor one of them is differentiated by: what a loop reads."""
        found = self._beside.get(id(call))
        if found is None:
            of = call.inputs[0]
            known = self.wrt.keys() | self.ends
            is_leaf = self.runs and of.op is None and of.call is None
            found = self._beside[id(call)] = is_leaf and id(call) not in self.here and key_of(of) not in known
            self.kept.append(call)
        return found

    def _entry(self, call: Any, node: Node) -> tuple[Any, Node, set[Any]]:
        """What is known of a call, which waits from now on."""
        entry = self._found.get(id(call))
        if entry is None:
            entry = self._found[id(call)] = (call, node, set())
            heappush(self._waiting, (-call.seq, id(call)))
        return entry

    def _loop(self, loop: LoopCall, used: set[Any]) -> LoopRun | None:
        """A loop as a run, if others than the next row use the same slots of every row; else it becomes its calls,
        which wait."""
        self.kept.append(loop)
        loop.close()
        newest = loop.n - 1
        totals = frozenset(slot for slot, k in used if k == TOTAL)
        last = {slot for slot, k in used if k == newest}
        beside = Counter(slot for slot, k in used if TOTAL < k < newest)
        if loop.n >= LONG and all(times == newest for times in beside.values()) and not totals & beside.keys():
            return LoopRun(loop, loop.n, last, set(beside), totals)
        sums = [node for node in loop.living() if node.slot in used and node.slot[1] == TOTAL]
        calls = dissolve(loop)
        self._visit(sums)
        for slot, k in used:
            if k != TOTAL:
                self._entry(calls[k], calls[k].inputs[0])[2].add(slot)
        return None

    def opened(self, run: LoopRun, done: int, cts: dict[Key, Any]) -> Run:
        """A run of a loop that cannot be pulled back at once, as one of calls, of which so many are done."""
        calls = run.calls
        for slot in {*run.used, *run.carried, *run.beside}:
            for call, key in zip(calls, run.keys(slot), strict=True):
                if key in cts:
                    cts[id(call), slot] = cts.pop(key)
                if key in self.active:
                    self.active.add((id(call), slot))
        for slot in run.totals:
            for call in calls[done:] if run.total_key(slot) in cts else ():
                cts.setdefault((id(call), slot), []).extend(cts[run.total_key(slot)])
        return Run(calls, run.pattern, run.used, run.beside | run.totals)

    def _run(self, call: Any, used: set[int]) -> Run | None:
        """The run that ends with a call: older ones that nothing else waits for, of which others use the same slots.

        They wait no longer.
        """
        waiting, found, here, inner, oldest = self._waiting, self._found, self.here, self._inner, self.oldest
        taken: list[tuple[int, int]] = []
        beside: Any = None

        def admits(older: FragmentCall) -> bool:
            nonlocal beside
            key, seq = id(older), older.seq
            if seq < oldest or key in here or (waiting and -waiting[0][0] > seq):
                return False
            if inner and self._again(older):
                return False
            entry = found.get(key)
            others = _NOTHING if entry is None else entry[2]
            if beside is None:
                beside = others
            elif others is not beside and others != beside:
                return False
            if waiting and waiting[0][1] == key:
                taken.append(heappop(waiting))
            return True

        def admitted(calls: Sequence[FragmentCall]) -> int:
            """At once, where nothing else is known of them or waits, as in a loop alone."""
            nonlocal beside
            plain = calls and not waiting and not inner and calls[-1].seq >= oldest and beside in (None, _NOTHING)
            ids = set(map(id, calls)) if plain else ()
            if not plain or not found.keys().isdisjoint(ids) or not here.keys().isdisjoint(ids):
                return one_by_one(calls)
            beside = _NOTHING
            return len(calls)

        one_by_one = admitted_by(admits)
        run = run_from(call, used, admitted)
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

    def steps_of(self, calls: Iterable[tuple[Any, Node, set[int]]]) -> list[Step]:
        """Steps for calls, each with a node of it and the slots that are used."""
        steps: list[Step] = []
        for call, node, used in calls:
            if type(call) in _RUNS:
                outs = [(s, call.key(s)) for s in call.used]
                outs += [(s, key) for s in call.beside for key in call.keys(s, 1)]
                outs += [(s, call.total_key(s)) for s in call.totals]
                step = Step("run", (*call.oldest, *call.each), outs)
                step.origin = call
                steps.append(step)
            elif type(call) is FragmentCall:
                steps += self.fragment_steps(call, used)
            elif type(call) in _KINDS:
                steps.append(_whole_step(call, node, used))
        return steps

    def fragment_steps(self, call: FragmentCall, used: set[int]) -> list[Step]:
        """The call as one step, or as pieces where a value inside it is differentiated by and used inside it."""
        f, here, again = call.fragment, self.here.get(id(call)), self._again(call)
        inside = {i for instr in f.instrs for i in instr.ins} if here or again else ()
        again = {s: node for s, node in again.items() if s in inside and s not in used}
        cuts = tuple(s for s in sorted({*(here or ()), *again}) if s in inside)
        if not cuts:
            step = Step("call", call.inputs, [(s, (id(call), s)) for s in used])
            step.fragment, step.words, step.origin = f, call.words, (call, None)
            return [step]
        pieces = cut_at(f, cuts, tuple(sorted(used)))
        return [self._piece_step(call, piece, again) for piece in pieces if not again.keys() & piece.wanted]

    def steps_at(self, run: Any, k: int, used: set[int]) -> list[Step]:
        """Call k of a run as steps."""
        if type(run) is Run:
            return self.fragment_steps(run.calls[k], used)
        rest = run.without(k)
        step = Step("call", rest.newest, [(s, rest.key(s)) for s in used])
        step.fragment, step.words, step.origin = rest.fragment, rest.loop.words, (rest.loop, rest.steps - 1)
        self.kept += step.inputs
        return [step]

    def _piece_step(self, call: FragmentCall, piece: Piece, again: Mapping[int, Node]) -> Step:
        inputs = [
            call.inputs[k] if kind == "input" else again[k] if k in again else slot_node(call, k)
            for kind, k in piece.sources
        ]
        self.kept += inputs
        self.met.update(key_of(i) for i in inputs)
        step = Step("call", inputs, [(piece.slots[s], (id(call), s)) for s in piece.wanted])
        env = call_environment(call) if piece.words else {}
        step.fragment = piece.fragment
        step.words = tuple(size_at(w, env) for w in piece.words)
        step.origin, step.piece = (call, {mine: theirs for theirs, mine in piece.slots.items()}), piece
        return step

    def _active(self, steps: Sequence[Step]) -> list[Step]:
        """The steps that depend on a node differentiated by; marks what they give as depending on it too."""
        self.active: set[Key] = set(self.wrt)
        found = []
        for step in steps:
            if not self.active.isdisjoint(step.keys):
                self.active.update(key for _, key in step.outs)
                found.append(step)
        return found

    def mask(self, step: Step) -> tuple[int, ...]:
        """The positions of a step's inputs that depend on a node differentiated by."""
        active, inputs = self.active, step.inputs
        return tuple([k for k, key in enumerate(step.keys) if key in active and inputs[k].type.inexact])


_RUNS = (Run, LoopRun)
#: The kinds of steps of other calls than those of fragments.
_KINDS = {Part: "part", JoinCall: "join", PickCall: "pick", PlaceCall: "place", SumCall: "sum", AliasCall: "sum"}


def _whole_step(call: Any, node: Node, used: set[Any]) -> Step:
    """The step of a call of which `node` is a value."""
    if type(call) is Part:
        outs = [(s, (call.key(s), -1)) for s in used]
    elif type(call) is PickCall:
        outs = [(s, (id(call), s)) for s in used]
    else:
        outs = [(0, key_of(node))]
    step = Step(_KINDS[type(call)], call.inputs, outs)
    step.origin = call
    return step
