"""Running sums, products and extrema, differences, and integrals and slopes made of them, with NumPy's names.

In: anything array-like. Out: a `TracedTensor`. Holds: derivatives of running products are exact where elements are
zero; of equal elements the running extremum, and its derivative, is the first.
"""

from __future__ import annotations

import operator
from typing import TYPE_CHECKING, Any

from nbgraph.api.elementwise import where
from nbgraph.api.gather import axis_of, flat
from nbgraph.api.indexing import getitem
from nbgraph.api.joining import concatenate
from nbgraph.api.logic import isnan, not_equal
from nbgraph.api.reductions import sum
from nbgraph.api.shapes import broadcast_to, ravel, reshape
from nbgraph.errors import ShapeError, named
from nbgraph.promote import apply, as_code, no_out, operand, to_inexact
from nbgraph.types import code_of

if TYPE_CHECKING:
    from nbgraph.tensor import TracedTensor

_WIDER = {"b1": "i8", "i4": "i8"}


@named
def cumsum(a: Any, axis: Any = None, dtype: Any = None, out: None = None) -> TracedTensor:
    """Sums of the elements so far, along an axis or of the flattened array.

    >>> cumsum([1, 2, 3]).tolist()
    [1, 3, 6]
    """
    no_out("cumsum", out)
    return _accumulated("cumsum", a, axis, dtype)


@named
def cumprod(a: Any, axis: Any = None, dtype: Any = None, out: None = None) -> TracedTensor:
    """Products of the elements so far, along an axis or of the flattened array.

    >>> cumprod([1, 2, 3]).tolist()
    [1, 2, 6]
    """
    no_out("cumprod", out)
    return _accumulated("cumprod", a, axis, dtype)


@named
def cumulative_sum(x: Any, /, *, axis: Any = None, dtype: Any = None, include_initial: bool = False) -> TracedTensor:
    """`cumsum` along an axis, which may be left out of a vector; with `include_initial` it begins with 0.

    >>> cumulative_sum([1, 2, 3], include_initial=True).tolist()
    [0, 1, 3, 6]
    """
    return _cumulative("cumulative_sum", "cumsum", x, axis, dtype, 0 if include_initial else None)


@named
def cumulative_prod(x: Any, /, *, axis: Any = None, dtype: Any = None, include_initial: bool = False) -> TracedTensor:
    """`cumprod` along an axis, which may be left out of a vector; with `include_initial` it begins with 1.

    >>> cumulative_prod([1, 2, 3]).tolist()
    [1, 2, 6]
    """
    return _cumulative("cumulative_prod", "cumprod", x, axis, dtype, 1 if include_initial else None)


def _cumulative(name: str, how: str, x: Any, axis: Any, dtype: Any, initial: Any) -> TracedTensor:
    x = operand(x)
    if x.type.ndim == 0:
        x = ravel(x)
    if axis is None and x.type.ndim != 1:
        raise ShapeError("no axis", operation=name, got=x.type.shape, wanted="an axis, or a vector")
    made = _accumulated(how, x, 0 if axis is None else axis, dtype)
    if initial is None:
        return made
    at = axis_of(name, 0 if axis is None else axis, made.type.ndim)
    first = tuple(1 if k == at else d for k, d in enumerate(made.type.shape))
    return concatenate([broadcast_to(as_code(operand(initial), made.type.code), first), made], at)


@named
def nancumsum(a: Any, axis: Any = None, dtype: Any = None, out: None = None) -> TracedTensor:
    """`cumsum` with NaN counting as 0.

    >>> nancumsum([1.0, float("nan"), 3.0]).tolist()
    [1.0, 1.0, 4.0]
    """
    no_out("nancumsum", out)
    return _accumulated("cumsum", where(isnan(a), 0, a), axis, dtype)


@named
def nancumprod(a: Any, axis: Any = None, dtype: Any = None, out: None = None) -> TracedTensor:
    """`cumprod` with NaN counting as 1.

    >>> nancumprod([2.0, float("nan"), 3.0]).tolist()
    [2.0, 2.0, 6.0]
    """
    no_out("nancumprod", out)
    return _accumulated("cumprod", where(isnan(a), 1, a), axis, dtype)


