"""`nbg.jit`: what it returns equals the function, under every transform; when it traces; what it cannot do."""

from __future__ import annotations

import functools
import gc
import pickle
import tracemalloc
from collections import namedtuple
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import pytest

import nbgraph as nbg
from nbgraph.errors import ConcretizationError, DifferentiationError, DtypeError, ShapeError
from nbgraph.trace import FragmentCall, RepeatCall
from nbgraph.trees import leaves

rng = np.random.default_rng(3)
leaf = nbg.TracedTensor.from_tensor
Point = namedtuple("Point", ["x", "y"])
SCALE = 2.0
WEIGHT = leaf(3.0)
NESTED = {"inner": [leaf(1.0), 2.0]}


@dataclass
class State:
    mean: object
    scale: object


def close(got, wanted, tol=1e-12):
    np.testing.assert_allclose(np.asarray(got.eval()), np.asarray(wanted), rtol=tol, atol=tol)


def array(*shape, kind="f"):
    a = rng.uniform(0.5, 1.5, shape)
    return a + 1j * rng.uniform(0.5, 1.5, shape) if kind == "c" else a


class Counted:
    """A function that counts its runs, in a way that is no state it reads."""

    def __init__(self, f):
        self.f, self.runs = f, []
        functools.update_wrapper(self, f)

    def jitted(self, **options):
        runs, f = self.runs.append, self.f

        @functools.wraps(f)
        def counting(*args, **kwargs):
            runs(None)
            return f(*args, **kwargs)

        return nbg.jit(counting, **options)

    def __len__(self):
        return len(self.runs)


def step(a, x):
    y = a @ x
    new = y / nbg.linalg.norm(y)
    return new, nbg.linalg.norm(new - x)


FUNCTIONS = {
    "elementwise": (lambda x, y: nbg.sin(x) * y + x / y, lambda: (array(3), array(3))),
    "step": (step, lambda: (array(4, 4), array(4))),
    "contraction": (lambda a, b: nbg.einsum("ij,jk->ki", a, b), lambda: (array(2, 3), array(3, 4))),
    "slices": (lambda x: x[1:] - x[:-1] + x[0], lambda: (array(5),)),
    "update": (lambda x, y: x.at[1:3].set(y).at[0].add(2.0), lambda: (array(5), array(2))),
    "reductions": (lambda x: (x.max(axis=0), x.mean(), nbg.sum(x, axis=1)), lambda: (array(3, 4),)),
    "reshapes": (lambda x: nbg.concatenate([x.reshape(-1), x.T.ravel()]), lambda: (array(2, 3),)),
    "eigh": (lambda a: nbg.linalg.eigh(a + a.T)[0], lambda: (array(3, 3),)),
    "projector": (
        lambda a: (lambda v: v[:, :1] @ v[:, :1].T)(nbg.linalg.eigh(a + a.T)[1]),
        lambda: (array(3, 3) + np.diag([0.0, 3.0, 9.0]),),
    ),
    "solve": (nbg.linalg.solve, lambda: (array(3, 3) + 3 * np.eye(3), array(3))),
    "complex": (lambda z, w: nbg.abs(z * nbg.conj(w)) ** 2, lambda: (array(3, kind="c"), array(3, kind="c"))),
    "empty": (lambda x: x * 2.0 + x.sum(), lambda: (np.zeros((0, 3)),)),
    "number": (lambda x: x**3 - 2.0 / x, lambda: (np.float64(1.5),)),
    "gradient inside": (lambda x, y: nbg.grad(lambda z: (nbg.exp(z) * y).sum())(x), lambda: (array(3), array(3))),
    "second derivative inside": (
        lambda x: nbg.hessian(lambda z: (z**3).sum() * z[0])(x),
        lambda: (array(3),),
    ),
    "tangent inside": (lambda x, t: nbg.jvp(lambda z: nbg.sin(z) * z, (x,), (t,))[1], lambda: (array(3), array(3))),
    "many operations": (lambda x: functools.reduce(lambda y, k: nbg.sin(y) + x * k, range(90), x), lambda: (array(2),)),
}  # fmt: skip
MODES = ("never", "auto", "always")


def total(result):
    """A real number of everything a function returns."""
    parts = [nbg.real(part * (k + 1.5)).sum() for k, part in enumerate(leaves(result))]
    return sum(parts, nbg.constant(0.0))


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


# -- arguments and results ----------------------------------------------------------------------------------------


