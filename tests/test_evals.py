"""Evals by machine code leave what Python's leave: values, calls, live nodes; nothing where anything is otherwise."""

from __future__ import annotations

import gc
import sys
import weakref
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest

import nbgraph as nbg
from nbgraph.calls import FragmentCall
from nbgraph.engine import evals, recorder
from nbgraph.node import Node
from nbgraph_kernels import python_api

pytestmark = pytest.mark.skipif(not python_api.AVAILABLE, reason="this Python cannot be given builtin functions")

T = nbg.TracedTensor.from_tensor
A, X = np.array([[0.5, 0.1], [0.2, 0.3]]), np.array([1.0, -2.0])
CALL = [name for name in FragmentCall.__slots__ if name not in ("__weakref__", "seq", "nodes", "inputs", "saved")]


class Counted:
    """An engine, and how often its functions had an answer."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, asks: bool = True) -> None:
        self.engine, self.answers = nbg.Engine(jit="always", cache_dir=None), 0
        table = self.engine.evals
        keep = table._keep

        def counted(key: Any, route: Any, function: Any) -> None:
            if asks:
                keep(key, route, self._counting(function))

        monkeypatch.setattr(table, "_keep", counted)

    def _counting(self, function: Any) -> Any:
        def call(*targets: Any) -> Any:
            out = function(*targets)
            self.answers += out is not None
            return out

        return call


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Iterator[Counted]:
    objects = nbg.Engine(jit="always", cache_dir=None).native.objects
    recorder.use(objects, may_compile=True)
    for name in ("builtin", "evals", "waiting"):
        objects.make_kernel(name, "")
    monkeypatch.setattr(evals, "OFTEN", 2)
    yield Counted(monkeypatch)


@pytest.fixture
def python(monkeypatch: pytest.MonkeyPatch, machine: Counted) -> Counted:
    """An engine that never has such functions."""
    return Counted(monkeypatch, asks=False)


jitted = nbg.jit(lambda a, x: nbg.tanh(a @ x) + 0.25 * x)
several = nbg.jit(lambda a, x: (nbg.tanh(a @ x), nbg.sum(x), x * 2.0))


def plain(a: Any, x: Any, k: int, e: Any) -> Any:
    y = nbg.tanh(a @ x) + 0.25 * x
    nbg.max(abs(y - x)).eval(e)
    return y


def state(a: Any, x: Any, k: int, e: Any) -> Any:
    y = a @ x
    y = y / nbg.linalg.norm(y)
    nbg.eval(y, engine=e)
    return y


def several_targets(a: Any, x: Any, k: int, e: Any) -> Any:
    y = nbg.tanh(a @ x) + 0.25 * x
    gap = nbg.sum((y - x) ** 2)
    nbg.eval(gap, y, engine=e)
    return y


def step(a: Any, x: Any, k: int, e: Any) -> Any:
    y = jitted(a, x)
    nbg.eval(y, engine=e)
    return y


def step_of_several(a: Any, x: Any, k: int, e: Any) -> Any:
    y, s, z = several(a, x)
    s.eval(e)
    return y + 0.125 * z if k % 7 == 3 else y


def sizes(a: Any, x: Any, k: int, e: Any) -> Any:
    y = nbg.sum(nbg.broadcast_to(x, (3, 2)) @ a, axis=0) / 3.0
    y.eval(e)
    return y


def branches(a: Any, x: Any, k: int, e: Any) -> Any:
    y = nbg.sin(a @ x) if k % 3 == 0 else nbg.sin(a @ (x * 0.5))
    y.eval(e)
    return y


def unique(a: Any, x: Any, k: int, e: Any) -> Any:
    q, r = nbg.linalg.qr(a + nbg.outer(x, x) * 0.01)
    y = q @ x
    nbg.eval(y, r, engine=e)
    return y


def twice(a: Any, x: Any, k: int, e: Any) -> Any:
    y = a @ x
    y = nbg.exp(-y * y) * y + y
    nbg.sum(y).eval(e)
    y.eval(e)
    return y


BODIES = [plain, state, several_targets, step, step_of_several, sizes, branches, unique, twice]


def loop(body: Any, engine: Any, steps: int = 40) -> Any:
    a, x = T(A), T(X)
    states = [x]
    for k in range(steps):
        x = body(a, x, k, engine)
        states.append(x)
    return a, states


@pytest.mark.parametrize("body", BODIES, ids=lambda f: f.__name__)
def test_the_graph_is_that_of_python(body: Any, machine: Counted, python: Counted) -> None:
    a, states = loop(body, machine.engine)
    b, wanted = loop(body, python.engine)
    if body is not unique:
        assert machine.answers >= 20
    assert python.answers == 0 and machine.engine.stats().evals == python.engine.stats().evals
    assert machine.engine.stats().operations == python.engine.stats().operations
    for m, o in zip(states, wanted, strict=True):
        assert (m.op is None) == (o.op is None) and m.slot == o.slot and m.active == o.active
        assert ((m.data is None) == (o.data is None) and m.inputs == ()) or m.op is not None
        assert type(m.call) is type(o.call)
        if type(m.call) is FragmentCall:
            assert all(_equal(getattr(m.call, name), getattr(o.call, name)) for name in CALL)
            assert [i.type for i in m.call.inputs] == [i.type for i in o.call.inputs]
            assert (m.call.nodes is None) == (o.call.nodes is None)
            assert _kept(m.call) == _kept(o.call)
        np.testing.assert_array_equal(m.eval(machine.engine), o.eval(python.engine))
    for at, by in ((a, b), (states[0], wanted[0]), (states[20], wanted[20])):
        g = nbg.sum(states[-1] ** 2).grad(at).eval(machine.engine)
        w = nbg.sum(wanted[-1] ** 2).grad(by).eval(python.engine)
        np.testing.assert_array_equal(g, w)


def _equal(a: Any, b: Any) -> bool:
    return a is b or (type(a) is type(b) and type(a) in (int, bool, tuple, list) and len(str(a)) == len(str(b)))


def _kept(call: Any) -> Any:
    return call.saved and (call.saved[0], [v.tobytes() for v in call.saved[1]])


def test_a_node_that_is_kept_is_live(machine: Counted) -> None:
    """What else lives of a region decides what is computed: another function, or Python's."""
    e, a, x = machine.engine, T(A), T(X)
    held = []
    for k in range(40):
        y = a @ x
        z = nbg.tanh(y)
        nbg.sum(z * z).eval(e)
        if k % 5 == 0:
            held.append((y, z, x))
        else:
            assert y.data is not None and z.data is not None  # both are this frame's
        del y
        x = z
    for y, z, x in held:
        np.testing.assert_allclose(y.eval(e), A @ x.eval(e), rtol=1e-14)
        np.testing.assert_allclose(z.eval(e), np.tanh(A @ x.eval(e)), rtol=1e-14)


