"""Spectra without vectors: singular values, eigenvalues of Hermitian matrices.

In: a stack of matrices. Out: what LAPACK gives; a matrix that it cannot deal with is an error at run time.
Holds: vectors are made for derivatives alone, by the operations `svd` and `eigh`; the gradient is U diag(g) V^H. A
program that makes the vectors takes the values from there.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, final

import numpy as np

from nbgraph.dims import dim_min
from nbgraph.kinds import INEXACT, Kernel
from nbgraph.matrices import adjoint, count, matmul, order
from nbgraph.op import Op, Sample, Sizes, sample_array
from nbgraph.rectangular import excess, smaller
from nbgraph.types import Shape, Size, TensorType, type_of_array

_SHAPES = ((3, 3), (1, 1), (2, 3, 3), (2, 1, 2, 2), (0, 0), (0, 2, 2))


def _along(b: Any, u: Any, da: Any, v: Any) -> Any:
    """Re(u_i^H da v_i) for each pair of columns."""
    return b.sum(b.real(b.mul(b.conj(u), matmul(b, da, v))), axes=(b.type(u).ndim - 2,))


@final
class Svdvals(Kernel):
    """Singular values s[..., k], descending, of a[..., m, n], k = min(m, n).

    `tall` and `wide` are the guard of `nbgraph.rectangular`; `broadening` is that of `svd`, for second derivatives.
    Source: LAPACK xGESDD without vectors.
    """

    name = "svdvals"
    kernel = "svd"
    interprets = True
    failure = "the iteration did not converge; is there a NaN?"
    params = ("tall", "wide", "broadening")
    tall: bool
    wide: bool
    broadening: float
    fallible = True
    costly = True

    @classmethod
    def bind(cls, types: Sequence[TensorType], **kwargs: Any) -> tuple[Op, Shape]:
        return cls(*excess(cls.name, types[0], kwargs), float(kwargs.get("broadening", 0.0))), ()

    def infer(self, cx: Sizes, ins: Sequence[TensorType], sizes: Shape) -> TensorType:
        (a,) = ins
        return TensorType(a.real_code, (*a.shape[:-2], smaller(cx, self.name, a, self.tall, self.wide)))

    def reference(self, ins: Sequence[Any], sizes: tuple[int, ...]) -> Any:
        from nbgraph_kernels.references_factors import reference_svdvals  # scipy.linalg takes 0.1 s to import

        return reference_svdvals(ins[0])

    def workspace(self, ins: Sequence[TensorType], sizes: Shape) -> Size:
        from nbgraph_kernels.sizes_factors import svdvals_workspace

        m, n = ins[0].shape[-2:]
        return svdvals_workspace(ins[0].code, m, n, dim_min(m, n))  # type: ignore[no-any-return]

    def lower(self, lw: Any, ins: Sequence[Any], outs: Sequence[Any], sizes: Shape) -> None:
        (a,), (s,) = ins, outs
        scratch = lw.workspace(self.workspace([a.type], sizes))
        how = count(a.type.shape), *a.type.shape[-2:], s.type.shape[-1], 0, scratch
        lw.call("svd", a.type.code, s.address, s.address, s.address, a.address, *how)

    def part(self, b: Any, ins: Any, sizes: Shape) -> Any:
        return b.svd(*ins, tall=self.tall, wide=self.wide, broadening=self.broadening), 1

    def linearize(self, b: Any, ins: Any, outs: Any, tangents: Any, sizes: Shape) -> Any:
        u, _, vh = b.svd(*ins, tall=self.tall, wide=self.wide, broadening=self.broadening)
        return _along(b, u, tangents[0], adjoint(b, vh))

    @classmethod
    def samples(cls, code: str, rng: np.random.Generator) -> Iterable[Sample]:
        if code in INEXACT.split():
            for shape in (*_SHAPES, (4, 2), (2, 4), (3, 1), (2, 2, 3), (0, 2), (2, 0)):
                a = sample_array(rng, code, shape) + 2 * np.eye(*shape[-2:])
                a = a.astype(code)
                yield Sample(cls.bind([type_of_array(a)])[0], (a,))


@final
class Eigvalsh(Kernel):
    """Eigenvalues w[..., n], ascending, of Hermitian matrices a[..., n, n].

    Only the lower triangle is read; of a tangent only the Hermitian part acts. `broadening` is that of `eigh`, for
    second derivatives.
    Source: LAPACK xSYEVD, xHEEVD without vectors.
    """

    name = "eigvalsh"
    kernel = "eigvalsh"
    interprets = True
    failure = "the iteration did not converge; is there a NaN?"
    params = ("broadening",)
    broadening: float
    fallible = True
    costly = True

    @classmethod
    def bind(cls, types: Sequence[TensorType], **kwargs: Any) -> tuple[Op, Shape]:
        return cls(float(kwargs.get("broadening", 0.0))), ()

    def infer(self, cx: Sizes, ins: Sequence[TensorType], sizes: Shape) -> TensorType:
        (a,) = ins
        return TensorType(a.real_code, (*a.shape[:-2], order(cx, self.name, 0, a)))

    def reference(self, ins: Sequence[Any], sizes: tuple[int, ...]) -> Any:
        from nbgraph_kernels.references_factors import reference_eigvalsh

        return reference_eigvalsh(ins[0])

    def workspace(self, ins: Sequence[TensorType], sizes: Shape) -> Size:
        from nbgraph_kernels.sizes_factors import eigvalsh_workspace

        return eigvalsh_workspace(ins[0].code, ins[0].shape[-1])  # type: ignore[no-any-return]

    def lower(self, lw: Any, ins: Sequence[Any], outs: Sequence[Any], sizes: Shape) -> None:
        (a,), (w,) = ins, outs
        scratch = lw.workspace(self.workspace([a.type], sizes))
        lw.call("eigvalsh", a.type.code, w.address, a.address, count(a.type.shape), a.type.shape[-1], scratch)

    def part(self, b: Any, ins: Any, sizes: Shape) -> Any:
        return b.eigh(*ins, broadening=self.broadening), 0

    def linearize(self, b: Any, ins: Any, outs: Any, tangents: Any, sizes: Shape) -> Any:
        _, v = b.eigh(*ins, broadening=self.broadening)
        return _along(b, v, tangents[0], v)

    @classmethod
    def samples(cls, code: str, rng: np.random.Generator) -> Iterable[Sample]:
        if code in INEXACT.split():
            for shape in _SHAPES:
                x = sample_array(rng, code, shape)
                # Only the lower triangle is read: differences along other directions test no derivative.
                yield Sample(cls(0.0), ((x + np.swapaxes(x, -1, -2).conj()).astype(code),), smooth=False)
