"""The eval of a loop: one region that was sealed before, all of whose operands are known, run in a straight line.

In: a region that `match` recognised. Out: the target's value, the graph as `seal.commit` leaves it; or None, nothing
changed, where the general way has to be taken (an operand without a value, a failure to be named).
Holds: what is decided once for a structure, its live nodes and its operands' types is in a `Route`. Every eval of
the loop then runs the program, by machine code or with NumPy, and commits, and does nothing else.
"""

from __future__ import annotations

from collections.abc import Callable
from operator import itemgetter
from time import perf_counter
from typing import Any

import numpy as np
from numpy import empty

from nbgraph.engine import interpreter
from nbgraph.engine.failure import OperationFailed
from nbgraph.engine.native import entry_point, placed_for
from nbgraph.errors import user_frame
from nbgraph.match import Found, recognise
from nbgraph.resolve import saved_slots
from nbgraph.ssa import Bound, program_for
from nbgraph.trace import LOCK, Dropped, Node, Pack, Projection, call_that_ran

Array = np.ndarray[Any, Any]

_LIMIT = 1024
_ENTRY_WORDS = 64  # `nbgraph_kernels.driver.ENTRY_WORDS`, without numba
#: Where the items of a tuple begin.
_ITEMS = tuple.__basicsize__


def run_again(target: Node, engine: Any) -> Array | None:
    """The value of an open node if the region below it is one that the engine ran before."""
    found = recognise(target)
    if found is None or found.arrays is None:
        return None
    route = engine.routes.get(found.key)
    if route is None:
        route = _remember(engine, found)
    return route.run(found) if route else None


def _remember(engine: Any, found: Found) -> Any:
    """A new route, or False where there can be none."""
    matcher, _, active = found.key[:3]
    if any(isinstance(node, Pack) or type(node.op) is Projection for node in found.nodes):
        route: Any = False
    else:
        plan = matcher.plan
        sizes = [size for node in found.nodes for size in node.sizes]
        words = tuple([sizes[j] for j in plan.words])
        slots = {plan.slots[k] for k in found.live}
        if active:
            slots.update(saved_slots(plan.fragment))
        program = program_for(plan.fragment, frozenset(slots))
        bound = program.bind(tuple([x.type for x in found.outside]), words)
        kind = Compiled if engine.ready(program) else Interpreted
        made = kind(engine, found, bound, words)
        route = made if made.fits else False
    if len(engine.routes) >= _LIMIT:
        engine.routes.clear()
    engine.routes[found.key] = route
    return route


class Route:
    """How a region is run: its program, and where its values go."""

    __slots__ = (
        "active", "bound", "commits", "counters", "engine", "fallible", "fits", "fragment", "kind", "operations",
        "root", "saved", "saved_at", "words",
    )  # fmt: skip

    def __init__(self, engine: Any, found: Found, bound: Bound, words: tuple[Any, ...]) -> None:
        plan, program = found.key[0].plan, bound.program
        self.engine, self.bound, self.fits = engine, bound, not program.summed
        self.counters, self.active, self.kind = engine.counters, found.key[2], found.key[0].kind
        self.fragment, self.words, self.operations = plan.fragment, words, program.n_ops
        position = program.position
        self.commits = [(k, plan.slots[k], position[plan.slots[k]]) for k in found.live]
        self.root = next(p for k, _, p in reversed(self.commits) if k == len(found.nodes) - 1)
        self.fallible = [(plan.slots[k], k) for k in plan.fallible]
        self.saved = saved_slots(plan.fragment) if self.active else ()
        self.saved_at = tuple(position[s] for s in self.saved)

    def outputs(self, found: Found) -> list[Array] | None:
        """Runs the program; counts it."""
        raise TypeError(type(self))

    def run(self, found: Found) -> Array | None:
        """Runs the region and makes it part of the graph."""
        outs = self.outputs(found)
        if outs is None:
            return None
        nodes, outside, _, _ = found
        saved = (self.saved, tuple([outs[p] for p in self.saved_at])) if self.saved else None
        sites = [(slot, nodes[k].call) for slot, k in self.fallible] if self.fallible else None
        call = call_that_ran(self.fragment, outside, self.words, self.active, saved, sites, self.kind)
        history: Any = call if self.active else Dropped(user_frame(), call.seq)
        with LOCK:
            self._commit(nodes, history, outs)
        return outs[self.root]

    def _commit(self, nodes: tuple[Node, ...], history: Any, outs: list[Array]) -> None:
        """As `seal.commit`: a node is open until its value is set."""
        for k, slot, p in self.commits:
            node = nodes[k]
            if node.op is not None:  # else another thread was first
                node.call, node.slot, node.data = history, slot, outs[p]
                node.op, node.inputs, node.sizes = None, (), ()


