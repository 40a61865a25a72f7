"""Loops: runs pulled back at once, gradients recorded as operations, what a loop is made of."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
from programs import derivative

import nbgraph as nbg
from nbgraph import derive

T = nbg.TracedTensor.from_tensor


def test_a_gradient_recorded_as_operations_by_an_operand_that_comes_twice() -> None:
    """x * y and then x * x: the same operations, with one operand in both places."""
    x, y = T([1.0, 2.0]), T([3.0, 5.0])
    for _ in range(2):
        np.testing.assert_array_equal(nbg.sum(x * y).grad(x).eval(), [3.0, 5.0])
    np.testing.assert_array_equal(nbg.sum(x * x).grad(x).eval(), [2.0, 4.0])


def test_a_gradient_recorded_as_operations_by_operands_that_depend_on_each_other() -> None:
    for _ in range(3):
        x = T([1.0, 2.0])
        y = 3.0 * x
        y.eval()
        by_x, by_y = nbg.sum(x * y).grad([x, y])
        np.testing.assert_array_equal(by_x.eval(), [6.0, 12.0])
        np.testing.assert_array_equal(by_y.eval(), [1.0, 2.0])


@pytest.mark.parametrize("way", ["every", "third", "end", "none"])
def test_what_is_compiled_does_not_depend_on_the_number_of_iterations(way: str) -> None:
    """One iteration's matrix product, norm and quotient, wherever it is looked at."""
    rng = np.random.default_rng(0)
    a0, x0 = rng.random((4, 4)) + np.eye(4), rng.random(4)

    def gradient(count: int, engine: nbg.Engine) -> Any:
        a, x = T(a0), T(x0)
        for k in range(count):
            y = a @ x
            new = y / nbg.linalg.norm(y)
            gap = nbg.linalg.norm(new - x)
            x = new
            if way == "every" or (way == "third" and k % 3 == 0) or (way == "end" and k > count - 6):
                gap.eval(engine)
        return (x @ (a @ x)).grad(a).eval(engine)

    seen = set()
    for count in (100, 101, 102):
        engine = nbg.Engine(jit="always")
        got = gradient(count, engine)
        np.testing.assert_allclose(got, gradient(count, nbg.Engine(jit="never")), rtol=1e-12)
        seen.add((engine.stats().compiled, engine.stats().code_bytes))
        gradient(count + 7, engine)
        assert engine.stats().compiled == max(seen)[0]
    assert len(seen) == 1 and max(seen)[0] <= 8


def test_rule_03_a_stretch_of_two_periods_ends_where_the_search_stood() -> None:
    xs = [T(np.ones(shape) + 0j) for shape in ((2, 3), (3, 4), (4, 5))]
    for _ in range(3):
        _, pull = nbg.vjp(lambda a, b, c: a @ b @ c, *xs)
        a, b, c = nbg.eval(*pull(np.ones((2, 5)) + 0j), engine=nbg.Engine(jit="never"))
        np.testing.assert_allclose(a, np.full((2, 3), 20.0))
        np.testing.assert_allclose(b, np.full((3, 4), 10.0))
        np.testing.assert_allclose(c, np.full((4, 5), 6.0))


@pytest.mark.parametrize("jit", ["never", "always"])
@pytest.mark.parametrize("evals", [0, 1, 3])
def test_a_loop_whose_every_step_adds_to_the_loss_is_pulled_back_as_one(jit: str, evals: int, monkeypatch) -> None:
    made: list[int] = []
    inner = derive.repeat
    monkeypatch.setattr(derive, "repeat", lambda run, part, *rest: made.append(part.steps) or inner(run, part, *rest))
    rng = np.random.default_rng(0)
    a0, data = rng.random((3, 3)) / 3, rng.random((40, 3))
    engine = nbg.Engine(jit=jit)

    def loss_of(a: Any, xp: Any) -> Any:
        x, losses = xp.zeros(3), []
        for k, y in enumerate(data):
            x = xp.tanh(a @ x + y)
            losses.append(xp.sum((x - 0.5) ** 2))
            if xp is nbg and evals and k % evals == 0:
                losses[-1].eval(engine)
        return sum(losses)

    a = T(a0)
    gradient = loss_of(a, nbg).grad(a)
    want = derivative(lambda t: float(loss_of(a0 + t * np.ones((3, 3)), np)))
    assert float(nbg.sum(gradient).eval(engine)) == pytest.approx(want, rel=1e-6)
    second = nbg.sum(gradient).grad(a)
    want = derivative(lambda t: float(nbg.sum(nbg.grad(lambda m: loss_of(m, nbg))(a0 + t * np.ones((3, 3)))).eval()))
    assert float(nbg.sum(second).eval(engine)) == pytest.approx(want, rel=1e-5)


