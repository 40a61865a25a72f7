"""Recurrences along an axis: cumsum, cumprod, where the running extremum is, y_i = a_i y_(i-1) + x_i; and convolution.

In: operands of one shape and the axis; `reverse` goes through it from its end (both are structure).
Out: as many elements. Holds: the derivative of `cumprod` is a recurrence, and that of a recurrence is one; so both are
exact to every order, zeros included. Adjoints go the other way.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any, ClassVar, final

import numpy as np

from nbgraph.errors import BoundsError, DtypeError, ShapeError
from nbgraph.kinds import INEXACT, NUMERIC, REAL, Kernel
from nbgraph.op import Op, Sample, Sizes, sample_array
from nbgraph.types import Shape, Size, TensorType

_CASES: tuple[tuple[tuple[int, ...], int], ...] = (
    ((5,), 0),
    ((3, 4), 0),
    ((3, 4), 1),
    ((2, 3, 4), 1),
    ((1, 4), 0),
    ((0, 3), 1),
    ((3, 0), 1),
)


class _Along(Kernel):
    """One axis, gone through forwards or in reverse."""

    params = ("axis", "reverse")
    axis: int
    reverse: bool
    codes: ClassVar[str] = NUMERIC

    @classmethod
    def bind(cls, types: Sequence[TensorType], **kwargs: Any) -> tuple[Op, Shape]:
        ndim, axis = types[0].ndim, kwargs["axis"]
        if not -ndim <= axis < ndim:
            wanted = f"-{ndim} <= axis < {ndim}"
            raise BoundsError("axis is out of range", operation=cls.name, position=0, got=axis, wanted=wanted)
        return cls(int(axis) % ndim, kwargs.get("reverse", False)), ()

    def infer(self, cx: Sizes, ins: Sequence[TensorType], sizes: Shape) -> TensorType:
        if ins[0].code not in self.codes.split():
            raise DtypeError("unsupported dtype", operation=self.name, position=0, got=ins[0].dtype, wanted=self.codes)
        return ins[0]

    def lower(self, lw: Any, ins: Sequence[Any], outs: Sequence[Any], sizes: Shape) -> None:
        shape = ins[-1].type.shape
        outer, inner = math.prod(shape[: self.axis]), math.prod(shape[self.axis + 1 :])
        addresses = [a.address for a in (*outs, *ins)]
        lw.call(self.name, ins[-1].type.code, *addresses, outer, shape[self.axis], inner, int(self.reverse))

    def _turned(self, x: Any) -> Any:
        """The array in the order in which the axis is gone through; its own inverse."""
        return np.flip(x, self.axis) if self.reverse else x

    @classmethod
    def samples(cls, code: str, rng: np.random.Generator) -> Iterable[Sample]:
        if code in cls.codes.split():
            for shape, axis in _CASES:
                for reverse in (False, True):
                    yield Sample(cls(axis, reverse), (sample_array(rng, code, shape),))


@final
class CumSum(_Along):
    """Sums of the elements so far."""

    name = "cumsum"
    kernel = "cumsum"

    def reference(self, ins: Sequence[Any], sizes: tuple[int, ...]) -> Any:
        return self._turned(np.cumsum(self._turned(ins[0]), axis=self.axis, dtype=ins[0].dtype))

    def linearize(self, b: Any, ins: Any, outs: Any, tangents: Any, sizes: Shape) -> Any:
        return b.emit(self, tangents[0])

    def transpose(self, b: Any, ct: Any, ins: Any, active: Sequence[bool], sizes: Shape) -> Any:
        return (b.emit(CumSum(self.axis, not self.reverse), ct),)


@final
class CumProd(_Along):
    """Products of the elements so far."""

    name = "cumprod"
    kernel = "cumprod"

    def reference(self, ins: Sequence[Any], sizes: tuple[int, ...]) -> Any:
        return self._turned(np.cumprod(self._turned(ins[0]), axis=self.axis, dtype=ins[0].dtype))

    def linearize(self, b: Any, ins: Any, outs: Any, tangents: Any, sizes: Shape) -> Any:
        # p_i = x_i p_(i-1), so dp_i = x_i dp_(i-1) + dx_i p_(i-1), with p_(-1) = 1.
        before = _shifted(b, outs[0], self.axis, self.reverse, b.lit(1, outs[0]))
        return b.recurrence(ins[0], b.mul(tangents[0], before), axis=self.axis, reverse=self.reverse)

    @classmethod
    def samples(cls, code: str, rng: np.random.Generator) -> Iterable[Sample]:
        yield from super().samples(code, rng)
        if code in INEXACT.split():
            yield Sample(cls(1, False), (np.array([[1, 0, 2, 3], [2, 0, 3, 0], [0, 2, 1, 2]], code),))


def _shifted(b: Any, x: Any, axis: int, reverse: bool, fill: Any) -> Any:
    """x one place on along the axis; the first place is filled."""
    shape = b.shape(x)
    edge = b.broadcast_to(fill, (*shape[:axis], 1, *shape[axis + 1 :]))
    longer = b.concatenate(x, edge, axis=axis) if reverse else b.concatenate(edge, x, axis=axis)
    return b.slice(longer, axis=axis, start=1 if reverse else 0, length=shape[axis])


@final
class Recurrence(_Along):
    """y_i = a_i y_(i-1) + x_i, from y_(-1) = 0; a's first element does not matter."""

    name = "recurrence"
    kernel = "recurrence"
    codes = INEXACT

    def infer(self, cx: Sizes, ins: Sequence[TensorType], sizes: Shape) -> TensorType:
        a, x = ins
        if a.code != x.code or a.ndim != x.ndim:
            raise ShapeError("operands differ", operation=self.name, position=1, got=x, wanted=a)
        for d, e in zip(a.shape, x.shape, strict=True):
            cx.same(d, e)
        return super().infer(cx, (x,), sizes)

    def reference(self, ins: Sequence[Any], sizes: tuple[int, ...]) -> Any:
        a, x = (np.moveaxis(self._turned(t), self.axis, 0) for t in ins)
        y = np.array(x)
        for i in range(1, len(y)):
            y[i] += a[i] * y[i - 1]
        return self._turned(np.moveaxis(y, 0, self.axis))

    def linearize(self, b: Any, ins: Any, outs: Any, tangents: Any, sizes: Shape) -> Any:
        da, dx = tangents
        if da is not None:
            before = _shifted(b, outs[0], self.axis, self.reverse, b.lit(0, outs[0]))
            dx = b.add(dx, b.mul(da, before))
        return b.emit(self, ins[0], dx)

    def transpose(self, b: Any, ct: Any, ins: Any, active: Sequence[bool], sizes: Shape) -> Any:
        # The adjoint of y_i = a_i y_(i-1) + x_i is x'_i = conj(a_(i+1)) x'_(i+1) + y'_i.
        if active[0]:
            return super().transpose(b, ct, ins, active, sizes)
        after = _shifted(b, b.conj(ins[0]), self.axis, not self.reverse, b.lit(0, ct))
        return None, b.emit(Recurrence(self.axis, not self.reverse), after, ct)

    @classmethod
    def samples(cls, code: str, rng: np.random.Generator) -> Iterable[Sample]:
        for op, (x,), *_ in super().samples(code, rng):
            yield Sample(op, (sample_array(rng, code, x.shape), x))


