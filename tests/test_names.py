"""NumPy's vocabulary, a table: each name called with arrays by NumPy and with tensors by us, lazily, under both of its
spellings (`nbg.f(t)` and `np.f(t)`); values, dtypes, shapes, and the derivative where there is one."""

from __future__ import annotations

from collections.abc import Callable
from inspect import signature
from typing import Any, NamedTuple

import numpy as np
import pytest
import scipy.linalg

import nbgraph as nbg
from nbgraph.testing import check_grads

RNG = np.random.default_rng(5)
V, W = RNG.normal(size=6), RNG.normal(size=6)
A, B = RNG.normal(size=(3, 4)), RNG.normal(size=(3, 4))
C = A + 1j * B
K, L = np.array([12, 0, -18, 7]), np.array([8, 0, 27, 14])
M = np.array([3, 1, 3, 0, 2, 1])
T = RNG.normal(size=(2, 3, 4))
N = np.array([1.0, np.nan, -2.0, 5.0, 0.5, np.nan])
Z = np.array([0.0, 0.0, 1.5, 0.0, -2.0, 0.0])
F4 = V.astype(np.float32)


def positional(module: Any, name: str) -> list[str]:
    """The names of what a function takes by position."""
    try:
        given = signature(getattr(module, name)).parameters.values()
    except (AttributeError, TypeError, ValueError):
        return []
    return [p.name for p in given if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]


class Case(NamedTuple):
    """`smooth`: check the derivative of `call` by its operands, too; `theirs`: by NumPy's own name as well."""

    name: str
    call: Callable[..., Any]
    operands: tuple[Any, ...]
    smooth: bool = False
    theirs: bool = True


def case(name: str, *operands: Any, smooth: bool = False, theirs: bool = True, **kwargs: Any) -> Case:
    """The function `name` of the module, of operands and keywords."""
    return Case(name, lambda xp, *xs: getattr(xp, name)(*xs, **kwargs), operands, smooth, theirs)


def listed(name: str, *operands: Any, **kwargs: Any) -> Case:
    """The same of a list of the operands."""
    return Case(name, lambda xp, *xs: getattr(xp, name)(list(xs), **kwargs), operands, theirs=False)


