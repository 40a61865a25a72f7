"""Every example in the documentation runs: Python blocks of the pages, and docstrings of the library.

The blocks of a page run in order in one namespace; those opened by ```` ```python no-run ```` do not.
"""

from __future__ import annotations

import doctest
import importlib
import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
MODULES = sorted(
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
    for path in (ROOT / "nbgraph").rglob("*.py")
    if path.name != "__main__.py"
)
BLOCK = re.compile(r"^```python[ \t]*\n(.*?)^```", re.MULTILINE | re.DOTALL)
FENCED = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\(([^)#:]+)(?:#[^)]*)?\)")


def blocks(text: str) -> list[str]:
    """The runnable blocks, each moved down to its line so that a traceback points into the page."""
    return ["\n" * text.count("\n", 0, m.start(1)) + m[1] for m in BLOCK.finditer(text)]


def test_blocks_are_found() -> None:
    text = "```python\nx = 1\n```\n```python no-run\nboom\n```\n```sh\nls\n```\n```python\ny = x\n```\n"
    assert blocks(text) == ["\n" + "x = 1\n", "\n" * 10 + "y = x\n"]


def name_of(page: Path) -> str:
    return str(page.relative_to(ROOT))


@pytest.mark.parametrize("page", [page for page in PAGES if blocks(page.read_text("utf-8"))], ids=name_of)
def test_page(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    namespace = {"__name__": "__main__"}
    for block in blocks(page.read_text("utf-8")):
        exec(compile(block, str(page), "exec"), namespace)


@pytest.mark.parametrize("name", MODULES)
def test_docstrings(name: str) -> None:
    outcome = doctest.testmod(importlib.import_module(name))
    assert outcome.failed == 0, f"{outcome.failed} examples of {name} failed, see the output above"


def links(text: str) -> list[str]:
    """The files that a page links to; what looks like a link in a code block is none."""
    return LINK.findall(FENCED.sub("", text))


def test_links_are_found() -> None:
    text = "[a](a.md)\n```python\nx[0](y)\n```\n[b](b.md#part) [c](https://c) [d](#here)\n"
    assert links(text) == ["a.md", "b.md"]


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_links_lead_somewhere(page: Path) -> None:
    assert [link for link in links(page.read_text("utf-8")) if not (page.parent / link).exists()] == []


MAP = ROOT / "docs" / "map.md"


def test_the_map_names_every_file() -> None:
    """Every file of the library and the kernels; and no file that is not there."""
    named = set(re.findall(r"`((?:nbgraph|kernels|tests|bench)/[\w/]+\.py)`", MAP.read_text("utf-8")))
    files = {p.relative_to(ROOT).as_posix() for top in ("nbgraph", "kernels") for p in (ROOT / top).rglob("*.py")}
    assert sorted(files - named) == [], "add them to docs/map.md"
    assert [name for name in sorted(named) if not (ROOT / name).exists()] == [], "take them out of docs/map.md"


def test_the_map_has_the_layers() -> None:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    (contract,) = (c for c in settings["tool"]["importlinter"]["contracts"] if c["id"] == "layers")
    enforced = [sorted(re.findall(r"\w+", layer)) for layer in contract["layers"]]
    diagram = MAP.read_text("utf-8").split("```text\n")[1].split("```")[0]
    drawn = [sorted(re.findall(r"\w+", line.split("   ")[0])) for line in diagram.splitlines()]
    assert drawn == enforced
