"""Loop nests that run in turn inside the loops that they share.

In: steps with the same first dimensions. Out: their source.
Holds: while a row is worked on, block by block, the next one is fetched into the cache: rows are short, and the
processor by itself does not look beyond the end of a page.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from nbgraph.codegen.nest import Nest, close_loop, loops_through, open_loop
from nbgraph.codegen.streams import emit_streams

#: Of more outputs than that none is stored past the cache: each is some twenty instructions and two loops for the
#: compiler, and the processor gathers what it stores so for a few places at a time.
STREAMS = 4


def emit_nests(emitter: Any, steps: Sequence[int], depth: int) -> None:
    """The source of the steps with these numbers, which run in turn for each index of the first `depth` axes."""
    nests = [Nest(emitter, k) for k in steps]
    if len(nests) == 1:
        depth = max(depth, _depth_of_rows(nests[0]))
    shared = loops_through(nests, range(depth))
    for nest in nests:
        nest.plan(shared, depth)
        nest.initialise_memory(shared=False)
    _stream_rows(nests)
    _fetch_rows(nests)
    for nest in nests:
        nest.start_streams()
    for k, loop in enumerate(shared):
        for nest in nests:
            nest.start(k)
        open_loop(emitter, loop, [part for nest in nests for part in nest.parts(k)])
    for nest in nests:
        if len(nests) > 1 or not emit_streams(nest):
            nest.start_rows()
            nest.emit()
            nest.finish_rows()
    for k in reversed(range(len(shared))):
        close_loop(emitter, [part for nest in nests for part in nest.parts(k)])
        for nest in nests:
            nest.finish(k)

    for v in (v for nest in nests for v in nest.streamed):
        emitter.line(f"if past{v}:")
        emitter.line("    settle()")


def _depth_of_rows(nest: Nest) -> int:
    """For a nest that goes through rows without reducing them: how many axes there are before a row's. 0 for others."""
    loops = [] if nest.reductions or nest.has_source else loops_through([nest], range(len(nest.domain)))
    return loops[-1].axes[0] if len(loops) > 1 else 0


def _stream_rows(nests: Sequence[Nest]) -> None:
    """Chooses the outputs that are stored past the cache: those that no nest of the group reads again."""
    if len(nests) > 1 or not nests[0].reductions:
        read = {nest.e.body.base[v] for nest in nests for v in nest.strides}
        for nest in nests:
            streamable = [v for v in nest.streamable() if v not in read]
            nest.streamed = streamable if len(streamable) <= STREAMS else []


def _fetch_rows(nests: Sequence[Nest]) -> None:
    """Chooses the nest that fetches the next row of all arrays: the longest of those that go through it in blocks.

    Where only one goes through rows nothing is fetched: it waits for memory alone, which is then no quicker.
    """
    places = [place for place in map(Nest.next_rows, nests) if place]
    blocked = [nest for nest in nests if nest.has_blocks_of_rows()]
    if blocked and len(places) > 1:
        chosen = max(blocked, key=lambda nest: len(nest.instrs))
        chosen.fetched = list(dict.fromkeys(place for each in places for place in each))


__all__ = ["emit_nests"]
