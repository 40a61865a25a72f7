"""Numba's objects are frozen once, after the first compile of a user's kernel; others do without Numba."""

from __future__ import annotations

import subprocess
import sys

PROGRAM = """
import gc, sys
from unittest import mock
import nbgraph_kernels
from nbgraph_kernels import registry

def kernel(w):
    return w[0]

registry.declare("one", lambda dtype: kernel)
registry.declare("other", lambda dtype: kernel)
nbgraph_kernels.kernel("repeat")
assert "numba" not in sys.modules and gc.get_freeze_count() == 0
{before}
with mock.patch("gc.freeze", side_effect=gc.freeze) as freeze:
    nbgraph_kernels.kernel("one")
    nbgraph_kernels.kernel("other")
print(freeze.call_count, gc.isenabled(), gc.get_freeze_count() > 50_000, "numba" in sys.modules)
"""


def _run(before: str) -> str:
    command = [sys.executable, "-c", PROGRAM.format(before=before)]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def test_the_compiler_is_frozen_once():
    assert _run("") == "1 True True True"


def test_a_collector_that_is_off_is_left_alone():
    assert _run("gc.disable()") == "0 False False True"
