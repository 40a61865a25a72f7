"""The engine: seals, schedules, runs and commits.

In: nodes. Out: read-only arrays; the graph's nodes then hold their values.
Holds: structure and values change only after everything ran, under the graph's lock (an error, Ctrl-C or another
thread leave the graph as it was). Machine code belongs to an engine, values belong to the graph, so engines mix.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from itertools import repeat
from operator import attrgetter
from typing import Any

import numpy as np

from nbgraph import joins, picks
from nbgraph.calls import FragmentCall, JoinCall, RepeatCall, SplitCall, SumCall
from nbgraph.collector import Waiting
from nbgraph.decided import ALIVE, HOOKS
from nbgraph.derive import vjp
from nbgraph.engine import interpreter, recorder
from nbgraph.engine.batch import Batch
from nbgraph.engine.binding import bind_arrays, refuse_superfluous, telling
from nbgraph.engine.chains import run_chain
from nbgraph.engine.commits import Routes, commit_rows, keep
from nbgraph.engine.disk import folder_path
from nbgraph.engine.evals import Evals
from nbgraph.engine.failure import OperationFailed
from nbgraph.engine.lent import add_rest, code_at_hand
from nbgraph.engine.native import Native
from nbgraph.engine.pieces import pieces_for
from nbgraph.engine.repeats import run_repeat
from nbgraph.engine.routes import run_again, run_together
from nbgraph.engine.rows import ChainRow, Results, Row, draft_slots
from nbgraph.engine.schedule import Schedule
from nbgraph.engine.small import in_order, run_in_order
from nbgraph.engine.stats import Counters, Stats
from nbgraph.engine.threads import UNLIMITED, limit_for
from nbgraph.engine.tiers import BASE, Account, Ledger
from nbgraph.engine.topped import base_below
from nbgraph.errors import BindingError, BoundsError, LinAlgError, NbgraphError, OutOfMemoryError
from nbgraph.fragment import Fragment
from nbgraph.memory import copy
from nbgraph.node import LOCK, Node
from nbgraph.opened import region_of
from nbgraph.parts import ReplayCall
from nbgraph.picks import PickCall, PlaceCall
from nbgraph.resolve import is_computed_once, saved_slots
from nbgraph.seal import Draft, commit, draft
from nbgraph.settle import names_below, settle
from nbgraph.ssa import Bound, Program, exact_program, program_for
from nbgraph.trace import unaliased, value_of
from nbgraph_kernels.blas_threads import AtMost
from nbgraph_kernels.locks import lock

Array = np.ndarray[Any, Any]

_type = attrgetter("type")
JIT_MODES = ("auto", "always", "never")
#: Bytes of machine code: some ten thousand structures, which take half an hour to compile.
CODE_LIMIT = 2**28


class Engine:
    """Owns compiled code, its statistics, and the choice between interpreting and compiling.

    `jit`: "auto" interprets a structure with NumPy until compiling it pays, "always" compiles at first sight,
    "never" only interprets. `cache_dir`: the folder that keeps compiled code for later processes, None for none; left
    out, it is `NBGRAPH_CACHE_DIR` or else `nbgraph` among the user's caches. `threads`: how many run
    machine code of large programs that work row by row (results are the same bits for any number), and how many BLAS
    and LAPACK may use, by machine code and by NumPy; what the process had is put back after each run. (The libraries
    have one number for all: where engines run at once in several threads, the smallest counts.) `code_limit`: when its
    machine code has so many bytes, structures that it has not met are interpreted, with a warning once; None for no
    limit. (What `compile` is asked for is compiled all the same, and counts.) Code goes when the engine goes.

    >>> import nbgraph as nbg
    >>> engine = nbg.Engine(jit="never")
    >>> x = nbg.TracedTensor.from_tensor([1.0, 2.0])
    >>> (x * x).sum().eval(engine)
    array(5.)
    >>> engine.stats().operations
    2
    """

    def __init__(
        self, jit: str = "auto", cache_dir: Any = ..., threads: int = 1, code_limit: int | None = CODE_LIMIT
    ) -> None:
        if jit not in JIT_MODES:
            raise NbgraphError("unknown mode", operation="Engine", got=jit, wanted=" or ".join(JIT_MODES))
        if type(threads) is not int or threads < 1:
            raise NbgraphError("no number of threads", operation="Engine", got=threads, wanted="an int from 1 on")
        if code_limit is not None and (type(code_limit) is not int or code_limit < 0):
            raise NbgraphError("not a limit", operation="Engine", got=code_limit, wanted="bytes of code, or None")
        self.jit, self.cache_dir, self.threads, self.code_limit = jit, folder_path(cache_dir), threads, code_limit
        #: The context in which products and factorisations run.
        self.blas = AtMost(threads)
        self.counters = Counters()
        self._lock = lock()
        self._seen: dict[Fragment, None] = {}
        self._ledgers: dict[Program, Ledger] = {}
        self._account = Account()
        #: How what was run before is run again.
        self.routes = Routes()
        self.evals = Evals(self)
        self.native = Native(self)

    def __repr__(self) -> str:
        return f"Engine(jit={self.jit!r}, threads={self.threads})"

    def stats(self) -> Stats:
        """A frozen snapshot of the counters."""
        with self._lock:
            return self.counters.snapshot()

    def explain(self) -> str:
        """Which compiles were made, what was new in each, and the user's line that asked for it."""
        return self.native.explain()

    def compile(self, outputs: Any, inputs: Any) -> Any:
        """A `CompiledProgram` for everything between `inputs` and `outputs`; see `nbgraph.engine.program`."""
        from nbgraph.engine.program import compile_program

        return compile_program(self, outputs, inputs)

    # -- running ------------------------------------------------------------------------------------------------

    def run(self, schedule: Schedule, results: Results) -> None:
        """Runs every row; results by key."""
        coming = Counter(step.call.fragment for step in schedule.steps if type(step.call) is FragmentCall)
        batch = Batch(self.native, schedule, results)
        with self.blas:
            self._run_steps(schedule, results, coming, batch)
            batch.flush()

    def _run_steps(self, schedule: Schedule, results: Results, coming: Counter[Fragment], batch: Batch) -> None:
        for step in schedule.steps:
            if type(step) is ChainRow:
                self._run_chain(schedule, step, results, batch)
            elif type(step.call) is RepeatCall:
                self._run_repeat(schedule, step.call, results, batch)
            elif type(step.call) is ReplayCall:
                self._run_replay(schedule, step.call, results, batch)
            elif type(step.call) in (JoinCall, SplitCall, PickCall, PlaceCall):
                self._run_join(schedule, step, results, batch)
            elif type(step.call) is SumCall:
                self._run_sum(schedule, step.call, results, batch)
            else:
                self._run_step(schedule, step, results, coming[step.call.fragment], batch)
                coming[step.call.fragment] -= 1
            if schedule.decided and (deciding := schedule.decides(step)):
                batch.flush()
                schedule.decide(deciding, results)

    def _run_chain(self, schedule: Schedule, row: ChainRow, results: Results, batch: Batch) -> None:
        batch.flush()
        run_chain(self, row.call, row.wanted, values_of(schedule.sources(row.call), results))

    def _run_join(self, schedule: Schedule, step: Any, results: Results, batch: Batch) -> None:
        batch.flush()
        call = step.call
        arrays = values_of(schedule.sources(call), results)
        if type(call) is JoinCall:
            results[id(call), 0] = joins.run(call, arrays)
        elif type(call) is PlaceCall:
            results[id(call), 0] = picks.total(call, arrays)
        else:
            of = arrays[0]
            parts = joins.parts_of(call, of) if type(call) is SplitCall else picks.values(call, of, step.wanted)
            results.update({(id(call), k): a for k, a in parts.items()})
        with self._lock:
            self.counters.operations += 1

    def _run_sum(self, schedule: Schedule, call: SumCall, results: Results, batch: Batch) -> None:
        others = [s for s in schedule.sources(call) if not schedule.is_added(s)]
        total: Any = schedule.totals.pop(id(call), None)
        if others:
            batch.flush()
        for a in values_of(others, results):
            total = copy(a) if total is None else np.add(total, a, out=total)
        results[id(call), 0] = total
        with self._lock:
            self.counters.operations += len(call.inputs) - 1

    def _run_repeat(self, schedule: Schedule, call: RepeatCall, results: Results, batch: Batch) -> None:
        batch.flush()
        given = values_of(schedule.sources(call)[: len(call.links)], results)

        def find(node: Node) -> Array:
            (found,) = values_of([schedule.operand(node)], results)
            return found

        def saved(of: FragmentCall) -> Any:
            kept = schedule.kept(of)
            if kept is not None:
                return kept
            if id(of) in schedule.chained:
                chain, k = schedule.chained[id(of)]
                return chain.saved_at(k)
            slots = saved_slots(of.fragment)
            return slots, tuple([results[id(of), slot] for slot in slots])

        totals = schedule.totals_for({(id(call), slot): slot for slot in call.sums})
        found = run_repeat(self, call, given, find, saved, totals, schedule.chain_of(call))
        results.update(zip(zip(repeat(id(call)), found), found.values(), strict=False))

    def _run_replay(self, schedule: Schedule, call: ReplayCall, results: Results, batch: Batch) -> None:
        batch.flush()
        arrays = values_of(schedule.sources(call), results)
        found = call.run(arrays, self, *_evaluations(schedule, call, arrays), vjp)
        totals = schedule.totals_for({(id(call), k): k for k in found})
        for k, a in found.items():
            if k in totals:
                np.add(totals[k], a, out=totals[k])
            else:
                results[id(call), k] = a
        for key, _ in schedule.released_by(call):
            results.pop(key, None)

    def _run_step(self, schedule: Schedule, step: Any, results: Results, coming: int, batch: Batch) -> None:
        """One call: added to the batch where it has machine code, else interpreted."""
        call: FragmentCall = step.call
        plain = call.origin is None and not schedule.sizes and not schedule.only_targets and type(step) is Row
        structure = (call.fragment, step.wanted, tuple([i.type for i in call.inputs]), call.words) if plain else None
        if structure is not None and batch.add_alike(call, structure, values_of(schedule.sources(call), results)):
            return
        places = step.places()
        slots = frozenset(places.values())
        totals = {} if schedule.only_targets else schedule.totals_for(places)
        if schedule.only_targets:
            program = exact_program(call.fragment, slots)
        else:
            program = program_for(call.fragment, slots, frozenset(totals))
        types, words = schedule.arguments(call)
        if schedule.sizes:
            schedule.check(call)
        lent = code_at_hand(self, program, slots, totals) if totals else None
        program = lent or program
        bound = program.bind(types, words, check=bool(schedule.sizes))
        arrays = values_of(schedule.sources(call), results)
        if lent is None and self.ready(program, coming) and pieces_for(self, bound) is None:
            batch.add(call, bound, places, arrays, totals)
            batch.structure = structure if structure is not None and not totals and not program.summed else None
            return
        batch.flush()
        outs = self.call(call, bound, arrays, coming, program.accumulators(totals, bound.out_types))
        add_rest(program, outs, totals)
        for key, slot in places.items():
            if slot not in totals:
                results[key] = outs[program.position[slot]]
        for key, _ in schedule.released_by(call):
            results.pop(key, None)

    def call(
        self,
        call: FragmentCall,
        bound: Bound,
        arrays: Sequence[Array],
        coming: int,
        totals: Sequence[Array] = (),
    ) -> list[Array]:
        """Runs a program for a call; a failed operation becomes the user's named error."""
        try:
            return self.run_bound(bound, arrays, coming, totals)
        except OperationFailed as failure:
            raise failure.named(call) from failure.error

    def run_bound(
        self, bound: Bound, arrays: Sequence[Array], coming: int, totals: Sequence[Array] = ()
    ) -> list[Array]:
        """One call of a program, by the tier it has come to; its last outputs are added to `totals`."""
        program = bound.program
        if self.ready(program, coming):
            pieces = pieces_for(self, bound)
            return self.native.run_bound(bound, arrays, totals) if pieces is None else pieces.outputs(arrays)
        start = time.perf_counter()
        outs = interpreter.run(bound, arrays, totals)
        self.count_interpreted(program, time.perf_counter() - start)
        return outs

    def count_interpreted(self, program: Program, seconds: float, calls: int = 1) -> None:
        """Notes that calls of a program were interpreted in that time."""
        with self._lock:
            if self.jit == "auto":  # the others need no prediction
                self.ledger(program).record(seconds, calls)
            self.counters.interpreted += calls
            self.counters.operations += calls * program.n_ops
            self.counters.run_seconds += seconds

    def ready(self, program: Program, coming: int = 1) -> bool:
        """Whether a program has machine code, after compiling it if that is due."""
        self.see(program.fragment)
        return self.jit != "never" and self.native.ready(program, self.ledger(program), coming)

    def stretch(self, program: Program, done: int, left: int) -> int:
        """How many of the calls of a loop to interpret before asking again whether compiling pays."""
        if self.jit == "never":
            return left
        return min(left, max(done + 1, self.ledger(program).calls_within(BASE)))

    def see(self, fragment: Fragment) -> None:
        """Counts a structure met for the first time."""
        if fragment not in self._seen:
            with self._lock:
                self._seen[fragment] = None
                self.counters.fragments = len(self._seen)

    def ledger(self, program: Program) -> Ledger:
        found = self._ledgers.get(program)
        if found is None:
            with self._lock:
                found = self._ledgers.setdefault(program, Ledger(program, self._account))
        return found


