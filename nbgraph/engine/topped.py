"""Open operations on top of a call that waits, run as one program: a jitted step, and the test that comes after it.

In: a region that `match` recognised, whose unknown operands are all results of one call. Out: the value of its target;
or None, where the two have to be run one after the other, or by the general path.
Holds: where history is kept they become one call of the graph, as `nbgraph.turns` would make of them once a gradient
asks; else they stay two. Only short ones are put together: a long call would be compiled once more for every test there
is, and gains nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from nbgraph.engine.commits import CallRoute, Route, live_slots, pick
from nbgraph.engine.pairs import Waiting, waiting
from nbgraph.engine.runners import Runner, runner_for
from nbgraph.match import Found
from nbgraph.moving import moving_words
from nbgraph.resolve import saved_slots
from nbgraph.ssa import program_for
from nbgraph.trace import LOCK, FragmentCall, Node, call_that_ran, site_of
from nbgraph.turns import TAKEN, Round, put_together

Array = np.ndarray[Any, Any]
#: So many operations together are short.
SHORT = 32


def base_below(outside: Sequence[Node], n_ops: int) -> FragmentCall | None:
    """The call that makes all operands that are not known of so many operations, if it waits, its own operands are
    known, and it is short."""
    base = None
    for x in outside:
        if x.data is not None or x.call is base:
            continue
        if base is not None or type(x.call) is not FragmentCall:
            return None
        base = x.call
    if base is None or not base.nodes or base.origin is not None:
        return None
    if len(base.fragment.instrs) + n_ops > SHORT or any(i.data is None for i in base.inputs):
        return None
    return base


def run_topped(engine: Any, found: Found, base: FragmentCall) -> Array | None:
    """The value of the region's target; see the module."""
    waited = waiting(base)
    slots, nodes, links, arrays = [], [], [], [i.data for i in base.inputs]
    for slot, reference in waited[0] or ():
        node = reference()
        if node is not None:
            slots.append(slot)
            nodes.append(node)
    for x in found.outside:
        a = x.data
        links.append(x.slot if a is None and x.call is base else -1)
        if links[-1] < 0:
            arrays.append(a)
    if not slots or any(a is None for a in arrays):  # another thread has run it
        return None
    key = (found.key, base.fragment, base.active, base.words, *slots, *links, *[i.type for i in base.inputs])
    route = engine.routes.get(key)
    if route is None:
        route = engine.routes.keep(key, _topped(engine, key, found, base, tuple(slots), links))
    return route.run(found, base, waited, nodes, arrays) if route else None


def _topped(engine: Any, key: Any, found: Found, base: FragmentCall, slots: tuple[int, ...], links: list[int]) -> Any:
    matcher, _, active = found.key[:3]
    plan, n = matcher.plan, len(base.inputs)
    if moving_words(plan.fragment) or moving_words(base.fragment):
        return False
    others = [x for x, link in zip(found.outside, links, strict=True) if link < 0]
    number = iter(range(n, n + len(others)))
    wiring = tuple([(-1, k) for k in range(n)]), tuple([(-1, next(number)) if s < 0 else (0, s) for s in links])
    with LOCK:
        both = put_together((base.fragment, plan.fragment), wiring, (*base.inputs, *others))
    of_base, of_region = both.slots
    kept = saved_slots(base.fragment) if base.active else (), saved_slots(plan.fragment) if active else ()
    wanted = {of_base[s] for s in (*slots, *kept[0])}
    wanted |= {of_region[s] for s in (*live_slots(found), *kept[1])}
    program = program_for(both.fragment, frozenset(wanted))
    words = (*base.words, *found.words(plan))
    types = tuple([i.type for i in (*base.inputs, *others)])
    runner = runner_for(engine, key, program.bind(types, tuple([words[k] for k in both.words])))
    if runner is None or program.moving:
        return False
    at = [{s: program.position[p] for s, p in enumerate(of) if p in program.position} for of in both.slots]
    joined = Joined(both, words, program, links) if base.active and active else None
    return Topped(runner, CallRoute(runner, base, slots, at[0]), Route(runner, found, found.words(plan), at[1]), joined)


class Topped:
    """How the two are run as one; `joined` says how they become one."""

    __slots__ = ("base", "joined", "region", "runner")

    def __init__(self, runner: Runner, base: CallRoute, region: Route, joined: Joined | None) -> None:
        self.runner, self.base, self.region, self.joined = runner, base, region, joined

    def run(
        self, found: Found, base: FragmentCall, waited: Waiting, nodes: list[Node], arrays: list[Array]
    ) -> Array | None:
        """Runs both and makes their values part of the graph."""
        outs = self.runner.outputs(arrays)
        if outs is None:
            return None
        with LOCK:
            joined = self.joined.call(found, base, self.region) if self.joined is not None else None
            if not self.base.commit(base, waited, nodes, outs):
                return None  # another thread was first, and may have chosen otherwise
            if joined is None or self.joined is None:
                return outs[self.region.root] if self.region.commit(found, self.region.words, outs) else None
            self.joined.commit(joined, base, nodes, found, self.region, outs)
            return outs[self.region.root]


class Joined:
    """How the two become one call of the graph, in the place of the first: its fragment is `both`."""

    __slots__ = ("both", "others", "saved", "saved_at", "words")

    def __init__(self, both: Round, words: tuple[Any, ...], program: Any, links: Sequence[int]) -> None:
        self.both, self.words = both, tuple([words[k] for k in both.words])
        self.saved = saved_slots(both.fragment)
        self.saved_at = tuple([program.position[s] for s in self.saved])
        self.others = [k for k, link in enumerate(links) if link < 0]

    def call(self, found: Found, base: FragmentCall, region: Route) -> FragmentCall | None:
        """The call, not part of the graph yet; None where another thread has computed some of the region, or an operand
        is younger than the first of the two (numbers of creation are a topological order)."""
        others = [found.outside[k] for k in self.others]
        if any(x.call is not None and x.call.seq >= base.seq for x in others):
            return None
        if any(found.nodes[k].op is None for k, _, _ in region.commits):
            return None
        in_base, in_region = self.both.slots
        sites = [(in_base[slot], site) for slot, site in base.sites or ()]
        sites += [(in_region[slot], site) for slot, k in region.fallible if (site := site_of(found.nodes[k]))]
        call = call_that_ran(
            self.both.fragment, (*base.inputs, *others), self.words, True, None, sites or None, region.kind
        )
        call.seq = base.seq
        return call

    def commit(
        self,
        call: FragmentCall,
        base: FragmentCall,
        nodes: Sequence[Node],
        found: Found,
        region: Route,
        outs: Sequence[Array],
    ) -> None:
        """Makes nodes of the base, which have their values, and those of the region values of the call."""
        in_base, in_region = self.both.slots
        if self.saved:
            call.saved = self.saved, tuple([outs[p] for p in self.saved_at])
        for node in nodes:
            node.call, node.slot = call, in_base[node.slot]
        for k, slot, p in region.commits:
            node = found.nodes[k]
            node.call, node.slot, node.data = call, in_region[slot], pick(outs, p)
            node.op, node.inputs, node.sizes = None, (), ()
        TAKEN[base] = call, in_base  # others may have been derived from it
