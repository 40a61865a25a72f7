"""Short calls that are no loop, run one after another: what the general path gives, whatever came between."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import nbgraph as nbg
from nbgraph.engine import core, small, tiled

T = nbg.TracedTensor.from_tensor
RNG = np.random.default_rng(0)
A, X = RNG.standard_normal((4, 4)) / 3, RNG.standard_normal(4)
#: Which branch is taken.
TAKEN = RNG.random(200) < 0.4


def branches(a: Any, x: Any, engine: nbg.Engine, evals: bool, steps: int = 60) -> Any:
    for k in range(steps):
        x = nbg.tanh(a @ x) if TAKEN[k] else x + 0.1 * nbg.sin(a.T @ x)
        if evals:
            x.eval(engine)
    return nbg.sum(x**2)


def inner(a: Any, x: Any, engine: nbg.Engine, evals: bool, steps: int = 24) -> Any:
    for k in range(steps):
        y = x
        for _ in range(1 + 7 * k % 4):
            y = nbg.tanh(a @ y)
        x = 0.5 * x + 0.5 * y
        if evals:
            x.eval(engine)
    return nbg.sum(x**2)


def derivatives(f: Any, engine: nbg.Engine, evals: bool) -> list[Any]:
    """Value, gradients, and a gradient of a gradient, each evaluated by itself."""
    a, x = T(A), T(X)
    loss = f(a, x, engine, evals)
    by_a, by_x = loss.grad([a, x])
    found = [loss.eval(engine), by_a.eval(engine), by_x.eval(engine)]
    return [*found, nbg.sum(by_x * by_x).grad(a).eval(engine)]


@pytest.fixture
def used(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many calls were run one by one, each time."""
    met: list[int] = []
    meaning = small.run_in_order

    def run(targets: Any, drafts: Any, calls: Any, engine: Any) -> bool:
        met.append(len(calls))
        return meaning(targets, drafts, calls, engine)

    monkeypatch.setattr(core, "run_in_order", run)
    return met


@pytest.mark.parametrize("jit", ["never", "always", "auto"])
@pytest.mark.parametrize("evals", [False, True])
@pytest.mark.parametrize("f", [branches, inner])
def test_as_by_the_general_path(f: Any, evals: bool, jit: str, used: list[int], monkeypatch: Any) -> None:
    got = derivatives(f, nbg.Engine(jit=jit, cache_dir=None), evals)
    assert max(used, default=0) > 20 or (f is inner and evals)
    monkeypatch.setattr(core, "in_order", lambda *_: None)
    for value, want in zip(got, derivatives(f, nbg.Engine(jit="never"), evals), strict=True):
        np.testing.assert_allclose(value, want, rtol=1e-11, atol=1e-14)


@pytest.mark.parametrize("f", [branches, inner])
@pytest.mark.parametrize("evals", [False, True])
def test_what_is_compiled_does_not_depend_on_the_number_of_steps(f: Any, evals: bool) -> None:
    engine = nbg.Engine(jit="always", cache_dir=None)

    for steps in (100, 163, 199):
        a, x = T(A), T(X)
        f(a, x, engine, evals, steps).grad(a).eval(engine)
        assert engine.stats().compiled <= 12


def test_cotangents_are_not_kept(used: list[int]) -> None:
    """Nor are the terms of a sum; a second derivative makes them again."""
    engine, a, x = nbg.Engine(jit="never"), T(A), T(X)
    by_a = branches(a, x, engine, True).grad(a)
    first = by_a.eval(engine)
    assert used
    terms = [term for term in by_a.call.inputs if getattr(term.call, "origin", None)]
    cotangents = [i for term in terms for i in term.call.inputs if getattr(i.call, "origin", None)]
    assert len(terms) > 40 and not any(term.data is not None for term in terms)
    assert len(cotangents) > 40 and not any(i.data is not None for i in cotangents)
    np.testing.assert_allclose(sum(term.eval(engine) for term in by_a.call.inputs), first, rtol=1e-11)


def test_one_result_for_two_sums(monkeypatch: pytest.MonkeyPatch) -> None:
    """The cotangent of p + q is that of both: it goes into two sums, and nothing is run again."""
    ran: list[bool] = []
    meaning = small.run_in_order
    monkeypatch.setattr(core, "run_in_order", lambda *given: ran.append(meaning(*given)) or ran[-1])
    engine, a, p, q, x = nbg.Engine(jit="never"), T(A), T(X), T(-0.5 * X), T(X)
    for k in range(150):
        x = nbg.tanh(a @ x + (p + q)) if TAKEN[k] else 0.5 * x + 0.1 * nbg.sin(a.T @ x) + (p + q)
        x.eval(engine)
    by_p, by_q = nbg.eval(*nbg.sum(x**2).grad([p, q]), engine=engine)
    assert ran == [True]
    np.testing.assert_array_equal(by_p, by_q)
    monkeypatch.setattr(core, "in_order", lambda *_: None)
    np.testing.assert_allclose(nbg.sum(x**2).grad(p).eval(engine), by_p, rtol=1e-11)


