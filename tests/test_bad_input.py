"""Bad input: a named error with operation, the user's line and what to do; nothing lost, the engine still usable."""

from __future__ import annotations

import importlib
import itertools
import os
import pickle
import signal
import sys
import threading
from contextlib import contextmanager, nullcontext, suppress
from typing import Any

import numpy as np
import pytest

import nbgraph as nbg
from nbgraph import Engine, TracedTensor, errors

HERE = os.path.basename(__file__)
TIERS = ["never", "always"]
each_tier = pytest.mark.parametrize("jit", TIERS)


def leaf(*shape: int, dtype: Any = "float64") -> TracedTensor:
    return TracedTensor.from_tensor(np.arange(1, 1 + int(np.prod(shape))).reshape(shape).astype(dtype))


class Survivor:
    """A loop in the middle of its work: whatever goes wrong beside it, it goes on as if nothing had been."""

    def __init__(self, jit: str) -> None:
        self.engine, self.p = Engine(jit=jit), leaf(3)
        self.x = nbg.sin(self.p) * 2
        self.value = self.x.eval(self.engine).copy()

    def check(self) -> None:
        computed = self.engine.stats().operations
        np.testing.assert_array_equal(self.x.eval(self.engine), self.value)
        assert self.engine.stats().operations == computed, "a value that was known has been lost"
        y = nbg.sum(self.x * self.x)
        want = 2 * np.sin([1, 2, 3])
        assert float(y.eval(self.engine)) == pytest.approx(float(want @ want), rel=1e-14)
        np.testing.assert_allclose(y.grad(self.p).eval(self.engine), 2 * want * 2 * np.cos([1, 2, 3]), rtol=1e-14)


@pytest.fixture(params=TIERS)
def survivor(request):
    made = Survivor(request.param)
    yield made
    made.check()


def assert_names(error: Any, operation: str, hint: bool = True) -> None:
    """The message says the operation, this file and line, and what to do; it pickles."""
    text = str(error)
    assert isinstance(error, errors.NbgraphError)
    assert error.operation == operation
    assert operation in text.splitlines()[0]
    assert HERE in text, text
    assert not hint or error.hint or error.wanted, text
    assert str(pickle.loads(pickle.dumps(error))) == text


# -- while recording --------------------------------------------------------------------------------------------------

