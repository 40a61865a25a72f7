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
    from nbgraph.examples.hyperopt import solve

    return lambda: [solve(T, engine)["dL_da"]]


def torch() -> Any:
    import numpy as np
    import torch as th

    from nbgraph.examples.hyperopt import LAM, START

    def run() -> Any:
        a = [th.tensor(rate, dtype=th.float64, requires_grad=True) for rate in rates().tolist()]
        w = th.tensor(START, dtype=th.float64)
        for rate in a:
            w = w - rate * (LAM * w)
        (LAM * w * w / 2).backward()
        return [np.array([rate.grad.item() for rate in a])]

    return run


def jax() -> Any:
    import jax as jx

    from nbgraph.examples.hyperopt import LAM, START

    def loss(a: Any) -> Any:
        w, _ = jx.lax.scan(lambda w, rate: (w - rate * (LAM * w), None), START, a)
        return LAM * w * w / 2

    gradient = jx.jit(jx.grad(loss))
    return lambda: [jx.device_get(gradient(rates()))]
