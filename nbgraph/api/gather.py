"""Picking elements by index arrays, with NumPy's names: take, choose, select, delete, insert, nonzero.

In: anything array-like. Out: a `TracedTensor`. Holds: what NumPy writes into its argument is a new tensor here. How
many elements a mask holds for is a size that the data decides (`nbgraph.decided`); what is picked has a derivative. An
index out of bounds raises `BoundsError`: at once where it is known, else when it is evaluated.
"""

from __future__ import annotations

import operator
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, overload

import numpy as np

from nbgraph.api.advanced import Plan, broadcast_value, check_bounds, combined, index_array
from nbgraph.api.elementwise import astype, maximum, minimum
from nbgraph.api.elementwise import where as _where
from nbgraph.api.indexing import getitem
from nbgraph.api.joining import concatenate, stack
from nbgraph.api.masks import indices_where
from nbgraph.api.rounding import remainder
from nbgraph.api.shapes import broadcast_arrays, broadcast_shapes, broadcast_to, expand_dims, moveaxis, ravel, reshape
from nbgraph.engine import evaluate
from nbgraph.errors import BoundsError, DtypeError, ShapeError, named
from nbgraph.leaves import constant_of
from nbgraph.promote import apply, as_code, no_out, operand
from nbgraph.trace import concrete_size, value_of
from nbgraph.types import Shape, Size

if TYPE_CHECKING:
    from nbgraph.tensor import TracedTensor

Array = np.ndarray[Any, Any]


def axis_of(name: str, axis: Any, ndim: int) -> int:
    """A nonnegative axis, or `BoundsError`."""
    try:
        axis = operator.index(axis)
    except TypeError:
        told: Any = {"got": repr(axis), "wanted": "an integer"}
        raise DtypeError("no axis", operation=name, position="axis", **told) from None
    if not -ndim <= axis < ndim:
        raise BoundsError("axis is out of range", operation=name, got=axis, wanted=f"-{ndim} <= axis < {ndim}")
    return axis % ndim  # type: ignore[no-any-return]


def flat(name: str, a: Any, axis: Any) -> tuple[TracedTensor, int]:
    """An array and an axis of it; without an axis, the flattened array. A number is a vector along its axis 0."""
    x = operand(a)
    whole = axis is None or (x.type.ndim == 0 and is_first(axis))
    return (ravel(x), 0) if whole else (x, axis_of(name, axis, x.type.ndim))


def is_first(axis: Any) -> bool:
    """Whether it is what NumPy takes for an axis of a number."""
    return isinstance(axis, int) and axis in (0, -1)


def value(a: Any) -> Array:
    """The value of something array-like, evaluated if need be."""
    return evaluate([operand(a)])[0]


def constants(arrays: Sequence[Array]) -> tuple[TracedTensor, ...]:
    """Arrays that belong to nobody else, as constants."""
    return tuple(constant_of(a) for a in arrays)  # type: ignore[misc]


# -- along an axis ----------------------------------------------------------------------------------------------------


def take(a: Any, indices: Any, axis: Any = None, out: None = None, mode: str = "raise") -> TracedTensor:
    """The elements at `indices` along an axis (None: of the flattened array); negative ones count from the end.

    `mode` is what happens to indices out of bounds: "raise", "wrap" or "clip" (then none are negative).

    >>> take([[1, 2, 3], [4, 5, 6]], [2, 0], axis=1).tolist()
    [[3, 1], [6, 4]]
    """
    no_out("take", out)
    x, at = flat("take", a, axis)
    index = index_array(indices, "take")
    if index.type.code == "b1":
        index = as_code(index, "i8")
    index = _moded(index, x.type.shape[at], mode)
    check_bounds(index, x.type.shape[at], at, "take")
    return Plan((), (at,), (index,), index.type.shape, at).pick(x)


def _moded(index: TracedTensor, d: Size, mode: str) -> TracedTensor:
    """Indices brought into bounds."""
    if mode == "raise":
        return index
    if mode not in ("wrap", "clip"):
        raise ShapeError("unknown mode", operation="take", got=repr(mode), wanted="'raise', 'wrap' or 'clip'")
    return remainder(index, d) if mode == "wrap" else maximum(minimum(index, d - 1), 0)


@named
def take_along_axis(arr: Any, indices: Any, axis: Any = -1) -> TracedTensor:
    """For each position of `indices`, which broadcasts with arr but along `axis`, the element at that index.

    >>> take_along_axis([[10, 30, 20]], [[0, 2, 1]], axis=1).tolist()
    [[10, 20, 30]]
    """
    x, index, at = _along("take_along_axis", arr, indices, axis)
    made: TracedTensor = apply("gather", x, index, axis=at, along=True)
    return made


