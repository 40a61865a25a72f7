"""The tape of a recipe: its calls, with every sum turned into accumulation.

In: a `Recipe`. Out: a `Tape`: calls of programs that read and write value numbers; nothing in it depends on sizes.
Holds: a fragment has one program, for all slots that any step wants of it, so that the last step of a loop is a step
like the others. A value that only a sum reads is never stored: the call that makes it adds it to the sum, which is zero
to begin with. Whatever else a sum reads is added as soon as it is known, by a program that does nothing else.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import accumulate
from typing import NamedTuple

from nbgraph.engine.recipe import Recipe, Step
from nbgraph.fragment import Fragment, FragmentBuilder
from nbgraph.ssa import Program, exact_program
from nbgraph.types import Size, TensorType, type_of_array

#: The value number of what nobody reads.
NOWHERE = -1
#: The step before the first.
BEFORE = -1
#: No longer period is looked for.
LONGEST_PERIOD = 8


class Call(NamedTuple):
    """A program, its words, the value numbers it reads (by input of its fragment) and writes (by output)."""

    program: Program
    words: tuple[Size, ...]
    sources: tuple[int, ...]
    dests: tuple[int, ...]


class Tape:
    """See the module. Values below `n_given` are arguments and constants; those in `added` are zero to begin with."""

    def __init__(self, recipe: Recipe) -> None:
        self.n_given = len(recipe.arguments) + len(recipe.constants)
        values = _Values(recipe, self.n_given)
        self.n_values = values.first[-1]
        self.calls = list(_calls(recipe, values))
        self.programs = list(dict.fromkeys(call.program for call in self.calls))
        self.added = {c.dests[p] for c in self.calls for p in c.program.accumulating} - {NOWHERE}
        self.outputs = tuple([values.place(v) for v in recipe.outputs])


class _Values:
    """What becomes of each value of a recipe.

    `first[k]`: the first value that step k makes. `maker`: the step that makes a value. `same`: values that are the
    same slot of the same step as an earlier one. `total`: the sum that a value is part of and is read by nobody else.
    `awaited`: by step, the values that are to be added to a sum after it, and the sum.
    """

    def __init__(self, recipe: Recipe, n_given: int) -> None:
        self.recipe, self.n_given = recipe, n_given
        self.first = list(accumulate((len(s.slots) for s in recipe.steps), initial=n_given))
        self.maker: dict[int, int] = {}
        self.same: dict[int, int] = {}
        for k, (step, n) in enumerate(zip(recipe.steps, self.first, strict=False)):
            for v in range(n, self.first[k + 1]):
                self.maker[v] = k
                earlier = step.slots.index(step.slots[v - n]) + n if step.fragment is not None else v
                if earlier != v:
                    self.same[v] = earlier
        self.total: dict[int, int] = {}
        self.awaited: dict[int, list[tuple[int, int]]] = {}
        self._find_sums()

    def _find_sums(self) -> None:
        same, steps = self.same, self.recipe.steps
        uses = Counter(same.get(v, v) for step in steps for v in step.sources)
        uses.update(same.get(v, v) for v in self.recipe.outputs)
        taken: set[tuple[int, int]] = set()  # a call adds to a sum once
        for k in reversed(range(len(steps))):
            if steps[k].fragment is not None:
                continue
            target = self.place(self.first[k])
            for v in [same.get(v, v) for v in steps[k].sources]:
                maker = self.maker.get(v, BEFORE)
                if uses[v] == 1 and maker != BEFORE and (maker, target) not in taken:
                    self.total[v] = target
                    if steps[maker].fragment is not None:
                        taken.add((maker, target))
                else:
                    self.awaited.setdefault(maker, []).append((v, target))

    def place(self, v: int) -> int:
        """The number under which a value is kept."""
        v = self.same.get(v, v)
        return self.total.get(v, v)

    def type_of(self, v: int) -> TensorType:
        """Dtype and rank of a value, and which of its sizes are 1."""
        while v >= self.n_given and self.recipe.steps[self.maker[v]].fragment is None:
            v = self.recipe.steps[self.maker[v]].sources[0]
        if v < len(self.recipe.arguments):
            return self.recipe.arguments[v].type
        if v < self.n_given:
            return type_of_array(self.recipe.constants[v - len(self.recipe.arguments)])
        step = self.recipe.steps[self.maker[v]]
        assert step.fragment is not None
        return step.fragment.types[step.slots[v - self.first[self.maker[v]]]]


def _calls(recipe: Recipe, values: _Values) -> Iterator[Call]:
    programs = _programs(recipe.steps, values)
    for k, step in enumerate((None, *recipe.steps), BEFORE):
        if step is not None and step.fragment is not None:
            yield _call(step, programs[step.fragment], values, values.first[k])
        for v, target in values.awaited.get(k, ()):
            yield Call(_adding(values.type_of(v)), (), (values.place(v),), (target,))


def _call(step: Step, program: Program, values: _Values, first: int) -> Call:
    dests = [NOWHERE] * len(program.outputs)
    for v, slot in enumerate(step.slots, first):
        position = program.position[slot]
        if dests[position] == NOWHERE:
            dests[position] = values.place(v)
        elif v not in values.same:  # two slots with equal values
            values.same[v] = dests[position]
    return Call(program, step.words, tuple([values.place(v) for v in step.sources]), tuple(dests))


def _programs(steps: Sequence[Step], values: _Values) -> dict[Fragment, Program]:
    """A program for each fragment."""
    slots: dict[Fragment, set[int]] = {}
    summed: dict[Fragment, set[int]] = {}
    for step, first in zip(steps, values.first, strict=False):
        if step.fragment is not None:
            slots.setdefault(step.fragment, set()).update(step.slots)
            added = [slot for v, slot in enumerate(step.slots, first) if v in values.total]
            summed.setdefault(step.fragment, set()).update(added)
    return {f: exact_program(f, frozenset(slots[f]), frozenset(summed[f])) for f in slots}


def _adding(t: TensorType) -> Program:
    """The program that adds its input to its output."""
    b = FragmentBuilder()
    v = b.input(t.with_shape(tuple(1 if d == 1 else 2 for d in t.shape)))
    return exact_program(b.build(v), frozenset((v,)), frozenset((v,)))


def runs_of(kinds: Sequence[object]) -> list[tuple[int, int, int]]:
    """A sequence as runs (start, period, repetitions): what repeats at once, else one by one.

    >>> runs_of("xababab")
    [(0, 1, 1), (1, 2, 3)]
    """
    runs, k, n = [], 0, len(kinds)
    while k < n:
        best = (k, 1, 1)
        for period in range(1, LONGEST_PERIOD + 1):
            end = k + period
            while end < n and kinds[end] == kinds[end - period]:
                end += 1
            repetitions = (end - k) // period
            if repetitions > 1 and repetitions * period > best[1] * best[2]:
                best = (k, period, repetitions)
        runs.append(best)
        k += best[1] * best[2]
    return runs
