"""Recipes: what lies between inputs and outputs of a recorded computation, as calls over value numbers.

In: output nodes, input nodes (leaves, placeholders, or values in the middle). Out: a `Recipe`, which pickles.
Holds: everything downstream of the inputs is a step; what does not depend on them is a constant. A short computation
becomes one fragment; a long one stays a list of calls, so that code never grows with it. Making one costs the same
for every step. A size that a value of the program decides is named by that value.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from nbgraph.calls import Placeholder
from nbgraph.decided import ALIVE, names_of
from nbgraph.derive import vjp
from nbgraph.dims import DimExpr, dim, substitute, symbols
from nbgraph.engine.afresh import afresh
from nbgraph.errors import BindingError, DifferentiationError
from nbgraph.fragment import Fragment, FragmentBuilder, live_instrs, size_at
from nbgraph.node import LOCK, Node
from nbgraph.op import REGISTRY
from nbgraph.parts import plain_call
from nbgraph.path import Path, key_of
from nbgraph.settle import names_below
from nbgraph.trees import flatten
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


class Computed(NamedTuple):
    """The name of a size that a value of the program is."""

    value: int

    def __repr__(self) -> str:
        return f"r{self.value}"


class Recipe(NamedTuple):
    """A program without its machine code: everything that pickles."""

    arguments: tuple[Argument, ...]
    constants: tuple[Array, ...]
    steps: tuple[Step, ...]
    outputs: tuple[int, ...]
    structure: Any


def recipe_for(engine: Any, outputs: Any, inputs: Any) -> Recipe:
    """Everything between `inputs` and `outputs`; constants are evaluated by `engine`."""
    outs, structure = flatten(outputs)
    ins, _ = flatten(inputs)
    for position, node in enumerate([*outs, *ins]):
        if not isinstance(node, Node):
            raise BindingError("not a tensor", operation="compile", position=position, got=type(node).__name__)
    if len({key_of(n) for n in ins}) != len(ins):
        names = ", ".join(_name(n, k) for k, n in enumerate(ins))
        raise BindingError("an input is given twice", operation="compile", got=names, wanted="different inputs")
    if ALIVE:
        outs, ins = afresh(outs, ins)
    recipe = _record(engine, outs, ins, structure)
    return recipe if is_decided(recipe) else merged_if_short(recipe)


def _record(engine: Any, outs: Sequence[Node], ins: Sequence[Node], structure: Any) -> Recipe:
    """The calls between, over value numbers."""
    with LOCK:  # what a node is known by changes where a call takes the place of others
        arguments, constants, steps, results = _between(outs, ins)
    return Recipe(arguments, _constant_values(engine, constants), steps, results, structure)


def _between(
    outs: Sequence[Node], ins: Sequence[Node]
) -> tuple[tuple[Argument, ...], list[Node], tuple[Step, ...], tuple[int, ...]]:
    """Arguments, constants, steps and the numbers of the outputs."""
    path = _path(outs, ins)
    deciding = [name.node for name in names_below(outs)] if ALIVE else []
    if deciding:
        path = _path([*outs, *deciding], ins)
    path.steps = [*_sized(path, [*outs, *deciding]), *path.steps]
    arguments = tuple(Argument(n.type, _name(n, k)) for k, n in enumerate(ins))
    made = {key_of(n) for n in ins}
    for step in path.steps:
        made.update(key for _, key in step.outs)
    outside = [i for step in path.steps for i, key in zip(step.inputs, step.keys, strict=True) if key not in made]
    outside += [o for o in (*outs, *deciding) if key_of(o) not in made]
    constants = list({key_of(i): i for i in outside}.values())
    numbers = {key_of(n): k for k, n in enumerate([*ins, *constants])}
    wanted = {key for step in path.steps for key in step.keys} | {key_of(o) for o in (*outs, *deciding)}
    steps, n = [], len(numbers)
    for step in path.steps:
        fresh = [(s, key) for s, key in step.outs if key in wanted and key not in numbers]
        sources = tuple([numbers[key] for key in step.keys])
        if not fresh:
            continue
        if step.kind == "sum" and len(sources) == 1:  # another name
            numbers.update({key: sources[0] for _, key in fresh})
            continue
        slots = tuple([s for s, _ in fresh])
        steps.append(Step(step.fragment if step.kind == "call" else None, sources, tuple(step.words), slots))
        numbers.update({key: n + k for k, (_, key) in enumerate(fresh)})
        n += len(fresh)
    return arguments, constants, tuple(_named_by_value(steps, numbers)), tuple(numbers[key_of(o)] for o in outs)


def _named_by_value(steps: Sequence[Step], numbers: Mapping[Any, int]) -> list[Step]:
    """The steps, in which sizes that data decide are named by the numbers of the values that they are."""
    names: dict[Any, Size] = {
        name: dim(Computed(numbers[key_of(name.node)])) for name in names_of(w for s in steps for w in s.words)
    }
    return [s._replace(words=tuple([substitute(w, names) for w in s.words])) for s in steps] if names else list(steps)


def is_decided(recipe: Recipe) -> bool:
    """Whether values of the program decide sizes."""
    return any(type(name) is Computed for step in recipe.steps for w in step.words for name in symbols(w))


def _path(outs: Sequence[Node], ins: Sequence[Node]) -> Path:
    try:
        return Path(outs, ins, vjp)
    except DifferentiationError as error:
        raise BindingError(
            "cannot compile from here: history was dropped", operation="compile", hint=str(error)
        ) from None


def _sized(path: Path, outs: Sequence[Node]) -> list[Any]:
    """Steps for what depends on no input, but on a size that has a name."""
    known = {key for step in path.steps for _, key in step.outs} | path.wrt.keys()
    stack = [i for step in path.steps for i in step.inputs] + list(outs)
    found: dict[int, tuple[Any, Node, set[int]]] = {}
    while stack:
        node = stack.pop()
        if node.data is not None or key_of(node) in known:
            continue
        call = plain_call(node, vjp)
        if call is not None and id(call) not in found:
            found[id(call)] = call, node, set()
            stack.extend(call.inputs)
        if call is not None:
            found[id(call)][2].add(node.slot)
    named: dict[int, tuple[Any, Node, set[int]]] = {}
    for call, node, used in sorted(found.values(), key=lambda entry: entry[0].seq):
        sizes = [*getattr(call, "words", ()), *(d for i in call.inputs if not i.type.concrete for d in i.type.shape)]
        if any(isinstance(d, DimExpr) for d in sizes) or any(id(i.call) in named for i in call.inputs):
            named[id(call)] = call, node, used
    return path.steps_of(named.values())


def _constant_values(engine: Any, nodes: Sequence[Node]) -> tuple[Array, ...]:
    from nbgraph.engine.core import evaluate

    return tuple(evaluate(nodes, engine)) if nodes else ()


def _name(node: Node, position: int) -> str:
    return node.call.name if type(node.call) is Placeholder else f"input {position}"


def merged_if_short(recipe: Recipe) -> Recipe:
    """The recipe, as one fragment if it is short."""
    return _merged(recipe) if _is_short(recipe) else recipe


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
        if isinstance(w, DimExpr) and symbols(w) <= self.named.keys():
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