@named
def put_along_axis(arr: Any, indices: Any, values: Any, axis: Any) -> TracedTensor:
    """arr with `values` at the elements that `take_along_axis` gives, as a new tensor (NumPy's writes into arr).

    >>> put_along_axis([[10, 30, 20]], [[1]], 0, axis=1).tolist()
    [[10, 0, 20]]
    """
    x, index, at = _along("put_along_axis", arr, indices, axis)
    given = broadcast_value(as_code(operand(values), x.type.code), index.type.shape)
    return combined(x, index, "set", given, at, along=True)


def _along(name: str, arr: Any, indices: Any, axis: Any) -> tuple[TracedTensor, TracedTensor, int]:
    """An operand and an index that broadcast to each other but along the axis."""
    x, at = flat(name, arr, axis)
    index = index_array(indices, name)
    if index.type.code == "b1" or index.type.ndim != x.type.ndim:
        wanted = f"an array of integers of {x.type.ndim} dimensions"
        raise ShapeError("index does not fit", operation=name, position=1, got=index.type, wanted=wanted)
    check_bounds(index, x.type.shape[at], at, name)
    try:
        common = broadcast_shapes(_without(x.type.shape, at), _without(index.type.shape, at))
    except ShapeError:
        wanted = f"a shape that broadcasts with {x.type.shape} but along axis {at}"
        raise ShapeError(
            "index does not fit", operation=name, position=1, got=index.type.shape, wanted=wanted
        ) from None
    full = (*common[:at], index.type.shape[at], *common[at + 1 :])
    return broadcast_to(x, (*common[:at], x.type.shape[at], *common[at + 1 :])), broadcast_to(index, full), at


def _without(shape: Shape, axis: int) -> Shape:
    return (*shape[:axis], 1, *shape[axis + 1 :])


@named
def put(a: Any, ind: Any, v: Any, mode: str = "raise") -> TracedTensor:
    """a with values, repeated as often as needed, at flat indices, as a new tensor (NumPy's writes into a).

    >>> put([1, 2, 3], [0, 2], [10, 30]).tolist()
    [10, 2, 30]
    """
    x = operand(a)
    index = ravel(_moded(index_array(ind, "put"), x.type.size, mode))
    n = concrete_size(index.type.size, "the size")
    check_bounds(index, x.type.size, 0, "put")
    given = _cycled("put", as_code(operand(v), x.type.code), n)
    return reshape(combined(ravel(x), index, "set", given, 0, along=False), x.type.shape)


@named
def place(arr: Any, mask: Any, vals: Any) -> TracedTensor:
    """arr with the elements where a mask, which is evaluated, holds replaced by the first values, repeated as often as
    needed, as a new tensor (NumPy's writes into arr).

    >>> place([1, 2, 3], [True, False, True], [10, 30]).tolist()
    [10, 2, 30]
    """
    return put(arr, np.flatnonzero(value(mask)), vals)


@named
def putmask(a: Any, mask: Any, values: Any) -> TracedTensor:
    """a with the elements where a mask holds replaced by those at the same place of `values`, repeated as often as
    needed, as a new tensor (NumPy's writes into a).

    >>> putmask([1, 2, 3], [True, False, True], [10, 20, 30]).tolist()
    [10, 2, 30]
    """
    x = operand(a)
    n = concrete_size(x.type.size, "the size")
    given = reshape(_cycled("putmask", as_code(operand(values), x.type.code), n), x.type.shape)
    return _where(mask, given, x)


def _cycled(name: str, values: TracedTensor, n: int) -> TracedTensor:
    """n values, from the first on again where there are less."""
    v = ravel(values)
    m = concrete_size(v.type.size, "the size")
    if m == 0 and n:
        raise ShapeError("no values", operation=name, position=2, got=values.type.shape, wanted="at least one")
    return v if m == n else take(v, np.arange(n) % max(m, 1))


