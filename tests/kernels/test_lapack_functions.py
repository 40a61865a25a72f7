"""The kernels of eigenvectors, square roots, Sylvester equations and exponentials against their references."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import nbgraph_kernels as kernels
from nbgraph_kernels.references_functions import reference_eig, reference_expm, reference_sqrtm, reference_sylvester

Array = np.ndarray[Any, Any]
Call = Callable[..., int]
FLOATS, COMPLEX = ("f4", "f8", "c8", "c16"), ("c8", "c16")
SIZES = [1, 2, 5, 40, 150]


def scratch(name: str, dtype: str, *extents: int) -> Array:
    """A workspace of the least size, and a guard after it that must stay as it is."""
    return np.full(kernels.workspace(name, dtype, *extents) + 64, 0xA5, np.uint8)


def eps(a: Array) -> float:
    return float(np.finfo(a.dtype).eps)


def run_eig(call: Call, dtype: str, a: Array) -> tuple[int, Array, Array]:
    batch, n, _ = a.shape
    code = np.result_type(a.dtype, np.complex64)
    w, v, memory = np.full((batch, n), np.nan, code), np.full(a.shape, np.nan, code), scratch("eig", dtype, n)
    status = call("eig", dtype, w, v, a, batch, n, memory)
    assert (memory[-64:] == 0xA5).all()
    return status, w, v


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("n", SIZES)
def test_eig_is_the_reference_to_the_bit(call: Call, random: Any, dtype: str, n: int) -> None:
    a = random(1, dtype, 2, n, n)
    before = a.copy()
    status, w, v = run_eig(call, dtype, a)
    want_w, want_v = reference_eig(a)
    assert status == 0
    np.testing.assert_array_equal(w, want_w)
    np.testing.assert_array_equal(v, want_v)
    np.testing.assert_array_equal(a, before)
    np.testing.assert_allclose(a @ v, v * w[:, None, :], atol=100 * n * eps(a))
    np.testing.assert_allclose(np.linalg.norm(v, axis=1), 1, rtol=10 * n * eps(a))


@pytest.mark.parametrize("name", ["eig", "sqrtm"])
@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_what_is_not_finite_fails(call: Call, random: Any, name: str, bad: float) -> None:
    a = random(1, "c16", 2, 4, 4)
    a[1, 2, 1] = bad
    x, w = np.empty_like(a), np.empty((2, 4), a.dtype)
    outs = (w, x) if name == "eig" else (x,)
    assert call(name, "c16", *outs, a, 2, 4, scratch(name, "c16", 4)) == 5
    with pytest.raises(np.linalg.LinAlgError):
        (reference_eig if name == "eig" else reference_sqrtm)(a)


@pytest.mark.parametrize("dtype", COMPLEX)
@pytest.mark.parametrize("n", [1, 2, 5, 40])
def test_sqrtm(call: Call, random: Any, dtype: str, n: int) -> None:
    a = random(1, dtype, 3, n, n)
    x, memory = np.full_like(a, np.nan), scratch("sqrtm", dtype, n)
    assert call("sqrtm", dtype, x, a, 3, n, memory) == 0
    assert (memory[-64:] == 0xA5).all()
    np.testing.assert_allclose(x @ x, a, atol=500 * n * eps(a))
    np.testing.assert_allclose(x, reference_sqrtm(a), atol=500 * n * eps(a))


def test_roots_of_singular_matrices(call: Call) -> None:
    """Zero has a root, a nilpotent block has none."""
    a, x = np.zeros((1, 3, 3), "c16"), np.full((1, 3, 3), np.nan, "c16")
    assert call("sqrtm", "c16", x, a, 1, 3, scratch("sqrtm", "c16", 3)) == 0
    assert (x == 0).all() and (reference_sqrtm(a) == 0).all()
    a[0, 0, 1] = 1
    assert call("sqrtm", "c16", x, a, 1, 3, scratch("sqrtm", "c16", 3)) > 0
    with pytest.raises(np.linalg.LinAlgError):
        reference_sqrtm(a)


@pytest.mark.parametrize("dtype", COMPLEX)
@pytest.mark.parametrize("shape", [(2, 1, 1), (2, 3, 3), (2, 5, 2), (1, 2, 30), (0, 2, 2), (2, 0, 3), (2, 3, 0)])
def test_sylvester(call: Call, random: Any, dtype: str, shape: tuple[int, int, int]) -> None:
    batch, m, n = shape
    a, b, c = random(1, dtype, batch, m, m), random(2, dtype, batch, n, n), random(3, dtype, batch, m, n)
    a, b = a + 2 * m * np.eye(m, dtype=dtype), b + 2 * n * np.eye(n, dtype=dtype)
    x, memory = np.full_like(c, np.nan), scratch("sylvester", dtype, m, n)
    assert call("sylvester", dtype, x, a, b, c, batch, m, n, memory) == 0
    assert (memory[-64:] == 0xA5).all()
    np.testing.assert_allclose(a @ x + x @ b, c, atol=200 * (m + n) * eps(a))
    np.testing.assert_allclose(x, reference_sylvester(a, b, c), atol=200 * eps(a))


def test_sylvester_without_one_solution(call: Call) -> None:
    a = np.diag([1.0, 2.0]).astype("c16")[None]
    x = np.empty_like(a)
    assert call("sylvester", "c16", x, a, -a, a, 1, 2, 2, scratch("sylvester", "c16", 2, 2)) > 0
    with pytest.raises(np.linalg.LinAlgError):
        reference_sylvester(a, -a, a)


def run_expm(call: Call, dtype: str, a: Array) -> Array:
    batch, n, _ = a.shape
    x, memory = np.full_like(a, np.nan), scratch("expm", dtype, n)
    assert call("expm", dtype, x, a, batch, n, memory) == 0
    assert (memory[-64:] == 0xA5).all()
    return x


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("n", [1, 2, 5, 40])
@pytest.mark.parametrize("size", [0.0, 1e-10, 0.1, 1.0, 30.0])
def test_expm(call: Call, random: Any, dtype: str, n: int, size: float) -> None:
    a = (random(1, dtype, 3, n, n) * size / n).astype(dtype)
    want = reference_expm(a)
    tolerance = 20 * eps(a) * (n + size)
    for got, w in zip(run_expm(call, dtype, a), want, strict=True):
        np.testing.assert_allclose(got, w, atol=tolerance * float(np.abs(w).max()))


def test_expm_of_graded_matrices(call: Call) -> None:
    """Exact values where scaling by the norm alone would lose digits."""
    for big in (1e3, 1e6, 1e15, 1e100, 1e300):
        a = np.array([[[1.0, big], [0.0, -1.0]]])
        want = np.array([[np.e, big * np.sinh(1.0)], [0.0, 1 / np.e]])
        np.testing.assert_allclose(run_expm(call, "f8", a)[0], want, rtol=1e-13, atol=1e-13)
    nilpotent = np.diag([1e5, 1e5], 1)[None]
    want = np.eye(3) + nilpotent[0] + nilpotent[0] @ nilpotent[0] / 2
    np.testing.assert_allclose(run_expm(call, "f8", nilpotent)[0], want, atol=1e-15)
    np.testing.assert_allclose(run_expm(call, "f8", np.array([[[-1000.0]]])), 0, atol=1e-300)
    assert np.isinf(run_expm(call, "f8", np.array([[[1e5]]]))).all()


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_expm_of_what_is_not_finite(call: Call, bad: float) -> None:
    a = np.array([[[1.0, 0.0], [0.0, 1.0]], [[bad, 1.0], [0.0, 1.0]], [[0.0, 1.0], [0.0, 0.0]]])
    got = run_expm(call, "f8", a)
    assert np.isnan(got[1]).all() and np.isfinite(got[[0, 2]]).all()
    np.testing.assert_allclose(got, reference_expm(a))


@pytest.mark.parametrize("name", ["eig", "sqrtm", "expm"])
def test_nothing(call: Call, name: str) -> None:
    for batch, n in ((0, 3), (2, 0)):
        a = np.empty((batch, n, n), "c16")
        outs = (a[:, 0] if n else a, a) if name == "eig" else (a,)
        assert call(name, "c16", *outs, a, batch, n, scratch(name, "c16", n)) == 0
    assert [x.shape for x in reference_eig(np.empty((2, 0, 0)))] == [(2, 0), (2, 0, 0)]
    assert reference_expm(np.empty((2, 0, 0))).shape == (2, 0, 0)
