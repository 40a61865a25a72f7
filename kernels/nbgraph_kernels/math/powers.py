"""x^y.

x^y = 2^(y log2 |x|), the logarithm as a double-double with a relative error below 2^-64, since the exponent may be 1074
in size. In single precision, double precision does that by itself.

log: as in `logarithms`, log m = 2 atanh(s) = 2s + s^3 (2/3 + s^2 Q(s^2)), with s, s^2 and 2/3 as double-doubles.
"""

from __future__ import annotations

import math

from .coefficients import EXP2, LOG2_E, POW
from .exponentials import nearest, power, scaled
from .logarithms import split
from .values import DOUBLE, Value, fast_two_sum, multiply


def pow(x: Value, y: Value) -> Value:
    """x^y, with C's results for zeros, infinities, NaN and negative x."""
    base = x.abs()
    size = _single(base, y) if x.is_single else _double(base, y)
    whole = y.rint() == y
    half = y * 0.5
    odd = whole & (half.rint() != half)
    negative = (x.bits & x.format.sign) != 0
    size = ((x < 0.0) & (whole == False) & (base < math.inf)).where(math.nan, size)  # noqa: E712
    size = (negative & odd).where(-size, size)
    unit = (y == 0.0) | (x == 1.0) | ((base == 1.0) & (y.abs() == math.inf))
    return unit.where(1.0, size)


def _single(base: Value, y: Value) -> Value:
    logarithm, exponential = POW[0]
    x = base.cast(DOUBLE.type)
    k, f = split(x)
    s = f / (f + 2.0)
    log2 = (s * (s * s).polynomial(logarithm)).fma(1.0 / math.log(2.0), k)
    log2 = (x == 0.0).where(-math.inf, (x < math.inf).where(log2, x))
    exponent = (y.cast(DOUBLE.type) * log2).clamp(-160.0, 130.0)
    n, word = nearest(exponent)
    r = exponent - n
    return (r.fma(r.polynomial(exponential), 1.0) * power(word)).cast(base.kind)


def _double(base: Value, y: Value) -> Value:
    high, low = _log2(base)
    product = y * high
    rest = y.fma(high, -product) + y * low
    bounded = product.clamp(-1080.0, 1030.0)
    rest = (bounded == product).where(rest, 0.0)
    n, word = nearest(bounded, offset=y.format.bias)
    r, left = fast_two_sum(bounded - n, rest)
    z = r.fma(r.polynomial(r.choose(*EXP2)), left * math.log(2.0))
    return scaled(z + 1.0, word)


def _log2(x: Value) -> tuple[Value, Value]:
    """log2 of a number that is not negative; -inf and inf of 0 and inf."""
    k, f = split(x)
    s = _ratio(f)
    square = s[0] * s[0]
    z = square, s[0].fma(s[0], -square) + 2.0 * s[0] * s[1]
    third, rest = x.choose(*POW)
    c, lost = fast_two_sum(square.constant(third[0]), square * square.polynomial(rest))
    tail = multiply(multiply(z, s), (c, lost + third[1]))
    natural = _add((s[0] * 2.0, s[1] * 2.0), tail)
    high, low = multiply(natural, x.choose(*LOG2_E))
    high, more = fast_two_sum(k, high)
    low = more + low
    high = (x == 0.0).where(-math.inf, (x < math.inf).where(high, x))
    return high, (x == 0.0).where(0.0, (x < math.inf).where(low, 0.0))


def _ratio(f: Value) -> tuple[Value, Value]:
    """f / (2 + f) as a double-double."""
    below, lost = fast_two_sum(f.constant(2.0), f)
    inverse = 1.0 / below
    q = f * inverse
    return q, ((-q).fma(below, f) - q * lost) * inverse


def _add(a: tuple[Value, Value], b: tuple[Value, Value]) -> tuple[Value, Value]:
    """The sum of double-doubles, |a| >= |b|."""
    high, low = fast_two_sum(a[0], b[0])
    return high, low + (a[1] + b[1])
