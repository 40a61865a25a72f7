"""Medians and quantiles with NumPy's names, also of what is not NaN.

In: anything real that is array-like, and fractions in [0, 1] (percentages in [0, 100]). Out: a `TracedTensor`, not
evaluated; the dimensions of the fractions come first; integers become float64.
Holds: a slice with a NaN gives NaN, but in the nan-forms, and of no elements a quantile is NaN, as of a fraction out of
range that is not known while recording. The derivative goes to the one or two elements that the value is made of, and
to the fraction that mixes them.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.lib.array_utils import normalize_axis_tuple

from nbgraph.api.cumulative import cumsum
from nbgraph.api.elementwise import clip, divide, minimum, stop_gradient, where
from nbgraph.api.gather import take_along_axis
from nbgraph.api.logic import greater_equal, isnan, less_equal, logical_and, logical_not, logical_or
from nbgraph.api.ordering import argsort, sort
from nbgraph.api.reductions import any, sum
from nbgraph.api.rounding import floor, rint
from nbgraph.api.shapes import broadcast_to, expand_dims, moveaxis, ravel, reshape
from nbgraph.errors import BoundsError, DtypeError, ShapeError, named
from nbgraph.promote import apply, as_code, no_out, operand, to_inexact
from nbgraph.trace import value_of
from nbgraph.types import Shape

if TYPE_CHECKING:
    from nbgraph.tensor import TracedTensor

#: alpha and beta of the position n q + alpha + q (1 - alpha - beta) - 1 among n sorted elements, counted from 0.
#: Source: Hyndman and Fan, Sample quantiles in statistical packages, The American Statistician 50 (1996).
_POSITIONS = {
    "linear": (1.0, 1.0), "lower": (1.0, 1.0), "higher": (1.0, 1.0), "midpoint": (1.0, 1.0), "nearest": (1.0, 1.0),
    "interpolated_inverted_cdf": (0.0, 1.0), "hazen": (0.5, 0.5), "weibull": (0.0, 0.0),
    "median_unbiased": (1 / 3, 1 / 3), "normal_unbiased": (3 / 8, 3 / 8),
    "inverted_cdf": (0.0, 1.0), "averaged_inverted_cdf": (0.0, 1.0), "closest_observation": (-0.5, 1.5),
}  # fmt: skip


@named
def quantile(
    a: Any,
    q: Any,
    axis: Any = None,
    out: None = None,
    overwrite_input: bool = False,
    method: str = "linear",
    keepdims: bool = False,
    *,
    weights: Any = None,
) -> TracedTensor:
    """The values that a fraction q of the elements lies below, along `axis`: of shape (*q.shape, *rest).

    Between two elements `method` decides, "linear" "lower" "higher" "midpoint" "nearest", or where the position is:
    "hazen" "weibull" "median_unbiased" "normal_unbiased" "interpolated_inverted_cdf"; or none of it is mixed:
    "inverted_cdf" "averaged_inverted_cdf" "closest_observation".

    With `weights`, of a's shape or a vector along `axis`, an element counts as often as its weight says; this is for
    `method="inverted_cdf"`. Their derivative is 0, as the value jumps from element to element.

    >>> quantile([1.0, 2.0, 4.0], [0.5, 0.75]).tolist()
    [2.0, 3.0]
    """
    no_out("quantile", out)
    return _quantile("quantile", a, _fractions("quantile", q, 1), axis, method, keepdims, False, weights)


@named
def nanquantile(
    a: Any,
    q: Any,
    axis: Any = None,
    out: None = None,
    overwrite_input: bool = False,
    method: str = "linear",
    keepdims: bool = False,
    *,
    weights: Any = None,
) -> TracedTensor:
    """`quantile` of what is not NaN; NaN where there is nothing else.

    >>> nanquantile([1.0, float("nan"), 3.0], 0.5).item()
    2.0
    """
    no_out("nanquantile", out)
    return _quantile("nanquantile", a, _fractions("nanquantile", q, 1), axis, method, keepdims, True, weights)


@named
def percentile(
    a: Any,
    q: Any,
    axis: Any = None,
    out: None = None,
    overwrite_input: bool = False,
    method: str = "linear",
    keepdims: bool = False,
    *,
    weights: Any = None,
) -> TracedTensor:
    """`quantile` at q / 100.

    >>> percentile([1.0, 2.0, 4.0], 75).item()
    3.0
    """
    no_out("percentile", out)
    return _quantile("percentile", a, _fractions("percentile", q, 100), axis, method, keepdims, False, weights)


@named
def nanpercentile(
    a: Any,
    q: Any,
    axis: Any = None,
    out: None = None,
    overwrite_input: bool = False,
    method: str = "linear",
    keepdims: bool = False,
    *,
    weights: Any = None,
) -> TracedTensor:
    """`nanquantile` at q / 100.

    >>> nanpercentile([1.0, float("nan"), 3.0], 50).item()
    2.0
    """
    no_out("nanpercentile", out)
    return _quantile("nanpercentile", a, _fractions("nanpercentile", q, 100), axis, method, keepdims, True, weights)


@named
def median(
    a: Any, axis: Any = None, out: None = None, overwrite_input: bool = False, keepdims: bool = False
) -> TracedTensor:
    """The middle element of the sorted ones; of an even number the mean of the two.

    >>> median([4.0, 1.0, 2.0, 8.0]).item()
    3.0
    """
    no_out("median", out)
    return _quantile("median", a, operand(0.5), axis, "linear", keepdims, False)


@named
def nanmedian(
    a: Any, axis: Any = None, out: None = None, overwrite_input: bool = False, keepdims: bool = False
) -> TracedTensor:
    """`median` of what is not NaN; NaN where there is nothing else.

    >>> nanmedian([4.0, 1.0, float("nan")]).item()
    2.5
    """
    no_out("nanmedian", out)
    return _quantile("nanmedian", a, operand(0.5), axis, "linear", keepdims, True)


def _fractions(name: str, q: Any, whole: int) -> TracedTensor:
    """q / whole."""
    given = operand(q)
    known = value_of(given)
    if known is not None and not ((known >= 0) & (known <= whole)).all():
        raise BoundsError("fractions out of range", operation=name, position=1, got=q, wanted=f"0 <= q <= {whole}")
    if known is not None and not given.active:
        return operand(np.true_divide(known, whole, dtype=np.float64))
    return divide(as_code(given, "f8"), whole)


def _quantile(
    name: str, a: Any, q: TracedTensor, axis: Any, method: str, keepdims: bool, skips: bool, weights: Any = None
) -> TracedTensor:
    x = to_inexact(operand(a))
    if x.type.is_complex:
        raise _no_order(name, 0, x)
    if method not in _POSITIONS:
        wanted = ", ".join(_POSITIONS)
        raise ShapeError("unknown method", operation=name, got=repr(method), wanted=f"one of {wanted}")
    axes, shape, ndim = _axes(name, x.type.ndim, axis), q.type.shape, q.type.ndim
    rows, rest = _rows(x, axes)
    known, q = value_of(q), ravel(q)
    inside = None if known is not None else logical_and(greater_equal(q, 0), less_equal(q, 1))
    q = q if inside is None else where(inside, q, 0.0)
    if rows.type.shape[-1] == 0:
        found = broadcast_to(as_code(operand(math.nan), x.type.code), (*rest, math.prod(shape)))
    elif weights is not None:
        w, _ = _rows(_weights(name, x, axes, weights, method), axes)
        found = _of_weighted_rows(rows, w, q, skips)
    else:
        found = _of_rows(rows, q, method, skips)
    found = found if inside is None else where(inside, found, math.nan)
    made = reshape(moveaxis(found, -1, 0), (*shape, *rest))
    return expand_dims(made, tuple(ndim + k for k in axes)) if keepdims and axes else made


def _no_order(name: str, position: int | str, x: TracedTensor) -> DtypeError:
    return DtypeError("complex numbers have no order", operation=name, position=position, got=x.dtype, wanted="real")


def _weights(name: str, x: TracedTensor, axes: tuple[int, ...], weights: Any, method: str) -> TracedTensor:
    """The weights in the shape of x."""
    if method != "inverted_cdf":
        got, wanted = repr(method), '"inverted_cdf"'
        raise ShapeError("weights need another method", operation=name, position="method", got=got, wanted=wanted)
    w = stop_gradient(to_inexact(operand(weights)))
    if w.type.is_complex:
        raise _no_order(name, "weights", w)
    if w.type.shape == x.type.shape:
        return w
    along = tuple(x.type.shape[k] for k in axes)
    if w.type.shape != along:
        wanted = f"the shape of the elements, {x.type.shape}, or of those along `axis`, {along}"
        raise ShapeError("weights do not fit", operation=name, position="weights", got=w.type.shape, wanted=wanted)
    return broadcast_to(expand_dims(w, tuple(k for k in range(x.type.ndim) if k not in axes)), x.type.shape)


def _axes(name: str, ndim: int, axis: Any) -> tuple[int, ...]:
    """Sorted nonnegative axes for NumPy's `axis`."""
    try:
        return tuple(sorted(normalize_axis_tuple(range(ndim) if axis is None else axis, ndim)))
    except np.exceptions.AxisError:
        wanted = f"-{ndim} <= axis < {ndim}"
        raise BoundsError("axis is out of range", operation=name, position=0, got=axis, wanted=wanted) from None
    except ValueError:
        raise ShapeError(
            "an axis occurs twice", operation=name, position=0, got=axis, wanted="each axis once"
        ) from None


