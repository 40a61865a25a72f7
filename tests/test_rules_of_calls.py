"""The rules of the design on calls and their history, by number: 3, 8, 9, 10 (jit) and 11 (bodies that grow)."""

from __future__ import annotations

import gc
import random
import sys
import weakref
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from programs import derivative, inner
from sealing import NEVER, T, equal, iterate, start

import nbgraph as nbg
from nbgraph import derive, seal
from nbgraph.calls import RepeatCall
from nbgraph.graph import fragments_of
from nbgraph.roll import _bounds as bounds_of
from nbgraph.roll import _Words as Words
from nbgraph.roll import cut as roll_cut

# -- 3: calls stay flat -----------------------------------------------------------------------------------------------


def test_rule_03_a_loop_is_one_fragment_many_calls() -> None:
    x, p = start()
    y = iterate(x, p, 50, NEVER)
    found = fragments_of(y)
    assert len(found) == 50
    assert len(set(found)) == 1
    backward = fragments_of(y.sum().grad(p))
    assert len(set(backward)) < 8
    assert max(len(f.instrs) for f in backward) < 30


def test_rule_03_a_loop_without_an_eval_is_rolled() -> None:
    x, p = start()
    found = fragments_of(iterate(x, p, 400))
    assert len(set(found)) <= 4
    assert max(len(f.instrs) for f in found) <= 100


def test_rule_03_two_alternating_bodies() -> None:
    x, p = start()
    for _ in range(100):
        x = nbg.tanh(x @ p)
        x = nbg.sin(x * 0.5) @ p.T
    assert len(set(fragments_of(x))) <= 4


def test_rule_03_nested_loops() -> None:
    x0, p0 = (t.eval() for t in start())

    def run(xp: Any, x: Any, p: Any) -> Any:
        for i in range(6):
            for _ in range(5):
                x = xp.tanh(x @ p) + x * 0.4
            for _ in range(7):
                x = xp.sin(x) * ((i + 1) / 3) + xp.cos(p[0])
        return xp.sum(x * x)

    p = T(p0)
    loss = run(nbg, T(x0), p)
    assert sum(len(f.instrs) for f in fragments_of(loss)) < 500
    g = loss.grad(p).eval(NEVER)
    equal(loss.eval(NEVER), run(np, x0, p0))
    d = np.cos(np.arange(9.0)).reshape(3, 3)
    assert inner(g, d) == pytest.approx(derivative(lambda t: float(run(np, x0, p0 + t * d))), rel=1e-7)


def repeats_below(node: Any) -> int:
    """How many runs of calls are pulled back as one."""
    waiting, met = [node], {}
    while waiting:
        call = waiting.pop().call
        if id(call) not in met:
            met[id(call)] = call
            waiting += getattr(call, "inputs", ())
    return sum(type(call) is RepeatCall for call in met.values())


def inner_of_the_state(xp: Any, x: Any, p: Any, xs: Any, outer: int, inner: int) -> Any:
    for _ in range(outer):
        y = x
        for _ in range(inner):
            y = xp.tanh(y @ p) + y * 0.4
        x = xp.sin(y) * 0.5 + x @ p.T
    return xp.sum(x * x)


def inner_takes_the_outer(xp: Any, x: Any, p: Any, xs: Any, outer: int, inner: int) -> Any:
    for _ in range(outer):
        g = x * x
        for _ in range(inner):
            x = xp.tanh(x @ p) + g * 0.1
    return xp.sum(x * x)


def inner_starts_from_a_slice(xp: Any, x: Any, p: Any, xs: Any, outer: int, inner: int) -> Any:
    for k in range(outer):
        y = xs[k]
        for _ in range(inner):
            y = xp.tanh(y @ p + x)
        x = y * 0.5 + x
    return xp.sum(x * x)


def three_deep(xp: Any, x: Any, p: Any, xs: Any, outer: int, inner: int) -> Any:
    for _ in range(outer):
        for _ in range(3):
            for _ in range(inner):
                x = xp.tanh(x @ p)
            x = xp.cos(x @ p)
        x = xp.sin(x @ p.T)
    return xp.sum(x * x)


@pytest.mark.parametrize("f", [inner_of_the_state, inner_takes_the_outer, inner_starts_from_a_slice, three_deep])
def test_rule_03_fragments_of_loops_in_loops_depend_on_neither_count(f) -> None:
    (x0, p0), xs = (t.eval() for t in start()), np.cos(np.arange(60.0)).reshape(20, 3)
    found = {}
    for outer, steps in ((6, 33), (9, 33), (6, 50), (6, 90)):
        p = T(p0)
        loss = f(nbg, T(x0), p, nbg.constant(xs), outer, steps)
        forward = fragments_of(loss)
        g = loss.grad(p)
        backward = fragments_of(g)
        found[outer, steps] = len({*forward, *backward})
        assert max(len(fragment.instrs) for fragment in {*forward, *backward}) <= 64
        assert repeats_below(g) >= outer - 1  # what is inside is pulled back at once
    assert len(set(found.values())) <= 2
    assert max(found.values()) <= 14, found
    g = g.eval(NEVER)
    equal(loss.eval(NEVER), f(np, x0, p0, xs, 6, 90))
    d = np.cos(np.arange(9.0)).reshape(3, 3)
    slope = derivative(lambda t: float(f(np, x0, p0 + t * d, xs, 6, 90)))
    assert inner(g, d) == pytest.approx(slope, rel=1e-6, abs=1e-12)


