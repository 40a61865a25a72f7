"""What is bound to placeholders: what does not fit is an error that says which; sizes as numbers."""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import nbgraph as nbg
from nbgraph import Engine, TracedTensor
from nbgraph.errors import BindingError, BoundsError, ConcretizationError, NbgraphError, ShapeError

NEVER = Engine(jit="never")
x, y, z = (TracedTensor.placeholder(s, name=name) for s, name in ((("n", 3), "x"), (("n",), "y"), (("m",), "z")))
out = nbg.sum(x * y[:, None])
ones = np.ones
PROGRAM = NEVER.compile(out, [x, y])


def by_eval(values: list[Any]) -> Any:
    return out.eval(NEVER, bindings=dict(zip((x, y), values, strict=False)))


def by_function(values: list[Any]) -> Any:
    return nbg.eval(out, x, engine=NEVER, bindings=dict(zip((x, y), values, strict=False)))


def by_program(values: list[Any]) -> Any:
    return PROGRAM(*values)


@pytest.mark.parametrize("run", [by_eval, by_function, by_program])
@pytest.mark.parametrize(
    ("values", "says"),
    [
        ([ones(3), ones(2)], r"x: wrong rank: got \(3,\), wanted float64\[n, 3\]"),
        ([ones((2, 3)), ones((2, 1))], r"y: wrong rank"),
        ([ones((2, 3), "f4"), ones(2)], "x: wrong dtype: got float32, wanted float64"),
        ([None, ones(2)], "x: wrong dtype"),
        ([[[1.0, 2.0], [3.0]], ones(2)], "x: not an array"),
        ([ones((2, 4)), ones(2)], r"x: wrong size: got \(2, 4\), wanted float64\[n, 3\]"),
        ([ones((2, 3)), ones(5)], "y: the size n is 2 elsewhere"),
        ([ones((2, 3))], "'y' is not bound|wanted 2: x, y"),
    ],
)
def test_what_does_not_fit_says_which(run: Callable[..., Any], values: list[Any], says: str) -> None:
    with pytest.raises(BindingError, match=says):
        run(values)
    fitting = run([ones((2, 3)), ones(2)])
    np.testing.assert_allclose(fitting[0] if run is by_function else fitting, 6)


def test_superfluous_bindings() -> None:
    given = {x: ones((2, 3)), y: ones(2)}
    with pytest.raises(BindingError, match=r"z: nothing that is evaluated depends on it"):
        out.eval(NEVER, bindings={**given, z: ones(4)})
    with pytest.raises(BindingError, match="wanted 2: x, y"):
        PROGRAM(ones((2, 3)), ones(2), ones(4))
    # Of these only sizes are read.
    np.testing.assert_array_equal(nbg.zeros(z.shape).eval(NEVER, bindings={z: ones(4)}), np.zeros(4))
    np.testing.assert_array_equal((y * z.shape[0]).eval(NEVER, bindings={y: ones(1), z: ones(4)}), [4.0])


def test_what_is_no_placeholder_or_no_mapping() -> None:
    for wrong in ("x", TracedTensor.from_tensor(1.0), out):
        with pytest.raises(BindingError, match="not a placeholder"):
            out.eval(NEVER, bindings={wrong: ones(2)})
    with pytest.raises(BindingError, match="not a mapping"):
        out.eval(NEVER, bindings=[x])
    with pytest.raises(BindingError, match="an input is given twice: got x, x, y"):
        NEVER.compile(out, [x, x, y])


@pytest.mark.parametrize("shape", [(1.5,), (-1,), (None, 3), ("",), (True,), ("n", [3])])
def test_what_is_no_size(shape: Any) -> None:
    with pytest.raises(ShapeError, match="not a size"):
        TracedTensor.placeholder(shape)


@pytest.mark.parametrize(
    ("f", "sizes", "error"),
    [
        (lambda: nbg.sum(y * z), {y: 2, z: 3}, BindingError),
        (lambda: y[3:] * z.shape[0], {y: 2, z: 3}, BoundsError),
        (lambda: y[z.shape[0]] * 2, {y: 2, z: 3}, BoundsError),
        (lambda: nbg.reshape(y, (z.shape[0], 2)) * 2, {y: 2, z: 3}, ShapeError),
        (lambda: nbg.split(y, 2)[0] * z.shape[0], {y: 5, z: 3}, ShapeError),
        (lambda: nbg.max(y) * z.shape[0], {y: 0, z: 3}, ShapeError),
    ],
)
def test_sizes_that_turn_out_not_to_fit_are_told_by_name(f: Any, sizes: Any, error: Any) -> None:
    made = f()
    values = [ones(n) for n in sizes.values()]
    program = NEVER.compile(made, list(sizes))
    for run in (lambda: made.eval(NEVER, bindings=dict(zip(sizes, values, strict=True))), lambda: program(*values)):
        with pytest.raises(error) as caught:
            run()
        assert caught.value.hint == f"sizes are n = {sizes[y]}, m = {sizes[z]}"


@pytest.mark.parametrize(
    "f",
    [
        lambda: y[1:] + y,
        lambda: x @ nbg.ones(4),
        lambda: nbg.concatenate([x, y[:-1][:, None]], 1),
        lambda: nbg.outer(y, y) @ y[2:],
        lambda: nbg.linalg.solve(nbg.outer(y, y), y[1:]),
        lambda: nbg.einsum("i,i->", y, nbg.concatenate([y, [1.0]])),
        lambda: nbg.where(y > 0, y, nbg.concatenate([y, y[:1]])),
    ],
)
def test_contradictions_are_found_while_tracing(f: Callable[[], Any]) -> None:
    """Sizes that differ by a number are equal for no binding."""
    with pytest.raises(ShapeError):
        f()


def test_a_size_behaves_as_a_number_where_it_is_one() -> None:
    known = TracedTensor.placeholder((2, "n"))
    assert (len(known), known.shape[0], int(known.shape[0]), known.ndim) == (2, 2, 2, 2)
    assert str(known.type) == "float64[2, n]" and repr(x) == "TracedTensor(float64[n, 3])"
    n = x.shape[0]
    assert (x.size, nbg.size(x), nbg.shape(x), n == y.shape[0], n == 3) == (3 * n, 3 * n, (n, 3), True, False)
    asked: list[Callable[[], Any]] = [
        lambda: len(x), lambda: int(n), lambda: bool(n), lambda: float(n), lambda: n > 2, lambda: n <= 2,
        lambda: range(n), lambda: n * 2.0, lambda: 2.0 - n, lambda: n / 2, lambda: 1 / n,
        lambda: n**0.5, lambda: list(x), lambda: [1][n],
    ]  # fmt: skip
    for ask in asked:
        with pytest.raises(ConcretizationError):
            ask()
    at = {y: ones(3)}
    for f in (operator.add, operator.mul, operator.truediv, operator.sub):
        np.testing.assert_allclose(f(y, n).eval(NEVER, bindings=at), f(ones(3), 3))
        np.testing.assert_allclose(f(n, y).eval(NEVER, bindings=at), f(3, ones(3)))


def test_what_is_not_bound_has_no_value() -> None:
    for ask in (x.item, x.tolist, lambda: float(out), lambda: bool(out), lambda: np.asarray(y), lambda: str(y)):
        with pytest.raises(NbgraphError):
            ask()
