"""`nbg.checkpoint` and `nbg.checkpoint_loop`: the same values and derivatives, less memory, and what is checked."""

from __future__ import annotations

import gc
import pickle
import tracemalloc
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

import nbgraph as nbg
from nbgraph import memory
from nbgraph.errors import BoundsError, ConcretizationError, DifferentiationError, ShapeError
from nbgraph.parts import ReplayCall

rng = np.random.default_rng(5)
leaf = nbg.TracedTensor.from_tensor
WEIGHT = leaf([0.5, 1.5, 2.0])


def close(got, wanted, tol=1e-12):
    np.testing.assert_allclose(np.asarray(got.eval()), np.asarray(wanted), rtol=tol, atol=tol)


def babylonian(a, tolerance=1e-13):
    """A square root, as a loop that ends by values."""
    x = a * 0.5 + 0.5
    while True:
        new = (x + a / x) / 2
        done = float(abs(new - x).max()) < tolerance
        x = new
        if done:
            return x


def inner_gradient(x):
    y = nbg.sin(x) * x
    loss = (y * y).sum()
    loss.eval()
    return loss.grad(x) * y


FUNCTIONS = {
    "elementwise": lambda x: nbg.exp(nbg.sin(x)) * x,
    "captured": lambda x: nbg.sin(x * WEIGHT) + WEIGHT,
    "decides by values": babylonian,
    "gradient inside": inner_gradient,
    "several results": lambda x: (lambda y: y * nbg.cos(y) + y.sum())(nbg.tanh(x)),
    "eigenvectors": lambda x: (nbg.linalg.eigh(nbg.outer(x, x) + nbg.diag(x))[1] ** 2)[:, 0],
    "jitted": nbg.jit(lambda x: nbg.exp(x) * x),
    "nested": lambda x: nbg.checkpoint(lambda y: nbg.sin(y) * x)(x * x),
    "itself": lambda x: x,
}  # fmt: skip


@pytest.mark.parametrize("evaluated", [False, True])
@pytest.mark.parametrize("name", FUNCTIONS)
def test_values_and_derivatives(name, evaluated) -> None:
    f = FUNCTIONS[name]

    def derivatives(g):
        x = leaf([0.3, 0.7, 1.1])
        y = g(x * 1.0)
        if evaluated:
            y.eval()
        loss = (y * [1.0, 2.0, 3.0]).sum()
        first = loss.grad([x, WEIGHT], allow_unused=True)
        second = sum((d * d).sum() for d in first).grad([x, WEIGHT], allow_unused=True)
        return [y, *first, *second, y.jvp(x, [1.0, -1.0, 0.5])]

    for got, wanted in zip(derivatives(nbg.checkpoint(f)), derivatives(f), strict=True):
        close(got, wanted.eval(), 1e-9)


@pytest.mark.parametrize("name", ["elementwise", "captured", "nested", "jitted"])
def test_under_transforms_and_jit(name) -> None:
    f = FUNCTIONS[name]
    x, t = np.array([0.3, 0.7, 1.1]), np.array([1.0, -1.0, 0.5])
    h = nbg.checkpoint(f)
    wanted = nbg.hessian(lambda x: (f(x) ** 2).sum())(x).eval()
    close(nbg.hessian(lambda x: (h(x) ** 2).sum())(x), wanted, 1e-10)
    close(nbg.jit(nbg.hessian(lambda x: (h(x) ** 2).sum()))(x), wanted, 1e-10)
    close(nbg.hvp(lambda x: (h(x) ** 2).sum(), (x,), (t,)), wanted @ t, 1e-10)
    close(nbg.jacrev(h)(x), nbg.jacfwd(f)(x).eval(), 1e-10)


@pytest.mark.parametrize("mode", ["never", "auto", "always"])
def test_a_backward_pass_is_one_replay(mode) -> None:
    engine, runs = nbg.Engine(jit=mode), []

    def f(x, y):
        runs.append(1)
        return {"a": x * nbg.sin(y), "b": (y + 1.0, 3, None)}

    x, y = leaf(2.0), leaf(0.5)
    out = nbg.checkpoint(f)(x, y=y)
    assert out["b"][1:] == (3, None) and len(runs) == 1
    gx, gy = (out["a"] * out["b"][0]).grad([x, y])
    assert type(gx.call) is ReplayCall and gx.call is gy.call and len(runs) == 1
    nbg.eval(gx, gy, engine=engine)
    assert len(runs) == 2
    close(gx, np.sin(0.5) * 1.5)
    close(gy, 2 * np.cos(0.5) * 1.5 + 2 * np.sin(0.5))


