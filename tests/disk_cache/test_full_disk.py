"""No room on the disk: everything is computed, nothing broken is kept, and it is said once."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cache_processes import POSIX, SMALL, WANT, always, counts, run, telling, value

from nbgraph.engine import disk, objects
from nbgraph.engine.disk import Folder

#: What is called in turn to keep a file, and may find the disk full.
CALLS = ("makedirs", "open", "write", "flush", "fsync", "close", "replace")


class Disk:
    """Has room for so many files; the next call of this name fails, and all later ones."""

    def __init__(self, call: str, files: int, patched: pytest.MonkeyPatch) -> None:
        self.call, self.left = call, files
        patched.setattr(os, "replace", self.counted(os.replace))
        for name in ("makedirs", "open", "fsync"):
            patched.setattr(os, name, self.checked(name, getattr(os, name)))
        patched.setattr(disk, "open", self.opened, raising=False)

    def check(self, call: str) -> None:
        if call == self.call and self.left <= 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def opened(self, *given: Any) -> FullFile:
        return FullFile(self, open(*given))

    def checked(self, name: str, function: Any) -> Any:
        def call(path: Any, *rest: Any, **options: Any) -> Any:
            if name != "open" or rest[0] & os.O_CREAT:
                self.check(name)
            return function(path, *rest, **options)

        return call

    def counted(self, replace: Any) -> Any:
        def call(*given: Any) -> None:
            self.check("replace")
            replace(*given)
            self.left -= 1

        return call


class FullFile:
    """A file on such a disk. What `write` has taken is there by half, as where the disk is full in the middle."""

    def __init__(self, disk: Disk, file: Any) -> None:
        self.disk, self.file = disk, file

    def __enter__(self) -> FullFile:
        return self

    def __exit__(self, *error: Any) -> None:
        is_written = self.file.writable()
        self.file.close()
        if is_written and error[0] is None:
            self.disk.check("close")

    def __getattr__(self, name: str) -> Any:
        return getattr(self.file, name)

    def write(self, data: bytes) -> None:
        try:
            self.disk.check("write")
        except OSError:
            self.file.write(data[: len(data) // 2])
            raise
        self.file.write(data)

    def flush(self) -> None:
        self.file.flush()
        self.disk.check("flush")


@pytest.mark.parametrize("files", [0, 2])
@pytest.mark.parametrize("call", CALLS)
def test_a_full_disk_at_every_call(call: str, files: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "cache"
    with monkeypatch.context() as patched:
        Disk(call, files, patched)
        engine = always(folder)
        with pytest.warns(RuntimeWarning, match="cannot write to its cache.*No space left") as caught:
            assert value(engine) == pytest.approx(WANT)
        assert counts(engine) == (1, 0) and len(caught) == 1
    there = sorted(each.name for each in folder.iterdir()) if folder.exists() else []
    assert len(there) == files and all(name.endswith(".o") for name in there)
    again = Folder(str(folder), 2**20)
    assert all(again.get(name) is not None for name in there)
    objects._folder.cache_clear()  # a later process, which finds room
    for want in ((int(not files), files and 1), (0, 1)):
        later = always(folder)
        assert value(later) == pytest.approx(WANT) and counts(later) == want


@POSIX
def test_no_longer_files(tmp_path: Path) -> None:
    """As far as this process goes: no file may be longer than 200 bytes."""
    code = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (200, 200))\n" + telling(SMALL)
    right_and_said_once(code, tmp_path / "cache", "cannot write to its cache")
    assert list((tmp_path / "cache").iterdir()) == []


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 4 KB; who may not mount one skips."""
    folder = tmp_path / "disk"
    folder.mkdir()
    options = ["-t", "tmpfs", "-o", "size=4k,mode=700", "tmpfs", str(folder)]
    if not shutil.which("mount") or subprocess.run(["mount", *options], capture_output=True).returncode:
        pytest.skip("may not mount a file system")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


@POSIX
def test_a_small_disk(small_disk: Path) -> None:
    right_and_said_once(telling(SMALL), small_disk, "cannot write to its cache.*No space left")
    there = list(small_disk.iterdir())
    folder = Folder(str(small_disk), 2**20)
    assert all(folder.get(each.name) is not None for each in there)
    assert run(SMALL, "always", cache=small_disk)["value"] == pytest.approx(WANT)


def right_and_said_once(code: str, folder: Path, text: str) -> None:
    found, said = run(code, "always", cache=folder)
    assert found["compiled"] == 1 and found["value"] == pytest.approx(WANT) and len(said) == 1
    with pytest.raises(RuntimeWarning, match=text):
        raise RuntimeWarning(said[0])
