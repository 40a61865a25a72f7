"""Functions of the shape with NumPy's names: reshape, axes, diagonals.

In: anything array-like; sizes may be symbolic (`DimExpr`). Out: a `TracedTensor`, not evaluated, of the same dtype
(joined operands: of their common one). Nothing is copied until it has to be.
Holds: an axis out of range raises `BoundsError`, sizes that do not fit raise `ShapeError`.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from nbgraph.dims import DimExpr
from nbgraph.errors import BoundsError, DtypeError, ShapeError, named
from nbgraph.promote import BOUND, along, apply, as_code, bound, no_out, operand
from nbgraph.trace import record_as
from nbgraph.types import Shape, Size, code_of

if TYPE_CHECKING:
    from nbgraph.tensor import TracedTensor

# -- what is known of a shape -----------------------------------------------------------------------------------------


def shape(a: Any) -> Shape:
    """The sizes: ints, or `DimExpr` where a size is known only when it runs.

    >>> shape([[1, 2, 3]])
    (1, 3)
    """
    return operand(a).type.shape


def ndim(a: Any) -> int:
    """The number of dimensions.

    >>> ndim([[1, 2, 3]])
    2
    """
    return operand(a).type.ndim


def size(a: Any, axis: int | None = None) -> Size:
    """The number of elements, or the size along an axis.

    >>> size([[1, 2, 3]]), size([[1, 2, 3]], 1)
    (3, 3)
    """
    sizes = operand(a).type.shape
    return math.prod(sizes) if axis is None else sizes[_axis("size", axis, len(sizes))]


def _axis(name: str, axis: Any, ndim: int) -> int:
    axis = _index(name, axis)
    if not -ndim <= axis < ndim:
        wanted = f"-{ndim} <= axis < {ndim}"
        raise BoundsError("axis is out of range", operation=name, position=0, got=axis, wanted=wanted)
    return axis % ndim  # type: ignore[no-any-return]


def _index(name: str, axis: Any) -> int:
    try:
        return operator.index(axis)
    except TypeError:
        told: Any = {"got": repr(axis), "wanted": "an integer"}
        raise DtypeError("no axis", operation=name, position="axis", **told) from None


# -- other shapes -----------------------------------------------------------------------------------------------------


def reshape(a: Any, shape: Any, order: str = "C", *, copy: Any = None) -> TracedTensor:
    """The same elements, in row-major order, under another shape; one size may be -1.

    With the order "F" the first index runs fastest. `copy` is of no account: tensors are immutable.

    >>> reshape([1, 2, 3, 4], (2, -1)).tolist()
    [[1, 2], [3, 4]]
    """
    if (type(order) is not str or order != "C") and _is_column_major("reshape", order):
        return transpose(reshape(transpose(a), shape_of(shape)[::-1]))
    x, shape = operand(a), shape_of(shape)
    key = ("reshape", x.type, shape)
    op, sizes, t = BOUND.get(key) or bound(key, x, shape=shape)
    made: TracedTensor = record_as(t, op, (x,), sizes)
    return made


def _is_column_major(name: str, order: str) -> bool:
    """Whether it is "F"; a tensor has no order of its own, so that "A" and "K" are "C"."""
    if not isinstance(order, str) or order not in ("C", "F", "A", "K"):
        raise ShapeError("unknown order", operation=name, got=repr(order), wanted="'C', 'F', 'A' or 'K'")
    return order == "F"


_INT = frozenset((int,))


def shape_of(given: Any) -> Shape:
    """A shape from a size or several, ints made plain."""
    if type(given) is tuple and _INT.issuperset(map(type, given)):
        return given
    given = given if isinstance(given, (tuple, list)) else (given,)
    try:
        return tuple([d if type(d) is int or type(d) is DimExpr else operator.index(d) for d in given])
    except TypeError:
        told: Any = {"got": repr(given), "wanted": "an integer, or a tuple of them"}
        raise DtypeError("no shape", operation="reshape", position="shape", **told) from None


def ravel(a: Any, order: str = "C") -> TracedTensor:
    """One dimension of all elements, in row-major order, or column-major for "F".

    >>> ravel([[1, 2], [3, 4]]).tolist()
    [1, 2, 3, 4]
    """
    a = operand(a)
    return a if a.type.ndim == 1 else reshape(a, -1, order)


@named
def broadcast_to(array: Any, shape: Any) -> TracedTensor:
    """An array repeated to a shape.

    >>> broadcast_to([1, 2], (2, 2)).tolist()
    [[1, 2], [1, 2]]
    """
    made: TracedTensor = apply("broadcast_to", operand(array), shape=shape_of(shape))
    return made


@named
def broadcast_arrays(*args: Any) -> tuple[TracedTensor, ...]:
    """All operands repeated to their common shape.

    >>> [x.tolist() for x in broadcast_arrays([1, 2], [[3]])]
    [[[1, 2]], [[3, 3]]]
    """
    nodes = [operand(a) for a in args]
    shape = broadcast_shapes(*[n.type.shape for n in nodes])
    return tuple([n if n.type.shape == shape else broadcast_to(n, shape) for n in nodes])


@named
def broadcast_shapes(*shapes: Any) -> Shape:
    """The shape that operands of these shapes broadcast to.

    >>> broadcast_shapes((3, 1), (4,))
    (3, 4)
    """
    from nbgraph.op import Sizes
    from nbgraph.types import TensorType

    given = [shape_of(s) for s in shapes]
    if not given:
        return ()
    if given.count(given[0]) == len(given):
        return given[0]
    return Sizes().broadcast("broadcast", [TensorType("f8", s) for s in given])


def expand_dims(a: Any, axis: Any) -> TracedTensor:
    """New dimensions of size 1 at the positions `axis` (an int or a tuple) of the result.

    >>> expand_dims([1, 2], 1).shape
    (2, 1)
    """
    return along("expand_dims", operand(a), axis)


def squeeze(a: Any, axis: Any = None) -> TracedTensor:
    """Without the dimensions of size 1, or those of them in `axis`.

    >>> squeeze([[[1], [2]]]).shape
    (2,)
    """
    x: TracedTensor = operand(a)
    if x.type.ndim == 0 and isinstance(axis, int) and axis in (0, -1):
        return x  # as NumPy
    return along("squeeze", x, tuple(i for i, d in enumerate(x.type.shape) if d == 1) if axis is None else axis)


@named
def atleast_1d(*arys: Any) -> Any:
    """An array with a dimension of size 1 if it has none; of several arrays a tuple.

    >>> atleast_1d(3).shape
    (1,)
    """
    return _each(lambda x: expand_dims(x, 0) if x.type.ndim < 1 else x, arys)


@named
def atleast_2d(*arys: Any) -> Any:
    """An array with dimensions of size 1 in front up to two; of several arrays a tuple.

    >>> atleast_2d([1, 2]).shape
    (1, 2)
    """
    return _each(lambda x: expand_dims(x, tuple(range(2 - x.type.ndim))) if x.type.ndim < 2 else x, arys)


def _each(function: Callable[[TracedTensor], TracedTensor], arys: tuple[Any, ...]) -> Any:
    """The function of an array, or a tuple of it for each of several."""
    made = tuple([function(operand(a)) for a in arys])
    return made[0] if len(made) == 1 else made


# -- axes -------------------------------------------------------------------------------------------------------------


def transpose(a: Any, axes: Any = None) -> TracedTensor:
    """Axes in another order (default: reversed): axis i of the result is axis `axes[i]` of a.

    >>> transpose([[1, 2], [3, 4]]).tolist()
    [[1, 3], [2, 4]]
    """
    given = axes if axes is None or not hasattr(axes, "__iter__") else tuple(axes)
    return along("transpose", operand(a), given)


permute_dims = transpose


@named
def swapaxes(a: Any, axis1: int, axis2: int) -> TracedTensor:
    """Two axes exchanged.

    >>> swapaxes([[[1, 2, 3]]], 0, 2).shape
    (3, 1, 1)
    """
    a = operand(a)
    return transpose(a, _swapped(a.type.ndim, operator.index(axis1), operator.index(axis2)))


@lru_cache
def _swapped(n: int, axis1: int, axis2: int) -> tuple[int, ...]:
    """The order of n axes with two of them exchanged."""
    order = list(range(n))
    i, j = _axis("swapaxes", axis1, n), _axis("swapaxes", axis2, n)
    order[i], order[j] = j, i
    return tuple(order)


@named
def matrix_transpose(x: Any) -> TracedTensor:
    """The last two axes exchanged.

    >>> matrix_transpose([[[1, 2, 3]]]).shape
    (1, 3, 1)
    """
    x = operand(x)
    if x.type.ndim < 2:
        wanted = "at least 2 dimensions"
        raise ShapeError("not a matrix", operation="matrix_transpose", position=0, got=x.type.shape, wanted=wanted)
    return swapaxes(x, -1, -2)


@named
def moveaxis(a: Any, source: Any, destination: Any) -> TracedTensor:
    """Axes (an int or several) moved to other places, the rest in order.

    >>> moveaxis([[[1, 2, 3]]], 2, 0).shape
    (3, 1, 1)
    """
    a = operand(a)
    n = a.type.ndim
    sources, targets = (
        tuple([_axis("moveaxis", i, n) for i in (given if isinstance(given, tuple | list) else (given,))])
        for given in (source, destination)
    )
    return transpose(a, _moved(n, sources, targets))


@lru_cache(maxsize=4096)
def _moved(n: int, sources: tuple[int, ...], targets: tuple[int, ...]) -> tuple[int, ...]:
    """The permutation of `moveaxis`."""
    if len(sources) != len(targets) or len(set(sources)) != len(sources) or len(set(targets)) != len(targets):
        wanted = "as many different axes in both"
        raise ShapeError("axes do not match", operation="moveaxis", got=(sources, targets), wanted=wanted)
    order = [i for i in range(n) if i not in sources]
    for target, i in sorted(zip(targets, sources, strict=True)):
        order.insert(target, i)
    return tuple(order)


@named
def flip(m: Any, axis: Any = None) -> TracedTensor:
    """Elements in the opposite order along an axis, several, or all.

    >>> flip([1, 2, 3]).tolist()
    [3, 2, 1]
    """
    return along("flip", operand(m), axis)


@named
def rollaxis(a: Any, axis: int, start: int = 0) -> TracedTensor:
    """The axis moved back to before the one that is at `start`.

    >>> rollaxis([[[1, 2]]], 2).shape
    (2, 1, 1)
    """
    a = operand(a)
    n = a.type.ndim
    axis, start = _axis("rollaxis", axis, n), _axis("rollaxis", start, n + 1) if start != n else n
    return moveaxis(a, axis, start - 1 if axis < start else start)


@named
def unstack(x: Any, /, *, axis: int = 0) -> tuple[TracedTensor, ...]:
    """The slices along an axis.

    >>> [s.tolist() for s in unstack([[1, 2], [3, 4]], axis=1)]
    [[1, 3], [2, 4]]
    """
    x = operand(x)
    return tuple(moveaxis(x, _axis("unstack", axis, x.type.ndim), 0))


# -- diagonals --------------------------------------------------------------------------------------------------------


@named
def diagonal(a: Any, offset: int = 0, axis1: int = 0, axis2: int = 1) -> TracedTensor:
    """A diagonal over two axes, as the last dimension of the result.

    >>> diagonal([[1, 2], [3, 4]]).tolist()
    [1, 4]
    """
    a = operand(a)
    if a.type.ndim < 2:
        wanted = "at least 2 dimensions"
        raise ShapeError("no diagonal", operation="diagonal", position=0, got=a.type.shape, wanted=wanted)
    made: TracedTensor = apply("diagonal", a, offset=offset, axis1=axis1, axis2=axis2)
    return made


@named
def diag(v: Any, k: int = 0) -> TracedTensor:
    """The k-th diagonal of a matrix, or a matrix with v on its k-th diagonal.

    >>> diag([1, 2]).tolist()
    [[1, 0], [0, 2]]
    """
    v = operand(v)
    if v.type.ndim != 1:
        return diagonal(v, k)
    n = v.type.shape[0] + abs(k)
    made: TracedTensor = apply("diagonal_scatter", v, offset=k, axis1=0, axis2=1, shape=(n, n))
    return made


@named
def diagflat(v: Any, k: int = 0) -> TracedTensor:
    """A matrix with the flattened v on its k-th diagonal.

    >>> diagflat([[1], [2]]).tolist()
    [[1, 0], [0, 2]]
    """
    return diag(ravel(v), k)


@named
def trace(a: Any, offset: int = 0, axis1: int = 0, axis2: int = 1, dtype: Any = None, out: None = None) -> TracedTensor:
    """The sum along a diagonal over two axes, in `dtype`.

    >>> trace([[1, 2], [3, 4]]).item()
    5
    """
    no_out("trace", out)
    d = diagonal(a, offset, axis1, axis2)
    made = along("sum", d if dtype is None else as_code(d, code_of(dtype)), -1)
    return made if dtype is None else as_code(made, code_of(dtype))
