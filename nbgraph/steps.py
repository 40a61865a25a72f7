"""A trace of a jitted function, as machine code has to know it that records calls of it.

In: what `record_call` and `captures` find out. Out: a `Step`, of which `engine/recorder.py` makes a function.
Holds: nothing here is looked at again; what a function reads is compared with what it was by identity.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from nbgraph.loops import Traced
from nbgraph.types import TensorType

#: How something is read.
ATTRIBUTE, ITEM, SIZE = range(3)


class Read(NamedTuple):
    """One thing that a function reads: an attribute or an item of an object, or its size, and what it was."""

    how: int
    of: Any
    key: Any
    was: Any


class Step(NamedTuple):
    """What calls of a trace are.

    `operands`: 0 and the number of an argument, 1 and that of a thing read, 2 and a node. `results`: slot, type, and
    which operands reach it, as bits. `order`: which of these are handed out, by `shown` if they are not a tuple;
    `single`: it is one. `asked`: the arguments whose calls may be a row before; `of`: None where there are no rows.
    `operations`: those of the call, where it may be recorded as these: operation, sizes, type, and operands, ~k for the
    k-th of the call; `places`: which of them the results are.
    """

    types: Sequence[TensorType]
    reads: Sequence[Read]
    fragment: Any
    words: Any
    sites: Any
    of: Traced | None
    operands: Sequence[tuple[int, Any]]
    results: Sequence[tuple[int, TensorType, int]]
    order: Sequence[int]
    single: bool
    shown: Callable[..., Any] | None
    asked: Sequence[int]
    operations: Sequence[tuple[Any, Any, TensorType, Sequence[int]]]
    places: Sequence[int]
