"""Index arrays: what picks by them and what is put back by them, against NumPy, in both tiers, with derivatives."""

from __future__ import annotations

import math
import sys

import numpy as np
import pytest

import nbgraph as nbg
from nbgraph import Engine, TracedTensor
from nbgraph.testing import check_grads

leaf = TracedTensor.from_tensor
ENGINES = {jit: Engine(jit=jit) for jit in ("never", "always")}
each_tier = pytest.mark.parametrize("jit", ENGINES)
NEVER = Engine(jit="never")


def agree(got, want):
    got = np.asarray(got.eval(NEVER))
    assert (got.dtype, got.shape) == (want.dtype, want.shape)
    np.testing.assert_array_equal(got, want)


# -- x[index] ---------------------------------------------------------------------------------------------------------


def random_index(rng, shape):
    """Items of every kind for some leading dimensions."""
    broadcast, items, axis, ellipsis = (
        [(3,), (2, 3), (1,), (), (2, 1), (0,)][rng.integers(6)],
        [],
        0,
        rng.random() < 0.3,
    )
    while axis < len(shape) and rng.random() < 0.85:
        d, kind = shape[axis], rng.random()
        width = 1
        if kind < 0.35:
            own = broadcast if rng.random() < 0.7 else broadcast[-1:]
            items.append(rng.integers(-d, d, own) if d else np.zeros(own, int))
        elif kind < 0.5 and d:
            items.append(int(rng.integers(-d, d)))
        elif kind < 0.75:
            bounds = [None if rng.random() < 0.4 else int(rng.integers(-d - 1, d + 2)) for _ in range(2)]
            items.append(slice(*bounds, [None, 2, -1][rng.integers(3)]))
        elif kind < 0.85:
            width = int(min(len(shape) - axis, rng.integers(1, 3)))
            items.append(rng.random(shape[axis : axis + width]) < 0.5)
        elif kind < 0.92 or not ellipsis:
            items.append(None)
            width = 0
        else:
            items.append(...)
            ellipsis, width = False, int(rng.integers(0, len(shape) - axis + 1))
        axis += width
    return tuple(items)


def test_random_indices_are_numpys():
    rng = np.random.default_rng(0)
    refused = 0
    for _ in range(600):
        shape = tuple(int(d) for d in rng.integers(0, 5, rng.integers(1, 5)))
        x, index = rng.standard_normal(shape), random_index(rng, shape)
        try:
            want = x[index]
        except IndexError:
            with pytest.raises(IndexError):
                nbg.constant(x)[index].eval(NEVER)
            refused += 1
            continue
        agree(nbg.constant(x)[index], want)
        value, changed = rng.standard_normal(want.shape), x.copy()
        changed[index] = value
        agree(nbg.constant(x).at[index].set(value), changed)
    assert 4 < refused < 200


@each_tier
def test_updates_with_equal_indices(jit):
    rng = np.random.default_rng(1)
    engine, x, index, u = (
        ENGINES[jit],
        rng.standard_normal((4, 3)),
        np.array([2, 0, -2, 2]),
        rng.standard_normal((4, 3)),
    )
    at = leaf(x).at[index]
    for got, ufunc in ((at.add(u), np.add), (at.mul(u), np.multiply), (at.max(u), np.maximum), (at.min(u), np.minimum)):
        want = x.copy()
        ufunc.at(want, index, u)
        np.testing.assert_allclose(got.eval(engine), want, rtol=1e-14)
    want = x.copy()
    want[index] = u
    np.testing.assert_array_equal(at.set(u).eval(engine), want)
    np.testing.assert_array_equal(at.get().eval(engine), x[index])
    np.testing.assert_array_equal(leaf(x).at[1:, [0, 2]].max(0.0).eval(engine)[1:, 0], np.maximum(x[1:, 0], 0))
    np.testing.assert_array_equal(leaf(x).at[0].mul(2.0).eval(engine)[0], 2 * x[0])


