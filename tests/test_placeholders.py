"""Placeholders and compiled programs: a graph built once runs at any size, and another size compiles nothing."""

from __future__ import annotations

import pickle
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import nbgraph as nbg
from nbgraph import Engine, TracedTensor
from nbgraph.errors import NbgraphError

Array = np.ndarray[Any, Any]
each_tier = pytest.mark.parametrize("jit", ["never", "always"])
SIZES = (1, 2, 5, 8, 3)


def array(*shape: int) -> Array:
    return np.random.default_rng(sum(shape)).uniform(0.5, 2.0, shape)


def placeholders() -> tuple[TracedTensor, TracedTensor]:
    return TracedTensor.placeholder(("n", 3), name="x"), TracedTensor.placeholder(("n",), name="y")


def close(got: Any, want: Any) -> None:
    assert np.shape(got) == np.shape(want)
    np.testing.assert_allclose(got, want, rtol=1e-12, atol=1e-12)


# -- what can be said with sizes that are names -----------------------------------------------------------------------
# Each case runs with NumPy on the same arrays: x is (n, 3), y is (n,).

CASES: dict[str, Callable[..., Any]] = {
    "elementwise": lambda xp, x, y: xp.exp(x) * y[:, None] - xp.sqrt(x) / 2,
    "sum": lambda xp, x, y: xp.sum(x, axis=0) + xp.sum(y),
    "mean": lambda xp, x, y: xp.mean(x) + xp.mean(y) + xp.mean(x, axis=0),
    "mean of rows": lambda xp, x, y: xp.mean(x, axis=1, keepdims=True),
    "max": lambda xp, x, y: xp.max(x, axis=0) - xp.min(y),
    "prod": lambda xp, x, y: xp.prod(x, axis=0) + xp.prod(x),
    "argmax": lambda xp, x, y: xp.argmax(y) + xp.argmax(x, axis=1),
    "matmul": lambda xp, x, y: x @ x.T @ y,
    "einsum": lambda xp, x, y: xp.einsum("ni,n,nj->ij", x, y, x),
    "outer": lambda xp, x, y: xp.outer(y, y) + xp.outer(y, x[:, 0]),
    "tensordot": lambda xp, x, y: xp.tensordot(x, x, ([0], [0])),
    "norm": lambda xp, x, y: x / xp.linalg.norm(x) + xp.linalg.norm(y),
    "reshape": lambda xp, x, y: xp.reshape(xp.reshape(x, -1), (-1, 3)) + xp.reshape(x.T, -1)[:1],
    "ravel": lambda xp, x, y: xp.ravel(x.T) * 2,
    "reshape by shape": lambda xp, x, y: xp.reshape(x.T, x.shape) + xp.reshape(x, (x.shape[0], 1, 3))[:, 0],
    "transpose": lambda xp, x, y: xp.transpose(x)[None] + y,
    "broadcast": lambda xp, x, y: xp.broadcast_to(y[:, None], x.shape) * x,
    "concatenate": lambda xp, x, y: xp.concatenate([x, x[::-1], xp.ones((2, 3))]),
    "concatenate columns": lambda xp, x, y: xp.concatenate([x, y[:, None]], axis=1),
    "stack": lambda xp, x, y: xp.stack([y, 2 * y, x[:, 1]]),
    "a column": lambda xp, x, y: x[:, 1] + x[:, -1],
    "a row": lambda xp, x, y: x[0] + x[-1],
    "backwards": lambda xp, x, y: x[::-1, ::-1],
    "every other": lambda xp, x, y: x[::2],
    "the last": lambda xp, x, y: y[-1:] * 2,
    "flip": lambda xp, x, y: xp.flip(y) + xp.flip(x, 1)[:, 0],
    "where": lambda xp, x, y: xp.where(x > y[:, None], x, 0.0),
    "like": lambda xp, x, y: xp.zeros_like(x) + xp.ones_like(y)[:, None],
    "trace": lambda xp, x, y: xp.trace(x @ x.T) + xp.sum(xp.diagonal(xp.outer(y, y))),
    "solve": lambda xp, x, y: xp.linalg.solve(xp.outer(y, y) + xp.diag(xp.ones_like(y)), x),
    "expand and squeeze": lambda xp, x, y: xp.squeeze(xp.expand_dims(x, (0, 2)), 2)[0] * 2,
}
LATER = {
    "differences": (lambda xp, x, y: x[1:] - x[:-1], (2, 5, 8)),
    "both ends": (lambda xp, x, y: y[:2] + y[-2:], (2, 5, 8)),
}


