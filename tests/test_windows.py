"""What another thread does between two steps of this one: its step is put just there, so that a race is no chance.

Each test lets it happen once, at the one place where it did harm before.
"""

from __future__ import annotations

import ctypes
import gc
import os
import pickle
import signal
import subprocess
import sys
import threading
import warnings
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from typing import Any

import numpy as np
import pytest

import nbgraph as nbg
from nbgraph import joins, memory, pickling, picks
from nbgraph.decided import Decided, undecided
from nbgraph.engine import backward, core, interpreter, quick, recipe, routes
from nbgraph.jit import TRACES, _Traces, is_tracing
from nbgraph.leaves import leaf
from nbgraph.node import LOCK
from nbgraph.path import seal
from nbgraph_kernels import blas_threads, locks
from nbgraph_kernels.blas_threads import AtMost, controls

T = nbg.TracedTensor.from_tensor
FORKS = pytest.mark.skipif(not hasattr(os, "fork"), reason="POSIX")


def never() -> Any:
    return nbg.Engine(jit="never")


def elsewhere(work: Callable[[], Any], wait: float = 60.0) -> threading.Thread:
    """Another thread that does something; it is waited for as long as that."""
    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    thread.join(wait)
    return thread


def once_before(patch: pytest.MonkeyPatch, owner: Any, name: str, work: Callable[[], Any]) -> list[None]:
    """Has `work` done just before a function is called for the first time from now on; how often it was called."""
    function, seen = getattr(owner, name), []

    def late(*args: Any, **kwargs: Any) -> Any:
        seen.append(None)
        if len(seen) == 1:
            work()
        return function(*args, **kwargs)

    patch.setattr(owner, name, late)
    return seen


def equal(got: Any, wanted: Any) -> None:
    np.testing.assert_allclose(got, wanted, rtol=1e-12, atol=1e-14)


# -- calls that others take the place of ------------------------------------------------------------------------------


def test_a_join_that_is_taken_apart_while_it_is_run(monkeypatch: pytest.MonkeyPatch) -> None:
    x = T([1.0, 2.0])
    y = nbg.stack([x * k for k in range(joins.MANY + 1)])
    seen = once_before(monkeypatch, routes, "_run_join", lambda: elsewhere(lambda: pickle.dumps(y)))
    for k in y.call.inputs:
        k.eval(never())
    equal(y.eval(never()), np.outer(np.arange(joins.MANY + 1.0), [1.0, 2.0]))
    assert seen


def test_slices_that_another_thread_computes(monkeypatch: pytest.MonkeyPatch) -> None:
    w = T(np.arange(12.0).reshape(4, 3))
    table = nbg.sin(w)
    table.sum().grad(w)  # sealed, without a value
    rows = [table[k] for k in range(4)]
    seal(rows)
    assert {type(row.call) for row in rows} == {picks.PickCall}
    seen = once_before(monkeypatch, picks, "values", lambda: elsewhere(lambda: nbg.eval(*rows, engine=never())))
    equal(nbg.eval(*rows, engine=never()), np.sin(np.arange(12.0).reshape(4, 3)))
    assert len(seen) == 2


def test_operands_of_a_repeat_that_become_values_of_other_calls(monkeypatch: pytest.MonkeyPatch) -> None:
    """The steps of a loop are handed slices; a pickle takes these apart while the gradient is computed."""
    n = 12
    w0 = np.linspace(0.1, 1.0, 3 * n).reshape(n, 3)
    step = nbg.jit(lambda y, row: nbg.tanh(y * 0.9 + row))

    def gradient() -> tuple[Any, Any]:
        w, x = T(w0), T([0.5, 0.2, 0.1])
        table, y = nbg.sin(w), x
        seal([table])
        for k in range(n):
            y = step(y, table[k])
        return y, y.sum().grad([w, x])

    wanted = [g.eval(never()) for g in gradient()[1]]
    y, found = gradient()
    seen = once_before(monkeypatch, core, "run_repeat", lambda: elsewhere(lambda: pickle.dumps(y)))
    for g, value in zip(found, wanted, strict=True):
        equal(g.eval(never()), value)
    assert seen