@pytest.mark.parametrize(("jit", "jitted"), [("never", True), ("never", False), ("always", True)])
@pytest.mark.parametrize("used", ["all", "later", "some"])
@pytest.mark.parametrize("evals", [0, 1, 3])
def test_a_loss_of_the_whole_trajectory_pulls_its_loop_back_as_one(
    jit: str, jitted: bool, used: str, evals: int
) -> None:
    """The states that go from step to step are themselves looked at: each has a cotangent from both sides."""
    made: list[int] = []
    rng = np.random.default_rng(0)
    a0, x0 = rng.random((3, 3)) / 3, rng.random(3)
    places = {"all": range(40), "later": range(20, 40), "some": range(3, 40, 7)}[used]
    engine = nbg.Engine(jit=jit, cache_dir=None)

    def loss_of(a: Any, x: Any, xp: Any, step: Any) -> Any:
        states = []
        for k in range(40):
            x = step(a, x)
            states.append(x)
            if xp is nbg and evals and k % evals == 0:
                x.eval(engine)
        return xp.sum(xp.stack([states[k] for k in places]) ** 3)

    def in_numpy(t: float) -> float:
        return float(loss_of(a0 + t, x0, np, lambda a, x: np.tanh(a @ x)))

    def first(a: Any, x: Any) -> Any:
        step: Any = lambda a, x: nbg.tanh(a @ x)  # noqa: E731
        return loss_of(a, x, nbg, nbg.jit(step) if jitted else step)

    inner = derive.repeat
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(derive, "repeat", lambda run, part, *rest: made.append(part.steps) or inner(run, part, *rest))
        a, x = T(a0), T(x0)
        gradient = nbg.sum(first(a, x).grad(a))
    assert float(gradient.eval(engine)) == pytest.approx(derivative(in_numpy), rel=1e-6)
    if jitted or evals != 3:  # else three steps are one call
        assert sum(made) >= {"all": 38, "later": 19, "some": 0}[used]
    if used == "some" or evals == 3:
        return
    want = derivative(lambda t: float(nbg.sum(nbg.grad(first)(a0 + t, x0)).eval(engine)))
    assert float(nbg.sum(gradient.grad(a)).eval(engine)) == pytest.approx(want, rel=1e-5)


@pytest.mark.parametrize("evals", [False, True])
def test_a_first_step_with_an_operand_of_its_own_is_differentiated_by_it(evals: bool) -> None:
    """The first operand is a leaf, where those of the other steps are data: it is no part of the run."""
    data = np.random.default_rng(0).random((14, 3))
    a, first = T(np.eye(3)), T(data[0])
    x = nbg.zeros(3)
    for k in range(14):
        x = x + 0.1 * nbg.sin(a @ x + (first if k == 0 else data[k]))
        if evals:
            x.eval()

    def loss(y: Any) -> float:
        x = np.zeros(3)
        for k in range(14):
            x = x + 0.1 * np.sin(x + (y if k == 0 else data[k]))
        return float(np.sum(x))

    _, got = nbg.eval(*nbg.sum(x).grad([a, first]))
    want = [derivative(lambda t, e=e: loss(data[0] + t * e)) for e in np.eye(3)]
    assert np.abs(got).min() > 1e-3
    np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-10)


