"""Rows that are stored past the cache.

In:    the words [address of the target, address of the source, number of elements].
Out:   the target, written whole; seen by other threads after `regions.settle`.
Holds: source and target do not overlap. It is a kernel because its loops take the compiler longer than the nest that
       calls it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .regions import FIRST_OUTPUT, POINTERS, WORKSPACE, stream


def build(name: str, dtype: str) -> Callable[[Any], int]:
    """The kernel for elements of `dtype`."""
    pointer = POINTERS[dtype]

    def row(w: Any) -> int:
        stream(pointer(w[0], FIRST_OUTPUT), 0, pointer(w[1], WORKSPACE), w[2])
        return 0

    return row
