"""Borders around arrays, with NumPy's `pad`.

In: anything array-like. Out: a `TracedTensor`, not evaluated, differentiable; of integers what has fractions is
rounded. Holds: widths are run-time sizes; they and the sizes of the array may be symbolic.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from nbgraph.api.creation import counted, full
from nbgraph.api.elementwise import add, divide, maximum, minimum, multiply, subtract, where
from nbgraph.api.gather import take
from nbgraph.api.indexing import getitem
from nbgraph.api.joining import concatenate
from nbgraph.api.logic import equal, less
from nbgraph.api.quantiles import median
from nbgraph.api.reductions import max, mean, min
from nbgraph.api.rounding import floor, floor_divide, remainder, rint
from nbgraph.api.shapes import broadcast_to, expand_dims, flip
from nbgraph.dims import DimExpr, dim_max, dim_min
from nbgraph.errors import ShapeError, named
from nbgraph.promote import apply, as_code, operand
from nbgraph.types import Size

if TYPE_CHECKING:
    from nbgraph.tensor import TracedTensor

#: Modes that copy elements; that reduce those nearest to the end.
_COPYING = ("edge", "reflect", "symmetric", "wrap")
_REDUCING: dict[str, Callable[..., Any]] = {"maximum": max, "minimum": min, "median": median, "mean": mean}
_KEYWORDS = {
    "reflect": ("reflect_type",), "symmetric": ("reflect_type",), "linear_ramp": ("end_values",),
    "mean": ("stat_length",), "maximum": ("stat_length",), "minimum": ("stat_length",), "median": ("stat_length",),
}  # fmt: skip
MODES = ("constant", "empty", *_COPYING, "linear_ramp", *_REDUCING)


@named
def pad(array: Any, pad_width: Any, mode: str = "constant", *, constant_values: Any = 0, **kwargs: Any) -> TracedTensor:
    """A border around the array: `pad_width` is a number, (before, after), or such a pair for each axis.

    `mode`: "constant" (with `constant_values`, given as `pad_width` is), "edge", "wrap", "reflect", "symmetric" (both
    with `reflect_type`, "even" or "odd"), "linear_ramp" (to `end_values`), "empty" (zeros), or "mean", "median",
    "maximum", "minimum" (of all along the axis, or of the `stat_length` elements at the end).

    >>> pad([1, 2, 3], 1).tolist(), pad([1, 2, 3], (0, 2), "reflect").tolist()
    ([0, 1, 2, 3, 0], [1, 2, 3, 2, 1])
    """
    x = operand(array)
    widths = _pairs("pad_width", pad_width, x.type.ndim)
    for before, after in widths:
        if any(isinstance(w, int) and w < 0 for w in (before, after)):
            raise ShapeError("negative width", operation="pad", position=1, got=(before, after), wanted="widths >= 0")
    if mode not in MODES or set(kwargs) - set(_KEYWORDS.get(mode, ())):
        got = f"mode {mode!r}" + "".join(f", {k}={v!r}" for k, v in kwargs.items())
        wanted = f"one of {MODES}, and no further arguments but its own"
        raise ShapeError("unknown mode", operation="pad", got=got, wanted=wanted)
    if mode in ("constant", "empty"):
        values = _pairs("constant_values", constant_values, x.type.ndim)
        for axis, ((before, after), ends) in enumerate(zip(widths, values, strict=True)):
            x = _constant_border(x, axis, before, after, *ends)
        return x
    given = {k: _pairs(k, v, x.type.ndim) for k, v in kwargs.items() if k != "reflect_type" and v is not None}
    odd = _is_odd(kwargs.get("reflect_type", "even"))
    for axis, width in enumerate(widths):
        if width != (0, 0):
            own = {k: pairs[axis] for k, pairs in given.items()} | ({"reflect_type": "odd"} if odd else {})
            x = _border(x, axis, width, mode, own)
    return x


def _is_odd(kind: Any) -> bool:
    if kind not in ("even", "odd"):
        raise ShapeError("unknown kind", operation="pad", position="reflect_type", got=kind, wanted="'even' or 'odd'")
    return bool(kind == "odd")


def _border(x: TracedTensor, axis: int, width: Any, mode: str, own: dict[str, Any]) -> TracedTensor:
    """x with a border that depends on it, along one axis."""
    if x.type.shape[axis] == 0:
        raise ShapeError("nothing to copy", operation="pad", position=0, got=x.type.shape, wanted="elements")
    if mode in _COPYING and not own:
        return take(x, _places(mode, x.type.shape[axis], *width), axis)
    border: Callable[..., TracedTensor] = _ramp if mode == "linear_ramp" else partial(_turned, mode)
    if mode in _REDUCING:
        border = partial(_reduced, mode=mode)
    ends = own.get("end_values" if mode == "linear_ramp" else "stat_length", (None, None))
    backwards = flip(x, axis)
    before = flip(border(backwards, axis, width[0], ends[0]), axis)
    return concatenate([before, x, border(x, axis, width[1], ends[1])], axis)


def _places(mode: str, n: Size, before: Size, after: Size) -> Any:
    """For each place along an axis with its border, which of the n elements is copied there."""
    if all(isinstance(s, int) for s in (n, before, after)):
        return np.pad(np.arange(n), (before, after), mode=mode)  # type: ignore[call-overload, arg-type]
    k = counted(before + n + after) - before
    if mode == "edge":
        return maximum(minimum(k, n - 1), 0)
    if mode == "wrap":
        return remainder(k, n)
    # There and back again: reflection leaves out the second visit of either end.
    twice = 1 if mode == "reflect" else 0
    there = remainder(k, dim_max(2 * n - 2 * twice, 1))
    return minimum(there, 2 * n - 1 - twice - there)


def _at(x: TracedTensor, axis: int, where: Any) -> TracedTensor:
    """x at some places of an axis."""
    return getitem(x, (*(slice(None),) * axis, where))


def _along(v: TracedTensor, axis: int, x: TracedTensor) -> TracedTensor:
    """A vector along an axis of arrays such as x."""
    others = tuple(k for k in range(x.type.ndim) if k != axis)
    return expand_dims(v, others)


def _reduced(x: TracedTensor, axis: int, width: Size, length: Any, *, mode: str) -> TracedTensor:
    """A border after x: the last `length` elements, reduced."""
    if length is not None and not length >= 1:
        raise ShapeError("no elements", operation="pad", position="stat_length", got=length, wanted="at least 1")
    n = x.type.shape[axis]
    last = x if length is None else _at(flip(x, axis), axis, slice(0, dim_min(operator.index(length), n)))
    reduced = _REDUCING[mode](last, axis)
    if mode in ("mean", "median") and x.type.code[0] == "i":
        reduced = rint(reduced)
    shape = (*x.type.shape[:axis], width, *x.type.shape[axis + 1 :])
    return broadcast_to(expand_dims(as_code(reduced, x.type.code), axis), shape)


def _ramp(x: TracedTensor, axis: int, width: Size, end: Any) -> TracedTensor:
    """A border after x: from its last element in even steps to just before `end`, which is the last one."""
    last = _at(x, axis, slice(-1, None))
    end = 0 if end is None else end
    back = subtract(width - 1, counted(width))  # how many steps before the end
    made = add(multiply(_along(back, axis, x), divide(subtract(last, end), dim_max(width, 1))), end)
    return as_code(floor(made) if x.type.code[0] == "i" else made, x.type.code)


def _turned(mode: str, x: TracedTensor, axis: int, width: Size, _: Any) -> TracedTensor:
    """A border after x: x turned by half a turn about its last element ("reflect") or beside it, again and again.

    With y = x backwards and k steps beyond the last: 2 y[0] - y[k], where y goes on so that two turns add
    2 (y[-1] - y[0]).
    """
    y, n = flip(as_code(x, "i8") if x.type.code == "b1" else x, axis), x.type.shape[axis]
    once = 1 if mode == "reflect" else 0
    k = counted(width) + once
    period = dim_max(2 * n - 2 * once, 1)
    there = remainder(k, period)
    first, last = _at(y, axis, slice(0, 1)), _at(y, axis, slice(-1, None))
    seen = take(y, minimum(there, 2 * n - 1 - once - there), axis)
    seen = where(_along(less(there, n), axis, x), seen, subtract(multiply(2, last), seen))
    turns = _along(floor_divide(k, period), axis, x)
    seen = where(equal(turns, 0), seen, add(seen, multiply(multiply(2, turns), subtract(last, first))))
    return as_code(subtract(multiply(2, first), seen), x.type.code)


def _pairs(name: str, given: Any, ndim: int) -> list[tuple[Any, Any]]:
    """A pair for each axis."""
    rows = given if isinstance(given, tuple | list | np.ndarray) else (given,)
    if all(isinstance(row, tuple | list | np.ndarray) for row in rows):
        pairs = [tuple(row) if len(row) == 2 else (row[0], row[0]) for row in rows]
        pairs = pairs * ndim if len(pairs) == 1 else pairs
    else:
        pairs = [(rows[0], rows[-1])] * ndim
        if len(rows) > 2:
            pairs = []
    if len(pairs) != ndim:
        wanted = f"a number, a pair, or {ndim} pairs"
        raise ShapeError("does not fit", operation="pad", position=name, got=given, wanted=wanted)
    return [(_width(a), _width(b)) for a, b in pairs] if name == "pad_width" else pairs


def _width(w: Any) -> Size:
    return w if isinstance(w, DimExpr) else operator.index(w)


def _constant_border(x: TracedTensor, axis: int, before: Size, after: Size, low: Any, high: Any) -> TracedTensor:
    if before == 0 and after == 0:
        return x
    shape = x.type.shape
    size = before + shape[axis] + after
    if not (isinstance(low, int | float) and low is high and low == 0):
        ends = [
            full((*shape[:axis], width, *shape[axis + 1 :]), as_code(operand(v), x.type.code))
            for width, v in ((before, low), (after, high))
        ]
        return concatenate([ends[0], x, ends[1]], axis)
    made: TracedTensor = apply("pad_slice", x, axis=axis, start=before, size=size)
    return made
