"""Functions of matrices: exponential and logarithm with derivatives of every order, square root, Sylvester equations.

In: matrices a[..., n, n]. Out: as said.
Holds: derivative rules use sizes as symbols alone; how often a matrix is halved and squared is found at run time.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, ClassVar, final

import numpy as np

from nbgraph import matrices
from nbgraph.kinds import INEXACT, Kernel
from nbgraph.op import Op, Sample, Sizes, sample_array
from nbgraph.types import Shape, Size, TensorType

_SHAPES: tuple[tuple[int, ...], ...] = ((3, 3), (1, 1), (2, 3, 3), (2, 1, 2, 2), (0, 0), (0, 2, 2))


@final
class Expm(Kernel):
    """exp(a), the sum of a^k / k!; NaN where a has an infinity or a NaN.

    Source: Al-Mohy and Higham, SIAM J. Matrix Anal. Appl. 31, 970 (2009); `reference` is SciPy's.
    """

    name = "expm"
    kernel = "expm"
    fallible = True
    costly = True

    def infer(self, cx: Sizes, ins: Sequence[TensorType], sizes: Shape) -> TensorType:
        (a,) = ins
        n = matrices.order(cx, self.name, 0, a)
        return a.with_shape((*a.shape[:-2], n, n))

    def reference(self, ins: Sequence[Any], sizes: tuple[int, ...]) -> Any:
        from nbgraph_kernels.references_functions import reference_expm  # scipy.linalg takes 0.1 s to import

        return reference_expm(ins[0])

    def workspace(self, ins: Sequence[TensorType], sizes: Shape) -> Size:
        from nbgraph_kernels.sizes_functions import expm_workspace

        return expm_workspace(ins[0].code, ins[0].shape[-1])  # type: ignore[no-any-return]

    def lower(self, lw: Any, ins: Sequence[Any], outs: Sequence[Any], sizes: Shape) -> None:
        (a,), (x,) = ins, outs
        shape = a.type.shape
        scratch = lw.workspace(self.workspace([a.type], sizes))
        lw.call("expm", a.type.code, x.address, a.address, matrices.count(shape), shape[-1], scratch)

    def linearize(self, b: Any, ins: Any, outs: Any, tangents: Any, sizes: Shape) -> Any:
        return b.expm_derivative(ins[0], tangents[0])

    @classmethod
    def samples(cls, code: str, rng: np.random.Generator) -> Iterable[Sample]:
        if code in INEXACT.split():
            for shape in _SHAPES:
                yield Sample(cls(), (sample_array(rng, code, shape, -1.0, 1.0),))


class _Derivative(Op):
    """The k-th derivative of an analytic function f at a in the directions e_1, ..., e_k: operands a, e_1, ..., e_k.

    Linear in each direction and symmetric. It is a block of the function of a matrix of 2^k blocks a side, for one
    direction f([[a, e], [0, a]]) = [[f(a), D], [0, f(a)]] (Mathias, SIAM J. Matrix Anal. Appl. 17, 610 (1996)).
    The adjoint in one direction is the derivative at a^H in the adjoint others: traces are cyclic.
    """

    costly = True
    #: The operation f.
    of: ClassVar[str]

    def _value(self, a: Any) -> Any:
        """f, in NumPy."""
        raise TypeError(type(self))

    def infer(self, cx: Sizes, ins: Sequence[TensorType], sizes: Shape) -> TensorType:
        a = ins[0]
        n = matrices.order(cx, self.name, 0, a)
        shape: Shape = (*a.shape[:-2], n, n)
        for position, e in enumerate(ins[1:], 1):
            matrices.same_code(self.name, position, e, a.code)
            shape = matrices.same_shape(cx, self.name, position, e.shape, shape)
        return a.with_shape(shape)

    def reference(self, ins: Sequence[Any], sizes: tuple[int, ...]) -> Any:
        block, n = ins[0], ins[0].shape[-1]
        for k, e in enumerate(ins[1:]):
            block = _numpy_block(block, np.kron(np.eye(2**k, dtype=e.dtype), e) if e.size else _enlarged(e, k))
        return np.ascontiguousarray(self._value(block)[..., :n, block.shape[-1] - n :])

    def expand(self, b: Any, ins: Any, sizes: Shape) -> Any:
        block, n = ins[0], b.shape(ins[0])[-1]
        for k, e in enumerate(ins[1:]):
            for _ in range(k):
                e = _block(b, e, None)
            block = _block(b, block, e)
        last, count = b.type(block).ndim - 1, 2 ** (len(ins) - 1) - 1
        rows = b.slice(getattr(b, self.of)(block), axis=last - 1, start=0, length=n)
        return b.slice(rows, axis=last, start=count * n, length=n)

    def linearize(self, b: Any, ins: Any, outs: Any, tangents: Any, sizes: Shape) -> Any:
        change = None
        for k, t in enumerate(tangents):
            if t is not None:
                moved = (*ins, t) if k == 0 else (*ins[:k], t, *ins[k + 1 :])
                change = b.add(change, b.emit(self, *moved))
        return change

    def transpose(self, b: Any, ct: Any, ins: Any, active: Sequence[bool], sizes: Shape) -> Any:
        if active[0] or sum(active) != 1:
            return super().transpose(b, ct, ins, active, sizes)
        at = list(active).index(True)
        others = [ct if k == at else matrices.adjoint(b, x) for k, x in enumerate(ins)]
        return tuple(b.emit(self, *others) if k == at else None for k in range(len(ins)))


@final
class ExpmDerivative(_Derivative):
    """That of exp."""

    name = "expm_derivative"
    of = "expm"

    def _value(self, a: Any) -> Any:
        from nbgraph_kernels.references_functions import reference_expm

        return reference_expm(a)

    @classmethod
    def samples(cls, code: str, rng: np.random.Generator) -> Iterable[Sample]:
        if code in INEXACT.split():
            for shape, k in (*((shape, 1) for shape in _SHAPES), ((2, 2), 2), ((0, 0), 2)):
                yield Sample(cls(), tuple(sample_array(rng, code, shape, -0.5, 0.5) for _ in range(k + 1)))


@final
class LogmDerivative(_Derivative):
    """That of log."""

    name = "logm_derivative"
    of = "logm"
    failure = "singular, or not finite"
    fallible = True

    def _value(self, a: Any) -> Any:
        from nbgraph_kernels.references_functions import reference_logm

        return reference_logm(a)

    @classmethod
    def samples(cls, code: str, rng: np.random.Generator) -> Iterable[Sample]:
        if code in ("c8", "c16"):
            for shape, k in (*((shape, 1) for shape in _SHAPES), ((2, 2), 2), ((0, 0), 2)):
                given = [sample_array(rng, code, shape, -0.25, 0.25) for _ in range(k + 1)]
                yield Sample(cls(), ((given[0] + 2 * np.eye(shape[-1])).astype(code), *given[1:]))


def _numpy_block(x: Any, e: Any) -> Any:
    """[[x, e], [0, x]]."""
    above, below = np.concatenate([x, e], -1), np.concatenate([np.zeros_like(x), x], -1)
    return np.concatenate([above, below], -2)


def _enlarged(e: Any, k: int) -> Any:
    """No elements, in the shape of 2^k blocks a side."""
    n = e.shape[-1] * 2**k
    return np.empty((*e.shape[:-2], n, n), e.dtype)


def _block(b: Any, x: Any, e: Any) -> Any:
    """[[x, e], [0, x]], with 0 for None."""
    last, zero = b.type(x).ndim - 1, b.zeros(b.type(x))
    above = b.concatenate(x, zero if e is None else e, axis=last)
    return b.concatenate(above, b.concatenate(zero, x, axis=last), axis=last - 1)


class _Complex(Kernel):
    """A kernel of complex matrices."""

    def check(self, position: int, t: TensorType) -> None:
        matrices.check_matrix(self.name, position, t)
        matrices.same_code(self.name, position, t, t.code if t.is_complex else "c16")


@final
class Sqrtm(_Complex):
    """x with x x = a, for complex a: the root whose eigenvalues have arguments in (-pi/2, pi/2].

    A singular matrix may have none. Where it has one, but x and -x share an eigenvalue, there is no derivative.
    Source: LAPACK xGEES; Bjorck and Hammarling, Linear Algebra Appl. 52, 127 (1983).
    """

    name = "sqrtm"
    kernel = "sqrtm"
    failure = "not finite, no square root, or the iteration did not converge"
    fallible = True
    costly = True

    def infer(self, cx: Sizes, ins: Sequence[TensorType], sizes: Shape) -> TensorType:
        (a,) = ins
        self.check(0, a)
        n = matrices.order(cx, self.name, 0, a)
        return a.with_shape((*a.shape[:-2], n, n))

    def reference(self, ins: Sequence[Any], sizes: tuple[int, ...]) -> Any:
        from nbgraph_kernels.references_functions import reference_sqrtm

        return reference_sqrtm(ins[0])

    def workspace(self, ins: Sequence[TensorType], sizes: Shape) -> Size:
        from nbgraph_kernels.sizes_functions import sqrtm_workspace

        return sqrtm_workspace(ins[0].code, ins[0].shape[-1])  # type: ignore[no-any-return]

    def lower(self, lw: Any, ins: Sequence[Any], outs: Sequence[Any], sizes: Shape) -> None:
        (a,), (x,) = ins, outs
        shape = a.type.shape
        scratch = lw.workspace(self.workspace([a.type], sizes))
        lw.call("sqrtm", a.type.code, x.address, a.address, matrices.count(shape), shape[-1], scratch)

    def linearize(self, b: Any, ins: Any, outs: Any, tangents: Any, sizes: Shape) -> Any:
        # x dx + dx x = da
        return b.sylvester(outs[0], outs[0], tangents[0])

    @classmethod
    def samples(cls, code: str, rng: np.random.Generator) -> Iterable[Sample]:
        if code in ("c8", "c16"):
            for shape in _SHAPES:
                a = sample_array(rng, code, shape, -0.5, 0.5) + 2 * np.eye(shape[-1])
                yield Sample(cls(), (a.astype(code),))


@final
class Logm(Op):
    """The principal logarithm of complex a: eigenvalues have arguments in (-pi, pi].

    8 times that of its 8th root, by a quadrature that is a Pade approximant, and one step of Halley's
    method for exp x = a (Higham, Functions of Matrices, SIAM 2008, sections 11.4 and 11.5, and problem 11.3): x, a and
    exp x commute, so x + 2 (1 + y)^-1 (1 - y) with y = a^-1 exp x has the cube of its
    error, that of the quadrature. More roots would make more rounding errors.
    """

    name = "logm"
    failure = "singular, or not finite"
    fallible = True
    costly = True

    def infer(self, cx: Sizes, ins: Sequence[TensorType], sizes: Shape) -> TensorType:
        (a,) = ins
        matrices.check_matrix(self.name, 0, a)
        matrices.same_code(self.name, 0, a, a.code if a.is_complex else "c16")
        n = matrices.order(cx, self.name, 0, a)
        return a.with_shape((*a.shape[:-2], n, n))

    def reference(self, ins: Sequence[Any], sizes: tuple[int, ...]) -> Any:
        from nbgraph_kernels.references_functions import reference_logm

        return reference_logm(ins[0])

    def expand(self, b: Any, ins: Any, sizes: Shape) -> Any:
        from nbgraph_kernels.references_functions import LOG_NODES

        (a,) = ins
        root, one = a, matrices.identity(b, a)
        for _ in range(3):
            root = b.sqrtm(root)
        small, total = b.sub(root, one), None
        for node, weight in LOG_NODES:
            part = b.solve(b.add(one, b.mul(small, node)), small)
            total = b.add(total, b.mul(part, weight))
        x = b.mul(total, 8.0)
        power = b.expm(x)
        ratio = b.solve(a, power)
        return b.add(x, b.mul(b.solve(b.add(one, ratio), b.sub(one, ratio)), 2.0))

    def linearize(self, b: Any, ins: Any, outs: Any, tangents: Any, sizes: Shape) -> Any:
        return b.logm_derivative(ins[0], tangents[0])

    @classmethod
    def samples(cls, code: str, rng: np.random.Generator) -> Iterable[Sample]:
        if code in ("c8", "c16"):
            for shape in _SHAPES:
                a = sample_array(rng, code, shape, -0.25, 0.25) + 2 * np.eye(shape[-1])
                yield Sample(cls(), (a.astype(code),))


@final
class Sylvester(_Complex):
    """x with a x + x b = c, for complex a[..., m, m], b[..., n, n], c[..., m, n].

    There is one solution unless a and -b share an eigenvalue.
    Source: LAPACK xGEES, xTRSYL (Bartels and Stewart, Comm. ACM 15, 820 (1972)).
    """

    name = "sylvester"
    kernel = "sylvester"
    failure = "not finite, no one solution, or the iteration did not converge"
    fallible = True

    def infer(self, cx: Sizes, ins: Sequence[TensorType], sizes: Shape) -> TensorType:
        a, right, c = ins
        for position, t in enumerate(ins):
            self.check(position, t)
            matrices.same_code(self.name, position, t, a.code)
        m, n = matrices.order(cx, self.name, 0, a), matrices.order(cx, self.name, 1, right)
        matrices.same_shape(cx, self.name, 1, right.shape, (*a.shape[:-2], n, n))
        return c.with_shape(matrices.same_shape(cx, self.name, 2, c.shape, (*a.shape[:-2], m, n)))

    def reference(self, ins: Sequence[Any], sizes: tuple[int, ...]) -> Any:
        from nbgraph_kernels.references_functions import reference_sylvester

        return reference_sylvester(*ins)

    def workspace(self, ins: Sequence[TensorType], sizes: Shape) -> Size:
        from nbgraph_kernels.sizes_functions import sylvester_workspace

        return sylvester_workspace(ins[2].code, *ins[2].shape[-2:])  # type: ignore[no-any-return]

    def lower(self, lw: Any, ins: Sequence[Any], outs: Sequence[Any], sizes: Shape) -> None:
        shape = ins[2].type.shape
        scratch = lw.workspace(self.workspace([x.type for x in ins], sizes))
        places = outs[0].address, *(x.address for x in ins)
        lw.call("sylvester", ins[2].type.code, *places, matrices.count(shape), *shape[-2:], scratch)

    def linearize(self, b: Any, ins: Any, outs: Any, tangents: Any, sizes: Shape) -> Any:
        # a dx + dx b = dc - da x - x db
        (da, db, change), (x,) = tangents, outs
        if da is not None:
            change = b.sub(change, matrices.matmul(b, da, x))
        if db is not None:
            change = b.sub(change, matrices.matmul(b, x, db))
        return b.emit(self, *ins[:2], change)

    def transpose(self, b: Any, ct: Any, ins: Any, active: Sequence[bool], sizes: Shape) -> Any:
        if active[0] or active[1]:
            return super().transpose(b, ct, ins, active, sizes)
        return None, None, b.emit(self, *(matrices.adjoint(b, x) for x in ins[:2]), ct)

    @classmethod
    def samples(cls, code: str, rng: np.random.Generator) -> Iterable[Sample]:
        if code in ("c8", "c16"):
            for batch, m, n in (((), 3, 2), ((), 1, 1), ((2,), 2, 2), ((), 0, 2), ((2,), 1, 0), ((0,), 2, 2)):
                parts = sample_array(rng, code, (*batch, m, m)) / 4, sample_array(rng, code, (*batch, n, n)) / 4
                a, right = (x + np.eye(x.shape[-1]) for x in parts)
                yield Sample(cls(), (a.astype(code), right.astype(code), sample_array(rng, code, (*batch, m, n))))
