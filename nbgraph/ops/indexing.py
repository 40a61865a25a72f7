"""Basic indexing: slices of an array, zeros around a slice, an array with a slice replaced.

In: an operand and an index in NumPy's sense (`normalise_index`). Out: the elements it names, as a view, or an
array in which it is filled.
Holds: steps and which axes are indexed are structure; starts and lengths are run-time sizes, but a length
that is literally 1 is structure, as it broadcasts. Starts are never negative; regions lie inside the operand.

A dimension of symbolic size is taken to be at least as large as the bounds counted from it ask for: of a
dimension d, `x[1:]` has d - 1 elements, `x[-2]` is element d - 2, `x[3]` exists. An upper bound that may lie
beyond the end is cut: `x[:5]` has min(5, d) elements, except that `x[k:k+1]` has literally 1. An expression
counts from the end if it is positive for no sizes from 1 on: `x[-n:]` has n elements, also if n is 0. Where
everything is known, it is checked.
"""

from __future__ import annotations

import operator
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from typing import Any, NamedTuple, final

import numpy as np

from nbgraph.dims import DimExpr, dim, dim_min, substitute
from nbgraph.dims.expression import nonnegative
from nbgraph.errors import BoundsError, ShapeError
from nbgraph.kinds import Assembly, Layout, Part, View
from nbgraph.op import Op, Sample, Sizes, sample_array
from nbgraph.types import Shape, Size, TensorType
from nbgraph_kernels.locks import cached_property

#: Of one operand axis: ("all",), ("range", step, length is literally 1), or ("int",).
Entry = tuple[Any, ...]


class Taken(NamedTuple):
    """What is taken along one axis: `length` elements from `start` by `step`; length None drops the axis."""

    start: Size
    length: Size | None
    step: int


# -- the index -------------------------------------------------------------------------------------


def normalise_index(index: Any, shape: Shape) -> tuple[Slice, Shape, tuple[int, ...]]:
    """The operation for a basic index, its sizes, and where its result then gets new axes (`expand_dims`).

    >>> normalise_index((slice(1, None), None, -1), (4, 3))
    (slice[axes=(('range', 1, False), ('int',))], (1, 3, 2), (1,))
    """
    items = index if isinstance(index, tuple) else (index,)
    used = sum(item is not None and item is not Ellipsis for item in items)
    if used > len(shape) or sum(item is Ellipsis for item in items) > 1:
        wanted = f"at most {len(shape)} indices and one ellipsis"
        raise BoundsError("too many indices", operation="getitem", position=0, got=index, wanted=wanted)
    if not any(item is Ellipsis for item in items):
        items = (*items, Ellipsis)
    entries: list[Entry] = []
    sizes: list[Size] = []
    newaxes: list[int] = []
    position = 0
    for item in items:
        if item is None:
            newaxes.append(position)
            position += 1
        elif item is Ellipsis:
            entries += [("all",)] * (len(shape) - used)
            position += len(shape) - used
        else:
            entry, words = _entry(item, shape[len(entries)], len(entries))
            entries.append(entry)
            sizes += words
            position += entry[0] != "int"
    return Slice(tuple(entries)), tuple(sizes), tuple(newaxes)


def _entry(item: Any, d: Size, axis: int) -> tuple[Entry, Shape]:
    """The entry and the size words for one item of an index."""
    if not isinstance(item, slice):
        return ("int",), (_position(_integer(item), d, axis),)
    step = 1 if item.step is None else _integer(item.step)
    if not isinstance(step, int) or step == 0:
        raise ShapeError("the step of a slice is a nonzero number", operation="getitem", got=step)
    if item.start is None and item.stop is None and step == 1:
        return ("all",), ()
    start, stop = (None if s is None else _integer(s) for s in (item.start, item.stop))
    if all(s is None or isinstance(s, int) for s in (start, stop, d)):
        taken = range(*slice(start, stop, step).indices(d))
        first: Size = taken.start if len(taken) else 0
        return _range(first, len(taken), step)
    return _range(*_symbolic(start, stop, step, d), step)


def _range(start: Size, length: Size, step: int) -> tuple[Entry, Shape]:
    one = length == 1
    # The step past a single element is of no account: one structure.
    return ("range", 1 if one else step, one), (start,) if one else (start, length)


