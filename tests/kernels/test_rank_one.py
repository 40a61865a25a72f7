"""Outer products added to matrices, against NumPy."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from nbgraph_kernels.rank_one import add_outer, takes

SIZES = [(3, 5), (1, 4), (4, 1), (0, 3), (3, 0), (200, 300)]


@pytest.mark.parametrize("dtype", ["f4", "f8", "c8", "c16"])
def test_outer_products_are_added(random: Any, dtype: str) -> None:
    for m, n in SIZES:
        total, x, y = random(1, dtype, m, n), random(2, dtype, 2 * m)[::2], random(3, dtype, n)[::-1]
        wanted = total + np.outer(x, y)
        assert takes(total)
        add_outer(total, x, y)
        np.testing.assert_allclose(total, wanted, rtol=8 * np.finfo(dtype).eps, atol=8 * np.finfo(dtype).eps)


def test_what_is_not_taken() -> None:
    assert not takes(np.zeros((2, 3), int))
    assert not takes(np.zeros((4, 6))[::2])
