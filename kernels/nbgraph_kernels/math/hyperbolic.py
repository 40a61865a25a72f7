"""sinh, cosh, tanh.

sinh and tanh: near 0 x and an odd polynomial or quotient of such, beyond 1 (tanh: 0.6) from the exponential, where
nothing cancels. sinh and cosh take half of e^|x|, so that what may be represented does not overflow.
"""

from __future__ import annotations

from .coefficients import HALF_EXP, LN2, SINH, TANH
from .exponentials import nearest, of_rest, power, reduced, scaled
from .values import Value


def sinh(x: Value) -> Value:
    """The hyperbolic sine: (e^x - e^-x) / 2."""
    h = _half_exp(x.abs())
    far = (h - 0.25 / h).copysign(x)
    return _odd(x, far, x.choose(*SINH))


def cosh(x: Value) -> Value:
    """The hyperbolic cosine: (e^x + e^-x) / 2."""
    h = _half_exp(x.abs())
    return h + 0.25 / h


def tanh(x: Value) -> Value:
    """The hyperbolic tangent: up to 0.6 as x + x z P(z)/Q(z), z = x^2, beyond as 1 - 2 / (e^2|x| + 1), where the last
    bits of e^2|x| count little; one quotient does for both.

    With |x| = n ln(2)/2 + r the latter is 1 - 1 / (2^n e^2r / 2 + 1/2).
    """
    a, top = x.abs(), x.choose(10.0, 20.0)
    bounded = (a > top).where(top, a)
    inverse, ln2, _ = x.choose(*LN2)
    n, word = nearest(bounded, 2.0 * inverse)
    r = n.fma(-ln2 / 2.0, bounded)
    below = power(word).fma(r.polynomial(x.choose(*HALF_EXP)), 0.5)
    z, (numerator, denominator) = a * a, x.choose(*TANH)
    near = a < 0.6
    above = near.where(a * z * z.horner(numerator), -1.0)
    return (near.where(a, 1.0) + above / near.where(z.horner(denominator), below)).or_sign(x)


def _odd(x: Value, far: Value, coefficients: tuple[float, ...]) -> Value:
    """The polynomial below 1, `far` beyond; the polynomial of 0 times x keeps -0."""
    z = x * x
    near = (x * z).fma(z.polynomial(coefficients), x)
    near = (x.abs() < x.choose(2.0**-13, 2.0**-27)).where(x, near)
    return (x.abs() > 1.0).where(far, near)


def _half_exp(x: Value) -> Value:
    """e^x / 2 of a positive x."""
    word, r, _ = reduced(x.clamp(*x.choose((0.0, 91.0), (0.0, 712.0))), x.format.bias - 1)
    return scaled(of_rest(r), word)
