"""Sums of exponentials, with SciPy's names: shifted by the largest exponent, so that nothing overflows.

In: anything array-like; `axis` is an int, a tuple of them, or None for all. Out: a `TracedTensor`, not evaluated;
integers and booleans become float64.
Holds: the shift is a constant of derivatives, which it leaves as they are. Over no elements `logsumexp` is -inf.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from nbgraph.api.elementwise import exp, log, real, stop_gradient, where
from nbgraph.api.logic import isfinite
from nbgraph.api.reductions import max, sum
from nbgraph.api.shapes import reshape
from nbgraph.errors import named
from nbgraph.promote import operand, to_inexact

if TYPE_CHECKING:
    from nbgraph.tensor import TracedTensor


@named
def logsumexp(a: Any, axis: Any = None, b: Any = None, keepdims: bool = False) -> TracedTensor:
    """log(sum(b exp(a))), with factors b that broadcast to a; of complex a too.

    >>> logsumexp([1000.0, 1000.0]).item() - 1000.0 < 0.7
    True
    """
    x = to_inexact(operand(a))
    shift = shift_of(x, axis)
    terms = exp(x - shift)
    total = sum(terms if b is None else b * terms, axis, keepdims=keepdims)
    return log(total) + (shift if keepdims else reshape(shift, total.type.shape))


@named
def softmax(x: Any, axis: Any = None) -> TracedTensor:
    """exp(x) over its sum.

    >>> softmax([0.0, 1000.0]).tolist()
    [0.0, 1.0]
    """
    x = to_inexact(operand(x))
    terms = exp(x - shift_of(x, axis))
    return terms * (1.0 / sum(terms, axis, keepdims=True))  # one division a row, not one an element


@named
def log_softmax(x: Any, axis: Any = None) -> TracedTensor:
    """The logarithm of `softmax`.

    >>> log_softmax([0.0, 1000.0]).tolist()
    [-1000.0, 0.0]
    """
    x = to_inexact(operand(x))
    moved = x - shift_of(x, axis)
    return moved - log(sum(exp(moved), axis, keepdims=True))


@named
def shift_of(x: TracedTensor, axis: Any) -> TracedTensor:
    """The largest exponent, a constant; 0 where that is infinite or NaN. Reduced dimensions stay with size 1."""
    if 0 in x.type.shape:
        return sum(real(stop_gradient(x)), axis, keepdims=True)  # zeros, or nothing
    largest = max(real(stop_gradient(x)), axis, keepdims=True)
    return where(isfinite(largest), largest, 0.0)
