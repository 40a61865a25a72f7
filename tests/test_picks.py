"""Slices that jitted steps are handed: values, derivatives of both orders, and how much is done for each."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pytest
from programs import derivative

import nbgraph as nbg
from nbgraph import derive
from nbgraph.picks import PickCall, PlaceCall

T = nbg.TracedTensor.from_tensor
RNG = np.random.default_rng(0)
XS, A = RNG.random((14, 3)), RNG.random((3, 3)) / 3
CUTS: dict[str, Any] = {
    "rows": lambda xs, k: xs[k],
    "columns": lambda xs, k: xs.T[:, k],
    "ranges": lambda xs, k: xs[k : k + 1][0] if k % 2 else xs[k],
    "backwards": lambda xs, k: xs[-1 - k, ::-1],
    "elements": lambda xs, k: xs[k, 1],
    "overlapping": lambda xs, k: xs[k // 3],
}


@nbg.jit
def step(a: Any, x: Any, y: Any) -> Any:
    return nbg.tanh(a @ x + y)


def trajectory(xs: Any, a: Any, cut: Any, xp: Any, evals: int = 0, engine: Any = None) -> Any:
    x = xp.zeros(3)
    for k in range(len(XS)):
        y = cut(xs, k)
        x = step(a, x, y) if xp is nbg else np.tanh(a @ x + y)
        if evals and xp is nbg and k % evals == 0:
            x.eval(engine)
    return xp.sum(x**2)


@pytest.mark.parametrize("cut", CUTS)
@pytest.mark.parametrize(("made", "evals"), [("leaf", 0), ("leaf", 2), ("computed", 0), ("evaluated", 1)])
def test_gradients_by_the_whole_are_those_of_the_loop(cut: str, made: str, evals: int) -> None:
    engine = nbg.Engine(jit="never")

    def first(xs: Any) -> Any:
        whole = xs if made == "leaf" else xs * 2.0 - xs
        if made == "evaluated":
            whole.eval(engine)
        return trajectory(whole, A, CUTS[cut], nbg, evals, engine)

    xs = T(XS)
    gradient = first(xs).grad(xs)
    along = RNG.random(XS.shape)
    got = nbg.sum(gradient * along)
    want = derivative(lambda t: float(trajectory(XS + t * along, A, CUTS[cut], np)))
    assert float(got.eval(engine)) == pytest.approx(want, rel=1e-6)
    want = derivative(lambda t: float(nbg.sum(nbg.grad(first)(XS + t * along) * along).eval(engine)))
    assert float(nbg.sum(got.grad(xs) * along).eval(engine)) == pytest.approx(want, rel=1e-5)
    tangent = nbg.jvp(lambda z: nbg.grad(first)(z), (XS,), (along,))[1]
    assert float(nbg.sum(tangent * along).eval(engine)) == pytest.approx(want, rel=1e-5)


def test_with_machine_code() -> None:
    engine = nbg.Engine(jit="always", cache_dir=None)
    xs, a = T(XS), T(A)
    by, by_a = nbg.eval(*trajectory(xs, a, CUTS["rows"], nbg).grad([xs, a]), engine=engine)
    for got, which in ((by, 0), (by_a, 1)):
        along = RNG.random(got.shape)

        def moved(t: float, along: Any = along, which: int = which) -> float:
            return float(
                trajectory(*(x + t * along if k == which else x for k, x in enumerate((XS, A))), CUTS["rows"], np)
            )

        assert float(np.sum(got * along)) == pytest.approx(derivative(moved), rel=1e-6)


def test_all_slices_of_a_node_are_one_call_and_so_are_their_cotangents(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[Any] = []
    monkeypatch.setattr(derive.picks, "PlaceCall", lambda *args: made.append(PlaceCall(*args)) or made[-1])
    xs = T(XS)
    parts = [xs[k] for k in range(14)]
    x = nbg.zeros(3)
    for y in parts:
        x = step(A, x, y)
    assert {type(p.call) for p in parts} == {PickCall} and len({id(p.call) for p in parts}) == 1
    gradient = nbg.sum(x).grad(xs)
    assert len(made) == 1 and len(made[0].inputs) == 14
    engine = nbg.Engine(jit="never")
    gradient.eval(engine)
    assert engine.stats().operations < 14 * 12


def test_a_slice_of_a_constant_is_a_constant() -> None:
    ys = nbg.constant(XS)
    y = ys[3]
    x = step(T(A), nbg.zeros(3), y)
    assert y.call is None and y.op is None
    np.testing.assert_array_equal(y.eval(), XS[3])
    assert not y.eval().flags.writeable and x.active


def test_equal_slices_are_told_apart_and_the_whole_gets_both() -> None:
    xs = T(XS)
    first, second = xs[2], xs[2]
    x = step(A, step(A, nbg.zeros(3), first), second)
    by_first, by_second, by_all = nbg.eval(*nbg.sum(x).grad([first, second, xs]))
    np.testing.assert_allclose(by_all[2], by_first + by_second, rtol=1e-14)
    assert np.abs(by_first - by_second).max() > 1e-3
    tangent = nbg.sum(x).jvp(first, np.ones(3))
    np.testing.assert_allclose(tangent.eval(), by_first.sum(), rtol=1e-12)


def test_pickles_checkpoints_and_what_is_dropped() -> None:
    xs = T(XS)
    loss = trajectory(xs, A, CUTS["rows"], nbg)
    want = loss.grad(xs)
    again, ys = pickle.loads(pickle.dumps((trajectory(xs, A, CUTS["rows"], nbg), xs)))
    np.testing.assert_allclose(again.grad(ys).eval(), want.eval(), rtol=1e-13)
    unevaluated = pickle.loads(pickle.dumps(loss.grad(xs)))
    np.testing.assert_allclose(unevaluated.eval(), want.eval(), rtol=1e-13)
    inside = nbg.checkpoint(lambda z: trajectory(z, A, CUTS["rows"], nbg))
    np.testing.assert_allclose(inside(xs).grad(xs).eval(), want.eval(), rtol=1e-12)
    computed = nbg.constant(XS) * 1.0  # no leaf reaches it: its slices forget it once they have values
    part = computed[1]
    step(A, nbg.zeros(3), part).eval()
    assert part.eval() == pytest.approx(XS[1]) and not isinstance(part.call, PickCall)


def test_slices_inside_a_jitted_function_and_of_its_gradient() -> None:
    @nbg.jit
    def whole(xs: Any) -> Any:
        return trajectory(xs, A, CUTS["rows"], nbg)

    xs = T(XS)
    want = trajectory(xs, A, CUTS["rows"], nbg).grad(xs).eval()
    np.testing.assert_allclose(whole(xs).grad(xs).eval(), want, rtol=1e-12)
    inner = nbg.jit(lambda z: nbg.grad(lambda y: trajectory(y, A, CUTS["rows"], nbg))(z)[2])
    np.testing.assert_allclose(inner(xs).eval(), want[2], rtol=1e-12)
