"""`nbg.random`: NumPy's streams as constants."""

from __future__ import annotations

import pickle

import numpy as np
import pytest

import nbgraph as nbg


def test_streams_are_numpys():
    ours, numpys = nbg.random.Generator(5), np.random.default_rng(5)
    for name, args, keywords in (
        ("random", (3,), {}),
        ("normal", (1.0, 2.0), {"size": (2, 2)}),
        ("standard_normal", (), {"size": 2, "dtype": "float32"}),
        ("integers", (0, 10, 4), {}),
        ("permutation", (5,), {}),
        ("choice", ([1.5, 2.5],), {"size": 3}),
        ("multivariate_normal", ([0, 0], np.eye(2)), {}),
    ):
        got, want = getattr(ours, name)(*args, **keywords), getattr(numpys, name)(*args, **keywords)
        assert isinstance(got, nbg.TracedTensor) and got.dtype == want.dtype
        np.testing.assert_array_equal(got.eval(), want)
    assert ours.uniform().item() == numpys.uniform()


def test_what_is_drawn_is_a_constant():
    g = nbg.random.default_rng(1)
    x = nbg.TracedTensor.from_tensor([1.0, 2.0])
    noise = g.normal(x, 1.0)
    y = nbg.sum(x * noise)
    np.testing.assert_array_equal(y.grad(x).eval(), noise.eval())
    assert noise.tolist() == noise.tolist()
    with pytest.raises(nbg.DifferentiationError):
        nbg.sum(noise).grad(x)


def test_generators_copy_spawn_and_take_numpys():
    g = nbg.random.Generator(np.random.default_rng(3))
    copy = pickle.loads(pickle.dumps(g))
    assert copy.random().item() == g.random().item()
    a, b = nbg.random.Generator(3).spawn(2)
    assert a.random().item() != b.random().item()
    assert g.bit_generator.state["bit_generator"] == "PCG64"
    assert "normal" in dir(g) and "PCG64" in repr(g)
    with pytest.raises(AttributeError, match="permutation"):
        g.shuffle([1, 2])
