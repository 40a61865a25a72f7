"""Transforms of any length against NumPy: within a few units of rounding times the logarithm of the length."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from nbgraph_kernels import workspace

Call = Callable[..., int]
LENGTHS = [*range(1, 35), 49, 61, 64, 67, 100, 121, 134, 243, 256, 262, 1000, 1009, 2018, 4096, 5000, 8191, 65536]


def check(got: Any, want: Any, n: int) -> None:
    assert np.max(np.abs(got - want)) <= 1e-15 * (1 + np.log2(n)) * np.max(np.abs(want))


@pytest.mark.parametrize("n", LENGTHS)
def test_as_numpy(call: Call, random: Any, n: int) -> None:
    for outer, inner in ((1, 1), (3, 1), (2, 9)) if n < 3000 else ((1, 1),):
        z, half = random(1, "c16", outer, n, inner), random(2, "c16", outer, n // 2 + 1, inner)
        x, out, back = z.real.copy(), np.empty_like(z), np.empty((outer, n, inner))
        scratch, made = np.empty(workspace("fft", "c16", n), np.uint8), np.empty_like(half)
        for inverse, want in ((0, np.fft.fft(z, axis=1)), (1, np.fft.ifft(z, axis=1) * n)):
            assert call("fft", "c16", out, z, outer, n, inner, inverse, scratch) == 0
            check(out, want, n)
        assert call("rfft", "f8", made, x, outer, n, inner, 0, scratch) == 0
        check(made, np.fft.rfft(x, axis=1), n)
        assert call("irfft", "f8", back, half, outer, n, inner, 0, scratch) == 0
        check(back, np.fft.irfft(half, n, axis=1) * n, n)


def test_the_workspace_is_not_left(call: Call, random: Any) -> None:
    for n in (1, 2, 3, 61, 67, 97, 4096, 4099):
        z, size = random(1, "c16", 9, n, 1), workspace("fft", "c16", n)
        scratch, out = np.full(size + 64, 7, np.uint8), np.empty_like(z)
        call("fft", "c16", out, z, 9, n, 1, 0, scratch)
        assert (scratch[size:] == 7).all()
