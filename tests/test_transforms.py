"""Transforms of functions: JAX's structures, nesting, complex conventions, every order, and their errors."""

from __future__ import annotations

from collections import namedtuple
from dataclasses import dataclass

import numpy as np
import pytest

import nbgraph as nbg
from nbgraph.errors import BoundsError, DifferentiationError, DtypeError, ShapeError
from nbgraph.transforms import grad, hessian, hvp, jacfwd, jacrev, jvp, linearize, value_and_grad, vjp

rng = np.random.default_rng(1)
Point = namedtuple("Point", ["x", "y"])


@dataclass
class State:
    mean: object
    scale: object


def close(got, wanted, tol=1e-12):
    np.testing.assert_allclose(np.asarray(got.eval()), wanted, rtol=tol, atol=tol)


def array(*shape, kind="f"):
    a = rng.uniform(0.5, 1.5, shape)
    return a + 1j * rng.uniform(0.5, 1.5, shape) if kind == "c" else a


# -- grad ---------------------------------------------------------------------------------------------------------


def test_grad_of_a_number() -> None:
    close(grad(lambda x: x**3)(2.0), 12.0)
    assert grad(lambda x: x**3)(2.0).shape == ()
    assert grad(lambda x: x * x)(np.float32(2.0)).dtype == np.float32


def test_grad_is_lazy_and_keeps_the_function_name() -> None:
    def loss(x):
        """What is minimised."""
        return (x * x).sum()

    gradient = grad(loss)
    assert (gradient.__name__, gradient.__doc__) == ("loss", "What is minimised.")
    assert isinstance(gradient(array(3)), nbg.TracedTensor)


def test_argnums_and_keywords() -> None:
    def f(x, y, scale=1.0):
        return (x * x * y).sum() * scale

    x, y = array(3), array(3)
    close(grad(f)(x, y), 2 * x * y)
    close(grad(f, 1)(x, y, scale=3.0), 3 * x * x)
    close(grad(f, argnums=-1)(x, y), x * x)
    both = grad(f, argnums=(1, 0))(x, y)
    assert type(both) is tuple
    close(both[0], x * x)
    close(both[1], 2 * x * y)
    (alone,) = grad(f, argnums=[0])(x, y)
    close(alone, 2 * x * y)


def test_arguments_that_are_not_differentiated_stay_what_they_are() -> None:
    seen = []
    grad(lambda x, n, name: (seen.append((n, name)), x * n)[1])(1.0, 3, "text")
    assert seen == [(3, "text")]


def test_unused_arguments_have_zero_gradients() -> None:
    x, y = array(2, 3), array(0, 4)
    gx, gy = grad(lambda x, y: x.sum() * 2, argnums=(0, 1))(x, y)
    close(gx, np.full((2, 3), 2.0))
    assert gy.shape == (0, 4)
    with pytest.warns(UserWarning, match="the result is no tensor"):
        close(grad(lambda x: 3.0)(x), np.zeros((2, 3)))
    close(grad(lambda x: nbg.stop_gradient(x).sum())(x), np.zeros((2, 3)))


@pytest.mark.parametrize(
    "tree",
    [
        {"w": array(3), "b": 1.5},
        [array(3), (0.5, None)],
        Point(array(3), 0.5),
        State(array(3), 0.5),
    ],
    ids=["dict", "list", "namedtuple", "dataclass"],
)
def test_gradients_have_the_structure_of_the_argument(tree) -> None:
    from nbgraph.trees import leaves, structure

    found = grad(lambda p: sum(nbg.sum(leaf * leaf) for leaf in leaves(p)))(tree)
    assert structure(found) == structure(tree)
    for got, x in zip(leaves(found), leaves(tree), strict=True):
        close(got, 2 * np.asarray(x))


def test_value_and_grad_and_aux() -> None:
    x = array(3)
    value, gradient = value_and_grad(lambda x: (x * x).sum())(x)
    close(value, (x * x).sum())
    close(gradient, 2 * x)
    (value, aux), gradient = value_and_grad(lambda x: ((x * x).sum(), {"twice": 2 * x}), has_aux=True)(x)
    close(aux["twice"], 2 * x)
    close(gradient, 2 * x)
    gradient, aux = grad(lambda x: ((x * x).sum(), "note"), has_aux=True)(x)
    assert aux == "note"
    close(gradient, 2 * x)


