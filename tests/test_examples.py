"""The examples: values against closed forms and published figures, and what their commands print."""

from __future__ import annotations

import importlib
import json
import math
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import nbgraph as nbg
from nbgraph import ising
from nbgraph.__main__ import main as nbgraph_main
from nbgraph.examples import deq, hyperopt, kalman, lstm, menu, ode, sinkhorn

NAMES = ("deq", "hyperopt", "kalman", "lstm", "ode", "sinkhorn")
QUICK = {
    "deq": ["--n", "4"],
    "hyperopt": ["--T", "5"],
    "kalman": ["--data", "SERIES"],
    "lstm": ["--layers", "1", "--hidden", "2", "--seq", "4"],
    "ode": ["--steps", "30", "--time", "0.3"],
    "sinkhorn": ["--n", "5", "--reg", "0.5"],
}
FIELDS = {
    "deq": ["grad_unrolled", "grad_implicit", "diff"],
    "hyperopt": ["dL_da", "check"],
    "kalman": ["loglik", "grad", "mle"],
    "lstm": ["loss", "grad_norm", "seconds"],
    "ode": ["value", "grad", "check"],
    "sinkhorn": ["cost", "iterations", "dcost_dreg", "dcost_dM_error"],
}


@pytest.fixture
def never() -> nbg.Engine:
    return nbg.Engine(jit="never")


@pytest.fixture
def quick(tmp_path: Path) -> dict[str, list[str]]:
    """Options that make an example short; a series of ten values."""
    file = tmp_path / "series.csv"
    file.write_text("flow\n" + "\n".join(map(str, [3, 5, 4, 6, 5, 7, 9, 8, 8, 10])))
    return {name: [str(file) if word == "SERIES" else word for word in argv] for name, argv in QUICK.items()}


# -- values -----------------------------------------------------------------------------------------------------------


def test_the_nile(never: nbg.Engine) -> None:
    y = kalman.read(kalman.NILE)
    value, gradient = kalman.likelihood_and_gradient(y, np.log([15099.0, 1000.0]), never)
    assert value == pytest.approx(-632.6887253514498, abs=1e-9)
    assert gradient == pytest.approx([2.02859643, 0.71693362], abs=1e-8)
    assert kalman.maximise(y, never).variances == pytest.approx([15098.52, 1469.17], abs=0.01)


def test_the_maximum_moves_with_the_unit_of_the_series(never: nbg.Engine) -> None:
    y = kalman.read(kalman.NILE)[:40]
    here, there = kalman.maximise(y, never), kalman.maximise(1e-3 * y, never)
    assert there.variances == pytest.approx([1e-6 * v for v in here.variances], rel=1e-4)
    assert there.log_likelihood == pytest.approx(here.log_likelihood + 39 * math.log(1e3), abs=1e-6)


def test_a_level_that_does_not_move(never: nbg.Engine) -> None:
    """Alternating values: no level noise, and s_eps^2 by the formula of a constant with n - 1 degrees of freedom."""
    y = np.array([1.0, -1.0] * 6)
    eps, eta = kalman.maximise(y, never).variances
    assert eta == 0.0 and eps == pytest.approx(np.sum((y - y.mean()) ** 2) / (len(y) - 1), rel=1e-3)


def test_a_series_of_one_value_has_no_maximum(never: nbg.Engine) -> None:
    with pytest.raises(ArithmeticError, match="no maximum"):
        kalman.maximise(np.ones(10), never)


@pytest.mark.parametrize("reg", [0.01, 0.5, 1.0, 20.0])
def test_transport_between_two_points(reg: float, never: nbg.Engine) -> None:
    found, s = sinkhorn.solve(2, reg, engine=never), 1 / (1 + math.exp(1 / reg))
    assert found["cost"] == pytest.approx(s, rel=1e-11)
    assert found["dcost_dreg"] == pytest.approx(s * (1 - s) / reg**2, rel=1e-9)


@pytest.mark.parametrize("reg", [0.1, 0.009])
def test_the_gradient_by_the_costs_is_the_plan(reg: float, never: nbg.Engine) -> None:
    assert sinkhorn.solve(5, reg, engine=never)["dcost_dM_error"] < 1e-7


def test_both_forms_of_sinkhorn(never: nbg.Engine) -> None:
    a, b, costs = sinkhorn.problem(7)
    plans = [
        f(a, b, nbg.asarray(costs), nbg.asarray(0.05), 1e-13, never).P for f in (sinkhorn.scaling, sinkhorn.log_domain)
    ]
    assert np.allclose(*plans, atol=1e-12)
    assert np.allclose(plans[0].sum(axis=1), a) and np.allclose(plans[0].sum(axis=0), b)


