"""`nbg.scipy.stats`: densities and distributions of random variables, differentiable by all that is continuous.

In: anything array-like of real numbers; operands broadcast. Out: a `TracedTensor`, not evaluated. Holds: each name has
the methods of SciPy's that are there, with its arguments (`loc` and `scale` last). Outside of the support a density is
0, its logarithm minus infinity, and both have derivative 0.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from nbgraph import api, special
from nbgraph.linalg import cholesky, eigh, solve_triangular
from nbgraph.promote import common, operand, to_inexact

__all__ = [
    "bernoulli", "beta", "binom", "cauchy", "chi2", "dirichlet", "expon", "gamma", "geom", "laplace", "logistic",
    "lognorm", "multivariate_normal", "norm", "pareto", "poisson", "t", "uniform",
]  # fmt: skip

#: The logarithm of a standard density, of x and shape parameters; where it is not zero; the distribution function.
Function = Callable[..., Any]
_HALF_LOG_2PI = 0.5 * math.log(2.0 * math.pi)


class Continuous:
    """A family of densities of (x - loc) / scale.

    >>> bool(norm.pdf(0.0).item() == 1 / np.sqrt(2 * np.pi))
    True
    """

    def __init__(
        self, shapes: int, log_density: Function, support: Function, cdf: Function, sf: Function | None = None
    ):
        self._shapes, self._log_density, self._support = shapes, log_density, support
        self._cdf, self._sf = cdf, sf

    def _standard(self, x: Any, given: tuple[Any, ...], loc: Any, scale: Any) -> tuple[Any, Any]:
        """(x - loc) / scale with the shape parameters, and scale."""
        shapes, rest = given[: self._shapes], given[self._shapes :]
        if len(shapes) < self._shapes:
            raise TypeError(f"{self._shapes} shape parameters are needed, got {len(shapes)}")
        loc, scale = (*rest, *(loc, scale)[len(rest) :])[:2]
        x, loc, scale, *shapes = map(to_inexact, common(x, loc, scale, *shapes))  # type: ignore[assignment]
        return ((x - loc) / scale, *shapes), scale

    def logpdf(self, x: Any, *shapes: Any, loc: Any = 0.0, scale: Any = 1.0) -> Any:
        """The logarithm of the density."""
        (y, *given), scale = self._standard(x, shapes, loc, scale)
        inside = self._support(y, *given)
        safe = api.where(inside, y, _inside(y, inside))
        return api.where(inside, self._log_density(safe, *given) - api.log(scale), -np.inf)

    def pdf(self, x: Any, *shapes: Any, loc: Any = 0.0, scale: Any = 1.0) -> Any:
        """The density."""
        return api.exp(self.logpdf(x, *shapes, loc=loc, scale=scale))

    def cdf(self, x: Any, *shapes: Any, loc: Any = 0.0, scale: Any = 1.0) -> Any:
        """The probability of at most x."""
        return self._tail(self._cdf, 0.0, x, shapes, loc, scale)

    def sf(self, x: Any, *shapes: Any, loc: Any = 0.0, scale: Any = 1.0) -> Any:
        """The probability of more than x."""
        if self._sf is None:
            return 1.0 - self.cdf(x, *shapes, loc=loc, scale=scale)
        return self._tail(self._sf, 1.0, x, shapes, loc, scale)

    def logcdf(self, x: Any, *shapes: Any, loc: Any = 0.0, scale: Any = 1.0) -> Any:
        """The logarithm of the probability of at most x."""
        return api.log(self.cdf(x, *shapes, loc=loc, scale=scale))

    def logsf(self, x: Any, *shapes: Any, loc: Any = 0.0, scale: Any = 1.0) -> Any:
        """The logarithm of the probability of more than x."""
        return api.log(self.sf(x, *shapes, loc=loc, scale=scale))

    def _tail(self, f: Function, below: float, x: Any, shapes: tuple[Any, ...], loc: Any, scale: Any) -> Any:
        (y, *given), _ = self._standard(x, shapes, loc, scale)
        inside = self._support(y, *given)
        value = f(api.where(inside, y, _inside(y, inside)), *given)
        return api.where(inside, value, api.where(y > 1, 1.0 - below, below))


class _Normal(Continuous):
    """The normal distribution: logarithms of its tails are exact where those are small."""

    def logcdf(self, x: Any, *shapes: Any, loc: Any = 0.0, scale: Any = 1.0) -> Any:
        """The logarithm of the probability of at most x."""
        ((y, *_), _) = self._standard(x, shapes, loc, scale)
        return special.log_ndtr(y)

    def logsf(self, x: Any, *shapes: Any, loc: Any = 0.0, scale: Any = 1.0) -> Any:
        """The logarithm of the probability of more than x."""
        ((y, *_), _) = self._standard(x, shapes, loc, scale)
        return special.log_ndtr(-y)


class Discrete:
    """A family of probabilities of the integers k - loc."""

    def __init__(self, shapes: int, log_mass: Function, support: Function, cdf: Function):
        self._shapes, self._log_mass, self._support, self._cdf = shapes, log_mass, support, cdf

    def _standard(self, k: Any, shapes: tuple[Any, ...], loc: Any) -> list[Any]:
        """k - loc and the shape parameters."""
        given, rest = shapes[: self._shapes], shapes[self._shapes :]
        return [to_inexact(x) for x in common(api.subtract(k, rest[0] if rest else loc), *given)]

    def cdf(self, k: Any, *shapes: Any, loc: Any = 0) -> Any:
        """The probability of at most k."""
        y, *more = self._standard(k, shapes, loc)
        y = api.floor(y)
        inside = self._support(y, *more)
        return api.where(inside, self._cdf(api.where(inside, y, 1.0), *more), api.where(y > 0, 1.0, 0.0))

    def sf(self, k: Any, *shapes: Any, loc: Any = 0) -> Any:
        """The probability of more than k."""
        return 1.0 - self.cdf(k, *shapes, loc=loc)

    def logpmf(self, k: Any, *shapes: Any, loc: Any = 0) -> Any:
        """The logarithm of the probability of k."""
        y, *more = self._standard(k, shapes, loc)
        inside = api.logical_and(self._support(y, *more), y == api.floor(y))
        return api.where(inside, self._log_mass(api.where(inside, y, 1.0), *more), -np.inf)

    def pmf(self, k: Any, *shapes: Any, loc: Any = 0) -> Any:
        """The probability of k."""
        return api.exp(self.logpmf(k, *shapes, loc=loc))


def _inside(y: Any, inside: Any) -> Any:
    """Something in every support, in the place of what is not."""
    return 0.5 + 0 * api.where(inside, y, 0.0)


def _everywhere(y: Any, *_: Any) -> Any:
    return y == y


def _positive(y: Any, *_: Any) -> Any:
    return y >= 0


def _unit(y: Any, *_: Any) -> Any:
    return api.logical_and(y >= 0, y <= 1)


def _t_log(x: Any, df: Any) -> Any:
    scaled = special.gammaln((df + 1) / 2) - special.gammaln(df / 2) - 0.5 * api.log(df * math.pi)
    return scaled - (df + 1) / 2 * api.log1p(x * x / df)


def _t_cdf(x: Any, df: Any) -> Any:
    """By the incomplete beta function, which has no derivative by df."""
    tail = 0.5 * special.betainc(df / 2, 0.5, df / (df + x * x))
    return api.where(x > 0, 1.0 - tail, tail)


norm = _Normal(0, lambda x: -0.5 * x * x - _HALF_LOG_2PI, _everywhere, special.ndtr, lambda x: special.ndtr(-x))
expon = Continuous(0, lambda x: -x, _positive, lambda x: -api.expm1(-x), lambda x: api.exp(-x))
uniform = Continuous(0, lambda x: 0.0 * x, _unit, lambda x: x)
laplace = Continuous(
    0,
    lambda x: -api.abs(x) - math.log(2.0),
    _everywhere,
    lambda x: api.where(x > 0, 1 - 0.5 * api.exp(-api.abs(x)), 0.5 * api.exp(-api.abs(x))),
)
logistic = Continuous(
    0, lambda x: special.log_expit(x) + special.log_expit(-x), _everywhere, special.expit, lambda x: special.expit(-x)
)
cauchy = Continuous(
    0, lambda x: -math.log(math.pi) - api.log1p(x * x), _everywhere, lambda x: 0.5 + api.arctan(x) / math.pi
)
gamma = Continuous(
    1,
    lambda x, a: special.xlogy(a - 1, x) - x - special.gammaln(a),
    _positive,
    lambda x, a: special.gammainc(a, x),
    lambda x, a: special.gammaincc(a, x),
)
chi2 = Continuous(
    1,
    lambda x, df: special.xlogy(df / 2 - 1, x) - x / 2 - special.gammaln(df / 2) - df / 2 * math.log(2.0),
    _positive,
    lambda x, df: special.gammainc(df / 2, x / 2),
    lambda x, df: special.gammaincc(df / 2, x / 2),
)
beta = Continuous(
    2,
    lambda x, a, b: special.xlogy(a - 1, x) + special.xlog1py(b - 1, -x) - special.betaln(a, b),
    _unit,
    lambda x, a, b: special.betainc(a, b, x),
)
t = Continuous(1, _t_log, _everywhere, _t_cdf, lambda x, df: _t_cdf(-x, df))
lognorm = Continuous(
    1,
    lambda x, s: -0.5 * (api.log(x) / s) ** 2 - api.log(s * x) - _HALF_LOG_2PI,
    lambda x, s: x > 0,
    lambda x, s: special.ndtr(api.log(x) / s),
    lambda x, s: special.ndtr(-api.log(x) / s),
)
pareto = Continuous(
    1,
    lambda x, b: api.log(b) - (b + 1) * api.log(api.maximum(x, 1.0)),
    lambda x, b: x >= 1,
    lambda x, b: 1 - api.maximum(x, 1.0) ** -b,
    lambda x, b: api.maximum(x, 1.0) ** -b,
)

poisson = Discrete(
    1,
    lambda k, mu: special.xlogy(k, mu) - special.gammaln(k + 1) - mu,
    _positive,
    lambda k, mu: special.gammaincc(k + 1, mu),
)
geom = Discrete(
    1,
    lambda k, p: special.xlog1py(k - 1, -p) + api.log(p),
    lambda k, p: k >= 1,
    lambda k, p: -api.expm1(special.xlog1py(k, -p)),
)
bernoulli = Discrete(
    1,
    lambda k, p: special.xlogy(k, p) + special.xlog1py(1 - k, -p),
    _unit,
    lambda k, p: api.where(k >= 1, 1.0, 1.0 - p),
)
binom = Discrete(
    2,
    lambda k, n, p: (
        special.gammaln(n + 1)
        - special.gammaln(k + 1)
        - special.gammaln(n - k + 1)
        + special.xlogy(k, p)
        + special.xlog1py(n - k, -p)
    ),
    lambda k, n, p: api.logical_and(k >= 0, k <= n),
    lambda k, n, p: api.where(k >= n, 1.0, special.betainc(api.maximum(n - k, 1.0), k + 1, 1 - p)),
)


class _Dirichlet:
    """The Dirichlet distribution of x[n], sums 1, with alpha[n]."""

    def logpdf(self, x: Any, alpha: Any) -> Any:
        """The logarithm of the density; x may lack its last element, or have columns as further points.

        >>> dirichlet.logpdf([0.25, 0.75], [1.0, 1.0]).item()
        0.0
        """
        y, a = (to_inexact(v) for v in common(x, alpha))
        if len(y) == len(a) - 1:
            y = api.concatenate([y, 1 - api.sum(y, 0, keepdims=True)])
        weights = api.reshape(a, (-1,) + (1,) * (y.ndim - 1))
        return special.gammaln(api.sum(a)) - api.sum(special.gammaln(a)) + api.sum(special.xlogy(weights - 1, y), 0)

    def pdf(self, x: Any, alpha: Any) -> Any:
        """The density."""
        return api.exp(self.logpdf(x, alpha))


class _MultivariateNormal:
    """The normal distribution of vectors x[..., n].

    `cov` is a positive definite matrix, its diagonal, or a number times one; with `allow_singular` it may be
    semidefinite: the distribution of what lies in its range.
    """

    def logpdf(self, x: Any, mean: Any = None, cov: Any = 1.0, allow_singular: bool = False) -> Any:
        """The logarithm of the density.

        >>> bool(multivariate_normal.logpdf([0.0, 0.0]).item() == -np.log(2 * np.pi))
        True
        """
        y, m, c = (to_inexact(v) for v in common(x, 0.0 if mean is None else mean, cov))
        n: Any = (m if m.ndim else y).shape[-1] if max(m.ndim, y.ndim) else 1
        deviation = api.atleast_1d(y - m)
        if deviation.shape[-1] != n:
            deviation = api.expand_dims(deviation, -1)
        rows = api.transpose(api.reshape(deviation, (-1, n)))
        squares, log_det, rank = (_in_range if allow_singular else _by_cholesky)(_covariance(c, n), rows)
        squares = api.reshape(squares, deviation.shape[:-1])
        return -0.5 * (squares + log_det) - rank * _HALF_LOG_2PI

    def pdf(self, x: Any, mean: Any = None, cov: Any = 1.0, allow_singular: bool = False) -> Any:
        """The density."""
        return api.exp(self.logpdf(x, mean, cov, allow_singular))

    def entropy(self, mean: Any = None, cov: Any = 1.0) -> Any:
        """The entropy; of the mean only the length counts, and that where `cov` is a number."""
        c: Any = _covariance(to_inexact(operand(cov)), 1 if mean is None else operand(mean).size)
        return api.sum(api.log(api.diagonal(cholesky(c)))) + c.shape[-1] * (0.5 + _HALF_LOG_2PI)


def _covariance(c: Any, n: Any) -> Any:
    return api.eye(n) * c if c.ndim == 0 else api.diag(c) if c.ndim == 1 else c


def _by_cholesky(c: Any, columns: Any) -> tuple[Any, Any, Any]:
    """(x^H c^-1 x of each column x, log det c, rank)."""
    lower = cholesky(c)
    scaled = solve_triangular(lower, columns, lower=True)
    return api.sum(scaled * scaled, 0), 2.0 * api.sum(api.log(api.diagonal(lower))), c.shape[-1]


def _in_range(c: Any, columns: Any) -> tuple[Any, Any, Any]:
    """The same with the pseudo-inverse and -determinant; a column that is not in the range of c is infinitely far.

    Which eigenvalues count as zero is SciPy's rule: those below 1e6 (single precision: 1e3) rounding units times the
    largest. A matrix that is not semidefinite gives NaN.
    """
    w, v = eigh(c)
    unit = (1e3 if w.dtype == np.float32 else 1e6) * float(np.finfo(w.dtype).eps)
    zero = api.stop_gradient(unit * api.max(api.abs(w)))
    kept = w > zero
    along = v.T @ columns
    safe = api.where(kept, w, 1.0)
    inside = api.sum(api.where(kept[:, None], along * along / safe[:, None], 0.0), 0)
    beyond = api.sqrt(api.stop_gradient(api.sum(api.where(kept[:, None], 0.0, along * along), 0)))
    squares = api.where(beyond < 1e3 * zero, inside, np.inf)
    squares = api.where(api.min(w) < -zero, np.nan, squares)
    return squares, api.sum(api.log(safe)), api.sum(kept)


dirichlet, multivariate_normal = _Dirichlet(), _MultivariateNormal()
