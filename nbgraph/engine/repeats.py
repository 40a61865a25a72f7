"""Running a `RepeatCall`: one program, step by step, the cotangents of one step going into the next.

In: the call, and the cotangents of its newest call. Out: its results by slot.
Holds: with machine code all steps are one call of the `repeat` kernel: what changes from step to step is a column of
addresses, cotangents lie in two arrays by turns, and sums are added up in place. Until there is code, steps are
interpreted, and the rest of the steps counts when it is decided whether to compile.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from itertools import compress, repeat
from operator import attrgetter, is_
from typing import Any

import numpy as np

from nbgraph import memory
from nbgraph.calls import FragmentCall, RepeatCall
from nbgraph.engine import interpreter
from nbgraph.engine.native import placed_for
from nbgraph.engine.series import Kept, Rows, Table, all_rows, part
from nbgraph.engine.straight import Loop
from nbgraph.node import Node
from nbgraph.ssa import Program, program_for
from nbgraph.types import type_of_array

_data = attrgetter("data")
Array = np.ndarray[Any, Any]
#: The value of a node that is not part of the graph yet.
Find = Callable[[Node], Array]
#: What a call keeps for its derivative: slots and values.
SavedOf = Callable[[FragmentCall], Any]


class Repeated:
    """A repeat about to run: its program, and the arrays of its inputs.

    `columns[j]`: the arrays of input j of the fragment, one a step, or one array where it is the same in all; None
    where it is a cotangent. `cts`: the cotangents, by the slot they belong to. `totals`: arrays of somebody else's that
    sums are added to, by slot. `chain` and `place`: in which chain, and as which of its calls, the newest call has just
    been run, if all calls are of it.
    """

    def __init__(
        self,
        call: RepeatCall,
        given: Sequence[Array],
        find: Find,
        saved: SavedOf,
        totals: Mapping[int, Array],
        chained: tuple[Any, int],
    ) -> None:
        self.call, self.rest, self.find = call, call.rest, find
        self.chain, self.place = chained
        needed = self.chain is None and any(kind == "saved" for kind, _ in call.plan.sources)
        self.saved = list(map(saved, call.calls)) if needed else []
        self.in_rows = needed and _in_rows(self.saved)
        self.cts: dict[int, Array] = dict(zip(call.links, given, strict=False))
        self.columns = [self._column(kind, which) for kind, which in call.plan.sources]
        self.program = _program(call)
        first, of = self.arrays(0), self.rest.fragment
        types = tuple(self.rest.types)
        words = call.plan.words_at(of, types, self.rest.newest_words)
        #: The words of each step, where they differ.
        self.words = [call.plan.words_at(of, types, w) for w in self.rest.words] if words else []
        self.bound = self.program.bind(tuple(map(type_of_array, first)), words)
        self.elsewhere = totals.keys()
        self.totals = self.program.accumulators(totals, self.bound.out_types)
        at = {slot: self.bound.out_types[self.program.position[slot]] for slot in call.apart}
        #: Results that every step has of its own, by slot: a row a step.
        self.apart = {slot: memory.empty((self.rest.steps, *t.shape), t.dtype) for slot, t in at.items()}

    def _column(self, kind: str, which: int) -> Any:
        if kind == "cotangent" and which in self.call.links:
            return None
        if kind in ("cotangent", "beside"):
            each = self.call.each[which]
            return self._value(each[0]) if len(each) == 1 else self._values(each)
        if self.chain is not None:
            column = self._column_of_chain(which)
            if column is not None:
                return column
        if kind == "saved" and which >= len(self.rest.fragment.inputs):
            place = self.saved[0][0].index(which)
            if self.in_rows:
                kept = self.saved[0][1]
                return Rows(kept.series[place], kept.k)
            return [values[place] for _, values in self.saved]
        nodes = self.rest.column(which)
        same = len(set(map(id, nodes))) == 1  # in all of them: equal numbers are one node, now and then
        return self._value(nodes[0]) if same else self._values(nodes)

    def _column_of_chain(self, which: int) -> Any:
        """What the chain holds of an operand or a slot, newest first; None where it is the same in all calls."""
        n = len(self.chain.fragment.inputs)
        series = self.chain.operands.get(which) if which < n else self.chain.series[which]
        if type(series) is np.ndarray:
            return Rows(series, self.place)
        if type(series) is tuple:  # one for all
            return series[0]
        first = self.place + 1 - self.rest.steps
        return None if series is None else series[first : self.place + 1][::-1]

    def _values(self, nodes: Sequence[Node]) -> list[Array]:
        found = list(map(_data, nodes))
        return list(map(self._value, nodes)) if any(map(is_, found, repeat(None))) else found

    def _value(self, node: Node) -> Array:
        data: Array | None = node.data
        return self.find(node) if data is None else data

    def _filled(self) -> list[Any]:
        """The columns, with the cotangents of now."""
        sources = self.call.plan.sources
        return [self.cts[which] if c is None else c for c, (_, which) in zip(self.columns, sources, strict=True)]

    def arrays(self, k: int) -> list[Array]:
        """The fragment's inputs at step k."""
        return [c if isinstance(c, np.ndarray) else c[k] for c in self._filled()]

    def interpret(self, steps: range) -> None:
        """Some steps, with NumPy."""
        filled = self._filled()
        picked = [filled[j] for j in self.program.picks]
        moves = tuple([not isinstance(column, np.ndarray) for column in picked])
        loop, taken = self._loop(moves)
        last: dict[int, deque[Array]] = {s: deque(maxlen=1) for s in taken}
        made: dict[int, list[Array]] = {slot: [] for slot in self.apart}
        columns: list[Any] = [part(column, steps) for column in compress(picked, moves)]
        if self.words:
            columns.insert(0, [self.program.bind(self.bound.in_types, self.words[k]) for k in steps])
        outs = interpreter.run_loop(
            self.bound,
            [a[steps.start] if moving else a for a, moving in zip(picked, moves, strict=True)],
            self.totals,
            loop,
            zip(*columns, strict=True) if columns else repeat((), len(steps)),
            [values.append for values in (*made.values(), *last.values())],
            lambda k, failure: failure.named(self.rest.call(steps[k])),
        )
        for slot, stack in self.apart.items():
            for k, a in zip(steps, made[slot], strict=True):
                stack[k] = a
        linked = [s for s in self.call.links if s not in last]
        self.cts.update(zip(linked, outs, strict=True))
        self.cts.update({s: a for s, (a,) in last.items()})

    def _loop(self, moves: tuple[bool, ...]) -> tuple[Loop, tuple[int, ...]]:
        """The loop of a step's program, of whose inputs some move; and the cotangents that no input is linked to."""
        call, program = self.call, self.program
        known = program.__dict__.setdefault("_loops", {})
        key = (moves, call.plan.sources, *call.links.items(), *self.apart, bool(self.words))
        found: tuple[Loop, tuple[int, ...]] | None = known.get(key)
        if found is None:
            position, sources = program.position, call.plan.sources
            linked = {sources[j][1]: p for p, j in enumerate(program.picks) if self.columns[j] is None}
            taken = tuple(s for s in call.links if s not in linked)
            links = tuple((linked[s], position[slot]) for s, slot in call.links.items() if s in linked)
            kept = [position[slot] for slot in (*self.apart, *(call.links[s] for s in taken))]
            loop = Loop(tuple(compress(range(len(moves)), moves)), links, tuple(kept), bool(self.words))
            found = known[key] = loop, taken
        return found

    def results(self) -> dict[Any, Array]:
        """By slot of the fragment; by slot and step where every step has one."""
        found: dict[Any, Array] = {slot: self.cts[s] for s, slot in self.call.links.items()}
        first = len(self.bound.out_types) - len(self.totals)
        found.update(
            {s: self.totals[self.program.position[s] - first] for s in self.call.sums if s not in self.elsewhere}
        )
        for slot, stack in self.apart.items():
            found.update(zip(zip(repeat(slot), range(len(stack))), all_rows(stack), strict=False))
        return found


