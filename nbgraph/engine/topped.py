"""Open operations on top of a call that waits, run as one program: a jitted step, and the test that comes after it.

In: a region that `match` recognised, whose unknown operands are all results of one call. Out: the value of its target;
or None, where the two have to be run one after the other, or by the general path.
Holds: where history is kept they become one call of the graph, whose fragment is that of all their operations recorded
one by one; else they stay two. Only short ones are put together: a long call would be compiled once more for every test
there is, and gains nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from sys import getrefcount
from typing import Any

import numpy as np

from nbgraph.calls import TAKEN, TOPPED, FragmentCall, call_that_ran
from nbgraph.engine.commits import CallRoute, Route, live_slots, pick
from nbgraph.engine.pairs import Waiting
from nbgraph.engine.runners import Runner, runner_for
from nbgraph.match import Found
from nbgraph.moving import moving_words
from nbgraph.node import LOCK, Node
from nbgraph.resolve import saved_slots
from nbgraph.ssa import program_for
from nbgraph.trace import SCALAR, site_of
from nbgraph.turns import Round, put_together

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
    if base is None or not base.nodes or base.origin is not None or len(base.fragment.instrs) + n_ops > SHORT:
        return None
    for i in base.inputs:
        if i.data is None:
            return None
    return base


def run_topped(engine: Any, found: Found, base: FragmentCall) -> Array | None:
    """The value of the region's target; see the module."""
    waited = base.nodes
    if waited is None:  # another thread has run it
        return None
    count, slots, nodes, types, arrays, links = len(waited), [], [], [], [], []
    for slot, reference in waited:
        node = reference()
        if node is not None:
            slots.append(slot)
            nodes.append(node)
    inputs = base.inputs
    for i in inputs:
        a = i.data
        if a is None:
            return None
        arrays.append(a)
        types.append(i.type)
    for x in found.outside:
        a = x.data
        if a is not None:
            links.append(_place(x, inputs))
            if links[-1] == -1:
                arrays.append(a)
        elif x.call is base:
            links.append(x.slot)
        else:  # another thread has run the base, or taken its place
            return None
    key = (found.key, base.fragment, base.active, base.words, *slots, *links, *types)
    route = engine.routes.get(key)
    if route is None:
        if not slots:
            return None
        route = engine.routes.keep(key, _topped(engine, key, found, base, tuple(slots), links))
    return route.run(found, base, (waited, count), nodes, arrays) if route else None


def _place(x: Node, inputs: Sequence[Node]) -> int:
    """Where an operand is among those of the base, as -2 and less; -1 where it is none of them, or a number, which is
    an operand of its own at every use."""
    if x.slot != SCALAR or x.call is not None:
        for k, i in enumerate(inputs):
            if i is x:
                return -2 - k
    return -1


def _topped(engine: Any, key: Any, found: Found, base: FragmentCall, slots: tuple[int, ...], links: list[int]) -> Any:
    matcher, _, active = found.key[:3]
    plan, n = matcher.plan, len(base.inputs)
    if moving_words(plan.fragment) or moving_words(base.fragment):
        return False
    others = [x for x, link in zip(found.outside, links, strict=True) if link == -1]
    number = iter(range(n, n + len(others)))
    of_outside = [(0, s) if s >= 0 else (-1, next(number) if s == -1 else -2 - s) for s in links]
    wiring = tuple([(-1, k) for k in range(n)]), tuple(of_outside)
    with LOCK:
        both = put_together((base.fragment, plan.fragment), wiring, (*base.inputs, *others), whole=True)
    of_base, of_region = both.slots
    kept = saved_slots(base.fragment) if base.active else (), saved_slots(plan.fragment) if active else ()
    wanted = {of_base[s] for s in (*slots, *kept[0])}
    wanted |= {of_region[s] for s in (*live_slots(found), *kept[1])}
    if base.active and active:
        wanted |= set(saved_slots(both.fragment))
    program = program_for(both.fragment, frozenset(wanted))
    words = (*base.words, *found.words(plan))
    types = tuple([i.type for i in (*base.inputs, *others)])
    runner = runner_for(engine, key, program.bind(types, tuple([words[k] for k in both.words])))
    if runner is None or program.moving:
        return False
    at = [{s: program.position[p] for s, p in enumerate(of) if p in program.position} for of in both.slots]
    routes = CallRoute(runner, base, slots, at[0]), Route(runner, found, found.words(plan), at[1])
    joined = Joined(both, words, program, links, routes) if base.active and active else None
    return Topped(runner, *routes, joined)


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
        cache = base.fragment.cache  # who records calls of it asks
        cache[TOPPED] = cache.get(TOPPED, 0) + 1
        with LOCK:
            if self.joined is not None and self.joined.commit(found, base, waited, nodes, outs):
                return outs[self.region.root]
            if not self.base.commit(base, waited, nodes, outs):
                return None  # another thread was first, and may have chosen otherwise
            return outs[self.region.root] if self.region.commit(found, self.region.words, outs) else None