class _RunningPosition(_Along):
    """Where the extremum so far is: the first of equals, the first NaN. Saved, never found again."""

    codes = REAL
    unique = False
    ufunc: ClassVar[Any]

    def infer(self, cx: Sizes, ins: Sequence[TensorType], sizes: Shape) -> TensorType:
        return super().infer(cx, ins, sizes).with_code("i8")

    def reference(self, ins: Sequence[Any], sizes: tuple[int, ...]) -> Any:
        x = np.moveaxis(self._turned(ins[0]), self.axis, 0)
        best = type(self).ufunc.accumulate(x, axis=0) if x.size else x
        # A new extremum is where the running one has changed; NaN changes once.
        new = (best[1:] != best[:-1]) & ~((best[1:] != best[1:]) & (best[:-1] != best[:-1]))
        steps = np.arange(1, len(x)).reshape(-1, *(1,) * (x.ndim - 1))
        found = np.zeros(x.shape, "i8")
        found[1:] = np.maximum.accumulate(np.where(new, steps, 0), axis=0) if len(x) > 1 else 0
        return self._turned(np.moveaxis(len(x) - 1 - found if self.reverse else found, 0, self.axis))

    def linearize(self, b: Any, ins: Any, outs: Any, tangents: Any, sizes: Shape) -> Any:
        return None

    @classmethod
    def samples(cls, code: str, rng: np.random.Generator) -> Iterable[Sample]:
        yield from super().samples(code, rng)
        if code in cls.codes.split():
            for reverse in (False, True):
                yield Sample(cls(1, reverse), (np.array([[1, 0, 1, 0], [0, 0, 1, 1]], code),))
                if code[0] == "f":
                    special = np.array([[1, np.nan, 2, np.nan], [-np.inf, np.inf, np.inf, 0]], code)
                    yield Sample(cls(1, reverse), (special,), smooth=False)


