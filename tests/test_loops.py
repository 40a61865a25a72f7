"""Loops of jitted calls that are recorded as one.

The law: whatever a program of jitted steps does, values and derivatives are those of the same program recorded one
operation at a time. Then, by counting, that such loops are one object while they can be, and calls again where not.
"""

from __future__ import annotations

import gc
import pickle
import sys
import weakref
from collections.abc import Callable
from threading import Thread
from typing import Any

import numpy as np
import pytest

import nbgraph as nbg
from nbgraph import loops, path
from nbgraph.calls import FragmentCall
from nbgraph.engine import schedule
from nbgraph.loops import AFTER, LoopCall
from nbgraph.repeats import SHORTEST
from nbgraph.trace import RECORDING

T = nbg.TracedTensor.from_tensor
PLAIN: Callable[[Any], Any] = lambda f: f  # noqa: E731
K = 100


def step(a: Any, x: Any, y: Any) -> Any:
    x = nbg.tanh(a @ x + y)
    return x, (x * x).sum()


def loop(f: Any, a: Any, x: Any, ys: Any) -> Any:
    """The states and the losses."""
    states, losses = [], []
    for y in ys:
        x, loss = f(a, x, y)
        states.append(x)
        losses.append(loss)
    return states, losses


def start(seed: int = 0, n: int = 3) -> Any:
    rng = np.random.default_rng(seed)
    return T(rng.standard_normal((n, n)) / 2), T(rng.standard_normal(n)), rng.standard_normal((K, n))


def total(losses: Any) -> Any:
    made = 0.0
    for loss in losses:
        made = made + loss
    return made


# -- the law ----------------------------------------------------------------------------------------------------------


class Program:
    """What a loop does, drawn at random; `run` gives values and derivatives."""

    def __init__(self, rng: np.random.Generator) -> None:
        pick = lambda *things: things[rng.integers(0, len(things))]  # noqa: E731
        self.n, self.length, self.states = pick(1, 3), pick(5, 9, 10, 16, 17, 20, 33), pick(1, 1, 2, 3)
        self.own = pick("nothing", "array", "leaf", "slice", "number", "product", "captured")
        self.kind = pick("plain", "plain", "branch", "two", "detour", "change")
        self.evals = pick("none", "none", "none", "total", "state", "once", "last")
        self.loss = pick("total", "total", "two totals", "weighted", "twice", "some", "last", "stack", "both", "part")
        self.order = pick("first", "first", "eval first", "twice", "second", "forward", "pickled")
        self.active, self.inside, self.apart = rng.random() < 0.5, rng.random() < 0.2, rng.random() < 0.3
        self.seed = int(rng.integers(0, 1000))

    def __repr__(self) -> str:
        return f"Program({vars(self)})"

    def step(self, a: Any, b: Any, y: Any, *x: Any) -> Any:
        out = []
        for k in range(len(x)):
            z = a @ x[k] + b + 0.3 * x[k - 1]
            out.append(nbg.tanh(z if y is None else z * self.captured + y))
        return (*out, (out[0] * out[0]).sum(), (out[-1] * b).sum())

    def run(self, wrap: Any, engine: Any) -> list[Any]:
        rng, n = np.random.default_rng(self.seed), self.n
        a, b, slices = T(rng.standard_normal((n, n)) * 0.4), T(rng.standard_normal(n)), T(rng.random((self.length, n)))
        arrays, leaves = rng.standard_normal((self.length, n)), [T(v) for v in rng.random((self.length, n))]
        self.captured = T(rng.random(n)) if self.own == "captured" else 1.0
        x: Any = [(T if self.active else nbg.constant)(v) for v in rng.standard_normal((self.states, n))]
        wrt = [a, b, slices, leaves[2], *x, *([self.captured] if self.own == "captured" else [])]
        f, g = wrap(self.step), wrap(lambda a, z: nbg.sin(a @ z))
        z = b
        states: list[Any] = []
        losses: list[Any] = []
        sum_, part = 0.0, None
        for k in range(self.length):
            own = {"array": arrays[k], "leaf": leaves[k], "slice": slices[k], "number": 0.1 * k, "captured": arrays[k]}
            y = leaves[k] * 2.0 if self.own == "product" else own.get(self.own)
            if self.kind == "branch" and k % 11 == 10:
                x = states[-4]
            if self.kind == "detour" and k == self.length // 2:
                z = f(a, b, y, *x)[0]
            *x, loss, other = f(a, b, y, *x)
            if self.kind == "two":
                z = g(a, z + x[0])
            if self.kind == "change" and k == self.length // 3:
                x[0] = x[0] * 1.5
            states.append(x)
            losses.append(loss)
            sum_ = self._add(sum_, loss, other, k)
            part = sum_ if k == self.length // 2 else part
            self._evaluate(k, sum_, x, engine)
        loss = self._loss(sum_, part, states, losses, b)
        loss = loss + (z * z).sum() if self.kind in ("two", "detour") else loss
        return self._derivatives(loss, [*wrt, *([states[-3][0]] if self.inside else [])], states, engine)

    def _add(self, sum_: Any, loss: Any, other: Any, k: int) -> Any:
        if self.loss == "some" and k % 2:
            return sum_
        sum_ = sum_ + (loss * (0.5 + k) if self.loss == "weighted" else loss)
        return sum_ + {"two totals": other, "twice": loss}[self.loss] if self.loss in ("two totals", "twice") else sum_

    def _evaluate(self, k: int, sum_: Any, x: Any, engine: Any) -> None:
        if self.evals == "total" and k % 3 == 2:
            sum_.eval(engine)
        if (self.evals == "state" and k % 7 == 6) or (self.evals == "once" and k == self.length - 4):
            x[-1].eval(engine)
        if self.evals == "last" and k == self.length - 1:
            x[0].eval(engine)

    def _loss(self, sum_: Any, part: Any, states: Any, losses: Any, b: Any) -> Any:
        if self.loss == "last":
            return losses[-1] + (states[-1][-1] * b).sum()
        if self.loss == "stack":
            return (nbg.stack([x[0] for x in states]) ** 2).sum()
        if self.loss == "both":
            return sum_ + total([x[0][0] for x in states])
        return sum_ + part * part if self.loss == "part" else sum_

    def _derivatives(self, loss: Any, wrt: Any, states: Any, engine: Any) -> list[Any]:
        if self.order == "pickled":
            loss, wrt, states = pickle.loads(pickle.dumps((loss, wrt, states)))
        wrt = [w for w in wrt if w.active]
        found = [loss.eval(engine)] if self.order == "eval first" else []
        if self.order == "forward":
            tangent = loss.jvp([wrt[0]], [np.ones(wrt[0].shape)])
            found.append((tangent[0] if isinstance(tangent, (list, tuple)) else tangent).eval(engine))
        gradient = loss.grad(wrt, allow_unused=True)
        if self.order == "second":
            found += nbg.eval(*total([(g * g).sum() for g in gradient]).grad(wrt, allow_unused=True), engine=engine)
        if self.order == "twice":
            found.append(loss.grad(wrt[0], allow_unused=True).eval(engine))
        if self.apart:
            found += [g.eval(engine) for g in gradient]
        else:
            found += nbg.eval(loss, *gradient, engine=engine)
        return [np.array(v) for v in (*found, loss.eval(engine), states[-1][-1].eval(engine))]


