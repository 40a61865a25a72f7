"""`nbg.jit`: arguments of every kind, what a function reads besides them, and what it cannot do."""

from __future__ import annotations

import numpy as np
import pytest
from jitted import MODES, Counted, Point, State, array, close, leaf

import nbgraph as nbg
from nbgraph.errors import ConcretizationError, DifferentiationError, DtypeError, ShapeError

SCALE = 2.0
WEIGHT = leaf(3.0)
NESTED = {"inner": [leaf(1.0), 2.0]}

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
    assert "test_jit_inputs.py" in str(caught.value) and "static_argnums" in str(caught.value)


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
