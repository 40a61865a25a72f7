"""What a program is to decide at each call, though its inputs have values now: recorded once more, on placeholders.

In: outputs and inputs of a program. Out: the same, or where sizes that no eval has decided yet depend on the inputs'
data, copies of the open operations between, on placeholders in place of the inputs.
Holds: the graph that the user holds is not touched: its sizes are numbers as soon as it is evaluated.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from nbgraph.calls import Placeholder
from nbgraph.decided import Decided, names_of, size_of
from nbgraph.dims import DimExpr, substitute
from nbgraph.errors import BindingError
from nbgraph.node import LOCK, Node, Pack
from nbgraph.path import key_of
from nbgraph.settle import names_below
from nbgraph.trace import Projection, new_node, placeholder
from nbgraph.types import Size, TensorType


def afresh(outs: Sequence[Node], ins: Sequence[Node]) -> tuple[list[Node], list[Node]]:
    """See the module.

    Raises `BindingError` where part of what leads from the inputs to such a size was evaluated already.
    """
    if all(type(n.call) is Placeholder for n in ins):
        return list(outs), list(ins)
    with LOCK:
        given = {key_of(n) for n in ins}
        oldest = min(n.seq for n in ins)
        region = _open_between(outs, given)
        names = [n for n in names_below(outs) if n.value is None and _depends([n.node], given, oldest)]
        if not names:
            return list(outs), list(ins)
        inside = set(map(id, region))
        around = [i for n in region for i in n.inputs if id(i) not in inside and key_of(i) not in given]
        if _depends([*around, *(o for o in outs if id(o) not in inside and key_of(o) not in given)], given, oldest):
            raise BindingError(
                "the inputs decide a size, and part of what leads from them to it was evaluated",
                operation="compile",
                hint="compile before evaluating, or record on a placeholder",
            )
        copies = _Copies(ins)
        for n in region:
            copies.add(n)
        return [copies.of(o) for o in outs], copies.ins


def _open_between(outs: Iterable[Node], given: set[Any]) -> list[Node]:
    """The open nodes below outputs, down to the inputs, oldest first."""
    stack, seen, found = list(outs), set[int](), list[Node]()
    while stack:
        node = stack.pop()
        if id(node) in seen or node.op is None or key_of(node) in given:
            continue
        seen.add(id(node))
        found.append(node)
        stack += node.inputs
        stack += [n.node for n in _names(node) if n.node is not None]
    return sorted(found, key=lambda n: n.seq)


def _names(node: Node) -> set[Decided]:
    return names_of((*node.sizes, *node.type.shape))


def _depends(nodes: Iterable[Node], given: set[Any], oldest: int) -> bool:
    """Whether any of the nodes depends on an input, none of which is older than `oldest`."""
    stack, seen = list(nodes), set[int]()
    while stack:
        node = stack.pop()
        if key_of(node) in given:
            return True
        if id(node) not in seen and node.seq >= oldest:
            seen.add(id(node))
            stack += node.inputs if node.op is not None else getattr(node.call, "inputs", ())
    return False


class _Copies:
    """Copies of nodes, by what they are copies of; `ins` are those of the inputs."""

    def __init__(self, ins: Sequence[Node]) -> None:
        self.ins = [
            n if type(n.call) is Placeholder else placeholder(n.type, f"input {position}")
            for position, n in enumerate(ins)
        ]
        self._inputs = {key_of(n): copy for n, copy in zip(ins, self.ins, strict=True)}
        self._copies: dict[int, Node] = {}

    def of(self, node: Node) -> Node:
        """The copy of a node; the node itself, if it is outside."""
        copy = self._copies.get(id(node))
        return self._inputs.get(key_of(node), node) if copy is None else copy

    def add(self, node: Node) -> None:
        """Copies a node whose operands are copied."""
        sizes = self._sizes((*node.sizes, *node.type.shape))
        copy = new_node(self._type(node.type, sizes), node.active, Pack if isinstance(node, Pack) else None)
        copy.op, copy.inputs, copy.call = node.op, tuple(map(self.of, node.inputs)), node.call
        copy.sizes = tuple([_at(d, sizes) for d in node.sizes])
        if isinstance(node, Pack):
            assert isinstance(copy, Pack)
            copy.types = tuple([self._type(t, self._sizes(t.shape)) for t in node.types])
        elif type(node.op) is Projection:
            copy.slot = node.slot
        self._copies[id(node)] = copy

    def _sizes(self, sizes: Iterable[Size]) -> dict[Any, Size]:
        """What sizes named by nodes that were copied become."""
        names = [n for n in names_of(sizes) if n.value is None and self.of(n.node) is not n.node]
        return {n: size_of(self.of(n.node), None) for n in names}

    def _type(self, t: TensorType, sizes: Mapping[Any, Size]) -> TensorType:
        return t.with_shape(tuple([_at(d, sizes) for d in t.shape])) if sizes else t


def _at(d: Size, sizes: Mapping[Any, Size]) -> Size:
    return substitute(d, sizes) if sizes and type(d) is DimExpr else d


__all__ = ["afresh"]
