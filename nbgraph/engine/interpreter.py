"""The first tier: a bound program run with NumPy, operation by operation.

In: a `Bound` program and the fragment's input arrays. Out: arrays of the outputs: C-contiguous, of the inferred types,
sharing memory with nothing. Temporaries are dropped after their last use.
Holds: what runs is the program's straight-line function (`nbgraph.engine.straight`), floating-point warnings off.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Iterable, Sequence
from contextvars import copy_context
from typing import Any

import numpy as np

from nbgraph.engine import straight
from nbgraph.engine.failure import OperationFailed
from nbgraph.engine.straight import FIRST_IN_LOOP, FIRST_LINE, Loop
from nbgraph.fragment import at_sizes
from nbgraph.ssa import Bound

Array = np.ndarray[Any, Any]


#: What calls a function where floating-point warnings are off, for those who need one: a context can be entered by one
#: at a time. To enter it costs a fifth of `np.errstate`.
_SILENT: list[Callable[..., Any]] = []


def _silenced(call: Callable[..., Any], *args: Any) -> Any:
    """Calls where floating-point warnings are off."""
    try:
        run = _SILENT.pop()
    except IndexError:
        run = copy_context().run
        run(np.seterr, all="ignore")
    try:
        return run(call, *args)
    finally:
        _SILENT.append(run)


def run(bound: Bound, arrays: Sequence[Array], totals: Sequence[Array] = ()) -> list[Array]:
    """The program's outputs, in the order of its body. The last ones are added to `totals`, and are those."""
    inputs = [arrays[i] for i in bound.program.picks]
    function = straight.function_of(bound, bool(totals))
    try:
        outs: list[Array] = _silenced(function, bound, inputs, *inputs, *totals)
    except Exception as error:
        _, failure = _failed(bound, function, error, FIRST_LINE)
        if failure is None:
            raise
        raise failure from error
    return outs


def run_loop(
    bound: Bound,
    inputs: Sequence[Any],
    totals: Sequence[Array],
    loop: Loop,
    steps: Iterable[Any],
    kept: Sequence[Callable[[Array], Any]],
    named: Callable[[int, OperationFailed], Exception],
) -> list[Array]:
    """Runs the program at every one of `steps` (tuples of its moving inputs), links filled from one to the next; the
    linked outputs of the last one. `inputs` are those of the body. `named` is the error for a failure at a step."""
    function = straight.function_of(bound, bool(totals), loop)
    try:
        outs: list[Array] = _silenced(function, bound, inputs, *inputs, *totals, steps, *kept)
    except Exception as error:
        step, failure = _failed(bound, function, error, FIRST_IN_LOOP)
        if failure is None:
            raise
        raise named(step, failure) from error
    return outs


def _failed(
    bound: Bound, function: Callable[..., Any], error: Exception, first_line: int
) -> tuple[int, OperationFailed | None]:
    """At which step of a loop which operation failed (one inside of it says so itself); None if it was none."""
    place = error.__traceback__
    while place is not None and place.tb_frame.f_code is not function.__code__:
        place = place.tb_next
    instrs = bound.program.body.instrs
    k = -1 if place is None else place.tb_lineno - first_line
    if place is None or not 0 <= k < len(instrs):
        return 0, None
    types = (at_sizes(bound.program.body.types[slot], bound.body_env) for slot in instrs[k].outs)
    if isinstance(error, ValueError) and any(math.prod(t.shape) * t.dtype.itemsize > sys.maxsize for t in types):
        error = MemoryError(str(error))  # an array of more bytes than there are addresses
    failure = error if isinstance(error, OperationFailed) else OperationFailed(instrs[k].op, error)
    return place.tb_frame.f_locals.get("step", 0), failure
