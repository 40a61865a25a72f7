"""Linear algebra on the last two axes: solutions of linear systems, eigenvectors of Hermitian matrices.

In: operands with equal batch dimensions (the API broadcasts them and makes matrices of vectors).
Out: what LAPACK gives; a matrix that cannot be dealt with is an error at run time, never a NaN.
Holds: derivative rules use sizes as symbols alone. `reference` and the kernels use one driver, so eigenvectors,
which are not unique, are the same from both.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any, final

import numpy as np

from nbgraph.contraction import common_size
from nbgraph.errors import DtypeError, ShapeError
from nbgraph.kinds import INEXACT, Kernel
from nbgraph.op import Sample, Sizes, sample_array
from nbgraph.types import Shape, Size, TensorType

#: Eigenvalues of this dtype closer than this, relative to the largest, count as equal in derivatives: above the
#: rounding errors of the drivers (about 10 to 100 units), below gaps that have any correct digits.
_DEGENERATE = {"f4": 1e-5, "f8": 1e-12}


def _check_matrix(name: str, position: int, t: TensorType) -> None:
    if t.code not in INEXACT.split():
        wanted = "float32, float64, complex64 or complex128"
        raise DtypeError("unsupported dtype", operation=name, position=position, got=t.dtype, wanted=wanted)
    if t.ndim < 2:
        raise ShapeError("wrong rank", operation=name, position=position, got=t.shape, wanted="at least 2 dimensions")


def _order(cx: Sizes, name: str, position: int, t: TensorType) -> Size:
    """n of a stack of n x n matrices."""
    _check_matrix(name, position, t)
    n, m = t.shape[-2:]
    return common_size(cx, n, m, operation=name, position=position, got=t.shape, wanted="a square matrix")


def _count(shape: Shape) -> Size:
    """How many matrices there are in a stack."""
    return math.prod(shape[:-2])


def _turned(b: Any, x: Any) -> Any:
    """The transposed matrices."""
    batch = tuple(range(b.type(x).ndim - 2))
    return b.transpose(x, axes=(*batch, len(batch) + 1, len(batch)))


def _adjoint(b: Any, x: Any) -> Any:
    """The conjugate transposed matrices."""
    return b.conj(_turned(b, x))


def _matmul(b: Any, x: Any, y: Any) -> Any:
    """The products of the matrices of two stacks."""
    batch = tuple(range(b.type(x).ndim - 2))
    i, j, k = len(batch), len(batch) + 1, len(batch) + 2
    return b.contract(x, y, a=(*batch, i, j), b=(*batch, j, k), out=(*batch, i, k))


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
        n = _order(cx, self.name, 0, a)
        _check_matrix(self.name, 1, right)
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
        lw.call("solve", a.type.code, x.address, a.address, right.address, _count(right.type.shape), n, k, scratch)

    def linearize(self, b: Any, ins: Any, outs: Any, tangents: Any, sizes: Shape) -> Any:
        # a dx = db - da x
        da, db = tangents
        change = b.sub(db, _matmul(b, da, outs[0]) if da is not None else None)
        return b.emit(self, ins[0], change)

    def transpose(self, b: Any, ct: Any, ins: Any, active: Sequence[bool], sizes: Shape) -> Any:
        if active[0]:
            return super().transpose(b, ct, ins, active, sizes)
        return None, b.emit(self, _adjoint(b, ins[0]), ct)

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
    failure = "the iteration did not converge"
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
        n = _order(cx, self.name, 0, a)
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
        lw.call("eigh", a.type.code, w.address, v.address, a.address, _count(shape), shape[-1], scratch)

    def linearize(self, b: Any, ins: Any, outs: Any, tangents: Any, sizes: Shape) -> Any:
        # With T = v^H da v: dw = diag T, dv = v (F o T), F_ij = 1/(w_j - w_i) off the diagonal. (Giles, An extended
        # collection of matrix derivative results, 2008, section 3.1; v^H dv = 0 on the diagonal fixes the phases.)
        # Of v^H da v the Hermitian part acts; the diagonal by itself has the gradient v diag(g) v^H, one product.
        w, v = outs
        along = _matmul(b, tangents[0], v)
        dw = b.sum(b.real(b.mul(b.conj(v), along)), axes=(b.type(v).ndim - 2,))
        inner = _matmul(b, _adjoint(b, v), along)
        inner = b.mul(b.add(inner, _adjoint(b, inner)), 0.5)
        dv = _matmul(b, v, b.mul(b.cast(self._inverse_gaps(b, w), b.type(v).code), inner))
        return dw, dv

    def _inverse_gaps(self, b: Any, w: Any) -> Any:
        """F: 1/(w_j - w_i), and 0 where the eigenvalues coincide (on the diagonal they do)."""
        last = b.type(w).ndim - 1
        gap = b.sub(b.expand_dims(w, axes=(last,)), b.expand_dims(w, axes=(last + 1,)))
        if self.broadening:
            return b.div(gap, b.add(b.mul(gap, gap), self.broadening**2))
        limit = b.mul(_largest(b, w), _DEGENERATE[b.type(w).code])
        limit = b.expand_dims(limit, axes=(last, last + 1))
        equal = b.less_equal(b.abs(gap), limit)
        # The inner `where` keeps infinities out of the derivatives of the quotient.
        inverse = b.div(b.lit(1, gap), b.where(equal, b.lit(1, gap), gap))
        return b.where(equal, b.lit(0, gap), inverse)

    @classmethod
    def samples(cls, code: str, rng: np.random.Generator) -> Iterable[Sample]:
        if code in INEXACT.split():
            for shape in ((3, 3), (1, 1), (2, 3, 3), (2, 1, 2, 2), (0, 0), (0, 2, 2)):
                x = sample_array(rng, code, shape)
                # Differences along directions that are not Hermitian, or of vectors that turn, test no derivative.
                yield Sample(cls(), ((x + np.swapaxes(x, -1, -2).conj()).astype(code),), smooth=False)


def _largest(b: Any, w: Any) -> Any:
    """max |w| over the last axis; 0 if there is none."""
    *batch, _ = b.shape(w)
    zero = b.zeros(TensorType(b.type(w).code, (*batch, 1)))
    last = len(batch)
    return b.max(b.concatenate(b.abs(w), zero, axis=last), axes=(last,))
