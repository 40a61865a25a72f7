"""Order: the permutation that sorts, sorted values, positions in a sorted array.

In: one operand and the axis along which it is sorted. Out: the permutation (int64), or the elements in order.
Holds: sorting is stable, NaN comes last, complex numbers go by real and then imaginary part. A permutation is found
once and saved for derivatives, never found again: near a tie two engines may find different ones.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any, final

import numpy as np

from nbgraph.errors import BoundsError, DtypeError, ShapeError
from nbgraph.kinds import REAL, Kernel
from nbgraph.op import Op, Sample, Sizes, sample_array
from nbgraph.types import Shape, Size, TensorType


class _Ordering(Kernel):
    """Works along one axis, which keeps its size."""

    params = ("axis",)
    axis: int

    @classmethod
    def bind(cls, types: Sequence[TensorType], **kwargs: Any) -> tuple[Op, Shape]:
        ndim, axis = types[0].ndim, kwargs["axis"]
        if not -ndim <= axis < ndim:
            wanted = f"-{ndim} <= axis < {ndim}"
            raise BoundsError("axis is out of range", operation=cls.name, position=0, got=axis, wanted=wanted)
        return cls(int(axis) % ndim), ()

    def workspace(self, ins: Sequence[TensorType], sizes: Shape) -> Size:
        from nbgraph_kernels.sizes import sort_workspace

        return sort_workspace(ins[0].code, ins[0].shape[self.axis])  # type: ignore[no-any-return]

    def lower(self, lw: Any, ins: Sequence[Any], outs: Sequence[Any], sizes: Shape) -> None:
        (x,), (out,) = ins, outs
        shape = x.type.shape
        outer, inner = math.prod(shape[: self.axis]), math.prod(shape[self.axis + 1 :])
        scratch = lw.workspace(self.workspace([x.type], sizes))
        lw.call(self.name, x.type.code, out.address, x.address, outer, shape[self.axis], inner, scratch)

    @classmethod
    def samples(cls, code: str, rng: np.random.Generator) -> Iterable[Sample]:
        for shape, axis in (((5,), 0), ((3, 4), 0), ((3, 4), 1), ((2, 3, 4), 1), ((70,), 0), ((1, 4), 0), ((0, 3), 1)):
            apart = rng.permutation(math.prod(shape)).reshape(shape) / 10 - 2  # no order that a difference changes
            x = sample_array(rng, code, shape)
            yield Sample(cls(axis), ((apart + 1j * x.imag if code[0] == "c" else apart).astype(code),))
        yield Sample(cls(1), (np.array([[1, 0, 1], [0, 0, 0]], code),), smooth=False)
        if code[0] in "fc":
            special = np.array([[1, np.nan, -2], [np.nan, -np.inf, 0]], code)
            yield Sample(cls(1), (special,), smooth=False)


@final
class Argsort(_Ordering):
    """The stable permutation that sorts, int64."""

    name = "argsort"
    kernel = "argsort"
    unique = False

    def infer(self, cx: Sizes, ins: Sequence[TensorType], sizes: Shape) -> TensorType:
        return ins[0].with_code("i8")

    def reference(self, ins: Sequence[Any], sizes: tuple[int, ...]) -> Any:
        return np.argsort(ins[0], axis=self.axis, kind="stable")

    def linearize(self, b: Any, ins: Any, outs: Any, tangents: Any, sizes: Shape) -> Any:
        return None


@final
class Sort(_Ordering):
    """The elements in order. Its derivative finds the permutation; who needs both records `argsort` and `gather`."""

    name = "sort"
    kernel = "sort"

    def infer(self, cx: Sizes, ins: Sequence[TensorType], sizes: Shape) -> TensorType:
        return ins[0]

    def reference(self, ins: Sequence[Any], sizes: tuple[int, ...]) -> Any:
        return np.sort(ins[0], axis=self.axis)

    def linearize(self, b: Any, ins: Any, outs: Any, tangents: Any, sizes: Shape) -> Any:
        return b.gather(tangents[0], b.argsort(ins[0], axis=self.axis), axis=self.axis, along=True)


@final
class SearchSorted(Kernel):
    """How many elements of an ascending vector are less than a value ("left"), or not greater ("right")."""

    name = "searchsorted"
    kernel = "searchsorted"
    params = ("side",)
    side: str
    unique = False

    def infer(self, cx: Sizes, ins: Sequence[TensorType], sizes: Shape) -> TensorType:
        a, v = ins
        for position, t in enumerate(ins):
            if t.code != a.code or t.code not in REAL.split():
                raise DtypeError("unsupported dtype", operation=self.name, position=position, got=t.dtype, wanted=REAL)
        if a.ndim != 1:
            raise ShapeError("wrong rank", operation=self.name, position=0, got=a.shape, wanted="one dimension")
        return v.with_code("i8")

    def reference(self, ins: Sequence[Any], sizes: tuple[int, ...]) -> Any:
        return np.searchsorted(ins[0], ins[1], side=self.side)  # type: ignore[call-overload]

    def lower(self, lw: Any, ins: Sequence[Any], outs: Sequence[Any], sizes: Shape) -> None:
        (a, v), (out,) = ins, outs
        count, right = math.prod(v.type.shape), int(self.side == "right")
        lw.call(self.name, a.type.code, out.address, a.address, v.address, a.type.shape[0], count, right)

    def linearize(self, b: Any, ins: Any, outs: Any, tangents: Any, sizes: Shape) -> Any:
        return None

    @classmethod
    def samples(cls, code: str, rng: np.random.Generator) -> Iterable[Sample]:
        if code in REAL.split():
            for n, shape in ((5, (7,)), (1, (2, 3)), (0, (3,)), (4, ()), (3, (0,))):
                for side in ("left", "right"):
                    a, v = (np.rint(sample_array(rng, code, s)).astype(code) for s in ((n,), shape))
                    yield Sample(cls(side), (np.sort(a), v), smooth=False)
