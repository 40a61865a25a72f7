"""What the library is for: plain Python loops with an eval at every step, differentiated through all of it.

Four programs, each written once for any namespace with NumPy's names, so that NumPy, the library and its peers run
the same lines.
"""

from __future__ import annotations

import gc
import tracemalloc
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import pytest

import nbgraph as nbg
from nbgraph import Engine, TracedTensor

Array = np.ndarray[Any, Any]
EACH, LAST, CHECK_ONLY = "each", "last", "check only"


# -- the programs -----------------------------------------------------------------------------------------------------


class Loop(NamedTuple):
    """`start(rng)` gives parameters and a first state, `step(xp, state, params)` the next state and a check.

    `length` is as many iterations as are cheap.
    """

    name: str
    start: Callable[[Any], tuple[tuple[Array, ...], tuple[Array, ...]]]
    step: Callable[..., tuple[tuple[Any, ...], Any]]
    loss: Callable[..., Any]
    length: int

    def __repr__(self) -> str:
        return self.name


def _fixed_point_start(rng):
    return (np.array(rng.uniform(0.7, 0.9)),), (np.array(0.5),)


def _fixed_point(xp, state, params):
    (x,), (p,) = state, params
    y = xp.cos(p * x) + 0.1 * x
    return (y,), xp.abs(y - x)


def _power_start(rng):
    m = rng.uniform(0.1, 1.0, (8, 8))
    return (m + m.T,), (rng.uniform(0.5, 1.0, 8),)


def _power(xp, state, params):
    (v,), (m,) = state, params
    w = m @ v
    w = w / xp.sqrt(xp.sum(w * w))
    return (w,), xp.sum((w - v) ** 2)


def _als_start(rng):
    factors = [np.linalg.qr(rng.standard_normal((n, 2)))[0] for n in (4, 3, 5)]
    tensor = np.einsum("ir,jr,kr->ijk", *factors) + 0.05 * rng.standard_normal((4, 3, 5))
    return (tensor, 0.02 * np.eye(2)), tuple(f + 0.2 * rng.standard_normal(f.shape) for f in factors)


def _als(xp, state, params):
    (a, b, c), (t, ridge) = state, params
    a = xp.linalg.solve((b.T @ b) * (c.T @ c) + ridge, xp.einsum("ijk,jr,kr->ri", t, b, c)).T
    b = xp.linalg.solve((a.T @ a) * (c.T @ c) + ridge, xp.einsum("ijk,ir,kr->rj", t, a, c)).T
    c = xp.linalg.solve((a.T @ a) * (b.T @ b) + ridge, xp.einsum("ijk,ir,jr->rk", t, a, b)).T
    return (a, b, c), xp.sum((t - xp.einsum("ir,jr,kr->ijk", a, b, c)) ** 2)


def _sinkhorn_start(rng):
    a, b = rng.uniform(0.5, 1.5, 6), rng.uniform(0.5, 1.5, 5)
    return (rng.uniform(0.0, 1.0, (6, 5)), a / a.sum(), b / b.sum()), (np.ones(6), np.ones(5))


def _sinkhorn(xp, state, params):
    (_, v), (cost, a, b) = state, params
    kernel = xp.exp(-cost / 0.2)
    u = a / (kernel @ v)
    w = b / (kernel.T @ u)
    return (u, w), xp.sum(xp.abs(w - v))


def _transported(xp, state, params):
    (u, v), (cost, _, _) = state, params
    return xp.sum(u * ((xp.exp(-cost / 0.2) * cost) @ v))


LOOPS = [
    Loop("fixed point", _fixed_point_start, _fixed_point, lambda xp, s, p: s[0] * s[0] * p[0], 1000),
    Loop("power iteration", _power_start, _power, lambda xp, s, p: xp.sum(s[0] * (p[0] @ s[0])), 1000),
    Loop("als", _als_start, _als, lambda xp, s, p: xp.sum((p[0] - xp.einsum("ir,jr,kr->ijk", *s)) ** 2), 300),
    Loop("sinkhorn", _sinkhorn_start, _sinkhorn, _transported, 1000),
]
every_loop = pytest.mark.parametrize("loop", LOOPS, ids=repr)


def in_numpy(loop: Loop, params: Sequence[Array], state: Sequence[Array], k: int) -> float:
    for _ in range(k):
        state, _ = loop.step(np, state, params)
    return float(loop.loss(np, state, params))


class Run:
    """A loop of `k` iterations, recorded, with evals in it as `evals` says; `leaves` are parameters and first state."""

    def __init__(self, loop: Loop, k: int, engine: Engine, evals: str = EACH, seed: int = 0) -> None:
        self.engine, self.arrays = engine, loop.start(np.random.default_rng(seed))
        self.params, self.first = (tuple(map(TracedTensor.from_tensor, arrays)) for arrays in self.arrays)
        self.leaves = (*self.params, *self.first)
        state = self.first
        for _ in range(k):
            state, check = loop.step(nbg, state, self.params)
            if evals == EACH:
                nbg.eval(*state, check, engine=engine)
            elif evals == CHECK_ONLY:
                check.eval(engine)
        self.state, self.loss = state, loop.loss(nbg, state, self.params)

    def gradient(self) -> list[Array]:
        return list(nbg.eval(*self.derivatives(), engine=self.engine))

    def derivatives(self) -> list[TracedTensor]:
        """The gradient by all leaves; zero where the first iteration replaces what it was given."""
        return self.loss.grad(list(self.leaves), allow_unused=True)


