"""Eigenvalues and eigenvectors of general matrices.

In: matrices a[..., n, n]. Out: complex values and vectors; a matrix with an infinity or a NaN is an error at run time.
Holds: derivative rules use sizes as symbols alone; `reference` and the kernel use one driver with one LWORK.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, final

import numpy as np

from nbgraph import matrices
from nbgraph.kinds import INEXACT, Kernel
from nbgraph.op import Sample, Sizes, sample_array
from nbgraph.types import COMPLEX_OF, Shape, Size, TensorType

#: Eigenvalues closer than this, relative to the largest, count as equal in derivatives.
_DEGENERATE = {"f4": 1e-5, "f8": 1e-12}


@final
class Eig(Kernel):
    """Eigenvalues w[..., n] and right eigenvectors v[..., n, n] (columns) of matrices a[..., n, n], complex.

    Vectors have 2-norm 1 and a phase that LAPACK chooses: the largest component is real. A derivative by the phase
    means nothing: that of v is taken with v_j^H dv_j = 0, so gradients are right for losses that do not depend on
    the phases. Where eigenvalues coincide the pair is left out, which is exact at first order for losses that do not
    depend on the choice of vectors; a matrix without a basis of eigenvectors has no derivative.
    Source: LAPACK xGEEV.
    """

    name = "eig"
    kernel = "eig"
    failure = "not finite, or the iteration did not converge"
    n_out = 2
    unique = False
    fallible = True
    phases = ((1, -1, 1),)

    def infer(self, cx: Sizes, ins: Sequence[TensorType], sizes: Shape) -> Any:
        (a,) = ins
        n = matrices.order(cx, self.name, 0, a)
        code, batch = COMPLEX_OF.get(a.code, a.code), a.shape[:-2]
        return TensorType(code, (*batch, n)), TensorType(code, (*batch, n, n))

    def reference(self, ins: Sequence[Any], sizes: tuple[int, ...]) -> Any:
        from nbgraph_kernels.references_functions import reference_eig  # scipy.linalg takes 0.1 s to import

        return reference_eig(ins[0])

    def workspace(self, ins: Sequence[TensorType], sizes: Shape) -> Size:
        from nbgraph_kernels.sizes_functions import eig_workspace

        return eig_workspace(ins[0].code, ins[0].shape[-1])  # type: ignore[no-any-return]

    def lower(self, lw: Any, ins: Sequence[Any], outs: Sequence[Any], sizes: Shape) -> None:
        (a,), (w, v) = ins, outs
        shape = a.type.shape
        scratch = lw.workspace(self.workspace([a.type], sizes))
        lw.call("eig", a.type.code, w.address, v.address, a.address, matrices.count(shape), shape[-1], scratch)

    def linearize(self, b: Any, ins: Any, outs: Any, tangents: Any, sizes: Shape) -> Any:
        # With T = v^-1 da v: dw = diag T, dv = v (F o T), F_ij = 1/(w_j - w_i) off the diagonal (Giles, An extended
        # collection of matrix derivative results, 2008, section 3.1), less its part along v, for |v_j| = 1.
        w, v = outs
        code = b.type(v).code
        inner = matrices.matmul(b, b.inv(v), matrices.matmul(b, b.cast(tangents[0], code), v))
        dw = matrices.diagonal(b, inner)
        dv = matrices.matmul(b, v, b.mul(self._inverse_gaps(b, w), inner))
        rank = b.type(v).ndim
        along = b.sum(b.mul(b.conj(v), dv), axes=(rank - 2,))
        return dw, b.sub(dv, b.mul(v, b.expand_dims(along, axes=(rank - 2,))))

    def _inverse_gaps(self, b: Any, w: Any) -> Any:
        """F: 1/(w_j - w_i), and 0 where the eigenvalues coincide (on the diagonal they do)."""
        last = b.type(w).ndim - 1
        gap = b.sub(b.expand_dims(w, axes=(last,)), b.expand_dims(w, axes=(last + 1,)))
        *batch, _ = b.shape(w)
        size = b.abs(w)
        zero = b.zeros(TensorType(b.type(size).code, (*batch, 1)))
        largest = b.max(b.concatenate(size, zero, axis=last), axes=(last,))
        limit = b.expand_dims(b.mul(largest, _DEGENERATE[b.type(size).code]), axes=(last, last + 1))
        equal = b.less_equal(b.abs(gap), limit)
        # The inner `where` keeps infinities out of the derivatives of the quotient.
        inverse = b.div(b.lit(1, gap), b.where(equal, b.lit(1, gap), gap))
        return b.where(equal, b.lit(0, gap), inverse)

    @classmethod
    def samples(cls, code: str, rng: np.random.Generator) -> Iterable[Sample]:
        if code in INEXACT.split():
            for shape in ((3, 3), (1, 1), (2, 3, 3), (2, 1, 2, 2), (0, 0), (0, 2, 2)):
                # Differences of vectors whose phase turns test no derivative.
                yield Sample(cls(), (sample_array(rng, code, shape),), smooth=False)