def test_containers_in_and_out() -> None:
    @nbg.jit
    def f(tree, *, point, state=None):
        w, (b, none) = tree["w"], tree["b"]
        assert none is None
        return {"p": Point(w * point.x, point.y), "s": State(b + 1.0, [state, (w,)]), "n": None, "t": ()}

    w, b, x = leaf(1.0), leaf(2.0), leaf(3.0)
    for _ in range(2):
        out = f({"w": w, "b": (b, None)}, point=Point(x, "name"))
        assert type(out["p"]) is Point and type(out["s"]) is State and out["n"] is None and out["t"] == ()
        close(out["p"].x, 3.0)
        assert out["p"].y == "name" and out["s"].scale[0] is None and out["s"].scale[1][0] is w
        close(out["s"].mean, 3.0)
        close(out["p"].x.grad(w), 3.0)


def test_numbers_are_operands_and_weak() -> None:
    counted = Counted(lambda x, lr: x - lr * (1 - lr) * x)
    f, engine = counted.jitted(), nbg.Engine(jit="always")
    for lr in (0.1, 0.2, 0.3):
        close(f(leaf(2.0), lr), 2.0 - lr * (1 - lr) * 2.0)
        f(leaf(2.0), lr).eval(engine)
    assert len(counted) == 1 and engine.stats().compiled == 1
    single = f(leaf(np.float32(2.0)), 0.5)
    assert single.dtype == np.float32 and len(counted) == 2
    assert f(leaf(np.float32(2.0)), np.float64(0.5)).dtype == np.float64
    assert nbg.jit(lambda x, n: x * n)(leaf([1, 2]), 2).dtype == np.int64
    assert nbg.jit(lambda x, n: nbg.maximum(x, n))(np.float32(1.0), 2).dtype == np.float32


def test_arrays_are_constants_of_the_call() -> None:
    f = nbg.jit(lambda x, c: x * c)
    x, buffer = leaf([1.0, 2.0]), np.ones(2)
    first = f(x, buffer)
    buffer[:] = 7.0
    second = f(x, buffer)
    close(first, [1.0, 2.0])
    close(second, [7.0, 14.0])
    close(second.sum().grad(x), [7.0, 7.0])
    assert first.call.fragment is second.call.fragment


def test_operands_of_several_kinds_by_turns() -> None:
    counted = Counted(lambda x, y: x * y)
    f, x = counted.jitted(), leaf(3.0)
    operands = [2.0, leaf(2.0), 4, leaf(5.0), np.array(6.0), 7.0, leaf(8.0), np.float64(9.0), 2.5]
    for y in operands:
        close(f(x, y), 3.0 * float(y))
        close(f(x, y).grad(x), float(y))
    assert len(counted) == 3  # a float and an integer are weak, the others alike


def test_results_that_are_inputs_constants_or_the_same() -> None:
    captured = leaf(5.0)
    f = nbg.jit(lambda x, n: (x, n, x, captured, 3.5, np.arange(2), "text", nbg.zeros(2)))
    for _ in range(2):
        x = leaf(2.0)
        out = f(x, 4)
        assert out[0] is x and out[2] is x and out[3] is captured and out[6] == "text"
        close(out[1], 4)
        close(out[4], 3.5)
        close(out[5], [0, 1])
        close(out[7], [0, 0])
    twice = nbg.jit(lambda x: (lambda y: (y, [y]))(x + 1.0))(leaf(1.0))
    assert twice[0] is twice[1][0]


def test_unused_arguments_are_not_in_the_graph() -> None:
    x, unused = leaf(1.0), leaf(2.0)
    y = nbg.jit(lambda x, u: x * x)(x, unused)
    assert y.call.inputs == (x,)
    with pytest.raises(DifferentiationError, match="not in the graph"):
        y.grad(unused)


def test_static_arguments() -> None:
    counted = Counted(lambda x, n, mode="sum", *, power=1: getattr(nbg, mode)(x**power) * n + sum(range(n)))
    f = counted.jitted(static_argnums=1, static_argnames=("mode", "power"))
    x = leaf([1.0, 2.0])
    close(f(x, 3), 12.0)
    close(f(x, n=3), 12.0)
    close(f(x, 3, "prod"), 9.0)
    close(f(x, 3, mode="prod", power=2), 15.0)
    close(f(x, 3), 12.0)
    close(f(leaf([3.0, 2.0]), 2, power=2), 27.0)
    runs = len(counted)
    close(f(leaf([3.0, 3.0]), 2, power=2), 37.0)
    assert len(counted) == runs
    with pytest.raises(DtypeError, match="hashable"):
        f(x, [1, 2])


