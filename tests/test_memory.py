"""Memory of large arrays: handed out again when nothing lies in it any more, never before."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
import pytest

import nbgraph as nbg
from nbgraph import memory

F8 = np.dtype("float64")
SHAPE = (150, 150)


@pytest.fixture(autouse=True)
def nothing_idle(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "_IDLE", {})


def address(a: Any) -> int:
    return int(a.__array_interface__["data"][0])


def test_a_block_is_used_again_only_when_every_view_of_it_is_gone() -> None:
    a = memory.empty(SHAPE, F8)
    where, view = address(a), a[3:5].T
    del a
    assert memory.idle() == 0 and address(memory.empty(SHAPE, F8)) != where
    view = view.reshape(-1)[:2] if view.flags.c_contiguous else view[:1]
    held = memory.idle()
    del view
    assert memory.idle() > held
    assert where in {address(x) for x in [memory.empty(SHAPE, F8) for _ in range(2)]}


def test_arrays_are_aligned_writable_and_of_any_dtype() -> None:
    for dtype in (np.bool_, np.int32, np.float32, np.complex128):
        a = memory.zeros((1000, 300), np.dtype(dtype))
        assert a.flags.c_contiguous and a.flags.writeable and address(a) % 64 == 0 and not a.any()
        a.fill(1)
        b = memory.copy(a[::2])
        assert b.flags.c_contiguous and b.all() and not np.shares_memory(a, b)
    assert memory.empty((3,), F8).base is None


def test_no_more_than_the_limit_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "LIMIT", 3 * 1024 * 1024)
    arrays = [memory.empty((512, 512), F8) for _ in range(4)]
    del arrays
    assert memory.idle() == 2 * 1024 * 1024


def test_evals_of_large_arrays_in_several_threads_keep_their_values() -> None:
    rng = np.random.default_rng(0)
    inputs, wrong = [rng.random((200, 200)) for _ in range(3)], []

    def work(a: np.ndarray[Any, Any]) -> None:
        engine = nbg.Engine(jit="always", cache_dir=None)
        kept = []
        for k in range(12):
            x = nbg.TracedTensor.from_tensor(a)
            value = (x * k + a).eval(engine)
            kept.append((k, value if k % 3 else value[:5]))
        wrong.extend(k for k, v in kept if not np.array_equal(v, (a * k + a)[: len(v)]))

    threads = [threading.Thread(target=work, args=(a,)) for a in inputs]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert not wrong
