"""QR decompositions.

In: a stack of matrices. Out: what LAPACK gives.
Holds: `reference` and the kernel use the same routines, so signs of columns, which are a choice, are the same from
both. Derivative rules use sizes as symbols alone, for tall and wide matrices alike.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, final

import numpy as np

from nbgraph import matrices
from nbgraph.dims import dim_min
from nbgraph.kinds import INEXACT, Kernel
from nbgraph.matrices import adjoint, matmul
from nbgraph.op import Op, Sample, Sizes, sample_array
from nbgraph.rectangular import excess, smaller
from nbgraph.types import Shape, Size, TensorType, type_of_array


@final
class Qr(Kernel):
    """q[..., m, k] with orthonormal columns and upper triangular r[..., k, n], a = q r, k = min(m, n).

    With `complete` q[..., m, m] is square and r[..., m, n] has rows of zeros. `tall` and `wide` are the guard of
    `nbgraph.rectangular`.
    Source: LAPACK xGEQRF, xORGQR, xUNGQR: the diagonal of r is real, of either sign.

    Derivatives need the first k columns of a to be independent; else `LinAlgError`. Columns that only make q square are
    any basis, and stay orthogonal to the others: exact for what does not depend on the choice.
    """

    name = "qr"
    kernel = "qr"
    failure = "the factorisation failed"
    params = ("tall", "wide", "complete")
    tall: bool
    wide: bool
    complete: bool
    n_out = 2
    unique = False
    fallible = True

    @classmethod
    def bind(cls, types: Sequence[TensorType], **kwargs: Any) -> tuple[Op, Shape]:
        tall, wide = excess(cls.name, types[0], kwargs)
        return cls(tall, wide, bool(kwargs.get("complete", False)) and tall), ()

    def infer(self, cx: Sizes, ins: Sequence[TensorType], sizes: Shape) -> Any:
        (a,) = ins
        k = smaller(cx, self.name, a, self.tall, self.wide)
        *batch, m, n = a.shape
        rows = m if self.tall else k
        inner = m if self.complete else k
        return a.with_shape((*batch, rows, inner)), a.with_shape((*batch, inner, n if self.wide else k))

    def reference(self, ins: Sequence[Any], sizes: tuple[int, ...]) -> Any:
        from nbgraph_kernels.references_factors import reference_qr  # scipy.linalg takes 0.1 s to import

        return reference_qr(ins[0], self.complete)

    def workspace(self, ins: Sequence[TensorType], sizes: Shape) -> Size:
        from nbgraph_kernels.sizes_factors import qr_workspace

        m, n = ins[0].shape[-2:]
        return qr_workspace(ins[0].code, m, n, m if self.complete else dim_min(m, n))  # type: ignore[no-any-return]

    def lower(self, lw: Any, ins: Sequence[Any], outs: Sequence[Any], sizes: Shape) -> None:
        (a,), (q, r) = ins, outs
        *_, m, n = shape = a.type.shape
        scratch = lw.workspace(self.workspace([a.type], sizes))
        places = q.address, r.address, a.address
        lw.call("qr", a.type.code, *places, matrices.count(shape), m, n, q.type.shape[-1], scratch)

    def linearize(self, b: Any, ins: Any, outs: Any, tangents: Any, sizes: Shape) -> Any:
        # With r1 the first k columns of r, and X = da1 r1^-1: q^H X = O + T, an antihermitian matrix q^H dq and an
        # upper triangular one with a real diagonal, dr1 r1^-1. So dq = q O + (1 - q q^H) X, and dr = q^H da - O r for
        # all columns. (Roberts and Roberts, arXiv:2009.10071, for both shapes.)
        (q, r), (da,) = outs, tangents
        last, k = b.type(q).ndim - 1, self._order(b, ins[0])
        thin = b.slice(q, axis=last, start=0, length=k) if self.complete else q
        rows = b.slice(r, axis=last - 1, start=0, length=k) if self.complete else r
        first, dfirst = (b.slice(x, axis=last, start=0, length=k) if self.wide else x for x in (rows, da))
        x = adjoint(b, b.solve_triangular(first, adjoint(b, dfirst), lower=False, adjoint=True))
        inner = matmul(b, adjoint(b, thin), x)
        turn = self._antihermitian(b, inner)
        dthin = matmul(b, thin, turn)
        if self.tall:
            dthin = b.add(dthin, b.sub(x, matmul(b, thin, inner)))
        drows = matrices.upper(b, b.sub(matmul(b, adjoint(b, thin), da), matmul(b, turn, rows)))
        return self._completed(b, outs, thin, dthin, drows) if self.complete else (dthin, drows)

    def _order(self, b: Any, a: Any) -> Size:
        m, n = b.shape(a)[-2:]
        return m if not self.tall else n if not self.wide else dim_min(m, n)

    def _antihermitian(self, b: Any, x: Any) -> Any:
        """The antihermitian matrix whose strictly lower triangle is that of x, and the imaginary diagonal, too."""
        lower = matrices.strictly_lower(b, x)
        turn = b.sub(lower, adjoint(b, lower))
        if not b.type(x).is_complex:
            return turn
        phases = b.mul(b.sub(x, b.conj(x)), 0.5)
        return b.add(turn, b.mul(phases, matrices.identity(b, x)))

    def _completed(self, b: Any, outs: Any, thin: Any, dthin: Any, drows: Any) -> tuple[Any, Any]:
        """Tangents of the square q and of r with rows of zeros."""
        q, _ = outs
        last, m, k = b.type(q).ndim - 1, b.shape(q)[-1], b.shape(thin)[-1]
        others = b.slice(q, axis=last, start=k, length=m - k)
        dothers = b.neg(matmul(b, thin, matmul(b, adjoint(b, dthin), others)))
        return b.concatenate(dthin, dothers, axis=last), b.pad_slice(drows, axis=last - 1, start=0, size=m)

    @classmethod
    def samples(cls, code: str, rng: np.random.Generator) -> Iterable[Sample]:
        if code in INEXACT.split():
            shapes = (3, 3), (4, 2), (2, 4), (1, 1), (3, 1), (1, 3), (2, 2, 3), (0, 0), (0, 2), (2, 0), (0, 3, 2)
            for shape in shapes:
                a = (sample_array(rng, code, shape, -1.0, 1.0) + 2 * np.eye(*shape[-2:])).astype(code)
                yield Sample(cls.bind([type_of_array(a)])[0], (a,))
            for shape in ((4, 2), (2, 3, 1), (2, 0)):
                a = (sample_array(rng, code, shape, -1.0, 1.0) + 2 * np.eye(*shape[-2:])).astype(code)
                # The columns that make q square are a choice, which other routines' rounding may not vary smoothly.
                yield Sample(cls(True, False, True), (a,), smooth=False)
