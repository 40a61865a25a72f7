"""Short programs are builtin functions: what they return, what they refuse, what they keep and count."""

from __future__ import annotations

import ctypes
import gc
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest

import nbgraph as nbg
import nbgraph_kernels as kernels
from nbgraph.engine.quick import SHORT, never
from nbgraph_kernels import blas_threads, python_api

pytestmark = pytest.mark.skipif(not python_api.AVAILABLE, reason="this Python cannot be given builtin functions")

T = nbg.TracedTensor.from_tensor
ENGINE = nbg.Engine(jit="always", cache_dir=None)


def compiled(function: Any, *arrays: Any) -> Any:
    """The program of a function of arrays, called once."""
    leaves = [T(a) for a in arrays]
    program = ENGINE.compile([function(*leaves)], leaves)
    program(*arrays)
    return program


def is_quick(program: Any) -> bool:
    return program._quick is not never


def test_it_is_a_builtin_function_and_right() -> None:
    a, b = np.arange(6.0).reshape(2, 3), np.arange(12.0).reshape(3, 4)
    program = compiled(lambda x, y: (x @ y) * 2.0, a, b)
    assert type(program._quick) is type(len)
    for _ in range(3):
        (found,) = program(a, b)
        np.testing.assert_allclose(found, a @ b * 2)
        assert found.flags.writeable and found.flags.owndata


@pytest.mark.parametrize("shape", [(), (0,), (2, 0, 3), (1, 1), (5,)])
def test_shapes(shape: tuple[int, ...]) -> None:
    a = np.ones(shape)
    program = compiled(lambda x: x + x, a)
    assert is_quick(program)
    np.testing.assert_array_equal(program(a)[0], a + a)


def test_other_arrays_go_the_general_way() -> None:
    a = np.arange(9.0).reshape(3, 3)
    program = compiled(lambda x: x + 1.0, a)

    class Sub(np.ndarray[Any, Any]):
        pass

    for other in (a.T, a.view(Sub), np.asfortranarray(a), a.tolist(), a[::-1], a.astype("f8")):
        np.testing.assert_array_equal(program(other)[0], np.asarray(other) + 1)
    for wrong in ((), (a, a), (a.astype("c16"),), (a[0],)):
        with pytest.raises((nbg.errors.BindingError, nbg.errors.ShapeError, nbg.errors.DtypeError)):
            program(*wrong)
    np.testing.assert_array_equal(program(a)[0], a + 1)


def test_nothing_is_leaked() -> None:
    a = np.arange(4.0)
    program = compiled(lambda x: x * x, a)
    gc.collect()
    watched = (a, None, np.dtype("f8"), program._quick)
    before = [sys.getrefcount(x) for x in watched]
    for _ in range(500):
        program(a)
        program._quick(1)
        program._quick()
    after = [sys.getrefcount(x) for x in watched]
    assert all(abs(x - y) < 50 for x, y in zip(before, after, strict=True))
    (found,) = program(a)
    assert sys.getrefcount(found) == 2


def test_what_it_needs_stays_alive() -> None:
    a = np.arange(16.0)
    quick = compiled(lambda x: nbg.sum(nbg.cumsum(x)[::-1] * np.arange(16.0)) + x, a)._quick
    gc.collect()
    junk = [np.full(64, np.nan) for _ in range(200)]
    np.testing.assert_allclose(quick(a)[0], (np.cumsum(a)[::-1] * np.arange(16)).sum() + a)
    assert len(junk) == 200


def test_it_counts() -> None:
    a = np.ones(3)
    program = compiled(lambda x: x * x + x, a)
    before, start = ENGINE.stats(), time.perf_counter()
    for _ in range(10):
        program(a)
    seconds, after = time.perf_counter() - start, ENGINE.stats()
    assert after.hits - before.hits == 10
    assert after.operations - before.operations == 20
    assert 0 < after.run_seconds - before.run_seconds < seconds


def test_a_failing_operation_is_named() -> None:
    engine = nbg.Engine(jit="always", cache_dir=None, threads=2)
    x = T(np.eye(2))
    program = engine.compile([nbg.linalg.solve(x, x)], [x])
    program(np.eye(2))
    for _ in range(2):
        with pytest.raises(nbg.errors.LinAlgError):
            program(np.zeros((2, 2)))
    np.testing.assert_array_equal(program(np.eye(2))[0], np.eye(2))