def test_arguments_that_come_out_and_inactive_ones() -> None:
    x, c, k = leaf(2.0), nbg.constant(3.0), leaf(4)
    y, same, z, n = nbg.checkpoint(lambda x, c, k: (x * c, x, c + 1.0, k + 1))(x, c, k)
    assert same is x and (y.active, z.active, n.active) == (True, True, False)
    close(y.grad(x), 3.0)
    close(n, 5)
    plain = nbg.checkpoint(lambda c: c * 2.0)(c)
    assert not plain.active
    close(plain, 6.0)


def test_what_is_inside_is_forgotten() -> None:
    x = leaf(np.ones(50_000))

    def f(x):
        for _ in range(20):
            x = nbg.sin(x) + 1.0
            x.eval()
        return x

    nbg.checkpoint(f)(x).eval()
    tracemalloc.start()
    try:
        y = nbg.checkpoint(f)(x)
        y.eval()
        gc.collect()
        memory.release()  # arrays that are gone
        assert tracemalloc.get_traced_memory()[0] < 2 * x.data.nbytes
        y.sum().grad(x).eval()
        gc.collect()
        memory.release()
        assert tracemalloc.get_traced_memory()[0] < 3 * x.data.nbytes
    finally:
        tracemalloc.stop()


# -- loops --------------------------------------------------------------------------------------------------------


def damped(p):
    return lambda x: nbg.sin(x) * p + x * 0.5


def run_default(step, x, k, engine):
    for _ in range(k):
        x = step(x)
        x.eval(engine)
    return x


@pytest.mark.parametrize("jitted", [False, True])
@pytest.mark.parametrize(("n", "every"), [(0, None), (1, None), (10, 3), (30, None), (30, 1), (30, 100)])
def test_a_loop(n, every, jitted) -> None:
    def derivatives(run):
        p, x0 = leaf([0.6, 0.8]), leaf([0.2, 0.9])
        step = nbg.jit(damped(p)) if jitted else damped(p)
        x = run(step, x0)
        loss = (x * x).sum() + (p * x0).sum()
        first = loss.grad([p, x0])
        return [x, *first, sum((d * d).sum() for d in first).grad(p)]

    engine = nbg.Engine(jit="never")
    wanted = derivatives(lambda step, x: run_default(step, x, n, engine))
    got = derivatives(lambda step, x: nbg.checkpoint_loop(step, x, n, every, engine=engine))
    for g, w in zip(got, wanted, strict=True):
        close(g, w.eval(), 1e-11)


def test_a_state_of_several_tensors_and_a_stop_by_values() -> None:
    a, tests = leaf(np.array([[2.0, 1.0], [1.0, 3.0]])), []

    def step(state):
        y = a @ state["x"]
        return {"x": y / nbg.linalg.norm(y), "old": state["x"], "k": state["k"] + 1}

    def converged(state):
        tests.append(1)
        return float(nbg.linalg.norm(state["x"] - state["old"])) < 1e-12

    start = {"x": leaf([1.0, 0.0]), "old": leaf([0.0, 0.0]), "k": nbg.constant(0)}
    end = nbg.checkpoint_loop(step, start, 1000, until=converged)
    steps = int(end["k"])
    assert steps == len(tests) < 100
    value = end["x"] @ (a @ end["x"])
    w, v = np.linalg.eigh(a.eval())
    close(value, w[-1], 1e-10)
    close(value.grad(a), np.outer(v[:, -1], v[:, -1]), 1e-6)
    assert len(tests) == steps  # not asked again