def _integer(item: Any) -> Size:
    if isinstance(item, DimExpr):
        return item
    try:
        if not isinstance(item, bool | np.bool_):
            return operator.index(item)
    except TypeError:
        pass
    wanted = "an integer, a slice, `...` or None"
    raise BoundsError("not a basic index", operation="getitem", got=item, wanted=wanted)


def _position(k: Size, d: Size, axis: int) -> Size:
    """The element that index k names."""
    if isinstance(k, int) and isinstance(d, int) and not -d <= k < d:
        got, wanted = f"index {k} along axis {axis}", f"-{d} <= index < {d}"
        raise BoundsError("index is out of bounds", operation="getitem", got=got, wanted=wanted)
    return d + k if _counts_from_end(k) else k


def _counts_from_end(k: Size) -> bool:
    """Whether an index is negative; of expressions, one that is positive for no sizes from 1 on."""
    return k < 0 if isinstance(k, int) else nonnegative(-substitute(k, {name: dim(name) + 1 for name in k.names}))


def _symbolic(start: Size | None, stop: Size | None, step: int, d: Size) -> tuple[Size, Size]:
    """First element and length of a slice where some size is symbolic; see the assumptions above."""

    def bound(s: Size, end: Size) -> Size:
        if _counts_from_end(s):
            return d + s
        return dim_min(s, end) if isinstance(s, int) else s

    if step > 0:
        first: Size = 0 if start is None else bound(start, start)
        if isinstance(first, int) and isinstance(stop, int) and first <= stop <= first + 1:
            return first, stop - first
        return first, _steps((d if stop is None else bound(stop, d)) - first, step)
    first = d - 1 if start is None else bound(start, d - 1)
    last = -1 if stop is None else bound(stop, d)
    return first, _steps(first - last, -step)


def _steps(span: Size, step: int) -> Size:
    """How many elements lie in a span."""
    count: Size = span if step == 1 else (span + (step - 1)) // step
    return max(count, 0) if isinstance(count, int) else count


def _direct(types: Sequence[TensorType], kwargs: dict[str, Any]) -> tuple[tuple[Entry, ...], Shape]:
    """Entries and words for the keywords axis, start, length, step, each one value or a tuple of as many."""
    x, axis = types[0], kwargs["axis"]
    many = isinstance(axis, tuple)
    axes, starts, lengths, steps = (
        v if many else (v,)
        for v in (
            axis,
            kwargs.get("start", (0,) * len(axis) if many else 0),
            kwargs["length"],
            kwargs.get("step", (1,) * len(axis) if many else 1),
        )
    )
    found = {a % x.ndim: _range(s, n, k) for a, s, n, k in zip(axes, starts, lengths, steps, strict=True)}
    entries = tuple(found[a][0] if a in found else ("all",) for a in range(x.ndim))
    return entries, tuple(w for a in sorted(found) for w in found[a][1])


def _taken(entries: Sequence[Entry], dims: Shape, sizes: Shape) -> list[Taken]:
    """What is taken along each axis of a `slice` or `slice_update`."""
    words: Iterator[Size] = iter(sizes)
    taken = []
    for entry, d in zip(entries, dims, strict=True):
        if entry[0] == "all":
            taken.append(Taken(0, d, 1))
        elif entry[0] == "int":
            taken.append(Taken(next(words), None, 1))
        else:
            start = next(words)
            taken.append(Taken(start, 1 if entry[2] else next(words), entry[1]))
    return taken


def _check(name: str, dims: Shape, taken: Sequence[Taken]) -> None:
    """Raises where the region is known to leave the array, so that no word leads outside of its memory."""
    for axis, (d, (start, length, step)) in enumerate(zip(dims, taken, strict=True)):
        n = 1 if length is None else length
        if not (isinstance(d, int) and isinstance(start, int) and isinstance(n, int)):
            continue
        last = start + (n - 1) * step
        if n < 0 or (n > 0 and not (0 <= start < d and 0 <= last < d)):
            got, wanted = f"elements {start} to {last} along axis {axis}", f"0 <= index < {d}"
            raise BoundsError("index is out of bounds", operation=name, position=0, got=got, wanted=wanted)


def _region_shape(taken: Sequence[Taken]) -> Shape:
    return tuple(t.length for t in taken if t.length is not None)


