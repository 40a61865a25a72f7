"""Gather and scatter: elements picked by integer arrays along an axis, and put back by them.

In: an operand, an index of int64 (negative ones count from the end), and for scatters what is put there.
Out: the elements; or the operand (for `scatter_add`: zeros; `add_at` has one) with them combined in, one after another.
Holds: `axis` and `along` are structure. Not `along`: the index is one-dimensional, and its size is that of the result
along `axis` (`take`). `along`: the index has the shape of the result (`take_along_axis`). An index out of bounds is
an error at run time, and nothing is written. `gather` and `scatter_add` are each other's adjoints.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any, ClassVar, final

import numpy as np

from nbgraph.errors import BoundsError, DtypeError, ShapeError
from nbgraph.kinds import ALL, INEXACT, NUMERIC, REAL, Kernel
from nbgraph.op import Op, Sample, Sizes, sample_array
from nbgraph.types import Shape, Size, TensorType

_FAILURE = "index is out of bounds"


def _failed(status: int) -> BoundsError:
    return BoundsError(_FAILURE, got=f"entry {status - 1} of the index", where="")


def _wrapped(index: Any, n: int) -> Any:
    """Nonnegative indices; `BoundsError` where one is out of bounds."""
    if not index.size or index.view(np.uint64).max() < n:  # the common case, by one reduction
        return index
    outside = (index < -n) | (index >= n)
    if np.any(outside):
        raise _failed(min(int(np.argmax(outside)) + 1, 2**24 - 1))
    return np.where(index < 0, index + n, index)


def _extents(shape: Shape, axis: int) -> tuple[Size, Size, Size]:
    """Elements before, along and behind an axis."""
    return math.prod(shape[:axis]), shape[axis], math.prod(shape[axis + 1 :])


class _Indexed(Kernel):
    """What all have in common: an index, and how it applies."""

    params: ClassVar[tuple[str, ...]] = ("axis", "along")
    axis: int
    along: bool
    fallible = True
    failure = _FAILURE
    codes: ClassVar[str] = ALL

    def failed(self, status: int) -> Exception:
        return _failed(status)

    @classmethod
    def bind(cls, types: Sequence[TensorType], **kwargs: Any) -> tuple[Op, Shape]:
        return cls(kwargs.get("axis", 0), kwargs.get("along", False)), ()

    def _check(self, x: TensorType, index: TensorType) -> None:
        if x.code not in self.codes.split():
            raise DtypeError("unsupported dtype", operation=self.name, position=0, got=x.dtype, wanted=self.codes)
        if index.code != "i8":
            raise DtypeError("not an index", operation=self.name, position=1, got=index.dtype, wanted="int64")
        rank = x.ndim if self.along else 1
        if index.ndim != rank or not 0 <= self.axis < x.ndim:
            wanted = f"{rank} dimensions"
            raise ShapeError("wrong rank", operation=self.name, position=1, got=index.shape, wanted=wanted)

    def _picked(self, cx: Sizes, x: TensorType, index: TensorType) -> Shape:
        """The shape of the elements picked from x."""
        self._check(x, index)
        if not self.along:
            return (*x.shape[: self.axis], index.shape[0], *x.shape[self.axis + 1 :])
        pairs = enumerate(zip(x.shape, index.shape, strict=True))
        return tuple(e if a == self.axis else _common(cx, self.name, d, e, index) for a, (d, e) in pairs)

    def _strides(self, picked: Shape, index: TensorType) -> tuple[Size, ...]:
        """Strides of the index along the picked elements before, along and behind the axis; its size."""
        _, m, inner = _extents(picked, self.axis)
        count = math.prod(index.shape)
        if not self.along:
            return 0, 1, 0, count
        return m * inner, inner, 0 if inner == 1 else 1, count

    def _numpy(self, x: Any, index: Any) -> tuple[Any, ...]:
        """The index for NumPy; raises where it is out of bounds."""
        at = _wrapped(index, x.shape[self.axis])
        grid: list[Any] = [slice(None)] * x.ndim
        if self.along:
            grid = list(np.ogrid[tuple(slice(d) for d in index.shape)])
        grid[self.axis] = at
        return tuple(grid)

    def _spread_mask(self, b: Any, mask: Any, like: Any) -> Any:
        """A mask over a one-dimensional index, over the elements picked by it."""
        if self.along:
            return mask
        axes = tuple(a for a in range(b.type(like).ndim) if a != self.axis)
        return b.expand_dims(mask, axes=axes) if axes else mask


def _common(cx: Sizes, name: str, d: Size, e: Size, index: TensorType) -> Size:
    if (d == 1) == (e == 1):
        try:
            return cx.same(d, e)
        except ShapeError:
            pass
    wanted = f"size {d} in place of {e}"
    raise ShapeError("index does not fit", operation=name, position=1, got=index.shape, wanted=wanted)


@final
class Gather(_Indexed):
    """x[..., index, ...] along `axis`."""

    name = "gather"
    kernel = "gather"

    def infer(self, cx: Sizes, ins: Sequence[TensorType], sizes: Shape) -> TensorType:
        return ins[0].with_shape(self._picked(cx, *ins))

    def reference(self, ins: Sequence[Any], sizes: tuple[int, ...]) -> Any:
        x, index = ins
        if self.along:
            return x[self._numpy(x, index)]
        return np.take(
            x, _wrapped(index, x.shape[self.axis]), self.axis, mode="wrap" if x.shape[self.axis] else "raise"
        )

    def lower(self, lw: Any, ins: Sequence[Any], outs: Sequence[Any], sizes: Shape) -> None:
        (x, index), (out,) = ins, outs
        outer, n, _ = _extents(x.type.shape, self.axis)
        _, m, inner = _extents(out.type.shape, self.axis)
        strides = self._strides(out.type.shape, index.type)
        lw.call(self.name, x.type.code, out.address, x.address, index.address, outer, n, m, inner, *strides)

    def linearize(self, b: Any, ins: Any, outs: Any, tangents: Any, sizes: Shape) -> Any:
        return b.emit(self, tangents[0], ins[1])

    def transpose(self, b: Any, ct: Any, ins: Any, active: Sequence[bool], sizes: Shape) -> Any:
        n = b.shape(ins[0])[self.axis]
        return b.scatter_add(ins[1], ct, axis=self.axis, along=self.along, n=n), None

    @classmethod
    def samples(cls, code: str, rng: np.random.Generator) -> Iterable[Sample]:
        for op, x, index, _ in _cases(cls, code, rng):
            yield Sample(op, (x, index))


def _cases(cls: Any, code: str, rng: np.random.Generator) -> Iterable[tuple[Op, Any, Any, Any]]:
    """Operations, operands, indices with repetitions and negative ones, and what may be put there."""
    if code not in cls.codes.split():
        return
    for shape, axis, along, wanted in (
        ((5,), 0, False, (7,)),
        ((4, 3), 0, False, (2,)),
        ((3, 4), 1, False, (5,)),
        ((2, 5, 3), 1, False, (4,)),
        ((4, 3), 0, True, (6, 3)),
        ((2, 4), 1, True, (2, 3)),
        ((2, 4, 3), 1, True, (2, 2, 3)),
        ((3,), 0, False, (1,)),
        ((1, 3), 0, False, (4,)),
        ((3, 2), 0, False, (0,)),
        ((0, 2), 1, False, (3,)),
        ((0,), 0, False, (0,)),
    ):
        n = shape[axis]
        index = rng.integers(-n, n, wanted) if n else np.empty(wanted, "i8")
        picked = wanted if along else (*shape[:axis], *wanted, *shape[axis + 1 :])
        yield cls(axis, along), sample_array(rng, code, shape), index, sample_array(rng, code, picked)


class _Scatter(_Indexed):
    """Takes a base, an index, and what is combined into the base there, by `ufunc`."""

    ufunc: ClassVar[Any] = None

    def reference(self, ins: Sequence[Any], sizes: tuple[int, ...]) -> Any:
        x, index, u = ins
        out = np.array(x)
        type(self).ufunc.at(out, self._numpy(out, index), u)
        return out

    def infer(self, cx: Sizes, ins: Sequence[TensorType], sizes: Shape) -> TensorType:
        x, index, u = ins
        picked = self._picked(cx, x, index)
        if u.code != x.code:
            raise DtypeError("dtypes differ", operation=self.name, position=2, got=u.dtype, wanted=x.dtype)
        if u.ndim != x.ndim:
            raise ShapeError("ranks differ", operation=self.name, position=2, got=u.shape, wanted=picked)
        for d, e in zip(picked, u.shape, strict=True):
            _common(cx, self.name, d, e, u)
        return x

    def lower(self, lw: Any, ins: Sequence[Any], outs: Sequence[Any], sizes: Shape) -> None:
        (x, index, u), (out,) = ins, outs
        self._call(lw, out, x.address, index, u)

    def _call(self, lw: Any, out: Any, base: str, index: Any, u: Any) -> None:
        outer, n, _ = _extents(out.type.shape, self.axis)
        _, m, inner = _extents(u.type.shape, self.axis)
        strides = self._strides(u.type.shape, index.type)
        addresses = out.address, base, index.address, u.address
        lw.call(self.kernel, out.type.code, *addresses, outer, n, m, inner, *strides)

    @classmethod
    def samples(cls, code: str, rng: np.random.Generator) -> Iterable[Sample]:
        for op, x, index, u in _cases(cls, code, rng):
            yield Sample(op, (x, index, u))


@final
class ScatterAdd(_Scatter):
    """Zeros of size n along `axis`, with u added at the index: the adjoint of `gather`.

    `one` says that n is literally 1; otherwise it is the one size.
    """

    name = "scatter_add"
    kernel = "scatter_add"
    params: ClassVar[tuple[str, ...]] = ("axis", "along", "one")
    one: bool
    codes = NUMERIC

    @classmethod
    def bind(cls, types: Sequence[TensorType], **kwargs: Any) -> tuple[Op, Shape]:
        n = kwargs["n"]
        return cls(kwargs.get("axis", 0), kwargs.get("along", False), n == 1), () if n == 1 else (n,)

    def infer(self, cx: Sizes, ins: Sequence[TensorType], sizes: Shape) -> TensorType:
        index, u = ins
        n = 1 if self.one else sizes[0]
        x = u.with_shape((*u.shape[: self.axis], n, *u.shape[self.axis + 1 :]))
        return super().infer(cx, (x, index, u), sizes)

    def reference(self, ins: Sequence[Any], sizes: tuple[int, ...]) -> Any:
        index, u = ins
        out = np.zeros((*u.shape[: self.axis], 1 if self.one else sizes[0], *u.shape[self.axis + 1 :]), u.dtype)
        np.add.at(out, self._numpy(out, index), u)
        return out

    def lower(self, lw: Any, ins: Sequence[Any], outs: Sequence[Any], sizes: Shape) -> None:
        (index, u), (out,) = ins, outs
        self._call(lw, out, "0", index, u)

    def linearize(self, b: Any, ins: Any, outs: Any, tangents: Any, sizes: Shape) -> Any:
        return b.emit(self, ins[0], tangents[1], sizes=sizes)

    def transpose(self, b: Any, ct: Any, ins: Any, active: Sequence[bool], sizes: Shape) -> Any:
        return None, b.emit(Gather(self.axis, self.along), ct, ins[0])

    @classmethod
    def samples(cls, code: str, rng: np.random.Generator) -> Iterable[Sample]:
        if code in cls.codes.split():
            for op, x, index, u in _cases(Gather, code, rng):
                n = x.shape[op.axis]  # type: ignore[attr-defined]
                yield Sample(cls(*op._values, n == 1), (index, u), () if n == 1 else (n,))


@final
class AddAt(_Scatter):
    """x with u added to its elements at the index, one after another, as `numpy.add.at` does."""

    name = "add_at"
    kernel = "scatter_add"
    codes = NUMERIC
    ufunc = np.add

    def linearize(self, b: Any, ins: Any, outs: Any, tangents: Any, sizes: Shape) -> Any:
        (x, index, _), (dx, _, du) = ins, tangents
        if dx is None:
            return b.scatter_add(index, du, axis=self.axis, along=self.along, n=b.shape(x)[self.axis])
        return dx if du is None else b.emit(self, dx, index, du)

    def transpose(self, b: Any, ct: Any, ins: Any, active: Sequence[bool], sizes: Shape) -> Any:
        picked = b.gather(ct, ins[1], axis=self.axis, along=self.along) if active[2] else None
        return ct if active[0] else None, None, picked


@final
class ScatterSet(_Scatter):
    """x with u in place of the elements at the index; of equal indices the last one counts."""

    name = "scatter_set"
    kernel = "scatter_set"

    def reference(self, ins: Sequence[Any], sizes: tuple[int, ...]) -> Any:
        x, index, u = ins
        out = np.array(x)
        out[self._numpy(out, index)] = u
        return out

    def linearize(self, b: Any, ins: Any, outs: Any, tangents: Any, sizes: Shape) -> Any:
        dx, _, du = tangents
        dx = b.zeros(b.type(ins[0])) if dx is None else dx
        return b.emit(self, dx, ins[1], b.zeros(b.type(ins[2])) if du is None else du)

    def transpose(self, b: Any, ct: Any, ins: Any, active: Sequence[bool], sizes: Shape) -> Any:
        x, index, u = ins
        ct_x = b.emit(self, ct, index, b.zeros(b.type(u))) if active[0] else None
        if not active[2]:
            return ct_x, None, None
        picked = b.gather(ct, index, axis=self.axis, along=self.along)
        return ct_x, None, b.where(self._spread_mask(b, self._stays(b, x, index), u), picked, b.lit(0, picked))

    def _stays(self, b: Any, x: Any, index: Any) -> Any:
        """Whether an entry of the index is the last of its kind: it finds its own number where it was put."""
        axis = self.axis if self.along else 0
        shape, n = b.shape(index), b.shape(x)[self.axis]
        number = b.iota(n=shape[axis], code="i8")
        if self.along and len(shape) > 1:
            number = b.expand_dims(number, axes=tuple(a for a in range(len(shape)) if a != axis))
        number = b.broadcast_to(number, shape)
        base = TensorType("i8", (*shape[:axis], n, *shape[axis + 1 :]))
        numbers = b.scatter_set(b.zeros(base), index, number, axis=axis, along=self.along)
        return b.equal(b.gather(numbers, index, axis=axis, along=self.along), number)


@final
class ScatterMul(_Scatter):
    """x with its elements at the index multiplied by u.

    Derivatives up to third order are exact with any number of zeros in u; higher ones where at most two of the factors
    of an element are zero.
    """

    name = "scatter_mul"
    kernel = "scatter_mul"
    codes = NUMERIC
    ufunc = np.multiply

    def linearize(self, b: Any, ins: Any, outs: Any, tangents: Any, sizes: Shape) -> Any:
        # out = x P, P_i the product of the u_j at i; dP_i is the sum of du_j times the other factors at i.
        (x, index, u), (dx, _, du) = ins, tangents
        ones = b.broadcast_to(b.lit(1, x), b.shape(x))
        first = None if dx is None else b.mul(dx, b.emit(self, ones, index, u))
        if du is None:
            return first
        change = b.mul(du, self._others(b, ones, index, u))
        added = b.scatter_add(index, change, axis=self.axis, along=self.along, n=b.shape(x)[self.axis])
        return b.add(first, b.mul(x, added))

    def _others(self, b: Any, ones: Any, index: Any, u: Any) -> Any:
        """For each factor the product of the others at its place: that of those that are not zero, times that of the
        zeros, which is 0 but has derivatives."""
        how, n = {"axis": self.axis, "along": self.along}, b.shape(ones)[self.axis]
        zero, nothing = b.equal(u, b.lit(0, u)), b.lit(0, u)
        nonzero = b.where(zero, b.lit(1, u), u)
        product = b.gather(b.emit(self, ones, index, nonzero), index, **how)

        def of_others(own: Any) -> Any:
            return b.sub(b.gather(b.scatter_add(index, own, n=n, **how), index, **how), own)

        count, zeros = of_others(b.cast(zero, "i8")), b.where(zero, u, nothing)
        total, squares = of_others(zeros), of_others(b.mul(zeros, zeros))
        # The product of one number is their sum, that of two (sum^2 - sum of squares) / 2 (Newton's identities).
        pair = b.mul(b.sub(b.mul(total, total), squares), 0.5)
        value = nothing
        for k, power in ((2, pair), (1, total), (0, b.lit(1, u))):
            value = b.where(b.equal(count, b.lit(k, count)), power, value)
        return b.mul(b.div(product, nonzero), value)

    @classmethod
    def samples(cls, code: str, rng: np.random.Generator) -> Iterable[Sample]:
        for op, x, index, u in _cases(cls, code, rng):
            yield Sample(op, (x, index, u if code not in INEXACT.split() else u + 3 * np.sign(u.real).astype(code)))


class _ScatterExtremum(_Scatter):
    """NaN wins; ties share the derivative equally."""

    codes = REAL

    def linearize(self, b: Any, ins: Any, outs: Any, tangents: Any, sizes: Shape) -> Any:
        (x, index, u), (dx, _, du), (out,) = ins, tangents, outs
        how, code, n = {"axis": self.axis, "along": self.along}, b.type(x).code, b.shape(x)[self.axis]
        kept = b.cast(b.equal(x, out), code)
        put = b.cast(b.equal(u, b.gather(out, index, **how)), code)
        count = b.add(kept, b.scatter_add(index, put, n=n, **how))
        first = None if dx is None else b.mul(dx, kept)
        second = None if du is None else b.scatter_add(index, b.mul(du, put), n=n, **how)
        return b.div(b.add(first, second), count)


@final
class ScatterMax(_ScatterExtremum):
    """x with the larger of its elements at the index and u."""

    name = "scatter_max"
    kernel = "scatter_max"
    ufunc = np.maximum


@final
class ScatterMin(_ScatterExtremum):
    """x with the smaller of its elements at the index and u."""

    name = "scatter_min"
    kernel = "scatter_min"
    ufunc = np.minimum


@final
class RavelIndex(Kernel):
    """The indices i n + j of a dimension merged of two: i is an index in m, j one in n. Sizes: m, n."""

    name = "ravel_index"
    kernel = "ravel_index"
    fallible = True
    failure = _FAILURE

    def failed(self, status: int) -> Exception:
        return _failed(status)

    @classmethod
    def bind(cls, types: Sequence[TensorType], **kwargs: Any) -> tuple[Op, Shape]:
        return cls(), (kwargs["m"], kwargs["n"])

    def infer(self, cx: Sizes, ins: Sequence[TensorType], sizes: Shape) -> TensorType:
        i, j = ins
        for position, t in enumerate(ins):
            if t.code != "i8":
                raise DtypeError("not an index", operation=self.name, position=position, got=t.dtype, wanted="int64")
        if i.ndim != j.ndim:
            raise ShapeError("ranks differ", operation=self.name, position=1, got=j.shape, wanted=i.shape)
        return i.with_shape(tuple(_common(cx, self.name, d, e, j) for d, e in zip(i.shape, j.shape, strict=True)))

    def reference(self, ins: Sequence[Any], sizes: tuple[int, ...]) -> Any:
        m, n = sizes
        return _wrapped(ins[0], m) * n + _wrapped(ins[1], n)

    def lower(self, lw: Any, ins: Sequence[Any], outs: Sequence[Any], sizes: Shape) -> None:
        (i, j), (out,) = ins, outs
        lw.call(self.name, "i8", out.address, i.address, j.address, math.prod(i.type.shape), *sizes)

    def linearize(self, b: Any, ins: Any, outs: Any, tangents: Any, sizes: Shape) -> Any:
        return None

    @classmethod
    def samples(cls, code: str, rng: np.random.Generator) -> Iterable[Sample]:
        if code == "i8":
            for shape, m, n in (((4,), 3, 2), ((2, 3), 1, 5), ((), 2, 2), ((0,), 3, 3), ((1, 2), 4, 1)):
                yield Sample(cls(), (rng.integers(-m, m, shape), rng.integers(-n, n, shape)), (m, n))
