"""Calls of a loop that have not run, run as one: values, derivatives, failures, what is kept."""

from __future__ import annotations

import pickle
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import nbgraph as nbg
from nbgraph.calls import RepeatCall
from nbgraph.codegen.storage import Temporary
from nbgraph.dims import dim, dim_max
from nbgraph.engine import chains, core
from nbgraph.engine.native import words_apart
from nbgraph.ssa import program_for

T = nbg.TracedTensor.from_tensor
RNG = np.random.default_rng(0)
A0, DATA = RNG.random((3, 3)) / 3, RNG.random((30, 3))


@pytest.fixture
def lengths(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The lengths of the chains that ran."""
    found: list[int] = []
    inner = core.run_chain
    monkeypatch.setattr(
        core, "run_chain", lambda engine, chain, *rest: (found.append(chain.n), inner(engine, chain, *rest))
    )
    return found


@nbg.jit
def step(a: Any, x: Any, y: Any) -> Any:
    x = nbg.tanh(a @ x + y)
    return x, nbg.sum(x * x)


def loss_of(a: Any, count: int = 30, watch: Any = None) -> Any:
    x, total = nbg.constant(np.ones(3)), 0.0
    for k in range(count):
        x, part = step(a, x, DATA[k])
        total = total + part
        if watch is not None:
            watch(k, x)
    return total


def plain(a: Any, data: Any = DATA) -> float:
    x, total = np.ones(3), 0.0
    for y in data:
        x = np.tanh(a @ x + y)
        total += np.sum(x * x)
    return total


@pytest.mark.parametrize("jit", ["never", "always", "auto"])
def test_values_and_gradients_are_those_of_the_calls_one_by_one(jit: str, lengths: list[int]) -> None:
    engine = nbg.Engine(jit=jit, cache_dir=None)
    a = T(A0)
    total = loss_of(a)
    gradient = total.grad(a)
    value, slope = nbg.eval(total, gradient, engine=engine)
    assert lengths and max(lengths) == 30
    assert value == pytest.approx(plain(A0), rel=1e-13)
    direction = RNG.standard_normal((3, 3))
    want = (plain(A0 + 1e-6 * direction) - plain(A0 - 1e-6 * direction)) / 2e-6
    assert np.sum(slope * direction) == pytest.approx(want, rel=1e-7)
    assert float(loss_of(T(A0)).eval(engine)) == value
    second = nbg.sum(gradient * direction).grad(a).eval(engine)
    steps = [nbg.grad(loss_of)(A0 + h * direction).eval() for h in (1e-6, -1e-6)]
    np.testing.assert_allclose(second, (steps[0] - steps[1]) / 2e-6, rtol=1e-5, atol=1e-8)


def test_the_gradient_is_the_same_once_the_values_are_known(lengths: list[int]) -> None:
    engine = nbg.Engine(jit="always", cache_dir=None)
    a = T(A0)
    total = loss_of(a)
    total.eval(engine)
    after = total.grad(a).eval(engine)
    b = T(A0)
    np.testing.assert_allclose(after, loss_of(b).grad(b).eval(engine), rtol=1e-13)


def test_values_in_the_middle_that_somebody_holds_are_kept(lengths: list[int]) -> None:
    engine, held = nbg.Engine(jit="always", cache_dir=None), []
    total = loss_of(T(A0), watch=lambda k, x: held.append(x) if k % 7 == 3 else None)
    total.eval(engine)
    before = engine.stats().operations
    x, want = np.ones(3), []
    for k, y in enumerate(DATA):
        x = np.tanh(A0 @ x + y)
        if k % 7 == 3:
            want.append(x)
    np.testing.assert_allclose([h.eval(engine) for h in held], want, rtol=1e-13)
    assert engine.stats().operations == before
    assert len({h.eval().ctypes.data for h in held}) == len(held)


def test_a_chain_goes_on_where_an_eval_was(lengths: list[int]) -> None:
    engine = nbg.Engine(jit="always", cache_dir=None)
    a = T(A0)
    total = loss_of(a, watch=lambda k, x: x.eval(engine) if k in (4, 18) else None)
    assert total.eval(engine) == pytest.approx(plain(A0), rel=1e-13)
    np.testing.assert_allclose(total.grad(a).eval(engine), loss_of(b := T(A0)).grad(b).eval(), rtol=1e-12)


def test_an_operand_that_a_later_call_makes_from_an_earlier_one_ends_the_chain() -> None:
    """x goes through two functions by turns, so no call of either may run before the other's."""
    double = nbg.jit(lambda x: 2.0 * x)
    shrink = nbg.jit(lambda x, y: nbg.sin(x) + y)
    x = T(0.3)
    y: Any = x
    for _ in range(20):
        y = shrink(y, double(y))
    want = slope = 0.3
    slope = 1.0
    for _ in range(20):
        want, slope = np.sin(want) + 2 * want, slope * (np.cos(want) + 2)
    for jit in ("never", "always"):
        value, gradient = nbg.eval(y, y.grad(x), engine=nbg.Engine(jit=jit, cache_dir=None))
        assert (value, gradient) == (pytest.approx(want), pytest.approx(slope))


@pytest.mark.parametrize("jit", ["never", "always"])
def test_a_failure_names_the_line_and_leaves_the_graph_as_it_was(jit: str) -> None:
    solve = nbg.jit(lambda a, x: nbg.linalg.solve(a, x) - 1.0)
    matrix = T(np.diag([1.0, 1.0]))
    x: Any = nbg.constant(np.ones(2))
    for k in range(12):
        x = solve(matrix if k < 11 else T(np.zeros((2, 2))), x)
    engine = nbg.Engine(jit=jit, cache_dir=None)
    for _ in range(2):
        with pytest.raises(nbg.LinAlgError, match="solve"):
            x.eval(engine)
    bad = nbg.constant(np.ones(2))
    singular = T(np.zeros((2, 2)))
    for _ in range(12):
        bad = solve(singular, bad)
    with pytest.raises(nbg.LinAlgError, match="solve"):
        bad.eval(engine)
    assert bad.data is None


def test_what_no_leaf_reaches_forgets_the_chain(lengths: list[int]) -> None:
    x, _ = step(A0, nbg.constant(np.ones(3)), DATA[0])
    first = x
    for k in range(1, 30):
        x, _ = step(A0, x, DATA[k])
    x.eval(nbg.Engine(jit="always", cache_dir=None))
    assert lengths == [30]
    with pytest.raises(nbg.DifferentiationError):
        x.sum().grad(first)


def test_a_chain_that_ran_is_pickled_call_by_call() -> None:
    a = T(A0)
    total = loss_of(a)
    total.eval(nbg.Engine(jit="always", cache_dir=None))
    again, leaf = pickle.loads(pickle.dumps((total, a)))
    np.testing.assert_allclose(again.grad(leaf).eval(), total.grad(a).eval(), rtol=1e-12)


def test_a_program_that_adds_to_its_outputs_serves_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """The fragment of a loop may be a derived one as well, of which there is a program that adds to sums."""
    double = nbg.jit(lambda x: x + x)
    x = nbg.constant(np.ones(2))
    y: Any = x
    for _ in range(10):
        y = double(y)
    slots = frozenset({double(x).slot})
    assert program_for(y.call.fragment, slots, slots).summed
    dirty = type("Dirty", (), {"__getattr__": lambda _, name: getattr(np, name)})()
    dirty.empty = lambda shape, dtype: np.full(shape, 7, dtype)
    monkeypatch.setattr(chains, "np", dirty)
    np.testing.assert_array_equal(y.eval(nbg.Engine(jit="always", cache_dir=None)), [1024.0, 1024.0])


# -- calls that differ in words: each takes a slice of its own ------------------------------------------------------


def sliced(xp: Any, a: Any, rows: Any, places: Any, watch: Any = lambda x: None) -> Any:
    """Each step takes a row, and a window, that its number says."""
    x, total = xp.ones(3), 0.0
    for k, place in enumerate(places):
        x = xp.tanh(a @ x + rows[place] - xp.sum(rows[k : k + 2], axis=0) / 4)
        total = total + xp.sum(x * x)
        watch(total)
    return total


PLACES = {"in order": range(28), "shuffled": RNG.permutation(28).tolist()}


@pytest.mark.parametrize("places", PLACES)
@pytest.mark.parametrize("jit", ["never", "always"])
def test_slices_that_move_do_not_end_a_chain_or_a_run(jit: str, places: str, lengths: list[int]) -> None:
    engine = nbg.Engine(jit=jit, cache_dir=None)
    steps = PLACES[places]
    for watch in (lambda x: None, lambda x: x.eval(engine)):
        a, rows = T(A0), T(DATA)
        total = sliced(nbg, a, rows, steps, watch)
        gradients = total.grad([a, rows])
        assert any(type(part.call) is RepeatCall for part in gradients[0].call.inputs)
        value, *slopes = nbg.eval(total, *gradients, engine=engine)
        assert value == pytest.approx(sliced(np, A0, DATA, steps), rel=1e-13)
        for which, slope in enumerate(slopes):
            direction = RNG.standard_normal(slope.shape)
            moved = [[p + h * direction if k == which else p for k, p in enumerate((A0, DATA))] for h in (1e-6, -1e-6)]
            want = (sliced(np, *moved[0], steps) - sliced(np, *moved[1], steps)) / 2e-6
            assert np.sum(slope * direction) == pytest.approx(want, rel=1e-6)
    assert max(lengths) >= 27


def test_slices_that_grow_are_calls_of_their_own(lengths: list[int]) -> None:
    a, rows = T(A0), T(DATA)
    x = nbg.constant(np.ones(3))
    for k in range(20):
        x = nbg.tanh(a @ x + nbg.sum(rows[: k + 1], axis=0))
    plain = np.ones(3)
    for k in range(20):
        plain = np.tanh(A0 @ plain + DATA[: k + 1].sum(0))
    np.testing.assert_allclose(x.eval(nbg.Engine(jit="never")), plain, rtol=1e-12)
    assert not lengths


def test_temporaries_whose_size_differs_from_call_to_call_are_placed_for_each() -> None:
    """No operation needs it today: the code of one, made by hand."""
    shift = dim(("w", 0))
    temporaries = [Temporary(8 * shift, 0, 1), Temporary(dim_max(64, 16 * shift), 0, 1)]
    words = [("temporary", 0), ("temporary", 1), ("size", shift)]
    source = SimpleNamespace(words=words, temporaries=temporaries)
    code: Any = SimpleNamespace(machine=SimpleNamespace(source=source), words=(shift,), picks=(), n_inputs=0)
    code.program = SimpleNamespace(fragment=None)
    bound: Any = SimpleNamespace(env={("w", 0): 8}, out_types=[])
    apart, room = words_apart(code, bound, [(8,), (16,), (32,)], [0])
    assert apart == {0: [0, 0, 0], 1: [64, 128, 256], 2: [8, 16, 32]}
    assert room == 256 + 16 * 32


@pytest.mark.parametrize("jit", ["never", "always"])
@pytest.mark.parametrize("differentiable", [False, True])
def test_a_slice_that_every_step_takes_breaks_no_chain(jit: str, differentiable: bool, lengths: list[int]) -> None:
    """The calls that make the slices are younger than the chain's first call, and need nothing of it."""
    engine = nbg.Engine(jit=jit, cache_dir=None)
    a, data = T(A0), (T if differentiable else nbg.constant)(DATA)
    x, total = nbg.constant(np.ones(3)), 0.0
    for k in range(30):
        x, part = step(a, x, data[k])
        total = total + part
    gradients = total.grad([a, data] if differentiable else [a])
    value, *got = nbg.eval(total, *gradients, engine=engine)
    assert max(lengths) == 30
    assert any(type(step.call) is RepeatCall for step in _history(gradients[0]))
    assert value == pytest.approx(plain(A0), rel=1e-13)
    b = T(A0)
    np.testing.assert_allclose(got[0], loss_of(b).grad(b).eval(engine), rtol=1e-12)
    if differentiable:
        d = 1e-6 * RNG.standard_normal(DATA.shape)
        assert np.vdot(got[1], d) == pytest.approx((plain(A0, DATA + d) - plain(A0, DATA - d)) / 2, rel=1e-6)


def test_a_slice_that_needs_the_chain_comes_after_it(lengths: list[int]) -> None:
    """Operands that are made from earlier steps: the chain ends where they would be needed too early."""
    engine = nbg.Engine(jit="never")
    a, x, xs, want, wants = T(A0), nbg.constant(np.ones(3)), [], np.ones(3), []
    for k in range(40):
        y = xs[k - 12] * 0.5 if k >= 12 else DATA[k % 12]
        x, _ = step(a, x, y)
        xs.append(x)
        want = np.tanh(A0 @ want + (wants[k - 12] * 0.5 if k >= 12 else DATA[k % 12]))
        wants.append(want)
    np.testing.assert_allclose(x.eval(engine), want, rtol=1e-13)
    assert all(n < 40 for n in lengths)


def _history(node: Any) -> list[Any]:
    """Nodes that a node depends on, itself among them."""
    seen, waiting = {}, [node]
    while waiting:
        at = waiting.pop()
        if id(at) not in seen:
            seen[id(at)] = at
            waiting += at.inputs if at.op is not None else getattr(at.call, "inputs", ())
    return list(seen.values())


def test_a_call_of_another_chain_is_not_free(lengths: list[int]) -> None:
    """What makes the operands of a step's own begins chains itself, the newest of which is met first."""
    engine = nbg.Engine(jit="never")
    a, x, want, last = T(A0), nbg.constant(np.ones(3)), np.ones(3), []
    for k in range(12):
        first, _ = step(a, nbg.constant(DATA[k]), DATA[k])
        inner = first
        for _ in range(11):
            inner, _ = step(a, inner, DATA[k])
        x = other(a, x, first)
        want = np.sin(A0 @ want) + np.tanh(A0 @ DATA[k] + DATA[k])
        last.append(inner)
    kept = nbg.eval(x, *[step(a, v, DATA[0])[0] for v in last], engine=engine)
    np.testing.assert_allclose(kept[0], want, rtol=1e-13)
    assert max(lengths) >= 12


@nbg.jit
def other(a: Any, x: Any, y: Any) -> Any:
    return nbg.sin(a @ x) + y


@pytest.mark.parametrize("jit", ["never", "always"])
def test_a_loop_led_by_gradients_of_its_own_whose_values_are_known_in_part(jit: str) -> None:
    """Momentum: of the calls that the outer gradient goes through, some values are known when it runs, others not."""

    def descent(a: Any, b: Any, xp: Any) -> Any:
        x, v = b * 1.0, b * 0
        for _ in range(20):
            if xp is np:
                t = np.tanh(a @ x - b)
                slope = a.T @ (2 * t * (1 - t * t))
            else:
                slope = nbg.sum(nbg.tanh(a @ x - b) ** 2).grad(x)
            v = 0.9 * v - 0.05 * slope
            x = x + v
        return xp.sum(x * x)

    engine = nbg.Engine(jit=jit, cache_dir=None)
    for _ in range(2):
        a, b = T(A0), T(DATA[0])
        loss = descent(a, b, nbg)
        np.testing.assert_allclose(loss.eval(engine), descent(A0, DATA[0], np), rtol=1e-12)
        by_a, by_b = nbg.eval(*loss.grad([a, b]), engine=engine)
        along = RNG.random((3, 3)), RNG.random(3)
        want = np.imag(descent(A0 + 1e-30j * along[0], DATA[0] + 1e-30j * along[1], np)) / 1e-30
        np.testing.assert_allclose(np.sum(by_a * along[0]) + np.sum(by_b * along[1]), want, rtol=1e-11)
