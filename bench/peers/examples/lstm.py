"""A long short-term memory of two layers, 14 units, 1024 time steps: its loss and gradient."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

SIZE = "2 layers of 14, 1024 steps"
SHAPE = (2, 14, 1024)


def nbgraph(engine: Any) -> Any:
    from nbgraph.examples import lstm

    data = lstm.problem(*SHAPE)

    def run() -> Any:
        loss, gradients = lstm.loss_and_gradients(*data, engine)
        return [loss, *gradients]

    return run


def step(xp: Any, sigmoid: Any, weights: Any, extra: Any, state: Any, x: Any, gold: Any) -> Any:
    """One time step, for PyTorch and JAX: the next states, and gold . prediction."""
    x = x * extra[0]
    after = []
    for w, (h, c) in zip(weights, state, strict=True):
        forget, enter, leave = (sigmoid(w[k] * v + w[k + 4]) for k, v in ((0, x), (1, h), (2, x)))
        c = forget * c + enter * xp.tanh(w[3] * h + w[7])
        x = leave * xp.tanh(c)
        after.append((x, c))
    y = x * extra[1] + extra[2]
    return tuple(after), xp.sum(gold * (y - xp.log(2 + xp.sum(xp.exp(y)))))


def torch() -> Any:
    import torch as th

    from nbgraph.examples import lstm

    weights, extra, states, inputs = (th.from_numpy(a) for a in lstm.problem(*SHAPE))

    def run() -> Any:
        leaves = by_weights, by_extra = [v.clone().requires_grad_() for v in (weights, extra)]
        state, total = tuple(map(tuple, states)), th.zeros((), dtype=th.float64)
        for x, gold in pairwise(inputs):
            state, gain = step(th, th.sigmoid, by_weights, by_extra, state, x, gold)
            total = total + gain
        loss = -total / inputs[1:].numel()
        loss.backward()
        return [loss.item(), *(v.grad.numpy() for v in leaves)]

    return run


def jax() -> Any:
    import jax as jx

    from nbgraph.examples import lstm

    weights, extra, states, inputs = lstm.problem(*SHAPE)

    def loss(weights: Any, extra: Any) -> Any:
        def body(state: Any, pair: Any) -> Any:
            return step(jx.numpy, jx.nn.sigmoid, weights, extra, state, *pair)

        _, gains = jx.lax.scan(body, tuple(map(tuple, states)), (inputs[:-1], inputs[1:]))
        return -jx.numpy.sum(gains) / inputs[1:].size

    both = jx.jit(jx.value_and_grad(loss, argnums=(0, 1)))

    def run() -> Any:
        value, gradients = jx.device_get(both(weights, extra))
        return [value, *gradients]

    return run
