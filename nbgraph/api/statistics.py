"""Statistics with NumPy's names: spread, weighted means, and reductions that leave NaN out.

In: anything array-like; `axis` is an int, a tuple of them, or None for all. Out: a `TracedTensor`, not evaluated;
integers and booleans become float64 where means are taken.
Holds: what is left out has derivative 0; so has the standard deviation where it is 0. Of no elements a mean or a
variance is NaN.
"""

from __future__ import annotations

import math
import operator
from typing import TYPE_CHECKING, Any

from nbgraph import promote
from nbgraph.api import reductions
from nbgraph.api.elementwise import conj, maximum, multiply, real, sqrt, where
from nbgraph.api.logic import isnan, logical_and, logical_not, logical_or, not_equal
from nbgraph.api.reductions import all, argmax, argmin, max, mean, min, prod, sum
from nbgraph.api.shapes import _axis, broadcast_to, reshape
from nbgraph.errors import ShapeError, named
from nbgraph.promote import as_code, no_out, operand, to_inexact
from nbgraph.types import REAL_OF, code_of

if TYPE_CHECKING:
    from nbgraph.tensor import TracedTensor

# -- spread -----------------------------------------------------------------------------------------------------------


@named
def var(
    a: Any,
    axis: Any = None,
    dtype: Any = None,
    out: None = None,
    ddof: float = 0,
    keepdims: bool = False,
    *,
    where: Any = True,
    mean: Any = None,
    correction: Any = None,
) -> TracedTensor:
    """The variance: the sum of |a - mean(a)|**2 over n - ddof, of the elements for which `where` holds.

    `correction` is another name of `ddof`; `mean` may be given, with the dimensions of `keepdims=True`.

    >>> var([1.0, 2.0, 4.0], ddof=1).item()
    2.333333333333333
    """
    no_out("var", out)
    x = to_inexact(operand(a)) if dtype is None else as_code(operand(a), code_of(dtype))
    ddof = ddof if correction is None else correction
    if where is True:
        deviation = x - (reductions.mean(x, axis, keepdims=True) if mean is None else mean)
        total = sum(_modulus_squared(deviation), axis, keepdims=keepdims)
        return promote.divide(total, _degrees_of_freedom(x, axis, ddof))
    kept = broadcast_to(as_code(operand(where), "b1"), x.type.shape)
    return _variance(x, kept, axis, ddof, keepdims, mean)


def _variance(x: TracedTensor, kept: TracedTensor, axis: Any, ddof: float, keepdims: bool, mean: Any) -> TracedTensor:
    """Of what is kept; NaN where that are not more than ddof elements."""
    if mean is None:
        filled = sum(where(kept, x, 0), axis, keepdims=True)
        mean = promote.divide(filled, _count_of(x, kept, axis, True))
    total = sum(_modulus_squared(where(kept, x - mean, 0)), axis, keepdims=keepdims)
    left = _count_of(x, kept, axis, keepdims) - ddof
    return promote.divide(total, where(left > 0, left, math.nan))


def _count_of(x: TracedTensor, kept: TracedTensor, axis: Any, keepdims: bool) -> TracedTensor:
    """How many are kept, in the real dtype that belongs to x."""
    return as_code(sum(kept, axis, keepdims=keepdims), REAL_OF.get(x.type.code, x.type.code))


@named
def std(
    a: Any,
    axis: Any = None,
    dtype: Any = None,
    out: None = None,
    ddof: float = 0,
    keepdims: bool = False,
    *,
    where: Any = True,
    mean: Any = None,
    correction: Any = None,
) -> TracedTensor:
    """The standard deviation, the root of `var`; where it is 0 so is its derivative.

    >>> std([1.0, 3.0]).item()
    1.0
    """
    no_out("std", out)
    return _root(var(a, axis, dtype, None, ddof, keepdims, where=where, mean=mean, correction=correction))


@named
def ptp(a: Any, axis: Any = None, out: None = None, keepdims: bool = False) -> TracedTensor:
    """The largest minus the smallest element, "peak to peak".

    >>> ptp([3, 1, 7]).item()
    6
    """
    no_out("ptp", out)
    return max(a, axis, keepdims=keepdims) - min(a, axis, keepdims=keepdims)


def _modulus_squared(x: TracedTensor) -> TracedTensor:
    return real(multiply(x, conj(x))) if x.type.is_complex else x * x