def test_sinkhorn_slope_by_differences(never: nbg.Engine) -> None:
    h = 1e-4
    up, down = (sinkhorn.solve(9, 0.2 + d, 1e-13, never)["cost"] for d in (h, -h))
    assert sinkhorn.solve(9, 0.2, 1e-13, never)["dcost_dreg"] == pytest.approx((up - down) / (2 * h), rel=1e-6)


@pytest.mark.parametrize("name", ode.PROBLEMS)
@pytest.mark.parametrize("sparing", [False, True])
def test_steps(name: str, sparing: bool, never: nbg.Engine) -> None:
    assert ode.solve(name, 150, 2.0, sparing, never)["check"] < 1e-12


def test_steps_approach_the_flow() -> None:
    """The linear problem against the exponential of the matrix."""
    A, x = ode.PROBLEMS["linear"].parameters[0], ode.PROBLEMS["linear"].start[0]
    exact = np.asarray(nbg.linalg.expm(2.0 * A)) @ x
    assert ode.expected("linear", 2000, 1e-3)[0] == pytest.approx(exact @ exact / 2, rel=1e-11)


def test_an_orbit_that_overflows_is_an_error(never: nbg.Engine) -> None:
    with pytest.raises(ArithmeticError, match="overflows"), np.errstate(all="ignore"):
        ode.solve("lorenz", 10, 100.0, engine=never)


@pytest.mark.parametrize("T", [1, 2, 100])
def test_rates(T: int, never: nbg.Engine) -> None:
    found = hyperopt.solve(T, never)
    assert len(found["dL_da"]) == T and found["check"] < 1e-12
    assert found["dL_da"][-1] < 0


def test_better_rates(never: nbg.Engine) -> None:
    losses, rates = hyperopt.improve(hyperopt.made(), 5, 2, never)
    assert losses[-1] < 0.9 * losses[0] and rates.shape == (5,)


def test_digits_where_they_are_installed(never: nbg.Engine) -> None:
    pytest.importorskip("sklearn.datasets")
    data = hyperopt.digits()
    assert data.name == "digits" and data.X.shape == data.X_other.shape == (150, 64) and data.Y.sum() == 150
    losses, _ = hyperopt.improve(data, 5, 2, never)
    assert losses[-1] < losses[0]


