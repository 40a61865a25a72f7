"""What a schedule is made of: calls that have to run, and their values.

In: calls, drafts of calls, chains. Out: rows, which say what is wanted of each; `Results`, by key.
Holds: a row's id is that of its call, so a value is known by (id, slot) before there is anything else to name it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from nbgraph.calls import FragmentCall
from nbgraph.engine.chains import Chain
from nbgraph.fragment import size_at
from nbgraph.loops import LoopCall
from nbgraph.node import Node, Pack
from nbgraph.plans import merge_plan
from nbgraph.resolve import saved_slots
from nbgraph.seal import Draft

Key = tuple[int, Any]
Array = np.ndarray[Any, Any]


class Results(dict[Key, Array]):
    """Values by key. Those of calls that ran in a chain are rows, taken when they are asked for."""

    def __init__(self, chained: Mapping[int, tuple[Chain, int]]) -> None:
        super().__init__()
        self.chained = chained

    def __missing__(self, key: Key) -> Array:
        (chain, k), slot = self.chained[key[0]], key[1]
        if type(slot) is tuple:  # of a loop: slot and row
            slot, k = slot
        found = self[key] = chain.at(slot, k)
        return found


class Row:
    """One call that has to run: a FragmentCall, with the slots `wanted` of it, or a call of another kind."""

    __slots__ = ("call", "draft", "id", "wanted")

    def __init__(self, call: Any, draft: Draft | None) -> None:
        self.call, self.id, self.draft = call, id(call), draft
        self.wanted: set[int] = set()

    def places(self) -> dict[Key, int]:
        """Which slot of `call.fragment` each wanted result is."""
        return {(self.id, s): s for s in self.wanted}


class MergedRow:
    """A call and the derived call that shares its operations, run as one fragment."""

    __slots__ = ("call", "first", "merged", "second")

    def __init__(self, first: Row, second: Row) -> None:
        call, derived = first.call, second.call
        _, plan = derived.origin
        self.first, self.second = first, second
        self.merged = merge_plan(call.fragment, tuple(sorted(first.wanted)), plan)
        given = dict(zip(plan.sources, derived.inputs, strict=True))
        inputs = [call.inputs[which] if kind == "input" else given[kind, which] for kind, which in self.merged.sources]
        env = call.fragment.environment([i.type for i in call.inputs], call.words) if self.merged.words else {}
        words = tuple(size_at(w, env) for w in self.merged.words)
        self.call = FragmentCall(self.merged.fragment, tuple(inputs), words, None)
        self.call.origin = (call, None)
        if call.sites:
            self.call.sites = [(self.merged.slot_of(slot, call.fragment), site) for slot, site in call.sites]

    def places(self) -> dict[Key, int]:
        """Which slot of the merged fragment each wanted result is."""
        found = {(self.first.id, s): self.merged.first[s] for s in self.first.wanted}
        found.update({(self.second.id, s): self.merged.second[s] for s in self.second.wanted})
        return found


class ChainRow:
    """Calls of a loop that run as one. `live`: live nodes without a value, each with its slot and which call it is of;
    `drafts`: those of calls that are not part of the graph yet, by which call it is; `loop`: what was recorded as one.
    """

    __slots__ = ("call", "draft", "drafts", "id", "live", "loop", "wanted")

    def __init__(self, chain: Chain, drafts: Mapping[int, Draft], loop: LoopCall | None = None) -> None:
        self.call, self.id, self.drafts, self.draft, self.loop = chain, id(chain), drafts, None, loop
        if loop is None:
            self.live = [
                (slot, k, node)
                for k, call in enumerate(chain.calls)
                for slot, reference in call.nodes or ()
                if (node := reference()) is not None and node.data is None
            ]
            self.wanted: set[int] = set()
        else:
            self.live = [(*node.slot, node) for node in loop.living() if node.data is None]
            self.wanted = loop.carried
        self.wanted.update({slot for slot, _, _ in self.live})
        self.wanted.update(slot for d in drafts.values() for slot in draft_slots(d))
        if chain.active:
            self.wanted.update(saved_slots(chain.fragment))


def is_plain(row: Any) -> bool:
    """Whether a row may be part of a chain: a call that is derived from no other."""
    return type(row.call) is FragmentCall and row.call.origin is None


def kept_slots(call: FragmentCall, draft: Draft | None) -> Iterable[int]:
    """Slots that live nodes stand for, and those a backward pass must find."""
    yield from (slot for slot, _ in _live_nodes(call, draft))
    if call.active:
        yield from saved_slots(call.fragment)


def _live_nodes(call: FragmentCall, draft: Draft | None) -> list[tuple[int, Any]]:
    """The slots of a call that has not run that live nodes stand for, with the nodes; without, of a draft."""
    if draft is not None:
        return [(slot, None) for slot in draft_slots(draft)]
    live = []
    for slot, reference in call.nodes or ():
        node = reference()
        if node is not None and node.data is None:
            live.append((slot, node))
    return live


def draft_slots(draft: Draft) -> set[int]:
    """The slots of a draft that live nodes stand for."""
    slots: set[int] = set()
    for slot, node in draft.nodes:
        slots.update(slots_of(node, slot))
    return slots


def slots_of(node: Node, slot: int) -> Iterable[int]:
    """The slots that a node at one stands for: of a pack, those of its results."""
    return range(slot, slot + len(node.types)) if isinstance(node, Pack) else (slot,)
