"""One program called directly: a computation that is one fragment, at given sizes.

In: the only call of a tape. Out: a `Direct`: arrays of the arguments -> fresh arrays of the outputs.
Holds: Python does nothing but make the outputs and a tuple; compiled code checks what is in it and takes the addresses.
"""

from __future__ import annotations

from collections.abc import Sequence
from time import perf_counter
from typing import Any

import numpy as np

from nbgraph.engine.arena import ALIGN
from nbgraph.engine.native import Native, entry_point, placed_for
from nbgraph.engine.tape import Tape
from nbgraph.engine.threads import limit_for
from nbgraph.memory import allocator
from nbgraph.ssa import Bound
from nbgraph.types import TensorType

Array = np.ndarray[Any, Any]

_ITEMS = tuple.__basicsize__
#: `ENTRY_WORDS`, `UNFIT` and the kinds of words of `nbgraph_kernels.checked`, without numba.
_ENTRY_WORDS, _UNFIT = 64, -1
_PLAIN, _WORKSPACE, _ARRAY = 0, 1, 2


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
        self._n_arguments, self._n_given = len(types) - len(constants), len(types)
        self._outs = [(allocator(t.shape, t.dtype), t.shape, t.dtype) for t in bound.out_types]
        self._outputs = [v if v < len(types) else len(types) + call.dests.index(v) for v in tape.outputs]
        self._in_order = self._outputs == list(range(len(types), len(types) + len(self._outs)))
        words = [(call.sources[i], _ARRAY) for i in code.picks]
        words += [(len(types) + p, _ARRAY) for p in range(len(self._outs))]
        words += [(value, _WORKSPACE if relative else _PLAIN) for value, relative in placed.rest]
        self.fits = len(words) <= _ENTRY_WORDS
        checks = [c for t in types[: self._n_arguments] for c in (id(np.ndarray), id(t.dtype), t.ndim, *t.shape)]
        head = [code.machine.address, self._n_arguments, len(words), 4 + 2 * len(words)]
        self._template = np.array([*head, *[x for word in words for x in word], *checks], np.int64)
        self._entry = entry_point("checked_entry")[0]
        self._nbytes = placed.workspace + ALIGN if placed.workspace else 0
        self._limit = limit_for(native.engine, [bound], placed.workspace)
        self._idle: list[Array] = []

    def __call__(self, arrays: tuple[Any, ...]) -> list[Array] | None:
        """The outputs, none of which shares memory with anything; None if the arrays are not what it was made for."""
        if len(arrays) != self._n_arguments:
            return None
        outs = [new(shape, dtype) for new, shape, dtype in self._outs]
        try:
            workspace = self._idle.pop()
        except IndexError:  # in use by another thread, or the first call
            workspace = np.empty(self._nbytes, np.uint8)
        objects = (self._template, workspace, *arrays, *self._constants, *outs)
        start = perf_counter()
        if self._limit is None:
            status = self._entry(id(objects) + _ITEMS)
        else:
            with self._limit:
                status = self._entry(id(objects) + _ITEMS)
        seconds = perf_counter() - start
        self._idle.append(workspace)
        if status:
            if status == _UNFIT:
                return None
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
