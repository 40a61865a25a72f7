"""Memory of large arrays: lent once at a time, given back when nothing refers to it, bounded."""

import gc
import subprocess
import sys
import threading

import numpy as np
import pytest

import nbgraph as nbg
from nbgraph import memory
from nbgraph.collector import Waiting
from nbgraph.node import LOCK

LARGE = (memory.SMALLEST // 8,)
DOUBLE = np.dtype(float)


@pytest.fixture(autouse=True)
def nothing_waits():
    gc.collect()
    memory.release()
    yield
    memory.release()


def waiting():
    return [each for deque in {id(d): d for d in memory._WAITING.values()}.values() for each in deque]


def address(a):
    return a.ctypes.data


@pytest.mark.parametrize("code", ["f4", "f8", "c8", "c16", "i4", "i8", "b1"])
def test_arrays_are_as_numpy_makes_them(code):
    dtype = np.dtype(code)
    for shape in ((), (0, 3), (3, 4), (2, memory.SMALLEST), (memory.SMALLEST // dtype.itemsize,)):
        for make in (memory.empty, memory.zeros):
            a = make(shape, dtype)
            assert (a.shape, a.dtype, a.strides) == (shape, dtype, np.empty(shape, dtype).strides)
            assert a.dtype is dtype and memory.is_own(a) and a.flags.aligned and a.flags.writeable
        assert not a.any()


def test_memory_is_lent_again_once_nothing_refers_to_it():
    a = memory.empty(LARGE, DOUBLE)
    place, view = address(a), a[3:]
    del a
    b = memory.empty(LARGE, DOUBLE)
    assert address(b) != place and not memory.is_own(view)
    del view
    assert address(memory.empty(LARGE, DOUBLE)) == place


def test_zeros_are_zeros_in_used_memory():
    memory.empty(LARGE, DOUBLE).fill(3)
    assert not memory.zeros(LARGE, DOUBLE).any()


def test_every_size_has_its_memory():
    for nbytes in (*range(memory.SMALLEST, 2 * memory.SMALLEST, 4099), memory.LARGEST - 1, memory.LARGEST):
        size = memory.size_for(nbytes)
        assert nbytes <= size < 1.26 * nbytes and size in memory._WAITING


def test_what_waits_is_bounded():
    arrays = [memory.empty((memory.LARGEST // 8,), DOUBLE) for _ in range(3)]  # not touched, so of no pages
    arrays.clear()
    assert len(waiting()) == 1
    other = memory.empty((memory.LARGEST // 16,), DOUBLE)  # does not fit: what waited is gone
    assert not waiting()
    place = address(other)
    del other
    assert address(memory.empty((memory.LARGEST // 16,), DOUBLE)) == place
    memory.release()
    assert not any(memory._WAITING.values())


def test_released_where_there_is_no_memory(monkeypatch):
    kept = memory.empty(LARGE, DOUBLE)
    del kept
    empty, failures = np.empty, []

    def scarce(*args):
        if not failures:
            failures.append(args)
            raise MemoryError
        return empty(*args)

    monkeypatch.setattr(memory.np, "empty", scarce)
    assert memory.empty((4 * LARGE[0],), DOUBLE).size == 4 * LARGE[0]
    assert failures and not memory._WAITING[memory.SMALLEST]


def test_threads_never_share():
    wrong = []

    def work(k):
        for _ in range(200):
            a = memory.empty(LARGE, DOUBLE)
            a.fill(k)
            if a[0] != k or a[-1] != k or a.sum() != k * a.size:
                wrong.append(k)

    threads = [threading.Thread(target=work, args=(k,)) for k in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert not wrong


@pytest.mark.parametrize("jit", ["never", "always"])
def test_values_stay_what_they_were(jit):
    """Large values of a loop, kept, dropped and differentiated through: none is overwritten while it can be seen."""
    engine = nbg.Engine(jit=jit)
    n = 192
    a0 = np.random.default_rng(0).random((n, n)) / n
    a = nbg.TracedTensor.from_tensor(a0)
    x, kept, want = nbg.constant(np.ones((n, n))), [], np.ones((n, n))
    for k in range(6):
        x = (a @ x + x) * 0.5
        want = (a0 @ want + want) * 0.5
        value = x.eval(engine)
        if k % 2:
            kept.append((value, want))
    gradient = (x * x).sum().grad(a).eval(engine)
    again = (x * x).sum().grad(a).eval(engine)
    np.testing.assert_array_equal(gradient, again)
    for value, wanted in kept:
        np.testing.assert_allclose(value, wanted, rtol=1e-12)


def test_values_cannot_be_written_to():
    x = nbg.TracedTensor.from_tensor(np.ones(LARGE))
    value = (x + 1).eval(nbg.Engine(jit="never"))
    assert not value.flags.writeable
    with pytest.raises(ValueError, match="WRITEABLE"):
        value.setflags(write=True)
    assert nbg.constant(value).eval() is value  # so it need not be copied


def test_no_garbage_collection_while_a_gradient_is_made():
    """It would walk all of a graph that has no cycles; afterwards it is on again, whatever happened."""
    x = nbg.TracedTensor.from_tensor(2.0)
    y = x
    for k in range(400):
        y = y * 0.999 + k
        (y > 0).eval()
    seen = []
    gc.callbacks.append(lambda phase, info: seen.append(phase))
    try:
        with LOCK, Waiting():
            kept = [[k] for k in range(5000)]
            y.grad(x)
            assert not seen
            assert not gc.isenabled()
        assert gc.isenabled()
        with pytest.raises(ZeroDivisionError), LOCK, Waiting():
            len(kept) // 0
        assert gc.isenabled()
        gc.disable()
        with LOCK, Waiting():
            pass
        assert not gc.isenabled()
    finally:
        gc.enable()
        gc.callbacks.pop()


def test_an_interrupt_leaves_no_collector_off(monkeypatch):
    """Ctrl-C just after the collector was switched off, and just before it is switched on again."""
    switch = gc.disable

    def interrupted():
        switch()
        raise KeyboardInterrupt

    monkeypatch.setattr(gc, "disable", interrupted)
    with pytest.raises(KeyboardInterrupt), LOCK, Waiting():
        pass
    monkeypatch.undo()
    put_back()

    def at_its_end(frame, event, _):
        if frame.f_code is Waiting.__exit__.__code__:
            sys.settrace(None)
            raise KeyboardInterrupt

    before = sys.gettrace()
    try:
        with pytest.raises(KeyboardInterrupt), LOCK, Waiting():
            sys.settrace(at_its_end)
    finally:
        sys.settrace(before)
    put_back()


def put_back():
    """Whoever enters next puts back what was, not before it leaves."""
    assert not gc.isenabled()
    with LOCK, Waiting():
        with LOCK, Waiting():
            pass
        assert not gc.isenabled()
    assert gc.isenabled()


@pytest.mark.parametrize(
    ("before", "found"),
    [
        ("", "True True"),
        ("kept = [[] for _ in range(60_000)]", "False True"),  # the process was at work before
        ("gc.disable()", "False False"),
    ],
    ids=["fresh", "at work", "off"],
)
def test_what_a_young_process_imports_is_frozen(before: str, found: str) -> None:
    code = f"import gc\n{before}\nimport nbgraph\nprint(gc.get_freeze_count() > 20_000, gc.isenabled())"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == found