def test_equal_static_values_of_different_types_are_different() -> None:
    f = nbg.jit(lambda x, k: x * k if type(k) is float else x + k, static_argnums=-1)
    close(f(leaf(5.0), 1), 6.0)
    close(f(leaf(5.0), 1.0), 5.0)


def test_strings_and_functions_are_static_by_themselves() -> None:
    f = nbg.jit(lambda x, g, name: g(x) if name == "g" else x)
    close(f(4.0, nbg.sqrt, "g"), 2.0)
    close(f(4.0, nbg.exp, "g"), np.exp(4.0))
    close(f(4.0, nbg.exp, "h"), 4.0)


def test_as_a_decorator_with_options_and_its_name() -> None:
    @nbg.jit(static_argnames="n")
    def powers(x, n):
        """x, n times."""
        return [x**k for k in range(n)]

    assert (powers.__name__, powers.__doc__) == ("powers", "x, n times.")
    assert len(powers(leaf(2.0), n=3)) == 3 and len(powers(leaf(2.0), 4)) == 4


def test_symbolic_sizes() -> None:
    jitted = nbg.jit(lambda a, x: ((a @ x).sum(), x / x.shape[0]))
    a, x = nbg.TracedTensor.placeholder(("n", "m"), name="a"), nbg.TracedTensor.placeholder(("m",), name="x")
    y, z = jitted(a, x)
    gradient = y.grad(x)
    for n, m in ((2, 3), (4, 2)):
        a0, x0 = array(n, m), array(m)
        np.testing.assert_allclose(y.eval(bindings={a: a0, x: x0}), (a0 @ x0).sum())
        np.testing.assert_allclose(z.eval(bindings={a: a0, x: x0}), x0 / m)
        np.testing.assert_allclose(gradient.eval(bindings={a: a0, x: x0}), a0.sum(axis=0))
    program = nbg.Engine(jit="never").compile([y, gradient], [a, x])
    np.testing.assert_allclose(program(np.eye(2), np.ones(2))[1], np.ones(2))


# -- what a function reads besides its arguments ------------------------------------------------------------------


def test_captured_tensors_are_inputs_with_gradients() -> None:
    w = leaf(3.0)
    counted = Counted(lambda x: x * w * WEIGHT + NESTED["inner"][0] * NESTED["inner"][1])
    f = counted.jitted()
    x = leaf(2.0)
    y = f(x)
    close(y, 20.0)
    for tensor, wanted in ((w, 6.0), (WEIGHT, 6.0), (NESTED["inner"][0], 2.0), (x, 9.0)):
        close(y.grad(tensor), wanted)
    w = w * 2.0  # an open tensor, of the same type
    close(f(x), 38.0)
    close(f(x).grad(w), 6.0)
    assert len(counted) == 1


def test_a_changed_closure_or_global_traces_again(monkeypatch) -> None:
    n, flag = 2, "sin"
    counted = Counted(lambda x: getattr(nbg, flag)(x) * n * SCALE)
    f = counted.jitted()
    close(f(1.0), np.sin(1.0) * 4)
    close(f(1.0), np.sin(1.0) * 4)
    assert len(counted) == 1
    n = 3
    close(f(1.0), np.sin(1.0) * 6)
    flag = "cos"
    close(f(1.0), np.cos(1.0) * 6)
    monkeypatch.setitem(globals(), "SCALE", 5.0)
    close(f(1.0), np.cos(1.0) * 15)
    assert len(counted) == 4
    n, flag = 2, "sin"
    monkeypatch.setitem(globals(), "SCALE", 2.0)
    close(f(1.0), np.sin(1.0) * 4)
    assert len(counted) == 4  # earlier traces are kept


def test_containers_and_functions_that_are_read_are_watched() -> None:
    params, factor = {"w": leaf(2.0), "k": [1, 2]}, 3.0

    def helper(x):
        return x * factor

    counted = Counted(lambda x: helper(x * params["w"]) + len(params["k"]))
    f = counted.jitted()
    close(f(1.0), 8.0)
    params["w"] = leaf(5.0)
    close(f(1.0), 17.0)
    assert len(counted) == 1
    params["k"].append(3)
    close(f(1.0), 18.0)
    factor = 1.0
    close(f(1.0), 8.0)
    assert len(counted) == 3


