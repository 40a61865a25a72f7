"""`nbg.jit`: what it returns equals the function, under every transform; when it traces; what it cannot do."""

from __future__ import annotations

import gc
import pickle
import tracemalloc
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from jitted import FUNCTIONS, MODES, Counted, array, close, leaf, step, total

import nbgraph as nbg
from nbgraph.calls import FragmentCall, RepeatCall
from nbgraph.errors import DifferentiationError
from nbgraph.trees import leaves

# -- laws ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("name", FUNCTIONS)
def test_equals_the_function(name, mode) -> None:
    f, make = FUNCTIONS[name]
    jitted, arguments, engine = nbg.jit(f), make(), nbg.Engine(jit=mode)
    for _ in range(3):
        got, wanted = jitted(*arguments), f(*map(leaf, arguments))
        for g, w in zip(leaves(got), leaves(wanted), strict=True):
            assert (g.type, type(g)) == (w.type, nbg.TracedTensor)
            np.testing.assert_allclose(g.eval(engine), w.eval(engine), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_gradients_of_first_and_second_order(name) -> None:
    f, make = FUNCTIONS[name]
    jitted, arguments = nbg.jit(f), make()

    def gradients(g):
        xs = [leaf(a) for a in arguments]
        first = total(g(*xs)).grad(xs, allow_unused=True)
        second = total([d * d for d in first]).grad(xs, allow_unused=True)
        return [*first, *second]

    tol = 1e-8 if name in ("projector", "solve") else 1e-10
    for _ in range(2):
        for g, w in zip(gradients(jitted), gradients(f), strict=True):
            np.testing.assert_allclose(g.eval(), w.eval(), rtol=tol, atol=tol)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_transforms_of_it(name) -> None:
    f, make = FUNCTIONS[name]
    jitted, arguments = nbg.jit(f), make()
    tangents = tuple(array(*a.shape, kind="c" if a.dtype.kind == "c" else "f") for a in arguments)
    got = nbg.jvp(lambda *xs: total(jitted(*xs)), arguments, tangents)
    wanted = nbg.jvp(lambda *xs: total(f(*xs)), arguments, tangents)
    for g, w in zip(got, wanted, strict=True):
        close(g, w.eval(), 1e-10)
    if name in ("elementwise", "step", "number", "gradient inside", "slices"):
        close(
            nbg.hessian(lambda *xs: total(jitted(*xs)))(*arguments),
            nbg.hessian(lambda *xs: total(f(*xs)))(*arguments).eval(),
            1e-9,
        )
        close(
            nbg.jit(nbg.grad(lambda *xs: total(jitted(*xs))))(*arguments),
            nbg.grad(lambda *xs: total(f(*xs)))(*arguments).eval(),
            1e-10,
        )


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("checks", ["every step", "none", "every third"])
def test_a_loop(mode, checks) -> None:
    engine, jitted = nbg.Engine(jit=mode), nbg.jit(step)
    a0, x0 = array(5, 5), array(5)

    def loop(f, e):
        a, x = leaf(a0), leaf(x0)
        for k in range(30):
            x, d = f(a, x)
            if checks == "every step" or (checks == "every third" and k % 3 == 0):
                d.eval(e)
        loss = x @ (a @ x)
        return loss, loss.grad(a), (loss.grad(a) ** 2).sum().grad(a)

    for _ in range(2):
        for g, w in zip(loop(jitted, engine), loop(step, nbg.Engine(jit="never")), strict=True):
            np.testing.assert_allclose(g.eval(engine), w.eval(), rtol=1e-9, atol=1e-12)


def test_operations_around_it_and_checks_on_top() -> None:
    jitted = nbg.jit(lambda a, x: (a @ x) / nbg.linalg.norm(a @ x))

    def loop(f, evaluated):
        a, x = leaf(np.arange(9.0).reshape(3, 3) + 1), leaf(np.ones(3))
        for _ in range(12):
            new = f(a * 0.5, x + 1.0)
            if evaluated:
                nbg.linalg.norm(new - x).eval()
            x = new
        return (x * x).sum().grad(a)

    wanted = loop(jitted.__wrapped__, False).eval()
    for evaluated in (True, False):
        close(loop(jitted, evaluated), wanted, 1e-10)


# -- one call, one fragment ---------------------------------------------------------------------------------------


def test_a_call_is_one_node_of_the_graph() -> None:
    jitted = nbg.jit(step)
    a, x = leaf(array(3, 3)), leaf(array(3))
    new, d = jitted(a, x)
    assert type(new.call) is FragmentCall and new.call is d.call and new.data is None
    assert set(new.call.inputs) == {a, x}
    again, _ = jitted(a, new)
    assert again.call.fragment is new.call.fragment


def test_another_size_is_the_same_fragment_and_compiles_nothing() -> None:
    engine, jitted = nbg.Engine(jit="always"), nbg.jit(step)
    fragments = set()
    for n in (3, 4, 50, 3):
        new, d = jitted(leaf(array(n, n)), leaf(array(n)))
        d.eval(engine)
        fragments.add(new.call.fragment)
    assert len(fragments) == 1 and engine.stats().compiled == 1


def test_the_gradient_of_a_loop_is_one_call() -> None:
    jitted = nbg.jit(step)
    a, x = leaf(array(4, 4)), leaf(array(4))
    for _ in range(40):
        x, d = jitted(a, x)
        d.eval()
    gradient = x.sum().grad(a)
    assert any(type(n.call) is RepeatCall for n in (gradient, *getattr(gradient.call, "inputs", ())))
    engine = nbg.Engine(jit="always")
    gradient.eval(engine)
    assert engine.stats().compiled <= 3


def test_evaluated_once() -> None:
    engine, jitted = nbg.Engine(jit="never"), nbg.jit(step)
    a, x = leaf(array(3, 3)), leaf(array(3))
    for _ in range(4):
        x, d = jitted(a, x)
        for _ in range(2):
            d.eval(engine)
            x.eval(engine)
    stats = engine.stats()
    assert (stats.evals, stats.interpreted, stats.fragments) == (4, 4, 1)


def test_dead_results_are_not_computed() -> None:
    engine = nbg.Engine(jit="never")
    jitted = nbg.jit(lambda x: (x + 1.0, nbg.exp(nbg.sin(x))))
    jitted(leaf(1.0))[0].eval(engine)
    assert engine.stats().operations == 1


def test_history_of_constants_is_dropped() -> None:
    jitted = nbg.jit(lambda a, x: a * x + 1.0)
    a, x = nbg.constant(0.5), nbg.constant(np.ones(1000))
    for _ in range(3):
        x = jitted(a, x)
        x.eval()
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        for _ in range(300):
            x = jitted(a, x)
            x.eval()
        gc.collect()
        assert tracemalloc.get_traced_memory()[0] - before < 50_000
    finally:
        tracemalloc.stop()
    with pytest.raises(DifferentiationError):
        x.sum().grad(a)


def test_only_what_is_reached_is_active() -> None:
    jitted = nbg.jit(lambda p, c: (p * c, c + 1.0, c > 0.0, (p * 0.0).astype(int) * c))
    results = jitted(leaf(1.0), nbg.constant(2.0))
    assert [r.active for r in results] == [True, False, False, False]


# -- nesting ------------------------------------------------------------------------------------------------------


def test_jit_in_jit_is_one_fragment() -> None:
    inner = nbg.jit(lambda x, k: nbg.sin(x) * k)
    scale = leaf(2.0)
    outer = nbg.jit(lambda x: inner(inner(x, 2.0) + scale, 3.0))
    x = leaf(0.4)
    for _ in range(2):
        y = outer(x)
        assert scale in y.call.inputs and x in y.call.inputs
        close(y, np.sin(np.sin(0.4) * 2 + 2) * 3)
        close(y.grad(x), np.cos(np.sin(0.4) * 2 + 2) * 3 * np.cos(0.4) * 2)
    close(inner(x, 1.0), np.sin(0.4))


def test_a_closure_over_an_outer_argument() -> None:
    def outer(x, y):
        inner = nbg.jit(lambda z: z * x)
        return inner(y) + inner(x)

    f = nbg.jit(outer)
    for x, y in ((2.0, 3.0), (4.0, 5.0)):
        x, y = leaf(x), leaf(y)
        close(f(x, y), x.item() * (x.item() + y.item()))
        close(f(x, y).grad(x), y.item() + 2 * x.item())


def test_a_step_of_an_optimiser_with_its_gradient_inside() -> None:
    data = array(20, 3)

    def loss(w):
        return ((data @ w - 1.0) ** 2).mean()

    @nbg.jit
    def descend(w, rate):
        value, g = nbg.value_and_grad(loss)(w)
        return w - rate * g, value

    w = leaf(np.zeros(3))
    values = []
    for _ in range(200):
        w, value = descend(w, 0.1)
        values.append(float(value))
    assert values[-1] < values[0] * 0.5
    np.testing.assert_allclose(w.eval(), np.linalg.lstsq(data, np.ones(20))[0], atol=0.2)


# -- everything else ----------------------------------------------------------------------------------------------


def test_pickles_of_results() -> None:
    f = nbg.jit(lambda x, y: (lambda z: (z, z * y))(nbg.sin(x)))
    x, y = leaf(0.3), leaf(2.0)
    for evaluated in (False, True):
        z, w = f(x, y)
        if evaluated:
            w.eval()
        z2, w2, x2 = pickle.loads(pickle.dumps((z, w, x)))
        close(z2, np.sin(0.3))
        close(w2, np.sin(0.3) * 2)
        close(w2.grad(x2), np.cos(0.3) * 2)


def test_threads() -> None:
    counted = Counted(step)
    f = counted.jitted()
    a = array(4, 4)

    def work(k):
        x = leaf(np.full(4, 1.0 + k))
        m = leaf(a)
        for _ in range(20):
            x, d = f(m, x)
            d.eval()
        return x.sum().grad(m).eval()

    with ThreadPoolExecutor(4) as pool:
        results = list(pool.map(work, [0] * 8))
    for r in results:
        np.testing.assert_allclose(r, results[0], rtol=1e-12)
    assert len(counted) <= 4


def test_a_traced_function_keeps_no_values_alive() -> None:
    f = nbg.jit(lambda x: x + 1.0)
    x = leaf(np.ones(100_000))
    f(x).eval()
    tracemalloc.start()
    try:
        for _ in range(10):
            x = leaf(np.ones(100_000))
            f(x).eval()
        del x
        gc.collect()
        assert tracemalloc.get_traced_memory()[0] < 100_000
    finally:
        tracemalloc.stop()


def test_program_text_of_a_jitted_loop() -> None:
    f = nbg.jit(step)
    a, x = leaf(array(3, 3)), leaf(array(3))
    for _ in range(3):
        x, _ = f(a, x)
    fragments = nbg.graph.fragments_of(x)
    assert len(set(fragments)) == 1
    program = nbg.Engine(jit="never").compile([x], [a])
    a1 = array(3, 3)
    assert program(a1)[0].shape == (3,)


def test_static_values_that_are_equal_and_not_the_same() -> None:
    scaled = nbg.jit(lambda x, t: x * t[0][0], static_argnums=1)
    x = nbg.TracedTensor.from_tensor(np.array([1, 2]))
    assert [scaled(x, ((v,),)).dtype.kind for v in (1, 1.0, True, 1)] == ["i", "f", "i", "i"]