def test_a_program_made_while_history_is_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    x, c = nbg.TracedTensor.placeholder((2,), name="x"), nbg.constant([1.0, 2.0])
    y = nbg.exp(c)
    z = x * y
    seal([y])
    late: list[threading.Thread] = []
    once_before(monkeypatch, recipe, "_name", lambda: late.append(elsewhere(lambda: y.eval(never()), 0.2)))
    program = never().compile([z, y], [x])
    late[0].join()
    values, constant = program(np.array([3.0, 4.0]))
    equal(values, np.exp([1.0, 2.0]) * [3.0, 4.0])
    equal(constant, np.exp([1.0, 2.0]))


def test_a_pickle_of_what_is_evaluated_meanwhile(monkeypatch: pytest.MonkeyPatch) -> None:
    x = T([1.0, 2.0])
    y = nbg.sin(x) * nbg.cos(x)
    below, late = pickling._below, []

    def slow(node: Any) -> Any:
        found = below(node)
        late.append(elsewhere(lambda: y.eval(never()), 0.2))
        return found

    monkeypatch.setattr(pickling, "_below", slow)
    again, x_again = pickle.loads(pickle.dumps((y, x)))
    for thread in late:
        thread.join()
    equal(again.eval(never()), np.sin([1.0, 2.0]) * np.cos([1.0, 2.0]))
    equal(again.sum().grad(x_again).eval(never()), np.cos([2.0, 4.0]))


