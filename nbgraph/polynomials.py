"""Polynomials by their coefficients, the highest power first, with NumPy's names.

In: vectors of coefficients, anything array-like. Out: a `TracedTensor`, differentiable. Holds: the number of
coefficients is that of the operands, leading zeros included, where NumPy drops those; it does not depend on values.
"""

from __future__ import annotations

import operator
from typing import TYPE_CHECKING, Any

import numpy as np

from nbgraph import api, linalg
from nbgraph.api.gather import value
from nbgraph.errors import ShapeError, check_steps, named
from nbgraph.promote import common, divide, operand, to_inexact
from nbgraph.trace import concrete_size

if TYPE_CHECKING:
    from nbgraph.tensor import TracedTensor

__all__ = ["poly", "polyadd", "polyder", "polydiv", "polyfit", "polyint", "polymul", "polysub", "polyval", "roots"]


@named
def polyval(p: Any, x: Any) -> TracedTensor:
    """The value at x, p[0] x^(n-1) + ... + p[n-1], by Horner's rule.

    >>> polyval([3, 0, 1], 5).item()
    76
    """
    c, at = _coefficients("polyval", p), operand(x)
    made = api.zeros_like(at)
    for k in range(len(c)):
        made = made * at + c[k]
    return made


@named
def polyadd(a1: Any, a2: Any) -> TracedTensor:
    """The sum.

    >>> polyadd([1, 2], [9, 5, 4]).tolist()
    [9, 6, 6]
    """
    x, y = _aligned("polyadd", a1, a2)
    return api.add(x, y)


@named
def polysub(a1: Any, a2: Any) -> TracedTensor:
    """The difference.

    >>> polysub([2, 10, -2], [10, -4]).tolist()
    [2, 0, 2]
    """
    x, y = _aligned("polysub", a1, a2)
    return api.subtract(x, y)


@named
def polymul(a1: Any, a2: Any) -> TracedTensor:
    """The product.

    >>> polymul([1, 2, 3], [9, 5, 1]).tolist()
    [9, 23, 38, 17, 3]
    """
    return api.convolve(_coefficients("polymul", a1, 0), _coefficients("polymul", a2, 1))


@named
def polydiv(u: Any, v: Any) -> tuple[TracedTensor, TracedTensor]:
    """Quotient and remainder of u / v; v[0] is not 0. The remainder has one coefficient less than v.

    >>> quotient, remainder = polydiv([3.0, 5.0, 2.0], [2.0, 1.0])
    >>> quotient.tolist(), remainder.tolist()
    ([1.5, 1.75], [0.25])
    """
    x, y = (to_inexact(t) for t in common(_coefficients("polydiv", u, 0), _coefficients("polydiv", v, 1)))
    n, m = len(x), len(y)
    quotient = []
    for _ in range(n - m + 1):
        q = x[0] / y[0]
        quotient.append(q)
        x = api.concatenate([x[1:m] - q * y[1:], x[m:]])
    left = x if len(x) else api.zeros(1, x.dtype)
    return (api.stack(quotient) if quotient else api.zeros(1, x.dtype)), left


@named
def polyder(p: Any, m: int = 1) -> TracedTensor:
    """The m-th derivative.

    >>> polyder([1, 1, 1, 1]).tolist()
    [3, 2, 1]
    """
    c = _coefficients("polyder", p)
    for _ in range(min(_order("polyder", m), len(c))):  # then nothing is left
        n = len(c) - 1
        c = c[:-1] * np.arange(n, 0, -1)
    return c


@named
def polyint(p: Any, m: int = 1, k: Any = None) -> TracedTensor:
    """The m-th integral, with the constants k (a number, or one for each integration; 0 by default).

    >>> polyint([3.0, 2.0, 1.0]).tolist()
    [1.0, 1.0, 1.0, 0.0]
    """
    c, m = _coefficients("polyint", p), _order("polyint", m)
    check_steps("polyint", m, 1)
    constants = api.broadcast_to(0 if k is None else k, (m,))
    for step in range(m):
        c = api.concatenate([divide(c, np.arange(len(c), 0, -1)), constants[step : step + 1]])
    return c


@named
def poly(seq_of_zeros: Any) -> TracedTensor:
    """The polynomial with these zeros and leading coefficient 1; of a square matrix its characteristic polynomial.

    It is real where the operand is. Unlike in NumPy it is complex for complex zeros, conjugate pairs too.

    >>> poly([1.0, 2.0]).tolist()
    [1.0, -3.0, 2.0]
    """
    x = operand(seq_of_zeros)
    if x.type.ndim == 0 or x.type.ndim > 2:
        wanted = "a vector, or a square matrix"
        raise ShapeError("wrong rank", operation="poly", position=0, got=x.type.shape, wanted=wanted)
    is_matrix, is_real = x.type.ndim == 2, not x.type.is_complex
    z = linalg.eigvals(x) if is_matrix else to_inexact(x)
    made = api.ones(1, z.dtype)
    for k in range(len(z)):
        made = api.convolve(made, api.stack([api.ones((), z.dtype), -z[k]]))
    return api.real(made) if is_matrix and is_real else made