@pytest.fixture
def short_ones_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """Loops of the fewest rows stay loops."""
    for module in (loops, path, schedule, sys.modules["nbgraph.totals"]):
        monkeypatch.setattr(module, "LONG", SHORTEST)


def check(seed: int, engine: Any) -> None:
    program = Program(np.random.default_rng(seed))
    found, wanted = program.run(nbg.jit, engine), program.run(PLAIN, nbg.Engine(jit="never"))
    for got, right in zip(found, wanted, strict=True):
        np.testing.assert_allclose(got, right, rtol=1e-9, atol=1e-10, err_msg=repr(program))


@pytest.mark.parametrize("seed", range(25))
def test_a_loop_is_what_its_calls_are(seed: int, short_ones_too: None) -> None:
    check(seed, nbg.Engine(jit="never"))


@pytest.mark.parametrize("seed", [11])
def test_a_loop_is_what_its_calls_are_compiled(seed: int, short_ones_too: None) -> None:
    check(seed, nbg.Engine(jit="always", cache_dir=None))


# -- one object -------------------------------------------------------------------------------------------------------


def calls_of(nodes: Any) -> list[Any]:
    return list({id(n.call): n.call for n in nodes}.values())


def test_calls_without_an_eval_are_one_loop() -> None:
    a, x, ys = start()
    states, losses = loop(nbg.jit(step), a, x, ys)
    calls = calls_of(states)
    assert [type(c) for c in calls] == [FragmentCall] * (AFTER) + [LoopCall]
    assert calls[-1].n == K - AFTER
    assert calls_of(losses) == calls
    gradient = total(losses).grad(a)
    nbg.eval(total(losses), gradient, engine=nbg.Engine(jit="never"))
    assert states[-1].call is calls[-1]  # and it stays one


