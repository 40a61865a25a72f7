"""Reductions: sum, prod, max, min, any, all, mean, argmax, argmin.

In: one operand and the axes to reduce (`axes`, sorted and nonnegative; `bind` takes NumPy's `axis`).
Out: the operand without those axes; NumPy's result dtypes (sums of booleans and int32 are int64).
Derivatives: ties of max and min share equally; `prod` is exact to second order with any number of zeros.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any, ClassVar, final

import numpy as np

from nbgraph.errors import BoundsError, DtypeError, ShapeError
from nbgraph.kinds import INEXACT, REAL, Kernel, Reduction
from nbgraph.op import Expression, Op, Sample, Sizes, sample_array
from nbgraph.types import DTYPES, Shape, Size, TensorType
from nbgraph_kernels.locks import cached_property

_WIDER = {"b1": "i8", "i4": "i8"}
_CASES: tuple[tuple[tuple[int, ...], tuple[int, ...]], ...] = (
    ((3, 4), (0, 1)),
    ((3, 4), (1,)),
    ((2, 3, 4), (0, 2)),
    ((), ()),
    ((3,), ()),
    ((1, 4), (0,)),
    ((4, 1), (0,)),
    ((0, 3), (1,)),
)


def _axes(name: str, ndim: int, axis: Any) -> tuple[int, ...]:
    """Sorted nonnegative axes for NumPy's `axis`: an int, a tuple, or None for all."""
    given = range(ndim) if axis is None else axis if isinstance(axis, tuple | list | range) else (axis,)
    for a in given:
        if not -ndim <= a < ndim:
            wanted = f"-{ndim} <= axis < {ndim}"
            raise BoundsError("axis is out of range", operation=name, position=0, got=a, wanted=wanted)
    axes = tuple(sorted(int(a) % ndim for a in given))
    if len(set(axes)) != len(axes):
        raise ShapeError("an axis occurs twice", operation=name, position=0, got=axis, wanted="each axis once")
    return axes


def _spread(b: Any, x: Any, axes: tuple[int, ...], shape: Shape) -> Any:
    """A reduced value repeated along the axes that were reduced."""
    return b.broadcast_to(b.expand_dims(x, axes=axes) if axes else x, shape)


def _count(shape: Shape, axes: tuple[int, ...]) -> Size:
    """How many elements meet in one result."""
    count: Size = 1
    for a in axes:
        count = count * shape[a]
    return count


def _check_any(name: str, shape: Shape, axes: tuple[int, ...]) -> None:
    """Raises where there is nothing to choose from."""
    if any(shape[a] == 0 for a in axes):
        wanted = f"at least one element along axes {axes}"
        raise ShapeError("there is nothing to choose from", operation=name, position=0, got=shape, wanted=wanted)


class _Reduction(Reduction):
    """A reduction given by a NumPy ufunc."""

    ufunc: ClassVar[Any]

    @classmethod
    def bind(cls, types: Sequence[TensorType], **kwargs: Any) -> tuple[Op, Shape]:
        axis = kwargs["axes"] if "axes" in kwargs else kwargs.get("axis")
        return cls(_axes(cls.name, types[0].ndim, axis)), ()

    def reference(self, ins: Sequence[Any], sizes: tuple[int, ...]) -> Any:
        x = ins[0]
        return type(self).ufunc.reduce(x, self.axes, self._result_dtype(x.dtype))

    def expression(self, types: Sequence[TensorType]) -> Expression | None:
        named = {"reduce": type(self).ufunc.reduce, "axes": self.axes, "dtype": self._result_dtype(types[0].dtype)}
        return Expression("{reduce}({0}, {axes}, {dtype})", named)

    @cached_property
    def _dtypes(self) -> dict[Any, Any]:
        return {}

    def _result_dtype(self, dtype: Any) -> Any:
        found = self._dtypes.get(dtype)
        if found is None:
            found = self._dtypes[dtype] = np.dtype(self.result_code(dtype.str[1:]))
        return found

    def expand(self, b: Any, ins: Any, sizes: Shape) -> Any:
        """Along no axes every element is by itself."""
        return None if self.axes else b.cast(ins[0], self.result_code(b.type(ins[0]).code))

    @classmethod
    def samples(cls, code: str, rng: np.random.Generator) -> Iterable[Sample]:
        if code in cls.codes.split():
            for shape, axes in _CASES:
                yield Sample(cls(axes), (sample_array(rng, code, shape),))


