"""Calls run by the code of another program of their fragment: the same values, and compiled once they are many."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import nbgraph as nbg
from nbgraph.engine import lent

T = nbg.TracedTensor.from_tensor
X, Y = np.linspace(0.1, 0.9, 5), np.linspace(0.3, 0.8, 5)


def step(x: Any, y: Any) -> Any:
    return nbg.sin(x) * nbg.exp(y), nbg.cos(y) * x


def gradients(engine: nbg.Engine, uses: tuple[int, ...]) -> list[Any]:
    """Of calls of one fragment, evaluated one by one; which of their operands are used elsewhere, too, differs."""
    x, y = T(X), T(Y)
    total: Any = 0.0
    for use in uses:
        a, b = x * 1.0, y * 1.0
        nbg.eval(a, b, engine=engine)
        u, v = step(a, b)
        nbg.eval(u, v, engine=engine)
        total = total + nbg.sum(u * v) + (nbg.sum(a**2) if use & 1 else 0.0) + (nbg.sum(b**3) if use & 2 else 0.0)
    return nbg.eval(total, *total.grad([x, y]), engine=engine)


@pytest.mark.parametrize("uses", [(0, 1, 2, 3), (3, 1, 0, 2), (1, 2, 1, 2, 3), (2,), (3, 3, 3, 0)])
def test_the_same_whatever_goes_into_sums(uses: tuple[int, ...]) -> None:
    compiled = gradients(nbg.Engine(jit="always", cache_dir=None), uses)
    for got, wanted in zip(compiled, gradients(nbg.Engine(jit="never"), uses), strict=True):
        np.testing.assert_allclose(got, wanted, rtol=1e-12)


def test_a_program_that_is_asked_for_often_is_compiled(monkeypatch: pytest.MonkeyPatch) -> None:
    matrix, found = np.eye(9) + np.tri(9) / 9, []
    for seldom in (lent.SELDOM, 0):
        monkeypatch.setattr(lent, "SELDOM", seldom)
        engine, a = nbg.Engine(jit="always", cache_dir=None), T(matrix)
        basis: list[Any] = []
        for k in range(9):
            v = a[:, k]
            for q in basis:
                v = v - (q @ v) * q
            basis.append(v / nbg.linalg.norm(v))
        value = nbg.sum(nbg.stack(basis)[:, :4] ** 3)
        found.append((engine, nbg.eval(value, value.grad(a), engine=engine)))
    (few, values), (many, others) = found
    assert few.stats().compiled == few.stats().fragments < many.stats().compiled
    for got, wanted in zip(values, others, strict=True):
        np.testing.assert_allclose(got, wanted, rtol=1e-12, atol=1e-13)
