"""Arrays repeated, turned, split, joined, padded; coordinates and triangles: against NumPy, with derivatives."""

from __future__ import annotations

import numpy as np
import pytest

import nbgraph as nbg
from nbgraph import Engine, TracedTensor
from nbgraph.testing import check_grads

leaf = TracedTensor.from_tensor
NEVER = Engine(jit="never")
X = np.random.default_rng(0).standard_normal((3, 4, 2))
V = np.arange(5.0)


def agree(got, want, exact=True):
    if isinstance(want, list | tuple):
        assert len(got) == len(want)
        for g, w in zip(got, want, strict=True):
            agree(g, w, exact)
        return
    got, want = np.asarray(got.eval(NEVER)), np.asarray(want)
    assert (got.dtype, got.shape) == (want.dtype, want.shape)
    np.testing.assert_allclose(got, want, rtol=0 if exact else 1e-14, atol=0)


def like_numpy(name, *args, exact=True, **kwargs):
    agree(getattr(nbg, name)(*args, **kwargs), getattr(np, name)(*args, **kwargs), exact)


@pytest.mark.parametrize("axis", [None, 0, 1, -1])
def test_repeat_and_roll(axis):
    for repeats in (0, 1, 2, np.arange(X.size if axis is None else X.shape[axis])):
        like_numpy("repeat", X, repeats, axis)
    for shift in (0, 1, -1, 5, 100):
        like_numpy("roll", X, shift, axis)


def test_several_axes_and_tiles():
    for shift, axis in (((1, 2), (0, 1)), (1, (0, 1)), ((1, 1), (0, 0))):
        like_numpy("roll", X, shift, axis)
    for reps in (2, (1, 2), (2, 1, 3), (2, 1, 1, 1), (0, 2)):
        like_numpy("tile", X, reps)
        like_numpy("tile", 3.0, reps)
    for k in range(-1, 5):
        for axes in ((0, 1), (1, 2), (2, 0)):
            like_numpy("rot90", X, k, axes)
    like_numpy("fliplr", X)
    like_numpy("flipud", X)


def test_joined_and_split():
    for a in (3.0, V, X):
        like_numpy("atleast_3d", a)
    like_numpy("dstack", [V, V])
    like_numpy("dstack", [X, X])
    like_numpy("column_stack", [V, np.stack([V, V], 1)])
    like_numpy("append", X, [1.0, 2.0])
    like_numpy("append", X, X[:1], 0)
    like_numpy("block", [[np.eye(2), np.zeros((2, 3))], [np.ones((3, 2)), np.eye(3)]])
    for nested in ([1, 2, 3], [V, V], V, [[V], [V]]):
        like_numpy("block", nested)
    for axis in (0, 1):
        for sections in (2, 5, [1, 3]):
            like_numpy("array_split", X, sections, axis)
    like_numpy("split", X, 2, 1)
    like_numpy("split", V, [2, 9, 1])
    like_numpy("hsplit", X, 2)
    like_numpy("hsplit", V, [2, 3])
    like_numpy("vsplit", X, 3)
    like_numpy("dsplit", X, 2)


@pytest.mark.parametrize("width", [0, 1, (1, 2), ((1, 2), (0, 3), (2, 0)), ((1,), (2,), (0,)), [[1, 2]]])
def test_pad(width):
    for mode in ("constant", "edge", "reflect", "symmetric", "wrap"):
        like_numpy("pad", X, width, mode)
    for values in (2.0, (1, 2), ((1, 2), (3, 4), (5, 6))):
        like_numpy("pad", X, width, constant_values=values)


def test_grids_and_triangles():
    for indexing in ("xy", "ij"):
        for sparse in (False, True):
            for vectors in ((V,), (V, V[:2]), (V, V[:2], V[:3])):
                like_numpy("meshgrid", *vectors, indexing=indexing, sparse=sparse)
    like_numpy("indices", (2, 3))
    like_numpy("indices", (2, 3), float, sparse=True)
    for k in (-1, 0, 2):
        like_numpy("tri", 3, 4, k)
        like_numpy("tri", 3, k=k, dtype=int)
        like_numpy("tril", X, k)
        like_numpy("triu", X, k)
        like_numpy("tril_indices", 3, k, 4)
        like_numpy("triu_indices", 3, k)
    like_numpy("tril", V)


def test_spacings():
    like_numpy("logspace", 0, 2, 5, exact=False)
    like_numpy("logspace", 0, 2, 5, False, base=2.0, exact=False)
    for start, stop in ((1, 1000), (-1, -1000), (1000, 1)):
        like_numpy("geomspace", start, stop, 7, exact=False)
        like_numpy("geomspace", start, stop, 7, False, exact=False)
    like_numpy("geomspace", [1, 2], [10, 20], 4, axis=1, exact=False)


@pytest.mark.parametrize("shape", [(3, 3), (5, 3), (3, 5), (3, 3, 3), (7, 2)])
def test_fill_diagonal(shape):
    for wrap in (False, True):
        for value in (9.0, [1.0, 2.0]):
            want = np.zeros(shape)
            np.fill_diagonal(want, value, wrap)
            agree(nbg.fill_diagonal(np.zeros(shape), value, wrap), want)


