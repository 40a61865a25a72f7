"""The examples at their full sizes, by their commands: what each must reach. CI runs these apart from the others."""

from __future__ import annotations

import importlib
import json
import math
from typing import Any

import numpy as np
import pytest

from nbgraph.examples import ipeps, lstm

pytestmark = pytest.mark.slow


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Any:
    """Runs `name option ...` with `--json`; what it found."""

    def found(line: str) -> Any:
        name, *argv = line.split()
        assert importlib.import_module(f"nbgraph.examples.{name}").main([*argv, "--json"]) == 0
        out, err = capsys.readouterr()
        assert err == ""
        return json.loads(out)

    return found


def test_ising_trg(run: Any) -> None:
    known = {
        0.3: (0.7905537870365499, -0.70438015262050, 0.2860999427),
        0.4: (0.8793168146706618, -1.10529632065904, 0.86064272121),
        0.45: (0.9433586090574709, -1.51479809568714, 1.5668597461),
    }
    for row in run("ising_trg --K 0.3 0.4 0.45 --chi 8 --steps 20"):
        for name, value, off in zip(("lnZ", "U", "C"), known[row["K"]], (1e-10, 1e-7, 1e-5), strict=True):
            assert abs(row[name] - value) < off


def test_ipeps(run: Any) -> None:
    found = run("ipeps")
    assert abs(found["E"] - ipeps.D2) < 1e-8 and found["evaluations"] > 1


@pytest.mark.parametrize(
    ("N", "E"), [(10, -4.258035207282887), (12, -5.142090632840529), (16, -6.911737145575106)]
)  # by exact diagonalisation
def test_dmrg(N: int, E: float, run: Any) -> None:
    found = run(f"dmrg --N {N} --chi 48")
    assert abs(found["E"] - E) < 1e-8
    slopes = np.array(found["dE_dJ"])
    assert np.max(np.abs(slopes - slopes[::-1])) < 1e-6  # the chain is its own mirror image
    assert abs(slopes.sum() - E) < 1e-6  # E is homogeneous in J


def test_cp_als(run: Any) -> None:
    found = run("cp_als")
    assert len(found["errors"]) == 12 and min(found["errors"]) < 1e-6
    assert found["dfit_dT_check"] < 1e-6


@pytest.mark.parametrize("reg", [0.05, 1e-3])
def test_sinkhorn(reg: float, run: Any) -> None:
    assert run(f"sinkhorn --n 200 --reg {reg}")["dcost_dM_error"] < 1e-6


def test_kalman(run: Any) -> None:
    found = run("kalman")
    assert found["loglik"] == pytest.approx(-632.6887253514498, abs=1e-9)
    assert found["grad"] == pytest.approx([2.02859643, 0.71693362], abs=1e-8)
    assert found["mle"] == pytest.approx([15098.52, 1469.17], abs=0.01)


@pytest.mark.parametrize(("problem", "off"), [("linear", 1e-12), ("lorenz", 1e-10)])
def test_ode(problem: str, off: float, run: Any) -> None:
    assert run(f"ode --steps 10000 --problem {problem}")["check"] < off


def test_memory_of_ode(run: Any) -> None:
    """Of a jitted loop hardly more is kept than its states; for three numbers a state, checkpoints save nothing."""
    megabytes = run("ode --steps 2000 --memory")["megabytes"]
    assert megabytes["all states"] < 2.0 and megabytes["checkpoints"] < 2.0


def test_hyperopt(run: Any) -> None:
    found = run("hyperopt --T 1000")
    assert len(found["dL_da"]) == 1000 and found["check"] < 1e-12
    losses = found["logistic"]["losses"]
    assert losses[-1] < losses[0] / 2


def test_deq(run: Any) -> None:
    found = run("deq")
    assert found["diff"] < 1e-10
    assert found["grad_unrolled"] == pytest.approx(found["grad_implicit"], abs=1e-10)


def test_lstm(run: Any) -> None:
    """The norm of the gradient is the slope along it, by a complex step of the loss from its definition."""
    found = run("lstm --seq 300")
    weights, extra, states, inputs = lstm.problem(2, 14, 300)
    _, (by_weights, by_extra) = lstm.loss_and_gradients(weights, extra, states, inputs)
    h = 1e-30j / found["grad_norm"]
    moved = _loss(weights + h * by_weights, extra + h * by_extra, states, inputs)
    assert found["loss"] == pytest.approx(moved.real, rel=1e-12)
    assert found["grad_norm"] == pytest.approx(moved.imag / 1e-30, rel=1e-10)
    assert all(math.isfinite(v) and v > 0 for v in found.values())


def _loss(weights: Any, extra: Any, states: Any, inputs: Any) -> Any:
    def gate(v: Any) -> Any:
        return 1 / (1 + np.exp(-v))

    h, c, total = [s[0] for s in states], [s[1] for s in states], 0.0
    for x, following in zip(inputs[:-1] * extra[0], inputs[1:], strict=True):
        for k, w in enumerate(weights):
            c[k] = c[k] * gate(x * w[0] + w[4]) + gate(h[k] * w[1] + w[5]) * np.tanh(h[k] * w[3] + w[7])
            h[k] = x = gate(x * w[2] + w[6]) * np.tanh(c[k])
        y = x * extra[1] + extra[2]
        total += np.sum(following * (y - np.log(2 + np.sum(np.exp(y)))))
    return -total / inputs[1:].size
