"""Lists that grow from step to step: the same fragments whatever has been collected; values and derivatives."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import nbgraph as nbg
from nbgraph.calls import JoinCall

T = nbg.TracedTensor.from_tensor
RNG = np.random.default_rng(0)
N = 14
SYMMETRIC = (lambda a: a + a.T)(RNG.standard_normal((N, N)))
START = RNG.standard_normal(N)


def lanczos(xp: Any, a: Any, start: Any, steps: int, watch: Callable[[Any], Any] = lambda b: None) -> Any:
    """The sum of squares of the recurrence's coefficients, with full reorthogonalisation, twice."""
    q = start / xp.linalg.norm(start)
    basis, alphas, betas = [q], [], []
    for _ in range(steps):
        w = a @ basis[-1]
        alphas.append(basis[-1] @ w)
        rows = xp.stack(basis)
        w = w - rows.T @ (rows @ w)
        w = w - rows.T @ (rows @ w)
        betas.append(xp.linalg.norm(w))
        watch(betas[-1])
        basis.append(w / betas[-1])
    return xp.sum(xp.stack(alphas) ** 2) + xp.sum(xp.stack(betas) ** 2)


def gram_schmidt(xp: Any, a: Any, start: Any, steps: int, watch: Callable[[Any], Any] = lambda b: None) -> Any:
    """A function of the orthonormal basis of the columns of `a`, orthogonalised one by one, twice."""
    basis: list[Any] = []
    for k in range(steps):
        v = a[:, k] + start
        for _ in range(2):
            for q in basis:
                v = v - (q @ v) * q
        basis.append(v / xp.linalg.norm(v))
        watch(basis[-1])
    return xp.sum(xp.stack(basis, 1)[:3] ** 3)


def plain_lanczos(xp: Any, a: Any, start: Any, steps: int, watch: Callable[[Any], Any] = lambda b: None) -> Any:
    """The last coefficient; the passes over the basis are loops, in the region in which its newest vector is made."""
    basis = [start / xp.linalg.norm(start)]
    for _ in range(steps):
        w = a @ basis[-1]
        for _ in range(2):
            for q in basis:
                w = w - (q @ w) * q
        beta = xp.linalg.norm(w)
        watch(beta)
        basis.append(w / beta)
    return beta


def history(xp: Any, a: Any, start: Any, steps: int, watch: Callable[[Any], Any] = lambda b: None) -> Any:
    """Each step works on the joined history of all."""
    x, seen = start / 4, []
    for _ in range(steps):
        seen.append(x)
        joined = xp.concatenate(seen)
        x = xp.tanh(a @ x / 4 + xp.sum(joined**2) / joined.shape[0])
        watch(x)
    return xp.sum(x)


def three_terms(xp: Any, a: Any, start: Any, steps: int, watch: Callable[[Any], Any] = lambda b: None) -> Any:
    """Lanczos as it is in books, its basis passed over once more: the ends are not like the rest."""
    basis, alphas, betas = [start / xp.linalg.norm(start)], [], []
    for k in range(steps):
        w = a @ basis[-1]
        alphas.append(basis[-1] @ w)
        w = w - alphas[-1] * basis[-1]
        if k:
            w = w - betas[-1] * basis[-2]
        for q in basis:
            w = w - (q @ w) * q
        betas.append(xp.linalg.norm(w))
        watch(betas[-1])
        basis.append(w / betas[-1])
    return xp.sum(xp.stack(alphas)) + xp.sum(xp.stack(betas))


def arnoldi(xp: Any, a: Any, start: Any, steps: int, watch: Callable[[Any], Any] = lambda b: None) -> Any:
    """The sum of the columns of the Hessenberg matrix, each a list one longer than the one before."""
    basis, columns = [start / xp.linalg.norm(start)], []
    for _ in range(steps):
        w, column = a @ basis[-1], []
        for q in basis:
            column.append(q @ w)
            w = w - column[-1] * q
        column.append(xp.linalg.norm(w))
        watch(column[-1])
        basis.append(w / column[-1])
        columns.append(xp.stack(column))
    return sum(xp.sum(c) for c in columns)


LOOPS = [lanczos, gram_schmidt, history, arnoldi]