@pytest.mark.parametrize("work", ["differentiates", "evaluates"])
def test_a_gradient_through_a_loop_that_two_threads_work_with(work: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Just before its repeat runs, the other one has it taken apart for a second derivative, or runs it too."""

    def loop() -> tuple[Any, Any]:
        a, x = T(np.eye(3) + 0.1), nbg.constant(np.ones(3))
        for _ in range(10):
            x = nbg.tanh(a @ x)
            x.eval(never())
        return a, (x @ (a @ x)).grad(a)

    a, g = loop()
    wanted = g.eval(never()), nbg.sum(g * g).grad(a).eval(never())
    a, g = loop()
    second: list[Any] = []

    def other() -> None:
        if work == "evaluates":
            equal(g.eval(never()), wanted[0])
        second.append(nbg.sum(g * g).grad(a))

    seen = once_before(monkeypatch, backward, "run_repeat", lambda: elsewhere(other))
    equal(g.eval(never()), wanted[0])
    assert seen and second
    equal(second[0].eval(never()), wanted[1])


# -- what is not unique is computed once ------------------------------------------------------------------------------


@pytest.mark.parametrize("sealed", [False, True], ids=["open", "sealed"])
def test_another_threads_choice_of_factors_is_everybodys(sealed: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """One run finds other signs of singular vectors than the other, as good as these."""
    a0 = np.random.default_rng(0).uniform(-1, 1, (4, 3))
    run, signs = interpreter.run, threading.local()

    def run_with_signs(bound: Any, arrays: Any, totals: Any = ()) -> Any:
        outs = run(bound, arrays, totals)
        if not getattr(signs, "other", False) or not any(i.op.name == "svd" for i in bound.program.body.instrs):
            return outs
        return [-out if out.ndim == 2 else out for out in outs]

    a = T(a0)
    u, s, vt = nbg.linalg.svd(a, full_matrices=False)
    if sealed:
        seal([u, s, vt])

    def other() -> None:
        signs.other = True
        vt.eval(never())

    monkeypatch.setattr(interpreter, "run", run_with_signs)
    seen = once_before(monkeypatch, interpreter, "run", lambda: elsewhere(other))
    values = u.eval(never()), s.eval(never()), vt.eval(never())
    assert seen
    equal((values[0] * values[1]) @ values[2], a0)
    equal(((u * s) @ vt).eval(never()), a0)


# -- interrupts -------------------------------------------------------------------------------------------------------


def test_an_interrupted_trace_is_over() -> None:
    """Ctrl-C at any line while a trace begins: else all later calls would count as part of it."""
    first, left = _Traces.here.__wrapped__.__code__, 0

    def trace(frame: Any, event: str, _: Any) -> Any:
        nonlocal left
        if frame.f_code is not first:
            return None
        if event == "line":
            left -= 1
            if left < 0:
                sys.settrace(None)
                raise KeyboardInterrupt
        return trace

    before = sys.gettrace()
    for lines in range(5):
        left = lines
        sys.settrace(trace)
        try:
            with TRACES.here():
                sys.settrace(before)
        except KeyboardInterrupt:
            pass
        finally:
            sys.settrace(before)
        assert not is_tracing(), lines


@pytest.mark.parametrize("error", [MemoryError, KeyboardInterrupt])
def test_memory_that_was_not_to_be_had(error: type[BaseException], monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is left half-made, which would complain (an error here) as it goes."""

    def fail(size: int) -> Any:
        raise error

    memory.release()
    monkeypatch.setattr(memory, "_fresh", fail)
    with pytest.raises(error):
        memory.empty((memory.SMALLEST,), np.dtype(float))
    gc.collect()
    monkeypatch.undo()
    assert memory.empty((memory.SMALLEST,), np.dtype(float)).nbytes == 8 * memory.SMALLEST


def test_a_handler_of_a_signal_may_use_the_library_wherever_it_comes() -> None:
    """Within a lock too: none of them shuts out the thread that is inside."""
    assert len(locks._LOCKS) > 8
    for lock in list(locks._LOCKS):
        with lock:
            y = nbg.sin(T([1.0, float(id(lock) % 7)])).sum()
            y.eval(never())
            assert nbg.TracedTensor.placeholder((f"n{id(lock)}",)).ndim == 1


def test_a_name_that_another_thread_decides() -> None:
    name = Decided(leaf(np.array(3), False))
    assert undecided([name]) == [name.node]
    name.value, name.node = 3, None
    assert undecided([name]) == []


# -- processes --------------------------------------------------------------------------------------------------------


def in_child(work: Callable[[], bytes]) -> bytes:
    """What `work` gives in a forked process, which is killed after a minute."""
    reading, writing = os.pipe()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of threads that are not in the child
        child = os.fork()
    if not child:
        try:
            signal.alarm(60)
            os.write(writing, work())
        finally:
            os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as file:
        found = file.read()
    os.waitpid(child, 0)
    return found


def computed() -> bytes:
    x = T([1.0, 2.0, float(os.getpid())])
    y = (nbg.sin(x) * nbg.cosh(x)).sum()
    return repr(y.grad(x).eval(never()).tolist()[:2]).encode()


@FORKS
def test_a_process_forked_while_another_thread_is_inside_of_locks() -> None:
    leave = threading.Event()
    inside = threading.Barrier(2)

    def hold() -> None:
        with ExitStack() as inside_of, TRACES.here(), AtMost(1):
            for each in set(locks._LOCKS) - set(locks._AWAITED.values()):
                inside_of.enter_context(each)
            inside.wait()
            leave.wait()

    thread = threading.Thread(target=hold)
    # What the libraries have when nobody is inside: an earlier test's thread may be.
    found = [blas_threads._FOUND.get(control, control.get()) for control in controls()]
    thread.start()
    inside.wait()
    try:
        assert in_child(computed) == computed_elsewhere()
        state = in_child(lambda: repr((TRACES.running, [c.get() for c in controls()] == found)).encode())
        assert state == b"(set(), True)"
    finally:
        leave.set()
        thread.join()


def test_a_limit_of_threads_that_an_interrupt_kept_from_being_set_is_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: Any) -> None:
        raise KeyboardInterrupt

    before = list(blas_threads._WANTED)
    monkeypatch.setattr(blas_threads, "_tell", interrupted)
    with pytest.raises(KeyboardInterrupt), AtMost(1):
        pass
    assert before == blas_threads._WANTED


