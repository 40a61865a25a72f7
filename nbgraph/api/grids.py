"""Coordinates, triangles and spacings, with NumPy's names.

In: sizes, vectors of coordinates, matrices. Out: a `TracedTensor` (or several). Holds: which diagonal is a run-time
operand. Triangles of matrices and coordinates are differentiable.
"""

from __future__ import annotations

import operator
from typing import TYPE_CHECKING, Any

import numpy as np

from nbgraph.api.creation import counted, linspace
from nbgraph.api.elementwise import exp, log, power, where
from nbgraph.api.gather import constants, take
from nbgraph.api.indexing import setitem
from nbgraph.api.joining import stack
from nbgraph.api.logic import less_equal
from nbgraph.api.rounding import remainder
from nbgraph.api.shapes import broadcast_to, expand_dims, moveaxis, ravel, reshape
from nbgraph.dims import DimExpr, dim_min
from nbgraph.errors import ShapeError, named
from nbgraph.promote import as_code, common, operand, to_inexact
from nbgraph.trace import concrete_size
from nbgraph.types import DTYPES, Size, code_of

if TYPE_CHECKING:
    from nbgraph.tensor import TracedTensor


@named
def meshgrid(*xi: Any, indexing: str = "xy", sparse: bool = False, copy: bool = True) -> tuple[TracedTensor, ...]:
    """Coordinates of a grid from vectors; with "xy" the first two axes are exchanged. `copy` is of no account.

    >>> [g.tolist() for g in meshgrid([1, 2], [3, 4])]
    [[[1, 2], [1, 2]], [[3, 3], [4, 4]]]
    """
    if indexing not in ("xy", "ij"):
        raise ShapeError("unknown indexing", operation="meshgrid", got=repr(indexing), wanted="'xy' or 'ij'")
    vectors = [ravel(x) for x in xi]
    n = len(vectors)
    places = [1, 0, *range(2, n)] if indexing == "xy" and n > 1 else list(range(n))
    sizes: list[Size] = [1] * n
    for place, v in zip(places, vectors, strict=True):
        sizes[place] = v.type.shape[0]
    thin = [
        expand_dims(v, tuple(a for a in range(n) if a != place)) if n > 1 else v
        for place, v in zip(places, vectors, strict=True)
    ]
    return tuple(thin if sparse else (broadcast_to(t, sizes) for t in thin))


@named
def indices(dimensions: Any, dtype: Any = int, sparse: bool = False) -> Any:
    """The index along each axis of every element of an array of these sizes; `sparse`: a tuple of thin ones.

    >>> indices((2, 2)).tolist()
    [[[0, 0], [1, 1]], [[0, 1], [0, 1]]]
    """
    sizes, code = tuple(dimensions), code_of(dtype)
    if not any(isinstance(d, DimExpr) for d in sizes):
        found: Any = np.indices(sizes, DTYPES[code], sparse)  # type: ignore[call-overload]
        return constants(found) if sparse else operand(found)
    n = len(sizes)
    thin = [expand_dims(counted(d, code), tuple(a for a in range(n) if a != k)) for k, d in enumerate(sizes)]
    return tuple(thin) if sparse else stack([broadcast_to(t, sizes) for t in thin])


def _below(n: Any, m: Any, k: Any) -> TracedTensor:
    """Whether an element of a matrix [n, m] is on its k-th diagonal or below."""
    return less_equal(counted(m) - expand_dims(counted(n), 1), k)


@named
def tri(N: Any, M: Any = None, k: int = 0, dtype: Any = float) -> TracedTensor:
    """A matrix with ones on the k-th diagonal and below.

    >>> tri(2, 3).tolist()
    [[1.0, 0.0, 0.0], [1.0, 1.0, 0.0]]
    """
    return as_code(_below(N, N if M is None else M, operator.index(k)), code_of(dtype))


@named
def tril(m: Any, k: int = 0) -> TracedTensor:
    """The matrices with zeros above the k-th diagonal.

    >>> tril([[1, 2], [3, 4]]).tolist()
    [[1, 0], [3, 4]]
    """
    x = _matrix("tril", m)
    return where(_below(x.type.shape[-2], x.type.shape[-1], operator.index(k)), x, False)