def test_what_is_not_short_is_not_one() -> None:
    n = SHORT // 16
    for size, short in ((n, True), (n + 1, False)):
        program = compiled(lambda x: -x, np.ones(size))
        assert is_quick(program) is short
        np.testing.assert_array_equal(program(np.ones(size))[0], -np.ones(size))


def test_a_product_alone_may_be_longer() -> None:
    a, b = np.random.default_rng(2).standard_normal((2, 128, 128))
    for function, short in (
        (lambda x, y: x @ y, True),
        (lambda x, y: x @ y + 1.0, False),  # the product is in the workspace
        (lambda x, y: nbg.sort(x, axis=1) @ y, False),
    ):
        program = compiled(function, a, b)
        assert is_quick(program) is short
        np.testing.assert_allclose(program(a, b)[0], np.asarray(function(T(a), T(b))), atol=1e-12)


def test_outputs_in_another_order() -> None:
    a, b = np.arange(4.0), np.full((2, 2), 3.0)
    x, y = T(a), T(b)
    program = ENGINE.compile([nbg.sum(y), x + 1.0, y * 2.0], [x, y])
    swapped = ENGINE.compile([y * 2.0, nbg.sum(y), x + 1.0], [x, y])
    for p, order in ((program, (0, 1, 2)), (swapped, (2, 0, 1))):
        p(a, b)
        assert is_quick(p)
        for got, k in zip(p(a, b), order, strict=True):
            np.testing.assert_array_equal(got, (np.array(12.0), a + 1, b * 2)[k])


def test_factorisations_tell_blas_how_many_threads(monkeypatch: Any) -> None:
    """One while the program runs, and then as many as before; nothing is told where that is so already."""
    used, told = [4], []
    get = ctypes.CFUNCTYPE(ctypes.c_int)(lambda: used[0])
    put = ctypes.CFUNCTYPE(None, ctypes.c_int)(lambda n: (told.append(n), used.__setitem__(0, n))[0])
    places = tuple(ctypes.cast(f, ctypes.c_void_p).value for f in (get, put))
    monkeypatch.setattr(blas_threads, "functions", lambda: places)
    a = np.array([[4.0, 2.0], [2.0, 5.0]])
    program = compiled(nbg.linalg.cholesky, a)
    assert is_quick(program)
    told.clear()
    np.testing.assert_allclose(program(a)[0], np.linalg.cholesky(a))
    assert (told, used) == ([1, 4], [4])
    used[0] = 1
    program(a)
    assert told == [1, 4]
    with pytest.raises(nbg.LinAlgError, match="cholesky"):
        used[0] = 4
        program(-a)
    assert used == [4]


def test_evals_take_it_too() -> None:
    kernels.kernel("builtin")  # is there where a program was compiled, or many evals were made
    x = T(np.ones(3))
    for k in range(4):
        before = int(ENGINE.counters.tally[0])
        assert (x * float(k)).eval(ENGINE).tolist() == [k] * 3
    assert int(ENGINE.counters.tally[0]) == before + 1


def test_after_many_evals_what_makes_builtin_functions_is_compiled(monkeypatch: Any) -> None:
    """Where nobody has compiled it before; the same values and counts before and after."""
    from nbgraph.engine import runners
    from nbgraph_kernels import registry

    monkeypatch.setattr(runners, "PAYS_SOON", 5)
    monkeypatch.setattr(registry, "_MADE", {k: v for k, v in registry._MADE.items() if k[0] != "builtin"})
    engine = nbg.Engine(jit="always", cache_dir=None)
    x = nbg.TracedTensor.from_tensor([1.0, 2.0, 3.0])
    made = []
    for k in range(12):
        np.testing.assert_array_equal((x * float(k)).eval(engine), np.array([1.0, 2.0, 3.0]) * k)
        made.append(registry.is_made("builtin"))
    assert made == sorted(made) and not made[3] and made[-1]
    s = engine.stats()
    assert (s.evals, s.hits, s.operations, s.interpreted) == (12, 12, 12, 0)


def test_many_threads() -> None:
    a = np.arange(64.0).reshape(8, 8)
    program = compiled(lambda x: nbg.tanh(x @ x) @ x, a)
    assert is_quick(program)

    def run(k: int) -> bool:
        mine = a + k
        wanted = np.tanh(mine @ mine) @ mine
        return all(np.allclose(program(mine)[0], wanted) for _ in range(200))

    with ThreadPoolExecutor(4) as pool:
        assert all(pool.map(run, range(8)))
