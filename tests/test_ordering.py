"""Sorting, searching and counting against NumPy, in both tiers, with derivatives."""

from __future__ import annotations

import numpy as np
import pytest

import nbgraph as nbg
from nbgraph import Engine, TracedTensor
from nbgraph.testing import check_grads

leaf = TracedTensor.from_tensor
ENGINES = {jit: Engine(jit=jit) for jit in ("never", "always")}
each_tier = pytest.mark.parametrize("jit", ENGINES)
CODES = ["f8", "f4", "i8", "i4", "b1", "c16", "c8"]


def agree(got, want, engine=Engine(jit="never")):  # noqa: B008
    got, want = np.asarray(got.eval(engine)), np.asarray(want)
    assert (got.dtype, got.shape) == (want.dtype, want.shape)
    np.testing.assert_array_equal(got, want)


def numbers(code, shape):
    rng = np.random.default_rng(0)
    x = rng.integers(-5, 6, shape) * 1.0
    if code[0] == "c":
        x = x + 1j * rng.integers(-2, 3, shape)
    x = (x > 0 if code == "b1" else x).astype(code)
    if code[0] in "fc" and x.size > 4:
        x.flat[::7], x.flat[1::7], x.flat[2::9] = np.nan, -np.inf, -0.0
    return x


@each_tier
@pytest.mark.parametrize("code", CODES)
def test_sort_and_argsort(code, jit):
    """Short lines and long ones (which are sorted otherwise), ties, NaN, signed zeros; along every axis."""
    engine = ENGINES[jit]
    for shape in ((5,), (300,), (2, 70, 3), (3, 0), (1, 1)):
        x = numbers(code, shape)
        for axis in (0, -1, None):
            agree(np.sort(nbg.constant(x), axis), np.sort(x, axis), engine)
            agree(np.argsort(nbg.constant(x), axis), np.argsort(x, axis, kind="stable"), engine)
            agree(nbg.sort(leaf(x), axis), np.sort(x, axis), engine)


@each_tier
def test_top_k_and_partition(jit):
    engine, x = ENGINES[jit], np.random.default_rng(1).integers(0, 4, (3, 9)).astype(float)
    for k in (0, 1, 4, 9):
        values, indices = nbg.top_k(leaf(x), k)
        want = np.argsort(-x, 1, kind="stable")[:, :k]
        agree(indices, want, engine)
        agree(values, np.take_along_axis(x, want, 1), engine)
    assert nbg.top_k(x, 2, axis=0).values.shape == (2, 9)
    parted = np.partition(leaf(x), 4, axis=1).eval(engine)
    assert (parted[:, :4].max(1) <= parted[:, 4]).all() and (parted[:, 4] <= parted[:, 5:].min(1)).all()
    agree(nbg.take_along_axis(x, np.argpartition(leaf(x), 4), -1), parted, engine)


@each_tier
@pytest.mark.parametrize("side", ["left", "right"])
def test_searchsorted(side, jit):
    engine = ENGINES[jit]
    for a in (np.array([1.0, 2, 2, 3, np.nan]), np.array([]), np.array([7, 8, 8])):
        v = np.array([[-1.0, 2, 2.5], [np.nan, 8, np.inf]])
        agree(np.searchsorted(nbg.constant(a), v, side), np.searchsorted(a, v, side), engine)
    agree(nbg.searchsorted([3, 1, 2], 2, side, sorter=[1, 2, 0]), np.searchsorted([1, 2, 3], 2, side), engine)


@each_tier
def test_derivatives(jit):
    rng = np.random.default_rng(2)
    x, w = rng.permutation(12).reshape(3, 4) / 3, rng.standard_normal((3, 4))
    for f in (
        lambda x: nbg.sort(x, 0) ** 2 * w,
        lambda x: nbg.sort(x, None)[::-1] ** 3,
        lambda x: nbg.top_k(x, 2).values ** 2 * w[:, :2],
        lambda x: nbg.partition(x, 1) ** 2 * w,
        lambda x: nbg.unique(x) ** 2,
        lambda x: x[:, nbg.argsort(x[0])] ** 2 * w,
        lambda x: nbg.bincount([0, 2, 2, 0], x[0] ** 2) ** 2,
        lambda x: nbg.histogram(w, 4, weights=x**2)[0] ** 2,
    ):
        if jit == "never":
            check_grads(f, (x,), order=2)
            continue
        made = []
        for tier in ("never", "always"):
            t = leaf(x)
            gradient = nbg.sum(f(t)).grad(t)
            made.append(nbg.eval(gradient, nbg.sum(gradient**2).grad(t), engine=ENGINES[tier]))
        for got, want in zip(*made, strict=True):
            np.testing.assert_allclose(got, want, rtol=1e-13, atol=1e-13)


