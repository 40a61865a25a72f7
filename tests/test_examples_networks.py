"""The tensor-network examples against published values, exact diagonalisation and differences; their commands."""

from __future__ import annotations

import importlib
import json
from typing import Any

import numpy as np
import pytest

import nbgraph as nbg
from nbgraph.examples import cp_als, dmrg, ipeps, ising_trg


@pytest.fixture(scope="module")
def engine() -> nbg.Engine:
    return nbg.Engine(jit="never")


#: lnZ, U, C of TRG with chi = 8 and 20 steps, by differences of sixth order of another program.
TRG = {
    0.30: (0.7905537870365499, -0.70438015262050, 0.2860999427),
    0.40: (0.8793168146706618, -1.10529632065904, 0.86064272121),
    0.45: (0.9433586090574709, -1.51479809568714, 1.5668597461),
}


@pytest.mark.parametrize("K", TRG)
def test_trg(K: float, engine: nbg.Engine) -> None:
    found = ising_trg.solve(K, 8, 20, engine)
    for value, known, tol in zip(found, TRG[K], (1e-10, 1e-7, 1e-5), strict=True):
        assert abs(value - known) < tol


def test_trg_of_another_coupling_and_size_is_no_new_structure(engine: nbg.Engine) -> None:
    ising_trg.solve(0.5, 8, 6, engine)
    before = engine.stats().fragments
    ising_trg.solve(0.35, 6, 6, engine)
    assert engine.stats().fragments == before


@pytest.mark.parametrize("N, E", [(2, -0.75), (4, -1.6160254037844388), (8, -3.3749325986878933)])
def test_dmrg(N: int, E: float, engine: nbg.Engine) -> None:
    ground = dmrg.ground_state([1.0] * (N - 1), 16, 10, engine=engine)
    energy, slopes = nbg.eval(ground.E, ground.E.grad(ground.J), engine=engine)
    assert abs(energy - E) < 1e-8
    np.testing.assert_allclose(slopes, dmrg.correlations(ground.state), atol=1e-6)


def test_dmrg_of_other_couplings_is_exact(engine: nbg.Engine) -> None:
    J = np.random.default_rng(0).uniform(-1, 2, 5)
    full = sum(
        j * np.kron(np.kron(np.eye(2**i), dmrg.EXCHANGE.reshape(4, 4)), np.eye(2 ** (4 - i))) for i, j in enumerate(J)
    )
    ground = dmrg.ground_state(J, 8, 20, engine=engine)
    energy, slopes = nbg.eval(ground.E, ground.E.grad(ground.J), engine=engine)
    assert abs(energy - np.linalg.eigvalsh(full)[0]) < 1e-8
    assert abs(J @ slopes - energy) < 1e-6  # E is homogeneous in J


def test_cp_als_finds_seven_terms(engine: nbg.Engine) -> None:
    T = nbg.constant(cp_als.matrix_multiplication(2))
    _, errors = cp_als.als(T, 7, 400, 6, engine=engine)
    assert float(errors[-1]) < 1e-6


@pytest.mark.parametrize("shape, rank", [((4, 4, 4), 7), ((5, 6, 7), 3)])
def test_cp_als_derivative(shape: tuple[int, int, int], rank: int, engine: nbg.Engine) -> None:
    check = cp_als.derivative_check(cp_als.example(shape, rank), rank, 0, 1e-12, engine=engine)
    assert check is not None and check < 1e-6


@pytest.mark.parametrize("seed", [0, *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(1, 6))])
def test_ipeps(seed: int, engine: nbg.Engine) -> None:
    found = ipeps.minimise(2, 16, seed, 100, engine)
    assert abs(found.E - ipeps.D2) < 1e-8
    assert abs(found.m - 0.39112) < 1e-4


@pytest.mark.slow
def test_ipeps_of_three(engine: nbg.Engine) -> None:
    """Below -0.665 and above the exact energy."""
    assert ipeps.EXACT < ipeps.minimise(3, 16, 0, 60, engine).E < -0.665


