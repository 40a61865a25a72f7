"""`check_grads` passes what is right and catches what is wrong, in each mode and at each order."""

from __future__ import annotations

import numpy as np
import pytest

import nbgraph as nbg
from nbgraph.kinds import Elementwise
from nbgraph.testing import check_grads
from nbgraph.trace import record1

rng = np.random.default_rng(2)
x, y = rng.uniform(0.5, 1.5, (2, 3)), rng.uniform(0.5, 1.5, (3,))
z = x + 1j * rng.uniform(0.5, 1.5, (2, 3))


@pytest.mark.parametrize(
    ("f", "args"),
    [
        (lambda x: nbg.sin(x) * x, (x,)),
        (lambda p, k: {"a": nbg.exp(p["x"]) @ p["y"], "k": k}, ({"x": x, "y": y}, 3)),
        (lambda z: nbg.exp(z) * nbg.conj(z), (z,)),
        (lambda z: nbg.abs(z).sum(), (z,)),
        (lambda x: nbg.exp(1j * x), (x,)),
        (lambda z, x: nbg.real(z) * x, (z, x)),
        (lambda x: x * x, (np.float32([1.0, 2.0]),)),
        (lambda x: x * 2.0, (np.zeros((0, 3)),)),
        (lambda x: nbg.sum(x), (nbg.TracedTensor.from_tensor(x),)),
        (lambda x: np.ones(3), (x,)),
    ],
)
def test_right_derivatives_pass(f, args) -> None:
    check_grads(f, args, order=2)


def test_third_order() -> None:
    check_grads(lambda x: nbg.sin(x) * nbg.exp(x), (0.3,), order=3)


@pytest.mark.parametrize(
    "f",
    [
        lambda x: x**x,
        lambda x: nbg.maximum(x, 0.9) ** 3,
        lambda x: nbg.linalg.eigh(nbg.outer(x, x) + nbg.eye(3) * x)[0],
    ],
    ids=["power", "maximum", "eigh"],
)
def test_third_order_through_what_is_computed_once(f) -> None:
    """Masks and factors are saved, in each call and in each one derived from it."""
    check_grads(f, (y,), order=3)


@pytest.mark.parametrize("modes", ["fwd", "rev", ("fwd", "rev")])
def test_a_wrong_first_derivative_is_caught(modes) -> None:
    def half(x):
        return nbg.stop_gradient(x) * x

    with pytest.raises(AssertionError, match=r"derivative of half, (forward|reverse) mode"):
        check_grads(half, (x,), order=1, modes=modes)


@pytest.mark.parametrize("modes", ["fwd", "rev"])
def test_a_wrong_second_derivative_is_caught(modes) -> None:
    def cube(x):
        # The value and the first derivative of x**3, and a wrong second one: 3 stop(x)**2 (x - stop(x)).
        s = nbg.stop_gradient(x)
        return s**3 + 3 * s**2 * (x - s)

    check_grads(cube, (x,), order=1, modes=modes)
    with pytest.raises(AssertionError, match="derivative of cube"):
        check_grads(cube, (x,), order=2, modes=modes)


class WrongTranspose(Elementwise):
    """2 x, of which the adjoint is said to be 3 ct. It has no name, so it is in no registry."""

    def reference(self, ins, sizes):
        return ins[0] * 2

    def derivative(self, b, ins, out, tangents):
        return b.emit(WrongTranspose(), tangents[0])

    def adjoint(self, b, ct, ins, active):
        return (b.mul(ct, 3),)


def test_a_wrong_transpose_is_caught_in_reverse_only() -> None:
    def f(x):
        return record1(WrongTranspose(), x)

    engine = nbg.Engine(jit="never")
    check_grads(f, (x,), order=1, modes="fwd", engine=engine)
    with pytest.raises(AssertionError, match=r"(?s)reverse mode, <J\* ct, v>.*operations: WrongTranspose"):
        check_grads(f, (x,), order=1, engine=engine)


def test_failures_repeat_and_say_what_was_got() -> None:
    texts = []
    for _ in range(2):
        with pytest.raises(AssertionError) as caught:
            check_grads(lambda x: nbg.stop_gradient(x) * x, (2.0,), order=1)
        texts.append(str(caught.value))
    assert texts[0] == texts[1]
    assert "got" in texts[0] and "wanted" in texts[0] and "multiply" in texts[0]


def test_nan_is_wrong() -> None:
    with pytest.raises(AssertionError):
        check_grads(lambda x: nbg.log(x), (-1.0,), order=1)


def test_tolerances_are_the_callers() -> None:
    def nearly(x):
        return x * x + 1e-4 * nbg.stop_gradient(x)

    check_grads(nearly, (2.0,), order=1, atol=1e-2)
    with pytest.raises(AssertionError):
        check_grads(nearly, (2.0,), order=1)


def test_modes_are_checked() -> None:
    with pytest.raises(AssertionError, match="modes"):
        check_grads(nbg.sin, (1.0,), modes="backward")
