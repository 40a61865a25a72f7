"""erf and erfc.

erf x = x + x P(x^2) up to 1, 1 - erfc x beyond. erfc x = e^(-x^2) G(t) / (1 + 2x) with t = (x - a)/(x + a), which maps
[0, inf) to [-1, 1) and makes (1 + 2x) e^(x^2) erfc x nearly a straight line (M. Shepherd & J. Laframboise, Math. Comp.
36, 249 (1981)). In single precision erf beyond 1 needs few digits of erfc, and takes the fourth power of a polynomial
(as C. Hastings, Approximations for Digital Computers, 1955, sheet 45, takes a sixteenth); erfc, which needs all of them
where it is small, is computed in double precision.
"""

from __future__ import annotations

import math

from .coefficients import ERF, ERF_FAR, ERFC, EXP, POW
from .exponentials import exponential_parts, reduced, scaled
from .values import DOUBLE, Value, fast_two_sum, two_product


def erf(x: Value) -> Value:
    """The error function, 2/sqrt(pi) times the integral of e^(-t^2) from 0 to x."""
    a = x.abs()
    far = _erf_single(a) if x.is_single else _erf_double(a)
    near = a.fma((a * a).polynomial(x.choose(*ERF)), a)
    return (a > x.choose(1.06, 1.0)).where(far, near).copysign(x)


def _erf_single(a: Value) -> Value:
    root = (a > 4.0).where(4.0, a).polynomial(ERF_FAR[0])
    square = root * root
    return (-square).fma(square, 1.0)


def _erf_double(a: Value) -> Value:
    bounded = (a > 6.0).where(6.0, a)
    center, coefficients = ERF_FAR[1]
    t, inverse = _mapped(bounded, center)
    n, r, _ = reduced(-(bounded * bounded))
    power = ((r * r).fma(r.polynomial(EXP[1]), r) + 1.0) * n.power_of_two()
    return 1.0 - power * (t.polynomial(coefficients) * inverse)


def _mapped(x: Value, center: float) -> tuple[Value, Value]:
    """t, and 1 / (1 + 2x), by one division."""
    below, scale = x + center, x.fma(2.0, 1.0)
    inverse = 1.0 / (below * scale)
    return (x - center) * (scale * inverse), below * inverse


def erfc(x: Value) -> Value:
    """1 - erf(x), exact where it is small."""
    return _erfc_single(x) if x.is_single else _erfc_double(x)


def _erfc_single(x: Value) -> Value:
    a = x.abs()
    bounded = (a > 11.0).where(11.0, a).cast(DOUBLE.type)
    center, coefficients = ERFC[0]
    t, inverse = _mapped(bounded, center)
    exponent = bounded * bounded * (-1.0 / math.log(2.0))
    n, _ = exponent.round_to_word()
    r = exponent - n
    y = t.polynomial(coefficients) * inverse * (r.fma(r.polynomial(POW[0][1]), 1.0) * n.power_of_two())
    return (x < 0.0).where(2.0 - y, y).cast(x.kind)


def _erfc_double(x: Value) -> Value:
    a = x.abs()
    bounded = (a > 28.0).where(28.0, a)
    center, coefficients = ERFC[1]
    t = (bounded - center) / (bounded + center)
    g = t.fma(t.polynomial(coefficients[1:]), coefficients[0])
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
    near = (1.0 - a) - a * (a * a).polynomial(ERF[1])
    return (a < 0.45).where((x < 0.0).where(2.0 - near, near), (x < 0.0).where(2.0 - far, far))
