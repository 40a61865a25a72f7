"""Basic indexing: slices of an array, zeros around a slice, an array with a slice replaced.

In: an operand and an index in NumPy's sense (`normalise_index`). Out: the elements it names, as a view, or an
array in which it is filled.
Holds: steps and which axes are indexed are structure; starts and lengths are run-time sizes, but a length
that is literally 1 is structure, as it broadcasts. What an index names is said in `nbgraph.regions`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Any, final

import numpy as np

from nbgraph.errors import BoundsError, ShapeError
from nbgraph.kinds import Assembly, Layout, Part, View
from nbgraph.op import Op, Sample, Sizes, sample_array
from nbgraph.regions import (
    Entry,
    Taken,
    check_inside,
    entries_of_keywords,
    entry_of,
    numpy_index,
    range_entry,
    region_layout,
    region_shape,
    taken_of,
)
from nbgraph.types import Shape, Size, TensorType
from nbgraph_kernels.locks import cached_property

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
            entry, words = entry_of(item, shape[len(entries)], len(entries))
            entries.append(entry)
            sizes += words
            position += entry[0] != "int"
    return Slice(tuple(entries)), tuple(sizes), tuple(newaxes)


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


@lru_cache(maxsize=4096)
def _checked_index(entries: tuple[Entry, ...], dims: tuple[int, ...], sizes: tuple[int, ...]) -> tuple[Any, ...]:
    """What a `slice` of these entries and words takes of an array of that shape, as an index of an ndarray."""
    taken = taken_of(entries, dims, sizes)
    check_inside("getitem", dims, taken)
    return numpy_index(taken)


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
        entries, sizes = entries_of_keywords(types, kwargs)
        return cls(entries), sizes

    def infer(self, cx: Sizes, ins: Sequence[TensorType], sizes: Shape) -> TensorType:
        taken = taken_of(self.axes, ins[0].shape, sizes)
        check_inside("getitem", ins[0].shape, taken)
        return ins[0].with_shape(region_shape(taken))

    def reference(self, ins: Sequence[Any], sizes: tuple[int, ...]) -> Any:
        x = np.asarray(ins[0])
        return x[_checked_index(self.axes, x.shape, sizes)]

    def view(self, x: Any, sizes: tuple[int, ...]) -> Any:
        """The region of an ndarray, which it lies in, as an ndarray that shares its memory."""
        if self.is_leading:
            return x[(*sizes, ...)]
        return x[(*numpy_index(taken_of(self.axes, x.shape, sizes)), ...)]

    @cached_property
    def is_leading(self) -> bool:
        """Whether some elements along the first axes are taken, all of the others."""
        kinds = [entry[0] for entry in self.axes]
        return kinds == sorted(kinds, key=["int", "all", "range"].index) and "range" not in kinds

    def relayout(self, layout: Layout, out: TensorType, sizes: Shape) -> Layout | None:
        return region_layout(layout, taken_of(self.axes, layout.shape, sizes), out.shape)

    def linearize(self, b: Any, ins: Any, outs: Any, tangents: Any, sizes: Shape) -> Any:
        return b.emit(self, tangents[0], sizes=sizes)

    def transpose(self, b: Any, ct: Any, ins: Any, active: Sequence[bool], sizes: Shape) -> Any:
        dims = b.shape(ins[0])
        return (_pad_of(b, self.axes, ct, dims, taken_of(self.axes, dims, sizes)),)

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
        entry, words = range_entry(kwargs.get("start", 0), x.shape[axis], kwargs.get("step", 1))
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
        check_inside(self.name, dims, taken)
        return ins[0].with_shape(dims)

    def reference(self, ins: Sequence[Any], sizes: tuple[int, ...]) -> Any:
        x = np.asarray(ins[0])
        dims, taken = self._unpack(x.shape, sizes)
        check_inside(self.name, dims, taken)
        out = np.zeros(dims, x.dtype)
        out[numpy_index(taken)] = x
        return out

    def function_adding_at(self) -> Any:
        return self._add

    def _add(self, total: Any, ins: Sequence[Any], sizes: tuple[int, ...]) -> None:
        x = np.asarray(ins[0])
        dims, taken = self._unpack(x.shape, sizes)
        check_inside(self.name, dims, taken)
        total[numpy_index(taken)] += x

    def parts(self, out: Layout, ins: Sequence[TensorType], sizes: Shape) -> list[Part]:
        _, taken = self._unpack(ins[0].shape, sizes)
        return [Part(out, None), Part(region_layout(out, taken, ins[0].shape), 0)]

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
            taken = taken_of(op.axes, shape, sizes)
            ones = tuple(entry[0] != "all" and d == 1 for entry, d in zip(op.axes, shape, strict=True))
            words: list[Any] = []
            for entry, d, t in zip(op.axes, shape, taken, strict=True):
                if entry[0] != "all":
                    words += [t.start] if d == 1 else [t.start, d]
            x = sample_array(rng, code, region_shape(taken))  # type: ignore[arg-type]
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
        entries, sizes = entries_of_keywords(types, kwargs)
        return cls(entries), sizes

    def infer(self, cx: Sizes, ins: Sequence[TensorType], sizes: Shape) -> TensorType:
        x, y = ins
        taken = taken_of(self.axes, x.shape, sizes)
        check_inside("setitem", x.shape, taken)
        region = region_shape(taken)
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
        taken = taken_of(self.axes, out.shape, sizes)
        check_inside("setitem", out.shape, taken)
        out[numpy_index(taken)] = ins[1]
        return out

    def parts(self, out: Layout, ins: Sequence[TensorType], sizes: Shape) -> list[Part]:
        taken = taken_of(self.axes, ins[0].shape, sizes)
        return [Part(out, 0), Part(region_layout(out, taken, ins[1].shape), 1)]

    def linearize(self, b: Any, ins: Any, outs: Any, tangents: Any, sizes: Shape) -> Any:
        dx, dy = tangents
        if dx is None:  # zeros around dy
            dims = b.shape(ins[0])
            return _pad_of(b, self.axes, dy, dims, taken_of(self.axes, dims, sizes))
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
            region: Any = region_shape(taken_of(op.axes, shape, sizes))
            x, y = sample_array(rng, code, shape), sample_array(rng, code, region)
            yield Sample(cls(op.axes), (x, y), sizes)  # type: ignore[arg-type]
