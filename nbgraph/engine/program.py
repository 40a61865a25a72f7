"""`CompiledProgram`: a recorded computation as a function of arrays.

In: a recipe. Out: a callable: ndarrays in the order of the inputs -> ndarrays in the structure of the outputs.
Holds: everything downstream of the inputs is computed afresh at each call, whatever is known already; what does not
depend on them is a constant of the program. Sizes are read off the arrays at each call; what is decided for them is
kept for the next. However long the computation, a call is one call of machine code; where its own results decide sizes,
one for each stage between two decisions. Any thread may call.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np

from nbgraph.codegen import full_text
from nbgraph.engine.binding import as_input, bind_sizes, telling
from nbgraph.engine.direct import Direct
from nbgraph.engine.failure import OperationFailed
from nbgraph.engine.pieces import Pieces, pieces_for
from nbgraph.engine.quick import Quick, never
from nbgraph.engine.recipe import Recipe, is_decided, recipe_for
from nbgraph.engine.replay import Replay, bind_calls, fit
from nbgraph.engine.stages import Plan, Staged, stages_of
from nbgraph.engine.tape import Call, Tape, runs_of
from nbgraph.errors import BindingError, OutOfMemoryError
from nbgraph.pretty import fragment_text
from nbgraph.ssa import Program
from nbgraph.trees import unflatten
from nbgraph.types import TensorType, type_of_array

Array = np.ndarray[Any, Any]

#: For so many sizes a program keeps what it decided.
_KEPT = 16


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
        self._stages = stages_of(recipe) if is_decided(recipe) else []
        self._tapes = {r: Tape(r) for r in dict.fromkeys(stage.recipe for stage in self._stages)}
        tapes = list(self._tapes.values()) or [Tape(recipe)]
        self._tape = tapes[0]
        self.programs: list[Program] = list(dict.fromkeys(p for tape in tapes for p in tape.programs))
        for p in self.programs:
            engine.see(p.fragment)
            engine.native.compile(p)
        for kernel in {"builtin" if len(tape.calls) == 1 else "replay" for tape in tapes}:
            engine.native.objects.make_kernel(kernel, "")
        self._arrange = _arranger(recipe.structure)
        self._plans: dict[tuple[TensorType, ...], Plan] = {}
        self._quick: Any = never  # a builtin function of arrays, where what was run last is one
        self._last: Plan = never

    def __call__(self, *arrays: Any) -> Any:
        outs = self._quick(*arrays)
        if type(outs) is not list:
            outs = self._run(arrays)
        return outs if self._arrange is None else self._arrange(outs)

    def _run(self, arrays: tuple[Any, ...]) -> list[Array]:
        try:
            outs = self._last(arrays)
            return self._general(arrays) if outs is None else outs
        except OperationFailed as failure:
            raise failure.named(None) from failure.error
        except MemoryError as error:
            raise OutOfMemoryError.of(error) from error

    def _general(self, arrays: tuple[Any, ...]) -> list[Array]:
        """The outputs for arrays that are not like the last ones: what is wrong with them is said here."""
        arguments = self.recipe.arguments
        if len(arrays) != len(arguments):
            wanted = f"{len(arguments)}: {', '.join(name for _, name in arguments)}"
            raise BindingError("wrong number of arrays", got=len(arrays), wanted=wanted)
        values = [as_input(a, t, name) for a, (t, name) in zip(arrays, arguments, strict=True)]
        sizes = bind_sizes([(t, a, name) for a, (t, name) in zip(values, arguments, strict=True)])
        types = tuple([type_of_array(a) for a in values])
        run = self._plans.get(types)
        if run is None:
            with telling(sizes):
                run = self._plan(types, sizes)
            if len(self._plans) >= _KEPT:
                self._plans.clear()
            self._plans[types] = run
        self._last, self._quick = run, getattr(run, "quick", never)
        # A dtype may be equal to ours and another object.
        outs = run(tuple([a if a.dtype is t.dtype else a.view(t.dtype) for a, t in zip(values, types, strict=True)]))
        assert outs is not None
        return outs

    def _plan(self, types: tuple[TensorType, ...], sizes: Mapping[Any, int]) -> Plan:
        """How it is run at these sizes."""
        if self._stages:
            return Staged(self._stages, self._tapes, self.recipe, types, sizes, self._plan_of)
        return self._plan_of(self._tape, self.recipe.constants, types, sizes)

    def _plan_of(
        self, tape: Tape, constants: Sequence[Array], types: tuple[TensorType, ...], sizes: Mapping[Any, int]
    ) -> Plan:
        """How a tape is run at these sizes."""
        native, known = self.engine.native, [*types, *map(type_of_array, constants)]
        if len(tape.calls) == 1:
            (bound,), _ = bind_calls(tape, known, sizes)
            pieces = pieces_for(self.engine, bound)
            if pieces is not None and list(tape.outputs) == list(tape.calls[0].dests):
                return partial(_in_pieces, pieces, types, constants, tape.calls[0].sources)
            for way in (Quick, Direct):
                run = way(native, tape, constants, known, bound)
                if run.fits:
                    return run
        return Replay(native, tape, constants, known, sizes)

    # -- what it shows ---------------------------------------------------------------------------------------------

    @property
    def source(self) -> str:
        """The generated Python of every fragment; after it, nests that are functions of their own."""
        return "\n\n".join(full_text(self.engine.native.codes[p].machine.source) for p in self.programs)

    @property
    def key(self) -> str:
        """A digest of the structure: equal programs have equal keys, in every process."""
        return hashlib.sha256(str(self).encode()).hexdigest()

    def __str__(self) -> str:
        number = {p: k for k, p in enumerate(self.programs)}
        parts = [fragment_text(p.body, f"program {k}") for p, k in number.items()]
        calls = self._calls()
        if len(calls) > 1:
            parts += _calls_text([number[call.program] for call in calls])
        return "\n".join(parts)

    def __repr__(self) -> str:
        return f"<CompiledProgram of {len(self._calls())} calls, {len(self.programs)} fragments>"

    def _calls(self) -> list[Call]:
        """Every call, in the order in which they run."""
        tapes = [self._tapes[stage.recipe] for stage in self._stages] or [self._tape]
        return [call for tape in tapes for call in tape.calls]

    def __reduce__(self) -> Any:
        return _rebuild, (self.engine.jit, self.recipe)


def _in_pieces(
    pieces: Pieces, types: Sequence[TensorType], constants: Sequence[Array], sources: Sequence[int], arrays: Any
) -> list[Array] | None:
    """The outputs of the only call, run in pieces; None if the arrays are not of these types."""
    if not fit(arrays, [(t.shape, t.dtype) for t in types]):
        return None
    given = (*arrays, *constants)
    return pieces.outputs([given[v] for v in sources])


def _rebuild(jit: str, recipe: Recipe) -> CompiledProgram:
    from nbgraph.engine.core import Engine

    return CompiledProgram(Engine(jit=jit), recipe)


def _calls_text(numbers: Sequence[int]) -> list[str]:
    """The calls in order, what repeats as `repeat K`, loops in loops too.

    >>> _calls_text([0, 0, 0, 1, 0, 0, 0, 1, 2])
    ['repeat 2:', '  repeat 3: call program 0', '  call program 1', 'call program 2']
    """
    return [line for block in _folded([(f"call program {k}",) for k in numbers]) for line in block]


def _folded(blocks: list[tuple[str, ...]]) -> list[tuple[str, ...]]:
    """Blocks of lines, those that repeat as one."""
    runs = runs_of(blocks)
    while any(repetitions > 1 for _, _, repetitions in runs):
        blocks = [_repeated(blocks[start : start + period], times) for start, period, times in runs]
        runs = runs_of(blocks)
    return blocks


def _repeated(blocks: list[tuple[str, ...]], times: int) -> tuple[str, ...]:
    if times == 1:
        return blocks[0]
    lines = [line for block in (_folded(blocks) if len(blocks) > 1 else blocks) for line in block]
    if all(line.startswith("call") for line in lines):
        return (f"repeat {times}: {', '.join(lines)}",)
    return (f"repeat {times}:", *[f"  {line}" for line in lines])


def _arranger(structure: Any) -> Any:
    """A function from the list of outputs to their structure; None for a list."""
    if structure.cls is list and all(child.cls is None for child in structure.children):
        return None
    return partial(unflatten, structure)


def compile_program(engine: Any, outputs: Any, inputs: Any) -> CompiledProgram:
    """Everything between `inputs` and `outputs` as a `CompiledProgram` of this engine."""
    return CompiledProgram(engine, recipe_for(engine, outputs, inputs))
