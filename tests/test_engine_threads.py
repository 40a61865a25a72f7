"""`Engine(threads=)`: how many threads BLAS uses while a program runs, and what is put back."""

from __future__ import annotations

import ctypes
import threading
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import nbgraph as nbg
from nbgraph_kernels import address, blas_threads
from nbgraph_kernels.blas_threads import AtMost, Control, controls

FOUND = 3


class Recorder:
    """A library that has FOUND threads, and what it was told."""

    def __init__(self) -> None:
        self.number = FOUND
        self.told: list[int] = []

    def get(self) -> int:
        return self.number

    def set(self, n: int) -> None:
        self.number = n
        self.told.append(n)


@pytest.fixture
def library(monkeypatch: pytest.MonkeyPatch) -> Iterator[Recorder]:
    recorder = Recorder()
    functions = ctypes.CFUNCTYPE(ctypes.c_int)(recorder.get), ctypes.CFUNCTYPE(None, ctypes.c_int)(recorder.set)
    places = tuple(ctypes.cast(f, ctypes.c_void_p).value for f in functions)
    control = Control(recorder.get, recorder.set, places)
    monkeypatch.setattr(blas_threads, "controls", lambda: [control])
    monkeypatch.setattr(blas_threads, "functions", lambda: places)  # what short programs call by themselves
    yield recorder
    assert recorder.number == FOUND


def numbers() -> list[int]:
    return [control.get() for control in controls()]


def test_the_real_libraries() -> None:
    address("dgemm")
    found = numbers()
    with AtMost(1):
        assert set(numbers()) <= {1}
        with AtMost(2):
            assert set(numbers()) <= {1}
    assert numbers() == found


def test_it_is_put_back_after_an_error(library: Recorder) -> None:
    with pytest.raises(KeyError), AtMost(1):
        raise KeyError
    assert library.told == [1, FOUND]


def test_nothing_is_told_what_it_knows(library: Recorder) -> None:
    with AtMost(FOUND):
        pass
    assert library.told == []


def test_the_smallest_of_several_threads_counts(library: Recorder) -> None:
    inside, leave = threading.Event(), threading.Event()

    def hold() -> None:
        with AtMost(1):
            inside.set()
            leave.wait()

    thread = threading.Thread(target=hold)
    with AtMost(2):
        thread.start()
        inside.wait()
        assert library.number == 1
        leave.set()
        thread.join()
        assert library.number == 2


def large() -> Any:
    return nbg.TracedTensor.from_tensor(np.ones((80, 80)))


@pytest.mark.parametrize("jit", ["never", "always"])
def test_products_run_with_the_engines_number(jit: str, library: Recorder) -> None:
    engine = nbg.Engine(jit=jit, cache_dir=None, threads=2)
    x = large()
    for _ in range(3):  # the first time, and as a route
        library.told.clear()
        (x @ x).eval(engine)
        assert library.told == [2, FOUND]


def test_factorisations_of_any_size(library: Recorder) -> None:
    x = nbg.TracedTensor.from_tensor(np.eye(3))
    for _ in range(3):
        library.told.clear()
        nbg.linalg.eigh(x)[0].eval(nbg.Engine(jit="never"))
        assert library.told == [1, FOUND]


def test_programs(library: Recorder) -> None:
    engine, x = nbg.Engine(cache_dir=None), large()
    program = engine.compile([x @ x], [x])
    y = x
    for _ in range(3):
        y = y @ x
        y.eval()
    long = engine.compile([y], [x])
    for p in (program, long):
        library.told.clear()
        p(np.ones((80, 80)))
        assert library.told == [1, FOUND]


def test_what_uses_one_thread_anyway_is_not_told(library: Recorder) -> None:
    engine = nbg.Engine(jit="always", cache_dir=None)
    x, y = nbg.TracedTensor.from_tensor(np.ones((4, 4))), large()
    for _ in range(3):
        (x @ x).eval(engine)
        (y * y).eval(engine)
    assert engine.compile([x @ x], [x])(np.ones((4, 4)))[0][0, 0] == 4.0
    assert library.told == []


@pytest.mark.parametrize("threads", [0, -1, 1.5, None, True])
def test_no_number_of_threads(threads: Any) -> None:
    with pytest.raises(nbg.errors.NbgraphError, match="no number of threads"):
        nbg.Engine(threads=threads)
