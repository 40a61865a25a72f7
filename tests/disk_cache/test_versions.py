"""Code of another version, CPU or source is not loaded; the digests that say so."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cache_processes import SMALL, WANT, always, command, counts, value

import nbgraph as nbg
import nbgraph_kernels
from nbgraph.engine import objects
from nbgraph_kernels import identity


def test_another_version_is_not_loaded(filled: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(objects, "environment", lambda: "another version, or another CPU")
    engine = always(filled)
    assert value(engine) == pytest.approx(WANT) and counts(engine) == (1, 0)
    assert len(list(filled.glob("fragment-*.o"))) == 2  # both are kept
    assert counts_of_auto(filled) == (0, 1)


def counts_of_auto(folder: Path) -> tuple[int, int]:
    engine = nbg.Engine(cache_dir=folder)
    value(engine)
    return counts(engine)


def test_under_auto_another_version_is_interpreted(filled: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(objects, "environment", lambda: "another version, or another CPU")
    assert counts_of_auto(filled) == (0, 0)


def test_without_sources_nothing_is_kept(filled: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(objects, "environment", lambda: None)
    engine, before = always(filled), sorted(filled.iterdir())
    assert value(engine) == pytest.approx(WANT) and counts(engine) == (1, 0)
    assert sorted(filled.iterdir()) == before


def test_the_identity_is_of_cpu_versions_sources_and_options(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from llvmlite import binding

    fresh = identity.identity.__wrapped__
    here = fresh()
    assert here == fresh() == identity.identity()
    changes: list[tuple[Any, str, Any]] = [
        (binding, "get_host_cpu_name", lambda: "abacus"),
        (binding, "get_host_cpu_features", lambda: binding.FeatureMap(sse2=True)),
        (np, "__version__", "0"),
        (identity, "version_text", lambda package: package),
        (identity, "source_digest", lambda folder: ""),
    ]
    seen = {here}
    for owner, name, changed in changes:
        with monkeypatch.context() as patched:
            patched.setattr(owner, name, changed)
            seen.add(fresh())
    monkeypatch.setenv("NUMBA_CPU_NAME", "generic")
    seen.add(fresh())
    assert len(seen) == 2 + len(changes)


def test_versions_are_those_installed() -> None:
    for package in ("llvmlite", "numba", "scipy"):
        assert __import__("importlib.metadata").metadata.version(package) in identity.version_text(package)


def test_sources_count_by_name_and_content(tmp_path: Path) -> None:
    (tmp_path / "inner").mkdir()
    (tmp_path / "inner" / "a.py").write_text("1")
    (tmp_path / "note.txt").write_text("1")
    seen = [identity.source_digest(str(tmp_path))]
    (tmp_path / "note.txt").write_text("2")
    assert identity.source_digest(str(tmp_path)) == seen[0]
    (tmp_path / "inner" / "a.py").write_text("2")
    seen.append(identity.source_digest(str(tmp_path)))
    (tmp_path / "inner" / "a.py").rename(tmp_path / "inner" / "b.py")
    seen.append(identity.source_digest(str(tmp_path)))
    assert len(set(seen)) == 3
    with pytest.raises(OSError):
        identity.source_digest(str(tmp_path / "nowhere"))


def test_two_versions_at_once(tmp_path: Path) -> None:
    """Of a folder that both fill at the same time each finds what is its own, and nothing else."""
    other, folder = tmp_path / "other", tmp_path / "cache"
    for package in (nbgraph_kernels, nbg):
        home = Path(package.__file__).parent
        shutil.copytree(home, other / home.name, ignore=shutil.ignore_patterns("__pycache__"))
    head = other / "nbgraph" / "__init__.py"
    head.write_text(head.read_text().replace('__version__ = "', '__version__ = "9'))
    code = f"import sys; sys.path.insert(0, {str(other)!r})\n{SMALL}"
    env = os.environ | {"NBGRAPH_CACHE_DIR": str(folder)}
    for times in range(2):
        both = [
            subprocess.Popen(command(each, "always"), env=env, text=True, stdout=subprocess.PIPE)
            for each in (SMALL, code)
        ]
        found = [json.loads(each.communicate(timeout=120)[0]) for each in both]
        for each in found:
            assert each == {"value": pytest.approx(WANT), "compiled": 1 - times, "loaded": times}
    stems = [each.name.rpartition("-")[0] for each in folder.iterdir()]
    assert all(stems.count(stem) == 2 for stem in stems)
