"""Singular values and vectors.

In: a stack of matrices. Out: what LAPACK gives; a matrix that it cannot deal with is an error at run time.
Holds: derivatives divide by no gap, sum or singular value that counts as zero. `reference` and the kernel use one
driver, so vectors, which are not unique, are the same from both.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, final

import numpy as np

from nbgraph import degenerate
from nbgraph.dims import dim_min
from nbgraph.kinds import INEXACT, Kernel
from nbgraph.matrices import adjoint, count, matmul
from nbgraph.op import Op, Sample, Sizes, sample_array
from nbgraph.rectangular import excess, smaller
from nbgraph.types import Shape, Size, TensorType, type_of_array


@final
class Svd(Kernel):
    """u[..., m, k], s[..., k] and vh[..., k, n] with a = u diag(s) vh, k = min(m, n), s descending.

    With `full` u[..., m, m] and vh[..., n, n] are square. `tall` and `wide` are the guard of `nbgraph.rectangular`.
    Source: LAPACK xGESDD.

    Derivatives: where singular values coincide their vectors have no derivative, nor do those of zero ones, and vectors
    that only make u or vh square are any basis. How vectors of such a group turn among themselves is left out: exact
    at first order for losses of the values, of the subspaces of whole groups, and of u vh. It is not for u g(s) vh,
    whose derivative within a group, g'(s) u (u^H da v) vh, no derivatives of s and of vectors tell. Second
    derivatives stay finite, but leave the turns out as well. With `broadening` g > 0, 1/x becomes x / (x^2 + g^2)
    instead, for gaps, sums and singular values x (Lorentzian; Liao, Liu, Wang and Xiang, Phys. Rev. X 9, 031041
    (2019)).
    """

    name = "svd"
    kernel = "svd"
    interprets = True
    failure = "the iteration did not converge; is there a NaN?"
    params = ("tall", "wide", "full", "broadening")
    tall: bool
    wide: bool
    full: bool
    broadening: float
    n_out = 3
    unique = False
    fallible = True
    phases = ((0, -1, 1), (2, -2, -1))

    @classmethod
    def bind(cls, types: Sequence[TensorType], **kwargs: Any) -> tuple[Op, Shape]:
        tall, wide = excess(cls.name, types[0], kwargs)
        full = bool(kwargs.get("full", False)) and (tall or wide)
        return cls(tall, wide, full, float(kwargs.get("broadening", 0.0))), ()

    def infer(self, cx: Sizes, ins: Sequence[TensorType], sizes: Shape) -> Any:
        (a,) = ins
        k = smaller(cx, self.name, a, self.tall, self.wide)
        *batch, m, n = a.shape
        rows, columns = (m, n) if self.full else (k, k)
        s = TensorType(a.real_code, (*batch, k))
        return a.with_shape((*batch, m if self.tall else k, rows)), s, a.with_shape((*batch, columns, n))

    def reference(self, ins: Sequence[Any], sizes: tuple[int, ...]) -> Any:
        from nbgraph_kernels.references_factors import reference_svd  # scipy.linalg takes 0.1 s to import

        return reference_svd(ins[0], self.full)

    def workspace(self, ins: Sequence[TensorType], sizes: Shape) -> Size:
        from nbgraph_kernels.sizes_factors import svd_workspace

        m, n = ins[0].shape[-2:]
        return svd_workspace(ins[0].code, m, n, dim_min(m, n))  # type: ignore[no-any-return]

    def lower(self, lw: Any, ins: Sequence[Any], outs: Sequence[Any], sizes: Shape) -> None:
        (a,), (u, s, vh) = ins, outs
        k = s.type.shape[-1]
        scratch = lw.workspace(self.workspace([a.type], sizes))
        places = u.address, s.address, vh.address, a.address
        how = count(a.type.shape), *a.type.shape[-2:], k, 2 if self.full else 1, scratch
        lw.call("svd", a.type.code, *places, *how)

    def linearize(self, b: Any, ins: Any, outs: Any, tangents: Any, sizes: Shape) -> Any:
        # With C = u^H da v: du = u (A + B), dv = v (A - B), A and B antihermitian, and what leaves the span of u or v;
        # C_ij = A_ij (s_j - s_i) + B_ij (s_j + s_i) off the diagonal, so the Hermitian part of C is A's, the other
        # one is B's, and on the diagonal B is the phase, one half for each vector. (Giles, An extended collection of
        # matrix derivative results, 2008, section 3.3; phases: Wan and Zhang, arXiv:1909.02659.)
        (da,), s = tangents, outs[1]
        u, vh = self._thin(b, *outs)
        along = matmul(b, da, adjoint(b, vh))
        ds = b.sum(b.real(b.mul(b.conj(u), along)), axes=(b.type(u).ndim - 2,))
        c = matmul(b, adjoint(b, u), along)
        a_part, b_part = self._rotations(b, s, c)
        du, dvh = matmul(b, u, b.add(a_part, b_part)), matmul(b, b.sub(b_part, a_part), vh)
        inverse = b.cast(degenerate.inverse(b, s, s, self.broadening), b.type(u).code)
        if self.tall:
            du = b.add(du, b.mul(b.sub(along, matmul(b, u, c)), degenerate.row(b, inverse)))
        if self.wide:
            across = matmul(b, adjoint(b, u), da)
            dvh = b.add(dvh, b.mul(b.sub(across, matmul(b, c, vh)), degenerate.column(b, inverse)))
        du, dvh = self._squared(b, outs, (u, du), (vh, dvh))
        return du, ds, dvh

    def _rotations(self, b: Any, s: Any, c: Any) -> tuple[Any, Any]:
        """A and B: halves of C + C^H over the gaps of s, and of C - C^H over its sums."""
        code, rows, columns = b.type(c).code, degenerate.column(b, s), degenerate.row(b, s)
        gaps = degenerate.inverse(b, b.sub(columns, rows), s, self.broadening)
        sums = degenerate.inverse(b, b.add(columns, rows), s, self.broadening)
        turned = adjoint(b, c)
        return (
            b.mul(b.add(c, turned), b.cast(b.mul(gaps, 0.5), code)),
            b.mul(b.sub(c, turned), b.cast(b.mul(sums, 0.5), code)),
        )

    # -- the square forms ---------------------------------------------------------------------------------------------

    def _thin(self, b: Any, u: Any, s: Any, vh: Any) -> tuple[Any, Any]:
        """The first k columns of u, and rows of vh."""
        last, k = b.type(u).ndim - 1, b.shape(s)[-1]
        if self.full and self.tall:
            u = b.slice(u, axis=last, start=0, length=k)
        if self.full and self.wide:
            vh = b.slice(vh, axis=last - 1, start=0, length=k)
        return u, vh

    def _squared(self, b: Any, outs: Any, left: Any, right: Any) -> tuple[Any, Any]:
        """Tangents of u and vh, from those of the thin forms; the other columns stay orthogonal to them."""
        (u, du), (vh, dvh) = left, right
        last, k = b.type(u).ndim - 1, b.shape(outs[1])[-1]
        if self.full and self.tall:
            others = b.slice(outs[0], axis=last, start=k, length=b.shape(outs[0])[-1] - k)
            dothers = b.neg(matmul(b, u, matmul(b, adjoint(b, du), others)))
            du = b.concatenate(du, dothers, axis=last)
        if self.full and self.wide:
            others = b.slice(outs[2], axis=last - 1, start=k, length=b.shape(outs[2])[-2] - k)
            dothers = b.neg(matmul(b, matmul(b, others, adjoint(b, dvh)), vh))
            dvh = b.concatenate(dvh, dothers, axis=last - 1)
        return du, dvh

    @classmethod
    def samples(cls, code: str, rng: np.random.Generator) -> Iterable[Sample]:
        if code in INEXACT.split():
            for shape in ((3, 3), (4, 2), (2, 4), (1, 1), (3, 1), (2, 2, 3), (0, 0), (0, 2), (2, 0), (0, 3, 2)):
                for full in (False, True):
                    a = sample_array(rng, code, shape)
                    # Differences of vectors whose phase jumps test no derivative.
                    yield Sample(cls.bind([type_of_array(a)], full=full)[0], (a,), smooth=False)
