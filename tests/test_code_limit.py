"""`Engine(code_limit=)`: how much machine code an engine makes, and what it does with what comes after."""

from __future__ import annotations

import gc
import warnings
import weakref

import numpy as np
import pytest

import nbgraph as nbg

X = np.array([0.5, 1.0, 2.0])
FUNCTIONS = (nbg.sin, nbg.cos, nbg.exp, nbg.log, nbg.tanh, nbg.sqrt)


def values(engine: nbg.Engine) -> None:
    """Six structures, each right."""
    x = nbg.TracedTensor.from_tensor(X)
    for f in FUNCTIONS:
        np.testing.assert_allclose((f(x) * 2).eval(engine), getattr(np, f.__name__)(X) * 2, rtol=1e-14)


def test_beyond_the_limit_what_is_new_is_interpreted() -> None:
    engine = nbg.Engine(jit="always", cache_dir=None, code_limit=1)
    with pytest.warns(RuntimeWarning, match=r"bytes, its `code_limit`: what is new to it is interpreted") as caught:
        for _ in range(2):
            values(engine)
    assert len(caught) == 1
    s = engine.stats()
    assert (s.compiled, s.refused, s.hits, s.interpreted) == (1, 5, 2, 10)
    assert s.code_bytes > 0


def test_within_the_limit_nothing_is_refused() -> None:
    engine = nbg.Engine(jit="always", cache_dir=None)
    values(engine)
    s = engine.stats()
    assert engine.code_limit == 2**28 and (s.compiled, s.refused, s.interpreted) == (6, 0, 0)
    unlimited = nbg.Engine(jit="never", code_limit=None)
    values(unlimited)
    assert unlimited.stats().refused == 0


@pytest.mark.parametrize("jit", ["auto", "always"])
def test_loops_and_gradients_go_on(jit: str) -> None:
    """A limit of nothing: as interpreted, to the bit."""

    def gradient(engine: nbg.Engine) -> np.ndarray:
        a, x = nbg.TracedTensor.from_tensor(np.outer(X, X) + np.eye(3)), nbg.constant(X)
        for k in range(20):
            y = a @ x
            x = y / nbg.linalg.norm(y)
            if k % 2:
                x.eval(engine)
        return nbg.sum(x * X).grad(a).eval(engine)

    full, plain = nbg.Engine(jit=jit, cache_dir=None, code_limit=0), nbg.Engine(jit="never")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        np.testing.assert_array_equal(gradient(full), gradient(plain))
    s = full.stats()
    assert s.compiled == s.hits == s.code_bytes == 0 < s.refused and s.interpreted == plain.stats().interpreted


def test_what_is_on_disk_is_not_loaded_beyond_the_limit(tmp_path) -> None:
    values(nbg.Engine(jit="always", cache_dir=tmp_path))
    engine = nbg.Engine(cache_dir=tmp_path, code_limit=1)
    with pytest.warns(RuntimeWarning, match="code_limit"):
        values(engine)
    s = engine.stats()
    assert (s.loaded, s.refused, s.interpreted) == (1, 5, 5)


def test_what_is_asked_for_is_compiled_and_counts() -> None:
    x = nbg.TracedTensor.placeholder((3,), name="x")
    engine = nbg.Engine(jit="always", cache_dir=None, code_limit=0)
    program = engine.compile([nbg.sin(x).sum()], [x])
    np.testing.assert_allclose(program(X)[0], np.sin(X).sum())
    s = engine.stats()
    assert (s.compiled, s.refused) == (1, 0) and s.code_bytes > 0


def test_code_goes_with_its_engine() -> None:
    engine = nbg.Engine(jit="always", cache_dir=None)
    values(engine)
    alive = [weakref.ref(code.machine.keepalive) for code in engine.native.codes.values()]
    assert len(alive) == 6
    del engine
    gc.collect()
    assert not any(each() for each in alive)


@pytest.mark.parametrize("limit", [-1, 1.5, "1M", True])
def test_what_is_no_limit(limit: object) -> None:
    with pytest.raises(nbg.NbgraphError, match="not a limit"):
        nbg.Engine(code_limit=limit)  # type: ignore[arg-type]
