"""Functions made of others, with SciPy's names: orthogonal polynomials, factorials, power transforms, losses.

In: anything array-like of numbers; operands broadcast. Out: a `TracedTensor`, not evaluated. Degrees are ints, part of
the structure.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from nbgraph.api.elementary import logaddexp
from nbgraph.api.elementwise import (
    abs,
    exp,
    expm1,
    log,
    log1p,
    maximum,
    multiply,
    power,
    sign,
    sin,
    sqrt,
    square,
    where,
)
from nbgraph.api.numbers import nan_to_num
from nbgraph.errors import DtypeError, check_steps, named
from nbgraph.promote import common, operand, to_inexact
from nbgraph.special.gamma import gamma, gammaln, zeta
from nbgraph.special.integrals import binom, hyp1f1

if TYPE_CHECKING:
    from nbgraph.tensor import TracedTensor

# -- orthogonal polynomials: p_(k + 1) from p_k and p_(k - 1) (DLMF 18.9.1) -------------------------------------------

Step = Callable[[int, Any, Any], Any]


def _recurrence(name: str, n: int, x: Any, first: Any, step: Step) -> TracedTensor:
    """p_n, from p_0 = 1, p_1 and p_(k + 1) = step(k, p_k, p_(k - 1))."""
    if isinstance(n, bool) or not isinstance(n, int | np.integer) or n < 0:
        raise DtypeError("the degree is no int >= 0", operation=name, position=0, got=n, wanted="an int >= 0")
    check_steps(name, int(n))
    before, made = x * 0 + 1, first
    for k in range(1, n):
        before, made = made, step(k, made, before)
    return made if n else before


@named
def eval_legendre(n: int, x: Any) -> TracedTensor:
    """The Legendre polynomial P_n(x).

    >>> eval_legendre(2, 0.0).item()
    -0.5
    """
    x = to_inexact(operand(x))
    return _recurrence("eval_legendre", n, x, x, lambda k, p, q: ((2 * k + 1) * x * p - k * q) / (k + 1))


@named
def eval_chebyt(n: int, x: Any) -> TracedTensor:
    """The Chebyshev polynomial of the first kind T_n(x).

    >>> eval_chebyt(2, 0.5).item()
    -0.5
    """
    x = to_inexact(operand(x))
    return _recurrence("eval_chebyt", n, x, x, lambda k, p, q: 2 * x * p - q)


@named
def eval_chebyu(n: int, x: Any) -> TracedTensor:
    """The Chebyshev polynomial of the second kind U_n(x).

    >>> eval_chebyu(2, 0.5).item()
    0.0
    """
    x = to_inexact(operand(x))
    return _recurrence("eval_chebyu", n, x, 2 * x, lambda k, p, q: 2 * x * p - q)


@named
def eval_hermite(n: int, x: Any) -> TracedTensor:
    """The physicists' Hermite polynomial H_n(x).

    >>> eval_hermite(2, 1.0).item()
    2.0
    """
    x = to_inexact(operand(x))
    return _recurrence("eval_hermite", n, x, 2 * x, lambda k, p, q: 2 * x * p - 2 * k * q)


@named
def eval_hermitenorm(n: int, x: Any) -> TracedTensor:
    """The probabilists' Hermite polynomial He_n(x).

    >>> eval_hermitenorm(2, 1.0).item()
    0.0
    """
    x = to_inexact(operand(x))
    return _recurrence("eval_hermitenorm", n, x, x, lambda k, p, q: x * p - k * q)


@named
def eval_genlaguerre(n: int, alpha: Any, x: Any) -> TracedTensor:
    """The generalised Laguerre polynomial L_n^(alpha)(x), differentiable by alpha too.

    >>> eval_genlaguerre(1, 0.5, 1.0).item()
    0.5
    """
    a, x = (to_inexact(t) for t in common(alpha, x))
    first: Any = 1 + a - x

    def step(k: int, p: Any, q: Any) -> Any:
        return ((2 * k + 1 + a - x) * p - (k + a) * q) / (k + 1)

    return _recurrence("eval_genlaguerre", n, x + 0 * a, first, step)


@named
def eval_laguerre(n: int, x: Any) -> TracedTensor:
    """The Laguerre polynomial L_n(x).

    >>> eval_laguerre(1, 0.25).item()
    0.75
    """
    return eval_genlaguerre(n, 0.0, x)


@named
def eval_gegenbauer(n: int, alpha: Any, x: Any) -> TracedTensor:
    """The Gegenbauer polynomial C_n^(alpha)(x), differentiable by alpha too.

    >>> eval_gegenbauer(1, 0.5, 0.25).item()
    0.25
    """
    a, x = (to_inexact(t) for t in common(alpha, x))

    def step(k: int, p: Any, q: Any) -> Any:
        return (2 * (k + a) * x * p - (k + 2 * a - 1) * q) / (k + 1)

    return _recurrence("eval_gegenbauer", n, x + 0 * a, 2 * a * x, step)


# -- factorials -------------------------------------------------------------------------------------------------------


@named
def factorial(n: Any, exact: bool = False) -> TracedTensor:
    """Gamma(n + 1), 0 for negative n. There are no exact ones: `exact` raises `DtypeError`.

    >>> factorial(4.0).item()
    24.0
    """
    _check_inexact("factorial", exact)
    x = to_inexact(operand(n))
    return where(x < 0, 0, gamma(maximum(x, 0) + 1))


@named
def comb(N: Any, k: Any, *, exact: bool = False, repetition: bool = False) -> TracedTensor:
    """In how many ways k of N things are chosen: `binom`, 0 where k > N or one of them is negative.

    >>> comb(4.0, 2.0).item()
    6.0
    """
    _check_inexact("comb", exact)
    n, m = (to_inexact(t) for t in common(N, k))
    if repetition:
        return comb(n + m - 1, m)
    valid = (m <= n) & (n >= 0) & (m >= 0)
    return where(valid, binom(where(valid, n, 1), where(valid, m, 1)), 0)


def _check_inexact(name: str, exact: bool) -> None:
    if exact:
        raise DtypeError("there are no integers of any size", operation=name, position="exact", got=exact, wanted=False)


@named
def gammasgn(x: Any) -> TracedTensor:
    """The sign of Gamma(x), 0 at the poles but 1 at 0.

    >>> gammasgn([2.5, -0.5]).tolist()
    [1.0, -1.0]
    """
    return sign(nan_to_num(gamma(x)))


@named
def loggamma(z: Any) -> TracedTensor:
    """log Gamma(z) of real numbers: NaN for z < 0.

    >>> loggamma(1.0).item()
    0.0
    """
    x = to_inexact(operand(z))
    return where(x < 0, np.nan, gammaln(where(x < 0, 1, x)))


@named
def zetac(x: Any) -> TracedTensor:
    """Riemann's zeta function minus 1, for x > 1: the sum of k^-x over k >= 2. There is no derivative.

    >>> round(zetac(2.0).item(), 10)
    0.6449340668
    """
    return zeta(x, 2)


# -- exponentials, power transforms, losses ---------------------------------------------------------------------------


@named
def exp10(x: Any) -> TracedTensor:
    """10^x.

    >>> exp10(2.0).item()
    100.0
    """
    return power(10.0, to_inexact(operand(x)))


@named
def cosm1(x: Any) -> TracedTensor:
    """cos(x) - 1, exact near 0.

    >>> cosm1(0.0).item()
    -0.0
    """
    return multiply(-2.0, square(sin(0.5 * to_inexact(operand(x)))))


@named
def exprel(x: Any) -> TracedTensor:
    """(exp(x) - 1) / x, 1 at 0.

    >>> exprel(0.0).item()
    1.0
    """
    return hyp1f1(1.0, 2.0, to_inexact(operand(x)))


@named
def powm1(x: Any, y: Any) -> TracedTensor:
    """x^y - 1 for x > 0, exact near 0.

    >>> powm1(2.0, 0.0).item()
    0.0
    """
    a, b = (to_inexact(t) for t in common(x, y))
    return expm1(b * log(a))


@named
def softplus(x: Any) -> TracedTensor:
    """log(1 + exp(x)).

    >>> round(softplus(0.0).item(), 12)
    0.69314718056
    """
    return logaddexp(0.0, to_inexact(operand(x)))


@named
def boxcox(x: Any, lmbda: Any) -> TracedTensor:
    """(x^lmbda - 1) / lmbda, log(x) for lmbda = 0.

    >>> boxcox(3.0, 1.0).item()
    2.0
    """
    a, b = (to_inexact(t) for t in common(x, lmbda))
    return multiply(log(a), exprel(b * log(a)))


@named
def boxcox1p(x: Any, lmbda: Any) -> TracedTensor:
    """`boxcox` of 1 + x.

    >>> boxcox1p(0.0, 2.0).item()
    0.0
    """
    a, b = (to_inexact(t) for t in common(x, lmbda))
    return multiply(log1p(a), exprel(b * log1p(a)))


@named
def inv_boxcox(y: Any, lmbda: Any) -> TracedTensor:
    """The inverse of `boxcox` by its first operand.

    >>> round(inv_boxcox(2.0, 1.0).item(), 12)
    3.0
    """
    a, b = (to_inexact(t) for t in common(y, lmbda))
    safe = where(b == 0, 1, b)
    return where(b == 0, exp(a), exp(log1p(safe * a) / safe))


@named
def huber(delta: Any, r: Any) -> TracedTensor:
    """r^2 / 2 for |r| <= delta, delta (|r| - delta / 2) beyond.

    >>> huber(1.0, [0.5, 3.0]).tolist()
    [0.125, 2.5]
    """
    d, x = (to_inexact(t) for t in common(delta, r))
    size = abs(x)
    return where(d < 0, np.inf, where(size <= d, 0.5 * square(x), d * (size - 0.5 * d)))


@named
def pseudo_huber(delta: Any, r: Any) -> TracedTensor:
    """delta^2 (sqrt(1 + (r / delta)^2) - 1).

    >>> pseudo_huber(1.0, 0.0).item()
    0.0
    """
    d, x = (to_inexact(t) for t in common(delta, r))
    ratio = square(x / d)
    return square(d) * (ratio / (1 + sqrt(1 + ratio)))