def fragments(loop: Any, steps: int, watch: bool, of: Any = SYMMETRIC) -> int:
    engine = nbg.Engine(jit="never", cache_dir=None)
    a, start = T(of), RNG.standard_normal(len(of))
    loop(nbg, a, start, steps, (lambda b: b.eval(engine)) if watch else lambda b: None).grad(a).eval(engine)
    return engine.stats().fragments


@pytest.mark.parametrize("watch", [True, False])
@pytest.mark.parametrize("loop", [lanczos, gram_schmidt, plain_lanczos, three_terms])
def test_sixty_steps_are_few_fragments(loop: Any, watch: bool) -> None:
    """Where the list is long the first two of its elements, which are made in ways of their own, are one fragment."""
    large = RNG.standard_normal((64, 64))
    assert fragments(loop, 60, watch, large + large.T) <= 12


@pytest.mark.parametrize("watch", [True, False])
@pytest.mark.parametrize("loop", LOOPS)
def test_what_a_growing_loop_is_made_of_does_not_depend_on_its_length(loop: Any, watch: bool) -> None:
    counts = [fragments(loop, steps, watch) for steps in (10, 13)]
    assert counts[0] == counts[1] and counts[0] <= 12


@pytest.mark.parametrize("watch", [True, False])
def test_passes_over_a_growing_list_are_cut_alike_in_short_and_long_steps(watch: bool) -> None:
    assert max(fragments(plain_lanczos, steps, watch) for steps in (10, 13)) <= 12


@pytest.mark.parametrize("watch", [True, False])
@pytest.mark.parametrize("steps", [10, 13, 30])
def test_a_loop_within_a_step_leaves_the_step_in_its_parts(steps: int, watch: bool) -> None:
    """What comes before and after it is by turns, but no run: as one call it would be one structure more."""
    assert fragments(three_terms, steps, watch) <= 12


