"""`materialize_merge`: a resolved view and wanted outputs -> one deduplicated graph in topological order.

In: keys. Out: `MaterializedGraph`, plain lists; `close` makes it a `Fragment`.
Operations with one key are one operation, whichever fragment they came from, and what no output needs is absent.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from nbgraph.fragment import Fragment, Instr, canonical
from nbgraph.keys import GlobalOpKey, GlobalValKey, Input, operations_below
from nbgraph.resolve import ResolvedView
from nbgraph.types import Size


class MaterializedGraph(NamedTuple):
    """Operations in topological order, the inputs they use, the outputs."""

    inputs: tuple[Input, ...]
    operations: tuple[GlobalOpKey, ...]
    outputs: tuple[GlobalValKey, ...]


def materialize_merge(view: ResolvedView, outputs: Sequence[GlobalValKey] | None = None) -> MaterializedGraph:
    """The operations that `outputs` (default: the view's) need, each once; inputs in the view's order."""
    wanted = view.outputs if outputs is None else tuple(outputs)
    return materialize(wanted, view.inputs)


def materialize(outputs: Sequence[GlobalValKey], order: Sequence[Input] = ()) -> MaterializedGraph:
    """As `materialize_merge`, from keys alone; used inputs in the given order, others after them as met."""
    operations = operations_below(outputs)
    used: dict[Input, None] = {}
    for op_key in operations:
        used.update((k, None) for k in op_key.inputs if isinstance(k, Input))
    used.update((k, None) for k in outputs if isinstance(k, Input))
    listed = [k for k in order if k in used]
    known = set(listed)
    inputs = (*listed, *(k for k in used if k not in known))
    return MaterializedGraph(inputs, tuple(operations), tuple(outputs))


def close(graph: MaterializedGraph) -> tuple[Fragment, tuple[Size, ...]]:
    """The graph as a fragment, and the sizes (in the graph's symbols) that its run-time words stand for."""
    number: dict[GlobalValKey, int] = {k: i for i, k in enumerate(graph.inputs)}
    types = [k.type for k in graph.inputs]
    instrs = []
    for op_key in graph.operations:
        ins = tuple(number[k] for k in op_key.inputs)
        instrs.append(Instr(op_key.op, ins, op_key.sizes, len(types)))
        for k in op_key.results():
            number[k] = len(types)
            types.append(k.type)
    return canonical(len(graph.inputs), types, instrs, [number[k] for k in graph.outputs])
