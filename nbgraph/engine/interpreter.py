"""The first tier: a bound program run with NumPy, operation by operation.

In: a `Bound` program and the fragment's input arrays. Out: arrays of the outputs: C-contiguous, of the inferred types,
sharing memory with nothing. Temporaries are dropped after their last use.
Holds: a program becomes one straight-line Python function of the references of its operations, made once; so an
operation costs what NumPy takes for it and little more. Large results, which depend on the sizes, get memory that was
used before (`nbgraph.memory`); that is in the function for these sizes.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextvars import copy_context
from typing import Any

import numpy as np

from nbgraph.engine.failure import OperationFailed
from nbgraph.fragment import Fragment, Instr, at_sizes
from nbgraph.interpret import own
from nbgraph.memory import SMALLEST, empty, is_own
from nbgraph.op import REGISTRY
from nbgraph.ssa import Bound
from nbgraph.types import TensorType

Array = np.ndarray[Any, Any]
#: The line of the first operation in the function.
_FIRST_LINE = 2


class _Silence(threading.local):
    """Each thread's context in which floating-point warnings are off: to enter it costs a fifth of `np.errstate`."""

    def __init__(self) -> None:
        self.context = copy_context()
        self.context.run(np.seterr, all="ignore")
        self.entered = False


_silence = _Silence()


def run(bound: Bound, arrays: Sequence[Array], totals: Sequence[Array] = ()) -> list[Array]:
    """The program's outputs, in the order of its body. The last ones are added to `totals`, and are those."""
    inputs = [arrays[i] for i in bound.program.picks]
    silence = _silence
    if silence.entered:  # by an operation that evaluates, further up
        with np.errstate(all="ignore"):
            return run_silenced(bound, inputs, totals)
    silence.entered = True
    try:
        return silence.context.run(run_silenced, bound, inputs, totals)
    finally:
        silence.entered = False


def run_silenced(bound: Bound, inputs: Sequence[Array], totals: Sequence[Array] = ()) -> list[Array]:
    """As `run`, for the inputs of the body, where floating-point warnings are off already."""
    function = function_of(bound, bool(totals))
    try:
        return function(bound, inputs, *inputs, *totals)
    except Exception as error:
        assert error.__traceback__ is not None
        place = error.__traceback__.tb_next
        if place is None or place.tb_frame.f_code is not function.__code__:
            raise
        instrs, k = bound.program.body.instrs, place.tb_lineno - _FIRST_LINE
        if k >= len(instrs):
            raise
        raise OperationFailed(instrs[k].op, error) from error


def function_of(bound: Bound, adding: bool) -> Callable[..., list[Array]]:
    """The function of a program at sizes, made once: once for all sizes at which no result is large."""
    made: Callable[..., list[Array]] | None = bound.straight.get(adding)
    if made is None:
        where = bound.straight
        if not large_results(bound):
            where = bound.program.__dict__.setdefault("_straight", {})
        made = where.get(adding)
        if made is None:
            made = where[adding] = straight_line(bound, adding)
        bound.straight[adding] = made
    return made


def large_results(bound: Bound) -> dict[int, TensorType]:
    """The types of large results, by operation, of operations with one result."""
    body = bound.program.body
    found = {}
    for k, instr in enumerate(body.instrs):
        if len(instr.outs) == 1:
            t = at_sizes(body.types[instr.outs[0]], bound.body_env)
            if t.size * t.dtype.itemsize >= SMALLEST:
                found[k] = t
    return found


def straight_line(bound: Bound, adding: bool) -> Callable[..., list[Array]]:
    """A function (bound, inputs, each of the inputs, each of the totals) -> outputs; one line an operation.

    Operations that are a function of their operands alone are called as that.
    """
    body, lines = bound.program.body, _Lines(bound, adding)
    arguments = ", ".join(["bound", "inputs", *(f"v{k}" for k in range(len(body.inputs))), *lines.totals])
    head = f"def straight({arguments}):"
    text = [head, *(lines.line(k, instr) for k, instr in enumerate(lines.instrs)), *lines.tail()]
    exec("\n".join(text), lines.names)
    made: Callable[..., list[Array]] = lines.names["straight"]
    return made