def test_a_tensor_of_another_shape_traces_again() -> None:
    w = leaf([1.0, 2.0])
    f = nbg.jit(lambda x: (w * x).sum())
    close(f(2.0), 6.0)
    w = leaf([1.0, 2.0, 3.0])
    close(f(2.0), 12.0)


class Layer:
    def __init__(self, w, slope):
        self.w, self.slope = leaf(w), slope

    @nbg.jit
    def __call__(self, x):
        return self.activation(self.w * x)

    def activation(self, x):
        return nbg.where(x > 0, x, self.slope * x)


def test_methods_see_the_attributes_of_now() -> None:
    one, two = Layer(2.0, 0.5), Layer(-3.0, 0.5)
    x = leaf(4.0)
    for _ in range(2):
        close(one(x), 8.0)
        close(two(x), -6.0)
    close(one(x).grad(one.w), 4.0)
    one.w = leaf(-2.0)
    close(one(x), -4.0)
    one.slope = 0.25
    close(one(x), -2.0)
    bound = nbg.jit(two.activation)
    close(bound(-8.0), -4.0)
    two.slope = 1.0
    close(bound(-8.0), -8.0)


def test_what_no_guard_sees_is_never_stale() -> None:
    class Hidden:
        __slots__ = ("_d",)

        def __init__(self, w):
            self._d = {"w": w}

        def __getattr__(self, name):
            return self._d[name]

    hidden = Hidden(leaf(2.0))
    f = nbg.jit(lambda x: x * hidden.w)
    close(f(3.0), 6.0)
    hidden._d["w"] = leaf(5.0)
    close(f(3.0), 15.0)


def test_captured_values_of_a_loop_before() -> None:
    p = leaf(0.5)
    x = nbg.sin(p)
    x.eval()
    open_ = x * p
    f = nbg.jit(lambda y: y * x + open_)
    y = f(2.0)
    close(y.grad(p), 2 * np.cos(0.5) + np.cos(0.5) * 0.5 + np.sin(0.5))
    close(y.grad(open_), 1.0)
    close(y.grad(x), 2.5)


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


# -- errors -------------------------------------------------------------------------------------------------------


def branch(x):
    if x > 0:  # the line that is named
        return x
    return -x


@pytest.mark.parametrize(
    "f",
    [
        branch,
        lambda x: float(x),
        lambda x: x.eval(),
        lambda x: np.asarray(x),
        lambda x: [0, 1][int(x)],
        lambda x: branch(nbg.sin(x) * 2.0),
        lambda x: f"{x:.2f}",
        lambda x: nbg.eval(x, x + 1.0),
        lambda x: range(x.astype(int)),
        lambda x: nbg.jit(branch)(x),
        lambda x: branch(nbg.jit(nbg.sin)(x)),
        lambda x: float(nbg.grad(nbg.sin)(x)),
    ],
)
def test_values_are_not_there_while_tracing(f) -> None:
    with pytest.raises(ConcretizationError, match=r"nbg\.where") as caught:
        nbg.jit(f)(leaf(1.0))
    assert "test_jit.py" in str(caught.value) and "static_argnums" in str(caught.value)


def test_the_error_names_the_line_of_the_test() -> None:
    with pytest.raises(ConcretizationError) as caught:
        nbg.jit(branch)(leaf(1.0))
    assert "if x > 0:  # the line that is named" in str(caught.value)
    assert "jit of branch" in str(caught.value)


def test_errors_while_tracing_name_the_line_and_leave_nothing() -> None:
    f = nbg.jit(lambda x, y: x + y)
    for _ in range(2):
        with pytest.raises(ShapeError, match=r"lambda x, y: x \+ y"):
            f(leaf(np.ones(2)), leaf(np.ones(3)))
    close(f(1.0, 2.0), 3.0)


def test_a_failing_operation_names_the_line_inside() -> None:
    def invert(a):
        return nbg.linalg.solve(a, np.ones(2))  # singular

    f = nbg.jit(invert)
    for mode in MODES:
        with pytest.raises(nbg.errors.LinAlgError, match="singular") as caught:
            f(leaf(np.zeros((2, 2)))).eval(nbg.Engine(jit=mode))
        assert "nbg.linalg.solve(a, np.ones(2))" in str(caught.value)
    close(f(np.eye(2)), [1.0, 1.0])


def test_a_leaked_argument_says_so() -> None:
    leaked = []
    nbg.jit(lambda x: leaked.append(x * 2) or x)(1.0)
    with pytest.raises(ConcretizationError, match="traced"):
        leaked[0].eval()


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
