"""Diagonals: taking one as a view, and its adjoint, zeros with a diagonal filled.

In: one operand; offset and axes as NumPy's. Out: the diagonal as the last dimension; or the array it lies in.
Holds: which diagonal is structure, its length follows from the operand's sizes. Both are linear.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, final

import numpy as np

from nbgraph.dims import dim_max, dim_min
from nbgraph.errors import BoundsError, ShapeError
from nbgraph.kinds import Assembly, Layout, Part, View
from nbgraph.op import Op, Sample, Sizes, sample_array
from nbgraph.types import Shape, Size, TensorType


def _diagonal_length(n: Size, m: Size, offset: int) -> Size:
    """Length of a diagonal of an n x m matrix."""
    if offset >= 0:
        return dim_max(dim_min(n, m - offset), 0)
    return dim_max(dim_min(n + offset, m), 0)


def _diagonal_layout(layout: Layout, offset: int, axis1: int, axis2: int, length: Size) -> Layout:
    """Where a diagonal lies: a step along it is one along both axes."""
    kept = [a for a in range(len(layout.shape)) if a not in (axis1, axis2)]
    rows, cols = layout.strides[axis1], layout.strides[axis2]
    start = layout.offset + (cols * offset if offset >= 0 else rows * -offset)
    shape = (*(layout.shape[a] for a in kept), length)
    return Layout(shape, (*(layout.strides[a] for a in kept), rows + cols), start)


def _two_axes(name: str, ndim: int, kwargs: dict[str, Any]) -> tuple[int, int]:
    """Both axes, nonnegative and different."""
    given = kwargs.get("axis1", 0), kwargs.get("axis2", 1)
    for a in given:
        if not -ndim <= a < ndim:
            wanted = f"-{ndim} <= axis < {ndim}"
            raise BoundsError("axis is out of range", operation=name, position=0, got=a, wanted=wanted)
    axis1, axis2 = (int(a) % ndim for a in given)
    if axis1 == axis2:
        raise ShapeError("the axes are the same", operation=name, position=0, got=given)
    return axis1, axis2


@final
class Diagonal(View):
    """A diagonal over two axes, as the last dimension of the result; `one`: its length is literally 1."""

    name = "diagonal"
    params = ("offset", "axis1", "axis2", "one")
    offset: int
    axis1: int
    axis2: int
    one: bool

    @classmethod
    def bind(cls, types: Sequence[TensorType], **kwargs: Any) -> tuple[Op, Shape]:
        shape, offset = types[0].shape, int(kwargs.get("offset", 0))
        axis1, axis2 = _two_axes(cls.name, len(shape), kwargs)
        one = _diagonal_length(shape[axis1], shape[axis2], offset) == 1
        return cls(offset, axis1, axis2, one), ()

    def infer(self, cx: Sizes, ins: Sequence[TensorType], sizes: Shape) -> TensorType:
        shape = ins[0].shape
        length = 1 if self.one else _diagonal_length(shape[self.axis1], shape[self.axis2], self.offset)
        kept = (d for a, d in enumerate(shape) if a not in (self.axis1, self.axis2))
        return ins[0].with_shape((*kept, length))

    def reference(self, ins: Sequence[Any], sizes: tuple[int, ...]) -> Any:
        return np.diagonal(ins[0], self.offset, self.axis1, self.axis2)

    def relayout(self, layout: Layout, out: TensorType, sizes: Shape) -> Layout | None:
        return _diagonal_layout(layout, self.offset, self.axis1, self.axis2, out.shape[-1])

    def linearize(self, b: Any, ins: Any, outs: Any, tangents: Any, sizes: Shape) -> Any:
        return b.emit(self, tangents[0])

    def transpose(self, b: Any, ct: Any, ins: Any, active: Sequence[bool], sizes: Shape) -> Any:
        shape = b.shape(ins[0])
        op, words = DiagonalScatter.of(self.offset, self.axis1, self.axis2, shape)
        return (b.emit(op, ct, sizes=words),)

    @classmethod
    def samples(cls, code: str, rng: np.random.Generator) -> Iterable[Sample]:
        for shape, offset, axis1, axis2 in _DIAGONALS:
            one = _diagonal_length(shape[axis1], shape[axis2], offset) == 1
            yield Sample(cls(offset, axis1, axis2, one), (sample_array(rng, code, shape),))


_DIAGONALS: tuple[tuple[tuple[int, ...], int, int, int], ...] = (
    ((3, 3), 0, 0, 1),
    ((3, 4), 1, 0, 1),
    ((3, 4), -1, 0, 1),
    ((2, 3, 4), 0, 2, 0),
    ((4, 2, 3), 1, 1, 2),
    ((3, 3), 2, 0, 1),
    ((1, 3), 0, 0, 1),
    ((3, 1), -2, 0, 1),
    ((2, 2), 5, 0, 1),
    ((0, 2), 0, 0, 1),
)


@final
class DiagonalScatter(Assembly):
    """Zeros with the operand's last dimension on a diagonal: the adjoint of `diagonal`.

    The sizes are those of axis1 and axis2 of the result, but for the ones that are literally 1 (`ones`).
    """

    name = "diagonal_scatter"
    params = ("offset", "axis1", "axis2", "ones")
    disjoint = True
    offset: int
    axis1: int
    axis2: int
    ones: tuple[bool, bool]

    @classmethod
    def of(cls, offset: int, axis1: int, axis2: int, shape: Shape) -> tuple[Op, Shape]:
        """The operation with a result of this shape."""
        pair = (shape[axis1], shape[axis2])
        return cls(offset, axis1, axis2, tuple(d == 1 for d in pair)), tuple(d for d in pair if d != 1)

    @classmethod
    def bind(cls, types: Sequence[TensorType], **kwargs: Any) -> tuple[Op, Shape]:
        offset, ndim = int(kwargs.get("offset", 0)), types[0].ndim + 1
        axis1, axis2 = _two_axes(cls.name, ndim, kwargs)
        n, m = kwargs["shape"]
        return cls.of(offset, axis1, axis2, tuple(n if a == axis1 else m for a in range(ndim)))

    def _shape(self, x: Shape, sizes: Shape) -> Shape:
        given = iter(sizes)
        n, m = (1 if one else next(given) for one in self.ones)
        kept = iter(x[:-1])
        placed = {self.axis1: n, self.axis2: m}
        return tuple(placed[a] if a in placed else next(kept) for a in range(len(x) + 1))

    def infer(self, cx: Sizes, ins: Sequence[TensorType], sizes: Shape) -> TensorType:
        x = ins[0].shape
        shape = self._shape(x, sizes)
        wanted = _diagonal_length(shape[self.axis1], shape[self.axis2], self.offset)
        if isinstance(wanted, int) and isinstance(x[-1], int) and wanted != x[-1]:
            raise ShapeError(
                "does not fill the diagonal",
                operation=self.name,
                position=0,
                got=x,
                wanted=f"a last dimension of {wanted}",
            )
        return ins[0].with_shape(shape)

    def reference(self, ins: Sequence[Any], sizes: tuple[int, ...]) -> Any:
        x = np.asarray(ins[0])
        out = np.zeros(self._shape(x.shape, sizes), x.dtype)
        diagonal = np.diagonal(out, self.offset, self.axis1, self.axis2)
        diagonal.setflags(write=True)
        diagonal[...] = x
        return out

    def parts(self, out: Layout, ins: Sequence[TensorType], sizes: Shape) -> list[Part]:
        region = _diagonal_layout(out, self.offset, self.axis1, self.axis2, ins[0].shape[-1])
        return [Part(out, None), Part(region, 0)]

    def linearize(self, b: Any, ins: Any, outs: Any, tangents: Any, sizes: Shape) -> Any:
        return b.emit(self, tangents[0], sizes=sizes)

    def transpose(self, b: Any, ct: Any, ins: Any, active: Sequence[bool], sizes: Shape) -> Any:
        one = b.shape(ins[0])[-1] == 1
        return (b.emit(Diagonal(self.offset, self.axis1, self.axis2, one), ct),)

    @classmethod
    def samples(cls, code: str, rng: np.random.Generator) -> Iterable[Sample]:
        for shape, offset, axis1, axis2 in _DIAGONALS:
            op, sizes = cls.of(offset, axis1, axis2, shape)
            kept = [d for a, d in enumerate(shape) if a not in (axis1, axis2)]
            length = _diagonal_length(shape[axis1], shape[axis2], offset)
            x = sample_array(rng, code, (*kept, length))  # type: ignore[arg-type]
            yield Sample(op, (x,), sizes)  # type: ignore[arg-type]