def test_a_state_that_nobody_holds_is_gone() -> None:
    f = nbg.jit(step)
    a, x, ys = start()
    gone = []
    for y in ys:
        x, _ = f(a, x, y)
        gone.append(weakref.ref(x))
    del _
    assert sum(r() is not None for r in gone) == AFTER + 1  # those of the first calls, and the last


@pytest.mark.parametrize("evaluated", [False, True])
def test_a_loop_is_freed_with_its_last_value(evaluated: bool) -> None:
    a, x, ys = start()
    gc.disable()
    try:
        states, losses = loop(nbg.jit(step), a, x, ys)
        if evaluated:
            nbg.eval(total(losses), total(losses).grad(a), engine=nbg.Engine(jit="never"))
        gone = weakref.ref(states[-1].call)
        del states, losses
        assert gone() is None
    finally:
        gc.enable()


def test_a_second_derivative_takes_it_apart() -> None:
    a, x, ys = start()
    states, losses = loop(nbg.jit(step), a, x, ys)
    g = total(losses).grad(a)
    h = (g * g).sum().grad(a)
    assert {type(s.call) for s in states} == {FragmentCall}
    states, losses = loop(step, a, x, ys)
    g = total(losses).grad(a)
    engine = nbg.Engine(jit="never")
    np.testing.assert_allclose(h.eval(engine), (g * g).sum().grad(a).eval(engine), rtol=1e-10)


def test_another_length_compiles_nothing() -> None:
    engine = nbg.Engine(jit="always", cache_dir=None)
    f = nbg.jit(step)

    def run(k: int) -> int:
        a, x, ys = start()
        loss = total(loop(f, a, x, ys[:k])[1])
        nbg.eval(loss, loss.grad(a), engine=engine)
        return engine.stats().compiled

    run(K)
    assert run(K - 3) == run(K - 7) == run(K)


def test_a_function_that_is_made_again_goes_on_in_no_loop_of_another() -> None:
    a, x, ys = start()
    x1, _ = loop(nbg.jit(step), a, x, ys[:15])
    f = nbg.jit(lambda a, x, y: (step(a, x, y)[0], step(a, x, y)[0].sum()))
    x2, losses = loop(f, a, x1[-1], ys[15:])
    wanted, _ = loop(step, a, x, ys)
    engine = nbg.Engine(jit="never")
    np.testing.assert_allclose(x2[-1].eval(engine), wanted[-1].eval(engine), rtol=1e-12)
    np.testing.assert_allclose(losses[-1].eval(engine), wanted[-1].eval(engine).sum(), rtol=1e-12)


@pytest.mark.parametrize("gradient_first", [False, True])
def test_losses_that_are_kept_and_their_total(gradient_first: bool) -> None:
    engine = nbg.Engine(jit="never")
    a, x, ys = start()
    _, losses = loop(nbg.jit(step), a, x, ys)
    whole = total(losses)
    if gradient_first:
        whole.grad(a).eval(engine)
    _, wanted = loop(step, a, x, ys)
    np.testing.assert_allclose(whole.eval(engine), total(wanted).eval(engine), rtol=1e-12)
    for got, right in zip(nbg.eval(*losses, engine=engine), nbg.eval(*wanted, engine=engine), strict=True):
        np.testing.assert_allclose(got, right, rtol=1e-12)


@pytest.mark.parametrize("state", [False, True])
@pytest.mark.parametrize("which", [-1, -2, 40])
def test_a_loss_that_counts_more_than_the_others(which: int, state: bool) -> None:
    def gradient(f: Any) -> Any:
        a, x, ys = start()
        states, losses = loop(f, a, x, ys)
        whole = total(losses) + 3.0 * losses[which]
        whole = whole + states[-1].sum() if state else whole
        return nbg.eval(whole, *whole.grad([a, x]), engine=nbg.Engine(jit="never"))

    for got, right in zip(gradient(nbg.jit(step)), gradient(step), strict=True):
        np.testing.assert_allclose(got, right, rtol=1e-10)


@pytest.mark.parametrize("dtype", ["int32", "float32", "complex64", "bool"])
def test_a_total_has_the_dtype_of_its_terms(dtype: str) -> None:
    f = nbg.jit(lambda x: (nbg.flip(x), x[0] + x[1]))
    x: Any = nbg.constant(np.array([1, 2], dtype))
    whole: Any = nbg.constant(np.array(0, dtype))
    for _ in range(K):
        x, term = f(x)
        whole = whole + term
    wanted = np.array(True if dtype == "bool" else 3 * K, dtype)
    got = whole.eval(nbg.Engine(jit="never"))
    assert got.dtype == wanted.dtype
    assert got == wanted