def _root(x: TracedTensor) -> TracedTensor:
    """sqrt x, with derivative 0 at 0."""
    return where(x == 0, x, sqrt(where(x == 0, 1.0, x)))


def _count(x: TracedTensor, axis: Any) -> Any:
    """How many elements meet in one result."""
    axes = range(x.type.ndim) if axis is None else axis if isinstance(axis, tuple | list) else (axis,)
    return math.prod(x.type.shape[_axis("var", i, x.type.ndim)] for i in axes)


def _degrees_of_freedom(x: TracedTensor, axis: Any, ddof: float) -> TracedTensor:
    """n - ddof, not below 0, in the real dtype that belongs to x."""
    code = REAL_OF.get(x.type.code, x.type.code)
    return maximum(as_code(promote.apply("size_value", code=code, n=_count(x, axis)), code) - ddof, 0)


# -- means ------------------------------------------------------------------------------------------------------------


@named
def average(a: Any, axis: Any = None, weights: Any = None, returned: bool = False, keepdims: bool = False) -> Any:
    """The mean, weighted if there are `weights` of the shape of a, or of its length along `axis`.

    With `returned`, the pair of it and the sum of weights. Raises `ShapeError` for weights of another shape.

    >>> average([1.0, 4.0], weights=[2, 1]).item()
    2.0
    """
    x = to_inexact(operand(a))
    w = as_code(operand(1.0), x.type.code) if weights is None else _weights(x, axis, operand(weights))
    w = broadcast_to(w, x.type.shape)
    total = sum(w, axis, keepdims=keepdims)
    made = promote.divide(sum(x * w, axis, keepdims=keepdims), total)
    return (made, total) if returned else made


def _weights(x: TracedTensor, axis: Any, w: TracedTensor) -> TracedTensor:
    """The weights in the shape of x."""
    if w.type.shape == x.type.shape:
        return w
    if axis is None or isinstance(axis, tuple | list) or w.type.ndim != 1:
        raise ShapeError(
            "weights of another shape need one axis",
            operation="average", position=1, got=w.type.shape, wanted=x.type.shape,
            hint="give weights of the shape of a, or a vector of them and the axis it is along",
        )  # fmt: skip
    shape = [1] * x.type.ndim
    shape[operator.index(axis)] = -1
    return broadcast_to(reshape(w, tuple(shape)), x.type.shape)


@named
def count_nonzero(a: Any, axis: Any = None, keepdims: bool = False) -> TracedTensor:
    """How many elements are not zero, int64.

    >>> count_nonzero([0, 3, 5]).item()
    2
    """
    return sum(not_equal(a, 0), axis, keepdims=keepdims)


# -- NaN left out -----------------------------------------------------------------------------------------------------


def _filled(a: Any, value: float, kept: Any = True) -> tuple[TracedTensor, TracedTensor | None]:
    """The operand with a value in place of what is left out, and where that is (None: nowhere)."""
    x = operand(a)
    missing = isnan(x) if x.type.inexact else None
    if kept is not True:
        out = logical_not(kept)
        missing = out if missing is None else logical_or(missing, out)
    return (x, None) if missing is None else (where(missing, value, x), missing)


@named
def nansum(
    a: Any,
    axis: Any = None,
    dtype: Any = None,
    out: None = None,
    keepdims: bool = False,
    initial: Any = None,
    where: Any = True,
) -> TracedTensor:
    """The sum of what is not NaN. `initial`, `where` as for `sum`.

    >>> nansum([1.0, float("nan"), 2.0]).item()
    3.0
    """
    no_out("nansum", out)
    return sum(_filled(a, 0)[0], axis, dtype, None, keepdims, initial, where)


@named
def nanprod(
    a: Any,
    axis: Any = None,
    dtype: Any = None,
    out: None = None,
    keepdims: bool = False,
    initial: Any = None,
    where: Any = True,
) -> TracedTensor:
    """The product of what is not NaN. `initial`, `where` as for `prod`.

    >>> nanprod([2.0, float("nan"), 3.0]).item()
    6.0
    """
    no_out("nanprod", out)
    return prod(_filled(a, 1)[0], axis, dtype, None, keepdims, initial, where)


