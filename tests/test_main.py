"""The main job: the loop against the exact strip, the infinite lattice, and what the command prints."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import nbgraph as nbg
from nbgraph import ising
from nbgraph.__main__ import main

TEMPERATURES = (1.8, 2.0, ising.TC, 2.5, 3.0)
ROOT = Path(__file__).parents[1]

#: lnZ, U, C of the infinite lattice: published closed forms, evaluated to 17 digits.
ONSAGER = {
    0.20: (0.73453081227632605, -0.42822883324034806, 0.097652177588479695),
    0.30: (0.79055907095126287, -0.70449907083244508, 0.28629020287204578),
    0.40: (0.87936382077494819, -1.1060792037457909, 0.86169835683076363),
    0.45: (0.94338377309879344, -1.5130458059983031, 1.6079529376408615),
    0.50: (1.0257928126949176, -1.745564575312554, 0.72487144860157393),
}


def kaufman(width: int, K: complex) -> complex:
    """lnZ of the strip in closed form; B. Kaufman, Phys. Rev. 76, 1232 (1949).

    lnZ = log(2 sinh 2K)/2 + 1/(2L) sum_q arccosh(cosh 2K coth 2K - cos q), q = pi/L, 3 pi/L, ... (2L - 1) pi/L.
    """
    q = np.pi * (2 * np.arange(width) + 1) / width
    gamma = np.arccosh(np.cosh(2 * K) / np.tanh(2 * K) - np.cos(q))
    return complex(np.log(2 * np.sinh(2 * K)) / 2 + np.sum(gamma) / (2 * width))


def slope(f: Callable[[complex], complex], K: float) -> float:
    """f'(K) by a complex step: no cancellation."""
    return f(K + 1e-30j).imag / 1e-30


def difference(f: Callable[[float], float], x: float, h: float = 2e-3) -> float:
    """f'(x) to h^6."""
    return sum(c * (f(x + n * h) - f(x - n * h)) for n, c in ((1, 3 / 4), (2, -3 / 20), (3, 1 / 60))) / h


# -- the values -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("width", range(1, 11))
def test_the_exact_strip_is_kaufmans(width: int) -> None:
    for K in (0.2, 0.45, 0.8):
        first = slope(lambda k: kaufman(width, k), K)
        second = difference(lambda x: slope(lambda k: kaufman(width, k), x), K)
        lnZ, U, heat = ising.strip(width, K)
        assert (lnZ, U) == pytest.approx((kaufman(width, K).real, -first), rel=1e-12)
        assert heat == pytest.approx(K**2 * second, rel=1e-9, abs=1e-12)


def test_the_exact_strip_is_in_the_whole_transfer_matrix() -> None:
    s, K = ising.spins(4), 0.7
    ring = np.sum(s * np.roll(s, 1, axis=1), axis=1) / 2
    top = np.linalg.eigvalsh(np.exp(K * (ring[:, None] + ring + s @ s.T)))[-1]
    assert ising.strip(4, K).lnZ == pytest.approx(np.log(top) / 4, rel=1e-13)


@pytest.mark.parametrize("K", ONSAGER)
def test_the_infinite_lattice(K: float) -> None:
    assert ising.onsager(K) == pytest.approx(ONSAGER[K], rel=1e-13)


def test_the_infinite_lattice_at_its_transition() -> None:
    lnZ, U, C = ising.onsager(1 / ising.TC)
    assert (lnZ, U) == pytest.approx((0.92969539834161021, -np.sqrt(2)), rel=1e-12)
    assert C > 10


@pytest.mark.parametrize("width", [1, 2, 3, 5, 8, 10])
def test_the_loop_finds_the_exact_strip(width: int) -> None:
    engine = nbg.Engine(jit="never")
    for T in (0.1, 1.0, *TEMPERATURES, 10.0):
        found = ising.solve(width, T, engine=engine)
        assert found.K == 1 / T and found.iterations < 50
        assert found[2:5] == pytest.approx(ising.strip(width, 1 / T), rel=1e-11, abs=1e-14)


def test_another_temperature_and_width_is_no_new_structure() -> None:
    engine = nbg.Engine(jit="never")
    ising.solve(4, 2.0, engine=engine)
    before = engine.stats().fragments
    ising.solve(4, 3.0, engine=engine)
    ising.solve(7, 2.5, engine=engine)
    assert engine.stats().fragments == before <= 11


def first_order(T: float, engine: nbg.Engine) -> list[float]:
    K = nbg.TracedTensor.from_tensor(1 / T)
    lnZ, _ = ising.free_energy(5, K, 1e-10, engine)
    return [float(v) for v in nbg.eval(lnZ, lnZ.grad(K), engine=engine)]


