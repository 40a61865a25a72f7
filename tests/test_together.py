"""Several values asked for at once, at every step of a loop: what comes out, and that it takes the short way."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import nbgraph as nbg
from nbgraph.engine import core

T = nbg.TracedTensor.from_tensor
RNG = np.random.default_rng(3)
A = RNG.standard_normal((6, 6)) + 8 * np.eye(6)
ROUNDS = 12
#: A step of each loop: tensors -> those of the next step, and what is evaluated.
Step = Callable[..., tuple[list[Any], list[Any]]]
_times = nbg.jit(lambda a, x: a @ x)
_both = nbg.jit(lambda a, x: (a @ x / 9.0, nbg.sum(x)))


def norm(a: Any, x: Any) -> Any:
    y = a @ x
    z = y / nbg.sqrt(nbg.sum(y * y))
    return [a, z], [z, nbg.max(nbg.abs(z - x))]


def inside(a: Any, x: Any) -> Any:
    """One of the values is below the other, which comes first; one comes twice."""
    y = a @ x / 9.0
    total = nbg.sum(y)
    return [a, y], [total, y, total]


def jitted(a: Any, x: Any) -> Any:
    y = _times(a, x)
    z = y / nbg.sqrt(nbg.sum(y * y))
    return [a, z], [z, nbg.max(nbg.abs(z - x))]


def several_results(a: Any, x: Any) -> Any:
    y, total = _both(a, x)
    return [a, y], [y, total]


def factors(a: Any, x: Any) -> Any:
    q, r = nbg.linalg.qr(a + nbg.outer(x, x))
    return [a, q[0] + 1e-3 * r[0]], [q, r]


def factor_held(a: Any, x: Any) -> Any:
    """Of a decomposition one result is evaluated, another one is held and evaluated later."""
    u, s, vt = nbg.linalg.svd(a + nbg.outer(x, x))
    return [a, u[0] * s / 20 + 0.1 * vt[1]], [s, nbg.sum(u)]


def long(a: Any, x: Any) -> Any:
    """A region that is cut."""
    y, z = x, a @ x / 9.0
    for k in range(20):
        y, z = nbg.tanh(y + k * z), nbg.sin(y * z - k)
    return [a, y], [y, z]


def descent(a: Any, x: Any) -> Any:
    loss = nbg.sum((a @ x - 1.0) ** 2)
    x_gradient, a_gradient = loss.grad([x, a])
    return [a - 1e-4 * a_gradient, x - 1e-3 * x_gradient], [loss, x_gradient]


STEPS: dict[str, Step] = {
    f.__name__: f for f in (norm, inside, jitted, several_results, factors, factor_held, long, descent)
}


def loop(step: Step, engine: nbg.Engine, rounds: int, together: bool) -> tuple[list[Any], Any, Any]:
    a, x = T(A), T(np.linspace(1.0, 2.0, 6))
    state, seen = [a, x], []
    for _ in range(rounds):
        state, wanted = step(*state)
        seen.append(nbg.eval(*wanted, engine=engine) if together else [w.eval(engine) for w in wanted])
    return seen, nbg.sum(state[1] * state[1]).grad(a).eval(engine), state


def check(name: str, engine: nbg.Engine, other: nbg.Engine) -> None:
    found, found_gradient, _ = loop(STEPS[name], engine, ROUNDS, True)
    want, want_gradient, _ = loop(STEPS[name], other, ROUNDS, False)
    for a, b in zip(found, want, strict=True):
        for one, two in zip(a, b, strict=True):
            np.testing.assert_allclose(one, two, rtol=1e-7, atol=1e-9)
    np.testing.assert_allclose(found_gradient, want_gradient, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("jit", ["never", "always", "auto"])
@pytest.mark.parametrize("name", STEPS)
def test_values_and_gradients_are_those_of_one_at_a_time(name: str, jit: str) -> None:
    check(name, nbg.Engine(jit=jit, cache_dir=None), nbg.Engine(jit="never"))


@pytest.mark.parametrize("name", STEPS)
def test_it_takes_the_short_way(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    engine, (a, x) = nbg.Engine(jit="never"), (T(A), T(np.linspace(1.0, 2.0, 6)))
    state = [a, x]
    general, met = core._evaluate_open, []

    def noting(*args: Any, **kwargs: Any) -> Any:
        met.append(args)
        return general(*args, **kwargs)

    monkeypatch.setattr(core, "_evaluate_open", noting)
    for k in range(ROUNDS):
        if k == 4:
            met.clear()  # what is new goes the general way
        before = engine.stats().evals
        state, wanted = STEPS[name](*state)
        nbg.eval(*wanted, engine=engine)
        assert engine.stats().evals == before + 1
    assert not met


def test_containers_and_known_values() -> None:
    x = T(np.ones(3))
    for _ in range(4):
        y, z = x * 2, x + 1
        y.eval()
        got, more = nbg.eval({"y": y, "z": [z, z]}, x - 1)
        np.testing.assert_array_equal(got["y"], [2, 2, 2])
        np.testing.assert_array_equal(got["z"][1], [2, 2, 2])
        np.testing.assert_array_equal(more, [0, 0, 0])
        assert not got["y"].flags.writeable


def test_a_value_that_fails_leaves_the_others() -> None:
    engine = nbg.Engine(jit="never")
    for shift in (1.0, 2.0, -9.0, 3.0):
        a = T(np.diag([4.0, 5.0]) + shift * np.eye(2))
        factor, trace = nbg.linalg.cholesky(a), nbg.trace(a)
        if shift < 0:
            with pytest.raises(nbg.LinAlgError, match="cholesky"):
                nbg.eval(trace, factor, engine=engine)
            assert trace.eval(engine) == 9.0 + 2 * shift
        else:
            assert nbg.eval(trace, factor, engine=engine)[0] == 9.0 + 2 * shift


def test_more_targets_than_are_recognised() -> None:
    engine = nbg.Engine(jit="never")
    for _ in range(3):
        x = T(np.arange(4.0))
        ys = [x * float(k) for k in range(100)]
        for k, y in enumerate(nbg.eval(ys, engine=engine)[0]):
            np.testing.assert_array_equal(y, np.arange(4.0) * k)


def test_which_targets_are_asked_for_changes() -> None:
    """The same region by other targets is another program, not another result."""
    engine = nbg.Engine(jit="never")
    for k in range(40):
        x = T(np.arange(1.0, 4.0))
        parts = [x * 2, x + 1, nbg.sin(x), x / 3]
        total = parts[0] * parts[1] + parts[2] * parts[3]
        chosen = [p for j, p in enumerate(parts) if (k >> j) & 1]
        found = nbg.eval(total, *chosen, engine=engine)
        v = np.arange(1.0, 4.0)
        want = [v * 2, v + 1, np.sin(v), v / 3]
        np.testing.assert_allclose(found[0], want[0] * want[1] + want[2] * want[3])
        for a, b in zip(found[1:], [w for j, w in enumerate(want) if (k >> j) & 1], strict=True):
            np.testing.assert_allclose(a, b)


@pytest.mark.parametrize("jit", ["never", "always"])
@pytest.mark.parametrize("related", [False, True])
def test_gradients_by_several_values_of_one_call(related: bool, jit: str) -> None:
    """Each of the values that a step has made of the last ones is no function of the others; or one of them is."""
    engine = nbg.Engine(jit=jit, cache_dir=None)

    def loop(xp: Any, wrap: Any, gradient: Any, evaluate: Any) -> list[Any]:
        w, b, m = (wrap(v) for v in (np.linspace(0.1, 0.6, 6), np.full(6, 0.2), np.zeros(6)))
        for _ in range(8):
            loss = lambda w, b: xp.sum((xp.tanh(w * 2.0 + b) - 0.3) ** 2)  # noqa: E731
            dw, db = gradient(loss, w, b)
            m = 0.5 * m + dw
            w = w - 0.1 * m
            b = b - 0.1 * db + (0.1 * w if related else 0.0)
            evaluate(w, b, m)
        return [w, b]

    steps = itertools.count()

    def by_hand(loss: Any, w: Any, b: Any) -> Any:
        t = np.tanh(w * 2.0 + b)
        d = 2 * (t - 0.3) * (1 - t * t)
        through_b = 0.1 * d if related and next(steps) else 0.0  # after the first step b is made of w
        return 2.0 * d + through_b, d

    want = loop(np, lambda v: v, by_hand, lambda *_: None)
    found = loop(nbg, T, lambda loss, w, b: loss(w, b).grad([w, b]), lambda *v: nbg.eval(*v, engine=engine))
    for a, v in zip(found, want, strict=True):
        np.testing.assert_allclose(a.eval(engine), v, rtol=1e-9)
