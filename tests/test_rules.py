"""The rules of the design that keep sealing right, a test or more each, by number.

Rules 10 (jit) and 12, 13 (checkpoint, tables that grow) are tested as far as there is something to test.
"""

from __future__ import annotations

import gc
import linecache
import random
import sys
import weakref
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from programs import derivative, inner

import nbgraph as nbg
from nbgraph import derive, seal
from nbgraph.engine import straight
from nbgraph.graph import fragments_of
from nbgraph.op import REGISTRY
from nbgraph.roll import _bounds as bounds_of
from nbgraph.roll import _Words as Words
from nbgraph.roll import cut as roll_cut
from nbgraph.trace import RepeatCall

T = nbg.TracedTensor.from_tensor
NEVER, ALWAYS = nbg.Engine(jit="never"), nbg.Engine(jit="always")
ENGINES = pytest.mark.parametrize("engine", [NEVER, ALWAYS], ids=["never", "always"])


def equal(got: Any, wanted: Any, rtol: float = 1e-12) -> None:
    np.testing.assert_allclose(got, wanted, rtol=rtol, atol=1e-14)


class Spy:
    """Counts the runs of an operation by the interpreter; fails as many of them as asked for."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, name: str, error: BaseException | None = None) -> None:
        self.calls, self.failures, self.error = 0, 0, error
        monkeypatch.setattr(REGISTRY[name], "reference", self.watch(REGISTRY[name].reference))
        # Functions that are there already call the operation itself.
        monkeypatch.setattr(straight, "function_of", straight.straight_line)

    def watch(self, reference: Any) -> Any:
        def watched(op: Any, ins: Any, sizes: Any) -> Any:
            self.calls += 1
            if self.failures:
                self.failures -= 1
                raise self.error or RuntimeError
            return reference(op, ins, sizes)

        return watched


# -- 1: a gradient by an intermediate ---------------------------------------------------------------------------------


@ENGINES
@pytest.mark.parametrize("evaluated", ["nothing", "y", "both", "h"])
def test_rule_01_a_derivative_by_y_sees_what_was_made_of_y(evaluated, engine) -> None:
    x = T([0.3, 0.7, 1.1])
    y = nbg.sin(x)
    w = nbg.exp(y)
    if evaluated in ("y", "both"):
        nbg.eval(*((y,) if evaluated == "y" else (y, w)), engine=engine)
    h = (y * w * w).sum()
    if evaluated == "h":
        h.eval(engine)
    v = np.sin([0.3, 0.7, 1.1])
    equal(h.grad(y).eval(engine), np.exp(2 * v) * (1 + 2 * v))
    equal(h.grad(w).eval(engine), 2 * v * np.exp(v))
    equal(h.grad([w, y, x])[2].eval(engine), np.exp(2 * v) * (1 + 2 * v) * np.cos([0.3, 0.7, 1.1]))


@ENGINES
def test_rule_01_several_values_of_one_call_are_cut_together(engine) -> None:
    x = T(0.4)
    a = x * x
    b = a * 3
    c = nbg.sin(b) + a
    loss = c * a
    loss.eval(engine)
    by_a, by_b, by_c, by_x = (float(g) for g in nbg.eval(*loss.grad([a, b, c, x]), engine=engine))
    va, vb = 0.16, 0.48
    vc = np.sin(vb) + va
    equal(by_c, va)
    equal(by_b, va * np.cos(vb))
    equal(by_a, vc + va * (1 + 3 * np.cos(vb)))
    equal(by_x, (vc + va * (1 + 3 * np.cos(vb))) * 0.8)


def test_rule_01_equal_values_recorded_twice_are_two() -> None:
    for evaluated in (False, True):
        x = T([1.0, 2.0])
        a = x * 2
        if evaluated:
            a.eval(NEVER)
        b = x * 2
        loss = (a * b).sum()
        equal(loss.grad(a).eval(NEVER), [2.0, 4.0])
        with pytest.raises(nbg.DifferentiationError, match="not in the graph"):
            (a * 3).sum().grad(b)


def test_rule_01_equal_values_of_a_cut_call_both_count() -> None:
    x = T([0.3, 0.7])
    y = x * x
    a, b = nbg.arctan(y), nbg.arctan(y)
    nbg.eval(a, b, engine=NEVER)
    loss = (a * 2).sum() + (b * 3).sum()
    wanted = 5 / (1 + np.array([0.3, 0.7]) ** 4)
    equal(loss.grad(y).eval(NEVER), wanted)
    equal(loss.jvp(y, [1.0, 2.0]).eval(NEVER), wanted @ [1.0, 2.0])
    by_y, by_a = loss.grad([y, a])
    equal(by_y.eval(NEVER), wanted)
    equal(by_a.eval(NEVER), [2.0, 2.0])


def test_rule_01_saved_values_count_once() -> None:
    """A value that is kept for a derivative, and used besides, is made by one of the pieces of a call alone."""
    x, weights = T(np.random.default_rng(0).uniform(-1, 1, (3, 3))), np.arange(9.0).reshape(3, 3)
    w, v = nbg.linalg.eigh(x + x.T)
    m = (v * w) @ v.T
    n = nbg.linalg.norm(m)
    nbg.sum(n).grad(x)
    loss = (m * weights).sum() + n * 3
    wanted = weights + weights.T + 6 * (m / n).eval(NEVER)
    for others in ([], [m], [n], [m, n]):
        equal(loss.grad([x, *others])[0].eval(NEVER), wanted, 1e-9)


@pytest.mark.parametrize("slot", [0, 1])
def test_rule_01_by_one_result_of_several(slot) -> None:
    s = np.array([[2.0, 0.3], [0.3, 1.0]])
    for evaluated in (False, True):
        results = nbg.linalg.eigh(T(s))
        loss = (results[0] * results[1][0] ** 2).sum()
        if evaluated:
            loss.eval(NEVER)
        w, v = np.linalg.eigh(s)
        wanted = (v[0] ** 2, np.stack([2 * w * v[0], 0 * w]))[slot]
        equal(abs(loss.grad(results[slot]).eval(NEVER)), abs(wanted), 1e-9)


# -- 2: what is not unique is computed once ---------------------------------------------------------------------------


def spectral(a: Any) -> tuple[Any, Any, Any]:
    """A loss that does not depend on the signs of eigenvectors, and the eigenvectors."""
    w, v = nbg.linalg.eigh(a + a.T)
    return nbg.sum((v * nbg.sin(w)) @ v.T * np.arange(16.0).reshape(4, 4)), w, v


def numpy_spectral(a: Any) -> float:
    w, v = np.linalg.eigh(a + a.T)
    return float(np.sum((v * np.sin(w)) @ v.T * np.arange(16.0).reshape(4, 4)))


def test_rule_02_a_factorisation_is_computed_once(monkeypatch) -> None:
    count = Spy(monkeypatch, "eigh")
    a = T(np.random.default_rng(0).uniform(-1, 1, (4, 4)))
    loss, w, v = spectral(a)
    loss.eval(NEVER)
    g = loss.grad(a)
    g.eval(NEVER)
    nbg.sum(g * g).grad(a).eval(NEVER)
    nbg.eval(w, v, engine=NEVER)
    assert count.calls == 1


def test_rule_02_sealed_by_a_gradient_and_evaluated_later(monkeypatch) -> None:
    count = Spy(monkeypatch, "eigh")
    a = T(np.random.default_rng(1).uniform(-1, 1, (4, 4)))
    loss, w, v = spectral(a)
    g = loss.grad(a)
    w.eval(NEVER)
    v.eval(NEVER)
    g.eval(NEVER)
    loss.eval(NEVER)
    assert count.calls == 1


@pytest.mark.parametrize("forward", [NEVER, ALWAYS], ids=["never", "always"])
@pytest.mark.parametrize("backward", [NEVER, ALWAYS], ids=["never", "always"])
def test_rule_02_saved_and_recomputed_factors_never_meet(forward, backward) -> None:
    for seed in range(5):
        s = np.random.default_rng(seed).uniform(-1, 1, (4, 4))
        a = T(s)
        loss, w, _v = spectral(a)
        (w if seed % 2 else loss).eval(forward)
        g = loss.grad(a).eval(backward)
        d = np.random.default_rng(seed + 100).uniform(-1, 1, (4, 4))
        difference = derivative(lambda t, s=s, d=d: numpy_spectral(s + t * d))
        assert inner(g, d) == pytest.approx(difference, rel=1e-8)


@pytest.mark.parametrize("make", [
    lambda x: nbg.clip(x, -0.5, 0.5) * x,
    lambda x: nbg.where(x > 0.1, x * x, -x),
    lambda x: nbg.where((x > 0.1) & ~(x > 0.6), x * x, -x),
    lambda x: nbg.max(x) * x,
], ids=["clip", "where", "logic", "max"])  # fmt: skip
def test_rule_02_masks_are_not_computed_again(make, monkeypatch) -> None:
    count = Spy(monkeypatch, "greater")
    x = T([0.3, -0.2, 0.9])
    y = make(x)
    y.eval(NEVER)
    first = count.calls
    y.sum().grad(x).eval(NEVER)
    assert count.calls == first


# -- 3: calls stay flat -----------------------------------------------------------------------------------------------


def iterate(x: Any, p: Any, count: int, engine: Any = None, hold: Any = lambda k, x: None) -> Any:
    for k in range(count):
        x = nbg.tanh(x @ p) + x * 0.5
        hold(k, x)
        if engine is not None:
            x.eval(engine)
    return x


def start(seed: int = 0) -> tuple[Any, Any]:
    rng = np.random.default_rng(seed)
    return T(rng.uniform(-1, 1, 3)), T(rng.uniform(-1, 1, (3, 3)))


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


# -- 4: liveness is not identity --------------------------------------------------------------------------------------


def test_rule_04_kept_handles_make_no_new_structure() -> None:
    x, p = start()
    plain = set(fragments_of(iterate(x, p, 12, NEVER)))
    engine, history = nbg.Engine(jit="always"), []
    for run in range(2):
        history.clear()
        y = iterate(x, p, 12, engine, lambda k, x: history.append((x, x * 2)) if k in (3, 4, 9) else None)
        assert set(fragments_of(y)) == plain
        if not run:
            compiled = engine.stats().compiled
    assert engine.stats().compiled == compiled <= 3


def test_rule_04_values_inside_a_body_kept_now_and_then() -> None:
    engine, (x, p) = nbg.Engine(jit="always"), start()
    kept = []
    for k in range(20):
        inside = x @ p
        x = nbg.tanh(inside) + x * 0.5
        if k % 7 == 3:
            kept.append(inside)
        x.eval(engine)
    assert len(set(fragments_of(x))) == 1
    assert engine.stats().compiled <= 2
    state, matrix = (t.eval() for t in start())
    for k in range(20):
        inside = state @ matrix
        state = np.tanh(inside) + state * 0.5
        if k % 7 == 3:
            equal(kept.pop(0).eval(engine), inside)


# -- 5: parameters and scalars ----------------------------------------------------------------------------------------


@ENGINES
def test_rule_05_exponents_are_structure(engine) -> None:
    x = T(0.0)
    derivatives = [x**2]
    for _ in range(3):
        derivatives.append(derivatives[-1].grad(x, allow_unused=True))
    assert [float(d) for d in nbg.eval(*derivatives, engine=engine)] == [0.0, 0.0, 2.0, 0.0]


def test_rule_05_a_changing_number_is_one_structure() -> None:
    engine, x = nbg.Engine(jit="always"), T([1.0, 2.0])
    for k in range(10):
        x = x - (0.1 / (k + 1)) * nbg.sin(x) + k
        x.eval(engine)
    assert len(set(fragments_of(x))) == 1
    assert engine.stats().compiled == 1


def test_rule_05_numbers_that_happen_to_be_equal_stay_two() -> None:
    x = T([1.0, 2.0])
    for a, b in ((2.0, 3.0), (2.0, 2.0), (0.0, 0.0), (1, 1), (5.0, 2.0)):
        y = nbg.sin(x * a) + nbg.sin(x * b)
        equal(y.eval(NEVER), np.sin(np.array([1.0, 2]) * a) + np.sin(np.array([1.0, 2]) * b))
        equal((y * y).sum().grad(x).eval(NEVER), _sine_gradient(np.array([1.0, 2]), a, b))


def _sine_gradient(x: Any, a: float, b: float) -> Any:
    return 2 * (np.sin(x * a) + np.sin(x * b)) * (a * np.cos(a * x) + b * np.cos(b * x))


def test_rule_05_sizes_are_no_structure() -> None:
    found = set()
    for n in (3, 4, 7, 40):
        x = T(np.ones((n, n + 1)))
        y = nbg.tanh(x @ x.T).sum(axis=0)[1:]
        found.update(fragments_of(y))
    assert len(found) == 1


# -- 6: captured arrays -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("use", [
    lambda x, a: x + a,
    lambda x, a: a * x,
    lambda x, a: nbg.where(x > 0, a, x),
    lambda x, a: nbg.concatenate([x, a]),
    lambda x, a: x.at[:].set(a),
    lambda x, a: nbg.einsum("i,i->i", x, a),
    lambda x, a: np.add(x, a),
    lambda x, a: nbg.stack([a, x, a]),
], ids=list("abcdefgh"))  # fmt: skip
@pytest.mark.parametrize("view", [lambda a: a, lambda a: a[::-1], lambda a: a.reshape(1, 3)[0]])
def test_rule_06_captured_arrays_are_copied(use, view) -> None:
    buffer = np.array([1.0, 2.0, 3.0])
    a = view(buffer)
    y = use(T([0.5, 1.5, 2.5]), a)
    wanted = use(T([0.5, 1.5, 2.5]), a.copy()).eval(NEVER)
    buffer[:] = np.nan
    a[...] = np.nan
    equal(y.eval(NEVER), wanted)


def test_rule_06_a_read_only_view_of_a_writeable_array_is_copied() -> None:
    buffer = np.array([1.0, 2.0])
    view = buffer[:]
    view.setflags(write=False)
    x, y = T(view), nbg.constant(view) * 2
    buffer[:] = 7.0
    equal(x.eval(), [1.0, 2.0])
    equal(y.eval(NEVER), [2.0, 4.0])


VIEWS = {
    "same": lambda x: x.reshape(2, 3),
    "transpose": lambda x: x.T,
    "row": lambda x: x[0],
    "positive": lambda x: +x,
    "times one": lambda x: x * 1.0,
    "stop": nbg.stop_gradient,
    "astype": lambda x: x.astype("f8"),
    "broadcast": lambda x: nbg.broadcast_to(x, (2, 3)),
    "reshape": lambda x: x.reshape(-1).reshape(2, 3),
    "real": nbg.real,
    "squeeze": lambda x: nbg.squeeze(x[None], 0),
}


@ENGINES
@pytest.mark.parametrize("name", VIEWS)
def test_rule_06_outputs_alias_nothing_and_are_read_only(name, engine) -> None:
    given = np.arange(6.0).reshape(2, 3)
    x = T(given)
    inside = nbg.sin(x)
    outputs = [VIEWS[name](x), VIEWS[name](inside), inside, VIEWS[name](inside) + 1]
    values = nbg.eval(*outputs, engine=engine)
    assert not any(v.flags.writeable for v in values)
    for k, v in enumerate(values):
        assert outputs[k] is x or not np.shares_memory(v, given)
        with pytest.raises(ValueError, match="read-only"):
            v[...] = 0
    equal(x.eval(), given)
    program = engine.compile(outputs[:3], [x])
    results = program(given)
    for k, v in enumerate(results):
        assert not np.shares_memory(v, given)
        assert not any(np.shares_memory(v, other) for other in results[:k])
        v[...] = -1
    equal(program(given)[2], np.sin(given))


@ENGINES
def test_rule_06_sums_in_place_touch_no_known_value(engine) -> None:
    """Cotangents are added where they are made; nothing that somebody may see is written to."""
    x, p = start()
    y = iterate(x, p, 6, NEVER)
    ct = T([1.0, 2.0, 3.0])
    first = y.vjp(p, ct)
    value = np.array(first.eval(engine))
    second = y.vjp(p, ct) + first
    equal(second.eval(engine), 2 * value)
    equal(first.eval(engine), value)
    equal(ct.eval(engine), [1.0, 2.0, 3.0])


# -- 7: a seal commits only after its run succeeded -------------------------------------------------------------------


def loop_and_gradient(engine: Any, hold: Any = lambda k, x: None) -> tuple[Any, ...]:
    """The fragments of a loop, its last state and its gradient."""
    x, p = start()
    y = iterate(x, p, 6, engine, hold)
    g = y.sum().grad(p)
    return fragments_of(y), y.eval(engine), g.eval(engine)


@pytest.mark.parametrize("error", [KeyboardInterrupt, MemoryError, ZeroDivisionError])
@pytest.mark.parametrize("at", [0, 1, 5])
def test_rule_07_a_failed_run_leaves_the_graph_as_it_was(error, at, monkeypatch) -> None:
    fragments, value, gradient = loop_and_gradient(NEVER)
    failing = Spy(monkeypatch, "tanh", error())

    def fail(k: int, x: Any) -> None:
        if k == at:
            failing.failures = 1
            with pytest.raises(error):
                x.eval(NEVER)
            assert x.op is not None

    again = loop_and_gradient(NEVER, fail)
    assert again[0] == fragments
    equal(again[1], value)
    equal(again[2], gradient)


def test_rule_07_a_gradient_that_fails_can_be_evaluated_again(monkeypatch) -> None:
    _, _, gradient = loop_and_gradient(NEVER)
    x, p = start()
    g = iterate(x, p, 6, NEVER).sum().grad(p)
    failing = Spy(monkeypatch, "tanh", KeyboardInterrupt())
    for _ in range(3):
        failing.failures = 1
        with pytest.raises(KeyboardInterrupt):
            g.eval(NEVER)
    equal(g.eval(NEVER), gradient)


@ENGINES
def test_rule_07_a_singular_matrix(engine) -> None:
    a, b = T(np.zeros((2, 2))), T([1.0, 2.0])
    y = nbg.sin(b)
    x = nbg.linalg.solve(a + 0.0, y)
    z = x * 2
    for _ in range(2):
        with pytest.raises(nbg.LinAlgError, match=r"(?s)solve.*test_rules"):
            z.eval(engine)
    assert z.op is not None
    equal(y.eval(engine), np.sin([1.0, 2.0]))
    gradient = x.sum().grad(b)
    with pytest.raises(nbg.LinAlgError):
        gradient.eval(engine)
    good = nbg.linalg.solve(a + np.eye(2), y)
    equal(good.eval(engine), np.sin([1.0, 2.0]))
    equal(good.sum().grad(b).eval(engine), np.cos([1.0, 2.0]))


def test_rule_07_interrupted_anywhere() -> None:
    """Ctrl-C at (every fourth) line of the library, in sealing, running, committing: nothing is lost."""
    fragments, value, gradient = loop_and_gradient(NEVER)
    line, done = 0, False
    while not done:
        x, p = start()
        y = iterate(x, p, 3, NEVER)
        for k in range(3):
            y = nbg.tanh(y @ p) + y * 0.5
            if k == 1:
                done = not interrupted_at(line, lambda y=y: y.eval(NEVER))
            y.eval(NEVER)
        g = y.sum().grad(p)
        done = not interrupted_at(line, lambda g=g: g.eval(NEVER)) and done
        equal(y.eval(NEVER), value)
        equal(g.eval(NEVER), gradient)
        assert fragments_of(y) == fragments
        line += 4
    assert line > 200


def interrupted_at(line: int, run: Any) -> bool:
    """Runs with KeyboardInterrupt raised before the line-th line of the library; whether there was such a line."""
    left = line

    def trace(frame: Any, event: str, _: Any) -> Any:
        nonlocal left
        if "/nbgraph/" not in frame.f_code.co_filename:
            return None
        # Python's own interrupts do not come between a body and the end of its `with`, trace functions do.
        source = linecache.getline(frame.f_code.co_filename, frame.f_lineno)
        if event == "line" and not source.lstrip().startswith("with "):
            left -= 1
            if left < 0:
                sys.settrace(None)
                raise KeyboardInterrupt
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        run()
    except KeyboardInterrupt:
        return True
    finally:
        sys.settrace(before)
    return False


def test_rule_07_compile_computes_afresh() -> None:
    x, p = start()
    middle = x @ p
    y = nbg.tanh(middle) + x
    y.eval(NEVER)
    program = NEVER.compile([y, middle], [x])
    x0, p0 = np.array([1.0, -2.0, 0.5]), p.eval()
    for _ in range(2):
        got = program(x0)
        equal(got[0], np.tanh(x0 @ p0) + x0)
        equal(got[1], x0 @ p0)
        x0 = x0 + 1
    from_middle = NEVER.compile([y], [middle])
    equal(from_middle(x0)[0], np.tanh(x0) + x.eval())
    equal(NEVER.compile([y.sum().grad(p)], [p])(p0)[0], y.sum().grad(p).eval(NEVER))


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


# -- 14: determinism --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["never", "always"])
def test_rule_14_one_mode_gives_one_result(mode) -> None:
    results = []
    for _ in range(2):
        engine = nbg.Engine(jit=mode)
        x, p = start(3)
        y = iterate(x, p, 12, engine)
        results.append(nbg.eval(y, y.sum().grad(p), engine=engine))
    for one, other in zip(*results, strict=True):
        np.testing.assert_array_equal(one, other)


def test_rule_14_repr_evaluates_nothing_str_and_format_do() -> None:
    x = T([1.0, 2.0])
    y = x.sum()
    assert repr(y) == "TracedTensor(float64[])"
    assert y.op is not None
    assert y.data is None
    assert str(y) == "3.0"
    assert y.data is not None
    assert f"{x.sum():.2f}" == "3.00"
    assert repr(y) == "TracedTensor(float64[], 3.0)"


def test_rule_14_references_warn_of_nothing() -> None:
    x = T([0.0, -1.0, np.inf])
    with np.errstate(all="raise"):
        values = nbg.eval(1 / x, nbg.log(x), nbg.exp(x * 1e4), x - x, engine=NEVER)
    equal(values[0], [np.inf, -1.0, 0.0])
    assert np.isnan(values[1][1])