def test_memory_and_time_of_a_long_loop() -> None:
    """Peak memory under 5 % of the default's, for at most one more forward pass."""
    engine, k = nbg.Engine(jit="never"), 2500
    p0, x0 = np.linspace(0.5, 1.0, 256), np.linspace(0.1, 1.0, 256)

    def gradient(run):
        p = leaf(p0)
        x = run(damped(p), leaf(x0))
        return (x * x).sum().grad(p).eval(engine)

    def default(step, x):
        return run_default(step, x, k, engine)

    def with_checkpoints(step, x):
        return nbg.checkpoint_loop(step, x, k, engine=engine)

    peaks, operations, values = [], [], []
    for run in (default, with_checkpoints):
        gradient(run)
        gc.collect()
        before = engine.stats().operations
        tracemalloc.start()
        try:
            values.append(gradient(run))
            peaks.append(tracemalloc.get_traced_memory()[1])
        finally:
            tracemalloc.stop()
        operations.append(engine.stats().operations - before)
    np.testing.assert_allclose(values[1], values[0], rtol=1e-9)
    assert peaks[1] < 0.10 * peaks[0], peaks  # 5 % at 10,000 steps: it goes with 1 / sqrt(n)
    assert operations[1] - operations[0] <= 4 * k + 200  # one more forward pass, of 4 operations a step


def test_peak_memory_grows_with_the_square_root() -> None:
    engine = nbg.Engine(jit="never")

    def peak(k):
        p = leaf(np.ones(2000) * 0.7)
        gc.collect()
        tracemalloc.start()
        try:
            x = nbg.checkpoint_loop(damped(p), leaf(np.ones(2000)), k, engine=engine)
            x.sum().grad(p).eval(engine)
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    peak(64)
    assert peak(1600) < 5.5 * peak(64)  # sqrt(25) = 5


def test_gradients_by_what_is_read_are_added_in_place() -> None:
    """A large parameter costs one cotangent, not one for each stretch."""
    engine = nbg.Engine(jit="never")
    a = leaf(np.eye(200) * 0.5 + 0.001)
    tracemalloc.start()
    try:
        x = nbg.checkpoint_loop(lambda x: nbg.tanh(a @ x), leaf(np.ones(200)), 400, engine=engine)
        g = x.sum().grad(a).eval(engine)
        assert tracemalloc.get_traced_memory()[1] < 12 * g.nbytes
    finally:
        tracemalloc.stop()


# -- what is checked, and the rest --------------------------------------------------------------------------------


def chain(n: int, wrapped, a, x):
    """Parts that read what the one before has made, and what that is made of."""
    y = nbg.sin(x)
    for _ in range(n):
        before = y
        x, y = wrapped(lambda x, y, before=before: (0.5 * nbg.tanh(a * x) + before * x, nbg.sin(y) * before * a))(x, y)
    return (x * x + y).sum()


@pytest.mark.parametrize("n", [1, 3])
def test_what_is_read_may_be_made_of_what_is_read_too(n) -> None:
    given = rng.random((2, 3)) + 0.5
    found = []
    for wrapped in (nbg.checkpoint, lambda f: f):
        a, x = map(leaf, given)
        first = chain(n, wrapped, a, x).grad([a, x])
        again, b = pickle.loads(pickle.dumps((chain(n, wrapped, a, x).grad(a), a)))
        found.append([*first, *(first[0] * first[1]).sum().grad([a, x]), again, again.sum().grad(b)])
    for got, want in zip(*found, strict=True):
        close(got, want.eval(), 1e-11)


@pytest.mark.parametrize("evaluated", [False, True])
def test_the_cost_of_parts_that_read_what_the_one_before_has_made_is_linear(evaluated) -> None:
    counts = []
    for n in (3, 6, 9):
        engine = nbg.Engine(jit="never")
        a, x = map(leaf, rng.random((2, 3)))
        loss = chain(n, nbg.checkpoint, a, x)
        if evaluated:
            loss.eval(engine)
        nbg.eval(*loss.grad([a, x]), engine=engine)
        counts.append(engine.stats().operations)
    assert counts[2] - counts[1] == counts[1] - counts[0]


def test_it_sees_the_closure_and_globals_as_they_were() -> None:
    xs, results = leaf(2.0), []
    for k in (1.0, 2.0, 3.0):
        results.append(nbg.checkpoint(lambda x: x * x * k)(xs))  # noqa: B023
    for k, y in zip((1.0, 2.0, 3.0), results, strict=True):
        close(y.grad(xs), 4.0 * k)