def assert_close(got: Sequence[Array], want: Sequence[Array], rtol: float) -> None:
    """Equal relative to the largest element of all."""
    scale = max(float(np.max(np.abs(w))) for w in want)
    for g, w in zip(got, want, strict=True):
        np.testing.assert_allclose(g, w, rtol=rtol, atol=rtol * scale)


# -- 1: eval in the middle breaks nothing -----------------------------------------------------------------------------


@every_loop
def test_a_value_stays_connected_after_its_eval(loop):
    engine = Engine(jit="never")
    run = Run(loop, 5, engine)
    for value in run.state:
        before = value.eval(engine)
        assert np.any(nbg.sum(value).grad(run.params[0]).eval(engine) != 0)
        np.testing.assert_array_equal(value.eval(engine), before)
    assert_close(run.gradient(), Run(loop, 5, engine, LAST).gradient(), 1e-12)
    assert_close(run.gradient(), Run(loop, 5, engine, CHECK_ONLY).gradient(), 1e-12)


@every_loop
def test_a_loop_that_stops_by_its_own_data(loop):
    params, state = (tuple(map(TracedTensor.from_tensor, arrays)) for arrays in loop.start(np.random.default_rng(3)))
    engine = Engine(jit="never")
    previous, iterations = np.inf, 0
    while iterations < loop.length:
        state, check = loop.step(nbg, state, params)
        iterations += 1
        error = float(check.eval(engine))
        if error < 1e-8 or abs(error - previous) < 1e-10:
            break
        previous = error
    assert 2 < iterations < loop.length
    loss = loop.loss(nbg, state, params)
    arrays = loop.start(np.random.default_rng(3))
    assert float(loss.eval(engine)) == pytest.approx(in_numpy(loop, *arrays, iterations), rel=1e-12)
    assert all(np.all(np.isfinite(g)) for g in nbg.eval(*loss.grad(list(params)), engine=engine))


# -- 2: the gradient through all iterations ---------------------------------------------------------------------------


@every_loop
@pytest.mark.parametrize("k", [1, 10, None])
def test_gradients_are_differences(loop, k):
    run = Run(loop, k or loop.length, Engine(jit="never"))
    rng = np.random.default_rng(1)
    params, first = run.arrays
    directions = [0.1 * rng.standard_normal(a.shape) for a in (*params, *first)]

    def moved(h: float) -> float:
        at = [a + h * d for a, d in zip((*params, *first), directions, strict=True)]
        return in_numpy(loop, at[: len(params)], at[len(params) :], k or loop.length)

    h = 1e-3
    want = (8 * (moved(h) - moved(-h)) - (moved(2 * h) - moved(-2 * h))) / (12 * h)
    got = sum(float(np.vdot(g, d)) for g, d in zip(run.gradient(), directions, strict=True))
    assert got == pytest.approx(want, rel=1e-6)


@every_loop
def test_gradients_are_a_peers(loop):
    torch = pytest.importorskip("torch", reason="torch is not installed")
    run = Run(loop, loop.length, Engine(jit="never"))
    params, state = (
        tuple(torch.tensor(a, dtype=torch.float64, requires_grad=True) for a in arrays) for arrays in run.arrays
    )
    leaves = (*params, *state)
    for _ in range(loop.length):
        state, _ = loop.step(torch, state, params)
    loss = loop.loss(torch, state, params)
    loss.backward()
    assert float(run.loss.eval(run.engine)) == pytest.approx(float(loss), rel=1e-12)
    assert_close(run.gradient(), [np.zeros(x.shape) if x.grad is None else x.grad.numpy() for x in leaves], 1e-10)


@every_loop
@pytest.mark.parametrize("evals", [EACH, LAST])
def test_second_derivatives_are_differences_of_the_first(loop, evals):
    k, h = 6, 1e-5
    run = Run(loop, k, Engine(jit="never"), evals)
    p = run.params[0]
    direction = np.random.default_rng(2).standard_normal(p.shape)
    (product,) = nbg.eval(nbg.sum(run.loss.grad(p) * direction).grad(p), engine=run.engine)

    def gradient(shift: float) -> Array:
        arrays, first = loop.start(np.random.default_rng(0))
        params = tuple(map(TracedTensor.from_tensor, (arrays[0] + shift * direction, *arrays[1:])))
        state = tuple(map(TracedTensor.from_tensor, first))
        for _ in range(k):
            state, _ = loop.step(nbg, state, params)
        return loop.loss(nbg, state, params).grad(params[0]).eval(run.engine)

    assert_close([product], [(gradient(h) - gradient(-h)) / (2 * h)], 1e-6)


