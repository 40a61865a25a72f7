"""log, log1p, log2, log10.

Reduction: x = 2^k m with sqrt(1/2) <= m < sqrt(2), f = m - 1, s = f / (2 + f); then
log m = 2 atanh(s) = f - f^2/2 + s (f^2/2 + R), R = s^2 P(s^2) (FreeBSD's e_log.c, after K. C. Ng). In single
precision a polynomial of f does.
"""

from __future__ import annotations

import math

from .coefficients import LN2, LOG, LOG2_E, LOG10_2, LOG10_E
from .values import Value, two_sum


def log(x: Value) -> Value:
    """The natural logarithm."""
    k, f = split(x)
    return _special(x, _natural(k, f))


def log1p(x: Value) -> Value:
    """log(1 + x): what rounding 1 + x loses is put back into f."""
    u, lost = two_sum(x, x.constant(1.0))
    k, f = split(u)
    near = (x < x.choose(2.0**30, 2.0**60)).where(lost, 0.0)  # beyond that, it does not matter
    y = _natural(k, f + near * (-k.clamp(-60.0, 60.0)).power_of_two())
    small = x.abs() < x.choose(2.0**-26, 2.0**-54)
    return small.where(x, _special(u, y))


def log2(x: Value) -> Value:
    """log2 x = k + log(m) log2(e)."""
    return _special(x, _in_base(x, (1.0, 0.0), x.choose(*LOG2_E)))


def log10(x: Value) -> Value:
    """log10 x = k log10(2) + log(m) log10(e)."""
    return _special(x, _in_base(x, x.choose(*LOG10_2), x.choose(*LOG10_E)))


def split(x: Value) -> tuple[Value, Value]:
    """k, and f = m - 1, of a positive x."""
    form = x.format
    subnormal = x < 2.0 ** (1 - form.bias)
    word = subnormal.where(x * 2.0 ** (form.mantissa + 1), x).bits
    start = x.choose(0x3F3504F3, 0x3FE6A09E667F3BCD)  # sqrt(1/2)
    above = word - start + (form.bias << form.mantissa)  # the exponent field is k + bias
    exponent = ((above >> form.mantissa) | x.constant(2.0**form.mantissa).bits).float
    offset = x.constant(2.0**form.mantissa + form.bias)
    k = exponent - subnormal.where(2.0**form.mantissa + form.bias + form.mantissa + 1, offset)
    m = ((above & ((1 << form.mantissa) - 1)) + start).float
    return k, m - 1.0


def _terms(f: Value) -> tuple[Value, Value]:
    """f^2/2, and s (f^2/2 + R)."""
    s = f / (f + 2.0)
    z = s * s
    half = f * 0.5 * f
    return half, s * z.fma(z.polynomial(LOG[1]), half)


def _of_mantissa(f: Value) -> Value:
    """log(1 + f) for an m = 1 + f: in single precision f - f^2/2 + f^3 P(f), without a division."""
    if f.is_single:
        return (f * f).fma(f.fma(f.polynomial(LOG[0]), -0.5), f)
    half, rest = _terms(f)
    return f - (half - rest)


def _natural(k: Value, f: Value) -> Value:
    if f.is_single:
        return k.fma(math.log(2.0), _of_mantissa(f))
    _, high, low = LN2[1]
    half, rest = _terms(f)
    return k.fma(high, f - (half - k.fma(low, rest)))


def _in_base(x: Value, two: tuple[float, float], e: tuple[float, float]) -> Value:
    """k times the logarithm of 2, and log(m) times that of e."""
    k, f = split(x)
    natural = _of_mantissa(f)
    return k.fma(two[0], natural.fma(e[0], natural.fma(e[1], k * two[1])))


def _special(x: Value, y: Value) -> Value:
    """The result where x is not a positive finite number."""
    y = (x < math.inf).where(y, x)
    y = (x.bits < 0).where(math.nan, y)
    return (x == 0.0).where(-math.inf, y)
