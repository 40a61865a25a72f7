"""Long computations as compiled programs: right for loops of every kind, and one call of machine code each.

Every loop is a Python function of tensors. It is recorded once, compiled, and called with other arrays; what comes out
must be what the same function gives when it is recorded from those and interpreted.
"""

from __future__ import annotations

import itertools
import pickle
import threading
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

import nbgraph as nbg
from nbgraph import Engine, LinAlgError, TracedTensor
from nbgraph.engine import recipe
from nbgraph.engine.replay import Replay
from nbgraph.engine.tape import runs_of
from nbgraph_kernels.arrays import ENTRY_WORDS

Array = np.ndarray[Any, Any]
Loop = Callable[..., list[Any]]

ALWAYS, NEVER = Engine(jit="always"), Engine(jit="never")
STEPS = 12


@pytest.fixture(autouse=True)
def nothing_is_short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recipe, "ONE_FRAGMENT", 0)


def draw(seed: int, *shapes: tuple[int, ...], dtype: str = "f8") -> list[Array]:
    rng = np.random.default_rng(seed)
    drawn = [rng.uniform(-1, 1, s) for s in shapes]
    if dtype[0] == "c":
        drawn = [a + 1j * rng.uniform(-1, 1, a.shape) for a in drawn]
    return [a.astype(dtype) for a in drawn]


def record(loop: Loop, arrays: list[Array]) -> tuple[list[Any], list[Any]]:
    """Outputs and inputs of a loop."""
    ins = [TracedTensor.from_tensor(a) for a in arrays]
    return loop(*ins), ins


def own_values(loop: Loop, arrays: list[Array]) -> list[Array]:
    outs, _ = record(loop, arrays)
    return list(nbg.eval(*outs, engine=NEVER))


def compiled(loop: Loop, arrays: list[Array], engine: Engine = ALWAYS) -> Any:
    outs, ins = record(loop, arrays)
    return engine.compile(outs, ins)


def close(got: Any, wanted: Any) -> None:
    got, wanted = list(got), list(wanted)
    assert len(got) == len(wanted)
    for g, w in zip(got, wanted, strict=True):
        assert (g.shape, g.dtype) == (w.shape, w.dtype)
        tolerance = 1e-4 if w.dtype.itemsize < 8 or w.dtype == np.complex64 else 1e-11
        np.testing.assert_allclose(g, w, rtol=tolerance, atol=tolerance)


def check(loop: Loop, *shapes: tuple[int, ...], dtype: str = "f8") -> Any:
    """The program of a loop gives the graph's own values on other data, twice; the program."""
    program = compiled(loop, draw(0, *shapes, dtype=dtype))
    for seed in (1, 2, 1):
        arrays = draw(seed, *shapes, dtype=dtype)
        close(program(*arrays), own_values(loop, arrays))
    return program


def with_gradients(loss: Any, *wrt: Any) -> list[Any]:
    return [loss, *loss.grad(list(wrt))]


def step(x: Any, w: Any) -> Any:
    x = nbg.tanh(w @ x) + 0.5 * x
    x.eval(NEVER)
    return x


# -- loops of several kinds -------------------------------------------------------------------------------------------


def plain(w: Any, x: Any) -> list[Any]:
    start = x
    for _ in range(STEPS):
        x = step(x, w)
    return with_gradients(nbg.sum(x * x), w, start)


def without_evals(w: Any, x: Any) -> list[Any]:
    start = x
    for _ in range(60):
        x = nbg.tanh(w @ x) + 0.5 * x
    return with_gradients(nbg.sum(x), w, start)


def by_turns(w: Any, x: Any, period: int) -> list[Any]:
    start = x
    for k in range(STEPS):
        if k % period == 0:
            x = step(x, w)
        elif k % period == 1:
            x = nbg.sin(x) * 0.9 + w[0]
        else:
            x = x / (1.0 + nbg.sum(x * x))
        x.eval(NEVER)
    return with_gradients(nbg.sum(x), w, start)