@final
class Sum(_Reduction):
    """The sum; of booleans and int32 it is int64."""

    name = "sum"
    mergeable = True
    ufunc = np.add

    def result_code(self, code: str) -> str:
        return _WIDER.get(code, code)

    def initial(self, code: str) -> str:
        return f"{DTYPES[self.result_code(code)].name}(0)"

    def combine(self, code: str, acc: str, x: str) -> str:
        return f"plus({acc}, {x})"

    def linearize(self, b: Any, ins: Any, outs: Any, tangents: Any, sizes: Shape) -> Any:
        return b.emit(self, tangents[0])

    def transpose(self, b: Any, ct: Any, ins: Any, active: Sequence[bool], sizes: Shape) -> Any:
        return (_spread(b, ct, self.axes, b.shape(ins[0])),)

    @classmethod
    def samples(cls, code: str, rng: np.random.Generator) -> Iterable[Sample]:
        yield from super().samples(code, rng)
        yield Sample(cls((0,)), (sample_array(rng, code, (0, 3)),))


@final
class Prod(_Reduction):
    """The product; of booleans and int32 it is int64. Its derivative is exact where elements are zero."""

    name = "prod"
    ufunc = np.multiply

    def result_code(self, code: str) -> str:
        return _WIDER.get(code, code)

    def initial(self, code: str) -> str:
        return f"{DTYPES[self.result_code(code)].name}(1)"

    def combine(self, code: str, acc: str, x: str) -> str:
        return f"({acc} * {x})" if code[0] == "c" else f"times({acc}, {x})"

    def linearize(self, b: Any, ins: Any, outs: Any, tangents: Any, sizes: Shape) -> Any:
        others = b.prod_others(ins[0], axes=self.axes)
        return b.sum(b.mul(tangents[0], others), axes=self.axes)

    @classmethod
    def samples(cls, code: str, rng: np.random.Generator) -> Iterable[Sample]:
        yield from super().samples(code, rng)
        yield Sample(cls((0,)), (sample_array(rng, code, (0, 3)),))
        for x in _with_zeros(code, rng):
            yield Sample(cls((1,)), (x,))
            yield Sample(cls((0, 1)), (x,))


def _with_zeros(code: str, rng: np.random.Generator) -> Iterable[np.ndarray[Any, Any]]:
    """Rows with no, one, two and four zeros."""
    x = sample_array(rng, code, (4, 4), 0.5, 2.0)
    x[1, 2] = x[2, 0] = x[2, 3] = 0
    x[3] = 0
    yield x
    y = sample_array(rng, code, (1, 3), 0.5, 2.0)
    y[0, 1] = 0
    yield y


@final
class ProdOthers(Op):
    """For each element the product of all others along `axes`: the derivative of `prod`.

    With u = x where it is not zero and 1 elsewhere, p the product of u, and r_i the number of zeros besides
    i, it is p/u_i where r_i = 0, else 0. Its own derivative is exact too; derivatives of higher orders (the
    third of `prod`) are exact where no element is zero.
    """

    name = "prod_others"
    params = ("axes",)
    axes: tuple[int, ...]

    @classmethod
    def bind(cls, types: Sequence[TensorType], **kwargs: Any) -> tuple[Op, Shape]:
        return cls(_axes(cls.name, types[0].ndim, kwargs["axes"])), ()

    def infer(self, cx: Sizes, ins: Sequence[TensorType], sizes: Shape) -> TensorType:
        if not ins[0].inexact:
            raise DtypeError("unsupported dtype", operation=self.name, position=0, got=ins[0].dtype, wanted=INEXACT)
        return ins[0]

    def reference(self, ins: Sequence[Any], sizes: tuple[int, ...]) -> Any:
        x = np.asarray(ins[0])
        zero = x == 0
        u = np.where(zero, x.dtype.type(1), x)
        p = np.prod(u, axis=self.axes, keepdims=True)
        rest = np.sum(zero, axis=self.axes, keepdims=True) - zero
        return np.where(rest == 0, p / u, x.dtype.type(0))

    def expand(self, b: Any, ins: Any, sizes: Shape) -> Any:
        (x,) = ins
        _, _, rest, ratio = self._pieces(b, x)
        return b.where(b.equal(rest, b.lit(0, rest)), ratio, b.lit(0, x))

    def _pieces(self, b: Any, x: Any) -> tuple[Any, Any, Any, Any]:
        """Where x is zero, u, r and p/u."""
        shape = b.shape(x)
        zero = b.equal(x, b.lit(0, x))
        u = b.where(zero, b.lit(1, x), x)
        zeros = _spread(b, b.sum(zero, axes=self.axes), self.axes, shape)
        rest = b.sub(zeros, b.cast(zero, b.type(zeros).code))
        return zero, u, rest, b.div(_spread(b, b.prod(u, axes=self.axes), self.axes, shape), u)

    def linearize(self, b: Any, ins: Any, outs: Any, tangents: Any, sizes: Shape) -> Any:
        # The derivative of element i by x_k (k != i) is p/(u_i u_k) where no zero is left besides i and k:
        #   r_i = 0: p/u_i * (sum over nonzero k of dx_k/x_k, without i)
        #   r_i = 1: p/u_i * (sum over zero k of dx_k, without i)
        (x,), (dx,) = ins, tangents
        zero, u, rest, ratio = self._pieces(b, x)
        none = b.lit(0, x)
        regular, singular = b.where(zero, none, b.div(dx, u)), b.where(zero, dx, none)
        first, second = (
            b.sub(_spread(b, b.sum(t, axes=self.axes), self.axes, b.shape(x)), t) for t in (regular, singular)
        )
        chosen = b.where(b.equal(rest, b.lit(0, rest)), first, b.where(b.equal(rest, b.lit(1, rest)), second, none))
        return b.mul(ratio, chosen)

    @classmethod
    def samples(cls, code: str, rng: np.random.Generator) -> Iterable[Sample]:
        if code not in INEXACT.split():
            return
        for shape, axes in _CASES:
            yield Sample(cls(axes), (sample_array(rng, code, shape, 0.5, 2.0),))
        for x in _with_zeros(code, rng):
            # Here the second derivative of this operation would be the third of `prod`.
            yield Sample(cls((1,)), (x,), smooth=False)


