"""Medians and quantiles against NumPy, their derivatives, and bad input."""

from __future__ import annotations

import numpy as np
import pytest

import nbgraph as nbg
from nbgraph.testing import check_grads

METHODS = ["linear", "lower", "higher", "midpoint", "nearest", "hazen", "weibull", "median_unbiased", "normal_unbiased"]
METHODS.append("interpolated_inverted_cdf")
NEVER = nbg.Engine(jit="never")
RNG = np.random.default_rng(7)
X = RNG.standard_normal((4, 3, 5))
HOLES = np.where(RNG.random((4, 3, 5)) < 0.3, np.nan, X)
HOLES[1, 2] = np.nan
QS = (0.3, [0.0, 0.1, 0.5, 0.75, 1.0], np.array([[0.2, 0.9], [0.4, 0.6]]))


@pytest.mark.parametrize("method", METHODS)
def test_methods(method):
    for q in QS:
        for axis, keepdims in ((None, False), (1, True), ((0, 2), True), (-1, False), ((0, 2), False)):
            got = nbg.quantile(X, q, axis, method=method, keepdims=keepdims).eval(NEVER)
            want = np.quantile(X, q, axis, method=method, keepdims=keepdims)
            np.testing.assert_allclose(got, want, rtol=1e-14, atol=1e-15)
            assert got.shape == np.shape(want)


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("axis", [None, -1, (0, 1)])
def test_nan(axis):
    for q in QS[:2]:  # NumPy's nanquantile mixes up the dimensions of q and of the rest where both have two
        got = nbg.eval(nbg.nanquantile(HOLES, q, axis), nbg.quantile(HOLES, q, axis), engine=NEVER)
        np.testing.assert_allclose(got[0], np.nanquantile(HOLES, q, axis), rtol=1e-14)
        np.testing.assert_allclose(got[1], np.quantile(HOLES, q, axis), rtol=1e-14)
    np.testing.assert_allclose(nbg.nanmedian(HOLES, axis).eval(NEVER), np.nanmedian(HOLES, axis), rtol=1e-14)
    got = nbg.nanpercentile(HOLES, [10, 60], axis).eval(NEVER)
    np.testing.assert_allclose(got, np.nanpercentile(HOLES, [10, 60], axis), rtol=1e-14)


def test_weights_are_numpys():
    """Whole numbers, zeros among them: an element counts so often."""
    x, w = X[0], np.random.default_rng(3).integers(0, 4, (3, 5)).astype(float)
    w[:, 1] = 1
    for axis, weights in ((None, w), (0, w), (1, w), (1, w[0]), ((0, 1), w)):
        got = nbg.quantile(x, QS[1], axis, method="inverted_cdf", weights=weights).eval(NEVER)
        want = np.quantile(x, QS[1], axis, weights=weights, method="inverted_cdf")
        np.testing.assert_array_equal(got, want)
    holes = np.where(x > 1, np.nan, x)
    got = nbg.nanpercentile(holes, [0, 30, 100], 1, method="inverted_cdf", weights=w).eval(NEVER)
    np.testing.assert_array_equal(got, np.nanpercentile(holes, [0, 30, 100], 1, weights=w, method="inverted_cdf"))
    with pytest.raises(nbg.ShapeError, match="weights need another method"):
        nbg.quantile(x, 0.5, weights=w)
    with pytest.raises(nbg.ShapeError, match="weights do not fit"):
        nbg.quantile(x, 0.5, 0, method="inverted_cdf", weights=w[0])


def test_derivatives_by_fractions():
    """Also where they are known only when the program runs; out of range they give NaN then."""
    check_grads(lambda x, q: nbg.quantile(x, q, 1), (X[0], np.array([0.13, 0.77])), engine=NEVER)
    q = nbg.TracedTensor.placeholder((2,), name="q")
    got = nbg.quantile(X, q, -1).eval(NEVER, bindings={q: np.array([0.3, 1.5])})
    np.testing.assert_allclose(got[0], np.quantile(X, 0.3, -1))
    assert np.isnan(got[1]).all()


def test_special_values_and_dtypes():
    inf = np.inf
    assert nbg.median([-inf, 1.0, inf]).item() == 1.0 and nbg.median([inf, inf]).item() == inf
    assert nbg.quantile([1.0, inf], 0.0).item() == 1.0 and np.isnan(nbg.median(np.zeros(0)).item())
    assert nbg.median(np.zeros((2, 0)), axis=1).shape == (2,)
    assert nbg.median(np.float32([1, 2])).dtype == np.float32 and nbg.median([3, 1, 2, 9]).item() == 2.5
    assert nbg.percentile(X, 50).eval(NEVER) == pytest.approx(np.median(X))


def test_derivatives():
    for f in (
        lambda x: nbg.quantile(x, [0.2, 0.5, 1.0], 1),
        lambda x: nbg.median(x, (0, 2)),
        lambda x: nbg.nanquantile(x, 0.7, -1, method="midpoint") ** 2,
    ):
        check_grads(f, (X,), order=2)
    x = nbg.TracedTensor.from_tensor(HOLES)
    assert np.isfinite(nbg.nansum(nbg.nanmedian(x, -1)).grad(x).eval(NEVER)).all()


def test_compiled():
    x = nbg.TracedTensor.from_tensor(X)
    gradient = nbg.sum(nbg.median(x, 1) ** 2).grad(x)
    compiled = gradient.eval(nbg.Engine(jit="always"))
    again = nbg.TracedTensor.from_tensor(X)
    want = nbg.sum(nbg.median(again, 1) ** 2).grad(again).eval(NEVER)
    np.testing.assert_allclose(compiled, want, rtol=1e-14)


def test_bad_input():
    with pytest.raises(nbg.ShapeError, match="quantile: unknown method: got 'cubic'"):
        nbg.quantile(X, 0.5, method="cubic")
    with pytest.raises(nbg.BoundsError, match="fractions out of range"):
        nbg.percentile(X, 101)
    with pytest.raises(nbg.BoundsError):
        nbg.quantile(X, np.nan)
    with pytest.raises(nbg.DtypeError, match="no order"):
        nbg.median(X + 1j)
