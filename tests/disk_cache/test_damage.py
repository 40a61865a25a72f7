"""What is not as it was written is compiled again, never executed."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import pytest
from cache_processes import LOOP, POSIX, WANT, always, counts, run, value

from nbgraph.codegen import runtime
from nbgraph.engine import disk
from nbgraph.engine.disk import head_of


def fragment_file(folder: Path) -> Path:
    (found,) = folder.glob("fragment-*.o")
    return found


def cut(k: int) -> Any:
    return lambda path: path.write_bytes(path.read_bytes()[:k])


def flip(k: int) -> Any:
    def damage(path: Path) -> None:
        data = bytearray(path.read_bytes())
        data[k] ^= 0x10
        path.write_bytes(data)

    return damage


def of_another_name(path: Path) -> None:
    content = path.read_bytes()[disk._HEAD :]
    path.write_bytes(head_of("fragment-another-name.o", content) + content)


def linked(path: Path) -> None:
    path.rename(path.parent / "elsewhere")
    path.symlink_to("elsewhere")


def of_all(path: Path) -> None:
    path.chmod(0o666)


DAMAGE = {
    "empty": cut(0),
    "cut in its head": cut(20),
    "cut in its content": cut(-1),
    "longer": lambda path: path.write_bytes(path.read_bytes() + b"\0"),
    "format": flip(15),
    "digest": flip(20),
    "first byte": flip(disk._HEAD),
    "last byte": flip(-1),
    "zeros": lambda path: path.write_bytes(bytes(path.stat().st_size)),
    "foreign": lambda path: path.write_bytes(b"\x7fELF" + bytes(5000)),
    "another name": of_another_name,
    "a link": pytest.param(linked, marks=POSIX),
    "a pipe": pytest.param(lambda path: (path.unlink(), os.mkfifo(path)), marks=POSIX),
    "others may write": pytest.param(of_all, marks=POSIX),
}


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE)
def test_damage_is_compiled_again_and_replaced(damage: Any, filled: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    damage(fragment_file(filled))
    with monkeypatch.context() as patched:
        patched.setattr(runtime, "load_source", lambda *_: pytest.fail("what was not verified was loaded"))
        engine = always(filled)
        with pytest.warns(RuntimeWarning, match="cache") as caught:
            assert value(engine) == pytest.approx(WANT)
    assert counts(engine) == (1, 0) and len(caught) == 1
    healed = always(filled)
    assert value(healed) == pytest.approx(WANT) and counts(healed) == (0, 1)


def test_a_damaged_kernel_is_compiled_again(loop_cache: tuple[Path, Any], tmp_path: Path) -> None:
    folder = tmp_path / "cache"
    shutil.copytree(loop_cache[0], folder)
    for each in folder.glob("kernel-*"):
        flip(-5)(each)
    assert run(LOOP, "always", "4", cache=folder)["gradient"] == loop_cache[1]["gradient"]
    assert run(LOOP, "always", "4", cache=folder)["modules"] == []
