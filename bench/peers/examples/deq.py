"""A fixed point x = tanh(W x + b), and the gradient through all iterations."""

from __future__ import annotations

from typing import Any

SIZE = "n = 50, until converged"
N, TOL = 50, 1e-13
NOTE = "through the iterations, not by the equation"


def nbgraph(engine: Any) -> Any:
    import nbgraph as nbg
    from nbgraph.examples.deq import problem, unrolled

    def run() -> Any:
        W, b = map(nbg.TracedTensor.from_tensor, problem(N))
        x, _ = unrolled(W, b, TOL, engine)
        loss = nbg.sum(x * x) / 2
        return list(nbg.eval(loss, *loss.grad([W, b]), engine=engine))

    return run


def torch() -> Any:
    import torch as th

    from nbgraph.examples.deq import problem

    def run() -> Any:
        W, b = (th.from_numpy(v).requires_grad_() for v in problem(N))
        x = th.zeros(N, dtype=th.float64)
        while True:
            previous, x = x, th.tanh(W @ x + b)
            if th.linalg.norm(x - previous).item() < TOL:
                break
        loss = th.sum(x * x) / 2
        loss.backward()
        return [loss.item(), W.grad.numpy(), b.grad.numpy()]

    return run