@named
def trim_zeros(filt: Any, trim: str = "fb", axis: Any = None) -> TracedTensor:
    """Without the zeros at the front ("f") and the back ("b") along an axis, or all of them; evaluates which they are.

    >>> trim_zeros([0, 1, 2, 0]).tolist()
    [1, 2]
    """
    x = operand(filt)
    if not isinstance(trim, str) or trim.lower() not in ("f", "b", "fb", "bf"):
        raise ShapeError("unknown side", operation="trim_zeros", got=repr(trim), wanted="'f', 'b' or 'fb'")
    axes = range(x.type.ndim) if axis is None else axis if isinstance(axis, tuple | list) else (axis,)
    kept = np.argwhere(value(x))
    for axis in (axis_of("trim_zeros", a, x.type.ndim) for a in axes):
        n = concrete_size(x.type.shape[axis], "the size")
        low = (kept[:, axis].min() if len(kept) else n) if "f" in trim.lower() else 0
        high = (kept[:, axis].max() + 1 if len(kept) else 0) if "b" in trim.lower() else n
        x = take(x, np.arange(low, max(low, high)), axis)
    return x


# -- by conditions ----------------------------------------------------------------------------------------------------


def nonzero(a: Any) -> tuple[TracedTensor, ...]:
    """The indices of the elements that are not zero, an array for each dimension.

    >>> [i.tolist() for i in nonzero([[0, 7], [8, 9]])]
    [[0, 1, 1], [1, 0, 1]]
    """
    return indices_where(operand(a))


@overload
def where(condition: Any) -> tuple[TracedTensor, ...]: ...


@overload
def where(condition: Any, x: Any, y: Any) -> TracedTensor: ...


def where(condition: Any, x: Any = None, y: Any = None) -> Any:
    """x where the condition is nonzero, else y; only what was chosen has a derivative. Of a condition alone `nonzero`.

    >>> where([True, False], [1.0, 2.0], 0).tolist()
    [1.0, 0.0]
    """
    if x is None and y is None:
        return nonzero(condition)
    if x is None or y is None:
        raise ShapeError("one of x and y is missing", operation="where", wanted="both of them, or none")
    return _where(condition, x, y)


def flatnonzero(a: Any) -> TracedTensor:
    """The indices of the elements of the flattened array that are not zero.

    >>> flatnonzero([0, 7, 8]).tolist()
    [1, 2]
    """
    return indices_where(ravel(a))[0]


def argwhere(a: Any) -> TracedTensor:
    """The indices of the elements that are not zero, a row each.

    >>> argwhere([[0, 7], [8, 0]]).tolist()
    [[0, 1], [1, 0]]
    """
    x = operand(a)
    known = value_of(x)
    if known is not None:
        return operand(np.argwhere(known))
    if x.type.ndim == 0:
        return stack(indices_where(ravel(x)), 1)[:, :0]  # rows of no index
    return stack(nonzero(x), 1)


@named
def compress(condition: Any, a: Any, axis: Any = None, out: None = None) -> TracedTensor:
    """The slices along an axis (None: elements of the flattened array) where a condition holds.

    >>> compress([False, True], [[1, 2], [3, 4]], axis=0).tolist()
    [[3, 4]]
    """
    no_out("compress", out)
    mask = operand(condition)
    if mask.type.ndim != 1:
        raise ShapeError("wrong rank", operation="compress", position=0, got=mask.type.shape, wanted="one dimension")
    return take(a, flatnonzero(mask), axis)


@named
def extract(condition: Any, arr: Any) -> TracedTensor:
    """The elements of arr where a condition holds.

    >>> extract([[True, False], [False, True]], [[1, 2], [3, 4]]).tolist()
    [1, 4]
    """
    return take(ravel(arr), flatnonzero(condition))


@named
def choose(a: Any, choices: Any, out: None = None, mode: str = "raise") -> TracedTensor:
    """For each element k of a the element at the same place of `choices[k]`; all broadcast together.

    >>> choose([0, 1, 0], [[1, 2, 3], [10, 20, 30]]).tolist()
    [1, 20, 3]
    """
    no_out("choose", out)
    index = _moded(as_code(index_array(a, "choose"), "i8"), len(choices), mode)
    check_bounds(index, len(choices), 0, "choose")
    index, *given = broadcast_arrays(index, *choices)
    return take_along_axis(stack(given), expand_dims(index, 0), 0)[0]


@named
def select(condlist: Sequence[Any], choicelist: Sequence[Any], default: Any = 0) -> TracedTensor:
    """Elements of the first choice whose condition holds, else the default.

    >>> select([[True, False, False], [True, True, False]], [[1, 2, 3], [10, 20, 30]], -1).tolist()
    [1, 20, -1]
    """
    if len(condlist) != len(choicelist) or not condlist:
        got, wanted = f"{len(condlist)} conditions, {len(choicelist)} choices", "as many, and at least one"
        raise ShapeError("conditions do not match choices", operation="select", got=got, wanted=wanted)
    made = default
    for condition, choice in zip(reversed(condlist), reversed(choicelist), strict=True):
        made = _where(condition, choice, made)
    return operand(made)


