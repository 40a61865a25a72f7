"""Programs whose own results decide sizes: stages that run in turn.

In: a recipe in which words are named by values of the program (`recipe.Computed`). Out: `Stage`s: recipes without such
words, each with the values it reads, those that name its sizes, and those it makes.
Holds: a stage ends where a size is needed that it makes itself: memory is laid out and words are filled when a stage
begins. Equal stages (steps of a loop) are one recipe. A value is forgotten after the last stage that reads it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from nbgraph.dims import dim, substitute, symbols
from nbgraph.engine.recipe import Argument, Computed, Recipe, Step, merged_if_short
from nbgraph.engine.replay import fit
from nbgraph.engine.tape import Tape
from nbgraph.settle import checked
from nbgraph.trees import flatten
from nbgraph.types import Size, TensorType, type_of_array

Array = np.ndarray[Any, Any]
#: What runs a tape at some sizes.
Plan = Callable[[tuple[Any, ...]], "list[Array] | None"]
#: Makes it: a tape, constants, the types of the arguments, what named sizes stand for.
Planner = Callable[[Tape, Sequence[Array], tuple[TensorType, ...], Mapping[Any, int]], Plan]

_NO_STRUCTURE = flatten([])[1]
#: For so many sizes a stage keeps its plan.
_KEPT = 64


class Stage(NamedTuple):
    """Steps between two decisions. `sources` are the values that its recipe's arguments are, `sizes` those that its
    sizes `Computed(0), Computed(1), ...` are read off, `results` those that its outputs are, `forgotten` those that
    nothing reads after it."""

    recipe: Recipe
    sources: tuple[int, ...]
    sizes: tuple[int, ...]
    results: tuple[int, ...]
    forgotten: tuple[int, ...]


def stages_of(recipe: Recipe) -> list[Stage]:
    """The stages of a recipe, oldest first."""
    return _Cutter(recipe).stages()


class _Cutter:
    """Cuts the steps of a recipe. `types` are those of its values: dtype, rank, and which sizes are 1."""

    def __init__(self, recipe: Recipe) -> None:
        self.recipe = recipe
        self.types = [a.type for a in recipe.arguments] + [type_of_array(c) for c in recipe.constants]
        self.parts: list[list[tuple[Step, int]]] = []  # steps, each with the number of its first result
        for step in recipe.steps:
            self._append(step)
        self.last: dict[int, int] = {}
        for k, part in enumerate(self.parts):
            self.last.update((v, k) for step, _ in part for v in (*step.sources, *_computed(step)))
        self.last.update(dict.fromkeys(recipe.outputs, len(self.parts)))

    def _append(self, step: Step) -> None:
        part = self.parts[-1] if self.parts else None
        if part is None or any(v >= part[0][1] for v in _computed(step)):
            part = []
            self.parts.append(part)
        part.append((step, len(self.types)))
        if step.fragment is None:
            self.types.append(self.types[step.sources[0]])
        else:
            self.types += [step.fragment.types[slot] for slot in step.slots]

    def stages(self) -> list[Stage]:
        same: dict[Recipe, Recipe] = {}
        found = []
        for k, part in enumerate(self.parts):
            stage = self._stage(k, part)
            found.append(stage._replace(recipe=same.setdefault(stage.recipe, stage.recipe)))
        return found

    def _stage(self, k: int, part: Sequence[tuple[Step, int]]) -> Stage:
        first, beyond = part[0][1], part[-1][1] + _n_results(part[-1][0])
        sources = tuple(dict.fromkeys(v for step, _ in part for v in step.sources if v < first))
        sizes = tuple(dict.fromkeys(v for step, _ in part for v in _computed(step)))
        results = tuple(v for v in range(first, beyond) if self.last.get(v, -1) > k)
        number = {v: n for n, v in enumerate((*sources, *range(first, beyond)))}
        names: dict[Any, Size] = {Computed(v): dim(Computed(n)) for n, v in enumerate(sizes)}
        steps = tuple(
            step._replace(
                sources=tuple(number[v] for v in step.sources), words=tuple(substitute(w, names) for w in step.words)
            )
            for step, _ in part
        )
        arguments = tuple(Argument(_by_place(self.types[v], n), f"value {n}") for n, v in enumerate(sources))
        outputs = tuple(number[v] for v in results)
        inner = Recipe(arguments, (), steps, outputs, _NO_STRUCTURE)
        forgotten = tuple(v for v, last in self.last.items() if last == k)
        return Stage(merged_if_short(inner), sources, sizes, results, forgotten)


def _n_results(step: Step) -> int:
    return 1 if step.fragment is None else len(step.slots)


def _computed(step: Step) -> list[int]:
    """The values that name sizes of a step."""
    return [n.value for w in step.words for n in symbols(w) if type(n) is Computed]


def _by_place(t: TensorType, position: int) -> TensorType:
    """The type with its sizes named by where they are."""
    return t.with_shape(tuple(1 if d == 1 else dim(("d", position, axis)) for axis, d in enumerate(t.shape)))


class Staged:
    """Runs stages for arguments of given types; like any plan: arrays -> outputs, or None if they do not fit."""

    def __init__(
        self,
        stages: Sequence[Stage],
        tapes: Mapping[Recipe, Tape],
        recipe: Recipe,
        types: Sequence[TensorType],
        sizes: Mapping[Any, int],
        plan: Planner,
    ) -> None:
        self._stages, self._outputs, self._named, self._plan = stages, recipe.outputs, sizes, plan
        self._constants = [_as_read(c) for c in recipe.constants]
        self._tapes = [tapes[stage.recipe] for stage in stages]
        self._given = [(t.shape, t.dtype) for t in types]
        self._plans: dict[Any, Plan] = {}

    def __call__(self, arrays: tuple[Any, ...]) -> list[Array] | None:
        if not fit(arrays, self._given):
            return None
        values: dict[int, Array] = dict(enumerate((*arrays, *self._constants)))
        n_given = len(values)
        for stage, tape in zip(self._stages, self._tapes, strict=True):
            given = tuple([values[v] for v in stage.sources])
            sizes = tuple([checked(int(values[v])) for v in stage.sizes])
            made = self._plan_for(stage, tape, given, sizes)(given)
            assert made is not None
            values.update(zip(stage.results, made, strict=True))
            for v in stage.forgotten:
                values.pop(v, None)
        return [np.array(values[v]) if v < n_given else values[v] for v in self._outputs]

    def _plan_for(self, stage: Stage, tape: Tape, given: tuple[Array, ...], sizes: tuple[int, ...]) -> Plan:
        types = tuple(map(type_of_array, given))
        key = id(tape), types, sizes
        found = self._plans.get(key)
        if found is None:
            named: dict[Any, Any] = {("d", n, axis): d for n, t in enumerate(types) for axis, d in enumerate(t.shape)}
            named.update((Computed(n), d) for n, d in enumerate(sizes))
            if len(self._plans) >= _KEPT:
                self._plans.clear()
            found = self._plans[key] = self._plan(tape, (), types, {**self._named, **named})
        return found


def _as_read(a: Array) -> Array:
    """An array as plans read it: contiguous, its dtype the object that types hold."""
    return np.require(a, requirements=["C", "A"]).view(type_of_array(a).dtype)


__all__ = ["Plan", "Planner", "Stage", "Staged", "stages_of"]
