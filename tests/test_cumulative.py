"""Running sums, products and extrema, differences, convolution and interpolation against NumPy, with derivatives."""

from __future__ import annotations

import numpy as np
import pytest

import nbgraph as nbg
from nbgraph import Engine, TracedTensor
from nbgraph.testing import check_grads

leaf = TracedTensor.from_tensor
ENGINES = {jit: Engine(jit=jit) for jit in ("never", "always")}
each_tier = pytest.mark.parametrize("jit", ENGINES)
NEVER = Engine(jit="never")


def agree(got, want, engine=NEVER):
    got, want = np.asarray(got.eval(engine)), np.asarray(want)
    assert (got.dtype, got.shape) == (want.dtype, want.shape)
    np.testing.assert_allclose(got, want, rtol=1e-13, atol=1e-13)


@each_tier
@pytest.mark.parametrize("code", ["f8", "f4", "i8", "i4", "b1", "c16"])
def test_running_sums_and_products(code, jit):
    engine, rng = ENGINES[jit], np.random.default_rng(0)
    x = (rng.integers(-2, 3, (3, 4, 2)) + (1j if code == "c16" else 0)).astype(code)
    for axis in (None, 0, 1, -1):
        agree(np.cumsum(nbg.constant(x), axis), np.cumsum(x, axis), engine)
        agree(np.cumprod(nbg.constant(x), axis), np.cumprod(x, axis), engine)
    agree(nbg.cumsum(x, 0, dtype="float32"), np.cumsum(x.real, 0, dtype="f4"), engine)


@each_tier
def test_running_extrema(jit):
    x = np.array([[1.0, 3, 3, np.nan, 5], [-np.inf, 0, -1, np.inf, 2]])
    engine = ENGINES[jit]
    for axis in (0, 1):
        agree(nbg.cummax(x, axis), np.maximum.accumulate(x, axis), engine)
        agree(nbg.cummin(x, axis), np.minimum.accumulate(x, axis), engine)
    agree(nbg.nancumsum(x[0]), np.nancumsum(x[0]), engine)
    agree(nbg.nancumprod(x[0]), np.nancumprod(x[0]), engine)


