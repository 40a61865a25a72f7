"""Stretches: calls of one loop, found by columns instead of call by call.

In: the newest call, which operand leads from call to call, and which calls are admitted. Out: how many of the calls fit
a pattern: for each operand SAME, EACH, or the slot of the call before that it is.
Holds: what is compared is whole columns (an operand of all calls), since loops over lists of nodes in C cost a
twentieth of loops over calls in Python; only where a column breaks off is looked for the place.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import repeat
from operator import attrgetter, is_
from typing import Any

from nbgraph.calls import FragmentCall
from nbgraph.moving import words_of_sizes
from nbgraph.node import Node
from nbgraph.types import Shape

#: What an operand is to a stretch, besides a slot of the call before.
SAME, EACH = -1, -2

#: For nodes, the calls that make them and the slots they are.
Makers = Callable[[Sequence[Node]], tuple[list[Any], list[int]]]
Columns = list[tuple[Node, ...]]
_inputs, _type = attrgetter("inputs"), attrgetter("type")


#: So many calls are looked at first; ever more, as long as all of them fit.
_FIRST, _MORE = 16, 16


class Pauses:
    """By fragment: of how many more calls no stretch is looked for, since none was found; ever more, up to a limit."""

    LONGEST = 31

    def __init__(self) -> None:
        self._of: dict[Any, tuple[int, int]] = {}

    def are_over(self, fragment: Any) -> bool:
        """Whether to look for one at a call."""
        left, pause = self._of.get(fragment, (0, 0))
        if left:
            self._of[fragment] = left - 1, pause
        return not left

    def note(self, fragment: Any, found: bool) -> None:
        """Notes whether there was one."""
        pause = 0 if found else min(2 * self._of.get(fragment, (0, 0))[1] + 1, self.LONGEST)
        self._of[fragment] = pause, pause


def stretch_from(
    newest: FragmentCall,
    pattern: Sequence[int],
    made_by: Callable[[Node], Any],
    makers: Makers,
    admitted: Callable[[Sequence[FragmentCall]], int],
    apart: Callable[[Sequence[FragmentCall], Columns], int],
) -> list[FragmentCall]:
    """The calls that go on as a pattern says, newest first. `admitted` says how many of the first of some calls may;
    it is asked of all but the newest, in this order. (Others may have been admitted too.) `apart` says of calls and
    their columns how many need nothing of their own that depends on older ones."""
    calls, limit = [newest], _FIRST
    while True:
        _link(calls, limit, pattern.index(max(pattern)), made_by, admitted)
        columns = columns_of(calls)
        n = fitting(calls, columns, pattern, makers)
        n = apart(calls[:n], columns)
        if n < limit:
            return calls[:n]
        limit *= _MORE


def _link(
    calls: list[FragmentCall],
    limit: int,
    operand: int,
    made_by: Callable[[Node], Any],
    admitted: Callable[[Sequence[FragmentCall]], int],
) -> None:
    """Appends calls of the same fragment at the same sizes, each of which makes that operand of the one before it
    here."""
    fragment, words, older = calls[0].fragment, calls[0].words, calls[-1]
    sizes, more = words_of_sizes(fragment), []
    for _ in range(limit - len(calls)):
        older = made_by(older.inputs[operand])
        if type(older) is not FragmentCall or older.fragment is not fragment:
            break
        if older.words is not words and older.words != words and any(older.words[k] != words[k] for k in sizes):
            break
        more.append(older)
    calls += more[: admitted(more)]


def admitted_by(admits: Callable[[Any], bool]) -> Callable[[Sequence[FragmentCall]], int]:
    """How many of the first of some calls are admitted, by what says it of one."""
    return lambda calls: next((k for k, call in enumerate(calls) if not admits(call)), len(calls))


def differing(words: Sequence[Shape]) -> list[int]:
    """The positions at which words of several calls are not all the same."""
    return [k for k, column in enumerate(zip(*words, strict=True)) if len(set(column)) > 1]


def pattern_of(newer: FragmentCall, older: FragmentCall, makers: Makers) -> tuple[int, ...]:
    """What each operand of a call is, judged by the one before."""
    calls, slots = makers(newer.inputs)
    return tuple(
        [
            SAME if a is b else slot if call is older else EACH
            for a, b, call, slot in zip(newer.inputs, older.inputs, calls, slots, strict=True)
        ]
    )


def columns_of(calls: Sequence[FragmentCall]) -> Columns:
    """For each operand, what it is in each call."""
    return list(zip(*map(_inputs, calls), strict=True))


def fitting(calls: Sequence[FragmentCall], columns: Columns, pattern: Sequence[int], makers: Makers) -> int:
    """How many of the calls, newest first, go on as the pattern says."""
    n = len(calls)
    for column, kind in zip(columns, pattern, strict=True):
        if kind == SAME:
            n = _identical(column[:n], column[0])
            continue
        n = _equal(list(map(_type, column[:n])), [column[0].type] * n)
        if kind >= 0:
            made_by, slots = makers(column[: n - 1])
            n = 1 + _equal(made_by, calls[1:n])
            n = 1 + _equal(slots[: n - 1], [kind] * (n - 1))
    return n


def _identical(nodes: Sequence[Node], wanted: Node) -> int:
    """How many of the first nodes are that node; users' nodes say of themselves what is equal."""
    if all(map(is_, nodes, repeat(wanted))):
        return len(nodes)
    return next(k for k, node in enumerate(nodes) if node is not wanted)


def _equal(found: Sequence[Any], wanted: Sequence[Any]) -> int:
    """How many of the first things are the wanted ones."""
    if found == wanted:  # a loop in C
        return len(wanted)
    return next(k for k, (a, b) in enumerate(zip(found, wanted, strict=True)) if a != b)