# -- without some, with more ------------------------------------------------------------------------------------------


@named
def delete(arr: Any, obj: Any, axis: Any = None) -> TracedTensor:
    """arr without the elements at `obj` (an integer, a slice, integers, or a mask) along an axis (None: flattened).

    >>> delete([10, 20, 30], 1).tolist()
    [10, 30]
    """
    x, at = flat("delete", arr, axis)
    n, where_to = x.type.shape[at], _static(obj)
    if isinstance(n, int):
        return take(x, _edited("delete", np.delete, np.arange(n), where_to), at)
    places = list(dict.fromkeys(_places("delete", where_to, n)))
    return concatenate(_pieces(x, at, [0, *(p + 1 for p in places)], [*places, n]), at)


@named
def insert(arr: Any, obj: Any, values: Any, axis: Any = None) -> TracedTensor:
    """arr with values, cast to its dtype, before the positions `obj` along an axis (None: flattened).

    >>> insert([10, 20, 30], [0, 2], [1, 2]).tolist()
    [1, 10, 20, 2, 30]
    """
    x, at = flat("insert", arr, axis)
    n, where_to = x.type.shape[at], _static(obj)
    given = astype(values, x.dtype)
    given = expand_dims(given, tuple(range(x.type.ndim - given.type.ndim)))
    if not isinstance(n, int):
        return _inserted(x, at, where_to, given)
    number = np.asarray(where_to) if not isinstance(where_to, slice) else np.arange(n)[where_to]
    if number.ndim == 0 and number.dtype.kind != "b":
        given = moveaxis(given, 0, at)
    number = np.flatnonzero(number) if number.dtype.kind == "b" else number
    count = concrete_size(given.type.shape[at], "the size") if number.size == 1 else number.size
    given = broadcast_value(given, (*x.type.shape[:at], count, *x.type.shape[at + 1 :]))
    order = _edited("insert", np.insert, np.arange(n), where_to, n + np.arange(count))
    return take(concatenate([x, given], at), order, at)


def _inserted(x: TracedTensor, at: int, where_to: Any, given: TracedTensor) -> TracedTensor:
    """`insert` along a dimension of symbolic size."""
    n, rest = x.type.shape[at], x.type.shape[at + 1 :]
    if np.ndim(where_to) == 0:
        given = moveaxis(given, 0, at)
    places = _places("insert", where_to, n)
    if len(places) == 1:
        new = [broadcast_value(given, (*x.type.shape[:at], given.type.shape[at], *rest))]
    else:
        order = np.argsort(_ranks(where_to), kind="stable")
        given = broadcast_value(given, (*x.type.shape[:at], len(places), *rest))
        new = [getitem(given, (*(slice(None),) * at, slice(k, k + 1))) for k in order.tolist()]
    first, *others = _pieces(x, at, [0, *places], [*places, n])
    return concatenate([first, *(part for pair in zip(new, others, strict=True) for part in pair)], at)


def _places(name: str, where_to: Any, n: Size) -> list[Size]:
    """Positions in a dimension of symbolic size, in order: those from its start before those from its end."""
    if isinstance(where_to, slice) or where_to.dtype.kind not in "iu":
        concrete_size(n, f"the size that {name} takes apart by a slice or a mask")
    ordered = np.ravel(where_to)[np.argsort(_ranks(where_to), kind="stable")]
    return [n + k if k < 0 else k for k in ordered.tolist()]


def _ranks(where_to: Array) -> Array:
    """A number for each position, by which positions are in order: negative ones count from a far end."""
    flat_places = np.ravel(where_to)
    return np.where(flat_places < 0, flat_places + np.iinfo(np.int64).max, flat_places)


def _pieces(x: TracedTensor, at: int, starts: Sequence[Size], stops: Sequence[Size]) -> list[TracedTensor]:
    """The slices along an axis from the starts to the stops."""
    before = (slice(None),) * at
    return [getitem(x, (*before, slice(i, j))) for i, j in zip(starts, stops, strict=True)]


def _static(obj: Any) -> Any:
    """A slice, or the value of what says where."""
    if isinstance(obj, slice):
        return obj
    given = np.asarray(obj) if isinstance(obj, list | tuple) and not obj else value(obj)
    return given if given.size else given.astype(np.int64)


def _edited(name: str, function: Any, *args: Any) -> Array:
    try:
        edited: Array = function(*args)
    except (IndexError, ValueError) as error:
        raise BoundsError(str(error), operation=name, position=1) from None
    return edited
