"""SSA programs: a fragment prepared for running, for a set of wanted values.

In: a fragment and the slots that are wanted. Out: a `Program`: an optimised flat SSA list (itself in the form of a
fragment, `body`), where its inputs and words come from, and where each slot is among its outputs.
Holds: liveness is not identity: a program that has more outputs than are wanted serves too.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from nbgraph.dims import DimExpr, substitute, symbols
from nbgraph.errors import BindingError
from nbgraph.fragment import Fragment, at_sizes, size_at
from nbgraph.keys import GlobalValKey
from nbgraph.materialize import MaterializedGraph, close, materialize
from nbgraph.memory import zeros
from nbgraph.moving import function_of_words, moving_words, words_in
from nbgraph.op import Sizes
from nbgraph.passes import COMMON, LOWERING, Pass
from nbgraph.types import Size, TensorType
from nbgraph.verify import verify

#: A fragment gets at most this many programs before they are merged into one with all outputs seen.
_MAX_PROGRAMS = 3
_MAX_BOUND = 512


class Program:
    """A fragment for certain slots.

    `picks[j]` is the fragment's input that the body's input j is, `words` the body's words in the fragment's symbols,
    `position` maps a slot to its place among the body's outputs. Outputs of the slots `summed` are added to arrays
    that the caller gives (at the places `accumulating`), instead of being stored.
    """

    def __init__(self, fragment: Fragment, slots: tuple[int, ...], summed: frozenset[int] = frozenset()) -> None:
        self.fragment, self.slots = fragment, slots
        keys = fragment.value_keys()
        wanted = dict(zip(slots, apply_passes([keys[s] for s in slots], COMMON), strict=True))
        stored = dict.fromkeys(k for s, k in wanted.items() if s not in summed)
        self.outputs = [*stored, *(wanted[s] for s in sorted(summed))]
        self.body, self.words, self.picks = _close(fragment, self.outputs)
        verify(self.body, "common passes")
        place = {k: p for p, k in enumerate(stored)}
        self.position = {s: place[k] for s, k in wanted.items() if s not in summed}
        self.position.update({s: len(stored) + p for p, s in enumerate(sorted(summed))})
        self.summed = tuple(sorted(summed))
        self.accumulating = frozenset(range(len(stored), len(self.outputs)))
        self.n_ops = len(self.body.instrs)
        self._bound: dict[Any, Bound] = {}
        #: The fragment's words that no size of a value depends on, here either.
        self.moving = tuple(k for k in moving_words(fragment) if k not in self._words_of_values())

    def _words_of_values(self) -> tuple[int, ...]:
        """The fragment's words that the sizes of the body's values depend on."""
        return words_in(self.words[j] for j in words_in(d for t in self.body.types for d in t.shape))

    def lowered(self) -> tuple[Fragment, tuple[Size, ...], tuple[int, ...]]:
        """The body made of operations that code can be generated for; its words and picks."""
        body, words, picks = _close(self.fragment, apply_passes(self.outputs, LOWERING))
        verify(body, "lowering passes")
        return body, words, picks

    def bind(self, types: tuple[TensorType, ...], words: Sequence[Size], check: bool = False) -> Bound:
        """The program at concrete sizes: input types of the fragment and its words.

        `check` runs every shape rule at these sizes: where they were not known while tracing, a size that does not
        fit is an error here.
        """
        key = (types, words)
        bound = self._bound.get(key)
        if bound is None:
            if len(self._bound) >= _MAX_BOUND:
                self._bound.clear()
            for d in (*words, *(d for t in types if not t.concrete for d in t.shape)):
                if type(d) is DimExpr:
                    hint = "pass bindings={placeholder: array} to eval"
                    raise BindingError(f"the size {d} has no value", hint=hint)
            if check:
                check_sizes(self.fragment, types, words)
            bound = self._bound[key] = self._bind(types, words) if self.moving else Bound(self, types, words)
        return bound

    def _bind(self, types: tuple[TensorType, ...], words: Sequence[Size]) -> Bound:
        """The same where words move: made from the first one that is the same but for these."""
        fixed = ("fixed", types, *[w for k, w in enumerate(words) if k not in self.moving])
        first = self._bound.get(fixed)
        if first is not None:
            return first.moved(words)
        made = self._bound[fixed] = Bound(self, types, words)
        return made

    def accumulators(self, totals: Mapping[int, Any], types: Sequence[TensorType]) -> list[Any]:
        """The arrays that the outputs `summed` are added to: the given ones by slot, zeros for the others."""
        first = len(self.outputs) - len(self.summed)
        found = []
        for p, slot in enumerate(self.summed, first):
            t = types[p]
            found.append(totals[slot] if slot in totals else zeros(t.shape, t.dtype))
        return found

    def __str__(self) -> str:
        from nbgraph.pretty import fragment_text

        return fragment_text(self.body, "program")


class Bound:
    """A program at concrete sizes: sizes of every operation, types of the outputs, room for what the tiers make of it.

    `in_types` are those of the fragment's inputs; `env` are the sizes in the symbols of the fragment, `body_env` in
    those of the body.
    """

    __slots__ = ("_moves", "body_env", "env", "in_types", "native", "out_types", "program", "sizes", "straight")

    def __init__(self, program: Program, types: Sequence[TensorType], words: Sequence[Size]) -> None:
        self.program, self.in_types = program, tuple(types)
        self.env: Mapping[Any, Any] = program.fragment.environment(types, words)
        body = program.body
        body_words = [size_at(w, self.env) for w in program.words]
        env = self.body_env = body.environment([types[i] for i in program.picks], body_words)
        self.sizes = [tuple(size_at(s, env) for s in instr.sizes) for instr in body.instrs]
        self.out_types = [at_sizes(body.types[o], env) for o in body.outputs]
        self.native: dict[Any, Any] = {}
        self.straight: dict[Any, Any] = {}
        self._moves: Any = None

    def moved(self, words: Sequence[Any]) -> Bound:
        """The same at other words `program.moving`."""
        if self._moves is None:
            self._moves = self._find_moves()
        body_words, places, function = self._moves
        moving = self.program.moving
        values, sizes = function(*[words[k] for k in moving])
        made = object.__new__(Bound)
        made.program, made.in_types, made.out_types = self.program, self.in_types, self.out_types
        made.env = {**self.env, **{("w", k): words[k] for k in moving}}
        made.body_env = {**self.body_env, **dict(zip(body_words, values, strict=True))}
        made.sizes = self.sizes.copy()
        for k, size in zip(places, sizes, strict=True):
            made.sizes[k] = size
        made.native, made.straight, made._moves = {}, self.straight, self._moves
        return made

    def _find_moves(self) -> Any:
        """The body's words that move, the operations whose sizes do, and a function of the words that gives both."""
        program, body = self.program, self.program.body
        names = {("w", k) for k in program.moving}
        outer = {name: d for name, d in self.env.items() if name not in names}
        inner = {("w", j): substitute(w, outer) for j, w in enumerate(program.words)}
        moving: dict[Any, Any] = {name: w for name, w in inner.items() if not names.isdisjoint(symbols(w))}
        sizes = [tuple(substitute(s, {**self.body_env, **moving}) for s in instr.sizes) for instr in body.instrs]
        places = [k for k, found in enumerate(sizes) if any(type(s) is not int for s in found)]
        wanted = (tuple(moving.values()), tuple(sizes[k] for k in places))
        return tuple(moving), places, function_of_words(wanted, program.moving)