@named
def nanmean(
    a: Any, axis: Any = None, dtype: Any = None, out: None = None, keepdims: bool = False, *, where: Any = True
) -> TracedTensor:
    """The mean of what is not NaN (and for which `where` holds); NaN where there is nothing else.

    >>> nanmean([1.0, float("nan"), 2.0]).item()
    1.5
    """
    no_out("nanmean", out)
    x, missing = _filled(a, 0, where)
    if missing is None:
        return mean(x, axis, dtype, keepdims=keepdims)
    x = to_inexact(x)
    kept = broadcast_to(logical_not(missing), x.type.shape)
    made = promote.divide(sum(x, axis, dtype, keepdims=keepdims), _count_of(x, kept, axis, keepdims))
    return made if dtype is None else as_code(made, code_of(dtype))


@named
def nanvar(
    a: Any,
    axis: Any = None,
    dtype: Any = None,
    out: None = None,
    ddof: float = 0,
    keepdims: bool = False,
    *,
    where: Any = True,
    mean: Any = None,
    correction: Any = None,
) -> TracedTensor:
    """The variance of what is not NaN; NaN where that are not more than ddof elements. Otherwise as `var`.

    >>> nanvar([1.0, float("nan"), 3.0]).item()
    1.0
    """
    no_out("nanvar", out)
    x = to_inexact(operand(a)) if dtype is None else as_code(operand(a), code_of(dtype))
    kept = logical_not(isnan(x))
    kept = kept if where is True else broadcast_to(logical_and(kept, where), x.type.shape)
    return _variance(x, kept, axis, ddof if correction is None else correction, keepdims, mean)


@named
def nanstd(
    a: Any,
    axis: Any = None,
    dtype: Any = None,
    out: None = None,
    ddof: float = 0,
    keepdims: bool = False,
    *,
    where: Any = True,
    mean: Any = None,
    correction: Any = None,
) -> TracedTensor:
    """The root of `nanvar`; where it is 0 so is its derivative.

    >>> nanstd([1.0, float("nan"), 3.0]).item()
    1.0
    """
    no_out("nanstd", out)
    return _root(nanvar(a, axis, dtype, None, ddof, keepdims, where=where, mean=mean, correction=correction))


@named
def nanmax(
    a: Any, axis: Any = None, out: None = None, keepdims: bool = False, initial: Any = None, where: Any = True
) -> TracedTensor:
    """The largest of what is not NaN; NaN where there is nothing else. `initial`, `where` as for `max`.

    >>> nanmax([1.0, float("nan"), 2.0]).item()
    2.0
    """
    no_out("nanmax", out)
    return _extremum(max, -math.inf, a, axis, keepdims, initial, where)


@named
def nanmin(
    a: Any, axis: Any = None, out: None = None, keepdims: bool = False, initial: Any = None, where: Any = True
) -> TracedTensor:
    """The smallest of what is not NaN; NaN where there is nothing else. `initial`, `where` as for `min`.

    >>> nanmin([1.0, float("nan"), 2.0]).item()
    1.0
    """
    no_out("nanmin", out)
    return _extremum(min, math.inf, a, axis, keepdims, initial, where)


def _extremum(f: Any, filler: float, a: Any, axis: Any, keepdims: bool, initial: Any, kept: Any) -> TracedTensor:
    x, missing = _filled(a, filler)
    made: TracedTensor = f(x, axis, keepdims=keepdims, initial=initial, where=kept)
    nothing = initial is None and missing is not None
    return where(all(missing, axis, keepdims=keepdims), math.nan, made) if nothing else made


@named
def nanargmax(a: Any, axis: Any = None, out: None = None, *, keepdims: bool = False) -> TracedTensor:
    """The index of the largest of what is not NaN; -1 where there is nothing else (NumPy raises an error).

    >>> nanargmax([1.0, float("nan"), 2.0]).item()
    2
    """
    no_out("nanargmax", out)
    return _place(argmax, -math.inf, a, axis, keepdims)


@named
def nanargmin(a: Any, axis: Any = None, out: None = None, *, keepdims: bool = False) -> TracedTensor:
    """The index of the smallest of what is not NaN; -1 where there is nothing else (NumPy raises an error).

    >>> nanargmin([1.0, float("nan"), 2.0]).item()
    0
    """
    no_out("nanargmin", out)
    return _place(argmin, math.inf, a, axis, keepdims)


def _place(search: Any, filler: float, a: Any, axis: Any, keepdims: bool) -> TracedTensor:
    x, missing = _filled(a, filler)
    found: TracedTensor = search(x, axis, keepdims=keepdims)
    return found if missing is None else where(all(missing, axis, keepdims=keepdims), -1, found)
