"""The eval of a loop: what was run before, all of whose operands are known, run in a straight line.

In: open nodes whose region `match` recognised, or nodes of calls that were recorded whole (`nbg.jit`). Out: their
values, the graph as the general path leaves it; or None, where that has to be taken (an operand without a value that
is not so simply had, a failure to be named).
Holds: what is decided once for a structure, its live nodes and its operands' types is in a route. Every eval of
the loop then runs the program and commits, and does nothing else.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from operator import attrgetter
from typing import Any

import numpy as np

from nbgraph import joins
from nbgraph.calls import FragmentCall, JoinCall, RepeatCall, SumCall
from nbgraph.decided import ALIVE
from nbgraph.engine.backward import run_steps, run_sum
from nbgraph.engine.commits import CallRoute, Route, drop_history, live_slots
from nbgraph.engine.lent import code_at_hand
from nbgraph.engine.pairs import run_pair, waits_with
from nbgraph.engine.runners import runner_for
from nbgraph.engine.tiled import tiled_route
from nbgraph.engine.topped import base_below, run_topped
from nbgraph.match import Found, last_found, operations_of, recognise, recognise_tiled
from nbgraph.moving import moving_words
from nbgraph.node import LOCK, Node
from nbgraph.resolve import saved_slots
from nbgraph.ssa import program_for
from nbgraph.trace import unaliased, value_of

Array = np.ndarray[Any, Any]

_op, _seq = attrgetter("op"), attrgetter("seq")
_NONE: Mapping[int, Array] = {}
#: So many calls of a chain that have not run are run one by one; longer chains are a table for the driver.
_PENDING = 4


def run_again(target: Node, engine: Any) -> Array | None:
    """The value of a node without one, if the engine ran the like before."""
    if target.op is None:
        a = _run_call(target, engine, _PENDING)
        if a is not None:
            engine.counters.evals += 1
        return a
    op = target.op
    a = _by_machine(engine.evals.get(op), (target,))
    if a is None and not ALIVE:
        a = _run_last(target, op, engine)
    if a is None:
        a = _run_open((target,), engine)
    if a is not None:
        engine.counters.evals += 1
    return a


def _by_machine(functions: Any, targets: Sequence[Any]) -> Any:
    """What the first of an engine's functions says that knows the targets (`engine/evals.py`)."""
    if functions is not None:
        with LOCK:
            for function in functions:
                found = function(*targets)
                if found is not None:
                    return found
    return None


def _run_last(target: Node, op: Any, engine: Any) -> Array | None:
    """The same, if the like was the last of its operation (the hot path: nothing here that `_run_open` would not
    do)."""
    found = last_found(target)
    if found is None:
        return None
    if found.arrays is None:
        return _run_region(found, engine, _PENDING)
    route = engine.routes.get(found.key)
    a: Array | None = route.run(found) if route else None
    if a is not None:
        engine.evals.note(op, route, found)
    return a


def run_together(nodes: Sequence[Node], engine: Any) -> list[Array] | None:
    """The values of nodes of which the engine ran the like before: open ones as one region, then those of a few calls,
    the youngest first: what a call was derived from runs with it."""
    unknown = sorted({id(n): n for n in nodes if n.data is None}.values(), key=_seq)
    opened = [n for n in unknown if n.op is not None]
    if len(opened) == len(unknown) > 1 and _by_machine(engine.evals.get(tuple(map(_op, opened))), opened):
        opened = []
    if len({id(n.call) for n in unknown if n.op is None}) > _PENDING:
        return None
    if opened and _run_open(opened, engine) is None:
        return None
    for n in reversed(unknown):
        if n.data is None and _value(n, engine, _PENDING) is None:
            return None
    values = list(map(value_of, nodes))
    if any(a is None for a in values):
        return None
    engine.counters.evals += 1
    return values


def _run_open(targets: Sequence[Node], engine: Any, pending: int = _PENDING) -> Array | None:
    """Runs the region below open nodes, oldest first, if it is known; the value of the youngest."""
    if ALIVE:
        with LOCK:  # who writes numbers in the place of sizes that the data decided seals then, and it may be otherwise
            found = recognise(*targets) or recognise_tiled(*targets)
    else:
        found = recognise(*targets) or recognise_tiled(*targets)
    return None if found is None else _run_region(found, engine, pending)


def _run_region(found: Found, engine: Any, pending: int) -> Array | None:
    tiles = found.key[0].tiles
    if found.arrays is None:
        base = None if tiles else base_below(found.outside, len(found.nodes))
        if base is not None:
            a = run_topped(engine, found, base)
            if a is not None:
                return a
        completed = _completed(found, engine, pending)
        if completed is None:
            return None
        found = completed
    route = engine.routes.get(found.key)
    if route is None:
        route = engine.routes.keep(found.key, (tiled_route if tiles else _region_route)(engine, found))
    if not route:
        return None
    operations = operations_of([found.nodes[k] for k in found.key[0].roots])  # nodes have none once they are sealed
    a = route.run(found)
    if a is not None:
        engine.evals.note(operations, route, found)
    return a


def _completed(found: Found, engine: Any, pending: int) -> Found | None:
    """The region with its operands' values, after running the calls that they are of."""
    arrays = []
    for x in found.outside:
        a = _value(x, engine, pending)
        if a is None:
            return None
        arrays.append(a)
    return found._replace(arrays=tuple(arrays))


