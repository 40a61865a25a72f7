"""Optimal transport between 50 points until converged: the cost, and its gradient by costs and regularisation."""

from __future__ import annotations

from typing import Any

SIZE = "n = 50, until converged"
N, REG, TOL = 50, 0.05, 1e-10
NOTE = "JAX: a fixed number of iterations, that which the others need"


def nbgraph(engine: Any) -> Any:
    import nbgraph as nbg
    from nbgraph.examples.sinkhorn import problem, scaling

    a, b, costs = problem(N)

    def run() -> Any:
        M, reg = nbg.TracedTensor.from_tensor(costs), nbg.TracedTensor.from_tensor(REG)
        cost = nbg.sum(scaling(a, b, M, reg, TOL, engine).P * M)
        return list(nbg.eval(cost, *cost.grad([M, reg]), engine=engine))

    return run


def torch() -> Any:
    import torch as th

    from nbgraph.examples.sinkhorn import problem

    a, b, costs = (th.from_numpy(v) for v in problem(N))

    def run() -> Any:
        M, reg = costs.clone().requires_grad_(), th.tensor(REG, dtype=th.float64, requires_grad=True)
        K = th.exp(-M / reg)
        v = th.ones_like(b)
        while True:
            u = a / (K @ v)
            v = b / (u @ K)
            if th.sum(th.abs(u * (K @ v) - a)).item() < TOL:
                break
        cost = th.sum(u[:, None] * K * v * M)
        cost.backward()
        return [cost.item(), M.grad.numpy(), reg.grad.item()]

    return run


def iterations() -> int:
    """How many it takes, by NumPy."""
    import numpy as np

    from nbgraph.examples.sinkhorn import problem

    a, b, M = problem(N)
    K, v, count = np.exp(-M / REG), np.ones(N), 0
    while True:
        count, u = count + 1, a / (K @ v)
        v = b / (u @ K)
        if np.sum(np.abs(u * (K @ v) - a)) < TOL:
            return count


def jax() -> Any:
    import jax as jx

    from nbgraph.examples.sinkhorn import problem

    a, b, costs = problem(N)
    count = iterations()

    def cost(M: Any, reg: Any) -> Any:
        K = jx.numpy.exp(-M / reg)

        def body(state: Any, _: Any) -> Any:
            u = a / (K @ state[1])
            return (u, b / (u @ K)), None

        ones = jx.numpy.ones(N)
        (u, v), _ = jx.lax.scan(body, (ones, ones), None, length=count)
        return jx.numpy.sum(u[:, None] * K * v * M)

    both = jx.jit(jx.value_and_grad(cost, argnums=(0, 1)))

    def run() -> Any:
        value, gradients = jx.device_get(both(costs, REG))
        return [value, *gradients]

    return run