@each_tier
@pytest.mark.parametrize("name", [*CASES, *LATER])
def test_a_function_at_several_sizes(name, jit):
    f, sizes = LATER.get(name) or (CASES[name], SIZES)
    if jit == "always" and name == "solve":
        sizes = (2, 5)
    engine = Engine(jit=jit)
    x, y = placeholders()
    made = f(nbg, x, y)
    for n in sizes:
        close(made.eval(engine, bindings={x: array(n, 3), y: array(n)}), f(np, array(n, 3), array(n)))
        assert engine.stats().compiled == (jit == "always"), "another size is not another compile"


GRADED = [n for n in [*CASES, *LATER] if n not in ("argmax", "like")]


@pytest.mark.parametrize("name", GRADED)
def test_a_gradient_at_several_sizes(name):
    """Built once; equal to that of the same graph made at each size."""
    f, sizes = LATER.get(name) or (CASES[name], SIZES)
    engine = Engine(jit="never")
    x, y = placeholders()

    def loss(x: Any, y: Any) -> Any:
        out = f(nbg, x, y)
        return nbg.sum(out * out)

    gradient = loss(x, y).grad([x, y], allow_unused=True)
    product = nbg.sum(gradient[0] * x).grad(x)
    for n in sizes:
        got = nbg.eval(*gradient, product, engine=engine, bindings={x: array(n, 3), y: array(n)})
        leaves = [TracedTensor.from_tensor(a) for a in (array(n, 3), array(n))]
        want = loss(*leaves).grad(leaves, allow_unused=True)
        for g, w in zip(got, nbg.eval(*want, nbg.sum(want[0] * leaves[0]).grad(leaves[0]), engine=engine), strict=True):
            np.testing.assert_allclose(g, w, rtol=1e-9, atol=1e-9)


def test_a_compiled_gradient_at_several_sizes():
    engine = Engine(jit="always")
    weights = np.array([1.0, 2.0, 3.0])
    x, y = placeholders()
    loss = nbg.sum(nbg.tanh(x @ weights) * y) + nbg.mean(x[::2]) + nbg.sum(nbg.concatenate([y, y]) ** 3)
    program = engine.compile([loss, loss.grad([x, y])], [x, y])
    compiled = engine.stats().compiled
    for n in SIZES:
        leaves = [TracedTensor.from_tensor(a) for a in (array(n, 3), array(n))]
        a, b = leaves
        same = nbg.sum(nbg.tanh(a @ weights) * b) + nbg.mean(a[::2]) + nbg.sum(2 * b**3)
        value, (gx, gy) = program(array(n, 3), array(n))
        close(value, same.eval(Engine(jit="never")))
        for g, w in zip((gx, gy), same.grad(leaves), strict=True):
            close(g, w.eval(Engine(jit="never")))
    assert engine.stats().compiled == compiled == 1


