"""Arrays as sets, with NumPy's names.

In: anything array-like. Out: a `TracedTensor`; the elements of a set are a vector in ascending order. Holds: what a set
has decides a size, so operands are evaluated; the elements have a derivative, each is one element of an operand.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from nbgraph.api.gather import take, value
from nbgraph.api.joining import concatenate
from nbgraph.api.logic import logical_not
from nbgraph.api.ordering import unique
from nbgraph.api.shapes import ravel
from nbgraph.errors import named
from nbgraph.promote import common, operand

if TYPE_CHECKING:
    from nbgraph.tensor import TracedTensor


@named
def isin(
    element: Any, test_elements: Any, assume_unique: bool = False, invert: bool = False, *, kind: Any = None
) -> TracedTensor:
    """Whether each element is among others, as booleans; evaluates both. `assume_unique` and `kind` are of no account.

    >>> isin([1, 2, 3], [3, 1]).tolist()
    [True, False, True]
    """
    found = operand(np.isin(value(element), value(test_elements)))
    return logical_not(found) if invert else found


@named
def union1d(ar1: Any, ar2: Any) -> TracedTensor:
    """The different elements of both.

    >>> union1d([3, 1], [1, 2]).tolist()
    [1, 2, 3]
    """
    made: TracedTensor = unique(concatenate([ravel(ar1), ravel(ar2)]))
    return made


@named
def intersect1d(ar1: Any, ar2: Any, assume_unique: bool = False, return_indices: bool = False) -> Any:
    """The different elements that are in both; with `return_indices` also where they are in each operand.

    >>> intersect1d([3, 1, 2], [2, 3, 5]).tolist()
    [2, 3]
    """
    x, y = common(ravel(ar1), ravel(ar2))
    _, first, second = np.intersect1d(value(x), value(y), assume_unique, return_indices=True)
    values = take(x, first)
    return (values, operand(first), operand(second)) if return_indices else values


@named
def setdiff1d(ar1: Any, ar2: Any, assume_unique: bool = False) -> TracedTensor:
    """The different elements of the first that are not in the second; if they are unique, in their order.

    >>> setdiff1d([3, 1, 2], [2, 5]).tolist()
    [1, 3]
    """
    x = ravel(ar1) if assume_unique else unique(ar1)
    return take(x, np.flatnonzero(np.isin(value(x), value(ar2), invert=True)))


@named
def setxor1d(ar1: Any, ar2: Any, assume_unique: bool = False) -> TracedTensor:
    """The different elements that are in one of both only. `assume_unique` is of no account.

    >>> setxor1d([3, 1, 2], [2, 3, 5]).tolist()
    [1, 5]
    """
    both = concatenate([unique(ar1), unique(ar2)])
    _, first, counts = np.unique(value(both), return_index=True, return_counts=True)
    return take(both, first[counts == 1])