def ends_apart(w: Any, x: Any) -> list[Any]:
    start, x = x, nbg.exp(x)
    x.eval(NEVER)
    for _ in range(STEPS):
        x = step(x, w)
    last = nbg.cos(x @ w)
    last.eval(NEVER)
    return with_gradients(nbg.sum(last), w, start)


def with_constants(w: Any, x: Any) -> list[Any]:
    start = x
    for row in draw(9, (STEPS, 3))[0]:
        x = step(x, w) * row
        x.eval(NEVER)
    return with_gradients(nbg.sum(x), w, start)


def with_slices(w: Any, xs: Any) -> list[Any]:
    x = xs[0]
    for k in range(1, STEPS):
        x = step(x, w) + xs[k]
        x.eval(NEVER)
    return with_gradients(nbg.sum(x), w, xs)


def with_arguments(w: Any, *xs: Any) -> list[Any]:
    x = xs[0]
    for other in xs[1:]:
        x = step(x, w) * other
        x.eval(NEVER)
    return with_gradients(nbg.sum(x), w, *xs)


def with_sums(w: Any, x: Any) -> list[Any]:
    start, losses = x, []
    for _ in range(STEPS):
        x = step(x, w)
        losses.append(nbg.sum(x * x))
        losses[-1].eval(NEVER)
    return with_gradients(sum(losses[1:], losses[0]), w, start)


def looking_back(w: Any, x: Any) -> list[Any]:
    start, before = x, [x, x, x]
    for _ in range(STEPS):
        before.append(step(before[-1], w) - 0.3 * before[-3])
        before[-1].eval(NEVER)
    return with_gradients(nbg.sum(before[-1]), w, start)


def all_of_them(w: Any, x: Any) -> list[Any]:
    found = [x, x * 1.0]
    for _ in range(STEPS):
        x = step(x, w)
        found.append(x)
    return [*found, found[3], w]


def growing(w: Any, x: Any) -> list[Any]:
    found = nbg.reshape(x, (1, -1))
    for _ in range(5):
        last = w @ found[-1]
        last = last - found.T @ (found @ last)
        found = nbg.concatenate([found, nbg.reshape(last / nbg.linalg.norm(last), (1, -1))])
        found.eval(NEVER)
    return with_gradients(nbg.sum(found * found[-1]), w, x)


def second_order(w: Any, x: Any) -> list[Any]:
    y = x
    for _ in range(4):
        y = step(y, w)
    gradient = nbg.sum(y * y).grad(x)
    return [gradient, nbg.sum(gradient * gradient).grad(w)]


LOOPS: list[tuple[Loop, tuple[tuple[int, ...], ...]]] = [
    (plain, ((3, 3), (3,))),
    (without_evals, ((3, 3), (3,))),
    (ends_apart, ((3, 3), (3,))),
    (with_constants, ((3, 3), (3,))),
    (with_slices, ((3, 3), (STEPS, 3))),
    (with_arguments, ((3, 3), *[(3,)] * STEPS)),
    (with_sums, ((3, 3), (3,))),
    (looking_back, ((3, 3), (3,))),
    (all_of_them, ((3, 3), (3,))),
    (growing, ((4, 4), (4,))),
    (second_order, ((3, 3), (3,))),
]


@pytest.mark.parametrize(("loop", "shapes"), LOOPS, ids=[loop.__name__ for loop, _ in LOOPS])
def test_a_loop_on_new_data(loop: Loop, shapes: Any) -> None:
    check(loop, *shapes)


@pytest.mark.parametrize("period", (2, 3))
def test_a_loop_of_a_longer_period(period: int) -> None:
    program = check(lambda w, x: by_turns(w, x, period), (3, 3), (3,))
    assert "repeat" in str(program)


@pytest.mark.parametrize("dtype", ("f4", "c8", "c16"))
def test_a_loop_of_other_numbers(dtype: str) -> None:
    def loop(w: Any, x: Any) -> list[Any]:
        start = x
        for _ in range(STEPS):
            x = w @ x * 0.7 + nbg.sin(x)
            x.eval(NEVER)
        return with_gradients(nbg.sum(nbg.real(x * nbg.conj(x))), w, start)

    check(loop, (3, 3), (3,), dtype=dtype)