class Compiled(Route):
    """By machine code: one call with a tuple of arrays, and a template of the words that are always the same."""

    __slots__ = ("entry", "outs", "pick", "template", "workspace")

    def __init__(self, engine: Any, found: Found, bound: Bound, words: tuple[Any, ...]) -> None:
        super().__init__(engine, found, bound, words)
        code = engine.native.codes[bound.program]
        placed = placed_for(code, bound)
        n_objects = len(code.picks) + len(bound.out_types)
        self.fits &= n_objects + len(placed.rest) <= _ENTRY_WORDS
        self.pick = _pick(code.picks, len(found.outside))
        self.outs: list[tuple[Any, Any]] = [(t.shape, t.dtype) for t in bound.out_types]
        self.workspace = placed.workspace
        self.entry: Callable[[int], int] = entry_point("objects_entry")[0]
        rest = [word for value, relative in placed.rest for word in (value, int(relative))]
        self.template = np.array([code.machine.address, n_objects, len(placed.rest), *rest], np.int64)

    def outputs(self, found: Found) -> list[Array] | None:
        arrays: Any = found.arrays
        outs = [empty(shape, dtype) for shape, dtype in self.outs]
        memory = self.engine.native.scratch(self.workspace) if self.workspace else self.template
        objects = (self.template, memory, *(arrays if self.pick is None else self.pick(arrays)), *outs)
        start = perf_counter()
        status = self.entry(id(objects) + _ITEMS)
        seconds = perf_counter() - start
        if status:
            return None
        counters = self.counters
        counters.evals += 1
        counters.hits += 1
        counters.operations += self.operations
        counters.run_seconds += seconds
        return outs


class Interpreted(Route):
    """With NumPy, until the tiers say that compiling pays."""

    __slots__ = ("ledger",)

    def __init__(self, engine: Any, found: Found, bound: Bound, words: tuple[Any, ...]) -> None:
        super().__init__(engine, found, bound, words)
        self.ledger = engine.ledger(bound.program)

    def outputs(self, found: Found) -> list[Array] | None:
        start = perf_counter()
        try:
            outs = interpreter.run(self.bound, found.arrays)  # type: ignore[arg-type]
        except OperationFailed as failure:
            if not isinstance(failure.error, np.linalg.LinAlgError):
                raise failure.error from None
            return None
        seconds = perf_counter() - start
        self.ledger.record(seconds)
        counters = self.counters
        counters.evals += 1
        counters.interpreted += 1
        counters.operations += self.operations
        counters.run_seconds += seconds
        if self.engine.jit == "auto" and self.ledger.pays(1):
            self.engine.routes.pop(found.key, None)  # the next one is by machine code
        return outs


def _pick(picks: tuple[int, ...], n: int) -> Any:
    """A function of the operands' arrays that gives those the program reads, None where it reads all in order."""
    if picks == tuple(range(n)):
        return None
    if len(picks) == 1:
        only = picks[0]
        return lambda arrays: (arrays[only],)
    return itemgetter(*picks) if picks else lambda arrays: ()
