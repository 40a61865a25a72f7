"""A jitted step and a test after it, evaluated at every step: one program runs both."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import nbgraph as nbg
from nbgraph.engine import recorder, topped
from nbgraph.loops import LoopCall
from nbgraph.record_call import OFTEN
from nbgraph.trace import RECORDING

T = nbg.TracedTensor.from_tensor
RNG = np.random.default_rng(0)
A = RNG.standard_normal((4, 4)) + 6 * np.eye(4)
step: Any


@pytest.fixture(autouse=True)
def calls_stay_calls(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever was evaluated before, but in tests of the other case. `step` is another function in each test."""
    global step
    step = nbg.jit(lambda a, x: (a @ x) / nbg.linalg.norm(a @ x))
    if "by_machine_code" not in request.fixturenames:
        monkeypatch.setattr(RECORDING, "make", None)
        monkeypatch.setattr(RECORDING, "caller", lambda record: None)


def power(a: Any, engine: nbg.Engine, steps: int, f: Any = None) -> tuple[Any, list[float], list[Any]]:
    """The last vector, the changes seen, and all vectors."""
    f = f or step
    x, seen, states = nbg.constant(np.ones(4)), [], []
    for _ in range(steps):
        new = f(a, x)
        seen.append(float(nbg.linalg.norm(new - x).eval(engine)))
        x = new
        states.append(x)
    return x, seen, states


def by_numpy(steps: int) -> tuple[np.ndarray[Any, Any], list[float]]:
    x, seen = np.ones(4), []
    for _ in range(steps):
        new = A @ x / np.linalg.norm(A @ x)
        seen.append(float(np.linalg.norm(new - x)))
        x = new
    return x, seen


@pytest.mark.parametrize("jit", ["never", "always", "auto"])
def test_values_and_gradients(jit: str) -> None:
    engine = nbg.Engine(jit=jit, cache_dir=None)
    a = T(A)
    x, seen, states = power(a, engine, 20)
    want, changes = by_numpy(20)
    np.testing.assert_allclose(x.eval(engine), want, rtol=1e-12)
    np.testing.assert_allclose(seen, changes, rtol=1e-9, atol=1e-15)
    got = nbg.eval(*(nbg.sum(x**3).grad([a, states[7]])), engine=engine)
    plain = T(A)
    y, _, others = power(plain, engine, 20, lambda a, x: (a @ x) / nbg.linalg.norm(a @ x))
    for g, w in zip(got, nbg.eval(*nbg.sum(y**3).grad([plain, others[7]]), engine=engine), strict=True):
        np.testing.assert_allclose(g, w, rtol=1e-9, atol=1e-14)


def test_one_run_an_eval() -> None:
    engine, a = nbg.Engine(jit="always", cache_dir=None), T(A)
    power(a, engine, 5)
    before = engine.stats()
    power(a, engine, 30)
    after = engine.stats()
    assert after.compiled == before.compiled
    assert after.hits - before.hits == 30


def test_a_long_call_runs_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(topped, "SHORT", 3)
    engine, a = nbg.Engine(jit="always", cache_dir=None), T(A)
    power(a, engine, 5)
    before = engine.stats()
    _, seen, _ = power(a, engine, 10)
    np.testing.assert_allclose(seen, by_numpy(10)[1], rtol=1e-9)
    assert engine.stats().hits - before.hits == 20


