"""Symmetric positive definite float64 matrices that are hard for linear algebra.

In: nothing. Out: a name and a matrix each. The values in mpmath are of these very float64 numbers.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

GAPS = (1e-3, 1e-6, 1e-9, 1e-12, 1e-14)


def hard_matrices() -> Iterator[tuple[str, Any]]:
    """Hilbert's of order 10, two eigenvalues with ever smaller gaps, rows and columns of falling size."""
    import numpy as np

    n = np.arange(10)
    yield "Hilbert 10", 1.0 / (n[:, None] + n + 1)
    turn = np.linalg.qr(np.random.default_rng(0).standard_normal((6, 6)))[0]
    for gap in GAPS:
        a = turn @ np.diag([1.0, 1.0 + gap, 2.0, 3.0, 4.0, 5.0]) @ turn.T
        yield f"gap {gap:.0e}", (a + a.T) / 2
    x = np.random.default_rng(1).standard_normal((6, 6))
    scale = 10.0 ** -np.arange(6)
    yield "graded", scale[:, None] * (x @ x.T + np.eye(6)) * scale
