"""Running one program again and again at the same sizes, by machine code or with NumPy.

In: a bound program, the arrays of its fragment's inputs. Out: the arrays of its outputs; or None where an operation
failed in a way that the general path has to name.
Holds: what can be decided once is decided when a runner is made; a run then does nothing but the work, and counts it.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from operator import itemgetter
from time import perf_counter
from typing import Any

import numpy as np

from nbgraph.engine import interpreter, recorder
from nbgraph.engine.failure import OperationFailed
from nbgraph.engine.native import Moves, entry_point, placed_for, uninterrupted
from nbgraph.engine.pieces import Pieces, pieces_for
from nbgraph.engine.quick import never, quick_function
from nbgraph.engine.threads import limit_for
from nbgraph.errors import NbgraphError
from nbgraph.memory import allocator, zeros
from nbgraph.ssa import Bound
from nbgraph_kernels.arrays import ENTRY_WORDS

Array = np.ndarray[Any, Any]

#: So many runs without builtin functions lose what compiling the maker of those takes (20 to 50 ms; 2 to 4 us each).
PAYS = 10_000
#: Sooner where that is little beside what is compiled anyway, or is done for later processes, too.
PAYS_SOON = 500
#: Where the items of a tuple begin.
_ITEMS = tuple.__basicsize__


def runner_for(engine: Any, key: Any, bound: Bound) -> Runner | None:
    """A runner of a program, by the tier it has come to; None where there can be none. `key` is that of its route."""
    if not engine.ready(bound.program):
        made: Runner = Interpreted(engine, key, bound)
    elif (pieces := pieces_for(engine, bound)) is not None:
        made = InPieces(engine, key, bound, pieces)
    else:
        made = Compiled(engine, key, bound)
    return made if made.fits else None


class Runner:
    """A program at sizes, and who counts its runs."""

    __slots__ = ("bound", "counters", "engine", "fits", "key", "limit", "operations", "quick")

    def __init__(self, engine: Any, key: Any, bound: Bound) -> None:
        self.engine, self.key, self.bound, self.fits = engine, key, bound, True
        #: A function of the arrays that gives the outputs, or anything but a list where `outputs` has to be asked.
        self.quick: Any = never
        self.counters, self.operations = engine.counters, bound.program.n_ops
        self.limit = limit_for(engine, [bound])

    def outputs(self, arrays: Sequence[Array], words: Any = None) -> list[Array] | None:
        """Runs the program, at those words of its fragment if they are given: some may have moved. Counts it."""
        raise TypeError(type(self))

    def add(self, arrays: Sequence[Array], totals: Mapping[int, Array]) -> list[Array] | None:
        """The same, some outputs of the fragment, by slot, added to totals: those that the program adds up anyway."""
        outs = self.outputs(arrays)
        if outs is not None:
            position = self.bound.program.position
            for slot, total in totals.items():
                np.add(total, outs[position[slot]], out=total)
        return outs


class Compiled(Runner):
    """By machine code: one call with a tuple of arrays, and a template of the words that are always the same."""

    __slots__ = ("entry", "may_be_quick", "moves", "outs", "pick", "template", "workspace")

    def __init__(self, engine: Any, key: Any, bound: Bound) -> None:
        super().__init__(engine, key, bound)
        code = engine.native.codes[bound.program]
        placed = placed_for(code, bound)
        n_objects = len(code.picks) + len(bound.out_types)
        self.fits = n_objects + len(placed.rest) <= ENTRY_WORDS and all(abs(v) <= sys.maxsize for v, _ in placed.rest)
        self.pick = _pick(code.picks, len(bound.program.fragment.inputs))
        added = bound.program.accumulating  # to zeros, which is storing
        self.outs: list[tuple[Any, Any, Any]] = [
            (zeros if p in added else allocator(t.shape, t.dtype), t.shape, t.dtype)
            for p, t in enumerate(bound.out_types)
        ]
        self.workspace = placed.workspace
        self.limit = limit_for(engine, [bound], placed.workspace)
        self.entry: Callable[[int], int] = entry_point("objects_entry")[0]
        rest = [word for value, relative in placed.rest for word in (value, int(relative))] if self.fits else []
        self.template = np.array([code.machine.address, n_objects, len(placed.rest), *rest], np.int64)
        self.moves = _Template(code, bound) if self.fits and bound.program.moving else None
        self.fits = self.fits and not (self.moves and self.moves.is_placed_anew)
        self.may_be_quick = self.moves is None and not added
        if self.may_be_quick and engine.native.objects.load_kernel("builtin", ""):
            self._become_quick()

    def _become_quick(self) -> None:
        """Takes the short way from now on, if the program is short."""
        self.may_be_quick = False  # asked once
        native, bound = self.engine.native, self.bound
        recorder.use(native.objects)
        code, n = native.codes[bound.program], len(bound.in_types)
        self.quick = quick_function(native, code, bound, (), bound.in_types, range(n), range(len(bound.out_types)))

    def _count(self) -> None:
        """One more run that was no builtin function's; after many, what makes those is compiled."""
        native = self.engine.native
        native.runs += 1
        if native.runs >= (PAYS_SOON if native.objects.is_eager else PAYS):
            uninterrupted(lambda: _make(native.objects))
            self._become_quick()

    def outputs(self, arrays: Sequence[Array], words: Any = None) -> list[Array] | None:
        made = self.quick(*arrays)
        if type(made) is list:
            return made
        outs = [new(shape, dtype) for new, shape, dtype in self.outs]
        template = self.template if words is None or self.moves is None else self.moves.moved(self.template, words)
        memory = self.engine.native.scratch(self.workspace) if self.workspace else template
        objects = (template, memory, *(arrays if self.pick is None else self.pick(arrays)), *outs)
        start = perf_counter()
        if self.limit is None:
            status = self.entry(id(objects) + _ITEMS)
        else:
            with self.limit:
                status = self.entry(id(objects) + _ITEMS)
        seconds = perf_counter() - start
        if status:
            return None
        if self.may_be_quick:
            self._count()
        counters = self.counters
        counters.hits += 1
        counters.operations += self.operations
        counters.run_seconds += seconds
        return outs


