"""The error function's kin and the normal distribution, with SciPy's names.

In: anything array-like of real numbers; of complex ones for `erfc`, `erfcx` and `wofz`. Out: a `TracedTensor`, not
evaluated; integers and booleans become float64.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from nbgraph.api.elementwise import OPS, complex, imag, negative, real
from nbgraph.promote import operand, to_inexact, unary

if TYPE_CHECKING:
    from nbgraph.tensor import TracedTensor


def erfc(x: Any) -> TracedTensor:
    """1 - erf(x), exact where that is small.

    >>> erfc(0.0).item()
    1.0
    """
    return unary(OPS["erfc"], x)


def erfcx(x: Any) -> TracedTensor:
    """exp(x**2) erfc(x).

    >>> erfcx(0.0).item()
    1.0
    """
    return unary(OPS["erfcx"], x)


def wofz(z: Any) -> TracedTensor:
    """Faddeeva's function exp(-z**2) erfc(-i z), complex.

    >>> wofz(0.0).item().real
    1.0
    """
    x = to_inexact(operand(z))
    return unary(OPS["erfcx"], complex(imag(x), negative(real(x))))


def erfinv(x: Any) -> TracedTensor:
    """The inverse of erf, on [-1, 1].

    >>> erfinv(0.0).item()
    0.0
    """
    return unary(OPS["erfinv"], x)


def ndtr(x: Any) -> TracedTensor:
    """The normal distribution function.

    >>> ndtr(0.0).item()
    0.5
    """
    return unary(OPS["ndtr"], x)


def log_ndtr(x: Any) -> TracedTensor:
    """log(ndtr(x)), for very negative x too.

    >>> log_ndtr(0.0).item()
    -0.6931471805599453
    """
    return unary(OPS["log_ndtr"], x)


def ndtri(x: Any) -> TracedTensor:
    """The inverse of ndtr, on [0, 1].

    >>> ndtri(0.5).item()
    0.0
    """
    return unary(OPS["ndtri"], x)
