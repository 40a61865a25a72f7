"""The user's handle: values, copies, derivatives, pickles; and what importing the library does."""

from __future__ import annotations

import copy
import operator
import os
import pickle
import subprocess
import sys

import numpy as np
import pytest
from against_numpy import Tensor

import nbgraph as nbg

# -- the handle -------------------------------------------------------------------------------------------------------


def test_values() -> None:
    t = nbg.constant(2.0) + 1
    assert (float(t), int(t), complex(t), bool(t), t.item(), str(t), f"{t:.2f}") == (3, 3, 3, True, 3.0, "3.0", "3.00")
    assert repr(nbg.constant(np.ones((8, 8)))) == "TracedTensor(float64[8, 8])"
    assert repr(nbg.constant([1.0, 2.0])) == "TracedTensor(float64[2], [1. 2.])"
    value = t.eval()
    assert not value.flags.writeable
    assert np.asarray(t) == 3.0
    assert np.array(t).flags.writeable
    assert [10, 20, 30][nbg.constant(1)] == 20
    assert nbg.eval(t, t * 2) == (3.0, 6.0)
    assert np.from_dlpack(nbg.constant([1.0, 2.0])).tolist() == [1.0, 2.0]
    assert nbg.constant(1.0).__array_namespace__() is nbg
    with pytest.raises(nbg.ShapeError, match="any"):
        bool(nbg.constant([1.0, 2.0]))
    with pytest.raises(nbg.ConcretizationError):
        operator.index(nbg.constant(1.0))


def test_repr_does_not_evaluate() -> None:
    before = nbg.default_engine().stats().evals
    t = Tensor.from_tensor([1.0]) * 2
    assert repr(t) == "TracedTensor(float64[1])"
    assert nbg.default_engine().stats().evals == before


def test_identity_and_copies() -> None:
    t = nbg.constant([1.0])
    assert len({t, t, nbg.constant([1.0])}) == 2
    assert copy.copy(t) is t
    assert copy.deepcopy([t])[0] is t
    assert t.copy() is t
    assert Tensor.from_tensor(t * 2).tolist() == [2.0]


def test_not_numbers() -> None:
    for bad in ("text", None, object(), [1, "a"], np.array([object()]), np.array(["a"]), [[1], [2, 3]]):
        with pytest.raises(nbg.DtypeError):
            nbg.asarray(bad)
        with pytest.raises(nbg.DtypeError):
            Tensor.from_tensor(bad)
    with pytest.raises(TypeError):
        nbg.constant(1.0) + "text"
    with pytest.raises(TypeError):
        nbg.constant(1.0) + None


def test_errors_name_the_line() -> None:
    with pytest.raises(nbg.ShapeError) as caught:
        nbg.constant(np.ones((2, 3))) + np.ones((2, 4))  # this line
    text = str(caught.value)
    assert "add" in text and "(2, 4)" in text and "# this line" in text and "hint" in text


# -- derivatives ------------------------------------------------------------------------------------------------------


def test_gradients_by_containers() -> None:
    x, y = Tensor.from_tensor([1.0, 2.0]), Tensor.from_tensor(3.0)
    loss = (x * x).sum() * y
    assert loss.grad(x).tolist() == [6.0, 12.0]
    both = loss.grad({"x": x, "rest": [y]})
    assert (both["x"].tolist(), both["rest"][0].tolist()) == ([6.0, 12.0], 5.0)
    assert (x * y).vjp(x, [1.0, 10.0]).tolist() == [3.0, 30.0]
    assert (x * y).jvp((x, y), (np.array([1.0, 0.0]), 1.0)).tolist() == [4.0, 2.0]
    assert loss.grad(x).sum().grad(y).tolist() == 6.0
    z = Tensor.from_tensor(1 + 2j)
    assert (abs(z) ** 2).grad(z).item() == 2 + 4j


def test_gradients_that_do_not_exist() -> None:
    x, unused = Tensor.from_tensor([1.0, 2.0]), Tensor.from_tensor(1.0)
    loss = (x * x).sum()
    cases = [
        (lambda: (x * x).grad(x), "real scalar"),
        (lambda: nbg.argmax(x).grad(x), "real scalar"),
        (lambda: nbg.sum(x * 1j).grad(x), "real scalar"),
        (lambda: loss.grad(Tensor.from_tensor([1, 2])), "integers"),
        (lambda: loss.grad([x, unused]), "not in the graph"),
        (lambda: loss.grad(nbg.constant(1.0)), "constant"),
        (lambda: loss.grad(np.ones(2)), "not a tensor"),
        (lambda: loss.jvp(unused, 1.0), "depends on nothing"),
    ]
    for bad, match in cases:
        with pytest.raises(nbg.DifferentiationError, match=match):
            bad()
    assert loss.grad([unused, x], allow_unused=True)[0].tolist() == 0.0
    with pytest.raises(nbg.ShapeError):
        loss.vjp(x, [1.0])
    with pytest.raises(nbg.ShapeError):
        loss.jvp([x], x)


