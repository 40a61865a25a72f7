"""What has to run for some nodes to have values.

In: target nodes, and drafts of calls that are not part of the graph yet. Out: `Row`s in an order that runs: calls of
fragments with the slots wanted of each, and sums. Only what is not known yet is in it.
Wanted are the targets, what later rows use, what live nodes stand for, and, where a history will be kept, results
that must not be computed twice.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from nbgraph.errors import BindingError
from nbgraph.plans import saved_slots
from nbgraph.seal import Draft
from nbgraph.trace import AliasCall, FragmentCall, Node, Pack, Placeholder, SumCall

Key = tuple[int, int]


class Row:
    """One step: `call` is a FragmentCall (with the slots `wanted` of it) or a SumCall."""

    __slots__ = ("call", "draft", "key", "wanted")

    def __init__(self, call: Any, key: Key, draft: Draft | None) -> None:
        self.call, self.key, self.draft = call, key, draft
        self.wanted: set[int] = set()


class Schedule:
    """The rows for some targets, and how to name a node's value among their results."""

    def __init__(self, targets: Sequence[Node], drafts: Sequence[Draft], bound: Mapping[int, Any]) -> None:
        self.bound = bound
        self.home: dict[int, tuple[Draft, int]] = {
            id(node): (d, slot) for d in drafts for slot, node in d.nodes if node.op is not None
        }
        self.drafts = {id(d.call): d for d in drafts}
        self.rows = self._collect(targets)

    def key(self, node: Node) -> Key:
        """Where the value of a node without data is among the results."""
        while node.op is None and type(node.call) is AliasCall and node.data is None:
            node = node.call.inputs[0]
        if node.op is not None:
            d, slot = self.home[id(node)]
            return id(d.call), slot
        return id(node.call), node.slot

    def known(self, node: Node) -> Any:
        """The value of a node if it needs no row."""
        while node.data is None and node.op is None and type(node.call) is AliasCall:
            node = node.call.inputs[0]
        if node.data is None and self.bound:
            return self.bound.get(id(node))
        return node.data

    def _collect(self, targets: Sequence[Node]) -> list[Row]:
        rows: dict[int, Row] = {}
        stack = list(targets)
        while stack:
            node = stack.pop()
            if self.known(node) is not None:
                continue
            while node.op is None and type(node.call) is AliasCall:
                node = node.call.inputs[0]
            key = self.key(node)
            row = rows.get(key[0])
            if row is None:
                row = rows[key[0]] = self._row(node, key)
                stack.extend(row.call.inputs)
            row.wanted.add(key[1])
        ordered = sorted(rows.values(), key=lambda r: r.call.seq)
        for row in ordered:
            if type(row.call) is FragmentCall:
                row.wanted.update(_kept_slots(row))
        return ordered

    def _row(self, node: Node, key: Key) -> Row:
        draft = self.drafts.get(key[0])
        call = draft.call if draft is not None else node.call
        if type(call) is Placeholder:
            raise BindingError(
                f"placeholder {call.name!r} is not bound",
                wanted=f"{node.type}",
                hint=f"pass bindings={{{call.name}: array}} to eval",
            )
        assert type(call) in (FragmentCall, SumCall), call
        return Row(call, key, draft)


def _kept_slots(row: Row) -> Iterable[int]:
    """Slots that live nodes stand for, and those a backward pass must find."""
    call = row.call
    if row.draft is not None:
        for slot, node in row.draft.nodes:
            yield from range(slot, slot + len(node.types)) if isinstance(node, Pack) else (slot,)
    elif call.nodes:
        for slot, ref in call.nodes:
            node = ref()
            if node is not None and node.data is None:
                yield slot
    if any(i.active for i in call.inputs):
        yield from saved_slots(call.fragment)
