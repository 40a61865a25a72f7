"""Log-likelihood of a local level on the Nile series, and its gradient: scalars in a loop."""

from __future__ import annotations

import math
from typing import Any

SIZE = "100 observations"
AT = (15099.0, 1000.0)


def nbgraph(engine: Any) -> Any:
    import numpy as np

    from nbgraph.examples import kalman

    y, logs = kalman.read(kalman.NILE), np.log(AT)
    return lambda: list(kalman.likelihood_and_gradient(y, logs, engine))


def step(log: Any, y: Any, a: Any, P: Any, eps: Any, eta: Any) -> Any:
    v, F = y - a, P + eps
    k = P / F
    return a + k * v, P * (1 - k) + eta, -0.5 * (log(2 * math.pi * F) + v * v / F)


def torch() -> Any:
    import numpy as np
    import torch as th

    from nbgraph.examples import kalman

    y = kalman.read(kalman.NILE).tolist()

    def run() -> Any:
        x = th.tensor(np.log(AT), requires_grad=True)
        eps, eta = th.exp(x)
        a, P, total = th.tensor(y[0], dtype=th.float64), eps + eta, th.zeros((), dtype=th.float64)
        for value in y[1:]:
            a, P, term = step(th.log, value, a, P, eps, eta)
            total = total + term
        total.backward()
        return [total.item(), x.grad.numpy()]

    return run


def jax() -> Any:
    import jax as jx
    import numpy as np

    from nbgraph.examples import kalman

    y = kalman.read(kalman.NILE)

    def likelihood(x: Any) -> Any:
        eps, eta = jx.numpy.exp(x)

        def body(state: Any, value: Any) -> Any:
            a, P, term = step(jx.numpy.log, value, *state, eps, eta)
            return (a, P), term

        return jx.numpy.sum(jx.lax.scan(body, (jx.numpy.asarray(y[0]), eps + eta), y[1:])[1])

    both = jx.jit(jx.value_and_grad(likelihood))
    return lambda: jx.device_get(both(np.log(AT)))
