"""Reductions that read memory at several places at a time: it then gives more than it does to who reads on and on.

In: a nest that does nothing but reduce. Out: its source.
Holds: one of the nest's loops is cut into `STREAMS` equal parts, which run side by side; what is left is written once
more, by itself. Elements of one result that meet so are combined by pairs before they are taken into its accumulator.
Rows among many are not cut: parts that are less than some pages long are read more slowly.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from nbgraph.codegen.nest import LONG, Accumulator, Loop, Nest, cast, close_loop, open_blocks, open_loop
from nbgraph.kinds import Reduction

#: Measured on 80 MB of float64, over the time of one stream: 2 streams .79, 4 streams .71.
STREAMS = 4
#: Operations in a nest that may be written so many times.
_MOST = 6


def emit_streams(nest: Nest) -> bool:
    """Writes such a nest, if it is one."""
    if not _only_reduces(nest):
        return False
    kept, n = [a.depth for a in nest.accumulators.values()], len(nest.loops)
    if all(depth is None for depth in kept) and n > 1 and _reduces(nest, nest.loops[-2]):
        _emit_columns(nest)
    elif n == 1 and all(depth == 0 for depth in kept):
        _emit_row(nest)
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
    _one_by_one(nest, {})
    e.depth -= len(nest.loops)


def _emit_row(nest: Nest) -> None:
    """All there is, in one loop, is reduced to a number."""
    e, (along,) = nest.e, nest.loops
    nest.start(0)
    size, parts = e.size(along.size), nest.parts(0)
    e.line(f"reach = {size} // {STREAMS}")
    if parts:
        open_blocks(e, "0", "reach", parts, LONG // STREAMS)
    _open(nest, along, *(("block", "end") if parts else ("0", "reach")))
    _combined(nest, along, lambda a, x: e.line(a.step(x)))
    close_loop(e, parts)
    for part in parts:
        e.line(part.start_part())
    # So LLVM sees that they are few, and makes no vectors.
    _open(nest, along, "0", f"{size} & {STREAMS - 1}")
    _one_by_one(nest, {along.name: f"({STREAMS}*reach + {along.name})"})
    e.depth -= 1
    for line in (line for part in parts for line in part.finish_part()):
        e.line(line)
    nest.finish(0)


def _open(nest: Nest, loop: Loop, start: str, stop: str) -> None:
    """Begins a part of a loop."""
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


def _one_by_one(nest: Nest, names: Mapping[str, str]) -> None:
    """The statements for one element of what is left."""
    nest.copy, nest.names = "", names
    nest.statements()


__all__ = ["emit_streams"]
