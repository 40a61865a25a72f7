"""Calls of a loop that have not run yet, run as one.

In: a call that has to run. Out: the chain that ends with it: calls of one fragment at the same sizes, each working on
results of the one before; and its values, one series for each slot.
Holds: with machine code the calls of a chain are one call of the `repeat` kernel, and the values of a slot lie in the
rows of one array, so what changes from call to call are addresses at even distances. Until there is code, calls are
interpreted, and the rest of the chain counts when it is decided whether to compile. Nothing a chain needs is made by
what depends on it: its other operands are known, or older than its oldest call.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from itertools import chain as joined
from itertools import repeat
from operator import attrgetter
from typing import Any

import numpy as np

from nbgraph import memory, repeats
from nbgraph.calls import FragmentCall
from nbgraph.engine import interpreter
from nbgraph.engine.native import placed_for
from nbgraph.engine.series import Kept, Table, all_rows, row
from nbgraph.engine.straight import Loop
from nbgraph.loops import TOTAL, LoopCall
from nbgraph.node import Node
from nbgraph.resolve import saved_slots
from nbgraph.ssa import Bound, program_for
from nbgraph.stretch import EACH, SAME, Columns, Makers, admitted_by, columns_of, fitting, pattern_of, stretch_from

Array = np.ndarray[Any, Any]
_seq = attrgetter("seq")


class Chain:
    """Calls, oldest first, or the rows of a loop (then `calls` is empty). `pattern`: for each operand SAME, EACH, or
    the slot of the call before.

    `first` are the operands of the oldest call, `columns` those that each call has of its own, by position; `inputs`
    all of them; calls in `free` make some of them, and run before. Once it ran, `series[slot]` holds a value of each
    call: rows of an array, or a list; and, if machine code ran all of it, `operands[p]` has operand p of each call,
    where it changes, likewise; of a loop it always has all of them.
    """

    __slots__ = (
        "_inputs",
        "_kept",
        "active",
        "calls",
        "columns",
        "first",
        "fragment",
        "free",
        "n",
        "oldest_words",
        "operands",
        "pattern",
        "seq",
        "series",
        "sites",
        "words",
    )
    #: A chain of a loop stands for its rows where failures are named.
    origin = None

    def __init__(self, first: FragmentCall | LoopCall, n: int, pattern: tuple[int, ...]) -> None:
        self.fragment, self.seq, self.active, self.sites = first.fragment, first.seq, first.active, first.sites
        self.n, self.pattern = n, pattern
        self.first: tuple[Node, ...] = ()
        self.columns: dict[int, list[Node]] = {}
        self.calls: tuple[FragmentCall, ...] = ()
        self.free: Sequence[Any] = ()
        #: The words of the oldest call; and those of each, where they differ.
        self.oldest_words, self.words = first.words, list[Any]()
        self.series: dict[int, Any] = {}
        self.operands: dict[int, Any] = {}
        self._kept: Any = None
        self._inputs: tuple[Node, ...] | None = None

    @classmethod
    def of_calls(cls, calls: Sequence[FragmentCall], pattern: tuple[int, ...], free: Sequence[Any]) -> Chain:
        """The chain of calls, oldest first."""
        made = cls(calls[0], len(calls), pattern)
        made.calls, made.free, made.first = tuple(calls), free, calls[0].inputs
        each = [p for p, kind in enumerate(pattern) if kind == EACH]
        made.columns = {p: [c.inputs[p] for c in calls] for p in each}
        words = [c.words for c in calls]
        made.words = words if any(w != words[0] for w in words) else []
        return made

    @classmethod
    def of_loop(cls, loop: LoopCall) -> Chain:
        """The chain of a loop's rows."""
        made = cls(loop, loop.n, loop.pattern)
        made.first, made.columns = loop.first, {p: nodes[: loop.n] for p, nodes in loop.columns.items()}
        return made

    @property
    def inputs(self) -> tuple[Node, ...]:
        if self._inputs is None:
            self._inputs = (*self.first, *joined.from_iterable([column[1:] for column in self.columns.values()]))
        return self._inputs

    def call(self, k: int) -> Any:
        """What a failure of call k is named by."""
        return self.calls[k] if self.calls else self

    def at(self, slot: int, k: int) -> Array:
        """A value of call k, or the sum of a scalar over all calls, one after another."""
        if k != TOTAL:
            return row(self.series[slot], k)
        values = np.array(self.series[slot])
        total: Array = np.add.accumulate(values, dtype=values.dtype)[-1, ...].copy()
        return total

    def value(self, slot: int, k: int) -> Array | None:
        """A value of a row, if it was kept."""
        return row(self.series[slot], k) if slot in self.series else None

    def keep(self) -> None:
        """Forgets what neither goes from row to row nor into a derivative."""
        kept = {*self.pattern, *self._kept_series()[0]}
        self.series = {slot: values for slot, values in self.series.items() if slot in kept}
        self.first, self.columns, self._inputs = (), dict[int, list[Node]](), None

    def saved_at(self, k: int) -> Any:
        """What call k keeps for its derivative, as `FragmentCall.saved`."""
        slots, series = self._kept_series()
        return (slots, Kept(series, k)) if slots else None

    def all_saved(self) -> list[Any]:
        """The same of every call."""
        slots, series = self._kept_series()
        return [(slots, Kept(series, k)) for k in range(self.n)] if slots else [None] * self.n

    def _kept_series(self) -> Any:
        if self._kept is None:
            slots = saved_slots(self.fragment) if self.active else ()
            self._kept = slots, tuple([self.series[s] for s in slots])
        return self._kept