ROWS, COLUMNS = np.array([2, 0, 2, -1]), np.array([[0], [1]])
DIFFERENTIABLE = {
    "take rows": lambda x, u: x[ROWS] * u[:, :3],
    "a pair of arrays": lambda x, u: x[ROWS, COLUMNS] * u[:2],
    "arrays apart": lambda x, u: nbg.expand_dims(x, 1)[ROWS, :, [0, 1, 2, 1]] * u[0, 0],
    "mixed with a slice": lambda x, u: x[1:, [0, 0, 2]] * u[:2, :3],
    "a mask": lambda x, u: x[np.array([True, False, True])] * u[:2, :3],
    "set": lambda x, u: x.at[ROWS].set(u[:, :3]) ** 2,
    "set pairs": lambda x, u: x.at[ROWS, [0, 1, 0, 2]].set(u[0]) ** 2,
    "set by a mask": lambda x, u: x.at[np.array([True, False, True])].set(u[:2, :3]) ** 2,
    "set where": lambda x, u: x.at[np.eye(3, dtype=bool)].set(u[0, 0]) ** 2,
    "add": lambda x, u: x.at[ROWS].add(u[:, :3]) ** 2,
    "mul": lambda x, u: x.at[ROWS].mul(u[:, :3]),
    "max": lambda x, u: x.at[ROWS].max(u[:, :3]) ** 2,
    "min": lambda x, u: x.at[:, ROWS].min(u[:3, :]) ** 2,
    "take": lambda x, u: nbg.take(x, [[0, 4], [8, 4]]) * u[0, 0],
    "take_along_axis": lambda x, u: nbg.take_along_axis(x, [[0, 0], [1, 2], [-1, 1]], 1) * u[:3, :2],
    "put_along_axis": lambda x, u: nbg.put_along_axis(x, [[0], [1], [-1]], u[:3, :1], 1) ** 2,
    "choose": lambda x, u: nbg.choose([0, 1, 0], [x, u[:3, :3]]) ** 2,
    "select": lambda x, u: nbg.select([[True, False, False], [True, True, False]], [x, u[:3, :3]], 0.5) ** 2,
    "compress": lambda x, u: nbg.compress([0, 1, 1], x, 0) * u[:2, :3],
    "delete and insert": lambda x, u: nbg.insert(nbg.delete(x, 1, 0), [0, 2], u[:2, :3], 0) ** 2,
}


@each_tier
@pytest.mark.parametrize("name", DIFFERENTIABLE)
def test_derivatives(name, jit):
    rng = np.random.default_rng(2)
    f, arrays = DIFFERENTIABLE[name], (rng.standard_normal((3, 3)), rng.standard_normal((4, 4)))
    if jit == "never":
        check_grads(f, arrays, order=2)
    else:
        runs = []
        for tier in ("never", "always"):
            x, u = map(leaf, arrays)
            loss = nbg.sum(f(x, u) ** 2)
            first = loss.grad([x, u])
            second = nbg.sum(first[0] ** 2).grad(x)
            runs.append(nbg.eval(loss, *first, second, engine=ENGINES[tier]))
        for got, want in zip(*runs, strict=True):
            np.testing.assert_allclose(got, want, rtol=1e-12, atol=1e-12)


def test_ties_and_zeros_in_derivatives():
    x, u = leaf([1.0, 2.0]), leaf([1.0, 1.0, 3.0])
    assert [g.tolist() for g in nbg.sum(x.at[[0, 0, 1]].max(u)).grad([x, u])] == [[1 / 3, 0.0], [1 / 3, 1 / 3, 1.0]]
    z = leaf([0.0, 2.0, 0.0, 0.0, 5.0])
    made = nbg.sum(leaf([3.0, 1.0, 1.0]).at[[0, 0, 1, 1, 2]].mul(z))
    assert made.grad(z).tolist() == [6.0, 0.0, 0.0, 0.0, 1.0]


@pytest.mark.parametrize("zeros", [[], [1], [1, 2], [3, 4], [3, 4, 5], [0, 6, 7, 8, 1]])
def test_second_and_third_derivatives_of_products_at_zero_factors(zeros):
    rows, weight = [0, 1, 1, 2, 2, 2, 0, 0, 3, 3], np.array([1.0, 2.0, 3.0, 5.0])
    x, u = np.array([1.3, -2.0, 0.7, 1.1]), np.linspace(0.5, 2, 10)
    u[zeros] = 0

    def scattered(x, u):
        return nbg.sum(weight * nbg.asarray(x).at[rows].mul(u))

    def multiplied(x, u):
        factors = [[x[k]] + [u[j] for j, row in enumerate(rows) if row == k] for k in range(4)]
        return sum(w * math.prod(each) for w, each in zip(weight, factors, strict=True))

    def derivatives(f):
        slope = nbg.grad(f, argnums=1)
        third = nbg.jacrev(lambda u: nbg.hvp(lambda v: f(x, v), (u,), (np.arange(10.0),)))
        return (*nbg.jacfwd(slope, argnums=(0, 1))(x, u), third(u))

    engine = Engine(jit="never")
    got, want = (nbg.eval(*derivatives(f), engine=engine) for f in (scattered, multiplied))
    for g, w in zip(got, want, strict=True):
        np.testing.assert_allclose(g, w, rtol=1e-12, atol=1e-12)
        assert np.abs(w).max() > 0


