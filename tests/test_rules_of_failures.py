"""Rule 7 of the design: a seal commits only after its run succeeded."""

from __future__ import annotations

import linecache
import sys
from typing import Any

import numpy as np
import pytest
from sealing import ENGINES, NEVER, Spy, T, equal, iterate, loop_and_gradient, start

import nbgraph as nbg
from nbgraph.graph import fragments_of

# -- 7: a seal commits only after its run succeeded -------------------------------------------------------------------


@pytest.mark.parametrize("error", [KeyboardInterrupt, MemoryError, ZeroDivisionError])
@pytest.mark.parametrize("at", [0, 1, 5])
def test_rule_07_a_failed_run_leaves_the_graph_as_it_was(error, at, monkeypatch) -> None:
    fragments, value, gradient = loop_and_gradient(NEVER)
    failing = Spy(monkeypatch, "tanh", error())

    def fail(k: int, x: Any) -> None:
        if k == at:
            failing.failures = 1
            with pytest.raises(error):
                x.eval(NEVER)
            assert x.op is not None

    again = loop_and_gradient(NEVER, fail)
    assert again[0] == fragments
    equal(again[1], value)
    equal(again[2], gradient)


def test_rule_07_a_gradient_that_fails_can_be_evaluated_again(monkeypatch) -> None:
    _, _, gradient = loop_and_gradient(NEVER)
    x, p = start()
    g = iterate(x, p, 6, NEVER).sum().grad(p)
    failing = Spy(monkeypatch, "tanh", KeyboardInterrupt())
    for _ in range(3):
        failing.failures = 1
        with pytest.raises(KeyboardInterrupt):
            g.eval(NEVER)
    equal(g.eval(NEVER), gradient)


@ENGINES
def test_rule_07_a_singular_matrix(engine) -> None:
    a, b = T(np.zeros((2, 2))), T([1.0, 2.0])
    y = nbg.sin(b)
    x = nbg.linalg.solve(a + 0.0, y)
    z = x * 2
    for _ in range(2):
        with pytest.raises(nbg.LinAlgError, match=r"(?s)solve.*test_rules"):
            z.eval(engine)
    assert z.op is not None
    equal(y.eval(engine), np.sin([1.0, 2.0]))
    gradient = x.sum().grad(b)
    with pytest.raises(nbg.LinAlgError):
        gradient.eval(engine)
    good = nbg.linalg.solve(a + np.eye(2), y)
    equal(good.eval(engine), np.sin([1.0, 2.0]))
    equal(good.sum().grad(b).eval(engine), np.cos([1.0, 2.0]))


def test_rule_07_interrupted_anywhere() -> None:
    """Ctrl-C at (every fourth) line of the library, in sealing, running, committing: nothing is lost."""
    fragments, value, gradient = loop_and_gradient(NEVER)
    line, done = 0, False
    while not done:
        x, p = start()
        y = iterate(x, p, 3, NEVER)
        for k in range(3):
            y = nbg.tanh(y @ p) + y * 0.5
            if k == 1:
                done = not interrupted_at(line, lambda y=y: y.eval(NEVER))
            y.eval(NEVER)
        g = y.sum().grad(p)
        done = not interrupted_at(line, lambda g=g: g.eval(NEVER)) and done
        equal(y.eval(NEVER), value)
        equal(g.eval(NEVER), gradient)
        assert fragments_of(y) == fragments
        line += 4
    assert line > 200


def interrupted_at(line: int, run: Any) -> bool:
    """Runs with KeyboardInterrupt raised before the line-th line of the library; whether there was such a line."""
    left = line

    def trace(frame: Any, event: str, _: Any) -> Any:
        nonlocal left
        if "/nbgraph/" not in frame.f_code.co_filename:
            return None
        # Python's own interrupts do not come between a body and the end of its `with`, trace functions do.
        source = linecache.getline(frame.f_code.co_filename, frame.f_lineno)
        if event == "line" and not source.lstrip().startswith("with "):
            left -= 1
            if left < 0:
                sys.settrace(None)
                raise KeyboardInterrupt
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        run()
    except KeyboardInterrupt:
        return True
    finally:
        sys.settrace(before)
    return False


def test_rule_07_compile_computes_afresh() -> None:
    x, p = start()
    middle = x @ p
    y = nbg.tanh(middle) + x
    y.eval(NEVER)
    program = NEVER.compile([y, middle], [x])
    x0, p0 = np.array([1.0, -2.0, 0.5]), p.eval()
    for _ in range(2):
        got = program(x0)
        equal(got[0], np.tanh(x0 @ p0) + x0)
        equal(got[1], x0 @ p0)
        x0 = x0 + 1
    from_middle = NEVER.compile([y], [middle])
    equal(from_middle(x0)[0], np.tanh(x0) + x.eval())
    equal(NEVER.compile([y.sum().grad(p)], [p])(p0)[0], y.sum().grad(p).eval(NEVER))
