"""How much is kept: the least recently used goes first."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from cache_processes import always, value

import nbgraph as nbg
from nbgraph.engine import disk
from nbgraph.engine.disk import Folder, size_limit


def names(folder: Folder) -> list[str]:
    return [e.name for e in folder.entries()]


def test_the_least_recently_used_go_first(tmp_path: Path) -> None:
    folder = Folder(str(tmp_path / "cache"), 8 * 1000)
    for k in range(7):
        folder.put(f"kernel-{k}-x.o", bytes(1000 - disk._HEAD))
        os.utime(tmp_path / "cache" / f"kernel-{k}-x.o", (k, k))
    assert folder.get("kernel-0-x.o") == bytes(1000 - disk._HEAD)  # used now
    (tmp_path / "cache" / "notes.txt").write_text("not ours" * 1000)
    for k in range(7, 20):
        folder.put(f"kernel-{k}-x.o", bytes(1000 - disk._HEAD))
        assert sum(e.size for e in folder.entries()) <= 8 * 1000
        if k == 8:
            assert names(folder)[0] not in ("kernel-0-x.o", "kernel-1-x.o") and "kernel-0-x.o" in names(folder)
    assert "kernel-19-x.o" in names(folder) and len(names(folder)) >= 6
    assert (tmp_path / "cache" / "notes.txt").exists()
    folder.put("kernel-large-x.o", bytes(9000))
    assert "kernel-large-x.o" not in names(folder)


def test_several_writers_keep_the_bound(tmp_path: Path) -> None:
    writers = [Folder(str(tmp_path / "cache"), 64_000) for _ in range(3)]
    for k in range(150):
        writers[k % 3].put(f"fragment-{k}-x.o", bytes(1000))
        assert sum(e.size for e in writers[0].entries()) <= 64_000 * (1 + 3 / 16)


def test_what_killed_writers_left_is_removed(tmp_path: Path) -> None:
    folder = Folder(str(tmp_path), 10_000)
    old, new = tmp_path / f".12-{'a' * 16}.tmp", tmp_path / f".13-{'b' * 16}.tmp"
    for each in (old, new):
        each.write_bytes(bytes(100))
    os.utime(old, (0, 0))
    folder.put("kernel-a-x.o", b"code")
    assert not old.exists() and new.exists() and names(folder) == ["kernel-a-x.o"]
    assert [e.name for e in folder.clear()] == ["kernel-a-x.o"] and list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("text", "size"), [("0", 0), ("1000", 1000), ("4k", 4096), ("256M", 2**28), (" 1 GB ", 2**30), ("2g", 2**31)]
)
def test_size(text: str, size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NBGRAPH_CACHE_SIZE", text)
    assert size_limit() == size


@pytest.mark.parametrize("text", ["", "much", "-1", "1.5M", "1T"])
def test_what_is_no_size(text: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("NBGRAPH_CACHE_SIZE", text)
    with pytest.raises(nbg.CacheError, match="NBGRAPH_CACHE_SIZE: not a size"):
        nbg.Engine(cache_dir=tmp_path)


def test_a_bound_of_nothing_keeps_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NBGRAPH_CACHE_SIZE", "0")
    value(always(tmp_path / "cache"))
    assert not (tmp_path / "cache").exists()