BAD = {
    "add": (errors.ShapeError, lambda s: s.x + leaf(4), "add"),
    "matmul": (errors.ShapeError, lambda s: s.x @ leaf(4), "matmul"),
    "matmul of a scalar": (errors.ShapeError, lambda s: s.x @ 2.0, "matmul"),
    "where": (errors.ShapeError, lambda s: nbg.where(s.x > 0, leaf(2), 1.0), "where"),
    "reshape": (errors.ShapeError, lambda s: s.x.reshape(2, 2), "reshape"),
    "broadcast_to": (errors.ShapeError, lambda s: nbg.broadcast_to(s.x, (4,)), "broadcast_to"),
    "concatenate": (errors.ShapeError, lambda s: nbg.concatenate([s.x, leaf(2, 2)]), "concatenate"),
    "stack": (errors.ShapeError, lambda s: nbg.stack([s.x, leaf(4)]), "stack"),
    "sum": (errors.BoundsError, lambda s: nbg.sum(s.x, axis=1), "sum"),
    "max": (errors.BoundsError, lambda s: nbg.max(s.x, axis=-2), "max"),
    "max of nothing": (errors.ShapeError, lambda s: nbg.max(nbg.zeros(0)), "max"),
    "sum twice": (errors.ShapeError, lambda s: nbg.sum(leaf(2, 2), axis=(0, 0)), "sum"),
    "transpose": (errors.NbgraphError, lambda s: nbg.transpose(leaf(2, 2), (0, 2)), "transpose"),
    "squeeze": (errors.ShapeError, lambda s: nbg.squeeze(s.x, 0), "squeeze"),
    "swapaxes": (errors.BoundsError, lambda s: nbg.swapaxes(s.x, 0, 1), "swapaxes"),
    "index": (errors.BoundsError, lambda s: s.x[3], "getitem"),
    "too many indices": (errors.BoundsError, lambda s: s.x[0, 0], "getitem"),
    "an index with a fraction": (errors.BoundsError, lambda s: s.x[1.5], "getitem"),
    "set": (errors.ShapeError, lambda s: s.x.at[:2].set(leaf(3)), "at"),
    "einsum sizes": (errors.ShapeError, lambda s: nbg.einsum("i,i->", s.x, leaf(4)), "einsum"),
    "einsum rank": (errors.ShapeError, lambda s: nbg.einsum("ij->i", s.x), "einsum"),
    "einsum count": (errors.ShapeError, lambda s: nbg.einsum("i,j->ij", s.x), "einsum"),
    "einsum output": (errors.ShapeError, lambda s: nbg.einsum("i->j", s.x), "einsum"),
    "einsum signs": (errors.ShapeError, lambda s: nbg.einsum("i$->i", s.x), "einsum"),
    "einsum operands": (errors.ShapeError, lambda s: nbg.einsum("i"), "einsum"),
    "tensordot": (errors.ShapeError, lambda s: nbg.tensordot(leaf(2, 3), leaf(2, 3), 1), "tensordot"),
    "solve": (errors.ShapeError, lambda s: nbg.linalg.solve(leaf(2, 3), leaf(2)), "solve"),
    "solve sizes": (errors.ShapeError, lambda s: nbg.linalg.solve(leaf(2, 2), leaf(3)), "solve"),
    "eigh": (errors.ShapeError, lambda s: nbg.linalg.eigh(leaf(2, 3)), "eigh"),
    "diagonal": (errors.NbgraphError, lambda s: nbg.diagonal(s.x), "diagonal"),
    "complex comparison": (errors.DtypeError, lambda s: nbg.maximum(s.x, 1j), "maximum"),
    "arctan2 of complex": (errors.DtypeError, lambda s: nbg.arctan2(s.x * 1j, s.x), "arctan2"),
    "minus of booleans": (errors.DtypeError, lambda s: -(s.x > 0), "negative"),
    "bits of floats": (errors.DtypeError, lambda s: s.x & s.x, "and"),
}


@pytest.mark.parametrize("name", BAD)
def test_what_does_not_fit_is_refused_while_recording(name):
    error, f, operation = BAD[name]
    survivor = Survivor("never")
    with pytest.raises(error) as caught:
        f(survivor)
    assert operation in str(caught.value).splitlines()[0]
    assert_names(caught.value, caught.value.operation)
    survivor.check()


def test_the_line_is_the_users_own():
    line = sys._getframe().f_lineno + 2
    with pytest.raises(errors.ShapeError) as caught:
        leaf(3) + leaf(4)  # fmt: skip
    assert f"{HERE}:{line}: leaf(3) + leaf(4)" in str(caught.value)


@pytest.mark.parametrize("value", ["text", None, [[1], [2, 3]], [1, "a"], {"a": 1}, object(), np.array([None, 1])])
def test_what_holds_no_numbers_is_refused(value):
    for make in (TracedTensor.from_tensor, nbg.constant, nbg.asarray, nbg.exp):
        with pytest.raises((errors.DtypeError, errors.ShapeError)) as caught:
            make(value)
        assert HERE in str(caught.value)
    with pytest.raises((TypeError, errors.NbgraphError)):
        leaf(2) + value


@pytest.mark.parametrize("dtype", ["M8[s]", "S3", "U4", "V8", "longdouble", "clongdouble", "uint64", object])
def test_unsupported_dtypes_are_refused(dtype):
    value = np.zeros(2, dtype)
    with pytest.raises(errors.DtypeError) as caught:
        TracedTensor.from_tensor(value)
    assert HERE in str(caught.value) and caught.value.hint
    with pytest.raises(errors.DtypeError):
        leaf(2).astype("U4")


# -- derivatives ------------------------------------------------------------------------------------------------------


