"""Indexing: what `x[index]` and `x.at[index]` record.

In: a tensor and an index: integers, slices with steps, `...`, None, arrays of integers or booleans. Out: a tensor of
the elements, or one in which they are replaced. Holds: what lies outside raises `BoundsError`, a value that does not
fit `ShapeError`. An index without arrays is a view.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from nbgraph.api.advanced import broadcast_value, is_advanced, plan_of
from nbgraph.api.elementwise import add, maximum, minimum, multiply, where
from nbgraph.api.shapes import expand_dims, squeeze
from nbgraph.errors import BoundsError, DtypeError
from nbgraph.node import Node
from nbgraph.op import REGISTRY, Op
from nbgraph.ops.indexing import normalise_index
from nbgraph.picks import row_of
from nbgraph.promote import as_code, operand
from nbgraph.trace import infer, record, record_as
from nbgraph.types import Shape, TensorType

if TYPE_CHECKING:
    from nbgraph.tensor import TracedTensor


def getitem(x: TracedTensor, index: Any) -> TracedTensor:
    """x[index] for integers, slices with steps, `...`, None and arrays, in any combination."""
    if type(index) is int:
        op, n, t = _ROWS.get(x.type) or _rows(x.type)
        if -n <= index < n:  # a row, which loops and unpacking take often
            index %= n
            row: Any = row_of(x, op, index, t)
            if row is None:
                row = record_as(t, op, (x,), (index,))
            return row  # type: ignore[no-any-return]
    key = _hashable(index)
    region = None if key is None else _BASIC.get((x.type, key))
    if region is None:
        if is_advanced(index):
            plan = plan_of(index, x.type.shape)
            return plan.pick(x if plan.is_whole else getitem(x, plan.basic))
        region = _basic(index, x.type)
    for op, sizes, t in region.steps:
        x = record_as(t, op, (x,), sizes)
    return x


#: The operation x[i] for types of x, the number of rows (0 where it is not known), and the type of a row.
_ROWS: dict[TensorType, Any] = {}


def _rows(t: TensorType) -> Any:
    n = t.shape[0] if t.ndim else 0
    op = REGISTRY["slice"]((("int",), *((("all",),) * (t.ndim - 1))))
    known = (op, n, t.with_shape(t.shape[1:])) if type(n) is int else (op, 0, t)
    if not t.lasting:
        return known
    if len(_ROWS) >= _LIMIT:
        _ROWS.clear()
    _ROWS[t] = known
    return known


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
    region = _basic(index, x.type)
    if value.type.shape != region.shape:
        value = broadcast_value(value, region.shape)
    if region.newaxes:
        value = squeeze(value, region.newaxes)
    made: TracedTensor = record(region.update, (x, value), region.sizes)
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


class Region(NamedTuple):
    """What a basic index of a type comes to.

    `steps`: operations with their sizes and types of results that pick the region one after another. `update`: the
    operation that replaces it, with `sizes`, by a value of `shape` without the dimensions `newaxes`.
    """

    steps: tuple[tuple[Op, Shape, TensorType], ...]
    update: Op
    sizes: Shape
    shape: Shape
    newaxes: tuple[int, ...]


#: What basic indices of types have come to.
_BASIC: dict[Any, Region] = {}
_LIMIT = 20_000


def _basic(index: Any, t: TensorType) -> Region:
    key = _hashable(index) if t.lasting else None
    found = None if key is None else _BASIC.get((t, key))
    if found is None:
        found = _region(index, t)
        if len(_BASIC) >= _LIMIT:
            _BASIC.clear()
        if key is not None:
            _BASIC[t, key] = found
    return found


def _region(index: Any, t: TensorType) -> Region:
    op, sizes, newaxes = normalise_index(index, t.shape)
    steps: list[tuple[Op, Shape, TensorType]] = []
    if any(entry[0] != "all" for entry in op.axes):
        steps.append((op, sizes, t := infer(op, (t,), sizes)))
    if newaxes:
        expand, none = REGISTRY["expand_dims"].bind([t], axis=newaxes)
        steps.append((expand, none, t := infer(expand, (t,), none)))
    return Region(tuple(steps), REGISTRY["slice_update"](op.axes), sizes, t.shape, newaxes)


#: Items, and parts of slices, by which an index can be remembered: numbers that are not booleans.
_PLAIN = frozenset((int, type(None), type(...)))


def _hashable(index: Any) -> Any:
    """Something to remember an index by; None if there is nothing."""
    if type(index) is slice:
        start, stop, step = index.start, index.stop, index.step
        plain = type(start) in _PLAIN and type(stop) in _PLAIN and type(step) in _PLAIN
        return (slice, start, stop, step) if plain else None
    if type(index) is not tuple:
        return index if type(index) in _PLAIN else None
    parts = []
    for item in index:
        if type(item) is slice:
            item = item.start, item.stop, item.step
            if not _PLAIN.issuperset(map(type, item)):
                return None
        elif type(item) not in _PLAIN:
            return None
        parts.append(item)
    return tuple(parts)
