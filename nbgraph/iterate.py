"""Loops inside of an operation: x = f(x), and the linear systems that its derivatives are.

In: a fragment, the step: x and further operands -> the next x. Out: `FixedPoint` and `LinearFixedPoint`, operations
like any other: they stand in fragments, are rolled, compiled, kept on disk, and run at any size.
Holds: machine code of the step is called by a kernel, its words being words of the program around it; the interpreter
runs the step's program. Derivatives are those of the equation, whatever the number of steps: with J = df/dx at x,

    dx = J dx + (df/da) da,    u = J* u + ct,    da = (df/da)* u

(the implicit function theorem). What they take from f at x is computed beside the loop, once. docs/design/0032.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np

from nbgraph.codegen import generate
from nbgraph.custom_ops import environment_of, result_types
from nbgraph.engine import interpreter
from nbgraph.errors import DifferentiationError
from nbgraph.fragment import Fragment, size_at
from nbgraph.keys import GlobalOpKey, GlobalValKey, Input
from nbgraph.kinds import Kernel
from nbgraph.linearize import push_forward
from nbgraph.materialize import MaterializedGraph, close
from nbgraph.op import Sizes
from nbgraph.resolve import Definition, LinearFragment
from nbgraph.ssa import exact_program
from nbgraph.transpose import pull_back
from nbgraph.types import Shape, Size, TensorType, type_of_array
from nbgraph_kernels.sizes import implicit_workspace

Array = np.ndarray[Any, Any]
Keys = list[GlobalValKey]

_REAL = {"f4": "f4", "f8": "f8", "c8": "f4", "c16": "f8"}
_PART = re.compile(r"^def \w+\(w\):$", re.MULTILINE)


class _Stepped(Kernel):
    """An operation that applies a fragment again and again; its inputs are x and the operands from `first` on."""

    params = ("step",)
    step: Fragment
    costly = True
    fallible = True
    told_as = "fixed_point"
    #: The first operand of the step besides x, and the first of its words among the sizes.
    first: ClassVar[int]
    first_word: ClassVar[int] = 0

    def infer(self, cx: Sizes, ins: Sequence[TensorType], sizes: Shape) -> TensorType:
        x = ins[0]
        (made,) = result_types(self.step, cx, [x, *ins[self.first :]], sizes[self.first_word :])
        return x.with_shape(tuple(cx.same(a, b) for a, b in zip(x.shape, made.shape, strict=True)))

    # -- values -------------------------------------------------------------------------------------------------------

    def _function(self, x: Array, others: Sequence[Array], words: Any) -> Any:
        """The step as a function of x."""
        program = exact_program(self.step, frozenset(self.step.outputs))
        bound = program.bind(tuple(type_of_array(a) for a in (x, *others)), tuple(words))
        return lambda x: interpreter.run(bound, [x, *others])[0]

    def _words(self, lw: Any, ins: Sequence[Any], words: Shape) -> tuple[list[Any], tuple[Any, ...]]:
        """The step for a kernel (`nbgraph_kernels.iterate`), and the operations in it that can fail."""
        program = exact_program(self.step, frozenset(self.step.outputs))
        body, outer, picks = program.lowered()
        source = generate(body)
        of_step = environment_of([k.type for k in ins], words)
        env = environment_of([ins[i].type for i in picks], tuple(size_at(w, of_step) for w in outer))
        addresses = ["0" if i == 0 else ins[i].address for i in picks]
        table: list[Any] = []
        for kind, *what in source.words:
            if kind == "input":
                table.append(addresses[what[0]])
            elif kind == "output":
                table.append("0")
            elif kind == "temporary":
                table.append(lw.workspace(size_at(source.temporaries[what[0]].nbytes, env)))
            elif kind == "size":
                table.append(size_at(what[0], env))
            else:
                table.append(lw.word(kind, *what))
        at = picks.index(0) if 0 in picks else len(table)  # a last word that nobody reads
        texts = _PART.split(source.text)[1:]
        parts = [lw.word("nest", f"def nest(w):{text}") for text in texts]
        return [len(parts), at, len(picks), *parts, *table, 0], source.failing

    # -- derivatives --------------------------------------------------------------------------------------------------

    def _inlined(self, keys: Sequence[GlobalValKey], words: Shape) -> tuple[GlobalValKey, list[Definition]]:
        """The step as operations on these keys: that of its result, and how it is made."""
        env = environment_of([k.type for k in keys], words)
        values, made = list(keys), []
        for instr in self.step.instrs:
            own = tuple(size_at(s, env) for s in instr.sizes)
            op_key = GlobalOpKey(instr.op, tuple(values[i] for i in instr.ins), own)
            made.append(Definition(instr.op, op_key.inputs, own, op_key.results()))
            values.extend(op_key.results())
        return values[self.step.outputs[0]], made

    def linearize(self, b: Any, ins: Any, outs: Any, tangents: Any, sizes: Shape) -> Any:
        (x,), others = outs, ins[self.first :]
        result, made = self._inlined([x, *others], sizes[self.first_word :])
        moved: dict[Any, Any] = dict(zip(others, tangents[self.first :], strict=True))
        moved = {k: t for k, t in moved.items() if t is not None}
        push_forward(made, moved)
        change = self._offset(b, tangents, moved.get(result))
        along = Input(("tangent of fixed point",), x.type, True)
        moved = {x: along}
        push_forward(made, moved)
        return _solved(b, moved.get(result), along, change)

    def _offset(self, b: Any, tangents: Any, change: Any) -> Any:
        """What is added to J dx."""
        return change


class FixedPoint(_Stepped):
    """x with x = step(x, ...), iterated from the first operand; the second is the tolerance. The first of its sizes is
    the number of steps at most."""

    kernel = "iterate"
    unique = False
    first, first_word = 2, 1

    def reference(self, ins: Sequence[Any], sizes: tuple[int, ...]) -> Any:
        from nbgraph_kernels.iterate import smallest_tolerance

        x, tolerance, *others = map(np.asarray, ins)
        function = self._function(x, others, sizes[1:])
        least = max(float(tolerance), smallest_tolerance(self.step.inputs[0].code))
        for _ in range(sizes[0]):
            before, x = x, function(x)
            size = float(np.max(np.abs(x), initial=0.0))
            if not np.isfinite(size):
                raise self.failed(2)
            if np.max(np.abs(x - before), initial=0.0) <= least * (1.0 + size):
                return x
        raise self.failed(1)

    def failed(self, status: int) -> Exception:
        hint = "start nearer, damp f, or raise tol or max_iter"
        return np.linalg.LinAlgError(
            f"not converged within max_iter steps: {hint}" if status == 1 else f"not converged: not finite; {hint}"
        )

    def lower(self, lw: Any, ins: Sequence[Any], outs: Sequence[Any], sizes: Shape) -> None:
        start, tolerance, *others = ins
        (x,) = outs
        n = _count(x.type)
        function, inner = self._words(lw, [start, *others], sizes[1:])
        memory = lw.workspace(n * x.type.itemsize)
        given = (x.address, start.address, tolerance.address, memory, n, sizes[0])
        lw.call(self.kernel, x.type.code, *given, *function, inner=inner)


class LinearFixedPoint(_Stepped):
    """x with x = step(x, ...) + b for a step that is linear in the real and imaginary parts of x; b is the first
    operand. Solved directly: the columns of the matrix are what the step makes of unit vectors."""

    kernel = "implicit_solve"
    failure = "singular matrix"
    first = 1

    def reference(self, ins: Sequence[Any], sizes: tuple[int, ...]) -> Any:
        from nbgraph_kernels.references import reference_solve  # scipy.linalg takes 0.1 s to import

        b, *others = map(np.asarray, ins)
        function = self._function(b, others, sizes)
        real = np.empty(0, b.dtype).real.dtype
        right = np.ascontiguousarray(b).reshape(-1).view(real)
        identity = np.eye(right.size, dtype=real)
        matrix = identity.copy()
        for j, unit in enumerate(identity):
            matrix[:, j] -= function(unit.view(b.dtype).reshape(b.shape)).reshape(-1).view(real)
        return reference_solve(matrix, right[:, None])[:, 0].view(b.dtype).reshape(b.shape)

    def lower(self, lw: Any, ins: Sequence[Any], outs: Sequence[Any], sizes: Shape) -> None:
        (b, *_), (x,) = ins, outs
        code = _REAL[x.type.code]
        n = _count(x.type) * (2 if x.type.is_complex else 1)
        function, inner = self._words(lw, ins, sizes)
        scratch = lw.workspace(implicit_workspace(code, n))
        lw.call(self.kernel, code, x.address, b.address, n, scratch, *function, inner=inner)

    def _offset(self, b: Any, tangents: Any, change: Any) -> Any:
        return b.add(tangents[0], change)

    def transpose(self, b: Any, ct: Any, ins: Any, active: Sequence[bool], sizes: Shape) -> Any:
        if any(active[1:]):
            raise DifferentiationError("is linear in its first operand alone", operation=self.told_as)
        x = Input(("argument of step",), ins[0].type, True)
        result, _ = self._inlined([x, *ins[1:]], sizes)
        along = Input(("cotangent of step",), ins[0].type, True)
        cts: dict[Any, Any] = {result: along}
        pull_back(LinearFragment(None, [x], [result]), cts)  # type: ignore[arg-type]
        return (_solved(b, cts.get(x), along, ct), *[None] * (len(ins) - 1))


# Named afterwards, since they are not for the registry: nobody makes them by name.
FixedPoint.name, LinearFixedPoint.name = "fixed_point", "linear_fixed_point"


def _solved(b: Any, result: Any, argument: Input, offset: Any) -> Any:
    """x with x = (result for x in the place of `argument`) + offset; None is an exact zero."""
    if result is None or offset is None:
        return offset
    step, words, others = _abstracted(result, argument)
    return b.emit(LinearFixedPoint(step), offset, *others, sizes=words)


def _abstracted(result: GlobalValKey, argument: Input) -> tuple[Fragment, Shape, Keys]:
    """A key that is linear in an input as a fragment of that input and of whatever else it is made of; words; these."""
    operations = LinearFragment(None, [argument], [result]).operations  # type: ignore[arg-type]
    made = {id(argument), *(id(k) for o in operations for k in o.results())}
    others = list(dict.fromkeys(k for o in operations for k in o.inputs if id(k) not in made))
    graph: Any = MaterializedGraph((argument, *others), tuple(operations), (result,))  # type: ignore[arg-type]
    step, words = close(graph)
    return step, words, others


def _count(t: TensorType) -> Size:
    n: Size = 1
    for d in t.shape:
        n = n * d
    return n