class _Extremum(_Reduction):
    """NaN wins; ties share the derivative equally. There is no extremum of nothing."""

    codes = REAL
    exact = True
    step: ClassVar[str]
    logic: ClassVar[str]

    def infer(self, cx: Sizes, ins: Sequence[TensorType], sizes: Shape) -> TensorType:
        _check_any(self.name, ins[0].shape, self.axes)
        return super().infer(cx, ins, sizes)

    def combine(self, code: str, acc: str, x: str) -> str:
        if code == "b1":
            return f"({x} {self.logic} {acc})"
        return f"{self.step}({acc}, {x})"

    def linearize(self, b: Any, ins: Any, outs: Any, tangents: Any, sizes: Shape) -> Any:
        x = ins[0]
        chosen = b.equal(x, _spread(b, outs[0], self.axes, b.shape(x)))
        mask = b.cast(chosen, b.type(x).code)
        return b.div(b.sum(b.mul(tangents[0], mask), axes=self.axes), b.sum(mask, axes=self.axes))

    @classmethod
    def samples(cls, code: str, rng: np.random.Generator) -> Iterable[Sample]:
        yield from super().samples(code, rng)
        if code in cls.codes.split():
            tied = np.array([[1, 0, 1], [0, 0, 0]], code)
            yield Sample(cls((1,)), (tied,), smooth=False)
            if code[0] == "f":
                yield Sample(cls((1,)), (np.array([[1, np.nan, 2], [np.inf, -np.inf, 0]], code),), smooth=False)


@final
class Max(_Extremum):
    """The largest element."""

    name = "max"
    ufunc = np.maximum
    step, logic = "greatest", "|"

    def initial(self, code: str) -> str:
        if code == "b1":
            return "False"
        value = "-np.inf" if code[0] == "f" else str(np.iinfo(code).min)
        return f"{DTYPES[code].name}({value})"


@final
class Min(_Extremum):
    """The smallest element."""

    name = "min"
    ufunc = np.minimum
    step, logic = "least", "&"

    def initial(self, code: str) -> str:
        if code == "b1":
            return "True"
        value = "np.inf" if code[0] == "f" else str(np.iinfo(code).max)
        return f"{DTYPES[code].name}({value})"


class _Truth(_Reduction):
    """A boolean of the truth values of the elements."""

    def result_code(self, code: str) -> str:
        return "b1"


@final
class Any_(_Truth):
    """Whether some element is nonzero."""

    name = "any"
    ufunc = np.logical_or

    def initial(self, code: str) -> str:
        return "False"

    def combine(self, code: str, acc: str, x: str) -> str:
        return f"({acc} | ({x} != 0))"


@final
class All(_Truth):
    """Whether every element is nonzero."""

    name = "all"
    ufunc = np.logical_and

    def initial(self, code: str) -> str:
        return "True"

    def combine(self, code: str, acc: str, x: str) -> str:
        return f"({acc} & ({x} != 0))"