def chain_from(
    call: FragmentCall,
    maker: Callable[[Node], Any],
    makers: Makers,
    waits: Callable[[Any], bool],
    is_free: Callable[[Any], bool],
) -> Chain | None:
    """The chain that ends with a call; None if it would be too short to pay.

    `maker` and `makers` give no call for a node whose value is known; `waits` says whether a call has still to run,
    `is_free` whether it could run before all others.
    """
    made = [c for c in makers(call.inputs)[0] if type(c) is FragmentCall and c.fragment is call.fragment]
    before = max(made, key=_seq, default=None)
    if before is None or before is call:
        return None
    pattern = pattern_of(call, before, makers)
    free: list[Any] = []

    def apart(calls: Sequence[FragmentCall], columns: Columns) -> int:
        n, free[:] = _apart(calls, columns, pattern, makers, is_free)
        return n

    admitted = admitted_by(lambda c: c.origin is None and c.active == call.active and waits(c))
    calls = stretch_from(call, pattern, maker, makers, admitted, apart)
    return Chain.of_calls(calls[::-1], pattern, free) if len(calls) >= repeats.SHORTEST else None


def chain_along(
    calls: Sequence[FragmentCall],
    pattern: tuple[int, ...],
    makers: Makers,
    waits: Callable[[Any], bool],
    is_free: Callable[[Any], bool],
) -> Chain | None:
    """The same of calls, newest first, that were found to be a run: those of them that wait."""
    active = calls[0].active
    n = next((k for k, c in enumerate(calls) if c.active != active or not waits(c)), len(calls))
    if n < repeats.SHORTEST:
        return None
    columns = columns_of(calls[:n])
    n = fitting(calls[:n], columns, pattern, makers)  # not where a value that goes from call to call is known by now
    n, free = _apart(calls[:n], columns, pattern, makers, is_free)
    return Chain.of_calls(calls[:n][::-1], pattern, free) if n >= repeats.SHORTEST else None


def _apart(
    calls: Sequence[FragmentCall],
    columns: Columns,
    pattern: Sequence[int],
    makers: Makers,
    is_free: Callable[[Any], bool],
) -> tuple[int, list[Any]]:
    """How many of the calls are younger than all that makes the operands of their own; and those makers that may be
    as young as they like, since they are free: a slice that every step takes of its own."""
    made_by = [makers(c)[0] for c, kind in zip(columns, pattern, strict=True) if kind == EACH]
    unknown = [column for column in made_by if any(column)]
    if all(c is None or c.seq < calls[-1].seq for column in unknown for c in column):  # the common case
        return len(calls), []
    youngest, free, inside = -1, [], set(map(id, calls))
    for k in range(1, len(calls)):
        for maker in [column[k - 1] for column in unknown if column[k - 1] is not None]:
            if id(maker) not in inside and is_free(maker):
                free.append(maker)
            else:
                youngest = max(youngest, maker.seq)
        if youngest >= calls[k].seq:
            return k, free
    return len(calls), free


# -- running ----------------------------------------------------------------------------------------------------------


