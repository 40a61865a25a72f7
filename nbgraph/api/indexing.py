"""Indexing: what `x[index]` and `x.at[index]` record.

In: a tensor and a basic index: integers, slices with steps, `...`, None. Out: a tensor of the elements, or one in
which they are replaced. Holds: what lies outside raises `BoundsError`, a value that does not fit `ShapeError`.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np

from nbgraph.api.shapes import broadcast_to, expand_dims, squeeze
from nbgraph.errors import BoundsError, DtypeError, ShapeError
from nbgraph.op import REGISTRY
from nbgraph.ops.indexing import normalise_index
from nbgraph.promote import as_code, operand
from nbgraph.trace import Node, record
from nbgraph.types import Shape

if TYPE_CHECKING:
    from nbgraph.tensor import TracedTensor


def getitem(x: TracedTensor, index: Any) -> TracedTensor:
    """x[index] for integers, slices with steps, `...` and None, in any combination."""
    first = x.type.shape[0] if type(index) is int and x.type.ndim else None
    if type(first) is int and -first <= index < first:  # a row, which loops and unpacking take often
        row: TracedTensor = record(_rows(x.type.ndim - 1), (x,), (index % first,))
        return row
    op, sizes, newaxes = _normalise(index, x.type.shape)
    if any(entry[0] != "all" for entry in op.axes):
        x = record(op, (x,), sizes)
    return expand_dims(x, newaxes) if newaxes else x


@cache
def _rows(rest: int) -> Any:
    """The operation x[i] where `rest` dimensions follow."""
    return REGISTRY["slice"]((("int",), *((("all",),) * rest)))


def setitem(x: TracedTensor, index: Any, value: Any) -> TracedTensor:
    """x with x[index] replaced by value, which broadcasts and is cast to the dtype of x."""
    op, sizes, newaxes = _normalise(index, x.type.shape)
    region = getitem(x, index).type
    value = _cast_into(x, operand(value))
    try:
        value = broadcast_to(value, region.shape)
    except ShapeError:
        wanted = f"a shape that broadcasts to the region's, {region.shape}"
        raise ShapeError(
            "value does not fit", operation="at", position="value", got=value.type.shape, wanted=wanted
        ) from None
    if newaxes:
        value = squeeze(value, newaxes)
    made: TracedTensor = record(REGISTRY["slice_update"](op.axes), (x, value), sizes)
    return made


def _cast_into(x: TracedTensor, value: TracedTensor) -> TracedTensor:
    if value.type.is_complex and not x.type.is_complex:
        raise DtypeError(
            "the imaginary part would be lost",
            operation="at",
            position="value",
            got=value.type.dtype,
            wanted=x.type.dtype,
            hint="take nbg.real of the value",
        )
    return as_code(value, x.type.code)


#: What basic indices of shapes have come to.
_NORMALISED: dict[Any, Any] = {}
_NORMALISED_LIMIT = 20_000


def _normalise(index: Any, shape: Shape) -> Any:
    """The operation for an index of a shape, its sizes, and its new axes."""
    items = index if isinstance(index, tuple) else (index,)
    parts = [_hashable(item) for item in items]
    key = None if False in parts else (shape, *parts)
    found = _NORMALISED.get(key)
    if found is None:
        for item in items:
            _check_basic(item)
        found = normalise_index(index, shape)
        if len(_NORMALISED) >= _NORMALISED_LIMIT:
            _NORMALISED.clear()
        if key is not None:
            _NORMALISED[key] = found
    return found


def _hashable(item: Any) -> Any:
    """Something to remember an item of an index by; False if there is nothing."""
    if type(item) is slice:
        part = (item.start, item.stop, item.step)
        return part if all(type(p) is int or p is None for p in part) else False
    return (item,) if type(item) is int or item is None or item is Ellipsis else False


def _check_basic(item: Any) -> None:
    if _is_advanced(item):
        raise BoundsError(
            "indexing with arrays is not there yet",
            operation="getitem",
            got=f"an index of type {type(item).__name__}",
            wanted="integers, slices, ... and None",
            hint="use slices; nbg.where selects by a mask",
        )


def _is_advanced(item: Any) -> bool:
    if isinstance(item, bool | np.bool_ | list | tuple):
        return True
    if isinstance(item, Node):
        return item.type.ndim > 0 or item.type.code not in ("i4", "i8")
    return isinstance(item, np.ndarray) and (item.ndim > 0 or item.dtype.kind not in "iu")
