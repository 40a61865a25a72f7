"""Gradients by values that lie between, of what was made of a gradient: a derived call makes them again, unseen."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import nbgraph as nbg

T = nbg.TracedTensor.from_tensor
RNG = np.random.default_rng(0)
A, X = RNG.standard_normal((3, 3)) / 2, RNG.standard_normal(3)


def steps(a: Any, x: Any) -> list[Any]:
    """A chain of values, each made of the one before."""
    found = [x]
    for k in range(4):
        found.append(nbg.tanh(a @ found[-1]) if k % 2 else found[-1] + 0.3 * nbg.sin(a @ found[-1]))
    return found


def penalty(a: Any, states: list[Any], by: list[int]) -> Any:
    """A loss made of a gradient by the matrix, and by states."""
    loss = nbg.sum(states[-1] ** 2) + nbg.sum(states[1] * states[2])
    gradients = loss.grad([a, *(states[k] for k in by)])
    return sum(nbg.sum(g**2) for g in gradients)


def by_parts(a: Any, after: int, by: list[int]) -> Any:
    """The same loss as a function of a state, by jitted steps: their results are what later ones are given."""
    f, g = nbg.jit(lambda a, x: x + 0.3 * nbg.sin(a @ x)), nbg.jit(lambda a, x: nbg.tanh(a @ x))
    found = [T(X)]
    for k in range(4):
        found.append((g if k % 2 else f)(a, found[-1]))
    return penalty(a, found, by).grad([found[after], a])


@pytest.mark.parametrize("evaluated", [False, True])
@pytest.mark.parametrize("by", [[], [2], [1, 3]])
@pytest.mark.parametrize("after", [1, 2, 3])
def test_a_gradient_of_gradients_by_what_lies_between(after: int, by: list[int], evaluated: bool) -> None:
    engine = nbg.Engine(jit="never")
    a, other = T(A), T(A)
    states = steps(a, T(X))
    if evaluated:
        states[2].eval(engine)
    got = nbg.eval(*penalty(a, states, by).grad([states[after], a]), engine=engine)
    for value, want in zip(got, nbg.eval(*by_parts(other, after, by), engine=engine), strict=True):
        np.testing.assert_allclose(value, want, rtol=1e-11, atol=1e-13)


def test_by_hand() -> None:
    """z = sin(x*x), g = d(sum z*z)/dx = 2 z cos(x*x) 2 x, of which z lies between."""
    x = T(X)
    z = nbg.sin(x * x)
    g = nbg.sum(z * z).grad(x)
    np.testing.assert_allclose(nbg.sum(g).grad(z).eval(), 4 * X * np.cos(X * X), rtol=1e-12)


def test_third_order() -> None:
    """A gradient of a gradient of a gradient, each of what lies between."""

    def nested(f: Any, g: Any) -> Any:
        x = T(X)
        y = f(x)
        z = g(y)
        first = nbg.sum(z * z * y).grad(x)
        second = nbg.sum(first * first * z).grad(y)
        return nbg.sum(second * y).grad([z, y, x])

    def f(x: Any) -> Any:
        return nbg.sin(x) + x * x

    def g(y: Any) -> Any:
        return nbg.exp(-0.1 * y) * y

    got, want = nbg.eval(*nested(f, g)), nbg.eval(*nested(nbg.jit(f), nbg.jit(g)))
    for value, other in zip(got, want, strict=True):
        np.testing.assert_allclose(value, other, rtol=1e-11)


@pytest.mark.parametrize("jit", ["never", "always"])
def test_in_a_loop_whose_calls_are_a_run(jit: str) -> None:
    engine = nbg.Engine(jit=jit, cache_dir=None)

    def derivatives(f: Any) -> list[Any]:
        a, x = T(A), T(X)
        states = [x]
        for _ in range(24):
            states.append(f(a, states[-1]))
        size = nbg.sum(nbg.sum(states[-1] ** 2).grad(a) ** 2)
        return nbg.eval(*size.grad([states[10], states[20], a]), engine=engine)

    def step(a: Any, x: Any) -> Any:
        y = a @ x
        return nbg.tanh(y) + 0.1 * y

    for value, want in zip(derivatives(step), derivatives(nbg.jit(step)), strict=True):
        np.testing.assert_allclose(value, want, rtol=1e-10, atol=1e-13)


def test_tangents_too() -> None:
    """Forward mode of a gradient, along a value between."""
    x = T(X)
    z = nbg.sin(x * x)
    g = nbg.sum(z * z).grad(x)
    np.testing.assert_allclose(g.jvp(z, np.ones(3)).eval(), 4 * X * np.cos(X * X), rtol=1e-12)


@pytest.mark.parametrize("between", [False, True])
def test_calls_that_another_gradient_put_together(between: bool) -> None:
    """Functions by turns become rounds; what was derived of their parts before knows it."""
    engine = nbg.Engine(jit="never")

    def derivatives(wrap: Any, between: bool) -> list[Any]:
        a, x, held = T(A), T(X), []
        product, f, g = (
            wrap(lambda a, x: a @ x),
            wrap(lambda u: nbg.sin(u) + 0.1 * u * u),
            wrap(lambda a, x: x + a.T @ x),
        )
        size = None
        for k in range(48):
            if k % 2:
                x = 0.1 * g(a, x)
            else:
                held.append(product(a, x))
                x = f(held[-1])
            x.eval(engine)
            if k == 6:
                size = nbg.sum(nbg.sum(x**3).grad(a) ** 2)
        if between:
            nbg.sum(x * x).grad(a).eval(engine)
        return nbg.eval(*(size + nbg.sum(x**2)).grad([held[2], a]), engine=engine)

    for value, want in zip(derivatives(lambda f: f, between), derivatives(nbg.jit, False), strict=True):
        np.testing.assert_allclose(value, want, rtol=1e-11)
