"""Programs as straight-line Python functions, one line an operation.

In: a `Bound` program. Out: a function of the arrays of its inputs; or the same in a loop, the results of one step going
into the next.
Holds: an operation costs what NumPy takes for it and little more. Operations that are a function of their operands
alone are called as that. Large results, which depend on the sizes, get memory that was used before (`nbgraph.memory`);
that is in the function for these sizes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from nbgraph.errors import GENERATED
from nbgraph.fragment import Fragment, Instr, at_sizes
from nbgraph.interpret import own
from nbgraph.memory import SMALLEST, empty, is_own
from nbgraph.op import REGISTRY
from nbgraph.ssa import Bound
from nbgraph.types import TensorType

Array = np.ndarray[Any, Any]
#: The line of the first operation in a function, and in one with a loop.
FIRST_LINE, FIRST_IN_LOOP = 2, 3


class Loop(NamedTuple):
    """How a program is run step by step.

    `moving`: the inputs of the body that every step has of its own; `links`: inputs, with the outputs of the step
    before that they are; `kept`: the outputs that are handed over at every step. `bounds`: whether every step has a
    `Bound` of its own, before its moving inputs.
    """

    moving: tuple[int, ...]
    links: tuple[tuple[int, int], ...]
    kept: tuple[int, ...]
    bounds: bool


def function_of(bound: Bound, adding: bool, loop: Loop | None = None) -> Callable[..., Any]:
    """The function of a program at sizes, made once: once for all sizes at which no result is large."""
    key = (adding, loop)
    made: Callable[..., Any] | None = bound.straight.get(key)
    if made is None:
        where = bound.straight
        if not large_results(bound):
            where = bound.program.__dict__.setdefault("_straight", {})
        made = where.get(key)
        if made is None:
            made = where[key] = straight_line(bound, adding, loop)
        bound.straight[key] = made
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


def straight_line(bound: Bound, adding: bool, loop: Loop | None = None) -> Callable[..., Any]:
    """A function (bound, inputs, each of the inputs, each of the totals) -> outputs.

    With a loop, (bound, inputs, ..., each of the totals, the steps' moving inputs, what takes each kept output) -> the
    linked outputs of the last step; local variable `step` counts.
    """
    lines = _Lines(bound, adding, loop is not None)
    inputs = [f"v{k}" for k in range(len(lines.body.inputs))]
    arguments = ["bound", "inputs", *inputs, *lines.totals]
    body = [lines.line(k, instr) for k, instr in enumerate(lines.instrs)]
    if loop is None:
        text = [f"def straight({', '.join(arguments)}):", *body, *lines.sums(), lines.result()]
    else:
        arguments += ["steps", *(f"keep{n}" for n in range(len(loop.kept)))]
        moving = "bound, " * loop.bounds + "".join(f"v{p}, " for p in loop.moving)
        inside = [*body, *lines.sums(), *lines.links(loop)]
        head = [f"def straight({', '.join(arguments)}):", f"  for step, ({moving}) in enumerate(steps):"]
        text = [*head, *(f"  {line}" for line in inside), f"  return [{lines.linked(loop)}]"]
    exec(compile("\n".join(text), GENERATED, "exec"), lines.names)
    made: Callable[..., Any] = lines.names["straight"]
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
            contract: Any = REGISTRY["contract"]
            inner = contract(a=axes, b=axes, out=())
            instrs[products[instr.ins[0]]], instrs[k] = None, Instr(inner, factors, (), instr.first)
    return instrs


class _Lines:
    """The lines of a function and the names in them; value i is `v{i}`, the j-th total `t{j}`."""

    def __init__(self, bound: Bound, adding: bool, looped: bool) -> None:
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
        if looped:  # the next step needs them
            self.last.update(dict.fromkeys(range(len(self.body.inputs)), -1))
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
        if out in self.added and self._name(f"f{k}", op.function_adding_at()):
            self.done.add(out)
            return f"  f{k}(t{self.added[out]}, ({operands},), bound.sizes[{k}])"
        if k in self.large:
            if out in self.added and self._name(f"f{k}", op.function_adding()):
                self.done.add(out)
                return f"  f{k}(t{self.added[out]}, {operands})"
            if self._name(f"f{k}", op.function_into()):
                t = self.large[k]
                self.fresh.add(out)
                self.names[f"shape{k}"], self.names[f"dtype{k}"] = t.shape, t.dtype
                return f"  v{out} = f{k}({operands}, out=empty(shape{k}, dtype{k}))"
        expression = op.expression([self.body.types[i] for i in instr.ins])
        if expression is not None:
            if expression.fresh:
                self.fresh.add(out)
            named = {name: f"{name}_{k}" for name in expression.names}  # index1_8 is another one than index_18
            self.names.update({named[name]: value for name, value in expression.names.items()})
            return f"  v{out} = {expression.text.format(*(f'v{i}' for i in instr.ins), **named)}"
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

    def sums(self) -> Iterator[str]:
        """The lines that add to the totals what is not added yet."""
        for j, v in enumerate(self.summed):
            if v not in self.done:
                yield f"  add(t{j}, v{v}, t{j})"

    def result(self) -> str:
        """The last line: the outputs as they have to be."""
        return f"  return [{', '.join([*(self._output(p, v) for p, v in enumerate(self.stored)), *self.totals])}]"

    def links(self, loop: Loop) -> Iterator[str]:
        """What is handed over after a step, and what goes into the next one."""
        for n, p in enumerate(loop.kept):
            yield f"  keep{n}({self._output(p, self.stored[p])})"
        if loop.links:
            given, made = (f"v{i}" for i, _ in loop.links), (f"v{self.stored[p]}" for _, p in loop.links)
            yield f"  {', '.join(given)} = {', '.join(made)}"

    def linked(self, loop: Loop) -> str:
        """The linked outputs of the last step, as they have to be."""
        return ", ".join(f"finished(v{i}, bound.out_types[{p}], inputs)" for i, p in loop.links)

    def _output(self, p: int, v: int) -> str:
        if v in self.fresh and self.stored.count(v) == 1:
            if self.body.types[v].ndim < 2:
                return f"v{v}" if self.body.types[v].ndim else f"array(v{v})"
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
