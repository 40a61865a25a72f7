"""`fixed_point`: solutions, derivatives by the equation against differences, and what is refused."""

import numpy as np
import pytest

import nbgraph as nbg
from nbgraph.errors import DtypeError, LinAlgError, ShapeError
from nbgraph.testing import check_grads

rng = np.random.default_rng(3)
W, B = 0.4 * rng.standard_normal((3, 3)), rng.standard_normal(3)


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
    check_grads(lambda *args: nbg.fixed_point(f, x0, *args), args, order=2, modes="rev")


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
        nbg.fixed_point(f, x0, max_iter=20)
