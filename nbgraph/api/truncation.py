"""Parts whose size or place the data decides: truncate, its adjoint pad_to_match, dynamic_slice.

In: anything array-like; sizes are ints, `DimExpr` or 0-d integer tensors. Out: a `TracedTensor`. Holds: nothing is
evaluated; a size that is a tensor without a value yet is a symbol until then (`nbgraph.decided`). It has no derivative;
what is cut has derivatives of any order. Sizes are run-time words, so other sizes compile nothing anew.
"""

from __future__ import annotations

import operator
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from nbgraph.api.creation import arange
from nbgraph.api.elementwise import maximum, minimum, where
from nbgraph.api.gather import axis_of, take
from nbgraph.api.padding import pad
from nbgraph.decided import size_of
from nbgraph.dims import DimExpr
from nbgraph.errors import BoundsError, DtypeError, ShapeError, named
from nbgraph.node import Node
from nbgraph.promote import operand
from nbgraph.trace import value_of
from nbgraph.types import Size

if TYPE_CHECKING:
    from nbgraph.tensor import TracedTensor


@named
def truncate(x: Any, size: Any, axis: int = 0) -> TracedTensor:
    """The first `size` slices along an axis; size is an int, a `DimExpr` or a 0-d integer tensor.

    Its adjoint is `pad_to_match`. Raises `BoundsError` for a size below 0 or above that of the axis: at once where it
    is known, else when it is evaluated.

    >>> import nbgraph as nbg
    >>> truncate([1.0, 2.0, 3.0], nbg.asarray(2)).tolist()
    [1.0, 2.0]
    """
    x = operand(x)
    axis, size = axis_of("truncate", axis, x.type.ndim), _size("truncate", size)
    _check("truncate", size, x.type.shape[axis])
    made: TracedTensor = x[(slice(None),) * axis + (slice(0, size),)]
    return made


@named
def pad_to_match(x: Any, like: Any, axis: int = 0) -> TracedTensor:
    """x with zeros after it along an axis, up to the size that `like` has there: the adjoint of `truncate`.

    Raises `BoundsError` where x is the larger one.

    >>> pad_to_match([1.0, 2.0], [0.0, 0.0, 0.0]).tolist()
    [1.0, 2.0, 0.0]
    """
    x, like = operand(x), operand(like)
    axis = axis_of("pad_to_match", axis, x.type.ndim)
    if like.type.ndim != x.type.ndim:
        raise ShapeError("another rank", operation="pad_to_match", position=1, got=like.type, wanted=x.type.ndim)
    have, wanted = x.type.shape[axis], like.type.shape[axis]
    _check("pad_to_match", have, wanted)
    widths = [(0, wanted - have if i == axis else 0) for i in range(x.type.ndim)]
    made: TracedTensor = pad(x, widths)
    return made


@named
def dynamic_slice(x: Any, start: Sequence[Any], size: Sequence[Any]) -> TracedTensor:
    """The part of x of shape `size` at `start`, whose entries may be 0-d integer tensors and are not evaluated.

    As in `jax.lax.dynamic_slice` a negative start counts from the end, and one with which the part would not fit is
    brought to the nearest with which it does. Entries of `size` are as for `truncate`.

    >>> import nbgraph as nbg
    >>> dynamic_slice([1.0, 2.0, 3.0, 4.0], (nbg.asarray(3),), (2,)).tolist()
    [3.0, 4.0]
    """
    x = operand(x)
    lengths = tuple(len(s) if isinstance(s, Sequence) or getattr(s, "ndim", 0) == 1 else None for s in (start, size))
    if lengths != (x.type.ndim, x.type.ndim):
        got, wanted = (start, size), f"sequences: a start and a size for each of {x.type.ndim} axes"
        raise ShapeError("does not fit", operation="dynamic_slice", got=got, wanted=wanted)
    for axis, (first, length) in enumerate(zip(start, size, strict=True)):
        n, length = x.type.shape[axis], _size("dynamic_slice", length)
        _check("dynamic_slice", length, n)
        first = operand(first)
        if first.type.ndim or first.type.code not in ("i4", "i8"):
            raise ShapeError("no start", operation="dynamic_slice", position=1, got=first.type, wanted="int64[]")
        first = minimum(maximum(where(first < 0, first + n, first), 0), n - length)
        x = take(x, arange(length) + first, axis)
    made: TracedTensor = x
    return made


def _size(name: str, size: Any) -> Size:
    if isinstance(size, DimExpr):
        return size
    if isinstance(size, Node) and size.type.ndim == 0 and size.type.code in ("i4", "i8"):
        return size_of(size, value_of(size))
    try:
        return operator.index(size)
    except TypeError:
        wanted = "an integer, or a 0-d tensor of integers"
        raise DtypeError("no size", operation=name, position="size", got=repr(size), wanted=wanted) from None


def _check(name: str, size: Size, most: Size) -> None:
    if isinstance(size, int) and (size < 0 or (isinstance(most, int) and size > most)):
        raise BoundsError("the size is out of range", operation=name, got=size, wanted=f"0 <= size <= {most}")
