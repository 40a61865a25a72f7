"""Reductions with NumPy's names and defaults.

In: anything array-like; `axis` is an int, a tuple of them, or None for all. Out: a `TracedTensor`, not evaluated, of
NumPy's result dtype (sums of int32 and booleans are int64, means of integers float64), or of `dtype`.
Holds: an axis out of range raises `BoundsError`; `keepdims` leaves the reduced dimensions with size 1. The largest
and smallest of nothing raise `ShapeError`. Ties of `max` and `min` share the derivative equally.
"""

from __future__ import annotations

import operator
from typing import TYPE_CHECKING, Any

from nbgraph.api import elementwise, shapes
from nbgraph.errors import ShapeError
from nbgraph.node import Node
from nbgraph.promote import ALONG, along, apply, as_code, no_out, operand, to_inexact
from nbgraph.trace import RECORDING, Known, record1
from nbgraph.types import code_of

if TYPE_CHECKING:
    from nbgraph.tensor import TracedTensor


#: The types of an axis that is part of a key as it stands.
_PLAIN = frozenset((type(None), int))


def _reduce(name: str, x: Any, axis: Any, keepdims: bool, dtype: Any = None) -> TracedTensor:
    if dtype is None and keepdims is False and isinstance(x, Node) and type(axis) in _PLAIN:
        op = ALONG.get((name, x.type.ndim, axis))
        if op is not None:  # as it was before, which is most calls
            return record1(op, x)  # type: ignore[return-value]
    x = operand(x)
    if name != "mean":
        axis = _axis_of_number(x, axis)
    code = None if dtype is None else code_of(dtype)
    if code is not None:
        x = as_code(x, code)
    made = along(name, x, axis)
    if keepdims is not False and _truth(keepdims):
        made = _keep(made, x.type.ndim, axis)
    return made if code is None else as_code(made, code)


def _whole(name: str) -> Known:
    """A reduction over everything."""
    return Known(lambda a: _reduce(name, a, None, False))


_WHOLE_SUM, _WHOLE_PROD, _WHOLE_MEAN, _WHOLE_MAX, _WHOLE_MIN = map(_whole, ("sum", "prod", "mean", "max", "min"))


def _axis_of_number(x: TracedTensor, axis: Any) -> Any:
    """NumPy takes a number for its own axis 0, but for a mean."""
    return None if x.type.ndim == 0 and isinstance(axis, int) and axis in (0, -1) else axis


def _truth(keepdims: Any) -> bool:
    try:
        return bool(keepdims)
    except ValueError:
        told: Any = {"got": repr(keepdims), "wanted": "True or False"}
        raise ShapeError("neither true nor false", position="keepdims", **told) from None


def _keep(made: TracedTensor, ndim: int, axis: Any) -> TracedTensor:
    """The reduced dimensions again, with size 1."""
    given = range(ndim) if axis is None else axis if isinstance(axis, tuple | list | range) else (axis,)
    axes = tuple(sorted(operator.index(a) % ndim for a in given))
    return along("expand_dims", made, axes) if axes else made


def _chosen(x: Any, where: Any, rest: Any) -> TracedTensor:
    """x with a value in place of what is left out."""
    return operand(x) if where is True else elementwise.where(where, x, rest)


def sum(
    a: Any,
    axis: Any = None,
    dtype: Any = None,
    out: None = None,
    keepdims: bool = False,
    initial: Any = None,
    where: Any = True,
) -> TracedTensor:
    """The sum of elements; of those only for which `where` holds, added to `initial`, if they are given.

    >>> sum([[1, 2], [3, 4]], axis=0).tolist()
    [4, 6]
    """
    if axis is None and dtype is None and out is None and keepdims is False and initial is None and where is True:
        make = RECORDING.make
        found = None if make is None else make(_WHOLE_SUM, a)
        return _WHOLE_SUM(a) if found is None else found  # type: ignore[no-any-return]
    no_out("sum", out)
    made = _reduce("sum", a if where is True else _chosen(a, where, 0), axis, keepdims, dtype)
    return made if initial is None else elementwise.add(made, initial)


def prod(
    a: Any,
    axis: Any = None,
    dtype: Any = None,
    out: None = None,
    keepdims: bool = False,
    initial: Any = None,
    where: Any = True,
) -> TracedTensor:
    """The product of elements (of those for which `where` holds, and of `initial`); its derivative is exact where
    elements are zero.

    >>> prod([2.0, 3.0]).item()
    6.0
    """
    if axis is None and dtype is None and out is None and keepdims is False and initial is None and where is True:
        make = RECORDING.make
        found = None if make is None else make(_WHOLE_PROD, a)
        return _WHOLE_PROD(a) if found is None else found  # type: ignore[no-any-return]
    no_out("prod", out)
    made = _reduce("prod", a if where is True else _chosen(a, where, 1), axis, keepdims, dtype)
    return made if initial is None else elementwise.multiply(made, initial)


