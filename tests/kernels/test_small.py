"""Small eigenvalue problems and singular values: LAPACK's backward error, and what is left to LAPACK.

`test_lapack` and `test_lapack_factors` run the same kernels on random, degenerate and zero matrices.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import nbgraph_kernels as kernels
from nbgraph_kernels import references_small, registry, sizes
from nbgraph_kernels.references import reference_eigh
from nbgraph_kernels.references_factors import reference_eigvalsh, reference_svd, reference_svdvals

Array = np.ndarray[Any, Any]
Call = Callable[..., int]


def eigh(call: Call, a: Array, dtype: str) -> tuple[int, Array, Array]:
    n = a.shape[-1]
    w, v = np.full(n, np.nan, a.real.dtype), np.full_like(a, np.nan)
    return call("eigh", dtype, w, v, a, 1, n, np.empty(kernels.workspace("eigh", dtype, n), np.uint8)), w, v


def eigvalsh(call: Call, a: Array, dtype: str) -> Array:
    n = a.shape[-1]
    w = np.full(n, np.nan, a.real.dtype)
    assert call("eigvalsh", dtype, w, a, 1, n, np.empty(kernels.workspace("eigvalsh", dtype, n), np.uint8)) == 0
    return w


def svd(call: Call, a: Array, dtype: str, job: int = 1) -> tuple[int, Array, Array, Array]:
    m, n = a.shape
    k = min(m, n)
    u, s, vh = np.full((m, k), np.nan, a.dtype), np.full(k, np.nan, a.real.dtype), np.full((k, n), np.nan, a.dtype)
    memory = np.empty(kernels.workspace("svd", dtype, m, n, k), np.uint8)
    return call("svd", dtype, u, s, vh, a, 1, m, n, k, job, memory), u, s, vh


def with_spectrum(random: Any, dtype: str, values: Array) -> Array:
    q, _ = np.linalg.qr(random(3, dtype, len(values), len(values)))
    x = (q * values) @ q.conj().T
    return ((x + x.conj().T) / 2).astype(q.dtype)


def hard(random: Any, dtype: str, n: int) -> dict[str, Array]:
    """Hermitian matrices, of norm 1 or about, that are hard for one reason or another."""
    powers, x = 10.0 ** -np.arange(n), random(1, dtype, n, n)
    graded = (x + x.conj().T) * powers * powers[:, None]
    hilbert = 1 / (1.0 + np.arange(n) + np.arange(n)[:, None])
    made: dict[str, Array] = {"graded": graded, "graded backward": graded[::-1, ::-1], "hilbert": hilbert}
    made["turned"] = np.diag(np.ones(n - 1), 1) + np.diag(np.ones(n - 1), -1) if n > 1 else np.zeros((1, 1))
    for gap in (1e-3, 1e-7, 1e-12, 1e-14, 0.0):
        made[f"gap {gap}"] = with_spectrum(random, dtype, 1 + gap * (np.arange(n) % 3))
    made["rank 1"] = np.outer(x[0], x[0].conj())
    made["tiny corner"] = np.where(np.arange(n)[:, None] + np.arange(n) > n, 1e-300, 1) * hilbert
    return {name: np.ascontiguousarray(a, random(0, dtype).dtype) for name, a in made.items()}


def close(a: Array) -> float:
    """LAPACK's tests allow 30 to 50 units of n eps |a|."""
    return 20 * a.shape[-1] * float(np.finfo(a.dtype).eps) * float(np.linalg.norm(a, 2))


