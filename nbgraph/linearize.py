"""`differentiate`: a resolved view -> the linear fragment of its tangents (JVP).

In: a view, the outputs to differentiate, the inputs to differentiate by. Out: a `LinearFragment` whose operations are
linear in its tangent inputs and use primal values by key. An exact zero is None and costs nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from nbgraph.errors import DifferentiationError
from nbgraph.keys import GlobalValKey, Input
from nbgraph.resolve import Definition, LinearFragment, ResolvedView
from nbgraph.rules import BUILDER

Tangents = dict[GlobalValKey, Any]


def differentiate(
    view: ResolvedView,
    outputs: Sequence[GlobalValKey] | None = None,
    wrt: Sequence[GlobalValKey | int] | None = None,
) -> LinearFragment:
    """The tangents of `outputs` (default: the view's) by `wrt` (keys or positions; default: every inexact input)."""
    outputs = view.outputs if outputs is None else outputs
    keys = _wrt_keys(view, wrt)
    inputs = [Input(("tangent", k.id if isinstance(k, Input) else k), k.type, True) for k in keys]
    tangents: Tangents = dict(zip(keys, inputs, strict=True))
    push_forward(view.definitions, tangents)
    return LinearFragment(view, inputs, [tangents.get(k) for k in outputs])


def _wrt_keys(view: ResolvedView, wrt: Sequence[GlobalValKey | int] | None) -> list[GlobalValKey]:
    if wrt is None:
        return [k for k in view.inputs if k.type.inexact]
    keys = [view.inputs[k] if isinstance(k, int) else k for k in wrt]
    for k in keys:
        if not k.type.inexact:
            raise DifferentiationError("cannot differentiate by an integer or boolean value", got=k.type)
    return keys


def push_forward(definitions: Iterable[Definition], tangents: Tangents) -> None:
    """Adds the tangents of what operations make, in order, to those that are there."""
    for definition in definitions:
        _push_forward(definition, tangents)


def _push_forward(d: Definition, tangents: Tangents) -> None:
    """Applies one operation's rule to the tangents of its operands, if any has one."""
    if all(out in tangents for out in d.outs):
        return  # a value differentiated by: its own tangent counts
    dins = tuple(tangents.get(k) for k in d.ins)
    if all(t is None for t in dins) or not any(k.type.inexact for k in d.outs):
        return
    douts = d.op.linearize(BUILDER, d.ins, d.outs, dins, d.sizes)
    for out, tangent in zip(d.outs, douts if isinstance(douts, tuple) else (douts,), strict=True):
        if tangent is not None and out not in tangents:
            tangents[out] = tangent
