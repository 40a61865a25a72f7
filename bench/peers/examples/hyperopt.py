"""Steps of gradient descent on a parabola, and the gradient by every step's rate: scalars in a loop."""

from __future__ import annotations

from typing import Any

SIZE = "1000 rates"
T = 1000


def rates() -> Any:
    import numpy as np

    from nbgraph.examples.hyperopt import LAM

    return 1 / (LAM * (np.arange(T) + 2))


def nbgraph(engine: Any) -> Any:
    from nbgraph.examples.hyperopt import by_rates

    a = rates()
    return lambda: [by_rates(a, engine)]


def torch() -> Any:
    import torch as th

    from nbgraph.examples.hyperopt import LAM, START

    given = rates()

    def run() -> Any:
        a = th.tensor(given, requires_grad=True)
        w = th.tensor(START, dtype=th.float64)
        for rate in a.unbind():  # faster than a[t] (by T), and than a leaf for each rate
            w = w - rate * (LAM * w)
        (LAM * w * w / 2).backward()
        return [a.grad.numpy()]

    return run


def jax() -> Any:
    import jax as jx

    from nbgraph.examples.hyperopt import LAM, START

    def loss(a: Any) -> Any:
        w, _ = jx.lax.scan(lambda w, rate: (w - rate * (LAM * w), None), START, a)
        return LAM * w * w / 2

    gradient, given = jx.jit(jx.grad(loss)), rates()
    return lambda: [jx.device_get(gradient(given))]
