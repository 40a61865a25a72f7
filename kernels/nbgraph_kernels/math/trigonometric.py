"""sin, cos, tan.

Reduction: x = n pi/2 + r with |r| <= pi/4, r as a double-double. n pi/2 is taken off with pi/2 in three parts (Cody &
Waite 1980, ch. 8); with a fused multiply-add the first step is exact. Beyond `LIMIT` that is not enough: `reduction`
takes over, lane by lane. Then sin r = r + r^3 S(r^2), cos r = 1 - r^2/2 + r^4 C(r^2).
"""

from __future__ import annotations

from .coefficients import COS, HALF_PI, SIN
from .functions import guarded
from .reduction import remainder
from .values import DOUBLE, Value, fast_two_sum, quotient, two_sum

#: The largest |x| for which n is right and r is known well enough, in single and in double precision.
LIMIT = (2.0**12, 2.0**28)


def sin(x: Value) -> Value:
    """The sine; x itself where x^3 / 6 is below half an ulp, which keeps -0."""
    y = guarded(_sin(*_reduced(x)), x, x.choose(*LIMIT), slow_sin)
    return (x.abs() < x.choose(2.0**-13, 2.0**-27)).where(x, y)


def cos(x: Value) -> Value:
    """The cosine."""
    return guarded(_cos(*_reduced(x)), x, x.choose(*LIMIT), slow_cos)


def tan(x: Value) -> Value:
    """The tangent; x itself where x^3 / 3 is below half an ulp."""
    y = guarded(_tan(*_reduced(x)), x, x.choose(*LIMIT), slow_tan)
    return (x.abs() < x.choose(2.0**-13, 2.0**-27)).where(x, y)


def slow_sin(x: Value) -> Value:
    """The sine of a large number."""
    return _slow(x, _sin)


def slow_cos(x: Value) -> Value:
    """The cosine of a large number."""
    return _slow(x, _cos)


def slow_tan(x: Value) -> Value:
    """The tangent of a large number."""
    return _slow(x, _tan)


def _slow(x: Value, function: object) -> Value:
    wide = x.cast(DOUBLE.type)
    return function(*remainder(wide)).cast(x.kind)  # type: ignore[operator]


def _reduced(x: Value) -> tuple[Value, Value, Value]:
    """A word whose lowest bits are n, and r."""
    inverse, first, second, third = x.choose(*HALF_PI)
    shifted = x.fma(inverse, x.format.magic)
    n = shifted - x.format.magic
    exact = (-n).fma(first, x)
    product = n * second
    high, low = two_sum(exact, -product)
    lost = n.fma(second, -product)
    return shifted.bits, high, low - n.fma(third, lost)


def _kernels(high: Value, low: Value) -> tuple[tuple[Value, Value], tuple[Value, Value]]:
    """sin r and cos r as a large and a small part each."""
    z = high * high
    half = z * 0.5
    sine = (high * z).fma(z.polynomial(high.choose(*SIN)), low * (1.0 - half))
    top, rest = fast_two_sum(half.constant(1.0), -half)
    lost = high.fma(high, -z) * 0.5
    cosine = (z * z).fma(z.polynomial(high.choose(*COS)), rest - lost - high * low)
    return (high, sine), (top, cosine)


def _pick(word: Value, bit: int) -> Value:
    return (word & bit) != 0


def _sin(word: Value, high: Value, low: Value) -> Value:
    sine, cosine = _kernels(high, low)
    odd = _pick(word, 1)
    y = odd.where(cosine[0], sine[0]) + odd.where(cosine[1], sine[1])
    return y.xor_sign(word << (y.format.word.width - 2))


def _cos(word: Value, high: Value, low: Value) -> Value:
    return _sin(word + 1, high, low)


def _tan(word: Value, high: Value, low: Value) -> Value:
    """sin r / cos r, for odd n -cos r / sin r."""
    sine, cosine = (fast_two_sum(*parts) for parts in _kernels(high, low))
    odd = _pick(word, 1)
    top = tuple(odd.where(c, s) for s, c in zip(sine, cosine, strict=True))
    bottom = tuple(odd.where(s, c) for s, c in zip(sine, cosine, strict=True))
    return quotient((top[0], top[1]), (bottom[0], bottom[1])).xor_sign(word << (high.format.word.width - 1))