def _in_rows(saved: Sequence[Any]) -> bool:
    """Whether what calls keep, newest first, are rows of the same arrays, one after another."""
    kept = saved[0][1]
    if type(kept) is not Kept or not all(type(s) is np.ndarray for s in kept.series):
        return False
    series, k = kept.series, kept.k
    return all(type(v) is Kept and v.series is series and v.k == k - j for j, (_, v) in enumerate(saved))


def _program(call: RepeatCall) -> Program:
    """The program of a step; sums are added up, nothing else is."""
    slots, sums = frozenset((*call.links.values(), *call.sums, *call.apart)), frozenset(call.sums)
    program = program_for(call.fragment, slots, sums)
    if frozenset(program.summed) == sums:
        return program
    cache = call.fragment.cache
    made: Program | None = cache.get(("repeat", slots, sums))
    if made is None:
        made = cache.setdefault(("repeat", slots, sums), Program(call.fragment, tuple(sorted(slots)), sums))
    return made


def run_repeat(
    engine: Any,
    call: RepeatCall,
    given: Sequence[Array],
    find: Find,
    saved: SavedOf,
    totals: Mapping[int, Array],
    chained: tuple[Any, int] = (None, 0),
) -> dict[Any, Array]:
    """The results of a repeat, by slot, or slot and step; without the sums that are added to `totals`."""
    run = Repeated(call, given, find, saved, totals, chained)
    done, steps = 0, call.rest.steps
    while done < steps:
        if engine.ready(run.program, steps - done):
            _run_native(engine.native, run, done)
            break
        chunk = range(done, done + engine.stretch(run.program, done, steps - done))
        _interpret(engine, run, chunk)
        done = chunk.stop
    return run.results()