# -- 3: shared work ---------------------------------------------------------------------------------------------------


@every_loop
@pytest.mark.parametrize("evals", [EACH, LAST])
def test_loss_and_gradient_together_are_fewer_operations(loop, evals):
    def operations(*parts: str) -> int:
        run = Run(loop, 10, Engine(jit="never"), evals)
        before = run.engine.stats().operations
        made = {"loss": [run.loss], "gradient": run.derivatives()}
        nbg.eval(*(t for part in parts for t in made[part]), engine=run.engine)
        return run.engine.stats().operations - before

    assert operations("loss", "gradient") < operations("loss") + operations("gradient")


# -- 4: linear in the number of iterations ----------------------------------------------------------------------------


def exponent(counts: dict[int, float]) -> float:
    """The slope of log(count) over log(K)."""
    slope, _ = np.polyfit(np.log(list(counts)), np.log(list(counts.values())), 1)
    return float(slope)


def lengths(loop: Loop) -> list[int]:
    return [loop.length * part // 8 for part in (1, 2, 4, 8)]


@every_loop
@pytest.mark.parametrize("evals", [EACH, CHECK_ONLY, LAST])
def test_operations_are_linear(loop, evals):
    forward, backward = {}, {}
    for k in lengths(loop):
        run = Run(loop, k, Engine(jit="never"), evals)
        run.loss.eval(run.engine)
        forward[k] = run.engine.stats().operations
        run.gradient()
        backward[k] = run.engine.stats().operations - forward[k]
    assert 0.95 < exponent(forward) < 1.05, forward
    assert 0.95 < exponent(backward) < 1.05, backward


@every_loop
@pytest.mark.parametrize("evals", [EACH, CHECK_ONLY])
def test_each_eval_costs_the_new_work_only(loop, evals):
    """Once the structure is known, every iteration executes the same number of operations."""
    engine = Engine(jit="never")
    params, state = (tuple(map(TracedTensor.from_tensor, arrays)) for arrays in loop.start(np.random.default_rng(0)))
    counts = [0]
    for _ in range(30):
        state, check = loop.step(nbg, state, params)
        if evals == EACH:
            nbg.eval(*state, check, engine=engine)
        else:
            check.eval(engine)
        counts.append(engine.stats().operations)
    costs = np.diff(counts)
    assert set(costs[1:]) == {costs[1]}, costs
    assert costs[0] <= 2 * costs[1]


@every_loop
def test_kept_memory_is_linear(loop):
    once = Run(loop, 12, Engine(jit="never"))
    made = once.gradient()  # structures, as long as this is held
    kept = {}
    for k in (loop.length // 2, loop.length):
        gc.collect()
        tracemalloc.start()
        run = Run(loop, k, Engine(jit="never"))
        gradient = run.gradient()
        gc.collect()
        kept[k] = tracemalloc.get_traced_memory()[0]
        tracemalloc.stop()
        del run, gradient
    del once, made
    assert 0.95 < exponent(kept) < 1.05, kept


def test_a_loop_without_a_leaf_keeps_nothing():
    """Inference: history that no derivative can need is dropped, and there are no cycles to collect."""
    engine = Engine(jit="never")
    params, state = (tuple(map(nbg.constant, arrays)) for arrays in _power_start(np.random.default_rng(0)))

    def advance(state, k):
        for _ in range(k):
            state, check = _power(nbg, state, params)
            check.eval(engine)
        return state

    gc.disable()
    try:
        tracemalloc.start()
        state = advance(state, 3000)  # whatever has a limit is full
        first = tracemalloc.get_traced_memory()[0]
        state = advance(state, 1000)
        assert tracemalloc.get_traced_memory()[0] - first < 10_000
    finally:
        tracemalloc.stop()
        gc.enable()


# -- compiled code ----------------------------------------------------------------------------------------------------


@every_loop
def test_few_fragments_are_compiled_and_only_once(loop):
    engine = Engine(jit="always")
    first = Run(loop, 50, engine)
    got = [first.loss.eval(engine), *first.gradient()]
    compiled = engine.stats().compiled
    assert 1 <= compiled <= 6, engine.explain()
    second = Run(loop, 50, engine, seed=7)
    second.loss.eval(engine)
    again = second.gradient()
    assert engine.stats().compiled == compiled, engine.explain()
    assert engine.stats().interpreted == 0
    for run, seed in ((got, 0), ([second.loss.eval(), *again], 7)):
        plain = Run(loop, 50, Engine(jit="never"), seed=seed)
        assert_close(run, [plain.loss.eval(plain.engine), *plain.gradient()], 1e-12)


@every_loop
def test_few_fragments_are_compiled_for_a_check_by_itself(loop):
    engine = Engine(jit="always")
    run = Run(loop, 50, engine, CHECK_ONLY)
    run.loss.eval(engine)
    run.gradient()
    compiled = engine.stats().compiled
    assert compiled <= 6, engine.explain()
    run = Run(loop, 35, engine, CHECK_ONLY, seed=1)
    run.loss.eval(engine)
    run.gradient()
    assert engine.stats().compiled == compiled, engine.explain()
