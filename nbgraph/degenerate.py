"""Inverses of gaps, sums and singular values in derivative rules: 0 where they count as zero.

In: a rule builder, real keys x, and the spectrum that they are of. Out: keys.
Holds: nothing is divided by what counts as zero, so derivatives of the inverse are finite, too.
"""

from __future__ import annotations

from typing import Any

from nbgraph.types import TensorType

#: What is less than this, relative to the largest of the spectrum, counts as zero, by dtype: above the rounding errors
#: of the drivers (about 10 to 100 units), below gaps that have any correct digits.
LIMIT = {"f4": 1e-5, "f8": 1e-12}


def largest(b: Any, spectrum: Any) -> Any:
    """max |w| over the last axis, which stays with size 1; 0 if there is none."""
    *batch, _ = b.shape(spectrum)
    last = len(batch)
    zero = b.zeros(TensorType(b.type(spectrum).code, (*batch, 1)))
    return b.expand_dims(b.max(b.concatenate(b.abs(spectrum), zero, axis=last), axes=(last,)), axes=(last,))


def inverse(b: Any, x: Any, spectrum: Any, broadening: float) -> Any:
    """1/x, and 0 where x counts as zero; x / (x^2 + g^2) with a `broadening` g > 0.

    x is of the rank of the spectrum, or has one axis more.
    """
    if broadening:
        return b.div(x, b.add(b.mul(x, x), broadening**2))
    limit = b.mul(largest(b, spectrum), LIMIT[b.type(x).code])
    if b.type(x).ndim > b.type(limit).ndim:
        limit = b.expand_dims(limit, axes=(b.type(limit).ndim,))
    is_zero = b.less_equal(b.abs(x), limit)
    # The inner `where` keeps infinities out of the derivatives of the quotient.
    quotient = b.div(b.lit(1, x), b.where(is_zero, b.lit(1, x), x))
    return b.where(is_zero, b.lit(0, x), quotient)


def column(b: Any, s: Any) -> Any:
    """s_i, as a matrix of one column: it scales rows."""
    return b.expand_dims(s, axes=(b.type(s).ndim,))


def row(b: Any, s: Any) -> Any:
    """s_j, as a matrix of one row: it scales columns."""
    return b.expand_dims(s, axes=(b.type(s).ndim - 1,))
