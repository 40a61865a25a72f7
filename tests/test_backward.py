"""Gradients through loops whose calls have run: in a straight line, with the values of the general path."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import nbgraph as nbg
from nbgraph import Engine, TracedTensor
from nbgraph.calls import RepeatCall, SumCall
from nbgraph.engine import core

T = TracedTensor.from_tensor
STEPS = 12
Leaves = tuple[TracedTensor, TracedTensor]


def start() -> Leaves:
    rng = np.random.default_rng(0)
    return T(rng.uniform(0.1, 1.0, (4, 4))), T(rng.uniform(0.1, 1.0, 4))


def loss_of(a: TracedTensor, b: TracedTensor, engine: Engine | None) -> TracedTensor:
    """Of a loop that is evaluated at every step, or not at all; both leaves are read at every step and after it."""
    x = nbg.constant(np.ones(4))
    for _ in range(STEPS):
        y = a @ x + b
        x = y / nbg.linalg.norm(y)
        if engine is not None:
            x.eval(engine)
    return x @ (a @ x) + nbg.sum(b)


def gradients(engine: Engine, evaluated: bool = True) -> list[TracedTensor]:
    leaves = start()
    found: list[TracedTensor] = loss_of(*leaves, engine if evaluated else None).grad(list(leaves))
    return found


@pytest.fixture
def no_schedule(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Has the general path fail from now on."""

    def refuse(*args: Any, **kwargs: Any) -> Any:
        raise AssertionError("the general path was taken")

    return lambda: monkeypatch.setattr(core, "Schedule", refuse)


@pytest.mark.parametrize("jit", ["never", "always"])
def test_the_values_are_those_of_the_general_path(jit: str, no_schedule: Callable[[], None]) -> None:
    engine = Engine(jit=jit)
    wanted = nbg.eval(*gradients(engine, evaluated=False), engine=engine)  # nothing has run: no straight line
    found = gradients(engine)
    assert [type(g.call) for g in found] == [SumCall, SumCall]
    no_schedule()
    for got, want in zip(nbg.eval(*found, engine=engine), wanted, strict=True):
        np.testing.assert_allclose(got, want, rtol=1e-12)


def test_a_repeat_of_two_sums_runs_once(no_schedule: Callable[[], None]) -> None:
    def operations(*which: int) -> int:
        engine = Engine(jit="never")
        found = gradients(engine)
        before = engine.stats().operations
        nbg.eval(*(found[k] for k in which), engine=engine)
        return engine.stats().operations - before

    no_schedule()
    assert operations(0, 1) <= operations(0) + 3  # the other sum: its terms are there


def test_terms_are_let_go_and_computed_again(no_schedule: Callable[[], None]) -> None:
    engine = Engine(jit="never")
    a, b = start()
    g: Any = loss_of(a, b, engine).grad(a)
    terms = [n for n in g.call.inputs if type(n.call) is not RepeatCall]
    assert terms
    del terms
    g.eval(engine)
    assert all(n.data is None for n in g.call.inputs)
    second = nbg.sum(g * g).grad(b).eval(engine)

    def squared(shift: np.ndarray[Any, Any]) -> float:
        a, b = start()
        g = loss_of(a, T(b.eval() + shift), None).grad(a).eval(engine)
        return float(np.sum(g * g))

    h = 1e-6
    wanted = [(squared(h * e) - squared(-h * e)) / (2 * h) for e in np.eye(4)]
    np.testing.assert_allclose(second, wanted, rtol=1e-6)


def test_a_term_that_somebody_holds_is_kept() -> None:
    engine = Engine(jit="never")
    a, b = start()
    g: Any = loss_of(a, b, engine).grad(a)
    term = next(n for n in g.call.inputs if type(n.call) is not RepeatCall)
    g.eval(engine)
    assert term.data is not None
