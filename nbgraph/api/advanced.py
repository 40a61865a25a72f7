"""Indexing with arrays: what `x[index]` and `x.at[index]` come to where an item is an array of integers or booleans.

In: an index in NumPy's sense. Out: a `Plan`: the basic index to apply first, the axes that arrays then pick along, and
the place of their dimensions in the result; it picks elements, or combines others into their place.
Holds: NumPy's rules. Arrays broadcast together; their dimensions stand where the arrays do, or first, if a slice is
between them. How many elements a mask holds for is a size that the data decides. What is known to be out of bounds
raises at once.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from nbgraph.api.masks import indices_where
from nbgraph.api.shapes import broadcast_shapes, broadcast_to, reshape, transpose
from nbgraph.errors import BoundsError, ShapeError
from nbgraph.node import Node
from nbgraph.promote import apply, as_code, has_tensor, operand
from nbgraph.trace import value_of
from nbgraph.types import Shape, Size

if TYPE_CHECKING:
    from nbgraph.tensor import TracedTensor


class Plan(NamedTuple):
    """`x[basic]`, then the elements that `indices` name along `axes`, in dimensions `shape` at position `at`."""

    basic: tuple[Any, ...]
    axes: tuple[int, ...]
    indices: tuple[TracedTensor, ...]
    shape: Shape
    at: int

    @property
    def is_whole(self) -> bool:
        """Whether the basic index takes everything as it is."""
        return all(item is ... or item == slice(None) for item in self.basic)

    def pick(self, x: TracedTensor) -> TracedTensor:
        """The elements, of x after the basic index."""
        merged, index = self._merged(x)
        return _shaped(apply("gather", merged, index, axis=self.at), self._result(merged))

    def combine(self, x: TracedTensor, how: str, value: TracedTensor) -> TracedTensor:
        """x, after the basic index, with value combined into the elements; `how` is a scatter's name."""
        merged, index = self._merged(x)
        wanted = self._result(merged)
        value = broadcast_value(value, wanted)
        n = merged.type.shape
        value = _shaped(value, (*n[: self.at], math.prod(self.shape), *n[self.at + 1 :]))
        made = combined(merged, index, how, value, self.at, along=False)
        order = self._order(x.type.ndim)
        made = _shaped(made, tuple(x.type.shape[a] for a in order))
        return transpose(made, tuple(np.argsort(order).tolist())) if order != sorted(order) else made

    def _order(self, ndim: int) -> list[int]:
        """The axes of x with those of the arrays together at `at`."""
        rest = [a for a in range(ndim) if a not in self.axes]
        return rest[: self.at] + list(self.axes) + rest[self.at :]

    def _merged(self, x: TracedTensor) -> tuple[TracedTensor, TracedTensor]:
        """x with the axes of the arrays made one, at `at`, and the one-dimensional index along it."""
        order, sizes = self._order(x.type.ndim), [x.type.shape[a] for a in self.axes]
        if order != sorted(order):
            x = transpose(x, order)
        given = [_shaped(broadcast_to(i, self.shape), (math.prod(self.shape),)) for i in self.indices]
        index, n = given[0], sizes[0]
        for other, size in zip(given[1:], sizes[1:], strict=True):
            index = apply("ravel_index", index, other, m=n, n=size)
            n = n * size
        d = x.type.shape
        return _shaped(x, (*d[: self.at], n, *d[self.at + len(sizes) :])), index

    def _result(self, merged: TracedTensor) -> Shape:
        d = merged.type.shape
        return (*d[: self.at], *self.shape, *d[self.at + 1 :])


def combined(x: TracedTensor, index: Any, how: str, value: Any, axis: int, along: bool) -> TracedTensor:
    """x with value combined into the elements at an index along an axis."""
    name = "add_at" if how == "add" else f"scatter_{how}"
    made: TracedTensor = apply(name, x, index, value, axis=axis, along=along)
    return made


def broadcast_value(value: TracedTensor, shape: Shape) -> TracedTensor:
    """A value repeated to the shape of the region that it goes to."""
    try:
        return broadcast_to(value, shape)
    except ShapeError:
        wanted = f"a shape that broadcasts to the region's, {shape}"
        raise ShapeError(
            "value does not fit", operation="at", position="value", got=value.type.shape, wanted=wanted
        ) from None


def _shaped(x: TracedTensor, shape: Shape) -> TracedTensor:
    return x if x.type.shape == shape else reshape(x, shape)


# -- the index --------------------------------------------------------------------------------------------------------


def is_advanced(index: Any) -> bool:
    """Whether an item of the index is an array (an integer whose value is not known yet counts as one)."""
    return any(map(_is_array, index)) if isinstance(index, tuple) else _is_array(index)


def _is_array(item: Any) -> bool:
    if isinstance(item, Node):
        return item.type.ndim > 0 or value_of(item) is None or item.type.code == "b1"
    if isinstance(item, (bool, np.bool_, list, tuple)):
        return True
    return isinstance(item, np.ndarray) and (item.ndim > 0 or item.dtype.kind not in "iu")


