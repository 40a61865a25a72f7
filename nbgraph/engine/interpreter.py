"""The first tier: a bound program run with NumPy, operation by operation.

In: a `Bound` program and the fragment's input arrays. Out: arrays of the outputs: C-contiguous, of the inferred types,
sharing memory with nothing. Temporaries are dropped after their last use.
Holds: a program becomes one straight-line Python function of the references of its operations, made once; so an
operation costs what NumPy takes for it and little more.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from nbgraph.engine.failure import OperationFailed
from nbgraph.interpret import own
from nbgraph.ssa import Bound, Program

Array = np.ndarray[Any, Any]
#: The line of the first operation in the function.
_FIRST_LINE = 2


def run(bound: Bound, arrays: Sequence[Array]) -> list[Array]:
    """The program's outputs, in the order of its body."""
    with np.errstate(all="ignore"):
        return run_silenced(bound, [arrays[i] for i in bound.program.picks])


def run_silenced(bound: Bound, inputs: Sequence[Array]) -> list[Array]:
    """As `run`, for the inputs of the body, where floating-point warnings are off already."""
    program = bound.program
    function = function_of(program)
    try:
        values = function(bound.sizes, *inputs)
    except Exception as error:
        assert error.__traceback__ is not None
        place = error.__traceback__.tb_next
        if place is None or place.tb_frame.f_code is not function.__code__:
            raise
        raise OperationFailed(program.body.instrs[place.tb_lineno - _FIRST_LINE].op, error) from error
    return [_finished(v, t, inputs) for v, t in zip(values, bound.out_types, strict=True)]


def function_of(program: Program) -> Callable[..., Any]:
    """The function of a program, made once."""
    made: Callable[..., Any] | None = program.__dict__.get("_straight")
    if made is None:
        made = program.__dict__["_straight"] = straight_line(program)
    return made


def straight_line(program: Program) -> Callable[..., Any]:
    """A function (sizes of each operation, inputs) -> outputs; one line an operation.

    Operations that are a function of their operands alone are called as that.
    """
    body = program.body
    dying: list[list[str]] = [[] for _ in body.instrs]
    for value, k in {i: k for k, instr in enumerate(body.instrs) for i in instr.ins}.items():
        if value not in body.outputs:
            dying[k].append(f"v{value}")
    n = len(body.inputs)
    names: dict[str, Any] = {}
    lines = [f"def straight({', '.join(['sizes', *(f'v{k}' for k in range(n))])}):"]
    for k, instr in enumerate(body.instrs):
        results = ", ".join(f"v{o}" for o in instr.outs)
        operands = "".join(f"v{i}, " for i in instr.ins)
        direct = instr.op.function_of_operands()
        names[f"f{k}"] = direct or instr.op.reference
        line = f"  {results} = f{k}({operands})" if direct else f"  {results} = f{k}(({operands}), sizes[{k}])"
        lines.append(line + (f"; del {', '.join(dying[k])}" if dying[k] else ""))
    lines.append(f"  return ({''.join(f'v{o}, ' for o in body.outputs)})")
    exec("\n".join(lines), names)
    made: Callable[..., Any] = names["straight"]
    return made


def _finished(v: Any, t: Any, inputs: Sequence[Array]) -> Array:
    """A value as an output; a copy where it is not just that already."""
    if type(v) is np.ndarray and v.base is None and v.shape == t.shape and v.dtype is t.dtype:
        for i in inputs:
            if v is i:
                return own(v, t)
        if v.flags.c_contiguous:
            return v
    elif isinstance(v, np.generic) and t.shape == () and v.dtype is t.dtype:
        return np.array(v)
    return own(v, t)
