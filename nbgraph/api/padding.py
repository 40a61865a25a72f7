"""Borders around arrays, with NumPy's `pad`.

In: anything array-like. Out: a `TracedTensor`, not evaluated, differentiable; of integers what has fractions is
rounded, and evaluated for it. Holds: widths of constant borders are run-time sizes, which may be symbolic, as in the
modes that only copy; other modes ask for numbers.
"""

from __future__ import annotations

import builtins
import operator
from typing import TYPE_CHECKING, Any

import numpy as np

from nbgraph.api.creation import counted, full
from nbgraph.api.elementwise import add, maximum, minimum
from nbgraph.api.gather import take, value
from nbgraph.api.indexing import getitem
from nbgraph.api.products import tensordot
from nbgraph.api.quantiles import median
from nbgraph.api.reductions import max, min
from nbgraph.api.rounding import remainder
from nbgraph.api.shapes import broadcast_to, concatenate, expand_dims, moveaxis
from nbgraph.dims import DimExpr, dim_max
from nbgraph.errors import ShapeError
from nbgraph.promote import apply, as_code, operand
from nbgraph.trace import concrete_size
from nbgraph.types import Size

if TYPE_CHECKING:
    from nbgraph.tensor import TracedTensor

#: Modes that copy elements; that are linear in them; that reduce those nearest to the end.
_COPYING = ("edge", "reflect", "symmetric", "wrap")
_LINEAR = ("mean", "linear_ramp", "reflect", "symmetric")
_REDUCING = {"maximum": max, "minimum": min, "median": median}
_KEYWORDS = {
    "reflect": ("reflect_type",), "symmetric": ("reflect_type",), "linear_ramp": ("end_values",),
    "mean": ("stat_length",), "maximum": ("stat_length",), "minimum": ("stat_length",), "median": ("stat_length",),
}  # fmt: skip
MODES = ("constant", "empty", *_COPYING, "mean", "linear_ramp", *_REDUCING)


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
    n = concrete_size(x.type.shape[axis], "the size")
    if mode in _REDUCING:
        return _reduced_border(x, axis, n, width, mode, own.get("stat_length", (n, n)))
    if not x.type.inexact:
        widths = [width if k == axis else (0, 0) for k in range(x.type.ndim)]
        values: Any = np.pad(value(x), widths, mode, **own)  # type: ignore[call-overload]
        return operand(values)
    # linear in x, but for the ends of a ramp: NumPy's border of the identity is its matrix
    ends = own.pop("end_values", None)
    code = x.type.code
    matrix: Any = np.pad(np.eye(n), (width, (0, 0)), mode, **own)  # type: ignore[call-overload]
    made = moveaxis(tensordot(as_code(operand(matrix), code), x, ([1], [axis])), 0, axis)
    if ends is None:
        return made
    ramp: Any = np.pad(np.zeros(n), width, mode, end_values=[value(e).item() for e in ends])  # type: ignore[call-overload]
    return add(made, as_code(operand(ramp.reshape((-1,) + (1,) * (x.type.ndim - axis - 1))), code))


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


def _reduced_border(x: TracedTensor, axis: int, n: int, width: Any, mode: str, lengths: Any) -> TracedTensor:
    parts = []
    for k, (w, length) in enumerate(zip(width, lengths, strict=True)):
        if length < 1:
            raise ShapeError("no elements", operation="pad", position="stat_length", got=length, wanted="at least 1")
        here = slice(0, length) if k == 0 else slice(builtins.max(n - length, 0), n)
        reduced = _REDUCING[mode](getitem(x, (*(slice(None),) * axis, here)), axis)
        if not x.type.inexact and mode == "median":
            reduced = operand(np.round(value(reduced)))
        shape = (*x.type.shape[:axis], w, *x.type.shape[axis + 1 :])
        parts.append(broadcast_to(expand_dims(as_code(reduced, x.type.code), axis), shape))
    return concatenate([parts[0], x, parts[1]], axis)


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
