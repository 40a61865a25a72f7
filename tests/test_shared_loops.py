"""Loop nests that share their outer loops: the same values as the interpreter's, and no more loops than without."""

from __future__ import annotations

import math
import re
from typing import Any

import numpy as np
import pytest

import nbgraph as nbg
from nbgraph import Engine, TracedTensor
from nbgraph.codegen.rows import in_row
from nbgraph.kinds import Layout

SHAPES: list[tuple[int, ...]] = [(3, 5), (2, 3, 4), (4, 1, 300), (1, 7), (6, 1), (0, 3), (2, 3, 1, 2)]


def compiled(outputs: Any, leaves: Any) -> Any:
    return Engine(jit="always", cache_dir=None).compile(outputs, leaves)


def loops(program: Any) -> int:
    """The number of loops in generated code."""
    return len(re.findall(r"\bfor \w+ in", program.source))


def same(got: Any, want: Any) -> None:
    assert (got.dtype, got.shape) == (want.dtype, want.shape)
    rounding = 200 * (np.finfo(want.dtype).eps if want.dtype.kind in "fc" else 0)
    scale = float(np.max(np.abs(want[np.isfinite(want)]), initial=0.0)) if want.dtype.kind in "fc" else 0.0
    np.testing.assert_allclose(got, want, rtol=rounding, atol=rounding * scale)


def random_rows(rng: np.random.Generator, x: Any, y: Any, steps: int) -> list[Any]:
    """Values over one shape: reduced along some axes, spread again, combined, turned about, seen in part."""
    values, kept = [x, y], []
    rank = x.ndim
    for _ in range(steps):
        a, b = (values[int(k)] for k in rng.integers(max(0, len(values) - 4), len(values), 2))
        axes = tuple(sorted(rng.choice(rank, int(rng.integers(1, rank + 1)), replace=False).tolist()))
        if rng.random() < 0.5:
            axes = tuple(range(int(rng.integers(rank)), rank))  # rows
        reduce = nbg.sum if rng.random() < 0.7 or 0 in x.shape else nbg.max
        total = reduce(a, axis=axes, keepdims=True)
        choice = int(rng.integers(7))
        if choice == 0:
            total = nbg.sqrt(1.0 + total * total)
        elif choice == 1:
            b = nbg.flip(b, rank - 1)
        elif choice == 2:
            kept.append(nbg.squeeze(total, axes) if all(total.shape[i] == 1 for i in axes) else total)
        elif choice == 3:
            b = nbg.cumsum(b, rank - 1) if b.dtype.kind != "c" else b  # a kernel between the nests
        elif choice == 4:
            total = total + nbg.mean(b, axis=rank - 1, keepdims=True)
        elif choice == 5:
            kept.append(nbg.sum(b * total, axis=0))
        values.append(nbg.tanh(0.5 * a - 0.25 * total) + 0.5 * b)
    return [*kept, *values[-2:]]


@pytest.mark.parametrize("code", ["f8", "f4", "c16"])
@pytest.mark.parametrize("seed", range(3))
def test_random_rows_are_what_the_interpreter_gives(seed: int, code: str) -> None:
    """One structure at the sizes of a shape and at others of the same rank."""
    rng = np.random.default_rng((seed, len(code)))
    shape = SHAPES[int(rng.integers(len(SHAPES)))] if code != "f8" else SHAPES[seed]
    arrays = [rng.standard_normal(shape).astype(code) for _ in range(2)]
    if code == "c16":
        arrays[1] = arrays[1] * 1j
    leaves = [TracedTensor.from_tensor(a) for a in arrays]
    reals = leaves if code != "c16" else [nbg.abs(v) for v in leaves]
    outputs = random_rows(rng, *reals, steps=7)
    if code == "c16":
        outputs.append(leaves[0] * nbg.sum(leaves[1] * outputs[-1], -1, keepdims=True) - nbg.sum(leaves[0], 0))
    want = nbg.eval(*outputs, engine=Engine(jit="never"))
    for got, w in zip(compiled(outputs, leaves)(*arrays), want, strict=True):
        same(got, w)