@each_tier
def test_a_loop_over_a_placeholder(jit):
    """Twenty steps, no eval in between: calls of few fragments, at several sizes."""
    engine = Engine(jit=jit)
    m = TracedTensor.placeholder(("n", "n"), name="m")
    v = nbg.ones((m.shape[0],))
    for _ in range(20):
        w = m @ v
        v = w / nbg.linalg.norm(w)
    value = v @ (m @ v)
    gradient = value.grad(m)
    compiled = None
    for n in (2, 4, 7):
        s = array(n, n) + array(n, n).T
        got, g = nbg.eval(value, gradient, engine=engine, bindings={m: s})
        w, u = np.linalg.eigh(s)
        close(got, w[-1])
        np.testing.assert_allclose(g, np.outer(u[:, -1], u[:, -1]), atol=1e-6)
        compiled = engine.stats().compiled if compiled is None else compiled
        assert engine.stats().compiled == compiled


def test_names_are_shared_and_sizes_computed_with():
    n = nbg.TracedTensor.placeholder(("n",), name="a").shape[0]
    x = TracedTensor.placeholder((n, 2 * n), name="x")
    y = TracedTensor.placeholder(("n",), name="y")
    assert (y @ x).shape == (2 * n,)
    assert nbg.reshape(x, (-1,)).shape == (2 * n * n,)
    close((y @ x).eval(bindings={x: array(2, 4), y: array(2)}), array(2) @ array(2, 4))
    for shapes in ((2, 5), (3, 4)):
        with pytest.raises(NbgraphError):
            (y @ x).eval(bindings={x: array(*shapes), y: array(shapes[0])})


def test_sizes_that_turn_out_not_to_fit():
    """Sizes under two names that an operation needs equal: found when they are known."""
    x, y = (TracedTensor.placeholder((name,), name=name) for name in "nm")
    out = nbg.sum(x * y)
    close(out.eval(bindings={x: array(3), y: array(3)}), array(3) @ array(3))
    program = Engine().compile(out, [x, y])
    close(program(array(4), array(4)), array(4) @ array(4))
    for wrong in ((3, 4), (1, 4), (4, 1)):  # names do not broadcast: what is 1 is structure
        arrays = [array(n) for n in wrong]
        with pytest.raises(NbgraphError):
            out.eval(bindings=dict(zip((x, y), arrays, strict=True)))
        with pytest.raises(NbgraphError):
            program(*arrays)


@each_tier
@pytest.mark.parametrize(
    ("f", "least"),
    [(lambda x: x[2:], 2), (lambda x: x[2], 3), (lambda x: x[-3], 3), (lambda x: x[1:-1], 2), (lambda x: x[:4:2], 4)],
)
def test_slices_outside_of_what_comes(f, least, jit):
    """At a size for which the bounds were not meant: what NumPy gives or a named error, never something else."""
    engine = Engine(jit=jit)
    x = TracedTensor.placeholder(("n",), name="x")
    made = f(x) * 1
    program = engine.compile(made, x)
    for n in range(6):
        for run in (lambda a: made.eval(engine, bindings={x: a}), program):
            try:
                got = run(array(n))
            except NbgraphError:
                assert n < least
            else:
                close(got, f(array(n)))


@each_tier
def test_reshapes_that_do_not_come_out_even(jit):
    engine = Engine(jit=jit)
    x = TracedTensor.placeholder(("n",), name="x")
    made = nbg.reshape(x, (-1, 2)) * 1
    program = engine.compile(made, x)
    close(made.eval(engine, bindings={x: array(6)}), array(6).reshape(-1, 2))
    for run in (lambda a: made.eval(engine, bindings={x: a}), program):
        with pytest.raises(NbgraphError):
            run(array(5))
    close(program(array(4)), array(4).reshape(-1, 2))
    close(program(array(0)), array(0).reshape(-1, 2))


@each_tier
def test_nothing_to_reduce(jit):
    """Size 0, where it was not known."""
    engine = Engine(jit=jit)
    x = TracedTensor.placeholder(("n", 3), name="x")
    none = {x: np.zeros((0, 3))}
    close(nbg.sum(x, 0).eval(engine, bindings=none), np.zeros(3))
    assert np.isnan(nbg.mean(x).eval(engine, bindings=none))
    close((x @ nbg.ones(3)).eval(engine, bindings=none), np.zeros(0))
    close((x.T @ x).eval(engine, bindings=none), np.zeros((3, 3)))
    for f in (nbg.max, nbg.min):
        with pytest.raises(NbgraphError):
            f(x).eval(engine, bindings=none)


