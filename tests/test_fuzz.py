"""Random programs with random evals in between give what a plain evaluation gives.

The law: every value and every gradient equals the oracle, whatever was evaluated before, in whatever order, by
whichever engine and thread, whichever handles were dropped and whatever the user did to the arrays that came in.
"""

from __future__ import annotations

import random
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from programs import (
    KEPT,
    Program,
    decode,
    derivative,
    direction,
    inner,
    loss_of,
    random_program,
    second_derivative,
)

import nbgraph as nbg
from nbgraph import repeats
from nbgraph.calls import FragmentCall
from nbgraph.derive import seal
from nbgraph.fragment import size_at
from nbgraph.interpret import interpret
from nbgraph.materialize import close, materialize
from nbgraph.passes import COMMON, LOWERING
from nbgraph.ssa import apply_passes
from nbgraph.types import type_of_array
from nbgraph.verify import check

NEVER, AUTO, ALWAYS = nbg.Engine(jit="never"), nbg.Engine(jit="auto"), nbg.Engine(jit="always")
POOL = ThreadPoolExecutor(1)

FUZZ = settings(
    deadline=None, derandomize=True, max_examples=150, database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)  # fmt: skip
NUMBER = st.integers(0, 10_000)
GENES = st.lists(st.tuples(NUMBER, NUMBER, NUMBER, NUMBER), min_size=2, max_size=14)
LEAVES = st.lists(NUMBER, min_size=1, max_size=4)


@pytest.fixture(autouse=True, scope="module")
def short_runs() -> Any:
    """Runs of two calls are pulled back as one already, so that small programs have them."""
    shortest, repeats.SHORTEST = repeats.SHORTEST, 2
    yield
    repeats.SHORTEST = shortest


def close_to(got: Any, wanted: Any, what: str, rtol: float = 1e-9) -> None:
    """Equal in dtype and shape, and up to rounding relative to the largest element."""
    got, wanted = np.asarray(got), np.asarray(wanted)
    assert (got.dtype, got.shape) == (wanted.dtype, wanted.shape), what
    if got.dtype.kind in "bi":
        np.testing.assert_array_equal(got, wanted, what)
        return
    rtol = 2e-3 if got.dtype in (np.float32, np.complex64) else rtol
    scale = 1.0 + np.max(np.abs(wanted), initial=0.0)
    np.testing.assert_allclose(got, wanted, rtol=0, atol=rtol * scale, err_msg=what)


# -- recording, with things happening in between ----------------------------------------------------------------------


