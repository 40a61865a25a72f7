"""Loops whose steps work on results of several steps before, by several functions by turns, looked at here and there:
the gradient is that of the loop, whatever was evaluated, jitted, or put together.

The other side is NumPy, its directional derivative by a complex step (Squire and Trapp, SIAM Review 40, 1998, 110-112).
"""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import nbgraph as nbg
from nbgraph import derive, turns

T = nbg.TracedTensor.from_tensor
RNG = np.random.default_rng(0)
A = RNG.random((3, 3)) / 4
STEPS: list[Any] = [
    lambda xp, a, x, y: xp.tanh(a @ x) + 0.5 * y,
    lambda xp, a, x, y: x - 0.1 * (a @ y) * x,
    lambda xp, a, x, y: 0.5 * xp.sin(x * y) + a[0] * 0.1,
]
JITTED = [nbg.jit(lambda a, x, y, f=f: f(nbg, a, x, y), static_argnames="f") for f in STEPS]


def states_of(program: Any, a: Any, xp: Any, engine: Any = None) -> list[Any]:
    """The states of a loop: at each step a function, by turns, of two earlier states, by how many steps back."""
    states = [xp.ones(3) * 0.3, xp.ones(3) * 0.7, xp.ones(3) * 0.5]
    for k in range(program["length"]):
        which, back = program["turns"][k % len(program["turns"])]
        x, y = states[-back[0]], states[-back[1]]
        if xp is np:
            made = STEPS[which](np, a, x, y)
        else:
            made = JITTED[which](a, x, y) if program["jitted"] else STEPS[which](nbg, a, x, y)
            if program["evals"] and k % program["evals"] == program["evals"] - 1:
                made.eval(engine)
        states.append(made)
    return states


def loss_of(program: Any, a: Any, xp: Any, engine: Any = None) -> Any:
    """A function of the last state, of all, or of some."""
    states = states_of(program, a, xp, engine)
    used = {"last": states[-1:], "all": states[3:], "some": states[3::5]}[program["used"]]
    return sum(xp.sum(s * s) for s in used)


BACK = st.integers(1, 3)
PROGRAMS = st.fixed_dictionaries(
    {
        "length": st.integers(20, 40),
        "turns": st.lists(
            st.tuples(st.integers(0, 2), st.tuples(st.integers(1, 3), st.integers(1, 3))), min_size=1, max_size=3
        ),
        "jitted": st.booleans(),
        "evals": st.sampled_from([0, 1, 1, 2, 3]),
        "used": st.sampled_from(["last", "last", "all", "some"]),
    }
)