def check_sizes(f: Fragment, types: Sequence[TensorType], words: Sequence[Size]) -> None:
    """Runs the shape rules of a fragment at concrete sizes."""
    env = f.environment(types, words)
    known = list(types)
    for instr in f.instrs:
        t = instr.op.infer(Sizes(), [known[i] for i in instr.ins], tuple(size_at(s, env) for s in instr.sizes))
        known.extend(t if isinstance(t, tuple) else (t,))


def apply_passes(keys: Sequence[GlobalValKey], passes: Iterable[Pass]) -> list[GlobalValKey]:
    """The keys after each pass in turn."""
    current = list(keys)
    for p in passes:
        current = p(current)
    return current


def _close(fragment: Fragment, outputs: Sequence[GlobalValKey]) -> tuple[Fragment, tuple[Size, ...], tuple[int, ...]]:
    graph = materialize(outputs, fragment.input_keys)
    body, words = close(graph)
    return body, words, tuple(k.id for k in graph.inputs)  # type: ignore[misc]


def program_for(fragment: Fragment, slots: frozenset[int], summed: frozenset[int] = frozenset()) -> Program:
    """A program of the fragment whose outputs include `slots`, `summed` of them added up; made if there is none."""
    found = fragment.cache.get((slots, summed))
    if found is None:
        found = fragment.cache[slots, summed] = _find_program(fragment, slots, summed)
    return found


def exact_program(fragment: Fragment, slots: frozenset[int], summed: frozenset[int] = frozenset()) -> Program:
    """The program of the fragment with just these outputs: it runs no operation that they do not need."""
    found: Program | None = fragment.cache.get(("exact", slots, summed))
    if found is not None:
        return found
    made = Program(fragment, tuple(sorted(slots)), summed)
    kept: Program = fragment.cache.setdefault(("exact", slots, summed), made)  # one for all threads: code belongs to it
    return kept


def _find_program(fragment: Fragment, slots: frozenset[int], summed: frozenset[int]) -> Program:
    with fragment.lock:
        made: list[Program] = fragment.cache.setdefault("programs", [])
        for p in made:
            # Adding to zeros is storing, so a program that adds more than is asked serves too.
            if slots <= p.position.keys() and summed <= set(p.summed) <= slots:
                return p
        if len(made) >= _MAX_PROGRAMS:
            slots = slots.union(*(p.position for p in made))
        program = Program(fragment, tuple(sorted(slots)), summed)
        made.append(program)
        return program


def lower(graph: MaterializedGraph) -> Program:
    """The SSA program of a materialised graph, all its outputs wanted."""
    fragment = close(graph)[0]
    return Program(fragment, tuple(dict.fromkeys(fragment.outputs)))
