"""Rows of powers.

In:    words: p, x, count, n; x [count], p [count, n], C-contiguous.
Out:   p[i, k] = x[i]^k, each the product of the one before and x. Status 0.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from .words import POINTERS


def build(name: str, dtype: str) -> Callable[[Any], int]:
    """The Python function of `powers` for elements of `dtype`."""
    elements, ONE = POINTERS[dtype], np.dtype(dtype).type(1)

    def powers(w: Any) -> int:
        p, x, n = elements(w[0]), elements(w[1]), w[3]
        for i in range(w[2]):
            value, factor = ONE, x[i]
            for k in range(n):
                p[i * n + k] = value
                value = value * factor
        return 0

    return powers
