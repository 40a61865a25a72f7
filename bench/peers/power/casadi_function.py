"""CasADi: a function of MX expressions over all steps and its gradient, run by its virtual machine."""

from __future__ import annotations

from typing import Any

from bench.peers import missing

NOTE = "fixed K, no data-dependent stop; the whole expression is built for each K"


def available() -> str | None:
    return missing("casadi")


def make(n: int, K: int, data: Any) -> Any:
    import casadi
    import numpy as np

    a, x0 = casadi.MX.sym("a", n, n), casadi.MX.sym("x", n)
    x, deltas = x0, []
    for _ in range(K):
        y = a @ x
        new = y / casadi.norm_2(y)
        deltas.append(casadi.norm_2(new - x))
        x = new
    loss = casadi.dot(x, a @ x)
    function = casadi.Function("power", [a, x0], [loss, casadi.gradient(loss, a), casadi.vertcat(*deltas)])
    a_value, x_value = casadi.DM(data.a), casadi.DM(data.x)

    def run() -> tuple[float, Any]:
        loss, gradient, deltas = function(a_value, x_value)
        if (deltas.full() < data.tol).any():
            raise RuntimeError("converged before the last step")
        return float(loss), np.asarray(gradient.full())

    return run
