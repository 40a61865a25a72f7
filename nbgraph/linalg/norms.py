"""Norms of vectors, matrices and whole arrays, and condition numbers.

In: anything array-like; integers and booleans become float64. Out: a `TracedTensor`, real.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from nbgraph import api
from nbgraph.degenerate import LIMIT
from nbgraph.errors import DtypeError, ShapeError, named
from nbgraph.linalg.decompositions import svdvals
from nbgraph.linalg.stacks import identity_like, matrix, square
from nbgraph.linalg.systems import solve
from nbgraph.node import Node
from nbgraph.op import REGISTRY, Op
from nbgraph.promote import operand, record1, to_inexact
from nbgraph.types import TensorType

if TYPE_CHECKING:
    from nbgraph.tensor import TracedTensor

_NORM = REGISTRY["euclidean_norm"]
#: The norm of all elements, by the type of an operand met before.
_WHOLE: dict[TensorType, Op] = {}
_WHOLE_LIMIT = 4096


def norm(x: Any, ord: Any = None, axis: Any = None, keepdims: bool = False) -> TracedTensor:
    """The norm of a vector, of a matrix (two axes), or of all elements.

    Of vectors `ord` is None or 2, 1, inf, -inf, 0, or a number p; of matrices None or "fro", 1, -1, inf, -inf, 2, -2
    (the largest and the smallest singular value) or "nuc" (their sum). The Euclidean and the Frobenius norm have
    gradient 0 at 0; where singular values tie for the largest, they share its gradient.

    >>> norm([3.0, 4.0]).item()
    5.0
    """
    if ord is None and axis is None and keepdims is False and isinstance(x, Node) and x.type in _WHOLE:
        return record1(_WHOLE[x.type], x)  # the common case, without looking further
    return _named_norm(x, ord, axis, keepdims)


def _any_norm(x: Any, ord: Any = None, axis: Any = None, keepdims: bool = False) -> TracedTensor:
    x = to_inexact(operand(x))
    axes = _norm_axes(x, ord, axis)
    if ord is None or (ord == 2 and len(axes) == 1) or (ord == "fro" and len(axes) == 2):
        return _euclidean(x, axes, keepdims)
    if len(axes) == 1:
        return _vector_norm(x, ord, axes[0], keepdims)
    if len(axes) == 2 and ord in (1, -1, np.inf, -np.inf):
        return _matrix_norm(x, ord, axes, keepdims)
    if len(axes) == 2 and ord in (2, -2, "nuc"):
        return _spectral_norm(x, ord, axes, keepdims)
    raise _no_order(ord, axes)


_any_norm.__name__ = norm.__name__  # what its errors say
_named_norm = named(_any_norm)


def _norm_axes(x: TracedTensor, ord: Any, axis: Any) -> tuple[int, ...]:
    n = x.type.ndim
    if axis is None:
        if ord is not None and n > 2:
            wanted = "one or two dimensions, or an axis"
            raise ShapeError("improper number of dimensions", operation="norm", position=0, got=n, wanted=wanted)
        return tuple(range(n))
    given = tuple(axis) if isinstance(axis, tuple | list) else (axis,)
    if not 1 <= len(given) <= 2:
        raise ShapeError("wrong number of axes", operation="norm", position="axis", got=axis, wanted="an axis, or two")
    if not all(isinstance(a, int | np.integer) for a in given):
        raise DtypeError("no axis", operation="norm", position="axis", got=axis, wanted="integers")
    axes = tuple(api.shapes._axis("norm", a, n) for a in given)
    if len(set(axes)) != len(axes):
        raise ShapeError("the axes are the same", operation="norm", position="axis", got=axis, wanted="two axes")
    return axes


def _no_order(ord: Any, axes: tuple[int, ...]) -> ShapeError:
    what = "matrices" if len(axes) == 2 else "vectors"
    return ShapeError(
        f"no such norm of {what}", operation="norm", position="ord", got=repr(ord), wanted="see the orders it takes"
    )


def _euclidean(x: TracedTensor, axes: tuple[int, ...], keepdims: bool) -> TracedTensor:
    """sqrt(sum |x|^2), one operation."""
    if not axes:
        made = api.abs(x)
    else:
        op = _NORM(tuple(sorted(axes)))
        if len(axes) == x.type.ndim:
            if len(_WHOLE) >= _WHOLE_LIMIT:
                _WHOLE.clear()
            if x.type.lasting:
                _WHOLE[x.type] = op
        made = record1(op, x)
    return api.expand_dims(made, tuple(sorted(axes))) if keepdims else made


def _vector_norm(x: TracedTensor, ord: Any, axis: int, keepdims: bool) -> TracedTensor:
    size = api.abs(x)
    if ord == np.inf:
        return _largest(size, axis, keepdims)
    if ord == -np.inf:
        return api.min(size, axis, keepdims=keepdims)
    if ord == 0:
        return api.astype(api.sum(x != 0, axis, keepdims=keepdims), size.dtype)
    if ord == 1:
        return api.sum(size, axis, keepdims=keepdims)
    if isinstance(ord, int | float | np.number):
        total = api.sum(_powers(size, float(ord)), axis, keepdims=keepdims)
        zero = total == 0  # there the derivative is 0, as of the 2-norm
        return api.where(
            zero, 0.0 ** (1.0 / float(ord)) if ord > 0 else total, api.where(zero, 1.0, total) ** (1.0 / float(ord))
        )
    raise _no_order(ord, (axis,))


def _largest(sizes: TracedTensor, axis: int, keepdims: bool) -> TracedTensor:
    """The largest of numbers that are not negative; 0 of none."""
    if sizes.type.shape[axis] == 0:
        return api.sum(sizes, axis, keepdims=keepdims)
    return api.max(sizes, axis, keepdims=keepdims)


def _powers(size: TracedTensor, p: float) -> TracedTensor:
    """size^p; where that has an infinite slope at 0, the slope there is 0."""
    if p >= 1:
        return size**p
    zero = size == 0
    return api.where(zero, 0.0 if p > 0 else math.inf, api.where(zero, 1.0, size) ** p)


def _matrix_norm(x: TracedTensor, ord: Any, axes: tuple[int, ...], keepdims: bool) -> TracedTensor:
    """The largest or smallest sum of a column (1, -1) or of a row (inf, -inf)."""
    summed, chosen = axes if abs(ord) == 1 else axes[::-1]
    sums = api.sum(api.abs(x), summed, keepdims=True)
    best = _largest(sums, chosen, True) if ord > 0 else api.min(sums, chosen, keepdims=True)
    return best if keepdims else api.squeeze(best, axes)


def _spectral_norm(x: TracedTensor, ord: Any, axes: tuple[int, ...], keepdims: bool) -> TracedTensor:
    """The largest singular value (2), the smallest (-2), or their sum ("nuc")."""
    s = svdvals(api.moveaxis(x, axes, (-2, -1)))
    if ord == "nuc":
        made = api.sum(s, -1)
    else:
        made = _extreme(s, 0 if ord == 2 else -1) if s.type.shape[-1] != 0 else _largest(s, -1, False)
    return api.expand_dims(made, tuple(sorted(axes))) if keepdims else made


def _extreme(s: TracedTensor, at: int) -> TracedTensor:
    """The largest (at 0) or smallest (at -1) of singular values; those that coincide with it share its derivative.

    So it doesn't depend on the vectors, of which any basis will do there: it is the mean of the subgradients.
    """
    edge, largest = s[..., at : at + 1 or None], s[..., :1]
    group = api.abs(s - edge) <= LIMIT[s.type.code] * largest
    mean = api.sum(s, -1, where=group) / api.sum(api.astype(group, s.dtype), -1)
    return api.add(api.stop_gradient(edge[..., 0]), mean - api.stop_gradient(mean))


@named
def matrix_norm(x: Any, /, *, keepdims: bool = False, ord: Any = "fro") -> TracedTensor:
    """`norm` of the matrices x[..., m, n].

    >>> matrix_norm([[[3.0, 4.0]]]).tolist()
    [5.0]
    """
    return norm(matrix("matrix_norm", x), ord, (-2, -1), keepdims)


@named
def vector_norm(x: Any, /, *, axis: Any = None, keepdims: bool = False, ord: Any = 2) -> TracedTensor:
    """`norm` of vectors, along an axis, or of all elements of several axes (None: of all).

    >>> vector_norm([[3.0, 4.0]], ord=1).item()
    7.0
    """
    x = to_inexact(operand(x))
    n = x.type.ndim
    given = tuple(range(n)) if axis is None else tuple(axis) if isinstance(axis, tuple | list) else (axis,)
    axes = tuple(api.shapes._axis("vector_norm", a, n) for a in given)
    rest = [a for a in range(n) if a not in axes]
    sizes = [x.type.shape[a] for a in rest]
    rows = api.reshape(api.transpose(x, (*rest, *axes)), (*sizes, math.prod(x.type.shape[a] for a in axes)))
    made = norm(rows, ord, -1)
    return api.expand_dims(made, tuple(sorted(axes))) if keepdims else made


@named
def cond(x: Any, p: Any = None) -> TracedTensor:
    """The condition number of x[..., m, n]: the largest singular value over the smallest; with p, |x| |x^-1|.

    p is None or 2, -2 (the inverse ratio), or an order of `norm` for square matrices. The ratio is infinite where the
    smallest one is 0; with another p a singular matrix raises `LinAlgError` at the eval. Where the largest or the
    smallest singular values coincide there is a kink: the derivative is the mean of their group's.

    >>> cond([[2.0, 0.0], [0.0, -1.0]]).item()
    2.0
    """
    if p is None or p in (2, -2):
        s = svdvals(x)
        if s.type.shape[-1] == 0:
            raise ShapeError(
                "no singular values", operation="cond", position=0, got=operand(x).type.shape, wanted="rows and columns"
            )
        largest, smallest = _extreme(s, 0), _extreme(s, -1)
        return api.divide(smallest, largest) if p == -2 else api.divide(largest, smallest)
    a = square("cond", x)
    return api.multiply(norm(a, p, (-2, -1)), norm(solve(a, identity_like(a)), p, (-2, -1)))