def test_large_arrays_and_loops_are_not_run_one_by_one(used: list[int]) -> None:
    engine = nbg.Engine(jit="never")
    a, x = T(np.eye(64) / 2), T(np.ones(64))
    for k in range(20):
        x = nbg.tanh(a @ x) if TAKEN[k] else x + 0.1 * nbg.sin(a.T @ x)
    nbg.sum(x).grad(a).eval(engine)
    b, y = T(A), T(X)
    for _ in range(30):
        y = nbg.tanh(b @ y)
        y.eval(engine)
    nbg.sum(y).grad(b).eval(engine)
    z = T(X)
    step = nbg.jit(lambda b, z: nbg.tanh(b @ z))
    for _ in range(30):
        z = step(b, z)
    z.eval(engine)
    assert not used


@pytest.mark.parametrize("jit", ["never", "always"])
def test_a_failure_is_named(jit: str) -> None:
    engine, a, x = nbg.Engine(jit=jit, cache_dir=None), T(A), T(X)
    for k in range(30):
        x = nbg.tanh(a @ x) if TAKEN[k] else x + 0.1 * nbg.sin(a.T @ x)
    wrong = nbg.linalg.cholesky(nbg.outer(x, x) - nbg.eye(4))
    with pytest.raises(nbg.LinAlgError, match="cholesky"):
        (nbg.sum(wrong) + nbg.sum(x)).eval(engine)
    want = X
    for k in range(30):
        want = np.tanh(A @ want) if TAKEN[k] else want + 0.1 * np.sin(A.T @ want)
    np.testing.assert_allclose(x.eval(engine), want, rtol=1e-12)


def test_another_thread_runs_some_of_them(monkeypatch: pytest.MonkeyPatch) -> None:
    """In the middle, somebody asks for a value farther on."""
    engine, a, x = nbg.Engine(jit="never"), T(A), T(X)
    states = [x]
    for k in range(30):
        x = states[-1]
        states.append(nbg.tanh(a @ x) if TAKEN[k] else x + 0.1 * nbg.sin(a.T @ x))
    meaning, met = small.run_waiting, []

    def run(call: Any, engine: Any, value: Any, totals_of: Any) -> Any:
        met.append(call)
        if len(met) == 5:
            states[20].eval(engine)
        return meaning(call, engine, value, totals_of)

    monkeypatch.setattr(small, "run_waiting", run)
    got = states[-1].eval(engine)
    want = X
    for k in range(30):
        want = np.tanh(A @ want) if TAKEN[k] else want + 0.1 * np.sin(A.T @ want)
    np.testing.assert_allclose(got, want, rtol=1e-12)


# -- regions that are several calls -----------------------------------------------------------------------------------


@pytest.fixture
def in_tiles(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    met: list[Any] = []
    meaning = tiled.TiledRoute.run
    monkeypatch.setattr(tiled.TiledRoute, "run", lambda self, found: met.append(self) or meaning(self, found))
    return met


@pytest.mark.parametrize("jit", ["never", "always"])
def test_inner_loops_of_any_length(jit: str, in_tiles: list[Any]) -> None:
    engine, a, x = nbg.Engine(jit=jit, cache_dir=None), T(A), T(X)
    want, held = X, []
    for k in range(40):
        y = x
        for j in range(1 + 7 * k % 4):
            y = nbg.tanh(a @ y)
            if j == 1 and k % 3 == 0:
                held.append((y, k))  # one more live node, which has its value, too
        x = 0.5 * x + 0.5 * y
        z = want
        for j in range(1 + 7 * k % 4):
            z = np.tanh(A @ z)
            if j == 1 and k % 3 == 0:
                held[-1] += (z,)
        want = 0.5 * want + 0.5 * z
        np.testing.assert_allclose(x.eval(engine), want, rtol=1e-12)
    assert len(in_tiles) > 20
    assert all(node.data is not None for node, *_ in held)
    for node, _, value in held:
        np.testing.assert_allclose(node.eval(engine), value, rtol=1e-12)
    if jit == "always":
        assert engine.stats().compiled <= 6


def test_parts_evaluated_before_and_sizes_that_change(in_tiles: list[Any]) -> None:
    """What was evaluated of a region is from outside it: another region. Sizes are no part of one."""
    engine, a = nbg.Engine(jit="never"), T(A)
    for k in range(24):
        value = RNG.standard_normal((4, 2 + k % 3))
        x = T(value)
        y = nbg.tanh(a @ x)
        if k % 2:
            y.eval(engine)
        z = nbg.tanh(a @ nbg.tanh(a @ y)) * float(k)
        got = nbg.sum(nbg.reshape(z, (2 + k % 3, 4)) + x.T, axis=0)
        want = np.tanh(A @ np.tanh(A @ np.tanh(A @ value))) * k
        np.testing.assert_allclose(got.eval(engine), (want.reshape(-1, 4) + value.T).sum(0), rtol=1e-12)
    assert len(in_tiles) > 8
