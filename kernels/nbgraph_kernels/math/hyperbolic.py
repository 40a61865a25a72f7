"""sinh, cosh, tanh.

Near 0 odd polynomials x + x^3 P(x^2); beyond 1 (tanh: 0.55) from the exponential, where nothing cancels. sinh and cosh
take half of e^|x|, so that what may be represented does not overflow.
"""

from __future__ import annotations

from .coefficients import EXP, EXP_SHORT, LN2, SINH, TANH
from .exponentials import reduced, scaled
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

    With n ln 2/2 + r for |x| and p for (e^2r - 1)/2, the quotient is 1 / (2^n p + (2^n + 1)/2).
    """
    a = x.abs()
    top = x.choose(10.0, 20.0)
    bounded = (a > top).where(top, a)
    inverse, ln2, _ = x.choose(*LN2)
    shifted = bounded.fma(2.0 * inverse, x.format.magic)
    power = ((shifted.bits << x.format.mantissa) + x.format.one).float
    r = (x.format.magic - shifted).fma(ln2 / 2.0, bounded)
    p = (r * r).fma(r.polynomial([c * 2.0**k for k, c in enumerate(x.choose(*EXP_SHORT), 1)]), r)
    far = 1.0 - 1.0 / power.fma(p, power.fma(0.5, 0.5))
    z = a * a
    near = (a * z).fma(z.polynomial(x.choose(*TANH)), a)
    return (a > 0.55).where(far, near).copysign(x)


def _odd(x: Value, far: Value, coefficients: tuple[float, ...]) -> Value:
    """The polynomial below 1, `far` beyond; the polynomial of 0 times x keeps -0."""
    z = x * x
    near = (x * z).fma(z.polynomial(coefficients), x)
    near = (x.abs() < x.choose(2.0**-13, 2.0**-27)).where(x, near)
    return (x.abs() > 1.0).where(far, near)


def _half_exp(x: Value) -> Value:
    """e^x / 2 of a positive x."""
    n, r, _ = reduced(x.clamp(*x.choose((0.0, 91.0), (0.0, 712.0))))
    return scaled((r * r).fma(r.polynomial(x.choose(*EXP)), r) + 1.0, n - 1.0)