def _accumulated(name: str, a: Any, axis: Any, dtype: Any) -> TracedTensor:
    x, at = flat(name, a, axis)
    code = _WIDER.get(x.type.code, x.type.code) if dtype is None else code_of(dtype)
    made: TracedTensor = apply(name, as_code(x, code), axis=at)
    return made


@named
def cummax(a: Any, axis: Any = None) -> TracedTensor:
    """The largest element so far, along an axis or of the flattened array; NaN wins.

    >>> cummax([1, 3, 2]).tolist()
    [1, 3, 3]
    """
    return _extremum("argcummax", a, axis)


@named
def cummin(a: Any, axis: Any = None) -> TracedTensor:
    """The smallest element so far, along an axis or of the flattened array; NaN wins.

    >>> cummin([2, 3, 1]).tolist()
    [2, 2, 1]
    """
    return _extremum("argcummin", a, axis)


def _extremum(name: str, a: Any, axis: Any) -> TracedTensor:
    x, at = flat(name.removeprefix("arg"), a, axis)
    made: TracedTensor = apply("gather", x, apply(name, x, axis=at), axis=at, along=True)
    return made


# -- differences ------------------------------------------------------------------------------------------------------


def _part(x: TracedTensor, axis: int, *bounds: Any) -> TracedTensor:
    return getitem(x, (*(slice(None),) * axis, slice(*bounds)))


@named
def diff(a: Any, n: int = 1, axis: int = -1, prepend: Any = None, append: Any = None) -> TracedTensor:
    """Differences of neighbours along an axis, n times over; of booleans, whether they differ.

    >>> diff([1, 4, 9]).tolist()
    [3, 5]
    """
    x, n = operand(a), operator.index(n)
    if n < 0 or x.type.ndim == 0:
        got, wanted = f"n = {n} and shape {x.type.shape}", "n >= 0 and at least one dimension"
        raise ShapeError("no differences", operation="diff", position=0, got=got, wanted=wanted)
    at = axis_of("diff", axis, x.type.ndim)
    ends = [None if end is None else _edge(operand(end), x, at) for end in (prepend, append)]
    if n and any(end is not None for end in ends):
        x = concatenate([part for part in (ends[0], x, ends[1]) if part is not None], at)
    d = x.type.shape[at]
    for _ in range(min(n, d) if isinstance(d, int) else n):  # of d elements d differences leave nothing
        later, earlier = _part(x, at, 1, None), _part(x, at, None, -1)
        x = not_equal(later, earlier) if x.type.code == "b1" else later - earlier
    return x


def _edge(end: TracedTensor, x: TracedTensor, axis: int) -> TracedTensor:
    """A number repeated to one slice."""
    shape = x.type.shape
    return end if end.type.ndim else broadcast_to(end, (*shape[:axis], 1, *shape[axis + 1 :]))


@named
def ediff1d(ary: Any, to_end: Any = None, to_begin: Any = None) -> TracedTensor:
    """Differences of neighbours in the flattened array, between `to_begin` and `to_end`.

    >>> ediff1d([1, 4, 9], to_begin=0).tolist()
    [0, 3, 5]
    """
    x = ravel(ary)
    ends = [None if end is None else ravel(as_code(operand(end), x.type.code)) for end in (to_begin, to_end)]
    parts = [part for part in (ends[0], diff(x), ends[1]) if part is not None]
    return concatenate(parts) if len(parts) > 1 else parts[0]


@named
def trapezoid(y: Any, x: Any = None, dx: Any = 1.0, axis: int = -1) -> TracedTensor:
    """The integral along an axis by the trapezoidal rule, at points x or at distances dx.

    >>> trapezoid([1.0, 2.0, 3.0]).item()
    4.0
    """
    y = to_inexact(operand(y))
    at = axis_of("trapezoid", axis, y.type.ndim)
    if x is not None:
        steps = diff(x, axis=-1 if operand(x).type.ndim == 1 else axis)
        one = steps.type.ndim == 1 and y.type.ndim > 1
        dx = reshape(steps, (-1, *(1,) * (y.type.ndim - 1 - at))) if one else steps
    return sum(dx * (_part(y, at, 1, None) + _part(y, at, None, -1)) / 2.0, at)


