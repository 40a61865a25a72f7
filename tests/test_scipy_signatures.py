"""`nbg.scipy.linalg` and `nbg.scipy.signal` by SciPy's signatures: keywords are honoured, or refused by name."""

from __future__ import annotations

from inspect import signature

import numpy as np
import pytest
import scipy.linalg
import scipy.signal

import nbgraph as nbg
from nbgraph.scipy import linalg, signal
from nbgraph.testing import check_grads

NEVER = nbg.Engine(jit="never")
RNG = np.random.default_rng(0)
A, B, TALL = RNG.normal(size=(4, 4)), RNG.normal(size=(4, 2)), RNG.normal(size=(4, 2))
C = A + 1j * RNG.normal(size=(4, 4))
LOW = np.tril(np.ones((4, 4)))


def evaluated(x):
    return tuple(map(evaluated, x)) if isinstance(x, tuple | list) else x.eval(NEVER)


def agree(name, *args, magnitudes=False, **kwargs):
    """The function of both modules gives the same (for vectors: up to phases)."""
    got, want = evaluated(getattr(linalg, name)(*args, **kwargs)), getattr(scipy.linalg, name)(*args, **kwargs)
    got, want = (x if isinstance(x, tuple) else (x,) for x in (got, want))
    for x, y in zip(got, want, strict=True):
        assert np.shape(x) == np.shape(y)
        np.testing.assert_allclose(np.abs(x) if magnitudes else x, np.abs(y) if magnitudes else y, atol=1e-11)


def test_signatures_are_scipys():
    for name in linalg.__all__:
        theirs, ours = getattr(scipy.linalg, name, None), getattr(linalg, name)
        if callable(theirs) and not isinstance(theirs, type) and ours.__module__.startswith(linalg.__name__):
            wanted = [(p.name, p.kind) for p in signature(theirs).parameters.values()]
            assert [(p.name, p.kind) for p in signature(ours).parameters.values()] == wanted, name


@pytest.mark.parametrize("transposed", [False, True])
def test_structures_of_systems(transposed):
    for assumed in (None, "gen", "general", "diagonal", "tridiagonal", "upper triangular", "lower triangular"):
        agree("solve", A + 3 * np.eye(4), B, assume_a=assumed, transposed=transposed, check_finite=False)


@pytest.mark.parametrize("lower", [True, False])
@pytest.mark.parametrize("a", [A, C])
def test_only_one_triangle_is_read(a, lower):
    h, g = a @ a.conj().T + np.eye(4), np.diag([1.0, 2.0, 3.0, 4.0]) + 0.1 * (a + a.conj().T)
    half = np.where(LOW if lower else LOW.T, h, RNG.normal(size=(4, 4)))
    for assumed in ("pos", "her"):
        agree("solve", half, B, lower=lower, assume_a=assumed)
        agree("inv", half, lower=lower, assume_a=assumed)
    symmetric = np.where(LOW if lower else LOW.T, a + a.T + 8 * np.eye(4), 99.0)
    agree("solve", symmetric, B, lower=lower, assume_a="sym")
    agree("cholesky", h, lower=lower, overwrite_a=True)
    agree("pinvh", half, lower=lower)
    for kind in (1, 2, 3):
        agree("eigh", half, g, lower=lower, type=kind, magnitudes=True)
        agree("eigvalsh", half, g, lower=lower, type=kind)
    agree("eigvalsh", half, lower=lower, driver="evr", check_finite=False)


def test_spectra():
    h = A @ A.T
    w = np.linalg.eigvalsh(h)
    agree("eigh", h, subset_by_index=[1, 2], magnitudes=True)
    agree("eigh", h, subset_by_value=[w[0] + 0.01, w[2] + 0.01], magnitudes=True)
    agree("eigh", h, eigvals_only=True, subset_by_index=(0, 0))
    got, want = linalg.eigvals(A, 3 * np.eye(4) + 0.1 * C).eval(NEVER), scipy.linalg.eigvals(A, 3 * np.eye(4) + 0.1 * C)
    np.testing.assert_allclose(np.sort(got), np.sort(want), atol=1e-12)
    agree("eigh_tridiagonal", np.arange(4.0), np.ones(3), select="i", select_range=(0, 1), magnitudes=True)
    agree("eigvalsh_tridiagonal", np.arange(4.0), np.ones(3))
    agree("svd", TALL, full_matrices=False, lapack_driver="gesvd", magnitudes=True)
    agree("svd", TALL, compute_uv=False)
    agree("svdvals", TALL, True, False)