@pytest.mark.parametrize("change", ["shape", "dtype", "constant", "open", "unknown", "other engine"])
def test_other_operands_are_left_to_python(change: str, machine: Counted) -> None:
    e, a = machine.engine, T(A)

    def value(a: Any, x: Any, engine: Any) -> Any:
        return nbg.sum(nbg.tanh(a @ x)).eval(engine)

    for _ in range(8):
        value(a, T(X), e)
    before = machine.answers
    other = nbg.Engine(jit="never") if change == "other engine" else e
    cases: dict[str, Any] = {
        "shape": lambda: (T(np.ones((3, 2))), T(X)),
        "dtype": lambda: (T(A.astype("f4")), T(X.astype("f4"))),
        "constant": lambda: (nbg.constant(A), nbg.constant(X)),
        "open": lambda: (a, T(X) * 2.0),
        "unknown": lambda: (a, jitted(a, T(X))),
        "other engine": lambda: (a, T(X)),
    }
    m, x = cases[change]()
    got = value(m, x, other)
    assert machine.answers == before
    np.testing.assert_allclose(got, np.sum(np.tanh(m.eval(e) @ x.eval(e))), rtol=1e-6)
    value(a, T(X), e)
    assert machine.answers == before + 1


def test_what_fails_is_named(machine: Counted) -> None:
    e = machine.engine
    solve = nbg.jit(lambda a, x: nbg.linalg.solve(a, x))
    for _ in range(6):
        solve(T(A), T(X)).eval(e)
    assert machine.answers > 0
    with pytest.raises(np.linalg.LinAlgError, match=r"test_evals\.py"):
        solve(T(np.zeros((2, 2))), T(X)).eval(e)
    np.testing.assert_allclose(solve(T(A), T(X)).eval(e), np.linalg.solve(A, X))


