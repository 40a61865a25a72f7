"""Rows: the part of a value at one index of its first dimensions.

In: layouts over the memory of a value, and how many leading dimensions make the index. Out: whether a loop nest reads
a row only where it has the same index, and how much memory one row needs.
Holds: what is said to be in the row is; some layouts that are in it too are not recognised.
"""

from __future__ import annotations

from collections import Counter

from nbgraph.kinds import Layout
from nbgraph.types import Shape, Size


def in_row(layout: Layout, base: Shape, domain: Shape, depth: int) -> bool:
    """Whether a nest over `domain` that reads `layout`, over row-major memory of shape `base`, reads of `base` only the
    row at the index of its first `depth` loops."""
    if len(layout.shape) != len(domain) or layout.offset != 0:
        return False
    whole = Layout.row_major(base)
    if not layout.shape[:depth] == domain[:depth] == base[:depth]:
        return False
    steps = zip(layout.strides[:depth], whole.strides[:depth], base[:depth], strict=True)
    if any(s != w and d != 1 for s, w, d in steps):
        return False
    return _inner(layout, depth) <= _inner(whole, depth)


def _inner(layout: Layout, depth: int) -> Counter[tuple[Size, Size]]:
    """Sizes and strides of the dimensions that move within a row."""
    pairs = zip(layout.shape[depth:], layout.strides[depth:], strict=True)
    return Counter((d, s) for d, s in pairs if d != 1 and s != 0)


def row_layout(layout: Layout, depth: int) -> Layout:
    """The layout over memory that holds one row only."""
    return layout._replace(strides=(0,) * depth + layout.strides[depth:])
