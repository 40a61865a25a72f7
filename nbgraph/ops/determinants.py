"""Determinants from LU factors, and the adjugate, their derivative.

In: matrices a[..., n, n] with their factors lu and pivots, as `lu_factor` gives them.
Out: numbers [...]. Of no rows the determinant is 1.
Holds: derivatives are by a: the factors are those of a, and what they would tell is told by a.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, final

import numpy as np

from nbgraph import matrices
from nbgraph.kinds import INEXACT
from nbgraph.op import Op, Sample, Sizes, sample_array
from nbgraph.types import Shape, TensorType


class _Determinant(Op):
    """An operation of a, lu and pivots."""

    def batch(self, cx: Sizes, ins: Sequence[TensorType]) -> Shape:
        """The checked batch dimensions."""
        a, lu, pivots = ins
        matrices.order(cx, self.name, 0, a)
        matrices.same_code(self.name, 1, lu, a.code)
        matrices.same_code(self.name, 2, pivots, "i4")
        shape = matrices.same_shape(cx, self.name, 1, lu.shape, a.shape)
        return matrices.same_shape(cx, self.name, 2, pivots.shape, shape[:-1])[:-1]

    @classmethod
    def samples(cls, code: str, rng: np.random.Generator) -> Iterable[Sample]:
        from nbgraph_kernels.references_lu import reference_lu_factor

        if code in INEXACT.split():
            for shape in ((3, 3), (1, 1), (2, 4, 4), (0, 0), (0, 2, 2), (2, 0, 0), (2, 1, 2, 2)):
                a = sample_array(rng, code, shape)
                # Differences would move a without its factors.
                yield Sample(cls(), (a, *reference_lu_factor(a)[:2]), smooth=False)


def _signs(pivots: Any) -> Any:
    """The factor of the determinant that each exchange is: -1, or 1 where a row stayed."""
    return np.where(pivots == np.arange(pivots.shape[-1]), 1, -1)


def _parity(b: Any, pivots: Any, code: str) -> Any:
    """The determinant of P: 1 or -1."""
    last = b.type(pivots).ndim - 1
    stays = b.equal(pivots, b.iota(code="i4", n=b.shape(pivots)[-1]))
    one = b.literal(code=code, value=1)
    return b.prod(b.where(stays, one, b.neg(one)), axes=(last,))


def _largest(b: Any, x: Any) -> Any:
    """max |x| of each matrix; 0 if there are no elements."""
    rank = b.type(x).ndim
    size = b.abs(x)
    *batch, m, _ = b.shape(x)
    zero = b.zeros(TensorType(b.type(size).code, (*batch, m, 1)))
    rows = b.max(b.concatenate(size, zero, axis=rank - 1), axes=(rank - 1,))
    zero = b.zeros(TensorType(b.type(size).code, (*batch, 1)))
    return b.max(b.concatenate(rows, zero, axis=rank - 2), axes=(rank - 2,))


def _lifted(b: Any, lu: Any, limit: float, to: float) -> Any:
    """lu with the pivots up to `limit` times its largest element replaced by `to` times it."""
    rank = b.type(lu).ndim
    scale = _largest(b, lu)
    real = b.type(scale).code
    # Of the zero matrix, a number whose powers vanish: so does its adjugate.
    least = float(np.sqrt(np.finfo(real).tiny))
    limit_, to_ = (b.expand_dims(b.mul(scale, f), axes=(rank - 2, rank - 1)) for f in (limit, to))
    to_ = b.where(b.greater(to_, b.lit(0, to_)), to_, b.lit(least, to_))
    *_, n, _ = b.shape(lu)
    row, column = b.expand_dims(b.iota(code="i8", n=n), axes=(1,)), b.iota(code="i8", n=n)
    small = b.logical_and(b.equal(row, column), b.less_equal(b.abs(lu), limit_))
    return b.where(small, b.cast(to_, b.type(lu).code), lu)


@final
class Det(_Determinant):
    """The determinants: those of P, 1 or -1, times the products of the diagonals of U."""

    name = "det"

    def infer(self, cx: Sizes, ins: Sequence[TensorType], sizes: Shape) -> TensorType:
        return ins[0].with_shape(self.batch(cx, ins))

    def reference(self, ins: Sequence[Any], sizes: tuple[int, ...]) -> Any:
        _, lu, pivots = ins
        factors = np.diagonal(lu, axis1=-2, axis2=-1) * _signs(pivots)
        return np.prod(factors, axis=-1).astype(lu.dtype)

    def expand(self, b: Any, ins: Any, sizes: Shape) -> Any:
        _, lu, pivots = ins
        product = b.prod(matrices.diagonal(b, lu), axes=(b.type(pivots).ndim - 1,))
        return b.mul(product, _parity(b, pivots, b.type(lu).code))

    def linearize(self, b: Any, ins: Any, outs: Any, tangents: Any, sizes: Shape) -> Any:
        # d det a = tr(adj(a) da) (Jacobi)
        if tangents[0] is None:
            return None
        rank = b.type(ins[0]).ndim
        i, j, batch = rank - 2, rank - 1, tuple(range(rank - 2))
        return b.contract(b.adjugate(*ins), tangents[0], a=(*batch, i, j), b=(*batch, j, i), out=batch)


@final
class Adjugate(_Determinant):
    """The adjugates adj(a) = det(a) a^-1: polynomials in the elements, finite where a is singular.

    With a zero on the diagonal of U, det(a') a'^-1 is taken, where a' has the smallest number that counts beside the
    largest element of U there instead; that is adj(a) up to rounding errors of a. Its derivative divides by det(a)
    once more; where a is singular to rounding errors it is taken at an a' further away, and half of its digits are
    right if the rank is n - 1.
    """

    name = "adjugate"

    def infer(self, cx: Sizes, ins: Sequence[TensorType], sizes: Shape) -> TensorType:
        batch = self.batch(cx, ins)
        return ins[0].with_shape((*batch, *ins[0].shape[-2:]))

    def reference(self, ins: Sequence[Any], sizes: tuple[int, ...]) -> Any:
        from nbgraph_kernels.references_lu import reference_exchange_rows, reference_packed_solve

        a, lu, pivots = ins
        info = np.finfo(lu.dtype)
        size = np.max(np.abs(lu), axis=(-2, -1), initial=0.0)[..., None]
        diagonal = np.diagonal(lu, axis1=-2, axis2=-1)
        lifted = np.where(size > 0, size * info.eps, np.sqrt(info.tiny))
        diagonal = np.where(np.abs(diagonal) <= size * info.tiny, lifted, diagonal).astype(lu.dtype)
        n = a.shape[-1]
        lu = np.where(np.eye(n, dtype=bool), diagonal[..., None], lu)
        determinant = np.prod(diagonal * _signs(pivots), axis=-1)[..., None, None]
        identity = np.broadcast_to(np.eye(n, dtype=a.dtype), a.shape)
        half = reference_packed_solve(lu, reference_exchange_rows(identity, pivots, False), False, False)
        return (reference_packed_solve(lu, half, True, False) * determinant).astype(a.dtype)

    def expand(self, b: Any, ins: Any, sizes: Shape) -> Any:
        a, lu, pivots = ins
        info = np.finfo(b.type(lu).dtype)
        lifted = a, _lifted(b, lu, float(info.tiny), float(info.eps)), pivots
        return matrices.scaled(b, b.factored_solve(*lifted, matrices.identity(b, a), adjoint=False), b.det(*lifted))

    def linearize(self, b: Any, ins: Any, outs: Any, tangents: Any, sizes: Shape) -> Any:
        # d adj(a) = det(a) (tr(x da) x - x da x), x = a^-1
        a, lu, pivots = ins
        (da, _, _) = tangents
        if da is None:
            return None
        eps = float(np.finfo(b.type(lu).dtype).eps)
        lifted = a, _lifted(b, lu, 16 * eps, eps**0.5), pivots
        x = b.factored_solve(*lifted, matrices.identity(b, a), adjoint=False)
        moved = matrices.matmul(b, x, da)
        change = b.sub(matrices.scaled(b, x, matrices.trace(b, moved)), matrices.matmul(b, moved, x))
        return matrices.scaled(b, change, b.det(*lifted))


@final
class Slogdet(_Determinant):
    """sign and log |det|: the determinants are sign * exp(logabsdet), without their overflow.

    Of a singular matrix they are 0 and -inf; there they have no derivative.
    """

    name = "slogdet"
    n_out = 2

    def infer(self, cx: Sizes, ins: Sequence[TensorType], sizes: Shape) -> Any:
        batch = self.batch(cx, ins)
        return ins[0].with_shape(batch), TensorType(ins[0].real_code, batch)

    def reference(self, ins: Sequence[Any], sizes: tuple[int, ...]) -> Any:
        _, lu, pivots = ins
        diagonal = np.diagonal(lu, axis1=-2, axis2=-1)
        sign = np.prod(np.sign(diagonal) * _signs(pivots), axis=-1).astype(lu.dtype)
        size = np.sum(np.log(np.abs(diagonal)), axis=-1)
        return sign, size

    def expand(self, b: Any, ins: Any, sizes: Shape) -> Any:
        _, lu, pivots = ins
        last, diagonal = b.type(pivots).ndim - 1, matrices.diagonal(b, lu)
        sign = b.mul(b.prod(b.sign(diagonal), axes=(last,)), _parity(b, pivots, b.type(lu).code))
        return sign, b.sum(b.log(b.abs(diagonal)), axes=(last,))

    def linearize(self, b: Any, ins: Any, outs: Any, tangents: Any, sizes: Shape) -> Any:
        # d log det a = tr(a^-1 da); its imaginary part turns the sign.
        if tangents[0] is None:
            return None, None
        a, lu, pivots = ins
        x = b.factored_solve(a, lu, pivots, matrices.identity(b, a), adjoint=False)
        rank = b.type(a).ndim
        i, j, batch = rank - 2, rank - 1, tuple(range(rank - 2))
        change = b.contract(x, tangents[0], a=(*batch, i, j), b=(*batch, j, i), out=batch)  # no product of matrices
        if not b.type(a).is_complex:
            return None, change
        turn = b.mul(b.cast(b.imag(change), b.type(a).code), 1j)
        return b.mul(outs[0], turn), b.real(change)