def values_of(sources: Sequence[Any], results: Results) -> list[Array]:
    """Arrays, given as such or as keys of results."""
    return [results[s] if type(s) is tuple else s for s in sources]


def value(node: Node, engine: Engine | None = None) -> Array:
    """The value of one node, read-only; computed if it is not known."""
    a: Array | None = node.data
    if a is None:
        engine = engine or default_engine()
        try:
            if ALIVE:
                settle([node], engine)
            a = run_again(node, engine)
        except MemoryError as error:
            raise OutOfMemoryError.of(error) from error
        if a is None:
            a = evaluate([node], engine)[0]
    a.setflags(False)  # type: ignore[call-arg]  # write: by its name it takes three times as long
    return a


def evaluate(nodes: Sequence[Node], engine: Engine | None = None, bindings: Any = None) -> list[Array]:
    """The values of nodes, computed together; only what is not known yet runs."""
    engine = engine or default_engine()
    try:
        if bindings:
            values = _evaluate_bound(nodes, engine, bindings)
        else:
            values = [value_of(n) if n.data is None else n.data for n in nodes]
            if any(v is None for v in values):
                if ALIVE:
                    settle(nodes, engine)
                values = run_together(nodes, engine) or _evaluate_unbound(nodes, engine)
    except MemoryError as error:
        raise OutOfMemoryError.of(error) from error
    for a in values:
        a.setflags(write=False)
    return values


