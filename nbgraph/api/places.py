"""Places of elements, with NumPy's names: open meshes, flat and multiple indices, diagonals and triangles, `r_`.

In: sizes, shapes, arrays of integers. Out: integer tensors that index. Holds: none of it has a derivative, but what
`r_` and `c_` join.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from nbgraph.api.advanced import check_bounds, index_array
from nbgraph.api.creation import arange, linspace
from nbgraph.api.elementwise import clip
from nbgraph.api.gather import constants, flatnonzero
from nbgraph.api.joining import concatenate
from nbgraph.api.rounding import floor_divide, remainder
from nbgraph.api.shapes import expand_dims, moveaxis, reshape
from nbgraph.errors import DtypeError, ShapeError, named
from nbgraph.promote import as_code, operand
from nbgraph.trace import concrete_size

if TYPE_CHECKING:
    from nbgraph.tensor import TracedTensor

s_, index_exp = np.s_, np.index_exp


@named
def ix_(*args: Any) -> tuple[TracedTensor, ...]:
    """Vectors as an open mesh: each along an axis of its own, so that they index a grid; masks are evaluated.

    >>> [i.tolist() for i in ix_([0, 1], [2, 3])]
    [[[0], [1]], [[2, 3]]]
    """
    made = []
    for k, a in enumerate(args):
        v = operand(a)
        if v.type.ndim != 1:
            raise ShapeError("wrong rank", operation="ix_", position=k, got=v.type.shape, wanted="one dimension")
        v = flatnonzero(v) if v.type.code == "b1" else as_code(v, "i8") if v.type.shape == (0,) else v
        made.append(reshape(v, tuple(-1 if axis == k else 1 for axis in range(len(args)))))
    return tuple(made)


@named
def unravel_index(indices: Any, shape: Any, order: str = "C") -> tuple[TracedTensor, ...]:
    """Flat indices as indices along each axis of an array of a shape.

    >>> [i.tolist() for i in unravel_index([5, 2], (2, 3))]
    [[1, 0], [2, 2]]
    """
    sizes = _sizes("unravel_index", shape, order)
    rest = index_array(indices, "unravel_index")
    check_bounds(rest, int(np.prod(sizes)), 0, "unravel_index")
    made = []
    for n in sizes[::-1] if order == "C" else sizes:
        made.append(remainder(rest, n))
        rest = floor_divide(rest, n)
    return tuple(made[::-1] if order == "C" else made)


@named
def ravel_multi_index(multi_index: Any, dims: Any, mode: Any = "raise", order: str = "C") -> TracedTensor:
    """Indices along each axis of an array of sizes `dims` as flat indices.

    `mode`, or one for each axis, is what happens to indices out of bounds: "raise", "wrap" or "clip".

    >>> ravel_multi_index(([1, 0], [2, 2]), (2, 3)).tolist()
    [5, 2]
    """
    sizes = _sizes("ravel_multi_index", dims, order)
    modes = (mode,) * len(sizes) if isinstance(mode, str) else tuple(mode)
    if len(multi_index) != len(sizes) or len(modes) != len(sizes):
        got, wanted = f"{len(multi_index)} indices, {len(modes)} modes", f"{len(sizes)}, as there are sizes"
        raise ShapeError("indices do not fit", operation="ravel_multi_index", position=0, got=got, wanted=wanted)
    at: Any = 0
    parts = [_bounded(index, n, m, k) for k, (index, n, m) in enumerate(zip(multi_index, sizes, modes, strict=True))]
    pairs = list(zip(parts, sizes, strict=True))
    for part, n in pairs if order == "C" else pairs[::-1]:
        at = at * n + part
    return operand(at)


def _bounded(index: Any, n: int, mode: str, axis: int) -> TracedTensor:
    given = as_code(index_array(index, "ravel_multi_index"), "i8")
    if mode == "wrap":
        return remainder(given, n)
    if mode == "clip":
        return clip(given, 0, n - 1)
    if mode != "raise":
        wanted = "'raise', 'wrap' or 'clip'"
        raise ShapeError("unknown mode", operation="ravel_multi_index", got=repr(mode), wanted=wanted)
    check_bounds(given, n, axis, "ravel_multi_index")
    return given


def _sizes(name: str, shape: Any, order: str) -> tuple[int, ...]:
    if order not in ("C", "F"):
        raise ShapeError("unknown order", operation=name, got=repr(order), wanted="'C' or 'F'")
    return tuple(map(operator.index, shape if isinstance(shape, tuple | list) else (shape,)))


# -- diagonals, triangles ---------------------------------------------------------------------------------------------


@named
def diag_indices(n: int, ndim: int = 2) -> tuple[TracedTensor, ...]:
    """Indices of the main diagonal of an array of `ndim` equal sizes n.

    >>> [i.tolist() for i in diag_indices(2)]
    [[0, 1], [0, 1]]
    """
    return constants(np.diag_indices(n, ndim))


@named
def diag_indices_from(arr: Any) -> tuple[TracedTensor, ...]:
    """Indices of the main diagonal of an array, whose sizes are equal.

    >>> [i.tolist() for i in diag_indices_from([[1, 2], [3, 4]])]
    [[0, 1], [0, 1]]
    """
    shape = operand(arr).type.shape
    if len(shape) < 2 or len(set(shape)) > 1:
        wanted = "at least 2 equal sizes"
        raise ShapeError("no diagonal", operation="diag_indices_from", position=0, got=shape, wanted=wanted)
    return diag_indices(concrete_size(shape[0], "the size"), len(shape))


@named
def tril_indices_from(arr: Any, k: int = 0) -> tuple[TracedTensor, ...]:
    """Row and column indices of what is on the k-th diagonal of a matrix or below.

    >>> [i.tolist() for i in tril_indices_from([[1, 2], [3, 4]])]
    [[0, 1, 1], [0, 0, 1]]
    """
    n, m = _matrix("tril_indices_from", arr)
    return constants(np.tril_indices(n, k, m))


@named
def triu_indices_from(arr: Any, k: int = 0) -> tuple[TracedTensor, ...]:
    """Row and column indices of what is on the k-th diagonal of a matrix or above.

    >>> [i.tolist() for i in triu_indices_from([[1, 2], [3, 4]])]
    [[0, 0, 1], [0, 1, 1]]
    """
    n, m = _matrix("triu_indices_from", arr)
    return constants(np.triu_indices(n, k, m))


def _matrix(name: str, arr: Any) -> tuple[int, int]:
    shape = operand(arr).type.shape
    if len(shape) != 2:
        raise ShapeError("wrong rank", operation=name, position=0, got=shape, wanted="a matrix")
    return concrete_size(shape[0], "the size"), concrete_size(shape[1], "the size")


@named
def mask_indices(n: int, mask_func: Callable[..., Any], k: Any = 0) -> tuple[TracedTensor, ...]:
    """Indices of what a function like `triu` leaves of a matrix [n, n].

    >>> from nbgraph.api.grids import triu
    >>> [i.tolist() for i in mask_indices(2, triu)]
    [[0, 0, 1], [0, 1, 1]]
    """
    return constants(np.nonzero(np.asarray(mask_func(np.ones((n, n), int), k))))


# -- by slices --------------------------------------------------------------------------------------------------------


class _Grid:
    """`mgrid` and `ogrid`: coordinates from slices; a step like `5j` is a number of points."""

    def __init__(self, sparse: bool) -> None:
        self.sparse = sparse

    def __getitem__(self, key: Any) -> Any:
        found: Any = (np.ogrid if self.sparse else np.mgrid)[key]
        return constants(found) if isinstance(found, tuple) else operand(found)


mgrid, ogrid = _Grid(False), _Grid(True)


class _Joined:
    """`r_` and `c_`: slices, numbers and arrays joined. A leading string, "axis,ndmin,start", is as in NumPy."""

    def __init__(self, name: str, axis: int, ndmin: int, first: int) -> None:
        self.name, self.defaults = name, (axis, ndmin, first)

    def __getitem__(self, key: Any) -> TracedTensor:
        items = key if isinstance(key, tuple) else (key,)
        axis, ndmin, first = self.defaults
        if items and isinstance(items[0], str):
            axis, ndmin, first = self._directive(items[0])
            items = items[1:]
        if not items:
            raise ShapeError("nothing to join", operation=self.name, got=key, wanted="slices, numbers or arrays")
        return concatenate([_part(item, ndmin, first) for item in items], axis)

    def _directive(self, text: str) -> tuple[int, ...]:
        try:
            given = tuple(map(int, text.split(",")))[:3]
        except ValueError:
            wanted = "integers like '0,2'"
            raise DtypeError("unknown directive", operation=self.name, got=repr(text), wanted=wanted) from None
        return (*given, *self.defaults[len(given) :])


def _part(item: Any, ndmin: int, first: int) -> TracedTensor:
    """One item with at least `ndmin` dimensions, its own from place `first` on."""
    x = _range(item) if isinstance(item, slice) else operand(item)
    own = x.type.ndim
    missing = ndmin - own
    if missing <= 0:
        return x
    x = expand_dims(x, tuple(range(missing)))
    start = first + missing + 1 if first < 0 else first
    return moveaxis(x, tuple(range(missing, ndmin)), tuple(range(start, start + own))) if own else x


def _range(s: slice) -> TracedTensor:
    start, step = (0 if s.start is None else s.start), (1 if s.step is None else s.step)
    if isinstance(step, complex):
        made: TracedTensor = linspace(start, s.stop, int(abs(step)))
        return made
    return arange(start, s.stop, step)


r_, c_ = _Joined("r_", 0, 1, -1), _Joined("c_", -1, 2, 0)
