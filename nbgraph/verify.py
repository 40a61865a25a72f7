"""The IR checker: what holds of every SSA list, at every stage boundary.

In: a `Fragment` or an SSA program. Out: nothing, or `VerificationError` with the neighbourhood of the fault.
Holds afterwards: values are numbered in order, operands come before their use, inferred types are the recorded
ones, outputs exist, and every size is made of input sizes and words that exist.
"""

from __future__ import annotations

import os
from typing import Any

from nbgraph.dims import symbols
from nbgraph.errors import NbgraphError
from nbgraph.op import Sizes
from nbgraph.pretty import fragment_text, instr_text

#: Stage boundaries are verified where this is set (the tests set it).
ENABLED = os.environ.get("NBGRAPH_VERIFY", "0") not in ("", "0")


class VerificationError(NbgraphError):
    """The IR is malformed: a fault of the library, not of the program."""


def verify(f: Any, stage: str) -> None:
    """Checks when verification is on."""
    if ENABLED:
        check(f, stage)


def check(f: Any, stage: str) -> None:
    """Checks always; raises `VerificationError`."""
    n = len(f.inputs)
    if list(f.types[:n]) != list(f.inputs):
        raise VerificationError(f"{stage}: input types differ from value types\n{fragment_text(f)}")
    known = _known_symbols(f)
    for k, instr in enumerate(f.instrs):
        fault = _fault(f, instr, n, known)
        if fault:
            near = "\n".join(_safe_text(i, f.types) for i in f.instrs[max(0, k - 2) : k + 2])
            raise VerificationError(f"{stage}: {fault} in\n  {_safe_text(instr, f.types)}\nnear\n{near}")
        n = instr.first + instr.op.n_out
    missing = [o for o in f.outputs if not 0 <= o < n]
    if missing or len(f.types) != n:
        raise VerificationError(f"{stage}: outputs {missing} do not exist, {n} values, {len(f.types)} types")


def _known_symbols(f: Any) -> set[Any]:
    known: set[Any] = {("d", i, a) for i, t in enumerate(f.inputs) for a in range(t.ndim)}
    return known | {("w", k) for k in range(f.n_words)}


def _fault(f: Any, instr: Any, n: int, known: set[Any]) -> str:
    if instr.first != n:
        return f"results numbered from {instr.first}, expected {n}"
    if any(not 0 <= i < n for i in instr.ins):
        return "an operand is used before it is defined"
    recorded = tuple(f.types[n : n + instr.op.n_out])
    try:
        inferred = instr.op.infer(Sizes(), [f.types[i] for i in instr.ins], instr.sizes)
    except Exception as error:  # whatever a shape rule makes of operands it was not written for
        return f"operands do not fit the shape rule ({error!r})"
    inferred = inferred if isinstance(inferred, tuple) else (inferred,)
    if [t.klass for t in inferred] != [t.klass for t in recorded]:
        return f"types inferred {inferred}, recorded {recorded}"
    sizes = (*instr.sizes, *(d for t in recorded for d in t.shape))
    strange = {s for d in sizes for s in symbols(d)} - known
    return f"sizes use unknown symbols {strange}" if strange else ""


def _safe_text(instr: Any, types: Any) -> str:
    """The operation's text, also where values that it names do not exist."""
    try:
        return instr_text(instr, types)
    except IndexError:
        return repr(instr)
