"""Sizes that the data decides: names of sizes that a 0-d integer node of the graph holds.

In: such a node. Out: a `Size`: its value where it is known, else a symbol named by a `Decided`.
Holds: the symbol is as good as any other while recording. Before what was recorded under it runs or is differentiated,
`nbgraph.settle` evaluates the node, writes the number in the symbol's place, and seals. The name keeps the node alive
until then. A size has no derivative.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterable, Sequence
from typing import Any, cast

from nbgraph.dims import DimExpr, dim
from nbgraph.dims import symbols as names_in
from nbgraph.types import Size


class Decided:
    """The name of a size: that of the node with creation number `seq`. `value` is None until it is known."""

    __slots__ = ("__weakref__", "node", "seq", "value")

    def __init__(self, node: Any) -> None:
        self.node, self.seq = node, node.seq
        self.value: int | None = None

    def __eq__(self, other: object) -> bool:
        return type(other) is Decided and other.seq == self.seq

    def __hash__(self) -> int:
        return hash((Decided, self.seq))

    def __repr__(self) -> str:
        return f"r{self.seq}" if self.value is None else str(self.value)

    def __reduce__(self) -> Any:
        return _read, (self.node, self.value)

    def ask(self) -> int:
        """The value, evaluated if it is not known (by the default engine)."""
        return HOOKS.decide(self) if self.value is None else self.value


class _Hooks:
    """What lies above this layer: `decide` a name; `settle` nodes; `run` gives nodes their values on an engine."""

    decide: Callable[[Decided], int]
    settle: Callable[..., None]
    run: Callable[[Sequence[Any], Any], Any]


HOOKS = _Hooks()

#: The names that are in use, or were lately: where there are none, no size has to be looked for.
ALIVE: set[weakref.ref[Decided]] = set()


def size_of(node: Any, value: Any) -> Size:
    """The size that a node holds, whose value is given where it is known."""
    if value is not None:
        return int(value)
    size = dim(Decided(node))
    ALIVE.add(weakref.ref(size.symbol, ALIVE.discard))  # the one name that equal ones are interned as
    return size


def _read(node: Any, value: int | None) -> Decided:
    """A name from a pickle, which goes with its node."""
    assert value is None
    return cast("Decided", cast("DimExpr", size_of(node, None)).symbol)


def undecided(names: Iterable[Decided]) -> list[Any]:
    """The nodes of those names that have no value yet. (A name that another thread decides has none from then on.)"""
    return [node for n in names if (node := n.node) is not None]


def names_of(sizes: Iterable[Size]) -> set[Decided]:
    """The names of sizes decided by data in some sizes."""
    return {n for d in sizes if type(d) is DimExpr for n in names_in(d) if type(n) is Decided}
