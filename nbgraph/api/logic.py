"""Comparisons and logic with NumPy's names.

In: anything array-like; operands broadcast. Out: a `TracedTensor` of booleans, not evaluated, without a derivative.
Holds: a Python integer beyond the other operand's dtype compares as the number it is. Order is of real numbers:
complex operands raise `DtypeError`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from nbgraph.api.elementwise import OPS
from nbgraph.promote import binary, compare, operand, record1, unary

if TYPE_CHECKING:
    from nbgraph.tensor import TracedTensor


def equal(x1: Any, x2: Any) -> TracedTensor:
    """x1 == x2, as booleans.

    >>> equal([1, 2], 2.0).tolist()
    [False, True]
    """
    return compare(OPS["equal"], x1, x2)


def not_equal(x1: Any, x2: Any) -> TracedTensor:
    """x1 != x2, as booleans.

    >>> not_equal([1, 2], 2.0).tolist()
    [True, False]
    """
    return compare(OPS["not_equal"], x1, x2)


def less(x1: Any, x2: Any) -> TracedTensor:
    """x1 < x2 of real operands, as booleans.

    >>> less([1, 2], 2).tolist()
    [True, False]
    """
    return compare(OPS["less"], x1, x2)


def less_equal(x1: Any, x2: Any) -> TracedTensor:
    """x1 <= x2 of real operands, as booleans.

    >>> less_equal([1, 2], 1).tolist()
    [True, False]
    """
    return compare(OPS["less_equal"], x1, x2)


def greater(x1: Any, x2: Any) -> TracedTensor:
    """x1 > x2 of real operands, as booleans.

    >>> greater([1, 2], 1).tolist()
    [False, True]
    """
    return compare(OPS["greater"], x1, x2)


def greater_equal(x1: Any, x2: Any) -> TracedTensor:
    """x1 >= x2 of real operands, as booleans.

    >>> greater_equal([1, 2], 2).tolist()
    [False, True]
    """
    return compare(OPS["greater_equal"], x1, x2)


def logical_and(x1: Any, x2: Any) -> TracedTensor:
    """Whether both are nonzero.

    >>> logical_and([0, 2], True).tolist()
    [False, True]
    """
    return binary(OPS["logical_and"], x1, x2)


def logical_or(x1: Any, x2: Any) -> TracedTensor:
    """Whether at least one is nonzero.

    >>> logical_or([0, 2], False).tolist()
    [False, True]
    """
    return binary(OPS["logical_or"], x1, x2)


def logical_xor(x1: Any, x2: Any) -> TracedTensor:
    """Whether exactly one is nonzero.

    >>> logical_xor([0, 2], True).tolist()
    [True, False]
    """
    return binary(OPS["logical_xor"], x1, x2)


def logical_not(x: Any) -> TracedTensor:
    """Whether it is zero.

    >>> logical_not([0, 2]).tolist()
    [True, False]
    """
    return record1(OPS["logical_not"], operand(x))


def isnan(x: Any) -> TracedTensor:
    """Whether it is NaN.

    >>> isnan([1.0, float("nan")]).tolist()
    [False, True]
    """
    return unary(OPS["isnan"], x)


def isfinite(x: Any) -> TracedTensor:
    """Whether it is neither infinite nor NaN.

    >>> isfinite([1.0, float("inf")]).tolist()
    [True, False]
    """
    return unary(OPS["isfinite"], x)


def isinf(x: Any) -> TracedTensor:
    """Whether it is infinite, of either sign.

    >>> isinf([1.0, float("-inf")]).tolist()
    [False, True]
    """
    return logical_not(logical_or(isfinite(x := operand(x)), isnan(x)))