@pytest.mark.parametrize("shape", ((0,), (1,), (17,)))
def test_rows_of_any_size(shape: tuple[int, ...]) -> None:
    check(plain, (*shape, *shape), shape)


def test_no_step_at_all() -> None:
    check(lambda x, y: [x, y * 1.0, x], (3,), (2,))
    program = compiled(lambda x: [x], draw(0, (3,)))
    (given,) = draw(1, (3,))
    (got,) = program(given)
    assert (got == given).all() and not np.shares_memory(got, given)


def test_one_step() -> None:
    check(lambda w, x: with_gradients(nbg.sum(step(x, w)), w, x), (3, 3), (3,))


def test_a_sum_of_what_is_used_elsewhere_too() -> None:
    """Sums of arguments, of values that are outputs, of sums, and of one value twice."""

    def loop(w: Any, x: Any) -> list[Any]:
        parts = [step(x * float(k + 1), w) for k in range(4)]
        gradients = [nbg.sum(p * p).grad(x) for p in parts]
        total = nbg.sum(parts[0] * parts[0] + parts[1]).grad(x)
        y = nbg.sum(x * x * x).grad(x)
        return [*gradients, total, y, nbg.sum(y * total).grad(x)]

    check(loop, (3, 3), (3,))


@pytest.mark.parametrize("n", (0, 1, 3, 6))
def test_sizes_by_placeholder(n: int) -> None:
    w, x = TracedTensor.placeholder(("n", "n"), name="w"), TracedTensor.placeholder(("n",), name="x")
    y = x
    for _ in range(60):
        y = nbg.tanh(w @ y) + 0.5 * y
    outs = with_gradients(nbg.sum(y * y), w, x)
    program = ALWAYS.compile(outs, [w, x])
    assert len(program._tape.calls) > 10
    arrays = draw(n, (n, n), (n,))

    def loop(w: Any, x: Any) -> list[Any]:
        y = x
        for _ in range(60):
            y = nbg.tanh(w @ y) + 0.5 * y
        return with_gradients(nbg.sum(y * y), w, x)

    close(program(*arrays), own_values(loop, arrays))
    close(program(*draw(1, (2, 2), (2,))), own_values(loop, draw(1, (2, 2), (2,))))
    close(program(*arrays), own_values(loop, arrays))


# -- who owns what ----------------------------------------------------------------------------------------------------


def test_outputs_are_fresh_at_every_call() -> None:
    program = compiled(all_of_them, draw(0, (3, 3), (3,)))
    arrays = draw(1, (3, 3), (3,))
    first, second = program(*arrays), program(*arrays)
    for a, b in itertools.combinations([*first, *second, *arrays], 2):
        assert not np.shares_memory(a, b)
    for a in first:
        a[...] = np.nan
    close(program(*arrays), second)


def test_constants_are_not_handed_out() -> None:
    constant = nbg.constant(np.ones(3))
    x = TracedTensor.from_tensor(np.ones(3))
    program = ALWAYS.compile([constant, x + constant], [x])
    program(np.ones(3))[0][...] = 5
    close(program(np.ones(3)), [np.ones(3), 2 * np.ones(3)])


def test_arrays_of_any_layout() -> None:
    program = compiled(plain, draw(0, (3, 3), (3,)))
    w, x = draw(1, (3, 3), (3,))
    wanted = program(w, x)
    close(program(np.asfortranarray(w), np.repeat(x, 2)[::2]), wanted)
    unaligned = np.frombuffer(b"." + w.tobytes(), np.uint8)[1:].view("f8").reshape(3, 3)
    close(program(unaligned, x), wanted)
    close(program(w.tolist(), list(x)), wanted)
    w.setflags(write=False)
    close(program(w, x), wanted)
    with pytest.raises(nbg.errors.BindingError):
        program(w.astype("f4"), x)
    with pytest.raises(nbg.errors.BindingError):
        program(w, x[:2])
    with pytest.raises(nbg.errors.BindingError):
        program(w)