# -- growing shapes ---------------------------------------------------------------------------------------------------


def test_growing_shapes_compile_nothing():
    """A basis that grows by a vector at each step."""
    engine = Engine(jit="always")
    p = TracedTensor.from_tensor(array(5))
    counts = []
    for _ in range(2):
        rows = nbg.reshape(p, (1, 5))
        for k in range(12):
            new = rows[-1] - rows.T @ (rows @ nbg.sin(rows[-1])) * 0.1
            rows = nbg.concatenate([rows, new[None]])
            check = nbg.sum(rows * rows) / (k + 1)
            check.eval(engine)
            counts.append(engine.stats().compiled)
        gradient = nbg.sum(rows).grad(p)
        gradient.eval(engine)
        counts.append(engine.stats().compiled)
    assert counts[2:12] == [counts[2]] * 10, engine.explain()  # 1 -> 2 rows is another structure than 2 -> 3
    assert counts[12] == counts[-1], engine.explain()
    plain = np.reshape(array(5), (1, 5))
    for _ in range(12):
        new = plain[-1] - plain.T @ (plain @ np.sin(plain[-1])) * 0.1
        plain = np.concatenate([plain, new[None]])
    close(rows.eval(engine), plain)


def test_the_same_program_at_other_sizes_compiles_nothing():
    engine = Engine(jit="always")
    compiled = None
    for n, m in ((3, 4), (5, 2), (16, 16), (3, 300)):
        a, v = TracedTensor.from_tensor(array(n, m)), TracedTensor.from_tensor(array(m))
        loss = nbg.sum(nbg.tanh(a @ v)[1:] ** 2) + nbg.mean(nbg.reshape(a, -1))
        loss.eval(engine)
        nbg.eval(*loss.grad([a, v]), engine=engine)
        compiled = engine.stats().compiled if compiled is None else compiled
    assert engine.stats().compiled == compiled, engine.explain()


# -- compiled programs ------------------------------------------------------------------------------------------------


def program_of(engine: Engine) -> Any:
    x, y = placeholders()
    return engine.compile({"loss": nbg.sum(nbg.exp(x).T * y), "parts": [x @ x.T, y]}, [x, y])


def test_a_program_gives_the_structure_of_its_outputs():
    program = program_of(Engine(jit="never"))
    out = program(array(2, 3), array(2))
    close(out["loss"], np.sum(np.exp(array(2, 3)).T * array(2)))
    close(out["parts"][0], array(2, 3) @ array(2, 3).T)
    given = array(2)
    same = program(array(2, 3), given)["parts"][1]
    close(same, given)
    assert not np.shares_memory(same, given)


def test_a_program_is_compiled_once_whatever_the_tier():
    for jit in ("never", "auto", "always"):
        engine = Engine(jit=jit)
        program = program_of(engine)
        assert engine.stats().compiled == 1
        for n in SIZES:
            program(array(n, 3), array(n))
        assert (engine.stats().compiled, engine.stats().hits) == (1, len(SIZES))


def test_a_program_pickles():
    program = program_of(Engine())
    again = pickle.loads(pickle.dumps(program))
    assert (again.key, again.source, str(again)) == (program.key, program.source, str(program))
    for n in SIZES:
        close(again(array(n, 3), array(n))["loss"], program(array(n, 3), array(n))["loss"])


def test_a_key_is_the_same_in_every_process():
    paths = [*sys.path, str(Path(__file__).parent)]
    code = f"import sys; sys.path[:0] = {paths}; import test_placeholders as t; print(t.program_of(t.Engine()).key)"
    told = [
        subprocess.run([sys.executable, "-c", code], stdout=subprocess.PIPE, check=True, env={"PYTHONHASHSEED": seed})
        for seed in "12"
    ]
    assert {t.stdout.decode().strip() for t in told} == {program_of(Engine()).key}


