"""Views: other layouts of the same elements.

In: one operand. Out: its elements under another shape; `relayout` says where they lie.
Holds: a result dimension that is literally 1 is a parameter, the others come as sizes. All are linear.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import Any, final

import numpy as np

from nbgraph.dims import DimExpr
from nbgraph.errors import BoundsError, ShapeError
from nbgraph.kinds import Layout, View
from nbgraph.op import Expression, Op, Sample, Sizes, sample_array
from nbgraph.types import Shape, Size, TensorType
from nbgraph_kernels.locks import cached_property


def _axis(name: str, ndim: int, axis: Any) -> int:
    if not -ndim <= axis < ndim:
        wanted = f"-{ndim} <= axis < {ndim}"
        raise BoundsError("axis is out of range", operation=name, position=0, got=axis, wanted=wanted)
    return int(axis) % ndim


def _axes(name: str, ndim: int, axes: Any) -> tuple[int, ...]:
    """Nonnegative axes, without repetition, in the given order."""
    given = axes if isinstance(axes, tuple | list | range) else (axes,)
    found = tuple(_axis(name, ndim, a) for a in given)
    if len(set(found)) != len(found):
        raise ShapeError("an axis occurs twice", operation=name, position=0, got=axes)
    return found


def _keyword(kwargs: dict[str, Any], default: Any = None) -> Any:
    return kwargs["axes"] if "axes" in kwargs else kwargs.get("axis", default)


#: Up to so many elements, repeating them is sooner done in NumPy than making a view that repeats them.
_FEW = 2048


def _product(shape: Sequence[Size]) -> Size:
    total: Size = 1
    for d in shape:
        total = total * d
    return total


class _Linear(View):
    """A view whose tangent is the view of the tangent."""

    def linearize(self, b: Any, ins: Any, outs: Any, tangents: Any, sizes: Shape) -> Any:
        return b.emit(self, tangents[0], sizes=sizes)


# -- shape -----------------------------------------------------------------------------------------


@final
class Reshape(_Linear):
    """The same elements in row-major order under another shape.

    `pattern` has 1 or None for each result dimension; the sizes are those of the None ones.
    """

    name = "reshape"
    params = ("pattern",)
    pattern: tuple[int | None, ...]

    @classmethod
    def bind(cls, types: Sequence[TensorType], **kwargs: Any) -> tuple[Op, Shape]:
        given = kwargs["shape"]
        shape = _resolved(types[0].shape, tuple(given) if isinstance(given, tuple | list) else (given,))
        return cls(tuple(1 if d == 1 else None for d in shape)), tuple(d for d in shape if d != 1)

    def _shape(self, sizes: Shape) -> Shape:
        given = iter(sizes)
        return tuple(1 if one else next(given) for one in self.pattern)

    def infer(self, cx: Sizes, ins: Sequence[TensorType], sizes: Shape) -> TensorType:
        shape = self._shape(sizes)
        _check_total(ins[0].shape, shape)
        if len(sizes) == 1 and isinstance(sizes[0], DimExpr):
            # Flattening: the new size is then known from the operand, and needs no word of its own.
            cx.same(_product(ins[0].shape), sizes[0])
        return TensorType(ins[0].code, shape)

    def reference(self, ins: Sequence[Any], sizes: tuple[int, ...]) -> Any:
        return ins[0].reshape(self._shape(sizes))

    def relayout(self, layout: Layout, out: TensorType, sizes: Shape) -> Layout | None:
        strides = _reshaped_strides(layout, out.shape)
        return None if strides is None else Layout(out.shape, strides, layout.offset)

    def transpose(self, b: Any, ct: Any, ins: Any, active: Sequence[bool], sizes: Shape) -> Any:
        return (b.reshape_like(ct, b.type(ins[0])),)

    def simplify(self, b: Any, ins: Any, sizes: Shape) -> Any:
        return ins[0] if b.shape(ins[0]) == self._shape(sizes) else None

    @classmethod
    def samples(cls, code: str, rng: np.random.Generator) -> Iterable[Sample]:
        for old, new in (
            ((2, 6), (3, 4)),
            ((2, 3, 4), (6, 4)),
            ((2, 3, 4), (2, 12)),
            ((6, 2), (2, 3, 1, 2)),
            ((3, 4), (12,)),
            ((12,), (3, 4)),
            ((1, 3, 1), (3,)),
            ((3,), (1, 3, 1)),
            ((1, 1), ()),
            ((), (1,)),
            ((0, 3), (5, 0)),
            ((2, 3), (2, 3)),
        ):
            pattern = tuple(1 if d == 1 else None for d in new)
            yield Sample(cls(pattern), (sample_array(rng, code, old),), tuple(d for d in new if d != 1))


def _resolved(old: Shape, new: Shape) -> Shape:
    """The shape with -1 replaced by what is left."""
    unknown = [i for i, d in enumerate(new) if d == -1]
    if len(unknown) > 1:
        raise ShapeError("more than one unknown size", operation="reshape", got=new, wanted="one -1 at most")
    if not unknown:
        _check_total(old, new)
        return new
    total, rest = _product(old), _product([d for d in new if d != -1])
    if rest == 0 or (isinstance(total, int) and isinstance(rest, int) and total % rest):
        raise ShapeError(
            "cannot find the size for -1",
            operation="reshape",
            position=0,
            got=old,
            wanted=f"a number of elements that {rest} divides" if rest != 0 else "sizes that are not 0 beside -1",
        )
    left: Size = total // rest
    return (*new[: unknown[0]], left, *new[unknown[0] + 1 :])


def _check_total(old: Shape, new: Shape) -> None:
    total, wanted = _product(old), _product(new)
    negative = any(isinstance(d, int) and d < 0 for d in new)
    if negative or (isinstance(total, int) and isinstance(wanted, int) and total != wanted):
        raise ShapeError(
            "number of elements differs",
            operation="reshape",
            position=0,
            got=f"{old}, {total} elements",
            wanted=f"{wanted} elements for {new}",
        )


def _reshaped_strides(layout: Layout, shape: Shape) -> Shape | None:
    """Strides of the reshaped array over the same memory, or None where it needs a copy.

    Runs of old and new dimensions with provably equal products are matched, shortest first; what remains is
    one more run. In each the old dimensions must lie without gaps; the new ones are then row-major in it.
    """
    old = [(d, s) for d, s in zip(layout.shape, layout.strides, strict=True) if d != 1]
    new = [d for d in shape if d != 1]
    if any(d == 0 for d in (*layout.shape, *shape)):
        return Layout.row_major(shape).strides
    found: list[Size] = []
    i = j = 0
    while i < len(old) and j < len(new):
        taken, made = (len(old) - i, len(new) - j) if _is_dense(old[i:]) else _equal_run(old[i:], new[j:])
        run = old[i : i + taken]
        if not _is_dense(run):
            return None
        found += [s * run[-1][1] for s in Layout.row_major(tuple(new[j : j + made])).strides]
        i, j = i + taken, j + made
    if i < len(old) or j < len(new):  # sizes that turn out to be 1; any stride will do, but we cannot tell
        return None
    rest = iter(found)
    return tuple(0 if d == 1 else next(rest) for d in shape)


def _is_dense(dims: Sequence[tuple[Size, Size]]) -> bool:
    """Whether (size, stride) pairs lie one within the other without gaps."""
    return all(outer == d * inner for (_, outer), (d, inner) in pairwise(dims))


def _equal_run(old: Sequence[tuple[Size, Size]], new: Sequence[Size]) -> tuple[int, int]:
    """How many leading dimensions of each have the same product; all of them where no run is seen to."""
    for total in range(2, len(old) + len(new)):
        for taken in range(max(1, total - len(new)), min(len(old), total - 1) + 1):
            if _product([d for d, _ in old[:taken]]) == _product(new[: total - taken]):
                return taken, total - taken
    return len(old), len(new)


@final
class Transpose(_Linear):
    """Axes in another order: result axis i is operand axis `axes[i]`."""

    name = "transpose"
    params = ("axes",)
    axes: tuple[int, ...]

    @classmethod
    def bind(cls, types: Sequence[TensorType], **kwargs: Any) -> tuple[Op, Shape]:
        ndim, given = types[0].ndim, _keyword(kwargs)
        axes = tuple(reversed(range(ndim))) if given is None else _axes(cls.name, ndim, given)
        if len(axes) != ndim:
            wanted = f"a permutation of {ndim} axes"
            raise ShapeError("axes do not match", operation=cls.name, position=0, got=given, wanted=wanted)
        return cls(axes), ()

    def infer(self, cx: Sizes, ins: Sequence[TensorType], sizes: Shape) -> TensorType:
        return ins[0].with_shape(tuple(ins[0].shape[a] for a in self.axes))

    def reference(self, ins: Sequence[Any], sizes: tuple[int, ...]) -> Any:
        return ins[0].transpose(self.axes)

    def expression(self, types: Sequence[TensorType]) -> Expression | None:
        return Expression("{0}.transpose({axes})", {"axes": self.axes}, fresh=False)

    def relayout(self, layout: Layout, out: TensorType, sizes: Shape) -> Layout | None:
        return Layout(out.shape, tuple(layout.strides[a] for a in self.axes), layout.offset)

    def transpose(self, b: Any, ct: Any, ins: Any, active: Sequence[bool], sizes: Shape) -> Any:
        inverse = sorted(range(len(self.axes)), key=self.axes.__getitem__)
        return (b.emit(Transpose(tuple(inverse)), ct),)

    def simplify(self, b: Any, ins: Any, sizes: Shape) -> Any:
        return ins[0] if self.axes == tuple(range(len(self.axes))) else None

    @classmethod
    def samples(cls, code: str, rng: np.random.Generator) -> Iterable[Sample]:
        for shape, axes in (
            ((2, 3), (1, 0)),
            ((2, 3, 4), (1, 2, 0)),
            ((), ()),
            ((0, 1, 2), (2, 0, 1)),
            ((3,), (0,)),
        ):
            yield Sample(cls(axes), (sample_array(rng, code, shape),))


@final
class BroadcastTo(_Linear):
    """The operand repeated along new dimensions and along those where it has size 1.

    `axes` says of each result dimension: the operand axis it is, "repeat" (its size is a size word) or "one".
    """

    name = "broadcast_to"
    params = ("axes",)
    axes: tuple[int | str, ...]

    @classmethod
    def bind(cls, types: Sequence[TensorType], **kwargs: Any) -> tuple[Op, Shape]:
        given = kwargs["shape"]
        shape = tuple(given) if isinstance(given, tuple | list) else (given,)
        (x,) = types
        lead = len(shape) - x.ndim
        fits = lead >= 0 and all(_fits(d, s) for d, s in zip(x.shape, shape[lead:], strict=True))
        if not fits or any(isinstance(d, int) and d < 0 for d in shape):
            raise ShapeError("does not broadcast", operation=cls.name, position=0, got=x.shape, wanted=shape)
        axes: list[int | str] = ["one" if d == 1 else "repeat" for d in shape[:lead]]
        axes += [
            "repeat" if d == 1 and s != 1 else k for k, (d, s) in enumerate(zip(x.shape, shape[lead:], strict=True))
        ]
        return cls(tuple(axes)), tuple(d for d, a in zip(shape, axes, strict=True) if a == "repeat")

    def _shape(self, x: Shape, sizes: Shape) -> Shape:
        given = iter(sizes)
        return tuple(x[a] if isinstance(a, int) else 1 if a == "one" else next(given) for a in self.axes)

    def infer(self, cx: Sizes, ins: Sequence[TensorType], sizes: Shape) -> TensorType:
        return ins[0].with_shape(self._shape(ins[0].shape, sizes))

    def reference(self, ins: Sequence[Any], sizes: tuple[int, ...]) -> Any:
        x = ins[0]
        shape: Any = self._shape(x.shape, sizes)
        if math.prod(shape) > _FEW:
            return np.broadcast_to(x, shape)
        filled = np.empty(shape, x.dtype)
        filled[...] = x
        return filled

    def relayout(self, layout: Layout, out: TensorType, sizes: Shape) -> Layout | None:
        strides = tuple(layout.strides[a] if isinstance(a, int) else 0 for a in self.axes)
        return Layout(out.shape, strides, layout.offset)

    def transpose(self, b: Any, ct: Any, ins: Any, active: Sequence[bool], sizes: Shape) -> Any:
        return (b.unbroadcast(ct, b.type(ins[0])),)

    def simplify(self, b: Any, ins: Any, sizes: Shape) -> Any:
        return ins[0] if self.axes == tuple(range(b.type(ins[0]).ndim)) else None

    @classmethod
    def samples(cls, code: str, rng: np.random.Generator) -> Iterable[Sample]:
        for old, axes, sizes in (
            ((3,), ("repeat", 0), (2,)),
            ((3, 1), (0, "repeat"), (4,)),
            ((1, 1), ("one", "repeat", 1), (3,)),
            ((), ("repeat", "repeat"), (2, 3)),
            ((), ("one",), ()),
            ((1, 3), ("repeat", 1), (0,)),
            ((0,), ("repeat", 0), (2,)),
            ((2, 3), (0, 1), ()),
        ):
            yield Sample(cls(axes), (sample_array(rng, code, old),), sizes)


def _fits(d: Size, wanted: Size) -> bool:
    """Whether a dimension can become `wanted`: it is 1, or the same size as far as one can tell."""
    if d == 1 or d == wanted:
        return True
    return wanted != 1 and not (isinstance(d, int) and isinstance(wanted, int))


@final
class ExpandDims(_Linear):
    """New dimensions of size 1 at the positions `axes` of the result."""

    name = "expand_dims"
    params = ("axes",)
    axes: tuple[int, ...]

    @classmethod
    def bind(cls, types: Sequence[TensorType], **kwargs: Any) -> tuple[Op, Shape]:
        given = _keyword(kwargs)
        count = len(given) if isinstance(given, tuple | list) else 1
        return cls(tuple(sorted(_axes(cls.name, types[0].ndim + count, given)))), ()

    def _insert(self, dims: Sequence[Size], new: Size) -> Shape:
        old = iter(dims)
        return tuple(new if a in self.axes else next(old) for a in range(len(dims) + len(self.axes)))

    def infer(self, cx: Sizes, ins: Sequence[TensorType], sizes: Shape) -> TensorType:
        return ins[0].with_shape(self._insert(ins[0].shape, 1))

    def reference(self, ins: Sequence[Any], sizes: tuple[int, ...]) -> Any:
        return ins[0][self._index]

    def expression(self, types: Sequence[TensorType]) -> Expression | None:
        return Expression("{0}[{index}]", {"index": self._index}, fresh=False)

    @cached_property
    def _index(self) -> tuple[Any, ...]:
        """The index that inserts the axes, whatever dimensions follow."""
        return tuple(None if a in self.axes else slice(None) for a in range(max(self.axes, default=-1) + 1))

    def relayout(self, layout: Layout, out: TensorType, sizes: Shape) -> Layout | None:
        return Layout(out.shape, self._insert(layout.strides, 0), layout.offset)

    def transpose(self, b: Any, ct: Any, ins: Any, active: Sequence[bool], sizes: Shape) -> Any:
        return (b.emit(Squeeze(self.axes), ct),)

    @classmethod
    def samples(cls, code: str, rng: np.random.Generator) -> Iterable[Sample]:
        for shape, axes in (((2, 3), (0,)), ((2, 3), (1, 3)), ((), (0, 1)), ((0,), (1,)), ((1, 2), ())):
            yield Sample(cls(axes), (sample_array(rng, code, shape),))


@final
class Squeeze(_Linear):
    """Without the dimensions `axes`, which must be literally 1."""

    name = "squeeze"
    params = ("axes",)
    axes: tuple[int, ...]

    @classmethod
    def bind(cls, types: Sequence[TensorType], **kwargs: Any) -> tuple[Op, Shape]:
        shape, given = types[0].shape, _keyword(kwargs)
        if given is None:
            return cls(tuple(a for a, d in enumerate(shape) if d == 1)), ()
        return cls(tuple(sorted(_axes(cls.name, len(shape), given)))), ()

    def _kept(self, dims: Sequence[Size]) -> Shape:
        return tuple(d for a, d in enumerate(dims) if a not in self.axes)

    def infer(self, cx: Sizes, ins: Sequence[TensorType], sizes: Shape) -> TensorType:
        for a in self.axes:
            if ins[0].shape[a] != 1:
                wanted = f"size 1 along axis {a}"
                raise ShapeError("cannot squeeze", operation=self.name, position=0, got=ins[0].shape, wanted=wanted)
        return ins[0].with_shape(self._kept(ins[0].shape))

    def reference(self, ins: Sequence[Any], sizes: tuple[int, ...]) -> Any:
        return ins[0].squeeze(self.axes)

    def relayout(self, layout: Layout, out: TensorType, sizes: Shape) -> Layout | None:
        return Layout(out.shape, self._kept(layout.strides), layout.offset)

    def transpose(self, b: Any, ct: Any, ins: Any, active: Sequence[bool], sizes: Shape) -> Any:
        return (b.emit(ExpandDims(self.axes), ct),)

    @classmethod
    def samples(cls, code: str, rng: np.random.Generator) -> Iterable[Sample]:
        for shape, axes in (
            ((1, 3), (0,)),
            ((1, 3, 1), (0, 2)),
            ((1, 1), (0,)),
            ((1,), (0,)),
            ((0, 1), (1,)),
            ((2,), ()),
        ):
            yield Sample(cls(axes), (sample_array(rng, code, shape),))


@final
class Flip(_Linear):
    """Elements in the opposite order along `axes`."""

    name = "flip"
    params = ("axes",)
    axes: tuple[int, ...]

    @classmethod
    def bind(cls, types: Sequence[TensorType], **kwargs: Any) -> tuple[Op, Shape]:
        given = _keyword(kwargs)
        return cls(tuple(sorted(_axes(cls.name, types[0].ndim, range(types[0].ndim) if given is None else given)))), ()

    def infer(self, cx: Sizes, ins: Sequence[TensorType], sizes: Shape) -> TensorType:
        return ins[0]

    def reference(self, ins: Sequence[Any], sizes: tuple[int, ...]) -> Any:
        return ins[0][self._index]

    def expression(self, types: Sequence[TensorType]) -> Expression | None:
        return Expression("{0}[{index}]", {"index": self._index}, fresh=False)

    @cached_property
    def _index(self) -> tuple[slice, ...]:
        """As `np.flip` has it."""
        backward = slice(None, None, -1)
        return tuple(backward if a in self.axes else slice(None) for a in range(max(self.axes, default=-1) + 1))

    def relayout(self, layout: Layout, out: TensorType, sizes: Shape) -> Layout | None:
        offset, strides = layout.offset, list(layout.strides)
        for a in self.axes:
            offset = offset + (layout.shape[a] - 1) * strides[a]
            strides[a] = -strides[a]
        return Layout(out.shape, tuple(strides), offset)

    def transpose(self, b: Any, ct: Any, ins: Any, active: Sequence[bool], sizes: Shape) -> Any:
        return (b.emit(self, ct),)

    @classmethod
    def samples(cls, code: str, rng: np.random.Generator) -> Iterable[Sample]:
        for shape, axes in (((4,), (0,)), ((2, 3), (0, 1)), ((2, 3), (1,)), ((1, 0), (0, 1)), ((), ())):
            yield Sample(cls(axes), (sample_array(rng, code, shape),))