@pytest.mark.parametrize("dtype", ["f4", "f8", "c8", "c16"])
@pytest.mark.parametrize("n", [1, 10, sizes.SMALL])
def test_backward_errors(call: Call, random: Any, dtype: str, n: int) -> None:
    for name, a in hard(random, dtype, n).items():
        exact, wide = np.eye(n), a.astype("c16")
        status, w, v = eigh(call, a, dtype)
        orthogonal = 20 * n * float(np.finfo(a.dtype).eps)
        assert status == 0
        np.testing.assert_allclose((v.astype("c16") * w) @ v.conj().T, wide, rtol=0, atol=close(a), err_msg=name)
        np.testing.assert_allclose(v.conj().T @ v, exact, rtol=0, atol=orthogonal, err_msg=name)
        np.testing.assert_allclose(w, np.linalg.eigvalsh(wide), rtol=0, atol=close(a), err_msg=name)
        np.testing.assert_allclose(eigvalsh(call, a, dtype), w, rtol=0, atol=close(a), err_msg=name)
        assert (np.diff(w) >= 0).all()
        for rows, turned in ((n, False), (n - n // 3, False), (n - n // 3, True)):
            c = np.ascontiguousarray(a[:rows].T if turned else a[:rows])
            status, u, s, vh = svd(call, c, dtype)
            assert status == 0
            made = (u.astype("c16") * s) @ vh
            np.testing.assert_allclose(made, c, rtol=0, atol=close(a), err_msg=name)
            np.testing.assert_allclose(u.conj().T @ u, np.eye(rows), rtol=0, atol=orthogonal, err_msg=name)
            np.testing.assert_allclose(vh @ vh.conj().T, np.eye(rows), rtol=0, atol=orthogonal, err_msg=name)
            want = np.linalg.svd(c.astype("c16"), compute_uv=False)
            np.testing.assert_allclose(s, want, rtol=0, atol=close(a), err_msg=name)
            np.testing.assert_allclose(svd(call, c, dtype, 0)[2], s, rtol=0, atol=close(a), err_msg=name)
            assert (s >= 0).all()
            assert (np.diff(s) <= 0).all()


@pytest.mark.parametrize("dtype", ["f8", "c16"])
@pytest.mark.parametrize("n", [2, 6, sizes.SMALL_VALUES])
def test_graded_either_way(call: Call, random: Any, dtype: str, n: int) -> None:
    """Small eigenvalues keep their digits whichever end is large; LAPACK's do where the first rows are."""
    x, scale = random(1, dtype, n, n), np.logspace(0, -5, n)
    a = scale[:, None] * (x @ x.conj().T + np.eye(n)) * scale
    b = np.ascontiguousarray(a[::-1, ::-1])
    (_, w, v), (_, back, turned) = eigh(call, a, dtype), eigh(call, b, dtype)
    np.testing.assert_allclose(w, np.linalg.eigvalsh(a), rtol=1e-12)
    np.testing.assert_allclose(back, w, rtol=1e-12)
    np.testing.assert_allclose(np.abs(turned[::-1]), np.abs(v), rtol=1e-9)
    np.testing.assert_allclose(eigvalsh(call, a, dtype), w, rtol=1e-12)


@pytest.mark.parametrize("dtype", ["f4", "f8", "c16"])
def test_near_overflow_and_underflow(call: Call, random: Any, dtype: str) -> None:
    """What cannot be squared goes to LAPACK, which scales; single precision is computed in double."""
    x = random(1, dtype, 6, 6)
    a, info = x + x.conj().T, np.finfo(x.dtype)
    want, size = np.linalg.eigvalsh(a.astype("c16")), float(np.abs(a).max())
    for scale in (float(info.max) / (64 * size), float(info.tiny), float(info.tiny) / 1024):
        b = (a.astype("c16" if dtype == "c16" else "f8") * scale).astype(a.dtype)
        precision = max(float(info.eps), float(info.smallest_subnormal) / scale)
        status, w, v = eigh(call, b, dtype)
        assert status == 0
        np.testing.assert_allclose(w.astype("f8") / scale, want, rtol=0, atol=200 * size * precision)
        np.testing.assert_allclose(v.conj().T @ v, np.eye(6), rtol=0, atol=100 * float(info.eps))
        status, _, s, _ = svd(call, b, dtype)
        assert status == 0
        np.testing.assert_allclose(
            s.astype("f8") / scale, np.sort(abs(want))[::-1], rtol=0, atol=200 * size * precision
        )


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("n", [6, 40])
def test_what_is_not_finite_fails(call: Call, random: Any, bad: float, n: int) -> None:
    """At any size; LAPACK may not come back from an infinity, or give numbers that look right."""
    for place in ((0, 0), (n - 1, 2), (n - 1, n - 1)):
        a = random(1, "f8", n, n)
        a[place] = a[place[::-1]] = bad
        assert eigh(call, a, "f8")[0] == n
        assert svd(call, a, "f8")[0] != 0
        with pytest.raises(np.linalg.LinAlgError):
            reference_eigh(a)
        with pytest.raises(np.linalg.LinAlgError):
            reference_svd(a, False)


def test_sizes_beyond_are_lapacks(call: Call, random: Any) -> None:
    """The eigenvectors just above the limit are those of LAPACK, sign by sign."""
    from scipy.linalg.lapack import dsyevd

    n = sizes.SMALL + 1
    x = random(1, "f8", n, n)
    a = x + x.T
    w, v, info = dsyevd(np.asfortranarray(a), lower=1, lwork=sizes.syevd_work(n), liwork=sizes.evd_integer_work(n))
    status, got_w, got_v = eigh(call, a, "f8")
    assert (status, info) == (0, 0)
    np.testing.assert_array_equal(got_w, w)
    np.testing.assert_array_equal(got_v, v)


@pytest.mark.parametrize("dtype", ["f4", "f8", "c8", "c16"])
def test_python_gives_the_same_bits(call: Call, random: Any, dtype: str) -> None:
    """The kernels' own code run by Python: its arithmetic is that of the machine, operation by operation."""
    for n in (1, 2, 5, 9):
        for name, a in hard(random, dtype, n).items():
            status, w, v = eigh(call, a, dtype)
            by_python = np.empty_like(w), np.empty_like(v)
            assert status == 0
            assert references_small.hermitian(a, *by_python)
            assert (w.tobytes(), v.tobytes()) == tuple(x.tobytes() for x in by_python), name
            assert references_small.hermitian(a, by_python[0])
            assert eigvalsh(call, a, dtype).tobytes() == by_python[0].tobytes(), name
            for c in (a[: n - n // 3], np.ascontiguousarray(a[: n - n // 3].T)):
                _, *factors = svd(call, c, dtype)
                u, s, vh = map(np.empty_like, factors)
                assert references_small.singular(c, s, u, vh)
                assert [x.tobytes() for x in factors] == [x.tobytes() for x in (u, s, vh)], name
                assert references_small.singular(c, s)
                assert svd(call, c, dtype, 0)[2].tobytes() == s.tobytes(), name


@pytest.mark.parametrize("bad", [np.nan, np.inf, 1e200])
def test_python_leaves_the_rest_to_lapack(monkeypatch: pytest.MonkeyPatch, bad: float) -> None:
    """As the kernel does; members of a batch that are fine are not LAPACK's."""
    monkeypatch.setattr(registry, "is_made", lambda name, dtype="": False)
    monkeypatch.setattr(references_small, "_DONE", {})
    a = np.stack([np.diag([3.0, 1.0]), np.diag([bad, 1.0])])
    w, u, s, vh = np.zeros(2), np.zeros((2, 2)), np.zeros(2), np.zeros((2, 2))
    assert not references_small.hermitian(a[1], w, u)
    assert not references_small.singular(a[1], s, u, vh)
    assert not any(x.any() for x in (w, u, s, vh))
    for f in (reference_eigh, reference_eigvalsh, reference_svdvals, lambda a: reference_svd(a, False)):
        if np.isfinite(bad):
            f(a)
        else:
            with pytest.raises(np.linalg.LinAlgError):
                f(a)
    np.testing.assert_array_equal(reference_eigvalsh(a[:1]), [[1.0, 3.0]])


def test_a_first_problem_needs_no_compiler(monkeypatch: pytest.MonkeyPatch) -> None:
    """What Python does instead is bounded: then the kernel is asked for, for each dtype by itself."""
    asked: list[tuple[str, str]] = []
    kernel = registry.kernel
    monkeypatch.setattr(registry, "is_made", lambda name, dtype="": (name, dtype) in asked)
    monkeypatch.setattr(registry, "kernel", lambda name, dtype="": asked.append((name, dtype)) or kernel(name, dtype))
    monkeypatch.setattr(references_small, "_DONE", {})
    a = np.diag([2.0, 1.0, 3.0, 5.0])
    for f in (reference_eigh, reference_eigvalsh, reference_svdvals, lambda a: reference_svd(a, False)):
        f(a)
    assert not asked
    turns = 0
    while not asked:
        reference_eigh(a)
        turns += 1
    assert 100 < turns < 1000
    assert asked == [("eigh", "f8")]
    reference_svd(np.broadcast_to(a, (1000, 4, 4)), False)
    assert asked == [("eigh", "f8"), ("svd", "f8")]
