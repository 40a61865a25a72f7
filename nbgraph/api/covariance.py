"""Covariances and correlations of variables that are observed together, with NumPy's names.

In: anything array-like, a variable a row (or a column). Out: a `TracedTensor`, not evaluated, differentiable.
"""

from __future__ import annotations

import operator
from typing import TYPE_CHECKING, Any

from nbgraph import promote
from nbgraph.api.elementwise import add, clip, conj, imag, multiply, real, sqrt
from nbgraph.api.joining import concatenate
from nbgraph.api.products import matmul
from nbgraph.api.reductions import sum
from nbgraph.api.shapes import atleast_1d, diagonal, expand_dims, squeeze, transpose
from nbgraph.api.statistics import average
from nbgraph.errors import ShapeError, named
from nbgraph.promote import apply, as_code, common, operand, to_inexact
from nbgraph.types import code_of

if TYPE_CHECKING:
    from nbgraph.tensor import TracedTensor


@named
def cov(
    m: Any,
    y: Any = None,
    rowvar: bool = True,
    bias: bool = False,
    ddof: Any = None,
    fweights: Any = None,
    aweights: Any = None,
    *,
    dtype: Any = None,
) -> TracedTensor:
    """The covariances of variables, a row of m each (a column unless `rowvar`), those of y added to them.

    Divided by n - ddof, ddof being 1, or 0 with `bias`. `fweights` counts how often each observation was made,
    `aweights` weighs it. Raises `ShapeError` for more than 2 dimensions and for weights of another number.

    >>> cov([[0, 1, 2], [2, 1, 0]]).tolist()
    [[1.0, -1.0], [-1.0, 1.0]]
    """
    x = _variables("cov", m, y, rowvar)
    x = as_code(x, promote.result_code(x.type.code, "f8") if dtype is None else code_of(dtype))  # as NumPy
    ddof = (0 if bias else 1) if ddof is None else operator.index(ddof)
    w = _weights(x, fweights, aweights)
    n: Any = apply("size_value", code=x.type.real_code, n=x.type.shape[1])
    if w is None:
        mean, total, left = average(x, 1), n, n - ddof
    else:
        mean, total = average(x, 1, w), sum(w)
        left = total - ddof * (1 if aweights is None else sum(w * operand(aweights)) / total)
    deviation = x - expand_dims(mean, 1)
    other = transpose(conj(deviation if w is None else deviation * w))
    return squeeze(promote.divide(matmul(deviation, other), clip(left, 0)))


@named
def corrcoef(x: Any, y: Any = None, rowvar: bool = True, *, dtype: Any = None) -> TracedTensor:
    """The correlation coefficients of variables, a row of x each (a column unless `rowvar`), those of y added to them.

    >>> corrcoef([[0, 1, 2], [4, 2, 0]]).tolist()
    [[1.0, -1.0], [-1.0, 1.0]]
    """
    c = cov(x, y, rowvar, dtype=dtype)
    if c.type.ndim == 0:
        return promote.divide(c, c)
    spread = sqrt(real(diagonal(c)))
    made = promote.divide(promote.divide(c, expand_dims(spread, 1)), spread)
    if not made.type.is_complex:
        return clip(made, -1, 1)
    return add(clip(real(made), -1, 1), multiply(1j, clip(imag(made), -1, 1)))


def _variables(name: str, m: Any, y: Any, rowvar: bool) -> TracedTensor:
    """A variable a row."""
    rows = []
    for position, a in enumerate([m] if y is None else common(m, y)):
        x = to_inexact(operand(a))
        if x.type.ndim > 2:
            wanted = "at most 2 dimensions"
            raise ShapeError("wrong rank", operation=name, position=position, got=x.type.shape, wanted=wanted)
        is_matrix = x.type.ndim == 2
        x = x if is_matrix else expand_dims(atleast_1d(x), 0)
        rows.append(x if rowvar or not is_matrix or (position == 0 and x.type.shape[0] == 1) else transpose(x))
    return rows[0] if len(rows) == 1 else concatenate(rows, 0)


def _weights(x: TracedTensor, counts: Any, weights: Any) -> TracedTensor | None:
    """The products of both, one for each observation."""
    made = None
    for name, w in (("fweights", counts), ("aweights", weights)):
        if w is None:
            continue
        given = operand(w)
        if given.type.shape != x.type.shape[1:]:
            wanted = f"one for each observation: {x.type.shape[1:]}"
            raise ShapeError("weights do not fit", operation="cov", position=name, got=given.type.shape, wanted=wanted)
        given = as_code(given, x.type.real_code)
        made = given if made is None else made * given
    return made
