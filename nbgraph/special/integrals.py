"""Integrals, hypergeometric functions and ratios of gamma functions, with SciPy's names.

In: anything array-like of real numbers; operands broadcast. Out: a `TracedTensor`, not evaluated; integers and booleans
become float64. Holds: by the parameters of `hyp1f1`, `hyp2f1` and `betainc` there are no derivatives
(`DifferentiationError`), nor by orders, which are ints.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from nbgraph.api.elementwise import OPS
from nbgraph.errors import DtypeError, named
from nbgraph.promote import apply, as_code, common, inexact_binary, operand, to_inexact, unary
from nbgraph.trace import record
from nbgraph.types import COMPLEX_OF

if TYPE_CHECKING:
    from nbgraph.tensor import TracedTensor


@named
def dawsn(x: Any) -> TracedTensor:
    """Dawson's integral, exp(-x^2) times the integral of exp(t^2) from 0 to x.

    >>> dawsn(0.0).item()
    0.0
    """
    return unary(OPS["dawsn"], x)


@named
def erfi(x: Any) -> TracedTensor:
    """The imaginary error function, -i erf(i x).

    >>> erfi(0.0).item()
    0.0
    """
    return unary(OPS["erfi"], x)


@named
def erfcinv(x: Any) -> TracedTensor:
    """The inverse of `erfc`.

    >>> abs(erfcinv(1.0).item())
    0.0
    """
    return unary(OPS["erfcinv"], x)


@named
def sici(x: Any) -> tuple[TracedTensor, TracedTensor]:
    """The sine and the cosine integral (Si, Ci) of real or complex x; Ci of a negative real number is that of |x|.

    >>> sici(0.0)[0].item()
    0.0
    """
    return unary(OPS["sine_integral"], x), unary(OPS["cosine_integral"], x)


@named
def fresnel(x: Any) -> tuple[TracedTensor, TracedTensor]:
    """Fresnel's integrals (S, C) of sin and cos of pi t^2 / 2 from 0 to x, real or complex.

    >>> fresnel(0.0)[0].item()
    0.0
    """
    return unary(OPS["fresnel_s"], x), unary(OPS["fresnel_c"], x)


@named
def lambertw(z: Any, k: int = 0, tol: float = 1e-8) -> TracedTensor:
    """Lambert's W, complex: the w of the branch k with w exp(w) = z. `tol` is of no account: it is exact.

    >>> round(lambertw(1.0).item().real, 10)
    0.5671432904
    """
    if isinstance(k, bool) or not isinstance(k, int | np.integer):
        raise DtypeError("the branch is no int", operation="lambertw", position="k", got=k, wanted="an int")
    x = to_inexact(operand(z))
    made: TracedTensor = apply("lambertw", as_code(x, COMPLEX_OF.get(x.type.code, x.type.code)), branch=int(k))
    return made


@named
def expi(x: Any) -> TracedTensor:
    """The exponential integral Ei(x).

    >>> round(expi(1.0).item(), 10)
    1.8951178164
    """
    return unary(OPS["expi"], x)


@named
def exp1(x: Any) -> TracedTensor:
    """The exponential integral E_1(x), for x > 0.

    >>> round(exp1(1.0).item(), 10)
    0.2193839344
    """
    return expn(1, x)


@named
def expn(n: int, x: Any) -> TracedTensor:
    """The exponential integral E_n(x) of an order n >= 0, an int: the integral of exp(-x t) / t^n from 1 to infinity.

    >>> expn(2, 0.0).item()
    1.0
    """
    if isinstance(n, bool) or not isinstance(n, int | np.integer) or n < 0:
        raise DtypeError("the order is no int >= 0", operation="expn", position=0, got=n, wanted="an int >= 0")
    made: TracedTensor = apply("expn", to_inexact(operand(x)), order=int(n))
    return made


@named
def spence(x: Any) -> TracedTensor:
    """The dilogarithm of 1 - x: the integral of log(t) / (1 - t) from 1 to x. Two derivatives at 1 itself.

    >>> spence(1.0).item()
    0.0
    """
    return unary(OPS["spence"], x)


@named
def ellipk(m: Any) -> TracedTensor:
    """The complete elliptic integral of the first kind K of the parameter m = k^2 < 1.

    >>> ellipk(0.0).item() == np.pi / 2
    True
    """
    return unary(OPS["ellipk"], m)


@named
def ellipe(m: Any) -> TracedTensor:
    """The complete elliptic integral of the second kind E of the parameter m = k^2 <= 1.

    >>> ellipe(0.0).item() == np.pi / 2
    True
    """
    return unary(OPS["ellipe"], m)


@named
def owens_t(h: Any, a: Any) -> TracedTensor:
    """Owen's T function.

    >>> owens_t(1.0, 0.0).item()
    0.0
    """
    return inexact_binary(OPS["owens_t"], h, a)


@named
def hyp1f1(a: Any, b: Any, x: Any) -> TracedTensor:
    """Kummer's confluent hypergeometric function M(a, b, x).

    >>> hyp1f1(1.0, 1.0, 0.0).item()
    1.0
    """
    return _of_last("hyp1f1", a, b, x)


@named
def hyp2f1(a: Any, b: Any, c: Any, z: Any) -> TracedTensor:
    """Gauss's hypergeometric function F(a, b; c; z).

    >>> hyp2f1(1.0, 1.0, 2.0, 0.0).item()
    1.0
    """
    return _of_last("hyp2f1", a, b, c, z)


@named
def betainc(a: Any, b: Any, x: Any) -> TracedTensor:
    """The regularised incomplete beta function.

    >>> betainc(1.0, 1.0, 0.25).item()
    0.25
    """
    return _of_last("betainc", a, b, x)


def _of_last(name: str, *operands: Any) -> TracedTensor:
    made: TracedTensor = record(OPS[name], [to_inexact(x) for x in common(*operands)])
    return made


# -- ratios of gamma functions ----------------------------------------------------------------------------------------


@named
def rgamma(x: Any) -> TracedTensor:
    """1 / Gamma(x), which is 0 at the poles.

    >>> rgamma(0.0).item(), rgamma(3.0).item()
    (0.0, 0.5)
    """
    return unary(OPS["rgamma"], x)


@named
def poch(z: Any, m: Any) -> TracedTensor:
    """Pochhammer's symbol, Gamma(z + m) / Gamma(z).

    >>> poch(2.0, 3.0).item()
    24.0
    """
    return inexact_binary(OPS["poch"], z, m)


@named
def binom(x: Any, y: Any) -> TracedTensor:
    """The binomial coefficient of real numbers, x over y.

    >>> binom(4.0, 2.0).item()
    6.0
    """
    return inexact_binary(OPS["binom"], x, y)