FUNCTIONS = (
    lambda x: nbg.repeat(x, 2, 0) ** 2,
    lambda x: nbg.repeat(x, [1, 0, 2, 1], 1) ** 2,
    lambda x: nbg.tile(x, (2, 1)) ** 2,
    lambda x: nbg.roll(x, 1, 0) ** 2 * x,
    lambda x: nbg.roll(x, (1, -1), (0, 1)) ** 2 * x,
    lambda x: nbg.rot90(x) ** 2 * x.T,
    lambda x: nbg.pad(x, 2, "reflect") ** 2,
    lambda x: nbg.pad(x, ((1, 0), (2, 3)), constant_values=2.0) ** 2,
    lambda x: nbg.pad(x, 1, "wrap") ** 2,
    lambda x: nbg.tril(x) ** 2 + nbg.triu(x, 1) ** 3,
    lambda x: nbg.fill_diagonal(x, x[0]) ** 2,
    lambda x: nbg.geomspace(x[0] ** 2 + 1, x[1] ** 2 + 2, 3),
    lambda x: nbg.block([[x, x**2], [x**3, x]]),
    lambda x: nbg.meshgrid(x[0], x[1])[0] ** 2,
    lambda x: nbg.array_split(x, 3, 1)[0] ** 2,
)


def test_derivatives():
    x = X[:, :, 0] + 0.1
    for f in FUNCTIONS:
        check_grads(f, (x,), order=2)
    made = []
    for tier in ("never", "always"):
        t = leaf(x)
        made.append(nbg.eval(*(nbg.sum(f(t) ** 2).grad(t) for f in FUNCTIONS), engine=Engine(jit=tier)))
    for got, want in zip(*made, strict=True):
        np.testing.assert_allclose(got, want, rtol=1e-12, atol=1e-12)


def test_symbolic_sizes():
    x = TracedTensor.placeholder(("n", 3), name="x")
    outs = nbg.roll(x, 1, 0), nbg.pad(x, 1), nbg.repeat(x, 2, 0), nbg.tril(x), nbg.tile(x, (2, 1))
    for jit in ("never", "always"):
        for n in (3, 5):
            a = np.arange(3.0 * n).reshape(n, 3)
            wants = np.roll(a, 1, 0), np.pad(a, 1), np.repeat(a, 2, 0), np.tril(a), np.tile(a, (2, 1))
            for got, want in zip(nbg.eval(*outs, engine=Engine(jit=jit), bindings={x: a}), wants, strict=True):
                np.testing.assert_array_equal(got, want)


@pytest.mark.parametrize(
    "f",
    [
        lambda x: nbg.repeat(x, -1),
        lambda x: nbg.repeat(x, [1, 2], 0),
        lambda x: nbg.repeat(x, 0.5),
        lambda x: nbg.roll(x, (1, 2, 3), (0, 1)),
        lambda x: nbg.roll(x, 1, 2),
        lambda x: nbg.rot90(x, 1, (0, 0)),
        lambda x: nbg.fliplr(x[0]),
        lambda x: nbg.split(x, 2),
        lambda x: nbg.array_split(x, 0),
        lambda x: nbg.vsplit(x[0], 1),
        lambda x: nbg.pad(x, -1),
        lambda x: nbg.pad(x, (1, 2, 3)),
        lambda x: nbg.pad(x, 1, "best"),
        lambda x: nbg.pad(nbg.zeros((0, 2)), 1, "edge"),
        lambda x: nbg.block([[x], x]),
        lambda x: nbg.fill_diagonal(x[0], 1.0),
        lambda x: nbg.meshgrid(x, indexing="zz"),
        lambda x: nbg.tril(3.0),
    ],
)
def test_what_does_not_fit_is_refused(f):
    with pytest.raises(nbg.NbgraphError) as caught:
        f(leaf(np.ones((3, 4))))
    assert "test_arranging.py" in str(caught.value)


def test_how_many_operations_are_recorded() -> None:
    x, y = (nbg.TracedTensor.from_tensor(np.full((2, 2), value)) for value in (1.0, 2.0))
    for _ in range(2):  # the second time on the short way
        for made, operands in (
            (nbg.stack([x, y]), (x, y)),
            (nbg.stack((x, y, x), 1), (x, y, x)),
            (nbg.concatenate([x, y], axis=-1), (x, y)),
            (nbg.square(x), (x,)),
            (nbg.dot(x, y), (x, y)),
            (nbg.moveaxis(x, 0, 1), (x,)),
        ):
            assert made.inputs == operands and made.op is not None
        for filled in (nbg.zeros((2, 2)), nbg.ones(2), nbg.full(2, 3.0), nbg.zeros_like(x), nbg.full_like(x, 2)):
            assert [i.op for i in filled.inputs] == [None]
        assert nbg.broadcast_arrays(x, y) == (x, y)


def test_the_short_way_refuses_what_the_long_one_does() -> None:
    x = nbg.TracedTensor.from_tensor(np.ones(2))
    for join in (nbg.stack, nbg.concatenate):
        assert join([x, x], axis=0).shape in ((2, 2), (4,))
        for axis in (0.0, "0", 7):
            with pytest.raises((nbg.errors.DtypeError, nbg.errors.BoundsError)):
                join([x, x], axis=axis)
        with pytest.raises(nbg.errors.DtypeError):
            join([x, x], out=np.ones(4))
        assert join([x, x], dtype="float32").dtype == np.float32
    assert nbg.moveaxis(x, 0, 0).shape == (2,)
    with pytest.raises(nbg.errors.DtypeError):
        nbg.moveaxis(x, 0.0, 0)