def _rows(x: TracedTensor, axes: tuple[int, ...]) -> tuple[TracedTensor, Shape]:
    """The axes as one, the last; and the other sizes."""
    rest = tuple(d for k, d in enumerate(x.type.shape) if k not in axes)
    n = math.prod(x.type.shape[k] for k in axes)
    moved = moveaxis(x, axes, tuple(range(len(rest), x.type.ndim))) if axes else x
    return reshape(moved, (*rest, n)), rest


def _of_rows(x: TracedTensor, q: TracedTensor, method: str, skips: bool) -> TracedTensor:
    """[..., len(q)], of the last axis, which is not empty."""
    code, missing = x.type.code, isnan(x)
    ordered = sort(x, -1)  # NaN comes last
    n = as_code(
        sum(logical_not(missing), -1, keepdims=True) if skips else apply("size_value", code="f8", n=x.type.shape[-1]),
        "f8",
    )
    below, weight = _position(n, q, method)
    shape = (*x.type.shape[:-1], *q.type.shape)
    low = broadcast_to(as_code(clip(below, 0, n - 1), "i8"), shape)
    high = broadcast_to(as_code(clip(below + 1, 0, n - 1), "i8"), shape)
    weight = broadcast_to(as_code(weight, code), shape)
    if skips:  # a row of nothing but NaN has n = 0
        low, high = where(low < 0, 0, low), where(high < 0, 0, high)
    first, second = take_along_axis(ordered, low, -1), take_along_axis(ordered, high, -1)
    # Weights of exactly 0 keep infinities on the other side out.
    made = where(weight == 0, first, where(weight == 1, second, first * (1 - weight) + second * weight))
    return made if skips else where(any(missing, -1, keepdims=True), math.nan, made)