CASES = [
    # elementwise
    case("fabs", V, smooth=True),
    case("fabs", K),
    case("fabs", F4),
    case("isreal", C),
    case("isreal", V),
    case("iscomplex", C * np.array([1, 0, 1, 0])),
    case("iscomplex", K),
    case("gcd", K, L),
    case("gcd", K.astype(np.int32), 6),
    case("lcm", K, L),
    case("lcm", K, 4),
    case("spacing", V),
    case("spacing", F4),
    case("real_if_close", C),
    case("real_if_close", V + 1e-17j),
    # sums of products
    case("matvec", T, RNG.normal(size=(3, 4))[:2], smooth=True),
    case("matvec", C, W[:4] * 1j),
    case("vecmat", A[:, 0], B, smooth=True),
    case("vecmat", C[:, 0], C),
    case("vecmat", T[..., 0], T),
    # statistics
    case("cov", A, smooth=True),
    case("cov", C),
    case("cov", V),
    case("cov", A, B),
    case("cov", A.T, rowvar=False),
    case("cov", A, fweights=np.array([1, 2, 1, 3]), aweights=np.array([0.5, 1.0, 2.0, 1.0])),
    case("cov", A, fweights=np.array([1, 2, 1, 3])),
    case("cov", A, bias=True),
    case("cov", A, ddof=0, aweights=[1, 2, 3, 4.0]),
    case("cov", F4),
    case("cov", K),
    case("corrcoef", A, smooth=True),
    case("corrcoef", V, W),
    case("corrcoef", C),
    case("nanargmax", N),
    case("nanargmin", N),
    case("nanargmin", A, axis=1),
    case("nanargmax", A, axis=0, keepdims=True),
    *(
        case("quantile", RNG.normal(size=7), np.array([0.0, 0.2, 0.5, 0.81, 1.0]), method=m, smooth=False)
        for m in ("inverted_cdf", "averaged_inverted_cdf", "closest_observation")
    ),
    *(
        case(
            "quantile", RNG.normal(size=(8, 3)), [0.0, 0.0625, 0.125, 0.1875, 0.25, 0.3125, 0.5, 0.9], axis=0, method=m
        )
        for m in ("inverted_cdf", "averaged_inverted_cdf", "closest_observation")
    ),
    case("nanpercentile", N, 50.0, method="averaged_inverted_cdf"),
    # reductions of a part, with a first value
    *(
        case(name, A, axis=axis, where=B > -0.3, initial=0.25, smooth=name in ("sum", "prod"), keepdims=axis == 1)
        for name in ("sum", "prod", "max", "min", "nansum", "nanprod", "nanmax", "nanmin")
        for axis in (0, 1, (0, 1))
    ),
    *(
        case(name, A, axis=0, where=B > -9, smooth=True)
        for name in ("mean", "var", "std", "nanmean", "nanvar", "nanstd")
    ),
    *(case(name, A, axis=1, where=[[True], [False], [True]]) for name in ("any", "all")),
    case("mean", K, where=L > 9),
    case("mean", C, axis=1, where=B[0] > -0.5),
    case("var", C, axis=1, where=B[0] > -9, ddof=1),
    case("max", A[:0], initial=-1.0),
    case("min", A[:0], axis=0, initial=2.0),
    case("var", A, axis=1, mean=A[:, :1]),
    case("nanmax", N, initial=9.0, where=N > 0),
    case("nanmean", N, where=N > 0),
    case("trace", K.reshape(2, 2), dtype="float64"),
    case("clip", V, min=-0.5, max=0.5),
    case("clip", K, max=5),
    case("where", A > 0),
    case("linspace", 0.0, 3.0, 5, retstep=True, theirs=False),
    case("linspace", V, W, 4, axis=1, smooth=True),
    case("linspace", 0, 7, 4, dtype=int, theirs=False),
    case("linspace", 1.0, 2.0, 3, endpoint=False, retstep=True, theirs=False),
    # counting
    case("digitize", V, [-1.0, 0.0, 0.5]),
    case("digitize", V, np.array([0.5, 0.0, -1.0])),
    case("digitize", V, np.sort(V)[1:4], right=True),
    case("digitize", V, np.sort(V)[3:0:-1], right=True),
    case("bincount", M),
    case("bincount", M, weights=V),
    case("histogram", V),
    case("histogram", V, bins=3, density=True),
    case("histogram", V, bins=[-1.0, 0.0, 1.0], weights=W),
    case("histogram_bin_edges", V, 4),
    case("histogram2d", V, W, bins=3),
    case("histogram2d", V, W, bins=(2, [-1.0, 0.0, 1.0]), density=True),
    case("histogramdd", np.stack([V, W], 1), bins=3, weights=W),
    case("histogramdd", A.T, bins=2, density=True),
    # sets
    case("isin", M, [1, 3]),
    case("isin", M, [1, 3], invert=True),
    case("union1d", M, K),
    case("intersect1d", M, [3, 5, 0]),
    case("intersect1d", M, [3, 5, 0], return_indices=True),
    case("setdiff1d", M, [1, 7]),
    case("setxor1d", M, [1, 7, 9]),
    case("setdiff1d", V, V[:2], assume_unique=True),
    case("unique_all", M),
    case("unique_inverse", A.round()),
    # order, places
    listed("lexsort", M, K[[0, 1, 2, 3, 0, 1]]),
    listed("lexsort", A.round(), B.round(), axis=0),
    case("sort_complex", C[0]),
    case("sort_complex", V),
    case("trim_zeros", Z),
    case("trim_zeros", Z, "f"),
    case("trim_zeros", Z, "b"),
    case("unravel_index", np.array([5, 17, 2]), (2, 3, 4)),
    case("unravel_index", np.array([5, 17]), (2, 3, 4), order="F"),
    case("unravel_index", 7, (3, 4), theirs=False),
    Case(
        "ravel_multi_index", lambda xp, i, j: xp.ravel_multi_index((i, j), (3, 4)), (np.array([2, 0]), np.array([1, 3]))
    ),
    Case(
        "ravel_multi_index",
        lambda xp, i, j: xp.ravel_multi_index((i, j), (3, 4), mode=("wrap", "clip"), order="F"),
        (np.array([5, -1]), np.array([9, -3])),
    ),
    case("ix_", np.array([0, 2]), np.array([1, 3, 0])),
    case("ix_", np.array([True, False, True]), np.array([1])),
    case("diag_indices_from", A[:, :3]),
    case("tril_indices_from", A),
    case("triu_indices_from", A, k=1),
    case("diag_indices", 3, theirs=False),
    case("indices", (2, 3), theirs=False),
    Case("mask_indices", lambda xp: xp.mask_indices(3, xp.triu, 1), (), theirs=False),
    # borders
    *(
        case("pad", x, ((1, 2), (0, 3)), mode, smooth=x is A, **more)
        for x in (A, K.reshape(2, 2) * 5, C)
        for mode, more in (
            ("mean", {}),
            ("mean", {"stat_length": 2}),
            ("linear_ramp", {}),
            ("linear_ramp", {"end_values": ((1, 2), (3, 4))}),
            ("reflect", {"reflect_type": "odd"}),
            ("symmetric", {"reflect_type": "odd"}),
            ("edge", {}),
        )
    ),
    *(
        case("pad", x, ((1, 2), (0, 3)), mode, smooth=x is A, stat_length=length)
        for x in (A, K.reshape(2, 2) * 5)
        for mode in ("maximum", "minimum", "median")
        for length in (None, ((1, 2), (2, 1)))
    ),
    # shapes
    case("reshape", T, (4, 6), order="F", smooth=True),
    case("ravel", T, order="F"),
    case("ravel", T, order="K"),
    case("reshape", T, (3, -1), order="F"),
    Case("hstack", lambda xp, k: xp.hstack([k, k], dtype="float64"), (K,)),
    case("diagflat", A, smooth=True),
    case("diagflat", V, k=-1),
    case("rollaxis", T, 2),
    case("rollaxis", T, 0, 3),
    case("rollaxis", T, -1, 1, smooth=True),
    case("unstack", T, axis=1),
    case("resize", V, (2, 5), smooth=True),
    case("resize", V, 3),
    case("copy", A),
    *(case(f"as{kind}array", A.T, theirs=False) for kind in ("contiguous", "fortran", "any")),
    case("array", A, ndmin=4, theirs=False),
    case("empty", (0, 2), theirs=False),
    case("empty_like", A[:0]),
    case("cumulative_sum", V, smooth=True),
    case("cumulative_sum", A, axis=1, include_initial=True),
    case("cumulative_prod", A, axis=0, include_initial=True, smooth=True),
    case("cumulative_prod", M),
    Case("block", lambda xp, a, b: xp.block([[a, b], [b, a]]), (A, B), smooth=True),
    Case("r_", lambda xp, v: xp.r_[v, 1:4, 0.5, v], (V,), theirs=False),
    Case("r_", lambda xp, a: xp.r_["-1", a, a], (A,), theirs=False),
    Case("r_", lambda xp, v: xp.r_["0,2", v, v], (V,), theirs=False),
    Case("r_", lambda xp, v: xp.r_["1,3,0", v, v, 0:1:6j], (V,), theirs=False),
    Case("c_", lambda xp, v: xp.c_[v, v, 0:6], (V,), smooth=True, theirs=False),
    Case("c_", lambda xp, a: xp.c_[a, a[:, :1]], (A,), theirs=False),
    Case("mgrid", lambda xp: xp.mgrid[0:2, 1:3:5j], (), theirs=False),
    Case("ogrid", lambda xp: xp.ogrid[0:2, 1:3], (), theirs=False),
    Case("s_", lambda xp, a: a[xp.s_[1:, ::2]], (A,), theirs=False),
    # writing, as new arrays
    # signals
    case("unwrap", 3 * np.cumsum(V), smooth=True),
    case("unwrap", 4 * np.cumsum(T, 1), axis=1),
    case("unwrap", 5 * M, period=6),
    case("unwrap", 5 * M, period=7),
    case("unwrap", 3 * V, discont=4.0),
    *(case(name, n, theirs=False) for name in ("hanning", "hamming", "blackman", "bartlett") for n in (0, 1, 7)),
    case("kaiser", 7, 8.6, theirs=False),
    case("kaiser", 1, 2.0, theirs=False),
    case("trapezoid", A, smooth=True),
    # polynomials
    case("polyval", V[:4], A, smooth=True),
    case("polyval", [1, 2], K),
    case("polyadd", V, W[:3], smooth=True),
    case("polysub", W[:3], V),
    case("polymul", V, W[:3], smooth=True),
    case("polydiv", V, W[:3], smooth=True),
    case("polydiv", W[:2], V),
    case("polyder", V, smooth=True),
    case("polyder", V, 2),
    case("polyint", V, smooth=True),
    case("polyint", V, 2, k=[3.0, 1.0]),
    case("poly", V[:3], smooth=True),
    case("poly", A[:, :3]),
    case("poly", C[0]),
    case("roots", np.array([1.0, 2.0, 5.0, -3.0])),
    case("polyfit", V, W, 2, smooth=True),
    case("polyfit", V, np.stack([W, M], 1), 2, w=np.abs(W)),
    Case("polyfit", lambda xp, x, y: xp.polyfit(x, y, 2, full=True)[::3], (V, W)),
    case("polyfit", V, W, 2, cov=True),
    case("polyfit", V, W, 1, cov="unscaled"),
    # functions of functions
    Case(
        "piecewise",
        lambda xp, v: xp.piecewise(v, [v < 0, v > 0.5], [lambda t: -t, lambda t: t**2, 7.0]),
        (V,),
        smooth=True,
    ),
    Case("piecewise", lambda xp, v: xp.piecewise(v, v < 0, [lambda t: t * t]), (V,)),
    Case("fromfunction", lambda xp: xp.fromfunction(lambda i, j: i - 2 * j, (2, 3)), (), theirs=False),
    Case("apply_along_axis", lambda xp, t: xp.apply_along_axis(lambda v: v[::-1] * v[0], 1, t), (T,), smooth=True),
    Case("apply_along_axis", lambda xp, t: xp.apply_along_axis(lambda v: v.sum(), 0, t), (T,)),
    Case("apply_along_axis", lambda xp, t: xp.apply_along_axis(lambda v: xp.outer(v, v), 1, t), (A,)),
    Case("apply_over_axes", lambda xp, t: xp.apply_over_axes(lambda a, k: a.sum(axis=k), t, [0, 2]), (T,), smooth=True),
    Case(
        "vectorize", lambda xp, a, b: xp.vectorize(lambda s, t: s - t if s > t else s * t)(a, b), (V, 0.5), True, False
    ),
    Case(
        "vectorize",
        lambda xp, a, b: xp.vectorize(lambda s, t: s @ t, signature="(n),(n)->()")(a, b),
        (A, B[0]),
        True,
        False,
    ),
    Case(
        "vectorize",
        lambda xp, a: xp.vectorize(lambda s, p: (s + p, 2 * s), excluded={1}, otypes=["f4", "f8"])(a, 2),
        (V,),
        False,
        False,
    ),
    # einsum
    case("einsum", "ij,jk", A, B.T, dtype="complex128", casting="unsafe"),
    Case(
        "einsum", lambda xp, a, b: xp.einsum(a, np.array([0, 1]), b, range(2), [0]), (A, B), smooth=True, theirs=False
    ),
    Case("einsum", lambda xp, a, b: xp.einsum(a, [np.int64(2), 1], b, (2, 0)), (A, B)),
]


