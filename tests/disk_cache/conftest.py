"""Folders that are filled, and warnings that have not been said yet."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
from cache_processes import LOOP, WANT, always, run, value

from nbgraph.engine import disk


@pytest.fixture(scope="session")
def loop_cache(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Any]:
    """A folder that one process has filled, and what that process found."""
    folder = tmp_path_factory.mktemp("loop") / "cache"
    return folder, run(LOOP, "always", "4", cache=folder)


@pytest.fixture(scope="session")
def value_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("value") / "cache"
    assert value(always(folder)) == pytest.approx(WANT)
    return folder


@pytest.fixture
def filled(value_cache: Path, tmp_path: Path) -> Path:
    """A copy of a folder in which the code of `value` is."""
    folder = tmp_path / "cache"
    shutil.copytree(value_cache, folder)
    return folder


@pytest.fixture(autouse=True)
def warn_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(disk, "_warned", set())
