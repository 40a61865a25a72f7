"""arctan, arctan2, arcsin, arccos.

atan x = x + x^3 P(x^2) up to 1, pi/2 - atan(1/x) beyond. asin x = x + x^3 P(x^2) up to 1/2, beyond
pi/2 - 2 asin(sqrt((1 - x)/2)), the root with what rounding left of it (FreeBSD's e_asin.c, after K. C. Ng). pi/2 is a
double-double.
"""

from __future__ import annotations

import math

from .coefficients import ASIN, ATAN, HALF_PI
from .values import Value


def arctan(x: Value) -> Value:
    """The inverse tangent."""
    a = x.abs()
    steep = a > 1.0
    return _tiny(x, _angle(steep.where(1.0 / a, a), steep).copysign(x))


def arctan2(y: Value, x: Value) -> Value:
    """The angle of the point (x, y), with C's results where both are zero or infinite."""
    rise, run = y.abs(), x.abs()
    steep = rise > run
    ratio = steep.where(run, rise) / steep.where(rise, run)
    ratio = ((rise == run) & (rise == math.inf)).where(1.0, ratio)
    ratio = ((rise == run) & (rise == 0.0)).where(0.0, ratio)
    angle = _angle(ratio, steep)
    _, first, second, _ = x.choose(*HALF_PI)
    backwards = (x.bits & x.format.sign) != 0
    return backwards.where(2.0 * first - (angle - 2.0 * second), angle).copysign(y)


def arcsin(x: Value) -> Value:
    """The inverse sine."""
    a = x.abs()
    _, first, second, _ = x.choose(*HALF_PI)
    large, root, rest, p = _root(a)
    far = (first - 2.0 * root) + (second - 2.0 * root.fma(p, rest))
    return _tiny(x, large.where(far, a.fma(p, a)).copysign(x))


def arccos(x: Value) -> Value:
    """The inverse cosine."""
    _, first, second, _ = x.choose(*HALF_PI)
    large, root, rest, p = _root(x.abs())
    small = root.fma(p, rest)
    ahead, back = 2.0 * (root + small), 2.0 * ((first - root) - (small - second))
    near = first - (x - (second - x * p))
    return large.where((x < 0.0).where(back, ahead), near)


def _tiny(x: Value, y: Value) -> Value:
    """x itself where x^3 is below half an ulp."""
    return (x.abs() < x.choose(2.0**-13, 2.0**-27)).where(x, y)


def _angle(ratio: Value, steep: Value) -> Value:
    """atan of a ratio up to 1, or pi/2 less that."""
    _, first, second, _ = ratio.choose(*HALF_PI)
    z = ratio * ratio
    curve = ratio * z * z.polynomial(ratio.choose(*ATAN))
    return steep.where(first - (ratio - (second - curve)), ratio + curve)


def _root(a: Value) -> tuple[Value, Value, Value, Value]:
    """Whether a is beyond 1/2; sqrt((1 - a)/2) and what is left of it; z P(z) of the argument used."""
    large = a > 0.5
    z = large.where((1.0 - a) * 0.5, a * a)
    root = z.sqrt()
    rest = (root > 0.0).where((-root).fma(root, z) / (root + root), 0.0)
    return large, root, rest, z * z.polynomial(a.choose(*ASIN))