def _region_layout(layout: Layout, taken: Sequence[Taken], shape: Shape) -> Layout:
    """Where the region lies within an array."""
    offset = layout.offset
    strides = []
    for stride, t in zip(layout.strides, taken, strict=True):
        offset = offset + t.start * stride
        if t.length is not None:
            strides.append(stride * t.step)
    return Layout(shape, tuple(strides), offset)


def _numpy_index(taken: Sequence[Taken]) -> tuple[Any, ...]:
    """The region as an index of an ndarray."""
    index: list[Any] = []
    for start, length, step in taken:
        if length is None:
            index.append(start)
            continue
        stop = start + length * step
        index.append(slice(0, 0) if length == 0 else slice(start, stop if stop >= 0 else None, step))
    return tuple(index)


@lru_cache(maxsize=4096)
def _checked_index(entries: tuple[Entry, ...], dims: tuple[int, ...], sizes: tuple[int, ...]) -> tuple[Any, ...]:
    """What a `slice` of these entries and words takes of an array of that shape, as an index of an ndarray."""
    taken = _taken(entries, dims, sizes)
    _check("getitem", dims, taken)
    return _numpy_index(taken)


def _pad_of(b: Any, entries: Sequence[Entry], ct: Any, dims: Shape, taken: Sequence[Taken]) -> Any:
    """Zeros of shape `dims` with `ct` in the region."""
    ones = tuple(entry[0] != "all" and d == 1 for entry, d in zip(entries, dims, strict=True))
    words: list[Size] = []
    for entry, d, t in zip(entries, dims, taken, strict=True):
        if entry[0] != "all":
            words += [t.start] if d == 1 else [t.start, d]
    return b.emit(PadSlice(tuple(entries), ones), ct, sizes=tuple(words))


# -- the operations --------------------------------------------------------------------------------

_CASES: tuple[tuple[tuple[int, ...], Any], ...] = (
    ((5,), slice(1, 4)),
    ((5,), slice(None, None, -1)),
    ((6,), slice(4, 0, -2)),
    ((6,), slice(1, 2)),
    ((4, 3), 1),
    ((4, 3), (slice(None), -1)),
    ((4, 3), (slice(0, 4, 3), slice(1, 3))),
    ((2, 3, 4), (..., 2)),
    ((2, 3, 4), (1, slice(2, None), slice(-3, -1))),
    ((4, 3), (slice(2, 2),)),
    ((1, 3), (slice(0, 1), slice(0, 2))),
    ((1, 3), (0, 0)),
    ((0, 2), (slice(None), slice(1, 5))),
    ((), ()),
    ((3,), ()),
)


@final
class Slice(View):
    """The elements of a basic index without new axes, as a view.

    `axes` has an entry for each operand axis. Sizes: for each range its start and, unless it is literally
    1, its length; for each int its index. Elements are start, start + step, ...
    """

    name = "slice"
    params = ("axes",)
    axes: tuple[Entry, ...]

    @classmethod
    def bind(cls, types: Sequence[TensorType], **kwargs: Any) -> tuple[Op, Shape]:
        if "index" in kwargs:
            return normalise_index(kwargs["index"], types[0].shape)[:2]
        entries, sizes = _direct(types, kwargs)
        return cls(entries), sizes

    def infer(self, cx: Sizes, ins: Sequence[TensorType], sizes: Shape) -> TensorType:
        taken = _taken(self.axes, ins[0].shape, sizes)
        _check("getitem", ins[0].shape, taken)
        return ins[0].with_shape(_region_shape(taken))

    def reference(self, ins: Sequence[Any], sizes: tuple[int, ...]) -> Any:
        x = np.asarray(ins[0])
        return x[_checked_index(self.axes, x.shape, sizes)]

    def view(self, x: Any, sizes: tuple[int, ...]) -> Any:
        """The region of an ndarray, which it lies in, as an ndarray that shares its memory."""
        if self._leading:
            return x[(*sizes, ...)]
        return x[(*_numpy_index(_taken(self.axes, x.shape, sizes)), ...)]

    @cached_property
    def _leading(self) -> bool:
        """Whether some elements along the first axes are taken, all of the others."""
        kinds = [entry[0] for entry in self.axes]
        return kinds == sorted(kinds, key=["int", "all", "range"].index) and "range" not in kinds

    def relayout(self, layout: Layout, out: TensorType, sizes: Shape) -> Layout | None:
        return _region_layout(layout, _taken(self.axes, layout.shape, sizes), out.shape)

    def linearize(self, b: Any, ins: Any, outs: Any, tangents: Any, sizes: Shape) -> Any:
        return b.emit(self, tangents[0], sizes=sizes)

    def transpose(self, b: Any, ct: Any, ins: Any, active: Sequence[bool], sizes: Shape) -> Any:
        dims = b.shape(ins[0])
        return (_pad_of(b, self.axes, ct, dims, _taken(self.axes, dims, sizes)),)

    def simplify(self, b: Any, ins: Any, sizes: Shape) -> Any:
        return ins[0] if all(entry == ("all",) for entry in self.axes) else None

    @classmethod
    def samples(cls, code: str, rng: np.random.Generator) -> Iterable[Sample]:
        for shape, index in _CASES:
            op, sizes, _ = normalise_index(index, shape)
            yield Sample(op, (sample_array(rng, code, shape),), sizes)  # type: ignore[arg-type]


