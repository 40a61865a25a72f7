"""nbgraph: the plain loop recorded once, checks and gradient included, then run again as a `CompiledProgram`."""

from __future__ import annotations

from typing import Any

from bench.peers.power.nbgraph_loop import available, engine

NOTE = "fixed K, no data-dependent stop: the recorded steps, whatever the data"


def make(n: int, K: int, data: Any) -> Any:
    import numpy as np

    import nbgraph as nbg

    eng = engine("always")
    rng = np.random.default_rng(1)
    a = nbg.TracedTensor.from_tensor(data.a + 0.1 * rng.random((n, n)))  # recorded on other data
    x0 = x = nbg.constant(data.x + 0.1 * rng.random(n))
    least: Any = np.inf
    for _ in range(K):
        y = a @ x
        new = y / nbg.linalg.norm(y)
        least = nbg.minimum(least, nbg.linalg.norm(new - x))
        x = new
        least.eval(eng)
    loss = x @ (a @ x)
    program = eng.compile([loss, loss.grad(a), least], [a, x0])

    def run() -> tuple[float, Any]:
        value, gradient, least = program(data.a, data.x)
        if least < data.tol:
            raise RuntimeError("converged before the last step")
        return float(value), gradient

    return run


__all__ = ["NOTE", "available", "make"]
