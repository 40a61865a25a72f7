"""Signs, exceptional values, steps and nearness, with NumPy's names.

In: anything array-like; operands broadcast. Out: a `TracedTensor`, not evaluated.
Holds: derivatives go to what was chosen; signs and steps have none.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from nbgraph import promote
from nbgraph.api.elementwise import OPS, abs, stop_gradient, where
from nbgraph.api.logic import equal, isfinite, isinf, isnan, less_equal, logical_and, logical_or
from nbgraph.api.reductions import all
from nbgraph.api.rounding import nextafter
from nbgraph.errors import named
from nbgraph.promote import binary, common, inexact_binary, no_out, operand, record1, to_inexact

if TYPE_CHECKING:
    from nbgraph.tensor import TracedTensor


def copysign(x1: Any, x2: Any) -> TracedTensor:
    """|x1| with the sign of x2. The derivative at x1 = 0 is 0.

    >>> copysign([1.0, -2.0], -0.0).tolist()
    [-1.0, -2.0]
    """
    return inexact_binary(OPS["copysign"], x1, x2)


def signbit(x: Any) -> TracedTensor:
    """Whether the sign is minus, that of a zero too.

    >>> signbit([-0.0, 0.0]).tolist()
    [True, False]
    """
    x = operand(x)
    return record1(OPS["signbit"], to_inexact(x))


def heaviside(x1: Any, x2: Any) -> TracedTensor:
    """0 for x1 < 0, x2 for x1 = 0, 1 for x1 > 0, NaN for NaN.

    >>> heaviside([-1.5, 0.0, 2.0], 0.5).tolist()
    [0.0, 0.5, 1.0]
    """
    x, at_zero = map(to_inexact, common(x1, x2))
    return where(x == 0, at_zero, where(x < 0, 0.0, where(x > 0, 1.0, x)))


def fmax(x1: Any, x2: Any) -> TracedTensor:
    """The larger of two real elements; a number wins over NaN. Ties share the derivative equally.

    >>> fmax([1.0, float("nan")], 0.5).tolist()
    [1.0, 0.5]
    """
    return _number_wins("fmax", "maximum", x1, x2)


def fmin(x1: Any, x2: Any) -> TracedTensor:
    """The smaller of two real elements; a number wins over NaN. Ties share the derivative equally.

    >>> fmin([1.0, float("nan")], 0.5).tolist()
    [0.5, 0.5]
    """
    return _number_wins("fmin", "minimum", x1, x2)


def _number_wins(name: str, of_integers: str, a: Any, b: Any) -> TracedTensor:
    x, y = common(a, b)
    return binary(OPS[name if x.type.inexact else of_integers], x, y)


def reciprocal(x: Any) -> TracedTensor:
    """1 / x; of integers without its fraction, as in NumPy (0 of 0).

    >>> reciprocal([0.5, 4.0]).tolist()
    [2.0, 0.25]
    """
    x = operand(x)
    return promote.power(x, -1) if x.type.inexact else where(abs(x) == 1, x, 0)


def nan_to_num(
    x: Any, copy: bool = True, nan: float = 0.0, posinf: float | None = None, neginf: float | None = None
) -> TracedTensor:
    """NaN replaced by a number, and infinities by numbers: the largest and the smallest of the dtype, if not given.

    What is replaced has no derivative. Of complex x both parts are treated so.

    >>> nan_to_num([float("nan"), float("inf"), 1.0], posinf=9.0).tolist()
    [0.0, 9.0, 1.0]
    """
    x = operand(x)
    if not x.type.inexact:
        return x
    if x.type.is_complex:
        parts = (nan_to_num(record1(OPS[part], x), copy, nan, posinf, neginf) for part in ("real", "imag"))
        return next(parts) + 1j * next(parts)
    info = np.finfo(x.type.dtype)
    high, low = (float(info.max) if posinf is None else posinf), (float(info.min) if neginf is None else neginf)
    return where(isnan(x), nan, where(x == np.inf, high, where(x == -np.inf, low, x)))


@named
def isclose(a: Any, b: Any, rtol: float = 1e-05, atol: float = 1e-08, equal_nan: bool = False) -> TracedTensor:
    """Whether |a - b| <= atol + rtol |b|, as booleans; infinities are close if they are equal.

    >>> isclose([1.0, 1.1], 1.0).tolist()
    [True, False]
    """
    x, y = map(to_inexact, common(a, b))
    near = less_equal(abs(x - y), atol + rtol * abs(y))
    close = logical_or(logical_and(near, isfinite(y)), equal(x, y))
    return logical_or(close, logical_and(isnan(x), isnan(y))) if equal_nan else close


@named
def allclose(a: Any, b: Any, rtol: float = 1e-05, atol: float = 1e-08, equal_nan: bool = False) -> TracedTensor:
    """Whether all elements are close, see `isclose`; a tensor, not evaluated.

    >>> allclose([1.0, 2.0], [1.0, 2.0 + 1e-12]).item()
    True
    """
    return all(isclose(a, b, rtol, atol, equal_nan))


def spacing(x: Any) -> TracedTensor:
    """The distance to the next number away from zero, with the sign of x.

    >>> spacing(1.0).item()
    2.220446049250313e-16
    """
    given = to_inexact(operand(x))
    return nextafter(given, copysign(np.inf, given)) - stop_gradient(given)


def isposinf(x: Any, out: None = None) -> TracedTensor:
    """Whether it is plus infinity.

    >>> isposinf([1.0, float("inf"), float("-inf")]).tolist()
    [False, True, False]
    """
    no_out("isposinf", out)
    x = operand(x)
    return logical_and(isinf(x), x > 0)


def isneginf(x: Any, out: None = None) -> TracedTensor:
    """Whether it is minus infinity.

    >>> isneginf([1.0, float("inf"), float("-inf")]).tolist()
    [False, False, True]
    """
    no_out("isneginf", out)
    x = operand(x)
    return logical_and(isinf(x), x < 0)