@final
class ArgCumMax(_RunningPosition):
    """Index of the largest element so far."""

    name = "argcummax"
    kernel = "argcummax"
    ufunc = np.maximum


@final
class ArgCumMin(_RunningPosition):
    """Index of the smallest element so far."""

    name = "argcummin"
    kernel = "argcummin"
    ufunc = np.minimum


@final
class Convolve(Kernel):
    """Elements of the convolution of two vectors: sum over j of a_j v_(start + k - j) for k < count.

    `one` says that count is literally 1. Sizes: start, which may be negative, and count unless it is `one`.
    """

    name = "convolve"
    kernel = "convolve"
    params = ("one",)
    one: bool

    @classmethod
    def bind(cls, types: Sequence[TensorType], **kwargs: Any) -> tuple[Op, Shape]:
        start, count = kwargs["start"], kwargs["count"]
        return cls(count == 1), (start,) if count == 1 else (start, count)

    def _count(self, sizes: Shape) -> Size:
        return 1 if self.one else sizes[1]

    def infer(self, cx: Sizes, ins: Sequence[TensorType], sizes: Shape) -> TensorType:
        for position, t in enumerate(ins):
            if t.ndim != 1:
                raise ShapeError("wrong rank", operation=self.name, position=position, got=t.shape, wanted="a vector")
            if t.code != ins[0].code or t.code not in NUMERIC.split():
                raise DtypeError("unsupported dtype", operation=self.name, position=position, got=t.dtype)
        return ins[0].with_shape((self._count(sizes),))

    def reference(self, ins: Sequence[Any], sizes: tuple[int, ...]) -> Any:
        (a, v), start, count = ins, sizes[0], 1 if self.one else sizes[1]
        out = np.zeros(count, a.dtype)
        if a.size and v.size:
            full = np.convolve(a, v)
            first, last = max(start, 0), min(start + count, full.size)
            if last > first:
                out[first - start : last - start] = full[first:last]
        return out

    def lower(self, lw: Any, ins: Sequence[Any], outs: Sequence[Any], sizes: Shape) -> None:
        (a, v), (out,) = ins, outs
        extents = a.type.shape[0], v.type.shape[0], sizes[0], self._count(sizes)
        lw.call(self.name, a.type.code, out.address, a.address, v.address, *extents)

    def linearize(self, b: Any, ins: Any, outs: Any, tangents: Any, sizes: Shape) -> Any:
        (a, v), (da, dv) = ins, tangents
        first = None if da is None else b.emit(self, da, v, sizes=sizes)
        return b.add(first, None if dv is None else b.emit(self, a, dv, sizes=sizes))

    def transpose(self, b: Any, ct: Any, ins: Any, active: Sequence[bool], sizes: Shape) -> Any:
        # a'_j = sum over k of y'_k conj(v_(start + k - j)): a convolution with v backwards, from m - 1 - start on.
        if active[0] and active[1]:
            return super().transpose(b, ct, ins, active, sizes)
        wanted, other = (0, 1) if active[0] else (1, 0)
        m, n = b.shape(ins[other])[0], b.shape(ins[wanted])[0]
        backwards = b.conj(b.flip(ins[other], axes=(0,)))
        made = b.convolve(ct, backwards, start=m - 1 - sizes[0], count=n)
        return (made, None) if active[0] else (None, made)

    @classmethod
    def samples(cls, code: str, rng: np.random.Generator) -> Iterable[Sample]:
        if code in NUMERIC.split():
            for n, m, start, count in (
                (5, 3, 0, 7),
                (3, 5, 2, 3),
                (4, 4, 3, 1),
                (2, 6, -2, 5),
                (3, 1, 1, 6),
                (3, 0, 0, 2),
            ):
                words = (start,) if count == 1 else (start, count)
                yield Sample(cls(count == 1), (sample_array(rng, code, (n,)), sample_array(rng, code, (m,))), words)