@given(PROGRAMS, st.booleans())
@settings(max_examples=50, deadline=None)
def test_gradients_of_random_loops(program: Any, twice: bool) -> None:
    engine = nbg.Engine(jit="never")
    a, along = T(A), RNG.random((3, 3))
    loss = loss_of(program, a, nbg, engine)
    want = np.imag(loss_of(program, A + 1e-30j * along, np)) / 1e-30
    directed = nbg.sum(loss.grad(a) * along)
    np.testing.assert_allclose(directed.eval(engine), want, rtol=1e-11)
    np.testing.assert_allclose(loss.eval(engine), loss_of(program, A, np), rtol=1e-12)
    if twice:  # the graph is another one now, and gives the same
        np.testing.assert_allclose(nbg.sum(loss.grad(a) * along).eval(engine), want, rtol=1e-11)
        h = 1e-5
        moved = [np.imag(loss_of(program, A + s * h * along + 1e-30j * along, np)) / 1e-30 for s in (1, -1)]
        second = nbg.sum(directed.grad(a) * along).eval(engine)
        np.testing.assert_allclose(second, (moved[0] - moved[1]) / (2 * h), rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("evals", [0, 1])
@pytest.mark.parametrize("jitted", [False, True])
@pytest.mark.parametrize(
    "parts",
    [[(0, (1, 2))], [(0, (1, 2)), (1, (1, 3))], [(0, (1, 1)), (0, (1, 1)), (1, (1, 2))]],
    ids=["lag", "two", "three"],
)
def test_rounds_are_pulled_back_as_one(evals: int, jitted: bool, parts: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[int] = []
    inner = derive.repeat
    monkeypatch.setattr(derive, "repeat", lambda run, part, *rest: made.append(part.steps) or inner(run, part, *rest))
    for jit in ("never", "always"):
        engine = nbg.Engine(jit=jit, cache_dir=None)
        program = {"length": 60, "turns": parts, "jitted": jitted, "evals": evals, "used": "last"}
        a, along = T(A), RNG.random((3, 3))
        got = nbg.sum(loss_of(program, a, nbg, engine).grad(a) * along).eval(engine)
        want = np.imag(loss_of(program, A + 1e-30j * along, np)) / 1e-30
        np.testing.assert_allclose(got, want, rtol=1e-11)
    if jitted or evals:
        assert max(made) >= 60 // 6 - 2


def test_what_is_compiled_does_not_depend_on_the_number_of_rounds() -> None:
    counts = []
    for length in (40, 90):
        engine = nbg.Engine(jit="always", cache_dir=None)
        program = {"length": length, "turns": [(0, (1, 2)), (1, (1, 2))], "jitted": False, "evals": 1, "used": "last"}
        a = T(A)
        loss_of(program, a, nbg, engine).grad(a).eval(engine)
        counts.append(engine.stats().compiled)
    assert len(set(counts)) == 1 and counts[0] <= 7


def test_handles_in_the_middle_of_a_round_keep_their_values_and_history() -> None:
    """What somebody holds of a round, and what was made of it between its calls, is differentiated as before."""
    program = {"length": 40, "turns": [(0, (1, 1)), (1, (1, 2))], "jitted": True, "evals": 1, "used": "last"}
    a, along = T(A), RNG.random((3, 3))
    states = states_of(program, a, nbg)
    between = [nbg.sum(states[k] * states[k - 1]) for k in (20, 21)]
    for b in between:
        b.eval()
    before = [np.array(b.grad(a).eval()) for b in between]
    values = [np.array(s.eval()) for s in states]
    nbg.sum(states[-1]).grad(a).eval()  # puts the rounds together
    for b, want in zip(between, before, strict=True):
        np.testing.assert_allclose(b.grad(a).eval(), want, rtol=1e-12)
    for s, want in zip(states, values, strict=True):
        np.testing.assert_array_equal(s.eval(), want)
    inside = states[21]  # a value inside of a round, differentiated by
    by = nbg.sum(states[-1]).grad(inside).eval()
    other = states_of({**program, "evals": 0}, T(A), nbg)
    np.testing.assert_allclose(by, nbg.sum(other[-1]).grad(other[21]).eval(), rtol=1e-12)
    loss, b = pickle.loads(pickle.dumps((nbg.sum(states[-1]), a)))
    np.testing.assert_allclose(loss.grad(b).eval(), nbg.sum(states[-1]).grad(a).eval(), rtol=1e-12)
    tangent = nbg.sum(states[-1]).jvp(a, along)
    np.testing.assert_allclose(tangent.eval(), np.sum(along * loss.grad(b).eval()), rtol=1e-12)


@pytest.mark.parametrize(("limit", "least"), [("LONGEST", 3), ("LARGEST", 14)])
def test_rounds_are_bounded(limit: str, least: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Three functions by turns, that look three steps back: rounds of three calls, or calls one by one."""
    made: list[int] = []
    inner = turns._replace
    monkeypatch.setattr(turns, "_replace", lambda parts, *rest: made.append(len(parts)) or inner(parts, *rest))
    program = {"length": 36, "turns": [(k, (1, 3)) for k in range(3)], "jitted": True, "evals": 1, "used": "last"}
    found = []
    for bound in (least, least - 1):
        made.clear()
        monkeypatch.setattr(turns, limit, bound)
        a = T(A)
        found.append(loss_of(program, a, nbg).grad(a).eval())
        assert set(made) == ({3} if bound == least else set())
    np.testing.assert_allclose(*found, rtol=1e-12)
