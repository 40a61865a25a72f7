"""Operations on the bits of integers and booleans, with NumPy's names.

In: anything array-like of integers or booleans; operands broadcast. Out: a `TracedTensor`, not evaluated, without a
derivative. Floating-point operands raise `DtypeError`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from nbgraph.api.elementwise import OPS
from nbgraph.promote import binary, operand, record1

if TYPE_CHECKING:
    from nbgraph.tensor import TracedTensor


def bitwise_and(x1: Any, x2: Any) -> TracedTensor:
    """Bits that are in both.

    >>> bitwise_and(6, 3).item()
    2
    """
    return binary(OPS["bitwise_and"], x1, x2)


def bitwise_or(x1: Any, x2: Any) -> TracedTensor:
    """Bits that are in one or both.

    >>> bitwise_or(6, 3).item()
    7
    """
    return binary(OPS["bitwise_or"], x1, x2)


def bitwise_xor(x1: Any, x2: Any) -> TracedTensor:
    """Bits that are in one of both.

    >>> bitwise_xor(6, 3).item()
    5
    """
    return binary(OPS["bitwise_xor"], x1, x2)


def invert(x: Any) -> TracedTensor:
    """All bits the other way; of booleans `not`.

    >>> invert([0, 5]).tolist()
    [-1, -6]
    """
    return record1(OPS["invert"], operand(x))


bitwise_not = bitwise_invert = invert


def left_shift(x1: Any, x2: Any) -> TracedTensor:
    """x1 * 2**x2 of integers, cut off at the left.

    >>> left_shift(5, 2).item()
    20
    """
    return binary(OPS["left_shift"], x1, x2)


def right_shift(x1: Any, x2: Any) -> TracedTensor:
    """x1 / 2**x2 of integers, rounded down.

    >>> right_shift(-5, 1).item()
    -3
    """
    return binary(OPS["right_shift"], x1, x2)


bitwise_left_shift, bitwise_right_shift = left_shift, right_shift