@named
def gradient(f: Any, *varargs: Any, axis: Any = None, edge_order: int = 1) -> Any:
    """Slopes by central differences inside, one-sided ones of order `edge_order` at the ends.

    `varargs`: one distance for all axes, or for each a distance or the coordinates. A list where there are several
    axes.

    >>> gradient([1.0, 2.0, 4.0]).tolist()
    [1.0, 1.5, 2.0]
    """
    x = to_inexact(operand(f))
    given = range(x.type.ndim) if axis is None else axis if isinstance(axis, tuple | list) else (axis,)
    axes = [axis_of("gradient", a, x.type.ndim) for a in given]
    distances = [operand(v) for v in varargs] or [operand(1.0)]
    if len(distances) == 1 and distances[0].type.ndim == 0:
        distances *= len(axes)
    if len(distances) != len(axes) or edge_order not in (1, 2):
        got = f"{len(varargs)} distances for {len(axes)} axes, edge_order {edge_order}"
        raise ShapeError(
            "arguments do not fit", operation="gradient", got=got, wanted="a distance for each axis; 1 or 2"
        )
    slopes = [_slopes(x, a, h, edge_order) for a, h in zip(axes, distances, strict=True)]
    return slopes[0] if len(slopes) == 1 else tuple(slopes)


def _slopes(f: TracedTensor, axis: int, h: TracedTensor, edge_order: int) -> TracedTensor:
    n = f.type.shape[axis]
    if isinstance(n, int) and n < edge_order + 1:
        wanted = f"at least {edge_order + 1} elements along axis {axis}"
        raise ShapeError("too few elements", operation="gradient", position=0, got=f.type.shape, wanted=wanted)
    if h.type.ndim:
        if isinstance(n, int) and h.type.shape != (n,):
            wanted = f"a number, or shape ({n},)"
            raise ShapeError(
                "coordinates do not fit", operation="gradient", position=1, got=h.type.shape, wanted=wanted
            )
        h = reshape(diff(h), (-1, *(1,) * (f.type.ndim - 1 - axis)))
        left, right = _part(h, 0, None, -1), _part(h, 0, 1, None)
        ends = [(_part(h, 0, 0, 1), _part(h, 0, 1, 2)), (_part(h, 0, -1, None), _part(h, 0, -2, -1))]
    else:
        left = right = h
        ends = [(h, h), (h, h)]
    inside = _three_point(_triple(f, axis), left, right)
    first, last = (_end(f, axis, e, s, edge_order) for e, s in zip(ends, (1, -1), strict=True))
    return concatenate([first, inside, last], axis)


def _triple(f: TracedTensor, axis: int) -> tuple[TracedTensor, TracedTensor, TracedTensor]:
    return _part(f, axis, None, -2), _part(f, axis, 1, -1), _part(f, axis, 2, None)


def _three_point(f: Any, left: Any, right: Any) -> TracedTensor:
    """The slope at the middle one of three points of a parabola."""
    before, here, after = f
    made: TracedTensor = (
        -right / (left * (left + right)) * before
        + (right - left) / (left * right) * here
        + left / (right * (left + right)) * after
    )
    return made


def _end(f: TracedTensor, axis: int, steps: Any, sign: int, order: int) -> TracedTensor:
    """The slope at an end, of a line through two points or a parabola through three; sign -1 is the upper end."""
    near, far = steps
    places = [(0, 1), (1, 2), (2, 3)] if sign > 0 else [(-1, None), (-2, -1), (-3, -2)]
    points = [_part(f, axis, *place) for place in places[: order + 1]]
    if order == 1:
        line: TracedTensor = sign * (points[1] - points[0]) / near
        return line
    made: TracedTensor = sign * (
        -(2.0 * near + far) / (near * (near + far)) * points[0]
        + (near + far) / (near * far) * points[1]
        - near / (far * (near + far)) * points[2]
    )
    return made
