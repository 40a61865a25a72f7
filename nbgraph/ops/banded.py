"""Systems with banded matrices and their Cholesky factors.

In: bands ab[..., r, n] as LAPACK and SciPy store them, a[i, j] in row u + i - j of column j, and right-hand sides
[..., n, k] with equal batch dimensions. Out: what LAPACK gives, in time and memory that grow as n r^2 and n r.
Holds: what of a band lies outside of the matrix is not read, and its derivative is 0. In rules the rows of a band are
moved against each other by one reshape (`_skewed`), so that their number counts no operations.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, final

import numpy as np

from nbgraph.kinds import INEXACT, Kernel
from nbgraph.matrices import adjoint, check_matrix, count, matmul, same_code, same_shape, turned
from nbgraph.op import Op, Sample, Sizes, sample_array
from nbgraph.types import Shape, Size, TensorType

_SHAPES = (((), 4, 2), ((2,), 3, 1), ((), 1, 1), ((), 0, 2), ((2,), 2, 0), ((0,), 2, 2), ((2, 1), 3, 2))


# -- bands in rules ---------------------------------------------------------------------------------------------------


def _skewed(b: Any, x: Any, axis: int) -> Any:
    """x[..., r, n, ...], `axis` that of r, with row i moved by i places: [..., r, n + r - 1, ...], zeros beside."""
    *before, r, n = b.shape(x)[: axis + 2]
    after = b.shape(x)[axis + 2 :]
    x = b.pad_slice(x, axis=axis + 1, start=0, size=n + r)
    x = b.reshape(x, shape=(*before, r * (n + r), *after))
    x = b.slice(x, axis=axis, start=0, length=r * (n + r - 1))
    return b.reshape(x, shape=(*before, r, n + r - 1, *after))


def _straight(b: Any, x: Any, n: Size) -> Any:
    """x[..., m, n + m - 1] with row i moved back by i places: [..., m, n]."""
    *batch, m, wide = b.shape(x)
    last = b.type(x).ndim - 1
    x = b.reshape(x, shape=(*batch, m * wide))
    x = b.pad_slice(x, axis=last - 1, start=0, size=m * (wide + 1))
    x = b.reshape(x, shape=(*batch, m, wide + 1))
    return b.slice(x, axis=last, start=0, length=n)


def _product(b: Any, ab: Any, x: Any, above: Size) -> Any:
    """a x of a band with `above` diagonals above the main one."""
    axis, n = b.type(ab).ndim - 2, b.shape(x)[-2]
    terms = b.mul(b.expand_dims(ab, axes=(axis + 2,)), b.expand_dims(x, axes=(axis,)))
    return b.slice(b.sum(_skewed(b, terms, axis), axes=(axis,)), axis=axis, start=above, length=n)


def _adjoint(b: Any, ab: Any, above: Size) -> Any:
    """The band of a^H, where that of a has `above` diagonals above the main one."""
    axis, n = b.type(ab).ndim - 2, b.shape(ab)[-1]
    rows = b.slice(_skewed(b, b.conj(ab), axis), axis=axis + 1, start=above, length=n)
    return b.flip(rows, axes=(axis,))


def _hermitian_product(b: Any, ab: Any, x: Any, below: bool) -> Any:
    """a x for the Hermitian a of which `ab` is one half; of the main diagonal the real part counts."""
    rows = b.shape(ab)[-2]
    above = 0 if below else rows - 1
    main = b.equal(b.iota(code="i8", n=rows), b.size_value(code="i8", n=above))
    main = b.expand_dims(main, axes=(1,))
    half = b.where(main, b.mul(ab, 0.5), ab)
    other = _adjoint(b, half, above)
    return b.add(_product(b, half, x, above), _product(b, other, x, rows - 1 - above))


# -- checks -----------------------------------------------------------------------------------------------------------


def _infer_solution(cx: Sizes, name: str, ab: TensorType, right: TensorType) -> TensorType:
    check_matrix(name, 0, ab)
    check_matrix(name, 1, right)
    same_code(name, 1, right, ab.code)
    wanted = (*ab.shape[:-2], ab.shape[-1], right.shape[-1])
    return right.with_shape(same_shape(cx, name, 1, right.shape, wanted))


# -- systems ----------------------------------------------------------------------------------------------------------


@final
class BandedSolve(Kernel):
    """x with a x = b, for a with `above` diagonals above the main one; the others of the band lie below it.

    Source: LAPACK xGBSV.
    """

    name = "banded_solve"
    kernel = "banded_solve"
    failure = "singular matrix"
    told_as = "solve_banded"
    fallible = True
    costly = True

    @classmethod
    def bind(cls, types: Sequence[TensorType], **kwargs: Any) -> tuple[Op, Shape]:
        return cls(), (kwargs["above"],)

    def infer(self, cx: Sizes, ins: Sequence[TensorType], sizes: Shape) -> TensorType:
        return _infer_solution(cx, self.name, *ins)

    def reference(self, ins: Sequence[Any], sizes: tuple[int, ...]) -> Any:
        from nbgraph_kernels.references_banded import reference_banded_solve  # scipy.linalg takes 0.1 s to import

        return reference_banded_solve(ins[0], ins[1], sizes[0])

    def workspace(self, ins: Sequence[TensorType], sizes: Shape) -> Size:
        from nbgraph_kernels.sizes_banded import banded_solve_workspace

        return banded_solve_workspace(ins[0].code, ins[0].shape[-2], *ins[1].shape[-2:])  # type: ignore[no-any-return]

    def lower(self, lw: Any, ins: Sequence[Any], outs: Sequence[Any], sizes: Shape) -> None:
        (ab, right), (x,) = ins, outs
        scratch = lw.workspace(self.workspace([ab.type, right.type], sizes))
        (above,) = sizes
        below = ab.type.shape[-2] - 1 - above
        how = count(right.type.shape), below, above, *right.type.shape[-2:], scratch
        lw.call("banded_solve", ab.type.code, x.address, ab.address, right.address, *how)

    def linearize(self, b: Any, ins: Any, outs: Any, tangents: Any, sizes: Shape) -> Any:
        # a dx = db - da x
        dab, db = tangents
        if dab is not None:
            db = b.sub(db, _product(b, dab, outs[0], *sizes))
        return None if db is None else b.banded_solve(ins[0], db, above=sizes[0])

    def transpose(self, b: Any, ct: Any, ins: Any, active: Sequence[bool], sizes: Shape) -> Any:
        if active[0]:
            return super().transpose(b, ct, ins, active, sizes)
        (above,), rows = sizes, b.shape(ins[0])[-2]
        return None, b.banded_solve(_adjoint(b, ins[0], above), ct, above=rows - 1 - above)

    @classmethod
    def samples(cls, code: str, rng: np.random.Generator) -> Iterable[Sample]:
        if code in INEXACT.split():
            for batch, n, k in _SHAPES:
                for below, above in ((1, 2), (0, 0), (3, 0)):
                    ab = sample_array(rng, code, (*batch, below + above + 1, n), -1.0, 1.0)
                    ab[..., above, :] += 4
                    yield Sample(cls(), (ab, sample_array(rng, code, (*batch, n, k))), (above,))


@final
class BandedDefiniteSolve(Kernel):
    """x with a x = b, for a Hermitian positive definite, of which ab[..., r, n] is the lower half or the upper one.

    Source: LAPACK xPBSV.
    """

    name = "banded_definite_solve"
    kernel = "banded_definite_solve"
    failure = "not positive definite"
    told_as = "solveh_banded"
    params = ("below",)
    below: bool
    fallible = True
    costly = True

    def infer(self, cx: Sizes, ins: Sequence[TensorType], sizes: Shape) -> TensorType:
        return _infer_solution(cx, self.name, *ins)

    def reference(self, ins: Sequence[Any], sizes: tuple[int, ...]) -> Any:
        from nbgraph_kernels.references_banded import reference_banded_definite_solve

        return reference_banded_definite_solve(ins[0], ins[1], self.below)

    def workspace(self, ins: Sequence[TensorType], sizes: Shape) -> Size:
        from nbgraph_kernels.sizes_banded import banded_definite_solve_workspace

        rows, sizes = ins[0].shape[-2], ins[1].shape[-2:]
        return banded_definite_solve_workspace(ins[0].code, rows, *sizes)  # type: ignore[no-any-return]

    def lower(self, lw: Any, ins: Sequence[Any], outs: Sequence[Any], sizes: Shape) -> None:
        (ab, right), (x,) = ins, outs
        scratch = lw.workspace(self.workspace([ab.type, right.type], sizes))
        rows = ab.type.shape[-2]
        how = count(right.type.shape), int(self.below), rows, *right.type.shape[-2:], scratch
        lw.call("banded_definite_solve", ab.type.code, x.address, ab.address, right.address, *how)

    def linearize(self, b: Any, ins: Any, outs: Any, tangents: Any, sizes: Shape) -> Any:
        # a dx = db - da x
        dab, db = tangents
        if dab is not None:
            db = b.sub(db, _hermitian_product(b, dab, outs[0], self.below))
        return None if db is None else b.emit(self, ins[0], db)

    def transpose(self, b: Any, ct: Any, ins: Any, active: Sequence[bool], sizes: Shape) -> Any:
        if active[0]:
            return super().transpose(b, ct, ins, active, sizes)
        return None, b.emit(self, ins[0], ct)

    @classmethod
    def samples(cls, code: str, rng: np.random.Generator) -> Iterable[Sample]:
        if code in INEXACT.split():
            for batch, n, k in _SHAPES:
                for rows, below in ((2, True), (2, False), (1, True), (3, False)):
                    ab = _definite(rng, code, (*batch, rows, n), below)
                    yield Sample(cls(below), (ab, sample_array(rng, code, (*batch, n, k))))


@final
class BandedCholesky(Kernel):
    """c[..., r, n], the band of the lower factor with a = c c^H, or of the upper one with a = c^H c, of the half ab.

    Outside of the matrix it is 0. Its derivative is made by whole matrices [n, n].
    Source: LAPACK xPBTRF.
    """

    name = "banded_cholesky"
    kernel = "banded_cholesky"
    failure = "not positive definite"
    told_as = "cholesky_banded"
    params = ("below",)
    below: bool
    fallible = True
    costly = True

    def infer(self, cx: Sizes, ins: Sequence[TensorType], sizes: Shape) -> TensorType:
        check_matrix(self.name, 0, ins[0])
        return ins[0]

    def reference(self, ins: Sequence[Any], sizes: tuple[int, ...]) -> Any:
        from nbgraph_kernels.references_banded import reference_banded_cholesky

        return reference_banded_cholesky(ins[0], self.below)

    def workspace(self, ins: Sequence[TensorType], sizes: Shape) -> Size:
        from nbgraph_kernels.sizes_banded import banded_cholesky_workspace

        return banded_cholesky_workspace(ins[0].code, *ins[0].shape[-2:])  # type: ignore[no-any-return]

    def lower(self, lw: Any, ins: Sequence[Any], outs: Sequence[Any], sizes: Shape) -> None:
        (ab,), (c,) = ins, outs
        scratch = lw.workspace(self.workspace([ab.type], sizes))
        how = count(ab.type.shape), int(self.below), *ab.type.shape[-2:], scratch
        lw.call("banded_cholesky", ab.type.code, c.address, ab.address, *how)

    def linearize(self, b: Any, ins: Any, outs: Any, tangents: Any, sizes: Shape) -> Any:
        # l^-1 da l^-H = l^-1 dl + (l^-1 dl)^H, as of `cholesky`, with the matrices whole; dl keeps to the band.
        (dab,), (c,), rows = tangents, outs, b.shape(outs[0])[-2]
        if not self.below:
            dab, c = (_adjoint(b, x, rows - 1) for x in (dab, c))
        factor, half = self._whole(b, c), self._whole(b, dab)
        place = b.iota(code="i8", n=b.shape(c)[-1])
        row = b.expand_dims(place, axes=(1,))
        half = b.where(b.equal(row, place), b.mul(half, 0.5), half)
        change = b.solve_triangular(factor, b.add(half, adjoint(b, half)), lower=True)
        change = b.solve_triangular(factor, adjoint(b, change), lower=True)
        change = b.where(b.equal(row, place), b.mul(change, 0.5), change)
        dfactor = matmul(b, factor, b.where(b.less_equal(place, row), change, b.lit(0, change)))
        dc = self._band(b, dfactor, rows)
        return dc if self.below else _adjoint(b, dc, 0)

    def _whole(self, b: Any, c: Any) -> Any:
        """The lower triangular matrix of a lower half."""
        last, n = b.type(c).ndim - 1, b.shape(c)[-1]
        return turned(b, b.slice(_skewed(b, turned(b, c), last - 1), axis=last, start=0, length=n))

    def _band(self, b: Any, x: Any, rows: Size) -> Any:
        """The lower half of a matrix."""
        last, n = b.type(x).ndim - 1, b.shape(x)[-1]
        wide = b.pad_slice(turned(b, x), axis=last, start=0, size=n + rows - 1)
        return turned(b, _straight(b, wide, rows))

    @classmethod
    def samples(cls, code: str, rng: np.random.Generator) -> Iterable[Sample]:
        if code in INEXACT.split():
            for batch, n, _ in _SHAPES:
                for rows, below in ((2, True), (2, False), (1, True), (3, False)):
                    yield Sample(cls(below), (_definite(rng, code, (*batch, rows, n), below),))


def _definite(rng: np.random.Generator, code: str, shape: tuple[int, ...], below: bool) -> Any:
    """Half a band of a matrix that its diagonal dominates."""
    ab = sample_array(rng, code, shape, -1.0, 1.0)
    ab[..., 0 if below else -1, :] = 2 * shape[-2] + np.abs(ab[..., 0, :])
    return ab