class Play:
    """A program recorded step by step; `act` does something random that must not matter after each.

    `pool[i]` is None once the handle was dropped. Those at `kept` never are.
    """

    def __init__(self, program: Program, engines: list[nbg.Engine], actions: list[int], kept: set[int]) -> None:
        self.program, self.engines, self.kept = program, engines, kept
        self.rng = random.Random(str(actions))
        self.wanted, self.last = program.values(), program.last_uses()
        self.pool: list[Any] = []
        #: Gradients taken on the way: of what, by what, and the lazy results.
        self.gradients: list[tuple[int, list[int], list[Any]]] = []
        self.log: list[str] = []
        for a, i in zip(program.leaves, range(len(program.leaves)), strict=True):
            mine = a.copy()
            self.pool.append(nbg.constant(mine) if i in program.constants else nbg.TracedTensor.from_tensor(mine))
            mine[...] = 0  # what the user does to the array later changes nothing
        for n, step in enumerate(program.steps):
            self.pool.append(step.apply(nbg, self.pool))
            self.act(actions[n % len(actions)] if actions else 0)

    def live(self) -> list[int]:
        return [i for i, t in enumerate(self.pool) if t is not None]

    def engine(self) -> nbg.Engine:
        return self.rng.choice(self.engines)

    def act(self, action: int) -> None:
        doing = (
            self.nothing, self.eval_last, self.eval_some, self.drop, self.differentiate, self.show, self.elsewhere,
        )[action]  # fmt: skip
        self.log.append(f"after %{len(self.pool) - 1}: {doing.__name__}")
        doing()

    def nothing(self) -> None:
        pass

    def eval_last(self) -> None:
        self.check(len(self.pool) - 1, self.pool[-1].eval(self.engine()))

    def eval_some(self) -> None:
        some = self.rng.sample(self.live(), min(3, len(self.live())))
        for i, value in zip(some, nbg.eval(*(self.pool[i] for i in some), engine=self.engine()), strict=True):
            self.check(i, value)

    def drop(self) -> None:
        for i in self.live():
            if i not in self.kept and self.last.get(i, 0) < len(self.pool) and self.rng.random() < 0.7:
                self.pool[i] = None

    def differentiate(self) -> None:
        """A gradient of what there is, evaluated now, later, or never."""
        active = self.program.active()
        targets = [i for i in self.live() if i in active]
        if not targets:
            return
        k = self.rng.choice(targets)
        below = [i for i in targets if i in self.program.ancestors(k)]
        wrt = self.rng.sample(below, min(2, len(below)))
        found = gradients(self, [k], wrt)
        self.gradients.append((k, wrt, found))
        if self.rng.random() < 0.5:
            nbg.eval(*found, engine=self.engine())

    def show(self) -> None:
        assert "TracedTensor" in repr(self.pool[-1])

    def elsewhere(self) -> None:
        """An eval in another thread."""
        i = self.rng.choice(self.live())
        self.check(i, POOL.submit(self.pool[i].eval, self.engine()).result())

    def check(self, i: int, value: Any) -> None:
        close_to(value, self.wanted[i], f"value %{i} of\n{self}")
        assert not value.flags.writeable

    def check_values(self) -> None:
        for i in self.rng.sample(self.live(), len(self.live())):
            self.check(i, self.pool[i].eval(self.engine()))

    def __str__(self) -> str:
        return f"{self.program!r}\n" + "\n".join(self.log)


def outputs_of(program: Program) -> list[int]:
    """The pool positions that the loss is made of: the last of them."""
    n = len(program.leaves) + len(program.steps)
    return list(range(max(0, n - 3), n))


def targets_of(program: Program, rng: random.Random) -> list[int]:
    """Some of what the loss can be differentiated by: leaves and values in the middle."""
    reached = set().union(*(program.ancestors(o) for o in outputs_of(program)))
    active = program.active()
    found = sorted(reached & active & _through(program, active))
    return sorted(rng.sample(found, min(4, len(found))))


def _through(program: Program, active: set[int]) -> set[int]:
    """The positions from which the loss is reached by way of inexact values."""
    reached = {o for o in outputs_of(program) if o in active}
    for n in range(len(program.steps) - 1, -1, -1):
        i = n + len(program.leaves)
        if i in reached:
            reached.update(o for o in program.steps[n].operands if o in active)
    return reached


def law(program: Program, actions: list[int], engines: list[nbg.Engine], order: int = 2) -> None:
    """Values and gradients of a program, with actions and without, and by differences of NumPy evaluations."""
    rng = random.Random(str(actions))
    outputs, wrt = outputs_of(program), targets_of(program, rng)
    play = Play(program, engines, actions, {*outputs, *wrt})
    if wrt:
        plain = Play(program, [NEVER], [], {*outputs, *wrt})
        check_gradients(play, plain, outputs, wrt, order)
    play.check_values()


def gradients(play: Play, outputs: list[int], wrt: list[int]) -> list[Any]:
    loss = loss_of(nbg, [play.pool[o] for o in outputs])
    found: list[Any] = loss.grad([play.pool[i] for i in wrt], allow_unused=True)
    return found