def test_a_program_shows_its_source_and_its_ssa():
    program = program_of(Engine())
    compile(program.source, "source", "exec")
    assert "def fragment(w)" in program.source
    assert "exp" in str(program) and "sum" in str(program)
    assert "CompiledProgram" in repr(program)


def test_different_programs_have_different_keys():
    x, y = placeholders()
    engine = Engine()
    outputs = nbg.sum(x) * y, nbg.sum(x) + y, y + nbg.sum(x, 0)[0], nbg.sum(x.astype("float32")) * y
    assert len({engine.compile(out, [x, y]).key for out in outputs}) == 4
    assert engine.compile(nbg.sum(x * 2.0), x).key == engine.compile(nbg.sum(x * 2.0), x).key


@each_tier
def test_intermediate_inputs(jit):
    """Everything downstream of the inputs is computed afresh, whatever is known; what is upstream is cut off."""
    engine = Engine(jit=jit)
    p = TracedTensor.from_tensor(array(3))
    middle = nbg.sin(p)
    middle.eval(engine)
    known = middle * middle
    known.eval(engine)
    out = nbg.sum(known + middle + p)
    program = engine.compile(out, middle)
    at = array(3) * 5
    close(program(at), np.sum(at * at + at + array(3)))
    both = engine.compile(out, [p, middle])
    close(both(np.zeros(3), at), np.sum(at * at + at))
    gradient = engine.compile(out.grad(p), p)
    close(gradient(at), 2 * np.sin(at) * np.cos(at) + np.cos(at) + 1)
    close(out.eval(engine), np.sum(np.sin(array(3)) ** 2 + np.sin(array(3)) + array(3)))


@each_tier
def test_a_long_loop_as_a_program(jit):
    engine = Engine(jit=jit)
    p = TracedTensor.from_tensor(array(3))
    x = p
    for _ in range(200):
        x = nbg.cos(x) * p + 0.1 * x
        x.eval(engine)
    program = engine.compile([nbg.sum(x), nbg.sum(x).grad(p)], p)
    assert "repeat" in str(program)
    for at in (array(3), 0.3 * array(3)):
        plain, h = at, 1e-6

        def run(p: Array) -> Array:
            x = p
            for _ in range(200):
                x = np.cos(x) * p + 0.1 * x
            return x

        value, gradient = program(at)
        close(value, np.sum(run(plain)))
        np.testing.assert_allclose(gradient, (run(at + h) - run(at - h)) / (2 * h), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    "f",
    [
        lambda x: nbg.sum(x),
        lambda x: nbg.mean(x) * x[1:],
        lambda x: nbg.reshape(x, (-1, 1)),
        lambda x: nbg.reshape(x, (3, 1)),
        lambda x: nbg.concatenate([x, x])[::2],
        lambda x: x + np.ones(3),
        lambda x: x[:2] - x[-2:],
        lambda x: nbg.diagonal(nbg.outer(x, x), 2),
        lambda x: nbg.stack([x, x])[:, 2],
    ],
)
def test_a_program_traced_at_one_size_called_at_another(f):
    """Right results or a named error."""
    x = TracedTensor.from_tensor(array(3))
    program = Engine().compile(f(x), x)
    close(program(array(3)), f(x).eval())
    for n in (0, 1, 2, 4, 7):
        try:
            got = program(array(n))
        except NbgraphError:
            continue
        close(got, f(TracedTensor.from_tensor(array(n))).eval())


