"""What a run leaves in the graph.

In: a program's outputs, and the region or the call they are of; or the results of a schedule. Out: structure and values
in the graph, the same whichever way it was.
Holds: what is decided once for a structure, its live nodes and its operands' types is in a route: which output is whose
value. A commit needs the lock. Another thread may have been first; then nothing changes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

import numpy as np

from nbgraph.calls import Dropped, FragmentCall, JoinCall, RepeatCall, SplitCall, SumCall, call_that_ran
from nbgraph.engine.backward import let_go
from nbgraph.engine.pairs import Waiting, still_waits
from nbgraph.engine.rows import ChainRow, Results, Row, draft_slots, slots_of
from nbgraph.engine.runners import Runner
from nbgraph.engine.schedule import Schedule
from nbgraph.engine.series import all_rows
from nbgraph.errors import GENERATED, user_frame
from nbgraph.loops import TOTAL
from nbgraph.match import Found
from nbgraph.moving import moving_words
from nbgraph.node import LOCK, Node, Pack
from nbgraph.parts import ReplayCall
from nbgraph.picks import PickCall, PlaceCall
from nbgraph.resolve import is_computed_once, saved_slots
from nbgraph.seal import Draft, commit
from nbgraph.trace import RECORDING, site_of

Array = np.ndarray[Any, Any]


class Routes(dict[Any, Any]):
    """How an engine runs again what it ran before, by what it depends on: of a region `match.Found.key`."""

    LIMIT = 1024

    def keep(self, key: Any, route: Any) -> Any:
        """Keeps a new route, or False where there can be none."""
        if len(self) >= self.LIMIT:
            self.clear()
        self[key] = route
        return route


class Route:
    """How a region is run: its program, and where its values go. `position`: which output of the program a slot of the
    region is. `runs`: how often Python ran it (`evals`)."""

    __slots__ = (
        "active",
        "commits",
        "committing",
        "fallible",
        "fragment",
        "is_plain",
        "kind",
        "moving",
        "once",
        "root",
        "runner",
        "runs",
        "saved",
        "saved_at",
        "words",
    )

    def __init__(self, runner: Runner, found: Found, words: tuple[Any, ...], position: Mapping[int, int]) -> None:
        plan = found.key[0].plan
        self.runner, self.fragment, self.words, self.active = runner, plan.fragment, words, found.key[2]
        #: The plan, where words may differ from run to run.
        self.moving = plan if moving_words(plan.fragment) else None
        self.kind, self.once = found.key[0].kind, is_computed_once(plan.fragment)
        #: The live nodes, their slots, and which outputs are their values: of a pack several.
        self.commits = [(k, plan.slots[k], _outputs_of(found.nodes[k], plan.slots[k], position)) for k in found.live]
        #: Which output is the last node's, if anybody asks for that.
        self.root: Any = next((p for k, _, p in reversed(self.commits) if k == len(found.nodes) - 1), -1)
        self.fallible = [(plan.slots[k], k) for k in plan.fallible]
        self.saved = saved_slots(plan.fragment) if self.active else ()
        self.saved_at = tuple(position[s] for s in self.saved)
        #: Whether machine code may commit it, and what calls that.
        self.is_plain = self.active and not self.once and all(type(p) is int for _, _, p in self.commits)
        self.committing = _committing(len(self.commits))
        self.runs = 0

    def run(self, found: Found) -> Array | None:
        """Runs the region and makes it part of the graph."""
        words, moved = self.words, None
        if self.moving is not None:
            words = moved = found.words(self.moving)
            if not all(type(w) is int for w in words):
                return None
        arrays: Any = found.arrays
        outs = self.runner.quick(*arrays) if moved is None else None
        if type(outs) is not list:
            outs = self.runner.outputs(arrays, moved)
            if outs is None:
                return None
        with LOCK:
            return outs[self.root] if self.commit(found, words, outs) else None

    def commit(self, found: Found, words: tuple[Any, ...], outs: list[Array]) -> bool:
        """Makes the region part of the graph, as `seal.commit`: a node is open until its value is set. Whether it could
        be: another thread may have computed part of it, and chosen otherwise."""
        nodes = found.nodes
        saved = (self.saved, tuple([outs[p] for p in self.saved_at])) if self.saved else None
        sites = [(slot, site) for slot, k in self.fallible if (site := site_of(nodes[k]))] if self.fallible else None
        if self.is_plain and (commit := RECORDING.commit) is not None:
            self.committing(self, commit, found.outside, words, saved, sites, nodes, outs)
            return True
        call = call_that_ran(self.fragment, found.outside, words, self.active, saved, sites, self.kind)
        history: Any = call if self.active else Dropped(user_frame(), call.seq)
        if self.once and any(nodes[k].op is None for k, _, _ in self.commits):
            return False
        for k, slot, p in self.commits:
            node = nodes[k]
            if node.op is not None:  # else another thread was first
                node.call, node.slot, node.data = history, slot, pick(outs, p)
                node.op, node.inputs, node.sizes = None, (), ()
        return True


@cache
def _committing(count: int) -> Any:
    """The function of a route that gives so many nodes values by machine code, whose arguments are a row."""
    unpacked = "".join(f"(k{j}, s{j}, p{j}), " for j in range(count))
    each = ", ".join(f"nodes[k{j}], s{j}, outs[p{j}]" for j in range(count))
    lines = ["def committing(route, commit, outside, words, saved, sites, nodes, outs):"]
    lines += [f"  {unpacked} = route.commits"] if count else []
    lines += [f"  commit(route.fragment, outside, words, saved, sites, route.kind, {each})"]
    names: dict[str, Any] = {}
    exec(compile("\n".join(lines), GENERATED, "exec"), names)
    return names["committing"]


def live_slots(found: Found) -> set[int]:
    """The slots of a region's fragment that its live nodes stand for."""
    slots = found.key[0].plan.slots
    return {slot for k in found.live for slot in slots_of(found.nodes[k], slots[k])}


