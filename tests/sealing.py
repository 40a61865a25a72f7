"""What the tests of the rules of sealing share: engines, a loop, and an operation whose runs are counted or fail."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import nbgraph as nbg
from nbgraph.engine import straight
from nbgraph.graph import fragments_of
from nbgraph.op import REGISTRY

T = nbg.TracedTensor.from_tensor
NEVER, ALWAYS = nbg.Engine(jit="never"), nbg.Engine(jit="always")
ENGINES = pytest.mark.parametrize("engine", [NEVER, ALWAYS], ids=["never", "always"])


def equal(got: Any, wanted: Any, rtol: float = 1e-12) -> None:
    np.testing.assert_allclose(got, wanted, rtol=rtol, atol=1e-14)


class Spy:
    """Counts the runs of an operation by the interpreter; fails as many of them as asked for."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, name: str, error: BaseException | None = None) -> None:
        self.calls, self.failures, self.error = 0, 0, error
        monkeypatch.setattr(REGISTRY[name], "reference", self.watch(REGISTRY[name].reference))
        # Functions that are there already call the operation itself.
        monkeypatch.setattr(straight, "function_of", straight.straight_line)

    def watch(self, reference: Any) -> Any:
        def watched(op: Any, ins: Any, sizes: Any) -> Any:
            self.calls += 1
            if self.failures:
                self.failures -= 1
                raise self.error or RuntimeError
            return reference(op, ins, sizes)

        return watched


def iterate(x: Any, p: Any, count: int, engine: Any = None, hold: Any = lambda k, x: None) -> Any:
    for k in range(count):
        x = nbg.tanh(x @ p) + x * 0.5
        hold(k, x)
        if engine is not None:
            x.eval(engine)
    return x


def start(seed: int = 0) -> tuple[Any, Any]:
    rng = np.random.default_rng(seed)
    return T(rng.uniform(-1, 1, 3)), T(rng.uniform(-1, 1, (3, 3)))


def loop_and_gradient(engine: Any, hold: Any = lambda k, x: None) -> tuple[Any, ...]:
    """The fragments of a loop, its last state and its gradient."""
    x, p = start()
    y = iterate(x, p, 6, engine, hold)
    g = y.sum().grad(p)
    return fragments_of(y), y.eval(engine), g.eval(engine)