def test_gradients_that_do_not_exist(survivor):
    x, p, n = survivor.x, survivor.p, leaf(3, dtype="int64")
    cases = [
        (lambda: x.grad(p), "grad"),  # not a scalar
        (lambda: nbg.sum(x * 1j).grad(p), "grad"),  # not real
        (lambda: nbg.sum(n).grad(p), "grad"),  # of an integer
        (lambda: nbg.sum(x * n).grad(n), "grad"),  # by an integer
        (lambda: nbg.sum(x).grad(leaf(3)), "grad"),  # not in the graph
        (lambda: nbg.sum(x).grad([p, leaf(3)]), "grad"),
        (lambda: nbg.sum(x).grad(nbg.constant(1.0)), "grad"),  # a constant
        (lambda: nbg.sum(x).grad(3.0), "grad"),  # no tensor at all
        (lambda: nbg.sum(x).grad(p.eval()), "grad"),
        (lambda: (x > 0).vjp(p, x), "vjp"),
        (lambda: x.jvp(leaf(3), leaf(3)), "jvp"),
    ]
    for f, operation in cases:
        with pytest.raises(errors.DifferentiationError) as caught:
            f()
        assert_names(caught.value, operation)


def test_unused_is_zero_where_it_is_allowed(survivor):
    other, p = leaf(2, 2, dtype="complex128"), survivor.p
    zero, used = nbg.sum(survivor.x).grad([other, p], allow_unused=True)
    assert (zero.shape, zero.dtype) == ((2, 2), np.dtype("c16"))
    assert not np.any(zero.eval(survivor.engine)) and np.all(used.eval(survivor.engine))


def test_cotangents_and_tangents_that_do_not_fit(survivor):
    x, p = survivor.x, survivor.p
    for f in (lambda: x.vjp(p, leaf(4)), lambda: x.jvp(p, leaf(2)), lambda: x.jvp([p], (leaf(3),))):
        with pytest.raises(errors.ShapeError) as caught:
            f()
        assert HERE in str(caught.value)
    with pytest.raises(errors.DtypeError):
        x.vjp(p, leaf(3, dtype="complex128"))


def test_dropped_history_raises_and_says_where():
    w = nbg.constant(np.ones(3)) * 2
    y = w + 1
    line = sys._getframe().f_lineno + 1
    y.eval()
    with pytest.raises(errors.DifferentiationError) as caught:
        nbg.sum(y * 3).grad(w)
    assert_names(caught.value, "grad")
    assert f"{HERE}:{line}" in str(caught.value)
    np.testing.assert_array_equal(nbg.sum(y * 3).grad(y).eval(), [3, 3, 3])  # what came after is there


# -- values that are not one number -----------------------------------------------------------------------------------


def test_truth_of_more_than_one_number(survivor):
    for f in (bool, float, int, complex, lambda x: x.item(), lambda x: 1 if x else 0):
        with pytest.raises(errors.NbgraphError) as caught:
            f(survivor.x)
        assert HERE in str(caught.value) and caught.value.hint
    with pytest.raises((TypeError, errors.NbgraphError)):
        range(10)[survivor.x[0]]
    with pytest.raises(TypeError):
        survivor.x[0] = 1.0
    with pytest.raises(TypeError):
        len(nbg.sum(survivor.x))


# -- placeholders -----------------------------------------------------------------------------------------------------


@each_tier
def test_wrong_bindings(jit):
    survivor = Survivor(jit)
    x = TracedTensor.placeholder(("n", 3), name="x")
    y = TracedTensor.placeholder(("n",), name="y")
    z = TracedTensor.placeholder((2,), "int64", name="z")
    out = nbg.sum(x, 1) * y + nbg.sum(z)
    good = {x: np.ones((2, 3)), y: np.ones(2), z: np.array([1, 2])}
    for wrong in (
        None,
        {},
        {x: good[x]},
        {**good, x: np.ones((2, 4))},  # size
        {**good, x: np.ones(3)},  # rank
        {**good, y: np.ones(5)},  # n is 2 elsewhere
        {**good, x: np.ones((2, 3), "complex128")},  # dtype
        {**good, z: np.ones(2)},
        {**good, survivor.p: np.ones(3)},  # not a placeholder
        {**good, "x": np.ones((2, 3))},
        {**good, x: "text"},
        {**good, x: None},
    ):
        with pytest.raises(errors.NbgraphError) as caught:
            out.eval(survivor.engine, bindings=wrong)
        assert HERE in str(caught.value), wrong
    np.testing.assert_array_equal(out.eval(survivor.engine, bindings=good), [6, 6])
    survivor.check()


