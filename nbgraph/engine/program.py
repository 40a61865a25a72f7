"""`CompiledProgram`: a recorded computation as a function of arrays.

In: output nodes, input nodes (leaves, placeholders, or values in the middle). Out: a callable: ndarrays in the order of
the inputs -> ndarrays in the structure of the outputs.
Holds: everything downstream of the inputs is computed afresh at each call, whatever is known already; what does not
depend on them is a constant of the program. Sizes are read off the arrays at each call. A short computation is one
fragment and one function; a long one stays a list of calls, so that code never grows with it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from nbgraph.derive import Path, key_of
from nbgraph.dims import DimExpr
from nbgraph.engine.binding import as_input, bind_sizes
from nbgraph.engine.failure import OperationFailed
from nbgraph.errors import BindingError, DifferentiationError
from nbgraph.fragment import Fragment, FragmentBuilder, live_instrs, size_at
from nbgraph.op import REGISTRY
from nbgraph.pretty import fragment_text
from nbgraph.ssa import Program, program_for
from nbgraph.trace import LOCK, Node, Placeholder
from nbgraph.trees import flatten, unflatten
from nbgraph.types import Size, TensorType, type_of_array
from nbgraph.verify import verify

Array = np.ndarray[Any, Any]

#: A computation of at most this many operations becomes one fragment.
ONE_FRAGMENT = 200


class Argument(NamedTuple):
    """An input of a program: its type (sizes may be names) and what messages call it."""

    type: TensorType
    name: str


class Step(NamedTuple):
    """One call: `sources` are value numbers (arguments, then constants, then results as they are made), `words` sizes
    in the arguments' names, `slots` the values of the fragment that become the next numbers. A sum has no fragment."""

    fragment: Fragment | None
    sources: tuple[int, ...]
    words: tuple[Size, ...]
    slots: tuple[int, ...]


class Recipe(NamedTuple):
    """A program without its machine code: everything that pickles."""

    arguments: tuple[Argument, ...]
    constants: tuple[Array, ...]
    steps: tuple[Step, ...]
    outputs: tuple[int, ...]
    structure: Any


class CompiledProgram:
    """See the module. Made by `Engine.compile`.

    >>> import nbgraph as nbg, numpy as np
    >>> x = nbg.TracedTensor.placeholder(("n",), name="x")
    >>> program = nbg.Engine(jit="never").compile([(x * x).sum()], [x])
    >>> program(np.array([1.0, 2.0, 3.0]))
    [array(14.)]
    """

    def __init__(self, engine: Any, recipe: Recipe) -> None:
        self.engine, self.recipe = engine, recipe
        self.programs = [
            None if s.fragment is None else program_for(s.fragment, frozenset(s.slots)) for s in recipe.steps
        ]
        for p in dict.fromkeys(p for p in self.programs if p is not None):
            engine.see(p.fragment)
            engine.native.compile(p)
        self._given = len(recipe.arguments) + len(recipe.constants)

    def __call__(self, *arrays: Any) -> Any:
        arguments = self.recipe.arguments
        if len(arrays) != len(arguments):
            raise BindingError("wrong number of arrays", got=len(arrays), wanted=len(arguments))
        values: list[Any] = [as_input(a, t, name) for a, (t, name) in zip(arrays, arguments, strict=True)]
        sizes = bind_sizes([(t, a, name) for a, (t, name) in zip(values, arguments, strict=True)])
        values += self.recipe.constants
        for step, program in zip(self.recipe.steps, self.programs, strict=True):
            ins = [values[i] for i in step.sources]
            values += [sum(ins[1:], ins[0])] if program is None else self._call(step, program, ins, sizes)
        return unflatten(self.recipe.structure, self._own(values))

    def _own(self, values: Sequence[Array]) -> list[Array]:
        """The outputs, none of which shares memory with an input, a constant or another output."""
        taken = set(map(id, values[: self._given]))
        outputs = []
        for a in [values[o] for o in self.recipe.outputs]:
            outputs.append(np.array(a) if id(a) in taken else a)
            taken.add(id(a))
        return outputs

    def _call(self, step: Step, program: Program, ins: Sequence[Array], sizes: Mapping[Any, int]) -> list[Array]:
        types = tuple([type_of_array(a) for a in ins])
        words = tuple([size_at(w, sizes) for w in step.words]) if sizes else step.words
        bound = program.bind(types, words, check=True)
        try:
            outs = self.engine.native.run_bound(bound, ins, program.accumulators({}, bound.out_types))
        except OperationFailed as failure:
            raise failure.named(None) from failure.error
        return [outs[program.position[s]] for s in step.slots]

    # -- what it shows ---------------------------------------------------------------------------------------------

    def _distinct(self) -> list[Program]:
        return list(dict.fromkeys(p for p in self.programs if p is not None))

    @property
    def source(self) -> str:
        """The generated Python of every fragment."""
        return "\n\n".join(self.engine.native.codes[p].machine.source.text for p in self._distinct())

    @property
    def key(self) -> str:
        """A digest of the structure: equal programs have equal keys, in every process."""
        return hashlib.sha256(str(self).encode()).hexdigest()

    def __str__(self) -> str:
        parts, programs = [], self._distinct()
        number = {p: k for k, p in enumerate(programs)}
        parts += [fragment_text(p.body, f"program {k}") for p, k in number.items()]
        if len(self.programs) > 1:
            parts += _calls_text([None if p is None else number[p] for p in self.programs], self.recipe.steps)
        return "\n".join(parts)

    def __repr__(self) -> str:
        return f"<CompiledProgram of {len(self.recipe.steps)} calls, {len(self._distinct())} fragments>"

    def __reduce__(self) -> Any:
        return _rebuild, (self.engine.jit, self.recipe)