def test_doing_something_else_is_an_error() -> None:
    state = {"factor": 1.0}

    def f(x):
        return x * x * state["factor"]

    x = leaf(3.0)
    y = nbg.checkpoint(f)(x)
    y.eval()
    gradient = y.grad(x)
    state["factor"] = 2.0
    with pytest.raises(DifferentiationError, match="another result"):
        gradient.eval()
    state["factor"] = 1.0
    close(gradient, 6.0)


def test_reading_another_tensor_is_an_error() -> None:
    class Model:
        w = leaf(2.0)

    model, x = Model(), leaf(3.0)
    y = nbg.checkpoint(lambda x: x * model.w)(x)
    gradient = y.grad(model.w)
    model.w = leaf(5.0)
    with pytest.raises(DifferentiationError, match="other tensors"):
        gradient.eval()


def test_errors() -> None:
    for n, every in ((-1, None), (3, 0)):
        with pytest.raises(BoundsError):
            nbg.checkpoint_loop(lambda x: x, leaf(1.0), n, every)
    with pytest.raises(ShapeError, match="structure"):
        nbg.checkpoint_loop(lambda x: (x, x), leaf(1.0), 3)
    with pytest.raises(ConcretizationError):
        nbg.jit(nbg.checkpoint(babylonian))(leaf([2.0]))


def test_inside_jit_a_loop_is_recorded() -> None:
    p = leaf(0.5)
    f = nbg.jit(lambda x: nbg.checkpoint_loop(damped(p), x, 9))
    x = leaf(0.3)
    got, wanted = f(x), run_default(damped(p), x, 9, None)
    close(got, wanted.eval())
    close(got.grad(p), wanted.grad(p).eval(), 1e-11)


def test_placeholders() -> None:
    x = nbg.TracedTensor.placeholder(("n",), name="x")
    y = nbg.checkpoint(lambda x: nbg.sin(x) * x)(x)
    g = y.sum().grad(x)
    x0 = np.array([0.2, 0.4])
    np.testing.assert_allclose(y.eval(bindings={x: x0}), np.sin(x0) * x0)
    np.testing.assert_allclose(g.eval(bindings={x: x0}), np.sin(x0) + x0 * np.cos(x0))


def sizes_decided_inside(x):
    return (nbg.pad_to_match(x[x > 0.3] ** 2, x) + x)[x > -0.5]


PLACED = {
    "reads one from elsewhere": lambda a, x: nbg.checkpoint(lambda y: nbg.tanh(a @ y) + y)(x),
    "a loop that reads one": lambda a, x: nbg.checkpoint_loop(lambda y: nbg.tanh(a @ y) + 0.1 * y, x, 7),
    "a state without": lambda a, x: nbg.checkpoint_loop(lambda y: nbg.cos(y * a.sum()), nbg.ones(2), 7) * x.sum(),
    "sizes decided inside": lambda a, x: nbg.checkpoint(sizes_decided_inside)(nbg.checkpoint(sizes_decided_inside)(x)),
}


@pytest.mark.parametrize("name", PLACED)
def test_of_placeholders(name) -> None:
    f, engine = PLACED[name], nbg.Engine(jit="never")

    def derivatives(a, x):
        y = f(a, x)
        g = (y**2).sum().grad([a, x], allow_unused=True)
        h = sum((d**2).sum() for d in g).grad([a, x], allow_unused=True)
        return [y, *g, *h]

    a = nbg.TracedTensor.placeholder(("n", "n"), name="a")
    x = nbg.TracedTensor.placeholder(("n",), name="x")
    asked = derivatives(a, x)
    for n in (3, 4):
        given = [rng.normal(size=(n, n)) / 2, rng.normal(size=n)]
        want = nbg.eval(*derivatives(*map(leaf, given)), engine=engine)
        unused = {a: given[0], x: given[1]} if name != "sizes decided inside" else {x: given[1]}
        for y, w in zip(asked, want, strict=True):
            if name == "sizes decided inside" and y.shape == a.shape:
                continue  # exact zeros
            np.testing.assert_allclose(y.eval(engine, bindings=unused), w, rtol=1e-9, atol=1e-11)