def test_superfluous_bindings_are_named():
    """A set of bindings serves several tensors where these are evaluated together."""
    x, y = (TracedTensor.placeholder((), name=n) for n in "xy")
    with pytest.raises(errors.BindingError, match="y: nothing that is evaluated depends on it"):
        (x * 2).eval(bindings={x: 1.0, y: 5.0})
    assert nbg.eval(x * 2, y, bindings={x: 1.0, y: 5.0})[0] == 2


@each_tier
def test_wrong_arrays_for_a_compiled_program(jit):
    engine = Engine(jit=jit)
    x, y = TracedTensor.placeholder(("n",), name="x"), TracedTensor.placeholder(("n",), name="y")
    program = engine.compile([nbg.sum(x * y)], [x, y])
    for wrong in ((), (np.ones(3),), (np.ones(3),) * 3, (np.ones(3), np.ones(4)), (np.ones((3, 1)), np.ones(3))):
        with pytest.raises(errors.BindingError) as caught:
            program(*wrong)
        assert HERE in str(caught.value)
    with pytest.raises(errors.BindingError):
        program(np.ones(3, "complex128"), np.ones(3))
    with pytest.raises(errors.BindingError):
        engine.compile([x], [3.0])
    assert program(np.ones(3), np.ones(3))[0] == 3


# -- while running ----------------------------------------------------------------------------------------------------


@each_tier
def test_nan_and_infinity_flow(jit):
    engine = Engine(jit=jit)
    x = np.array([np.nan, np.inf, -np.inf, 0.0, -1.0])
    t = TracedTensor.from_tensor(x)
    with np.errstate(all="ignore"):
        wanted = [np.log(x), 1 / x, x - x, np.sqrt(x), np.maximum(x, 0), np.max(x), np.sum(x), x > 0, x == x, x @ x]
        made = [nbg.log(t), 1 / t, t - t, nbg.sqrt(t), nbg.maximum(t, 0), nbg.max(t), nbg.sum(t), t > 0, t == t, t @ t]
    for got, want in zip(nbg.eval(*made, engine=engine), wanted, strict=True):
        np.testing.assert_array_equal(got, want)
    assert np.isnan(nbg.sum(nbg.log(t)).grad(t).eval(engine)[0])


@each_tier
@pytest.mark.parametrize("batch", [(), (2,)])
def test_a_singular_system_names_the_line(jit, batch):
    survivor = Survivor(jit)
    a = TracedTensor.from_tensor(np.zeros((*batch, 3, 3)))
    before = nbg.exp(survivor.x)
    line = sys._getframe().f_lineno + 1
    y = nbg.linalg.solve(a + 0, before[:, None])
    loss = nbg.sum(y)
    for attempt in (y, loss, nbg.sum(loss.grad(survivor.p)), loss):
        with pytest.raises(errors.LinAlgError) as caught:
            attempt.eval(survivor.engine)
        assert isinstance(caught.value, np.linalg.LinAlgError)
        assert f"{HERE}:{line}" in str(caught.value)
        assert caught.value.operation == "solve"
    np.testing.assert_allclose(before.eval(survivor.engine), np.exp(survivor.value), rtol=1e-14)
    survivor.check()


@each_tier
def test_a_singular_system_in_the_middle_of_a_loop(jit):
    engine = Engine(jit=jit)
    m = TracedTensor.from_tensor(np.array([[2.0, 0.0], [0.0, 1.0]]))
    x, done = nbg.ones(2), []
    with pytest.raises(errors.LinAlgError):
        for k in range(10):
            y = nbg.linalg.solve(m - 0.25 * k * nbg.eye(2), x)
            done.append(y.eval(engine))
            x = y / nbg.linalg.norm(y)
    assert len(done) == 4
    assert np.all(np.isfinite(nbg.sum(x).grad(m).eval(engine)))  # what was done is differentiated through


