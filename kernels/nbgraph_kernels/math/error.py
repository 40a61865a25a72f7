"""erf and erfc.

erf x = x + x P(x^2) up to 1, 1 - erfc x beyond. erfc x = e^(-x^2) G(t) / (1 + 2x) with t = (x - a)/(x + a), which maps
[0, inf) to [-1, 1) and makes (1 + 2x) e^(x^2) erfc x nearly a straight line (M. Shepherd & J. Laframboise, Math. Comp.
36, 249 (1981)).
"""

from __future__ import annotations

from .coefficients import ERF, ERF_FAR, ERFC, EXP
from .exponentials import exponential_parts, reduced, scaled
from .values import Value, fast_two_sum, two_product


def erf(x: Value) -> Value:
    """The error function, 2/sqrt(pi) times the integral of e^(-t^2) from 0 to x."""
    a = x.abs()
    bounded = (a > 6.0).where(6.0, a)
    center, coefficients = x.choose(*ERF_FAR)
    below, scale = bounded + center, bounded.fma(2.0, 1.0)
    inverse = 1.0 / (below * scale)  # one division for both quotients
    g = ((bounded - center) * (scale * inverse)).polynomial(coefficients)
    n, r, _ = reduced(-(bounded * bounded))
    power = ((r * r).fma(r.polynomial(x.choose(*EXP)), r) + 1.0) * n.power_of_two()
    far = 1.0 - power * (g * (below * inverse))
    near = a.fma((a * a).polynomial(x.choose(*ERF)), a)
    return (a > 1.0).where(far, near).copysign(x)


def erfc(x: Value) -> Value:
    """1 - erf(x), exact where it is small."""
    a = x.abs()
    top = x.choose(11.0, 28.0)
    bounded = (a > top).where(top, a)
    center, coefficients = x.choose(*ERFC)
    g = ((bounded - center) / (bounded + center)).horner(coefficients)
    square, rest = two_product(bounded, bounded)
    n, high, low = exponential_parts(-square, -rest)
    below = bounded.fma(2.0, 1.0)
    lost = bounded.fma(2.0, 1.0 - below)
    inverse = 1.0 / below
    q = g * inverse
    left = ((-q).fma(below, g) - q * lost) * inverse
    product, tail = two_product(high, q)
    product, tail = fast_two_sum(product, tail + high.fma(left, low * q))
    far = scaled(product + tail, n)
    near = (1.0 - a) - a * (a * a).polynomial(x.choose(*ERF))
    return (a < 0.45).where((x < 0.0).where(2.0 - near, near), (x < 0.0).where(2.0 - far, far))
