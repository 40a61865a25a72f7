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
