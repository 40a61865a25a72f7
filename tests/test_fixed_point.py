"""`fixed_point`: solutions, derivatives by the equation against differences and algebra, at any size, wherever an
operation may stand; and what is refused."""

import pickle

import numpy as np
import pytest

import nbgraph as nbg
from nbgraph.errors import ConcretizationError, DtypeError, LinAlgError, ShapeError
from nbgraph.testing import check_grads

rng = np.random.default_rng(3)
W, B = 0.4 * rng.standard_normal((3, 3)), rng.standard_normal(3)


@pytest.fixture
def engine():
    return nbg.Engine(jit="never")


def layer(x, w, b):
    return nbg.tanh(w @ x + b)


def turned(z, c):
    return 0.3 * nbg.sin(nbg.conj(z)) + c * z * 0.2 + c


@pytest.mark.parametrize(
    ("f", "x0", "args"),
    [
        (lambda x, a: nbg.cos(a * x), 0.5, (0.8,)),
        (layer, np.zeros(3), (W, B)),
        (turned, np.zeros(2, "c16"), (np.array([0.3 + 0.4j, -0.2j]),)),
    ],
)
def test_derivatives(f, x0, args):
    x = nbg.fixed_point(f, x0, *args)
    np.testing.assert_allclose(x, f(x, *args), rtol=1e-11)
    check_grads(lambda *args: nbg.fixed_point(f, x0, *args), args, order=2)


