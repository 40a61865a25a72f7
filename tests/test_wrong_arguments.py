"""Every public function on arguments that make no sense: a tensor or a named error, at once, and nothing else.

Calls are over the public names, each argument wrong by itself and all of them together; nothing is evaluated that the
function does not evaluate itself.
"""

from __future__ import annotations

import inspect
import time
import warnings

import numpy as np
import pytest

import nbgraph as nbg
from nbgraph.engine import core, routes
from nbgraph.errors import NbgraphError


class Odd:
    """Nothing of what a function takes."""


WRONG = {
    "None": lambda: None, "text": lambda: "abc", "object": Odd, "iterator": lambda: iter([1, 2]),
    "huge": lambda: 10**12, "negative": lambda: -1, "ragged": lambda: [[1.0], [2.0, 3.0]], "dict": dict,
    "objects": lambda: np.array([1, "a"], dtype=object), "empty": tuple, "fraction": lambda: 1.5, "axis": lambda: (9,),
}  # fmt: skip
SPACES = {"nbg": nbg, "linalg": nbg.linalg, "fft": nbg.fft, "special": nbg.special, "nn": nbg.nn} | {
    f"scipy.{name}": getattr(nbg.scipy, name) for name in nbg.scipy.__all__
}
#: They call what they are given, or write, or change what all share.
OTHER = {"save", "savez", "load", "set_default_engine", "printoptions", "set_printoptions"}
MATRIX = np.arange(1.0, 10.0).reshape(3, 3)


def functions():
    seen = set()
    for space, module in SPACES.items():
        for name in module.__all__:
            f = getattr(module, name)
            ours = callable(f) and not inspect.isclass(f) and f.__module__.startswith("nbgraph")
            if ours and id(f) not in seen and name not in OTHER:
                seen.add(id(f))
                yield f"{space}.{name}", f


def calls(f, make):
    """Which argument is wrong, and all of them."""
    parameters = inspect.signature(f).parameters.values()
    needed = [p for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD) and p.default is p.empty]
    anything = any(p.kind == p.VAR_POSITIONAL for p in parameters)
    count = len(needed) + 2 * anything
    yield "all", [make() for _ in range(count)], {}
    for wrong in range(count if count > 1 else 0):
        yield wrong, [make() if i == wrong else MATRIX for i in range(count)], {}
    for p in parameters:
        by_name = p.kind == p.KEYWORD_ONLY or (p.kind == p.POSITIONAL_OR_KEYWORD and not anything)
        if by_name and p.default is not p.empty:
            yield p.name, [MATRIX] * count, {p.name: make()}


def unnamed(name, f, place, args, kwargs):
    """What is wrong with how a call went, or None. Other threads' time (the compiler has one) is not the function's."""
    begin = time.thread_time()
    try:
        f(*args, **kwargs)
    except NbgraphError as error:
        text = str(error)
        return None if __file__.rsplit("/", 1)[-1] in text else f"{name}, {place}: without the user's line: {text}"
    except Exception as error:
        return f"{name}, {place}: {type(error).__name__}: {error}"
    return f"{name}, {place}: slow" if time.thread_time() - begin > 1 else None


@pytest.fixture
def interpreted(monkeypatch):
    """What a call evaluates is not compiled."""
    monkeypatch.setattr(core, "_DEFAULT", nbg.Engine(jit="never"))


@pytest.mark.parametrize("wrong", WRONG)
@pytest.mark.usefixtures("interpreted")
def test_a_value_or_a_named_error(wrong):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = [unnamed(name, f, *call) for name, f in functions() for call in calls(f, WRONG[wrong])]
    found = [x for x in found if x]
    assert not found, f"{len(found)}: " + "\n".join(found[:400])


def test_errors_of_what_the_user_gave_are_the_users():
    def wrong(x):
        raise TypeError("mine")

    for call in (
        lambda: nbg.jvp(wrong, (1.0,), (1.0,)), lambda: nbg.apply_along_axis(wrong, 0, MATRIX),
        lambda: nbg.vectorize(wrong)(np.ones(2)), lambda: nbg.fixed_point(wrong, np.ones(2)),
    ):  # fmt: skip
        with pytest.raises(TypeError, match="mine") as caught:
            call()
        assert not isinstance(caught.value, NbgraphError)
    with pytest.raises(NbgraphError, match=r"^sum: axis"):
        nbg.apply_along_axis(lambda v: nbg.sum(v, axis=5), 0, MATRIX)


def test_a_fault_of_the_librarys_does_not_look_like_the_users(monkeypatch):
    monkeypatch.setattr(routes, "_run_open", None)
    x = nbg.TracedTensor.from_tensor(2.0)
    with pytest.raises(TypeError, match="not callable") as caught:
        nbg.eval(nbg.sin(x), nbg.sum(nbg.cos(x) * x).grad(x))
    assert not isinstance(caught.value, NbgraphError)