@final
class Mean(Op):
    """The arithmetic mean; of integers and booleans it is float64. Of no elements it is NaN."""

    name = "mean"
    params = ("axes",)
    axes: tuple[int, ...]

    @classmethod
    def bind(cls, types: Sequence[TensorType], **kwargs: Any) -> tuple[Op, Shape]:
        axis = kwargs["axes"] if "axes" in kwargs else kwargs.get("axis")
        return cls(_axes(cls.name, types[0].ndim, axis)), ()

    def infer(self, cx: Sizes, ins: Sequence[TensorType], sizes: Shape) -> TensorType:
        (x,) = ins
        kept = tuple(d for axis, d in enumerate(x.shape) if axis not in self.axes)
        return TensorType(x.code if x.inexact else "f8", kept)

    def reference(self, ins: Sequence[Any], sizes: tuple[int, ...]) -> Any:
        x = np.asarray(ins[0])
        dtype = x.dtype if x.dtype.kind in "fc" else np.dtype("f8")
        # Not np.mean: it warns of empty slices in a way that errstate cannot silence.
        count = dtype.type(math.prod(x.shape[a] for a in self.axes))
        return np.true_divide(np.add.reduce(x, axis=self.axes, dtype=dtype), count)

    def expand(self, b: Any, ins: Any, sizes: Shape) -> Any:
        t = b.type(ins[0])
        total = b.sum(b.cast(ins[0], t.code if t.inexact else "f8"), axes=self.axes)
        return self._over_count(b, total, t.shape)

    def _over_count(self, b: Any, x: Any, shape: Shape) -> Any:
        return b.div(x, b.size_value(code=b.type(x).code, n=_count(shape, self.axes)))

    def linearize(self, b: Any, ins: Any, outs: Any, tangents: Any, sizes: Shape) -> Any:
        return b.emit(self, tangents[0])

    def transpose(self, b: Any, ct: Any, ins: Any, active: Sequence[bool], sizes: Shape) -> Any:
        shape = b.shape(ins[0])
        return (_spread(b, self._over_count(b, ct, shape), self.axes, shape),)

    @classmethod
    def samples(cls, code: str, rng: np.random.Generator) -> Iterable[Sample]:
        for shape, axes in _CASES:
            yield Sample(cls(axes), (sample_array(rng, code, shape),))
        yield Sample(cls((0,)), (sample_array(rng, code, (0, 3)),), smooth=False)


class _Position(Kernel):
    """Index of the extremum along one axis: the first where there are several, the first NaN if there is one.

    Not unique: near a tie another engine may choose another index.
    """

    params = ("axis",)
    axis: int
    unique = False
    function: ClassVar[Any]

    @classmethod
    def bind(cls, types: Sequence[TensorType], **kwargs: Any) -> tuple[Op, Shape]:
        return cls(_axes(cls.name, types[0].ndim, kwargs["axis"])[0]), ()

    def infer(self, cx: Sizes, ins: Sequence[TensorType], sizes: Shape) -> TensorType:
        (x,) = ins
        kept = x.shape[: self.axis] + x.shape[self.axis + 1 :]
        _check_any(self.name, x.shape, (self.axis,))
        return TensorType("i8", kept)

    def reference(self, ins: Sequence[Any], sizes: tuple[int, ...]) -> Any:
        return type(self).function(ins[0], axis=self.axis)

    def lower(self, lw: Any, ins: Sequence[Any], outs: Sequence[Any], sizes: Shape) -> None:
        (x,), (out,) = ins, outs
        shape, axis = x.type.shape, self.axis
        outer = _count(shape, tuple(range(axis)))
        inner = _count(shape, tuple(range(axis + 1, len(shape))))
        lw.call(self.name, x.type.code, out.address, x.address, outer, shape[axis], inner)

    def linearize(self, b: Any, ins: Any, outs: Any, tangents: Any, sizes: Shape) -> Any:
        return None

    @classmethod
    def samples(cls, code: str, rng: np.random.Generator) -> Iterable[Sample]:
        for shape, axis in (((3, 4), 0), ((3, 4), 1), ((2, 3, 4), 1), ((5,), 0), ((0, 3), 1), ((1, 4), 0)):
            yield Sample(cls(axis), (sample_array(rng, code, shape),))
        yield Sample(cls(1), (np.array([[1, 0, 1], [0, 0, 0]], code),))
        if code[0] in "fc":
            yield Sample(cls(1), (np.array([[1, np.nan, 2], [np.nan, np.nan, 0]], code),))


@final
class ArgMax(_Position):
    """Index of the largest element along an axis, int64."""

    name = "argmax"
    kernel = "argmax"
    function = np.argmax


@final
class ArgMin(_Position):
    """Index of the smallest element along an axis, int64."""

    name = "argmin"
    kernel = "argmin"
    function = np.argmin
