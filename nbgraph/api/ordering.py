"""Sorting and searching, with NumPy's names and defaults.

In: anything array-like. Out: a `TracedTensor`. Holds: sorting is stable, whatever `kind` says; NaN comes last, complex
numbers go by real and then imaginary part. Sorted values have derivatives: the permutation is found once and saved.
How many elements differ is a size that the data decides.
"""

from __future__ import annotations

import operator
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from nbgraph.api.advanced import index_array
from nbgraph.api.arranging import roll
from nbgraph.api.creation import arange
from nbgraph.api.cumulative import cumsum
from nbgraph.api.gather import axis_of, flat, flatnonzero, take, value
from nbgraph.api.indexing import getitem
from nbgraph.api.logic import isnan, logical_and, logical_not, logical_or, not_equal
from nbgraph.api.shapes import broadcast_arrays, flip, ravel, reshape
from nbgraph.errors import BoundsError, DtypeError, ShapeError, named
from nbgraph.promote import apply, as_code, common, operand
from nbgraph.trace import value_of
from nbgraph.types import Size

if TYPE_CHECKING:
    from nbgraph.tensor import TracedTensor

KINDS = (None, "quicksort", "mergesort", "heapsort", "stable")


@named
def sort(
    a: Any, axis: Any = -1, kind: Any = None, order: None = None, *, stable: Any = None, descending: bool = False
) -> TracedTensor:
    """The elements in ascending (or `descending`) order along an axis (None: flattened).

    >>> sort([3.0, 1.0, 2.0]).tolist()
    [1.0, 2.0, 3.0]
    """
    _check_kind("sort", kind, order)
    x, at = _sortable("sort", a, axis)
    if x.active or descending:  # the permutation will be needed for a derivative, and gives the values
        return _picked(x, _backwards(x, at) if descending else _permutation(x, at), at)
    made: TracedTensor = apply("sort", x, axis=at)
    return made


@named
def argsort(
    a: Any, axis: Any = -1, kind: Any = None, order: None = None, *, stable: Any = None, descending: bool = False
) -> TracedTensor:
    """The indices (int64) that sort along an axis (None: flattened); equal elements stay in their order.

    With `descending` the largest (NaN) comes first.

    >>> argsort([3.0, 1.0, 2.0]).tolist()
    [1, 2, 0]
    """
    _check_kind("argsort", kind, order)
    x, at = flat("argsort", a, axis)
    return _backwards(x, at) if descending else _permutation(x, at)


def _sortable(name: str, a: Any, axis: Any) -> tuple[TracedTensor, int]:
    """An array and an axis of it; a number has none here, as in NumPy."""
    return flat(name, a, axis if axis is None else axis_of(name, axis, operand(a).type.ndim))


def _permutation(x: TracedTensor, axis: int) -> TracedTensor:
    made: TracedTensor = apply("argsort", x, axis=axis)
    return made


def _backwards(x: TracedTensor, axis: int) -> TracedTensor:
    """The indices that sort in descending order: from behind, so that of equal elements the first comes first."""
    made: TracedTensor = x.type.shape[axis] - 1 - flip(_permutation(flip(x, axis), axis), axis)
    return made


def _picked(x: TracedTensor, index: TracedTensor, axis: int) -> TracedTensor:
    made: TracedTensor = apply("gather", x, index, axis=axis, along=True)
    return made


def _check_kind(name: str, kind: Any, order: Any) -> None:
    if kind not in KINDS:
        raise ShapeError("unknown kind", operation=name, got=repr(kind), wanted=f"one of {KINDS}")
    if order is not None:
        raise DtypeError("there are no fields to order by", operation=name, got=order, wanted="None")


