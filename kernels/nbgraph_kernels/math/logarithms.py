"""log, log1p, log2, log10.

Reduction: x = 2^k m with sqrt(1/2) <= m < sqrt(2), f = m - 1, s = f / (2 + f); then
log m = 2 atanh(s) = f - f^2/2 + s (f^2/2 + R), R = s^2 P(s^2) (FreeBSD's e_log.c, after K. C. Ng). In single
precision a polynomial of f does.
"""

from __future__ import annotations

import math

from .coefficients import LN2, LOG, LOG2_E, LOG10_2, LOG10_E
from .functions import unless
from .values import Value, two_sum


def log(x: Value) -> Value:
    """The natural logarithm."""
    return unless(_is_rare(x), _natural(*split_normal(x)), any_log, x)


def any_log(x: Value) -> Value:
    """The natural logarithm of any number."""
    return _special(x, _natural(*split(x)))


def log1p(x: Value) -> Value:
    """log(1 + x): what rounding 1 + x loses is put back into f."""
    u, lost = two_sum(x, x.constant(1.0))
    k, f = split_normal(u)
    y = _natural(k, lost.fma((-k).power_of_two(), f))
    y = unless(_is_rare(u, x.choose(2.0**60, 2.0**600)), y, any_log1p, x)
    return (x.abs() < x.choose(2.0**-26, 2.0**-54)).where(x, y)


def any_log1p(x: Value) -> Value:
    """log(1 + x) of any number that is not small."""
    u, lost = two_sum(x, x.constant(1.0))
    k, f = split(u)
    near = (x < x.choose(2.0**30, 2.0**60)).where(lost, 0.0)  # beyond that, it does not matter
    return _special(u, _natural(k, near.fma((-k.clamp(-60.0, 60.0)).power_of_two(), f)))


def log2(x: Value) -> Value:
    """log2 x = k + log(m) log2(e)."""
    return unless(_is_rare(x), _log2(*split_normal(x)), any_log2, x)


def any_log2(x: Value) -> Value:
    """log2 of any number."""
    return _special(x, _log2(*split(x)))


def log10(x: Value) -> Value:
    """log10 x = k log10(2) + log(m) log10(e)."""
    return unless(_is_rare(x), _log10(*split_normal(x)), any_log10, x)


def any_log10(x: Value) -> Value:
    """log10 of any number."""
    return _special(x, _log10(*split(x)))


def _is_rare(x: Value, limit: float = math.inf) -> Value:
    """Whether x is not a positive normal number below a limit: one comparison of its bits, as of unsigned numbers."""
    form = x.format
    low, high = 1 << form.mantissa, form.bits(limit)
    return x.bits - (low + form.sign) >= high - low - form.sign


def split_normal(x: Value) -> tuple[Value, Value]:
    """k, and f = m - 1, of a positive normal x."""
    form = x.format
    exponent, f = _split(x)
    return exponent - (2.0**form.mantissa + form.bias), f


def split(x: Value) -> tuple[Value, Value]:
    """k, and f = m - 1, of a positive x."""
    form = x.format
    subnormal = x < 2.0 ** (1 - form.bias)
    exponent, f = _split(subnormal.where(x * 2.0 ** (form.mantissa + 1), x))
    offset = x.constant(2.0**form.mantissa + form.bias)
    return exponent - subnormal.where(2.0**form.mantissa + form.bias + form.mantissa + 1, offset), f


def _split(x: Value) -> tuple[Value, Value]:
    """k + 2^mantissa + bias, and f, of a positive normal x."""
    form, word = x.format, x.bits
    start = x.choose(0x3F3504F3, 0x3FE6A09E667F3BCD)  # sqrt(1/2)
    above = word - start + (form.bias << form.mantissa)  # the exponent field is k + bias
    exponent = ((above >> form.mantissa) | x.constant(2.0**form.mantissa).bits).float
    m = ((above & ((1 << form.mantissa) - 1)) + start).float
    return exponent, m - 1.0


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


def _log2(k: Value, f: Value) -> Value:
    return _in_base(k, f, (1.0, 0.0), f.choose(*LOG2_E))


def _log10(k: Value, f: Value) -> Value:
    return _in_base(k, f, f.choose(*LOG10_2), f.choose(*LOG10_E))


def _in_base(k: Value, f: Value, two: tuple[float, float], e: tuple[float, float]) -> Value:
    """k times the logarithm of 2, and log(m) times that of e."""
    natural = _of_mantissa(f)
    return k.fma(two[0], natural.fma(e[0], natural.fma(e[1], k * two[1])))


def _special(x: Value, y: Value) -> Value:
    """The result where x is not a positive finite number."""
    y = (x < math.inf).where(y, x)
    y = (x.bits < 0).where(math.nan, y)
    return (x == 0.0).where(-math.inf, y)
