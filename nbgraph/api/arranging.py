"""The same elements in other places: repeated, turned, split and joined, with NumPy's names.

In: anything array-like. Out: a `TracedTensor` (a list of them where it is split). Holds: counts, shifts and widths are
run-time sizes where they are numbers.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from nbgraph.api.gather import axis_of, flat, take, value
from nbgraph.api.indexing import getitem
from nbgraph.api.joining import concatenate
from nbgraph.api.shapes import atleast_1d, atleast_2d, broadcast_to, expand_dims, flip, ravel, reshape, swapaxes
from nbgraph.dims import DimExpr, dim_max, dim_min
from nbgraph.errors import OutOfMemoryError, ShapeError, named
from nbgraph.promote import apply, operand
from nbgraph.trace import concrete_size
from nbgraph.types import Size

if TYPE_CHECKING:
    from nbgraph.tensor import TracedTensor

# -- repeated ---------------------------------------------------------------------------------------------------------


@named
def repeat(a: Any, repeats: Any, axis: Any = None) -> TracedTensor:
    """Each element several times, along an axis (None: of the flattened array); `repeats` is a number or one for each.

    >>> repeat([1, 2], 2).tolist(), repeat([1, 2], [1, 2]).tolist()
    ([1, 1, 2, 2], [1, 2, 2])
    """
    x, at = flat("repeat", a, axis)
    if x.type.ndim == 0:
        x = atleast_1d(x)
    shape = x.type.shape
    if not isinstance(repeats, DimExpr):
        counts = value(repeats)
        if counts.dtype.kind not in "iub" or (counts.size and counts.min() < 0):
            raise ShapeError("wrong counts", operation="repeat", position=1, got=repeats, wanted="integers >= 0")
        if counts.size != 1:
            return take(x, _repeated(counts, concrete_size(shape[at], "the size")), at)
        repeats = int(counts.reshape(()))
    longer = broadcast_to(expand_dims(x, at + 1), (*shape[: at + 1], repeats, *shape[at + 1 :]))
    return reshape(longer, (*shape[:at], shape[at] * repeats, *shape[at + 1 :]))


def _repeated(counts: Any, n: int) -> Any:
    if counts.shape != (n,):
        raise ShapeError("counts do not fit", operation="repeat", position=1, got=counts.shape, wanted=f"shape ({n},)")
    return np.repeat(np.arange(n), counts)


@named
def tile(A: Any, reps: Any) -> TracedTensor:
    """The whole array several times along each dimension.

    >>> tile([1, 2], (2, 2)).tolist()
    [[1, 2, 1, 2], [1, 2, 1, 2]]
    """
    x, counts = operand(A), tuple(reps) if isinstance(reps, tuple | list) else (reps,)
    ndim = max(x.type.ndim, len(counts))
    counts = (1,) * (ndim - len(counts)) + counts
    shape = (1,) * (ndim - x.type.ndim) + x.type.shape
    apart = reshape(x, tuple(d for size in shape for d in (1, size)))
    spread = broadcast_to(apart, tuple(d for r, size in zip(counts, shape, strict=True) for d in (r, size)))
    return reshape(spread, tuple(r * size for r, size in zip(counts, shape, strict=True)))


# -- turned -----------------------------------------------------------------------------------------------------------


@named
def resize(a: Any, new_shape: Any) -> TracedTensor:
    """The elements under another shape, repeated as often as needed.

    >>> resize([1, 2, 3], (2, 2)).tolist()
    [[1, 2], [3, 1]]
    """
    x, shape = ravel(a), tuple(new_shape) if isinstance(new_shape, tuple | list) else (new_shape,)
    n, m = concrete_size(x.type.size, "the size"), math.prod(shape)
    if n == 0 and m:
        raise ShapeError("nothing to repeat", operation="resize", position=0, got=operand(a).type.shape, wanted=shape)
    return reshape(getitem(tile(x, -(-m // n)) if m > n else x, slice(0, m)), shape)


@named
def roll(a: Any, shift: Any, axis: Any = None) -> TracedTensor:
    """Elements moved round along an axis, or several (None: of the flattened array).

    >>> roll([1, 2, 3, 4], 1).tolist()
    [4, 1, 2, 3]
    """
    x = operand(a)
    if axis is None:
        return reshape(roll(ravel(x), shift, 0), x.type.shape)
    axes = axis if isinstance(axis, tuple | list) else (axis,)
    shifts = shift if isinstance(shift, tuple | list) else (shift,)
    if len(shifts) != len(axes) and 1 not in (len(shifts), len(axes)):
        raise ShapeError("shifts do not match axes", operation="roll", got=(shift, axis), wanted="as many of both")
    for k in range(max(len(axes), len(shifts))):
        at = axis_of("roll", axes[k % len(axes)], x.type.ndim)
        n, by = x.type.shape[at], shifts[k % len(shifts)]
        if n != 1 and n != 0:
            shift = by if isinstance(by, DimExpr) else operator.index(by)
            x = apply("roll", x, axis=at, shift=shift % dim_max(n, 1))
    return x


@named
def rot90(m: Any, k: int = 1, axes: Any = (0, 1)) -> TracedTensor:
    """A plane turned by 90 degrees, k times, from the first axis towards the second.

    >>> rot90([[1, 2], [3, 4]]).tolist()
    [[2, 4], [1, 3]]
    """
    x = operand(m)
    i, j = (axis_of("rot90", a, x.type.ndim) for a in axes)
    if i == j:
        raise ShapeError("no plane", operation="rot90", position="axes", got=axes, wanted="two different axes")
    k = operator.index(k) % 4
    if k == 2:
        return flip(x, (i, j))
    if k == 0:
        return x
    return swapaxes(flip(x, j), i, j) if k == 1 else flip(swapaxes(x, i, j), j)


@named
def fliplr(m: Any) -> TracedTensor:
    """Columns in the opposite order.

    >>> fliplr([[1, 2]]).tolist()
    [[2, 1]]
    """
    return flip(_at_least("fliplr", m, 2), 1)


@named
def flipud(m: Any) -> TracedTensor:
    """Rows in the opposite order.

    >>> flipud([[1], [2]]).tolist()
    [[2], [1]]
    """
    return flip(_at_least("flipud", m, 1), 0)


def _at_least(name: str, a: Any, ndim: int) -> TracedTensor:
    x = operand(a)
    if x.type.ndim < ndim:
        wanted = f"at least {ndim} dimensions"
        raise ShapeError("wrong rank", operation=name, position=0, got=x.type.shape, wanted=wanted)
    return x


# -- joined -----------------------------------------------------------------------------------------------------------


@named
def atleast_3d(*arys: Any) -> Any:
    """An array with three dimensions at least: a vector becomes [1, n, 1], a matrix [m, n, 1]; of several a tuple.

    >>> atleast_3d([1, 2]).shape
    (1, 2, 1)
    """
    made = tuple([expand_dims(x, 2) if x.type.ndim == 2 else x for x in map(atleast_2d, arys)])
    return made[0] if len(made) == 1 else made


@named
def dstack(tup: Any) -> TracedTensor:
    """Arrays joined along the third axis.

    >>> dstack([[1, 2], [3, 4]]).tolist()
    [[[1, 3], [2, 4]]]
    """
    return concatenate([atleast_3d(a) for a in tup], 2)


@named
def column_stack(tup: Any) -> TracedTensor:
    """Vectors as columns, and matrices, side by side.

    >>> column_stack([[1, 2], [3, 4]]).tolist()
    [[1, 3], [2, 4]]
    """
    columns = [operand(a) for a in tup]
    return concatenate([c if c.type.ndim > 1 else reshape(c, (-1, 1)) for c in columns], 1)


@named
def append(arr: Any, values: Any, axis: Any = None) -> TracedTensor:
    """Values behind the elements along an axis (None: both flattened).

    >>> append([1, 2], [[3], [4]]).tolist()
    [1, 2, 3, 4]
    """
    return concatenate([arr, values], axis)


@named
def block(arrays: Any) -> TracedTensor:
    """An array put together from nested lists of blocks: innermost lists along the last axis, the next the one before.

    >>> block([[1, 2], [3, 4]]).tolist()
    [[1, 2], [3, 4]]
    """
    depth = _depth(arrays)
    ndim = max(depth, _rank(arrays))
    return _joined(arrays, depth, 0, ndim)


def _depth(arrays: Any) -> int:
    if not isinstance(arrays, list):
        return 0
    depths = {_depth(a) for a in arrays}
    if len(depths) != 1:
        raise ShapeError("uneven nesting", operation="block", got=f"depths {depths}", wanted="lists of one depth")
    return 1 + depths.pop()


def _rank(arrays: Any) -> int:
    return max(map(_rank, arrays)) if isinstance(arrays, list) else operand(arrays).type.ndim


def _joined(arrays: Any, depth: int, level: int, ndim: int) -> TracedTensor:
    if level == depth:
        x = operand(arrays)
        return expand_dims(x, tuple(range(ndim - x.type.ndim))) if x.type.ndim < ndim else x
    return concatenate([_joined(a, depth, level + 1, ndim) for a in arrays], level - depth)


# -- split ------------------------------------------------------------------------------------------------------------


@named
def array_split(ary: Any, indices_or_sections: Any, axis: int = 0) -> list[TracedTensor]:
    """Pieces along an axis: that many, as equal as can be, or between the given indices.

    >>> [p.tolist() for p in array_split([1, 2, 3], 2)]
    [[1, 2], [3]]
    """
    x = _at_least("array_split", ary, 1)
    at = axis_of("array_split", axis, x.type.ndim)
    bounds = _bounds(indices_or_sections, x.type.shape[at])
    before = (slice(None),) * at
    return [getitem(x, (*before, slice(i, j))) for i, j in pairwise(bounds)]


_PIECES_LIMIT = 10_000_000


def _bounds(given: Any, d: Size) -> list[Any]:
    if isinstance(given, Sequence | np.ndarray):
        return [0, *(i if isinstance(i, DimExpr) else operator.index(i) for i in given), None]
    parts = operator.index(given)
    if parts <= 0:
        raise ShapeError("no pieces", operation="split", position=1, got=parts, wanted="at least one")
    if parts > _PIECES_LIMIT:
        raise OutOfMemoryError("too many pieces", operation="split", position=1, got=parts)
    small, larger = d // parts, d % parts
    return [*(k * small + dim_min(k, larger) for k in range(parts)), d]


@named
def split(ary: Any, indices_or_sections: Any, axis: int = 0) -> list[TracedTensor]:
    """Pieces along an axis: that many equal ones, or between the given indices.

    >>> [p.tolist() for p in split([1, 2, 3, 4], 2)]
    [[1, 2], [3, 4]]
    """
    x = _at_least("split", ary, 1)
    at = axis_of("split", axis, x.type.ndim)
    shape = x.type.shape
    if isinstance(indices_or_sections, Sequence | np.ndarray):
        return array_split(x, indices_or_sections, at)
    parts = operator.index(indices_or_sections)
    left = shape[at] % parts if parts > 0 else None
    if left is None or (isinstance(left, int) and left):
        wanted = f"a number that divides {shape[at]}"
        raise ShapeError("pieces are not equal", operation="split", position=1, got=parts, wanted=wanted)
    if left == 0:
        return array_split(x, parts, at)
    # Whether the size can be divided is seen when it is known: it has to come out even in this shape.
    apart = reshape(x, (*shape[:at], parts, shape[at] // parts, *shape[at + 1 :]))
    return [getitem(apart, (*(slice(None),) * at, k)) for k in range(parts)]


@named
def hsplit(ary: Any, indices_or_sections: Any) -> list[TracedTensor]:
    """`split` along the second axis, of a vector along the first.

    >>> [p.tolist() for p in hsplit([[1, 2]], 2)]
    [[[1]], [[2]]]
    """
    x = _at_least("hsplit", ary, 1)
    return split(x, indices_or_sections, 1 if x.type.ndim > 1 else 0)


@named
def vsplit(ary: Any, indices_or_sections: Any) -> list[TracedTensor]:
    """`split` along the first axis.

    >>> [p.tolist() for p in vsplit([[1], [2]], 2)]
    [[[1]], [[2]]]
    """
    return split(_at_least("vsplit", ary, 2), indices_or_sections, 0)


@named
def dsplit(ary: Any, indices_or_sections: Any) -> list[TracedTensor]:
    """`split` along the third axis.

    >>> [p.tolist() for p in dsplit([[[1, 2]]], 2)]
    [[[[1]]], [[[2]]]]
    """
    return split(_at_least("dsplit", ary, 3), indices_or_sections, 2)
