"""Linear algebra on the last two axes: solutions of linear systems, eigenvectors of Hermitian matrices.

In: operands with equal batch dimensions (the API broadcasts them and makes matrices of vectors).
Out: what LAPACK gives; a matrix that cannot be dealt with is an error at run time, never a NaN.
Holds: derivative rules use sizes as symbols alone. `reference` and the kernels use one driver, so eigenvectors,
which are not unique, are the same from both.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, final

import numpy as np

from nbgraph import degenerate, matrices
from nbgraph.errors import DtypeError, ShapeError
from nbgraph.kinds import INEXACT, Kernel
from nbgraph.labels import common_size
from nbgraph.op import Sample, Sizes, sample_array
from nbgraph.types import Shape, Size, TensorType


@final
class Solve(Kernel):
    """x with a x = b, for a[..., n, n] and b[..., n, k].

    Source: LAPACK xGESV (LU with partial pivoting), for each member of the batch.
    """

    name = "solve"
    kernel = "solve"
    failure = "singular matrix"
    fallible = True

    def infer(self, cx: Sizes, ins: Sequence[TensorType], sizes: Shape) -> TensorType:
        a, right = ins
        n = matrices.order(cx, self.name, 0, a)
        matrices.check_matrix(self.name, 1, right)
        if a.code != right.code:
            raise DtypeError("dtypes differ", operation=self.name, position=1, got=right.dtype, wanted=a.dtype)
        wanted = f"({', '.join(map(str, (*a.shape[:-1], 'k')))})"
        if a.ndim != right.ndim:
            raise ShapeError("ranks differ", operation=self.name, position=1, got=right.shape, wanted=wanted)
        common = [
            common_size(cx, d, e, operation=self.name, position=1, got=right.shape, wanted=wanted)
            for d, e in zip((*a.shape[:-2], n), right.shape[:-1], strict=True)
        ]
        return right.with_shape((*common, right.shape[-1]))

    def reference(self, ins: Sequence[Any], sizes: tuple[int, ...]) -> Any:
        from nbgraph_kernels.references import reference_solve  # scipy.linalg takes 0.1 s to import

        return reference_solve(ins[0], ins[1])

    def workspace(self, ins: Sequence[TensorType], sizes: Shape) -> Size:
        from nbgraph_kernels.sizes import solve_workspace

        return solve_workspace(ins[0].code, *ins[1].shape[-2:])  # type: ignore[no-any-return]

    def lower(self, lw: Any, ins: Sequence[Any], outs: Sequence[Any], sizes: Shape) -> None:
        (a, right), (x,) = ins, outs
        n, k = right.type.shape[-2:]
        scratch = lw.workspace(self.workspace([a.type, right.type], sizes))
        lw.call(
            "solve", a.type.code, x.address, a.address, right.address, matrices.count(right.type.shape), n, k, scratch
        )

    def linearize(self, b: Any, ins: Any, outs: Any, tangents: Any, sizes: Shape) -> Any:
        # a dx = db - da x
        da, db = tangents
        change = b.sub(db, matrices.matmul(b, da, outs[0]) if da is not None else None)
        return b.emit(self, ins[0], change)

    def transpose(self, b: Any, ct: Any, ins: Any, active: Sequence[bool], sizes: Shape) -> Any:
        if active[0]:
            return super().transpose(b, ct, ins, active, sizes)
        return None, b.emit(self, matrices.adjoint(b, ins[0]), ct)

    @classmethod
    def samples(cls, code: str, rng: np.random.Generator) -> Iterable[Sample]:
        if code in INEXACT.split():
            cases = ((), 3, 2), ((), 1, 1), ((2,), 3, 1), ((2, 1), 2, 3), ((), 0, 2), ((2,), 3, 0), ((0,), 2, 2)
            for batch, n, k in cases:
                a = sample_array(rng, code, (*batch, n, n), -1.0, 1.0) + 3 * np.eye(n, dtype=code)
                yield Sample(cls(), (a.astype(code), sample_array(rng, code, (*batch, n, k))))


@final
class Eigh(Kernel):
    """Eigenvalues w[..., n], ascending, and eigenvectors v[..., n, n] (columns) of Hermitian matrices a[..., n, n].

    Source: LAPACK xSYEVD, xHEEVD; only the lower triangle is read.

    Derivatives: of a tangent only the Hermitian part acts, so a gradient is Hermitian (with respect to a as a whole,
    not to its lower triangle). Where eigenvalues coincide their eigenvectors have no derivative; the pair is then
    left out, which is exact at first order for losses of the eigenvalues and of the subspaces of whole groups, though
    not for v g(w) v^H as a matrix. Second derivatives stay finite there, but leave the pair out as well. With
    `broadening` g > 0, 1/(w_j - w_i) is replaced by (w_j - w_i) / ((w_j - w_i)^2 + g^2) instead (Lorentzian; Liao,
    Liu, Wang and Xiang, Phys. Rev. X 9, 031041 (2019)).
    """

    name = "eigh"
    kernel = "eigh"
    interprets = True
    failure = "the iteration did not converge; is there a NaN?"
    params = ("broadening",)
    broadening: float
    n_out = 2
    unique = False
    fallible = True
    phases = ((1, -1, 1),)

    def __new__(cls, broadening: float = 0.0) -> Any:
        return super().__new__(cls, float(broadening))

    @classmethod
    def bind(cls, types: Sequence[TensorType], **kwargs: Any) -> tuple[Eigh, Shape]:
        return cls(kwargs.get("broadening", 0.0)), ()

    def infer(self, cx: Sizes, ins: Sequence[TensorType], sizes: Shape) -> Any:
        (a,) = ins
        n = matrices.order(cx, self.name, 0, a)
        batch = a.shape[:-2]
        return TensorType(a.real_code, (*batch, n)), a.with_shape((*batch, n, n))

    def reference(self, ins: Sequence[Any], sizes: tuple[int, ...]) -> Any:
        from nbgraph_kernels.references import reference_eigh  # scipy.linalg takes 0.1 s to import

        return reference_eigh(ins[0])

    def workspace(self, ins: Sequence[TensorType], sizes: Shape) -> Size:
        from nbgraph_kernels.sizes import eigh_workspace

        return eigh_workspace(ins[0].code, ins[0].shape[-1])  # type: ignore[no-any-return]

    def lower(self, lw: Any, ins: Sequence[Any], outs: Sequence[Any], sizes: Shape) -> None:
        (a,), (w, v) = ins, outs
        shape = a.type.shape
        scratch = lw.workspace(self.workspace([a.type], sizes))
        lw.call("eigh", a.type.code, w.address, v.address, a.address, matrices.count(shape), shape[-1], scratch)

    def linearize(self, b: Any, ins: Any, outs: Any, tangents: Any, sizes: Shape) -> Any:
        # With T = v^H da v: dw = diag T, dv = v (F o T), F_ij = 1/(w_j - w_i) off the diagonal. (Giles, An extended
        # collection of matrix derivative results, 2008, section 3.1; v^H dv = 0 on the diagonal fixes the phases.)
        # Of v^H da v the Hermitian part acts; the diagonal by itself has the gradient v diag(g) v^H, one product.
        w, v = outs
        along = matrices.matmul(b, tangents[0], v)
        dw = b.sum(b.real(b.mul(b.conj(v), along)), axes=(b.type(v).ndim - 2,))
        inner = matrices.matmul(b, matrices.adjoint(b, v), along)
        inner = b.mul(b.add(inner, matrices.adjoint(b, inner)), 0.5)
        gaps = b.sub(degenerate.row(b, w), degenerate.column(b, w))
        inverse = degenerate.inverse(b, gaps, w, self.broadening)  # on the diagonal, too, the gap is 0
        dv = matrices.matmul(b, v, b.mul(b.cast(inverse, b.type(v).code), inner))
        return dw, dv

    @classmethod
    def samples(cls, code: str, rng: np.random.Generator) -> Iterable[Sample]:
        if code in INEXACT.split():
            for shape in ((3, 3), (1, 1), (2, 3, 3), (2, 1, 2, 2), (0, 0), (0, 2, 2)):
                x = sample_array(rng, code, shape)
                # Differences along directions that are not Hermitian, or of vectors that turn, test no derivative.
                yield Sample(cls(), ((x + np.swapaxes(x, -1, -2).conj()).astype(code),), smooth=False)