def test_hessian_is_symmetric():
    h = np.asarray(nbg.hessian(lambda b: (nbg.fixed_point(layer, np.zeros(3), W, b) ** 2).sum())(B))
    assert np.abs(h).max() > 1e-3
    np.testing.assert_allclose(h, h.T, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize(
    ("f", "x0", "error", "match"),
    [
        (lambda x: x + 1, 0.0, LinAlgError, "not converged"),
        (lambda x: x * x * 1e200, 1e200, LinAlgError, "not converged"),
        (lambda x: nbg.stack([x, x]), 0.0, ShapeError, "shape"),
        (lambda x: x * 1j, 1.0, DtypeError, "dtype"),
        (lambda x: x, 1, DtypeError, "x0"),
    ],
)
def test_refused(f, x0, error, match):
    with np.errstate(all="ignore"), pytest.raises(error, match=match):
        nbg.fixed_point(f, x0, max_iter=20).eval()


def test_a_size_that_the_data_decide_is_refused():
    with pytest.raises(ConcretizationError, match="size in a step"):
        nbg.fixed_point(lambda x: nbg.sum(x[x > 0]) * x, np.ones(2))


def algebra(w, b):
    """The solution of x = tanh(w x + b) and the gradients of sum(x^2), by NumPy."""
    x = np.zeros(len(b))
    for _ in range(200):
        x = np.tanh(w @ x + b)
    d = np.diag(1 - x**2)
    u = d @ np.linalg.solve(np.eye(len(b)) - w.T @ d, 2 * x)
    return x, np.outer(u, x), u


@pytest.fixture(scope="module")
def at_any_size():
    """Placeholders w and b, the solution, and the gradient of the sum of its squares by both."""
    w = nbg.TracedTensor.placeholder(("n", "n"), name="w")
    b = nbg.TracedTensor.placeholder(("n",), name="b")
    x = nbg.fixed_point(layer, nbg.zeros(b.shape), w, b)
    return w, b, (x, *nbg.sum(x**2).grad([w, b]))


def numbers(n):
    w = rng.standard_normal((n, n))
    return 0.5 * w / max(1.0, np.linalg.norm(w)), rng.standard_normal(n)


@pytest.mark.parametrize("jit", ["never", "always", "auto"])
def test_placeholders_run_at_any_size_and_compile_once(at_any_size, jit):
    w, b, outputs = at_any_size
    engine = nbg.Engine(jit=jit, cache_dir=None)
    compiled = set()
    for n in (3, 1, 0, 7, 2):
        given = numbers(n)
        for got, want in zip(
            nbg.eval(*outputs, engine=engine, bindings=dict(zip((w, b), given, strict=True))),
            algebra(*given),
            strict=True,
        ):
            np.testing.assert_allclose(got, want, atol=1e-11)
        compiled.add(engine.stats().compiled)
    assert len(compiled) == 1


def test_second_derivatives_at_any_size(at_any_size, engine):
    w, b, (_, gradient, _) = at_any_size
    product = nbg.sum(gradient * w).grad(b)
    for n in (1, 4):
        w0, b0 = numbers(n)
        step = 1e-5 * np.eye(n)[0]
        want = sum(s * np.sum(algebra(w0, b0 + s * step)[1] * w0) for s in (1, -1)) / 2e-5
        np.testing.assert_allclose(product.eval(engine, bindings={w: w0, b: b0})[0], want, rtol=1e-6)


def test_compiled_programs_and_pickles(at_any_size, tmp_path):
    w, b, (x, gradient, _) = at_any_size
    program = nbg.Engine(cache_dir=str(tmp_path)).compile([x, gradient], [w, b])
    again = pickle.loads(pickle.dumps((w, b, x)))
    for n in (2, 5):
        given = numbers(n)
        want = algebra(*given)
        for got, value in zip(pickle.loads(pickle.dumps(program))(*given), want, strict=False):
            np.testing.assert_allclose(got, value, atol=1e-11)
        got = again[2].eval(bindings=dict(zip(again[:2], given, strict=True)))
        np.testing.assert_allclose(got, want[0], atol=1e-11)
    other = nbg.Engine(cache_dir=str(tmp_path))
    other.compile([x, gradient], [w, b])
    assert (other.stats().compiled, other.stats().loaded) == (0, 1)


def root(a):
    """sqrt(a), by an operation that reads `a` from elsewhere."""
    return nbg.fixed_point(lambda x: (x + a / x) / 2, nbg.ones(a.shape))


@pytest.mark.parametrize("f", [root, nbg.jit(root), nbg.checkpoint(root)])
def test_many_in_a_loop(f, engine):
    a = nbg.TracedTensor.placeholder(("n",), name="a")
    y = a
    for _ in range(12):
        y = f(y) + 1.0
    slope = nbg.sum(y).grad(a)
    for n in (1, 3):
        t, want = 2.0, 1.0
        for _ in range(12):
            want, t = want * 0.5 / np.sqrt(t), np.sqrt(t) + 1.0
        np.testing.assert_allclose(slope.eval(engine, bindings={a: np.full(n, 2.0)}), np.full(n, want), rtol=1e-10)


@pytest.mark.parametrize("jit", ["never", "always"])
def test_inside_each_other(jit):
    """y = sqrt(x + a), x = y: x^2 = x + a."""
    engine = nbg.Engine(jit=jit, cache_dir=None)
    a = nbg.TracedTensor.from_tensor(np.array([2.0, 3.0]))
    x = nbg.fixed_point(lambda x: root(x + a), nbg.ones(2))
    want = (1 + np.sqrt(1 + 4 * a.eval())) / 2
    slope = nbg.sum(x).grad(a)
    np.testing.assert_allclose(x.eval(engine), want, rtol=1e-11)
    np.testing.assert_allclose(slope.eval(engine), 1 / (2 * want - 1), rtol=1e-10)
    np.testing.assert_allclose(nbg.sum(slope).grad(a).eval(engine), -2 / (2 * want - 1) ** 3, rtol=1e-9)


@pytest.mark.parametrize("jit", ["never", "always"])
def test_what_fails_inside_is_named(jit):
    engine = nbg.Engine(jit=jit, cache_dir=None)
    a = nbg.TracedTensor.placeholder(("n", "n"), name="a")
    x = nbg.fixed_point(lambda x: nbg.linalg.solve(a, x), nbg.ones(a.shape[0]), max_iter=9)
    with pytest.raises(LinAlgError, match=r"solve: singular matrix(.|\n)*test_fixed_point"):
        x.eval(engine, bindings={a: np.zeros((2, 2))})
    with pytest.raises(LinAlgError, match="fixed_point: not converged within"):
        x.eval(engine, bindings={a: np.diag([0.5, 1.0])})
    with pytest.raises(LinAlgError, match="not finite"):
        x.eval(engine, bindings={a: 1e-200 * np.eye(2)})
    b = nbg.TracedTensor.from_tensor(2.0)
    x = nbg.fixed_point(lambda x: x + 0.0 * b, 1.0)
    with pytest.raises(LinAlgError, match="singular matrix"):
        x.grad(b).eval(engine)


def test_functions_that_need_no_loop(engine):
    b = nbg.TracedTensor.from_tensor(2.0)
    constant, same = nbg.fixed_point(lambda x: 3.0 * b, 1.0), nbg.fixed_point(lambda x: x, b)
    assert (constant.eval(engine), constant.grad(b).eval(engine), same.eval(engine)) == (6.0, 3.0, 2.0)


def test_factors_in_a_step(engine):
    """A step that takes a matrix apart, in single precision and in double."""
    a, d = rng.standard_normal((2, 3, 3))

    def step(x, a):
        u, s, vt = nbg.linalg.svd(0.2 * a + 0.1 * x @ x)
        return (u * nbg.tanh(s)) @ vt

    def loss(a):
        return nbg.sum(nbg.fixed_point(step, nbg.zeros((3, 3)), a) * d)

    given = nbg.TracedTensor.from_tensor(a)
    slope = float(nbg.sum(loss(given).grad(given) * d).eval(engine))
    want = float((loss(a + 1e-6 * d) - loss(a - 1e-6 * d)).eval(engine)) / 2e-6
    np.testing.assert_allclose(slope, want, rtol=1e-6)
    np.testing.assert_allclose(loss(given).jvp(given, d).eval(engine), slope, rtol=1e-9)
    single = nbg.fixed_point(step, nbg.zeros((3, 3), dtype="f4"), nbg.asarray(a.astype("f4")))
    np.testing.assert_allclose(single.eval(engine), nbg.fixed_point(step, np.zeros((3, 3)), a).eval(engine), atol=1e-5)


def test_a_state_of_several_parts_is_refused_by_name() -> None:
    with pytest.raises(nbg.DtypeError, match="fixed_point: the state is one tensor: got dict"):
        nbg.fixed_point(lambda s: s, {"a": 1.0})
    with pytest.raises(nbg.DtypeError, match="fixed_point: the result of a step is one tensor: got dict"):
        nbg.fixed_point(lambda x: {"a": x}, 1.0)
