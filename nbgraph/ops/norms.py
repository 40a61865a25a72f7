"""Norms as one operation, so that the root is never taken apart from its sum.

The derivative at 0 is 0, a subgradient: d|x| = Re<x, dx> / |x|, and 0 / 1 where |x| = 0.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any, final

import numpy as np

from nbgraph.errors import DtypeError
from nbgraph.op import Expression, Op, Sample, Sizes, sample_array
from nbgraph.types import Shape, TensorType

_DOUBLE = np.dtype(np.float64)


@final
class EuclideanNorm(Op):
    """sqrt(sum |x|^2) along `axes` (sorted), a real value."""

    name = "euclidean_norm"
    params = ("axes",)
    axes: tuple[int, ...]

    def infer(self, cx: Sizes, ins: Sequence[TensorType], sizes: Shape) -> TensorType:
        (x,) = ins
        if not x.inexact:
            raise DtypeError("not inexact", operation="norm", position=0, got=x.dtype, wanted="float or complex")
        return TensorType(x.real_code, tuple(d for axis, d in enumerate(x.shape) if axis not in self.axes))

    def reference(self, ins: Sequence[Any], sizes: tuple[int, ...]) -> Any:
        x = np.asarray(ins[0])
        if x.dtype == _DOUBLE and len(self.axes) == x.ndim and x.flags.c_contiguous:
            flat = x if x.ndim == 1 else x.reshape(-1)
            return np.float64(math.sqrt(flat.dot(flat)))  # of a number: a fifth of np.sqrt's time
        squares = x.real**2 + x.imag**2 if x.dtype.kind == "c" else x * x
        return np.sqrt(squares.sum(axis=self.axes))

    def expression(self, types: Sequence[TensorType]) -> Expression | None:
        if len(self.axes) == types[0].ndim == 1 and types[0].code == "f8":
            return Expression("{new}({root}({0}.dot({0})))", {"new": np.float64, "root": math.sqrt})
        return None

    def expand(self, b: Any, ins: Any, sizes: Shape) -> Any:
        squares = b.real(b.mul(b.conj(ins[0]), ins[0]))
        return b.sqrt(b.sum(squares, axes=self.axes))

    def linearize(self, b: Any, ins: Any, outs: Any, tangents: Any, sizes: Shape) -> Any:
        (x,), (y,) = ins, outs
        safe = b.divisor(y)
        if b.type(y).ndim:
            safe = b.expand_dims(safe, axes=self.axes)
        direction = b.div(x, b.cast(safe, b.type(x).code))
        # A product, so that its transpose is one operation, too.
        labels = tuple(range(b.type(x).ndim))
        kept = tuple(label for label in labels if label not in self.axes)
        return b.real(b.contract(b.conj(direction), tangents[0], a=labels, b=labels, out=kept))

    @classmethod
    def samples(cls, code: str, rng: np.random.Generator) -> Iterable[Sample]:
        if code[0] in "fc":
            for shape, axes in (((5,), (0,)), ((2, 3), (0, 1)), ((2, 3), (1,)), ((2, 3, 2), (0, 2)), ((0, 2), (0,))):
                yield Sample(cls(axes), (sample_array(rng, code, shape),))
            yield Sample(cls((0,)), (np.zeros(3, code),), (), False)
