"""Regions of arrays, as basic indices name them: what is taken along each axis.

In: the items of an index, or entries and words. Out: entries (structure) and words (sizes at run time) of an axis each;
shape, layout and NumPy's index of a region.
Holds: starts are never negative; a region lies inside the array. A length that is literally 1 is structure.

A dimension of symbolic size is taken to be at least as large as the bounds counted from it ask for: of a
dimension d, `x[1:]` has d - 1 elements, `x[-2]` is element d - 2, `x[3]` exists. An upper bound that may lie
beyond the end is cut: `x[:5]` has min(5, d) elements, except that `x[k:k+1]` has literally 1. An expression
counts from the end if it is positive for no sizes from 1 on: `x[-n:]` has n elements, also if n is 0. Where
everything is known, it is checked.
"""

from __future__ import annotations

import operator
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from nbgraph.dims import DimExpr, dim, dim_min, substitute
from nbgraph.dims.expression import nonnegative
from nbgraph.errors import BoundsError, ShapeError
from nbgraph.kinds import Layout
from nbgraph.types import Shape, Size, TensorType

#: Of one operand axis: ("all",), ("range", step, length is literally 1), or ("int",).
Entry = tuple[Any, ...]


class Taken(NamedTuple):
    """What is taken along one axis: `length` elements from `start` by `step`; length None drops the axis."""

    start: Size
    length: Size | None
    step: int


def entry_of(item: Any, d: Size, axis: int) -> tuple[Entry, Shape]:
    """The entry and the size words for one item of an index."""
    if not isinstance(item, slice):
        return ("int",), (_position(_integer(item), d, axis),)
    step = 1 if item.step is None else _integer(item.step)
    if not isinstance(step, int) or step == 0:
        raise ShapeError("the step of a slice is a nonzero number", operation="getitem", got=step)
    if item.start is None and item.stop is None and step == 1:
        return ("all",), ()
    start, stop = (None if s is None else _integer(s) for s in (item.start, item.stop))
    if all(s is None or isinstance(s, int) for s in (start, stop, d)):
        taken = range(*slice(start, stop, step).indices(d))
        first: Size = taken.start if len(taken) else 0
        return range_entry(first, len(taken), step)
    return range_entry(*_symbolic(start, stop, step, d), step)


def range_entry(start: Size, length: Size, step: int) -> tuple[Entry, Shape]:
    one = length == 1
    # The step past a single element is of no account: one structure.
    return ("range", 1 if one else step, one), (start,) if one else (start, length)


def _integer(item: Any) -> Size:
    if isinstance(item, DimExpr):
        return item
    try:
        if not isinstance(item, bool | np.bool_):
            return operator.index(item)
    except TypeError:
        pass
    wanted = "an integer, a slice, `...` or None"
    raise BoundsError("not a basic index", operation="getitem", got=item, wanted=wanted)


def _position(k: Size, d: Size, axis: int) -> Size:
    """The element that index k names."""
    if isinstance(k, int) and isinstance(d, int) and not -d <= k < d:
        got, wanted = f"index {k} along axis {axis}", f"-{d} <= index < {d}"
        raise BoundsError("index is out of bounds", operation="getitem", got=got, wanted=wanted)
    return d + k if _counts_from_end(k) else k


def _counts_from_end(k: Size) -> bool:
    """Whether an index is negative; of expressions, one that is positive for no sizes from 1 on."""
    return k < 0 if isinstance(k, int) else nonnegative(-substitute(k, {name: dim(name) + 1 for name in k.names}))


def _symbolic(start: Size | None, stop: Size | None, step: int, d: Size) -> tuple[Size, Size]:
    """First element and length of a slice where some size is symbolic; see the assumptions above."""

    def bound(s: Size, end: Size) -> Size:
        if _counts_from_end(s):
            return d + s
        return dim_min(s, end) if isinstance(s, int) else s

    if step > 0:
        first: Size = 0 if start is None else bound(start, start)
        if isinstance(first, int) and isinstance(stop, int) and first <= stop <= first + 1:
            return first, stop - first
        return first, _steps((d if stop is None else bound(stop, d)) - first, step)
    first = d - 1 if start is None else bound(start, d - 1)
    last = -1 if stop is None else bound(stop, d)
    return first, _steps(first - last, -step)


def _steps(span: Size, step: int) -> Size:
    """How many elements lie in a span."""
    count: Size = span if step == 1 else (span + (step - 1)) // step
    return max(count, 0) if isinstance(count, int) else count


def entries_of_keywords(types: Sequence[TensorType], kwargs: dict[str, Any]) -> tuple[tuple[Entry, ...], Shape]:
    """Entries and words for the keywords axis, start, length, step, each one value or a tuple of as many."""
    x, axis = types[0], kwargs["axis"]
    many = isinstance(axis, tuple)
    axes, starts, lengths, steps = (
        v if many else (v,)
        for v in (
            axis,
            kwargs.get("start", (0,) * len(axis) if many else 0),
            kwargs["length"],
            kwargs.get("step", (1,) * len(axis) if many else 1),
        )
    )
    found = {a % x.ndim: range_entry(s, n, k) for a, s, n, k in zip(axes, starts, lengths, steps, strict=True)}
    entries = tuple(found[a][0] if a in found else ("all",) for a in range(x.ndim))
    return entries, tuple(w for a in sorted(found) for w in found[a][1])


def taken_of(entries: Sequence[Entry], dims: Shape, sizes: Shape) -> list[Taken]:
    """What is taken along each axis of a `slice` or `slice_update`."""
    words: Iterator[Size] = iter(sizes)
    taken = []
    for entry, d in zip(entries, dims, strict=True):
        if entry[0] == "all":
            taken.append(Taken(0, d, 1))
        elif entry[0] == "int":
            taken.append(Taken(next(words), None, 1))
        else:
            start = next(words)
            taken.append(Taken(start, 1 if entry[2] else next(words), entry[1]))
    return taken


def check_inside(name: str, dims: Shape, taken: Sequence[Taken]) -> None:
    """Raises where the region is known to leave the array, so that no word leads outside of its memory."""
    for axis, (d, (start, length, step)) in enumerate(zip(dims, taken, strict=True)):
        n = 1 if length is None else length
        if not (isinstance(d, int) and isinstance(start, int) and isinstance(n, int)):
            continue
        last = start + (n - 1) * step
        if n < 0 or (n > 0 and not (0 <= start < d and 0 <= last < d)):
            got, wanted = f"elements {start} to {last} along axis {axis}", f"0 <= index < {d}"
            raise BoundsError("index is out of bounds", operation=name, position=0, got=got, wanted=wanted)


def region_shape(taken: Sequence[Taken]) -> Shape:
    return tuple(t.length for t in taken if t.length is not None)


def region_layout(layout: Layout, taken: Sequence[Taken], shape: Shape) -> Layout:
    """Where the region lies within an array."""
    offset = layout.offset
    strides = []
    for stride, t in zip(layout.strides, taken, strict=True):
        offset = offset + t.start * stride
        if t.length is not None:
            strides.append(stride * t.step)
    return Layout(shape, tuple(strides), offset)


def numpy_index(taken: Sequence[Taken]) -> tuple[Any, ...]:
    """The region as an index of an ndarray."""
    index: list[Any] = []
    for start, length, step in taken:
        if length is None:
            index.append(start)
            continue
        stop = start + length * step
        index.append(slice(0, 0) if length == 0 else slice(start, stop if stop >= 0 else None, step))
    return tuple(index)