def mean(
    a: Any, axis: Any = None, dtype: Any = None, out: None = None, keepdims: bool = False, *, where: Any = True
) -> TracedTensor:
    """The arithmetic mean (of the elements for which `where` holds); NaN of no elements.

    >>> mean([1, 2]).item()
    1.5
    """
    if axis is None and dtype is None and out is None and keepdims is False and where is True:
        make = RECORDING.make
        found = None if make is None else make(_WHOLE_MEAN, a)
        return _WHOLE_MEAN(a) if found is None else found  # type: ignore[no-any-return]
    no_out("mean", out)
    if where is True:
        return _reduce("mean", a, axis, keepdims, dtype)
    x = to_inexact(operand(a)) if dtype is None else as_code(operand(a), code_of(dtype))
    counted = sum(shapes.broadcast_to(as_code(operand(where), "b1"), x.type.shape), axis, keepdims=keepdims)
    return elementwise.divide(sum(x, axis, keepdims=keepdims, where=where), as_code(counted, x.type.real_code))


def max(
    a: Any, axis: Any = None, out: None = None, keepdims: bool = False, initial: Any = None, where: Any = True
) -> TracedTensor:
    """The largest element of a real array; NaN wins. `initial` counts as one more, and stands for those for which
    `where` does not hold.

    >>> max([[1, 2], [4, 3]], axis=1).tolist()
    [2, 4]
    """
    if axis is None and out is None and keepdims is False and initial is None and where is True:
        make = RECORDING.make
        found = None if make is None else make(_WHOLE_MAX, a)
        return _WHOLE_MAX(a) if found is None else found  # type: ignore[no-any-return]
    no_out("max", out)
    if initial is None and where is True:
        return _reduce("max", a, axis, keepdims)
    return _extremum("max", a, axis, keepdims, initial, where)


def min(
    a: Any, axis: Any = None, out: None = None, keepdims: bool = False, initial: Any = None, where: Any = True
) -> TracedTensor:
    """The smallest element of a real array; NaN wins. `initial` counts as one more, and stands for those for which
    `where` does not hold.

    >>> min([[1, 2], [4, 3]], axis=1, keepdims=True).tolist()
    [[1], [3]]
    """
    if axis is None and out is None and keepdims is False and initial is None and where is True:
        make = RECORDING.make
        found = None if make is None else make(_WHOLE_MIN, a)
        return _WHOLE_MIN(a) if found is None else found  # type: ignore[no-any-return]
    no_out("min", out)
    if initial is None and where is True:
        return _reduce("min", a, axis, keepdims)
    return _extremum("min", a, axis, keepdims, initial, where)


amax, amin = max, min


def _extremum(name: str, a: Any, axis: Any, keepdims: bool, initial: Any, where: Any) -> TracedTensor:
    if initial is None:
        wanted = "a value for what is left out"
        raise ShapeError("`where` needs `initial`", operation=name, position="initial", got=None, wanted=wanted)
    x = _chosen(a, where, initial)
    axis = _axis_of_number(x, axis)
    ndim, edge = x.type.ndim, as_code(operand(initial), x.type.code)
    axes = range(ndim) if axis is None else axis if isinstance(axis, tuple | list) else (axis,)
    if not axes:
        return elementwise.maximum(x, edge) if name == "max" else elementwise.minimum(x, edge)
    for k in sorted((shapes._axis(name, i, ndim) for i in axes), reverse=True):
        border = shapes.broadcast_to(edge, (*x.type.shape[:k], 1, *x.type.shape[k + 1 :]))
        x = along(name, apply("concatenate", x, border, axis=k), k)
    return _keep(x, ndim, axis) if keepdims else x


def any(a: Any, axis: Any = None, out: None = None, keepdims: bool = False, *, where: Any = True) -> TracedTensor:
    """Whether some element (of those for which `where` holds) is nonzero.

    >>> any([0, 1]).item()
    True
    """
    no_out("any", out)
    return _reduce("any", a if where is True else _chosen(a, where, False), axis, keepdims)


def all(a: Any, axis: Any = None, out: None = None, keepdims: bool = False, *, where: Any = True) -> TracedTensor:
    """Whether every element (of those for which `where` holds) is nonzero.

    >>> all([0, 1]).item()
    False
    """
    no_out("all", out)
    return _reduce("all", a if where is True else _chosen(a, where, True), axis, keepdims)


def argmax(a: Any, axis: Any = None, out: None = None, *, keepdims: bool = False) -> TracedTensor:
    """The index (int64) of the first largest element along an axis, or in the flattened array.

    >>> argmax([1, 7, 7]).item()
    1
    """
    no_out("argmax", out)
    return _position("argmax", a, axis, keepdims)


def argmin(a: Any, axis: Any = None, out: None = None, *, keepdims: bool = False) -> TracedTensor:
    """The index (int64) of the first smallest element along an axis, or in the flattened array.

    >>> argmin([[3, 1], [0, 2]], axis=0).tolist()
    [1, 0]
    """
    no_out("argmin", out)
    return _position("argmin", a, axis, keepdims)


def _position(name: str, a: Any, axis: Any, keepdims: bool) -> TracedTensor:
    x = operand(a)
    axis = _axis_of_number(x, axis)
    if axis is not None:
        found = along(name, x, shapes._axis(name, axis, x.type.ndim))
        return _keep(found, x.type.ndim, axis) if keepdims is not False and _truth(keepdims) else found
    found = along(name, apply("reshape", x, shape=(-1,)) if x.type.ndim != 1 else x, 0)
    return _keep(found, x.type.ndim, None) if keepdims is not False and _truth(keepdims) else found