@named
def triu(m: Any, k: int = 0) -> TracedTensor:
    """The matrices with zeros below the k-th diagonal.

    >>> triu([[1, 2], [3, 4]]).tolist()
    [[1, 2], [0, 4]]
    """
    x = _matrix("triu", m)
    return where(_below(x.type.shape[-2], x.type.shape[-1], operator.index(k) - 1), False, x)


def _matrix(name: str, m: Any) -> TracedTensor:
    x = operand(m)
    if x.type.ndim == 0:
        wanted = "at least one dimension"
        raise ShapeError("not a matrix", operation=name, position=0, got=x.type.shape, wanted=wanted)
    n = x.type.shape[-1]
    return x if x.type.ndim > 1 else broadcast_to(x, (n, n))


@named
def tril_indices(n: int, k: int = 0, m: int | None = None) -> tuple[TracedTensor, ...]:
    """Row and column indices of what is on the k-th diagonal of a matrix [n, m] or below.

    >>> [i.tolist() for i in tril_indices(2)]
    [[0, 1, 1], [0, 0, 1]]
    """
    return constants(np.tril_indices(*_known("tril_indices", n, k, m)))  # type: ignore[arg-type]


@named
def triu_indices(n: int, k: int = 0, m: int | None = None) -> tuple[TracedTensor, ...]:
    """Row and column indices of what is on the k-th diagonal of a matrix [n, m] or above.

    >>> [i.tolist() for i in triu_indices(2)]
    [[0, 0, 1], [0, 1, 1]]
    """
    return constants(np.triu_indices(*_known("triu_indices", n, k, m)))  # type: ignore[arg-type]


def _known(name: str, *sizes: Any) -> list[int | None]:
    """Sizes on whose values a number of indices depends."""
    return [None if n is None else concrete_size(n, f"the size that {name} takes") for n in sizes]


@named
def fill_diagonal(a: Any, val: Any, wrap: bool = False) -> TracedTensor:
    """a with its main diagonal filled, as a new tensor (NumPy's writes into a).

    `val`, cast to the dtype of a, is repeated as often as needed; `wrap` goes on below in a tall matrix.

    >>> fill_diagonal([[1, 2], [3, 4]], 0).tolist()
    [[0, 2], [3, 0]]
    """
    x = operand(a)
    shape = x.type.shape
    if len(shape) < 2 or (len(shape) > 2 and len(set(shape)) > 1):
        wanted = "a matrix, or equal dimensions"
        raise ShapeError("no diagonal", operation="fill_diagonal", position=0, got=shape, wanted=wanted)
    n, m = shape[:2]
    step = 1 + sum(m**k for k in range(1, len(shape)))
    count = (n * m + m) // step if wrap and len(shape) == 2 else dim_min(n, m)
    each = counted(count)
    given = operand(val)
    if given.type.ndim:
        given = ravel(given)
        given = take(given, remainder(each, given.type.shape[0]))
    return reshape(setitem(ravel(x), each * step, given), shape)


# -- spacings ---------------------------------------------------------------------------------------------------------


@named
def logspace(
    start: Any, stop: Any, num: int = 50, endpoint: bool = True, base: Any = 10.0, dtype: Any = None, axis: int = 0
) -> TracedTensor:
    """Powers of the base, exponents evenly spaced; differentiable by both ends.

    >>> logspace(0, 2, 3).tolist()
    [1.0, 10.0, 100.0]
    """
    made = moveaxis(power(base, linspace(start, stop, num, endpoint)), 0, axis)
    return made if dtype is None else as_code(made, code_of(dtype))


@named
def geomspace(
    start: Any, stop: Any, num: int = 50, endpoint: bool = True, dtype: Any = None, axis: int = 0
) -> TracedTensor:
    """Values with equal ratios from start to stop, neither of them 0; differentiable by both.

    >>> [round(v, 12) for v in geomspace(1, 100, 3).tolist()]
    [1.0, 10.0, 100.0]
    """
    a, b = (to_inexact(t) for t in common(start, stop))
    exponents = linspace(0.0, 1.0, num, endpoint)
    shares = reshape(exponents, (-1, *(1,) * max(a.type.ndim, b.type.ndim)))
    values = a * exp(as_code(shares, a.type.real_code) * log(b / a))
    made = moveaxis(where(shares == 0, a, where(shares == 1, b, values)), 0, axis)
    return made if dtype is None else as_code(made, code_of(dtype))
