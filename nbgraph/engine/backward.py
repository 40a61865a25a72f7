"""A gradient through a loop, run in a straight line: its repeats, and the sums that their cotangents go into.

In: a node of a sum or of a repeat. Out: its value; or None, where the general path has to be taken: something that the
steps read is not known, or an operation failed in a way that has to be named.
Holds: what a repeat adds up over its steps is added to what the other terms come to. Terms that nothing but their sum
refers to are let go as soon as it is known: a second derivative computes them again.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Mapping
from sys import getrefcount
from typing import Any

import numpy as np

from nbgraph.calls import Dropped, FragmentCall, RepeatCall, SumCall
from nbgraph.engine.repeats import run_repeat
from nbgraph.errors import BoundsError, LinAlgError, user_frame
from nbgraph.memory import copy, zeros
from nbgraph.node import LOCK, Node
from nbgraph.repeats import added_up
from nbgraph.trace import value_of

Array = np.ndarray[Any, Any]
#: The value of an operand, None where it is not so simply had.
Value = Callable[[Node], Array | None]
#: What `getrefcount` says of a node that a tuple and a loop's variable refer to.
_ONLY_THE_SUM = next(getrefcount(term) for term in (object(),))


class _NotKnownError(Exception):
    """Something that the steps of a repeat read has no value yet."""


def run_sum(target: Node, call: SumCall, engine: Any, value: Value) -> Array | None:
    """The value of a sum: of cotangents that meet, or of a loss's terms."""
    added = {id(n): n for n in call.inputs if type(n.call) is RepeatCall and n.data is None and n.slot in n.call.sums}
    if not target.type.concrete or any(n.call.rest.waits for n in added.values()) or added_up(call):
        return None
    total: Array | None = None
    for term in call.inputs:
        if id(term) not in added:
            known = value(term)
            if known is None:
                return None
            total = copy(known) if total is None else np.add(total, known, out=total)
    total = zeros(target.type.shape, target.type.dtype) if total is None else total
    for term in added.values():
        if term.data is not None:  # another term was of the same repeat
            np.add(total, term.data, out=total)
        elif not _run(term.call, engine, value, {term.slot: total}):
            return None
    with LOCK:
        set_sum(call, total)
        for term in call.inputs:
            if getrefcount(term) == _ONLY_THE_SUM:
                let_go(term)
    engine.counters.operations += len(call.inputs) - 1
    a: Array = target.data
    return a


def set_sum(call: SumCall, total: Array) -> None:
    """Gives the nodes of a sum their value. Needs the lock."""
    for reference in call.nodes:
        node = reference()
        if node is not None and node.data is None:  # else another thread was first
            node.data = total
            if not node.active:
                node.call = Dropped(user_frame(), call.seq)


def run_steps(target: Node, call: RepeatCall, engine: Any, value: Value) -> Array | None:
    """The value of a result of a repeat."""
    a: Array | None = target.data if run_repeated(call, engine, value) else None
    return a


def run_repeated(call: RepeatCall, engine: Any, value: Value) -> bool:
    """Gives the nodes of a repeat their values; whether it could."""
    return not call.rest.waits and _run(call, engine, value, {})


def _run(call: RepeatCall, engine: Any, value: Value, totals: Mapping[int, Array]) -> bool:
    """Runs a repeat and gives its nodes their values, but those of sums added to `totals`; whether it could."""
    given = [a for node in call.inputs[: len(call.links)] if (a := value(node)) is not None]
    if len(given) < len(call.links):
        return False
    try:
        with engine.blas:
            found = run_repeat(engine, call, given, _known, _saved, totals, call.rest.ran)
    except (_NotKnownError, LinAlgError, BoundsError):
        return False
    with LOCK:
        for slot, reference in call.nodes:
            node = reference()
            if node is not None and node.data is None and slot in found:
                node.data = found[slot]
    return True


def _known(node: Node) -> Array:
    a: Array | None = value_of(node)
    if a is None:
        raise _NotKnownError
    return a


def _saved(call: FragmentCall) -> Any:
    if call.saved is None:
        raise _NotKnownError
    return call.saved


def let_go(term: Node) -> None:
    """Forgets the value of a result of a derived call, which waits then as if it had not run."""
    call = term.call
    if type(call) is FragmentCall and call.origin is not None and term.data is not None:
        call.nodes = [*(call.nodes or ()), (term.slot, weakref.ref(term))]
        term.data = None
