"""Evals by machine code: a region that was run again and again is recognised, run and committed by one function; a call
that waits as well.

In: routes that were run, and the regions or calls that they were found for. Out: functions of targets, by their
operations: the value of one, True for several that have theirs now; functions of a call, by its fragment: True if it
has run. None where Python has to look.
Holds: a function does what `match`, `Route.run` and `Route.commit` do (`run_waiting` and `CallRoute.run`) for one
structure with the same live nodes and the same types; for anything else it does nothing. Only short programs whose
history is kept; who calls it holds the lock.
"""

from __future__ import annotations

from collections.abc import Sequence
from types import BuiltinFunctionType
from typing import Any

import numpy as np

from nbgraph.engine import recorder
from nbgraph.engine.commits import CallRoute, Route
from nbgraph.engine.native import entry_address, uninterrupted
from nbgraph.match import Found, Matcher
from nbgraph.node import Node
from nbgraph_kernels import python_api
from nbgraph_kernels.locks import lock

#: After so many runs of a route by Python it gets a function.
OFTEN = 8
#: So many such runs lose what compiling the kernel takes (60 ms; 3 us each). Sooner where that is kept.
PAYS, PAYS_SOON = 20_000, 500
#: So many functions for one kind of targets, so many kinds.
_FEW, _LIMIT = 4, 256


class Evals(dict[Any, tuple[Any, ...]]):
    """The functions of an engine, newest first, by the operations of their targets (`match.operations_of`), or by the
    fragment of a call."""

    def __init__(self, engine: Any) -> None:
        super().__init__()
        self._engine, self._lock, self._runs = engine, lock(), 0
        self._routes: dict[Any, tuple[Any, ...]] = {}

    def note(self, operations: Any, route: Any, found: Found) -> None:
        """A route was run for targets of these operations."""
        if type(route) is not Route or not route.is_plain:
            return
        if self._is_due(operations, route) and _is_plain(route, found) and (code := self._code("evals")):
            self._keep(operations, route, _of_region(code, route, found))

    def note_call(self, route: CallRoute, call: Any, entries: Sequence[Any], inputs: Sequence[Node]) -> None:
        """A call was run that waited for nodes, as its list had them."""
        due = self._is_due(call.fragment, route)
        if due and _is_plain_call(route, call, entries) and (code := self._code("waiting")):
            self._keep(call.fragment, route, _of_call(code, route, call, entries, inputs))

    def _is_due(self, key: Any, route: Any) -> bool:
        """Counts a run; whether the route is to get a function now: one that has it may be run by Python all the same,
        where operands have no values before."""
        route.runs += 1
        return route.runs % OFTEN == 0 and route not in self._routes.get(key, ())

    def _keep(self, key: Any, route: Any, function: Any) -> None:
        with self._lock:
            if len(self) >= _LIMIT:
                self.clear()
                self._routes.clear()
            known = list(zip(self._routes.get(key, ()), self.get(key, ()), strict=True))
            known = [(route, function), *((r, f) for r, f in known if r is not route)][:_FEW]
            self._routes[key], self[key] = zip(*known, strict=True)

    def _code(self, name: str) -> Any:
        """A kernel, if that and the recorder are there, or pay."""
        self._runs += OFTEN
        objects = self._engine.native.objects
        pays = self._runs >= (PAYS_SOON if objects.is_eager else PAYS)
        if recorder.words() is None and pays:
            uninterrupted(lambda: recorder.use(objects, may_compile=True))
        if recorder.words() is None:
            return None
        if not objects.load_kernel(name, ""):
            if not pays:
                return None
            uninterrupted(lambda: objects.make_kernel(name, ""))
        import nbgraph_kernels as kernels

        return kernels.kernel(name)


# -- regions ----------------------------------------------------------------------------------------------------------


