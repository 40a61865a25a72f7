"""erf and erfc.

erf x = x + x P(x^2)/Q(x^2) up to 0.92, 1 - e^(-x^2) P(x)/Q(x) beyond (W. J. Cody, Math. Comp. 23, 631 (1969)), with
one quotient for both. In single precision it is x + x P(x^2) up to 1.06; beyond, where few digits of erfc are needed,
it takes the fourth power of a polynomial (as C. Hastings, Approximations for Digital Computers, 1955, sheet 45, takes a
sixteenth).

erfc x = e^(-x^2) G(t) / (1 + s x) with t = (x - a)/(x + a), which maps
[0, inf) to [-1, 1) and makes (1 + s x) e^(x^2) erfc x nearly a straight line (M. Shepherd & J. Laframboise, Math. Comp.
36, 249 (1981), with s = 2; with 2/sqrt(pi) it is level at 0, where errors of t would count most).
"""

from __future__ import annotations

from .coefficients import ERF, ERF_FAR, ERF_SEAM, ERFC, LN2, SLOPE
from .exponentials import less_one, nearest, scaled
from .values import Value, fast_two_sum, two_product


def erf(x: Value) -> Value:
    """The error function, 2/sqrt(pi) times the integral of e^(-t^2) from 0 to x, of a number in single precision."""
    return _erf_single(x.abs()).or_sign(x)


def erf_beside(x: Value, gaussian: Value) -> Value:
    """The same in double precision, of x and e^(-x^2): its derivative needs that too, which is then made once."""
    a = x.abs()
    bounded = (a > 6.0).where(6.0, a)
    near = a < ERF_SEAM
    (above, below), (top, bottom) = (
        (v.horner(numerator), v.horner(denominator))
        for v, (numerator, denominator) in ((a * a, ERF[1]), (bounded, ERF_FAR[1]))
    )
    quotient = near.where(above, top) / near.where(below, bottom)
    return near.where(a.fma(quotient, a), (-gaussian).fma(quotient, 1.0)).or_sign(x)


def _erf_single(a: Value) -> Value:
    a = (a > 4.0).where(4.0, a)
    z = a * a
    even, odd = ERF_FAR[0][::2], ERF_FAR[0][1::2]
    root = a.fma(z.horner(odd), z.horner(even))
    square = root * root
    near = a.fma(z.horner(ERF[0]), a)
    return (a > 1.06).where((-square).fma(square, 1.0), near)


def _mapped(x: Value, center: float) -> tuple[Value, Value, Value]:
    """t, and 1 / (1 + s x), by one division; 1 + s x."""
    below, scale = x + center, x.fma(SLOPE, 1.0)
    inverse = 1.0 / (below * scale)
    return (x - center) * (scale * inverse), below * inverse, scale


def erfc(x: Value) -> Value:
    """1 - erf(x), exact where it is small: what rounding e^(-x^2) and the quotient loses is put back."""
    center, coefficients = x.choose(*ERFC)
    a, top = x.abs(), x.choose(11.0, 28.0)
    a = (a > top).where(top, a)
    word, s = _reduced_square(a)
    high, low = fast_two_sum(s.constant(1.0), less_one(-s))
    t, inverse, scale = _mapped(a, center)
    g = t.fma(t.polynomial(coefficients[1:]), coefficients[0])
    q = g * inverse
    lost = ((-q).fma(scale, g) - q * a.fma(SLOPE, 1.0 - scale)) * inverse
    y = scaled(high.fma(q, low.fma(q, high * lost)), word)
    return (x.bits < 0).where(2.0 - y, y)


def _reduced_square(a: Value) -> tuple[Value, Value]:
    """The word of n with another bias, and s, with a^2 = s - n ln 2; rounded once."""
    inverse, high, low = a.choose(*LN2)
    square, lost = two_product(a, a)
    n, word = nearest(square, -inverse, a.format.bias)
    return word, n.fma(high, square) + n.fma(low, lost)