def _outputs_of(node: Node, slot: int, position: Mapping[int, int]) -> Any:
    return tuple([position[s] for s in slots_of(node, slot)]) if isinstance(node, Pack) else position[slot]


def pick(outs: Sequence[Array], place: Any) -> Any:
    """The value of a node: an output, or those of a pack."""
    return outs[place] if type(place) is int else tuple([outs[p] for p in place])


class CallRoute:
    """How a call is run: its program, and where its values go. `position`: which output of the program a slot is.
    `runs`: how often Python ran it (`evals`)."""

    __slots__ = ("places", "runner", "runs", "saved", "saved_at", "slots")

    def __init__(self, runner: Runner, call: FragmentCall, slots: tuple[int, ...], position: Mapping[int, int]) -> None:
        self.runner, self.slots, self.runs = runner, slots, 0
        self.places = [position[s] for s in slots]
        self.saved = saved_slots(call.fragment) if call.active else ()
        self.saved_at = tuple(position[s] for s in self.saved)

    def run(
        self,
        call: FragmentCall,
        waited: Waiting,
        nodes: Sequence[Node],
        arrays: Sequence[Array],
        totals: Mapping[int, Array],
    ) -> bool:
        """Runs the call and gives its nodes their values, but for those added to `totals`, by slot, which wait on;
        False where an operation failed that has to be named."""
        outs = self.runner.add(arrays, totals) if totals else self.runner.outputs(arrays)
        if outs is None:
            return False
        with LOCK:
            if self.commit(call, waited, nodes, outs):
                for node in nodes if totals else ():
                    if node.slot in totals:
                        let_go(node)
        return True

    def commit(self, call: FragmentCall, waited: Waiting, nodes: Sequence[Node], outs: list[Array]) -> bool:
        """Gives the call's nodes their values; whether it still waited."""
        if not still_waits(call, waited):
            return False
        if self.saved:
            call.saved = self.saved, tuple([outs[p] for p in self.saved_at])
        for node, p in zip(nodes, self.places, strict=True):
            node.data = outs[p]
        if not call.active and call.origin is None:
            drop_history(call, nodes)
        call.nodes = None
        return True


