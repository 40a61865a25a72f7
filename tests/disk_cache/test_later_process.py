"""What a later process finds in the folder of an earlier one, and under which names."""

from __future__ import annotations

import pickle
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cache_processes import LOOP, PLACED, WANT, always, counts, run, value

import nbgraph as nbg
from nbgraph.engine import objects, tiers
from nbgraph_kernels import registry


def test_importing_is_light() -> None:
    code = "import sys, json, nbgraph; print(json.dumps([m for m in sys.modules if '.' not in m]))"
    assert not {"numba", "llvmlite", "scipy", "opt_einsum", "concurrent", "logging"} & set(run(code))


@pytest.mark.parametrize("jit", ["always", "auto"])
def test_a_later_process_imports_no_numba(jit: str, loop_cache: tuple[Path, Any]) -> None:
    folder, first = loop_cache
    assert first["modules"] == [] and first["compiled"] >= 2 and first["loaded"] == 0
    later = run(LOOP, jit, "50", cache=folder)
    assert later["modules"] == []
    assert (later["compiled"], later["loaded"], later["interpreted"]) == (0, first["compiled"], 0)
    np.testing.assert_allclose(later["gradient"], run(LOOP, "never", "50")["gradient"], rtol=1e-12)


def test_sizes_known_at_run_time_are_no_part_of_what_is_kept(tmp_path: Path) -> None:
    first = run(PLACED, "always", "3", cache=tmp_path / "cache")
    later = run(PLACED, "always", "5", cache=tmp_path / "cache")
    assert first["loaded"] == later["compiled"] == 0 < first["compiled"] == later["loaded"]
    np.testing.assert_allclose(later["gradient"], run(PLACED, "never", "5")["gradient"], rtol=1e-12)


def test_what_is_loaded_is_what_was_compiled(filled: Path) -> None:
    first, second = always(None), always(filled)
    assert value(first) == value(second)
    assert (counts(first), counts(second)) == ((1, 0), (0, 1))
    assert second.stats().code_bytes == first.stats().code_bytes and second.stats().compile_seconds == 0.0
    assert second.explain().startswith("load 1: new structure") and "cache_processes.py" in second.explain()


def test_auto_loads_at_first_sight_and_looks_once(filled: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    engine = nbg.Engine(cache_dir=filled)
    assert value(engine) == WANT or counts(engine) == (0, 1)
    assert (counts(engine), engine.stats().hits, engine.stats().interpreted) == ((0, 1), 1, 0)

    other, asked = nbg.Engine(cache_dir=filled), []
    monkeypatch.setattr(objects.Objects, "has", lambda self, program: asked.append(program))
    for _ in range(3):
        value(other)
    assert len(asked) == 1 and counts(other) == (0, 0)


def test_auto_does_not_compile_a_kernel_to_load_a_fragment(loop_cache: tuple[Path, Any], tmp_path: Path) -> None:
    folder = tmp_path / "cache"
    shutil.copytree(loop_cache[0], folder)
    for each in folder.glob("kernel-gemm-*"):
        each.unlink()
    found = run(LOOP, "auto", "4", cache=folder)
    assert found["modules"] == [] and found["compiled"] == found["loaded"] == 0 and found["interpreted"] > 0


def test_a_kernel_on_disk_makes_compiling_cheaper(monkeypatch: pytest.MonkeyPatch) -> None:
    x = nbg.TracedTensor.placeholder(("n", "n"), name="x")
    program = nbg.Engine(jit="always", cache_dir=None).compile([x @ x], [x])
    (body,) = [p.lowered()[0] for p in program.programs]
    there, missing = (tiers.shared_seconds(body, lambda name, code, made=made: made) for made in (True, False))
    assert there == 0
    assert missing == pytest.approx(sum(tiers.FIRST_USE[name] for name in ("gemm", *tiers.DRIVERS)))
    for is_there in (True, False):
        ledger = tiers.Ledger(program.programs[0])
        ledger.is_made = lambda name, code, is_there=is_there: is_there
        ledger.record(ledger.own + missing / 2)
        assert ledger.pays(1) is is_there


def test_kernels_are_found_by_name(loop_cache: tuple[Path, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "_MADE", {})
    found = objects.Objects(str(loop_cache[0]))
    assert found.has_kernel("gemm", "f8") and not found.has_kernel("gemm", "c8")
    assert found.load_kernel("gemm", "f8") and not found.load_kernel("gemm", "c8")
    assert registry.is_made("gemm", "f8") and not registry.is_made("gemm", "c8")
    assert not objects.Objects(None).has_kernel("solve", "f4") and not objects.Objects(None).load_kernel("solve", "f4")


def test_a_kernel_of_an_engine_without_cache_is_kept_by_one_with(tmp_path: Path) -> None:
    value(always(None))  # the drivers are in this process now
    value(always(tmp_path / "cache"))
    kept = {each.name.rpartition("-")[0] for each in (tmp_path / "cache").glob("kernel-*")}
    assert {"kernel-entry-any", "kernel-objects_driver-any"} <= kept


def test_pickled_programs_load(tmp_path: Path) -> None:
    x = nbg.TracedTensor.placeholder(("n",), name="x")
    program = always(tmp_path / "cache").compile([nbg.cos(x).sum()], [x])
    (tmp_path / "program").write_bytes(pickle.dumps(program))
    code = """
import json, pickle, sys, numpy as np
program = pickle.loads(open(sys.argv[1], "rb").read())
s = program.engine.stats()
print(json.dumps([float(program(np.array([0.0, 0.0]))[0]), s.compiled, s.loaded, "numba" in sys.modules]))
"""
    assert run(code, str(tmp_path / "program"), cache=tmp_path / "cache") == [2.0, 0, 1, False]
