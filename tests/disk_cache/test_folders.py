"""Which folder, whose it has to be, and what can be done with one that is not as it should be."""

from __future__ import annotations

import errno
import os
import shutil
import stat
import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cache_processes import POSIX, SMALL, WANT, always, counts, run, telling, value

import nbgraph as nbg
from nbgraph.engine.disk import Folder, folder_path, user_folder


@POSIX
def test_the_folder_is_private(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        value(always(tmp_path / "some" / "cache"))
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "some" / "cache").stat().st_mode) == 0o700
    assert {stat.S_IMODE(each.stat().st_mode) for each in (tmp_path / "some" / "cache").iterdir()} == {0o600}


def refused(folder: Path) -> None:
    """The folder is neither read nor written, and said to be so once."""
    before = sorted(folder.iterdir()) if folder.is_dir() else None
    with pytest.warns(RuntimeWarning, match="keeps no code in|cannot write") as caught:
        for _ in range(2):
            engine = always(folder)
            assert value(engine) == pytest.approx(WANT) and counts(engine) == (1, 0)
    assert len(caught) == 1
    assert (sorted(folder.iterdir()) if folder.is_dir() else None) == before


@POSIX
@pytest.mark.parametrize("mode", [0o777, 0o770, 0o702, 0o1777])
def test_a_folder_that_others_can_write_to_is_refused(mode: int, filled: Path) -> None:
    filled.chmod(mode)
    refused(filled)


@POSIX
def test_a_link_counts_as_what_it_leads_to(filled: Path, tmp_path: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to(filled)
    engine = always(link)
    assert value(engine) == pytest.approx(WANT) and counts(engine) == (0, 1)
    filled.chmod(0o777)
    refused(link)


@POSIX
def test_a_folder_of_another_user_is_refused(filled: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    user = os.geteuid()
    monkeypatch.setattr(os, "geteuid", lambda: user + 1)
    refused(filled)


def test_a_file_in_place_of_the_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    refused(tmp_path / "file")
    assert (tmp_path / "file").read_text() == "mine"


@POSIX
def test_a_folder_that_can_only_be_read_is_read(filled: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened = os.open

    def read_only(path: Any, flags: int, *rest: Any) -> int:
        if flags & os.O_CREAT:
            raise OSError(errno.EROFS, os.strerror(errno.EROFS), path)
        return opened(path, flags, *rest)

    def not_touched(*_: Any) -> None:
        raise PermissionError

    monkeypatch.setattr(os, "open", read_only)
    monkeypatch.setattr(os, "utime", not_touched)
    engine = always(filled)
    assert value(engine) == pytest.approx(WANT) and counts(engine) == (0, 1)
    x = nbg.TracedTensor.from_tensor([1.0, 2.0])
    with pytest.warns(RuntimeWarning, match="cannot write to its cache.*Read-only") as caught:
        for f in (nbg.sin, nbg.cos):
            f(x * 3).eval(engine)
    assert counts(engine) == (2, 1) and len(caught) == 1


def test_no_cache(filled: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("NBGRAPH_CACHE_DIR", str(filled))
    before = sorted(filled.iterdir())
    engine = always(None)
    assert engine.cache_dir is None and value(engine) == pytest.approx(WANT) and counts(engine) == (1, 0)
    assert sorted(filled.iterdir()) == before
    default = nbg.Engine(jit="always")
    assert default.cache_dir == str(filled) and value(default) == pytest.approx(WANT) and counts(default) == (0, 1)


def test_which_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = tmp_path / "home"
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("USERPROFILE", str(home))
    monkeypatch.chdir(tmp_path)
    assert folder_path("here") == str(tmp_path / "here") == folder_path(Path("here"))
    assert folder_path("~/there") == str(home / "there") and folder_path(None) is None
    monkeypatch.setenv("NBGRAPH_CACHE_DIR", str(tmp_path / "mine"))
    assert folder_path(...) == str(tmp_path / "mine")
    monkeypatch.setenv("NBGRAPH_CACHE_DIR", "")
    assert folder_path(...) is None
    monkeypatch.delenv("NBGRAPH_CACHE_DIR")
    assert folder_path(...) == user_folder()
    with pytest.raises(nbg.CacheError, match="got 5, wanted a path"):
        nbg.Engine(cache_dir=5)


@POSIX
def test_where_platforms_keep_caches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/me")
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setenv("XDG_CACHE_HOME", "/caches")
    assert user_folder() == "/caches/nbgraph"
    for given in ("", "relative"):  # not to be used, says the specification
        monkeypatch.setenv("XDG_CACHE_HOME", given)
        assert user_folder() == "/home/me/.cache/nbgraph"
    monkeypatch.setattr(sys, "platform", "darwin")
    assert user_folder() == "/home/me/Library/Caches/nbgraph"
    monkeypatch.setattr(sys, "platform", "win32")
    monkeypatch.setenv("LOCALAPPDATA", "/local")
    assert user_folder() == os.path.join("/local", "nbgraph")


def test_warnings_are_said_once_for_each_folder(tmp_path: Path) -> None:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for name in ("a", "b"):
            (tmp_path / name).write_text("")
            for _ in range(2):
                Folder(str(tmp_path / name), 1000).put("kernel-a-x.o", b"")
    assert len(caught) == 2


@POSIX
@pytest.mark.parametrize(
    ("prepare", "folder", "said"),
    [
        ("os.environ.update(HOME='/proc/none')", None, ["cannot write to its cache"]),
        ("os.path.expanduser = lambda path: path", None, []),  # neither HOME nor an entry among the users
        ("", "file", ["cannot write to its cache"]),
        ("", "file/below", ["cannot write to its cache"]),
        ("", "../" * 20 + "proc/none", ["cannot write to its cache"]),
    ],
    ids=["a home that is not there", "no home", "a file", "below a file", "no place for folders"],
)
def test_without_a_folder_all_goes_on(
    prepare: str, folder: str | None, said: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The right value, compiled, and one warning at most."""
    (tmp_path / "file").write_text("mine")
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    if folder is None:
        prepare += "; del os.environ['NBGRAPH_CACHE_DIR']"
    code = f"import os\n{prepare}\n{telling(SMALL)}"
    found, warned = run(code, "always", cache=tmp_path / (folder or "unused"))
    assert found == {"value": pytest.approx(WANT), "compiled": 1, "loaded": 0}
    assert len(warned) == len(said) and all(text in each for text, each in zip(said, warned, strict=True))
    assert (tmp_path / "file").read_text() == "mine" and not (tmp_path / "unused").exists()


def test_a_folder_that_is_removed_meanwhile_is_made_again(filled: Path) -> None:
    engine = always(filled)
    assert value(engine) == pytest.approx(WANT) and counts(engine) == (0, 1)
    shutil.rmtree(filled)
    x = nbg.TracedTensor.from_tensor([1.0, 2.0])
    np.testing.assert_allclose(nbg.sin(x * 5).eval(engine), np.sin([5.0, 10.0]))
    assert counts(engine) == (1, 1) and list(filled.glob("fragment-*.o"))