def _make(objects: Any) -> None:
    """Compiles what makes builtin functions, and what records."""
    objects.make_kernel("builtin", "")
    recorder.use(objects, may_compile=True)


class _Template(Moves):
    """What changes of a template where words move."""

    def __init__(self, code: Any, bound: Bound) -> None:
        super().__init__(code, bound, bound.program.moving)
        self._where = [3 + 2 * p for p in self.places]

    def moved(self, template: Array, words: Sequence[int]) -> Array:
        """The template at other words."""
        made = template.copy()
        made[self._where] = self.at(words)
        return made


class InPieces(Runner):
    """By machine code, piece by piece."""

    __slots__ = ("pieces",)

    def __init__(self, engine: Any, key: Any, bound: Bound, pieces: Pieces) -> None:
        super().__init__(engine, key, bound)
        self.pieces, self.fits = pieces, not bound.program.moving

    def outputs(self, arrays: Sequence[Array], words: Any = None) -> list[Array] | None:
        return self.pieces.outputs(arrays)


class Interpreted(Runner):
    """With NumPy, until the tiers say that compiling pays."""

    __slots__ = ("added", "ledger")

    def __init__(self, engine: Any, key: Any, bound: Bound) -> None:
        super().__init__(engine, key, bound)
        self.added = bool(bound.program.summed)
        #: Who decides when to compile, where that is to be decided.
        self.ledger = engine.ledger(bound.program) if engine.jit == "auto" else None

    def outputs(self, arrays: Sequence[Array], words: Any = None) -> list[Array] | None:
        start = perf_counter()
        bound = self.bound if words is None else self.bound.moved(words)
        totals = bound.program.accumulators({}, bound.out_types) if self.added else ()
        try:
            if self.limit is None:
                outs = interpreter.run(bound, arrays, totals)
            else:
                with self.limit:
                    outs = interpreter.run(bound, arrays, totals)
        except OperationFailed as failure:
            if not isinstance(failure.error, np.linalg.LinAlgError | NbgraphError):
                raise failure.named(None) from failure.error
            return None  # the general way names it
        seconds = perf_counter() - start
        counters = self.counters
        counters.interpreted += 1
        counters.operations += self.operations
        counters.run_seconds += seconds
        if self.ledger is not None:
            self.ledger.record(seconds)
            if self.ledger.pays(1) and not self.engine.native.is_full:
                self.engine.routes.pop(self.key, None)  # the next one is by machine code
        return outs


def _pick(picks: tuple[int, ...], n: int) -> Any:
    """A function of the operands' arrays that gives those the program reads, None where it reads all in order."""
    if picks == tuple(range(n)):
        return None
    if len(picks) == 1:
        only = picks[0]
        return lambda arrays: (arrays[only],)
    return itemgetter(*picks) if picks else lambda arrays: ()