class _Running:
    """A chain about to run: its program, and for each operand one array, or a list with one for each call.

    Operands that come from the call before have only their first array.
    """

    def __init__(self, chain: Chain, wanted: Iterable[int], arrays: Sequence[Array]) -> None:
        self.chain, self.slots = chain, sorted(wanted)
        n, rest = len(chain.first), chain.n - 1
        self.first = list(arrays[:n])
        starts = [n + j * rest for j in range(len(chain.columns))]
        self.each = {p: [self.first[p], *arrays[k : k + rest]] for p, k in zip(chain.columns, starts, strict=True)}
        self.program = program_for(chain.fragment, frozenset(self.slots))
        self.bound: Bound = self.program.bind(tuple([i.type for i in chain.first]), chain.oldest_words)
        self.values: dict[int, list[Array]] = {s: [] for s in self.slots}
        self.words = chain.words

    def operand(self, p: int, k: int) -> Array:
        """Operand p of call k, whose predecessors have run."""
        kind = self.chain.pattern[p]
        if kind == EACH:
            return self.each[p][k]
        return self.first[p] if kind == SAME or k == 0 else self.values[kind][k - 1]

    def column(self, p: int) -> Any:
        """Operand p of each call, after all of them ran; one array in a tuple if it is the same in all."""
        kind = self.chain.pattern[p]
        if kind == SAME:
            return (self.first[p],)
        return self.each[p] if kind == EACH else [self.first[p], *all_rows(self.chain.series[kind])[:-1]]


def run_chain(engine: Any, chain: Chain, wanted: Iterable[int], arrays: Sequence[Array]) -> None:
    """Fills the series of a chain from the arrays of its inputs."""
    run = _Running(chain, wanted, arrays)
    done, steps = 0, chain.n
    while done < steps and not engine.ready(run.program, steps - done):
        until = done + engine.stretch(run.program, done, steps - done)
        _interpret(engine, run, range(done, until))
        done = until
    if done < steps:
        series = _run_native(engine.native, run, done)
        if done:
            for slot, rows in series.items():
                run.values[slot].extend(all_rows(rows))
        else:
            chain.series = series
    if not chain.series:
        chain.series = dict(run.values)
    if not chain.calls:
        others = set(range(len(run.first))) - chain.operands.keys()
        chain.operands.update({p: run.column(p) for p in others})


def _interpret(engine: Any, run: _Running, steps: range) -> None:
    """Some calls, with NumPy."""
    start, pattern, position = time.perf_counter(), run.chain.pattern, run.program.position
    picked = list(enumerate(run.program.picks))
    moving = [(p, j) for p, j in picked if pattern[j] == EACH]
    columns: list[Any] = [run.each[j][steps.start : steps.stop] for _, j in moving]
    if run.words:
        columns.insert(0, [run.program.bind(run.bound.in_types, run.words[k]) for k in steps])
    kept = [position[slot] for slot in run.slots]
    links = [(p, position[pattern[j]]) for p, j in picked if pattern[j] >= 0]
    interpreter.run_loop(
        run.bound,
        [run.operand(j, steps.start) for _, j in picked],
        (),
        Loop(tuple(p for p, _ in moving), tuple(links), tuple(kept), bool(run.words)),
        zip(*columns, strict=True) if columns else repeat((), len(steps)),
        [run.values[slot].append for slot in run.slots],
        lambda k, failure: failure.named(run.chain.call(steps[k])),
    )
    engine.count_interpreted(run.program, time.perf_counter() - start, len(steps))


def _run_native(native: Any, run: _Running, start: int) -> dict[int, Array]:
    """The calls from `start` on, by machine code; their values as rows of an array for each slot."""
    code, bound = native.codes[run.program], run.bound
    placed, steps = placed_for(code, bound), run.chain.n - start
    table = Table(code.n_inputs + len(bound.out_types) + len(placed.rest))
    # Row 0 is what the first of these calls gets from the one before, row k + 1 what call k gives.
    # An output that the program adds to what is there begins as zero, as `program_for` may find such a one.
    summed = run.program.accumulating
    made = [memory.zeros if p in summed else memory.empty for p in range(len(bound.out_types))]
    stacks = [new((steps + 1, *t.shape), t.dtype) for new, t in zip(made, bound.out_types, strict=True)]
    filled: dict[int, Array] = {}
    operands: dict[int, Any] = {}
    for position, p in enumerate(code.picks):
        kind = run.chain.pattern[p]
        if kind == SAME:
            table.fix(position, run.first[p])
        elif kind == EACH:
            table.column(position, run.each[p][start:])
            operands[p] = run.each[p]
        else:
            stack, given = stacks[run.program.position[kind]], run.operand(p, start)
            if filled.setdefault(run.program.position[kind], given) is given:
                stack[0] = given
                table.rows(position, stack, 0)
                operands[p] = stack
            else:  # two operands that go on from the same result, and began apart
                table.column(position, [given, *(stack[k, ...] for k in range(1, steps))])
    for p, stack in enumerate(stacks):
        table.rows(code.n_inputs + p, stack, 1)
    table.finish(native, code, bound, run.words[start:])
    table.run(native, run.program, steps, lambda k: run.chain.call(start + k))
    if start == 0:
        run.chain.operands = operands
    return {slot: stacks[run.program.position[slot]][1:] for slot in run.slots}
