"""Derivatives inside a jitted or checkpointed function by what came from outside: what plain recording gives."""

from __future__ import annotations

import numpy as np
import pytest

import nbgraph as nbg
from nbgraph.calls import FragmentCall

leaf = nbg.TracedTensor.from_tensor
ONES = np.ones(2)


def close(got, wanted) -> None:
    np.testing.assert_allclose(np.asarray(got.eval()), np.asarray(wanted), rtol=1e-12)


WRAPPERS = {
    "plain": lambda f: f,
    "jit": nbg.jit,
    "checkpoint": nbg.checkpoint,
    "jit of checkpoint": lambda f: nbg.jit(nbg.checkpoint(f)),
    "checkpoint of jit": lambda f: nbg.checkpoint(nbg.jit(f)),
}


@pytest.mark.parametrize("evaluated", [False, True])
@pytest.mark.parametrize("wrap", WRAPPERS.values(), ids=WRAPPERS)
def test_an_argument_is_made_of_the_variable(wrap, evaluated) -> None:
    """p = q^2, loss = p q^2 = q^4: the whole derivative by q, but of `nbg.grad` the one by its argument."""
    q = leaf([1.0, 2.0])
    p = q * q
    if evaluated:
        p.eval()
    inside = {
        "captured": wrap(lambda p: (p * q * q).sum().grad(q)),
        "along": wrap(lambda p: (p * q * q).jvp(q, ONES)),
        "by argument": wrap(lambda p: nbg.grad(lambda q: (p * q * q).sum())(q)),
    }
    for f, factor in zip(inside.values(), (4, 4, 2), strict=True):
        for _ in range(2):
            got = f(p)
            close(got, factor * q.eval() ** 3)
            close(got.sum().grad(q), 3 * factor * q.eval() ** 2)
        close(f(ONES), 2 * q.eval())  # nothing outside: two factors in there
        close(f(p), factor * q.eval() ** 3)
    by_q, by_p = wrap(lambda p, q: (p * q * q).sum().grad([q, p]))(p, q)
    close(by_q, 4 * q.eval() ** 3)
    close(by_p, q.eval() ** 2)


@pytest.mark.parametrize("wrap", WRAPPERS.values(), ids=WRAPPERS)
def test_what_is_captured_is_made_of_the_variable(wrap) -> None:
    """Differently at each call, which a trace does not see."""
    q = leaf([1.0, 2.0])
    c = q * q
    f = wrap(lambda p: (p * c).sum().grad(q))
    close(f(ONES), 2 * q.eval())
    c = nbg.sin(q)
    close(f(ONES), np.cos(q.eval()))
    c = q
    for k in range(2, 5):
        c = c * q
        close(f(ONES), k * q.eval() ** (k - 1))
    c = leaf([1.0, 1.0])
    with pytest.raises(nbg.DifferentiationError, match="not in the graph"):
        f(ONES)


def test_a_call_stays_one_call_where_nothing_depends_outside() -> None:
    q, m = leaf([1.0, 2.0]), leaf([3.0, 5.0])
    traces = []

    def step(q, m):
        traces.append(1)
        return q - 0.1 * (q * q * m).sum().grad(q), m * 0.5

    jitted = nbg.jit(step)
    for _ in range(4):
        q, m = jitted(q, m)
        assert type(q.call) is FragmentCall and q.call is m.call
    assert len(traces) == 1


def test_checkpoint_in_a_checkpoint_that_evaluates() -> None:
    """What the inner one reads is an input of the outer one, although what it made has been forgotten."""
    q, x = leaf([1.0, 2.0]), leaf([3.0, 4.0])

    def inner(y):
        z = y * q
        z.eval()
        return z

    def outer(y):
        z = nbg.checkpoint(inner)(y)
        z.eval()
        return z * 2.0

    by_x, by_q = nbg.checkpoint(outer)(x).sum().grad([x, q])
    close(by_x, 2 * q.eval())
    close(by_q, 2 * x.eval())


def test_numbers_of_a_checkpoint_stay_numbers() -> None:
    """They are shared: a jitted function that uses the same one afterwards is traced once."""
    x, traces = leaf([1.0, 2.0]), []
    nbg.checkpoint(lambda x: (x * 7.4321).sum())(x).grad(x).eval()
    f = nbg.jit(lambda x: (traces.append(1), x * 7.4321)[1])
    for _ in range(3):
        f(x)
    assert len(traces) == 1