def test_an_index_that_is_not_known_yet_stays_lazy():
    x = leaf([3.0, 7.0, 5.0])
    engine = Engine(jit="never")
    best = x[nbg.argmax(x)]
    assert engine.stats().evals == 0 and best.data is None
    assert best.eval(engine) == 7 and best.grad(x).tolist() == [0.0, 1.0, 0.0]


def test_shifting_indices_are_one_structure():
    engine, x = Engine(jit="never"), leaf(np.arange(8.0))
    for size in (2, 3, 5):
        x[np.arange(size)].eval(engine)
        nbg.roll(x, size).eval(engine)
        nbg.pad(x, size).eval(engine)
        nbg.repeat(x, size).eval(engine)
    assert engine.stats().fragments == 4


def test_placeholders():
    x = TracedTensor.placeholder(("n", 3), name="x")
    k = TracedTensor.placeholder(("m",), "int64", name="k")
    loss = nbg.sum(x[k] ** 2)
    gradient = loss.grad(x)
    for jit in ("never", "always"):
        for n in (2, 4):
            a, index = np.arange(3.0 * n).reshape(n, 3), np.array([0, n - 1, 0])
            want = np.zeros_like(a)
            np.add.at(want, index, 2 * a[index])
            np.testing.assert_array_equal(gradient.eval(ENGINES[jit], bindings={x: a, k: index}), want)


# -- what is refused --------------------------------------------------------------------------------------------------


@each_tier
def test_out_of_bounds_at_run_time_names_the_line(jit):
    engine, x = ENGINES[jit], leaf(np.arange(4.0))
    k = nbg.argmax(x) + 1
    line = sys._getframe().f_lineno + 1
    y = x[nbg.stack([k - 2, k])]
    other = nbg.exp(x)
    for attempt in (y, nbg.sum(y).grad(x), y):
        with pytest.raises(nbg.BoundsError, match="entry 1 of the index") as caught:
            attempt.eval(engine)
        assert f"test_gather.py:{line}" in str(caught.value) and isinstance(caught.value, IndexError)
    np.testing.assert_allclose(other.eval(engine), np.exp(np.arange(4.0)))


@each_tier
def test_every_kind_checks_its_bounds(jit):
    engine, x, bad = ENGINES[jit], leaf(np.ones((2, 3))), nbg.constant([0, 2]) * 1
    for attempt in (
        x[bad], x[bad, bad], x.at[bad].set(1.0), x.at[bad].add(1.0), x.at[bad].mul(2.0), x.at[bad].max(2.0),
        x.at[-1 - bad].min(2.0), nbg.take(x, 3 * bad), nbg.take_along_axis(x, bad[:, None], 0), x[..., bad + 1],
        nbg.zeros((0, 2))[bad],
    ):  # fmt: skip
        with pytest.raises(nbg.BoundsError, match="out of bounds"):
            attempt.eval(engine)


BAD = {
    "bounds": (lambda x: x[[0, 3]], nbg.BoundsError, "index 3 along axis 0"),
    "negative bounds": (lambda x: x[:, [-4]], nbg.BoundsError, "index -4 along axis 1"),
    "a float": (lambda x: x[[0.5]], nbg.BoundsError, "array of float64"),
    "a word": (lambda x: x["a"], nbg.BoundsError, "index"),
    "shapes": (lambda x: x[[0, 1], [0, 1, 2]], nbg.BoundsError, "do not fit"),
    "too many": (lambda x: x[[0], [0], [0]], nbg.BoundsError, "too many"),
    "mask": (lambda x: x[np.ones(2, bool)], nbg.BoundsError, "mask"),
    "mask of at": (lambda x: x.at[np.ones(2, bool)].set(1.0), nbg.BoundsError, "mask"),
    "boolean": (lambda x: x[True], nbg.BoundsError, "boolean"),
    "value": (lambda x: x.at[[0, 1]].set([1.0, 2.0]), nbg.ShapeError, "value"),
    "imaginary": (lambda x: x.at[[0]].add(1j), nbg.DtypeError, "imaginary"),
    "take": (lambda x: nbg.take(x, 3, 0), nbg.BoundsError, "take"),
    "take mode": (lambda x: nbg.take(x, 3, 0, mode="bounce"), nbg.ShapeError, "mode"),
    "along": (lambda x: nbg.take_along_axis(x, [0], 0), nbg.ShapeError, "dimensions"),
    "along shapes": (lambda x: nbg.take_along_axis(x, [[0, 1]], 0), nbg.ShapeError, "broadcasts"),
    "delete": (lambda x: nbg.delete(x, 9, 0), nbg.BoundsError, "delete"),
    "insert": (lambda x: nbg.insert(x, 9, 1.0, 0), nbg.BoundsError, "insert"),
    "choose": (lambda x: nbg.choose([2], [x, x]), nbg.BoundsError, "choose"),
    "select": (lambda x: nbg.select([x > 0], []), nbg.ShapeError, "select"),
    "compress": (lambda x: nbg.compress(x > 0, x), nbg.ShapeError, "compress"),
}


