"""argmax and argmin against NumPy, with ties and NaN."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from nbgraph_kernels.registry import dtypes

Array = np.ndarray[Any, Any]
Call = Callable[..., int]
NAMES = ("argmax", "argmin")


def search(call: Call, name: str, dtype: str, x: Array) -> Array:
    out = np.full((x.shape[0], x.shape[2]), -7, np.int64)
    assert call(name, dtype, out, x, *x.shape) == 0
    return out


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("dtype", dtypes("argmax"))
@pytest.mark.parametrize(
    "shape",
    [
        (1, 1, 1),
        (1, 100, 1),
        (3, 7, 5),
        (4, 1, 3),
        (0, 3, 2),
        (2, 3, 0),
        (0, 0, 3),
        (3, 0, 0),
        (9, 600, 1),
        (1, 8199, 1),
    ],
)
def test_as_numpy(call: Call, random: Any, name: str, dtype: str, shape: tuple[int, int, int]) -> None:
    for x in (
        random(1, dtype, *shape),
        random(1, dtype, *shape).round(0) if dtype != "b1" else random(2, dtype, *shape),
    ):
        want = getattr(np, name)(x, axis=1) if shape[1] else np.empty((shape[0], shape[2]))
        np.testing.assert_array_equal(search(call, name, dtype, x), want)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("dtype", ["f4", "f8", "c8", "c16"])
@pytest.mark.parametrize("inner", [1, 6])
def test_first_nan_wins(call: Call, random: Any, name: str, dtype: str, inner: int) -> None:
    x = random(1, dtype, 240 // inner, 9, inner)
    rng = np.random.default_rng(5)
    x[rng.random(x.shape) < 0.2] = np.nan
    x[rng.random(x.shape) < 0.1] = np.inf
    x[rng.random(x.shape) < 0.1] = -np.inf
    if dtype[0] == "c":
        x.imag[rng.random(x.shape) < 0.1] = np.nan
    np.testing.assert_array_equal(search(call, name, dtype, x), getattr(np, name)(x, axis=1))


@pytest.mark.parametrize("name", NAMES)
def test_the_first_of_equals_in_a_long_row(call: Call, name: str) -> None:
    """Whichever parts of the row they are in, and where there is NaN."""
    sign = 1 if name == "argmax" else -1
    rng = np.random.default_rng(3)
    for value in (2.0, np.nan):
        for _ in range(20):
            x = rng.uniform(0, 1, (1, 8199, 1))
            x[0, rng.integers(0, 8199, 3), 0] = value
            np.testing.assert_array_equal(search(call, name, "f8", sign * x), getattr(np, name)(sign * x, axis=1))


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("dtype", ["c8", "c16"])
def test_complex_order_is_lexicographic(call: Call, random: Any, name: str, dtype: str) -> None:
    x = random(1, dtype, 30, 12, 2).round(0)
    np.testing.assert_array_equal(search(call, name, dtype, x), getattr(np, name)(x, axis=1))


@pytest.mark.parametrize("name", NAMES)
def test_an_empty_axis_is_refused(call: Call, name: str) -> None:
    out = np.full((2, 3), -7, np.int64)
    assert call(name, "f8", out, np.empty((2, 0, 3)), 2, 0, 3) == -1
    assert (out == -7).all()