@pytest.mark.slow
def test_trg_of_sixteen(engine: nbg.Engine) -> None:
    assert ising_trg.solve(0.4, 16, 20, engine).lnZ == pytest.approx(0.8793630603068521, abs=1e-10)
    _, U, C = ising_trg.solve(0.5, 16, 20, engine)
    np.testing.assert_allclose([U, C], [-1.7455834681505, 0.724737278], atol=1e-7)


def test_trg_draws_51_temperatures(monkeypatch: pytest.MonkeyPatch) -> None:
    figures = pytest.importorskip("matplotlib.figure")
    figure, sizes = figures.Figure(), []
    monkeypatch.setattr(ising_trg, "solve", lambda K, chi, steps, engine: sizes.append(chi) or ising_trg.onsager(K))
    for chi, expected in ((8, {8, 16}), (16, {8, 16}), (1, {1, 2})):
        sizes.clear()
        ising_trg.draw(figure, chi, 20)
        assert set(sizes) == expected and len(sizes) == 102


def test_ipeps_gradient(engine: nbg.Engine) -> None:
    rng = np.random.default_rng(1)
    x, direction = rng.random((2, 2, 2, 2, 2, 2))

    def energy(values: Any) -> tuple[Any, Any]:
        leaf = nbg.TracedTensor.from_tensor(values)
        A = ipeps.symmetric(leaf)
        return leaf, ipeps.measure(A, *ipeps.environment(A, 8, tol=1e-12, engine=engine))[0]

    leaf, E = energy(x)
    slope = np.sum(E.grad(leaf).eval(engine) * direction)
    h = 1e-4
    ahead, behind = (float(energy(x + s * h * direction)[1]) for s in (1, -1))
    assert slope == pytest.approx((ahead - behind) / (2 * h), rel=1e-5, abs=1e-7)


# -- the commands -----------------------------------------------------------------------------------------------------

SMALL = {
    "ising_trg": (("--K", "0.3", "0.5", "--chi", "4", "--steps", "4"), None),
    "dmrg": (("--N", "4", "--chi", "4", "--sweeps", "3", "--J", "1", "-5e-1", "1"), ["E", "per_bond", "dE_dJ"]),
    "cp_als": (("--shape", "2", "3", "4", "--rank", "2", "--iters", "20", "--seeds", "2"), ["errors", "dfit_dT_check"]),
    "ipeps": (("--D", "1", "--chi", "2", "--maxiter", "2"), ["E", "m", "evaluations", "seconds"]),
}
BAD = {
    "ising_trg": [("--K", "0"), ("--K", "nan"), ("--chi", "0"), ("--steps", "x")],
    "dmrg": [("--N", "1"), ("--N", "5", "--J", "1", "2"), ("--N", "4", "--J", "-1e-3", "1e400", "1"), ("--chi", "-1"),
             ("--J", "inf")],
    "cp_als": [("--shape", "4", "4"), ("--rank", "0"), ("--l2", "-1"),
               ("--shape", "2", "2", "2", "--rank", "9", "--l2", "0")],
    "ipeps": [("--D", "0"), ("--seed", "-1"), ("--maxiter", "1.5")],
}  # fmt: skip


def command(name: str, *argv: str) -> int:
    found: int = importlib.import_module(f"nbgraph.examples.{name}").main(argv)
    return found


@pytest.mark.parametrize("name", SMALL)
def test_json(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    argv, fields = SMALL[name]
    assert command(name, *argv, "--json") == 0
    out, err = capsys.readouterr()
    found = json.loads(out)
    assert err == ""
    if fields is None:
        assert [list(row) for row in found] == [["K", "lnZ", "U", "C"]] * 2
    else:
        assert list(found) == fields


@pytest.mark.parametrize("name", SMALL)
def test_report(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert command(name, *SMALL[name][0]) == 0
    assert capsys.readouterr().out


@pytest.mark.parametrize("name, argv", [(name, argv) for name in BAD for argv in BAD[name]])
def test_bad_options_are_one_line(name: str, argv: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        command(name, *argv)
    out, err = capsys.readouterr()
    assert stopped.value.code == 2 and out == "" and err.count("\n") == 1
