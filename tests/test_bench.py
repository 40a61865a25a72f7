"""The benchmarks: what is compared is right, and the harness does what its report says. Nothing is timed here."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import nbgraph as nbg
from bench import growth, harness, loops, report, workload
from bench.__main__ import BENCHMARKS, main
from bench.loops import POWER, power_data, power_reference
from bench.peers.power import nbgraph_loop, numba_hand

ROOT = Path(__file__).parents[1]


# -- what is compared ------------------------------------------------------------------------------------------------


def test_reference_agrees_with_differences() -> None:
    data, h = power_data(3), 1e-6
    _, gradient = power_reference(3, 5, data)
    for i, j in np.ndindex(3, 3):
        e = np.zeros((3, 3))
        e[i, j] = h
        up, down = (power_reference(3, 5, data._replace(a=data.a + s * e))[0] for s in (1, -1))
        assert (up - down) / (2 * h) == pytest.approx(gradient[i, j], rel=1e-7, abs=1e-9)


def test_the_matrix_is_positive_and_converges_slowly_enough() -> None:
    for n in (8, 64):
        a = power_data(n).a
        moduli = np.sort(np.abs(np.linalg.eigvals(a)))
        assert a.min() >= 0 and 0.9 < moduli[-1] < 1.1 and 0.3 < moduli[-2] < 0.8


@pytest.mark.parametrize("blas", [False, True])
def test_numba_by_hand_is_right(blas: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    numba = pytest.importorskip("numba")
    monkeypatch.setattr(numba, "njit", lambda *_, **__: lambda f: f)  # as Python: compiling takes seconds
    data = power_data(4)
    power = numba_hand._compiled.__wrapped__(blas)
    assert workload.error(power(data.a, data.x, 6, data.tol), power_reference(4, 6, data)) < 1e-12


def test_numba_by_hand_stops_when_converged() -> None:
    numba = pytest.importorskip("numba")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(numba, "njit", lambda *_, **__: lambda f: f)
        power = numba_hand._compiled.__wrapped__(False)
    data = power_data(4)
    assert workload.error(power(data.a, data.x, 500, 1e300), power_reference(4, 1, data)) < 1e-12


def test_nbgraph_is_right() -> None:
    data = power_data(4)
    assert workload.error(nbgraph_loop.make(4, 6, data, jit="never")(), power_reference(4, 6, data)) < 1e-12
    assert "0 compiled" in nbgraph_loop.remark("never")


def test_every_implementation_has_its_two_functions() -> None:
    for name in POWER.implementations:
        module = POWER.module(name)
        assert callable(module.available) and callable(module.make), name
    assert POWER.baseline in POWER.implementations


def test_error_sees_what_is_wrong() -> None:
    good = (2.0, np.ones((2, 2)))
    assert workload.error(good, good) == 0
    assert workload.error((2.0, np.ones((2, 2)) * 1.5), good) == 0.5
    assert workload.error((3.0, np.ones((2, 2))), good) == 0.5
    assert workload.error((2.0, np.ones(2)), good) == float("inf")
    assert workload.error((float("nan"), np.ones((2, 2))), good) == float("inf")


# -- the command line ------------------------------------------------------------------------------------------------


def parsed(*arguments: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    loops.add_arguments(parser)
    return parser.parse_args(arguments)


def test_arguments() -> None:
    options = parsed("--n", "8,64", "--K", "10", "--only", "nbgraph,torch", "--repeats", "4", "--no-limits")
    assert (options.n, options.K, options.repeats, options.limits) == ([8, 64], [10], 4, False)
    assert options.cold and not parsed("--no-cold").cold
    assert POWER.select(options.only) == ["nbgraph auto", "nbgraph always", "nbgraph program", "torch eager"]
    assert POWER.select(parsed().only) == list(POWER.implementations)


@pytest.mark.parametrize(
    "arguments", [["--n", "0"], ["--K", "ten"], ["--only", "torhc"], ["--what"]], ids=lambda a: a[0]
)
def test_bad_arguments(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        main(["loops", *arguments])
    assert stop.value.code == 2
    assert arguments[0] in capsys.readouterr().err


def test_help_lists_the_benchmarks_and_imports_nothing_heavy() -> None:
    code = "import sys, bench.__main__ as m\ntry: m.main(['--help'])\nexcept SystemExit: pass\n"
    code += "print([x for x in ('numpy', 'numba', 'torch', 'jax', 'nbgraph') if x in sys.modules])"
    out = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert all(name in out for name in BENCHMARKS)
    assert out.splitlines()[-1] == "[]"


# -- processes -------------------------------------------------------------------------------------------------------


def _seen_inside() -> Iterator[dict[str, Any]]:
    """Runs in a measuring process."""
    import os

    print("noise that a library prints")
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 1
    yield {"threads": os.environ["OMP_NUM_THREADS"], "core": os.environ.get("OPENBLAS_CORETYPE"), "cores": cores}
    raise ValueError("broke off")


def test_measuring_processes_are_pinned_and_failures_are_told(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    monkeypatch.setenv("OPENBLAS_CORETYPE", "Nehalem")
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent))
    results, failure = harness.isolated("test_bench:_seen_inside", 60)
    assert results == [{"threads": "1", "core": None, "cores": 1}]
    assert failure == "ValueError: broke off"
    assert "Traceback" in capsys.readouterr().err


def _never_done() -> Iterator[dict[str, Any]]:
    """Runs in a measuring process."""
    yield {"first": "result"}
    time.sleep(600)


def test_a_process_out_of_time_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent))
    results, failure = harness.isolated("test_bench:_never_done", 0.5)
    assert failure == "not done after 0.5 s"
    assert results in ([], [{"first": "result"}])  # what there was by then is kept


class Canned(workload.Driver):
    """A driver whose processes answer at once: warm milliseconds for each implementation, or what is missing."""

    def __init__(self, answers: dict[str, Any]) -> None:
        options = argparse.Namespace(
            points=[(8, 10), (8, 100)], repeats=3, seconds=1, smoke=False, limits=True, cold=True
        )
        super().__init__(POWER, options, lambda _: None)
        self.answers, self.asked = answers, []

    def _ask_cold(self, name: str, point: Any) -> Any:
        self.asked.append((name, point))
        answer = self.answers[name]
        row = {"status": "absent", "detail": answer} if isinstance(answer, str) else {"status": "ok", "call_ms": 5.0}
        return harness.Outcome([row], None)

    def _ask_warm(self, points: Any) -> Any:
        self.asked.append(points)
        rows = [
            {"implementation": name, "n": n, "K": K, "status": "ok", "first_ms": 4.0, "warm_ms": self.answers[name]}
            for name in points
            for n, K in points[name]
        ]
        return harness.Outcome(rows[:-1], "died")


def test_rows_and_table(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    driver = Canned({"nbgraph auto": 1.0, "torch eager": 2.0, "casadi": "casadi is not installed"})
    driver.run(list(driver.answers))
    small, large = driver.options.points
    by_turns = {"nbgraph auto": [small, large], "torch eager": [small, large]}
    cold = [(name, small) for name in driver.answers] + [(name, large) for name in ("nbgraph auto", "torch eager")]
    assert driver.asked == [*cold, by_turns]  # a library that is absent is asked for once
    rows = report.compared(driver.rows, POWER.baseline)
    first = rows[0]
    assert (first["cold_ms"], first["first_ms"], first["warm_ms"]) == (5.0, 4.0, 1.0)
    assert (first["warm_us_per_iteration"], first["baseline"]) == (100.0, "torch eager")
    assert [(r["implementation"], r.get("K"), r.get("detail")) for r in rows[2:]] == [
        ("torch eager", 10, None), ("torch eager", 100, "died"), ("casadi", None, "casadi is not installed"),
    ]  # fmt: skip
    environment = {"cpu": "a processor", "threads": 1, "python": "3", "system": "s", "commit": None, "in_use": {}}
    result = {"workload": "w", "environment": environment, "rows": rows}
    report.write_json(result, str(tmp_path / "out.json"))
    assert json.loads((tmp_path / "out.json").read_text()) == result
    report.show(result)
    out = capsys.readouterr().out
    assert "casadi is not installed" in out and "a processor" in out
    report.show(result, only_measured=True)
    assert "casadi" not in capsys.readouterr().out


def test_limits_are_said_in_the_row() -> None:
    driver = Canned({"jax unrolled": 1.0})
    driver.options.points = [(8, 1000)]
    driver.run(["jax unrolled"])
    assert driver.rows[0]["status"] == "skipped" and not driver.asked


def test_all_run_by_turns_at_each_point(monkeypatch: pytest.MonkeyPatch) -> None:
    turns = []

    def by_turns(runs: dict[str, Any], repeats: int, seconds: float) -> dict[str, list[float]]:
        turns.append(list(runs))
        return {name: [1.0, 2.0 * (k + 1), 4.0] for k, name in enumerate(runs)}

    monkeypatch.setattr(harness, "by_turns", by_turns)
    monkeypatch.setattr(nbgraph_loop, "engine", lambda jit: nbg.Engine(jit="never"))
    two = workload.Workload(**{**vars(POWER), "baseline": "nbgraph auto", "path": "test_bench:TWO"})
    monkeypatch.setattr(sys.modules[__name__], "TWO", two, raising=False)
    monkeypatch.setitem(sys.modules, "test_bench", sys.modules[__name__])
    points = {"nbgraph auto": [[4, 3], [4, 5]], "nbgraph always": [[4, 5]]}
    *rows, last = workload.measure_warm(two.path, points, 3, 60.0)
    assert "nbgraph" in last["in_use"]["versions"]
    assert turns == [["nbgraph auto"], ["nbgraph auto", "nbgraph always"]]
    assert [(r["implementation"], r["K"], r["status"]) for r in rows] == [
        ("nbgraph auto", 3, "ok"), ("nbgraph auto", 5, "ok"), ("nbgraph always", 5, "ok"),
    ]  # fmt: skip
    assert (rows[2]["warm_ms"], rows[2]["warm_ratio"], rows[2]["calls"]) == (4.0, 1.0, 3)


def test_what_is_wrong_has_no_times_and_no_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    wrong = workload.Workload(**{**vars(POWER), "reference": lambda n, K, data: (0.5, np.eye(n))})
    monkeypatch.setattr(workload, "_workload", lambda path: wrong)
    monkeypatch.setattr(nbgraph_loop, "engine", lambda jit: nbg.Engine(jit="never"))
    (row, _) = workload.measure_warm("", {"nbgraph auto": [(4, 3)]}, 3, 60.0)
    assert row["status"] == "wrong" and not any(key.endswith("_ms") for key in row)
    (row, _) = workload.measure("", "nbgraph auto", 4, 3)
    assert row["status"] == "wrong" and not any(key.endswith("_ms") for key in row)


def test_growth_gives_up_what_fails_and_goes_on_with_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def measure(name: str, n: int, K: int, seconds: float) -> dict[str, Any]:
        asked.append((name, K))
        failed = name == "jax unrolled" and K == 30
        return {"implementation": name, "K": K, "cold_ms": len(asked), "status": "failed" if failed else "ok"}

    monkeypatch.setattr(growth, "measure", measure)
    options = argparse.Namespace(only=["nbgraph always", "jax unrolled"], n=8, K=[100, 10, 30], repeats=3, seconds=1)
    rows = list(growth.measured(options))
    ours, theirs = "nbgraph always", "jax unrolled"
    assert (
        asked == [(ours, 10), (theirs, 10)] * 3 + [(ours, 30), (theirs, 30), (ours, 30), (ours, 30)] + [(ours, 100)] * 3
    )
    assert [(r["implementation"], r["K"], r["status"], r["cold_ms"]) for r in rows] == [
        (ours, 10, "ok", 3), (theirs, 10, "ok", 4), (ours, 30, "ok", 9), (theirs, 30, "failed", 8),
        (ours, 100, "ok", 12),
    ]  # fmt: skip


def test_plain_table() -> None:
    text = report.plain_table(["n", "name"], [["8", "a"], ["512", "bc"]], text_columns=("name",))
    assert text.splitlines() == ["  n  name", "---  ----", "  8  a", "512  bc"]
    assert [report.number(x) for x in (None, 0.012345, 12.345, 12345.6)] == ["-", "0.0123", "12.3", "12346"]


def test_the_fitted_line_is_found() -> None:
    from bench.compile_cost import fit

    rows = [{"seconds": 0.05 + 0.03 * a + 0.001 * b, "body": [a, b]} for a, b in ((1, 1), (1, 9), (4, 2), (9, 30))]
    assert fit(rows, "body") == pytest.approx([0.05, 0.03, 0.001])
    assert all(r["by body"] == pytest.approx(r["seconds"]) for r in rows)


def test_results_by_turns_and_joined(tmp_path: Path) -> None:
    from bench.cases import every_case
    from bench.kernels import _row, measure

    names = ["products/8", "products/16"]
    rows = list(measure(["nbgraph", "numpy"], ["products"], names, 3, 0.0))
    assert [(r["name"], r["library"]) for r in rows] == [(n, lib) for n in names for lib in ("nbgraph", "numpy")]
    found = {lib: {r["name"]: r for r in rows if r["library"] == lib} for lib in ("nbgraph", "numpy")}
    row = _row(every_case(["products"])["products/8"], found)
    assert row["ratio"] == row["ratios"]["numpy"] == found["numpy"]["products/8"]["ratio"] and row["remark"] == ""
    file = tmp_path / "rows.json"
    report.write_json({"rows": [{"name": "a", "ms": 1}, {"name": "b", "ms": 2}]}, str(file))
    assert report.joined([{"name": "b", "ms": 3}, {"name": "c", "ms": 4}], str(file), "name") == [
        {"name": "a", "ms": 1},
        {"name": "b", "ms": 3},
        {"name": "c", "ms": 4},
    ]
    assert report.joined([{"name": "c"}], str(tmp_path / "none.json"), "name") == [{"name": "c"}]


def test_kernel_cases_mean_the_same_in_each_library() -> None:
    from bench import libraries
    from bench.cases import every_case
    from bench.kernels import _agree, _sums

    known = every_case()
    for name in ("products/8", "products/8/gradient"):
        case = known[name]
        arrays = case.data()
        ours, numpy = (_sums(library(case, arrays)()) for library in (libraries.nbgraph, libraries.numpy))
        assert len(ours) == len(numpy) == (3 if case.wrt else 1)
        assert all(_agree(a, b) for a, b in zip(ours, numpy, strict=True))
    assert all(case.target > 0 and "nbgraph" in case.functions for case in known.values())
