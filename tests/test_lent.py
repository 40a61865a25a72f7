"""Calls run by the code of another program of their fragment: the same values, and compiled once they are many."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pytest

import nbgraph as nbg
from nbgraph.engine import lent

MATRIX = np.eye(9) + np.tri(9) / 9


def gram_schmidt(engine: nbg.Engine, watch: bool) -> list[Any]:
    """A function of an orthonormal basis, and its gradient."""
    a = nbg.TracedTensor.from_tensor(MATRIX)
    basis: list[Any] = []
    for k in range(9):
        v = a[:, k]
        for q in basis:
            v = v - (q @ v) * q
        basis.append(v / nbg.linalg.norm(v))
        if watch:
            basis[-1].eval(engine)
    value = nbg.sum(nbg.stack(basis)[:, :4] ** 3)
    return nbg.eval(value, value.grad(a), engine=engine)


def lendings(engine: nbg.Engine) -> Counter[Any]:
    return engine.native.lent


@pytest.mark.parametrize("watch", [False, True])
def test_values_are_those_of_programs_of_their_own(watch: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    lending, own = (nbg.Engine(jit="always", cache_dir=None) for _ in range(2))
    values = gram_schmidt(lending, watch)
    monkeypatch.setattr(lent, "SELDOM", 0)
    others = gram_schmidt(own, watch)
    assert lendings(lending) and not lendings(own)
    assert lending.stats().compiled == lending.stats().fragments < own.stats().compiled
    for got, wanted in zip(values, others, strict=True):
        np.testing.assert_allclose(got, wanted, rtol=1e-12, atol=1e-13)


def test_a_program_that_is_asked_for_often_is_compiled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lent, "SELDOM", 3)
    engine = nbg.Engine(jit="always", cache_dir=None)
    first = gram_schmidt(engine, False)
    for _ in range(3):
        for got, wanted in zip(gram_schmidt(engine, False), first, strict=True):
            np.testing.assert_allclose(got, wanted, rtol=1e-12, atol=1e-13)
    often = [program for program, times in lendings(engine).items() if times == 3]
    assert often and max(lendings(engine).values()) == 3
    assert all(program in engine.native.codes for program in often)


def test_where_nothing_is_compiled_nothing_is_lent() -> None:
    engine = nbg.Engine(jit="never")
    gram_schmidt(engine, True)
    assert not lendings(engine)
