"""Arrays as operands: which leaf they are, again and again, and that writing to them changes nothing recorded."""

from __future__ import annotations

import gc
import warnings
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest

import nbgraph as nbg
from nbgraph import leaves
from nbgraph.leaves import array_constant

T = nbg.TracedTensor.from_tensor
LARGE = 2**18  # elements: more than are compared as bytes


@pytest.mark.parametrize("n", [1, 50, 20_000, LARGE])
@pytest.mark.parametrize("dtype", ["f4", "f8", "c8", "c16", "i4", "i8", "?"])
def test_the_same_array_is_the_same_leaf(n: int, dtype: str) -> None:
    a = np.arange(n).astype(dtype)
    leaf = array_constant(a)
    assert array_constant(a) is leaf
    assert array_constant(a.copy()) is not leaf


@pytest.mark.parametrize("n", [5, 20_000, LARGE])
@pytest.mark.parametrize("value", [1.5, np.nan, -0.0])
def test_an_array_that_was_written_to_is_another_leaf(n: int, value: float) -> None:
    a = np.zeros(n)
    before = array_constant(a)
    a[n // 2] = value
    after = array_constant(a)
    assert after is not before and array_constant(a) is after
    np.testing.assert_array_equal(before.data, np.zeros(n))
    assert after.data.tobytes() == a.tobytes()


def test_an_array_of_another_shape_or_dtype_now_is_another_leaf() -> None:
    a, b = np.zeros(6), np.zeros(6)
    before = array_constant(a), array_constant(b)
    with warnings.catch_warnings():  # NumPy would rather not have it
        warnings.simplefilter("ignore", DeprecationWarning)
        a.shape = (2, 3)
        b.dtype = np.dtype("i8")
    assert array_constant(a).type.shape == (2, 3) and before[0].type.shape == (6,)
    assert array_constant(b).type.code == "i8" and before[1].type.code == "f8"


@pytest.mark.parametrize("view", [lambda a: a.T, lambda a: a[100:200], lambda a: a[:, ::2], lambda a: a.ravel()])
def test_views_of_one_array(view: Any) -> None:
    a = np.arange(90_000.0).reshape(300, 300)
    leaf = array_constant(view(a))
    assert array_constant(view(a)) is leaf
    np.testing.assert_array_equal(leaf.data, view(a))
    a += 1
    np.testing.assert_array_equal(array_constant(view(a)).data, view(a))
    assert array_constant(a[:150]) is not array_constant(a[150:])


def test_operators_and_functions_take_the_same_leaf() -> None:
    a, x = np.ones(3), T(np.ones(3))
    made = [x + a, a + x, x / a, a / x, nbg.maximum(a, x), np.multiply(a, x), x < a, a - x]
    assert len({id(i) for y in made for i in y.inputs if i is not x}) == 1


def test_short_lived_arrays_are_no_operands_twice() -> None:
    """One at the address of another that is gone is another array."""
    x = T(np.ones(4))
    found = [x + np.full(4, 2.0) for _ in range(20)]
    assert len({id(y.inputs[1]) for y in found}) == 20


def test_nothing_is_kept_alive() -> None:
    gc.collect()
    before, a = len(leaves._KNOWN), np.ones(100)
    y = T(np.ones(100)) * a
    assert len(leaves._KNOWN) == before + 1
    del y
    assert len(leaves._KNOWN) == before
    y = T(np.ones(100)) * a
    del a  # the leaf remains
    np.testing.assert_array_equal(y.eval(), np.ones(100))


@pytest.mark.parametrize("jit", ["never", "always"])
def test_a_buffer_that_is_filled_at_every_step(jit: str) -> None:
    engine, x, buffer = nbg.Engine(jit=jit, cache_dir=None), T(np.ones(3)), np.zeros(3)
    y, want, slope = x, np.ones(3), np.ones(3)
    for k in range(12):
        buffer[:] = k + 1
        y = y * buffer / (k + 2.0)
        want, slope = want * (k + 1) / (k + 2), slope * (k + 1) / (k + 2)
        if k % 3 == 0:
            np.testing.assert_allclose(y.eval(engine), want)
    np.testing.assert_allclose(nbg.sum(y).grad(x).eval(engine), slope)


def test_what_a_loop_reads_is_one_operand_of_all_steps() -> None:
    data, x = np.arange(9.0).reshape(3, 3), T(np.ones((3, 3)))
    y, read = x, set()
    for _ in range(10):
        shifted = y - data
        read.add(id(shifted.inputs[1]))
        y = data @ shifted / 9.0
    assert len(read) == 1


def test_a_jitted_function_that_reads_an_array_is_traced_once() -> None:
    data, calls, x = np.ones(3), [], T(np.ones(3))
    held = x + data

    @nbg.jit
    def step(y: Any) -> Any:
        calls.append(1)
        return y * data + data

    y = x
    for _ in range(5):
        y = step(y) + data
    assert len(calls) == 1
    data[0] = 2.0
    assert float(held[0]) == 2.0
    np.testing.assert_allclose(y.eval(), np.full(3, 11.0))


def test_rows_of_a_loop_may_take_an_array_as_an_argument() -> None:
    step = nbg.jit(lambda x, a: nbg.tanh(x * a))
    a, x = np.full(3, 0.5), T(np.ones(3))
    y, want = x, np.ones(3)
    for _ in range(100):
        y, want = step(y, a), np.tanh(want * 0.5)
    np.testing.assert_allclose(y.eval(), want)


def test_threads_share_leaves() -> None:
    arrays = [np.full(5, float(k)) for k in range(8)]

    def work(seed: int) -> float:
        rng, total = np.random.default_rng(seed), T(np.zeros(5))
        picks = rng.integers(8, size=200)
        for k in picks:
            total = total + arrays[k]
        return float(total[0]) - sum(map(float, picks))

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(work, range(8))) == [0.0] * 8
