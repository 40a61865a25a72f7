"""`nbg.scipy.stats` against SciPy: values, also outside of the support, and derivatives."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

import nbgraph as nbg
from nbgraph.testing import check_grads

X = np.array([-0.7, 0.2, 0.9, 1.4, 3.1])
CONTINUOUS = {
    "norm": (), "expon": (), "uniform": (), "laplace": (), "logistic": (), "cauchy": (),
    "gamma": (2.3,), "chi2": (3.0,), "beta": (2.0, 1.5), "t": (4.0,), "lognorm": (0.8,), "pareto": (2.5,),
}  # fmt: skip
DISCRETE = {"poisson": (2.5,), "geom": (0.3,), "bernoulli": (0.3,), "binom": (4.0, 0.3)}


@pytest.mark.parametrize("name", CONTINUOUS)
def test_continuous(name):
    ours, theirs, shapes = getattr(nbg.scipy.stats, name), getattr(stats, name), CONTINUOUS[name]
    for method in ("pdf", "logpdf", "cdf", "sf", "logcdf", "logsf"):
        for place in ({}, {"loc": 0.3, "scale": 1.7}):
            with np.errstate(all="ignore"):
                wanted = getattr(theirs, method)(X, *shapes, **place)
            got = getattr(ours, method)(X, *shapes, **place).eval()
            np.testing.assert_allclose(got, wanted, rtol=1e-12, atol=1e-14, err_msg=f"{method} {place}")
    np.testing.assert_allclose(ours.pdf(X, *shapes, 0.3, 1.7).eval(), theirs.pdf(X, *shapes, 0.3, 1.7), rtol=1e-12)
    check_grads(lambda x, loc, scale: ours.pdf(x, *shapes, loc=loc, scale=scale), (X + 0.05, 0.1, 1.7), order=2)
    check_grads(lambda x: ours.cdf(x, *shapes), (X + 0.05,), order=2)
    if shapes:
        start = -3.0 if name == "pareto" else -1.0
        check_grads(lambda *p: ours.logpdf(np.array([0.4, 0.8]), *p, loc=start, scale=2.5), shapes, order=2)


@pytest.mark.parametrize("name", DISCRETE)
def test_discrete(name):
    ours, theirs, shapes = getattr(nbg.scipy.stats, name), getattr(stats, name), DISCRETE[name]
    k = np.array([-1, 0, 1, 2, 4, 7])
    for method in ("pmf", "logpmf"):
        f, g = getattr(ours, method), getattr(theirs, method)
        np.testing.assert_allclose(f(k, *shapes).eval(), g(k, *shapes), rtol=1e-12)
        np.testing.assert_allclose(f(k, *shapes, loc=1).eval(), g(k, *shapes, 1), rtol=1e-12)
    for method in ("cdf", "sf"):
        for x in (k, k + 0.5):
            got, want = (getattr(m, method)(x, *shapes, loc=1) for m in (ours, theirs))
            np.testing.assert_allclose(got.eval(), want, rtol=1e-12, atol=1e-15)
    check_grads(lambda p: (ours.pmf(k, *shapes[:-1], p), ours.cdf(k, *shapes[:-1], p)), shapes[-1:], order=2)


def test_dirichlet_and_multivariate_normal():
    a, x = np.array([1.5, 2.0, 3.0]), np.array([0.2, 0.3, 0.5])
    np.testing.assert_allclose(nbg.scipy.stats.dirichlet.pdf(x, a).eval(), stats.dirichlet.pdf(x, a))
    np.testing.assert_allclose(nbg.scipy.stats.dirichlet.logpdf(x[:2], a).eval(), stats.dirichlet.logpdf(x[:2], a))
    check_grads(nbg.scipy.stats.dirichlet.logpdf, (x, a), order=2)
    normal, rng = nbg.scipy.stats.multivariate_normal, np.random.default_rng(0)
    m, points, root = rng.normal(size=3), rng.normal(size=(2, 4, 3)), rng.normal(size=(3, 3))
    c = root @ root.T + np.eye(3)
    for given in ((points, m, c), (points[0, 0], m, c), (points, m, 2.0), (points, m, np.diag(c))):
        wanted = stats.multivariate_normal.logpdf(given[0], given[1], given[2])
        np.testing.assert_allclose(normal.logpdf(*given).eval(), wanted, rtol=1e-12)
    for cov in (c, np.diag(c), 2.0):
        np.testing.assert_allclose(normal.entropy(m, cov).eval(), stats.multivariate_normal.entropy(m, cov))
    check_grads(lambda r: normal.entropy(m, r @ r.T), (root,), order=2)
    np.testing.assert_allclose(normal.pdf(m).eval(), stats.multivariate_normal.pdf(m, np.zeros(3)))
    check_grads(lambda x, m, r: normal.logpdf(x, m, r @ r.T + np.eye(3)), (points, m, root), order=2)


def test_singular_covariance():
    normal, rng = nbg.scipy.stats.multivariate_normal, np.random.default_rng(0)
    root = rng.normal(size=(4, 2))
    c, inside = root @ root.T, root @ rng.normal(size=(2, 3))
    points = np.concatenate([inside.T, rng.normal(size=(1, 4))])  # the last is not in the range
    wanted = stats.multivariate_normal.logpdf(points, np.zeros(4), c, allow_singular=True)
    np.testing.assert_allclose(normal.logpdf(points, np.zeros(4), c, allow_singular=True).eval(), wanted, rtol=1e-9)
    check_grads(lambda y: normal.pdf(root @ y, np.zeros(4), c, True), (np.array([0.3, -0.2]),), order=2)
    assert np.isnan(normal.logpdf(points[0], None, -c, True).eval())


def test_too_few_parameters():
    with pytest.raises(TypeError, match="2 shape parameters"):
        nbg.scipy.stats.beta.pdf(0.5, 1.0)