class Joined:
    """How the two become one call of the graph, in the place of the first: its fragment is `both`."""

    __slots__ = ("base", "both", "others", "region", "saved", "saved_at", "words")

    def __init__(
        self, both: Round, words: tuple[Any, ...], program: Any, links: Sequence[int], routes: tuple[CallRoute, Route]
    ) -> None:
        self.both, self.words = both, tuple([words[k] for k in both.words])
        self.base, self.region = routes
        self.saved = saved_slots(both.fragment)
        self.saved_at = tuple([program.position[s] for s in self.saved])
        self.others = [k for k, link in enumerate(links) if link == -1]

    def commit(
        self, found: Found, base: FragmentCall, waited: Waiting, nodes: Sequence[Node], outs: Sequence[Array]
    ) -> bool:
        """Makes all values part of the graph, those of one call; needs the lock. False where they are none: another
        thread has computed some of them, or an operand is younger than the first of the two (numbers of creation are a
        topological order)."""
        if base.nodes is not waited[0] or len(base.nodes) != waited[1]:
            return False
        others = []
        for k in self.others:
            x = found.outside[k]
            if x.call is not None and x.call.seq >= base.seq:
                return False
            others.append(x)
        for k, _, _ in self.region.commits:
            if found.nodes[k].op is None:
                return False
        call = self._call(found, base, others, outs)
        in_base, in_region = self.both.slots
        for node, p in zip(nodes, self.base.places, strict=True):
            node.data, node.call, node.slot = outs[p], call, in_base[node.slot]
        for k, slot, p in self.region.commits:
            node = found.nodes[k]
            node.call, node.slot, node.data = call, in_region[slot], pick(outs, p)
            node.op, node.inputs, node.sizes = None, (), ()
        if getrefcount(base) > _ALONE:  # others may have been derived from it
            TAKEN[base] = call, in_base
            if self.base.saved:
                base.saved = self.base.saved, tuple([outs[p] for p in self.base.saved_at])
        base.nodes = None
        return True

    def _call(self, found: Found, base: FragmentCall, others: Sequence[Node], outs: Sequence[Array]) -> FragmentCall:
        in_base, in_region = self.both.slots
        sites = saved = None
        if base.sites or self.region.fallible:
            sites = [(in_base[slot], site) for slot, site in base.sites or ()]
            sites += [(in_region[slot], site) for slot, k in self.region.fallible if (site := site_of(found.nodes[k]))]
        if self.saved:
            saved = self.saved, tuple([outs[p] for p in self.saved_at])
        inputs = (*base.inputs, *others)
        call = call_that_ran(self.both.fragment, inputs, self.words, True, saved, sites or None, self.region.kind)
        call.seq = base.seq
        return call


def _references(x: object, calls: int) -> int:
    """What `getrefcount` says of what only the arguments of so many functions refer to, each called by the last."""
    return getrefcount(x) if calls == 1 else _references(x, calls - 1)


#: Of a call that only its nodes refer to, once these are nodes of another: `_run_region` of the routes, `run_topped`,
#: `Topped.run` and `Joined.commit` know it.
_ALONE = _references(object(), 4)
