"""Several threads over one graph: the same results as from one, nothing lost."""

from __future__ import annotations

import ctypes
import os
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import numpy as np
import pytest
from programs import random_program

import nbgraph as nbg
from nbgraph.engine import routes
from nbgraph.graph import fragments_of

T = nbg.TracedTensor.from_tensor
NEVER, ALWAYS = nbg.Engine(jit="never"), nbg.Engine(jit="always")
ENGINES = pytest.mark.parametrize("engine", [NEVER, ALWAYS], ids=["never", "always"])


@pytest.fixture(autouse=True)
def switch_often() -> Iterator[None]:
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


def together(*functions: Callable[[], Any]) -> list[Any]:
    """The results of functions that threads start at one moment."""
    barrier = threading.Barrier(len(functions))

    def run(f: Callable[[], Any]) -> Any:
        barrier.wait()
        return f()

    with ThreadPoolExecutor(len(functions)) as pool:
        return list(pool.map(run, functions))


def equal(got: Any, wanted: Any) -> None:
    np.testing.assert_allclose(got, wanted, rtol=1e-12, atol=1e-14)


def start(seed: int = 0) -> tuple[Any, Any]:
    rng = np.random.default_rng(seed)
    return rng.uniform(-1, 1, 4), rng.uniform(-1, 1, (4, 4))


def states(xp: Any, x: Any, p: Any, count: int) -> list[Any]:
    found = [x]
    for _ in range(count):
        found.append(xp.tanh(found[-1] @ p) + found[-1] * 0.5)
    return found


@ENGINES
@pytest.mark.parametrize("count", [5, 60])
def test_overlapping_evals(engine, count) -> None:
    """Every thread wants other states of one loop that nobody has evaluated."""
    x0, p0 = start()
    wanted = states(np, x0, p0, count)
    for _ in range(5):
        chain = states(nbg, T(x0), T(p0), count)
        orders = [range(count, 0, -1), range(1, count + 1), range(count, 0, -3), range(2, count + 1, 2)]
        results = together(*(lambda o=o, chain=chain: [(k, chain[k].eval(engine)) for k in o] for o in orders))
        for k, value in (pair for found in results for pair in found):
            equal(value, wanted[k])


