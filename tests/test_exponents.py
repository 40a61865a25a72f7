"""Numbers as exponents: structure where they are the same each time, operands where they change."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import nbgraph as nbg

T = nbg.TracedTensor.from_tensor
X = np.array([-1.5, -0.5, 0.0, 0.25, 1.0, 2.0])


def series(x: Any, engine: nbg.Engine, terms: int) -> Any:
    total = x * 0.0
    for k in range(terms):
        total = total + x**k / (k + 1.0)
        total.eval(engine)
    return total


def test_a_power_series_is_made_of_a_few_fragments() -> None:
    counts = []
    for terms in (12, 24):
        engine, x = nbg.Engine(jit="never"), T(X)
        nbg.sum(series(x, engine, terms)).grad(x).eval(engine)
        counts.append(engine.stats().fragments)
    assert counts[0] == counts[1] <= 14


@pytest.mark.parametrize("jit", ["never", "always"])
def test_values_and_derivatives_of_a_power_series(jit: str) -> None:
    engine, x = nbg.Engine(jit=jit, cache_dir=None), T(X)
    total = series(x, engine, 9)
    np.testing.assert_allclose(total.eval(engine), sum(X**k / (k + 1) for k in range(9)), rtol=1e-14)
    slope = nbg.sum(total).grad(x)
    np.testing.assert_allclose(slope.eval(engine), sum(k * X ** (k - 1) / (k + 1) for k in range(1, 9)), rtol=1e-13)
    second = nbg.sum(slope).grad(x).eval(engine)
    np.testing.assert_allclose(second, sum(k * (k - 1) * X ** (k - 2) / (k + 1) for k in range(2, 9)), rtol=1e-12)


@pytest.mark.parametrize("code", ["f4", "f8", "c16", "i8"])
def test_exponents_that_change_keep_the_dtype(code: str) -> None:
    x = nbg.constant(np.array([1, 2, 3]).astype(code))
    for p in (4, 5, 6, 7):
        y = x**p
        assert y.dtype == np.dtype(code)
        np.testing.assert_allclose(y.eval(), np.array([1, 2, 3]) ** p, rtol=1e-5 if code == "f4" else 1e-13)


def test_exponents_that_stay_are_structure() -> None:
    for power in (lambda x: x**4, lambda x: x**1.5, lambda x: x**-3, lambda x: nbg.power(x, 5)):
        for _ in range(3):
            assert power(T(np.ones(3))).op.name in ("integer_power", "real_power")
    kinds = []
    for p in (2, 3, -1, 0.5, -2):  # common ones are, wherever they are
        kinds.append((T(np.ones(3)) ** p).op.name)
    assert kinds == ["integer_power", "integer_power", "integer_power", "sqrt", "integer_power"]


def test_one_that_changes_is_an_operand() -> None:
    names = [(T(np.ones(3)) ** p).op.name for p in (1.5, 1.5, 2.5, 1.5, 4)]
    assert names == ["real_power", "real_power", "power", "power", "power"]
