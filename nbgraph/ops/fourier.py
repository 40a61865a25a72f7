"""Discrete Fourier transforms along an axis: of complex numbers, of real ones, and back to real ones.

In: one operand; the axis is structure, a length that the operand does not say is a run-time size. Out: sums that are
not divided by anything; normalising, cutting and padding is the caller's.
Holds: all are linear over the reals, and their adjoints are transforms again. A length of zero is refused.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any, ClassVar, final

import numpy as np

from nbgraph.errors import DtypeError, ShapeError
from nbgraph.kinds import FLOATS, Kernel
from nbgraph.op import Op, Sample, Sizes, sample_array
from nbgraph.types import COMPLEX_OF, Shape, Size, TensorType

_CASES: tuple[tuple[tuple[int, ...], int], ...] = (
    ((4,), 0),
    ((5,), 0),
    ((3, 6), 0),
    ((3, 6), 1),
    ((2, 7, 3), 1),
    ((1, 2), 0),
    ((1, 2), 1),
    ((0, 4), 1),
    ((67,), 0),
)


class _Transform(Kernel):
    """Works along one axis."""

    params: ClassVar[tuple[str, ...]] = ("axis",)
    axis: int
    codes: ClassVar[str]

    def _check(self, x: TensorType, n: Size) -> None:
        if x.code not in self.codes.split():
            raise DtypeError("unsupported dtype", operation=self.name, position=0, got=x.dtype, wanted=self.codes)
        if isinstance(n, int) and n < 1:
            raise ShapeError(
                "no points", operation=self.name, position=0, got=n, wanted=f"a size of axis {self.axis} >= 1"
            )

    def _resized(self, x: TensorType, n: Size) -> Shape:
        return (*x.shape[: self.axis], n, *x.shape[self.axis + 1 :])

    def _call(self, lw: Any, x: Any, out: Any, n: Size, inverse: int) -> None:
        from nbgraph_kernels.sizes import fft_workspace

        shape = x.type.shape
        outer, inner = math.prod(shape[: self.axis]), math.prod(shape[self.axis + 1 :])
        code = x.type.code if self.name == "fft" else x.type.real_code
        scratch = lw.workspace(fft_workspace(code, n))
        lw.call(self.name, code, out.address, x.address, outer, n, inner, inverse, scratch)

    def linearize(self, b: Any, ins: Any, outs: Any, tangents: Any, sizes: Shape) -> Any:
        return b.emit(self, tangents[0], sizes=sizes)


@final
class Fft(_Transform):
    """sum over j of x_j exp(-2 pi i j k / n), with + if `inverse`."""

    name = "fft"
    kernel = "fft"
    params = ("axis", "inverse")
    inverse: bool
    codes = "c8 c16"

    def infer(self, cx: Sizes, ins: Sequence[TensorType], sizes: Shape) -> TensorType:
        self._check(ins[0], ins[0].shape[self.axis])
        return ins[0]

    def reference(self, ins: Sequence[Any], sizes: tuple[int, ...]) -> Any:
        (x,) = ins
        if not x.size:
            return np.zeros_like(x)
        return np.fft.ifft(x, axis=self.axis, norm="forward") if self.inverse else np.fft.fft(x, axis=self.axis)

    def lower(self, lw: Any, ins: Sequence[Any], outs: Sequence[Any], sizes: Shape) -> None:
        self._call(lw, ins[0], outs[0], ins[0].type.shape[self.axis], int(self.inverse))

    def transpose(self, b: Any, ct: Any, ins: Any, active: Sequence[bool], sizes: Shape) -> Any:
        return (b.emit(Fft(self.axis, not self.inverse), ct),)

    @classmethod
    def samples(cls, code: str, rng: np.random.Generator) -> Iterable[Sample]:
        if code in cls.codes.split():
            for shape, axis in _CASES:
                for inverse in (False, True):
                    yield Sample(cls(axis, inverse), (sample_array(rng, code, shape),))


@final
class Rfft(_Transform):
    """The first n // 2 + 1 elements of the transform of n real numbers; the others are their conjugates."""

    name = "rfft"
    kernel = "rfft"
    codes = FLOATS

    def infer(self, cx: Sizes, ins: Sequence[TensorType], sizes: Shape) -> TensorType:
        (x,) = ins
        n = x.shape[self.axis]
        self._check(x, n)
        return TensorType(COMPLEX_OF[x.code], self._resized(x, n // 2 + 1))

    def reference(self, ins: Sequence[Any], sizes: tuple[int, ...]) -> Any:
        (x,) = ins
        if not x.size:  # NumPy does not take arrays without elements
            half = x.shape[self.axis] // 2 + 1
            return np.zeros((*x.shape[: self.axis], half, *x.shape[self.axis + 1 :]), COMPLEX_OF[x.dtype.str[1:]])
        return np.fft.rfft(x, axis=self.axis)

    def lower(self, lw: Any, ins: Sequence[Any], outs: Sequence[Any], sizes: Shape) -> None:
        self._call(lw, ins[0], outs[0], ins[0].type.shape[self.axis], 0)

    def transpose(self, b: Any, ct: Any, ins: Any, active: Sequence[bool], sizes: Shape) -> Any:
        # x'_j = Re sum over k <= n/2 of y'_k exp(2 pi i j k / n): the inverse transform counts twice what has a mirror
        # image.
        n = b.shape(ins[0])[self.axis]
        half = _counted(b, ct, self.axis, n, 0.5)
        return (b.irfft(half, axis=self.axis, n=n),)

    @classmethod
    def samples(cls, code: str, rng: np.random.Generator) -> Iterable[Sample]:
        if code in cls.codes.split():
            for shape, axis in _CASES:
                yield Sample(cls(axis), (sample_array(rng, code, shape),))


@final
class Irfft(_Transform):
    """n times the n real numbers whose `rfft` is the operand; imaginary parts that do not matter are not read.

    `one` says that n is literally 1; otherwise it is the one size.
    """

    name = "irfft"
    kernel = "irfft"
    params = ("axis", "one")
    one: bool
    codes = "c8 c16"

    @classmethod
    def bind(cls, types: Sequence[TensorType], **kwargs: Any) -> tuple[Op, Shape]:
        n = kwargs["n"]
        return cls(kwargs["axis"], n == 1), () if n == 1 else (n,)

    def infer(self, cx: Sizes, ins: Sequence[TensorType], sizes: Shape) -> TensorType:
        (x,) = ins
        n = 1 if self.one else sizes[0]
        self._check(x, n)
        m = x.shape[self.axis]
        if isinstance(n, int) and isinstance(m, int) and m != n // 2 + 1:
            wanted = f"{n // 2 + 1} along axis {self.axis}"
            raise ShapeError("does not fit the length", operation=self.name, position=0, got=x.shape, wanted=wanted)
        return TensorType(x.real_code, self._resized(x, n))

    def reference(self, ins: Sequence[Any], sizes: tuple[int, ...]) -> Any:
        (x,), n = ins, 1 if self.one else sizes[0]
        if not x.size:
            return np.zeros((*x.shape[: self.axis], n, *x.shape[self.axis + 1 :]), x.real.dtype)
        return np.fft.irfft(x, n, axis=self.axis, norm="forward")

    def lower(self, lw: Any, ins: Sequence[Any], outs: Sequence[Any], sizes: Shape) -> None:
        self._call(lw, ins[0], outs[0], 1 if self.one else sizes[0], 1)

    def transpose(self, b: Any, ct: Any, ins: Any, active: Sequence[bool], sizes: Shape) -> Any:
        n = b.shape(ct)[self.axis]
        return (_counted(b, b.rfft(ct, axis=self.axis), self.axis, n, 2.0),)

    @classmethod
    def samples(cls, code: str, rng: np.random.Generator) -> Iterable[Sample]:
        if code in cls.codes.split():
            for shape, axis in _CASES:
                n, half = shape[axis], (*shape[:axis], shape[axis] // 2 + 1, *shape[axis + 1 :])
                yield Sample(cls(axis, n == 1), (sample_array(rng, code, half),), () if n == 1 else (n,))


def _counted(b: Any, x: Any, axis: int, n: Size, factor: float) -> Any:
    """x times the factor where an element k of half a transform has a mirror image n - k that is not itself."""
    t = b.type(x)
    code = t.real_code
    k = b.iota(n=t.shape[axis], code=code)
    length = b.size_value(code=code, n=n)
    alone = b.logical_or(b.equal(k, b.lit(0, k)), b.equal(b.add(k, k), length))
    counts = b.cast(b.where(alone, b.lit(1, k), b.lit(factor, k)), t.code)
    axes = tuple(a for a in range(t.ndim) if a != axis)
    return b.mul(x, b.expand_dims(counts, axes=axes) if axes else counts)