def with_inner_products(body: Fragment) -> list[Instr | None]:
    """The operations of a body, with the sum of all elements of a product that nothing else reads as one operation:
    the product, which is None, is not made. (In machine code it is not made anyway: one loop multiplies and adds.)"""
    times = Counter(i for instr in body.instrs for i in instr.ins) + Counter(body.outputs)
    products = {i.first: k for k, i in enumerate(body.instrs) if i.op.name == "multiply" and times[i.first] == 1}
    instrs: list[Instr | None] = list(body.instrs)
    for k, instr in enumerate(body.instrs):
        if instr.op.name != "sum" or instr.ins[0] not in products:
            continue
        factors = body.instrs[products[instr.ins[0]]].ins
        (x, y), axes = (body.types[i] for i in factors), instr.op.axes  # type: ignore[attr-defined]
        if x == y and x.inexact and len(axes) == x.ndim > 0:
            inner = REGISTRY["contract"](a=axes, b=axes, out=())
            instrs[products[instr.ins[0]]], instrs[k] = None, Instr(inner, factors, (), instr.first)
    return instrs


class _Lines:
    """The lines of a function and the names in them; value i is `v{i}`, the j-th total `t{j}`."""

    def __init__(self, bound: Bound, adding: bool) -> None:
        program = bound.program
        self.body: Fragment = program.body
        self.large = large_results(bound)
        self.names: dict[str, Any] = {"finished": _finished, "array": np.array, "empty": empty, "add": np.add}
        n = len(program.summed) if adding else 0
        self.stored = self.body.outputs[: len(self.body.outputs) - n]
        self.summed = self.body.outputs[len(self.stored) :]
        self.totals = [f"t{j}" for j in range(n)]
        self.instrs = with_inner_products(self.body)
        uses = [i for instr in self.body.instrs for i in instr.ins]
        self.last = {value: k for k, instr in enumerate(self.instrs) if instr for value in instr.ins}
        #: Values that nothing but one total needs.
        self.added = {v: j for j, v in enumerate(self.summed) if (*uses, *self.body.outputs).count(v) == 1}
        #: Values that are arrays (0-d ones: numbers) that nothing else refers to.
        self.fresh: set[int] = set()
        self.done: set[int] = set()

    def line(self, k: int, instr: Instr | None) -> str:
        """The line of an operation."""
        if instr is None:
            return "  pass"
        dying = [f"v{v}" for v in dict.fromkeys(instr.ins) if self.last[v] == k and v not in self.body.outputs]
        return self._call(k, instr) + (f"; del {', '.join(dying)}" if dying else "")

    def _call(self, k: int, instr: Instr) -> str:
        op, out = instr.op, instr.outs[0]
        operands = ", ".join(f"v{i}" for i in instr.ins)
        if k in self.large:
            if out in self.added and self._name(f"f{k}", op.function_adding()):
                self.done.add(out)
                return f"  f{k}(t{self.added[out]}, {operands})"
            if self._name(f"f{k}", op.function_into()):
                t = self.large[k]
                self.fresh.add(out)
                self.names[f"shape{k}"], self.names[f"dtype{k}"] = t.shape, t.dtype
                return f"  v{out} = f{k}({operands}, out=empty(shape{k}, dtype{k}))"
        direct = op.function_of_operands()
        if isinstance(direct, np.ufunc) and direct.nout == 1:
            self.fresh.add(out)
        self.names[f"f{k}"] = direct or op.reference
        results = ", ".join(f"v{o}" for o in instr.outs)
        given = operands if direct else f"({operands}{',' if operands else ''}), bound.sizes[{k}]"
        return f"  {results} = f{k}({given})"

    def _name(self, name: str, value: Any) -> bool:
        if value is not None:
            self.names[name] = value
        return value is not None

    def tail(self) -> Iterator[str]:
        """What comes after the operations: sums, and the outputs as they have to be."""
        for j, v in enumerate(self.summed):
            if v not in self.done:
                yield f"  add(t{j}, v{v}, t{j})"
        stored = [self._output(p, v) for p, v in enumerate(self.stored)]
        yield f"  return [{', '.join([*stored, *self.totals])}]"

    def _output(self, p: int, v: int) -> str:
        if v in self.fresh and self.stored.count(v) == 1:
            if not self.body.types[v].shape:
                return f"array(v{v})"
            return f"v{v} if v{v}.flags.c_contiguous else finished(v{v}, bound.out_types[{p}], inputs)"
        return f"finished(v{v}, bound.out_types[{p}], inputs)"


def _finished(v: Any, t: TensorType, inputs: Sequence[Array]) -> Array:
    """A value as an output; a copy where it is not just that already."""
    if type(v) is np.ndarray and is_own(v) and v.shape == t.shape and v.dtype is t.dtype:
        for i in inputs:
            if v is i:
                return own(v, t)
        if v.flags.c_contiguous:
            return v
    elif isinstance(v, np.generic) and t.shape == () and v.dtype is t.dtype:
        return np.array(v)
    return own(v, t)
