"""One program called directly: a computation that is one fragment, at given sizes.

In: the only call of a tape. Out: a `Direct`: arrays of the arguments -> fresh arrays of the outputs.
Holds: Python does nothing but make the arrays of the outputs and a tuple; compiled code reads the addresses off it.
"""

from __future__ import annotations

from collections.abc import Sequence
from time import perf_counter
from typing import Any

import numpy as np
from numpy import empty

from nbgraph.engine.native import Native, entry_point, placed_for
from nbgraph.engine.tape import Tape
from nbgraph.ssa import Bound

Array = np.ndarray[Any, Any]

_ITEMS = tuple.__basicsize__
#: `nbgraph_kernels.driver.ENTRY_WORDS`, without numba.
_ENTRY_WORDS = 64


class Direct:
    """See the module. `fits`: whether there is room for the call's words."""

    def __init__(self, native: Native, tape: Tape, constants: Sequence[Array], bound: Bound) -> None:
        (call,) = tape.calls
        code = native.codes[bound.program]
        placed = placed_for(code, bound)
        self._native, self._bound, self._constants = native, bound, tuple(constants)
        self._counters, self._operations = native.engine.counters, bound.program.n_ops
        self._outs = [(t.shape, t.dtype) for t in bound.out_types]
        n_given = tape.n_given
        self._sources = [call.sources[i] for i in code.picks]
        self._in_order = self._sources == list(range(n_given - len(constants))) and not constants
        self._outputs = [v if v < n_given else n_given + call.dests.index(v) for v in tape.outputs]
        self._plain = self._outputs == list(range(n_given, n_given + len(self._outs)))
        self._n_given = n_given
        n_objects = len(code.picks) + len(self._outs)
        self.fits = n_objects + len(placed.rest) <= _ENTRY_WORDS
        self._workspace = placed.workspace
        self._entry = entry_point("objects_entry")[0]
        rest = [word for value, relative in placed.rest for word in (value, int(relative))]
        self._template = np.array([code.machine.address, n_objects, len(placed.rest), *rest], np.int64)

    def __call__(self, arrays: Sequence[Array]) -> list[Array]:
        """The outputs; none shares memory with anything."""
        outs = [empty(shape, dtype) for shape, dtype in self._outs]
        memory = self._native.scratch(self._workspace) if self._workspace else self._template
        ins = arrays if self._in_order else self._operands(arrays)
        objects = (self._template, memory, *ins, *outs)
        start = perf_counter()
        status = self._entry(id(objects) + _ITEMS)
        counters = self._counters
        counters.run_seconds += perf_counter() - start
        counters.hits += 1
        counters.operations += self._operations
        if status:
            raise self._native.failure(self._bound.program, status)
        return outs if self._plain else self._arranged(arrays, outs)

    def _operands(self, arrays: Sequence[Array]) -> list[Array]:
        given = (*arrays, *self._constants)
        return [given[v] for v in self._sources]

    def _arranged(self, arrays: Sequence[Array], outs: list[Array]) -> list[Array]:
        """The outputs in their order; what is given, or twice among them, is copied."""
        values = (*arrays, *self._constants, *outs)
        fresh = set(range(self._n_given, len(values)))
        arranged = []
        for k in self._outputs:
            arranged.append(values[k] if k in fresh else np.array(values[k]))
            fresh.discard(k)
        return arranged