def _rebuild(jit: str, recipe: Recipe) -> CompiledProgram:
    from nbgraph.engine.core import Engine

    return CompiledProgram(Engine(jit=jit), recipe)


def _calls_text(numbers: Sequence[int | None], steps: Sequence[Step]) -> list[str]:
    """The calls in order, runs of the same fragment as `repeat K`."""
    lines, k = [], 0
    while k < len(numbers):
        end = k
        while end < len(numbers) and numbers[end] == numbers[k]:
            end += 1
        name = "sum" if numbers[k] is None else f"program {numbers[k]}"
        lines.append(f"call {name}" if end == k + 1 else f"repeat {end - k}: call {name}")
        k = end
    return lines


# -- making one -----------------------------------------------------------------------------------------------------


def compile_program(engine: Any, outputs: Any, inputs: Any) -> CompiledProgram:
    """Everything between `inputs` and `outputs` as a `CompiledProgram` of this engine."""
    outs, structure = flatten(outputs)
    ins, _ = flatten(inputs)
    for position, node in enumerate([*outs, *ins]):
        if not isinstance(node, Node):
            raise BindingError("not a tensor", operation="compile", position=position, got=type(node).__name__)
    recipe = _record(engine, outs, ins, structure)
    return CompiledProgram(engine, _merged(recipe) if _is_short(recipe) else recipe)


def _record(engine: Any, outs: Sequence[Node], ins: Sequence[Node], structure: Any) -> Recipe:
    """The calls between, over value numbers."""
    with LOCK:
        path = _path(outs, ins)
    arguments = tuple(Argument(n.type, _name(n, k)) for k, n in enumerate(ins))
    made = {key_of(n) for n in ins}
    for step in path.steps:
        made.update(key for _, key in step.outs)
    outside = [i for step in path.steps for i in step.inputs if key_of(i) not in made]
    outside += [o for o in outs if key_of(o) not in made]
    constants = list({key_of(i): i for i in outside}.values())
    numbers = {key_of(n): k for k, n in enumerate([*ins, *constants])}
    wanted = {key_of(i) for step in path.steps for i in step.inputs} | {key_of(o) for o in outs}
    steps, n = [], len(numbers)
    for step in path.steps:
        fresh = [(s, key) for s, key in step.outs if key in wanted and key not in numbers]
        sources = tuple(numbers[key_of(i)] for i in step.inputs)
        slots = tuple(s for s, _ in fresh)
        steps.append(Step(step.fragment if step.kind == "call" else None, sources, tuple(step.words), slots))
        numbers.update({key: n + k for k, (_, key) in enumerate(fresh)})
        n += len(fresh)
    values = _constant_values(engine, constants)
    return Recipe(arguments, values, tuple(steps), tuple(numbers[key_of(o)] for o in outs), structure)