def test_threads_call_one_program_at_once() -> None:
    program = compiled(with_sums, draw(0, (3, 3), (3,)))
    data = [draw(seed, (3, 3), (3,)) for seed in range(4)]
    wanted = [program(*arrays) for arrays in data]
    failures: list[BaseException] = []

    def work(k: int) -> None:
        try:
            for _ in range(200):
                close(program(*data[k]), wanted[k])
        except BaseException as failure:
            failures.append(failure)

    threads = [threading.Thread(target=work, args=(k,)) for k in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert not failures


def test_a_program_of_many_calls_pickles() -> None:
    program = compiled(with_constants, draw(0, (3, 3), (3,)))
    again = pickle.loads(pickle.dumps(program))
    assert (again.key, str(again)) == (program.key, str(program))
    arrays = draw(1, (3, 3), (3,))
    close(again(*arrays), program(*arrays))


def test_a_failure_in_the_middle_is_named_and_leaves_nothing_behind() -> None:
    def loop(a: Any, x: Any) -> list[Any]:
        for k in range(STEPS):
            x = nbg.linalg.solve(a - float(k) * np.eye(2), x)
            x.eval(NEVER)
        return [x]

    good, b = np.array([[0.5, 1.0], [1.0, 0.5]]), np.ones(2)
    program = compiled(loop, [good, b])
    close(program(good, b), own_values(loop, [good, b]))
    with pytest.raises(LinAlgError, match="solve"):
        program(np.diag([5.0, -1.0]), b)
    close(program(good, b), own_values(loop, [good, b]))


# -- what it costs ----------------------------------------------------------------------------------------------------


def replay_of(program: Any) -> Replay:
    run = program._last
    assert isinstance(run, Replay)
    return run


def loop_of(steps: int) -> Loop:
    def loop(w: Any, x: Any) -> list[Any]:
        start = x
        for _ in range(steps):
            x = step(x, w)
        return with_gradients(nbg.sum(x * x), w, start)

    return loop


def forward_of(steps: int) -> Loop:
    return lambda w, x: loop_of(steps)(w, x)[:1]


def test_a_thousand_steps_are_one_call_of_machine_code() -> None:
    engine = Engine(jit="always")
    program = compiled(loop_of(1000), draw(0, (3, 3), (3,)), engine)
    arrays = draw(1, (3, 3), (3,))
    program(*arrays)
    replay, called = replay_of(program), []
    entry = replay.entry
    replay.entry = lambda address: called.append(address) or entry(address)
    before = engine.stats()
    close(program(*arrays), own_values(loop_of(1000), arrays))
    after = engine.stats()
    assert len(called) == 1
    assert after.compiled == before.compiled <= 8
    assert after.hits - before.hits == len(program._tape.calls) >= 2000


def programs(make: Callable[[int], Loop]) -> Iterator[Replay]:
    for steps in (50, 500):
        program = compiled(make(steps), draw(0, (3, 3), (3,)))
        program(*draw(1, (3, 3), (3,)))
        yield replay_of(program)


def test_the_words_of_a_loop_do_not_grow_with_its_steps() -> None:
    few, many = programs(loop_of)
    assert few.image.n_words == many.image.n_words < 400


def test_what_is_read_soon_takes_no_memory() -> None:
    """Without a backward pass a loop needs as much memory for 500 steps as for 50."""
    few, many = programs(forward_of)
    assert few.image.nbytes == many.image.nbytes


def test_a_backward_pass_keeps_a_row_a_step() -> None:
    few, many = programs(loop_of)
    per_step = (many.image.nbytes - few.image.nbytes) / 450
    assert per_step <= 4 * 64


def test_memory_of_values_that_were_read_is_used_again() -> None:
    def loop(x: Any) -> list[Any]:
        for k in range(40):  # no two steps alike
            x = nbg.sin(x[: 400 - k] * float(k))
            x.eval(NEVER)
        return [x]

    program = compiled(loop, draw(0, (400,)))
    program(*draw(1, (400,)))
    assert replay_of(program).image.nbytes < 40 * 3200


def test_runs() -> None:
    assert runs_of("") == []
    assert runs_of("aaaa") == [(0, 1, 4)]
    assert runs_of("xababab") == [(0, 1, 1), (1, 2, 3)]
    assert runs_of("aabaabaab") == [(0, 3, 3)]
    assert runs_of("abcd") == [(k, 1, 1) for k in range(4)]
    for text in ("aabbbcabcabcabx", "abab" * 5 + "c" * 3, "abcdefghabcdefgh"):
        made = [text[s + k] for s, p, n in runs_of(text) for _ in range(n) for k in range(p)]
        assert "".join(made) == text


# -- computations that are short --------------------------------------------------------------------------------------


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recipe, "ONE_FRAGMENT", 200)