def test_no_reference_too_many_or_too_few(machine: Counted) -> None:
    e, a = machine.engine, T(A)

    def run(body: Any) -> None:
        x = T(X)
        for k in range(100):
            x = body(a, x, k, e)

    for body in BODIES:
        run(body)
    counted = [a, a.type, None, True, False, (), e, *(f for fs in e.evals.values() for f in fs)]
    gc.collect()
    before, objects, answers = list(map(sys.getrefcount, counted)), len(gc.get_objects()), machine.answers
    for body in BODIES * 3:
        run(body)
    gc.collect()
    after = list(map(sys.getrefcount, counted))
    assert all(abs(n - m) < 60 for m, n in zip(before, after, strict=True)), list(zip(before, after, strict=True))
    assert len(gc.get_objects()) - objects < 300 and machine.answers - answers > 500


def test_what_nobody_holds_goes(machine: Counted) -> None:
    e, a, x = machine.engine, T(A), T(X)
    for k in range(20):
        x = plain(a, x, k, e)
    call, old = weakref.ref(x.call), weakref.ref(x)
    array = sys.getrefcount(x.data)
    x = state(a, T(X), 0, e)
    assert call() is None and old() is None and array == 2


@pytest.mark.parametrize("body", [plain, step], ids=lambda f: f.__name__)
def test_code_that_runs_where_something_is_made_may_evaluate_first(body: Any, machine: Counted) -> None:
    e, a, x = machine.engine, T(A), T(X)
    seen: list[Any] = []

    class Evaluates:
        def __init__(self) -> None:
            self.me = self

        def __del__(self) -> None:
            if later:
                seen.append(later[0].eval(e))

    old, want = gc.get_threshold(), X
    later: list[Node] = []
    try:
        for k in range(120):
            y = nbg.tanh(a @ x) + 0.25 * x if body is plain else jitted(a, x)
            gap = nbg.max(abs(y - x)) if body is plain else y
            later[:] = [y]
            if k > 20 and k % 5 == 0:
                Evaluates()
                gc.set_threshold(1)
            gap.eval(e)
            gc.set_threshold(*old)
            x, want = y, np.tanh(A @ want) + 0.25 * want
            np.testing.assert_allclose(y.eval(e), want, rtol=1e-12)
    finally:
        gc.set_threshold(*old)
        later.clear()
    gc.collect()
    assert len(seen) > 10 and machine.answers > 50


def test_regions_that_end_alike_have_a_function_each(machine: Counted) -> None:
    e, a, x = machine.engine, T(A), T(X)
    for k in range(30):
        y = nbg.tanh(a @ x)
        nbg.sum(y * y).eval(e)
        nbg.sum(nbg.exp(y - x)).eval(e)
        x = y
        if k == 10:
            before = machine.answers
    assert machine.answers - before == 2 * 19


