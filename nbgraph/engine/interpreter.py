"""The first tier: a bound program run with NumPy, operation by operation.

In: a `Bound` program and the fragment's input arrays. Out: arrays of the outputs: C-contiguous, of the inferred types,
sharing memory with nothing. Temporaries are dropped after their last use.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from nbgraph.engine.failure import OperationFailed
from nbgraph.interpret import own
from nbgraph.ssa import Bound, Program

Array = np.ndarray[Any, Any]
Steps = list[tuple[Any, tuple[int, ...], int, tuple[int, ...]]]


def steps_of(program: Program) -> Steps:
    """For each operation: its reference, operands, number of results, values that die after it."""
    steps: Steps | None = program.__dict__.get("_steps")
    if steps is None:
        body = program.body
        last: dict[int, int] = {i: k for k, instr in enumerate(body.instrs) for i in instr.ins}
        dying: list[list[int]] = [[] for _ in body.instrs]
        for value, k in last.items():
            if value not in body.outputs:
                dying[k].append(value)
        steps = [
            (instr.op.reference, instr.ins, instr.op.n_out, tuple(dead))
            for instr, dead in zip(body.instrs, dying, strict=True)
        ]
        program.__dict__["_steps"] = steps
    return steps


def run(bound: Bound, arrays: Sequence[Array]) -> list[Array]:
    """The program's outputs, in the order of its body."""
    program = bound.program
    inputs = [arrays[i] for i in program.picks]
    values: list[Any] = list(inputs)
    position = 0
    try:
        with np.errstate(all="ignore"):
            for (reference, ins, n_out, dead), sizes in zip(steps_of(program), bound.sizes, strict=True):
                result = reference([values[i] for i in ins], sizes)
                if n_out == 1:
                    values.append(result)
                else:
                    values.extend(result)
                for i in dead:
                    values[i] = None
                position += 1
    except Exception as error:
        raise OperationFailed(program.body.instrs[position].op, error) from error
    return _finish(bound, values, inputs)


def _finish(bound: Bound, values: list[Any], inputs: Sequence[Array]) -> list[Array]:
    results = []
    for o, t in zip(bound.program.body.outputs, bound.out_types, strict=True):
        v = values[o]
        fresh = (
            type(v) is np.ndarray
            and v.base is None
            and v.flags.c_contiguous
            and v.dtype == t.dtype
            and v.shape == t.shape
            and not any(v is i for i in inputs)
        )
        if not fresh:
            v = own(v, t)
        results.append(v)
    return results