@each_tier
def test_a_failure_from_a_compiled_program_names_the_operation(jit):
    a = TracedTensor.placeholder(("n", "n"), name="a")
    program = Engine(jit=jit).compile(nbg.linalg.solve(a, nbg.ones(2)), [a])
    with pytest.raises(errors.LinAlgError) as caught:
        program(np.zeros((2, 2)))
    assert "solve" in str(caught.value) and HERE in str(caught.value)
    np.testing.assert_array_equal(program(np.eye(2)), [1, 1])


def test_out_of_memory(survivor):
    def huge(shape):
        return nbg.zeros(shape) + survivor.x[0]

    live = huge((10**7, 10**7))
    attempts = [
        live,
        nbg.sum(live * 2, 0) + nbg.sum(survivor.x),
        huge((10**10, 10**10)),
        huge((2**62, 8)),
        nbg.checkpoint(lambda x: huge((10**7, 10**7)) * x)(survivor.x[1] * 1.0),
    ]
    for attempt in attempts:
        with pytest.raises(errors.OutOfMemoryError) as caught:
            attempt.eval(survivor.engine)
        assert isinstance(caught.value, MemoryError)
        assert HERE in str(caught.value)
        assert "the graph is as it was" in caught.value.hint
    v = TracedTensor.placeholder(("n",), name="v")
    grown = nbg.ones((v.shape[0] ** 6, v.shape[0])) * v
    for n, error in ((2, None), (1000, errors.OutOfMemoryError), (1, None)):
        with pytest.raises(error) if error else nullcontext():
            assert grown.eval(survivor.engine, bindings={v: np.ones(n)}).shape == (n**6, n)


# -- Ctrl-C -----------------------------------------------------------------------------------------------------------


@contextmanager
def interrupted_after(seconds: float):
    """Ctrl-C, some time from now."""

    def interrupt(*_: Any) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGALRM, interrupt)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


needs_signals = pytest.mark.skipif(
    not hasattr(signal, "setitimer") or threading.current_thread() is not threading.main_thread(),
    reason="interrupting needs timers",
)


@needs_signals
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # what the compiler had begun
@each_tier
def test_interrupted_at_any_moment(jit):
    """An interrupt during recording, sealing, compiling or running: what was computed stays, the rest is computed."""
    p = leaf(3)
    want = np.sqrt([1.0, 2.0, 3.0])
    rng, interrupts, rounds = np.random.default_rng(0), 0, 0
    while interrupts < 6 or rounds < (40 if jit == "never" else 12):  # how many come in time is the machine's affair
        rounds += 1
        assert rounds < 1000, "no interrupt arrives"
        engine, x = Engine(jit=jit), nbg.ones(3)
        steps = [x]
        for delay in (*rng.uniform(0.0002, 0.01 if jit == "never" else 0.15, 3), None):
            try:
                with interrupted_after(delay or 100):
                    while len(steps) < 20:
                        x = steps[-1]
                        x = x - (x * x - p) / (2 * x)
                        x.eval(engine)
                        steps.append(x)
                    gradient = nbg.sum(steps[-1]).grad(p).eval(engine)
            except KeyboardInterrupt:
                interrupts += 1
        np.testing.assert_allclose(steps[-1].eval(engine), want, rtol=1e-14)
        np.testing.assert_allclose(gradient, 0.5 / want, rtol=1e-12)


