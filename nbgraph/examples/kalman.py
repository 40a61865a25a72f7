"""The Kalman filter of a local level, and the maximum of its likelihood.

In: a series y and the variances of two noises. Out: log-likelihood, its gradient, the most likely variances.
Holds: an observation is one call of one fragment; another series or length compiles nothing again.

A level wanders and is observed with noise (Durbin and Koopman, Time Series Analysis by State Space Methods, ch. 2):

    y_t = m_t + eps_t,   m_(t+1) = m_t + eta_t,   eps_t ~ N(0, s_eps^2),   eta_t ~ N(0, s_eta^2).

The filter carries mean a and variance P of the level, given what was seen. With v = y - a and F = P + s_eps^2,

    log-likelihood -= (log 2 pi F + v^2/F)/2,   k = P/F,   a += k v,   P <- P (1 - k) + s_eta^2;

the first observation sets a = y_0, P = s_eps^2 + s_eta^2. The gradient is by log s_eps^2 and log s_eta^2, through all
observations. The default series is the flow of the Nile at Aswan, 1871 to 1970.

>>> print(f"{log_likelihood(read(NILE), nbg.asarray(np.log([15099.0, 1000.0]))):.7f}")
-632.6887254
"""

from __future__ import annotations

import csv
import math
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from scipy.optimize import minimize

import nbgraph as nbg
from nbgraph.examples.command import Parser, ends_quietly, progress, real, run

__all__ = ["NILE", "Maximum", "filtered", "likelihood_and_gradient", "log_likelihood", "maximise", "read"]

Array = np.ndarray[Any, Any]
Tensor = nbg.TracedTensor

NILE = Path(__file__).parent / "data" / "nile.csv"


# -- the loop ---------------------------------------------------------------------------------------------------------