def test_factors_and_ranks():
    for mode in ("full", "economic", "r"):
        agree("qr", TALL, mode=mode, magnitudes=True)
    for keywords in ({}, {"p_indices": True}, {"permute_l": True}):
        agree("lu", C, **keywords)
    agree("lstsq", A[:, :2], B)
    for keywords in ({"return_rank": True}, {"atol": 1.0}, {"atol": 0.5, "rtol": 0.1}):
        agree("pinv", A, **keywords)
    singular = TALL @ TALL.T
    agree("det", A, overwrite_a=True)
    agree("orth", singular, magnitudes=True)
    null = evaluated(linalg.null_space(singular))
    assert null.shape == (4, 2) and np.abs(singular @ null).max() < 1e-13


def test_derivatives_go_through():
    h = A @ A.T + np.eye(4)
    check_grads(lambda x, y: linalg.solve(x @ x.T + np.eye(4), y, assume_a="pos"), (A, B), order=2, engine=NEVER)
    check_grads(lambda x: linalg.eigh(x @ x.T, h, eigvals_only=True), (A,), order=2, rtol=1e-4, engine=NEVER)
    check_grads(lambda x: linalg.pinv(x, atol=1e-3), (TALL,), order=2, engine=NEVER)


@pytest.mark.parametrize(
    ("call", "match"),
    [
        (lambda: linalg.qr(A, pivoting=True), "qr: not supported: operand pivoting"),
        (lambda: linalg.qr(A, mode="raw"), "qr: not supported: operand mode"),
        (lambda: linalg.solve(A, B, assume_a="odd"), "solve: not supported: operand assume_a"),
        (lambda: linalg.eig(A, left=True), "eig: not supported: operand left"),
        (lambda: linalg.svd(A, lapack_driver="x"), "svd: not supported: operand driver"),
        (lambda: linalg.eigh(A, type=4), "eigh: not supported: operand type"),
        (lambda: linalg.eigh(A, subset_by_index=1), "eigh: not supported: operand subset_by_index"),
        (lambda: linalg.eigh(A, subset_by_index=[1, 99]), "eigh: not supported: operand subset_by_index"),
        (lambda: linalg.eigh(A, subset_by_value=2.0), "eigh: not supported: operand subset_by_value"),
        (lambda: linalg.eigh_tridiagonal([1.0, 2.0], [0.0], select="i"), "eigh_tridiagonal: .* operand select_range"),
        (lambda: linalg.solve(A, B, assume_a=["pos"]), "solve: not supported: operand assume_a"),
        (lambda: signal.convolve(A, B, "half"), "convolve: unknown mode"),
        (lambda: signal.convolve(A, A[0]), "convolve: ranks differ"),
        (lambda: signal.convolve(A, A, method="odd"), "convolve: unknown method"),
        (lambda: signal.convolve(A[:2], A[:, :2], "valid"), "convolve: neither lies within the other"),
        (lambda: signal.convolve2d(A, B, boundary="odd"), "unknown boundary"),
    ],
)
def test_what_is_not_there_is_refused_by_name(call, match):
    with pytest.raises(nbg.ShapeError, match=match):
        call()


# -- signals ----------------------------------------------------------------------------------------------------------

SIZES = [((5,), (3,)), ((4, 5), (2, 3)), ((2, 3), (4, 5)), ((4, 4, 3), (2, 1, 2)), ((), ())]


@pytest.mark.parametrize("sizes", SIZES)
@pytest.mark.parametrize("mode", ["full", "same", "valid"])
def test_convolutions(sizes, mode):
    x, y = (RNG.normal(size=s) + 1j * RNG.normal(size=s) for s in sizes)
    for a, b in ((x, y), (x.real, y.real), (x, y.real)):
        for name in ("convolve", "correlate"):
            for method in ("direct", "fft", "auto"):
                got = getattr(signal, name)(a, b, mode, method).eval(NEVER)
                want = getattr(scipy.signal, name)(a, b, mode, method)
                assert got.shape == want.shape
                np.testing.assert_allclose(got, want, atol=1e-12)
        np.testing.assert_allclose(signal.fftconvolve(a, b, mode).eval(NEVER), scipy.signal.fftconvolve(a, b, mode))
        if len(sizes[0]) == 2:
            for boundary in ("fill", "wrap", "symm"):
                for name in ("convolve2d", "correlate2d"):
                    if name == "correlate2d" and mode == "valid" and np.iscomplexobj(a):
                        continue  # SciPy conjugates the other one where operands are swapped
                    got = getattr(signal, name)(a, b, mode, boundary, 2.0).eval(NEVER)
                    np.testing.assert_allclose(got, getattr(scipy.signal, name)(a, b, mode, boundary, 2.0), atol=1e-12)