@pytest.mark.parametrize("moment", ["generate", "compile_source", "call", "commit"])
def test_interrupted_inside_the_engine(moment, monkeypatch):
    from nbgraph.codegen import runtime
    from nbgraph.engine import core, native, routes

    survivor = Survivor("always")
    y = nbg.cos(survivor.x) + nbg.sum(survivor.x)
    operation, inputs = y.op, y.inputs

    def interrupt(*_: Any) -> None:
        raise KeyboardInterrupt

    places = {
        "generate": [(native, "generate")],
        "compile_source": [(runtime, "compile_source")],
        "call": [(routes.Route, "run"), (native.Native, "run_bound")],
        "commit": [(routes.Route, "commit"), (core, "keep")],
    }[moment]
    with monkeypatch.context() as m:
        for owner, name in places:
            m.setattr(owner, name, interrupt)
        with pytest.raises(KeyboardInterrupt):
            y.eval(survivor.engine)
    assert (y.op, y.inputs) == (operation, inputs), "the graph has changed"
    np.testing.assert_allclose(y.eval(survivor.engine), np.cos(survivor.value) + survivor.value.sum(), rtol=1e-14)
    survivor.check()


def test_interrupted_inside_an_operation(monkeypatch):
    survivor = Survivor("never")
    y = nbg.cos(survivor.x)
    cls, meaning, moments = type(y.op), type(y.op).reference, iter([KeyboardInterrupt])

    def interrupt(*args: Any) -> Any:
        for error in moments:
            raise error
        return meaning(*args)

    monkeypatch.setattr(cls, "reference", interrupt)
    with pytest.raises(KeyboardInterrupt):
        (y + 1).eval(survivor.engine)
    np.testing.assert_allclose((y + 1).eval(survivor.engine), np.cos(survivor.value) + 1, rtol=1e-14)
    survivor.check()


def grown(x):
    found = [x]
    for _ in range(4):
        known = nbg.stack(found)
        found.append(nbg.sin(found[-1]) + known.T @ (known @ x))
    return nbg.sum(nbg.stack(found) ** 2)


def checkpointed(x):
    part = nbg.checkpoint(lambda x: (nbg.sin(x) * x[0], nbg.cos(x)))
    y, z = part(x)
    return nbg.sum(nbg.sum(part(y * z)[0]) ** 2 * y)


@pytest.mark.parametrize(("f", "place"), [(grown, "joins.seal_all"), (checkpointed, "parts._renumber")])
def test_interrupted_while_a_derivative_is_taken_apart(f, place, monkeypatch):
    module = importlib.import_module("nbgraph." + place.split(".")[0])
    name = place.split(".")[1]
    meaning, engine = getattr(module, name), Engine(jit="never")

    def second(g, x):
        return nbg.sum(g**2).grad(x)

    x = leaf(3) * 0.1
    want = second(f(x).grad(x), x).eval(engine)
    for moment in range(1, 8):
        x = leaf(3) * 0.1
        g, calls = f(x).grad(x), itertools.count(1)

        def interrupt(*args: Any, calls: Any = calls, moment: int = moment) -> Any:
            if next(calls) == moment:
                raise KeyboardInterrupt
            return meaning(*args)

        with monkeypatch.context() as m:
            m.setattr(module, name, interrupt)
            with suppress(KeyboardInterrupt):
                second(g, x)
        assert next(calls) > 2 or moment < 3
        np.testing.assert_allclose(second(g, x).eval(engine), want, rtol=1e-12)


# -- engines ----------------------------------------------------------------------------------------------------------


def test_an_unknown_mode():
    with pytest.raises(errors.NbgraphError) as caught:
        Engine(jit="sometimes")
    assert HERE in str(caught.value)


@pytest.mark.parametrize("axis", [7, -5, 2**70])
def test_an_axis_out_of_range_is_named_where_sizes_are_compared_first(axis: int) -> None:
    with pytest.raises(errors.BoundsError, match="vecdot: axis is out of range"):
        nbg.vecdot(leaf(3, 2), leaf(3, 2), axis=axis)
    with pytest.raises(errors.BoundsError, match="glu: axis is out of range"):
        nbg.nn.glu(leaf(3, 2), axis)


def test_sides_that_are_no_text_are_named() -> None:
    with pytest.raises(errors.ShapeError, match="trim_zeros: unknown side"):
        nbg.trim_zeros([0, 1], 1)  # type: ignore[arg-type]