@pytest.mark.parametrize("jit", ["never", "always"])
def test_a_long_loop_over_placeholders_is_pulled_back(jit: str) -> None:
    x, a = nbg.TracedTensor.placeholder((3,), name="x"), nbg.TracedTensor.placeholder((3,), name="a")
    y = x
    for _ in range(200):
        y = y + 0.01 * nbg.sin(a * y)
    gx, ga = nbg.sum(y).grad([x, a])
    engine = nbg.Engine(jit=jit)
    at = {x: np.array([0.1, 0.2, 0.3]), a: np.array([1.0, 0.5, -1.0])}
    p, q = (nbg.TracedTensor.from_tensor(at[t]) for t in (x, a))
    z = p
    for _ in range(200):
        z = z + 0.01 * nbg.sin(q * z)
        z.eval(nbg.default_engine())
    for got, wanted in zip((gx, ga), nbg.sum(z).grad([p, q]), strict=True):
        np.testing.assert_allclose(got.eval(engine, bindings=at), wanted.eval(), rtol=1e-11)


def test_constants_of_a_named_size_are_part_of_a_program() -> None:
    x = TracedTensor.placeholder(("n",), name="x")
    ramp = nbg.arange(x.shape[0]) * 2.0
    sealed = (ramp * x).sum().grad(x)  # `ramp` is of a call now, on which no input leads to
    total = nbg.sum(ramp) + nbg.sum(nbg.checkpoint(nbg.sin)(x)).grad(x) * ramp
    program = Engine(jit="never").compile([sealed, total, ramp], [x])
    for n in (2, 5):
        a, want = array(n), 2.0 * np.arange(n)
        for got, w in zip(program(a), (want, want.sum() + np.cos(a) * want, want), strict=True):
            close(got, w)


def test_a_size_without_a_value_is_named() -> None:
    x = TracedTensor.placeholder(("n",), name="x")
    for y in (nbg.ones(x.shape[0]), nbg.asarray(x.shape[0]) * 0.5):
        with pytest.raises(nbg.BindingError, match="the size n has no value") as caught:
            y.eval(Engine(jit="never"))
        assert "bindings" in caught.value.hint
        assert Path(__file__).name in str(caught.value)


def test_a_size_counts_from_the_end() -> None:
    x, y = placeholders()
    both = nbg.concatenate([y, y[::-1], x[:, 0]])
    last, one = both[-y.shape[0] :], both[-y.shape[0]]
    assert last.shape == y.shape
    for n in (2, 5):
        given = {x: array(n, 3), y: array(n)}
        close(last.eval(bindings=given), given[x][:, 0])
        close(one.eval(bindings=given), given[x][0, 0])


@pytest.mark.parametrize("how", ["compiled", "differentiated"])
def test_what_needs_no_placeholder_has_a_value_whatever_it_was_sealed_with(how: str) -> None:
    engine = nbg.Engine(jit="never")
    c, x = nbg.TracedTensor.from_tensor([0.0, 1.0]), nbg.TracedTensor.placeholder(("n",), "float64", "x")
    y = nbg.exp(c)
    z = x * y.sum()
    if how == "compiled":
        engine.compile([z], [x])
    else:
        z.sum().grad(c)
    np.testing.assert_allclose(y.eval(engine), np.exp([0.0, 1.0]))
    assert y.data is not None
    with pytest.raises(nbg.errors.BindingError, match="'x' is not bound"):
        z.eval(engine)
    np.testing.assert_allclose(z.sum().grad(c).eval(engine, bindings={x: np.ones(3)}), 3 * np.exp([0.0, 1.0]))


def test_nothing_is_moved_round_an_axis() -> None:
    x = TracedTensor.placeholder(("n", 3), name="x")
    y = nbg.roll(x, 1, axis=0) + nbg.roll(x, x.shape[0] // 2, axis=0)
    slope = nbg.sum(y * y).grad(x)
    for n in (0, 1, 4):
        a = np.arange(3.0 * n).reshape(n, 3)
        want = np.roll(a, 1, 0) + np.roll(a, n // 2, 0)
        got, pulled = nbg.eval(y, slope, bindings={x: a})
        np.testing.assert_array_equal(got, want)
        np.testing.assert_array_equal(pulled, 2 * (np.roll(want, -1, 0) + np.roll(want, -(n // 2), 0)))
