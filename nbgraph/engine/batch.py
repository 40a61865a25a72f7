"""Runs of calls that have machine code: one table, walked by one compiled driver.

In: steps of a schedule, one after another. Out: their results, when the batch is flushed.
Holds: nothing runs before `flush`; arrays are made as steps are added, and an array that only later steps of the run
read is used again once the last of them is added. A table grows with the number of steps, code does not.
"""

from __future__ import annotations

from array import array
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from nbgraph.calls import FragmentCall
from nbgraph.engine.failure import OperationFailed
from nbgraph.engine.native import Native, entry_point, placed_for
from nbgraph.engine.rows import Key
from nbgraph.engine.schedule import Schedule
from nbgraph.memory import empty
from nbgraph.ssa import Bound
from nbgraph.types import TensorType

Array = np.ndarray[Any, Any]


class Batch:
    """Collects steps; `results` receives the arrays of every step at once, their contents at `flush`."""

    def __init__(self, native: Native, schedule: Schedule, results: dict[Key, Array]) -> None:
        self.native, self.schedule, self.results = native, schedule, results
        self._spare: dict[TensorType, list[Array]] = {}
        self._clear()

    def _clear(self) -> None:
        #: What the last step was, where another one like it needs nothing looked up: see `add_alike`.
        self.structure: Any = None
        self._words = array("q")
        self._rows: list[tuple[int, int, int]] = []  # function, where its words start, how many are arrays
        self._calls: list[tuple[FragmentCall, Bound]] = []
        self._alive: list[Array] = []
        self._workspace = 0
        self._relative: list[int] = []  # positions of words that are relative to the workspace

    def add(
        self,
        call: FragmentCall,
        bound: Bound,
        places: Mapping[Key, int],
        arrays: Sequence[Array],
        totals: Mapping[int, Array],
    ) -> None:
        """Appends a step; its outputs become results."""
        self._append(call, bound, arrays, self._outputs(bound, places, totals))

    def add_alike(self, call: FragmentCall, structure: Any, arrays: Sequence[Array]) -> bool:
        """Appends a step if it is like the last one in fragment, wanted slots, types and words; says whether it is."""
        if structure != self.structure:
            return False
        bound = self._calls[-1][1]
        outs, position = [empty(t.shape, t.dtype) for t in bound.out_types], bound.program.position
        for slot in structure[1]:
            self.results[id(call), slot] = outs[position[slot]]
        self._append(call, bound, arrays, outs)
        return True

    def _append(self, call: FragmentCall, bound: Bound, arrays: Sequence[Array], outs: list[Array]) -> None:
        code = self.native.codes[bound.program]
        ins = [arrays[i] for i in code.picks]
        placed = placed_for(code, bound)
        words = self._words
        self._rows.append((code.machine.address, len(words), len(ins) + len(outs)))
        words.extend(map(id, ins))
        words.extend(map(id, outs))
        if placed.workspace:
            start = self._rows[-1][1]
            self._relative += [start + k for k in placed.relative]
            self._workspace = max(self._workspace, placed.workspace)
        words.extend(placed.at(0))
        self._calls.append((call, bound))
        self._alive += ins
        self._alive += outs
        self._release(call)

    def _outputs(self, bound: Bound, places: Mapping[Key, int], totals: Mapping[int, Array]) -> list[Array]:
        """Arrays for a step's outputs, entered as results where somebody wants them."""
        program, position = bound.program, bound.program.position
        keys: dict[int, list[Key]] = {}
        for key, slot in places.items():
            if slot not in totals:
                keys.setdefault(position[slot], []).append(key)
        outs = []
        for p, t in enumerate(bound.out_types[: len(bound.out_types) - len(program.summed)]):
            wanted = keys.get(p, [])
            passing = wanted and all(self.schedule.is_passing(key) for key in wanted)
            spare = self._spare.get(t) if passing else None
            a = spare.pop() if spare else empty(t.shape, t.dtype)
            for key in wanted:
                self.results[key] = a
            outs.append(a)
        added = program.accumulators(totals, bound.out_types) if program.summed else []
        for a, slot in zip(added, program.summed, strict=True):
            for key in keys.get(position[slot], ()):
                self.results[key] = a
        return outs + added

    def _release(self, call: FragmentCall) -> None:
        """Arrays whose last reader was this call are free for later steps."""
        for key, t in self.schedule.released_by(call):
            a = self.results.pop(key, None)
            if a is not None:
                self._spare.setdefault(t, []).append(a)

    def flush(self) -> None:
        """Runs what was added."""
        if not self._rows:
            return
        base = self.native.workspace(self._workspace) if self._workspace else 0
        words = self._words
        for k in self._relative:
            words[k] += base
        start = words.buffer_info()[0]
        table = array("q", [x for f, at, n in self._rows for x in (f, start + 8 * at, n)])
        driver, offset = entry_point("objects_driver")
        status = self.native.timed(driver, array("q", [table.buffer_info()[0], len(self._rows), offset]))
        ran = self._calls if status == 0 else self._calls[: status >> 32]
        self.native.count(len(ran), sum(bound.program.n_ops for _, bound in ran))
        if status:
            self._fail(status)
        self._clear()

    def _fail(self, status: int) -> None:
        call, bound = self._calls[(status >> 32) - 1]
        failure = self.native.failure(bound.program, status & 0xFFFFFFFF)
        assert isinstance(failure, OperationFailed)
        raise failure.named(call) from failure.error
