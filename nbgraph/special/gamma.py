"""The gamma function and what comes of it, with SciPy's names.

In: anything array-like of real numbers; operands broadcast. Out: a `TracedTensor`, not evaluated; integers and
booleans become float64.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from nbgraph.api.elementwise import OPS
from nbgraph.errors import DtypeError, check_steps, named
from nbgraph.promote import apply, inexact_binary, operand, to_inexact, unary

if TYPE_CHECKING:
    from nbgraph.tensor import TracedTensor


@named
def gammaln(x: Any) -> TracedTensor:
    """log |Gamma(x)|.

    >>> gammaln(4.0).item()
    1.791759469228055
    """
    return unary(OPS["gammaln"], x)


@named
def gamma(x: Any) -> TracedTensor:
    """Gamma(x); infinite at 0, NaN at the other poles.

    >>> gamma(5.0).item()
    24.0
    """
    return unary(OPS["gamma"], x)


@named
def digamma(x: Any) -> TracedTensor:
    """The derivative of `gammaln`.

    >>> digamma(1.0).item()
    -0.5772156649015329
    """
    return unary(OPS["digamma"], x)


@named
def polygamma(n: int, x: Any) -> TracedTensor:
    """The n-th derivative of `digamma`. The order n is an int, part of the structure.

    Raises `DtypeError` for another order.

    >>> polygamma(1, 1.0).item()
    1.6449340668482266
    """
    if isinstance(n, bool) or not isinstance(n, int) or n < 0:
        raise DtypeError("the order is no int >= 0", operation="polygamma", position=0, got=n, wanted="an int >= 0")
    if n == 0:
        return digamma(x)
    made: TracedTensor = apply("polygamma", to_inexact(operand(x)), order=n)
    return made


@named
def beta(x1: Any, x2: Any) -> TracedTensor:
    """Gamma(x1) Gamma(x2) / Gamma(x1 + x2).

    >>> beta(2.0, 3.0).item()
    0.08333333333333333
    """
    return inexact_binary(OPS["beta"], x1, x2)


@named
def betaln(x1: Any, x2: Any) -> TracedTensor:
    """log |beta(x1, x2)|.

    >>> betaln(1.0, 1.0).item()
    0.0
    """
    return inexact_binary(OPS["betaln"], x1, x2)


@named
def multigammaln(a: Any, d: int) -> TracedTensor:
    """The logarithm of the multivariate gamma function of dimension d (an int), for a > (d - 1) / 2.

    >>> multigammaln(3.0, 1).item() == gammaln(3.0).item()
    True
    """
    check_steps("multigammaln", d, 1)
    x = to_inexact(operand(a))
    total = gammaln(x) + d * (d - 1) / 4 * math.log(math.pi)
    for j in range(1, d):
        total = total + gammaln(x - j / 2)
    return total


@named
def zeta(x: Any, q: Any = 1) -> TracedTensor:
    """Hurwitz's zeta function, the sum of (q + k)**-x over k >= 0; of q = 1 it is Riemann's, for x > 1.

    There is no derivative by x.

    >>> zeta(2.0).item()
    1.6449340668482266
    """
    return inexact_binary(OPS["zeta"], x, q)


@named
def gammainc(a: Any, x: Any) -> TracedTensor:
    """The regularised lower incomplete gamma function. There is no derivative by a.

    >>> gammainc(1.0, 0.0).item()
    0.0
    """
    return inexact_binary(OPS["gammainc"], a, x)


@named
def gammaincc(a: Any, x: Any) -> TracedTensor:
    """1 - gammainc(a, x), exact where that is small. There is no derivative by a.

    >>> gammaincc(1.0, 0.0).item()
    1.0
    """
    return inexact_binary(OPS["gammaincc"], a, x)


psi, lgamma = digamma, gammaln