@pytest.mark.parametrize(
    ("operands", "evals", "jit"),
    [(o, e, "never") for o in ("leaves", "slices", "jitted") for e in (0, 1, 3)]
    + [("leaves", 1, "always"), ("slices", 1, "always"), ("jitted", 0, "always")],
)
def test_operands_of_every_step_are_differentiated_by(jit: str, evals: int, operands: str, monkeypatch) -> None:
    """Weight decay, a rate of its own at every step: w' = w - a_t l w, L = l w_T^2/2, dL/da_t = -l^2 w_T^2/(1 - a_t l)
    (Maclaurin, Duvenaud, Adams, Gradient-based Hyperparameter Optimization through Reversible Learning, 2015)."""
    made: list[int] = []
    inner = derive.repeat
    monkeypatch.setattr(derive, "repeat", lambda run, part, *rest: made.append(part.steps) or inner(run, part, *rest))
    engine = nbg.Engine(jit=jit, cache_dir=None)
    count, rates = 24, np.random.default_rng(0).random(24) / 10
    given: Any = [T(r) for r in rates] if operands == "leaves" else T(rates)
    factor, w = T(1.5), T(2.0)
    step = nbg.jit(lambda w, rate: w - rate * factor * w) if operands == "jitted" else None
    for k in range(count):
        w = step(w, given[k]) if step else w - given[k] * factor * w
        if evals and k % evals == 0:
            w.eval(engine)
    loss = factor * w * w / 2
    by, by_factor = loss.grad([given, factor])
    got = np.array(nbg.eval(*by, engine=engine) if operands == "leaves" else by.eval(engine))
    last = 2.0 * np.prod(1 - 1.5 * rates)
    np.testing.assert_allclose(got, -(1.5**2) * last**2 / (1 - 1.5 * rates), rtol=1e-12)
    assert by_factor.eval(engine) == pytest.approx(last**2 / 2 - 1.5 * last**2 * np.sum(rates / (1 - 1.5 * rates)))
    if operands == "leaves" and evals == 1:
        assert max(made, default=0) >= count - 2
    second = by[3].grad(factor).eval(engine)
    third = [-(x**2) * (2.0 * np.prod(1 - x * rates)) ** 2 / (1 - rates[3] * x) for x in (1.5 + 1e-6, 1.5 - 1e-6)]
    assert second == pytest.approx((third[0] - third[1]) / 2e-6, rel=1e-6)


@pytest.mark.parametrize("jit", ["never", "always"])
@pytest.mark.parametrize("count", [9, 12])
def test_numbers_that_are_equal_for_a_while_are_not_the_same_in_all_steps(jit: str, count: int) -> None:
    """Equal numbers in a row are one node. The gradient of sum (y - a)^2 p, a <- a + p (y - a), by complex steps."""

    @nbg.jit
    def step(y: Any, a: Any, p: Any) -> Any:
        return a + p * (y - a), (y - a) ** 2 * p

    def total(p: Any, ys: Any, step: Any) -> Any:
        a, value = 1.0, 0.0
        for y in ys:
            a, term = step(y, a, p)
            value = value + term
        return value

    engine = nbg.Engine(jit=jit)
    for last in itertools.product((0.0, 1.0), repeat=4):
        ys = [0.0, 1.0, 1.0] * 2 + [0.0] * (count - 10) + list(last)
        p = T(0.4)
        wanted = total(0.4 + 1e-30j, ys, lambda y, a, p: (a + p * (y - a), (y - a) ** 2 * p)).imag / 1e-30
        np.testing.assert_allclose(total(p, ys, step).grad(p).eval(engine), wanted, rtol=1e-12)


@pytest.mark.parametrize("count", [9, 20])
@pytest.mark.parametrize("lags", [(2,), (1, 3)])
@pytest.mark.parametrize("jitted", [False, True])
@pytest.mark.parametrize("evals", [False, True])
def test_a_step_that_takes_what_earlier_steps_than_the_last_made(
    evals: bool, jitted: bool, lags: tuple[int, ...], count: int
) -> None:
    """Multistep formulas: such an operand is every step's own, and is made by the run itself. Forward mode, which
    knows no runs, is the truth."""
    rng = np.random.default_rng(0)
    a0, x0, da, dx = 0.5 * rng.normal(size=(3, 3)), rng.normal(size=3), rng.normal(size=(3, 3)), rng.normal(size=3)
    engine = nbg.Engine(jit="never")

    def step(a: Any, x: Any, older: Any) -> Any:
        return nbg.tanh(a @ x) + sum(0.3 * nbg.sin(h * x) + 0.1 * h for h in older)

    advance = nbg.jit(step) if jitted else step

    def loss(a: Any, x: Any) -> Any:
        xs = [x, 1.1 * x, 1.2 * x, 1.3 * x]
        for _ in range(count):
            xs.append(advance(a, xs[-1], [xs[-1 - lag] for lag in lags]))
            if evals:
                nbg.sum(xs[-1]).eval(engine)
        return nbg.sum(xs[-1] ** 2) + nbg.sum(xs[-4])

    a, x = T(a0), T(x0)
    by_a, by_x = loss(a, x).grad([a, x])
    got = nbg.sum(by_a * da) + nbg.sum(by_x * dx)
    np.testing.assert_allclose(got.eval(engine), nbg.jvp(loss, (a0, x0), (da, dx))[1].eval(engine), rtol=1e-9)


