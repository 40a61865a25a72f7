"""A long short-term memory in a plain loop: its loss on a sequence, and the gradient by every weight.

In: numbers of layers, units and time steps. Out: the loss, the norm of the gradient, seconds of both.
Holds: a time step is one call of one fragment for all lengths; the data are made from a fixed seed.

The model of ADBench and GradBench (F. Srajer et al., Optim. Methods Softw. 33, 889 (2018)): gates act unit by unit.
With s the logistic function, x the input of a layer and (h, c) its state,

    c <- s(w_f x + b_f) c + s(w_i h + b_i) tanh(w_c h + b_c),   h <- s(w_o x + b_o) tanh(c),

and h is the input of the next layer. The first input is x e_1, and y = h e_2 + e_3 is the prediction, normalised as
y - log(2 + sum exp y). The loss is minus the mean of (next input) . (prediction).

>>> loss, gradients = loss_and_gradients(*problem(layers=2, hidden=3, seq=5))
>>> print(loss > 0, gradients[0].shape)
True (2, 8, 3)
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

import numpy as np

import nbgraph as nbg
from nbgraph.examples.command import Parser, ends_quietly, integer, run

__all__ = ["loss_and_gradients", "loss_of", "problem", "step"]

Array = np.ndarray[Any, Any]
Tensor = nbg.TracedTensor


def problem(layers: int, hidden: int, seq: int) -> tuple[Array, Array, Array, Array]:
    """Weights [layer, 4 weights then 4 biases, unit], the three e, states [layer, h and c, unit], inputs of 0 and 1."""
    rng = np.random.default_rng(0)
    return (
        rng.uniform(-1, 1, (layers, 8, hidden)),
        rng.uniform(-1, 1, (3, hidden)),
        rng.uniform(-1, 1, (layers, 2, hidden)),
        rng.integers(0, 2, (seq, hidden)).astype(float),
    )


# -- the loop ---------------------------------------------------------------------------------------------------------


@nbg.jit
def step(weights: Tensor, extra: Tensor, state: list[Any], x: Any, gold: Any) -> tuple[list[Any], Tensor]:
    """One time step: the next states of the layers, and gold . prediction."""
    x = x * extra[0]
    after = []
    for w, (h, c) in zip(weights, state, strict=True):
        forget, enter, leave = (nbg.nn.sigmoid(w[k] * v + w[k + 4]) for k, v in ((0, x), (1, h), (2, x)))
        c = forget * c + enter * nbg.tanh(w[3] * h + w[7])
        x = leave * nbg.tanh(c)
        after.append((x, c))
    y = x * extra[1] + extra[2]
    return after, nbg.sum(gold * (y - nbg.log(2 + nbg.sum(nbg.exp(y)))))


def loss_of(weights: Tensor, extra: Tensor, states: Array, inputs: Array) -> Tensor:
    """Minus the mean, over time steps and units."""
    state: list[Any] = [tuple(map(nbg.constant, layer)) for layer in states]
    total = nbg.constant(0.0)
    xs = [nbg.constant(x) for x in inputs]
    for x, following in pairwise(xs):
        state, gain = step(weights, extra, state, x, following)
        total = total + gain
    return -total / inputs[1:].size


def loss_and_gradients(
    weights: Array, extra: Array, states: Array, inputs: Array, engine: nbg.Engine | None = None
) -> tuple[float, list[Array]]:
    """The loss, and its gradients by the weights and by e."""
    leaves = by_weights, by_extra = Tensor.from_tensor(weights), Tensor.from_tensor(extra)
    loss = loss_of(by_weights, by_extra, states, inputs)
    value, *gradients = nbg.eval(loss, *loss.grad(leaves), engine=engine)
    return float(value) + 0.0, [np.asarray(g) for g in gradients]


def timed(work: Callable[[], Any], engine: nbg.Engine) -> tuple[Any, list[float]]:
    """What it gives, and seconds of each time: two at least, and so often that the last compiled nothing."""
    seconds: list[float] = []
    while True:
        compiled, start = engine.stats().compiled, time.perf_counter()
        found = work()
        seconds.append(time.perf_counter() - start)
        if len(seconds) > 1 and engine.stats().compiled == compiled:
            return found, seconds


# -- the command ------------------------------------------------------------------------------------------------------


@ends_quietly
def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command; the exit status."""
    parser = Parser("lstm", "A long short-term memory in a plain loop, and the gradient by every weight.")
    parser.add_argument("--layers", type=integer(1, 20), default=2, help="(%(default)s)")
    parser.add_argument("--hidden", type=integer(1, 1000), default=14, help="units of a layer (%(default)s)")
    parser.add_argument("--seq", type=integer(2, 10**5), default=1024, help="time steps (%(default)s)")
    args = parser.parse_args(argv)
    engine = nbg.Engine(jit=args.jit)
    data = problem(args.layers, args.hidden, args.seq)

    def solve() -> dict[str, float]:
        (loss, gradients), both = timed(lambda: loss_and_gradients(*data, engine), engine)
        weights, extra, states, inputs = data
        leaves = Tensor.from_tensor(weights), Tensor.from_tensor(extra)
        _, value = timed(lambda: loss_of(*leaves, states, inputs).eval(engine), engine)
        norm = float(np.sqrt(sum(np.sum(g * g) for g in gradients)))
        return {
            "loss": loss,
            "grad_norm": norm,
            "seconds": both[-1],
            "value_seconds": value[-1],
            "first_seconds": both[0],
        }

    def draw(figure: Any, _: Any) -> None:
        loss, (by_weights, _) = loss_and_gradients(*data, engine)
        axes = figure.subplots()
        for n, layer in enumerate(by_weights, 1):
            axes.plot(layer.ravel(), ".", label=f"layer {n}")
        axes.set(xlabel="weight", ylabel="derivative", title=f"loss {loss:.6f}")
        axes.legend()

    return run(parser, args, solve, report, draw, engine)


def report(found: dict[str, float]) -> None:
    """The loss, its gradient, and how long they took."""
    print(f"loss       {found['loss']:.12f}\n|gradient| {found['grad_norm']:.12f}")
    print(f"seconds    {found['seconds']:.4f} of value and gradient, {found['value_seconds']:.4f} of the value alone")
    print(f"first time {found['first_seconds']:.4f} of value and gradient, with what was compiled")


if __name__ == "__main__":
    sys.exit(main())
