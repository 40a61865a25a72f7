"""Schur forms.

In: matrices a[..., n, n]. Out: t and z with a = z t z^H, z unitary, t upper triangular.
Holds: derivatives divide by no gap of eigenvalues that counts as zero. `reference` and the kernel use one driver with
one LWORK.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, final

import numpy as np

from nbgraph import degenerate, matrices
from nbgraph.errors import DifferentiationError
from nbgraph.kinds import Kernel
from nbgraph.op import Sample, Sizes, sample_array
from nbgraph.types import REAL_OF, Shape, Size, TensorType

_SHAPES: tuple[tuple[int, ...], ...] = ((3, 3), (1, 1), (2, 3, 3), (2, 1, 2, 2), (0, 0), (0, 2, 2))


@final
class Schur(Kernel):
    """t[..., n, n] and z[..., n, n]; of real matrices t is real and has 2 x 2 blocks for pairs of eigenvalues.

    The real form has no derivative. Of the complex one, with M = z^H da z: dz = z K, K antihermitian with a diagonal of
    zeros (the phases), and below the diagonal K t - t K is M. Where eigenvalues coincide the pair is left out.
    Source: LAPACK xGEES.
    """

    name = "schur"
    kernel = "schur"
    failure = "not finite, or the iteration did not converge"
    n_out = 2
    unique = False
    fallible = True
    phases = ((0, -1, 1), (0, -2, -1), (1, -1, 1))

    def infer(self, cx: Sizes, ins: Sequence[TensorType], sizes: Shape) -> Any:
        (a,) = ins
        n = matrices.order(cx, self.name, 0, a)
        return (a.with_shape((*a.shape[:-2], n, n)),) * 2

    def reference(self, ins: Sequence[Any], sizes: tuple[int, ...]) -> Any:
        from nbgraph_kernels.references_functions import reference_schur  # scipy.linalg takes 0.1 s to import

        return reference_schur(ins[0])

    def workspace(self, ins: Sequence[TensorType], sizes: Shape) -> Size:
        from nbgraph_kernels.sizes_functions import schur_workspace

        return schur_workspace(ins[0].code, ins[0].shape[-1])  # type: ignore[no-any-return]

    def lower(self, lw: Any, ins: Sequence[Any], outs: Sequence[Any], sizes: Shape) -> None:
        (a,), (t, z) = ins, outs
        shape = a.type.shape
        scratch = lw.workspace(self.workspace([a.type], sizes))
        lw.call("schur", a.type.code, t.address, z.address, a.address, matrices.count(shape), shape[-1], scratch)

    def linearize(self, b: Any, ins: Any, outs: Any, tangents: Any, sizes: Shape) -> Any:
        (t, z), (da,) = outs, tangents
        if not b.type(t).is_complex:
            raise DifferentiationError(
                "the real form has no derivative", operation="schur", hint='use output="complex"'
            )
        inner = matrices.matmul(b, matrices.adjoint(b, z), matrices.matmul(b, da, z))
        values = b.abs(matrices.diagonal(b, t))
        limits = b.mul(degenerate.largest(b, values), degenerate.LIMIT[b.type(values).code])
        low = b.schur_lower(t, inner, b.sum(limits, axes=(b.type(values).ndim - 1,)), adjoint=False)
        turn = b.sub(low, matrices.adjoint(b, low))
        moved = b.sub(matrices.matmul(b, turn, t), matrices.matmul(b, t, turn))
        return matrices.upper(b, b.sub(inner, moved)), matrices.matmul(b, z, turn)

    @classmethod
    def samples(cls, code: str, rng: np.random.Generator) -> Iterable[Sample]:
        if code in ("c8", "c16"):  # the real form has no derivative, and tests of its own
            for shape in _SHAPES:
                # Differences of vectors whose phase jumps test no derivative.
                yield Sample(cls(), (sample_array(rng, code, shape),), smooth=False)


@final
class SchurLower(Kernel):
    """The strictly lower triangular x with x t - t x = m below the diagonal, for upper triangular t; operands t, m,
    limits; with `adjoint` x t^H - t^H x = m there. Where a gap of t's diagonal is not above the limit, x is 0."""

    name = "schur_lower"
    kernel = "schur_lower"
    params = ("adjoint",)
    adjoint: bool

    def infer(self, cx: Sizes, ins: Sequence[TensorType], sizes: Shape) -> TensorType:
        t, m, limits = ins
        matrices.same_code(self.name, 0, t, t.code if t.is_complex else "c16")
        n = matrices.order(cx, self.name, 0, t)
        matrices.same_code(self.name, 1, m, t.code)
        matrices.same_code(self.name, 2, limits, REAL_OF[t.code])
        matrices.same_shape(cx, self.name, 2, limits.shape, t.shape[:-2])
        return m.with_shape(matrices.same_shape(cx, self.name, 1, m.shape, (*t.shape[:-2], n, n)))

    def reference(self, ins: Sequence[Any], sizes: tuple[int, ...]) -> Any:
        from nbgraph_kernels.references_functions import reference_schur_lower

        return reference_schur_lower(ins[0], ins[1], ins[2], self.adjoint)

    def lower(self, lw: Any, ins: Sequence[Any], outs: Sequence[Any], sizes: Shape) -> None:
        (t, m, limits), (x,) = ins, outs
        shape = m.type.shape
        places = x.address, t.address, m.address, limits.address
        lw.call("schur_lower", m.type.code, *places, matrices.count(shape), shape[-1], int(self.adjoint))

    def linearize(self, b: Any, ins: Any, outs: Any, tangents: Any, sizes: Shape) -> Any:
        # dx t - t dx = dm - (x dt - dt x)
        (t, _, limits), (x,), (dt, change, _) = ins, outs, tangents
        if dt is not None:
            dt = matrices.upper(b, dt)
            dt = matrices.adjoint(b, dt) if self.adjoint else dt
            change = b.sub(change, b.sub(matrices.matmul(b, x, dt), matrices.matmul(b, dt, x)))
        return None if change is None else b.emit(self, t, change, limits)

    def transpose(self, b: Any, ct: Any, ins: Any, active: Sequence[bool], sizes: Shape) -> Any:
        if active[0] or active[2]:
            return super().transpose(b, ct, ins, active, sizes)
        return None, b.emit(SchurLower(not self.adjoint), ins[0], ct, ins[2]), None

    @classmethod
    def samples(cls, code: str, rng: np.random.Generator) -> Iterable[Sample]:
        if code in ("c8", "c16"):
            for shape in _SHAPES:
                t = np.triu(sample_array(rng, code, shape)) + np.diag(np.arange(shape[-1]) * 2)
                limits = np.full(shape[:-2], 1e-3, REAL_OF[code])
                for adjoint in (False, True):
                    yield Sample(cls(adjoint), (t.astype(code), sample_array(rng, code, shape), limits))
