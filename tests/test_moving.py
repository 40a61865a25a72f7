"""Words that move from step to step, such as where a slice begins: made anew by little, and no part of a route."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import nbgraph as nbg
from nbgraph import derive
from nbgraph.kinds import Assembly
from nbgraph.op import REGISTRY
from nbgraph.ssa import Bound, Program, exact_program
from nbgraph.trace import record

T = nbg.TracedTensor.from_tensor
RNG = np.random.default_rng(0)
BODIES: dict[str, Any] = {
    "element": lambda xs, x, k: x * xs[k, 1] + xs[k, 2],
    "row": lambda xs, x, k: nbg.tanh(x + xs[k]),
    "range": lambda xs, x, k: x + nbg.sum(xs[k : k + 3], axis=0),
    "two places": lambda xs, x, k: x * xs[k] + xs[2 * k, ::-1],
    "written": lambda xs, x, k: x + xs.at[k].add(x)[k],
    "lengths": lambda xs, x, k: x + nbg.sum(xs[: k + 1] * 0.1, axis=0),
    "column": lambda xs, x, k: x + xs.T[:, k],
}


@pytest.mark.parametrize("body", BODIES)
@pytest.mark.parametrize("jit", ["never", "always"])
def test_a_loop_over_slices_with_an_eval_in_each_step(body: str, jit: str) -> None:
    engine = nbg.Engine(jit=jit, cache_dir=None)
    whole = RNG.random((40, 3))
    xs, x = T(whole), T(np.ones(3))
    start, steps = x, []
    for k in range(16):
        x = BODIES[body](xs, x, k)
        steps.append(np.array(x.eval(engine)))
        if k == 2:
            routes = len(engine.routes)
    if body != "lengths":  # there sizes of values differ: each is a route
        assert len(engine.routes) == routes
    once = T(np.ones(3))
    for k in range(16):
        once = BODIES[body](T(whole), once, k)
        once = T(np.array(once.eval(nbg.Engine(jit="never"))))
        np.testing.assert_allclose(steps[k], once.data, rtol=1e-13)
    by = nbg.sum(x).grad([xs, start])
    other = nbg.grad(lambda w, s: _run(body, w, s), argnums=(0, 1))(whole, np.ones(3))
    for got, want in zip(by, other, strict=True):
        np.testing.assert_allclose(got.eval(engine), want.eval(nbg.Engine(jit="never")), rtol=1e-12)


def _run(body: str, xs: Any, x: Any) -> Any:
    for k in range(16):
        x = BODIES[body](xs, x, k)
    return nbg.sum(x)


def test_a_program_that_was_moved_is_the_one_made_at_those_words() -> None:
    xs, x = T(RNG.random((9, 4))), T(np.ones(4))
    y = BODIES["two places"](xs, x, 1)
    nbg.derive.seal([y])
    fragment, types = y.call.fragment, tuple(i.type for i in y.call.inputs)
    program = Program(fragment, fragment.outputs)
    assert program.moving == tuple(range(fragment.n_words))
    first = program.bind(types, y.call.words)
    for words in ((0,) * len(y.call.words), tuple(range(len(y.call.words)))):
        moved, made = first.moved(words), Bound(program, types, words)
        for field in ("env", "body_env", "sizes", "out_types", "in_types"):
            assert getattr(moved, field) == getattr(made, field)
        assert program.bind(types, words).sizes == made.sizes


@pytest.mark.parametrize("name", sorted(n for n, op in REGISTRY.items() if issubclass(op, Assembly) and op.disjoint))
@pytest.mark.parametrize("jit", ["never", "always"])
def test_what_is_put_together_of_regions_is_added_region_by_region(name: str, jit: str) -> None:
    """A total that a program adds to: what was there, and the operation's result, whatever it is made of."""
    engine = nbg.Engine(jit=jit, cache_dir=None)
    samples = [s for s in REGISTRY[name].samples("f8", RNG) if s.args]
    assert samples
    for sample in samples if jit == "never" else samples[::4]:
        nodes = [T(np.asarray(a)) for a in sample.args]
        out = record(sample.op, nodes, sample.sizes)
        nbg.derive.seal([out])
        call = out.call
        program = exact_program(call.fragment, frozenset([out.slot]), frozenset([out.slot]))
        bound = program.bind(tuple(i.type for i in call.inputs), call.words)
        before = np.asarray(RNG.random(out.type.shape))
        total = before.copy()
        engine.run_bound(bound, [i.data for i in call.inputs], 1, [total])
        np.testing.assert_allclose(total, before + sample.op.reference(sample.args, sample.sizes), rtol=1e-14)


@pytest.mark.parametrize("jit", ["never", "always"])
def test_each_gradient_of_a_slice_is_its_own(jit):
    """One structure with another word each time: places of slices, shifts, offsets; a new leaf each time."""
    engine, x0, w = nbg.Engine(jit=jit, cache_dir=None), np.arange(1.0, 7.0), np.arange(6.0) ** 2
    functions = {
        "slice": lambda x, k: nbg.sum(x[k : k + 2] ** 2),
        "roll": lambda x, k: nbg.sum(nbg.roll(x, k) * w),
        "one": lambda x, k: x[k] ** 2,
        "set": lambda x, k: nbg.sum(x.at[k].set(3.0) ** 2),
        "reversed": lambda x, k: nbg.sum(x[k:][::-1][:2] * w[:2]),
    }
    wanted = {
        "slice": lambda k: 2 * x0 * ((np.arange(6) >= k) & (np.arange(6) < k + 2)),
        "roll": lambda k: np.roll(w, -k),
        "one": lambda k: 2 * x0 * (np.arange(6) == k),
        "set": lambda k: 2 * x0 * (np.arange(6) != k),
        "reversed": lambda k: np.concatenate([np.zeros(4), w[:2][::-1]]),
    }
    for name, f in functions.items():
        for k in (0, 2, 3, 1, 2, 0, 4):
            x = nbg.TracedTensor.from_tensor(x0)
            np.testing.assert_allclose(f(x, k).grad(x).eval(engine), wanted[name](k), err_msg=f"{name} {k}")


def test_a_gradient_at_another_place_is_recorded_without_being_derived(monkeypatch: pytest.MonkeyPatch) -> None:
    """A step of gradient descent on a part of the data that differs from step to step costs what it costs on one."""
    rng, engine = np.random.default_rng(0), nbg.Engine(jit="never")
    data, places = rng.random((40, 3)), [7, 0, 31, 31, 12, 3, 25]

    rows, inner, derived = nbg.constant(data), derive.Path, []
    monkeypatch.setattr(derive, "Path", lambda *given, **options: derived.append(1) or inner(*given, **options))
    w, wanted = T(np.zeros(3)), np.zeros(3)
    for k in places:
        w.eval(engine)
        w = w - 0.1 * nbg.mean((rows[k : k + 4] @ w - 1.0) ** 2).grad(w)
        x = data[k : k + 4]
        wanted = wanted - 0.1 * 2 * x.T @ (x @ wanted - 1.0) / 4
    np.testing.assert_allclose(w.eval(engine), wanted, rtol=1e-12)
    assert len(derived) == 1  # as long as the structure is not known
