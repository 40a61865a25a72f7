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


def _normalise(index: Any, shape: Shape) -> Any:
    for item in index if isinstance(index, tuple) else (index,):
        if _is_advanced(item):
            raise BoundsError(
                "indexing with arrays is not there yet",
                operation="getitem",
                got=f"an index of type {type(item).__name__}",
                wanted="integers, slices, ... and None",
                hint="use slices; nbg.where selects by a mask",
            )
    return normalise_index(index, shape)


def _is_advanced(item: Any) -> bool:
    if isinstance(item, bool | np.bool_ | list | tuple):
        return True
    if isinstance(item, Node):
        return item.type.ndim > 0 or item.type.code not in ("i4", "i8")
    return isinstance(item, np.ndarray) and (item.ndim > 0 or item.dtype.kind not in "iu")