@named
def lexsort(keys: Any, axis: int = -1) -> TracedTensor:
    """The indices that sort by several keys, of which the last one counts first.

    >>> lexsort(([9, 4, 0, 4], [1, 1, 5, 0])).tolist()
    [3, 1, 0, 2]
    """
    given = [operand(k) for k in keys]
    if not given:
        raise ShapeError("no keys", operation="lexsort", position=0, got=keys, wanted="at least one key")
    given = list(broadcast_arrays(*given))
    if given[0].type.ndim == 0:
        return operand(0)
    at = axis_of("lexsort", axis, given[0].type.ndim)
    order = _permutation(given[0], at)
    for key in given[1:]:  # sorting is stable: what came before decides between equals
        order = _picked(order, _permutation(_picked(key, order, at), at), at)
    return order


@named
def sort_complex(a: Any) -> TracedTensor:
    """The elements as complex numbers, sorted by real and then imaginary part along the last axis.

    >>> sort_complex([3.0, 1.0]).tolist()
    [(1+0j), (3+0j)]
    """
    x = operand(a)
    return sort(as_code(x, "c8" if x.type.code in ("f4", "c8") else "c16"))


@named
def partition(a: Any, kth: Any, axis: Any = -1, kind: Any = "introselect", order: None = None) -> TracedTensor:
    """a with the element that belongs at `kth` there, none greater before it, none less behind: fully sorted.

    >>> partition([3.0, 1.0, 2.0], 1).tolist()
    [1.0, 2.0, 3.0]
    """
    x, at = _sortable("partition", a, axis)
    _check_kth("partition", kth, x.type.shape[at])
    return sort(x, at)


@named
def argpartition(a: Any, kth: Any, axis: Any = -1, kind: Any = "introselect", order: None = None) -> TracedTensor:
    """The indices of a partition: those that sort.

    >>> argpartition([3.0, 1.0, 2.0], 1).tolist()
    [1, 2, 0]
    """
    x, at = flat("argpartition", a, axis)
    _check_kth("argpartition", kth, x.type.shape[at])
    return _permutation(x, at)


def _check_kth(name: str, kth: Any, n: Size) -> None:
    for k in kth if isinstance(kth, Sequence) else (kth,):
        if isinstance(n, int) and not -n <= operator.index(k) < n:
            raise BoundsError("kth is out of range", operation=name, got=k, wanted=f"-{n} <= kth < {n}")


class TopK(NamedTuple):
    """What `top_k` gives."""

    values: TracedTensor
    indices: TracedTensor


@named
def top_k(x: Any, k: int, axis: int = -1) -> TopK:
    """The k largest elements along an axis, the largest first, and their indices; of equal ones the first come first.

    NaN counts as largest. `BoundsError` if there are less than k.

    >>> values, indices = top_k([3.0, 1.0, 2.0], 2)
    >>> values.tolist(), indices.tolist()
    ([3.0, 2.0], [0, 2])
    """
    x = operand(x)
    at, k = axis_of("top_k", axis, x.type.ndim), operator.index(k)
    n = x.type.shape[at]
    if k < 0 or (isinstance(n, int) and k > n):
        raise BoundsError("k is out of range", operation="top_k", position=1, got=k, wanted=f"0 <= k <= {n}")
    indices = getitem(_backwards(x, at), (*(slice(None),) * at, slice(0, k)))
    return TopK(_picked(x, indices, at), indices)


@named
def searchsorted(a: Any, v: Any, side: str = "left", sorter: Any = None) -> TracedTensor:
    """Where elements of v go in the ascending vector a (or `a[sorter]`) to keep it in order.

    `side`: before ("left") or behind ("right") equal elements.

    >>> searchsorted([1.0, 2.0, 2.0, 3.0], 2.0).item()
    1
    """
    if side not in ("left", "right"):
        raise ShapeError("unknown side", operation="searchsorted", got=repr(side), wanted="'left' or 'right'")
    x, y = common(a, v)
    if sorter is not None:
        x = take(x, index_array(sorter, "searchsorted"))
    made: TracedTensor = apply("searchsorted", x, y, side=side)
    return made


