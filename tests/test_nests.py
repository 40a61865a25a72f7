"""Nests that are functions of their own: the same bits as inside a program, and equal ones are compiled once."""

from __future__ import annotations

from typing import Any

import numpy as np
import programs
import pytest

import nbgraph as nbg
from nbgraph import Engine, TracedTensor
from nbgraph.codegen import fuse

Array = np.ndarray[Any, Any]


def orthogonal(vectors: Any, image: Any, steps: int) -> Any:
    """Gram-Schmidt as Lanczos does it: nests that are alike but for what they read."""
    basis: list[Any] = []
    v = vectors
    for _ in range(steps):
        for u in basis:
            v = v - nbg.sum(u * v) * u
        basis.append(v / nbg.sqrt(nbg.sum(v * v) + 1e-300))
        v = image @ basis[-1]
    return nbg.stack(basis)


def named(steps: int) -> tuple[Any, list[Any]]:
    v = TracedTensor.placeholder(("n",), name="v")
    a = TracedTensor.placeholder(("n", "n"), name="a")
    return orthogonal(v, a, steps), [v, a]


def given(n: int) -> list[Array]:
    rng = np.random.default_rng(n)
    return [rng.normal(size=n), rng.normal(size=(n, n))]


def test_more_of_the_same_compiles_no_more_nests() -> None:
    """Their number follows from what there is to do, not from how often; another program finds them there."""
    counts = []
    for steps in (4, 7):
        engine = Engine(jit="always", cache_dir=None)
        out, inputs = named(steps)
        program = engine.compile(out, inputs)
        counts.append(len(engine.native.objects.nests))
        for n in (1, 5, 12):
            basis = program(*given(n))
            want = orthogonal(*map(nbg.constant, given(n)), steps).eval(Engine(jit="never"))
            np.testing.assert_allclose(basis[: min(n, 3)], want[: min(n, 3)], rtol=1e-9, atol=1e-9)
    assert 0 < counts[1] <= counts[0] + 3, counts
    out, inputs = named(7)
    engine.compile([out, nbg.sum(out)], inputs)
    assert len(engine.native.objects.nests) <= counts[1] + 1


@pytest.mark.parametrize("seed", range(4))
def test_the_same_bits_as_inside_the_program(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Random programs and their gradients, each nest apart or none."""
    program = programs.random_program(seed, dtypes="dddDfi?")
    results = []
    for many in (1, 10**9):
        monkeypatch.setattr(fuse, "MANY_NESTS", many)
        engine = Engine(jit="always", cache_dir=None)
        pool: list[Any] = [TracedTensor.from_tensor(v) for v in program.leaves]
        for step in program.steps:
            pool.append(step.apply(nbg, pool))
        active = sorted(program.active())
        loss = sum(nbg.sum(nbg.real(pool[i] * nbg.conj(pool[i]))) for i in active)
        leaves = [pool[i] for i in active if i < len(program.leaves)]
        gradient = loss.grad(leaves, allow_unused=True) if leaves else []
        results.append(nbg.eval(*pool, *gradient, engine=engine))
        assert bool(engine.native.objects.nests) == (many == 1)
    for apart, inside in zip(*results, strict=True):
        np.testing.assert_array_equal(apart, inside)


def test_they_are_found_on_disk(tmp_path: Any) -> None:
    counts = []
    for _ in range(2):
        engine = Engine(jit="always", cache_dir=tmp_path)
        out, inputs = named(4)
        got = engine.compile(out, inputs)(*given(6))
        counts.append((engine.stats().compiled, engine.stats().loaded, len(engine.native.objects.nests)))
        want = orthogonal(*map(nbg.constant, given(6)), 4).eval(Engine(jit="never"))
        np.testing.assert_allclose(got, want, rtol=1e-9, atol=1e-9)
    assert counts[0][0] == counts[1][1] > 0 == counts[1][0] == counts[0][1]
    assert counts[0][2] == counts[1][2] > 3


def test_a_lost_file_is_made_again(tmp_path: Any) -> None:
    for lost in ("nest-", "fragment-"):
        engine = Engine(jit="always", cache_dir=tmp_path)
        out, inputs = named(4)
        engine.compile(out, inputs)(*given(3))
        files = [f for f in tmp_path.rglob("*") if f.name.startswith(lost)]
        assert files
        for f in files:
            f.unlink()
    engine = Engine(jit="auto", cache_dir=tmp_path)
    out, inputs = named(4)
    assert engine.compile(out, inputs)(*given(3)).shape == (4, 3)
