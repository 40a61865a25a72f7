"""An eval whose region is several calls, run in a straight line: an inner loop of a few steps, and what comes after it.

In: a region that `match` recognised as tiles, with all operands known. Out: its value, the graph as the general path
leaves it; or None, where that has to be taken.
Holds: every tile is run by a route of its own, one after another; nothing changes until all have run.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from nbgraph.engine.commits import Route
from nbgraph.engine.runners import runner_for
from nbgraph.match import Found, Matcher
from nbgraph.node import LOCK, Node
from nbgraph.resolve import saved_slots
from nbgraph.ssa import program_for

Array = np.ndarray[Any, Any]


def tiled_route(engine: Any, found: Found) -> Any:
    """How a region of tiles is run; False where there is no such way."""
    tiles = found.key[0].tiles
    read = {ref for tile in tiles for ref in tile.outside if ref >= 0}
    made = []
    for tile in tiles:
        part = _part(found, tile, read)
        runner = _runner(engine, found, part)
        if runner is None:
            return False
        made.append((Route(runner, part, part.words(tile.plan), runner.bound.program.position), tile))
    return TiledRoute(made, len(found.nodes) - 1)


def _part(found: Found, tile: Any, read: set[int]) -> Found:
    """A tile as a region of its own: what later tiles read of it is live. Its words are in the key of the whole."""
    nodes, outside = _nodes_of(found, tile)
    bits = sum(1 << k - tile.start for k in range(tile.start, tile.end) if k in read or found.key[1] >> k & 1)
    matcher = Matcher(tile.plan, found.key[0].kind)
    active = any(node.active for node in outside)
    sizes = tuple([s for k, s in zip(found.key[0].sized, found.sizes, strict=True) if tile.start <= k < tile.end])
    return Found(nodes, outside, (matcher, bits, active), None, sizes)


def _nodes_of(found: Found, tile: Any) -> tuple[tuple[Node, ...], tuple[Node, ...]]:
    """The nodes of a tile, and its operands."""
    nodes, outside = found.nodes, found.outside
    return nodes[tile.start : tile.end], tuple([nodes[r] if r >= 0 else outside[~r] for r in tile.outside])


def _runner(engine: Any, found: Found, part: Found) -> Any:
    matcher, _, active = part.key
    fragment = matcher.plan.fragment
    slots = {matcher.plan.slots[k] for k in part.live}
    if active:
        slots.update(saved_slots(fragment))
    program = program_for(fragment, frozenset(slots))
    return runner_for(engine, found.key, program.bind(tuple([x.type for x in part.outside]), part.words(matcher.plan)))


class TiledRoute:
    """The routes of a region's tiles, and where the value of its target is."""

    __slots__ = ("root", "tiles")

    def __init__(self, tiles: Sequence[tuple[Route, Any]], root: int) -> None:
        self.tiles, self.root = tiles, root

    def run(self, found: Found) -> Array | None:
        """Runs the tiles and makes the region part of the graph."""
        values: dict[int, Any] = {~k: a for k, a in enumerate(found.arrays or ())}
        ran = []
        for route, tile in self.tiles:
            outs = route.runner.outputs([values[r] for r in tile.outside])
            if outs is None:
                return None
            values.update([(tile.start + k, outs[p]) for k, _, p in route.commits])
            ran.append(outs)
        with LOCK:
            for (route, tile), outs in zip(self.tiles, ran, strict=True):
                part = Found(*_nodes_of(found, tile), (), None, ())
                if not route.commit(part, route.words, outs):
                    return None
        a: Array = values[self.root]
        return a
