"""The rules of the design that keep sealing right, a test or more each, by number.

Rules 10 (jit) and 12, 13 (checkpoint, tables that grow) are tested as far as there is something to test.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from programs import derivative, inner
from sealing import ALWAYS, ENGINES, NEVER, Spy, T, equal, iterate, start

import nbgraph as nbg
from nbgraph.graph import fragments_of

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
