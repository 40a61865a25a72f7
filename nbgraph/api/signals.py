"""Convolution, correlation, linear interpolation, unwrapped angles, with NumPy's names.

In: anything array-like. Out: a `TracedTensor`, differentiable by every operand.
"""

from __future__ import annotations

import builtins
import math
from typing import TYPE_CHECKING, Any

import numpy as np

from nbgraph.api.cumulative import cumsum, diff
from nbgraph.api.elementwise import abs, conj, maximum, minimum, where
from nbgraph.api.gather import axis_of, take, value
from nbgraph.api.joining import concatenate
from nbgraph.api.logic import logical_and
from nbgraph.api.ordering import argsort, searchsorted
from nbgraph.api.rounding import floor_divide, remainder
from nbgraph.api.shapes import flip
from nbgraph.dims import dim_max, dim_min
from nbgraph.errors import ShapeError, named
from nbgraph.promote import apply, common, operand, to_inexact

if TYPE_CHECKING:
    from nbgraph.tensor import TracedTensor


@named
def convolve(a: Any, v: Any, mode: str = "full") -> TracedTensor:
    """The convolution of two vectors: all of it ("full"), of the longer one's size around its middle ("same"), or where
    they overlap wholly ("valid").

    >>> convolve([1, 2, 3], [0, 1, 0.5]).tolist()
    [0.0, 1.0, 2.5, 4.0, 1.5]
    """
    x, y = _vectors("convolve", a, v)
    n, m = x.type.shape[0], y.type.shape[0]
    long, short = dim_max(n, m), dim_min(n, m)
    bounds = {"full": (0, long + short - 1), "same": ((short - 1) // 2, long), "valid": (short - 1, long - short + 1)}
    if mode not in bounds:
        raise ShapeError("unknown mode", operation="convolve", got=repr(mode), wanted="'full', 'same' or 'valid'")
    start, count = bounds[mode]
    made: TracedTensor = apply("convolve", x, y, start=start, count=count)
    return made


@named
def correlate(a: Any, v: Any, mode: str = "valid") -> TracedTensor:
    """The correlation of two vectors: the convolution of a with conj(v) backwards.

    >>> correlate([1, 2, 3], [0, 1, 0.5]).tolist()
    [3.5]
    """
    x, y = _vectors("correlate", a, v)
    n, m = x.type.shape[0], y.type.shape[0]
    if mode == "same" and isinstance(n, int) and isinstance(m, int) and m > n:
        # NumPy turns both around, and so rounds the middle of an even one the other way.
        made: TracedTensor = apply("convolve", x, flip(conj(y)), start=n // 2, count=m)
        return made
    return convolve(x, flip(conj(y)), mode)


def _vectors(name: str, a: Any, v: Any) -> list[TracedTensor]:
    given = common(a, v)
    for position, x in enumerate(given):
        if x.type.ndim != 1 or x.type.shape[0] == 0:
            wanted = "a vector that is not empty"
            raise ShapeError("wrong shape", operation=name, position=position, got=x.type.shape, wanted=wanted)
    return given


@named
def unwrap(p: Any, discont: Any = None, axis: int = -1, *, period: Any = 2 * math.pi) -> TracedTensor:
    """Angles with jumps of more than half a period along an axis (or of `discont`, if that is more) taken out, by
    adding multiples of the period. Integers stay integers where the period is one.

    >>> unwrap([0, 3, 6, 1], period=6).tolist()
    [0, 3, 6, 7]
    """
    x, turn = common(p, period)
    jumps = diff(x, axis=axis)
    whole = not x.type.inexact
    half, odd = (floor_divide(turn, 2), remainder(turn, 2)) if whole else (turn / 2, 1.0)
    # In [-half, half), where a jump of half a period up stays one up.
    near = remainder(jumps + half, turn) - half
    if not whole or value(odd).item() == 0:
        near = where(logical_and(near == -half, jumps > 0), half, near)
    correction = where(abs(jumps) < (half if discont is None else discont), 0, near - jumps)
    at = axis_of("unwrap", axis, x.type.ndim)
    first, rest = (slice(None),) * at + (slice(0, 1),), (slice(None),) * at + (slice(1, None),)
    return concatenate([x[first], x[rest] + cumsum(correction, at)], at)


@named
def interp(x: Any, xp: Any, fp: Any, left: Any = None, right: Any = None, period: Any = None) -> TracedTensor:
    """The piecewise linear function through the points (xp, fp), xp ascending, at x; `left` and `right` outside.

    With a `period`, xp need not be ascending, and there is no outside (xp is then evaluated).

    >>> interp(2.5, [1, 2, 3], [3, 2, 0]).item()
    1.0
    """
    xs, ps = (to_inexact(t) for t in common(x, xp))
    fs = to_inexact(operand(fp))
    if ps.type.ndim != 1 or fs.type.shape != ps.type.shape or ps.type.shape[0] == 0:
        got = f"{ps.type.shape} and {fs.type.shape}"
        raise ShapeError("points do not fit", operation="interp", got=got, wanted="two vectors of one size, not empty")
    if period is not None:
        xs, ps, fs = _periodic(xs, ps, fs, builtins.abs(period))
        left = right = None
    n = ps.type.shape[0]
    low, high = fs[0] if left is None else left, fs[-1] if right is None else right
    if n == 1 and type(n) is int:  # also at NaN, as in NumPy
        return where(xs < ps[0], low, where(xs > ps[-1], high, fs[-1]))
    k = minimum(maximum(searchsorted(ps, xs, "right") - 1, 0), n - 2)
    start, base = take(ps, k), take(fs, k)
    run = take(ps, k + 1) - start
    slope = (take(fs, k + 1) - base) / where(run == 0, 1, run)  # of a lone point; its value is set below
    inside = where(xs == ps[-1], fs[-1], slope * (xs - start) + base)
    return where(xs < ps[0], low, where(xs > ps[-1], high, inside))


def _periodic(x: Any, p: Any, f: Any, period: float) -> Any:
    """Everything in one period, points in order, and one more at each end."""
    if period == 0:
        raise ShapeError("the period is zero", operation="interp", position="period", got=period)
    x, p = (t - period * np.floor(value(t) / period) for t in (x, p))
    order = argsort(p)
    p, f = take(p, order), take(f, order)
    return x, concatenate([p[-1:] - period, p, p[:1] + period]), concatenate([f[-1:], f, f[:1]])
