"""`custom_jvp` and `custom_vjp`."""

import numpy as np
import pytest

import nbgraph as nbg
from nbgraph.errors import DifferentiationError, DtypeError, ShapeError


def forward():
    @nbg.custom_jvp
    def f(x):
        return nbg.sin(x)

    @f.defjvp
    def rule(primals, tangents):
        (x,), (dx,) = primals, tangents
        return f(x), nbg.cos(x) * dx

    return f


def backward():
    @nbg.custom_vjp
    def f(x):
        return nbg.sin(x)

    f.defvjp(lambda x: (f(x), x), lambda x, ct: (ct * nbg.cos(x),))
    return f


@pytest.mark.parametrize("make", [forward, backward])
@pytest.mark.parametrize("every", [1, 7, 1000])
@pytest.mark.parametrize("jit", ["never", "always"])
def test_loops(make, every, jit):
    engine, f = nbg.Engine(jit=jit), make()
    x0 = nbg.TracedTensor.from_tensor(0.7)
    x = y = x0
    for k in range(30):
        x, y = f(x) * 1.1, nbg.sin(y) * 1.1
        if k % every == 0:
            x.eval(engine)
    np.testing.assert_allclose(x.grad(x0).eval(engine), y.grad(x0).eval(engine), rtol=1e-12)


@pytest.mark.parametrize("make", [forward, backward])
def test_transforms(make):
    f, x = make(), np.array([0.3, 1.2])

    def loss(g):
        return lambda x: (g(x * x[::-1]) ** 2).sum()

    for t in (nbg.grad, nbg.hessian, lambda h: nbg.grad(nbg.jit(h)), lambda h: nbg.jit(nbg.grad(h))):
        np.testing.assert_allclose(t(loss(f))(x), t(loss(nbg.sin))(x), rtol=1e-12)
    got, want = (nbg.hvp(loss(g), (x,), (x,)) for g in (f, nbg.sin))
    np.testing.assert_allclose(got, want, rtol=1e-12)


def test_forward_mode_of_a_rule_for_reverse_mode():
    with pytest.raises(DifferentiationError, match="custom_jvp"):
        nbg.jvp(backward(), (1.0,), (1.0,))


@pytest.mark.parametrize(
    ("bwd", "error"),
    [
        (lambda x, ct: ct, ShapeError),
        (lambda x, ct: (ct, ct), ShapeError),
        (lambda x, ct: (nbg.stack([ct, ct]),), ShapeError),
        (lambda x, ct: (ct.astype("float32"),), DtypeError),
    ],
)
def test_wrong_rules(bwd, error):
    f = nbg.custom_vjp(lambda x: x * 2)
    f.defvjp(lambda x: (x * 2, x), bwd)
    with pytest.raises(error, match=r"test_custom\.py"):
        f(nbg.TracedTensor.from_tensor(np.float64(1.0)))


def test_no_rule():
    with pytest.raises(DifferentiationError, match="defjvp"):
        nbg.custom_jvp(lambda x: x)(1.0)


def test_nondiff_and_zeros():
    f = nbg.custom_vjp(lambda n, x, y: x * n, nondiff_argnums=(0,))
    f.defvjp(lambda n, x, y: (x * n, None), lambda n, _, ct: (ct * (n + 1), None))
    assert [float(g) for g in nbg.grad(lambda x, y: f(3, x, y), (0, 1))(1.0, 2.0)] == [4.0, 0.0]
