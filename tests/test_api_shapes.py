"""Shapes, joining, indexing and creation against NumPy."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from against_numpy import ENGINE, Tensor, agree, both, sample

import nbgraph as nbg

# -- shapes -----------------------------------------------------------------------------------------------------------


def test_shapes() -> None:
    x = sample("float64", (2, 3, 4))
    t = nbg.constant(x)
    agree(nbg.reshape(t, (4, -1)), x.reshape(4, -1))
    agree(t.reshape(4, 6), x.reshape(4, 6))
    agree(t.reshape((24,)), x.reshape(24))
    agree(t.reshape(-1), x.reshape(-1))
    agree(nbg.ravel(t), x.ravel())
    agree(t.T, x.T)
    agree(t.mT, x.mT)
    agree(t.transpose(1, 0, 2), x.transpose(1, 0, 2))
    agree(t.transpose((2, 0, 1)), x.transpose(2, 0, 1))
    agree(t.transpose(), x.transpose())
    agree(nbg.permute_dims(t, (0, 2, 1)), np.permute_dims(x, (0, 2, 1)))
    agree(nbg.swapaxes(t, 0, -1), np.swapaxes(x, 0, -1))
    agree(nbg.moveaxis(t, (0, 1), (-1, 0)), np.moveaxis(x, (0, 1), (-1, 0)))
    agree(nbg.moveaxis(t, 2, 0), np.moveaxis(x, 2, 0))
    agree(nbg.broadcast_to(t, (5, 2, 3, 4)), np.broadcast_to(x, (5, 2, 3, 4)))
    agree(nbg.expand_dims(t, (0, -1)), np.expand_dims(x, (0, -1)))
    agree(nbg.squeeze(x[:1]), np.squeeze(x[:1]))
    agree(nbg.squeeze(x[:1, :1], axis=(0, 1)), np.squeeze(x[:1, :1], axis=(0, 1)))
    agree(nbg.flip(t), np.flip(x))
    agree(nbg.flip(t, (0, 2)), np.flip(x, (0, 2)))
    for got, wanted in zip(nbg.broadcast_arrays(x, x[0, 0]), np.broadcast_arrays(x, x[0, 0]), strict=True):
        agree(got, wanted)
    assert (nbg.shape(t), nbg.ndim(t), nbg.size(t), nbg.size(t, 1)) == ((2, 3, 4), 3, 24, 3)
    assert [nbg.atleast_1d(1).shape, nbg.atleast_2d(1).shape] == [(1,), (1, 1)]
    for bad in (lambda: nbg.swapaxes(t, 0, 3), lambda: nbg.transpose(t, (0, 1, 5)), lambda: nbg.flip(t, 3)):
        with pytest.raises(nbg.BoundsError, match="axis is out of range"):
            bad()
    with pytest.raises(nbg.ShapeError, match="number of elements"):
        t.reshape(5, 5)
    with pytest.raises(nbg.ShapeError):
        t.transpose(0, 0, 1)


def test_joining() -> None:
    x, y = sample("float64", (2, 3)), sample("int32", (2, 3), seed=1)
    for axis in (0, 1, -1, None):
        agree(nbg.concatenate([x, nbg.constant(y)], axis=axis), np.concatenate([x, y], axis=axis))
    for axis in (0, 1, -1):
        agree(nbg.stack([x, nbg.constant(y)], axis=axis), np.stack([x, y], axis=axis))
    agree(nbg.stack([nbg.constant(1.0), 2]), [1.0, 2.0])
    agree(nbg.concatenate(nbg.constant(x)), np.concatenate(x))
    agree(nbg.hstack([x, y]), np.hstack([x, y]))
    agree(nbg.vstack([x[0], y]), np.vstack([x[0], y]))
    agree(nbg.array([nbg.constant(1.0), [nbg.constant(2.0)][0]]), [1.0, 2.0])
    with pytest.raises(nbg.ShapeError, match="operand 1"):
        nbg.concatenate([x, x[:, :2]], axis=0)
    with pytest.raises(nbg.ShapeError):
        nbg.concatenate([])
    with pytest.raises(nbg.ShapeError):
        nbg.stack([x, x[0]])


INDICES: list[Any] = [
    1,
    -1,
    (0, 2),
    ...,
    None,
    (slice(None), 1),
    slice(None, None, -1),
    (slice(1), slice(2, None)),
    (..., slice(None, None, 2)),
    (None, 1, ..., None),
    (slice(5, 1, -2),),
    (slice(2, 2),),
    np.int64(1),
]


@pytest.mark.parametrize("index", INDICES, ids=repr)
def test_indexing(index: Any) -> None:
    x = sample("float64", (3, 4, 5))
    t = nbg.constant(x)
    agree(t[index], x[index])
    changed, increased = x.copy(), x.copy()
    changed[index] = 7
    increased[index] += 1.5
    agree(t.at[index].set(7), changed)
    agree(t.at[index].add(1.5), increased)


def test_indexing_errors_and_iteration() -> None:
    x = sample("float64", (3, 4))
    t = nbg.constant(x)
    assert len(t) == 3
    for row, wanted in zip(t, x, strict=True):
        agree(row, wanted)
    a, b, c = t[:, 0]
    assert [float(a), float(b), float(c)] == x[:, 0].tolist()
    assert t[nbg.constant(1), 0].eval() == x[1, 0]
    for bad in (3, (0, 0, 0), (0, -5)):
        with pytest.raises(IndexError):
            t[bad]
    for index in (True, np.array(1.5), [0.5], "a"):
        with pytest.raises(nbg.BoundsError, match="index"):
            t[index]
    with pytest.raises(TypeError, match="at"):
        t[0] = 1
    with pytest.raises(nbg.ShapeError, match="value"):
        t.at[0].set([1.0, 2.0])
    with pytest.raises(nbg.DtypeError, match="imaginary"):
        t.at[0].set(1j)
    with pytest.raises(TypeError):
        iter(nbg.constant(1.0))
    with pytest.raises(TypeError):
        len(nbg.constant(1.0))
    assert x[0, 0] in t


def test_diagonals() -> None:
    x = sample("int32", (3, 4))
    for k in (0, 1, -1):
        agree(nbg.diagonal(x, k), np.diagonal(x, k))
        agree(nbg.trace(x, k), np.trace(x, k))
        agree(nbg.diag([1, 2], k), np.diag([1, 2], k))
    agree(nbg.diag(x), np.diag(x))


# -- creation ---------------------------------------------------------------------------------------------------------


def test_creation() -> None:
    x = sample("float32")
    for name in ("zeros", "ones"):
        ours, theirs = both(name)
        agree(ours((2, 3)), theirs((2, 3)))
        agree(ours(4, "int32"), theirs(4, "int32"))
        agree(getattr(nbg, f"{name}_like")(x), getattr(np, f"{name}_like")(x))
    agree(nbg.full((2,), 3), np.full((2,), 3))
    agree(nbg.full((2, 2), [1.0, 2.0]), np.full((2, 2), [1.0, 2.0]))
    agree(nbg.full_like(x, 2, dtype=int), np.full_like(x, 2, dtype=int))
    for args in ((3,), (2, 3), (3, 3, 1), (1,)):
        agree(nbg.eye(*args), np.eye(*args))
    agree(nbg.identity(2, complex), np.identity(2, complex))
    for args in ((3,), (1, 4), (5, 0, -2), (0.0, 1.0, 0.25), (2, 3.5), (np.int32(3),)):
        agree(nbg.arange(*args), np.arange(*args, dtype=np.result_type(*(type(np.asarray(a).item()) for a in args))))
    agree(nbg.arange(3, dtype="float32"), np.arange(3, dtype="float32"))
    for args in ((0, 1), (0, 1, 7), (2.0, -1.0, 4, False), (0, 1, 1), (0, 1, 0), ([0, 1], [1, 3], 3)):
        agree(nbg.linspace(*args), np.linspace(*args))
    end = Tensor.from_tensor(2.0)
    assert float(nbg.linspace(0, end, 5).sum().grad(end)) == 2.5
    agree(nbg.asarray(x, "float64"), x.astype("float64"))
    assert nbg.asarray(end) is end


def test_symbolic_sizes() -> None:
    x = Tensor.placeholder(("n", 3), name="x")
    n = x.shape[0]
    assert (str(n), x.size) == ("n", 3 * n)
    y = nbg.reshape(x, (3, n)) * nbg.ones((3, n)) + nbg.arange(n) * n
    a = np.arange(6.0).reshape(2, 3)
    np.testing.assert_array_equal(y.eval(ENGINE, {x: a}), a.reshape(3, 2) + np.arange(2) * 2)
    with pytest.raises(nbg.BindingError, match="'x' is not bound"):
        y.eval(ENGINE)
    with pytest.raises(nbg.ConcretizationError):
        len(x)


@pytest.mark.parametrize("dtype", ["float64", "complex64"])
def test_layouts(dtype: str) -> None:
    base = sample(dtype, (6, 4))
    for x in (base.T, base[::2], base[::-1, ::-2], base[:, 1], base[:0], np.asfortranarray(base), base[0, 0]):
        t = Tensor.from_tensor(x)
        agree(t * 2, x * 2)
        agree(nbg.sum(t, axis=0 if x.ndim else None), np.sum(x, axis=0 if x.ndim else None))


def test_what_is_captured_is_copied() -> None:
    buffer = np.ones(3)
    t = nbg.constant(buffer) + buffer
    buffer[:] = 5
    assert t.tolist() == [2.0, 2.0, 2.0]