def _of_weighted_rows(x: TracedTensor, w: TracedTensor, q: TracedTensor, skips: bool) -> TracedTensor:
    """[..., len(q)]: the first element up to which the weights come to the fraction of their sum."""
    missing, order = isnan(x), argsort(x, -1)
    if skips:
        w = where(missing, 0.0, w)
    share = cumsum(take_along_axis(w, order, -1), -1)
    share = share / share[..., -1:]
    share = where(share == 0, -1.0, share)  # what has no weight in front is not chosen
    index = minimum(sum(expand_dims(share, -2) < expand_dims(q, -1), -1), x.type.shape[-1] - 1)
    made = take_along_axis(take_along_axis(x, order, -1), index, -1)
    return made if skips else where(any(missing, -1, keepdims=True), math.nan, made)


def _position(n: TracedTensor, q: TracedTensor, method: str) -> tuple[TracedTensor, TracedTensor]:
    """The element below each fraction, and the weight of the next one."""
    alpha, beta = _POSITIONS[method]
    virtual = n * q + (alpha + q * (1 - alpha - beta)) - 1
    at = clip(virtual, 0, n - 1)
    below = floor(at)
    between = at > below
    weights: dict[str, Any] = {
        "lower": lambda: 0 * at,
        "higher": lambda: where(between, 1.0, 0 * at),
        "midpoint": lambda: where(between, 0.5, 0 * at),
        "nearest": lambda: rint(at) - below,
        "inverted_cdf": lambda: where(between, 1.0, 0 * at),
        "averaged_inverted_cdf": lambda: where(between, 1.0, where(virtual < 0, 0.0, 0.5 + 0 * at)),
        # of the two at equal distance the even one, counted from 1
        "closest_observation": lambda: where(
            logical_or(virtual < 0, logical_and(at == below, below % 2 == 1)), 0.0, 1.0 + 0 * at
        ),
    }
    return below, weights.get(method, lambda: at - below)()
