"""PyTensor: a `scan` of fixed length and its gradient, compiled by its Numba backend."""

from __future__ import annotations

from typing import Any

from bench.peers import missing

NOTE = (
    "fixed K in a `scan`, no data-dependent stop; Numba backend; compiles for half a minute: n = 8 unless --no-limits"
)
SLOW = True


def available() -> str | None:
    return missing("pytensor", "pytensor.tensor")


def limit(n: int, K: int) -> str | None:
    return "compiles for tens of seconds" if n != 8 else None


def make(n: int, K: int, data: Any) -> Any:
    import numpy as np
    import pytensor
    import pytensor.tensor as pt

    def step(x: Any, a: Any) -> tuple[Any, Any]:
        y = a @ x
        new = y / pt.sqrt(pt.dot(y, y))
        moved = new - x
        return new, pt.sqrt(pt.dot(moved, moved))

    a, x0 = pt.dmatrix("a"), pt.dvector("x")
    xs, deltas = pytensor.scan(step, outputs_info=[x0, None], non_sequences=[a], n_steps=K, return_updates=False)
    x = xs[-1]
    loss = x @ (a @ x)
    function = pytensor.function([a, x0], [loss, pytensor.grad(loss, a), deltas], mode="NUMBA")

    def run() -> tuple[float, Any]:
        value, gradient, moved = function(data.a, data.x)
        if (moved < data.tol).any():
            raise RuntimeError("converged before the last step")
        return float(value), np.asarray(gradient)

    return run
