"""Reductions with NumPy's names and defaults.

In: anything array-like; `axis` is an int, a tuple of them, or None for all. Out: a `TracedTensor`, not evaluated, of
NumPy's result dtype (sums of int32 and booleans are int64, means of integers float64), or of `dtype`.
Holds: an axis out of range raises `BoundsError`; `keepdims` leaves the reduced dimensions with size 1. The largest
and smallest of nothing raise `ShapeError`. Ties of `max` and `min` share the derivative equally.
"""

from __future__ import annotations

import operator
from typing import TYPE_CHECKING, Any

from nbgraph.promote import along, apply, as_code, operand
from nbgraph.types import code_of

if TYPE_CHECKING:
    from nbgraph.tensor import TracedTensor


def _reduce(name: str, x: Any, axis: Any, keepdims: bool, dtype: Any = None) -> TracedTensor:
    x = operand(x)
    code = None if dtype is None else code_of(dtype)
    if code is not None:
        x = as_code(x, code)
    made = along(name, x, axis)
    if keepdims:
        made = _keep(made, x.type.ndim, axis)
    return made if code is None else as_code(made, code)


def _keep(made: TracedTensor, ndim: int, axis: Any) -> TracedTensor:
    """The reduced dimensions again, with size 1."""
    given = range(ndim) if axis is None else axis if isinstance(axis, tuple | list | range) else (axis,)
    axes = tuple(sorted(operator.index(a) % ndim for a in given))
    return along("expand_dims", made, axes) if axes else made


def sum(a: Any, axis: Any = None, dtype: Any = None, keepdims: bool = False) -> TracedTensor:
    """The sum of elements.

    >>> sum([[1, 2], [3, 4]], axis=0).tolist()
    [4, 6]
    """
    return _reduce("sum", a, axis, keepdims, dtype)


def prod(a: Any, axis: Any = None, dtype: Any = None, keepdims: bool = False) -> TracedTensor:
    """The product of elements; its derivative is exact where elements are zero.

    >>> prod([2.0, 3.0]).item()
    6.0
    """
    return _reduce("prod", a, axis, keepdims, dtype)


def mean(a: Any, axis: Any = None, dtype: Any = None, keepdims: bool = False) -> TracedTensor:
    """The arithmetic mean; NaN of no elements.

    >>> mean([1, 2]).item()
    1.5
    """
    return _reduce("mean", a, axis, keepdims, dtype)


def max(a: Any, axis: Any = None, keepdims: bool = False) -> TracedTensor:
    """The largest element of a real array; NaN wins.

    >>> max([[1, 2], [4, 3]], axis=1).tolist()
    [2, 4]
    """
    return _reduce("max", a, axis, keepdims)


def min(a: Any, axis: Any = None, keepdims: bool = False) -> TracedTensor:
    """The smallest element of a real array; NaN wins.

    >>> min([[1, 2], [4, 3]], axis=1, keepdims=True).tolist()
    [[1], [3]]
    """
    return _reduce("min", a, axis, keepdims)


amax, amin = max, min


def any(a: Any, axis: Any = None, keepdims: bool = False) -> TracedTensor:
    """Whether some element is nonzero.

    >>> any([0, 1]).item()
    True
    """
    return _reduce("any", a, axis, keepdims)


def all(a: Any, axis: Any = None, keepdims: bool = False) -> TracedTensor:
    """Whether every element is nonzero.

    >>> all([0, 1]).item()
    False
    """
    return _reduce("all", a, axis, keepdims)


def argmax(a: Any, axis: Any = None, keepdims: bool = False) -> TracedTensor:
    """The index (int64) of the first largest element along an axis, or in the flattened array.

    >>> argmax([1, 7, 7]).item()
    1
    """
    return _position("argmax", a, axis, keepdims)


def argmin(a: Any, axis: Any = None, keepdims: bool = False) -> TracedTensor:
    """The index (int64) of the first smallest element along an axis, or in the flattened array.

    >>> argmin([[3, 1], [0, 2]], axis=0).tolist()
    [1, 0]
    """
    return _position("argmin", a, axis, keepdims)


def _position(name: str, a: Any, axis: Any, keepdims: bool) -> TracedTensor:
    x = operand(a)
    if axis is not None:
        found = along(name, x, operator.index(axis))
        return _keep(found, x.type.ndim, axis) if keepdims else found
    found = along(name, apply("reshape", x, shape=(-1,)) if x.type.ndim != 1 else x, 0)
    return _keep(found, x.type.ndim, None) if keepdims else found
