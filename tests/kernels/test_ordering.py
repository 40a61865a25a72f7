"""argsort and sort against NumPy, on lines of every kind."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from nbgraph_kernels import workspace

Array = np.ndarray[Any, Any]


@pytest.mark.parametrize("dtype", ["f4", "f8", "i4", "i8", "b1", "c8", "c16"])
@pytest.mark.parametrize("shape", [(1, 1, 1), (2, 5, 3), (1, 100, 1), (3, 300, 2), (0, 3, 1), (2, 0, 3)])
def test_as_numpy(call: Callable[..., int], random: Any, dtype: str, shape: tuple[int, int, int]) -> None:
    for digits in (0, 6):
        x = random(1, dtype, *shape)
        x = x if dtype == "b1" else x.round(digits)
        if dtype[0] in "fc" and x.size > 5:
            x.flat[::7], x.flat[1::9], x.flat[2::9] = np.nan, -np.inf, -0.0
            if dtype[0] == "c":
                x.imag.flat[3::5] = np.nan
        scratch = np.empty(workspace("argsort", dtype, shape[1]), np.uint8)
        order, values = np.empty(shape, np.int64), np.empty_like(x)
        assert call("argsort", dtype, order, x, *shape, scratch) == 0
        assert call("sort", dtype, values, x, *shape, scratch) == 0
        np.testing.assert_array_equal(order, np.argsort(x, 1, kind="stable"))
        np.testing.assert_array_equal(values, np.sort(x, 1))