def test_a_loop_with_evals_inside() -> None:
    def fixed_point(a):
        x = a
        for _ in range(50):
            y = 0.5 * (x + a / x)
            done = bool(abs(y - x) < 1e-14)
            x = y
            if done:
                break
        return x

    close(grad(fixed_point)(2.0), 0.5 / np.sqrt(2.0))
    close(grad(grad(fixed_point))(2.0), -0.25 * 2.0**-1.5, 1e-10)


# -- nesting ------------------------------------------------------------------------------------------------------


def test_derivatives_of_any_order() -> None:
    f, x = nbg.sin, 0.7
    for wanted in (np.cos(x), -np.sin(x), -np.cos(x), np.sin(x), np.cos(x)):
        f = grad(f)
        close(f(x), wanted)


def test_perturbations_are_not_confused() -> None:
    close(grad(lambda x: x * grad(lambda y: x + y)(1.0))(2.0), 1.0)
    close(grad(lambda x: x * grad(lambda y: x * y)(1.0))(2.0), 4.0)
    close(grad(lambda x: x * grad(lambda y: x * y)(x))(3.0), 6.0)
    close(grad(lambda x: grad(lambda y: x * y * y)(x))(3.0), 12.0)
    close(jvp(lambda x: x * jvp(lambda y: x + y, (1.0,), (1.0,))[1], (2.0,), (1.0,))[1], 1.0)
    close(grad(lambda x: x * jvp(lambda y: x * y, (1.0,), (1.0,))[1])(2.0), 4.0)
    close(jvp(lambda x: x * grad(lambda y: x * y)(1.0), (2.0,), (1.0,))[1], 4.0)


def test_the_same_tensor_as_argument_and_in_the_closure() -> None:
    x = nbg.TracedTensor.from_tensor(3.0)
    inner = grad(lambda y: x * y * y)(x)  # 2 x y
    close(inner, 18.0)
    close(inner.grad(x), 12.0)


def test_outer_tensors_get_gradients_through_transforms() -> None:
    a = nbg.TracedTensor.from_tensor(array(3))
    x = nbg.TracedTensor.from_tensor(array(3))
    g = grad(lambda x: (a * x**3).sum())(x)
    close(g.sum().grad([a, x])[0], 3 * x.eval() ** 2)
    close(g.sum().grad([a, x])[1], 6 * a.eval() * x.eval())


def test_an_open_tensor_as_argument_meets_itself() -> None:
    # The argument is recorded and not sealed, and the function closes over it and over what it is made of.
    u = nbg.TracedTensor.from_tensor(0.4)
    a = nbg.sin(u)
    g = grad(lambda b: b * b * a + nbg.exp(a) * u)(a)
    close(g, 2 * np.sin(0.4) ** 2)
    close(g.grad(u), 4 * np.sin(0.4) * np.cos(0.4))


def test_an_open_cotangent_is_used_again_beside_the_result() -> None:
    x = nbg.TracedTensor.from_tensor(array(3))
    ct = x * 3.0
    _, f_vjp = vjp(lambda y: y * y, x)
    (pulled,) = f_vjp(ct)
    close(ct + pulled, 3 * x.eval() + 6 * x.eval() ** 2)
    t = x * 5.0
    _, tangent = jvp(lambda y: y * y, (x,), (t,))
    close(t + tangent, 5 * x.eval() + 10 * x.eval() ** 2)


def test_evaluating_inside_the_function_does_not_cut_it() -> None:
    def f(x):
        y = nbg.sin(x)
        y.eval()
        return y * y

    close(grad(f)(0.3), 2 * np.sin(0.3) * np.cos(0.3))
    close(grad(grad(f))(0.3), 2 * np.cos(0.6))
    close(hessian(f)(0.3), 2 * np.cos(0.6))


# -- products -----------------------------------------------------------------------------------------------------


def test_jvp_vjp_and_linearize_agree() -> None:
    def f(p):
        return {"out": nbg.sin(p.x) * p.y, "sum": p.x.sum()}

    p, t = Point(array(3), array(3)), Point(array(3), array(3))
    out, tangent = jvp(f, (p,), (t,))
    again, f_jvp = linearize(f, p)
    _, f_vjp = vjp(f, p)
    wanted = np.cos(p.x) * p.y * t.x + np.sin(p.x) * t.y
    close(out["out"], np.sin(p.x) * p.y)
    close(again["sum"], p.x.sum())
    for got in (tangent, f_jvp(t)):
        close(got["out"], wanted)
        close(got["sum"], t.x.sum())
    ct = {"out": array(3), "sum": 2.0}
    (back,) = f_vjp(ct)
    assert type(back) is Point
    close(back.x, ct["out"] * np.cos(p.x) * p.y + 2.0)
    close(back.y, ct["out"] * np.sin(p.x))


