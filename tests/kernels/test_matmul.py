"""The product kernel against NumPy: element types, layouts, sizes, batches, conjugation, accumulation."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nbgraph_kernels.registry import dtypes

Array = np.ndarray[Any, Any]
Call = Callable[..., int]

LAYOUTS: dict[str, Callable[[Array], Array]] = {
    "rows": lambda x: x,
    "columns": lambda x: np.ascontiguousarray(x.swapaxes(1, 2)).swapaxes(1, 2),
    "wide rows": lambda x: np.concatenate([x, x], 2)[:, :, : x.shape[2]],
    "strided": lambda x: np.repeat(np.repeat(x, 2, 1), 3, 2)[:, ::2, ::3],
    "reversed": lambda x: np.ascontiguousarray(x[:, ::-1, ::-1])[:, ::-1, ::-1],
    "reversed batch": lambda x: np.ascontiguousarray(x[::-1])[::-1],
}
BROADCAST: dict[str, Callable[[Array], Array]] = {
    "one member": lambda x: np.broadcast_to(x[:1], x.shape),
    "one row": lambda x: np.broadcast_to(x[:, :1], x.shape),
    "one column": lambda x: np.broadcast_to(x[:, :, :1], x.shape),
    "one element": lambda x: np.broadcast_to(x[:, :1, :1], x.shape),
}


def strides(x: Array) -> list[int]:
    return [stride // x.itemsize for stride in x.strides]


def multiply(
    call: Call, dtype: str, c: Array, a: Array, b: Array, conj_a: int = 0, conj_b: int = 0, keep: int = 0
) -> None:
    sizes = [c.shape[0], c.shape[1], c.shape[2], a.shape[2]]
    words = [c, a, b, *sizes, *strides(c), *strides(a), *strides(b), conj_a, conj_b, keep]
    assert call("matmul", dtype, *words) == 0


def expected(a: Array, b: Array, conj_a: int = 0, conj_b: int = 0) -> Array:
    return np.matmul(a.conj() if conj_a else a, b.conj() if conj_b else b)


def agree(got: Array, want: Array, depth: int) -> None:
    if got.dtype.kind in "fc":
        scale = 20 * max(depth, 1) * float(np.finfo(got.dtype).eps)
        np.testing.assert_allclose(got, want, rtol=scale, atol=4 * scale)
    else:
        np.testing.assert_array_equal(got, want)


@pytest.mark.parametrize("dtype", dtypes("matmul"))
@pytest.mark.parametrize(
    "sizes", [(3, 4, 5), (9, 17, 11), (70, 66, 131), (1, 40, 50), (40, 1, 50), (1, 1, 900), (300, 300, 1)]
)
def test_layouts(call: Call, random: Any, dtype: str, sizes: tuple[int, int, int]) -> None:
    m, n, k = sizes
    a, b = random(1, dtype, 2, m, k), random(2, dtype, 2, k, n)
    every = itertools.product(LAYOUTS, repeat=3)
    first = dtypes("matmul").index(dtype)
    for of_c, of_a, of_b in (
        itertools.islice(every, first, None, 7) if m * n * k > 1000 else every
    ):  # all, by all dtypes
        x, y = LAYOUTS[of_a](a), LAYOUTS[of_b](b)
        c = LAYOUTS[of_c](random(3, dtype, 2, m, n))
        multiply(call, dtype, c, x, y)
        agree(c, expected(x, y), k)


@pytest.mark.parametrize("dtype", dtypes("matmul"))
@pytest.mark.parametrize("size", [5, 70])
def test_zero_strides(call: Call, random: Any, dtype: str, size: int) -> None:
    a, b = random(1, dtype, 2, size, size), random(2, dtype, 2, size, size)
    for of_a, of_b in itertools.product(BROADCAST, repeat=2):
        x, y = BROADCAST[of_a](a), BROADCAST[of_b](b)
        c = np.empty_like(a)
        multiply(call, dtype, c, x, y)
        agree(c, expected(x, y), size)


@pytest.mark.parametrize("dtype", ["c8", "c16"])
@pytest.mark.parametrize("sizes", [(3, 4, 5), (33, 34, 35), (70, 3, 130), (50, 1, 40), (1, 50, 40)])
def test_conjugation_and_accumulation(call: Call, random: Any, dtype: str, sizes: tuple[int, int, int]) -> None:
    m, n, k = sizes
    a, b, start = random(1, dtype, 2, m, k), random(2, dtype, 2, k, n), random(3, dtype, 2, m, n)
    for flags in itertools.product((0, 1), repeat=3):
        for layouts in itertools.product(("rows", "columns", "strided"), repeat=3):
            c, x, y = (LAYOUTS[of](each) for of, each in zip(layouts, (start.copy(), a, b), strict=True))
            multiply(call, dtype, c, x, y, *flags)
            agree(c, expected(x, y, *flags[:2]) + (start if flags[2] else 0), k)


@pytest.mark.parametrize("dtype", dtypes("matmul"))
@pytest.mark.parametrize("size", [4, 40, 80])
@pytest.mark.parametrize("layout", ["rows", "columns", "strided"])
def test_accumulation(call: Call, random: Any, dtype: str, size: int, layout: str) -> None:
    a, b, start = (random(seed, dtype, 3, size, size) for seed in range(3))
    c = LAYOUTS[layout](start.copy())
    multiply(call, dtype, c, a, b, keep=1)
    agree(c, expected(a, b) + start, size)


@pytest.mark.parametrize("dtype", dtypes("matmul"))
@pytest.mark.parametrize(
    "sizes", [(0, 2, 3, 4), (2, 0, 3, 4), (2, 3, 0, 4), (2, 3, 4, 0), (2, 40, 40, 0), (1, 0, 0, 0)]
)
@pytest.mark.parametrize("keep", [0, 1])
def test_zero_sizes(call: Call, random: Any, dtype: str, sizes: tuple[int, ...], keep: int) -> None:
    batch, m, n, k = sizes
    start = random(1, dtype, batch, m, n)
    c = start.copy()
    multiply(call, dtype, c, random(2, dtype, batch, m, k), random(3, dtype, batch, k, n), keep=keep)
    np.testing.assert_array_equal(c, start if keep else np.zeros_like(start))


@pytest.mark.parametrize("dtype", ["f4", "f8", "c8", "c16"])
@pytest.mark.parametrize("sizes", [(4, 4, 4), (40, 40, 40), (70, 70, 70), (40, 1, 50), (1, 40, 50)])
@pytest.mark.parametrize("layout", ["rows", "columns", "strided"])
def test_old_content_is_not_read(call: Call, random: Any, dtype: str, sizes: tuple[int, ...], layout: str) -> None:
    m, n, k = sizes
    a, b = random(1, dtype, 1, m, k), random(2, dtype, 1, k, n)
    for x in (LAYOUTS["rows"](a), LAYOUTS["columns"](a)):
        c = LAYOUTS[layout](np.full((1, m, n), np.nan, a.dtype))
        multiply(call, dtype, c, x, b)
        agree(c, expected(a, b), k)


@pytest.mark.parametrize("size", [4, 40])
def test_nothing_is_written_beside_c(call: Call, random: Any, size: int) -> None:
    a, b = random(1, "f8", 1, size, size), random(2, "f8", 1, size, size)
    for step in (1, 2):
        frame = np.full((1, size + 2, step * size + 2), 7.0)
        inside = np.zeros_like(frame, bool)
        inside[:, 1:-1, 1 : step * size + 1 : step] = True
        multiply(call, "f8", frame[:, 1:-1, 1 : step * size + 1 : step], a, b)
        assert (frame[~inside] == 7.0).all()
        agree(frame[inside].reshape(a.shape), expected(a, b), size)


@pytest.mark.parametrize("dtype", ["i4", "i8"])
def test_integers_wrap(call: Call, dtype: str) -> None:
    kind = {"i4": np.int32, "i8": np.int64}[dtype]
    big = np.full((1, 3, 3), np.iinfo(kind).max - 1, kind)
    c = np.empty_like(big)
    multiply(call, dtype, c, big, big)
    np.testing.assert_array_equal(c, big @ big)


sizes_ = st.tuples(st.integers(1, 2), *[st.integers(0, 12)] * 3)
"""(batch, m, n, k)."""


@given(sizes_, st.sampled_from(["f8", "c16", "i8", "b1"]), st.randoms(use_true_random=False))
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_strides(call: Call, random: Any, sizes: tuple[int, ...], dtype: str, choose: Any) -> None:
    batch, m, n, k = sizes
    c, a, b = (
        any_view(random(seed, dtype, *(2 * extent + 1 for extent in shape)), shape, choose)
        for seed, shape in enumerate([(batch, m, n), (batch, m, k), (batch, k, n)])
    )
    flags = [choose.randint(0, 1) for _ in range(3)]
    want = expected(a, b, *flags[:2]) + (c if flags[2] else np.zeros_like(c))
    multiply(call, dtype, c, a, b, *flags)
    agree(c, want, k)


def any_view(x: Array, shape: tuple[int, ...], choose: Any) -> Array:
    """Some view of x with this shape: steps of 1, 2, -1 or -2, axes in some order in memory."""
    order = choose.sample(range(3), 3)
    x = np.ascontiguousarray(x.transpose(order)).transpose(np.argsort(order))
    for axis, extent in enumerate(shape):
        step = choose.choice([1, 1, 2])
        x = x[tuple(slice(None, step * extent, step) if a == axis else slice(None) for a in range(3))]
        x = np.flip(x, axis) if choose.random() < 0.3 else x
    return x
