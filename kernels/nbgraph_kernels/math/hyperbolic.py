"""sinh, cosh, tanh.

Near 0 odd polynomials x + x^3 P(x^2); beyond 1 from the exponential, where nothing cancels. Half of e^|x| is used, so
that what may be represented does not overflow.
"""

from __future__ import annotations

from .coefficients import EXP, SINH, TANH
from .exponentials import exp, expm1, reduced, scaled
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
    """The hyperbolic tangent, beyond 1 as 1 - 2 / (e^2|x| + 1); in single precision t / (t + 2), t = e^2|x| - 1."""
    if x.is_single:
        t = expm1((x.abs() > 20.0).where(40.0, x.abs() * 2.0))
        return (t / (t + 2.0)).copysign(x)
    bounded = x.abs() * 2.0
    far = (1.0 - 2.0 / (exp((bounded > 50.0).where(50.0, bounded)) + 1.0)).copysign(x)
    return _odd(x, far, x.choose(*TANH))


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