def drop_history(call: Any, nodes: Sequence[Node]) -> None:
    """The values of a call that no differentiable leaf reaches forget it."""
    history = Dropped(user_frame(), call.seq)
    for node in nodes:
        node.call = history


# -- schedules ---------------------------------------------------------------------------------------------------------


def commit_rows(schedule: Schedule, drafts: Sequence[Draft], results: Results) -> None:
    """Puts structure and values into the graph."""
    ran = {row.id: row for row in schedule.rows}
    for d in drafts:
        row = ran.get(id(d.call))
        if id(d.call) in schedule.chained:
            chain, k = schedule.chained[id(d.call)]
            d.call.saved = chain.saved_at(k)
            commit(d, {slot: results[id(d.call), slot] for slot in draft_slots(d)})
            continue
        if row is None:
            commit(d, None)
            continue
        values = {slot: results[id(d.call), slot] for slot in row.wanted}
        keep(d.call, values)
        commit(d, values)
    for row in schedule.rows:
        if type(row) is ChainRow:
            _settle_chain(row)
        elif row.draft is None:
            _settle(row, results)


def _settle_chain(row: ChainRow) -> None:
    """Values for the nodes of a chain's calls that were sealed before."""
    chain, loop = row.call, row.loop
    times = Counter([slot for slot, k, _ in row.live if k != TOTAL])
    values = {slot: all_rows(chain.series[slot]) for slot, n in times.items() if 4 * n > chain.n}
    for slot, k, node in row.live:
        if node.data is None:  # else another thread was first
            node.data = values[slot][k] if slot in values and k != TOTAL else chain.at(slot, k)
            if not chain.active:
                drop_history(loop or chain.calls[k], [node])
    if loop is not None:
        if loop.waits:
            chain.keep()
            loop.settle(chain)
        return
    for k, (call, saved) in enumerate(zip(chain.calls, chain.all_saved(), strict=True)):
        if call.nodes is not None and k not in row.drafts:
            if call.saved is None:
                call.saved = saved
            call.nodes = None


def keep(call: FragmentCall, values: Mapping[int, Array]) -> None:
    """Results that must not be computed twice stay with the call."""
    if call.active:
        slots = saved_slots(call.fragment)
        if not all(s in values for s in slots):
            slots = tuple(s for s in slots if s in values)
        call.saved = (slots, tuple(values[s] for s in slots)) if slots else None


def _settle(row: Row, results: Results) -> None:
    """Values for the nodes of a call that was sealed before it ran."""
    call = row.call
    if type(call) in (SumCall, JoinCall, PlaceCall):
        for reference in call.nodes:
            node = reference()
            if node is not None:
                node.data = results[id(call), 0]
                if type(call) is not PlaceCall and not node.active:
                    drop_history(call, [node])
        return
    if type(call) in (RepeatCall, ReplayCall, SplitCall, PickCall):
        for slot, reference in call.nodes:
            node, a = reference(), results.get((id(call), slot))
            if node is not None and a is not None:  # else it went into a sum, or passed
                node.data = a
                if type(call) is PickCall and not call.active:
                    drop_history(call, [node])
        if type(call) is PickCall:
            call.nodes = [(s, ref) for s, ref in call.nodes if (id(call), s) not in results]
        return
    values = {slot: results[id(call), slot] for slot in row.wanted if (id(call), slot) in results}
    if call.saved is None:
        keep(call, values)
    nodes = [(slot, node) for slot, ref in call.nodes or () if (node := ref()) is not None]
    for slot, node in nodes:
        if slot in values:
            node.data = values[slot]
    call.nodes = [entry for entry in call.nodes or () if entry[0] not in values] or None
    if not call.active and call.origin is None and call.nodes is None:
        drop_history(call, [node for _, node in nodes])
