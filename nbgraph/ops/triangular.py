"""Cholesky factors, and systems of equations with a triangular matrix.

In: operands with equal batch dimensions (the API broadcasts them and makes matrices of vectors).
Out: what LAPACK gives; a matrix that is not positive definite, or singular, is an error at run time, never a NaN
but in `cholesky_ex`.
Holds: one triangle is read; derivative rules use sizes as symbols alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, final

import numpy as np

from nbgraph import matrices
from nbgraph.kinds import INEXACT, Kernel
from nbgraph.matrices import adjoint, matmul
from nbgraph.op import Op, Sample, Sizes, sample_array
from nbgraph.types import Shape, TensorType


def _masked(b: Any, x: Any, compare: Any) -> Any:
    """x where its row and its column compare so, else 0."""
    return b.where(_compared(b, x, compare), x, b.lit(0, x))


def _compared(b: Any, x: Any, compare: Any) -> Any:
    n = b.shape(x)[-1]
    return compare(b.expand_dims(b.iota(code="i8", n=n), axes=(1,)), b.iota(code="i8", n=n))


@final
class Cholesky(Kernel):
    """Lower triangular l[..., n, n] with a positive diagonal and a = l l^H, for positive definite a[..., n, n].

    Only the lower triangle is read; of a tangent only the Hermitian part acts, so a gradient is Hermitian.
    Source: LAPACK xPOTRF.
    """

    name = "cholesky"
    kernel = "cholesky"
    failure = "not positive definite"
    fallible = True
    costly = True

    def infer(self, cx: Sizes, ins: Sequence[TensorType], sizes: Shape) -> TensorType:
        (a,) = ins
        n = matrices.order(cx, self.name, 0, a)
        return a.with_shape((*a.shape[:-2], n, n))

    def reference(self, ins: Sequence[Any], sizes: tuple[int, ...]) -> Any:
        from nbgraph_kernels.references_factors import reference_cholesky  # scipy.linalg takes 0.1 s to import

        return reference_cholesky(ins[0])

    def lower(self, lw: Any, ins: Sequence[Any], outs: Sequence[Any], sizes: Shape) -> None:
        (a,), (factor,) = ins, outs
        shape = a.type.shape
        lw.call("cholesky", a.type.code, factor.address, a.address, matrices.count(shape), shape[-1])

    def linearize(self, b: Any, ins: Any, outs: Any, tangents: Any, sizes: Shape) -> Any:
        return _change(b, outs[0], tangents[0])

    @classmethod
    def samples(cls, code: str, rng: np.random.Generator) -> Iterable[Sample]:
        if code in INEXACT.split():
            for shape in ((3, 3), (1, 1), (2, 3, 3), (2, 1, 2, 2), (0, 0), (0, 2, 2), (2, 0, 0)):
                x = sample_array(rng, code, shape)
                a = x @ np.swapaxes(x, -1, -2).conj() + 2 * np.eye(shape[-1])
                # Only the lower triangle is read: differences along other directions test no derivative.
                yield Sample(cls(), (a.astype(code),), smooth=False)


def _change(b: Any, factor: Any, da: Any) -> Any:
    """The tangent of a Cholesky factor.

    l^-1 da l^-H = l^-1 dl + (l^-1 dl)^H: a lower triangular matrix and its adjoint. (Murray, Differentiation of the
    Cholesky decomposition, arXiv:1602.07527, equation 8.)
    """
    half = b.solve_triangular(factor, b.mul(b.add(da, adjoint(b, da)), 0.5), lower=True)
    inner = b.solve_triangular(factor, adjoint(b, half), lower=True)
    inner = b.where(_compared(b, inner, b.equal), b.mul(inner, 0.5), inner)
    return matmul(b, factor, _masked(b, inner, b.greater_equal))


@final
class CholeskyEx(Kernel):
    """(l, info): as `cholesky`, of each matrix by itself.

    info[...], int32, is 0, or i where the leading minor of order i is not positive, and there l is NaN.

    Source: LAPACK xPOTRF.
    """

    name = "cholesky_ex"
    kernel = "cholesky_ex"
    n_out = 2
    costly = True

    def infer(self, cx: Sizes, ins: Sequence[TensorType], sizes: Shape) -> Any:
        (a,) = ins
        n = matrices.order(cx, self.name, 0, a)
        return a.with_shape((*a.shape[:-2], n, n)), TensorType("i4", a.shape[:-2])

    def reference(self, ins: Sequence[Any], sizes: tuple[int, ...]) -> Any:
        from nbgraph_kernels.references_factors import reference_cholesky_ex

        return reference_cholesky_ex(ins[0])

    def lower(self, lw: Any, ins: Sequence[Any], outs: Sequence[Any], sizes: Shape) -> None:
        (a,), (factor, info) = ins, outs
        places = factor.address, info.address, a.address
        lw.call("cholesky_ex", a.type.code, *places, matrices.count(a.type.shape), a.type.shape[-1])

    def linearize(self, b: Any, ins: Any, outs: Any, tangents: Any, sizes: Shape) -> Any:
        return _change(b, outs[0], tangents[0]), None

    @classmethod
    def samples(cls, code: str, rng: np.random.Generator) -> Iterable[Sample]:
        for _, args, sizes, smooth in Cholesky.samples(code, rng):
            yield Sample(cls(), args, sizes, smooth)


@final
class SolveTriangular(Kernel):
    """x with op(T) x = b, for t[..., n, n] and b[..., n, k]; T is the lower or the upper triangle of t, op(T) T or T^H.

    With `unit` the diagonal is taken to be ones and not read.
    Source: BLAS xTRSM; a zero on the diagonal is an error as in LAPACK's xTRTRS.
    """

    name = "solve_triangular"
    kernel = "solve_triangular"
    failure = "singular matrix"
    params = ("below", "adjoint", "unit")
    below: bool
    adjoint: bool
    unit: bool
    fallible = True

    @classmethod
    def bind(cls, types: Sequence[TensorType], **kwargs: Any) -> tuple[Op, Shape]:
        return cls(*(bool(kwargs.get(p, False)) for p in ("lower", "adjoint", "unit"))), ()

    def infer(self, cx: Sizes, ins: Sequence[TensorType], sizes: Shape) -> TensorType:
        t, right = ins
        n = matrices.order(cx, self.name, 0, t)
        matrices.check_matrix(self.name, 1, right)
        matrices.same_code(self.name, 1, right, t.code)
        wanted: Any = (*t.shape[:-2], n, right.shape[-1])
        return right.with_shape(matrices.same_shape(cx, self.name, 1, right.shape, wanted))

    def reference(self, ins: Sequence[Any], sizes: tuple[int, ...]) -> Any:
        from nbgraph_kernels.references_factors import reference_solve_triangular

        return reference_solve_triangular(ins[0], ins[1], self.below, self.adjoint, self.unit)

    def lower(self, lw: Any, ins: Sequence[Any], outs: Sequence[Any], sizes: Shape) -> None:
        (t, right), (x,) = ins, outs
        n, k = right.type.shape[-2:]
        how = matrices.count(right.type.shape), n, k, int(self.below), int(self.adjoint), int(self.unit)
        lw.call("solve_triangular", t.type.code, x.address, t.address, right.address, *how)

    def linearize(self, b: Any, ins: Any, outs: Any, tangents: Any, sizes: Shape) -> Any:
        # op(T) dx = db - op(dT) x
        dt, db = tangents
        if dt is not None:
            if self.unit:
                dt = _masked(b, dt, b.greater if self.below else b.less)
            else:
                dt = _masked(b, dt, b.greater_equal if self.below else b.less_equal)
            db = b.sub(db, matmul(b, adjoint(b, dt) if self.adjoint else dt, outs[0]))
        return b.emit(self, ins[0], db)

    def transpose(self, b: Any, ct: Any, ins: Any, active: Sequence[bool], sizes: Shape) -> Any:
        if active[0]:
            return super().transpose(b, ct, ins, active, sizes)
        return None, b.emit(SolveTriangular(self.below, not self.adjoint, self.unit), ins[0], ct)

    @classmethod
    def samples(cls, code: str, rng: np.random.Generator) -> Iterable[Sample]:
        if code in INEXACT.split():
            cases = ((), 3, 2), ((), 1, 1), ((2,), 3, 1), ((2, 1), 2, 3), ((), 0, 2), ((2,), 3, 0), ((0,), 2, 2)
            for place, (batch, n, k) in enumerate(cases):
                t = sample_array(rng, code, (*batch, n, n), -1.0, 1.0) + 3 * np.eye(n)
                for how in ((True, False, False), (False, place % 2 == 0, True), (False, True, False)):
                    yield Sample(cls(*how), (t.astype(code), sample_array(rng, code, (*batch, n, k))))