@pytest.mark.parametrize("name", ["sum", "prod", "max", "min", "any", "all", "mean"])
@pytest.mark.parametrize("jit", ["never", "always"])
def test_reductions_along_no_axes(name: str, jit: str) -> None:
    a = np.arange(6.0).reshape(2, 3)
    got = getattr(nbg, name)(nbg.TracedTensor.from_tensor(a), axis=()).eval(nbg.Engine(jit=jit))
    want = getattr(np, name)(a, axis=())
    assert got.dtype == want.dtype
    np.testing.assert_array_equal(got, want)


# -- pickles ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("evaluated", [False, True])
def test_pickles_keep_the_graph(evaluated: bool) -> None:
    x = Tensor.from_tensor([1.0, 2.0])
    y = nbg.sin(x)
    w, v = nbg.linalg.eigh(nbg.outer(y, y) + nbg.eye(2))
    loss = (w * w).sum() + nbg.abs(v).sum()
    if evaluated:
        loss.eval()
    wanted = (loss.item(), loss.grad(x).tolist()) if evaluated else None
    other, leaf, middle = pickle.loads(pickle.dumps((loss, x, y)))
    assert other is not loss
    wanted = wanted or (loss.item(), loss.grad(x).tolist())
    np.testing.assert_allclose(other.item(), wanted[0])
    np.testing.assert_allclose(other.grad(leaf).eval(), wanted[1], rtol=1e-12)
    np.testing.assert_allclose(other.grad(middle).eval(), loss.grad(y).eval(), rtol=1e-12)


def test_pickles_of_gradients_and_placeholders() -> None:
    x = Tensor.from_tensor([1.0, 2.0])
    y = x * 3
    y.eval()
    g, x2 = pickle.loads(pickle.dumps(((y * y).sum().grad(x), x)))
    assert g.tolist() == [18.0, 36.0]
    assert g.sum().grad(x2).tolist() == [18.0, 18.0]
    p = Tensor.placeholder(("n",), name="p")
    q, p2 = pickle.loads(pickle.dumps((p * 2, p)))
    assert q.eval(bindings={p2: np.ones(3)}).tolist() == [2.0, 2.0, 2.0]


def test_pickles_of_deep_graphs() -> None:
    x = Tensor.from_tensor(1.0)
    y = x
    for _ in range(20_000):
        y = y + 1.0
    copied = pickle.loads(pickle.dumps(y))
    assert copied.item() == 20_001


# -- the import -------------------------------------------------------------------------------------------------------


def test_import_is_light() -> None:
    heavy = ["numba", "llvmlite", "matplotlib", "opt_einsum"]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    code = f"import sys, nbgraph; print([m for m in {heavy!r} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment)
    assert done.stdout.strip() == "[]"


def test_everything_public_is_there() -> None:
    assert sorted(nbg.__all__) == sorted(set(nbg.__all__))
    for name in nbg.__all__:
        assert hasattr(nbg, name)
    assert nbg.float64 is np.float64
    assert nbg.pi == np.pi


def test_what_is_remembered_by_value_keeps_its_meaning():
    x = nbg.TracedTensor.from_tensor(np.arange(6.0).reshape(2, 3))
    assert np.signbit((x * 0.0 + -0.0).eval()).sum() == 0 and not np.signbit((x * 0.0).eval()).any()
    assert np.signbit((x * -0.0).eval()).all() and np.signbit(nbg.asarray(-0.0).eval())
    a = x.eval()
    for index in (0, (0,), slice(1, None), (slice(1, None),), (slice(None), 1), (slice(None), None), ..., None, -1):
        for _ in range(2):
            np.testing.assert_array_equal(x[index].eval(), a[index])
            changed = a.copy()
            changed[index] = 7
            np.testing.assert_array_equal(x.at[index].set(7).eval(), changed)
    with pytest.raises(nbg.errors.BoundsError):
        x[True]  # no position, though it equals 1


def test_an_array_that_is_recorded_may_change_afterwards():
    x, a = nbg.TracedTensor.from_tensor([1.0, 2.0]), np.array([10.0, 20.0])
    y, z = x + a, x * a[::-1]
    a[:] = 0
    assert y.tolist() == [11.0, 22.0] and z.tolist() == [20.0, 20.0]
