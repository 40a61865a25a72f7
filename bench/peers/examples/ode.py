"""Runge-Kutta steps of Lorenz' equations, and the gradient by parameters and start: scalars in a loop."""

from __future__ import annotations

from typing import Any

SIZE = "lorenz, 1000 steps"
STEPS, H = 1000, 0.002


def nbgraph(engine: Any) -> Any:
    import nbgraph as nbg
    from nbgraph.examples.ode import PROBLEMS, end

    problem = PROBLEMS["lorenz"]

    def run() -> Any:
        p, x = ([nbg.TracedTensor.from_tensor(v) for v in vs] for vs in (problem.parameters, problem.start))
        value = sum(v * v for v in end(problem, tuple(x), tuple(p), STEPS, H, False, engine)) / 2
        return list(nbg.eval(value, *value.grad([*p, *x]), engine=engine))

    return run


def torch() -> Any:
    import torch as th

    from nbgraph.examples.ode import PROBLEMS, rk4

    problem = PROBLEMS["lorenz"]

    def run() -> Any:
        leaf = [th.tensor(v, dtype=th.float64, requires_grad=True) for v in (*problem.parameters, *problem.start)]
        p, x = tuple(leaf[:3]), tuple(leaf[3:])
        for _ in range(STEPS):
            x = rk4(problem.f, x, p, H)
        value = sum(v * v for v in x) / 2
        value.backward()
        return [value.item(), *(v.grad.item() for v in leaf)]

    return run


def jax() -> Any:
    import jax as jx

    from nbgraph.examples.ode import PROBLEMS, rk4

    problem = PROBLEMS["lorenz"]

    def value(p: Any, x: Any) -> Any:
        x, _ = jx.lax.scan(lambda x, _: (rk4(problem.f, x, p, H), None), x, None, length=STEPS)
        return sum(v * v for v in x) / 2

    both = jx.jit(jx.value_and_grad(value, argnums=(0, 1)))

    def run() -> Any:
        found, (by_p, by_x) = jx.device_get(both(problem.parameters, problem.start))
        return [found, *by_p, *by_x]

    return run
