"""Calls of jitted functions recorded by machine code: the same nodes, calls and loops as Python's, whatever changes."""

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
from nbgraph.calls import TOPPED, FragmentCall
from nbgraph.engine import recorder
from nbgraph.loops import AFTER, LoopCall, none_here
from nbgraph.node import Node
from nbgraph.trace import RECORDING
from nbgraph_kernels import python_api

pytestmark = pytest.mark.skipif(not python_api.AVAILABLE, reason="this Python cannot be given builtin functions")

T = nbg.TracedTensor.from_tensor
ENGINE = nbg.Engine(jit="never")
MACHINE = nbg.Engine(jit="always", cache_dir=None)
A, X = np.array([[0.5, 0.1], [0.2, 0.3]]), np.array([1.0, -2.0])
HELD = T(A)
SCALE = 0.5
NODE = [name for name in Node.__slots__ if name not in ("__weakref__", "seq", "call", "slot", "inputs")]
CALL = [name for name in FragmentCall.__slots__ if name not in ("__weakref__", "seq", "nodes", "inputs")]


class Made:
    """How often calls were recorded by machine code, and how often Python was asked."""

    def __init__(self) -> None:
        self.quick = self.asked = 0

    def caller(self, record: Any) -> Any:
        function = recorder._USED[0].caller(record)

        def call(*args: Any) -> Any:
            out = function(*args)
            if out is None:
                self.asked += 1
            else:
                self.quick += 1
            return out

        return function and call


@pytest.fixture(autouse=True)
def machine_code(monkeypatch: pytest.MonkeyPatch) -> Iterator[Made]:
    """Calls are recorded by machine code within a test, and counted."""
    recorder.use(MACHINE.native.objects, may_compile=True)
    MACHINE.native.objects.make_kernel("jitted", "")
    made = Made()
    monkeypatch.setattr(RECORDING, "caller", made.caller)
    yield made


def by_python(f: Any) -> Any:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(RECORDING, "caller", None)
        patch.setattr(RECORDING, "consider_calls", None)
        return f()


class Model:
    """What a step reads of an object."""

    def __init__(self) -> None:
        self.w, self.rate, self.layers = T(A), 0.25, [T(A), 3.0]

    def __call__(self, x: Any) -> Any:
        return x + self.rate * (self.w @ x) + self.layers[1] * (self.layers[0] @ x)


def forms() -> dict[str, Any]:
    """Functions of two arguments, made anew."""
    inner, model = T(A), Model()
    return {
        "one": lambda a, x: nbg.tanh(a @ x),
        "tuple": lambda a, x: (a @ x, nbg.sum(x), nbg.sum(x) > 0),
        "other order": lambda a, x: ((y := a @ x) * 2.0, y),
        "list": lambda a, x: [a @ x, x * 2.0],
        "dict": lambda a, x: {"state": a @ x, "more": (nbg.sum(x), nbg.max(x))},
        "twice": lambda a, x: (y := a @ x, y),
        "global": lambda a, x: (HELD @ x) * SCALE,
        "cell": lambda a, x: inner @ (a @ x),
        "object": lambda a, x: model(a @ x),
        "argument twice": lambda a, x: a @ x + nbg.sum(x) * (a @ x),
        "no operand": lambda a, x: nbg.sum(x) * 0.5,
        "integers": lambda a, x: (nbg.argmax(x), a @ x),
        "may fail": lambda a, x: nbg.linalg.solve(a, x),
    }


def first(out: Any) -> Any:
    while not isinstance(out, Node):
        out = next(iter(out.values())) if isinstance(out, dict) else out[0]
    return out


def leaves_of(out: Any) -> list[Any]:
    if isinstance(out, Node):
        return [out]
    return [leaf for part in (out.values() if isinstance(out, dict) else out) for leaf in leaves_of(part)]


def is_same(a: Any, b: Any, names: list[str]) -> bool:
    return all(_equal(getattr(a, name), getattr(b, name)) for name in names)


def _equal(a: Any, b: Any) -> bool:
    return a is b or (type(a) is type(b) and type(a) in (int, bool, tuple, list) and a == b)


@pytest.mark.parametrize("name", forms())
@pytest.mark.parametrize("active", [True, False])
def test_calls_are_those_of_python(name: str, active: bool, machine_code: Made) -> None:
    step = nbg.jit(forms()[name])
    a = T(A) if active else nbg.constant(A)
    x = nbg.constant(X)
    wanted = by_python(lambda: step(a, x))
    first(wanted).call.fragment.cache.pop(TOPPED, None)  # of other tests
    for _ in range(3):  # traced, found, from now on by machine code
        step(a, x)
    before = machine_code.quick
    out = step(a, x)
    assert machine_code.quick == before + 1
    assert type(out) is type(wanted)
    met, other = leaves_of(out), leaves_of(wanted)
    for m, o in zip(met, other, strict=True):
        assert is_same(m, o, NODE)
        assert type(m) is type(o) and m.slot == o.slot and is_same(m.call, o.call, CALL)
        assert len(m.call.inputs) == len(o.call.inputs)
        assert all(i is j for i, j in zip(m.call.inputs, o.call.inputs, strict=True))
        assert {s: r() for s, r in m.call.nodes} == {n.slot: n for n in met}
        assert m.seq < m.call.seq
    for m, o in zip(met, other, strict=True):
        np.testing.assert_array_equal(m.eval(ENGINE), o.eval(ENGINE))