# -- totals -----------------------------------------------------------------------------------------------------------


def test_a_total_is_one_call_whatever_its_length() -> None:
    engine = nbg.Engine(jit="always", cache_dir=None)
    x = T(2.0)
    terms = [(x * float(k)).eval(engine) is not None and x * float(k) for k in range(40)]
    for t in terms:
        t.eval(engine)
    nbg.eval(total(terms), total(terms).grad(x), engine=engine)
    before = engine.stats().compiled
    for n in (39, 25, 12):
        made = total(terms[:n])
        assert made.eval(engine) == sum(2.0 * k for k in range(n))
        assert made.grad(x).eval(engine) == sum(range(n))
    assert engine.stats().compiled == before


@pytest.mark.parametrize("together", [False, True])
def test_a_total_that_no_leaf_reaches_forgets_its_terms(together: bool) -> None:
    x = nbg.constant(2.0)
    terms = [x * float(k) for k in range(20)]
    nbg.eval(*terms)
    gone = [weakref.ref(t) for t in terms]
    whole = total(terms)
    del terms
    nbg.eval(whole, x * 2.0) if together else whole.eval()
    assert [r() for r in gone] == [None] * 20
    assert whole.eval() == 380.0


def test_a_total_that_somebody_holds_in_the_middle() -> None:
    x = T(3.0)
    terms = [x * float(k) for k in range(30)]
    nbg.eval(*terms)
    first = total(terms[:14])
    whole = first
    for t in terms[14:]:
        whole = whole + t
    assert [float(v) for v in nbg.eval(whole, first, whole.grad(x))] == [3.0 * 435, 3.0 * 91, 435.0]


# -- threads and interrupts -------------------------------------------------------------------------------------------


def test_rows_added_from_several_threads() -> None:
    """Each thread goes on from the same state: one adds rows, the others record calls of their own."""
    f, engine = nbg.jit(step), nbg.Engine(jit="never")
    a, x, ys = start()
    states, _ = loop(f, a, x, ys[:12])
    found: dict[int, Any] = {}

    def work(k: int) -> None:
        mine, losses = loop(f, a, states[-1], ys[12:] + k)
        found[k] = nbg.eval(mine[-1], total(losses).grad(a), engine=engine)

    threads = [Thread(target=work, args=(k,)) for k in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    for k, got in found.items():
        before, _ = loop(step, a, x, ys[:12])
        mine, losses = loop(step, a, before[-1], ys[12:] + k)
        for g, w in zip(got, nbg.eval(mine[-1], total(losses).grad(a), engine=engine), strict=True):
            np.testing.assert_allclose(g, w, rtol=1e-10)
    assert len(found) == 4


def test_a_row_that_was_interrupted_ends_the_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    f, engine = nbg.jit(step), nbg.Engine(jit="never")
    a, x, ys = start()
    states, _ = loop(f, a, x, ys[:15])

    def interrupted(*args: Any) -> Any:
        raise KeyboardInterrupt

    monkeypatch.setattr(RECORDING, "result", interrupted)
    with pytest.raises(KeyboardInterrupt):
        f(a, states[-1], ys[15])
    monkeypatch.undo()
    more, _ = loop(f, a, states[-1], ys[15:])
    wanted, _ = loop(step, a, x, ys)
    np.testing.assert_allclose(more[-1].eval(engine), wanted[-1].eval(engine), rtol=1e-12)
    np.testing.assert_allclose(more[-1].sum().grad(a).eval(engine), wanted[-1].sum().grad(a).eval(engine), rtol=1e-10)


def test_a_checkpoint_adds_no_rows_to_a_loop_outside_it() -> None:
    f, engine = nbg.jit(step), nbg.Engine(jit="never")
    a, x, ys = start()
    states, _ = loop(f, a, x, ys[:15])
    rows = states[-1].call
    inside = nbg.checkpoint(lambda w: f(a, states[-1], ys[15])[1] * w)
    part = inside(T(2.0))
    assert rows.n == 15 - AFTER
    loss = part + f(a, states[-1], ys[15])[1]
    assert rows.n == 16 - AFTER
    before, _ = loop(step, a, x, ys[:15])
    wanted = 3.0 * step(a, before[-1], ys[15])[1]
    for g, w in zip(nbg.eval(loss, loss.grad(a)), nbg.eval(wanted, wanted.grad(a), engine=engine), strict=True):
        np.testing.assert_allclose(g, w, rtol=1e-10)