def test_integers_stay_exact():
    a, b = RNG.integers(-(2**40), 2**40, (3, 4)), np.array([[1, -2], [3, 2**20]])
    np.testing.assert_array_equal(signal.convolve(a, b).eval(NEVER), scipy.signal.convolve(a, b, method="direct"))


def test_convolution_along_an_axis():
    got = signal.fftconvolve(A, B.T[:, :3].reshape(2, 3)[:1], axes=1).eval(NEVER)
    np.testing.assert_allclose(got, scipy.signal.fftconvolve(A, B.T[:, :3].reshape(2, 3)[:1], axes=1), atol=1e-13)


def test_derivatives_of_convolutions():
    for f in (signal.convolve, signal.correlate, signal.fftconvolve):
        check_grads(lambda x, y, f=f: f(x, y, "same") ** 2, (A, TALL[:2]), order=2, engine=NEVER)
    check_grads(lambda x, y: signal.convolve2d(x, y, boundary="wrap"), (C, TALL[:3]), order=1, engine=NEVER)


# -- bands ------------------------------------------------------------------------------------------------------------


def half_of(a, rows, lower):
    """The half band of a matrix, rubbish where it leaves the matrix."""
    n, ab = len(a), np.full((rows, len(a)), 77, a.dtype)
    for r in range(rows):
        if lower:
            ab[r, : n - r] = np.diagonal(a, -r)
        else:
            ab[rows - 1 - r, r:] = np.diagonal(a, r)
    return ab


def solve_by_factor(half, b, lower):
    return linalg.cho_solve_banded((linalg.cholesky_banded(half, lower=lower), lower), b)


@pytest.mark.parametrize("make", [np.asarray, lambda a: a + 0.5j * a[::-1]])
def test_bands(make):
    ab, right = make(RNG.normal(size=(4, 6))), make(RNG.normal(size=(6, 2)))
    ab[1] += 5
    for b in (right, right[:, 0]):
        agree("solve_banded", (2, 1), ab, b, check_finite=False)
    got = linalg.solve_banded((2, 1), np.stack([ab, 2 * ab]), right).eval(NEVER)
    np.testing.assert_allclose(got[0], 2 * got[1], rtol=1e-14)
    full = make(RNG.normal(size=(6, 6)))
    full = np.tril(np.triu(full + full.conj().T, -2), 2) + 12 * np.eye(6)
    for lower in (False, True):
        half = half_of(full, 3, lower)
        agree("solveh_banded", half, right, lower=lower)
        c = linalg.cholesky_banded(half, lower=lower)
        want = np.linalg.cholesky(full)
        inside = half_of(want if lower else want.conj().T, 3, lower)
        np.testing.assert_allclose(c.eval(NEVER), np.where(inside == 77, 0, inside), atol=1e-13)
        x = linalg.cho_solve_banded((c, lower), right).eval(NEVER)
        np.testing.assert_allclose(full @ x, right, atol=1e-13)
        half[half == 77] = 0
        for f in (linalg.solveh_banded, solve_by_factor):
            check_grads(lambda h, b, f=f, lower=lower: f(h, b, lower=lower), (half, right[:, :1]), engine=NEVER)


def test_bands_that_do_not_fit():
    ab, b = np.ones((3, 4)), np.ones(4)
    for call in (
        lambda: linalg.solve_banded((2, 1), ab, b), lambda: linalg.solve_banded((1, 1), ab, b[:3]),
        lambda: linalg.solve_banded(3, ab, b), lambda: linalg.solve_banded((-1, 3), ab, b),
        lambda: linalg.solveh_banded(b, b), lambda: linalg.cholesky_banded(np.ones((0, 3))),
        lambda: linalg.cho_solve_banded(ab, b),
    ):  # fmt: skip
        with pytest.raises(nbg.errors.ShapeError):
            call()
    for call in (linalg.solveh_banded(-ab, b), linalg.cholesky_banded(-ab), linalg.solve_banded((1, 1), 0 * ab, b)):
        with pytest.raises(nbg.errors.LinAlgError):
            call.eval(NEVER)