def test_compiled_is_as_interpreted_and_compiles_once() -> None:
    always, never = nbg.Engine(jit="always"), nbg.Engine(jit="never")
    counts = []
    for T in (2.0, 2.5):
        assert first_order(T, always) == pytest.approx(first_order(T, never), rel=1e-12)
        counts.append(always.stats().compiled)
    assert counts[0] == counts[1] <= 6


# -- the command ------------------------------------------------------------------------------------------------------


def run(capsys: pytest.CaptureFixture[str], *argv: str) -> str:
    assert main(argv) == 0
    out, err = capsys.readouterr()
    assert err == ""
    return out


def refused(capsys: pytest.CaptureFixture[str], *argv: str) -> str:
    with pytest.raises(SystemExit) as stopped:
        main(argv)
    out, err = capsys.readouterr()
    assert stopped.value.code == 2 and out == "" and err.count("\n") == 1
    return err


def test_json(capsys: pytest.CaptureFixture[str]) -> None:
    found = json.loads(run(capsys, "--width", "4", "--temperatures", "2.0", "3.5", "--json"))
    assert [row["T"] for row in found] == [2.0, 3.5]
    for row in found:
        assert list(row) == ["T", "K", "lnZ", "U", "C", "iterations"]
        assert row["K"] == 1 / row["T"] and type(row["iterations"]) is int
        assert (row["lnZ"], row["U"], row["C"]) == pytest.approx(ising.strip(4, row["K"]), rel=1e-11)


@pytest.mark.parametrize("rich", [True, False])
def test_table(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, rich: bool) -> None:
    if rich:
        pytest.importorskip("rich")
    else:
        monkeypatch.setitem(sys.modules, "rich", None)
    out = run(capsys, "--width", "5", "--temperatures", "2.5")
    for values in (ising.strip(5, 0.4), ising.onsager(0.4)):
        assert all(f"{v:.10f}" in out for v in values)
    assert all(
        word in out for word in ("T", "lnZ", "loop", "strip", "Onsager", "compiled", "hits", "operations", " s ")
    )


def test_a_looser_tolerance_takes_fewer_steps(capsys: pytest.CaptureFixture[str]) -> None:
    loose, tight = (json.loads(run(capsys, "--json", "--width", "4", "--tol", tol))[2] for tol in ("1e-3", "1e-12"))
    assert loose["iterations"] < tight["iterations"]
    assert loose["lnZ"] == pytest.approx(tight["lnZ"], rel=1e-5)


@pytest.mark.parametrize(
    "argv",
    [
        ("--width", "0"),
        ("--width", "11"),
        ("--width", "-3"),
        ("--width", "two"),
        ("--temperatures", "0"),
        ("--temperatures", "2", "-1"),
        ("--temperatures", "nan"),
        ("--temperatures", "inf"),
        ("--temperatures",),
        ("--tol", "0"),
        ("--tol", "-0.1"),
        ("--jit", "sometimes"),
        ("--unknown",),
        ("surplus",),
    ],
)
def test_bad_arguments_are_one_line(capsys: pytest.CaptureFixture[str], argv: tuple[str, ...]) -> None:
    assert argv[-1] in refused(capsys, *argv)


def test_what_cannot_converge_is_one_line(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ising, "MAX_ITERATIONS", 3)
    assert "not converged" in refused(capsys, "--width", "3", "--temperatures", "2")


def test_plot_without_matplotlib(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [m for m in sys.modules if m.partition(".")[0] == "matplotlib"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    assert "pip install matplotlib" in refused(capsys, "--plot", "ising.png")


def test_plot(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    file = tmp_path / "ising.svg"
    json.loads(run(capsys, "--width", "3", "--json", "--plot", str(file)))
    assert "<svg" in file.read_text("utf-8")
    with pytest.raises(SystemExit) as stopped:
        main(["--width", "2", "--temperatures", "2", "--json", "--plot", str(tmp_path / "none" / "ising.svg")])
    assert stopped.value.code == 2 and capsys.readouterr().err.count("\n") == 1


def test_as_a_module() -> None:
    command = [sys.executable, "-c", "import sys, runpy; sys.path[:0] = sys.argv[1:3]; del sys.argv[1:3]; "
               "runpy.run_module('nbgraph', run_name='__main__')"]  # fmt: skip
    paths = [str(ROOT), str(ROOT / "kernels")]
    done = subprocess.run(
        [*command, *paths, "--width", "2", "--temperatures", "2", "--json"], capture_output=True, text=True, timeout=60
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert len(json.loads(done.stdout)) == 1