def computed_elsewhere() -> bytes:
    x = np.array([1.0, 2.0])
    return repr((np.cos(x) * np.cosh(x) + np.sin(x) * np.sinh(x)).tolist()).encode()


@FORKS
def test_a_fork_waits_until_the_graph_is_whole() -> None:
    """What another thread was changing is changed when the process is forked."""
    changing, changed = threading.Event(), []

    def change() -> None:
        with LOCK:
            changing.set()
            asked.wait()
            changed.append(True)

    asked = threading.Event()
    thread = threading.Thread(target=change)
    thread.start()
    changing.wait()
    threading.Timer(0.05, asked.set).start()
    assert in_child(lambda: repr(changed).encode() + computed()) == b"[True]" + computed_elsewhere()
    thread.join()
    assert not locks._TAKEN


@FORKS
def test_values_that_two_forked_processes_made_are_two() -> None:
    """Both number what they make alike."""
    x = T([1.0, 2.0])
    pickles = [in_child(lambda k=k: pickle.dumps(x * k)) for k in (3.0, 5.0)]
    found = [pickle.loads(text) for text in pickles]
    equal([y.eval(never()) for y in found], [[3.0, 6.0], [5.0, 10.0]])


def test_two_threads_that_need_blas_first() -> None:
    """The module that its addresses come from is initialised once."""
    code = """
import threading
from nbgraph_kernels import pointers
make, both, errors = pointers.module_from_spec, threading.Barrier(2), []

def late(spec):
    made = make(spec)
    try:
        both.wait(0.3)
    except threading.BrokenBarrierError:
        pass
    return made

def work():
    try:
        assert pointers.address("dgemm")
    except BaseException as error:
        errors.append(error)

pointers.module_from_spec = late
threads = [threading.Thread(target=work) for _ in range(2)]
for t in threads: t.start()
for t in threads: t.join()
import scipy.linalg
print(errors)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]", done.stdout


# -- compiled code lets others run ------------------------------------------------------------------------------------


def test_another_thread_runs_while_compiled_code_does() -> None:
    """The compiled code waits for what the other thread does; if it kept the interpreter's lock, that never came.

    (Short programs keep it, those of less than `quick.SHORT` bytes.)
    """
    from nbgraph_kernels.compile import compile_words
    from nbgraph_kernels.words import POINTERS, call_at

    table = POINTERS["i8"]

    def nothing(w: Any) -> int:
        return 0

    def wait(w: Any) -> int:
        """Says that it is there, then waits until the first element of the first array is 1: every look is behind a
        call, so it is one."""
        flag = table(w[0])
        flag[0] = 2
        for _ in range(2_000_000_000):
            if flag[0] == 1:
                return 0
            call_at(flag[1], w[0])
        return 1

    callee, waiter = compile_words(nothing, plain=True), compile_words(wait, plain=True)
    engine = nbg.Engine(jit="always")
    (nbg.constant(np.zeros(quick.SHORT // 8, np.int64)) + 1).eval(engine)
    (code,) = engine.native.codes.values()
    machine = code.machine
    for k, evaluate in enumerate((nbg.TracedTensor.eval, partial(nbg.eval, engine=engine))):  # by a route, and without
        x = nbg.constant(np.array([0, callee.address, *[0] * (quick.SHORT // 8 + k)], np.int64))
        y = x + 1
        address, machine.address = machine.address, waiter.address
        done = threading.Thread(target=evaluate, args=(y,) if k else (y, engine), daemon=True)
        done.start()
        while x.data[0] == 0 and done.is_alive():
            pass
        ctypes.c_int64.from_address(x.data.ctypes.data).value = 1
        done.join()
        machine.address = address
        assert y.data is not None
