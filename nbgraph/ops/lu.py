"""LU factors and what is solved with them; inverses.

In: stacks of matrices [..., m, n] and right-hand sides [..., n, k] with equal batch dimensions. Out: what LAPACK gives.
Holds: factors are made once and saved. A factor with a zero on its diagonal is a result like others, told by `info`
for each matrix; what is solved with it is then infinite or NaN, for that member of the batch alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, final

import numpy as np

from nbgraph import matrices
from nbgraph.dims import dim_min
from nbgraph.errors import DtypeError, ShapeError
from nbgraph.kinds import INEXACT, Kernel
from nbgraph.op import Op, Sample, Sizes, sample_array
from nbgraph.types import Shape, Size, TensorType

_SHAPES: tuple[tuple[int, ...], ...] = ((3, 3), (1, 1), (2, 3, 3), (0, 0), (0, 2, 2), (2, 1, 2, 2))


def _regular(rng: np.random.Generator, code: str, shape: tuple[int, ...]) -> Any:
    """Matrices far from singular ones, of which rows are exchanged."""
    turned = np.eye(shape[-2], shape[-1])[::-1]
    return (sample_array(rng, code, shape, -1.0, 1.0) + 3 * turned).astype(code)


@final
class LuFactor(Kernel):
    """lu[..., m, n], pivots[..., k] (k = min(m, n)) and info[...] of matrices a[..., m, n]: P a = L U.

    L is unit lower triangular (its diagonal is not stored), U upper triangular. Row i was exchanged with row
    pivots[i] >= i, for i ascending. info is 0, or i if U[i - 1, i - 1] is exactly 0.
    Parameters: whether m and n are the same size; if not, whether k is literally 1.
    Source: LAPACK xGETRF.
    """

    name = "lu_factor"
    kernel = "lu_factor"
    params = ("square", "one")
    square: bool
    one: bool
    n_out = 3
    unique = False

    @classmethod
    def bind(cls, types: Sequence[TensorType], **kwargs: Any) -> tuple[Op, Shape]:
        matrices.check_matrix(cls.name, 0, types[0])
        m, n = types[0].shape[-2:]
        square = m == n
        return cls(square, not square and dim_min(m, n) == 1), ()

    def infer(self, cx: Sizes, ins: Sequence[TensorType], sizes: Shape) -> Any:
        (a,) = ins
        batch = a.shape[:-2]
        if self.square:
            k: Size = matrices.order(cx, self.name, 0, a)
            a = a.with_shape((*batch, k, k))
        else:
            matrices.check_matrix(self.name, 0, a)
            k = 1 if self.one else dim_min(*a.shape[-2:])
        return a, TensorType("i4", (*batch, k)), TensorType("i4", batch)

    def reference(self, ins: Sequence[Any], sizes: tuple[int, ...]) -> Any:
        from nbgraph_kernels.references_lu import reference_lu_factor  # scipy.linalg takes 0.1 s to import

        return reference_lu_factor(ins[0])

    def workspace(self, ins: Sequence[TensorType], sizes: Shape) -> Size:
        from nbgraph_kernels.sizes_lu import lu_factor_workspace

        return lu_factor_workspace(ins[0].code, *ins[0].shape[-2:])  # type: ignore[no-any-return]

    def lower(self, lw: Any, ins: Sequence[Any], outs: Sequence[Any], sizes: Shape) -> None:
        (a,), (lu, pivots, info) = ins, outs
        shape = a.type.shape
        scratch = lw.workspace(self.workspace([a.type], sizes))
        places = lu.address, pivots.address, info.address, a.address
        lw.call("lu_factor", a.type.code, *places, matrices.count(shape), *shape[-2:], scratch)

    def linearize(self, b: Any, ins: Any, outs: Any, tangents: Any, sizes: Shape) -> Any:
        # M = L^-1 P da U^-1 = L^-1 dL + dU U^-1, a strictly lower and an upper triangular matrix.
        lu, pivots, _ = outs
        left, right = (lu, lu) if self.square else self._squares(b, lu, b.shape(pivots)[-1])
        half = b.packed_solve(left, b.exchange_rows(tangents[0], pivots, backward=False), upper=False, adjoint=False)
        other = b.packed_solve(right, matrices.adjoint(b, half), upper=True, adjoint=True)
        inner = matrices.adjoint(b, other)
        lower = b.add(matrices.strictly_lower(b, left), matrices.identity(b, left))
        dlower = matrices.matmul(b, lower, matrices.strictly_lower(b, inner))
        dupper = matrices.matmul(b, matrices.upper(b, inner), matrices.upper(b, right))
        return b.add(dlower, dupper), None, None

    def _squares(self, b: Any, lu: Any, k: Size) -> tuple[Any, Any]:
        """L and U in square matrices of their own, with ones on what is missing of their diagonals."""
        *_, m, n = b.shape(lu)
        last = b.type(lu).ndim - 1
        columns = b.slice(lu, axis=last, start=0, length=k)
        rows = b.slice(lu, axis=last - 1, start=0, length=k)
        left = b.pad_slice(columns, axis=last, start=0, size=m)
        right = b.pad_slice(rows, axis=last - 1, start=0, size=n)
        missing = b.greater_equal(b.iota(code="i8", n=n), b.size_value(code="i8", n=k))
        return left, b.where(b.expand_dims(missing, axes=(1,)), matrices.identity(b, right), right)

    @classmethod
    def samples(cls, code: str, rng: np.random.Generator) -> Iterable[Sample]:
        if code in INEXACT.split():
            for shape in (*_SHAPES, (2, 4), (4, 2), (2, 3, 5), (1, 3), (3, 1), (0, 3), (3, 0), (2, 0, 3)):
                op, _ = cls.bind([TensorType(code, shape)])
                yield Sample(op, (_regular(rng, code, shape),))


@final
class RegularFactors(Kernel):
    """lu[..., n, n] and pivots[..., n], as those of `lu_factor`, of matrices a[..., n, n] that must not be singular.

    They have no derivative: what is made with them is differentiated by a (`factored_solve`).
    Source: LAPACK xGETRF.
    """

    name = "regular_factors"
    kernel = "regular_factors"
    failure = "singular matrix"
    told_as = "solve"
    n_out = 2
    unique = False
    fallible = True

    def infer(self, cx: Sizes, ins: Sequence[TensorType], sizes: Shape) -> Any:
        (a,) = ins
        n = matrices.order(cx, self.name, 0, a)
        return a.with_shape((*a.shape[:-2], n, n)), TensorType("i4", (*a.shape[:-2], n))

    def reference(self, ins: Sequence[Any], sizes: tuple[int, ...]) -> Any:
        from nbgraph_kernels.references_lu import reference_regular_factors  # scipy.linalg takes 0.1 s to import

        return reference_regular_factors(ins[0])

    def workspace(self, ins: Sequence[TensorType], sizes: Shape) -> Size:
        from nbgraph_kernels.sizes_lu import regular_factors_workspace

        return regular_factors_workspace(ins[0].code, ins[0].shape[-1])  # type: ignore[no-any-return]

    def lower(self, lw: Any, ins: Sequence[Any], outs: Sequence[Any], sizes: Shape) -> None:
        (a,), (lu, pivots) = ins, outs
        shape = a.type.shape
        scratch = lw.workspace(self.workspace([a.type], sizes))
        places = lu.address, pivots.address, a.address
        lw.call("regular_factors", a.type.code, *places, matrices.count(shape), shape[-1], scratch)

    def linearize(self, b: Any, ins: Any, outs: Any, tangents: Any, sizes: Shape) -> Any:
        return None, None

    @classmethod
    def samples(cls, code: str, rng: np.random.Generator) -> Iterable[Sample]:
        if code in INEXACT.split():
            for shape in _SHAPES:
                yield Sample(cls(), (_regular(rng, code, shape),), smooth=False)


@final
class ExchangeRows(Kernel):
    """x[..., m, n] with row i exchanged with row pivots[..., i], for i ascending: P x; descending: P^T x."""

    name = "exchange_rows"
    kernel = "exchange_rows"
    failure = "a pivot is outside of the matrix"
    params = ("backward",)
    backward: bool
    fallible = True

    def infer(self, cx: Sizes, ins: Sequence[TensorType], sizes: Shape) -> TensorType:
        x, pivots = ins
        if x.code not in (*INEXACT.split(), "i4", "i8") or x.ndim < 2:
            wanted = "a stack of matrices of numbers"
            raise ShapeError("no rows to exchange", operation=self.name, position=0, got=x, wanted=wanted)
        if pivots.code != "i4":
            raise DtypeError("wrong pivots", operation=self.name, position=1, got=pivots.dtype, wanted="int32")
        wanted_shape: Any = (*x.shape[:-2], pivots.shape[-1] if pivots.ndim else "k")
        batch = matrices.same_shape(cx, self.name, 1, pivots.shape, wanted_shape)[:-1]
        return x.with_shape((*batch, *x.shape[-2:]))

    def reference(self, ins: Sequence[Any], sizes: tuple[int, ...]) -> Any:
        from nbgraph_kernels.references_lu import reference_exchange_rows

        return reference_exchange_rows(ins[0], ins[1], self.backward)

    def lower(self, lw: Any, ins: Sequence[Any], outs: Sequence[Any], sizes: Shape) -> None:
        (x, pivots), (out,) = ins, outs
        *_, m, n = x.type.shape
        places = out.address, x.address, pivots.address
        how = matrices.count(x.type.shape), m, n, pivots.type.shape[-1], int(self.backward)
        lw.call("exchange_rows", x.type.code, *places, *how)

    def linearize(self, b: Any, ins: Any, outs: Any, tangents: Any, sizes: Shape) -> Any:
        return b.emit(self, tangents[0], ins[1])

    def transpose(self, b: Any, ct: Any, ins: Any, active: Sequence[bool], sizes: Shape) -> Any:
        return b.emit(ExchangeRows(not self.backward), ct, ins[1]), None

    @classmethod
    def samples(cls, code: str, rng: np.random.Generator) -> Iterable[Sample]:
        if code == "b1":
            return
        for batch, m, n, k in (((), 3, 2, 3), ((2,), 4, 3, 2), ((2, 1), 1, 2, 1), ((), 0, 2, 0), ((0,), 2, 2, 2)):
            pivots = [[rng.integers(i, m) for i in range(k)] for _ in range(int(np.prod(batch)))]
            x = sample_array(rng, code, (*batch, m, n))
            for backward in (False, True):
                yield Sample(cls(backward), (x, np.array(pivots, np.int32).reshape(*batch, k)))


@final
class PackedSolve(Kernel):
    """x with op(T) x = b, for t[..., n, n] and b[..., n, k].

    T is the upper triangle of t, or its lower triangle with ones for the diagonal; op(T) is T or T^H.
    Source: BLAS xTRSM.
    """

    name = "packed_solve"
    kernel = "packed_solve"
    params = ("upper", "adjoint")
    upper: bool
    adjoint: bool

    def infer(self, cx: Sizes, ins: Sequence[TensorType], sizes: Shape) -> TensorType:
        return _infer_solution(cx, self.name, ins[0], ins[1])

    def reference(self, ins: Sequence[Any], sizes: tuple[int, ...]) -> Any:
        from nbgraph_kernels.references_lu import reference_packed_solve

        return reference_packed_solve(ins[0], ins[1], self.upper, self.adjoint)

    def lower(self, lw: Any, ins: Sequence[Any], outs: Sequence[Any], sizes: Shape) -> None:
        (t, right), (x,) = ins, outs
        n, k = right.type.shape[-2:]
        how = matrices.count(right.type.shape), n, k, int(self.upper), int(self.adjoint)
        lw.call("packed_solve", t.type.code, x.address, t.address, right.address, *how)

    def linearize(self, b: Any, ins: Any, outs: Any, tangents: Any, sizes: Shape) -> Any:
        # op(T) dx = db - op(dT) x
        dt, db = tangents
        if dt is None:
            return b.emit(self, ins[0], db)
        dt = (matrices.upper if self.upper else matrices.strictly_lower)(b, dt)
        dt = matrices.adjoint(b, dt) if self.adjoint else dt
        return b.emit(self, ins[0], b.sub(db, matrices.matmul(b, dt, outs[0])))

    def transpose(self, b: Any, ct: Any, ins: Any, active: Sequence[bool], sizes: Shape) -> Any:
        if active[0]:
            return super().transpose(b, ct, ins, active, sizes)
        return None, b.emit(PackedSolve(self.upper, not self.adjoint), ins[0], ct)

    @classmethod
    def samples(cls, code: str, rng: np.random.Generator) -> Iterable[Sample]:
        if code in INEXACT.split():
            for batch, n, k in (((), 3, 2), ((2,), 3, 1), ((), 1, 1), ((), 0, 2), ((2,), 2, 0), ((0,), 2, 2)):
                t = sample_array(rng, code, (*batch, n, n), -1.0, 1.0) + 3 * np.eye(n)
                for upper in (False, True):
                    for adjoint in (False, True):
                        right = sample_array(rng, code, (*batch, n, k))
                        yield Sample(cls(upper, adjoint), (t.astype(code), right))


@final
class FactoredSolve(Op):
    """x with op(a) x = b, by factors of a that are there: operands a, lu, pivots, b; op(a) is a or a^H.

    Its derivative is by a and b: the factors are those of a, and what they would tell is told by a. So a derivative of
    any order solves with the same factors, and differentiates none.
    """

    name = "factored_solve"
    params = ("adjoint",)
    adjoint: bool

    def infer(self, cx: Sizes, ins: Sequence[TensorType], sizes: Shape) -> TensorType:
        a, lu, pivots, right = ins
        check_factors(cx, self.name, a, lu, pivots)
        return _infer_solution(cx, self.name, a, right, 3)

    def reference(self, ins: Sequence[Any], sizes: tuple[int, ...]) -> Any:
        from nbgraph_kernels.references_lu import reference_exchange_rows, reference_packed_solve

        _, lu, pivots, right = ins
        if self.adjoint:
            half = reference_packed_solve(lu, right, True, True)
            return reference_exchange_rows(reference_packed_solve(lu, half, False, True), pivots, True)
        half = reference_packed_solve(lu, reference_exchange_rows(right, pivots, False), False, False)
        return reference_packed_solve(lu, half, True, False)

    def expand(self, b: Any, ins: Any, sizes: Shape) -> Any:
        _, lu, pivots, right = ins
        if self.adjoint:
            half = b.packed_solve(lu, right, upper=True, adjoint=True)
            return b.exchange_rows(b.packed_solve(lu, half, upper=False, adjoint=True), pivots, backward=True)
        half = b.packed_solve(lu, b.exchange_rows(right, pivots, backward=False), upper=False, adjoint=False)
        return b.packed_solve(lu, half, upper=True, adjoint=False)

    def linearize(self, b: Any, ins: Any, outs: Any, tangents: Any, sizes: Shape) -> Any:
        # op(a) dx = db - op(da) x
        da, _, _, db = tangents
        if da is None and db is None:
            return None
        if da is not None:
            da = matrices.adjoint(b, da) if self.adjoint else da
            db = b.sub(db, matrices.matmul(b, da, outs[0]))
        return b.emit(self, *ins[:3], db)

    def transpose(self, b: Any, ct: Any, ins: Any, active: Sequence[bool], sizes: Shape) -> Any:
        if any(active[:3]):
            return super().transpose(b, ct, ins, active, sizes)
        return None, None, None, b.emit(FactoredSolve(not self.adjoint), *ins[:3], ct)

    @classmethod
    def samples(cls, code: str, rng: np.random.Generator) -> Iterable[Sample]:
        if code in INEXACT.split():
            for shape in _SHAPES:
                a = _regular(rng, code, shape)
                lu, pivots, _ = LuFactor(True, False).reference([a], ())
                for adjoint in (False, True):
                    right = sample_array(rng, code, (*shape[:-1], 2))
                    # Differences would move a without its factors.
                    yield Sample(cls(adjoint), (a, lu, pivots, right), smooth=False)


def check_factors(cx: Sizes, name: str, a: TensorType, lu: TensorType, pivots: TensorType) -> Size:
    """n of square matrices and the factors that come with them."""
    n = matrices.order(cx, name, 0, a)
    matrices.same_code(name, 1, lu, a.code)
    matrices.same_code(name, 2, pivots, "i4")
    matrices.same_shape(cx, name, 1, lu.shape, a.shape)
    matrices.same_shape(cx, name, 2, pivots.shape, a.shape[:-1])
    return n


def _infer_solution(cx: Sizes, name: str, a: TensorType, right: TensorType, position: int = 1) -> TensorType:
    """The type of x with a x = b."""
    n = matrices.order(cx, name, 0, a)
    matrices.check_matrix(name, position, right)
    matrices.same_code(name, position, right, a.code)
    wanted: Any = (*a.shape[:-2], n, right.shape[-1])
    return right.with_shape(matrices.same_shape(cx, name, position, right.shape, wanted))


@final
class Inv(Kernel):
    """The inverses of matrices a[..., n, n].

    Source: LAPACK xGESV with the identity, as NumPy.
    """

    name = "inv"
    kernel = "inv"
    failure = "singular matrix"
    fallible = True
    costly = True

    def infer(self, cx: Sizes, ins: Sequence[TensorType], sizes: Shape) -> TensorType:
        (a,) = ins
        n = matrices.order(cx, self.name, 0, a)
        return a.with_shape((*a.shape[:-2], n, n))

    def reference(self, ins: Sequence[Any], sizes: tuple[int, ...]) -> Any:
        from nbgraph_kernels.references_lu import reference_inv

        return reference_inv(ins[0])

    def workspace(self, ins: Sequence[TensorType], sizes: Shape) -> Size:
        from nbgraph_kernels.sizes_lu import inv_workspace

        return inv_workspace(ins[0].code, ins[0].shape[-1])  # type: ignore[no-any-return]

    def lower(self, lw: Any, ins: Sequence[Any], outs: Sequence[Any], sizes: Shape) -> None:
        (a,), (x,) = ins, outs
        shape = a.type.shape
        scratch = lw.workspace(self.workspace([a.type], sizes))
        lw.call("inv", a.type.code, x.address, a.address, matrices.count(shape), shape[-1], scratch)

    def linearize(self, b: Any, ins: Any, outs: Any, tangents: Any, sizes: Shape) -> Any:
        # dx = -x da x
        (x,) = outs
        return b.neg(matrices.matmul(b, x, matrices.matmul(b, tangents[0], x)))

    @classmethod
    def samples(cls, code: str, rng: np.random.Generator) -> Iterable[Sample]:
        if code in INEXACT.split():
            for shape in _SHAPES:
                yield Sample(cls(), (_regular(rng, code, shape),))
