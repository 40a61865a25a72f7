"""`nbg.nn`: values against their formulas, extremes, kinks, derivatives."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import special
from test_elementary import agree, gradient

import nbgraph as nbg
from nbgraph import nn

FORMULAS = {
    "relu": lambda x: np.maximum(x, 0),
    "relu6": lambda x: np.clip(x, 0, 6),
    "hard_tanh": lambda x: np.clip(x, -1, 1),
    "leaky_relu": lambda x: np.where(x >= 0, x, x * 0.01),
    "elu": lambda x: np.where(x > 0, x, np.expm1(np.minimum(x, 0))),
    "celu": lambda x: np.where(x > 0, x, np.expm1(np.minimum(x, 0))),
    "selu": lambda x: 1.0507009873554805 * np.where(x > 0, x, 1.6732632423543772 * np.expm1(np.minimum(x, 0))),
    "sigmoid": special.expit,
    "log_sigmoid": special.log_expit,
    "softplus": lambda x: np.logaddexp(x, 0),
    "silu": lambda x: x * special.expit(x),
    "mish": lambda x: x * np.tanh(np.logaddexp(x, 0)),
    "soft_sign": lambda x: x / (1 + np.abs(x)),
    "hard_sigmoid": lambda x: np.clip(x + 3, 0, 6) / 6,
    "hard_silu": lambda x: x * np.clip(x + 3, 0, 6) / 6,
    "squareplus": lambda x: (x + np.sqrt(x * x + 4)) / 2,
    "sparse_plus": lambda x: np.where(x <= -1, 0, np.where(x >= 1, x, (x + 1) ** 2 / 4)),
}


def test_values():
    x = np.concatenate([np.linspace(-9, 9, 61), [700.0, -700.0, np.nan, 0.0]])
    agree([getattr(nn, n) for n in FORMULAS], list(FORMULAS.values()), x)
    single = [lambda x, f=f: np.asarray(f(x.astype("f8"))).astype("f4") for f in FORMULAS.values()]
    agree([getattr(nn, n) for n in FORMULAS], single, x[:61].astype("f4"))
    exact = lambda x: x * special.ndtr(x)  # noqa: E731
    nearly = lambda x: x * special.expit(2 * np.sqrt(2 / np.pi) * (x + 0.044715 * x**3))  # noqa: E731
    agree([lambda x: nn.gelu(x, False), nn.gelu], [exact, nearly], x[:-4])


def test_normalisations():
    x = np.random.default_rng(0).uniform(-3, 3, (3, 4))
    agree(
        [nn.softmax, nn.log_softmax, lambda x: nn.logmeanexp(x, 0), nn.standardize, nn.glu],
        [
            lambda x: special.softmax(x, -1),
            lambda x: special.log_softmax(x, -1),
            lambda x: np.log(np.mean(np.exp(x), 0)),
            lambda x: (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + 1e-5),
            lambda x: x[:, :2] * special.expit(x[:, 2:]),
        ],
        x,
        ulps=1000,
    )
    i = np.array([[0, 3], [2, 1]])
    agree([lambda i: nn.one_hot(i, 3)], [lambda i: (i[..., None] == np.arange(3)).astype("f8")], i)
    agree([lambda i: nn.one_hot(i, 3, axis=0)], [lambda i: (i == np.arange(3)[:, None, None]).astype("f8")], i)
    with pytest.raises(nbg.ShapeError, match="glu"):
        nn.glu(x[:, :3])


SMOOTH = [*FORMULAS, "gelu", "softmax", "log_softmax", "standardize", "glu"]


@pytest.mark.parametrize("name", sorted(SMOOTH))
def test_derivatives(name):
    x = np.array([[-1.7, -0.4, 0.3, 2.2]])
    nbg.testing.check_grads(getattr(nn, name), (x,), order=2)


def test_derivatives_at_kinks_and_extremes():
    for f in (nn.relu, nn.relu6):
        assert gradient(f, [-1.0, 0.0, 1.0]) == [[0.0, 0.0, 1.0]]
    assert gradient(nn.leaky_relu, [-1.0, 0.0]) == [[0.01, 1.0]]
    assert gradient(nn.softplus, [-1e3, 1e3]) == [[0.0, 1.0]]
    assert gradient(nn.elu, [1e3]) == [[1.0]]
    assert gradient(nn.log_softmax, [0.0, 1e4]) == [[1.0, -1.0]]


@pytest.mark.parametrize(("dtype", "x"), [("float32", [-88.8, -95.0, -103.0]), ("float64", [-708.5, -720.0, -744.0])])
def test_the_sigmoid_of_what_overflows_the_exponential(dtype: str, x: list[float]) -> None:
    got = nbg.nn.sigmoid(nbg.constant(np.array(x, dtype))).eval(nbg.Engine(jit="always"))
    np.testing.assert_allclose(got, np.exp(np.array(x, dtype)), rtol=0, atol=np.finfo(dtype).smallest_subnormal)
