"""Reductions that read memory at several places at a time: it then gives more than it does to who reads on and on.

In: a nest that does nothing but reduce. Out: its source.
Holds: one of the nest's loops is cut into `STREAMS` equal parts, which run side by side; what is left is written once
more, by itself. Elements of one result that meet so are combined by pairs before they are taken into its accumulator.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from nbgraph.codegen.nest import LONG, Accumulator, Loop, Nest, cast, close_loop, open_blocks, open_loop
from nbgraph.kinds import Reduction

#: Measured on 80 MB of float64, over the time of one stream: 2 streams .79, 4 streams .71.
STREAMS = 4
#: Elements of a row from which it is cut, into parts of some pages. (Rows of 3162 float32, cut, take 1.2 of the time.)
LEAST = 8192
#: Operations in a nest that may be written so many times.
_MOST = 6


def emit_streams(nest: Nest) -> bool:
    """Writes such a nest, if it is one."""
    if not _only_reduces(nest):
        return False
    kept, n = [a.depth for a in nest.accumulators.values()], len(nest.loops)
    if all(depth is None for depth in kept) and n > 1 and _reduces(nest, nest.loops[-2]):
        _emit_columns(nest)
    elif all(depth is not None and depth < n for depth in kept) and _reduces(nest, nest.loops[-1]):
        _emit_rows(nest)
    else:
        return False
    return True


def _only_reduces(nest: Nest) -> bool:
    """Whether a nest has few operations, stores none but what it reduces, and may do that in any order."""
    reductions = nest.accumulators.values()
    if not reductions or len(nest.instrs) > _MOST or nest.has_source:
        return False
    if any(v in nest.storage.buffers for v in nest.made - nest.accumulators.keys()):
        return False
    return all(a.op.mergeable or a.op.exact for a in reductions)


def _reduces(nest: Nest, loop: Loop) -> bool:
    """Whether a loop is one through reduced axes."""
    return all(loop.axes[0] in a.op.axes for a in nest.accumulators.values())


def _emit_columns(nest: Nest) -> None:
    """Rows that lie one after another are reduced to one, which is in memory: it is read and written once for
    `STREAMS` of them."""
    e, (row, along) = nest.e, nest.loops[-2:]
    nest.initialise_memory(shared=True)
    for loop in nest.loops[:-2]:
        open_loop(e, loop, ())
    size = e.size(row.size)
    e.line(f"reach = {size} // {STREAMS}")
    _open(nest, row, "0", "reach")
    open_loop(e, along, ())
    _combined(nest, row, nest.update)
    e.depth -= 2
    _open(nest, row, f"{STREAMS}*reach", size)
    open_loop(e, along, ())
    _one_by_one(nest)
    e.depth -= len(nest.loops)


def _emit_rows(nest: Nest) -> None:
    """Each row, or all there is, is reduced by itself."""
    e, (*outer, along) = nest.e, nest.loops
    for k, loop in enumerate(outer):
        nest.start(k)
        open_loop(e, loop, ())
    nest.start(len(outer))
    size, parts = e.size(along.size), nest.parts(len(outer))
    e.line(f"reach = {size} // {STREAMS} if {size} >= {LEAST} else 0")
    _open(nest, along, "0", "reach", parts, LONG // STREAMS)
    _combined(nest, along, lambda a, x: e.line(a.step(x)))
    close_loop(e, parts)
    _open(nest, along, f"{STREAMS}*reach", size, parts)
    _one_by_one(nest)
    close_loop(e, parts)
    for k in reversed(range(len(nest.loops))):
        nest.finish(k)
        e.depth -= k > 0


def _open(nest: Nest, loop: Loop, start: str, stop: str, parts: Sequence[Accumulator] = (), length: int = LONG) -> None:
    """Begins a part of a loop."""
    if parts:
        open_blocks(nest.e, start, stop, parts, length)
        start, stop = "block", "end"
    nest.e.line(f"for {loop.name} in range({start}, {stop}):")
    nest.e.depth += 1


def _combined(nest: Nest, loop: Loop, take: Callable[[Accumulator, str], None]) -> None:
    """The statements for the elements at one place in all parts of a loop."""
    terms: dict[int, list[str]] = {v: [] for v in nest.accumulators}
    for k in range(STREAMS):
        nest.copy, nest.names = f"_{k}", {loop.name: f"({loop.name} + {k}*reach)"}
        for instr in nest.instrs:
            if isinstance(instr.op, Reduction):
                terms[instr.first].append(nest.term(instr))
            else:
                nest.element(instr)
    for a in nest.accumulators.values():
        xs = terms[a.v]
        while len(xs) > 1:
            xs = [cast(a.code, a.op.combine(a.code, *pair)) for pair in zip(xs[::2], xs[1::2], strict=True)]
        take(a, xs[0])


def _one_by_one(nest: Nest) -> None:
    """The statements for one element."""
    nest.copy, nest.names = "", {}
    nest.statements()


__all__ = ["emit_streams"]
