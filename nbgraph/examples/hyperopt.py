"""The gradient of a learning-rate schedule, through all steps of the training.

In: a number of steps T. Out: dL/da_t for every step's rate a_t, against a closed form; a schedule improved by it.
Holds: a step of training is one call of one fragment, the rates are one vector, and the number of the step is an
operand like any other, so that the way back is one run, and the gradient one vector.

Gradient descent on lam w^2/2 is w <- w - a_t lam w (D. Maclaurin et al., ICML 2015, for what one may do with it).
The loss L = lam w_T^2/2 depends on each rate in closed form:

    dL/da_t = -lam^2 w_T^2 / (1 - a_t lam).

Here a_t = 1/(lam (t + 2)), the decaying rate of stochastic approximation, so that w_T = w_0/(T + 1).

Then the rates of a logistic regression: steps of gradient descent on one half of the data, the loss on the other,
and ten steps down the gradient of that loss by the logarithms of the rates, with a line search.

>>> solve(20)["check"] < 1e-13
True
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

import nbgraph as nbg
from nbgraph.examples.command import Parser, ends_quietly, integer, progress, run

__all__ = ["Data", "by_rates", "digits", "improve", "made", "solve", "train"]

Array = np.ndarray[Any, Any]
Tensor = nbg.TracedTensor

LAM, START = 0.5, 1.5
ROUNDS = 10


# -- the closed form --------------------------------------------------------------------------------------------------


@nbg.jit
def descend(w: Tensor, a: Tensor, t: int) -> Tensor:
    return w - a[t] * (LAM * w)


def by_rates(rates: Array, engine: nbg.Engine | None = None) -> Array:
    """dL/da_t of every step."""
    a = Tensor.from_tensor(rates)
    w = nbg.constant(START)
    for t in range(len(rates)):
        w = descend(w, a, t)
    loss = LAM * w * w / 2
    return loss.grad(a).eval(engine)


def solve(T: int, engine: nbg.Engine | None = None) -> dict[str, Any]:
    """dL/da_t, and how far it is from the closed form, relatively, at worst."""
    rates = 1 / (LAM * (np.arange(T) + 2))
    gradient = by_rates(rates, engine)
    last = START * np.prod(1 - LAM * rates)
    exact = -(LAM**2) * last**2 / (1 - LAM * rates)
    return {"dL_da": gradient.tolist(), "check": float(np.max(np.abs(gradient / exact - 1)))}


# -- logistic regression ----------------------------------------------------------------------------------------------


class Data(NamedTuple):
    """Features and one-hot classes, to train on and to validate."""

    name: str
    X: Array
    Y: Array
    X_other: Array
    Y_other: Array


def digits() -> Data:
    """300 of scikit-learn's digits where it is installed, else a made set of the same kind."""
    try:
        from sklearn.datasets import load_digits
    except ImportError:
        return made()
    X, y = load_digits(return_X_y=True)
    return _halves("digits", X[:300] / 16, y[:300])


def made() -> Data:
    """Ten noisy centres in 64 dimensions."""
    rng = np.random.default_rng(0)
    y = rng.integers(0, 10, 300)
    return _halves("made", 0.5 * rng.standard_normal((10, 64))[y] + 0.7 * rng.standard_normal((300, 64)), y)


def _halves(name: str, X: Array, y: Array) -> Data:
    Y, half = np.eye(10)[y], len(X) // 2
    return Data(name, X[:half], Y[:half], X[half:], Y[half:])


def cross_entropy(W: Tensor, X: Any, Y: Any) -> Tensor:
    scores = X @ W
    return nbg.mean(nbg.special.logsumexp(scores, axis=1) - nbg.sum(Y * scores, axis=1))


@nbg.jit
def learn(W: Tensor, log_rates: Tensor, t: int, X: Tensor, Y: Tensor) -> Tensor:
    """Step t of gradient descent; its gradient is written out: X^T (softmax - Y)/rows."""
    return W - nbg.exp(log_rates[t]) * (X.T @ (nbg.nn.softmax(X @ W, axis=1) - Y)) / X.shape[0]


def train(data: Data, log_rates: Tensor) -> Tensor:
    """The loss on the other half, after a step for each rate."""
    X, Y = nbg.constant(data.X), nbg.constant(data.Y)
    W = nbg.constant(np.zeros((data.X.shape[1], data.Y.shape[1])))
    for t in range(log_rates.size):
        W = learn(W, log_rates, t, X, Y)
    return cross_entropy(W, data.X_other, data.Y_other)


def improve(data: Data, T: int, rounds: int = ROUNDS, engine: nbg.Engine | None = None) -> tuple[list[float], Array]:
    """The losses on the other half, and the rates at the end; every round is downhill or the last."""
    logs, move = np.log(np.full(T, 0.5)), 1.0
    losses: list[float] = []
    with progress("hyperopt", rounds) as advance:
        for _ in range(rounds):
            leaf = Tensor.from_tensor(logs)
            loss = train(data, leaf)
            value, slope = nbg.eval(loss, loss.grad(leaf), engine=engine)
            losses = losses or [float(value)]
            direction = slope / max(float(np.max(np.abs(slope))), 1e-300)
            for _ in range(8):
                trial = logs - move * direction
                reached = float(train(data, nbg.constant(trial)).eval(engine))
                if reached < losses[-1]:
                    break
                move /= 2
            else:
                break
            logs, losses, move = trial, [*losses, reached], min(1.0, 1.5 * move)
            advance()
    return losses, np.exp(logs)


# -- the command ------------------------------------------------------------------------------------------------------


@ends_quietly
def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command; the exit status."""
    parser = Parser("hyperopt", "The gradient of a learning-rate schedule through the training.")
    parser.add_argument("--T", type=integer(1, 10**5), default=1000, help="steps of training (%(default)s)")
    args = parser.parse_args(argv)
    engine = nbg.Engine(jit=args.jit)

    def found() -> dict[str, Any]:
        result, data = solve(args.T, engine), digits()
        losses, rates = improve(data, min(args.T, 100), engine=engine)
        return result | {"logistic": {"data": data.name, "losses": losses, "rates": rates.tolist()}}

    return run(parser, args, found, report, draw, engine)


def report(found: dict[str, Any]) -> None:
    """Both problems."""
    slopes, logistic = found["dL_da"], found["logistic"]
    print("quadratic: dL/da_t of steps 1, T/2, T ", *(f"{slopes[k]:.12g}" for k in (0, len(slopes) // 2, -1)))
    print(f"check      {found['check']:.2g}, relative to the closed form, at worst of {len(slopes)}")
    losses = logistic["losses"]
    print(f"logistic regression, {logistic['data']}, {len(logistic['rates'])} steps: loss on the other half "
          f"{losses[0]:.4f} with equal rates, {losses[-1]:.4f} after {len(losses) - 1} rounds")  # fmt: skip


def draw(figure: Any, found: dict[str, Any]) -> None:
    """The gradient; the rates that it led to."""
    left, right = figure.subplots(1, 2)
    left.plot(found["dL_da"])
    left.set(xlabel="t", ylabel="dL/da_t", title="quadratic")
    right.plot(found["logistic"]["rates"])
    right.set(xlabel="t", ylabel="a_t", title="logistic regression")


if __name__ == "__main__":
    sys.exit(main())