FACTOR = 2.0


def times_factor(x):
    return x * FACTOR


def test_helpers_are_what_they_were(monkeypatch) -> None:
    x = leaf(1.5)
    g = nbg.checkpoint(lambda x: times_factor(x) * x)(x).grad(x)
    monkeypatch.setitem(globals(), "FACTOR", 3.0)
    close(g, 6.0)


@pytest.mark.parametrize("evaluated", [False, True])
def test_what_has_changed_is_noticed(evaluated) -> None:
    x, factors = leaf(1.5), [2.0]
    y = nbg.checkpoint(lambda x: x * factors[0] * x)(x * 1.0)
    g = y.grad(x)
    if evaluated:
        y.eval()
    factors[0] = 3.0
    with pytest.raises(DifferentiationError, match="another result"):
        g.eval()
    factors[0] = 2.0
    close(g, 6.0)


@pytest.mark.parametrize("f", [lambda x: nbg.sign(x).sum(), lambda x: nbg.stop_gradient(x).sum()])
def test_a_second_derivative_by_what_has_no_first(f) -> None:
    x, y = leaf([1.0, 2.0]), leaf([0.3, 0.4])
    out = nbg.checkpoint(lambda x, y: f(x) * (y**2).sum())(x * 1.0, y * 1.0) ** 2
    g = out.grad([x, y])
    by_x, by_y = sum((v * v).sum() for v in g).grad([x, y], allow_unused=True)
    close(by_x, np.zeros(2))
    total, weight = 0.25, float(f(x).eval())
    close(by_y, 96 * weight**4 * total**2 * np.array([0.3, 0.4]))


def test_pickles() -> None:
    x = leaf(0.5)
    y = nbg.checkpoint(lambda x: nbg.sin(x) * WEIGHT)(x).sum()
    g = y.grad(x)
    for thing in (y, g):
        copy, x2 = pickle.loads(pickle.dumps((thing, x)))
        close(copy, thing.eval())
        close(copy.grad(x2), thing.grad(x).eval())


def test_threads() -> None:
    p = leaf(0.7)
    x = nbg.checkpoint_loop(damped(p), leaf(0.4), 50)
    g = x.grad(p)
    with ThreadPoolExecutor(4) as pool:
        values = list(pool.map(lambda _: float(g.eval()), range(8)))
    np.testing.assert_allclose(values, float(run_default(damped(p), leaf(0.4), 50, None).grad(p)), rtol=1e-12)


def test_a_failure_leaves_the_graph_as_it_was() -> None:
    fail = [False]

    def f(x):
        if fail[0]:
            raise KeyboardInterrupt
        return nbg.exp(x)

    x = leaf(1.0)
    g = nbg.checkpoint(f)(x).grad(x)
    fail[0] = True
    with pytest.raises(KeyboardInterrupt):
        g.eval()
    fail[0] = False
    close(g, np.e)


def test_a_derivative_by_a_result() -> None:
    x = leaf(0.5)
    y = nbg.checkpoint(nbg.exp)(x)
    z = y * y + x
    close(z.grad(y), 2 * np.exp(0.5))
    close(z.grad(x), 2 * np.exp(1.0) + 1)


def test_second_derivatives_where_an_argument_is_not_used_at_any_size() -> None:
    x, y = (nbg.TracedTensor.placeholder((name,), name=name) for name in "nm")
    slopes = nbg.checkpoint(lambda x, y: nbg.sum(nbg.sin(x)))(x, y).grad([x, y], allow_unused=True)
    second = nbg.sum(slopes[0] * x).grad([x, y], allow_unused=True)
    for n, m in ((3, 2), (1, 1)):
        a, b = np.arange(1.0, n + 1), np.ones(m)
        by_x, by_y, unused = nbg.eval(*second, slopes[1], bindings={x: a, y: b})
        np.testing.assert_allclose(by_x, np.cos(a) - a * np.sin(a))
        np.testing.assert_array_equal(by_y, np.zeros(m))
        np.testing.assert_array_equal(unused, np.zeros(m))