def test_the_rule_of_sort_itself():
    """Of a placeholder: nothing was recorded to save a permutation with."""
    x = TracedTensor.placeholder(("n",), name="x")
    gradient = nbg.sum(nbg.sort(x) ** 2 * nbg.arange(x.shape[0])).grad(x)
    for jit in ("never", "always"):
        got = gradient.eval(ENGINES[jit], bindings={x: [3.0, 1.0, 2.0]})
        np.testing.assert_array_equal(got, [12.0, 0.0, 4.0])


UNIQUE = [
    np.array([3, 1, 3, 0, 1]), np.array([1.0, np.nan, 2.0, np.nan, 1.0]), np.array([]), np.array([2.0]), np.array(3.0),
    np.array([[1.0, 0.0], [2.0, 1.0]]), np.array([1 + 1j, np.nan, 1 + 1j]), np.array([True, False, True]),
]  # fmt: skip


@pytest.mark.parametrize("x", UNIQUE)
@pytest.mark.parametrize("equal_nan", [True, False])
def test_lazy_unique(x, equal_nan):
    """How many there are is not known while recording."""
    t = nbg.flip(leaf(x)) if x.ndim else leaf(x) * 1
    found = nbg.unique(t, True, True, True, equal_nan=equal_nan)
    assert type(found[0].shape[0]) is not int
    wanted = np.unique(np.flip(x) if x.ndim else x, True, True, True, equal_nan=equal_nan)
    for got, want in zip(found, wanted, strict=True):
        agree(got, want)


def test_unique_inside_jit():
    f = nbg.jit(lambda x: nbg.sum(nbg.unique(x * 2) ** 2))
    np.testing.assert_array_equal(nbg.grad(f)(np.array([1.0, 2.0, 1.0, 3.0])).eval(), [8.0, 16.0, 0.0, 24.0])


def test_unique_and_counts():
    x = np.random.default_rng(3).integers(0, 4, (3, 4))
    for axis in (None, 0):
        for got, want in zip(nbg.unique(x, True, True, True, axis), np.unique(x, True, True, True, axis), strict=True):
            agree(got, want)
    agree(np.unique(leaf(x)), np.unique(x))
    agree(nbg.unique_counts(x).counts, np.unique(x, return_counts=True)[1])
    assert nbg.unique_values([np.nan, np.nan]).shape == (2,) and nbg.unique([np.nan, np.nan]).shape == (1,)
    agree(np.bincount(leaf([0, 2, 2]), minlength=5), np.bincount([0, 2, 2], minlength=5))
    agree(nbg.bincount(np.zeros(0, int)), np.bincount(np.zeros(0, int)))
    agree(nbg.bincount([0, 2, 2], [1.0, 2.0, 3.0]), np.bincount([0, 2, 2], [1.0, 2.0, 3.0]))
    y = np.random.default_rng(4).standard_normal(50)
    for keywords in (
        {},
        {"bins": 5, "range": (-1, 1)},
        {"bins": [-1.0, 0, 0.5]},
        {"weights": y * 2},
        {"density": True},
    ):
        for got, want in zip(np.histogram(leaf(y), **keywords), np.histogram(y, **keywords), strict=True):
            np.testing.assert_allclose(got.eval(), want, rtol=1e-13, atol=1e-13)


@pytest.mark.parametrize(
    ("f", "error", "match"),
    [
        (lambda x: nbg.sort(x, 2), nbg.BoundsError, "sort"),
        (lambda x: nbg.sort(x, kind="bogo"), nbg.ShapeError, "kind"),
        (lambda x: nbg.sort(x, order="field"), nbg.DtypeError, "fields"),
        (lambda x: nbg.sort(3.0), nbg.BoundsError, "sort"),
        (lambda x: nbg.partition(x, 4), nbg.BoundsError, "kth"),
        (lambda x: nbg.top_k(x, 5), nbg.BoundsError, "top_k"),
        (lambda x: nbg.searchsorted(x, x), nbg.ShapeError, "searchsorted"),
        (lambda x: nbg.searchsorted(x[0] * 1j, x), nbg.DtypeError, "searchsorted"),
        (lambda x: nbg.searchsorted(x[0], x, "middle"), nbg.ShapeError, "side"),
        (lambda x: nbg.bincount(x), nbg.ShapeError, "bincount"),
        (lambda x: nbg.bincount([-1]), nbg.BoundsError, "bincount"),
        (lambda x: nbg.bincount([1], [1.0, 2.0]), nbg.ShapeError, "weights"),
        (lambda x: nbg.histogram(x, [2.0, 1.0]), nbg.ShapeError, "histogram"),
    ],
)
def test_what_does_not_fit_is_refused(f, error, match):
    with pytest.raises(error, match=match) as caught:
        f(leaf(np.ones((3, 4))))
    assert "test_ordering.py" in str(caught.value)
