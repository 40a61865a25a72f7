"""sinh, cosh, tanh.

Near 0 odd polynomials x + x^3 P(x^2); beyond 1 (tanh: 0.55) from the exponential, where nothing cancels. sinh and cosh
take half of e^|x|, so that what may be represented does not overflow.
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
    """The hyperbolic tangent: beyond 0.55 as 1 - 2 / (e^2|x| + 1), where the last bits of e^2|x| count little.

    With |x| = n ln(2)/2 + r the quotient is 1 / (2^n e^2r / 2 + 1/2).
    """
    a, top = x.abs(), x.choose(10.0, 20.0)
    bounded = (a > top).where(top, a)
    inverse, ln2, _ = x.choose(*LN2)
    n, word = nearest(bounded, 2.0 * inverse)
    r = n.fma(-ln2 / 2.0, bounded)
    far = 1.0 - 1.0 / power(word).fma(r.polynomial(x.choose(*HALF_EXP)), 0.5)
    z = a * a
    near = a.fma(z * z.polynomial(x.choose(*TANH)), a)
    return (a > 0.55).where(far, near).or_sign(x)


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