@pytest.mark.parametrize("shape", [SHAPES[k] for k in (0, 2, 4, 5)], ids=str)
def test_softmax_along_each_axis_with_its_gradient(shape: tuple[int, ...]) -> None:
    rng = np.random.default_rng(3)
    x, ct = rng.standard_normal(shape), rng.standard_normal(shape)
    leaf, cotangent = TracedTensor.from_tensor(x), nbg.constant(ct)
    axes = [axis for axis in range(len(shape)) if shape[axis]]
    outputs = [v for axis in axes for y in (nbg.nn.softmax(leaf, axis),) for v in (y, y.vjp(leaf, cotangent))]
    want = nbg.eval(*outputs, engine=Engine(jit="never"))
    for got, w in zip(compiled(outputs, [leaf])(x), want, strict=True):
        same(got, w)


def test_rows_share_their_loop_and_need_memory_for_one_row_only() -> None:
    """Softmax: a loop over the rows, and in it one for the maximum, two for the sum in blocks, one for the quotient."""
    leaf = TracedTensor.from_tensor(np.ones((40, 50)))
    program = compiled([nbg.nn.softmax(leaf, -1)], [leaf])
    assert loops(program) == 5
    assert program.source.count("for i0 in") == 1
    assert "tmp0[i1]" in program.source and "tmp1" not in program.source


def test_what_needs_all_rows_waits_for_them() -> None:
    """A sum over rows is read in a nest of its own; what was made row by row before is whole in memory there."""
    leaf = TracedTensor.from_tensor(np.arange(12.0).reshape(4, 3))
    scaled = leaf / nbg.sum(leaf, 1, keepdims=True)
    program = compiled([scaled - nbg.mean(scaled, 0)], [leaf])
    assert program.source.count("for i0 in") == 3  # the rows, the mean of 3 sums, the differences
    x = np.arange(12.0).reshape(4, 3)
    rows = x / x.sum(1, keepdims=True)
    same(program(x)[0], rows - rows.mean(0))


@pytest.mark.parametrize("code", ["f4", "f8", "c16"])
def test_long_sums_lose_no_more_than_the_last_digit(code: str) -> None:
    """However many blocks there are: NumPy's pairwise sums of 10^6 numbers lose half an ulp, sums one by one 50."""
    x = nbg.TracedTensor.placeholder(("n",), dtype=code, name="x")
    total = compiled([nbg.sum(x)], [x])
    for seed in range(3):
        array = np.random.default_rng(seed).uniform(0, 1, 2 * 10**6).view("c16" if code == "c16" else "f8")
        array = array[: 10**6].astype(code)
        exact = math.fsum(array.real)
        assert abs(total(array)[0].real - exact) <= np.finfo(code).eps * exact


def test_sums_of_infinities() -> None:
    x = nbg.TracedTensor.placeholder(("n",), name="x")
    total = compiled([nbg.sum(x)], [x])
    for special, wanted in (
        ([np.inf], np.inf),
        ([-np.inf], -np.inf),
        ([np.inf, -np.inf], np.nan),
        ([1e308] * 9, np.inf),
    ):
        array = np.concatenate([np.ones(3000), special, np.ones(3000)])
        np.testing.assert_equal(total(array)[0], wanted)


def test_sums_over_many_rows_are_accurate() -> None:
    """Also where a sum over the rows is taken outside the nests of a row: not one after another."""
    n = 300_000
    x = np.full((n, 2), 0.05)
    leaf = TracedTensor.from_tensor(x)
    total = nbg.sum(nbg.sum(leaf, 1) * 1.0)
    assert abs(compiled([total], [leaf])(x)[0] - 0.1 * n) <= 1e-13 * n


@pytest.mark.parametrize("code", ["f8", "f4", "c8", "i4", "b1"])
def test_reductions_along_rows_taken_several_at_a_time(code: str) -> None:
    """One program at every number of rows, zero and those that are no multiple included."""
    rng = np.random.default_rng(5)

    def f(x: Any) -> Any:
        outputs = [nbg.sum(x, 0), nbg.mean(x * x, 0), nbg.sum(x[None], 1)]
        if code[0] == "f":
            outputs += [nbg.linalg.norm(x, axis=0)]
        return outputs

    always, never = Engine(jit="always", cache_dir=None), Engine(jit="never")
    for n in (0, 2, 4, 5, 8, 11):
        x = (10 * rng.standard_normal((n, 3))).astype(code)
        for got, w in zip(*(nbg.eval(*f(nbg.constant(x)), engine=e) for e in (always, never)), strict=True):
            same(got, w)
    assert always.stats().compiled == 1