@pytest.mark.parametrize("watch", [True, False])
@pytest.mark.parametrize("loop", [gram_schmidt, plain_lanczos, three_terms, arnoldi])
def test_each_fragment_is_compiled_once(loop: Any, watch: bool) -> None:
    """What goes into a sum where it is made differs at the ends: a program for each would be for a few calls."""
    engine, a = nbg.Engine(jit="always", cache_dir=None), T(SYMMETRIC)
    value = loop(nbg, a, START, 13, (lambda b: b.eval(engine)) if watch else lambda b: None)
    got = nbg.eval(value, value.grad(a), engine=engine)
    stats = engine.stats()
    assert stats.compiled == stats.fragments <= 12
    b = T(SYMMETRIC)
    value = loop(nbg, b, START, 13)
    for g, w in zip(got, nbg.eval(value, value.grad(b), engine=nbg.Engine(jit="never")), strict=True):
        np.testing.assert_allclose(g, w, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("jit", ["never", "always"])
@pytest.mark.parametrize("loop", [*LOOPS, plain_lanczos, three_terms])
def test_values_and_derivatives_are_those_of_the_plain_loop(loop: Any, jit: str) -> None:
    engine = nbg.Engine(jit=jit, cache_dir=None)
    a, start = T(SYMMETRIC), T(START)
    loss = loop(nbg, a, start, 5, lambda b: b.eval(engine))
    da, dstart = loss.grad([a, start])
    assert loss.eval(engine) == pytest.approx(loop(np, SYMMETRIC, START, 5), rel=1e-12)
    direction, along = RNG.standard_normal((N, N)), RNG.standard_normal(N)
    plain = lambda h: loop(np, SYMMETRIC + h * direction, START + h * along, 5)  # noqa: E731
    want = (plain(1e-6) - plain(-1e-6)) / 2e-6
    values = nbg.eval(da, dstart, engine=engine)
    assert np.sum(values[0] * direction) + values[1] @ along == pytest.approx(want, rel=1e-6)
    assert float(loss.jvp(a, direction).eval(engine)) == pytest.approx(np.sum(values[0] * direction), rel=1e-9)


def test_second_derivatives_pickles_programs_and_jit() -> None:
    engine = nbg.Engine(jit="never", cache_dir=None)
    a = T(SYMMETRIC)
    loss = lanczos(nbg, a, START, 4)
    direction = RNG.standard_normal((N, N))
    slopes = [nbg.grad(lambda m: lanczos(nbg, m, START, 4))(SYMMETRIC + h * direction).eval() for h in (1e-6, -1e-6)]
    second = nbg.sum(loss.grad(a) * direction).grad(a).eval(engine)
    np.testing.assert_allclose(second, (slopes[0] - slopes[1]) / 2e-6, rtol=1e-5, atol=1e-6)
    value = loss.eval(engine)
    assert pickle.loads(pickle.dumps(lanczos(nbg, T(SYMMETRIC), START, 4))).eval(engine) == value
    assert engine.compile(loss, [a])(SYMMETRIC) == pytest.approx(value, rel=1e-12)
    assert nbg.jit(lambda m: lanczos(nbg, m, START, 4))(SYMMETRIC).eval(engine) == pytest.approx(value, rel=1e-12)
    gradient = nbg.grad(nbg.checkpoint(lambda m: lanczos(nbg, m, START, 4)))(SYMMETRIC).eval(engine)
    np.testing.assert_allclose(gradient, loss.grad(a).eval(engine), rtol=1e-12)


def test_lists_that_do_not_grow_are_joined_as_operations() -> None:
    x, y, z = (T(RNG.standard_normal(3)) for _ in range(3))
    joined = []
    for several in ([x, y], [x, z, y], [y, x], [z, y, x]):
        joined.append(nbg.stack(several))
    assert all(s.op is not None for s in joined)
    assert type(nbg.stack([x] * 40).call) is JoinCall


def test_lists_of_two_lengths_by_turns_are_none_that_grow() -> None:
    x, joined = T([1.0, 2.0]), []
    for k in range(12):
        joined.append(nbg.stack([x * float(j) for j in range(2 + k % 2)]))
    assert all(s.op is not None for s in joined[3:])  # it takes a while to see
    for k, s in enumerate(joined):
        np.testing.assert_array_equal(s.eval(), [[j, 2 * j] for j in range(2 + k % 2)])


def test_columns_of_a_triangle_are_joined_alike_the_second_time() -> None:
    def triangle() -> list[Any]:
        x = T([1.0, 2.0])
        return [nbg.stack([x * float(j) for j in range(n)]) for n in range(2, 9)]

    for _ in range(3):
        found = triangle()
        assert [type(s.call) is JoinCall for s in found[1:]] == [True] * 6
        for n, s in enumerate(found, 2):
            np.testing.assert_array_equal(s.eval(), [[j, 2 * j] for j in range(n)])


def test_two_lists_on_one_line_grow_each_for_itself() -> None:
    a, b = T(np.ones(2)), T(np.zeros(2))
    for _ in range(3):  # the second is not the first one grown
        pair = nbg.stack([a, b]), nbg.stack([a, b, b])
    assert [type(p.call) for p in pair] == [type(None)] * 2
    first, second = [a], [b]
    for _ in range(3):
        lists = nbg.stack(first), nbg.stack(second)
        first.append(first[-1] + 1)
        second.append(second[-1] + 1)
    assert [type(p.call) for p in lists] == [JoinCall] * 2
    np.testing.assert_array_equal(lists[1], [[0, 0], [1, 1], [2, 2]])


def test_values_without_differentiable_leaves_drop_their_history() -> None:
    parts = [nbg.constant(np.ones(2))]
    for _ in range(4):
        parts.append(parts[-1] * 2)
        total = nbg.stack(parts)
        total.eval()
    assert not total.active and type(total.call) is not JoinCall


def test_a_pickled_gradient_of_a_stacked_list_is_that_gradient() -> None:
    """The parts of the cotangent that are taken apart are told from each other."""
    a, x, states = T(np.eye(3) / 2), T(np.ones(3)), []
    for _ in range(40):
        x = nbg.tanh(a @ x + 0.1)
        states.append(x)
        x.eval()
    gradient = nbg.sum(nbg.stack(states) ** 3).grad(a)
    again, b = pickle.loads(pickle.dumps((gradient, a)))
    np.testing.assert_allclose(again.eval(), gradient.eval(), rtol=1e-13)
    second = nbg.sum(gradient).grad(a).eval()
    np.testing.assert_allclose(nbg.sum(again).grad(b).eval(), second, rtol=1e-12)