@nbg.jit
def step(y: Any, a: Tensor, P: Tensor, eps: Tensor, eta: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """One observation: the next mean and variance of the level, and what it adds to the log-likelihood."""
    v, F = y - a, P + eps
    k = P / F
    return a + k * v, P * (1 - k) + eta, -0.5 * (nbg.log(2 * math.pi * F) + v * v / F)


def log_likelihood(y: Array, logs: Tensor) -> Tensor:
    """Of a series, at the logarithms of the variances."""
    variances = nbg.exp(logs)
    eps, eta = variances[0], variances[1]
    a, P, total = nbg.constant(y[0]), eps + eta, nbg.constant(0.0)
    for value in y[1:].tolist():
        a, P, term = step(value, a, P, eps, eta)
        total = total + term
    return total


def likelihood_and_gradient(y: Array, logs: Any, engine: nbg.Engine | None = None) -> tuple[float, Array]:
    """The log-likelihood at the logarithms of the variances, and its gradient by them."""
    x = Tensor.from_tensor(np.asarray(logs, float))
    value = log_likelihood(y, x)
    found, gradient = nbg.eval(value, value.grad(x), engine=engine)
    return float(found), np.asarray(gradient)


def filtered(y: Array, variances: Sequence[float]) -> tuple[Array, Array]:
    """The means and variances of the level after each observation, for the plot."""
    eps, eta = map(nbg.asarray, variances)
    a, P = nbg.constant(y[0]), eps + eta
    states = [(a, eps)]
    for value in y[1:].tolist():
        a, P, _ = step(value, a, P, eps, eta)
        states.append((a, P - eta))
    means, spreads = zip(*states, strict=True)
    return np.array(nbg.eval(*means)), np.array(nbg.eval(*spreads))


# -- the maximum ------------------------------------------------------------------------------------------------------


class Maximum(NamedTuple):
    """The most likely variances (0: the likelihood grows down to none), and the log-likelihood there."""

    variances: list[float]
    log_likelihood: float


def maximise(y: Array, engine: nbg.Engine | None = None) -> Maximum:
    """By L-BFGS with our gradients, from three ratios of the two noises.

    Raises `ArithmeticError` where the likelihood has no maximum: for a series that never moves.
    """
    with np.errstate(over="ignore", invalid="ignore"):
        scale = float(np.mean(np.diff(y) ** 2))
    if not 1e-200 < scale < 1e200:
        raise ArithmeticError(f"the steps of the series have the mean square {scale:g}: no maximum can be found")
    z = y / math.sqrt(scale)
    low, high = math.log(1e-12), math.log(1e4)  # of variances, in squared steps of the series

    def objective(x: Array) -> tuple[float, Array]:
        value, gradient = likelihood_and_gradient(z, x, engine)
        return -value, -gradient

    options = {"ftol": 1e-15, "gtol": 1e-8, "maxiter": 200}
    with progress("maximum", 3) as advance:
        tried = []
        for start in ((0.25, 0.25), (0.5, 0.0025), (0.0025, 0.8)):
            tried.append(
                minimize(
                    objective, np.log(start), jac=True, method="L-BFGS-B", bounds=[(low, high)] * 2, options=options
                )
            )
            advance()
    best = min(tried, key=lambda t: float(t.fun))
    x = best.x.copy()
    for n in range(2):  # towards no noise the likelihood is flat: is it none?
        none = np.where(np.arange(2) == n, low, x)
        if objective(none)[0] <= best.fun + 1e-7:
            x = none
    free = (x > low + 1e-6) & (x < high - 1e-6)
    slope = float(np.max(np.abs(best.jac) * free))
    if not slope < 1e-3 * math.sqrt(len(y)):
        raise ArithmeticError(f"the search for the maximum ended where the slope is {slope:g}: {best.message}")
    variances = [scale * math.exp(v) if v > low + 1e-6 else 0.0 for v in x.tolist()]
    return Maximum(variances, -float(best.fun) - (len(y) - 1) * math.log(scale) / 2)


# -- data -------------------------------------------------------------------------------------------------------------


def read(file: str | Path) -> Array:
    """The last column of a CSV file, whose first line may be a head.

    Raises `ValueError`, with the line, for what is no finite number, and for fewer than three of them.
    """
    try:
        with open(file, newline="", encoding="utf-8-sig") as lines:
            rows = [(n, row) for n, row in enumerate(csv.reader(lines), 1) if any(cell.strip() for cell in row)]
    except (UnicodeDecodeError, csv.Error) as error:
        raise ValueError(f"{file}: not a CSV file: {error}") from None
    if rows and not _is_number(rows[0][1][-1]):
        del rows[0]
    width = len(rows[0][1]) if rows else 0
    for n, row in rows:
        if len(row) != width:
            raise ValueError(f"{file}: line {n} has {len(row)} columns, those before it {width}")
        if not _is_number(row[-1]) or not math.isfinite(float(row[-1])):
            raise ValueError(f"{file}: line {n}: {row[-1][:40]!r} is not a number")
    if len(rows) < 3:
        raise ValueError(f"{file}: {len(rows)} observations, at least 3 are needed")
    return np.array([float(row[-1]) for _, row in rows])


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return "_" not in text  # Python's own spelling


# -- the command ------------------------------------------------------------------------------------------------------


@ends_quietly
def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command; the exit status."""
    parser = Parser("kalman", "A local level by the Kalman filter: log-likelihood, gradient, maximum.")
    variance = real(1e-100, 1e100)
    parser.add_argument("--data", default=str(NILE), metavar="FILE", help="CSV, the last column counts (the Nile)")
    parser.add_argument(
        "--at", type=variance, nargs=2, default=[15099.0, 1000.0], metavar=("EPS", "ETA"), help="variances (15099 1000)"
    )
    args = parser.parse_args(argv)
    engine = nbg.Engine(jit=args.jit)

    def solve() -> dict[str, Any]:
        y = read(args.data)
        value, gradient = likelihood_and_gradient(y, np.log(args.at), engine)
        best = maximise(y, engine)
        found = {"loglik": value, "grad": gradient.tolist(), "mle": best.variances}
        return found | {"at": args.at, "loglik_mle": best.log_likelihood, "n": len(y)}

    return run(parser, args, solve, report, lambda figure, found: draw(figure, read(args.data), found), engine)


def report(found: dict[str, Any]) -> None:
    """At the given variances, and at the most likely ones."""
    print(f"local level, {found['n']} observations; gradient by log s_eps^2, log s_eta^2")
    print(f"{'':8}{'s_eps^2':>14}{'s_eta^2':>14}{'log-likelihood':>18}")
    gradient = "  gradient " + " ".join(f"{g:.8f}" for g in found["grad"])
    for name, at, value, more in (
        ("given", found["at"], found["loglik"], gradient),
        ("maximum", found["mle"], found["loglik_mle"], ""),
    ):
        print(f"{name:8}{at[0]:14.6g}{at[1]:14.6g}{value:18.10f}{more}")


def draw(figure: Any, y: Array, found: dict[str, Any]) -> None:
    """The series, and the level with two standard deviations, at the maximum."""
    means, spreads = filtered(y, found["mle"])
    t, width = np.arange(len(y)), 2 * np.sqrt(np.maximum(spreads, 0))
    axes = figure.subplots()
    axes.plot(t, y, ".", color="gray", label="observed")
    axes.plot(t, means, label="level, filtered")
    axes.fill_between(t, means - width, means + width, alpha=0.2, label="two standard deviations")
    axes.set(xlabel="observation", ylabel="value")
    axes.legend()


if __name__ == "__main__":
    sys.exit(main())