def check_gradients(play: Play, plain: Play, outputs: list[int], wrt: list[int], order: int) -> None:
    program = play.program
    vs = {i: direction(np.random.default_rng(i), program.values()[i]) for i in wrt}
    lazy = [gradients(p, outputs, wrt) for p in (play, plain)]
    values = [nbg.eval(*gs, engine=p.engine()) for gs, p in zip(lazy, (play, plain), strict=True)]
    single = all(x.dtype not in (np.float32, np.complex64) for x in program.values())
    for k, by, found in play.gradients:
        for i, got, g in zip(by, found, gradients(plain, [k], by), strict=True):
            close_to(got.eval(play.engine()), g.eval(NEVER), f"early gradient of %{k} by %{i} of\n{play}", 1e-8)
    loss = loss_of(nbg, [play.pool[o] for o in outputs])
    tolerance = {"rel": 1e-8, "abs": 1e-8} if single else {"rel": 1e-2, "abs": 1e-2}
    for i, got, wanted in zip(wrt, *values, strict=True):
        close_to(got, wanted, f"gradient by %{i} of\n{play}", 1e-8)
        pushed = loss.jvp(play.pool[i], vs[i]).eval(play.engine())
        assert pushed == pytest.approx(inner(wanted, vs[i]), **tolerance), f"tangent along %{i} of\n{play}"
        difference = derivative(lambda t, i=i: moved_loss(program, outputs, {i: t * vs[i]})) if single else None
        if difference is not None:
            assert inner(got, vs[i]) == pytest.approx(difference, rel=1e-6, abs=1e-5), f"by %{i} of\n{play}"
    if order > 1 and single:
        check_second(play, lazy[0], outputs, wrt, vs)


def check_second(play: Play, lazy: list[Any], outputs: list[int], wrt: list[int], vs: dict[int, Any]) -> None:
    """The derivative of a directional derivative by a leaf or by the value itself."""
    program = play.program
    for k, g in zip(wrt, lazy, strict=True):
        j = min(i for i in wrt if i in program.ancestors(k))
        along = nbg.sum(nbg.real(nbg.conj(g) * vs[k]))
        found = along.grad(play.pool[j], allow_unused=True).eval(play.engine())
        difference = second_derivative(lambda s, t, k=k, j=j: twice_moved(program, outputs, k, s * vs[k], j, t * vs[j]))
        if difference is not None:
            what = f"second derivative by %{k}, then by %{j} of\n{play}"
            assert inner(found, vs[j]) == pytest.approx(difference, rel=1e-4, abs=1e-4), what


def moved_loss(program: Program, outputs: list[int], moved: dict[int, Any]) -> float:
    pool = program.values(moved)
    return float(loss_of(np, [pool[o] for o in outputs]))


def twice_moved(program: Program, outputs: list[int], k: int, by: Any, j: int, also: Any) -> float:
    return moved_loss(program, outputs, {k: by + also} if k == j else {k: by, j: also})


# -- the laws ---------------------------------------------------------------------------------------------------------


@FUZZ
@given(LEAVES, GENES, st.integers(0, 99), st.lists(st.integers(0, 6), max_size=14))
def test_values_and_gradients_whatever_is_evaluated(leaves, genes, seed, actions) -> None:
    law(decode(leaves, genes, seed), actions, [NEVER, AUTO])


@FUZZ
@given(LEAVES, GENES, st.integers(0, 99), st.sampled_from(["nothing", "loss", "gradient", "both"]))
def test_gradients_recorded_as_operations(leaves, genes, seed, first) -> None:
    """The second time a loss is met, its gradient is recorded as operations; it is the same one."""
    program = decode(leaves, genes, seed)
    outputs = outputs_of(program)
    wrt = [i for i in targets_of(program, random.Random(seed)) if i < len(program.leaves)]
    if not wrt:
        return
    found = []
    for _ in range(3):
        play = Play(program, [NEVER, AUTO], [], {*outputs, *wrt})
        loss = loss_of(nbg, [play.pool[o] for o in outputs])
        leaves = [play.pool[i] for i in wrt]
        gs = loss.grad(leaves, allow_unused=True)
        nbg.eval(*{"nothing": [], "loss": [loss], "gradient": gs, "both": [loss, *gs]}[first], engine=play.engine())
        along = sum(nbg.sum(nbg.real(g * direction(np.random.default_rng(i), g))) for i, g in zip(wrt, gs, strict=True))
        second = along.grad(leaves, allow_unused=True)
        found.append([t.eval(play.engine()) for t in (*gs, *second, loss)])
    for others in found[1:]:
        for got, wanted in zip(others, found[0], strict=True):
            close_to(got, wanted, f"{first} first, of\n{program!r}", 1e-8)


@FUZZ
@given(GENES, st.integers(0, 99), st.lists(st.sampled_from([0, 1, 2, 3, 4, 4, 6]), max_size=14))
def test_values_that_are_kept_for_derivatives(genes, seed, actions) -> None:
    law(decode([2, 2, 0], genes, seed, "d", KEPT), actions, [NEVER, AUTO])