def _evaluate_unbound(nodes: Sequence[Node], engine: Engine) -> list[Array]:
    """Without bindings: where a placeholder is in the way, operation by operation, since it may be needed by others of
    a call alone."""
    try:
        return _evaluate_open(nodes, engine)
    except BindingError as error:
        apart = region_of(nodes, 0)[1]
        if all(a is b for a, b in zip(nodes, apart, strict=True)):
            raise
        try:
            values = _evaluate_open(apart, engine)
        except BindingError:
            raise error from None
        with LOCK:
            for node, a in zip(nodes, values, strict=True):
                node.data = a if node.data is None else node.data
        return [n.data for n in nodes]


def _evaluate_open(
    nodes: Sequence[Node], engine: Engine, tries: int = 8, one_by_one: bool = True, topped: bool = True
) -> list[Array]:
    recorder.consider(engine, nodes[0].seq)
    with LOCK, Waiting():
        drafts = draft(nodes, picks.take_lists)
        if len(drafts) == 1:
            arrays = [value_of(i) for i in drafts[0].call.inputs]
            simple = not any(a is None for a in arrays) and not any(n.op is None for n in nodes)
            topped = topped and not simple and _is_on_top(drafts[0].call)
        else:
            simple = topped = False
        calls = schedule = None
        if not simple and not topped:
            calls = in_order(nodes, drafts) if one_by_one else None
            schedule = None if calls else Schedule(nodes, drafts, {}, {})
        if schedule is not None and schedule.by_turns():
            schedule = None  # it holds what nobody else does, which then need not be computed
            schedule = Schedule(nodes, drafts, {}, {})
    if topped:  # as it will run from now on
        return run_together(nodes, engine) or _evaluate_open(nodes, engine, tries, one_by_one, False)
    if calls:
        if not run_in_order(nodes, drafts, calls, engine):
            return _evaluate_open(nodes, engine, tries, one_by_one=False, topped=False)
        engine.counters.evals += 1
        return list(map(value_of, nodes))
    if schedule is None:
        _run_draft(drafts[0], arrays, engine)
        values = [n.data for n in nodes]
        # Another thread may have sealed a node meanwhile without running it.
        return values if not any(v is None for v in values) else _evaluate_open(nodes, engine)
    results = Results(schedule.chained)
    if schedule.rows:
        engine.counters.evals += 1
        schedule, results = _run_schedule(schedule, nodes, drafts, results, engine)
    values = values_of(schedule.targets, results)
    with LOCK, Waiting():
        if is_done := not tries or schedule.still_holds():
            commit_rows(schedule, drafts, results)
    return values if is_done else _evaluate_open(nodes, engine, tries - 1)


