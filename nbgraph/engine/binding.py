"""Binding: arrays for placeholders.

In: a mapping from placeholders (or leaves, for compiled programs) to array-likes. Out: arrays by node id, and what the
named sizes stand for. Everything that does not fit is a `BindingError` that says which; what an operation finds wrong
with sizes once they are known says what the names stand for.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import chain
from typing import Any

import numpy as np

from nbgraph.calls import AliasCall, Placeholder
from nbgraph.dims import DimExpr, evaluate, symbols
from nbgraph.errors import BindingError, BoundsError, ShapeError
from nbgraph.node import Node
from nbgraph.types import TensorType

Array = np.ndarray[Any, Any]


def bind_arrays(bindings: Mapping[Node, Any]) -> tuple[dict[int, Array], dict[Any, int]]:
    """Arrays by node id, and sizes by name."""
    if not isinstance(bindings, Mapping):
        raise BindingError("bindings are not a mapping", got=type(bindings).__name__, wanted="{placeholder: array}")
    arrays: dict[int, Array] = {}
    for node, value in bindings.items():
        if not isinstance(node, Node) or type(node.call) is not Placeholder:
            raise BindingError("not a placeholder", got=repr(node), wanted="a tensor made by TracedTensor.placeholder")
        arrays[id(node)] = as_input(value, node.type, node.call.name)
    pairs = [(node.type, arrays[id(node)], node.call.name) for node in bindings]
    return arrays, bind_sizes(pairs)


def as_input(value: Any, t: TensorType, name: str) -> Array:
    """The value as a C-contiguous array of the dtype and rank of `t`."""
    try:
        a = np.asarray(value)
    except ValueError as error:  # lists of different lengths
        raise BindingError(f"{name}: not an array", wanted=t, hint=str(error)) from None
    if a.dtype != t.dtype and not (np.can_cast(a.dtype, t.dtype, "same_kind") and not isinstance(value, np.ndarray)):
        raise BindingError(f"{name}: wrong dtype", got=a.dtype, wanted=t.dtype)
    if a.ndim != t.ndim:
        raise BindingError(f"{name}: wrong rank", got=a.shape, wanted=t)
    return np.require(a, t.dtype, ["C", "A"])


def bind_sizes(pairs: Iterable[tuple[TensorType, Array, str]]) -> dict[Any, int]:
    """What each size symbol of the types stands for, given arrays; every size is checked."""
    pairs = list(pairs)
    sizes: dict[Any, int] = {}
    for t, a, name in pairs:
        for symbol, size in zip(t.shape, a.shape, strict=True):
            if isinstance(symbol, DimExpr) and symbol.symbol is not None:
                known = sizes.setdefault(symbol.symbol, size)
                if known != size:
                    raise BindingError(f"{name}: the size {symbol} is {known} elsewhere", got=a.shape, wanted=t)
    for t, a, name in pairs:
        for d, size in zip(t.shape, a.shape, strict=True):
            if not _fits(d, size, sizes):
                raise BindingError(f"{name}: wrong size", got=a.shape, wanted=t)
    return sizes


def refuse_superfluous(bindings: Iterable[Node], targets: Iterable[Node], calls: Sequence[Any]) -> None:
    """Raises where a placeholder is bound that nothing to be computed reads, nor shares the name of a size with.

    (Of a linear function of it the gradient reads nothing but sizes.)
    """
    read = [_origin(node) for node in chain(targets, *(call.inputs for call in calls))]
    reached = set(map(id, read))
    sizes = {name for node in read for d in node.type.shape for name in symbols(d)}
    sizes.update(name for call in calls for word in getattr(call, "words", ()) for name in symbols(word))
    for node in bindings:
        if id(node) not in reached and not any(symbols(d) & sizes for d in node.type.shape):
            raise BindingError(
                f"{node.call.name}: nothing that is evaluated depends on it", got=repr(node), hint="leave it out"
            )


def _origin(node: Node) -> Node:
    while node.op is None and type(node.call) is AliasCall:
        node = node.call.inputs[0]
    return node


@contextmanager
def telling(sizes: Mapping[Any, int]) -> Iterator[None]:
    """Errors of sizes that do not fit say what the names stand for."""
    try:
        yield
    except (BindingError, ShapeError, BoundsError) as error:
        if sizes and not error.hint:
            error.hint = "sizes are " + ", ".join(f"{name} = {size}" for name, size in sizes.items())
        raise


def _fits(d: Any, size: int, sizes: Mapping[Any, int]) -> bool:
    if isinstance(d, DimExpr):
        return not symbols(d) <= sizes.keys() or evaluate(d, sizes) == size
    return bool(d == size)
