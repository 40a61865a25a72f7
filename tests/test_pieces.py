"""Large programs in pieces: the same bits for any number of threads, and what NumPy says."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import nbgraph as nbg
from nbgraph.engine import pieces

ROWS = 37


def layer(x: Any, w: Any) -> Any:
    return nbg.tanh((x - nbg.mean(x, axis=1, keepdims=True)) * w) + nbg.max(x, axis=1, keepdims=True)


#: Functions of a matrix and of a row, and whether a thread alone runs them in pieces: where rows are summed.
SPLIT: dict[str, tuple[Callable[[Any, Any], Any], bool]] = {
    "elementwise": (lambda x, w: nbg.exp(x) * w + 1.0, False),
    "rows": (layer, False),
    "sum": (lambda x, w: nbg.sum(nbg.exp(x) * w), True),
    "columns": (lambda x, w: nbg.sum(x * w, axis=0), True),
    "maximum": (lambda x, w: nbg.max(x * w), True),
    "several": (lambda x, w: [nbg.sum(x * x), x * w, nbg.min(x, axis=(0, 1))], True),
    "gradient": (lambda x, w: nbg.sum(layer(x, w)).grad([x, w]), True),
}
#: Functions that need all rows at once.
WHOLE: dict[str, Callable[[Any, Any], Any]] = {
    "sum used": lambda x, w: x / nbg.sum(x, axis=0),
    "along": lambda x, w: nbg.cumsum(x, axis=0) * w,
    "turned": lambda x, w: x.T + 1.0,
    "product": lambda x, w: x @ nbg.ones((5, 2)),
    "flat": lambda x, w: nbg.reshape(x, (-1,)) * 2.0,
    "mean of all": lambda x, w: nbg.mean(x),
    "twice as many": lambda x, w: nbg.sum(nbg.broadcast_to(w[0], (2 * x.shape[0],))) + nbg.sum(x),
}


@pytest.fixture(autouse=True)
def everything_is_large(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pieces, "LARGE", 1)
    monkeypatch.setattr(pieces, "EACH", 1)


def results(function: Any, code: str, threads: int, by_program: bool) -> tuple[list[Any], bool]:
    """The arrays, and whether they were made in pieces."""
    rng = np.random.default_rng(1)
    x, w = (nbg.TracedTensor.from_tensor(rng.standard_normal(s).astype(code)) for s in ((ROWS, 5), (5,)))
    engine, runs = nbg.Engine(jit="always", cache_dir=None, threads=threads), []
    outs = function(x, w)
    outs = list(outs) if isinstance(outs, list | tuple) else [outs]
    real = pieces.Pieces.outputs
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pieces.Pieces, "outputs", lambda self, arrays: runs.append(1) or real(self, arrays))
        if by_program:
            made = engine.compile(outs, [x, w])(x.eval(engine), w.eval(engine))
        else:
            made = nbg.eval(*outs, engine=engine)
    return list(made), bool(runs)


@pytest.mark.parametrize("name", SPLIT)
@pytest.mark.parametrize(("code", "by_program"), [("f8", True), ("f4", False)])
def test_the_same_bits_for_any_number_of_threads(name: str, code: str, by_program: bool) -> None:
    function, alone = SPLIT[name]
    one, was_split = results(function, code, 1, by_program)
    assert was_split == alone
    for threads in (2, 3):
        several, was_split = results(function, code, threads, by_program)
        assert was_split
        for a, b in zip(one, several, strict=True):
            assert (a.dtype, a.shape) == (b.dtype, b.shape)
            np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("name", SPLIT)
def test_values(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    in_pieces, _ = results(SPLIT[name][0], "f8", 2, True)
    monkeypatch.setattr(pieces, "LARGE", 10**9)
    whole, was_split = results(SPLIT[name][0], "f8", 2, True)
    assert not was_split
    for a, b in zip(in_pieces, whole, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-13, atol=1e-13)


@pytest.mark.parametrize("name", WHOLE)
def test_what_needs_all_rows_is_run_whole(name: str) -> None:
    made, was_split = results(WHOLE[name], "f8", 2, True)
    assert not was_split
    rng = np.random.default_rng(1)
    x, w = rng.standard_normal((ROWS, 5)), rng.standard_normal(5)
    never = nbg.Engine(jit="never")
    want = WHOLE[name](*(nbg.TracedTensor.from_tensor(a) for a in (x, w))).eval(never)
    np.testing.assert_allclose(made[0], want, rtol=1e-13, atol=1e-13)


def test_other_sizes_and_few_rows() -> None:
    x = nbg.TracedTensor.placeholder(("n",), name="x")
    program = nbg.Engine(jit="always", cache_dir=None, threads=2).compile([nbg.sum(x), x + 1.0], [x])
    for n in (100, 8, 9, 7, 1, 0, 1001):
        a = np.arange(float(n))
        total, more = program(a)
        assert total == a.sum()
        np.testing.assert_array_equal(more, a + 1)