@named
def roots(p: Any) -> TracedTensor:
    """The zeros, complex, in no order: the eigenvalues of the companion matrix.

    Zeros at either end of p are left out, for which p is evaluated. Coinciding zeros have no derivative.

    >>> [round(z.real, 12) for z in roots([1.0, -3.0, 2.0]).tolist()]
    [2.0, 1.0]
    """
    c = to_inexact(_coefficients("roots", p))
    used = np.flatnonzero(value(c))
    if not len(used):
        return api.zeros(0, "complex128")
    at_zero = len(c) - 1 - int(used[-1])
    c = c[int(used[0]) : int(used[-1]) + 1]
    n = len(c) - 1
    companion = api.concatenate([api.reshape(-c[1:] / c[0], (1, n)), api.eye(n - 1, n, dtype=c.dtype)]) if n else None
    found = api.zeros(0, "complex128") if companion is None else linalg.eigvals(companion)
    return api.concatenate([found, api.zeros(at_zero, found.dtype)]) if at_zero else found


@named
def polyfit(x: Any, y: Any, deg: int, rcond: Any = None, full: bool = False, w: Any = None, cov: Any = False) -> Any:
    """The polynomial of degree `deg` for which the sum of (w (y - p(x)))^2 is least; for each column of y if there are
    several.

    With `full` also residuals, rank, singular values (of the scaled system) and rcond; with `cov` also the covariance
    of the coefficients, scaled unless `cov` is "unscaled".

    >>> [round(c, 12) for c in polyfit([0.0, 1.0, 2.0], [1.0, 3.0, 5.0], 1).tolist()]
    [2.0, 1.0]
    """
    order = _order("polyfit", deg) + 1
    xs, ys = (to_inexact(t) for t in common(x, y))
    if xs.ndim != 1 or ys.ndim not in (1, 2) or xs.shape[0] != ys.shape[0] or xs.shape[0] == 0:
        got, wanted = f"{xs.shape} and {ys.shape}", "a vector x[n], not empty, and y[n] or y[n, k]"
        raise ShapeError("points do not fit", operation="polyfit", got=got, wanted=wanted)
    n = concrete_size(xs.shape[0], "the number of points")
    rcond = n * np.finfo(xs.dtype).eps if rcond is None else rcond
    left, right = api.vander(xs, order), ys
    if w is not None:
        weight = operand(w)
        if weight.shape != xs.shape:
            wanted = f"one for each point: {xs.shape}"
            raise ShapeError("weights do not fit", operation="polyfit", position="w", got=weight.shape, wanted=wanted)
        left = left * api.expand_dims(weight, 1)
        right = right * (weight if ys.ndim == 1 else api.expand_dims(weight, 1))
    scale = api.sqrt(api.sum(api.square(api.abs(left)), 0))
    found = linalg.lstsq(left / scale, right, rcond)
    c = api.transpose(api.transpose(found.x) / scale)
    if full:
        return c, found.residuals, found.rank, found.s, rcond
    if not cov:
        return c
    return c, _covariance(left / scale, scale, found.residuals, n, order, ys.ndim, cov == "unscaled")


def _covariance(a: Any, scale: Any, residuals: Any, n: int, order: int, ndim: int, unscaled: bool) -> TracedTensor:
    base: TracedTensor = linalg.inv(api.transpose(a) @ a) / api.outer(scale, scale)
    if unscaled:
        return base
    if n <= order:
        wanted = f"more than {order} points"
        raise ShapeError("no covariance", operation="polyfit", position="cov", got=f"{n} points", wanted=wanted)
    made: TracedTensor = (
        base * (residuals / (n - order)) if ndim == 1 else api.expand_dims(base, -1) * (residuals / (n - order))
    )
    return made


# -- operands ---------------------------------------------------------------------------------------------------------


def _coefficients(name: str, p: Any, position: int = 0) -> TracedTensor:
    c = api.atleast_1d(api.asarray(p))
    if c.type.ndim != 1 or not isinstance(c.type.shape[0], int):
        wanted = "a vector of known size"
        raise ShapeError("no coefficients", operation=name, position=position, got=c.type.shape, wanted=wanted)
    return c


def _aligned(name: str, a1: Any, a2: Any) -> list[TracedTensor]:
    """Both with as many coefficients as the longer one."""
    x, y = _coefficients(name, a1, 0), _coefficients(name, a2, 1)
    n = max(len(x), len(y))
    return [api.pad(c, (n - len(c), 0)) for c in common(x, y)]


def _order(name: str, m: Any) -> int:
    if operator.index(m) < 0:
        raise ShapeError("negative order", operation=name, position=1, got=m, wanted="at least 0")
    return operator.index(m)
