"""`gemm` against NumPy: layouts, sizes of 0 and 1, batches, adding to what is there."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from nbgraph_kernels.registry import dtypes

Array = np.ndarray[Any, Any]

LAYOUTS: dict[str, Callable[[Array], Array]] = {
    "rows": lambda x: x,
    "columns": lambda x: np.ascontiguousarray(x.swapaxes(1, 2)).swapaxes(1, 2),
    "wide rows": lambda x: np.concatenate([x, x], 2)[:, :, : x.shape[2]],
    "strided": lambda x: np.repeat(np.repeat(x, 2, 1), 3, 2)[:, ::2, ::3],
    "reversed": lambda x: np.ascontiguousarray(x[:, ::-1, ::-1])[:, ::-1, ::-1],
    "one member": lambda x: np.broadcast_to(x[:1], x.shape),
}
SIZES = [
    (2, 9, 7, 8),
    (2, 17, 10, 8),
    (1, 12, 1, 30),
    (1, 1, 20, 15),
    (3, 2, 3, 4),
    (1, 1, 1, 200),
    (2, 0, 3, 4),
    (2, 3, 4, 0),
]


@pytest.mark.parametrize("dtype", dtypes("gemm"))
@pytest.mark.parametrize("keep", [0, 1])
def test_products(call: Any, random: Any, dtype: str, keep: int) -> None:
    for (nbatch, m, n, k), (of_a, of_b, of_c) in itertools.product(SIZES, itertools.product(LAYOUTS, LAYOUTS, LAYOUTS)):
        if of_c == "one member":
            continue
        a = LAYOUTS[of_a](random(1, dtype, nbatch, m, k))
        b = LAYOUTS[of_b](random(2, dtype, nbatch, k, n))
        c = np.array(random(3, dtype, nbatch, m, n))
        c = LAYOUTS[of_c](c).copy(order="K") if of_c == "columns" else LAYOUTS[of_c](c)
        wanted = np.matmul(a, b) + keep * c
        strides = [s // x.itemsize for x in (c, a, b) for s in x.strides]
        assert call("gemm", dtype, c, a, b, nbatch, m, n, k, *strides, 0, 0, keep) == 0
        tolerance = 40 * max(k, 1) * np.finfo(dtype).eps
        np.testing.assert_allclose(c, wanted, rtol=tolerance, atol=4 * tolerance, err_msg=f"{of_a} {of_b} {of_c}")


@pytest.mark.parametrize("dtype", ["f4", "f8"])
def test_products_by_panels(call: Any, random: Any, dtype: str) -> None:
    """Sizes around whole tiles and blocks, in the layouts that are read and copied differently."""
    of_each = ("rows", "columns", "strided")
    for m, n, k in ((4, 5, 16), (16, 8, 9), (21, 60, 300), (61, 35, 257), (100, 16, 31)):
        for of_a, of_b, keep in itertools.product(of_each, of_each, (0, 1)):
            a, b = LAYOUTS[of_a](random(1, dtype, 1, m, k)), LAYOUTS[of_b](random(2, dtype, 1, k, n))
            c = np.array(random(3, dtype, 1, m, n))
            wanted = np.matmul(a.astype("f8"), b.astype("f8")) + keep * c
            strides = [s // x.itemsize for x in (c, a, b) for s in x.strides]
            assert call("gemm", dtype, c, a, b, 1, m, n, k, *strides, 0, 0, keep) == 0
            np.testing.assert_allclose(c, wanted, rtol=1e-5, atol=2 * k * np.finfo(dtype).eps)