@ENGINES
@pytest.mark.parametrize("count", [3, 60])
def test_evals_beside_gradients(engine, count) -> None:
    """Gradients seal what other threads are evaluating."""
    x0, p0 = start(1)
    reference = states(nbg, T(x0), p := T(p0), count)
    wanted = reference[-1].sum().grad(p).eval(NEVER)
    values = states(np, x0, p0, count)
    for _ in range(10):
        p = T(p0)
        chain = states(nbg, T(x0), p, count)
        loss = chain[-1].sum()
        results = together(
            lambda: loss.grad(p).eval(engine),  # noqa: B023
            lambda: [chain[-1].eval(engine), chain[count // 2].eval(engine)],  # noqa: B023
            lambda: loss.grad(p).eval(NEVER),  # noqa: B023
            lambda: [chain[count // 2].eval(NEVER), chain[-1].eval(NEVER)],  # noqa: B023
        )
        equal(results[0], wanted)
        equal(results[2], wanted)
        for found, order in ((results[1], (-1, count // 2)), (results[3], (count // 2, -1))):
            for value, k in zip(found, order, strict=True):
                equal(value, values[k])
        equal(loss.grad(p).eval(engine), wanted)


@ENGINES
def test_one_sealed_gradient_evaluated_by_all(engine) -> None:
    x0, p0 = start(2)
    for _ in range(5):
        x, p = T(x0), T(p0)
        loss = states(nbg, x, p, 8)[-1].sum()
        by_p, by_x = loss.grad([p, x])
        second = (by_p * by_p).sum().grad(x)
        results = together(*(lambda t=t: t.eval(engine) for t in (by_p, by_x, second, loss, by_p, second)))
        equal(results[0], results[4])
        equal(results[2], results[5])
        p = T(p0)
        equal(results[0], states(nbg, T(x0), p, 8)[-1].sum().grad(p).eval(NEVER))


def test_factors_are_one_choice_in_all_threads() -> None:
    a0 = np.random.default_rng(3).uniform(-1, 1, (5, 5))
    for _ in range(10):
        a = T(a0)
        w, v = nbg.linalg.eigh(a + a.T)
        loss = nbg.sum((v * nbg.sin(w)) @ v.T * np.arange(25.0).reshape(5, 5))
        gradient = lambda a=a, loss=loss: loss.grad(a).eval(NEVER)  # noqa: E731
        results = together(partial(v.eval, NEVER), partial(w.eval, ALWAYS), gradient, partial(v.eval, ALWAYS))
        w0, v0 = results[1], results[0]
        np.testing.assert_array_equal(v0, results[3])
        np.testing.assert_allclose((v0 * w0) @ v0.T, a0 + a0.T, atol=1e-12)
        np.testing.assert_allclose(results[2], loss.grad(a).eval(NEVER), rtol=1e-10)


def test_tracing_at_once_finds_one_structure() -> None:
    """Threads that record, evaluate and differentiate loops of their own share structures, not values."""

    def work(seed: int) -> Any:
        x0, p0 = start(seed)
        x, p = T(x0), T(p0)
        y = x
        for _ in range(12):
            y = nbg.tanh(y @ p) + y * 0.5
            y.eval(NEVER)
        return y.eval(), y.sum().grad(p).eval(NEVER), set(fragments_of(y))

    results = together(*(lambda k=k: work(k) for k in range(8)))
    assert len(set().union(*(fragments for _, _, fragments in results))) == 1
    for seed, (value, gradient, _) in enumerate(results):
        equal(value, states(np, *start(seed), 12)[-1])
        x0, p0 = start(seed)
        p = T(p0)
        equal(gradient, states(nbg, T(x0), p, 12)[-1].sum().grad(p).eval(NEVER))


def test_random_programs_over_shared_values() -> None:
    """Threads continue one graph, each in its own way, and evaluate what they share."""
    for seed in range(10):
        program = random_program(seed, 3, 12)
        wanted = program.values()
        leaves = [T(a) if i not in program.constants else nbg.constant(a) for i, a in enumerate(program.leaves)]
        pool = list(leaves)
        for step in program.steps:
            pool.append(step.apply(nbg, pool))

        def work(offset: int, pool: Any = pool) -> list[tuple[int, Any]]:
            order = np.random.default_rng(offset).permutation(len(pool)).tolist()
            doubled = [(k, pool[k] * 1.0) for k in order if pool[k].dtype.kind in "fc"]
            return [(k, t.eval(NEVER)) for k, t in (*doubled, *((k, pool[k]) for k in order))]

        for found in together(*(lambda k=k: work(k) for k in range(4))):
            for k, value in found:
                tolerance = 1e-3 if wanted[k].dtype in (np.float32, np.complex64) else 1e-9
                np.testing.assert_allclose(value, wanted[k], rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("moving", [False, True])
@pytest.mark.parametrize("by", ["recognise", "last_found"])
def test_a_region_sealed_between_being_recognised_and_being_run(
    by: str, moving: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was read of its nodes is what counts: another thread takes their operations and sizes away."""
    other = nbg.Engine(jit="never")

    def region(k: int) -> Any:
        x = T(np.arange(12.0) + k)
        return x.reshape(3, 4)[k if moving else 0 :, 1:3].sum(axis=0) * nbg.reshape(x[:6], (2, 3)).sum(axis=1)

    region(0).eval(nbg.Engine(jit="never"))  # known from now on
    recognise, engine = getattr(routes, by), nbg.Engine(jit="never")
    if by == "recognise":
        monkeypatch.setattr(routes, "last_found", lambda target: None)
    else:  # not asked while sizes are known that the data decide, here or in another test
        monkeypatch.setattr(routes, "ALIVE", set())

    def late(target: Any) -> Any:
        monkeypatch.setattr(routes, by, recognise)
        found = recognise(target)
        assert found is not None
        target.eval(other)
        return found

    for k in range(3):
        wanted = region(k).eval(nbg.Engine(jit="never"))
        monkeypatch.setattr(routes, by, late)
        equal(region(k).eval(engine), wanted)
        assert getattr(routes, by) is recognise


def test_one_structure_is_compiled_once() -> None:
    engine = nbg.Engine(jit="always")
    results = together(*(lambda k=k: (nbg.sin(T([1.0, 2.0, k])) * 3).sum().eval(engine) for k in range(6)))
    assert engine.stats().compiled == 1
    equal(results, [3 * np.sin([1.0, 2.0, k]).sum() for k in range(6)])


def test_counters_lose_nothing() -> None:
    engine, each = nbg.Engine(jit="never"), 200

    def work() -> None:
        for k in range(each):
            (nbg.sin(T([1.0, float(k)])) * 2).eval(engine)

    together(*[work] * 4)
    stats = engine.stats()
    assert (stats.evals, stats.interpreted, stats.operations) == (4 * each, 4 * each, 8 * each)


# -- threads that Python did not start --------------------------------------------------------------------------------


@pytest.mark.skipif(not hasattr(os, "fork"), reason="POSIX threads")
def test_a_thread_that_python_did_not_start() -> None:
    """A callback from a thread of the C library runs a compiled program, a recorded loop and a gradient."""
    engine = nbg.Engine(jit="always")
    x = nbg.TracedTensor.placeholder(("n",), name="x")
    program = engine.compile([nbg.sin(x) * x], [x])
    given, found, errors = np.linspace(0, 1, 7), [], []

    def work(_: int | None) -> int:
        try:
            found.append(program(given))
            a = nbg.TracedTensor.from_tensor(given)
            y = (nbg.sin(a) * a).sum()
            found.append([y.eval(engine), y.grad(a).eval(engine)])
        except BaseException as error:  # nothing may leave a callback
            errors.append(error)
        return 0

    library = ctypes.CDLL(None)
    callback = ctypes.CFUNCTYPE(ctypes.c_void_p, ctypes.c_void_p)(work)
    for _ in range(2):
        handle = ctypes.c_ulong()
        assert library.pthread_create(ctypes.byref(handle), None, callback, None) == 0
        library.pthread_join.argtypes = [ctypes.c_ulong, ctypes.c_void_p]
        assert library.pthread_join(handle, None) == 0
    assert not errors
    for got, (value, gradient) in zip(found[::2], found[1::2], strict=True):
        np.testing.assert_allclose(np.asarray(got).reshape(-1), np.sin(given) * given, rtol=1e-14)
        np.testing.assert_allclose(value, (np.sin(given) * given).sum(), rtol=1e-14)
        np.testing.assert_allclose(gradient, np.cos(given) * given + np.sin(given), rtol=1e-14)