# -- unique: evaluated -----------------------------------------------------------------------------------------------


@named
def unique(
    ar: Any,
    return_index: bool = False,
    return_inverse: bool = False,
    return_counts: bool = False,
    axis: Any = None,
    *,
    equal_nan: bool = True,
    sorted: bool = True,
) -> Any:
    """The different elements (slices along an axis) in order; then, if asked for, where the first of each is, which one
    each element is, and how many there are of each.

    Lazy but along an axis: how many there are is a size that the data decides. They are `sorted` in any case. The
    values have a derivative: each is its first occurrence.

    >>> unique([3.0, 1.0, 3.0]).tolist()
    [1.0, 3.0]
    """
    x = operand(ar)
    if axis is None and value_of(x) is None:
        first, inverse, counts = _different(ravel(x), equal_nan)
        inverse = reshape(inverse, x.type.shape)
    else:
        found = np.unique(value(x), True, True, True, axis=axis, equal_nan=equal_nan)
        first, inverse, counts = map(operand, found[1:])
    values = take(x, first, axis)
    extra = [(return_index, first), (return_inverse, inverse), (return_counts, counts)]
    asked = [a for wanted, a in extra if wanted]
    return (values, *asked) if asked else values


def _different(x: TracedTensor, equal_nan: bool) -> tuple[TracedTensor, TracedTensor, TracedTensor]:
    """Of a vector: where the first of each is, which one each element is, and how many there are of each."""
    n = x.type.shape[0]
    order = _permutation(x, 0)
    y = take(x, order)
    before = roll(y, 1)
    differs = not_equal(y, before)
    if equal_nan and x.type.inexact:
        differs = logical_and(differs, logical_not(logical_and(isnan(y), isnan(before))))
    begins = logical_or(differs, arange(n) == 0)
    number = cumsum(as_code(begins, "i8"))
    places = flatnonzero(begins)
    counts = searchsorted(number, take(number, places), "right") - places
    inverse = take(number - 1, argsort(order))
    return take(order, places), inverse, counts


class UniqueAll(NamedTuple):
    """What `unique_all` gives."""

    values: TracedTensor
    indices: TracedTensor
    inverse_indices: TracedTensor
    counts: TracedTensor


class UniqueInverse(NamedTuple):
    """What `unique_inverse` gives."""

    values: TracedTensor
    inverse_indices: TracedTensor


class UniqueCounts(NamedTuple):
    """What `unique_counts` gives."""

    values: TracedTensor
    counts: TracedTensor


@named
def unique_values(x: Any) -> TracedTensor:
    """The different elements in order, every NaN for itself.

    >>> unique_values([3, 1, 3]).tolist()
    [1, 3]
    """
    found: TracedTensor = unique(x, equal_nan=False)
    return found


@named
def unique_counts(x: Any) -> UniqueCounts:
    """The different elements in order, every NaN for itself, and how many there are of each.

    >>> unique_counts([3, 1, 3]).counts.tolist()
    [1, 2]
    """
    return UniqueCounts(*unique(x, return_counts=True, equal_nan=False))


@named
def unique_inverse(x: Any) -> UniqueInverse:
    """The different elements in order, every NaN for itself, and which of them each element of x is.

    >>> unique_inverse([3, 1, 3]).inverse_indices.tolist()
    [1, 0, 1]
    """
    x = operand(x)
    values, inverse = unique(x, return_inverse=True, equal_nan=False)
    return UniqueInverse(values, reshape(inverse, x.type.shape))


@named
def unique_all(x: Any) -> UniqueAll:
    """The different elements in order, every NaN for itself; where the first of each is, which of them each element of
    x is, and how many there are of each.

    >>> unique_all([3, 1, 3]).indices.tolist()
    [1, 0]
    """
    x = operand(x)
    values, first, inverse, counts = unique(x, True, True, True, equal_nan=False)
    return UniqueAll(values, first, reshape(inverse, x.type.shape), counts)