def _is_plain(route: Route, found: Found) -> bool:
    """Whether a route of a region is by a builtin function, the kernel has room for it, and all sizes are numbers."""
    from nbgraph_kernels.evals import MOST

    counts = len(found.nodes), len(found.outside), len(route.commits), len(route.saved)
    plain = type(route.runner.quick) is BuiltinFunctionType and not (
        found.key[0].kind or route.moving or route.fallible
    )
    return plain and max(counts) <= MOST and all(type(s) is int for sizes in found.sizes for s in sizes)


def _of_region(code: Any, route: Route, found: Found) -> Any:
    """The function of targets; its template is that of `nbgraph_kernels.evals`."""
    words, matcher, n, live = recorder.words(), found.key[0], len(found.nodes), found.key[1]
    uses = np.zeros(n, np.int64)
    for refs in matcher.operands:
        for ref in refs:
            if ref >= 0:
                uses[ref] += 1
    saved: Sequence[int] = route.saved_at if route.saved else ()
    kept = [id(x.type) for x in found.outside], list(matcher.roots), list(saved)
    tables = [np.array(table, np.int64) for table in (_comparisons(matcher, found), *kept)]
    tables += [uses, np.array([(k, id(slot), p) for k, slot, p in route.commits], np.int64)]
    compared, types, roots, places, uses_at, commits = (t.ctypes.data for t in tables)
    quick = route.runner.quick
    head = [words.ctypes.data, len(matcher.roots), roots, n, compared, len(found.outside), types, live, uses_at]
    head += [entry_address("builtin"), id(quick.__self__), id(list), id(int)]
    head += [id(route.fragment), id(route.words), id(route.kind)]
    head += [id(route.saved) if route.saved else 0, len(saved), places, len(route.commits), commits, route.root]
    types_kept = [x.type for x in found.outside]
    needed = code, words, matcher, route, quick, found.sizes, types_kept, tables
    return python_api.builtin_function(code.address, np.array(head, np.int64), *needed)


def _comparisons(matcher: Matcher, found: Found) -> list[int]:
    """What is compared, users before what they use."""
    from nbgraph_kernels.evals import MET, OUTSIDE

    sizes = dict(zip(matcher.sized, found.sizes, strict=True))
    met, table = set(matcher.roots), list[int]()
    for k in range(len(matcher.operands) - 1, -1, -1):
        refs = matcher.operands[k]
        table += [k, id(matcher.operations[k]), id(sizes[k]) if k in sizes else 0, len(refs)]
        for ref in refs:
            how = (MET if ref in met else 0) + (OUTSIDE if ref < 0 else 0)
            table += [how, ref if ref >= 0 else ~ref]
            met.add(ref)
    return table


# -- calls ------------------------------------------------------------------------------------------------------------


def _is_plain_call(route: CallRoute, call: Any, entries: Sequence[Any]) -> bool:
    """Whether a route of a call is by a builtin function, and the kernel has room for it."""
    from nbgraph_kernels.evals import MOST

    plain = type(route.runner.quick) is BuiltinFunctionType and call.active and call.origin is None
    return plain and max(len(call.inputs), len(entries), len(route.saved)) <= MOST


def _of_call(code: Any, route: CallRoute, call: Any, entries: Sequence[Any], inputs: Sequence[Node]) -> Any:
    """The function of a call; its template is that of `nbgraph_kernels.waiting`."""
    output = dict(zip(route.slots, route.places, strict=True))
    words, types, quick = recorder.words(), [x.type for x in inputs], route.runner.quick
    results = [(slot, output.get(slot, -1)) for slot, _ in entries]
    saved: Sequence[int] = route.saved_at if route.saved else ()
    tables = [np.array(table, np.int64) for table in (list(map(id, types)), results, list(saved))]
    at_types, at_results, places = (t.ctypes.data for t in tables)
    head = [words.ctypes.data, id(call.fragment), id(call.words), len(types), at_types, len(results), at_results]
    head += [entry_address("builtin"), id(quick.__self__), id(list)]
    head += [id(route.saved) if route.saved else 0, len(saved), places]
    needed = code, words, route, quick, call.fragment, call.words, types, tables
    return python_api.builtin_function(code.address, np.array(head, np.int64), *needed)
