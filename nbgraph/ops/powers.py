"""Powers 0, 1, ..., n - 1 of each element: the rows of Vandermonde matrices.

In: x[...]; the size n. Out: p[..., n].
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, final

import numpy as np

from nbgraph.errors import DtypeError, ShapeError
from nbgraph.kinds import NUMERIC, Kernel
from nbgraph.op import Op, Sample, Sizes, sample_array
from nbgraph.types import Shape, Size, TensorType


@final
class Powers(Kernel):
    """x^0, x^1, ..., x^(n - 1); `one` says that n is literally 1, else it is the size. 0^0 is 1."""

    name = "powers"
    kernel = "powers"
    params = ("one",)
    one: bool

    @classmethod
    def bind(cls, types: Sequence[TensorType], **kwargs: Any) -> tuple[Op, Shape]:
        n = kwargs["n"]
        return cls(n == 1), () if n == 1 else (n,)

    def infer(self, cx: Sizes, ins: Sequence[TensorType], sizes: Shape) -> TensorType:
        (x,), n = ins, self._count(sizes)
        if x.code not in NUMERIC.split():
            raise DtypeError("unsupported dtype", operation=self.name, position=0, got=x.dtype, wanted="numbers")
        if isinstance(n, int) and n < 0:
            raise ShapeError("negative size", operation=self.name, got=n, wanted="a size >= 0")
        return x.with_shape((*x.shape, n))

    def _count(self, sizes: Shape) -> Size:
        return 1 if self.one else sizes[0]

    def reference(self, ins: Sequence[Any], sizes: tuple[int, ...]) -> Any:
        (x,) = ins
        out = np.empty((*x.shape, self._count(sizes)), x.dtype)
        out[..., :1], out[..., 1:] = 1, x[..., None]
        return np.multiply.accumulate(out, axis=-1, dtype=x.dtype)

    def lower(self, lw: Any, ins: Sequence[Any], outs: Sequence[Any], sizes: Shape) -> None:
        (x,), (p,) = ins, outs
        count: Size = 1
        for d in x.type.shape:
            count = count * d
        lw.call("powers", x.type.code, p.address, x.address, count, p.type.shape[-1])

    def linearize(self, b: Any, ins: Any, outs: Any, tangents: Any, sizes: Shape) -> Any:
        # d x^k = k x^(k - 1) dx: the powers one place further, without a quotient.
        (x,), (p,), (dx,), n = ins, outs, tangents, self._count(sizes)
        last = b.type(x).ndim
        zero = b.zeros(b.type(x).with_shape((*b.shape(x), 1)))
        before = b.slice(b.concatenate(zero, p, axis=last), axis=last, start=0, length=n)
        exponents = b.iota(code=b.type(x).code, n=n)
        return b.mul(b.mul(before, exponents), b.expand_dims(dx, axes=(last,)))

    @classmethod
    def samples(cls, code: str, rng: np.random.Generator) -> Iterable[Sample]:
        if code in NUMERIC.split():
            for shape, n in (((3,), 4), ((2, 3), 2), ((), 3), ((3,), 0), ((0,), 3), ((1,), 5)):
                yield Sample(cls(False), (sample_array(rng, code, shape),), (n,))
            yield Sample(cls(True), (sample_array(rng, code, (3,)),))
            yield Sample(cls(False), (np.zeros(2, code),), (3,))
