"""Running a `RepeatCall`: one program, step by step, the cotangents of one step going into the next.

In: the call, and the cotangents of its newest call. Out: its results by slot.
Holds: with machine code all steps are one call of the `repeat` kernel: what changes from step to step is a column of
addresses, cotangents lie in two arrays by turns, and sums are added up in place. Until there is code, steps are
interpreted, and the rest of the steps counts when it is decided whether to compile.
"""

from __future__ import annotations

import time
from array import array
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from nbgraph.engine import interpreter
from nbgraph.engine.failure import OperationFailed
from nbgraph.engine.native import entry_point, placed_for
from nbgraph.ssa import Program, program_for
from nbgraph.trace import FragmentCall, Node, RepeatCall
from nbgraph.types import type_of_array

Array = np.ndarray[Any, Any]
#: The value of a node, or of a slot of a call, that is not part of the graph yet.
Find = Callable[[Any, int], Array]
_COLUMN, _TURNS = 0, 2  # kinds of columns of the kernel


class Repeated:
    """A repeat about to run: its program, and the arrays of its inputs.

    `columns[j]`: the arrays of input j of the fragment, one a step, or one array where it is the same in all; None
    where it is a cotangent. `cts`: the cotangents, by the slot they belong to.
    """

    def __init__(self, call: RepeatCall, given: Sequence[Array], find: Find) -> None:
        self.call, self.find = call, find
        self.cts: dict[int, Array] = dict(zip(call.links, given, strict=False))
        self.columns = [self._column(kind, which) for kind, which in call.plan.sources]
        self.program = _program(call)
        newest = call.calls[0]
        first = [c if isinstance(c, np.ndarray) else c[0] for c in self._filled()]
        types = tuple([i.type for i in newest.inputs])
        words = call.plan.words_at(newest.fragment, types, newest.words)
        self.bound = self.program.bind(tuple(map(type_of_array, first)), words)
        self.totals = self.program.accumulators({}, self.bound.out_types)

    def _column(self, kind: str, which: int) -> Any:
        calls = self.call.calls
        if kind == "cotangent":
            return [self._value(node) for node in self.call.each[which]] if which in self.call.each else None
        if kind == "saved" and which >= len(calls[0].fragment.inputs):
            return [self._saved(c, which) for c in calls]
        node = calls[0].inputs[which]
        if node is calls[1].inputs[which]:
            return self._value(node)
        return [self._value(c.inputs[which]) for c in calls]

    def _value(self, node: Node) -> Array:
        data: Array | None = node.data
        return self.find(node, -1) if data is None else data

    def _saved(self, call: FragmentCall, slot: int) -> Array:
        if call.saved is None:
            return self.find(call, slot)
        found: Array = call.saved[1][call.saved[0].index(slot)]
        return found

    def _filled(self) -> list[Any]:
        """The columns, with the cotangents of now."""
        sources = self.call.plan.sources
        return [self.cts[which] if c is None else c for c, (_, which) in zip(self.columns, sources, strict=True)]

    def arrays(self, k: int) -> list[Array]:
        """The fragment's inputs at step k."""
        return [c if isinstance(c, np.ndarray) else c[k] for c in self._filled()]

    def advance(self, outs: Sequence[Array]) -> None:
        """Takes in what a step gave."""
        position = self.program.position
        self.cts = {s: outs[position[slot]] for s, slot in self.call.links.items()}

    def results(self) -> dict[int, Array]:
        """By slot of the fragment."""
        found = {slot: self.cts[s] for s, slot in self.call.links.items()}
        first = len(self.bound.out_types) - len(self.totals)
        found.update({s: self.totals[self.program.position[s] - first] for s in self.call.sums})
        return found


def _program(call: RepeatCall) -> Program:
    """The program of a step; sums are added up, nothing else is."""
    slots, sums = frozenset((*call.links.values(), *call.sums)), frozenset(call.sums)
    program = program_for(call.fragment, slots, sums)
    if frozenset(program.summed) == sums:
        return program
    cache = call.fragment.cache
    made: Program | None = cache.get(("repeat", slots, sums))
    if made is None:
        made = cache["repeat", slots, sums] = Program(call.fragment, tuple(sorted(slots)), sums)
    return made


