"""Modified Bessel functions, with SciPy's names.

In: anything array-like of real numbers. Out: a `TracedTensor`, not evaluated; integers and booleans become float64.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from nbgraph.promote import apply, operand, to_inexact

if TYPE_CHECKING:
    from nbgraph.tensor import TracedTensor


def i0e(x: Any) -> TracedTensor:
    """exp(-|x|) times the modified Bessel function of order 0.

    >>> i0e(0.0).item()
    1.0
    """
    made: TracedTensor = apply("bessel_ie", to_inexact(operand(x)), order=0)
    return made


def i1(x: Any) -> TracedTensor:
    """The modified Bessel function of order 1.

    >>> i1(0.0).item()
    0.0
    """
    made: TracedTensor = apply("bessel_i", to_inexact(operand(x)), order=1)
    return made


def i1e(x: Any) -> TracedTensor:
    """exp(-|x|) times the modified Bessel function of order 1.

    >>> i1e(0.0).item()
    0.0
    """
    made: TracedTensor = apply("bessel_ie", to_inexact(operand(x)), order=1)
    return made