@final
class PadSlice(Assembly):
    """Zeros with the operand in the region of a slice: the adjoint of `slice`.

    `axes` are the slice's; `ones` says which result dimensions beside the "all" ones are literally 1.
    Sizes: for each axis that is not "all" its start (or index) and, unless it is one of `ones`, its size
    in the result.
    """

    name = "pad_slice"
    params = ("axes", "ones")
    disjoint = True
    axes: tuple[Entry, ...]
    ones: tuple[bool, ...]

    @classmethod
    def bind(cls, types: Sequence[TensorType], **kwargs: Any) -> tuple[Op, Shape]:
        """Along `axis` (one): the operand from `start` by `step` in a dimension of `size`."""
        (x,) = types
        axis, size = kwargs["axis"] % x.ndim, kwargs["size"]
        entry, words = _range(kwargs.get("start", 0), x.shape[axis], kwargs.get("step", 1))
        axes = tuple(entry if a == axis else ("all",) for a in range(x.ndim))
        ones = tuple(a == axis and size == 1 for a in range(x.ndim))
        return cls(axes, ones), words[:1] if size == 1 else (words[0], size)

    def _unpack(self, x: Shape, sizes: Shape) -> tuple[Shape, list[Taken]]:
        """Result shape and what of it the operand fills."""
        words, kept = iter(sizes), iter(x)
        dims: list[Size] = []
        taken = []
        for entry, one in zip(self.axes, self.ones, strict=True):
            length = None if entry[0] == "int" else next(kept)
            start = 0 if entry[0] == "all" else next(words)
            taken.append(Taken(start, length, entry[1] if entry[0] == "range" else 1))
            dims.append(length if entry[0] == "all" else 1 if one else next(words))  # type: ignore[arg-type]
        return tuple(dims), taken

    def infer(self, cx: Sizes, ins: Sequence[TensorType], sizes: Shape) -> TensorType:
        dims, taken = self._unpack(ins[0].shape, sizes)
        _check(self.name, dims, taken)
        return ins[0].with_shape(dims)

    def reference(self, ins: Sequence[Any], sizes: tuple[int, ...]) -> Any:
        x = np.asarray(ins[0])
        dims, taken = self._unpack(x.shape, sizes)
        _check(self.name, dims, taken)
        out = np.zeros(dims, x.dtype)
        out[_numpy_index(taken)] = x
        return out

    def function_adding_at(self) -> Any:
        return self._add

    def _add(self, total: Any, ins: Sequence[Any], sizes: tuple[int, ...]) -> None:
        x = np.asarray(ins[0])
        dims, taken = self._unpack(x.shape, sizes)
        _check(self.name, dims, taken)
        total[_numpy_index(taken)] += x

    def parts(self, out: Layout, ins: Sequence[TensorType], sizes: Shape) -> list[Part]:
        _, taken = self._unpack(ins[0].shape, sizes)
        return [Part(out, None), Part(_region_layout(out, taken, ins[0].shape), 0)]

    def linearize(self, b: Any, ins: Any, outs: Any, tangents: Any, sizes: Shape) -> Any:
        return b.emit(self, tangents[0], sizes=sizes)

    def transpose(self, b: Any, ct: Any, ins: Any, active: Sequence[bool], sizes: Shape) -> Any:
        _, taken = self._unpack(b.shape(ins[0]), sizes)
        words: list[Size] = []
        for entry, t in zip(self.axes, taken, strict=True):
            if entry[0] == "int" or (entry[0] == "range" and entry[2]):
                words.append(t.start)
            elif entry[0] == "range":
                words += [t.start, t.length]  # type: ignore[list-item]
        return (b.emit(Slice(self.axes), ct, sizes=tuple(words)),)

    @classmethod
    def samples(cls, code: str, rng: np.random.Generator) -> Iterable[Sample]:
        for shape, index in _CASES:
            op, sizes, _ = normalise_index(index, shape)
            taken = _taken(op.axes, shape, sizes)
            ones = tuple(entry[0] != "all" and d == 1 for entry, d in zip(op.axes, shape, strict=True))
            words: list[Any] = []
            for entry, d, t in zip(op.axes, shape, taken, strict=True):
                if entry[0] != "all":
                    words += [t.start] if d == 1 else [t.start, d]
            x = sample_array(rng, code, _region_shape(taken))  # type: ignore[arg-type]
            yield Sample(cls(op.axes, ones), (x,), tuple(words))


