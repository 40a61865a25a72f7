"""The command `nbgraph cache`."""

from __future__ import annotations

from pathlib import Path

import pytest
from cache_processes import WANT, always, counts, value

from nbgraph.__main__ import main


def said(capsys: pytest.CaptureFixture[str], *argv: str) -> str:
    assert main(["cache", *argv]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    return out


def test_the_command(filled: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NBGRAPH_CACHE_DIR", str(filled))
    monkeypatch.setenv("NBGRAPH_CACHE_SIZE", "3M")
    (filled / "notes.txt").write_text("not ours")
    n = len(list(filled.glob("*.o")))
    assert said(capsys, "path") == f"{filled}\n"
    info = said(capsys, "info")
    assert str(filled) in info and "3.0 MiB" in info and f"{n} files" in info and "fragments  1 file," in info
    assert said(capsys, "clear").startswith(f"removed {n} files")
    assert [each.name for each in filled.iterdir()] == ["notes.txt"]
    assert "all        0 files, 0 bytes" in said(capsys, "info")
    engine = always(filled)
    assert value(engine) == pytest.approx(WANT) and counts(engine) == (1, 0)


def test_the_command_of_a_folder_that_is_not_there(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NBGRAPH_CACHE_DIR", str(tmp_path / "none"))
    assert "0 files" in said(capsys, "info") and "removed 0 files" in said(capsys, "clear")
    assert not (tmp_path / "none").exists()


@pytest.mark.parametrize(("variable", "given"), [("NBGRAPH_CACHE_DIR", ""), ("NBGRAPH_CACHE_SIZE", "much")])
def test_what_the_command_cannot_do_is_one_line(
    variable: str, given: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NBGRAPH_CACHE_DIR", str(tmp_path))
    monkeypatch.setenv(variable, given)
    assert main(["cache", "info"]) == 2
    out, err = capsys.readouterr()
    assert out == "" and err.count("\n") == 1 and variable in err


@pytest.mark.parametrize("argv", [(), ("sweep",), ("info", "more")])
def test_bad_commands(argv: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(["cache", *argv])
    assert stopped.value.code == 2 and "usage: nbgraph cache" in capsys.readouterr().err