def plan_of(index: Any, shape: Shape) -> Plan:
    """The plan for an index of an array of some shape."""
    items = _expanded(index if isinstance(index, tuple) else (index,), shape)
    kept = [item is None or item is ... or isinstance(item, slice) for item in items]
    first, last = kept.index(False), len(kept) - kept[::-1].index(False)
    together = not any(kept[first:last])
    before = sum(item is not ... for item in items[:first])
    basic = tuple(slice(None) if isinstance(item, Node) else item for item in items)
    # Integers of the basic index leave no axis behind.
    left = [item for item in items if isinstance(item, Node | slice) or item is None]
    axes = tuple(a for a, item in enumerate(left) if isinstance(item, Node))
    indices: Any = tuple(item for item in left if isinstance(item, Node))
    common = _common_shape(indices)
    if 0 not in common:
        taken = [item for item in items if item is not None and item is not ...]
        for axis, item in enumerate(taken):
            if isinstance(item, Node):
                check_bounds(operand(item), shape[axis], axis)
    return Plan(basic, axes, indices, common, before if together else 0)


def _common_shape(indices: tuple[Any, ...]) -> Shape:
    try:
        return broadcast_shapes(*(i.type.shape for i in indices))
    except ShapeError:
        got = " and ".join(str(i.type.shape) for i in indices)
        wanted = "shapes that broadcast together"
        raise BoundsError("arrays of an index do not fit", operation="getitem", got=got, wanted=wanted) from None


def _expanded(items: tuple[Any, ...], shape: Shape) -> list[Any]:
    """The items with arrays as int64, masks as the indices of what they hold for, and an ellipsis made explicit.

    It stays as a mark, since it keeps arrays apart even where it stands for nothing.
    """
    given = [index_array(item) if _is_array(item) else item for item in items]
    used = sum(map(_width, given))
    if used > len(shape) or sum(item is ... for item in given) > 1:
        wanted = f"at most {len(shape)} indices and one ellipsis"
        raise BoundsError("too many indices", operation="getitem", got=f"{used} indices", wanted=wanted)
    found: list[Any] = []
    axis = 0
    for item in given:
        if item is ...:
            found += [..., *[slice(None)] * (len(shape) - used)]
            axis += len(shape) - used
            continue
        found += _indices(item, shape, axis) if isinstance(item, Node) else [item]
        axis += _width(item)
    return found + [slice(None)] * (len(shape) - axis)


def _width(item: Any) -> int:
    """How many dimensions an item stands for."""
    if item is None or item is ...:
        return 0
    return item.type.ndim if isinstance(item, Node) and item.type.code == "b1" else 1


def _indices(item: Any, shape: Shape, axis: int) -> list[TracedTensor]:
    """The indices that an array is for the dimensions from `axis` on."""
    if item.type.code != "b1":
        return [item]
    for k, d in enumerate(item.type.shape, axis):
        if type(d) is int and type(shape[k]) is int and d != shape[k]:
            got, wanted = f"a mask of shape {item.type.shape}", f"size {shape[k]} for axis {k}"
            raise BoundsError("mask does not fit", operation="getitem", got=got, wanted=wanted)
    return list(indices_where(item))


def index_array(item: Any, operation: str = "getitem") -> TracedTensor:
    """An index as a tensor of int64, or of booleans if it is a mask."""
    if not isinstance(item, Node):
        item = operand(item) if has_tensor(item) else _plain(item, operation)
    x = operand(item)
    if x.type.inexact:
        _refuse(operation, f"an array of {x.type.dtype}", "convert it with .astype(int)")
    if x.type.code == "b1" and x.type.ndim == 0:
        _refuse(operation, "a boolean", "x[None] adds a dimension, nbg.where selects")
    return x if x.type.code == "b1" else as_code(x, "i8")


def _plain(item: Any, operation: str) -> Any:
    try:
        a = np.asarray(item)
    except ValueError:  # ragged lists
        a = np.asarray(None)
    if a.dtype.kind in "iu" or (not a.size and isinstance(item, list | tuple)):
        return a.astype(np.int64)
    if a.dtype.kind not in "bfc":
        _refuse(operation, f"an array of {a.dtype}", "use an array of integers or booleans")
    return a


def _refuse(operation: str, got: str, hint: str) -> None:
    raise BoundsError("not an index", operation=operation, got=got, wanted="integers or an array of them", hint=hint)


def check_bounds(index: TracedTensor, d: Size, axis: int, operation: str = "getitem") -> None:
    """Raises where an index whose value is known leaves a dimension whose size is known."""
    value = value_of(index)
    if value is None or type(d) is not int or not value.size:
        return
    worst = value.max() if value.max() >= d else value.min()
    if not -d <= worst < d:
        got, wanted = f"index {worst} along axis {axis}", f"-{d} <= index < {d}"
        raise BoundsError("index is out of bounds", operation=operation, got=got, wanted=wanted)