@final
class SliceUpdate(Assembly):
    """The first operand with a region replaced by the second, which has exactly its shape.

    Parameters and sizes as of `slice`.
    """

    name = "slice_update"
    params = ("axes",)
    axes: tuple[Entry, ...]

    @classmethod
    def bind(cls, types: Sequence[TensorType], **kwargs: Any) -> tuple[Op, Shape]:
        if "index" in kwargs:
            op, sizes, _ = normalise_index(kwargs["index"], types[0].shape)
            return cls(op.axes), sizes
        entries, sizes = _direct(types, kwargs)
        return cls(entries), sizes

    def infer(self, cx: Sizes, ins: Sequence[TensorType], sizes: Shape) -> TensorType:
        x, y = ins
        taken = _taken(self.axes, x.shape, sizes)
        _check("setitem", x.shape, taken)
        region = _region_shape(taken)
        try:
            if x.code != y.code or len(region) != y.ndim:
                raise ShapeError
            for d, wanted in zip(y.shape, region, strict=True):
                if (d == 1) != (wanted == 1):
                    raise ShapeError
                cx.same(d, wanted)
        except ShapeError:
            region_type = TensorType(x.code, region)
            raise ShapeError(
                "does not fill the region", operation=self.name, position=1, got=y, wanted=region_type
            ) from None
        return x

    def reference(self, ins: Sequence[Any], sizes: tuple[int, ...]) -> Any:
        out = np.array(ins[0])
        taken = _taken(self.axes, out.shape, sizes)
        _check("setitem", out.shape, taken)
        out[_numpy_index(taken)] = ins[1]
        return out

    def parts(self, out: Layout, ins: Sequence[TensorType], sizes: Shape) -> list[Part]:
        taken = _taken(self.axes, ins[0].shape, sizes)
        return [Part(out, 0), Part(_region_layout(out, taken, ins[1].shape), 1)]

    def linearize(self, b: Any, ins: Any, outs: Any, tangents: Any, sizes: Shape) -> Any:
        dx, dy = tangents
        if dx is None:  # zeros around dy
            dims = b.shape(ins[0])
            return _pad_of(b, self.axes, dy, dims, _taken(self.axes, dims, sizes))
        return b.emit(self, dx, b.zeros(b.type(ins[1])) if dy is None else dy, sizes=sizes)

    def transpose(self, b: Any, ct: Any, ins: Any, active: Sequence[bool], sizes: Shape) -> Any:
        return (
            b.emit(self, ct, b.zeros(b.type(ins[1])), sizes=sizes) if active[0] else None,
            b.emit(Slice(self.axes), ct, sizes=sizes) if active[1] else None,
        )

    @classmethod
    def samples(cls, code: str, rng: np.random.Generator) -> Iterable[Sample]:
        for shape, index in _CASES:
            op, sizes, _ = normalise_index(index, shape)
            region: Any = _region_shape(_taken(op.axes, shape, sizes))
            x, y = sample_array(rng, code, shape), sample_array(rng, code, region)
            yield Sample(cls(op.axes), (x, y), sizes)  # type: ignore[arg-type]