@pytest.mark.usefixtures("short")
def test_a_short_computation_checks_its_arrays() -> None:
    """What is not as the arrays before goes the general way: converted, planned for anew, or refused."""
    x, y = TracedTensor.placeholder(("n", 2), name="x"), TracedTensor.placeholder(("n",), name="y")
    program = ALWAYS.compile([x.T @ y, y, x, y, nbg.constant(np.ones(2)) + x[0]], [x, y])

    def wanted(x: Array, y: Array) -> list[Array]:
        return [x.T @ y, y, x, y, 1 + x[0]]

    for n in (3, 3, 5, 3, 1, 1):
        a, b = draw(n, (n, 2), (n,))
        for given in ((a, b), (np.asfortranarray(a), b[::-1]), (a.tolist(), b), (a, b.view(Named))):
            with np.errstate(all="ignore"):
                outs = program(*given)
            close(outs, wanted(np.asarray(given[0]), np.asarray(given[1])))
            for got, other in itertools.combinations([*outs, a, b], 2):
                assert not np.shares_memory(got, other)
    unaligned = np.frombuffer(b"." + a.tobytes(), np.uint8)[1:].view("f8").reshape(a.shape)
    close(program(unaligned, b), wanted(a, b))
    close(program(pickle.loads(pickle.dumps(a)), b), wanted(a, b))
    swapped = a.astype(">f8")
    for bad in ((a, b.astype("f4")), (a, b, b), (a,), (b, a), (a[:0], b), (None, b), (a[None], b), (swapped, b)):
        with pytest.raises(nbg.errors.NbgraphError):
            program(*bad)
        close(program(a, b), wanted(a, b))


class Named(np.ndarray):  # type: ignore[type-arg]
    """A subclass, whose methods may mean something else."""


@pytest.mark.usefixtures("short")
def test_threads_call_a_short_program_at_once() -> None:
    x, w = TracedTensor.from_tensor(np.ones(50)), TracedTensor.from_tensor(np.ones((50, 50)))
    program = ALWAYS.compile(nbg.tanh(w @ (w @ x)), [w, x])
    data = [draw(seed, (50, 50), (50,)) for seed in range(4)]
    wanted = [program(*arrays) for arrays in data]
    wrong: list[int] = []

    def work(k: int) -> None:
        for _ in range(500):
            if (program(*data[k]) != wanted[k]).any():
                wrong.append(k)

    threads = [threading.Thread(target=work, args=(k,)) for k in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert not wrong


@pytest.mark.usefixtures("short")
def test_more_words_than_a_direct_call_takes() -> None:
    n = ENTRY_WORDS + 6
    xs = [TracedTensor.from_tensor(np.float64(k)) for k in range(n)]
    stacked = nbg.concatenate([nbg.reshape(x, (1,)) for x in xs])
    program = ALWAYS.compile([nbg.sum(stacked), xs[3] * 2.0], xs)
    close(program(*map(np.float64, range(n))), [np.array(n * (n - 1) / 2), np.array(6.0)])
    assert isinstance(program._last, Replay)


def test_sizes_that_an_operation_refuses() -> None:
    x = TracedTensor.from_tensor(np.ones(3))
    y = TracedTensor.placeholder(("n",), name="y")
    program = ALWAYS.compile([nbg.exp(x) * y], [x, y])
    with pytest.raises(nbg.errors.NbgraphError):
        program(np.ones(3), np.ones(2))
    close(program(np.ones(3), np.ones(3)), [np.exp(np.ones(3))])
