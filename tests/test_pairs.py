"""Gradients of jitted losses, step by step: what is run together, and that it is what the loss says."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import nbgraph as nbg
from nbgraph import derive
from nbgraph.errors import LinAlgError

T = nbg.TracedTensor.from_tensor
RNG = np.random.default_rng(0)
A = RNG.random((4, 4)) + 4 * np.eye(4)
jitted = nbg.jit(lambda a, x: 0.5 * (x @ (a @ x)) + nbg.sum(nbg.cos(x)))


def gradient(x: Any) -> Any:
    return 0.5 * (A + A.T) @ x - np.sin(x)


@pytest.mark.parametrize("jit", ["never", "always", "auto"])
@pytest.mark.parametrize("held", ["loss", "gradient", "nothing"])
def test_steps_of_an_optimiser_on_a_jitted_loss(jit: str, held: str) -> None:
    engine = nbg.Engine(jit=jit, cache_dir=None)
    x, want, kept = T(np.ones(4)), np.ones(4), []
    for k in range(12):
        loss = jitted(A, x)
        g = loss.grad(x)
        kept.append({"loss": loss, "gradient": g, "nothing": None}[held])
        x = x - 0.05 * g
        x.eval(engine)
        if held == "loss":
            value = 0.5 * want @ A @ want + np.sum(np.cos(want))
            assert kept[-1].data is not None  # what somebody holds has its value, too
            np.testing.assert_allclose(kept[-1].eval(engine), value, rtol=1e-12)
        if held == "gradient":
            np.testing.assert_allclose(kept[-1].eval(engine), gradient(want), rtol=1e-12)
        want = want - 0.05 * gradient(want)
        np.testing.assert_allclose(x.eval(engine), want, rtol=1e-12)
        if k == 4:
            before = engine.stats()
    after = engine.stats()
    if jit == "always":
        assert after.compiled == before.compiled
    # The loss and its gradient in one go: what they have in common is computed once; two for the step.
    assert after.operations - before.operations <= 7 * (together() + 2)


def together() -> int:
    """How many operations a loss and its gradient take that are asked for at once."""
    engine, x = nbg.Engine(jit="never"), T(np.ones(4))
    loss = jitted(A, x)
    nbg.eval(loss, loss.grad(x), engine=engine)
    return engine.stats().operations


def test_the_history_of_such_steps_is_differentiated() -> None:
    def last(start: Any, evals: bool) -> Any:
        x = start
        for _ in range(12):
            x = x - 0.05 * jitted(A, x).grad(x)
            if evals:
                x.eval()
        return nbg.sum(x**2)

    start = T(np.ones(4))
    got = last(start, True).grad(start).eval()
    want = np.eye(4)
    x = np.ones(4)
    for _ in range(12):
        want = want - 0.05 * (0.5 * (A + A.T) - np.diag(np.cos(x))) @ want
        x = x - 0.05 * gradient(x)
    np.testing.assert_allclose(got, 2 * x @ want, rtol=1e-11)
    other = T(np.ones(4))
    np.testing.assert_allclose(last(other, False).grad(other).eval(), got, rtol=1e-12)


def test_one_call_is_pulled_back_without_a_walk(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(derive, "Path", None)
    a, x = T(A), T(np.ones(4))
    by_x, by_a = nbg.eval(*jitted(a, x).grad([x, a]))
    np.testing.assert_allclose(by_x, gradient(np.ones(4)), rtol=1e-12)
    np.testing.assert_allclose(by_a, 0.5 * np.ones((4, 4)), rtol=1e-12)


def test_operands_that_depend_on_each_other_are_walked() -> None:
    """The partial derivatives of a call are not the derivatives where an operand is made of another one."""
    f = nbg.jit(lambda x, y: nbg.sum(x * y))
    x = T([1.0, 2.0])
    y = 3.0 * x
    y.eval()
    loss = f(x, y)
    by_x, by_y = nbg.eval(*loss.grad([x, y]))
    np.testing.assert_array_equal(by_x, [6.0, 12.0])
    np.testing.assert_array_equal(by_y, [1.0, 2.0])
    np.testing.assert_array_equal(f(x, y).grad(x).eval(), [6.0, 12.0])
    np.testing.assert_array_equal(f(x, y).grad(y).eval(), [1.0, 2.0])
    np.testing.assert_array_equal(f(x, x).grad(x).eval(), [2.0, 4.0])
    same = f(x, 0.0 * x)
    np.testing.assert_array_equal(same.grad(x).eval(), [0.0, 0.0])


def test_what_fails_is_named_and_the_graph_stays() -> None:
    f = nbg.jit(lambda a, x: nbg.sum(nbg.linalg.solve(a, x)))
    a, x = T(np.zeros((2, 2))), T(np.ones(2))
    g = f(a, x).grad(x)
    new = x - g
    for _ in range(2):
        with pytest.raises(LinAlgError, match="solve"):
            new.eval()
    np.testing.assert_array_equal((x + 1.0).eval(), [2.0, 2.0])