def _is_on_top(call: FragmentCall) -> bool:
    return base_below(call.inputs, len(call.fragment.instrs)) is not None


def _run_schedule(
    schedule: Schedule, nodes: Sequence[Node], drafts: Sequence[Draft], results: Results, engine: Engine
) -> tuple[Schedule, Results]:
    """Runs a schedule; where an operation fails, once more for the targets alone, which may not need that one."""
    try:
        engine.run(schedule, results)
    except (LinAlgError, BoundsError):
        with LOCK:
            schedule = Schedule(nodes, drafts, {}, {}, only_targets=True)
        results = Results(schedule.chained)
        engine.run(schedule, results)
    return schedule, results


def _run_draft(d: Draft, arrays: Sequence[Array], engine: Engine) -> None:
    """The common case: one new call, all of whose inputs are known."""
    call = d.call
    slots = draft_slots(d)
    if call.active:
        slots.update(saved_slots(call.fragment))
    program = program_for(call.fragment, frozenset(slots))
    engine.counters.evals += 1
    bound = program.bind(tuple(map(_type, call.inputs)), call.words)
    totals = program.accumulators({}, bound.out_types) if program.summed else ()
    with limit_for(engine, [bound]) or UNLIMITED:
        outs = engine.call(call, bound, arrays, 1, totals)
    position = program.position
    values = {slot: outs[position[slot]] for slot in slots}
    with LOCK:
        if not (is_computed_once(call.fragment) and any(node.op is None for _, node in d.nodes)):
            keep(call, values)
            commit(d, values)


