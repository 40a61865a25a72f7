"""What a function that is traced or checkpointed reads from outside, and what it differentiates by there.

In: nodes that the function made, and the creation number at which it began. Out: the older nodes they are made of; for
each `.grad`, `.vjp` and `.jvp` inside by something older, what else that is older the derivative is of.
Holds: such a derivative is the whole one, as in plain recording: by way of an argument that is made of the variable,
too. Only the caller's graph knows of that way, so such a call is recorded there, operation by operation.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from threading import local
from typing import Any

from nbgraph.calls import AliasCall
from nbgraph.loops import LoopCall, dissolve
from nbgraph.node import LOCK, Node
from nbgraph.path import key_of

#: A variable, and the other nodes from outside that are differentiated by it.
Pair = tuple[Node, Sequence[Node]]


def sources(node: Node) -> tuple[Any, Sequence[Node]]:
    """What a node is a value of, and what that is made of; a result of a checkpointed part is made of its inputs."""
    if type(node.call) is LoopCall:
        with LOCK:
            dissolve(node.call)
    source: Any = node if node.op is not None else node.call
    if type(source) is AliasCall and source.part is not None:
        source = source.part
    return source, () if source is None else source.inputs


def outside(made: Sequence[Node], start: int) -> list[Node]:
    """The nodes no younger than `start` that nodes are made of."""
    found: dict[int, Node] = {}
    stack, seen = list(made), set[int]()
    while stack:
        node = stack.pop()
        if node.seq <= start:
            found[id(node)] = node
            continue
        source, inputs = sources(node)
        if id(source) not in seen:
            seen.add(id(source))
            stack.extend(inputs)
    return list(found.values())


def is_made_of(node: Node, other: Node) -> bool:
    """Whether a node is a function of another, as far as the graph knows."""
    key, stack, seen = key_of(other), [node], set[int]()
    while stack:
        node = stack.pop()
        if key_of(node) == key:
            return True
        if node.seq <= other.seq or (other.active and not node.active):
            continue
        source, inputs = sources(node)
        if id(source) not in seen:
            seen.add(id(source))
            stack.extend(inputs)
    return False


class Inner:
    """The derivatives taken inside a function since `start` by what is older."""

    def __init__(self, start: int) -> None:
        self.start = start
        self._found: dict[int, tuple[Node, dict[int, Node]]] = {}

    def note(self, outputs: Sequence[Node], by: Sequence[Node]) -> None:
        variables = [v for v in by if v.seq <= self.start]
        if variables:
            below = {id(n): n for n in outside(outputs, self.start) if n.type.inexact}
            for v in variables:
                self._found.setdefault(id(v), (v, {}))[1].update(below)

    def pairs(self, node_of: Callable[[Node], Any] = lambda node: node) -> list[tuple[Any, list[Any]]]:
        """The variables, and what is differentiated by them; each node as what it is for the caller."""
        found = ((v, [n for n in others.values() if n is not v]) for v, others in self._found.values())
        return [(node_of(v), list(map(node_of, nodes))) for v, nodes in found if nodes]


class _Running(local):
    """The functions that this thread is in, whose derivatives are noted."""

    def __init__(self) -> None:
        self.inners: list[Inner] = []


RUNNING = _Running()


def note(outputs: Sequence[Node], by: Sequence[Node]) -> None:
    """A derivative of outputs by nodes is taken."""
    for inner in RUNNING.inners:
        inner.note(outputs, by)


def met_outside(pairs: Sequence[Pair]) -> bool:
    """Whether, at a call, what a function differentiates by a variable depends on it outside of the function, too."""
    for variable, nodes in pairs:
        note(nodes, [variable])
    return any(is_made_of(node, variable) for variable, nodes in pairs for node in nodes)


@contextmanager
def inside(start: int) -> Iterator[Inner]:
    """Notes the derivatives that this thread takes for as long."""
    inner, before = Inner(start), RUNNING.inners
    try:  # what is added goes in any case, an interrupt just after it too
        RUNNING.inners = [*before, inner]
        yield inner
    finally:
        RUNNING.inners = before