def test_rule_03_a_program_of_a_loop_in_a_loop_is_printed_as_such() -> None:
    x, p = start()
    loss = inner_of_the_state(nbg, x, p, None, 5, 40)
    text = str(NEVER.compile([loss, loss.grad(p)], [x, p]))
    assert "repeat 5:\n  repeat 40: call program 0\n  call program 1\n" in text
    assert text.count("repeat 40") <= 3
    assert len(text.splitlines()) < 150


def nest(rng: random.Random, depth: int) -> list[int]:
    """Random loops in loops, as words."""
    words: list[int] = []
    for _ in range(rng.randint(1, 4)):
        if depth and rng.random() < 0.6:
            words += nest(rng, depth - 1) * rng.randint(1, 9)
        else:
            words += [rng.randint(0, 3) for _ in range(rng.randint(1, 5))]
    return words


def test_rule_03_cuts_are_in_order() -> None:
    for seed in range(200):
        operations: dict[Any, Any] = {}
        named = [operations.setdefault(word, SimpleNamespace()) for word in nest(random.Random(seed), 3)[:600]]
        region: Any = [SimpleNamespace(op=op, inputs=()) for op in named]
        bounds, repeating = bounds_of(region, Words(region), False)
        assert bounds == sorted(set(bounds)), seed
        assert all(0 < b < len(region) for b in bounds), seed
        assert 0 <= repeating <= len(region), seed


def pieces(count: int, engine: Any) -> list[Any]:
    """The fragments of three pieces of a loop, the last one incomplete, and of a region that goes on with it."""
    x, p = start()
    for steps in (count, count, count - 1):
        x = iterate(x, p, steps)
        nbg.eval(x, (x * x).sum(), engine=engine)
    return fragments_of(iterate(x * 2, p, 2))


def test_rule_03_a_region_of_known_structure_is_not_cut_again(monkeypatch) -> None:
    cuts = []
    monkeypatch.setattr(seal, "cut", lambda region: cuts.append(len(region)) or roll_cut(region))
    wanted = {}
    for count in (2, 3, 40):
        seal._TILINGS.clear()
        cuts.clear()
        wanted[count] = pieces(count, NEVER)
        first = len(cuts)
        assert first
        assert pieces(count, NEVER) == wanted[count]
        assert len(cuts) == first, count
    for count in (40, 2, 3):  # what was remembered of other regions changes nothing
        assert pieces(count, NEVER) == wanted[count]


def test_rule_03_what_tilings_hold_is_bounded(monkeypatch) -> None:
    known = seal._Tilings()
    monkeypatch.setattr(seal, "_TILINGS", known)
    monkeypatch.setattr(seal._Tilings, "LIMIT", 500)
    (x, p), found = start(), []
    for count in (30, 31, 32, 33, 200):
        found.append(iterate(x, p, count).eval(NEVER))
        assert sum(len(tiling.spare) for tiling in known.values()) == known.operations <= 500
    state, matrix = (t.eval() for t in start())
    for _ in range(200):
        state = np.tanh(state @ matrix) + state * 0.5
    equal(found[-1], state)


# -- 8: old history is not walked -------------------------------------------------------------------------------------


def test_rule_08_an_optimiser_loop_costs_the_same_at_every_step(monkeypatch) -> None:
    seen: list[int] = []
    walk = derive.Path._calls

    def counted(self: Any, outputs: Any) -> Any:
        found = walk(self, outputs)
        seen.append(len(found))
        return found

    monkeypatch.setattr(derive.Path, "_calls", counted)
    engine = nbg.Engine(jit="never")
    x, w = T([1.0, 2.0, 3.0]), T([0.1, 0.2, 0.3])
    operations = []
    for _ in range(30):
        y = nbg.tanh(w * x)
        y.eval(engine)
        loss = nbg.sum((y - 0.5) ** 2)
        w = w - 0.1 * loss.grad(w)
        w.eval(engine)
        operations.append(engine.stats().operations)
    assert len(set(seen[2:])) == 1
    steps = np.diff(operations)
    assert len(set(steps[2:])) == 1