def test_aux_of_products() -> None:
    def f(x):
        return x * x, "aux"

    assert jvp(f, (2.0,), (1.0,), has_aux=True)[2] == "aux"
    assert vjp(f, 2.0, has_aux=True)[2] == "aux"
    assert linearize(f, 2.0, has_aux=True)[2] == "aux"


def test_tangents_take_the_dtype_of_their_primal() -> None:
    _, tangent = jvp(lambda x: x * x, (np.float32([1, 2]),), (np.array([1, 1]),))
    assert tangent.dtype == np.float32
    _, tangent = jvp(lambda z: z * z, (array(2, kind="c"),), (np.ones(2),))
    assert tangent.dtype == np.complex128


def test_integer_results_have_zero_tangents() -> None:
    out, tangent = jvp(lambda x: (x * x, nbg.argmax(x)), (array(4),), (array(4),))
    assert tangent[1].dtype == out[1].dtype
    close(tangent[1], 0)
    _, f_vjp = vjp(lambda x: (x.sum(), nbg.argmax(x)), array(4))
    close(f_vjp((1.0, 0.0))[0], np.ones(4))


def test_hvp_is_the_hessian_times_a_vector() -> None:
    def f(x, y):
        return (nbg.sin(x) * y).sum() + (x * x * x).sum() * y.sum()

    x, y, v, w = (array(3) for _ in range(4))
    (hxx, hxy), (hyx, hyy) = hessian(f, argnums=(0, 1))(x, y)
    got = hvp(f, (x, y), (v, w))
    assert type(got) is tuple
    close(got[0], hxx.eval() @ v + hxy.eval() @ w, 1e-11)
    close(got[1], hyx.eval() @ v + hyy.eval() @ w, 1e-11)
    close(hvp(lambda x: f(x, y), (x,), (v,)), hxx.eval() @ v, 1e-11)
    close(hvp(lambda x: f(x, y), x, v), hxx.eval() @ v, 1e-11)


# -- Jacobians ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("jac", [jacfwd, jacrev])
def test_jacobian_axes_are_result_then_argument(jac) -> None:
    a, x = array(2, 3, 4), array(4, 5)
    got = jac(lambda x: nbg.tensordot(a, x * x, axes=1))(x)
    wanted = np.einsum("ijk,km,ml->ijlkm", a, np.ones((4, 5)), np.eye(5)) * (2 * x)
    assert got.shape == (2, 3, 5, 4, 5)
    close(got, wanted)


@pytest.mark.parametrize("jac", [jacfwd, jacrev])
def test_jacobians_nest_result_then_argument(jac) -> None:
    def f(p, y):
        return {"s": p["a"] * y, "t": (p["b"] * y,)}

    p, y = {"a": array(2), "b": array(2)}, array(2)
    got = jac(f)(p, y)
    close(got["s"]["a"], np.diag(y))
    close(got["t"][0]["b"], np.diag(y))
    close(got["s"]["b"], np.zeros((2, 2)))
    got = jac(f, argnums=(1, 0))(p, y)
    close(got["s"][0], np.diag(p["a"]))
    close(got["t"][0][1]["b"], np.diag(y))
    got, aux = jac(lambda y: (y * y, 7), has_aux=True)(y)
    assert aux == 7
    close(got, np.diag(2 * y))


@pytest.mark.parametrize("jac", [jacfwd, jacrev])
def test_jacobians_of_nothing(jac) -> None:
    assert jac(lambda x: x * x)(array(0)).eval().shape == (0, 0)
    assert jac(lambda x: x.sum(axis=0))(array(0, 3)).eval().shape == (3, 0, 3)
    assert jac(lambda x: nbg.zeros((0, 2)) * x.sum())(array(3)).eval().shape == (0, 2, 3)
    assert jac(lambda x: 1.0)(array(3)).eval().shape == (3,)


def test_hessian_of_a_quadratic_form() -> None:
    a, x = array(4, 4), array(4)
    close(hessian(lambda x: x @ a @ x)(x), a + a.T)
    h = hessian(lambda p: p["x"] @ a @ p["x"] * p["s"])({"x": x, "s": 2.0})
    close(h["x"]["x"], 2 * (a + a.T))
    close(h["x"]["s"], (a + a.T) @ x)
    close(h["s"]["x"], (a + a.T) @ x)
    close(h["s"]["s"], 0.0)


def test_hessian_of_a_vector() -> None:
    x = array(3)
    wanted = np.zeros((3, 3, 3))
    wanted[range(3), range(3), range(3)] = 6 * x
    close(hessian(lambda x: x**3)(x), wanted)
    close(jacrev(jacfwd(lambda x: x**3))(x), wanted)