ZEROS = np.array([[1.0, 0.0, 2.0, 3.0], [2.0, 0.0, 3.0, 0.0], [0.0, 2.0, 1.0, 2.0]])
FUNCTIONS = {
    "cumsum": lambda x: nbg.cumsum(x, 1) ** 2,
    "cumprod": lambda x: nbg.cumprod(x, 1) ** 2,
    "cumprod all": lambda x: nbg.cumprod(x),
    "cummax": lambda x: nbg.cummax(x + 0.01 * np.arange(12.0).reshape(3, 4), 0) ** 2,
    "nan": lambda x: nbg.nancumsum(nbg.where(np.eye(3, 4) > 0, np.nan, x), 1) ** 2,
    "nan product": lambda x: nbg.nancumprod(nbg.where(np.eye(3, 4) > 0, np.nan, x), 1) ** 2,
    "diff": lambda x: nbg.diff(x, 2, prepend=0.0) ** 2,
    "ediff1d": lambda x: nbg.ediff1d(x, to_end=x[0]) ** 2,
    "trapezoid": lambda x: nbg.trapezoid(x, x**2, axis=0) ** 2,
    "gradient": lambda x: nbg.gradient(x, 0.5, axis=1) ** 2,
    "gradient at points": lambda x: nbg.gradient(x[1] ** 2, nbg.cumsum(x[2] ** 2 + 1), edge_order=2),
    "convolve": lambda x: nbg.convolve(x[0], x[1, :3], "same") ** 2,
    "correlate": lambda x: nbg.correlate(x[0], x[1], "full") ** 2,
    "interp": lambda x: nbg.interp(x + 0.3, nbg.cumsum(x[2] ** 2 + 0.5), x[0]) ** 2,
    "interp outside": lambda x: nbg.interp(5 * x + 0.3, [0.0, 1.0, 2.0], x[0, :3], left=-1.0) ** 2,
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_derivatives(name):
    check_grads(FUNCTIONS[name], (ZEROS,), order=2)


def test_derivatives_in_both_tiers():
    made = []
    for tier in ("never", "always"):
        x, outs = leaf(ZEROS), []
        for f in FUNCTIONS.values():
            gradient = nbg.sum(f(x)).grad(x)
            outs += [gradient, nbg.sum(gradient**2).grad(x)]
        made.append(nbg.eval(*outs, engine=ENGINES[tier]))
    for got, want in zip(*made, strict=True):
        np.testing.assert_allclose(got, want, rtol=1e-12, atol=1e-12)


def test_products_with_zeros_have_exact_derivatives_of_third_order():
    x = leaf([0.0, 0.0, 0.0])
    first = nbg.cumprod(x)[-1].grad(x)
    second = first[0].grad(x)
    assert second[1].grad(x).tolist() == [0.0, 0.0, 1.0]


def test_differences_and_integrals():
    rng = np.random.default_rng(1)
    x, t = rng.standard_normal((3, 4, 5)), np.sort(rng.standard_normal(4))
    for n in (0, 1, 2, 5):
        agree(np.diff(leaf(x), n, axis=1), np.diff(x, n, axis=1))
    agree(np.diff(leaf(x), prepend=0, append=x[..., :1]), np.diff(x, prepend=0, append=x[..., :1]))
    agree(np.diff(nbg.constant(x > 0)), np.diff(x > 0))
    agree(np.ediff1d(leaf(x), 1.0, [2.0, 3.0]), np.ediff1d(x, 1.0, [2.0, 3.0]))
    agree(np.trapezoid(leaf(x), t, axis=1), np.trapezoid(x, t, axis=1))
    agree(np.trapezoid(leaf(x), dx=0.5), np.trapezoid(x, dx=0.5))
    for order in (1, 2):
        agree(np.gradient(leaf(x), t, axis=1, edge_order=order), np.gradient(x, t, axis=1, edge_order=order))
    for got, want in zip(np.gradient(leaf(x), 1.0, 2.0, 3.0), np.gradient(x, 1.0, 2.0, 3.0), strict=True):
        agree(got, want)
    assert nbg.trapezoid(nbg.zeros((2, 0))).tolist() == [0.0, 0.0]


@each_tier
def test_convolution(jit):
    engine, rng = ENGINES[jit], np.random.default_rng(2)
    for n in (1, 2, 5, 6):
        for m in (1, 3, 4, 7):
            a, v = (rng.standard_normal(k) + 1j * rng.standard_normal(k) for k in (n, m))
            for mode in ("full", "same", "valid"):
                agree(np.convolve(leaf(a), v, mode), np.convolve(a, v, mode), engine)
                agree(np.correlate(leaf(a), v, mode), np.correlate(a, v, mode), engine)
    agree(nbg.convolve([1, 2, 3], [1, 1]), np.convolve([1, 2, 3], [1, 1]), engine)


@each_tier
def test_interpolation(jit):
    engine, rng = ENGINES[jit], np.random.default_rng(3)
    p, f = np.sort(rng.standard_normal(6)), rng.standard_normal(6)
    x = np.concatenate([rng.uniform(-3, 3, 20), p, [np.nan]])
    for keywords in ({}, {"left": 7.0, "right": 8.0}, {"period": 1.3}):
        agree(np.interp(leaf(x), p, f, **keywords), np.interp(x, p, f, **keywords), engine)
    agree(nbg.interp(x, [0.5], [2.0]), np.interp(x, [0.5], [2.0]), engine)
    agree(nbg.interp(x[:-1], p, f * 1j), np.interp(x[:-1], p, f * 1j), engine)


@pytest.mark.parametrize(
    ("f", "error"),
    [
        (lambda x: nbg.cumsum(x, 2), nbg.BoundsError),
        (lambda x: nbg.cumprod("a"), nbg.DtypeError),
        (lambda x: nbg.cummax(x * 1j), nbg.DtypeError),
        (lambda x: nbg.diff(x, -1), nbg.ShapeError),
        (lambda x: nbg.diff(3.0), nbg.ShapeError),
        (lambda x: nbg.gradient(x[:1]), nbg.ShapeError),
        (lambda x: nbg.gradient(x, 1.0, 2.0, 3.0), nbg.ShapeError),
        (lambda x: nbg.gradient(x, [1.0, 2.0], axis=0), nbg.ShapeError),
        (lambda x: nbg.convolve(x, x), nbg.ShapeError),
        (lambda x: nbg.convolve([], [1.0]), nbg.ShapeError),
        (lambda x: nbg.convolve([1.0], [1.0], "half"), nbg.ShapeError),
        (lambda x: nbg.interp(1.0, [1.0, 2.0], [1.0]), nbg.ShapeError),
        (lambda x: nbg.interp(1.0, [1.0], [1.0], period=0), nbg.ShapeError),
    ],
)
def test_what_does_not_fit_is_refused(f, error):
    with pytest.raises(error) as caught:
        f(leaf(np.ones((3, 4))))
    assert "test_cumulative.py" in str(caught.value)
