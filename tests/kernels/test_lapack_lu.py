"""The kernels of LU factors against their SciPy references (to the bit) and against the equations they solve."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import scipy.linalg

import nbgraph_kernels as kernels
from nbgraph_kernels.references_lu import (
    reference_exchange_rows,
    reference_inv,
    reference_lu_factor,
    reference_packed_solve,
)

Array = np.ndarray[Any, Any]
Call = Callable[..., int]
FLOATS = ("f4", "f8", "c8", "c16")
SHAPES = [(1, 1), (3, 3), (2, 5), (6, 4), (1, 4), (4, 1), (70, 70), (256, 9), (0, 3), (3, 0), (0, 0)]


def scratch(name: str, dtype: str, *extents: int) -> Array:
    """A workspace of the least size, and a guard after it that must stay as it is."""
    return np.full(kernels.workspace(name, dtype, *extents) + 64, 0xA5, np.uint8)


def run_factor(call: Call, dtype: str, a: Array) -> tuple[Array, Array, Array]:
    batch, m, n = a.shape
    lu, memory = np.full_like(a, np.nan), scratch("lu_factor", dtype, m, n)
    pivots, info = np.full((batch, min(m, n)), -7, np.int32), np.full(batch, -7, np.int32)
    assert call("lu_factor", dtype, lu, pivots, info, a, batch, m, n, memory) == 0
    assert (memory[-64:] == 0xA5).all()
    return lu, pivots, info


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize(("m", "n"), SHAPES)
def test_lu_factor(call: Call, random: Any, dtype: str, m: int, n: int) -> None:
    a = random(1, dtype, 3, m, n)
    a[-1, :, -1:] = 0  # one member may be singular
    before = a.copy()
    found = run_factor(call, dtype, a)
    for got, want in zip(found, reference_lu_factor(a), strict=True):
        np.testing.assert_array_equal(got, want)
    np.testing.assert_array_equal(a, before)
    lu, pivots, _ = found
    k = min(m, n)
    product = (np.tril(lu[:, :, :k], -1) + np.eye(m, k, dtype=a.dtype)) @ np.triu(lu[:, :k])
    tolerance = 50 * max(m, 1) * float(np.finfo(a.dtype).eps)
    np.testing.assert_allclose(product, reference_exchange_rows(a, pivots, False), atol=tolerance)
    if k and m == n:
        np.testing.assert_array_equal(pivots[0], scipy.linalg.lu_factor(a[0])[1])


@pytest.mark.parametrize("dtype", FLOATS)
def test_info_of_each_member(call: Call, random: Any, dtype: str) -> None:
    a = random(1, dtype, 4, 3, 3)
    a[1] = 0
    a[2, :, 1] = 0
    a[3] = np.nan
    _, _, info = run_factor(call, dtype, a)
    assert info[:3].tolist() == [0, 1, 2]
    np.testing.assert_array_equal(info, reference_lu_factor(a)[2])


@pytest.mark.parametrize("dtype", [*FLOATS, "i4", "i8"])
@pytest.mark.parametrize("backward", [0, 1])
@pytest.mark.parametrize("shape", [(2, 4, 3, 4), (1, 5, 2, 2), (2, 1, 3, 1), (0, 2, 2, 2), (2, 0, 3, 0), (2, 3, 0, 3)])
def test_exchange_rows(call: Call, random: Any, dtype: str, backward: int, shape: tuple[int, ...]) -> None:
    batch, m, n, k = shape
    a, rng = random(1, dtype, batch, m, n), np.random.default_rng(0)
    pivots = np.array([[rng.integers(i, m) for i in range(k)] for _ in range(batch)], np.int32).reshape(batch, k)
    x = np.empty_like(a)
    assert call("exchange_rows", dtype, x, a, pivots, batch, m, n, k, backward) == 0
    np.testing.assert_array_equal(x, reference_exchange_rows(a, pivots, bool(backward)))
    np.testing.assert_array_equal(reference_exchange_rows(x, pivots, not backward), a)


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("upper", [0, 1])
@pytest.mark.parametrize("adjoint", [0, 1])
@pytest.mark.parametrize("shape", [(2, 3, 2), (1, 1, 1), (2, 40, 7), (0, 3, 2), (2, 0, 2), (2, 3, 0)])
def test_packed_solve(
    call: Call, random: Any, dtype: str, upper: int, adjoint: int, shape: tuple[int, int, int]
) -> None:
    batch, n, nrhs = shape
    t, b = random(1, dtype, batch, n, n) / max(n, 1), random(2, dtype, batch, n, nrhs)
    t += np.eye(n, dtype=t.dtype)
    x = np.empty_like(b)
    assert call("packed_solve", dtype, x, t, b, batch, n, nrhs, upper, adjoint) == 0
    np.testing.assert_array_equal(x, reference_packed_solve(t, b, bool(upper), bool(adjoint)))
    triangle = np.triu(t) if upper else np.tril(t, -1) + np.eye(n, dtype=t.dtype)
    if adjoint:
        triangle = triangle.conj().swapaxes(1, 2)
    np.testing.assert_allclose(triangle @ x, b, atol=100 * float(np.finfo(b.dtype).eps))


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("shape", [(3, 1), (3, 4), (2, 50), (0, 2), (2, 0)])
def test_inv(call: Call, random: Any, dtype: str, shape: tuple[int, int]) -> None:
    batch, n = shape
    a = random(1, dtype, batch, n, n) + 2 * n * np.eye(n, dtype=random(1, dtype).dtype)
    x, memory = np.full_like(a, np.nan), scratch("inv", dtype, n)
    assert call("inv", dtype, x, a, batch, n, memory) == 0
    assert (memory[-64:] == 0xA5).all()
    np.testing.assert_array_equal(x, reference_inv(a))
    np.testing.assert_allclose(
        a @ x, np.broadcast_to(np.eye(n), a.shape), atol=1e-5 if dtype in ("f4", "c8") else 1e-12
    )


@pytest.mark.parametrize("dtype", FLOATS)
def test_inv_tells_the_first_singular_member(call: Call, random: Any, dtype: str) -> None:
    a = random(1, dtype, 2, 3, 3)
    a[1, :, 1] = 0
    x = np.empty_like(a)
    assert call("inv", dtype, x, a, 2, 3, scratch("inv", dtype, 3)) == 2
    with pytest.raises(np.linalg.LinAlgError) as caught:
        reference_inv(a)
    assert caught.value.info == 2  # type: ignore[attr-defined]


def test_sizes_beyond_lapack_are_refused(call: Call) -> None:
    assert call("lu_factor", "f8", 0, 0, 0, 0, 1, 2**31, 1, 0) == -1
    assert call("packed_solve", "f8", 0, 0, 0, 1, 2**31, 1, 0, 0) == -1
    assert call("inv", "f8", 0, 0, 1, 2**31, 0) == -1