def test_few_operations_along_rows_are_written_for_several() -> None:
    x = np.random.default_rng(4).standard_normal((2, 7, 3))
    leaf = TracedTensor.from_tensor(x)
    program = compiled([nbg.sum(leaf * leaf, 1)], [leaf])
    assert loops(program) == 2 + 1 + 4  # zeros; the first axis, around four rows at a time and the three that are left
    same(program(x)[0], (x * x).sum(1))


@pytest.mark.parametrize("code", ["f4", "f8", "c8", "i8", "b1"])
def test_long_rows_in_parts(code: str) -> None:
    """One program at lengths that are multiples of the number of parts and not; NaN wherever it is."""
    rows = nbg.TracedTensor.placeholder((2, "n"), dtype=code, name="rows")
    names = ("sum", "any", "all", *(("max", "min") if code[0] != "c" else ()))
    program = compiled([getattr(nbg, name)(rows, axis) for name in names for axis in (1, None)], [rows])
    rng = np.random.default_rng(6)
    for n in (0, 1, 3, 4100, 8195, 9001):
        x = (10 * rng.standard_normal((2, n))).astype(code)
        if code == "f4" and n:
            x[1, rng.integers(n)] = np.nan
        if n or code[0] == "c":
            wanted = [getattr(np, name)(x, axis) for name in names for axis in (1, None)]
            for got, want in zip(program(x), wanted, strict=True):
                np.testing.assert_allclose(got, want, rtol=1e-4 if code in ("f4", "c8") else 1e-11, atol=1e-3)


def test_extrema_along_rows_keep_nan_and_infinities() -> None:
    x = np.array([[1.0, np.nan, -np.inf, 2.0], [np.inf, 0.0, -np.inf, np.nan]] * 3)[:5]
    leaf = TracedTensor.from_tensor(x)
    for got, w in zip(compiled([nbg.max(leaf, 0), nbg.min(leaf, 0)], [leaf])(x), (x.max(0), x.min(0)), strict=True):
        np.testing.assert_array_equal(got, w)


def test_views_that_stay_in_a_row() -> None:
    d, e = 5, 7
    whole = Layout.row_major((d, e))
    domain = (d, e)
    assert in_row(whole, (d, e), domain, 1)
    assert in_row(Layout((d, e), (1, 0), 0), (d,), domain, 1)  # one number a row
    assert in_row(Layout((d, e), (e, 0), 0), (d, e), domain, 1)  # the first of each row
    assert not in_row(Layout((d, e), (0, 1), 0), (d, e), domain, 1)  # always the first row
    assert not in_row(Layout((d, e), (e, 1), e), (d, e), domain, 1)  # the next row
    assert not in_row(Layout((d, d), (1, d), 0), (d, d), (d, d), 1)  # the column of this number
    assert not in_row(Layout((e,), (1,), 0), (d, e), domain, 1)


@pytest.mark.parametrize("code", ["f4", "f8", "c8"])
def test_rows_stored_past_the_cache_are_the_same_bits(code: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """As for large results: rows of any length, which begin anywhere in a line of the cache."""
    rng = np.random.default_rng(1)

    def program(x: TracedTensor) -> Any:
        return nbg.exp(x - nbg.mean(x, axis=1, keepdims=True)) / nbg.sum(x * x, axis=1, keepdims=True)

    x = TracedTensor.placeholder(("m", "n"), np.dtype(code))
    plain = compiled(program(x), x)
    monkeypatch.setattr("nbgraph.codegen.nest.MANY", 1)
    streamed = compiled(program(x), x)
    assert streamed.source.count("stream(") == 1
    for shape in ((7, 37), (3, 1), (5, 256), (2, 9000), (0, 4), (4, 0)):
        values = rng.standard_normal(shape).astype(code)
        np.testing.assert_array_equal(streamed(values), plain(values))
