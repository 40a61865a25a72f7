"""Joining arrays: concatenate, stack.

In: any number of operands of one dtype and rank, for `stack` of one shape. Out: one array, each operand a region of it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, final

import numpy as np

from nbgraph.errors import BoundsError, DtypeError, ShapeError
from nbgraph.kinds import Assembly, Layout, Part
from nbgraph.op import Expression, Op, Sample, Sizes, sample_array
from nbgraph.types import Shape, Size, TensorType


@final
class Concatenate(Assembly):
    """Operands one after another along `axis`; `one` says that the result is literally 1 there.

    In a fragment that cannot be read off the operands' sizes: a lone element beside empty operands adds up
    to 1.
    """

    name = "concatenate"
    params = ("axis", "one")
    disjoint = True
    axis: int
    one: bool

    @classmethod
    def bind(cls, types: Sequence[TensorType], **kwargs: Any) -> tuple[Op, Shape]:
        if not types:
            raise ShapeError("nothing to join", operation=cls.name, wanted="at least one operand")
        ndim, axis = types[0].ndim, kwargs.get("axis", 0)
        if not -ndim <= axis < ndim:
            wanted = f"-{ndim} <= axis < {ndim}" if ndim else "operands of at least one dimension"
            raise BoundsError("axis is out of range", operation=cls.name, position=0, got=axis, wanted=wanted)
        axis = int(axis) % ndim
        total = sum((t.shape[axis] for t in types if t.ndim == ndim), start=0)
        return cls(axis, total == 1), ()

    def infer(self, cx: Sizes, ins: Sequence[TensorType], sizes: Shape) -> TensorType:
        shape = list(ins[0].shape)
        total: Size = 0
        for position, t in enumerate(ins):
            self._check(position, t, ins[0])
            total = total + t.shape[self.axis]
            for axis, d in enumerate(t.shape):
                if axis != self.axis:
                    shape[axis] = self._same(cx, position, t, shape[axis], d)
        shape[self.axis] = 1 if self.one else total
        return TensorType(ins[0].code, tuple(shape))

    def _check(self, position: int, t: TensorType, first: TensorType) -> None:
        if t.code != first.code:
            raise DtypeError("dtypes differ", operation=self.name, position=position, got=t.dtype, wanted=first.dtype)
        if t.ndim != first.ndim:
            wanted = f"{first.ndim} dimensions"
            raise ShapeError("ranks differ", operation=self.name, position=position, got=t.shape, wanted=wanted)

    def _same(self, cx: Sizes, position: int, t: TensorType, a: Size, b: Size) -> Size:
        try:
            return cx.same(a, b)
        except ShapeError:
            wanted = f"size {a} along every axis but {self.axis}"
            raise ShapeError(
                "operands do not fit", operation=self.name, position=position, got=t.shape, wanted=wanted
            ) from None

    def reference(self, ins: Sequence[Any], sizes: tuple[int, ...]) -> Any:
        return np.concatenate(ins, axis=self.axis)

    def parts(self, out: Layout, ins: Sequence[TensorType], sizes: Shape) -> list[Part]:
        offsets = _offsets([t.shape[self.axis] for t in ins])
        step = out.strides[self.axis]
        return [
            Part(Layout(t.shape, out.strides, out.offset + at * step), k)
            for k, (t, at) in enumerate(zip(ins, offsets, strict=True))
        ]

    def linearize(self, b: Any, ins: Any, outs: Any, tangents: Any, sizes: Shape) -> Any:
        filled = (b.zeros(b.type(x)) if dx is None else dx for x, dx in zip(ins, tangents, strict=True))
        return b.emit(self, *filled)

    def transpose(self, b: Any, ct: Any, ins: Any, active: Sequence[bool], sizes: Shape) -> Any:
        lengths = [b.shape(x)[self.axis] for x in ins]
        return tuple(
            b.slice(ct, axis=self.axis, start=at, length=n) if flows else None
            for at, n, flows in zip(_offsets(lengths), lengths, active, strict=True)
        )

    def simplify(self, b: Any, ins: Any, sizes: Shape) -> Any:
        return ins[0] if len(ins) == 1 else None

    @classmethod
    def samples(cls, code: str, rng: np.random.Generator) -> Iterable[Sample]:
        cases: tuple[tuple[int, tuple[tuple[int, ...], ...]], ...] = (
            (0, ((2, 3), (4, 3))),
            (1, ((2, 3), (2, 1), (2, 0))),
            (0, ((1,), (1,), (3,))),
            (0, ((1, 2), (0, 2))),
            (0, ((0, 1), (0, 1))),
            (2, ((2, 1, 3), (2, 1, 3))),
            (0, ((1, 4),)),
        )
        for axis, shapes in cases:
            one = sum(s[axis] for s in shapes) == 1
            yield Sample(cls(axis, one), tuple(sample_array(rng, code, s) for s in shapes))


@final
class Stack(Assembly):
    """Operands of one shape joined along a new axis `axis` of the result."""

    name = "stack"
    params = ("axis",)
    disjoint = True
    axis: int

    def infer(self, cx: Sizes, ins: Sequence[TensorType], sizes: Shape) -> TensorType:
        shape = ins[0].shape
        for position, t in enumerate(ins):
            if t.ndim != ins[0].ndim or t.code != ins[0].code:
                raise ShapeError("types differ", operation=self.name, position=position, got=t, wanted=ins[0])
            shape = tuple(self._same(cx, position, t, d, e) for d, e in zip(shape, t.shape, strict=True))
        return ins[0].with_shape((*shape[: self.axis], len(ins), *shape[self.axis :]))

    def _same(self, cx: Sizes, position: int, t: TensorType, a: Size, b: Size) -> Size:
        try:
            return cx.same(a, b)
        except ShapeError:
            told: Any = {"got": t.shape, "wanted": f"size {a} where it has {b}"}
            raise ShapeError("shapes differ", operation=self.name, position=position, **told) from None

    def reference(self, ins: Sequence[Any], sizes: tuple[int, ...]) -> Any:
        return np.stack(ins, axis=self.axis)

    def expression(self, types: Sequence[TensorType]) -> Expression | None:
        rows = "".join(f"{{{k}}}[{{index}}], " for k in range(len(types)))
        index = (*(slice(None) for _ in range(self.axis)), None)
        return Expression(f"{{concatenate}}(({rows}), {self.axis})", {"concatenate": np.concatenate, "index": index})

    def parts(self, out: Layout, ins: Sequence[TensorType], sizes: Shape) -> list[Part]:
        strides = (*out.strides[: self.axis], *out.strides[self.axis + 1 :])
        step = out.strides[self.axis]
        return [Part(Layout(t.shape, strides, out.offset + k * step), k) for k, t in enumerate(ins)]

    def linearize(self, b: Any, ins: Any, outs: Any, tangents: Any, sizes: Shape) -> Any:
        filled = (b.zeros(b.type(x)) if dx is None else dx for x, dx in zip(ins, tangents, strict=True))
        return b.emit(self, *filled)

    def transpose(self, b: Any, ct: Any, ins: Any, active: Sequence[bool], sizes: Shape) -> Any:
        before = (slice(None),) * self.axis
        return tuple(b.slice(ct, index=(*before, k)) if flows else None for k, flows in enumerate(active))

    def simplify(self, b: Any, ins: Any, sizes: Shape) -> Any:
        return b.expand_dims(ins[0], axes=(self.axis,)) if len(ins) == 1 else None

    @classmethod
    def samples(cls, code: str, rng: np.random.Generator) -> Iterable[Sample]:
        cases: tuple[tuple[int, int, tuple[int, ...]], ...] = (
            (0, 2, (2, 3)),
            (1, 3, (2, 1)),
            (2, 2, (2, 3)),
            (0, 3, ()),
            (1, 2, (0,)),
            (0, 1, (2,)),
        )
        for axis, n, shape in cases:
            yield Sample(cls(axis), tuple(sample_array(rng, code, shape) for _ in range(n)))


def _offsets(lengths: Sequence[Size]) -> list[Size]:
    """Where each piece begins."""
    at: Size = 0
    offsets = []
    for n in lengths:
        offsets.append(at)
        at = at + n
    return offsets
