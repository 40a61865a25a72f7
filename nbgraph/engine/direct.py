"""One program called directly: a computation that is one fragment, at given sizes.

In: the only call of a tape. Out: a `Direct`: arrays of the arguments -> fresh arrays of the outputs.
Holds: Python compares the arguments with what the program was planned for and makes the outputs; compiled code takes
the addresses and calls.
"""

from __future__ import annotations

from collections.abc import Sequence
from time import perf_counter
from typing import Any

import numpy as np

from nbgraph.engine.arena import ALIGN
from nbgraph.engine.native import Native, entry_point, placed_for
from nbgraph.engine.replay import fit
from nbgraph.engine.tape import Tape
from nbgraph.engine.threads import limit_for
from nbgraph.memory import allocator
from nbgraph.ssa import Bound
from nbgraph.types import TensorType
from nbgraph_kernels.arrays import ENTRY_WORDS

Array = np.ndarray[Any, Any]

_ITEMS = tuple.__basicsize__


class Direct:
    """See the module. `types` are those of arguments and constants; `fits`: whether there is room for the words."""

    def __init__(
        self, native: Native, tape: Tape, constants: Sequence[Array], types: Sequence[TensorType], bound: Bound
    ) -> None:
        (call,) = tape.calls
        code = native.codes[bound.program]
        placed = placed_for(code, bound)
        self._native, self._bound, self._constants = native, bound, tuple(constants)
        self._counters, self._operations = native.engine.counters, bound.program.n_ops
        self._given = [(t.shape, t.dtype) for t in types[: len(types) - len(constants)]]
        self._n_given = len(types)
        self._outs = [(allocator(t.shape, t.dtype), t.shape, t.dtype) for t in bound.out_types]
        self._outputs = [v if v < len(types) else len(types) + call.dests.index(v) for v in tape.outputs]
        self._in_order = self._outputs == list(range(len(types), len(types) + len(self._outs)))
        self._picks = [call.sources[i] for i in code.picks]
        n_objects = len(self._picks) + len(self._outs)
        self.fits = n_objects + len(placed.rest) <= ENTRY_WORDS
        rest = [word for value, relative in placed.rest for word in (value, int(relative))]
        self._template = np.array([code.machine.address, n_objects, len(placed.rest), *rest], np.int64)
        self._entry = entry_point("objects_entry")[0]
        self._nbytes = placed.workspace + ALIGN if placed.workspace else 0
        self._limit = limit_for(native.engine, [bound], placed.workspace)
        self._idle: list[Array] = []

    def __call__(self, arrays: tuple[Any, ...]) -> list[Array] | None:
        """The outputs, none of which shares memory with anything; None if the arrays are not what it was made for."""
        if not fit(arrays, self._given):
            return None
        outs = [new(shape, dtype) for new, shape, dtype in self._outs]
        try:
            workspace = self._idle.pop()
        except IndexError:  # in use by another thread, or the first call
            workspace = np.empty(self._nbytes, np.uint8)
        given = (*arrays, *self._constants)
        objects = (self._template, workspace, *[given[v] for v in self._picks], *outs)
        start = perf_counter()
        if self._limit is None:
            status = self._entry(id(objects) + _ITEMS)
        else:
            with self._limit:
                status = self._entry(id(objects) + _ITEMS)
        seconds = perf_counter() - start
        self._idle.append(workspace)
        if status:
            raise self._native.failure(self._bound.program, status)
        counters = self._counters
        counters.run_seconds += seconds
        counters.hits += 1
        counters.operations += self._operations
        return outs if self._in_order else self._arranged(arrays, outs)

    def _arranged(self, arrays: tuple[Any, ...], outs: list[Array]) -> list[Array]:
        """The outputs in their order; what is given, or is twice among them, is copied."""
        values = (*arrays, *self._constants, *outs)
        fresh = set(range(self._n_given, len(values)))
        arranged = []
        for k in self._outputs:
            arranged.append(values[k] if k in fresh else np.array(values[k]))
            fresh.discard(k)
        return arranged