def _value(x: Node, engine: Any, pending: int) -> Array | None:
    """The value of a sealed node, or of the open one that it is another identity of, if it takes few calls."""
    a: Array | None = x.data
    if a is None:
        x = unaliased(x)
        a = x.data
        if a is None and x.op is None:
            a = _run_call(x, engine, pending)
        elif a is None and pending > 1:
            a = _run_open((x,), engine, pending - 1)
    return a


# -- regions ----------------------------------------------------------------------------------------------------------


def _region_route(engine: Any, found: Found) -> Any:
    matcher, _, active = found.key[:3]
    plan = matcher.plan
    words = found.words(plan)
    slots = live_slots(found)
    if active:
        slots.update(saved_slots(plan.fragment))
    program = program_for(plan.fragment, frozenset(slots))
    runner = runner_for(engine, found.key, program.bind(tuple([x.type for x in found.outside]), words))
    if runner is None or program.moving != moving_words(plan.fragment):
        return False
    return Route(runner, found, words, program.position)


# -- calls ------------------------------------------------------------------------------------------------------------


def _run_call(target: Node, engine: Any, pending: int) -> Array | None:
    """The value of a node of a call that has not run."""
    call: Any = target.call
    if type(call) is not FragmentCall:
        return _run_other(target, call, engine, pending)
    waiting = call.nodes
    if waiting and call.origin is not None and (first := waits_with(call)) is not None:
        return _run_pair(target, first, call, engine, pending)
    if not waiting:  # it has run, or another call has taken its place
        return None
    if _by_machine(engine.evals.get(call.fragment), (call,)) and target.data is not None:
        return target.data
    ran = run_waiting(call, engine, lambda i: _value(i, engine, pending - 1) if pending > 1 else None)
    a: Array | None = target.data if ran else None
    return a


def run_waiting(
    call: FragmentCall,
    engine: Any,
    value: Callable[[Node], Array | None],
    totals_of: Callable[[Sequence[Node]], Mapping[int, Array]] | None = None,
) -> bool:
    """Runs a call that waits and gives its nodes their values; whether it could. `value` gives those of operands
    without data; `totals_of` says of its nodes which are added to something instead, by slot, and wait on."""
    waiting = call.nodes
    if waiting is None:
        return False
    arrays, types = [], []
    for i in call.inputs:
        a = i.data
        if a is None:
            a = value(i)
            if a is None:
                return False
        arrays.append(a)
        types.append(i.type)
    slots, nodes, count = [], [], len(waiting)
    for slot, reference in waiting:
        node = reference()
        if node is not None:
            slots.append(slot)
            nodes.append(node)
    node = None  # `totals_of` looks at who refers to them
    totals = totals_of(nodes) if totals_of is not None else _NONE
    key = (call.fragment, call.active, call.words, *totals, *slots, *types)
    route = engine.routes.get(key)
    if route is None:
        made = _call_route(engine, call, key, tuple(slots), tuple(types), frozenset(totals))
        route = engine.routes.keep(key, made)
    if not route or not route.run(call, (waiting, count), nodes, arrays, totals):
        return False
    if not totals:
        engine.evals.note_call(route, call, waiting, call.inputs)
    return True


def _run_pair(target: Node, first: FragmentCall, second: FragmentCall, engine: Any, pending: int) -> Array | None:
    """The value of a node of a derived call, run together with the one it was derived from."""
    if pending < 2 or not first.active:
        return None
    return run_pair(target, first, second, engine, lambda i: _value(i, engine, pending - 1))


def _call_route(
    engine: Any, call: FragmentCall, key: Any, slots: tuple[int, ...], types: tuple[Any, ...], summed: frozenset[int]
) -> Any:
    wanted = set(slots)
    if call.active:
        wanted.update(saved_slots(call.fragment))
    program = program_for(call.fragment, frozenset(wanted), summed)
    if summed:  # a runner adds what the program stores
        program = code_at_hand(engine, program, frozenset(wanted), summed) or program
    runner = runner_for(engine, key, program.bind(types, call.words))
    return False if runner is None else CallRoute(runner, call, slots, program.position)


def _run_other(target: Node, call: Any, engine: Any, pending: int) -> Array | None:
    """The value of a node of a join, or of what a gradient through a loop is made of."""
    if type(call) is JoinCall:
        return _run_join(target, call, engine, pending)
    if pending < 2 or type(call) not in (SumCall, RepeatCall):
        return None

    def value(i: Node) -> Array | None:
        return _value(i, engine, pending - 1)

    if type(call) is SumCall:
        return run_sum(target, call, engine, value)
    return run_steps(target, call, engine, value)


def _run_join(target: Node, call: JoinCall, engine: Any, pending: int) -> Array | None:
    """The value of a join whose elements are known, or of calls as they may be run here."""
    arrays = [_value(i, engine, pending - 1) if pending > 1 else i.data for i in call.inputs]
    if any(a is None for a in arrays):
        return None
    a: Array = joins.run(call, arrays)
    with LOCK:  # who looks at what the node is a value of holds it
        target.data = a
        if not call.active:
            drop_history(call, [target])
    engine.counters.operations += 1
    return a