@pytest.mark.parametrize("first", ["call", "region"])
def test_another_thread_is_first(first: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """While the program runs, somebody else asks for the step, or for the test."""
    engine, a = nbg.Engine(jit="never"), T(A)
    power(a, engine, 5)
    x = T(np.ones(4))
    new = step(a, x)
    change = nbg.linalg.norm(new - x)
    meaning, others = topped.Topped.run, [new if first == "call" else change]

    def run(self: Any, found: Any, base: Any, waited: Any, nodes: Any, arrays: Any) -> Any:
        if others:
            others.pop().eval(engine)
        return meaning(self, found, base, waited, nodes, arrays)

    monkeypatch.setattr(topped.Topped, "run", run)
    want, changes = by_numpy(1)
    np.testing.assert_allclose(change.eval(engine), changes[0], rtol=1e-12)
    np.testing.assert_allclose(new.eval(engine), want, rtol=1e-12)
    assert not others


@pytest.mark.parametrize("jit", ["never", "always"])
def test_a_failure_is_named_and_costs_nothing(jit: str) -> None:
    factor = nbg.jit(lambda a: nbg.linalg.cholesky(a))
    engine = nbg.Engine(jit=jit, cache_dir=None)
    for shift in (1.0, 2.0, -30.0, 3.0):
        a = T(A @ A.T + shift * np.eye(4))
        size = nbg.sum(nbg.abs(factor(a)))
        if shift < 0:
            with pytest.raises(nbg.LinAlgError, match="cholesky"):
                size.eval(engine)
        else:
            want = np.abs(np.linalg.cholesky(A @ A.T + shift * np.eye(4))).sum()
            np.testing.assert_allclose(size.eval(engine), want, rtol=1e-12)


def test_steps_of_which_only_some_are_looked_at() -> None:
    """The calls between have not run: more than one makes what is not known."""
    engine, a = nbg.Engine(jit="never"), T(A)
    x, seen = nbg.constant(np.ones(4)), []
    for k in range(12):
        x, before = step(a, x), x
        if k % 3 == 2:
            seen.append(float(nbg.linalg.norm(x - before).eval(engine)))
    np.testing.assert_allclose(seen, by_numpy(12)[1][2::3], rtol=1e-9)
    np.testing.assert_allclose(x.eval(engine), by_numpy(12)[0], rtol=1e-12)


# -- recorded one by one ----------------------------------------------------------------------------------------------


@pytest.fixture
def by_machine_code(monkeypatch: pytest.MonkeyPatch) -> None:
    recorder.use(nbg.Engine(jit="always", cache_dir=None).native.objects, may_compile=True)
    made = recorder._USED[0]  # in use, unless it began to be within a test that put things back
    for name in ("make", "result", "commit"):
        monkeypatch.setattr(RECORDING, name, made.function)
    monkeypatch.setattr(RECORDING, "tell", made.note)


def fresh_step() -> Any:
    return nbg.jit(lambda a, x: (a @ x) / nbg.linalg.norm(a @ x))


@pytest.mark.usefixtures("by_machine_code")
def test_after_many_such_evals_a_call_is_its_operations() -> None:
    """Which are the same fragment with what is on top of them: nothing is compiled for it."""
    engine, a, f = nbg.Engine(jit="always", cache_dir=None), T(A), fresh_step()
    power(a, engine, OFTEN + 1, f)
    assert f(a, T(np.ones(4))).op is not None
    before = engine.stats()
    x, seen, states = power(a, engine, 40, f)
    after = engine.stats()
    assert after.compiled == before.compiled and after.hits - before.hits == 40
    np.testing.assert_allclose(seen, by_numpy(40)[1], rtol=1e-9, atol=1e-14)
    got = nbg.eval(*nbg.sum(x**3).grad([a, states[7]]), engine=engine)
    plain = T(A)
    y, _, others = power(plain, engine, 40, lambda a, x: (a @ x) / nbg.linalg.norm(a @ x))
    for g, w in zip(got, nbg.eval(*nbg.sum(y**3).grad([plain, others[7]]), engine=engine), strict=True):
        np.testing.assert_allclose(g, w, rtol=1e-9, atol=1e-14)


@pytest.mark.usefixtures("by_machine_code")
def test_one_loop_of_calls_and_operations_is_one_fragment() -> None:
    counts = []
    for steps in (12, 60):
        engine, a = nbg.Engine(jit="never"), T(A)
        x, _, _ = power(a, engine, steps, fresh_step())
        nbg.sum(x**3).grad(a).eval(engine)
        counts.append(engine.stats().fragments)
    assert counts[0] == counts[1]


@pytest.mark.usefixtures("by_machine_code")
def test_without_evals_they_are_calls_again() -> None:
    engine, a, f = nbg.Engine(jit="never"), T(A), fresh_step()
    power(a, engine, OFTEN + 4, f)
    x = T(np.ones(4))
    for _ in range(100):
        x = f(a, x)
    assert type(x.call) is LoopCall
    want, _ = by_numpy(100)
    np.testing.assert_allclose(x.eval(engine), want, rtol=1e-12)
    assert f(a, T(np.ones(4))).op is None


@pytest.mark.usefixtures("by_machine_code")
def test_results_and_arguments_of_every_kind() -> None:
    """Containers, arguments that come out again, integers, numbers, arrays, slices of leaves."""
    f = nbg.jit(lambda d, t, i: {"y": (d["x"] * t, d["x"]), "k": i + 1, "s": nbg.sum(d["x"]) > t})
    plain = lambda d, t, i: {"y": (d["x"] * t, d["x"]), "k": i + 1, "s": nbg.sum(d["x"]) > t}  # noqa: E731
    engine, table, array = nbg.Engine(jit="never"), T(np.arange(12.0).reshape(6, 2)), np.array([1, 2])
    for k in range(OFTEN + 20):
        for x in (table[k % 6], T(np.full(2, 0.5 + k)), nbg.constant([1.0, float(k)])):
            got, want = f({"x": x}, 0.25 * k, array), plain({"x": x}, 0.25 * k, array)
            total = nbg.sum(got["y"][0]) + got["k"][0]
            assert float(total.eval(engine)) == float((nbg.sum(want["y"][0]) + want["k"][0]).eval(engine))
            assert got["y"][0].active == want["y"][0].active and not got["k"].active and not got["s"].active
            np.testing.assert_array_equal(got["y"][1].eval(), want["y"][1].eval())
            assert bool(got["s"]) == bool(want["s"])


@pytest.mark.usefixtures("by_machine_code")
def test_what_the_function_reads_is_still_looked_at() -> None:
    scale = [2.0]
    f, engine = nbg.jit(lambda x: x * scale[0] + 1.0), nbg.Engine(jit="never")
    x = T(np.ones(3))
    for k in range(OFTEN + 10):
        if k == OFTEN + 5:
            scale[0] = 3.0
        assert float(nbg.sum(f(x)).eval(engine)) == 3 * (scale[0] + 1)
