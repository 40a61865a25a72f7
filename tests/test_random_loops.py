"""Random loops, of what people write in one.

Functions of several results by turns, operands up to three steps back, slices of a differentiable tensor, evals of this
and that, some steps jitted, losses of states here and there, gradients in the middle; then gradients by parameters,
slices, start and a state in the middle, of first and second order, forward mode, pickles. The other side is NumPy, its
directional derivatives by a complex step (Squire and Trapp, SIAM Review 40, 1998, 110-112).
"""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import nbgraph as nbg
from nbgraph.errors import DifferentiationError

T = nbg.TracedTensor.from_tensor
H = 1e-30
Draw = np.random.Generator
PLACES = [lambda k: k, lambda k: k // 2, lambda k: 3, lambda k: -1 - k % 5]


def functions(xp: Any) -> list[Any]:
    """Steps: of a matrix, two vectors and a slice, to one, two or three vectors."""
    return [
        lambda a, x, y, s: (xp.tanh(a @ x) + 0.5 * y + 0.1 * s,),
        lambda a, x, y, s: (x - 0.1 * (a @ y) * x + 0.2 * s * s, x * 0.5 + y * 0.3),
        lambda a, x, y, s: (0.5 * xp.sin(x * y) + a[0] * 0.1, a.T @ x * 0.2 + s * 0.1, y - 0.1 * x),
        lambda a, x, y, s: (x / (1.5 + xp.sum(x * x)) + y * 0.1,),
        lambda a, x, y, s: (lambda z: (z * 0.5, xp.sum(z * x) * y * 0.2 + 0.1))(a @ y + s * 0.1),
    ]


IN_NUMPY, RECORDED = functions(np), functions(nbg)
JITTED = [nbg.jit(f) for f in RECORDED]


class Program:
    """What a loop does, drawn at random."""

    def __init__(self, rng: Draw) -> None:
        self.length, lag = int(rng.integers(6, 40)), int(rng.integers(1, 4))
        turns = [self._step(rng, lag) for _ in range(rng.integers(1, 5))]
        self.steps = [turns[k % len(turns)] for k in range(self.length)]
        for k in rng.integers(0, self.length, 3 if rng.random() < 0.3 else 0):
            self.steps[k] = self._step(rng, 2)
        self.evals = self._evals(rng)
        jitted = rng.integers(0, 3)
        self.jitted = [jitted == 1 or (jitted == 2 and k % len(turns) == 0) for k in range(self.length)]
        losses = [[0], [int(rng.integers(1, 4))], [1, 0, 0, 0], list(map(int, rng.integers(0, 3, 50)))][
            rng.integers(0, 4)
        ]
        self.losses = [losses[k % len(losses)] for k in range(self.length)]
        self.gathers, self.middle = str(rng.choice(["adds", "lists", "stacks"])), int(rng.integers(0, self.length))

    @staticmethod
    def _step(rng: Draw, lag: int) -> Any:
        which, x, y = rng.integers(0, 5), *rng.integers(1, lag + 1, 2)
        return (
            int(which),
            (int(x), int(rng.integers(0, 3))),
            (int(y), int(rng.integers(0, 3))),
            PLACES[rng.integers(0, 4)],
        )

    def _evals(self, rng: Draw) -> list[int]:
        n = self.length
        mixed = [int(e) if rng.random() < 0.5 else 0 for e in rng.integers(0, 7, n)]
        third, last = [int(k % 3 == 0) for k in range(n)], [2 * int(k > n - 5) for k in range(n)]
        ways: list[Any] = [[0] * n, [1] * n, [int(rng.integers(1, 7))] * n, mixed, third, last]
        return ways[rng.integers(0, len(ways))]  # type: ignore[no-any-return]

    def operands(self, k: int, states: Any, xs: Any) -> Any:
        """The operands of a step, from the states so far."""
        _, x, y, place = self.steps[k]
        of = [states[-back][which % len(states[-back])] for back, which in (x, y)]
        return (*of, xs[place(k)])

    def in_numpy(self, a: Any, xs: Any, start: Any, nudge: Any = 0.0) -> Any:
        """The loss; `nudge` is added to the state in the middle."""
        states: list[Any] = [(start * c,) for c in (0.9, 1.1, 1.0)]
        total = 0.0
        for k in range(self.length):
            made = IN_NUMPY[self.steps[k][0]](a, *self.operands(k, states, xs))
            if k == self.middle:
                made = (made[0] + nudge, *made[1:])
            states.append(made)
            if self.losses[k]:
                total = total + np.sum(made[self.losses[k] % len(made)] ** 2) * (1 + 0.1 * k)
        return total + sum(np.sum(s * s) for s in states[-1])

    def recorded(self, a: Any, xs: Any, start: Any, engine: Any) -> tuple[Any, Any]:
        """The loss, and the state in the middle."""
        states: list[Any] = [(start * c,) for c in (0.9, 1.1, 1.0)]
        terms: list[Any] = []
        for k in range(self.length):
            step = (JITTED if self.jitted[k] else RECORDED)[self.steps[k][0]]
            x, y, s = self.operands(k, states, xs)
            made = step(a, x, y, s)
            states.append(made)
            if self.losses[k]:
                terms.append(nbg.sum(made[self.losses[k] % len(made)] ** 2) * (1 + 0.1 * k))
                if self.gathers == "adds":
                    terms = [sum(terms)]
            self._look(k, made, x, a, terms, engine)
            if k == self.middle:
                middle = made[0]
        total = sum(nbg.sum(s * s) for s in states[-1])
        if terms:
            total = total + (nbg.sum(nbg.stack(terms)) if self.gathers == "stacks" else sum(terms))
        return total, middle

    def _look(self, k: int, made: Any, x: Any, a: Any, terms: Any, engine: Any) -> None:
        """Evaluates something, as the program says."""
        match self.evals[k]:
            case 1:
                made[0].eval(engine)
            case 2:
                nbg.eval(*made, engine=engine)
            case 3:
                nbg.sum(made[-1]).eval(engine)
            case 4 if terms:
                terms[-1].eval(engine)
            case 5:
                (made[0] - x).eval(engine)
            case 6:
                nbg.sum(made[0] ** 2).grad(a, allow_unused=True).eval(engine)


class Case:
    """A program at a point and along a direction."""

    def __init__(self, seed: int) -> None:
        self.rng = np.random.default_rng(seed)
        self.program = Program(self.rng)
        shapes = (3, 3), (60, 3), (3,)
        self.at = [self.rng.random(s) / (4 if k == 0 else 1) for k, s in enumerate(shapes)]
        self.along = [self.rng.random(s) for s in shapes]

    def slope(self, k: int, moved: Any = None) -> float:
        """The directional derivative by argument k; by the state in the middle where k is 3."""
        at: list[Any] = [x + (0 if moved is None else moved[j]) for j, x in enumerate(self.at)]
        if k == 3:
            return float(np.imag(self.program.in_numpy(*at[:2], at[2] + 0j, H * 1j * self.along[2]))) / H
        at[k] = at[k] + H * 1j * self.along[k]
        return float(np.imag(self.program.in_numpy(*at))) / H

    def second(self, k: int) -> float:
        """The derivative, along argument k, of the slope by the matrix."""
        h = 1e-6
        ends = [[s * h * d if j == k else 0 for j, d in enumerate(self.along)] for s in (1, -1)]
        return (self.slope(0, ends[0]) - self.slope(0, ends[1])) / (2 * h)


def check(case: Case, engine: nbg.Engine) -> None:
    leaves = [T(x) for x in case.at]
    loss, middle = case.program.recorded(*leaves, engine)
    directions = [*case.along, case.along[2]]

    def by_all(of: Any) -> Any:
        return of.grad([*leaves, middle], allow_unused=True)

    found = by_all(loss)
    if case.rng.random() < 0.5:
        nbg.eval(loss, *found, engine=engine)
    for again in range(2):  # the graph is another one the second time, and says the same
        for k, (g, d) in enumerate(zip(found, directions, strict=True)):
            assert float(np.sum(g.eval(engine) * d)) == pytest.approx(case.slope(k), rel=1e-9, abs=1e-9)
        found = found if again else by_all(loss)
    assert float(loss.eval(engine)) == pytest.approx(float(case.program.in_numpy(*case.at)), rel=1e-11)
    directed = nbg.sum(by_all(loss)[0] * case.along[0])
    for k in (0, 1):
        got = nbg.sum(directed.grad(leaves[k], allow_unused=True) * case.along[k]).eval(engine)
        assert float(got) == pytest.approx(case.second(k), rel=1e-5, abs=1e-5)
    try:
        assert float(loss.jvp(leaves[0], case.along[0]).eval(engine)) == pytest.approx(
            case.slope(0), rel=1e-9, abs=1e-9
        )
    except DifferentiationError:  # the loss depends on no matrix
        assert case.slope(0) == 0.0
    if case.rng.random() < 0.3:
        other, a, xs = pickle.loads(pickle.dumps((loss, *leaves[:2])))
        for k, g in enumerate(other.grad([a, xs], allow_unused=True)):
            assert float(np.sum(g.eval(engine) * case.along[k])) == pytest.approx(case.slope(k), rel=1e-9, abs=1e-9)


@given(st.integers(0, 2**31))
@settings(max_examples=25, deadline=None)
def test_random_loops(seed: int) -> None:
    check(Case(seed), nbg.Engine(jit="never"))


def test_a_random_loop_by_machine_code() -> None:
    check(Case(2), nbg.Engine(jit="always", cache_dir=None))