def ids(c: Case) -> str:
    return c.name


def leaves(x: Any) -> list[Any]:
    return [leaf for part in x for leaf in leaves(part)] if isinstance(x, tuple | list) else [x]


def agree(got: Any, wanted: Any) -> None:
    got, wanted = leaves(got), leaves(wanted)
    assert len(got) == len(wanted)
    for g, w in zip(got, wanted, strict=True):
        w = np.asarray(w)
        value = np.asarray(g)
        assert (value.dtype, value.shape) == (w.dtype, w.shape)
        tolerance = 2e-6 if w.dtype in (np.float32, np.complex64) else 1e-12
        np.testing.assert_allclose(value, w, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("c", CASES, ids=ids)
def test_values_are_numpys(c: Case) -> None:
    wanted = c.call(np, *c.operands)
    leaf = nbg.TracedTensor.from_tensor
    given = [leaf(x) if isinstance(x, np.ndarray) else x for x in c.operands]
    for xp in (nbg, np) if c.theirs else (nbg,):
        got = c.call(xp, *given)
        lazy = [g for g in leaves(got) if not isinstance(g, bool | float)]
        assert all(isinstance(g, nbg.TracedTensor) for g in lazy)
        if c.name == "roots" or (c.name == "poly" and np.iscomplexobj(c.operands[0])):
            got, wanted = (x.astype(complex) for x in (got, wanted))
        agree(got, wanted)


def is_smooth(x: Any) -> bool:
    return isinstance(x, np.ndarray) and x.dtype.kind in "fc"


@pytest.mark.parametrize("c", [c for c in CASES if c.smooth], ids=ids)
def test_derivatives(c: Case) -> None:
    operands = tuple(x for x in c.operands if is_smooth(x))

    def f(*xs: Any) -> Any:
        given = iter(xs)
        made = c.call(
            nbg, *[next(given) if isinstance(x, np.ndarray) and x.dtype.kind in "fc" else x for x in c.operands]
        )
        return made

    check_grads(f, operands, order=1)


def test_descending_order_and_methods() -> None:
    x = np.array([[2.0, 5.0, 2.0], [np.nan, -1.0, 7.0]])
    t = nbg.TracedTensor.from_tensor(x)
    agree(nbg.argsort(t, descending=True), np.array([[1, 0, 2], [0, 2, 1]]))
    agree(nbg.sort(nbg.constant(x), descending=True), np.array([[5.0, 2.0, 2.0], [np.nan, 7.0, -1.0]]))
    agree(t.reshape(3, 2, order="F"), x.reshape(3, 2, order="F"))
    agree(t.flatten("F"), x.flatten("F"))
    assert (t.itemsize, t.nbytes, t.device, t.to_device("cpu") is t) == (8, 48, "cpu", True)
    assert t.tobytes() == x.tobytes() and t.block_until_ready() is t
    agree(t.flat[1], 5.0)
    with pytest.raises(nbg.DtypeError, match="no such device"):
        t.to_device("gpu")
    for name, args in (("sort", ()), ("fill", (0.0,)), ("put", ([0], 1.0)), ("partition", (1,)), ("resize", ((6,),))):
        with pytest.raises(TypeError, match=f"instead of x.{name}"):
            getattr(t, name)(*args)
    v = nbg.TracedTensor.from_tensor([1.0, 2.0, 4.0])
    agree(v.at[1:].subtract(1.0), np.array([1.0, 1.0, 3.0]))
    agree(v.at[1:].divide(2.0), np.array([1.0, 1.0, 2.0]))
    agree(v.at[1:].multiply(2.0), np.array([1.0, 4.0, 8.0]))
    agree(v.at[1:].power(2), np.array([1.0, 4.0, 16.0]))
    agree(v.at[1:].apply(nbg.sqrt), np.array([1.0, np.sqrt(2.0), 2.0]))


def test_functions_that_draw_go_by_the_global_generator() -> None:
    for name, args in (("normal", (1.0, 2.0, 3)), ("rand", (2, 2)), ("randint", (5,)), ("permutation", (4,))):
        np.random.seed(7)
        wanted = getattr(np.random, name)(*args)
        nbg.random.seed(7)
        agree(getattr(nbg.random, name)(*args), wanted)
    assert sorted(nbg.random.__all__) == sorted(set(nbg.random.__all__))
    assert all(hasattr(nbg.random, name) for name in nbg.random.__all__)


STRUCTURED = [
    ("block_diag", (A, V[:2], B[:1]), True), ("toeplitz", (V,), True), ("toeplitz", (V[:3], W), True),
    ("toeplitz", (C[0],), True), ("hankel", (V[:3], W), True), ("hankel", (V,), False), ("circulant", (V,), True),
    ("companion", (V,), True), ("khatri_rao", (A, B), True), ("dft", (4,), False), ("dft", (4, "n"), False),
    ("hilbert", (3,), False), ("hadamard", (4,), False), ("issymmetric", (A @ A.T,), False),
    *(("convolution_matrix", (V[:3], 4, mode), True) for mode in ("full", "same", "valid")),
    *((name, (0.3 * A[:, :3],), True) for name in ("sinm", "cosm", "tanm", "sinhm", "coshm", "tanhm")),
    ("sinm", (0.3 * C[:, :3],), True), ("ishermitian", (C @ C.conj().T,), False),
    ("solve_continuous_lyapunov", (A[:, :3] + 3 * np.eye(3), B[:, :3]), True),
    ("solve_discrete_lyapunov", (0.3 * A[:, :3], B[:, :3]), True),
    ("solve_discrete_lyapunov", (0.2 * C[:, :3], C[:, 1:]), False),
    ("solve_toeplitz", (V[:4] + np.eye(4)[0] * 9, W[:4]), True), ("matmul_toeplitz", (V[:4], B.T), True),
]  # fmt: skip


@pytest.mark.parametrize(("name", "operands", "smooth"), STRUCTURED, ids=lambda x: x if isinstance(x, str) else "")
def test_structured_matrices_are_scipys(name: str, operands: Any, smooth: bool) -> None:
    f, wanted = getattr(nbg.scipy.linalg, name), np.asarray(getattr(scipy.linalg, name)(*operands))
    got = f(*operands).eval()
    assert got.dtype == wanted.dtype and got.shape == wanted.shape
    np.testing.assert_allclose(got, wanted, rtol=1e-11, atol=1e-13)
    if smooth:
        check_grads(lambda *xs: f(*xs, *operands[len(xs) :]), tuple(x for x in operands if is_smooth(x)), order=1)


def test_further_activations() -> None:
    x = np.array([0.1, 0.6, 0.8, 3.0])
    agree(nbg.nn.log1mexp(x), np.log(1 - np.exp(-x)))
    agree(nbg.nn.sparse_sigmoid(2 * V), np.clip(V + 0.5, 0, 1))
    agree(nbg.nn.identity(V), V)
    assert abs(nbg.nn.log1mexp(40.0).item() + np.exp(-40.0)) < 1e-30
    check_grads(nbg.nn.log1mexp, (np.array([0.1, 0.5, 0.9, 20.0]),), order=2)
    check_grads(nbg.nn.sparse_sigmoid, (2 * V,), order=2)


def test_roots_have_derivatives() -> None:
    p = np.array([1.0, 2.0, 5.0, -3.0])
    check_grads(lambda c: nbg.sort(nbg.abs(nbg.roots(c))), (p,), order=2)
    assert nbg.roots([0.0, 2.0, -2.0, 0.0]).tolist() == [1.0, 0.0]


def test_what_writes_gives_a_new_tensor() -> None:
    for name, args in (
        ("put", ([0, 4], [9.0, 8.0])),
        ("put", ([7, -9], [9.0, 8.0], "clip")),
        ("place", (V > 0, [1.0, 2.0])),
        ("putmask", (V > 0, [1.0, 2.0, 3.0])),
    ):
        wanted = V.copy()
        getattr(np, name)(wanted, *args)
        agree(getattr(nbg, name)(nbg.TracedTensor.from_tensor(V), *args), wanted)
        with pytest.raises(TypeError, match=f"np.{name} writes"):
            getattr(np, name)(nbg.TracedTensor.from_tensor(V), *args)


def test_questions_about_arrays() -> None:
    t = nbg.asarray(A)
    assert nbg.array_equal(t, A) and not nbg.array_equal(t, A[:1]) and not nbg.array_equal(t, B)
    assert nbg.array_equal(N, N, equal_nan=True) and not nbg.array_equal(N, N)
    assert nbg.array_equiv(np.ones((2, 3)), 1) and not nbg.array_equiv(A, V)
    assert np.array_equal(t, A) and np.allclose(t, A)
    assert (nbg.iscomplexobj(t), nbg.isrealobj(t), nbg.iscomplexobj(1j)) == (False, True, True)
    assert (nbg.isscalar(2), nbg.isscalar(t), nbg.iterable(t), nbg.iterable(nbg.asarray(1))) == (
        True,
        False,
        True,
        False,
    )
    assert nbg.can_cast(t, "complex128") and not nbg.can_cast("float64", "float32")
    assert nbg.common_type(K, F4) == np.common_type(K, F4) and nbg.common_type(F4, C) == np.common_type(F4, C)
    with pytest.raises(nbg.DtypeError, match="common_type"):
        nbg.common_type([True])
    assert nbg.promote_types("i4", "f4") == np.float64 and nbg.result_type("f4", 1.5) == np.float32
    assert nbg.issubdtype(nbg.float32, nbg.floating) and nbg.isdtype(nbg.complex64, "complex floating")


def test_einsum_path_takes_tensors() -> None:
    a, b, c = np.ones((2, 9)), np.ones((9, 8)), np.ones((8, 2))
    wanted = np.einsum_path("ij,jk,kl->il", a, b, c)
    assert nbg.einsum_path("ij,jk,kl->il", nbg.asarray(a), b, c) == wanted
    path = np.einsum_path("ij,jk,kl->il", nbg.asarray(a), b, c)[0]
    agree(nbg.einsum("ij,jk,kl->il", a, b, c, optimize=path), a @ b @ c)


@pytest.mark.parametrize(
    ("name", "args", "error"),
    [
        ("fabs", (C,), nbg.DtypeError),
        ("gcd", (V, 2), nbg.DtypeError),
        ("digitize", (V, [0.0, 2.0, 1.0]), nbg.ShapeError),
        ("lexsort", ([],), nbg.ShapeError),
        ("ix_", (A,), nbg.ShapeError),
        ("unravel_index", ([99], (2, 3)), nbg.BoundsError),
        ("ravel_multi_index", (([2], [3]), (2, 3)), nbg.BoundsError),
        ("cov", (T,), nbg.ShapeError),
        ("polyval", (A, 1.0), nbg.ShapeError),
        ("polyfit", (V, A, 1), nbg.ShapeError),
        ("resize", ([], (2,)), nbg.ShapeError),
        ("matvec", (A, 1.0), nbg.ShapeError),
        ("matvec", (A, V), nbg.ShapeError),
        ("rollaxis", (A, 5), nbg.BoundsError),
        ("piecewise", (V, [V > 0], []), nbg.ShapeError),
        ("histogram", (V, [2.0, 1.0]), nbg.ShapeError),
        ("put", (V, [99], 1.0), nbg.BoundsError),
    ],
)
def test_errors_are_named(name: str, args: Any, error: Any) -> None:
    with pytest.raises(error, match=f"^{name}"):
        getattr(nbg, name)(*args)


UFUNCS = {name for name in nbg.__all__ if isinstance(getattr(np, name, None), np.ufunc)} | {"fix"}
WITH_OUT = [name for name in nbg.__all__ if "out" in positional(np, name) and name not in UFUNCS]


@pytest.mark.parametrize("name", WITH_OUT)
def test_arguments_are_where_numpy_has_them(name: str) -> None:
    """What may be given by position; our own names come after it."""
    assert positional(nbg, name)[: len(positional(np, name))] == positional(np, name)


def test_out_is_refused_by_name() -> None:
    for f in (nbg.sum, nbg.max, nbg.std, nbg.cumsum, nbg.median, nbg.argmax, nbg.round):
        with pytest.raises(nbg.DtypeError, match=rf"^{f.__name__}: writes into no array: operand out has ndarray"):
            f(V, out=np.zeros(()))
    agree(nbg.max(A, 1, None, True), np.max(A, 1, None, True))
    agree(nbg.asarray(A).max(1, None, True), A.max(1, None, True))
    agree(nbg.std(A, 1, None, None, 1), np.std(A, 1, None, None, 1))


@pytest.mark.parametrize("axis", [0, -1])
def test_a_number_has_numpys_axis(axis: int) -> None:
    x = np.array(3.0)
    for name in (
        "sum", "prod", "max", "min", "any", "all", "argmax", "argmin", "ptp", "cumsum", "cumprod", "argsort", "squeeze",
        "cumulative_sum",
    ):  # fmt: skip
        agree(getattr(nbg, name)(x, axis=axis), getattr(np, name)(x, axis=axis))
    agree(nbg.take(x, 0, axis), np.take(x, 0, axis))
    agree(nbg.repeat(x, 2, axis), np.repeat(x, 2, axis))
    for name in ("sort", "partition"):
        with pytest.raises(nbg.BoundsError, match=f"^{name}"):
            getattr(nbg, name)(x, *([0] if name == "partition" else []), axis=axis)


def test_ufunc_methods_stay_lazy() -> None:
    t = nbg.TracedTensor.from_tensor(A)
    for got, wanted in (
        (np.add.reduce(t), np.add.reduce(A)),
        (np.maximum.reduce(t, axis=1, keepdims=True), np.maximum.reduce(A, axis=1, keepdims=True)),
        (np.multiply.accumulate(t, axis=1), np.multiply.accumulate(A, axis=1)),
        (np.subtract.outer(t, V), np.subtract.outer(A, V)),
        (np.add(t, 1, dtype=np.complex128), np.add(A, 1, dtype=np.complex128)),
        (np.logical_or.reduce(t > 0), np.logical_or.reduce(A > 0)),
    ):
        assert isinstance(got, nbg.TracedTensor)
        agree(got, wanted)
    with pytest.raises(TypeError, match="writes"):
        np.add(t, 1, out=np.zeros((3, 4)))
    with pytest.raises(nbg.DtypeError, match=r"hypot.reduce"):
        np.hypot.reduce(t)
