"""Sizes that are names: every function of the library, recorded once, gives at any size what it gives at known sizes.

A case is a function of operands whose sizes are names; it is recorded on placeholders, with its gradient and a
Hessian-vector product, and evaluated at several bindings. The oracle is the same function of leaves of those sizes:
that it is NumPy's is tested elsewhere.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import pytest

import nbgraph as nbg
from nbgraph import Engine, TracedTensor
from nbgraph.trees import flatten

Array = np.ndarray[Any, Any]
la, fft, nn, special = nbg.linalg, nbg.fft, nbg.nn, nbg.special

SHAPES: dict[str, tuple[Any, ...]] = {
    "x": ("n", "m"), "x2": ("n", "m"), "w": ("m", "n"), "y": ("n",), "z": ("m",), "s": ("n", "n"), "t": ("n", 3),
    "b": ("k", "n", "n"), "c": ("k", "n", "m"), "q": (3, 3), "i": ("k",), "o": ("n", 1),
}  # fmt: skip
#: What the names stand for: wide, so small that everything is 1, tall, square.
BINDINGS = ({"n": 3, "m": 5, "k": 2}, {"n": 1, "m": 1, "k": 1}, {"n": 5, "m": 3, "k": 4}, {"n": 4, "m": 4, "k": 4})


class Case(NamedTuple):
    """`order`: up to which derivatives are tested. `least`: sizes from which on it is defined."""

    operands: str
    f: Callable[..., Any]
    order: int = 2
    least: int = 1
    code: str = "f8"


def placeholder(name: str, code: str) -> TracedTensor:
    return TracedTensor.placeholder(SHAPES[name], "i8" if name == "i" else code, name)


def sample(name: str, sizes: dict[str, int], code: str) -> Array:
    """Values in (0, 1), all distinct; square matrices are positive definite."""
    shape = tuple(sizes.get(d, d) for d in SHAPES[name])
    rng = np.random.default_rng([ord(c) for c in name] + list(shape))
    if name == "i":
        return rng.integers(0, sizes["n"], shape)
    a = rng.uniform(0.1, 0.9, shape)
    if code == "c16":
        a = a + 1j * rng.uniform(0.1, 0.9, shape)
    if name in "sbq":
        a = a @ np.conj(np.swapaxes(a, -1, -2)) / shape[-1] + np.diag(0.5 + np.arange(shape[-1]))
    return a


def made_by(case: Case, operands: list[TracedTensor]) -> list[TracedTensor]:
    """The results, the gradient of a loss of them, and a product with its Hessian."""
    outs: list[TracedTensor] = flatten(case.f(*operands))[0]
    wrt = [p for p in operands if p.dtype.kind in "fc"]
    inexact = [o for o in outs if o.dtype.kind in "fc"]
    if not case.order or not inexact:
        return outs
    loss = sum(nbg.sum(nbg.real(o * nbg.conj(o)) + nbg.real(o)) for o in inexact)
    gradient = loss.grad(wrt, allow_unused=True)
    if case.order == 1:
        return [*outs, *gradient]
    along = sum(nbg.sum(nbg.real(nbg.conj(g) * nbg.stop_gradient(p))) for g, p in zip(gradient, wrt, strict=True))
    return [*outs, *gradient, *along.grad(wrt, allow_unused=True)]


def check(case: Case, bindings: Any = BINDINGS) -> None:
    names = case.operands.split()
    engine = Engine(jit="never")
    symbolic = [placeholder(name, case.code) for name in names]
    made = made_by(case, symbolic)
    for sizes in bindings:
        if min(sizes.values()) < case.least:
            continue
        arrays = [sample(name, sizes, case.code) for name in names]
        got = nbg.eval(*made, engine=engine, bindings=dict(zip(symbolic, arrays, strict=True)))
        want = nbg.eval(*made_by(case, [TracedTensor.from_tensor(a) for a in arrays]), engine=engine)
        for g, w in zip(got, want, strict=True):
            assert (g.dtype, g.shape) == (w.dtype, w.shape), sizes
            np.testing.assert_allclose(g, w, rtol=1e-8, atol=1e-9, err_msg=str(sizes))


def each(module: Any, names: str) -> Callable[..., Any]:
    """All of these functions of the same operands."""
    return lambda *xs: [getattr(module, name)(*xs) for name in names.split()]


ELEMENTWISE = {
    "algebra": Case("x", each(nbg, """abs sqrt square cbrt reciprocal negative sign rsqrt conj real imag nan_to_num
        positive angle deg2rad degrees""")),
    "exponentials": Case("x", each(nbg, "exp expm1 exp2 log log1p log2 log10 sinh cosh tanh arcsinh arctanh")),
    "trigonometry": Case("x", each(nbg, "sin cos tan arcsin arccos arctan erf sinc i0")),
    "rounding": Case("x", each(nbg, """floor ceil rint trunc fix isfinite isnan isinf signbit logical_not frexp
        modf"""), 0),
    "pairs": Case("x x2", each(nbg, """add subtract multiply divide power maximum minimum arctan2 hypot logaddexp
        copysign remainder fmod float_power fmax fmin heaviside""")),
    "comparisons": Case("x x2", each(nbg, """greater less equal logical_and floor_divide nextafter isclose
        divmod"""), 0),
    "broadcast": Case("x z o", lambda x, z, o: [x * z + o, nbg.maximum(o, z), x / o - z]),
    "numbers": Case("x", lambda x: [x * x.shape[0], x / x.shape[1], x + x.size, nbg.asarray(x.shape[0])]),
    "special functions": Case("x", each(special, """gamma lgamma digamma erfc erfinv ndtr entr expit logit
        log_expit"""), 1),
    "special functions of two": Case("x x2", each(special, "betaln xlogy xlog1py rel_entr kl_div"), 1),
    "activations": Case("x", each(nn, """celu elu hard_sigmoid hard_tanh leaky_relu log_sigmoid mish relu relu6 selu
        sigmoid silu soft_sign softplus sparse_plus squareplus"""), 1),
    "normalisation": Case("x", each(nn, "softmax log_softmax logsumexp logmeanexp standardize")),
    "glu": Case("x", lambda x: nn.glu(nbg.concatenate([x, x + 1], 1), 1)),
    "one_hot": Case("i x", lambda i, x: nn.one_hot(i, x.shape[0]), 0),
}  # fmt: skip
REDUCTIONS = {
    "of all": Case("x", each(nbg, "sum prod mean max min var std ptp median average")),
    "without NaN": Case("x", each(nbg, """nansum nanprod nanmean nanmax nanvar nanstd nanmedian nancumsum
        nancumprod""")),
    "counts": Case("x", each(nbg, "any all argmax argmin count_nonzero"), 0),
    "along an axis": Case("x", lambda x: [
        nbg.sum(x, 0), nbg.sum(x, -1, keepdims=True), nbg.mean(x, 0), nbg.max(x, 0), nbg.min(x, 1), nbg.prod(x, 1),
        nbg.mean(x, (0, 1), keepdims=True), nbg.ptp(x, 0), nbg.median(x, 1, keepdims=True), nn.softmax(x, 0),
        special.logsumexp(x, 0),
    ]),
    "variances": Case("x", lambda x: [nbg.var(x, 0), nbg.std(x, 1, ddof=1)], least=2),
    "quantiles": Case("x", lambda x: [
        nbg.quantile(x, 0.3), nbg.quantile(x, [0.1, 0.8], axis=0), nbg.percentile(x, 40, axis=1),
        nbg.nanquantile(x, 0.3),
    ]),
    "weights": Case("x y", lambda x, y: nbg.average(x, 0, weights=y)),
    "places": Case("x", lambda x: [nbg.argmax(x, 0), nbg.argmin(x, 1, keepdims=True)], 0),
}  # fmt: skip
PRODUCTS = {
    "matmul": Case("x z", lambda x, z: [x @ z, x @ x.T, x.T @ x]),
    "matmul of many": Case("b c x y", lambda b, c, x, y: [b @ c, c.mT @ b, b @ x, b @ y]),
    "vectors": Case("x y z", lambda x, y, z: [nbg.dot(y, x), nbg.vdot(y, y), nbg.inner(x, z), nbg.outer(y, z)]),
    "tensordot": Case("x c", lambda x, c: [nbg.tensordot(x, c, ([0], [1])), nbg.tensordot(c, x, ([1, 2], [0, 1]))]),
    "vecdot": Case("x x2", lambda x, x2: [nbg.vecdot(x, x2), nbg.vecdot(x, x2, axis=0)]),
    "kron": Case("x y s", lambda x, y, s: [nbg.kron(y, y), nbg.kron(s, x)]),
    "cross": Case("t", lambda t: nbg.cross(t, t[::-1] * 2)),
    "vander": Case("y", lambda y: [nbg.vander(y, 3), nbg.vander(y)]),
    "einsum": Case("x y z s", lambda x, y, z, s: [
        nbg.einsum("ij,i,j->", x, y, z), nbg.einsum("ij,kj->ik", x, x), nbg.einsum("ii->i", s),
    ]),
    "einsum of many": Case("b c x", lambda b, c, x: [
        nbg.einsum("...ij,...jk->...ik", b, c), nbg.einsum("bij,bjk,jk->ib", b, c, x), nbg.einsum("bii->b", b),
    ]),
    "multi_dot": Case("x w s y z", lambda x, w, s, y, z: [la.multi_dot([x, w, s, x]), la.multi_dot([y, x, z])]),
    "convolve": Case("y z", lambda y, z: [nbg.convolve(y, z, mode) for mode in ("full", "same", "valid")]),
    "correlate": Case("y z", lambda y, z: [nbg.correlate(y, z, mode) for mode in ("full", "valid")]),
}  # fmt: skip
SHAPED = {
    "reshape": Case("x c", lambda x, c: [
        nbg.reshape(x, -1), nbg.reshape(x, (-1, 1)), nbg.reshape(x.T, x.shape), nbg.reshape(x, (x.shape[1], -1)),
        nbg.reshape(c, (-1, c.shape[2])), nbg.ravel(c),
    ]),
    "axes": Case("c x o", lambda c, x, o: [
        c.T, nbg.moveaxis(c, 0, -1), nbg.swapaxes(c, 0, 2), nbg.permute_dims(c, (1, 0, 2)), nbg.expand_dims(x, (0, 3)),
        nbg.squeeze(o, 1), x[None], nbg.atleast_3d(x), nbg.flip(x), nbg.rot90(x), nbg.fliplr(x),
    ]),
    "broadcast": Case("x y o z", lambda x, y, o, z: [
        nbg.broadcast_to(y[:, None], x.shape), nbg.broadcast_to(x, (2, *x.shape)), nbg.broadcast_arrays(x, o, z),
        nbg.zeros(nbg.broadcast_shapes(x.shape, o.shape, (1,))),
    ]),
    "concatenate": Case("x x2 y", lambda x, x2, y: [
        nbg.concatenate([x, x2]), nbg.concatenate([x, y[:, None]], 1), nbg.concatenate([x, y], axis=None),
        nbg.append(x, y), nbg.column_stack([x, y, y]),
    ]),
    "stack": Case("x x2", lambda x, x2: [
        nbg.stack([x, x2], -1), nbg.vstack([x, x2]), nbg.hstack([x, x2]), nbg.dstack([x, x2]),
    ]),
    "block": Case("x s w", lambda x, s, w: nbg.block([[s, x], [w, nbg.zeros((x.shape[1], x.shape[1]))]])),
    "pad": Case("x", lambda x: [
        nbg.pad(x, 1), nbg.pad(x, ((1, 2), (0, 1)), constant_values=2.0), nbg.pad(x, ((0, x.shape[1]), (1, 0))),
    ]),
    "pad with copies": Case("x", lambda x: [
        nbg.pad(x, ((4, 7), (0, 9)), mode) for mode in ("edge", "wrap", "reflect", "symmetric")
    ]),
    "pad with reductions": Case("x", lambda x: [
        nbg.pad(x, ((2, 1), (0, 3)), mode) for mode in ("mean", "median", "maximum", "linear_ramp")
    ] + [nbg.pad(x, 2, "mean", stat_length=3), nbg.pad(x, x.shape[1], "minimum", stat_length=2)]),
    "pad with half turns": Case("x", lambda x: [
        nbg.pad(x, ((4, 0), (7, x.shape[0])), mode, reflect_type="odd") for mode in ("reflect", "symmetric")
    ]),
    "pad with copies by a size": Case("x", lambda x: nbg.pad(x, ((x.shape[1], 1), (0, x.shape[0])), "wrap")),
    "repeat": Case("x", lambda x: [nbg.repeat(x, 3, 0), nbg.repeat(x, 2), nbg.repeat(x, x.shape[0], 1)]),
    "tile": Case("x", lambda x: [nbg.tile(x, 2), nbg.tile(x, (2, 1, 3)), nbg.tile(x, (x.shape[1], 1))]),
    "roll": Case("x", lambda x: [nbg.roll(x, 1), nbg.roll(x, (1, -2), (0, 1)), nbg.roll(x, x.shape[1], 0)]),
    "split": Case("x", lambda x: [nbg.split(nbg.concatenate([x, x]), 2), nbg.hsplit(x, [1]), nbg.vsplit(x, [1])]),
    "split at a size": Case("x", lambda x: nbg.split(nbg.concatenate([x, x]), [x.shape[0]])),
    "split unevenly": Case("x", lambda x: [nbg.array_split(x, 3), nbg.array_split(x, 2, 1)]),
    "triangles": Case("x c", lambda x, c: [nbg.tril(x), nbg.triu(x, 1), nbg.tril(c, -1)]),
    "diagonals": Case("y s b c", lambda y, s, b, c: [
        nbg.diag(y), nbg.diag(s), nbg.diagonal(b, 0, 1, 2), nbg.diagonal(c, 0, 1, 2), nbg.trace(s),
        nbg.trace(b, axis1=1, axis2=2),
    ]),
    "other diagonals": Case("x s y", lambda x, s, y: [nbg.diag(y, 1), nbg.diagonal(x, -1), nbg.trace(s, 1)], least=2),
    "fill_diagonal": Case("x s y", lambda x, s, y: [
        nbg.fill_diagonal(s, 2.0), nbg.fill_diagonal(x, 1.0), nbg.fill_diagonal(x, 1.0, wrap=True),
        nbg.fill_diagonal(s, y), nbg.fill_diagonal(nbg.concatenate([x, x]), [1.0, 2.0], wrap=True),
    ]),
    "made of sizes": Case("x", lambda x: [
        nbg.zeros(x.shape), nbg.ones((x.shape[0], 2)), nbg.full(x.shape, 2.5), nbg.full_like(x, 3), nbg.eye(x.shape[0]),
        nbg.eye(*x.shape, k=1), nbg.tri(*x.shape), nbg.arange(1, x.shape[0] + 1), nbg.arange(x.size, dtype="f8"),
        nbg.indices(x.shape), nbg.indices(x.shape, sparse=True),
    ], 0),
    "spacings": Case("x", lambda x: [
        nbg.linspace(0.0, 1.0, x.shape[0]), nbg.linspace(1.0, 2.0, x.shape[0], endpoint=False),
        nbg.geomspace(1.0, 8.0, x.shape[0]), nbg.logspace(0.0, 2.0, x.shape[1]),
    ], 0),
    "meshgrid": Case("y z", lambda y, z: [nbg.meshgrid(y, z), nbg.meshgrid(y, z, indexing="ij")]),
}  # fmt: skip
PICKED = {
    "slices": Case("x", lambda x: [x[1:], x[:-1], x[::2], x[::-1], x[:, 1:-1]], least=3),
    "integers": Case("x", lambda x: [x[0], x[-1], x[:, 0], x[0, -1]]),
    "sizes in an index": Case("x", lambda x: [x[x.shape[0] - 1], x[: x.shape[0] // 2], x[x.shape[0] // 2 :]]),
    "an index array": Case("x i", lambda x, i: [x[i], x[i, 0], x[[0, 0]], x[:, [0, 0]]]),
    "where": Case("x x2", lambda x, x2: [
        nbg.where(x > 0.5, x, -x), nbg.select([x > 0.7, x2 > 0.5], [x, x2], 1.0),
        nbg.choose(nbg.astype(x > 0.5, "i8"), [x, x2]),
    ]),
    "take": Case("x i", lambda x, i: [
        nbg.take(x, i, 0), nbg.take(x, [0, 0], 1), nbg.take(x, 0), nbg.take(x, i + 7, 0, mode="wrap"),
        nbg.take(x, i * 5 - 3, 0, mode="clip"), nbg.take(x, i - 9, mode="wrap"), nbg.take(x, 99, mode="clip"),
    ]),
    "take_along_axis": Case("x", lambda x: [
        nbg.take_along_axis(x, nbg.argsort(x, 1), 1), nbg.put_along_axis(x, nbg.argmax(x, 1, keepdims=True), 2.0, 1),
    ]),
    "compress": Case("x", lambda x: nbg.compress([True, False, True], x, 0), least=3),
    "delete": Case("x", lambda x: [nbg.delete(x, 0, 0), nbg.delete(x, [1, -1, 1], 1), nbg.delete(x, -2)], least=3),
    "insert": Case("x z", lambda x, z: [
        nbg.insert(x, 1, 2.0, 0), nbg.insert(x, 0, 5.0), nbg.insert(x, [1, -1], [[5.0], [6.0]], 0),
        nbg.insert(x, [2, 1, 1], [7.0, 8.0, 9.0], 1), nbg.insert(x, 1, z, 0),
    ], least=3),
    "at": Case("x z", lambda x, z: [x.at[0].set(z), x.at[:, 0].set(1.0), x.at[::2].add(1.0)]),
    "at with arrays": Case("x i z", lambda x, i, z: [x.at[i].add(z), x.at[i].mul(2.0), x.at[i, 0].max(0.5)]),
    "at with slices": Case("x", lambda x: [
        x.at[1:].set(0.0), x.at[:-1].add(x[1:]), x.at[1:, 1:].mul(x[1:, 1:]),
    ], least=2),
    "truncate": Case("x x2", lambda x, x2: [nbg.truncate(x, 1, 0), nbg.pad_to_match(x[:1], x2, 0)]),
}  # fmt: skip
ORDER = {
    "sort": Case("x", lambda x: [nbg.sort(x), nbg.sort(x, 0), nbg.sort(x, None), nbg.argsort(x, 0)]),
    "partition": Case("x", lambda x: [nbg.partition(x, 0), nbg.argpartition(x, 0, 0), nbg.top_k(x, 1)]),
    "searchsorted": Case("y z", lambda y, z: nbg.searchsorted(nbg.sort(y), z), 0),
    "cumulative": Case("x", lambda x: [nbg.cumsum(x), nbg.cumsum(x, 0), nbg.cumprod(x, 1), nbg.cummax(x, 0)]),
    "diff": Case("x", lambda x: [nbg.diff(x), nbg.diff(x, 2, 0), nbg.ediff1d(x)], least=3),
    "gradient": Case("x y", lambda x, y: [nbg.gradient(x), nbg.gradient(y, 0.1)], least=2),
    "trapezoid": Case("x y", lambda x, y: [nbg.trapezoid(x, axis=0, dx=0.1), nbg.trapezoid(y, y * 2)]),
    "interp": Case("y z", lambda y, z: nbg.interp(z, nbg.arange(y.shape[0]) * 0.1, y)),
}  # fmt: skip


def low_rank(u: Any, s: Any, v: Any) -> Any:
    """What of a singular value decomposition does not depend on phases."""
    return [s, (u * s[..., None, :] ** 2) @ v]


def of_spectrum(w: Any, v: Any) -> Any:
    return [w, (v * w[..., None, :] ** 3) @ nbg.conj(v.mT)]


LINEAR = {
    "solve": Case("s x y b c", lambda s, x, y, b, c: [la.solve(s, x), la.solve(s, y), la.solve(b, c)]),
    "solve_ex": Case("s x", la.solve_ex),
    "inv": Case("s b", lambda s, b: [la.inv(s), la.inv(b), la.inv_ex(s)]),
    "det": Case("s b", lambda s, b: [la.det(s), la.det(b), la.slogdet(s), la.slogdet(b)]),
    "cholesky": Case("s b y", lambda s, b, y: [
        la.cholesky(s), la.cholesky(b, upper=True), la.cholesky_ex(s), la.cho_solve(la.cho_factor(s), y),
    ]),
    "qr": Case("x c", lambda x, c: [la.qr(x), la.qr(c), la.qr(x, "r")]),
    "qr, complete": Case("x", lambda x: la.qr(x, "complete").R, 0),
    "qr, known to be tall or wide": Case("x", lambda x: [
        la.qr(nbg.concatenate([x, nbg.eye(x.shape[1])])), la.qr(nbg.concatenate([nbg.eye(x.shape[0]), x], 1)),
    ]),
    "svd": Case("x", lambda x: low_rank(*la.svd(x, full_matrices=False))),
    "svd of many": Case("c", lambda c: low_rank(*la.svd(c, full_matrices=False))),
    "svd, full": Case("x", lambda x: la.svd(x).S),
    "svdvals": Case("x c t", lambda x, c, t: [la.svdvals(x), la.svdvals(c), la.svd(t, full_matrices=False).S]),
    "eigh": Case("s b", lambda s, b: [of_spectrum(*la.eigh(s)), la.eigvalsh(s), la.eigvalsh(b)]),
    "eigh of many": Case("b", lambda b: of_spectrum(*la.eigh(b))),
    "eig": Case("s", lambda s: (lambda w, v: nbg.real(v @ nbg.diag(w * w) @ la.inv(v)))(*la.eig(s))),
    "eigvals": Case("s b", lambda s, b: [nbg.sort(nbg.real(la.eigvals(s))), nbg.sort(nbg.real(la.eigvals(b)))]),
    "lu": Case("s x y", lambda s, x, y: [la.lu(s), la.lu(x), la.lu_solve(la.lu_factor(s), y)]),
    "lstsq": Case("x y s", lambda x, y, s: [la.lstsq(x, y), la.lstsq(x, s)], 1),
    "lstsq, second order": Case("x y", lambda x, y: la.lstsq(x, y)[:2]),
    "pinv": Case("x s", lambda x, s: [la.pinv(x), la.pinv(s, hermitian=True)]),
    "rank": Case("x s", lambda x, s: [la.matrix_rank(x), la.cond(x), la.cond(s, 1)]),
    "expm": Case("s", lambda s: la.expm(s * 0.3)),
    "sqrtm": Case("s", lambda s: nbg.real(la.sqrtm(s))),
    "solve_sylvester": Case("s q t", la.solve_sylvester),
    "norm": Case("x y c", lambda x, y, c: [
        la.norm(x), la.norm(y), la.norm(y, 1), la.norm(y, np.inf), la.norm(x, axis=0), la.norm(x, "nuc"), la.norm(x, 2),
        la.norm(x, 1), la.norm(x, axis=1, keepdims=True), la.vector_norm(x, axis=0, ord=3), la.matrix_norm(c),
    ]),
    "matrix_power": Case("s", lambda s: [la.matrix_power(s, 3), la.matrix_power(s, -1), la.matrix_power(s, 0)]),
    "solve_triangular": Case("s x", lambda s, x: [la.solve_triangular(nbg.tril(s), x, lower=True),
                                                  la.solve_triangular(s, x)]),
    "polar": Case("s", la.polar),
    "householder_product": Case("t", lambda t: la.householder_product(t, nbg.ones(3) * 0.3), least=3),
    "tensorinv": Case("s y", lambda s, y: [la.tensorinv(s, ind=1), la.tensorsolve(s, y)]),
    "other names": Case("x s", lambda x, s: [la.trace(s), la.diagonal(x), la.matrix_transpose(x), la.vecdot(x, x)]),
}  # fmt: skip
FOURIER = {
    "fft": Case("x", lambda x: [fft.fft(x), fft.ifft(x, axis=0), fft.fft(x, norm="ortho"), fft.fft2(x), fft.ifftn(x)]),
    "to other lengths": Case("x", lambda x: [
        fft.fft(x, 4), fft.fft(x, x.shape[0], axis=1), fft.ifft(x, 2, axis=0), fft.rfft(x, 4), fft.irfft(x, 4),
    ]),
    "rfft": Case("x", lambda x: [fft.rfft(x), fft.rfft(x, axis=0), fft.rfft2(x), fft.ihfft(x)]),
    "irfft": Case("x", lambda x: [
        fft.irfft(x, x.shape[1]), fft.irfft(fft.rfft(x), x.shape[1]), fft.irfftn(x, x.shape), fft.hfft(x, x.shape[1]),
    ]),
    "irfft to twice as many": Case("x", lambda x: fft.irfft(x), least=2),
    "order": Case("x", lambda x: [fft.fftshift(x), fft.ifftshift(x, 0)]),
    "frequencies": Case("x", lambda x: [fft.fftfreq(x.shape[0]), fft.rfftfreq(x.shape[0], 0.1)], 0),
}  # fmt: skip
FAMILIES = {
    "elementwise": ELEMENTWISE, "reductions": REDUCTIONS, "products": PRODUCTS, "shapes": SHAPED, "picked": PICKED,
    "order": ORDER, "linalg": LINEAR, "fft": FOURIER,
}  # fmt: skip
OF_COMPLEX = {
    "linalg": ("svd", "eigh", "qr", "solve", "inv", "det", "cholesky", "pinv", "lstsq, second order", "expm", "eig"),
    "products": ("matmul", "einsum", "kron"),
    "fft": ("fft",),
    "reductions": ("variances",),
}


@pytest.mark.parametrize(("family", "name"), [(family, name) for family in FAMILIES for name in FAMILIES[family]])
def test_a_function_recorded_once(family: str, name: str) -> None:
    check(FAMILIES[family][name], BINDINGS if family == "linalg" else BINDINGS[:2])


@pytest.mark.parametrize(("family", "name"), [(family, name) for family in OF_COMPLEX for name in OF_COMPLEX[family]])
def test_a_function_of_complex_numbers(family: str, name: str) -> None:
    check(FAMILIES[family][name]._replace(code="c16"), BINDINGS[1:3])
