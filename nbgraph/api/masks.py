"""Where something holds: indices whose number the data decides.

In: an array. Out: for each dimension a vector with the index of every element that is not zero, in order.
Holds: nothing is evaluated: the number of elements is a size that the data decides (`nbgraph.decided`). Of a value that
is known the indices are constants.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from nbgraph.api.elementwise import add
from nbgraph.api.reductions import sum
from nbgraph.api.rounding import floor_divide, remainder
from nbgraph.api.shapes import ravel
from nbgraph.decided import size_of
from nbgraph.errors import ShapeError
from nbgraph.leaves import constant_of
from nbgraph.promote import apply, as_code
from nbgraph.trace import value_of

if TYPE_CHECKING:
    from nbgraph.tensor import TracedTensor


def indices_where(x: TracedTensor) -> tuple[TracedTensor, ...]:
    """The indices of the elements of x that are not zero, a vector for each dimension (`numpy.nonzero`)."""
    if x.type.ndim == 0:
        raise ShapeError("no dimensions", operation="nonzero", position=0, got=x.type, wanted="at least one dimension")
    known = value_of(x)
    if known is not None:
        return tuple(constant_of(i) for i in np.nonzero(known))  # type: ignore[misc]
    flat = _flat_indices(ravel(x))
    found: list[TracedTensor] = []
    for d in x.type.shape[:0:-1]:
        found.append(remainder(flat, d))
        flat = floor_divide(flat, d)
    return (flat, *reversed(found))


def _flat_indices(x: TracedTensor) -> TracedTensor:
    """Of a vector. The k-th element that is not zero is where the running count of them comes to k."""
    holds = as_code(as_code(x, "b1"), "i8")
    counts = apply("cumsum", holds, axis=0)
    number = add(apply("iota", n=size_of(sum(holds), None), code="i8"), 1)
    made: TracedTensor = apply("searchsorted", counts, number, side="left")
    return made