def _path(outs: Sequence[Node], ins: Sequence[Node]) -> Path:
    try:
        return Path(outs, ins)
    except DifferentiationError as error:
        raise BindingError(
            "cannot compile from here: history was dropped", operation="compile", hint=str(error)
        ) from None


def _constant_values(engine: Any, nodes: Sequence[Node]) -> tuple[Array, ...]:
    from nbgraph.engine.core import evaluate

    return tuple(evaluate(nodes, engine)) if nodes else ()


def _name(node: Node, position: int) -> str:
    return node.call.name if type(node.call) is Placeholder else f"input {position}"


def _is_short(recipe: Recipe) -> bool:
    return sum(1 if s.fragment is None else len(s.fragment.instrs) for s in recipe.steps) <= ONE_FRAGMENT


def _merged(recipe: Recipe) -> Recipe:
    """The same with all steps in one fragment, common operations merged."""
    merger = _Merger(recipe)
    outputs = [merger.values[o] for o in recipe.outputs]
    slots = list(dict.fromkeys(outputs))
    fragment, words = merger.builder.finish(list(live_instrs(merger.builder.instrs, slots)), slots)
    verify(fragment, "merge")
    stands_for = tuple(size_at(w, merger.meaning) for w in words)
    n = len(recipe.arguments) + len(recipe.constants)
    step = Step(fragment, tuple(range(n)), stands_for, tuple(dict.fromkeys(fragment.outputs)))
    place = {slot: n + k for k, slot in enumerate(step.slots)}
    numbers = tuple(place[fragment.outputs[slots.index(o)]] for o in outputs)
    return Recipe(recipe.arguments, recipe.constants, (step,), numbers, recipe.structure)


class _Merger:
    """Replays the steps into one builder. `meaning`: what the builder's size symbols are in the arguments' names."""

    def __init__(self, recipe: Recipe) -> None:
        self.builder = FragmentBuilder()
        self.meaning: dict[Any, Size] = {}
        self.named: dict[Any, Size] = {}
        types = [a.type for a in recipe.arguments] + [type_of_array(c) for c in recipe.constants]
        self.values = [self._input(t) for t in types]
        for step in recipe.steps:
            self.values += self._sum(step) if step.fragment is None else self._replay(step, step.fragment)

    def _input(self, t: TensorType) -> int:
        v = self.builder.input(t.with_shape(tuple(1 if d == 1 else 2 for d in t.shape)))
        for axis, d in enumerate(t.shape):
            mine = self.builder.types[v].shape[axis]
            if isinstance(d, DimExpr):
                if d.symbol is not None:
                    self.named.setdefault(d.symbol, mine)
                    if isinstance(mine, DimExpr):
                        self.builder.cx.same(self.named[d.symbol], mine)
                self.meaning["d", v, axis] = d
            else:
                self.meaning["d", v, axis] = d
        return v

    def _word(self, w: Size) -> Size:
        """A word of a step in the builder's symbols: sizes by name as they are, numbers as run-time words."""
        if isinstance(w, DimExpr):
            return size_at(w, self.named)
        made = self.builder.word()
        self.meaning[made.symbol] = w
        return made

    def _replay(self, step: Step, f: Fragment) -> list[int]:
        b = self.builder
        values = [self.values[i] for i in step.sources]
        env = f.environment([b.types[v] for v in values], [self._word(w) for w in step.words])
        for instr in f.instrs:
            sizes = tuple(size_at(s, env) for s in instr.sizes)
            made = b.append(instr.op, tuple(values[i] for i in instr.ins), sizes)
            values.extend(made if isinstance(made, tuple) else (made,))
        return [values[s] for s in step.slots]

    def _sum(self, step: Step) -> list[int]:
        total, *others = [self.values[i] for i in step.sources]
        for v in others:
            total = self.builder.append(REGISTRY["add"](), (total, v), ())
        return [total]
