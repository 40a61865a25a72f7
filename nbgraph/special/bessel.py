"""Bessel and Airy functions, with SciPy's names.

In: anything array-like of real numbers. Out: a `TracedTensor`, not evaluated; integers and booleans become float64.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from nbgraph.api.elementwise import OPS
from nbgraph.errors import DtypeError, named
from nbgraph.promote import apply, operand, to_inexact, unary

if TYPE_CHECKING:
    from nbgraph.tensor import TracedTensor


@named
def i0e(x: Any) -> TracedTensor:
    """exp(-|x|) times the modified Bessel function of order 0.

    >>> i0e(0.0).item()
    1.0
    """
    made: TracedTensor = apply("bessel_ie", to_inexact(operand(x)), order=0)
    return made


@named
def i1(x: Any) -> TracedTensor:
    """The modified Bessel function of order 1.

    >>> i1(0.0).item()
    0.0
    """
    made: TracedTensor = apply("bessel_i", to_inexact(operand(x)), order=1)
    return made


@named
def i1e(x: Any) -> TracedTensor:
    """exp(-|x|) times the modified Bessel function of order 1.

    >>> i1e(0.0).item()
    0.0
    """
    made: TracedTensor = apply("bessel_ie", to_inexact(operand(x)), order=1)
    return made


# -- of a real order --------------------------------------------------------------------------------------------------


def _of_order(name: str, v: Any, z: Any) -> TracedTensor:
    """The order is a number, part of the structure."""
    if not isinstance(v, int | float | np.integer | np.floating) or isinstance(v, bool):
        raise DtypeError("the order is no number", operation=name, position=0, got=v, wanted="an int or a float")
    made: TracedTensor = apply(name, to_inexact(operand(z)), order=float(v))
    return made


@named
def jv(v: float, z: Any) -> TracedTensor:
    """The Bessel function of the first kind J_v(z) of a real order, a number.

    >>> jv(1, 0.0).item()
    0.0
    """
    return _of_order("bessel_j", v, z)


@named
def yv(v: float, z: Any) -> TracedTensor:
    """The Bessel function of the second kind Y_v(z) of a real order, a number; for z > 0.

    >>> round(yv(0, 1.0).item(), 10)
    0.0882569642
    """
    return _of_order("bessel_y", v, z)


@named
def iv(v: float, z: Any) -> TracedTensor:
    """The modified Bessel function of the first kind I_v(z) of a real order, a number.

    >>> iv(0, 0.0).item()
    1.0
    """
    return _of_order("bessel_iv", v, z)


@named
def ive(v: float, z: Any) -> TracedTensor:
    """exp(-|z|) I_v(z).

    >>> ive(0, 0.0).item()
    1.0
    """
    return _of_order("bessel_ive", v, z)


@named
def kv(v: float, z: Any) -> TracedTensor:
    """The modified Bessel function of the second kind K_v(z) of a real order, a number; for z > 0.

    >>> round(kv(0, 1.0).item(), 10)
    0.4210244382
    """
    return _of_order("bessel_k", v, z)


@named
def kve(v: float, z: Any) -> TracedTensor:
    """exp(z) K_v(z).

    >>> round(kve(0, 1.0).item(), 10)
    1.1444630798
    """
    return _of_order("bessel_ke", v, z)


jn, yn, kn = jv, yv, kv


@named
def j0(x: Any) -> TracedTensor:
    """J_0(x).

    >>> j0(0.0).item()
    1.0
    """
    return _of_order("bessel_j", 0, x)


@named
def j1(x: Any) -> TracedTensor:
    """J_1(x).

    >>> j1(0.0).item()
    0.0
    """
    return _of_order("bessel_j", 1, x)


@named
def y0(x: Any) -> TracedTensor:
    """Y_0(x).

    >>> round(y0(1.0).item(), 10)
    0.0882569642
    """
    return _of_order("bessel_y", 0, x)


@named
def y1(x: Any) -> TracedTensor:
    """Y_1(x).

    >>> round(y1(1.0).item(), 10)
    -0.7812128213
    """
    return _of_order("bessel_y", 1, x)


@named
def k0(x: Any) -> TracedTensor:
    """K_0(x).

    >>> round(k0(1.0).item(), 10)
    0.4210244382
    """
    return _of_order("bessel_k", 0, x)


@named
def k1(x: Any) -> TracedTensor:
    """K_1(x).

    >>> round(k1(1.0).item(), 10)
    0.6019072302
    """
    return _of_order("bessel_k", 1, x)


@named
def k0e(x: Any) -> TracedTensor:
    """exp(x) K_0(x).

    >>> round(k0e(1.0).item(), 10)
    1.1444630798
    """
    return _of_order("bessel_ke", 0, x)


@named
def k1e(x: Any) -> TracedTensor:
    """exp(x) K_1(x).

    >>> round(k1e(1.0).item(), 10)
    1.6361534863
    """
    return _of_order("bessel_ke", 1, x)


@named
def spherical_jn(n: int, z: Any) -> TracedTensor:
    """The spherical Bessel function of the first kind j_n(z) of an order n >= 0, an int; z may be complex.

    >>> spherical_jn(0, 0.0).item()
    1.0
    """
    if isinstance(n, bool) or not isinstance(n, int | np.integer) or n < 0:
        raise DtypeError("the order is no int >= 0", operation="spherical_jn", position=0, got=n, wanted="an int >= 0")
    made: TracedTensor = apply("spherical_jn", to_inexact(operand(z)), order=int(n))
    return made


# -- Airy's -----------------------------------------------------------------------------------------------------------


class AiryResult(NamedTuple):
    """Airy's functions and their derivatives."""

    Ai: TracedTensor
    Aip: TracedTensor
    Bi: TracedTensor
    Bip: TracedTensor


@named
def airy(z: Any) -> AiryResult:
    """(Ai, Ai', Bi, Bi') of real or complex z: the solutions of y'' = z y. What is not used is not computed.

    >>> round(airy(0.0).Ai.item(), 10)
    0.3550280539
    """
    return AiryResult(*(unary(OPS[f"airy_{name}"], z) for name in ("ai", "aip", "bi", "bip")))