# -- complex ------------------------------------------------------------------------------------------------------


def test_complex_gradients_point_uphill() -> None:
    z = array(3, kind="c")
    close(grad(lambda z: (nbg.abs(z) ** 2).sum())(z), 2 * z)
    close(grad(lambda z: nbg.real(z * z).sum())(z), 2 * z.conj())
    close(jacrev(lambda z: nbg.abs(z) ** 2)(z), np.diag(2 * z))


def test_real_arguments_of_complex_functions_have_real_gradients() -> None:
    x = array(3)
    gradient = grad(lambda x: nbg.real(nbg.exp(1j * x)).sum())(x)
    assert gradient.dtype == np.float64
    close(gradient, -np.sin(x))
    close(jacfwd(lambda x: nbg.exp(1j * x))(x), np.diag(1j * np.exp(1j * x)))


def test_holomorphic_functions() -> None:
    z = array(2, kind="c")
    close(grad(lambda z: (z**3).sum(), holomorphic=True)(z), 3 * z**2)
    for jac in (jacfwd, jacrev):
        close(jac(lambda z: z**3, holomorphic=True)(z), np.diag(3 * z**2))
    close(hessian(lambda z: (z**3).sum(), holomorphic=True)(z), np.diag(6 * z))


# -- errors -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("transform", [grad, value_and_grad, jacfwd, jacrev, hessian])
@pytest.mark.parametrize("x", [3, True, np.arange(3)], ids=["int", "bool", "array"])
def test_integers_have_no_derivative(transform, x) -> None:
    for error in (DifferentiationError, TypeError):
        with pytest.raises(error, match=r"of loss.*operand 0 has (int|bool)"):

            def loss(x):
                return nbg.sum(x * 1.0)

            transform(loss)(x)


@pytest.mark.parametrize(
    "result", [lambda x: x, lambda x: (x.sum(), x), lambda x: nbg.sum(x * 1j), lambda x: nbg.argmax(x), lambda x: None]
)
def test_gradients_are_of_real_scalars(result) -> None:
    def loss(x):
        return result(x)

    with pytest.raises(DifferentiationError, match=r"(?s)grad of loss: the gradient is of a scalar.*hint"):
        grad(loss)(array(3))


def test_argnums_out_of_range() -> None:
    with pytest.raises(BoundsError, match="argnums"):
        grad(lambda x: x, argnums=1)(1.0)
    with pytest.raises(BoundsError, match="argnums"):
        grad(lambda x: x)(x=1.0)


def test_aux_needs_a_pair() -> None:
    with pytest.raises(DifferentiationError, match="has_aux"):
        grad(lambda x: x, has_aux=True)(1.0)


def test_tangents_and_cotangents_fit() -> None:
    x = array(3)
    with pytest.raises(ShapeError, match=r"tangent: another shape: operand 0 has \(4,\), wanted \(3,\)"):
        jvp(nbg.sin, (x,), (array(4),))
    with pytest.raises(ShapeError, match="another structure"):
        jvp(nbg.sin, (x,), ((x,),))
    with pytest.raises(ShapeError, match="another structure"):
        vjp(nbg.sin, x)[1]((x,))
    with pytest.raises(DtypeError, match="cotangent: another dtype"):
        vjp(nbg.sin, x)[1](x * 1j)


def test_complex_jacobians_need_the_right_direction() -> None:
    with pytest.raises(TypeError, match="jacfwd of"):
        jacfwd(lambda z: z * z)(array(2, kind="c"))
    with pytest.raises(TypeError, match="jacrev of"):
        jacrev(lambda x: x * 1j)(array(2))
    with pytest.raises(TypeError, match="jacrev of"):
        jacrev(lambda z: z * z, holomorphic=True)(array(2))


def test_a_result_without_history_is_warned_of() -> None:
    with pytest.warns(UserWarning, match=r"grad of <lambda>: the result is no tensor"):
        found = nbg.grad(lambda x: float(nbg.sum(x)))(np.ones(2))
    assert found.tolist() == [0.0, 0.0]
    captured = nbg.TracedTensor.from_tensor(2.0)
    assert nbg.grad(lambda x: captured)(1.0).item() == 0.0  # it may be meant
    assert nbg.grad(lambda x: nbg.grad(lambda y: 3 * y)(x))(1.0).item() == 0.0
    assert nbg.grad(lambda x: x * 2)(nbg.constant(1.0)).item() == 2.0
