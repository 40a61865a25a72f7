"""Regions of memory and the steps of reductions: what LLVM may reorder, and that it does."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from nbgraph_kernels import accumulate, machine, regions
from nbgraph_kernels import compile as compiler

READ, WRITE = regions.POINTERS["f8"], regions.POINTERS["f8"]
plus, greatest, least = accumulate.plus, accumulate.greatest, accumulate.least


def apart(w: Any) -> int:
    """Two outputs of three inputs."""
    x, y, z, u, v = READ(w[0], 0), READ(w[1], 0), READ(w[2], 0), WRITE(w[3], 2), WRITE(w[4], 3)
    for i in range(w[5]):
        u[i] = x[i] * y[i]
        v[i] = y[i] * z[i] + x[i]
    return 0


def together(w: Any) -> int:
    """Running sums in place: input and output are one region."""
    x, u = READ(w[0], 1), WRITE(w[1], 1)
    for i in range(w[2]):
        u[i + 1] = u[i] + x[i]
    return 0


def reduce(w: Any) -> int:
    """Sum, maximum and minimum."""
    x, out = READ(w[0], 0), WRITE(w[1], 2)
    total, high, low = 0.0, -np.inf, np.inf
    for i in range(w[2]):
        total = plus(total, x[i])
        high = greatest(high, x[i])
        low = least(low, x[i])
    out[0] = total
    out[1] = high
    out[2] = low
    return 0


def optimised(function: Any, monkeypatch: pytest.MonkeyPatch) -> str:
    texts: list[str] = []
    optimise = machine.optimise
    monkeypatch.setattr(machine, "optimise", lambda m, *rest: (optimise(m, *rest), texts.append(str(m))))
    compiler.emit(function)
    return texts[0]


def test_regions_need_no_checks(monkeypatch: pytest.MonkeyPatch) -> None:
    text = optimised(apart, monkeypatch)
    assert "fmul <" in text and "vector.memcheck" not in text


def test_one_region_may_overlap(call_at: Callable[..., int]) -> None:
    u = np.zeros(101)
    assert call_at(compiler.compile_words(together), np.arange(100.0), u, 100) == 0
    np.testing.assert_array_equal(u[1:], np.cumsum(np.arange(100.0)))


def test_reductions_are_vector_code(monkeypatch: pytest.MonkeyPatch) -> None:
    text = optimised(reduce, monkeypatch)
    for operation in ("llvm.vector.reduce.fadd", "llvm.vector.reduce.fmaximum", "llvm.vector.reduce.fminimum"):
        assert operation in text


@pytest.mark.parametrize("n", [1, 3, 8, 37, 1000])
@pytest.mark.parametrize("special", [None, np.nan, np.inf, -np.inf])
def test_reductions(n: int, special: float | None, call_at: Callable[..., int]) -> None:
    x, out = np.linspace(-1.0, 2.0, n), np.empty(3)
    if special is not None:
        x[n // 2] = special
    assert call_at(compiler.compile_words(reduce), x, out, n) == 0
    np.testing.assert_allclose(out, [x.sum(), x.max(), x.min()], rtol=1e-12, atol=1e-12)


def fetching(w: Any) -> int:
    """A copy, after asking for lines of both arrays and for some that are nowhere."""
    x, out = READ(w[0], 0), WRITE(w[1], 2)
    regions.fetch(x, 1 << 40, w[2])
    regions.fetch(out, 0, w[2])
    for i in range(w[2]):
        out[i] = x[i]
    return 0


def test_fetching_changes_nothing_and_may_go_anywhere(call_at: Callable[..., int]) -> None:
    x, out = np.arange(50.0), np.zeros(50)
    assert call_at(compiler.compile_words(fetching), x, out, 50) == 0
    np.testing.assert_array_equal(out, x)