def run_repeat(engine: Any, call: RepeatCall, given: Sequence[Array], find: Find) -> dict[int, Array]:
    """The results of a repeat, by slot."""
    run = Repeated(call, given, find)
    done, steps = 0, len(call.calls)
    while done < steps:
        if engine.ready(run.program, steps - done):
            _run_native(engine.native, run, done)
            break
        chunk = range(done, min(2 * done + 1, steps))
        _interpret(engine, run, chunk)
        done = chunk.stop
    return run.results()


def _interpret(engine: Any, run: Repeated, steps: range) -> None:
    """Some steps, with NumPy."""
    start, stored = time.perf_counter(), len(run.bound.out_types) - len(run.totals)
    for k in steps:
        try:
            outs = interpreter.run(run.bound, run.arrays(k))
        except OperationFailed as failure:
            raise failure.named(run.call.calls[k]) from failure.error
        for total, out in zip(run.totals, outs[stored:], strict=True):
            np.add(total, out, out=total)
        run.advance(outs)
    seconds = time.perf_counter() - start
    engine.ledger(run.program).record(seconds, len(steps))
    with engine._lock:
        engine.counters.interpreted += len(steps)
        engine.counters.operations += len(steps) * run.program.n_ops
        engine.counters.run_seconds += seconds


def _run_native(native: Any, run: Repeated, start: int) -> None:
    """The steps from `start` on, by machine code."""
    code = native.codes[run.program]
    placed = placed_for(code, run.bound)
    steps = len(run.call.calls) - start
    table = _Table(code.n_inputs + len(run.bound.out_types) + len(placed.rest))
    turns = {s: _two(run, s) for s in run.call.links}
    for position, j in enumerate(code.picks):
        column = run.columns[j]
        if column is None:
            table.turn(position, turns[run.call.plan.sources[j][1]], 0)
        elif isinstance(column, np.ndarray):
            table.fix(position, column)
        else:
            table.column(position, column[start:])
    _outputs(run, table, turns, code.n_inputs)
    table.words[table.n - len(placed.rest) :] = array("q", placed.at(native.workspace(placed.workspace)))
    status = table.run(native, code.machine.address, steps)
    ran = steps if status == 0 else status >> 32
    native.count(ran, ran * run.program.n_ops)
    if status:
        failure = native.failure(run.program, status & 0xFFFFFFFF)
        assert isinstance(failure, OperationFailed)
        raise failure.named(run.call.calls[start + ran - 1]) from failure.error
    run.cts = {s: pair[steps & 1, ...].copy() for s, pair in turns.items()}


def _two(run: Repeated, s: int) -> Array:
    """Two arrays for a cotangent, the first one filled."""
    first = run.cts[s]
    pair = np.empty((2, *first.shape), first.dtype)
    pair[0] = first
    return pair


def _outputs(run: Repeated, table: _Table, turns: dict[int, Array], n_inputs: int) -> None:
    """Where the outputs go: to the cotangents' other arrays, to the sums, to nobody."""
    program, types = run.program, run.bound.out_types
    going = {program.position[slot]: s for s, slot in run.call.links.items()}
    stored = len(types) - len(run.totals)
    for p, t in enumerate(types):
        if p in going:
            table.turn(n_inputs + p, turns[going[p]], 1)
        else:
            table.fix(n_inputs + p, run.totals[p - stored] if p >= stored else np.empty(t.shape, t.dtype))


class _Table:
    """The words of a step, and what changes of them."""

    def __init__(self, n: int) -> None:
        self.n = n
        self.words = array("q", bytes(8 * n))
        self.columns = array("q")
        self.alive: list[Any] = []

    def fix(self, position: int, a: Array) -> None:
        """An array that is the same at every step."""
        self.words[position] = a.ctypes.data
        self.alive.append(a)

    def turn(self, position: int, pair: Array, first: int) -> None:
        """Two arrays by turns, beginning with `first`."""
        step = pair.nbytes // 2
        start = pair.ctypes.data + first * step
        self.columns.extend((position, _TURNS, start, -step if first else step, 1))

    def column(self, position: int, arrays: Sequence[Array]) -> None:
        """An array for each step."""
        ids = array("q", map(id, arrays))
        self.alive += [ids, arrays]
        self.columns.extend((position, _COLUMN, ids.buffer_info()[0], 0, 0))

    def run(self, native: Any, address: int, steps: int) -> int:
        """The status of so many steps."""
        repeat, offset = entry_point("repeat")
        words = [address, steps, self.words.buffer_info()[0], len(self.columns) // 5]
        status: int = native.timed(repeat, array("q", [*words, self.columns.buffer_info()[0], offset]))
        return status
