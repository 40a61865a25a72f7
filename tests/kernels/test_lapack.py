"""solve and eigh against their plain SciPy references (to the bit) and against the equations they solve."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import nbgraph_kernels as kernels
from nbgraph_kernels.references import reference_eigh, reference_solve

Array = np.ndarray[Any, Any]
Call = Callable[..., int]
FLOATS = ("f4", "f8", "c8", "c16")


def scratch(name: str, dtype: str, *extents: int) -> Array:
    """A workspace of the least size, and a guard after it that must stay as it is."""
    needed = kernels.workspace(name, dtype, *extents)
    memory = np.full(needed + 64, 0xA5, np.uint8)
    return memory


def run_solve(call: Call, dtype: str, a: Array, b: Array) -> tuple[int, Array]:
    batch, n, nrhs = b.shape
    x, memory = np.full_like(b, np.nan), scratch("solve", dtype, n, nrhs)
    status = call("solve", dtype, x, a, b, batch, n, nrhs, memory)
    assert (memory[-64:] == 0xA5).all()
    return status, x


def run_eigh(call: Call, dtype: str, a: Array) -> tuple[int, Array, Array]:
    batch, n, _ = a.shape
    w, v, memory = (
        np.full((batch, n), np.nan, a.real.dtype),
        np.full_like(a, np.nan),
        scratch("eigh", dtype, n),
    )
    status = call("eigh", dtype, w, v, a, batch, n, memory)
    assert (memory[-64:] == 0xA5).all()
    return status, w, v


def hermitian(x: Array) -> Array:
    return np.ascontiguousarray(x + x.conj().swapaxes(1, 2))


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize(("n", "nrhs"), [(1, 1), (2, 3), (7, 1), (33, 5), (100, 100)])
def test_solve(call: Call, random: Any, dtype: str, n: int, nrhs: int) -> None:
    a, b = (
        random(1, dtype, 3, n, n) + 2 * n * np.eye(n, dtype=random(0, dtype).dtype),
        random(2, dtype, 3, n, nrhs),
    )
    before = a.copy(), b.copy()
    status, x = run_solve(call, dtype, a, b)
    assert status == 0
    np.testing.assert_allclose(a @ x, b, atol=200 * float(np.finfo(a.dtype).eps) * n)
    np.testing.assert_array_equal(x, reference_solve(a, b))
    np.testing.assert_array_equal(a, before[0])
    np.testing.assert_array_equal(b, before[1])


@pytest.mark.parametrize("dtype", FLOATS)
def test_solve_tells_the_first_singular_member(call: Call, random: Any, dtype: str) -> None:
    a, b = random(1, dtype, 3, 4, 4), random(2, dtype, 3, 4, 2)
    a[1, :, 2] = 0
    a[2] = 0
    status, x = run_solve(call, dtype, a, b)
    assert status == 3
    np.testing.assert_array_equal(x[0], reference_solve(a[:1], b[:1])[0])
    with pytest.raises(np.linalg.LinAlgError) as caught:
        reference_solve(a, b)
    assert caught.value.info == status  # type: ignore[attr-defined]


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("shape", [(0, 3, 2), (2, 0, 2), (2, 3, 0), (0, 0, 0)])
def test_solve_of_nothing(call: Call, random: Any, dtype: str, shape: tuple[int, int, int]) -> None:
    batch, n, nrhs = shape
    a, b = random(1, dtype, batch, n, n), random(2, dtype, batch, n, nrhs)
    status, x = run_solve(call, dtype, a, b)
    assert status == 0
    assert reference_solve(a, b).shape == x.shape == b.shape


def spectra(random: Any, dtype: str, n: int) -> dict[str, Array]:
    """Random, degenerate, diagonal and zero Hermitian matrices."""
    q, _ = np.linalg.qr(random(2, dtype, 2, n, n))
    steps = np.repeat(np.arange(n // 3 + 1), 3)[:n].astype(q.real.dtype)
    degenerate = hermitian((q * steps) @ q.conj().swapaxes(1, 2))
    exact = np.zeros_like(q) + np.diag(steps)
    return {"random": hermitian(random(1, dtype, 2, n, n)), "degenerate": degenerate, "diagonal": exact,
            "ones": np.ones_like(q), "zero": np.zeros_like(q)}  # fmt: skip


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("n", [1, 2, 3, 8, 33, 80])
def test_eigh_is_the_reference_to_the_bit(call: Call, random: Any, dtype: str, n: int) -> None:
    for kind, a in spectra(random, dtype, n).items():
        before = a.copy()
        status, w, v = run_eigh(call, dtype, a)
        want_w, want_v = reference_eigh(a)
        assert status == 0
        np.testing.assert_array_equal(w, want_w, err_msg=kind)
        np.testing.assert_array_equal(v, want_v, err_msg=kind)
        np.testing.assert_array_equal(a, before)
        scale = 100 * n * float(np.finfo(w.dtype).eps)
        np.testing.assert_allclose(a @ v, v * w[:, None, :], atol=scale * 4, err_msg=kind)
        np.testing.assert_allclose(v.conj().swapaxes(1, 2) @ v, np.broadcast_to(np.eye(n), v.shape), atol=scale)


@pytest.mark.parametrize("dtype", FLOATS)
def test_eigh_reads_the_lower_triangle(call: Call, random: Any, dtype: str) -> None:
    a = hermitian(random(1, dtype, 2, 9, 9))
    _, w, v = run_eigh(call, dtype, a)
    a[:, np.triu(np.ones((9, 9), bool), 1)] = np.nan
    _, half_w, half_v = run_eigh(call, dtype, a)
    np.testing.assert_array_equal(half_w, w)
    np.testing.assert_array_equal(half_v, v)


@pytest.mark.parametrize("dtype", FLOATS)
def test_eigh_of_nan_does_as_the_reference(call: Call, random: Any, dtype: str) -> None:
    a = hermitian(random(1, dtype, 2, 6, 6))
    a[1] = np.nan
    status, w, v = run_eigh(call, dtype, a)
    if status == 0:
        want_w, want_v = reference_eigh(a)
        np.testing.assert_array_equal(w, want_w)
        np.testing.assert_array_equal(v, want_v)
    else:
        with pytest.raises(np.linalg.LinAlgError):
            reference_eigh(a)


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("shape", [(0, 3), (2, 0), (0, 0)])
def test_eigh_of_nothing(call: Call, random: Any, dtype: str, shape: tuple[int, int]) -> None:
    a = random(1, dtype, *shape, shape[1])
    status, w, v = run_eigh(call, dtype, a)
    assert status == 0
    assert [x.shape for x in reference_eigh(a)] == [w.shape, v.shape]


@pytest.mark.parametrize("name", ["solve", "eigh"])
def test_sizes_beyond_lapack_are_refused(call: Call, name: str) -> None:
    assert call(name, "f8", 0, 0, 0, 1, 2**31, 1, 0) == -1


def test_workspace_takes_symbols() -> None:
    class Symbol:
        """A size that only adds and multiplies with ints and its like."""

        def __init__(self, value: int) -> None:
            self.value = value

        def __add__(self, other: Any) -> Symbol:
            return Symbol(self.value + getattr(other, "value", other))

        def __mul__(self, other: Any) -> Symbol:
            return Symbol(self.value * getattr(other, "value", other))

        __radd__, __rmul__ = __add__, __mul__

    for dtype in FLOATS:
        assert kernels.workspace("eigh", dtype, Symbol(7)).value == kernels.workspace("eigh", dtype, 7)
        assert kernels.workspace("solve", dtype, Symbol(7), Symbol(3)).value == kernels.workspace("solve", dtype, 7, 3)


@pytest.mark.parametrize(("dtype", "n"), [("f8", 256), ("c16", 128)])
def test_columns_that_lie_apart(call: Call, random: Any, dtype: str, n: int) -> None:
    """Where columns would lie 2048 bytes apart the workspace leaves room between them."""
    a, b = random(1, dtype, 2, n, n), random(2, dtype, 2, n, 3)
    np.testing.assert_array_equal(run_solve(call, dtype, a, b)[1], reference_solve(a, b))
    for got, want in zip(run_eigh(call, dtype, hermitian(a))[1:], reference_eigh(hermitian(a)), strict=True):
        np.testing.assert_array_equal(got, want)
