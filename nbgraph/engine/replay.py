"""Replaying a tape: all its calls, at given sizes, as one call of machine code.

In: a tape, types of its arguments, its constants. Out: a `Replay`: arrays of the arguments -> fresh arrays of the
outputs.
Holds: everything is decided once for the sizes: where values lie (`arena`), and the words that the kernel `replay`
reads (`image`). Both lie in one piece of memory, which belongs to one call at a time and is kept for the next.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from nbgraph.engine.arena import ALIGN, Arena
from nbgraph.engine.image import FAILED, Image
from nbgraph.engine.native import Native, entry_point
from nbgraph.engine.tape import Tape, runs_of
from nbgraph.engine.threads import UNLIMITED, limit_for
from nbgraph.fragment import size_at
from nbgraph.memory import copy
from nbgraph.ssa import Bound
from nbgraph.types import TensorType

Array = np.ndarray[Any, Any]

#: Where the items of a tuple begin.
_ITEMS = tuple.__basicsize__


class Replay:
    """See the module. `types` are those of arguments and constants, `sizes` what named sizes stand for."""

    def __init__(
        self,
        native: Native,
        tape: Tape,
        constants: Sequence[Array],
        types: Sequence[TensorType],
        sizes: Mapping[Any, int],
    ) -> None:
        self._native, self._constants = native, constants
        self._bounds, known = bind_calls(tape, types, sizes)
        runs = runs_of(self._bounds)
        arena = Arena(tape, runs, self._bounds)
        arguments = types[: len(types) - len(constants)]
        self._given = [(t.shape, t.dtype) for t in arguments]
        self.image = Image(native, tape, runs, self._bounds, arena, len(arguments), constants)
        self._outputs = [(v, known[v], arena.place[v]) for v in tape.outputs]
        self._operations = sum(b.program.n_ops for b in self._bounds)
        self.entry = entry_point("replay")[0]
        self._limit = limit_for(native.engine, self._bounds, self.image.nbytes) or UNLIMITED
        self._idle: list[_Memory] = []

    def __call__(self, arrays: tuple[Any, ...]) -> list[Array] | None:
        """The outputs, none of which shares memory with anything; None if the arrays are not what it was made for."""
        if not fit(arrays, self._given):
            return None
        try:
            memory = self._idle.pop()
        except IndexError:  # in use by another thread, or the first call
            memory = _Memory(self.image)
        objects = (memory.bytes, *arrays)
        start = time.perf_counter()
        with self._limit:
            status = self.entry(id(objects) + _ITEMS)
        self._native.engine.counters.run_seconds += time.perf_counter() - start
        if status:
            self._fail(memory, status)
        self._native.count(len(self._bounds), self._operations)
        outs = [self._output(memory, arrays, *output) for output in self._outputs]
        self._idle.append(memory)
        return outs

    def _output(self, memory: _Memory, arrays: Sequence[Array], v: int, t: TensorType, at: int) -> Array:
        if at < 0:
            return np.array(arrays[v] if v < len(arrays) else self._constants[v - len(arrays)])
        return copy(memory.view(t, at))

    def _fail(self, memory: _Memory, status: int) -> None:
        """Raises the error of the call that failed."""
        run, repetition, row = memory.words[FAILED : FAILED + 3].tolist()
        start, period, _ = self.image.runs[run]
        call = start + period * repetition + row
        raise self._native.failure(self._bounds[call].program, status)


def fit(arrays: tuple[Any, ...], given: Sequence[tuple[Any, Any]]) -> bool:
    """Whether arrays are of these shapes and dtypes, and as machine code reads them."""
    if len(arrays) != len(given):
        return False
    for a, (shape, dtype) in zip(arrays, given, strict=True):
        if type(a) is not np.ndarray or a.dtype is not dtype or a.shape != shape:
            return False
        if not (a.flags.c_contiguous and a.flags.aligned):
            return False
    return True


class _Memory:
    """An image and its arena at an address."""

    def __init__(self, image: Image) -> None:
        self.bytes = np.empty(image.nbytes + ALIGN, np.uint8)
        base = -self.bytes.ctypes.data % ALIGN
        self._arena = base + image.arena_at
        self.words = self.bytes[base : base + 8 * image.n_words].view(np.int64)
        image.write(self.words)

    def view(self, t: TensorType, at: int) -> Array:
        """The array of a type at an offset of the arena."""
        return np.ndarray(t.shape, t.dtype, self.bytes, self._arena + at)


def bind_calls(tape: Tape, given: Sequence[TensorType], sizes: Mapping[Any, int]) -> tuple[list[Bound], list[Any]]:
    """Every call's program at these sizes (equal calls have the same `Bound`), and the types of all values."""
    types: list[Any] = [*given, *[None] * (tape.n_values - len(given))]
    known: dict[Any, Bound] = {}
    bounds = []
    for program, words, sources, dests in tape.calls:
        ins = tuple([types[v] for v in sources])
        bound = known.get((program, ins, words))
        if bound is None:
            at = tuple([size_at(w, sizes) for w in words])
            bound = known[program, ins, words] = program.bind(ins, at, check=True)
        for v, t in zip(dests, bound.out_types, strict=True):
            types[v] = t if v >= 0 else types[v]
        bounds.append(bound)
    return bounds, types
