"""Cutting a region into chunks that become fragments.

In: the open nodes of a region in recording order.
Out: runs of nodes. A short region is one chunk. In a long one the period of the trace is found (same operations, same
relative distances of operands), what differs at the ends is peeled, and each period is a chunk, so that all of them
are the same fragment; where nothing repeats, chunks are bounded by size, so that compile time stays linear.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from nbgraph.trace import Node, Projection

#: A region of at most this many operations is one fragment.
SHORT = 96
#: Chunks of about this many operations where nothing repeats.
LONG = 64


def cut(region: Sequence[Node]) -> list[Sequence[Node]]:
    """The chunks of a region, in order."""
    if len(region) <= SHORT:
        return [region]
    bounds = [b for b in _bounds(_words(region)) if not _splits_pack(region, b)]
    chunks = [region[a:b] for a, b in zip([0, *bounds], [*bounds, len(region)], strict=True)]
    return [c for c in chunks if c]


def _splits_pack(region: Sequence[Node], b: int) -> bool:
    """Projections stay with their pack."""
    return b < len(region) and type(region[b].op) is Projection


def _words(region: Sequence[Node]) -> list[Any]:
    """One word a node: its operation and where its operands are, relative to itself."""
    position = {id(node): k for k, node in enumerate(region)}
    words = []
    for k, node in enumerate(region):
        distances = tuple(k - position[id(i)] if id(i) in position else i.type.klass for i in node.inputs)
        words.append((node.op, distances))
    return words


def _bounds(words: Sequence[Any]) -> list[int]:
    """Where to cut: at every period of each repeating stretch, at even distances elsewhere."""
    n, bounds, k = len(words), [], 0
    last: dict[Any, int] = {}
    start = 0
    while k < n:
        earlier = last.get(words[k])
        last[words[k]] = k
        if earlier is not None and k - earlier <= LONG * 4:
            period = k - earlier
            end = _repeats_until(words, earlier, period)
            if end - earlier >= 3 * period:
                bounds += _even(start, earlier)
                bounds += range(earlier, end + 1, period)
                start = k = earlier + (end - earlier) // period * period
                continue
        k += 1
    return sorted({b for b in [*bounds, *_even(start, n)] if 0 < b < n})


def _repeats_until(words: Sequence[Any], start: int, period: int) -> int:
    """The end of the stretch from `start` in which every word equals the one a period later."""
    k = start
    while k + period < len(words) and words[k] == words[k + period]:
        k += 1
    return k + period


def _even(start: int, end: int) -> list[int]:
    """Bounds from `start` to `end` at about LONG operations each."""
    return [start, *range(start + LONG, end, LONG)] if start < end else [start]
