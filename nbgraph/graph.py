"""The machinery, as a public interface: fragments, keys, views, the two derivative transforms, SSA.

In: a `FragmentBuilder` fed by hand, or tensors (`fragments_of`, `key_of`). Out: each stage, a plain printable value:

    fragment -> resolve -> differentiate -> transpose -> materialize_merge -> lower

Holds: nothing here evaluates or changes a graph; whatever is shared is shared by key (`GlobalValKey`).
The guide `docs/guides/graph.md` walks through all of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from nbgraph.calls import FragmentCall, RepeatCall
from nbgraph.fragment import Fragment, FragmentBuilder, Instr
from nbgraph.keys import Derived, GlobalOpKey, GlobalValKey, Input, Linear
from nbgraph.linearize import differentiate
from nbgraph.loops import TOTAL, LoopCall
from nbgraph.materialize import MaterializedGraph, close, materialize_merge
from nbgraph.node import LOCK, Node
from nbgraph.pretty import fragment_dot
from nbgraph.resolve import LinearFragment, ResolvedView, resolve
from nbgraph.seal import draft
from nbgraph.ssa import Program
from nbgraph.ssa import lower as lower_graph
from nbgraph.trace import SCALAR, Projection
from nbgraph.transpose import transpose
from nbgraph.types import TensorType
from nbgraph.verify import VerificationError
from nbgraph.verify import check as _check

__all__ = [
    "Derived",
    "Fragment",
    "FragmentBuilder",
    "GlobalOpKey",
    "GlobalValKey",
    "Input",
    "Instr",
    "Linear",
    "LinearFragment",
    "MaterializedGraph",
    "Program",
    "ResolvedView",
    "TensorType",
    "VerificationError",
    "differentiate",
    "dot",
    "fragment_of",
    "fragments_of",
    "key_of",
    "lower",
    "materialize_merge",
    "resolve",
    "transpose",
    "verify",
]


def fragments_of(*tensors: Node) -> list[Fragment]:
    """The fragments of the calls that tensors depend on, in the order in which they run: one entry for each call.

    Iterations of one loop body give the same object again and again. Operations that are recorded and not sealed
    are shown as the fragments that an `eval` of these tensors would make of them; nothing is sealed or evaluated.
    History that was dropped (values that depend on no differentiable leaf, once evaluated) is not there to be shown.
    """
    with LOCK:
        drafts = [d.call for d in draft(tensors)]
        roots = [*tensors, *(i for call in drafts for i in call.inputs)]
        return [call.fragment for call in (*_sealed_calls(roots), *drafts)]


def _sealed_calls(roots: Sequence[Node]) -> list[FragmentCall | RepeatCall]:
    """The distinct fragment calls below nodes, oldest first; a repeat as often as it has steps."""
    found: dict[int, Any] = {}
    stack = [n.call for n in roots if n.op is None and n.call is not None]
    while stack:
        call = stack.pop()
        if id(call) not in found:
            found[id(call)] = call
            stack.extend(i.call for i in call.inputs if i.op is None and i.call is not None)
    calls: list[tuple[Any, int]] = [(c, 1) for c in found.values() if type(c) is FragmentCall]
    calls += [(c, c.rest.steps) for c in found.values() if type(c) is RepeatCall]
    calls += [(c, c.n) for c in found.values() if type(c) is LoopCall]
    return [c for c, times in sorted(calls, key=lambda pair: pair[0].seq) for _ in range(times)]


def key_of(tensor: Node) -> GlobalValKey:
    """The identity of a tensor's value.

    - a leaf: `Input(("leaf", n), type)`, n its creation number; a Python scalar: `Input(("scalar", bytes), type)`;
    - recorded and not sealed: `Derived`, the structure of its open operations: equal expressions have one key;
    - sealed: `Input(("call", n, slot), type)`, value `slot` of call number n. So no key grows with the depth of the
      graph, and a tensor's key changes once, when it is sealed.
    """
    keys: dict[int, Any] = {}  # nodes to their keys, packs to their operation's key
    stack = [tensor]
    with LOCK:
        while stack:
            node = stack[-1]
            below = [] if node.op is None else [i for i in node.inputs if id(i) not in keys]
            if below:
                stack.extend(below)
            else:
                stack.pop()
                keys[id(node)] = _key(node, keys)
    key: GlobalValKey = keys[id(tensor)]
    return key


def _key(node: Node, keys: dict[int, Any]) -> Any:
    """The key of a node whose operands have theirs; of a pack (several results) the key of its operation."""
    if node.op is None:
        return _outside_key(node)
    if type(node.op) is Projection:
        return _projected(keys[id(node.inputs[0])], node)
    op_key = GlobalOpKey(node.op, tuple(keys[id(i)] for i in node.inputs), node.sizes)
    return op_key if node.op.n_out > 1 else Derived(op_key, 0)


def _projected(pack: Any, node: Node) -> GlobalValKey:
    index = node.op.index  # type: ignore[union-attr]
    if isinstance(pack, GlobalOpKey):
        return Derived(pack, index)
    call: Any = node.inputs[0].call  # sealed before its projection was met
    return Input(("call", call.seq, node.inputs[0].slot + index), node.type)


def _outside_key(node: Node) -> Input:
    if type(node.call) is LoopCall:
        slot, k = node.slot
        return Input(("total", node.call.seq, slot) if k == TOTAL else ("call", node.call.seq + k, slot), node.type)
    if node.call is not None:
        return Input(("call", node.call.seq, node.slot), node.type)
    if node.slot == SCALAR:
        return Input(("scalar", node.data.tobytes()), node.type)
    return Input(("leaf", node.seq), node.type)


def fragment_of(graph: MaterializedGraph) -> Fragment:
    """A materialised graph as a fragment: its keys forgotten, its values numbered, its sizes made symbols."""
    return close(graph)[0]


def lower(graph: MaterializedGraph | Fragment) -> Program:
    """The optimised SSA program of a graph or a fragment, all its outputs wanted; it prints as text."""
    if isinstance(graph, Fragment):
        return Program(graph, tuple(dict.fromkeys(graph.outputs)))
    return lower_graph(graph)


def verify(f: Any, stage: str = "verify") -> None:
    """Checks a fragment or SSA program; raises `VerificationError` that shows the neighbourhood of the fault."""
    _check(f, stage)


def dot(f: Any) -> str:
    """A fragment or SSA program as DOT text, for Graphviz.

    >>> b = FragmentBuilder()
    >>> x = b.input(("float64", ("n",)))
    >>> print(dot(b.build(b.op("sin", x))))
    digraph fragment {
      rankdir=TB; node [shape=box, fontname=monospace];
      v0 [label="%0: float64[d0.0]", shape=ellipse];
      v1 [label="sin\\n%1: float64[d0.0]"];
      v0 -> v1;
      out1 [shape=plaintext, label=output]; v1 -> out1;
    }
    """
    return fragment_dot(f)
