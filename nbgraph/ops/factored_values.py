"""Derivatives of pseudo-inverses and of what is made with factors: the value is an operand, the derivative is by a.

In: a matrix a, and what was made of its factors: its pseudo-inverse, a solution, a polar factor. Out: that value.
Holds: a derivative of any order is by a (and b) alone, so operands that are values may have lost their history. Nothing
is divided by a gap of singular values. The rank of a is taken to stay as it is.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, final

import numpy as np

from nbgraph import degenerate
from nbgraph.kinds import INEXACT
from nbgraph.matrices import adjoint, check_matrix, matmul, same_code, same_shape
from nbgraph.op import Op, Sample, Sizes, sample_array
from nbgraph.rectangular import excess
from nbgraph.types import Shape, TensorType, type_of_array

_SHAPES = ((3, 3), (4, 2), (2, 4), (1, 1), (1, 3), (3, 1), (2, 3, 2), (0, 2), (2, 0), (0, 2, 3))


@final
class PseudoInverse(Op):
    """p[..., n, m], which is the pseudo-inverse of a[..., m, n]; operands a, p.

    `wide` says that there are more columns than rows; `hermitian` that of a tangent only the Hermitian part acts.
    """

    name = "pseudo_inverse"
    params = ("wide", "hermitian")
    wide: bool
    hermitian: bool

    @classmethod
    def bind(cls, types: Sequence[TensorType], **kwargs: Any) -> tuple[Op, Shape]:
        tall, wide = excess(cls.name, types[0], kwargs)
        return cls(wide and not tall, bool(kwargs.get("hermitian", False))), ()

    def infer(self, cx: Sizes, ins: Sequence[TensorType], sizes: Shape) -> TensorType:
        a, p = ins
        return _check_inverse(cx, self.name, a, p, 1)

    def reference(self, ins: Sequence[Any], sizes: tuple[int, ...]) -> Any:
        return np.array(ins[1])

    def expand(self, b: Any, ins: Any, sizes: Shape) -> Any:
        return ins[1]

    def linearize(self, b: Any, ins: Any, outs: Any, tangents: Any, sizes: Shape) -> Any:
        # dp = -p da p + p p^H da^H (1 - a p) + (1 - p a) da^H p^H p, multiplied so that no product is larger than a.
        # (Golub and Pereyra, SIAM J. Numer. Anal. 10, 413 (1973), equation 4.12.)
        a, p, da = ins[0], outs[0], tangents[0]
        if da is None:
            return None
        da = b.mul(b.add(da, adjoint(b, da)), 0.5) if self.hermitian else da
        ph, dah = adjoint(b, p), adjoint(b, da)
        if self.wide:
            left = matmul(b, ph, dah)
            left = matmul(b, p, b.sub(left, matmul(b, matmul(b, left, a), p)))
            right = matmul(b, dah, matmul(b, ph, p))
            right = b.sub(right, matmul(b, p, matmul(b, a, right)))
            change = matmul(b, p, matmul(b, da, p))
        else:
            left = matmul(b, matmul(b, p, ph), dah)
            left = b.sub(left, matmul(b, matmul(b, left, a), p))
            right = matmul(b, dah, ph)
            right = matmul(b, b.sub(right, matmul(b, p, matmul(b, a, right))), p)
            change = matmul(b, matmul(b, p, da), p)
        return b.sub(b.add(left, right), change)

    @classmethod
    def samples(cls, code: str, rng: np.random.Generator) -> Iterable[Sample]:
        if code in INEXACT.split():
            for shape in _SHAPES:
                a = sample_array(rng, code, shape)
                # Differences would move a without its pseudo-inverse.
                yield Sample(cls.bind([type_of_array(a)])[0], (a, _inverse_of(a)), smooth=False)


@final
class LeastSquares(Op):
    """x[..., n, k], the shortest of the x for which |a x - b| is least; operands a, b, p (a's pseudo-inverse), x."""

    name = "least_squares"

    def infer(self, cx: Sizes, ins: Sequence[TensorType], sizes: Shape) -> TensorType:
        a, right, p, x = ins
        p = _check_inverse(cx, self.name, a, p, 2)
        check_matrix(self.name, 1, right)
        same_code(self.name, 1, right, a.code)
        *batch, n, m = p.shape
        k = same_shape(cx, self.name, 1, right.shape, (*batch, m, right.shape[-1]))[-1]
        same_code(self.name, 3, x, a.code)
        return x.with_shape(same_shape(cx, self.name, 3, x.shape, (*batch, n, k)))

    def reference(self, ins: Sequence[Any], sizes: tuple[int, ...]) -> Any:
        return np.array(ins[3])

    def expand(self, b: Any, ins: Any, sizes: Shape) -> Any:
        return ins[3]

    def linearize(self, b: Any, ins: Any, outs: Any, tangents: Any, sizes: Shape) -> Any:
        # x = p b, with dp as above, from right to left: dx = p (db - da x) + p p^H da^H r + (1 - p a) da^H p^H x, where
        # r = b - a x.
        (a, right, p, _), (x,), (da, db, *_) = ins, outs, tangents
        if da is None:
            return None if db is None else matmul(b, p, db)
        ph, dah = adjoint(b, p), adjoint(b, da)
        residual = b.sub(right, matmul(b, a, x))
        change = b.add(b.sub(db, matmul(b, da, x)), matmul(b, ph, matmul(b, dah, residual)))
        other = matmul(b, dah, matmul(b, ph, x))
        return b.add(other, matmul(b, p, b.sub(change, matmul(b, a, other))))

    @classmethod
    def samples(cls, code: str, rng: np.random.Generator) -> Iterable[Sample]:
        if code in INEXACT.split():
            for shape in _SHAPES:
                a, right = sample_array(rng, code, shape), sample_array(rng, code, (*shape[:-1], 2))
                p = _inverse_of(a)
                yield Sample(cls(), (a, right, p, p @ right), smooth=False)


@final
class PolarFactor(Op):
    """w[..., m, n] = u vh for a = u diag(s) vh (k = min(m, n) columns); operands a, w, u, s, vh.

    Derivatives of any order divide by sums of singular values alone (`polar_solve`): equal ones do no harm.
    `tall` and `wide` are the guard of `nbgraph.rectangular`.
    """

    name = "polar_factor"
    params = ("tall", "wide")
    tall: bool
    wide: bool

    @classmethod
    def bind(cls, types: Sequence[TensorType], **kwargs: Any) -> tuple[Op, Shape]:
        return cls(*excess(cls.name, types[0], kwargs)), ()

    def infer(self, cx: Sizes, ins: Sequence[TensorType], sizes: Shape) -> TensorType:
        a, w, *_ = ins
        check_matrix(self.name, 0, a)
        same_code(self.name, 1, w, a.code)
        return a.with_shape(same_shape(cx, self.name, 1, w.shape, a.shape))

    def reference(self, ins: Sequence[Any], sizes: tuple[int, ...]) -> Any:
        return np.array(ins[1])

    def expand(self, b: Any, ins: Any, sizes: Shape) -> Any:
        return ins[1]

    def linearize(self, b: Any, ins: Any, outs: Any, tangents: Any, sizes: Shape) -> Any:
        # P w = a and w P' = a give P dw + dw P' = da - w da^H w (P = a w^H, P' = w^H a).
        (a, _, *factors), da, (w,) = ins, tangents[0], outs
        if da is None:
            return None
        change = b.sub(da, matmul(b, w, matmul(b, adjoint(b, da), w)))
        return b.polar_solve(a, w, *factors, change, tall=self.tall, wide=self.wide)

    @classmethod
    def samples(cls, code: str, rng: np.random.Generator) -> Iterable[Sample]:
        if code in INEXACT.split():
            for shape in _SHAPES:
                a = sample_array(rng, code, shape)
                u, s, vh = np.linalg.svd(a, full_matrices=False)
                yield Sample(cls.bind([type_of_array(a)])[0], (a, u @ vh, u, s, vh), smooth=False)


@final
class PolarSolve(Op):
    """x with a w^H x + x w^H a = e, for w the polar factor u vh of a = u diag(s) vh; operands a, w, u, s, vh, e.

    e has no part outside of both spans. What divides by sums of singular values that count as zero is left out. Its
    derivative is by a, w and e: the factors say what a says.
    `tall` and `wide` are the guard of `nbgraph.rectangular`.
    """

    name = "polar_solve"
    params = ("tall", "wide")
    tall: bool
    wide: bool

    @classmethod
    def bind(cls, types: Sequence[TensorType], **kwargs: Any) -> tuple[Op, Shape]:
        return cls(*excess(cls.name, types[0], kwargs)), ()

    def infer(self, cx: Sizes, ins: Sequence[TensorType], sizes: Shape) -> TensorType:
        a, w, *_, e = ins
        check_matrix(self.name, 0, a)
        for position, t in ((1, w), (5, e)):
            same_code(self.name, position, t, a.code)
            same_shape(cx, self.name, position, t.shape, a.shape)
        return e.with_shape(a.shape)

    def reference(self, ins: Sequence[Any], sizes: tuple[int, ...]) -> Any:
        _, _, u, s, vh, e = ins
        uh, v = np.swapaxes(u, -1, -2).conj(), np.swapaxes(vh, -1, -2).conj()
        sums, own = (_inverse_or_zero(x, s) for x in (s[..., :, None] + s[..., None, :], s))
        along = e @ v
        inner = uh @ along
        x = u @ (inner * sums)
        if self.tall:
            x = x + (along - u @ inner) * own[..., None, :]
        x = x @ vh
        if self.wide:
            x = x + u @ ((uh @ e - inner @ vh) * own[..., None])
        return x.astype(e.dtype)

    def expand(self, b: Any, ins: Any, sizes: Shape) -> Any:
        _, _, u, s, vh, e = ins
        code, rows, columns = b.type(u).code, degenerate.column(b, s), degenerate.row(b, s)
        sums = b.cast(degenerate.inverse(b, b.add(columns, rows), s, 0.0), code)
        own = b.cast(degenerate.inverse(b, s, s, 0.0), code)
        along = matmul(b, e, adjoint(b, vh))
        inner = matmul(b, adjoint(b, u), along)
        x = matmul(b, u, b.mul(inner, sums))
        if self.tall:
            x = b.add(x, b.mul(b.sub(along, matmul(b, u, inner)), degenerate.row(b, own)))
        x = matmul(b, x, vh)
        if self.wide:
            beyond = b.sub(matmul(b, adjoint(b, u), e), matmul(b, inner, vh))
            x = b.add(x, matmul(b, u, b.mul(beyond, degenerate.column(b, own))))
        return x

    def linearize(self, b: Any, ins: Any, outs: Any, tangents: Any, sizes: Shape) -> Any:
        # What moves besides e: d(a w^H) x + x d(w^H a).
        (a, w, *_), (x,), (da, dw, *_, change) = ins, outs, tangents
        wh = adjoint(b, w)
        if da is not None:
            moved = b.add(matmul(b, da, matmul(b, wh, x)), matmul(b, x, matmul(b, wh, da)))
            change = b.sub(change, moved)
        if dw is not None:
            dwh = adjoint(b, dw)
            change = b.sub(change, b.add(matmul(b, a, matmul(b, dwh, x)), matmul(b, x, matmul(b, dwh, a))))
        return None if change is None else b.emit(self, *ins[:-1], change)

    def transpose(self, b: Any, ct: Any, ins: Any, active: Sequence[bool], sizes: Shape) -> Any:
        if any(active[:-1]):
            return super().transpose(b, ct, ins, active, sizes)
        return (*[None] * 5, b.emit(self, *ins[:-1], ct))

    @classmethod
    def samples(cls, code: str, rng: np.random.Generator) -> Iterable[Sample]:
        if code in INEXACT.split():
            for shape in _SHAPES:
                a = sample_array(rng, code, shape)
                u, s, vh = np.linalg.svd(a, full_matrices=False)
                args = a, u @ vh, u, s, vh, sample_array(rng, code, shape)
                # Differences would move a without its factors.
                yield Sample(cls.bind([type_of_array(a)])[0], args, smooth=False)


def _inverse_or_zero(x: Any, s: Any) -> Any:
    """As `degenerate.inverse`."""
    largest = np.max(np.abs(s), -1, keepdims=True, initial=0.0)
    largest = largest if x.ndim == s.ndim else largest[..., None]
    is_zero = np.abs(x) <= largest * degenerate.LIMIT["f8" if s.dtype == "f8" else "f4"]
    return np.where(is_zero, 0, 1 / np.where(is_zero, 1, x))


def _check_inverse(cx: Sizes, name: str, a: TensorType, p: TensorType, position: int) -> TensorType:
    check_matrix(name, 0, a)
    same_code(name, position, p, a.code)
    *batch, m, n = a.shape
    return p.with_shape(same_shape(cx, name, position, p.shape, (*batch, n, m)))


def _inverse_of(a: Any) -> Any:
    """The pseudo-inverse, of zero-size matrices too."""
    return np.linalg.pinv(a) if a.size else np.zeros((*a.shape[:-2], a.shape[-1], a.shape[-2]), a.dtype)