def test_rule_08_the_optimiser_can_be_differentiated() -> None:
    """By what it started from, through all steps: the history that a step does not walk is still there."""

    def run(xp: Any, w: Any, rate: Any, step: Any) -> Any:
        for _ in range(8):
            w = step(xp, w, rate)
        return xp.sum(w * w)

    def library_step(xp: Any, w: Any, rate: Any) -> Any:
        w = w - rate * nbg.sum(nbg.sin(w) * w).grad(w)
        w.eval(NEVER)
        return w

    def numpy_step(xp: Any, w: Any, rate: Any) -> Any:
        return w - rate * (np.cos(w) * w + np.sin(w))

    w0, rate = np.array([0.4, 1.0, -0.7]), T(0.1)
    w = T(w0)
    loss = run(nbg, w, rate, library_step)
    equal(loss.eval(NEVER), run(np, w0, 0.1, numpy_step))
    assert float(loss.grad(rate)) == pytest.approx(derivative(lambda t: run(np, w0, 0.1 + t, numpy_step)), rel=1e-8)
    d = np.array([0.3, -1.0, 0.5])
    difference = derivative(lambda t: run(np, w0 + t * d, 0.1, numpy_step))
    assert inner(loss.grad(w).eval(NEVER), d) == pytest.approx(difference, rel=1e-8)


def test_rule_08_dropped_states_are_freed() -> None:
    """With nothing differentiable, history goes, and the values that were passed over with it."""
    x, p = nbg.constant(np.ones(3)), nbg.constant(np.eye(3))
    references = []
    for _ in range(20):
        x = nbg.tanh(x @ p) + x * 0.5
        references.append(weakref.ref(x))
        x.eval(NEVER)
    gc.collect()
    assert sum(r() is not None for r in references) == 1


# -- 9: dropped history raises ----------------------------------------------------------------------------------------


def test_rule_09_dropped_history_raises_and_says_where() -> None:
    c, a = nbg.constant([1.0, 2.0]), T([2.0, 3.0])
    other = c * 3
    y = nbg.sin(c * 2)
    y.eval(NEVER)
    loss = (y * a).sum()
    equal(loss.grad(a).eval(NEVER), np.sin([2.0, 4.0]))
    with pytest.raises(nbg.DifferentiationError):
        loss.grad(c)
    with pytest.raises(nbg.DifferentiationError, match=r"(?s)dropped.*test_rules"):
        loss.jvp(other, [1.0, 1.0])


# -- 10: closures -----------------------------------------------------------------------------------------------------


def test_rule_10_gradients_flow_into_captured_tensors() -> None:
    outside = T([2.0, 3.0])
    for evaluated in (False, True):
        captured = outside * outside
        if evaluated:
            captured.eval(NEVER)
        g = nbg.grad(lambda x, captured=captured: (nbg.sin(x) * captured).sum())(np.array([0.5, 1.0]))
        equal(g.eval(NEVER), np.cos([0.5, 1.0]) * [4.0, 9.0])
        equal(g.sum().grad(outside).eval(NEVER), np.cos([0.5, 1.0]) * [4.0, 6.0])


# -- 11: growing bodies -----------------------------------------------------------------------------------------------


def test_rule_11_growing_bodies_are_right() -> None:
    """Gram-Schmidt: every step uses all vectors before it."""
    rng = np.random.default_rng(0)
    given = rng.uniform(-1, 1, (6, 6))
    a = T(given)
    basis: list[Any] = []
    for k in range(6):
        v = a[k]
        for b in basis:
            v = v - nbg.dot(b, v) * b
        v = v / nbg.linalg.norm(v)
        v.eval(NEVER)
        basis.append(v)
    q = nbg.stack(basis)
    equal((q @ q.T).eval(NEVER), np.eye(6), 1e-9)
    equal(nbg.sum(q @ q.T).grad(a).eval(NEVER), np.zeros((6, 6)))


def test_where_a_long_period_begins_is_found_without_looking_at_it_from_every_place(monkeypatch) -> None:
    """Belief propagation on a ring: in a round many operations come several times, with other operands."""
    roll = sys.modules["nbgraph.roll"]  # `nbgraph.roll` is the function of NumPy's name
    looked, plain = [], roll._beginnings
    monkeypatch.setattr(roll, "_beginnings", lambda *args: looked.append(args[2]) or plain(*args))
    engine = nbg.Engine(jit="never", cache_dir=None)
    fields, couplings = T(np.linspace(0.1, 0.5, 10).reshape(5, 2)), T(np.linspace(-0.5, 0.5, 5))
    messages = {(i, (i + way) % 5): nbg.constant(np.zeros(2)) for i in range(5) for way in (1, -1)}
    for _ in range(8):
        sent = {}
        for i, j in messages:
            arrived = fields[i] + messages[(2 * i - j) % 5, i]
            energies = arrived[:, None] + couplings[min(i, j)] * np.array([[1.0, -1.0], [-1.0, 1.0]])
            sent[i, j] = nbg.special.logsumexp(energies, axis=0)
            sent[i, j] = sent[i, j] - nbg.special.logsumexp(sent[i, j], axis=0)
        messages = sent
    nbg.sum(nbg.stack(list(messages.values()))).eval(engine)
    assert 0 < len(looked) < engine.stats().operations
