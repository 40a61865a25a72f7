"""Does a result depend on the phases of complex eigenvectors or singular vectors, which mean nothing?

In: output nodes. Out: nothing, or `DifferentiationError` that names the operation.
Holds: with the cotangent g of vectors v, turning the phase of v_j by t changes the result by t Im(v_j^H g_j) to first
order. So that must be 0, in sum over the results that share the phase (`Op.phases`); derivative rules of the vectors
take it to be.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from nbgraph import derive
from nbgraph.calls import FragmentCall
from nbgraph.engine import Engine, evaluate
from nbgraph.errors import DifferentiationError
from nbgraph.leaves import constant_of
from nbgraph.node import Node
from nbgraph.op import Op

Array = np.ndarray[Any, Any]
#: By the real dtype: how large Im(v^H g) may be relative to sum |v| |g|, and relative to the cotangents of the result.
_LIMITS = {"f4": (1e-3, 1e-5), "f8": (1e-7, 1e-12)}


def check_gauge(outputs: Sequence[Node], cts: Sequence[Array], engine: Engine | None = None) -> None:
    """Raises `DifferentiationError` if the outputs, in the direction `cts`, depend on phases of complex vectors."""
    derive.seal(outputs)
    size = float(np.sqrt(sum(np.vdot(ct, ct).real for ct in cts)))
    pairs = [(out, constant_of(ct)) for out, ct in zip(outputs, cts, strict=True)]
    for op, vectors in _vectors(outputs):
        gradients = derive.vjp(pairs, vectors)
        used = [k for k, g in enumerate(gradients) if g is not None]
        values = evaluate([x for k in used for x in (vectors[k], gradients[k]) if x is not None], engine)
        turned, scale = _turning([op.phases[k] for k in used], values[::2], values[1::2])
        relative, absolute = _LIMITS[vectors[0].type.real_code]
        if np.any(turned > relative * scale + absolute * size):
            raise _depends(op, turned, scale)


def _vectors(outputs: Sequence[Node]) -> Iterator[tuple[Op, list[Node]]]:
    """The operations below the outputs whose results have phases, with those results where they are complex."""
    seen: set[int] = set()
    stack = list(outputs)
    while stack:
        node = stack.pop()
        call = node.call
        if call is None or id(call) in seen:
            continue
        seen.add(id(call))
        stack.extend(call.inputs)
        if type(call) is FragmentCall:
            for instr in call.fragment.instrs:
                slots = [instr.outs[k] for k, _, _ in instr.op.phases]
                if slots and call.fragment.types[slots[0]].is_complex:
                    yield instr.op, [_value(call, s) for s in slots]


def _value(call: FragmentCall, slot: int) -> Node:
    """A node for a value of a call, as old as can be: nothing above it is too old to be looked at."""
    node = derive.slot_node(call, slot)
    node.seq = 0
    return node


def _turning(phases: Sequence[Any], vectors: Sequence[Array], gradients: Sequence[Array]) -> tuple[Any, Any]:
    """|Im(v_j^H g_j)| of each phase, and the largest sum |v_j| |g_j|.

    Of vectors that have no partner (those that only make u or vh square) the phase is their own.
    """
    last = [axis % x.ndim for (_, axis, _), x in zip(phases, vectors, strict=True)]
    count = max((x.shape[axis] for axis, x in zip(last, vectors, strict=True)), default=0)
    total, scale = np.zeros(count), np.zeros(count)
    for (_, _, sign), axis, x, y in zip(phases, last, vectors, gradients, strict=True):
        v, g = np.moveaxis(x, axis, -1), np.moveaxis(y, axis, -1)
        alone = [(0, 0)] * (x.ndim - 2) + [(0, count - x.shape[axis])]
        total = total + sign * np.pad(np.sum(v.conj() * g, axis=-2).imag, alone)
        scale = scale + np.pad(np.sum(abs(v) * abs(g), axis=-2), alone)
    return abs(total), np.max(scale, initial=0.0)


def _depends(op: Op, turned: Array, scale: float) -> DifferentiationError:
    return DifferentiationError(
        "the result depends on the phases of complex vectors, which mean nothing, so its derivative is not defined",
        operation=op.name,
        got=f"Im(v^H g) up to {float(np.max(turned)):.3g}, where |v| |g| is up to {float(scale):.3g}",
        wanted="0",
        hint="use what does not change with the phases: projectors v v^H, moduli, products such as u @ vh",
    )
