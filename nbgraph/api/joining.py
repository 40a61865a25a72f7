"""Arrays joined, with NumPy's names: concatenate, stack and their kind.

In: sequences of anything array-like; sizes may be symbolic (`DimExpr`). Out: a `TracedTensor`, not evaluated, in the
common dtype of the operands. A list that grows from call to call is a call of its own (`nbgraph.joins`).
Holds: an axis out of range raises `BoundsError`, sizes that do not fit raise `ShapeError`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from nbgraph import joins
from nbgraph.api.shapes import _axis, _index, atleast_1d, atleast_2d, ravel
from nbgraph.errors import ShapeError, named
from nbgraph.node import Node
from nbgraph.promote import as_code, common, joined, joined_before, no_out, operand, stacked
from nbgraph.types import Shape, code_of

if TYPE_CHECKING:
    from nbgraph.tensor import TracedTensor


def concatenate(arrays: Any, axis: int | None = 0, out: None = None, dtype: Any = None) -> TracedTensor:
    """Arrays one after another along an axis (None: flattened), in their common dtype or in `dtype`.

    >>> concatenate([[1, 2], [3.5]]).tolist()
    [1.0, 2.0, 3.5]
    """
    made = joined_before("concatenate", arrays, axis) if out is None and dtype is None else None
    if made is not None:
        return made
    no_out("concatenate", out)
    nodes = _joined("concatenate", arrays, dtype)
    if axis is None:
        nodes, axis = [ravel(n) for n in nodes], 0
    axis = _index("concatenate", axis)
    if joins.grows(nodes) and _may_be_joined(nodes, axis):
        return joins.join(nodes, axis % nodes[0].type.ndim, False)  # type: ignore[return-value]
    return joined("concatenate", nodes, axis)


concat = concatenate


def _may_be_joined(nodes: Sequence[TracedTensor], axis: int) -> bool:
    """Whether sizes are known and fit."""
    first = nodes[0].type
    if not -first.ndim <= axis < first.ndim:
        return False
    axis %= first.ndim
    return all(
        n.type.concrete
        and n.type.ndim == first.ndim
        and n.type.with_shape(_without(n.type.shape, axis)) is first.with_shape(_without(first.shape, axis))
        for n in nodes
    )


def _without(shape: Shape, axis: int) -> Shape:
    return (*shape[:axis], *shape[axis + 1 :])


def _joined(name: str, arrays: Any, dtype: Any) -> list[TracedTensor]:
    """The operands of a join in one dtype; an array gives its rows."""
    if isinstance(arrays, (Node, np.ndarray)):
        arrays = list(operand(arrays))
    if not isinstance(arrays, (list, tuple, Sequence)) or not arrays:
        raise ShapeError("nothing to join", operation=name, got=arrays, wanted="a sequence of one array or more")
    return common(*arrays) if dtype is None else [as_code(operand(a), code_of(dtype)) for a in arrays]


def stack(arrays: Any, axis: int = 0, out: None = None, dtype: Any = None) -> TracedTensor:
    """Arrays of one shape joined along a new axis.

    >>> stack([[1, 2], [3, 4]], axis=1).tolist()
    [[1, 3], [2, 4]]
    """
    made = joined_before("stack", arrays, axis) if out is None and dtype is None else None
    if made is not None:
        return made
    no_out("stack", out)
    nodes = _joined("stack", arrays, dtype)
    return stacked(nodes, _axis("stack", axis, nodes[0].type.ndim + 1))


@named
def hstack(tup: Any, *, dtype: Any = None) -> TracedTensor:
    """Arrays side by side: along axis 1, vectors along axis 0.

    >>> hstack([[1, 2], [3]]).tolist()
    [1, 2, 3]
    """
    nodes = [atleast_1d(n) for n in _joined("hstack", tup, dtype)]
    return concatenate(nodes, 0 if nodes[0].type.ndim == 1 else 1)


@named
def vstack(tup: Any, *, dtype: Any = None) -> TracedTensor:
    """Arrays on top of each other, vectors as rows.

    >>> vstack([[1, 2], [3, 4]]).tolist()
    [[1, 2], [3, 4]]
    """
    return concatenate([atleast_2d(n) for n in _joined("vstack", tup, dtype)], 0)