@pytest.mark.parametrize("name", BAD)
def test_what_does_not_fit_is_refused_while_recording(name):
    f, error, match = BAD[name]
    with pytest.raises(error, match=match) as caught:
        f(leaf(np.ones((3, 3))))
    assert "test_gather.py" in str(caught.value)


# -- functions --------------------------------------------------------------------------------------------------------


def test_functions_are_numpys():
    x = np.random.default_rng(3).standard_normal((3, 4, 2))
    for axis in (None, 0, 1, -1):
        for index in (0, [1, 0], [[0, 1], [1, 1]], np.zeros(0, int)):
            agree(np.take(leaf(x), index, axis), np.take(x, index, axis))
        n = x.size if axis is None else x.shape[axis]
        for where in (0, -1, [0, 1], slice(0, 2), slice(None, None, -1), [], np.arange(n) % 2 == 0):
            agree(np.delete(leaf(x), where, axis), np.delete(x, where, axis))
        for where, value in ((0, 5), ([0, 1], 7), ([1, 1, 0], 3), (slice(0, 2), 4), ([n], 1)):
            agree(np.insert(leaf(x), where, value, axis), np.insert(x, where, value, axis))
    agree(np.insert(leaf(x), 1, np.ones((3, 2)), 1), np.insert(x, 1, np.ones((3, 2)), 1))
    for mode in ("wrap", "clip"):
        agree(np.take(leaf(x), [7, -9], 0, mode=mode), np.take(x, [7, -9], 0, mode=mode))
    agree(np.extract(x > 0, leaf(x)), np.extract(x > 0, x))
    agree(np.argwhere(leaf(x)), np.argwhere(x))
    agree(np.flatnonzero(leaf(x) > 0), np.flatnonzero(x > 0))
    for got, want in zip(np.nonzero(leaf(x) > 0), np.nonzero(x > 0), strict=True):
        agree(got, want)
    order = np.argsort(x, 1)
    agree(np.take_along_axis(leaf(x), order[:1], 1), np.take_along_axis(x, order[:1], 1))


def test_numpys_functions_that_write_are_refused():
    x = leaf(np.ones((2, 2)))
    for write in (np.fill_diagonal, np.put):
        with pytest.raises(TypeError, match="new tensor"):
            write(*(x, 0, 1)[: 2 if write is np.fill_diagonal else 3])
    with pytest.raises(TypeError, match="new tensor"):
        np.put_along_axis(x, np.array([[0]]), 1, 1)


# -- lines that are longer than a cache -------------------------------------------------------------------------------


@pytest.mark.parametrize("count", [0, 5, 32, 33, 1000])
def test_long_lines(count):
    """Elements are asked for ahead of their turn there: all of them are still taken, each once and in order."""
    rng = np.random.default_rng(count)
    x, at, u = rng.normal(size=40_000), rng.integers(-40_000, 40_000, count), rng.normal(size=count)
    at[count // 2 :] = at[: count - count // 2]  # each twice
    picked, added, put = ENGINES["always"].compile(
        [leaf(x)[leaf(at)], leaf(x).at[leaf(at)].add(leaf(u)), leaf(x).at[leaf(at)].set(leaf(u))], []
    )()
    wanted_sum, wanted = x.copy(), x.copy()
    np.add.at(wanted_sum, at, u)
    wanted[at] = u
    np.testing.assert_array_equal(picked, x[at])
    np.testing.assert_array_equal(added, wanted_sum)
    np.testing.assert_array_equal(put, wanted)
