"""Totals: a loss that was added up term by term becomes one sum.

In: the open nodes of a region. Out: those that are left; the last node of each long chain of additions of scalars is
the value of a `SumCall` now.
Why: how many terms there are is then no part of any structure, and a sum of a thousand terms is one call to seal, to
differentiate and to run. Arrays stay as they are: where additions of them are one fragment, they are one pass.
Holds: the terms are values of calls or leaves, of one dtype, and nobody refers to the totals between. What every row
of a loop adds is one term, the loop's own total of it.
"""

from __future__ import annotations

import weakref
from collections import Counter
from collections.abc import Sequence
from operator import attrgetter, itemgetter
from sys import getrefcount

from nbgraph.calls import SumCall
from nbgraph.loops import LONG, LoopCall
from nbgraph.node import Node
from nbgraph.op import REGISTRY

_call, _op = attrgetter("call"), attrgetter("op")
_first = itemgetter(0)
#: Shorter chains stay as they are.
SHORTEST = 8


def _references() -> int:
    """What `getrefcount` says in `_chain` of a total that one operation alone refers to."""
    a = object()
    held = [a]
    node = a
    return getrefcount(a) if held else id(node)


_BETWEEN = _references()


def sum_up(targets: Sequence[Node]) -> None:
    """Makes sums of those targets that end such a chain: their regions need not be looked for. Needs the lock."""
    add = REGISTRY["add"]()
    for node in targets:
        if node.op is add and node.type.shape == () and node.data is None:
            between, terms = _chain(node, add, _BETWEEN)
            if len(between) >= SHORTEST and terms[-1].op is None:
                _sum_up(node, terms)


def totalled(region: list[Node]) -> list[Node]:
    """See the module; `region` is in recording order. Needs the lock."""
    if len(region) < SHORTEST:
        return region
    add = REGISTRY["add"]()
    if list(map(_op, region)).count(add) < SHORTEST:
        return region
    taken: set[int] = set()
    for node in reversed(region):
        if node.op is add and node.type.shape == () and id(node) not in taken:
            between, terms = _chain(node, add, _BETWEEN + 1)
            if len(between) >= SHORTEST and terms[-1].op is None:
                taken.update(map(id, between))
                _sum_up(node, terms)
    return [node for node in region if id(node) not in taken] if taken else region


def _chain(top: Node, add: object, alone: int) -> tuple[list[Node], list[Node]]:
    """The additions below one, itself included, that make a total with it; the terms, last first, and what they are
    added to. `alone`: what `getrefcount` says of a total that nobody else refers to."""
    node, t, between, terms = top, top.type, [], []
    while node.op is add and node.type is t:
        a, b = node.inputs
        if b.op is not None:
            a, b = b, a
        if b.op is not None or b.type is not t or a.type is not t:
            break
        between.append(node)
        terms.append(b)
        node = a
        if a.data is not None or getrefcount(a) != alone:
            break
    return between, [*terms, node]


def _sum_up(top: Node, terms: Sequence[Node]) -> None:
    inputs = _by_loop(terms[::-1])
    call = SumCall(tuple(inputs))
    call.nodes = (weakref.ref(top),)
    top.call, top.slot = call, 0
    top.op, top.inputs, top.sizes = None, (), ()


def _by_loop(terms: Sequence[Node]) -> list[Node]:
    """Terms, where a result of every row of a loop that has not run is the loop's total of it."""
    calls = list(map(_call, terms))
    totals: dict[tuple[LoopCall, int], Node] = {}
    for loop in [c for c in dict.fromkeys(calls) if type(c) is LoopCall and c.waits]:
        loop.close()
        places = [t.slot for t, c in zip(terms, calls, strict=True) if c is loop]
        for slot, times in Counter(map(_first, places)).items():
            if LONG <= times == loop.n == len({k for s, k in places if s == slot}):
                totals[loop, slot] = loop.total(slot)
    if not totals:
        return list(terms)
    rest = [t for t, c in zip(terms, calls, strict=True) if type(c) is not LoopCall or (c, t.slot[0]) not in totals]
    return [*totals.values(), *rest]
