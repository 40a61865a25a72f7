"""Normalisations along an axis, with the names of `jax.nn`.

In: anything array-like; `axis` is an int, a tuple of them, or None for all. Out: a `TracedTensor`, not evaluated.
Holds: exponents are shifted by the largest one, so that nothing overflows.
"""

from __future__ import annotations

import operator
from typing import TYPE_CHECKING, Any

from nbgraph import special
from nbgraph.api.creation import arange
from nbgraph.api.elementwise import astype, log, sqrt
from nbgraph.api.logic import equal
from nbgraph.api.reductions import mean, sum
from nbgraph.api.shapes import expand_dims
from nbgraph.api.statistics import var
from nbgraph.errors import named
from nbgraph.promote import operand, to_inexact
from nbgraph.special import logsumexp

if TYPE_CHECKING:
    from nbgraph.tensor import TracedTensor


@named
def softmax(x: Any, axis: Any = -1) -> TracedTensor:
    """exp(x) over its sum.

    >>> softmax([0.0, 1000.0]).tolist()
    [0.0, 1.0]
    """
    return special.softmax(x, axis)


@named
def log_softmax(x: Any, axis: Any = -1) -> TracedTensor:
    """The logarithm of `softmax`.

    >>> log_softmax([0.0, 1000.0]).tolist()
    [-1000.0, 0.0]
    """
    return special.log_softmax(x, axis)


@named
def logmeanexp(x: Any, axis: Any = None, keepdims: bool = False) -> TracedTensor:
    """log(mean(exp(x))).

    >>> logmeanexp([1000.0, 1000.0]).item()
    1000.0
    """
    x = to_inexact(operand(x))
    return logsumexp(x, axis, keepdims=keepdims) - log(sum(x * 0.0 + 1.0, axis, keepdims=keepdims))


@named
def standardize(x: Any, axis: Any = -1, mean: Any = None, variance: Any = None, epsilon: float = 1e-5) -> TracedTensor:
    """(x - mean) / sqrt(variance + epsilon), by x's own mean and variance if they are not given.

    >>> standardize([1.0, 3.0], epsilon=0.0).tolist()
    [-1.0, 1.0]
    """
    x = to_inexact(operand(x))
    centre = _mean(x, axis) if mean is None else operand(mean)
    spread = var(x, axis, keepdims=True) if variance is None else operand(variance)
    return (x - centre) * (1.0 / sqrt(spread + epsilon))  # one division a row, not one an element


def _mean(x: TracedTensor, axis: Any) -> TracedTensor:
    return mean(x, axis, keepdims=True)


@named
def one_hot(x: Any, num_classes: int, dtype: Any = "float64", axis: int = -1) -> TracedTensor:
    """For each index a vector that is 1 there and 0 elsewhere; for an index out of range it is 0.

    >>> one_hot([0, 2], 3).tolist()
    [[1.0, 0.0, 0.0], [0.0, 0.0, 1.0]]
    """
    x = operand(x)
    at = operator.index(axis) % (x.type.ndim + 1)
    classes = expand_dims(arange(num_classes), tuple(range(1, x.type.ndim + 1 - at)))
    return astype(equal(expand_dims(x, at), classes), dtype)
