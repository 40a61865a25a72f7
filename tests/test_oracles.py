"""Derivatives against those recorded with another library: every family, and the table about them in the docs.

`python tests/test_oracles.py` prints that table; with `--compiled` it runs every family under `jit="always"`, too.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from oracles import Case, arrays, cases_of, failures, families, read

import nbgraph as nbg
from nbgraph import DifferentiationError

VENDORED = Path(__file__).parent / "data" / "oracles.jsonl.gz"
PAGE = Path(__file__).parents[1] / "docs" / "oracles.md"
ROW = re.compile(r"^\| `([\w.]+)` \| (\d+) \| (.*?) \|$", re.MULTILINE)
ILL_DEFINED = "gauge_ill_defined"
#: Compiled in every run of the tests: kernels of their own. `--compiled` takes them all.
COMPILED = "solve_triangular inv slogdet qr lu_solve tensorsolve"

needs_all = pytest.mark.skipif(not families(), reason="the full set (../shared/data/oracles) is not here")


def test_the_vendored_cases() -> None:
    cases = list(read(VENDORED))
    assert len(cases) >= 300
    assert failures(cases) == []


@needs_all
@pytest.mark.parametrize("family", [f for f in families() if ILL_DEFINED not in f])
def test_family(family: str) -> None:
    cases = cases_of(family)[::3]
    assert cases and failures(cases) == []


@needs_all
@pytest.mark.slow
@pytest.mark.parametrize("family", [f for f in families() if ILL_DEFINED not in f])
def test_whole_family(family: str) -> None:
    assert failures(cases_of(family)) == []


LOSSES: dict[str, Callable[..., object]] = {
    "eigh": lambda a: nbg.sum(nbg.real(nbg.linalg.eigh(a)[1])),
    "svd": lambda a: nbg.sum(nbg.imag(nbg.linalg.svd(a)[0] @ nbg.linalg.svd(a)[2].mT)),
}


@needs_all
@pytest.mark.parametrize("family", [f for f in families() if ILL_DEFINED in f])
def test_losses_of_the_gauge(family: str) -> None:
    for case in cases_of(family):
        with pytest.raises(DifferentiationError, match="depends on the phases"):
            nbg.testing.check_grads(LOSSES[case["op"]], arrays(case["inputs"]))


def smallest(family: str) -> list[Case]:
    """Of each dtype the smallest case that has elements in all inputs."""
    found: dict[str, tuple[int, Case]] = {}
    for case in cases_of(family):
        sizes = [x.size for x in arrays(case["inputs"])]
        if min(sizes) and case["probes"] and sum(sizes) < found.get(case["dtype"], (10**9, {}))[0]:
            found[case["dtype"]] = sum(sizes), case
    return [case for _, case in found.values()]


@needs_all
@pytest.mark.parametrize("family", [f for f in families() if f.removesuffix(".identity") in COMPILED.split()])
def test_compiled(family: str) -> None:
    engine = nbg.Engine(jit="always")
    assert failures(smallest(family)[:1], engine) == [] and engine.stats().compiled > 0


@needs_all
def test_the_table_in_the_docs() -> None:
    assert ROW.findall(PAGE.read_text("utf-8")) == rows()


def rows() -> list[tuple[str, str, str]]:
    """Family, cases, verdict: what the tests above demand of every one."""
    verdicts = {True: "raises: the loss depends on the gauge", False: "pass"}
    return [(f, str(len(cases_of(f))), verdicts[ILL_DEFINED in f]) for f in families()]


if __name__ == "__main__":
    for row in rows():
        print("| `{}` | {} | {} |".format(*row))
    if "--compiled" in sys.argv:
        for family in families():
            for line in failures(smallest(family), nbg.Engine(jit="always")):
                print(line)
