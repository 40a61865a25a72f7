"""Determinants.

In: anything array-like; matrices are the last two axes; integers and booleans become float64. Out: a `TracedTensor`, or
a named tuple of them. Of no rows the determinant is 1.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from nbgraph.errors import named
from nbgraph.linalg.stacks import square
from nbgraph.promote import apply

if TYPE_CHECKING:
    from nbgraph.tensor import TracedTensor


class SlogdetResult(NamedTuple):
    """The sign (or phase) and the logarithm of the modulus of a determinant."""

    sign: TracedTensor
    logabsdet: TracedTensor


@named
def det(a: Any) -> TracedTensor:
    """The determinants of a[..., n, n].

    The derivative is the adjugate, which is right where a is singular, too. There second derivatives have half of
    their digits if the rank is n - 1, and may have none if it is less.

    >>> det([[2.0, 1.0], [4.0, 3.0]]).item()
    2.0
    """
    made: TracedTensor = apply("det", *_factored("det", a))
    return made


@named
def slogdet(a: Any) -> SlogdetResult:
    """(sign, logabsdet) with det(a) = sign * exp(logabsdet), for a[..., n, n].

    (0, -inf) for a singular matrix, where it has no derivative. Source: `numpy.linalg.slogdet`.

    >>> sign, logabsdet = slogdet([[-2.0, 0.0], [0.0, 0.5]])
    >>> sign.item(), logabsdet.item()
    (-1.0, 0.0)
    """
    return SlogdetResult(*apply("slogdet", *_factored("slogdet", a)))


def _factored(name: str, a: Any) -> tuple[TracedTensor, TracedTensor, TracedTensor]:
    a = square(name, a)
    lu, pivots, _ = apply("lu_factor", a)
    return a, lu, pivots
