"""exp, exp2, expm1 and the logistic function.

Reduction: x = n ln 2 + r with |r| <= ln(2)/2, so e^x = 2^n e^r (Cody & Waite, Software Manual for the Elementary
Functions, 1980, ch. 6). n ln 2 is taken off in two steps, the first of them exact. e^r = 1 + r + r^2 q(r).
"""

from __future__ import annotations

from .coefficients import EXP, EXP2, LN2
from .values import Value, fast_two_sum


def exp(x: Value) -> Value:
    """e^x."""
    n, r, _ = reduced(x.clamp(*x.choose((-104.0, 89.0), (-746.0, 710.0))))
    return scaled((r * r).fma(r.polynomial(x.choose(*EXP)), r) + 1.0, n)


def exp2(x: Value) -> Value:
    """2^x."""
    x = x.clamp(*x.choose((-151.0, 129.0), (-1076.0, 1025.0)))
    n, _ = x.round_to_word()
    r = x - n
    return scaled(r.fma(r.polynomial(x.choose(*EXP2)), 1.0), n)


def expm1(x: Value) -> Value:
    """e^x - 1 = 2^n (e^r - 1) + (2^n - 1), here of half of it, since 2^1024 is no number."""
    bounded = x.clamp(*x.choose((-30.0, 89.0), (-60.0, 710.0)))
    n, r, rest = reduced(bounded)
    p = (r * r).fma(r.polynomial(x.choose(*EXP)), rest) + r
    half = (n - 1.0).power_of_two()
    y = half.fma(p, half - 0.5) * 2.0
    return (x.abs() < x.choose(2.0**-26, 2.0**-54)).where(x, y)


def sigmoid(x: Value) -> Value:
    """1 / (1 + e^-x), for negative x e^x / (1 + e^x): as t - t q with q = e / (1 + e), whose roundings count half."""
    e = exp(-x.abs())
    top = (x < 0.0).where(e, x.constant(1.0))
    return (-top).fma(e / (e + 1.0), top)


def reduced(x: Value) -> tuple[Value, Value, Value]:
    """n, r and what rounding left of r, with x = n ln 2 + r."""
    inverse, high, low = x.choose(*LN2)
    n = x.fma(inverse, x.format.magic) - x.format.magic
    first = (-n).fma(high, x)
    r = (-n).fma(low, first)
    return n, r, (-n).fma(low, first - r)


def scaled(y: Value, n: Value) -> Value:
    """2^n y in two steps, so that only the result may overflow or be subnormal, and is rounded once."""
    half, word = (n * 0.5).round_to_word()
    first = ((word << y.format.mantissa) + y.format.one).float
    return y * first * (n - half).power_of_two()


def exponential_parts(x: Value, rest: Value) -> tuple[Value, Value, Value]:
    """n, and e^(x + rest) / 2^n as a double-double, for a small rest; x where e^x is a number."""
    n, r, left = reduced(x)
    p = (r * r) * r.polynomial(x.choose(*EXP))
    high, low = fast_two_sum(r, p)
    high, more = fast_two_sum(high.constant(1.0), high)
    return n, high, (left + rest).fma(high, low + more)
