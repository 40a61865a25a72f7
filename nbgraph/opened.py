"""The region of a function that was traced: operations alone, calls inside it taken apart.

In: the nodes a function returned, and the creation number at which it began. Out: the open nodes that they need, in
recording order, and what stands for each of the returned ones.
Holds: what was there before the function began, and what has a value, is outside and stays as it is.
"""

from __future__ import annotations

from collections.abc import Sequence
from operator import attrgetter
from typing import Any

from nbgraph.calls import AliasCall, FragmentCall, JoinCall, RepeatCall, SplitCall, SumCall
from nbgraph.derive import seal, vjp
from nbgraph.fragment import size_at
from nbgraph.loops import LoopCall
from nbgraph.node import LOCK, Node
from nbgraph.op import REGISTRY
from nbgraph.parts import ReplayCall, plain_call
from nbgraph.picks import PickCall, PlaceCall
from nbgraph.repeats import call_environment
from nbgraph.trace import Projection, record
from nbgraph.types import are_lasting

_seq = attrgetter("seq")
_INSIDE = (FragmentCall, LoopCall, JoinCall, SplitCall, PickCall, PlaceCall, SumCall, AliasCall, RepeatCall, ReplayCall)


def region_of(outputs: Sequence[Node], start: int) -> tuple[list[Node], list[Node]]:
    """The open nodes below outputs that are younger than `start`, and the outputs made of them."""
    region, closed = _walk(outputs, start)
    if closed:
        outputs = _opened(outputs, start)
        region, closed = _walk(outputs, start)
        assert not closed
    return region, list(outputs)


def decides_sizes(region: Sequence[Node]) -> bool:
    """Whether a size in the region is decided by data of the traced function, so that it cannot be one call."""
    return not all(are_lasting(node.sizes) for node in region)


def _is_outside(node: Node, start: int) -> bool:
    if node.seq < start or node.data is not None:
        return True
    return node.op is None and type(node.call) not in _INSIDE


def _walk(outputs: Sequence[Node], start: int) -> tuple[list[Node], bool]:
    """The open nodes, and whether there are values of calls among them."""
    stack, seen, region, closed = list(outputs), set[int](), [], False
    while stack:
        node = stack.pop()
        if id(node) in seen or _is_outside(node, start):
            continue
        seen.add(id(node))
        if node.op is None or (type(node.op) is Projection and node.inputs[0].op is None):
            closed = True
        else:
            region.append(node)
            stack.extend(node.inputs)
    region.sort(key=_seq)
    return region, closed


def _opened(outputs: Sequence[Node], start: int) -> list[Node]:
    """The outputs once more, made of operations alone."""
    with LOCK:
        seal(outputs)
        calls = _calls(outputs, start)
    made: dict[tuple[int, int], Node] = {}

    def open_node(node: Node) -> Node:
        while not _is_outside(node, start):
            if type(node.call) is not AliasCall:
                return made[id(node.call), node.slot]
            node = node.call.inputs[0]
        return node

    for call in calls:
        inputs = [open_node(i) for i in call.inputs]
        if type(call) is SumCall:
            made[id(call), 0] = _sum(inputs)
        else:
            for slot, node in enumerate(_operations(call, inputs)):
                made[id(call), slot] = node
    return [open_node(o) for o in outputs]


def _calls(outputs: Sequence[Node], start: int) -> list[Any]:
    """The calls that have not run, oldest first."""
    stack, found = list(outputs), {}
    while stack:
        node = stack.pop()
        if _is_outside(node, start):
            continue
        plain_call(node, vjp)
        if id(node.call) not in found:
            found[id(node.call)] = node.call
            stack.extend(node.call.inputs)
    return sorted((c for c in found.values() if type(c) is not AliasCall), key=_seq)


def _operations(call: FragmentCall, inputs: list[Node]) -> list[Node]:
    """The values of a call, recorded operation by operation."""
    env: Any = call_environment(call)
    sites = dict(call.sites or ())
    values = list(inputs)
    for instr in call.fragment.instrs:
        result = record(instr.op, [values[i] for i in instr.ins], tuple(size_at(s, env) for s in instr.sizes))
        results = result if isinstance(result, tuple) else (result,)
        if instr.first in sites:
            (results[0].inputs[0] if len(results) > 1 else results[0]).call = sites[instr.first]
        values.extend(results)
    return values


def _sum(nodes: Sequence[Node]) -> Node:
    add, total = REGISTRY["add"](), nodes[0]
    for node in nodes[1:]:
        total = record(add, (total, node))
    return total