def test_threads_evaluate_one_graph(machine: Counted) -> None:
    e, a = machine.engine, T(A)
    for body in (plain, step):
        loop(body, e)
    for round_ in range(20):
        x, nodes = T(X), []
        for _ in range(30):
            y = nbg.tanh(a @ x) + 0.25 * x if round_ % 2 else jitted(a, x)
            nodes.append((y, nbg.max(abs(y - x)), x))
            x = y

        def ask(seed: int, nodes: Any = nodes) -> None:
            order = np.random.default_rng(seed).permutation(len(nodes))
            for k in order if seed % 2 else range(len(nodes)):
                nodes[k][seed % 3 % 2].eval(e)

        with ThreadPoolExecutor(4) as pool:
            list(pool.map(ask, range(6)))
        want = X
        for y, gap, _ in nodes:
            new = np.tanh(A @ want) + 0.25 * want
            np.testing.assert_allclose(y.eval(e), new, rtol=1e-12)
            np.testing.assert_allclose(gap.eval(e), np.max(abs(new - want)), rtol=1e-12, atol=1e-15)
            want = new
        g = nbg.sum(nodes[-1][0]).grad(nodes[0][2]).eval(e)
        x = T(X)
        out = x
        for _ in range(30):
            out = nbg.tanh(a @ out) + 0.25 * out
        np.testing.assert_allclose(g, nbg.sum(out).grad(x).eval(e), rtol=1e-10)


def test_an_interpreted_engine_has_none(machine: Counted) -> None:
    e = nbg.Engine(jit="never")
    for body in (plain, step):
        loop(body, e)
    assert not e.evals


UNARY = [nbg.tanh, nbg.sin, lambda v: v / (1.0 + nbg.sum(v * v)), lambda v: v[::-1] * 0.5, lambda v: nbg.cumsum(v) / 4]


def random_loop(seed: int, engine: Any) -> tuple[Any, list[Any], list[Any]]:
    """A loop of a random body; with an engine some of its values are evaluated in each step, by one or more evals."""
    rng = np.random.default_rng(seed)
    body = [(int(rng.integers(8)), *(int(rng.integers(k + 2)) for _ in range(2))) for k in range(6)]
    cut, period = int(rng.integers(7)), int(rng.integers(1, 4))
    asked = [[list(map(int, rng.integers(8, size=n))) for n in rng.integers(1, 4, size=2)] for _ in range(period)]

    def part(v: list[Any], lo: int, hi: int) -> list[Any]:
        for how, i, j in body[lo:hi]:
            v = [*v, UNARY[how](v[i]) if how < len(UNARY) else 0.5 * (v[i] + v[j]) if how < 7 else v[i] * v[j]]
        return v

    first = nbg.jit(lambda a, x: tuple(part([a @ x, x], 0, cut)))
    a, x, seen = T(A / 2), T(X / 3), []
    for k in range(24):
        v = part(list(first(a, x)), cut, len(body))
        for group in asked[k % period] if engine else ():
            seen.append([np.array(e) for e in nbg.eval(*(v[i] for i in group), engine=engine)])
        x = 0.5 * v[-1] + 0.25 * v[2]
    loss = nbg.sum(x**2)
    return loss, [loss, loss.grad(a)], seen


@pytest.mark.parametrize("seed", [0, 2, 3, 4, 5, 6, 7, 8])
def test_random_loops(seed: int, machine: Counted, python: Counted) -> None:
    """Whatever is asked for in each step, values and gradients are those of the loop never evaluated before. (In loop 1
    all programs have words that may move, so they are not short.)"""
    _, wanted, _ = random_loop(seed, None)
    plain_values = nbg.eval(*wanted, engine=nbg.Engine(jit="never"))
    _, found, seen = random_loop(seed, machine.engine)
    _, _, by_python = random_loop(seed, python.engine)
    for got, want in zip(nbg.eval(*found, engine=machine.engine), plain_values, strict=True):
        np.testing.assert_allclose(got, want, rtol=1e-9, atol=1e-12)
    for got, want in zip(seen, by_python, strict=True):
        for g, w in zip(got, want, strict=True):
            np.testing.assert_array_equal(g, w)
    assert machine.answers > 0


def test_a_route_gets_one_function(machine: Counted, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where Python goes on to run it, as an operand has no value before."""
    made: list[Any] = []
    meaning = evals._of_region
    monkeypatch.setattr(evals, "_of_region", lambda *given: made.append(given[1]) or meaning(*given))
    e, a, x = machine.engine, T(A), T(X)
    for _ in range(40):
        long = jitted(a, jitted(a, x))
        nbg.sum(nbg.sin(long)).eval(e)
        x = long
    assert 0 < len(made) == len(set(map(id, made)))
