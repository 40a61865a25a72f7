"""Indexing: what `x[index]` and `x.at[index]` record.

In: a tensor and an index: integers, slices with steps, `...`, None, arrays of integers or booleans. Out: a tensor of
the elements, or one in which they are replaced. Holds: what lies outside raises `BoundsError`, a value that does not
fit `ShapeError`. An index without arrays is a view.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np

from nbgraph.api.advanced import broadcast_value, is_advanced, plan_of
from nbgraph.api.elementwise import add, maximum, minimum, multiply, where
from nbgraph.api.shapes import expand_dims, squeeze
from nbgraph.errors import BoundsError, DtypeError
from nbgraph.op import REGISTRY
from nbgraph.ops.indexing import normalise_index
from nbgraph.promote import as_code, operand
from nbgraph.trace import Node, record
from nbgraph.types import Shape

if TYPE_CHECKING:
    from nbgraph.tensor import TracedTensor


def getitem(x: TracedTensor, index: Any) -> TracedTensor:
    """x[index] for integers, slices with steps, `...`, None and arrays, in any combination."""
    first = x.type.shape[0] if type(index) is int and x.type.ndim else None
    if type(first) is int and -first <= index < first:  # a row, which loops and unpacking take often
        row: TracedTensor = record(_rows(x.type.ndim - 1), (x,), (index % first,))
        return row
    if is_advanced(index):
        plan = plan_of(index, x.type.shape)
        return plan.pick(x if plan.is_whole else getitem(x, plan.basic))
    op, sizes, newaxes = _normalise(index, x.type.shape)
    if any(entry[0] != "all" for entry in op.axes):
        x = record(op, (x,), sizes)
    return expand_dims(x, newaxes) if newaxes else x


@cache
def _rows(rest: int) -> Any:
    """The operation x[i] where `rest` dimensions follow."""
    return REGISTRY["slice"]((("int",), *((("all",),) * rest)))


def setitem(x: TracedTensor, index: Any, value: Any, how: str = "set") -> TracedTensor:
    """x with value, which broadcasts and is cast to the dtype of x, combined into x[index].

    `how` is "set", "add", "mul", "max" or "min". Of equal indices each counts; of those that set, the last.
    """
    value = _cast_into(x, operand(value))
    if not is_advanced(index):
        return _replaced(x, index, value if how == "set" else _COMBINE[how](getitem(x, index), value))
    if value.type.ndim == 0 and _is_mask(index):
        return _where(x, index, value if how == "set" else _COMBINE[how](x, value))
    plan = plan_of(index, x.type.shape)
    if plan.is_whole:
        return plan.combine(x, how, value)
    return setitem(x, plan.basic, plan.combine(getitem(x, plan.basic), how, value))


_COMBINE: dict[str, Any] = {"add": add, "mul": multiply, "max": maximum, "min": minimum}


def _is_mask(index: Any) -> bool:
    """Whether the index is one array of booleans, so that nothing has to be counted."""
    if isinstance(index, Node):
        return index.type.code == "b1" and index.type.ndim > 0
    return isinstance(index, np.ndarray) and index.dtype == np.bool_ and index.ndim > 0


def _where(x: TracedTensor, mask: Any, changed: TracedTensor) -> TracedTensor:
    """What has changed where a mask of the leading dimensions holds, else x."""
    mask = operand(mask)
    if mask.type.ndim > x.type.ndim or any(
        type(d) is int and type(e) is int and d != e for d, e in zip(mask.type.shape, x.type.shape, strict=False)
    ):
        wanted = f"the leading dimensions of {x.type.shape}"
        raise BoundsError("mask does not fit", operation="at", got=f"a mask of shape {mask.type.shape}", wanted=wanted)
    behind = tuple(range(mask.type.ndim, x.type.ndim))
    return where(expand_dims(mask, behind) if behind else mask, changed, x)


def _replaced(x: TracedTensor, index: Any, value: TracedTensor) -> TracedTensor:
    """x with the region of a basic index replaced."""
    op, sizes, newaxes = _normalise(index, x.type.shape)
    value = broadcast_value(value, getitem(x, index).type.shape)
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