@pytest.mark.parametrize("seed", range(6))
def test_values_and_gradients_compiled(seed) -> None:
    actions = np.random.default_rng(seed).integers(0, 7, 8).tolist()
    law(random_program(seed, 3, 6), actions, [ALWAYS, ALWAYS, NEVER, AUTO], order=1)


def every_prefix(call: FragmentCall, slots: list[int]) -> Any:
    """The values at some slots of a call after every prefix of the passes, interpreted."""
    f, passes = call.fragment, (*COMMON, *LOWERING)
    arrays = [i.eval(NEVER) for i in call.inputs]
    env = f.environment([type_of_array(a) for a in arrays], call.words)
    keys = f.value_keys()
    for n in range(len(passes) + 1):
        graph = materialize(apply_passes([keys[s] for s in slots], passes[:n]), f.input_keys)
        body, sizes = close(graph)
        check(body, f"after {n} passes")
        yield interpret(body, [arrays[k.id] for k in graph.inputs], [size_at(w, env) for w in sizes])


def by_call(tensors: list[Any]) -> dict[FragmentCall, list[int]]:
    """Positions of sealed tensors by the call that they are values of."""
    found: dict[FragmentCall, list[int]] = {}
    for i, t in enumerate(tensors):
        if type(t.call) is FragmentCall:
            found.setdefault(t.call, []).append(i)
    return found


def check_passes(tensors: list[Any], wanted: list[Any], what: str) -> None:
    """Wanted == interpreted after every prefix of the passes."""
    seal(tensors)
    for call, positions in by_call(tensors).items():
        for n, values in enumerate(every_prefix(call, [tensors[i].slot for i in positions])):
            for i, value in zip(positions, values, strict=True):
                close_to(value, wanted[i], f"%{i} after {n} passes of\n{what}")


@pytest.mark.parametrize("seed", range(25))
def test_every_prefix_of_the_passes_gives_the_same(seed) -> None:
    program = random_program(seed, 3, 10)
    outputs, wrt = outputs_of(program), targets_of(program, random.Random(seed))
    play = Play(program, [NEVER], [], set())
    check_passes(play.pool, program.values(), str(play))
    if wrt:
        found = gradients(Play(program, [NEVER], [], {*outputs, *wrt}), outputs, wrt)
        check_passes(found, [g.eval(NEVER) for g in found], str(play))


@pytest.mark.parametrize("seed", range(4))
def test_a_compiled_program_gives_the_same(seed) -> None:
    program = random_program(seed + 100, 3, 8)
    play = Play(program, [NEVER], [], set())
    n = len(program.leaves)
    compiled = ALWAYS.compile(play.pool[n:], play.pool[:n])
    for i, got in enumerate(compiled(*program.leaves), n):
        close_to(got, program.values()[i], f"%{i} of\n{program}")


# -- loops ------------------------------------------------------------------------------------------------------------


