"""A call and the call derived from it, run as one where both wait: a loss and its gradient, at an optimiser's steps.

In: a node of a derived call. Out: its value, and those of everybody who holds a value of the two; or None, where the
general path has to be taken.
Holds: they are the fragment that the schedule would merge them into, so what they share is computed once.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from nbgraph.calls import FragmentCall
from nbgraph.engine.rows import MergedRow, Row
from nbgraph.engine.runners import Runner, runner_for
from nbgraph.node import LOCK, Node
from nbgraph.resolve import saved_slots
from nbgraph.ssa import program_for

Array = np.ndarray[Any, Any]
#: The nodes that wait for a call, as its list, and how many they were when they were looked at.
Waiting = tuple[Any, int]


def waits_with(call: FragmentCall) -> FragmentCall | None:
    """The call that a derived one was derived from, if that waits to be run and is needed."""
    assert call.origin is not None
    original, plan = call.origin
    if original is None or original.nodes is None:
        return None
    needed = _live(original) or any(kind == "saved" for kind, _ in plan.sources)
    return original if needed else None


def waiting(call: FragmentCall) -> Waiting:
    """What waits for a call now, for `still_waits` afterwards."""
    nodes = call.nodes
    return nodes, 0 if nodes is None else len(nodes)


def still_waits(call: FragmentCall, waited: Waiting) -> bool:
    """Whether nothing has happened to a call since: else another thread was first, or another call has taken its place,
    or more is wanted of it; the general path sees to that. Needs the lock."""
    nodes, n = waited
    return nodes is not None and len(nodes) == n and call.nodes is nodes


def run_pair(
    target: Node,
    first: FragmentCall,
    second: FragmentCall,
    engine: Any,
    value: Callable[[Node], Array | None],
) -> Array | None:
    """The value of a node of a call `second`, which was derived from `first`. `value` gives those of operands, None
    where not."""
    assert second.origin is not None
    plan = second.origin[1]
    given = [(0, i) for i in first.inputs]
    given += [(1, i) for (kind, _), i in zip(plan.sources, second.inputs, strict=True) if kind not in _OF_FIRST]
    arrays: list[list[Array]] = [[], []]
    for which, node in given:
        a = node.data if node.data is not None else value(node)
        if a is None:
            return None
        arrays[which].append(a)
    waited = waiting(first), waiting(second)
    if waited[0][0] is None or not waited[1][0]:  # they ran for the sake of an operand, or another took their place
        return target.data
    live = _live(first), _live(second)
    slots = tuple(tuple(s for s, _ in found) for found in live)
    types = tuple([i.type for i in (*first.inputs, *second.inputs)])
    structure = (first.fragment, plan.sources, second.fragment, first.active, second.active)
    key = (structure, first.words, second.words, slots, types)
    route = engine.routes.get(key)
    if route is None:
        route = engine.routes.keep(key, _pair(engine, key, first, second, slots))
    return route.run(first, second, waited, live, arrays, target) if route else None


#: Sources of a derived call that are operands or values of the call it was derived from.
_OF_FIRST = ("input", "saved")


def _live(call: FragmentCall) -> list[tuple[int, Node]]:
    """The nodes without a value that somebody holds, by slot."""
    return [(s, n) for s, reference in call.nodes or () if (n := reference()) is not None and n.data is None]


def _pair(engine: Any, key: Any, first: FragmentCall, second: FragmentCall, slots: Any) -> Any:
    rows = Row(first, None), Row(second, None)
    for row, mine in zip(rows, slots, strict=True):
        row.wanted = {*mine, *_kept(row.call)}
    merged = MergedRow(*rows)
    program = program_for(merged.call.fragment, frozenset(merged.places().values()))
    types = tuple([i.type for i in merged.call.inputs])
    runner = runner_for(engine, key, program.bind(types, merged.call.words))
    return False if runner is None else Pair(runner, merged, slots)


def _kept(call: FragmentCall) -> tuple[int, ...]:
    return saved_slots(call.fragment) if call.active else ()


class Pair:
    """How two calls are run as one, and where the values go."""

    def __init__(self, runner: Runner, merged: MergedRow, slots: Any) -> None:
        calls, places = (merged.first.call, merged.second.call), (merged.merged.first, merged.merged.second)
        position = runner.bound.program.position
        of_second = [source for source in calls[1].origin[1].sources if source[0] not in _OF_FIRST]
        self.runner = runner
        self.picks = [
            (0, which) if kind == "input" else (1, of_second.index((kind, which)))
            for kind, which in merged.merged.sources
        ]
        self.places = [[position[of[s]] for s in mine] for of, mine in zip(places, slots, strict=True)]
        self.saved = [_kept(c) for c in calls]
        self.saved_at = [[position[of[s]] for s in kept] for of, kept in zip(places, self.saved, strict=True)]

    def run(
        self,
        first: FragmentCall,
        second: FragmentCall,
        waited: tuple[Waiting, Waiting],
        live: Sequence[list[tuple[int, Node]]],
        arrays: Sequence[list[Array]],
        target: Node,
    ) -> Array | None:
        """Runs both and gives their nodes values."""
        outs = self.runner.outputs([arrays[which][k] for which, k in self.picks])
        if outs is None:
            return None
        with LOCK:
            if still_waits(first, waited[0]) and still_waits(second, waited[1]):
                for call, nodes, at, saved, saved_at in zip(
                    (first, second), live, self.places, self.saved, self.saved_at, strict=True
                ):
                    if saved:
                        call.saved = saved, tuple([outs[p] for p in saved_at])
                    for (_, node), p in zip(nodes, at, strict=True):
                        node.data = outs[p]
                    call.nodes = None
        a: Array = target.data
        return a


__all__ = ["Pair", "Waiting", "run_pair", "still_waits", "waiting", "waits_with"]