@pytest.mark.parametrize("name", ["one", "global", "cell", "object", "argument twice"])
def test_rows_are_those_of_python(name: str, machine_code: Made) -> None:
    step = nbg.jit(forms()[name])

    def loop(n: int) -> tuple[Any, Any, list[Any]]:
        a, x = T(A), T(X)
        start, kept = x, list[Any]()
        for k in range(n):
            x = step(a, x)
            kept += [x] if k % 5 == 0 else []
        return start, x, kept

    loop(4)
    wanted = by_python(lambda: loop(60))
    before = machine_code.quick
    met = loop(60)
    assert machine_code.quick - before >= 60 - AFTER - 3
    m, o = met[1].call, wanted[1].call
    assert type(m) is type(o) is LoopCall
    assert m.n == o.n and m.tip == o.tip and m.pattern == o.pattern and m.flags == o.flags and m.of is o.of
    assert len(m.nodes) == len(o.nodes) and m.columns.keys() == o.columns.keys()
    assert [n.slot for n in m.living()] == [n.slot for n in o.living()]
    for b, c in zip(met[2], wanted[2], strict=True):
        assert b.slot == c.slot and is_same(b, c, NODE)
    np.testing.assert_array_equal(met[1].eval(ENGINE), wanted[1].eval(ENGINE))
    for b, c in zip(met[2], wanted[2], strict=True):
        np.testing.assert_array_equal(b.eval(ENGINE), c.eval(ENGINE))
    g, w = (nbg.sum(r[1] ** 2).grad(r[0]).eval(ENGINE) for r in (met, wanted))
    np.testing.assert_array_equal(g, w)


def test_rows_of_a_leaf_and_of_a_constant(machine_code: Made) -> None:
    step = nbg.jit(lambda a, x, y, z: nbg.tanh(a @ x + y) * z)
    ys, zs = np.random.default_rng(0).random((2, 100, 2))

    def run() -> Any:
        a, y, z, x = T(A), T(ys), nbg.constant(zs), T(X)
        for k in range(100):
            x = step(a, x, y[k], z[k])
        return a, y, x

    wanted = by_python(run)
    run()
    before = machine_code.quick
    met = run()
    assert machine_code.quick - before > 80
    assert met[2].call.n == wanted[2].call.n and [len(c) for c in met[2].call.columns.values()] == [92, 92]
    for r, w in zip(*(nbg.eval(x, *nbg.sum(x).grad([a, y]), engine=ENGINE) for a, y, x in (met, wanted)), strict=True):
        np.testing.assert_array_equal(r, w)


def test_arrays_and_numbers_are_operands_too(machine_code: Made) -> None:
    """As leaves, which Python makes; a number is told from a tensor of no dimensions."""
    step = nbg.jit(lambda a, x, y, rate: x + rate * nbg.tanh(a @ x + y))
    ys = np.random.default_rng(0).random((60, 2))

    def run(rate: Any) -> Any:
        a, x = T(A), T(X)
        for k in range(60):
            x = step(a, x, ys[k], rate)
        return a, x

    wanted = by_python(lambda: run(0.5))
    run(0.5)
    before = machine_code.quick
    met = run(0.5)
    assert machine_code.quick - before > 40 and met[1].call.n == wanted[1].call.n
    run(T(0.5))
    for (a, x), (b, y) in ((met, wanted), (run(0.25), run(T(0.25)))):
        pairs = zip(*(nbg.eval(v, nbg.sum(v).grad(w), engine=ENGINE) for w, v in ((a, x), (b, y))), strict=True)
        for m, w in pairs:
            np.testing.assert_allclose(m, w, rtol=1e-12)


def test_what_is_read_is_watched(machine_code: Made) -> None:
    model, scale = Model(), [2.0]
    step = nbg.jit(lambda x: model(x) * scale[0])

    def value() -> Any:
        return step(x).eval(ENGINE)

    def wanted() -> Any:
        return (X + model.rate * A @ X + model.layers[1] * A @ X) * scale[0]

    x = T(X)
    for _ in range(5):
        np.testing.assert_allclose(value(), wanted())
    assert machine_code.quick >= 2
    changes: list[Any] = [
        lambda: scale.__setitem__(0, 3.0),
        lambda: setattr(model, "rate", 0.125),
        lambda: model.layers.__setitem__(1, -1.0),
        lambda: setattr(model, "layers", [T(A), 5.0]),
        lambda: setattr(model, "w", T(A)),
    ]
    for change in changes:
        change()
        for _ in range(4):
            np.testing.assert_allclose(value(), wanted())