def test_made_data_where_they_are_not(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [m for m in sys.modules if m.partition(".")[0] == "sklearn"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "sklearn", None)
    assert hyperopt.digits().name == "made"


@pytest.mark.parametrize("n", [1, 2, 20])
def test_two_gradients_of_a_fixed_point(n: int, never: nbg.Engine) -> None:
    found = deq.solve(n, engine=never)
    assert found["diff"] < 1e-10
    assert np.max(np.abs(np.subtract(found["grad_unrolled"], found["grad_implicit"]))) <= found["diff"]
    assert deq.solve(n, 1e-2, never)["diff"] > found["diff"]


def lstm_in_numpy(weights: Any, extra: Any, states: Any, inputs: Any) -> Any:
    """The loss, from its definition, for complex weights too."""
    sigmoid = lambda v: 1 / (1 + np.exp(-v))  # noqa: E731
    h, c, total = [s[0] for s in states], [s[1] for s in states], 0.0
    for t in range(len(inputs) - 1):
        x = inputs[t] * extra[0]
        for k, w in enumerate(weights):
            c[k] = c[k] * sigmoid(x * w[0] + w[4]) + sigmoid(h[k] * w[1] + w[5]) * np.tanh(h[k] * w[3] + w[7])
            h[k] = x = sigmoid(x * w[2] + w[6]) * np.tanh(c[k])
        y = x * extra[1] + extra[2]
        total += np.sum(inputs[t + 1] * (y - np.log(2 + np.sum(np.exp(y)))))
    return -total / inputs[1:].size


def test_lstm(never: nbg.Engine) -> None:
    weights, extra, states, inputs = lstm.problem(2, 3, 6)
    loss, (by_weights, by_extra) = lstm.loss_and_gradients(weights, extra, states, inputs, never)
    d, e = np.random.default_rng(1).standard_normal((2, *weights.shape))[0], np.ones(extra.shape)
    moved = lstm_in_numpy(weights + 1e-30j * d, extra + 1e-30j * e, states, inputs)
    assert loss == pytest.approx(moved.real, rel=1e-13)
    assert np.sum(by_weights * d) + np.sum(by_extra * e) == pytest.approx(moved.imag / 1e-30, rel=1e-11)


def test_length_is_no_new_structure(never: nbg.Engine) -> None:
    counts = []
    for length in (8, 16, 32):
        ode.solve("lorenz", length, 0.1, engine=never)
        counts.append(never.stats().fragments)
    assert counts[0] <= 6 and counts[2] == counts[1]


# -- commands ---------------------------------------------------------------------------------------------------------


def command(name: str) -> Callable[[list[str]], int]:
    return importlib.import_module(f"nbgraph.examples.{name}").main  # type: ignore[no-any-return]


@pytest.mark.parametrize("name", NAMES)
def test_json_and_plot(
    name: str, quick: dict[str, list[str]], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    pytest.importorskip("matplotlib")
    file = tmp_path / "plot.png"
    assert command(name)([*quick[name], "--jit", "never", "--json", "--plot", str(file)]) == 0
    out, err = capsys.readouterr()
    found = json.loads(out)
    assert err == "" and list(found)[: len(FIELDS[name])] == FIELDS[name]
    assert file.read_bytes()[:4] == b"\x89PNG"


@pytest.mark.parametrize("name", NAMES)
def test_report(name: str, quick: dict[str, list[str]], capsys: pytest.CaptureFixture[str]) -> None:
    assert command(name)([*quick[name], "--jit", "never"]) == 0
    out, err = capsys.readouterr()
    assert err == "" and " compiled in " in out and " s in all" in out


def refused(capsys: pytest.CaptureFixture[str], name: str, *argv: str) -> str:
    with pytest.raises(SystemExit) as stopped:
        command(name)(list(argv))
    out, err = capsys.readouterr()
    assert stopped.value.code == 2 and out == "" and err.count("\n") == 1
    return err


@pytest.mark.parametrize(
    "line",
    [
        "kalman --data none.csv",
        "kalman --at 0 1",
        "ode --steps 0",
        "ode --problem other",
        "ode --time nan",
        "sinkhorn --n 0",
        "sinkhorn --reg -1",
        "sinkhorn --tol 0",
        "hyperopt --T 1.5",
        "deq --n x",
        "deq --tol inf",
        "lstm --layers 0",
        "lstm --seq 1",
        "lstm --jit sometimes",
        "lstm surplus",
    ],
)
def test_bad_options_are_one_line(capsys: pytest.CaptureFixture[str], line: str) -> None:
    name, *argv = line.split()
    refused(capsys, name, *argv)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (b"", "0 observations"),
        (b"year,flow\n1,2\n2,3\n", "2 observations"),
        (b"year,flow\n1,2\n2,much\n3,4\n", "line 3"),
        (b"1\n2\nnan\n4\n", "line 3"),
        (b"1,2\n3\n4,5\n6,7\n", "line 2"),
        (b"\xff\xfe\x00\x01", "not a CSV file"),
        (b"5\n5\n5\n5\n", "no maximum"),
        (b"0\n1e308\n-1e308\n4\n", "no maximum"),
    ],
)
def test_malformed_data_are_one_line(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, text: bytes, said: str
) -> None:
    file = tmp_path / "data.csv"
    file.write_bytes(text)
    assert said in refused(capsys, "kalman", "--data", str(file), "--json", "--jit", "never")
    refused(capsys, "kalman", "--data", str(tmp_path))


def test_not_converged_is_one_line(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sinkhorn, "MAX_ITERATIONS", 3)
    monkeypatch.setattr(deq, "MAX_ITERATIONS", 3)
    for name in ("sinkhorn", "deq"):
        assert "not converged" in refused(capsys, name, "--n", "9", "--jit", "never")


def test_plot_without_matplotlib(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [m for m in sys.modules if m.partition(".")[0] == "matplotlib"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    assert "pip install matplotlib" in refused(capsys, "deq", "--plot", "deq.png")


def test_control_c_is_no_traceback(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(deq, "solve", interrupted)
    assert command("deq")([]) == 130
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize("main", [deq.main, nbgraph_main])
def test_a_closed_pipe_is_no_traceback(main: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deq, "solve", lambda *_: {"grad_unrolled": [], "grad_implicit": [], "diff": 0})
    monkeypatch.setattr(ising, "solve", lambda *_: ising.Solution(2.0, 0.5, 0.0, 0.0, 0.0, 1))
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "w") as out:
        monkeypatch.setattr(sys, "stdout", out)
        assert main(["--json"]) == 141
        out.write("what is flushed afterwards goes nowhere")


@pytest.mark.parametrize("file", ["none/plot.png", "plot.what", "."])
def test_a_plot_that_cannot_be_saved_is_said_before_the_work(
    file: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    pytest.importorskip("matplotlib")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(deq, "solve", None)
    assert "--plot" in refused(capsys, "deq", "--json", "--plot", file)


def test_the_menu(capsys: pytest.CaptureFixture[str]) -> None:
    assert nbgraph_main(["--list"]) == 0
    out = capsys.readouterr().out
    assert set(NAMES) <= set(menu())
    assert all(f"  {name} " in out and line.endswith(".") and line in out for name, line in menu().items())
    assert nbgraph_main(["deq", "--n", "3", "--jit", "never", "--json"]) == 0
    assert len(json.loads(capsys.readouterr().out)["grad_implicit"]) == 3