def _interpret(engine: Any, run: Repeated, steps: range) -> None:
    """Some steps, with NumPy."""
    start = time.perf_counter()
    run.interpret(steps)
    engine.count_interpreted(run.program, time.perf_counter() - start, len(steps))


def _run_native(native: Any, run: Repeated, start: int) -> None:
    """The steps from `start` on, by machine code."""
    code = native.codes[run.program]
    placed = placed_for(code, run.bound)
    steps = run.rest.steps - start
    table = Table(code.n_inputs + len(run.bound.out_types) + len(placed.rest))
    turns = {s: _two(run, s) for s in run.call.links}
    for position, j in enumerate(code.picks):
        column = run.columns[j]
        if column is None:
            table.turn(position, turns[run.call.plan.sources[j][1]], 0)
        elif isinstance(column, np.ndarray):
            table.fix(position, column)
        elif isinstance(column, Rows):
            table.rows(position, column.stack, column.first - start, -1)
        else:
            table.column(position, column[start:])
    _outputs(run, table, turns, code.n_inputs, start)
    table.finish(native, code, run.bound, run.words[start:])
    table.run(native, run.program, steps, lambda k: run.rest.call(start + k))
    run.cts = {s: pair[steps & 1, ...].copy() for s, pair in turns.items()}


def _two(run: Repeated, s: int) -> Array:
    """Two arrays for a cotangent, the first one filled."""
    first = run.cts[s]
    pair = memory.empty((2, *first.shape), first.dtype)
    pair[0] = first
    return pair


def _outputs(run: Repeated, table: Table, turns: dict[int, Array], n_inputs: int, start: int) -> None:
    """Where the outputs go: to the cotangents' other arrays, to the sums, to rows of their own, to nobody."""
    program, types = run.program, run.bound.out_types
    going = {program.position[slot]: s for s, slot in run.call.links.items()}
    apart = {program.position[slot]: stack for slot, stack in run.apart.items()}
    stored = len(types) - len(run.totals)
    for p, t in enumerate(types):
        if p in going:
            table.turn(n_inputs + p, turns[going[p]], 1)
        elif p in apart:
            table.rows(n_inputs + p, apart[p], start)
        else:
            table.fix(n_inputs + p, run.totals[p - stored] if p >= stored else memory.empty(t.shape, t.dtype))
