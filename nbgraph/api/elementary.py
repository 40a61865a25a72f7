"""More elementary functions with NumPy's names: exponentials, logarithms, trigonometry, hyperbolic functions, angles.

In: anything array-like; operands broadcast. Out: a `TracedTensor`, not evaluated. Integers and booleans become float64.
Holds: outside a real function's domain it is NaN. `cbrt`, `hypot`, `arctan2`, `logaddexp` and angles are of real
numbers; complex ones raise `DtypeError`.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from nbgraph.api.elementwise import OPS, imag, multiply, power, real, stop_gradient
from nbgraph.errors import named
from nbgraph.promote import apply, as_code, inexact_binary, operand, record2, to_inexact, unary

if TYPE_CHECKING:
    from nbgraph.tensor import TracedTensor


# -- exponentials and logarithms ------------------------------------------------------------------------------


def exp2(x: Any) -> TracedTensor:
    """2 ** x.

    >>> exp2(3).item()
    8.0
    """
    return unary(OPS["exp2"], x)


def log2(x: Any) -> TracedTensor:
    """The logarithm to base 2.

    >>> log2(8).item()
    3.0
    """
    return unary(OPS["log2"], x)


def log10(x: Any) -> TracedTensor:
    """The logarithm to base 10.

    >>> log10(100).item()
    2.0
    """
    return unary(OPS["log10"], x)


def cbrt(x: Any) -> TracedTensor:
    """The real cube root of real x.

    >>> cbrt(-8.0).item()
    -2.0
    """
    return unary(OPS["cbrt"], x)


def rsqrt(x: Any) -> TracedTensor:
    """1 / sqrt(x).

    >>> rsqrt(4.0).item()
    0.5
    """
    return power(x, -0.5)


def logaddexp(x1: Any, x2: Any) -> TracedTensor:
    """log(exp(x1) + exp(x2)), without overflow; -inf counts as log 0.

    >>> logaddexp(-math.inf, 1.0).item()
    1.0
    """
    return inexact_binary(OPS["logaddexp"], x1, x2)


def logaddexp2(x1: Any, x2: Any) -> TracedTensor:
    """log2(2**x1 + 2**x2), without overflow.

    >>> logaddexp2(3.0, 3.0).item()
    4.0
    """
    return inexact_binary(OPS["logaddexp2"], x1, x2)


def float_power(x1: Any, x2: Any) -> TracedTensor:
    """x1 ** x2 in float64 or complex128.

    >>> float_power([1, 2], -1).tolist()
    [1.0, 0.5]
    """
    x = operand(x1)
    return power(as_code(x, "c16" if x.type.is_complex else "f8"), x2)


# -- trigonometric functions ----------------------------------------------------------------------------------


def arcsin(x: Any) -> TracedTensor:
    """The inverse sine, in radians.

    >>> arcsin(0).item()
    0.0
    """
    return unary(OPS["arcsin"], x)


def arccos(x: Any) -> TracedTensor:
    """The inverse cosine, in radians.

    >>> arccos(1).item()
    0.0
    """
    return unary(OPS["arccos"], x)


def arctan2(x1: Any, x2: Any) -> TracedTensor:
    """The angle of the point (x2, x1) of the plane, in [-pi, pi]. Its derivative at the origin is 0.

    >>> arctan2(0.0, 1.0).item()
    0.0
    """
    return inexact_binary(OPS["arctan2"], x1, x2)


def hypot(x1: Any, x2: Any) -> TracedTensor:
    """sqrt(x1**2 + x2**2), without overflow. Its derivative at the origin is 0.

    >>> hypot(3, 4).item()
    5.0
    """
    return inexact_binary(OPS["hypot"], x1, x2)


def sinc(x: Any) -> TracedTensor:
    """sin(pi x) / (pi x), and 1 at 0; all derivatives are right there too.

    >>> sinc(0).item()
    1.0
    """
    return unary(OPS["sinc"], x)


# -- hyperbolic functions -------------------------------------------------------------------------------------


def sinh(x: Any) -> TracedTensor:
    """The hyperbolic sine.

    >>> sinh(0).item()
    0.0
    """
    return unary(OPS["sinh"], x)


def cosh(x: Any) -> TracedTensor:
    """The hyperbolic cosine.

    >>> cosh(0).item()
    1.0
    """
    return unary(OPS["cosh"], x)


def arcsinh(x: Any) -> TracedTensor:
    """The inverse hyperbolic sine.

    >>> arcsinh(0).item()
    0.0
    """
    return unary(OPS["arcsinh"], x)


def arccosh(x: Any) -> TracedTensor:
    """The inverse hyperbolic cosine, not negative.

    >>> arccosh(1).item()
    0.0
    """
    return unary(OPS["arccosh"], x)


def arctanh(x: Any) -> TracedTensor:
    """The inverse hyperbolic tangent; infinite at -1 and 1.

    >>> arctanh(0).item()
    0.0
    """
    return unary(OPS["arctanh"], x)


# -- angles ---------------------------------------------------------------------------------------------------


def deg2rad(x: Any) -> TracedTensor:
    """Degrees in radians.

    >>> deg2rad(180).item() == math.pi
    True
    """
    return multiply(to_inexact(operand(x)), math.pi / 180)


def rad2deg(x: Any) -> TracedTensor:
    """Radians in degrees.

    >>> rad2deg(math.pi).item()
    180.0
    """
    return multiply(to_inexact(operand(x)), 180 / math.pi)


@named
def angle(z: Any, deg: bool = False) -> TracedTensor:
    """The angle of complex z in [-pi, pi], its derivative at 0 being 0; 0 or pi of real z, without a derivative.

    In degrees with `deg`.

    >>> angle([1j, -1 + 0j], deg=True).tolist()
    [90.0, 180.0]
    """
    z = operand(z)
    if z.type.is_complex:
        turned = record2(OPS["arctan2"], imag(z), real(z))
    else:
        turned = stop_gradient(inexact_binary(OPS["arctan2"], 0.0, to_inexact(z)))
    return rad2deg(turned) if deg else turned


def i0(x: Any) -> TracedTensor:
    """The modified Bessel function of order 0 of real x; the other functions of its kind are in `nbg.special`.

    >>> i0(0.0).item()
    1.0
    """
    made: TracedTensor = apply("bessel_i", to_inexact(operand(x)), order=0)
    return made


asin, acos, atan2 = arcsin, arccos, arctan2
asinh, acosh, atanh = arcsinh, arccosh, arctanh
radians, degrees = deg2rad, rad2deg
