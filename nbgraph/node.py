"""The nodes of the graph.

A node is in one of three states:

- open: `op` is set; the operation and its operand nodes are recorded on the node itself;
- sealed: `op` is None and `call` is set; the node is value `slot` of that call (`nbgraph.calls`);
- leaf: both are None; `data` is its value.

`data` holds the value once it is known, whatever the state. References only lead to older nodes, so there are no
cycles: a graph is freed by reference counting alone, and whether a node is live is read off its reference count.
The order of `seq` is a topological order.

In: nothing. Out: the classes of nodes, and the numbers by which nodes and calls are told which is older.
"""

from __future__ import annotations

import itertools
import math
from collections import deque
from typing import Any

from nbgraph.op import Op
from nbgraph.types import Shape, TensorType
from nbgraph_kernels.locks import lock

#: Guards every change of structure (seals, commits). Recording needs no lock: it only makes new nodes.
LOCK = lock(awaited=1)

_numbers = itertools.count(1)
_next_seq = _numbers.__next__


class Node:
    """A value of the graph. Users see its subclass `TracedTensor`."""

    __slots__ = ("__weakref__", "active", "call", "data", "inputs", "op", "seq", "sizes", "slot", "type")

    op: Op | None
    inputs: tuple[Node, ...]
    sizes: Shape
    type: TensorType
    seq: int
    #: Whether a differentiable leaf can be reached from here (through inexact dtypes).
    active: bool
    data: Any
    call: Any
    #: Of a fragment call, the number of the value; of other calls, what they know it by.
    slot: Any


class Pack(Node):
    """The results of an operation with several results; users hold its projections. Has no value of its own."""

    __slots__ = ("types",)
    types: tuple[TensorType, ...]


def numbers_of_nodes() -> Any:
    """The counter that numbers nodes."""
    return _numbers


def reserved(n: int) -> range:
    """So many creation numbers, one after another, taken at once."""
    (last,) = deque(itertools.islice(_numbers, n), maxlen=1)  # one call into C: no other thread comes between
    return range(last - n + 1, last + 1)


def number_within(seq: Any, k: int) -> Any:
    """Creation number k of those between one and the next: what stands in the place of a call is no younger than what
    uses it, and each is known by a number of its own."""
    if type(seq) is int and k < 64:
        return seq + k / (k + 1)  # a float tells them apart as long as there are fewer than 2**40 nodes
    from fractions import Fraction  # takes a while to import, and is seldom needed

    return seq + (math.floor(seq) + 1 - Fraction(seq)) * Fraction(k, k + 1)