class Loop:
    """x -> 0.6 tanh(mix of the values of random bodies, run in turn) + 0.3 x, from x, with parameters p and W."""

    def __init__(self, genes: list[Any], seed: int, period: int) -> None:
        rng = np.random.default_rng(seed)
        self.start, self.p, self.w = (rng.uniform(-1, 1, s) for s in ((3,), (3,), (3, 3)))
        size = max(1, len(genes) // period)
        self.bodies = [self._body(genes[k * size : (k + 1) * size], seed) for k in range(period)]

    def _body(self, genes: list[Any], seed: int) -> Program:
        return decode([0, 0, 2], genes, seed, "d")

    def step(self, xp: Any, k: int, x: Any, p: Any, w: Any) -> Any:
        body = self.bodies[k % len(self.bodies)]
        pool = [x, p, w]
        for s in body.steps:
            pool.append(s.apply(xp, pool))
        mix: Any = p * x + (w @ x) * 0.2
        for value in pool[3:]:
            mix = mix + (value if value.shape == x.shape else xp.sum(value)) * 0.1
        return xp.tanh(mix) * 0.6 + 0.3 * x

    def run(self, xp: Any, x: Any, p: Any, w: Any, count: int, tol: float, between: Any = lambda k, x: None) -> Any:
        """The states, up to where two of them nearly meet."""
        states = [x]
        for k in range(count):
            states.append(self.step(xp, k, states[-1], p, w))
            between(k, states[-1])
            if tol and float(xp.linalg.norm(states[-1] - states[-2])) < tol:
                break
        return states


def check_loop(loop: Loop, engines: list[nbg.Engine], count: int, evals: str, tol: float, keep: int, seed: int) -> None:
    """The last state, gradients of a loss by leaves and a state in the middle, the second derivative by p."""
    rng = random.Random(seed)
    held: list[Any] = []

    chance = {
        "none": lambda k: False,
        "every": lambda k: True,
        "random": lambda k: rng.random() < 0.4,
        "third": lambda k: k % 3 == 0,
        "end": lambda k: k > count - 3,
    }[evals]

    def between(k: int, x: Any) -> None:
        if keep and k % keep == 0:
            held.append(x)
        if chance(k):
            (rng.choice(held) if held and rng.random() < 0.3 else x).eval(rng.choice(engines))

    wanted = [np.asarray(x) for x in loop.run(np, loop.start, loop.p, loop.w, count, tol)]
    x, p, w = map(nbg.TracedTensor.from_tensor, (loop.start, loop.p, loop.w))
    states = loop.run(nbg, x, p, w, count, tol, between)
    middle = rng.randrange(len(states))
    assert len(states) == len(wanted)
    weights = np.array([1.0, -0.5, 0.3])
    y, m = states[-1], states[middle]
    del states
    loss = nbg.sum(y * y * weights)
    wrt = [x, p, w, m]
    found = loss.grad(wrt)
    values = nbg.eval(*found, engine=rng.choice(engines))
    close_to(y.eval(rng.choice(engines)), wanted[-1], "the state")
    close_to(m.eval(rng.choice(engines)), wanted[middle], "a state in the middle")

    def numpy_loss(dx: Any, dp: Any, dw: Any, dm: Any) -> float:
        state = loop.start + dx + (dm if middle == 0 else 0)
        for k in range(len(wanted) - 1):
            state = loop.step(np, k, state, loop.p + dp, loop.w + dw) + (dm if k + 1 == middle else 0)
        return float(np.sum(state * state * weights))

    vs = [direction(np.random.default_rng(i), g) for i, g in enumerate(values)]
    for i, (g, v) in enumerate(zip(values, vs, strict=True)):
        one = np.eye(4)[i]
        difference = derivative(lambda t, one=one: numpy_loss(*(t * s * u for s, u in zip(one, vs, strict=True))))
        if difference is not None:
            assert inner(g, v) == pytest.approx(difference, rel=1e-6, abs=1e-7), f"gradient {i}"
    second = nbg.sum(found[1] * vs[1]).grad(p).eval(rng.choice(engines))
    difference = second_derivative(lambda s, t: numpy_loss(0, (s + t) * vs[1], 0, 0))
    if difference is not None:
        assert inner(second, vs[1]) == pytest.approx(difference, rel=1e-4, abs=1e-5), "second derivative"


EVALS = st.sampled_from(["none", "every", "random", "third", "end"])
TOLERANCES = st.sampled_from([0.0, 0.1, 1e-3])


@settings(FUZZ, max_examples=60)
@given(GENES, st.integers(0, 99), st.integers(1, 3), EVALS, st.integers(1, 30), TOLERANCES, st.integers(0, 3))
def test_loops_wherever_they_are_evaluated(genes, seed, period, evals, count, tol, keep) -> None:
    check_loop(Loop(genes, seed, period), [NEVER, AUTO], count, evals, tol, keep, seed)


@pytest.mark.parametrize(("seed", "period", "evals", "count"), [(0, 1, "every", 12), (2, 2, "none", 40)])
def test_loops_compiled(seed, period, evals, count) -> None:
    genes = [tuple(g) for g in np.random.default_rng(seed).integers(0, 10_000, (period + 1, 4)).tolist()]
    check_loop(Loop(genes, seed, period), [ALWAYS], count, evals, 0.0, 0, seed)