def _counts(loop: Any, sizes: Any) -> list[tuple[int, int]]:
    """Structures seen by one engine, and operations for each step, after each of some numbers of steps."""
    engine, found, before = nbg.Engine(jit="never"), [], 0
    for n in sizes:
        loop(n, engine)
        stats = engine.stats()
        found.append((stats.fragments, (stats.operations - before) // n))
        before = stats.operations
    return found


def test_a_list_of_rows_made_first_costs_no_operation_a_row() -> None:
    rng = np.random.default_rng(0)
    a0, rows = rng.random((3, 3)) / 3, rng.random((200, 3))

    def loop(n: int, engine: nbg.Engine, listed: bool = True) -> Any:
        xs, a, x = T(rows[:n]), T(a0), nbg.constant(np.zeros(3))
        doubled = 2.0 * xs
        for row in nbg.unstack(doubled) if listed else (doubled[k] for k in range(n)):
            x = nbg.tanh(a @ x + row)
        return nbg.eval(*nbg.sum(x * x).grad([xs, a]), engine=engine)

    assert len(set(_counts(loop, (100, 150, 200))[1:])) == 1
    assert _counts(loop, (100,))[0][1] < _counts(lambda n, e: loop(n, e, False), (100,))[0][1]
    for got, want in zip(loop(100, nbg.Engine()), loop(100, nbg.Engine(), False), strict=True):
        np.testing.assert_allclose(got, want, rtol=1e-12)


def test_a_loop_whose_branches_the_data_decide_is_made_of_few_fragments() -> None:
    rng = np.random.default_rng(0)
    a0, x0 = rng.random((3, 3)) + np.eye(3), rng.random(3)

    def loop(n: int, engine: nbg.Engine) -> Any:
        a, x, taken = T(a0), T(x0), np.random.default_rng(n).random(n) < 0.4
        for k in range(n):
            y = a @ x
            x = x + 0.1 * y if taken[k] else y / nbg.linalg.norm(y)
        return nbg.sum(x * a[0]).grad(a).eval(engine)

    counts = [fragments for fragments, _ in _counts(loop, (600, 700, 800, 900))]
    assert len(set(counts[1:])) == 1  # chunks of 64 operations would be 30 or more others each time


def test_sums_of_lists_of_other_lengths_are_made_of_the_same_fragments() -> None:
    def loop(n: int, engine: nbg.Engine) -> Any:
        x, found = T([0.1, 0.2]), []
        for _ in range(n):
            x = nbg.tanh(x * 1.1)
            found.append(nbg.sum(x * x))
        return sum(found).eval(engine)

    assert len({fragments for fragments, _ in _counts(loop, (150, 200, 231, 250))}) == 1


@pytest.mark.parametrize("jitted", [False, True])
def test_an_optimiser_without_evals_costs_the_same_operations_and_two_kinds_of_calls(jitted: bool) -> None:
    rng = np.random.default_rng(0)
    b0 = rng.random((3, 3))
    s0, x0 = b0 @ b0.T + np.eye(3), rng.random(3)
    plain = lambda a, x: 0.5 * (x @ (a @ x))  # noqa: E731
    loss = nbg.jit(plain) if jitted else plain

    def loop(n: int, engine: nbg.Engine, evals: bool = False) -> Any:
        a, x, v = T(s0), T(x0), nbg.constant(np.zeros(3))
        for _ in range(n):
            v = 0.9 * v - 0.02 * loss(a, x).grad(x)
            x = x + v
            if evals:
                x.eval(engine)
        return a, x

    def value(n: int, engine: nbg.Engine) -> Any:
        return loop(n, engine)[1].eval(engine)

    assert len(set(_counts(value, (40, 60, 100))[1:])) == 1
    engine = nbg.Engine(jit="never")
    value(50, engine)
    assert engine.stats().fragments <= 4
    # The graph stays one to differentiate, to second order, too.
    found = []
    for evals in (False, True):
        a, x = loop(30, engine, evals)
        first = nbg.sum(x * x).grad(a)
        found.append(nbg.eval(x, first, nbg.sum(first * b0).grad(a), engine=engine))
    for got, want in zip(*found, strict=True):
        np.testing.assert_allclose(got, want, rtol=1e-9, atol=1e-12)
