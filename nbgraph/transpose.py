"""`transpose`: a linear fragment -> the linear fragment with its flow reversed (VJP).

In: a `LinearFragment` t -> J t. Out: the `LinearFragment` ct -> J* ct, for the inner product Re(conj(a) b).
Cotangents of a value with several uses are added; what no cotangent reaches is None.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from nbgraph.keys import GlobalOpKey, GlobalValKey, Input
from nbgraph.resolve import LinearFragment
from nbgraph.rules import BUILDER

Cotangents = dict[GlobalValKey, Any]


def transpose(linear: LinearFragment, which: Sequence[int] | None = None, beside: Sequence[int] = ()) -> LinearFragment:
    """The transposed fragment: one cotangent input for each tangent output (or for those at positions `which`), and a
    second one, which is added, for those in `beside`."""
    slots = range(len(linear.tangent_outputs)) if which is None else which
    cts: Cotangents = {}
    inputs = []
    for slot in slots:
        out = linear.tangent_outputs[slot]
        if out is None:
            continue
        ct = Input(("cotangent", slot), out.type, True)
        inputs.append(ct)
        cts[out] = BUILDER.add(cts.get(out), ct)
        if slot in beside:
            inputs.append(Input(("beside", slot), out.type, True))
            cts[out] = BUILDER.add(cts[out], inputs[-1])
    pull_back(linear, cts)
    return LinearFragment(linear.view, inputs, [cts.get(k) for k in linear.tangent_inputs])


def pull_back(linear: LinearFragment, cts: Cotangents) -> None:
    """Moves the cotangents of tangent outputs to the tangent inputs."""
    active = {id(k) for k in linear.tangent_inputs}
    operations = linear.operations
    active.update(id(k) for op_key in operations for k in op_key.results())
    for op_key in reversed(operations):
        _pull_back(op_key, cts, active)


def _pull_back(op_key: GlobalOpKey, cts: Cotangents, active: set[int]) -> None:
    """Turns the cotangents of one operation's results into those of its active operands."""
    outs = tuple(cts.pop(k, None) for k in op_key.results())
    if all(ct is None for ct in outs):
        return
    mask = [id(k) in active for k in op_key.inputs]
    ct = outs if op_key.op.n_out > 1 else outs[0]
    pulled = op_key.op.transpose(BUILDER, ct, op_key.inputs, mask, op_key.sizes)
    for k, flows, ct_in in zip(op_key.inputs, mask, pulled, strict=True):
        if flows and ct_in is not None:
            cts[k] = BUILDER.add(cts.get(k), ct_in)