def _evaluate_bound(nodes: Sequence[Node], engine: Engine, bindings: Any) -> list[Array]:
    """With placeholders bound: nothing is remembered, the values belong to this call."""
    bound, sizes = bind_arrays(bindings)
    schedule = _schedule_bound(nodes, engine, bound, sizes)
    refuse_superfluous(bindings, [*nodes, *schedule.deciding], [row.call for row in schedule.rows])
    engine.counters.evals += 1
    return _run_bound(schedule, engine)


def _schedule_bound(nodes: Sequence[Node], engine: Engine, bound: Any, sizes: dict[Any, int]) -> Schedule:
    names = []
    if ALIVE:
        settle(nodes, engine, partly=True)
        names = names_below(nodes)
    with LOCK:
        drafts = draft([*nodes, *(n.node for n in names)])
        return Schedule(nodes, drafts, bound, sizes, names=names)


def _run_bound(schedule: Schedule, engine: Engine) -> list[Array]:
    results = Results(schedule.chained)
    with telling(schedule.sizes):
        engine.run(schedule, results)
    return [np.array(a) for a in values_of(schedule.targets, results)]


def _evaluations(schedule: Schedule, call: ReplayCall, arrays: Sequence[Array]) -> tuple[Any, Any]:
    """How a part that runs again gets its values, and how its results as they were recorded get theirs.

    The latter are made from the values that the part's inputs have in this run. So are, where placeholders are bound,
    those that it read from elsewhere.
    """
    inputs, n = call.part.inputs, call.part.n
    values = [(id(unaliased(i)), a) for i, a in zip(inputs, arrays[len(arrays) - len(inputs) :], strict=True)]

    def within(bound: dict[int, Array]) -> Any:
        def run(nodes: Sequence[Node], engine: Engine) -> list[Array]:
            return _run_bound(_schedule_bound(nodes, engine, bound, dict(schedule.sizes)), engine)

        return run

    again = within({**schedule.bound, **dict(values[n:])}) if schedule.bound else evaluate
    return again, within({**schedule.bound, **dict(values)})


_DEFAULT: Engine | None = None
_DEFAULT_LOCK = lock()


def default_engine() -> Engine:
    """The engine that is used where none is given."""
    global _DEFAULT
    if _DEFAULT is None:
        with _DEFAULT_LOCK:
            _DEFAULT = _DEFAULT or Engine()
    return _DEFAULT


HOOKS.run = evaluate
