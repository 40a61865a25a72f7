"""Elements moved round an axis: roll.

In: one operand. Out: the same elements, the last ones first. Holds: the shift is a run-time size between 0 and the size
of the axis.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, final

import numpy as np

from nbgraph.op import Op, Sample, Sizes, sample_array
from nbgraph.types import Shape, TensorType


@final
class Roll(Op):
    """x moved on by `shift` places along `axis`; what leaves at the end comes in at the beginning."""

    name = "roll"
    params = ("axis",)
    axis: int

    @classmethod
    def bind(cls, types: Sequence[TensorType], **kwargs: Any) -> tuple[Op, Shape]:
        return cls(kwargs["axis"]), (kwargs["shift"],)

    def infer(self, cx: Sizes, ins: Sequence[TensorType], sizes: Shape) -> TensorType:
        return ins[0]

    def reference(self, ins: Sequence[Any], sizes: tuple[int, ...]) -> Any:
        return np.roll(ins[0], sizes[0], self.axis)

    def expand(self, b: Any, ins: Any, sizes: Shape) -> Any:
        (x,), (shift,) = ins, sizes
        kept = b.shape(x)[self.axis] - shift
        last = b.slice(x, axis=self.axis, start=kept, length=shift)
        return b.concatenate(last, b.slice(x, axis=self.axis, start=0, length=kept), axis=self.axis)

    def linearize(self, b: Any, ins: Any, outs: Any, tangents: Any, sizes: Shape) -> Any:
        return b.emit(self, tangents[0], sizes=sizes)

    def transpose(self, b: Any, ct: Any, ins: Any, active: Sequence[bool], sizes: Shape) -> Any:
        return (b.emit(self, ct, sizes=(b.shape(ct)[self.axis] - sizes[0],)),)

    @classmethod
    def samples(cls, code: str, rng: np.random.Generator) -> Iterable[Sample]:
        for shape, axis, shift in (((5,), 0, 2), ((5,), 0, 0), ((3, 4), 0, 1), ((2, 3, 4), 1, 3), ((0, 2), 0, 0)):
            yield Sample(cls(axis), (sample_array(rng, code, shape),), (shift,))
