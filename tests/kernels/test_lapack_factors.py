"""svd, qr, cholesky, eigvalsh, triangular systems: their SciPy references (to the bit) and their equations."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import nbgraph_kernels as kernels
from nbgraph_kernels import references_factors as references
from nbgraph_kernels.sizes_factors import svdvals_workspace

Array = np.ndarray[Any, Any]
Call = Callable[..., int]
FLOATS = ("f4", "f8", "c8", "c16")
SIZES = [(1, 1), (3, 3), (5, 2), (2, 5), (40, 7), (7, 40), (70, 70), (1, 6), (6, 1), (100, 3)]
NOTHING = [(0, 0), (0, 3), (3, 0)]


def guarded(needed: int) -> Array:
    """A workspace of the least size, and a guard after it that must stay as it is."""
    return np.full(needed + 64, 0xA5, np.uint8)


def run(call: Call, name: str, dtype: str, outs: list[Array], a: Array, words: list[Any], needed: int) -> int:
    """The status; `a` and the guard are untouched."""
    memory, before = guarded(needed), a.copy()
    status = call(name, dtype, *outs, a, *words, memory)
    assert (memory[needed:] == 0xA5).all()
    np.testing.assert_array_equal(a, before)
    return status


def run_svd(call: Call, dtype: str, a: Array, full: bool) -> tuple[int, Array, Array, Array]:
    batch, m, n = a.shape
    k = min(m, n)
    u, vh = np.full((batch, m, m if full else k), 7, a.dtype), np.full((batch, n if full else k, n), 7, a.dtype)
    s, needed = np.full((batch, k), 7, a.real.dtype), kernels.workspace("svd", dtype, m, n, k)
    return run(call, "svd", dtype, [u, s, vh], a, [batch, m, n, k, 2 if full else 1], needed), u, s, vh


def run_svdvals(call: Call, dtype: str, a: Array) -> tuple[int, Array]:
    batch, m, n = a.shape
    k = min(m, n)
    s, words = np.full((batch, k), 7, a.real.dtype), [batch, m, n, k, 0]
    none: list[Any] = [np.empty(0), s, np.empty(0)]
    return run(call, "svd", dtype, none, a, words, svdvals_workspace(dtype, m, n, k)), s


def run_qr(call: Call, dtype: str, a: Array, complete: bool) -> tuple[int, Array, Array]:
    batch, m, n = a.shape
    p = m if complete else min(m, n)
    q, r = np.full((batch, m, p), 7, a.dtype), np.full((batch, p, n), 7, a.dtype)
    return run(call, "qr", dtype, [q, r], a, [batch, m, n, p], kernels.workspace("qr", dtype, m, n, p)), q, r


def run_eigvalsh(call: Call, dtype: str, a: Array) -> tuple[int, Array]:
    batch, n, _ = a.shape
    w = np.full((batch, n), 7, a.real.dtype)
    return run(call, "eigvalsh", dtype, [w], a, [batch, n], kernels.workspace("eigvalsh", dtype, n)), w


def run_cholesky(call: Call, dtype: str, a: Array) -> tuple[int, Array]:
    batch, n, _ = a.shape
    factor = np.full_like(a, 7)
    return run(call, "cholesky", dtype, [factor], a, [batch, n], 0), factor


def run_triangular(call: Call, dtype: str, t: Array, b: Array, *how: bool) -> tuple[int, Array]:
    batch, n, nrhs = b.shape
    x, before = np.full_like(b, 7), b.copy()
    status = call("solve_triangular", dtype, x, t, b, batch, n, nrhs, *map(int, how))
    np.testing.assert_array_equal(b, before)
    return status, x


def tolerance(a: Array) -> float:
    return 200 * float(np.finfo(a.dtype).eps) * max(*a.shape, 4)


def adjoint(a: Array) -> Array:
    return np.ascontiguousarray(a.conj().swapaxes(-1, -2))


def equal(got: tuple[Array, ...], want: tuple[Array, ...]) -> None:
    for g, w in zip(got, want, strict=True):
        np.testing.assert_array_equal(g, w)


def matrices(random: Any, dtype: str, m: int, n: int) -> list[Array]:
    """Random, of rank 1, zero, ones on the diagonal."""
    x = random(1, dtype, 2, m, n)
    return [x, x[:, :, :1] @ x[:, :1, :], np.zeros_like(x), np.zeros_like(x) + np.eye(m, n, dtype=x.dtype)]


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("size", SIZES)
def test_svd(call: Call, random: Any, dtype: str, size: tuple[int, int]) -> None:
    for a in matrices(random, dtype, *size):
        for full in (False, True):
            status, u, s, vh = run_svd(call, dtype, a, full)
            assert status == 0
            equal((u, s, vh), references.reference_svd(a, full))
            k, close = s.shape[1], tolerance(a)
            np.testing.assert_allclose(u[:, :, :k] * s[:, None] @ vh[:, :k], a, atol=4 * close)
            np.testing.assert_allclose(adjoint(u) @ u - np.eye(u.shape[2]), 0, atol=close)
            np.testing.assert_allclose(vh @ adjoint(vh) - np.eye(vh.shape[1]), 0, atol=close)
        status, values = run_svdvals(call, dtype, a)
        assert status == 0
        np.testing.assert_array_equal(values, references.reference_svdvals(a))
        np.testing.assert_allclose(values, s, atol=close)


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("size", SIZES)
def test_qr(call: Call, random: Any, dtype: str, size: tuple[int, int]) -> None:
    for a in matrices(random, dtype, *size):
        for complete in (False, True):
            status, q, r = run_qr(call, dtype, a, complete)
            assert status == 0
            equal((q, r), references.reference_qr(a, complete))
            np.testing.assert_allclose(q @ r, a, atol=tolerance(a))
            np.testing.assert_array_equal(r, np.triu(r))
            want = np.linalg.qr(a, "complete" if complete else "reduced")
            np.testing.assert_allclose(np.abs(r), np.abs(want[1]), atol=tolerance(a))


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("n", [1, 2, 9, 70])
def test_eigvalsh(call: Call, random: Any, dtype: str, n: int) -> None:
    x = random(1, dtype, 2, n, n)
    for a in (x + adjoint(x), np.zeros_like(x), np.ones_like(x)):
        status, w = run_eigvalsh(call, dtype, a)
        assert status == 0
        np.testing.assert_array_equal(w, references.reference_eigvalsh(a))
        np.testing.assert_allclose(w, np.linalg.eigvalsh(a), atol=tolerance(a))
        half = np.where(np.tri(n, dtype=bool), a, np.nan).astype(a.dtype)
        np.testing.assert_array_equal(run_eigvalsh(call, dtype, half)[1], w)


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("n", [1, 2, 9, 130])
def test_cholesky(call: Call, random: Any, dtype: str, n: int) -> None:
    x = random(1, dtype, 3, n, n)
    a = x @ adjoint(x) + np.eye(n, dtype=x.dtype)
    status, factor = run_cholesky(call, dtype, a)
    assert status == 0
    np.testing.assert_array_equal(factor, references.reference_cholesky(a))
    np.testing.assert_allclose(factor @ adjoint(factor), a, atol=tolerance(a) * n)
    half = np.where(np.tri(n, dtype=bool), a, np.nan).astype(a.dtype)
    np.testing.assert_array_equal(run_cholesky(call, dtype, half)[1], factor)


@pytest.mark.parametrize("dtype", FLOATS)
def test_cholesky_tells_the_first_member_that_is_not_positive_definite(call: Call, random: Any, dtype: str) -> None:
    a = np.zeros_like(random(0, dtype, 3, 4, 4)) + np.eye(4, dtype=random(0, dtype).dtype)
    a[1, 2, 2] = -1
    status, factor = run_cholesky(call, dtype, a)
    assert status == 3
    np.testing.assert_array_equal(factor[0], np.eye(4))
    with pytest.raises(np.linalg.LinAlgError, match="positive definite") as caught:
        references.reference_cholesky(a)
    assert caught.value.info == status  # type: ignore[attr-defined]


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize(("n", "nrhs"), [(1, 1), (4, 1), (9, 5), (130, 3)])
def test_solve_triangular(call: Call, random: Any, dtype: str, n: int, nrhs: int) -> None:
    t = (random(1, dtype, 2, n, n) / n + 2 * np.eye(n)).astype(random(1, dtype).dtype)
    b = random(2, dtype, 2, n, nrhs)
    for how in np.ndindex(2, 2, 2):
        lower, adjoined, unit = map(bool, how)
        status, x = run_triangular(call, dtype, t, b, lower, adjoined, unit)
        assert status == 0
        np.testing.assert_array_equal(x, references.reference_solve_triangular(t, b, lower, adjoined, unit))
        part = np.tril(t) if lower else np.triu(t)
        part = np.where(np.eye(n, dtype=bool), 1, part) if unit else part
        np.testing.assert_allclose((adjoint(part) if adjoined else part) @ x, b, atol=tolerance(t) * 4)


@pytest.mark.parametrize("dtype", FLOATS)
def test_a_zero_on_the_diagonal_is_told(call: Call, random: Any, dtype: str) -> None:
    t, b = random(1, dtype, 2, 3, 3) + 3 * np.eye(3, dtype=random(1, dtype).dtype), random(2, dtype, 2, 3, 2)
    t[1, 1, 1] = 0
    assert run_triangular(call, dtype, t, b, True, False, False)[0] == 2
    assert run_triangular(call, dtype, t, b, True, False, True)[0] == 0
    with pytest.raises(np.linalg.LinAlgError, match="singular") as caught:
        references.reference_solve_triangular(t, b, True, False, False)
    assert caught.value.info == 2  # type: ignore[attr-defined]


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("special", [np.nan, np.inf])
def test_nan_and_infinity_end(call: Call, random: Any, dtype: str, special: float) -> None:
    """They give a failure or numbers, the same as the reference, and never hang."""
    a = random(1, dtype, 2, 6, 6)
    a[1, 2, 3] = a[1, 3, 2] = special
    h = a + adjoint(a)
    same(run_svd(call, dtype, a, False), lambda: references.reference_svd(a, False))
    same(run_svdvals(call, dtype, a), lambda: references.reference_svdvals(a))
    same(run_qr(call, dtype, a, False), lambda: references.reference_qr(a, False))
    same(run_eigvalsh(call, dtype, h), lambda: references.reference_eigvalsh(h))
    same(run_cholesky(call, dtype, h), lambda: references.reference_cholesky(h))


def same(got: tuple[Any, ...], reference: Callable[[], Any]) -> None:
    status, *results = got
    try:
        want = reference()
    except np.linalg.LinAlgError as error:
        assert status == error.info  # type: ignore[attr-defined]
        return
    assert status == 0
    equal(tuple(results), want if isinstance(want, tuple) else (want,))


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("size", NOTHING)
@pytest.mark.parametrize("batch", [0, 2])
def test_nothing(call: Call, random: Any, dtype: str, size: tuple[int, int], batch: int) -> None:
    a = random(1, dtype, batch, *size)
    for full in (False, True):
        same(run_svd(call, dtype, a, full), lambda full=full: references.reference_svd(a, full))
        same(run_qr(call, dtype, a, full), lambda full=full: references.reference_qr(a, full))
    same(run_svdvals(call, dtype, a), lambda: references.reference_svdvals(a))
    square = random(1, dtype, batch, 0, 0)
    same(run_eigvalsh(call, dtype, square), lambda: references.reference_eigvalsh(square))
    same(run_cholesky(call, dtype, square), lambda: references.reference_cholesky(square))
    b = random(1, dtype, batch, 0, 3)
    same(run_triangular(call, dtype, square, b, True, True, True),
         lambda: references.reference_solve_triangular(square, b, True, True, True))  # fmt: skip


def test_sizes_that_do_not_fit_are_refused(call: Call) -> None:
    assert call("svd", "f8", 0, 0, 0, 0, 1, 3, 2, 3, 1, 0) == -1
    assert call("svd", "f8", 0, 0, 0, 0, 1, 2**31, 1, 1, 1, 0) == -1
    assert call("qr", "f8", 0, 0, 0, 1, 5, 3, 4, 0) == -1
    assert call("qr", "f8", 0, 0, 0, 1, 2**31, 1, 1, 0) == -1
    assert call("eigvalsh", "f8", 0, 0, 1, 2**31, 0) == -1
    assert call("cholesky", "f8", 0, 0, 1, 2**31) == -1
    assert call("solve_triangular", "f8", 0, 0, 0, 1, 2**31, 1, 0, 0, 0) == -1


@pytest.mark.parametrize(("dtype", "n"), [("f8", 256), ("c16", 128)])
def test_columns_that_lie_apart(call: Call, random: Any, dtype: str, n: int) -> None:
    """Where columns would lie 2048 bytes apart the workspace leaves room between them."""
    a = random(1, dtype, 1, n, n)
    equal(run_svd(call, dtype, a, False)[1:], references.reference_svd(a, False))
    equal(run_svdvals(call, dtype, a)[1:], (references.reference_svdvals(a),))
    equal(run_eigvalsh(call, dtype, a)[1:], (references.reference_eigvalsh(a),))
    for m in (n, n // 2):
        tall, wide = np.ascontiguousarray(a[:, :, :m]), np.ascontiguousarray(a[:, :m])
        equal(run_qr(call, dtype, tall, True)[1:], references.reference_qr(tall, True))
        equal(run_qr(call, dtype, wide, False)[1:], references.reference_qr(wide, False))
