"""exp, exp2, expm1 and the logistic function.

Reduction: x = n ln 2 + r with |r| <= ln(2)/2, so e^x = 2^n e^r (Cody & Waite, Software Manual for the Elementary
Functions, 1980, ch. 6). n ln 2 is taken off in two steps, the first of them exact. e^r = 1 + r + r^2 q(r).

n is found by adding a large number, which leaves it in the lowest bits, with a bias that is part of that number:
shifted to where a float has its exponent, they are 2^n. With the bias twice, half of them is that of about 2^(n/2).
"""

from __future__ import annotations

from .coefficients import EXP, EXP2, LN2
from .functions import unless
from .values import Value


def exp(x: Value) -> Value:
    """e^x."""
    word, r, _ = reduced(x.clamp(*x.choose((-104.0, 89.0), (-746.0, 710.0))), x.format.bias)
    return scaled(of_rest(r), word)


def exp2(x: Value) -> Value:
    """2^x."""
    x = x.clamp(*x.choose((-151.0, 129.0), (-1076.0, 1025.0)))
    n, word = nearest(x, offset=x.format.bias)
    r = x - n
    return scaled(r.fma(r.polynomial(x.choose(*EXP2)), 1.0), word)


def expm1(x: Value) -> Value:
    """e^x - 1 = 2^n (e^r - 1) + (2^n - 1), here of half of it, since 2^1024 is no number."""
    bounded = x.clamp(*x.choose((-30.0, 89.0), (-60.0, 710.0)))
    word, r, rest = reduced(bounded, -1)
    p = (r * r).fma(r.polynomial(x.choose(*EXP)), rest) + r
    half = power(word)
    y = half.fma(p, half - 0.5) * 2.0
    return (x.abs() < x.choose(2.0**-26, 2.0**-54)).where(x, y)


def sigmoid(x: Value) -> Value:
    """1 / (1 + e^-x) = 2^n / (2^n + e^-r) for x = n ln 2 + r."""
    word, r, _ = reduced(x)
    two_n = power(word)
    below = two_n + 1.0
    y = two_n / ((less_one(-r) + (two_n + (1.0 - below))) + below)
    return unless(x.abs() > x.choose(86.0, 707.0), y, any_sigmoid, x)


def any_sigmoid(x: Value) -> Value:
    """The same of any x, 2^n outside the quotient as two factors."""
    word, r, _ = reduced(x.clamp(*x.choose((-104.0, 80.0), (-746.0, 600.0))), x.format.bias)
    first, second = halves(word)
    below = first.fma(second, 1.0)
    lost = first.fma(second, 1.0 - below)
    return second / ((less_one(-r) + lost) + below) * first


def of_rest(r: Value) -> Value:
    """e^r for |r| <= ln(2)/2."""
    if r.is_single:
        return r.horner((1.0, 1.0, *EXP[0]))
    return less_one(r) + 1.0


def less_one(r: Value) -> Value:
    """e^r - 1 for |r| <= ln(2)/2."""
    return (r * r).fma(r.polynomial(r.choose(*EXP)), r)


def nearest(x: Value, factor: float = 1.0, offset: int = 0) -> tuple[Value, Value]:
    """The integer n nearest to a small x times a factor, and a word whose lowest bits are n + offset + bias."""
    magic = x.format.magic + x.format.bias + offset
    shifted = x + magic if factor == 1.0 else x.fma(factor, magic)
    return shifted - magic, shifted.bits


def reduced(x: Value, offset: int = 0) -> tuple[Value, Value, Value]:
    """The word of n and an offset, r and what rounding left of r, with x = n ln 2 + r."""
    inverse, high, low = x.choose(*LN2)
    n, word = nearest(x, inverse, offset)
    first = (-n).fma(high, x)
    r = (-n).fma(low, first)
    return word, r, (-n).fma(low, first - r)


def power(word: Value) -> Value:
    """2^n, a normal number, for the word of n."""
    return (word << word.format.mantissa).float


def halves(word: Value) -> tuple[Value, Value]:
    """2^n as a product of two powers that are normal numbers, for the word of n and another bias."""
    form = word.format
    first = (word << (form.mantissa - 1)) & form.exponents
    return first.float, ((word << form.mantissa) - first).float


def scaled(y: Value, word: Value) -> Value:
    """2^n y for the word of n and another bias: only the result may overflow or be subnormal, and is rounded once."""
    first, second = halves(word)
    return y * first * second
