"""What a derived call makes again of the values inside of the call that it was derived from.

In: a derived call; values that are differentiated by, as nodes, by call and slot. Out: which of them the derived call
makes again, by its own slot: it depends on them as if it had been given them.
Holds: a derived fragment recomputes forward values from the inputs of the original, so that these may be anything;
operations that are the same have the same key in both (`nbgraph.keys`), which is how they are found.
"""

from __future__ import annotations

import weakref
from collections.abc import Mapping, Sequence
from typing import Any

from nbgraph.calls import TAKEN, FragmentCall
from nbgraph.node import Node
from nbgraph.plans import Piece, recomputed, slots_within

#: Of calls that were derived from a piece of a call, that call and the piece.
PIECES: weakref.WeakKeyDictionary[FragmentCall, tuple[FragmentCall, Piece]] = weakref.WeakKeyDictionary()


def made_again(call: FragmentCall, here: Mapping[int, Mapping[int, Node]]) -> dict[int, Node]:
    """Nodes of `here` (by the id of a call, by slot) that a call makes again, by its slot; see the module."""
    steps: list[tuple[Any, Mapping[int, int]]] = []
    while call.origin is not None:
        original, slots = _slots_of_original(call)
        if type(original) is not FragmentCall:
            break
        steps.append((original, slots))
        call = original
    known: dict[int, Node] = {}
    for original, slots in reversed(steps):
        known = {slots[s]: node for s, node in {**_values(original, here), **known}.items() if s in slots}
    return known


def _values(call: FragmentCall, here: Mapping[int, Mapping[int, Node]]) -> Mapping[int, Node]:
    """Nodes of `here` that are values of a call, by slot; of one in whose place there is a round, of that."""
    places: Sequence[int] | None = None
    while call in TAKEN:
        call, slots = TAKEN[call]
        places = slots if places is None else [slots[p] for p in places]
    found = here.get(id(call), {})
    return found if places is None else {s: found[p] for s, p in enumerate(places) if p in found}


def _slots_of_original(call: FragmentCall) -> tuple[Any, Mapping[int, int]]:
    """What a call was derived from, and which slots of the call the values inside of that are."""
    original, plan = call.origin
    if original is not None:
        return original, recomputed(original.fragment, plan)
    if call not in PIECES:
        return None, {}
    original, piece = PIECES[call]
    within, again = slots_within(original.fragment, piece), recomputed(piece.fragment, plan)
    return original, {s: again[mine] for s, mine in within.items() if mine in again}