def test_gradients_reach_what_is_read(machine_code: Made) -> None:
    model = Model()
    step = nbg.jit(lambda x: model(x))
    x = T(X)
    for _ in range(4):
        step(x)
    model.w = w = T(2.0 * A)  # of the same type: machine code takes it as it is now
    before = machine_code.quick
    y = step(x)
    assert machine_code.quick == before + 1
    np.testing.assert_allclose(nbg.sum(y).grad(w).eval(ENGINE), 0.25 * np.outer(np.ones(2), X))


@pytest.mark.parametrize(
    "other", [2.0, np.ones((2, 2, 2)), T(X) * 1.0, T(np.ones((2, 3))), T(X.astype("f4")), None, "x"]
)
def test_other_arguments_are_left_to_python(other: Any, machine_code: Made) -> None:
    step = nbg.jit(lambda a, x: a @ x if isinstance(x, Node) and x.type.ndim else a)
    a, x = T(A), T(X)
    for _ in range(4):
        step(a, x)
    asked, quick = machine_code.asked, machine_code.quick
    out = step(a, other)
    assert machine_code.asked == asked + 1 and machine_code.quick == quick
    if isinstance(other, Node):
        np.testing.assert_allclose(out.eval(ENGINE), A.astype(other.type.dtype) @ other.eval(ENGINE), rtol=1e-6)
    for wrong in [(a,), (a, x, x), ()]:
        with pytest.raises(TypeError, match="argument"):
            step(*wrong)


def test_no_reference_too_many_or_too_few(machine_code: Made) -> None:
    step, model = nbg.jit(lambda a, x, y: (nbg.tanh(a @ x + y), nbg.sum(x))), Model()
    a, y = T(A), T(np.ones((400, 2)))
    read = nbg.jit(lambda x: model(x))

    def run() -> None:
        x = T(X)
        for k in range(300):
            x, s = step(a, x, y[k])
            read(x) if k % 2 else step(a, y[k], x)
            step(a, x, 2.0) if k % 50 == 0 else None
        nbg.eval(x, s, engine=ENGINE)

    run()
    counted = [a, y, a.type, None, True, False, (), step, model.w, model.layers, model, Model]
    gc.collect()
    before, objects = list(map(sys.getrefcount, counted)), len(gc.get_objects())
    for _ in range(5):
        run()
    gc.collect()
    after = list(map(sys.getrefcount, counted))
    assert all(abs(n - m) < 60 for m, n in zip(before, after, strict=True)), list(zip(before, after, strict=True))
    assert len(gc.get_objects()) - objects < 300


def test_results_go_when_nobody_holds_them(machine_code: Made) -> None:
    step = nbg.jit(lambda a, x: a @ x)
    a, x = T(A), T(X)
    for _ in range(30):
        x = step(a, x)
    gone, call = weakref.ref(x), weakref.ref(x.call)
    x = step(a, x)
    assert gone() is None and call() is x.call
    del x
    assert call() is None


def test_a_loop_that_is_held_or_closed_gets_no_row(machine_code: Made) -> None:
    step = nbg.jit(lambda a, x: a @ x)
    a, x = T(A), T(X)
    for _ in range(40):
        x = step(a, x)
    loop, n = x.call, x.call.n
    with none_here():
        y = step(a, x)
    assert type(loop) is LoopCall and y.call is not loop and loop.n == n
    z = step(a, x)
    assert z.call is loop and loop.n == n + 1
    loop.close()
    assert step(a, z).call is not loop and loop.n == n + 1
    np.testing.assert_allclose(z.eval(ENGINE), np.linalg.matrix_power(A, 41) @ X)


def test_code_that_runs_where_something_is_made_may_close_the_loop(machine_code: Made) -> None:
    """The collector may run anybody's code; here it evaluates the loop that is about to get a row."""
    step = nbg.jit(lambda a, x: a @ x)
    a, x = T(A), T(X)

    class Evaluates:
        def __init__(self) -> None:
            self.me = self

        def __del__(self) -> None:
            seen.append(x.eval(ENGINE))

    seen: list[Any] = []
    old = gc.get_threshold()
    try:
        for k in range(200):
            if k > 20 and k % 7 == 0:
                Evaluates()
                gc.set_threshold(1)
            x = step(a, x)
            gc.set_threshold(*old)
        np.testing.assert_allclose(x.eval(ENGINE), np.linalg.matrix_power(A, 200) @ X)
    finally:
        gc.set_threshold(*old)
    gc.collect()
    assert len(seen) > 10


def test_threads_share_a_function_and_a_state(machine_code: Made) -> None:
    step = nbg.jit(lambda a, x: nbg.tanh(a @ x))
    a = T(A)
    start = T(X)
    for _ in range(20):
        start = step(a, start)

    def run(seed: int) -> Any:
        x = start
        for k in range(300):
            x = step(a, x)
            if (k + seed) % 97 == 0:
                x.eval(ENGINE)
        return x.eval(ENGINE)

    with ThreadPoolExecutor(4) as pool:
        results = list(pool.map(run, range(8)))
    x = X
    for _ in range(320):
        x = np.tanh(A @ x)
    for r in results:
        np.testing.assert_allclose(r, x, rtol=1e-12)
    assert machine_code.quick > 100
