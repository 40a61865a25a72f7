"""Statistics against NumPy's: axes, corrections, NaN, complex numbers, no elements."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from test_elementary import ENGINES, agree, gradient

import nbgraph as nbg


def sample(code: str) -> np.ndarray:
    rng = np.random.default_rng(0)
    x = rng.uniform(-2, 2, (3, 4, 5))
    return (x + 1j * rng.uniform(-2, 2, x.shape) if code[0] == "c" else 3 * x).astype(code)


def with_nan(code: str) -> np.ndarray:
    """Some elements, and one row of them, are NaN."""
    x = sample(code)
    x[np.random.default_rng(1).random(x.shape) < 0.2] = np.nan
    x[1, 2] = np.nan
    return x


def same(names: str, *arrays: np.ndarray, **kwargs) -> None:
    """Functions of these names give what NumPy's do, each in a program of its own."""
    for n in names.split():
        ours, numpys = (lambda *a, m=m, n=n: getattr(m, n)(*a, **kwargs) for m in (nbg, np))
        agree([ours], [numpys], *arrays, ulps=1000)


@pytest.mark.parametrize("code", ["f8", "f4", "c16", "i8", "b1"])
def test_variances(code):
    x = sample(code)
    for axis in (None, 0, (0, 2)) if code == "f8" else (1,):
        same("var std", x, axis=axis)
        same("var std", x, axis=axis, ddof=1, keepdims=True)
    got = nbg.var(x, correction=1.5).eval(ENGINES[0])
    np.testing.assert_allclose(got, np.var(x, ddof=1.5), rtol=2e-5)


def test_variances_of_few():
    """None and one element, and more corrections than elements."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for x, ddof in ((np.zeros((0, 3)), 0), (np.ones((1, 3)), 0), (np.ones((1, 3)), 1), (np.ones((1, 3)), 2)):
            agree([lambda x, d=ddof: nbg.var(x, 0, ddof=d)], [lambda x, d=ddof: np.var(x, 0, ddof=d)], x)


def test_numbers_along_their_axis():
    """NumPy takes a number for its own axis 0, but for means and variances."""
    x = nbg.asarray(2.5)
    for name in ["sum", "prod", "max", "min", "any", "all", "argmax", "argmin", "count_nonzero", "ptp"]:
        for axis in (0, -1):
            got = getattr(nbg, name)(x, axis=axis, keepdims=True).eval(ENGINES[0])
            np.testing.assert_array_equal(got, getattr(np, name)(2.5, axis=axis, keepdims=True), strict=True)
    assert nbg.max(x, axis=0, initial=7.0).item() == 7.0
    for name in ("mean", "var", "std", "median"):
        with pytest.raises(nbg.BoundsError):
            getattr(nbg, name)(x, axis=0)
    for name in ("argmax", "sort", "cumsum", "diff"):
        with pytest.raises(nbg.DtypeError, match="no axis"):
            getattr(nbg, name)(np.ones((2, 2)), axis=(0, 1))


@pytest.mark.parametrize("axis", [None, 0, 1])
def test_averages(axis):
    x, w = sample("f8")[0], np.linspace(0.5, 2.0, 20).reshape(4, 5)
    assert nbg.average(x.astype("f4"), axis).dtype == nbg.nanmean(x, axis, dtype="f4").dtype == np.float32
    agree([lambda x: nbg.average(x, axis)], [lambda x: np.average(x, axis)], x)
    agree([lambda x, w: nbg.average(x, axis, w)], [lambda x, w: np.average(x, axis, w)], x, w)
    if axis is not None:
        v = w[:, 0] if axis == 0 else w[0]
        agree([lambda x, v: nbg.average(x, axis, v)], [lambda x, v: np.average(x, axis, v)], x, v)
        agree([lambda x, v: nbg.average(x, axis, v, True)[1]], [lambda x, v: np.average(x, axis, v, True)[1]], x, v)
    with pytest.raises(nbg.ShapeError, match="average"):
        nbg.average(x, axis, np.ones(7)[None])


@pytest.mark.parametrize("code", ["f8", "f4", "c16", "i8"])
def test_without_nan(code):
    names = "nansum nanprod nanmean nanvar nanstd nanmax nanmin"
    names = "nansum nanmean nanvar nanstd" if code == "c16" else names
    x = sample(code) if code == "i8" else with_nan(code)
    for axis in (None, -1, (0, 2)) if code == "f8" else (-1,):
        same(names, x, axis=axis)
    same(names, x, axis=0, keepdims=True)


def test_counts_and_ranges():
    x = np.array([[0, 3, 0], [1, 2, 0]])
    agree([nbg.count_nonzero, nbg.ptp], [lambda x: np.asarray(np.count_nonzero(x)), np.ptp], x)
    agree(
        [lambda x: nbg.count_nonzero(x, 1), lambda x: nbg.ptp(x, 0)],
        [lambda x: np.count_nonzero(x, 1), lambda x: np.ptp(x, 0)],
        x,
    )


@pytest.mark.parametrize("name", ["var", "std", "ptp", "nanvar", "nanstd", "nanmean", "nansum", "nanprod", "nanmax"])
def test_derivatives(name):
    f, x = getattr(nbg, name), sample("f8")[0]
    nbg.testing.check_grads(lambda x: f(x, axis=0), (x,), order=2)
    if name in ("var", "std"):
        nbg.testing.check_grads(lambda x: f(x, axis=1, ddof=1), (sample("c16")[0],), order=2)


def test_derivatives_with_nan_are_finite():
    x = with_nan("f8")[0]
    here = np.isnan(x)
    for name in ("nanvar", "nanstd", "nanmean", "nansum", "nanprod", "nanmax", "nanmin"):
        g = np.array(gradient(lambda x, n=name: getattr(nbg, n)(x, axis=0), x)[0])
        assert np.isfinite(g).all() and not g[here].any(), name


def test_of_equal_numbers_the_deviation_has_derivative_0():
    assert gradient(nbg.std, [2.0, 2.0, 2.0]) == [[0.0, 0.0, 0.0]]
    assert gradient(nbg.nanstd, [2.0, np.nan, 2.0]) == [[0.0, 0.0, 0.0]]


def test_sizes_are_words():
    """One structure for arrays of different length."""
    engine = nbg.Engine(jit="never")
    for n in (3, 4, 7):
        x = np.arange(n) ** 2.0
        np.testing.assert_allclose(nbg.var(nbg.TracedTensor.from_tensor(x), ddof=1).eval(engine), np.var(x, ddof=1))
    assert engine.stats().fragments == 1
