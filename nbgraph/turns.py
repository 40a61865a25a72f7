"""Calls of several fragments by turns: each round becomes one call, so that a loop of them is a loop of one fragment.

In: calls of the graph, oldest first, and what nodes are values of them. Out: whether the graph changed: rounds that are
wired alike are calls of one fragment, put together of theirs, in the place of their first calls.
Why: two functions by turns, two evals in an iteration, a step that is another one now and then, or one that works on
results of the last two, are no run and no chain, which are calls of one fragment each of which works on results of
the one before.
Holds: every node keeps its value, its history and its creation number. A round needs nothing from outside that is
younger than its first call, so the order of creation numbers stays a topological one.
"""

from __future__ import annotations

import weakref
from collections.abc import Iterator, Mapping, Sequence
from operator import attrgetter
from typing import Any, NamedTuple

import numpy as np

from nbgraph.calls import TAKEN, FragmentCall
from nbgraph.fragment import Fragment, FragmentBuilder, size_at
from nbgraph.moving import words_of_sizes
from nbgraph.node import Node, number_within
from nbgraph.repeats import SHORTEST
from nbgraph.resolve import saved_slots
from nbgraph.seal import anonymous, sinks
from nbgraph.types import Size

#: So many calls a round at most, and so many operations.
LONGEST, LARGEST = 16, 256
#: Where an operand of a call comes from: (place in the round, slot), or (-1, number among the round's operands).
Wiring = tuple[tuple[tuple[int, int], ...], ...]


class Round(NamedTuple):
    """A fragment put together of several: `slots[j]` says which slot each one of part j's is, `words` which of all
    parts' words its own are."""

    fragment: Fragment
    slots: tuple[tuple[int, ...], ...]
    words: tuple[int, ...]


_type, _call = attrgetter("type"), attrgetter("call")
#: By fragments, wiring and kinds of operands. Guarded by `LOCK`.
_ROUNDS: dict[Any, Round] = {}
_ROUNDS_LIMIT = 512


def fuse(calls: Sequence[FragmentCall], nodes: Mapping[int, Sequence[Node]]) -> bool:
    """See the module. `nodes`: by the id of a call that has run, the nodes that are its values. Needs the lock."""
    fused = False
    for start, period, count in _stretches(calls):
        rounds = [calls[k : k + period] for k in range(start, start + count * period, period)]
        wired = [(*_wiring(parts), parts) for parts in rounds]
        for alike in _loops(wired):
            wiring, outside, parts = alike[0]
            made = put_together([c.fragment for c in parts], wiring, outside)
            for _, outside, parts in alike:
                _replace(parts, made, outside, nodes)
            fused = True
    return fused


def to_round(node: Node) -> None:
    """Makes a node that was left with a part of a round a value of the round. Needs the lock."""
    while type(node.call) is FragmentCall and node.call in TAKEN:
        node.call, slots = TAKEN[node.call]
        node.slot = slots[node.slot]


def may_be_part(call: FragmentCall) -> bool:
    """Whether a call may be part of a round: it has run or it has not, as a whole, at known sizes."""
    slots = saved_slots(call.fragment)
    if slots and not (call.nodes is not None if call.saved is None else call.saved[0] == slots):
        return False
    for i in call.inputs:
        if i.op is not None or not i.type.concrete:
            return False
    return not call.words or all(type(w) is int for w in call.words)


# -- rounds -----------------------------------------------------------------------------------------------------------


def _stretches(calls: Sequence[FragmentCall]) -> Iterator[tuple[int, int, int]]:
    """Where the same fragments come again and again: the first place, how many a round, how many rounds."""
    known: dict[Any, int] = {}
    kinds = np.array([known.setdefault(state, len(known)) for state in map(_state, calls)], int)
    lengths = {p: _matches(kinds, p) for p in range(1, min(LONGEST, len(calls) // SHORTEST) + 1)}
    k = 0
    while k < len(calls):
        period = next((p for p, n in lengths.items() if k < len(n) and n[k] >= (SHORTEST - 1) * p), 0)
        if not period:
            k += 1
            continue
        end = k + int(lengths[period][k]) + period
        lag = _lag(calls[k:end])
        period *= -(-lag // period)
        if 1 < period <= LONGEST and sum(len(c.fragment.instrs) for c in calls[k : k + period]) <= LARGEST:
            yield k, period, (end - k) // period
        k = end


def _state(call: FragmentCall) -> tuple[Any, ...]:
    """What calls at the same place of two rounds have in common, also what the sizes of their values depend on: rounds
    of a loop that grows are no loop of one fragment."""
    f, words = call.fragment, call.words
    sizes = [words[k] for k in words_of_sizes(f)]
    return f, call.nodes is None, call.saved is None, call.active, *map(_type, call.inputs), *sizes


def _loops(wired: Sequence[Any]) -> Iterator[list[Any]]:
    """Rounds, one after another, that are wired alike and each of which works on results of the one before."""
    loop: list[Any] = []
    for wiring, outside, parts in wired:
        if loop and not (wiring == loop[-1][0] and not set(loop[-1][2]).isdisjoint(map(_call, outside))):
            if len(loop) >= SHORTEST:
                yield loop
            loop = []
        if wiring is not None:
            loop.append((wiring, outside, parts))
    if len(loop) >= SHORTEST:
        yield loop


def _lag(calls: Sequence[FragmentCall]) -> int:
    """How many calls back the operands of one of the last ones are made: a round has to be as long, to work on results
    of the one before alone."""
    place = {id(c): k for k, c in enumerate(calls)}
    last = range(max(0, len(calls) - 2 * LONGEST), len(calls))
    return max((k - place[id(i.call)] for k in last for i in calls[k].inputs if id(i.call) in place), default=1)


def _matches(kinds: np.ndarray[Any, Any], period: int) -> np.ndarray[Any, Any]:
    """For each place, how many kinds from there on are those a period later."""
    differ = np.flatnonzero(kinds[:-period] != kinds[period:])
    places = np.arange(len(kinds) - period)
    ends = np.append(differ, len(places))
    found: np.ndarray[Any, Any] = ends[np.searchsorted(differ, places)] - places
    return found


def _wiring(parts: Sequence[FragmentCall]) -> tuple[Wiring | None, list[Node]]:
    """Where operands come from, and those from outside; None where the round cannot be one call."""
    place = {id(c): j for j, c in enumerate(parts)}
    first = parts[0].seq
    outside: dict[int, int] = {}
    nodes: list[Node] = []
    wiring = []
    for call in parts:
        if not _stands_alone(call, place):
            return None, nodes
        refs = []
        for node in call.inputs:
            j = place.get(id(node.call))
            if j is not None:
                refs.append((j, node.slot))
                continue
            if node.call is not None and node.call.seq >= first:
                return None, nodes
            k = outside.setdefault(id(node), len(nodes))
            if k == len(nodes):
                nodes.append(node)
            refs.append((-1, k))
        wiring.append(tuple(refs))
    return tuple(wiring), nodes


def _stands_alone(call: FragmentCall, place: Mapping[int, int]) -> bool:
    """Whether a round that a call is in need not know what it was derived from: that is in it, too, or says nothing of
    what the call depends on, nor of who recorded it, that the call does not."""
    origin = call.origin and call.origin[0]
    if origin is None or id(origin) in place:
        return True
    return not origin.sites and {id(i) for i in origin.inputs if i.active} <= set(map(id, call.inputs))


def put_together(fragments: Sequence[Fragment], wiring: Wiring, outside: Sequence[Node], whole: bool = False) -> Round:
    """One fragment of several, wired like that; `outside` are operands like those from outside. `whole`: the fragment
    that a region of all these operations would be, recorded one by one. Needs the lock."""
    key = (tuple(fragments), wiring, tuple(n.type.klass for n in outside), whole)
    made = _ROUNDS.get(key)
    if made is None:
        if len(_ROUNDS) >= _ROUNDS_LIMIT:
            _ROUNDS.clear()
        made = _ROUNDS[key] = _build(fragments, wiring, outside, whole)
    return made


def _build(fragments: Sequence[Fragment], wiring: Wiring, outside: Sequence[Node], whole: bool) -> Round:
    """Equal operations stay apart, as in other fragments of calls."""
    b = FragmentBuilder()
    for node in outside:
        b.input(anonymous(node.type))
    slots: list[list[int]] = []
    for f, refs in zip(fragments, wiring, strict=True):
        operands = [k if j < 0 else slots[j][k] for j, k in refs]
        env: dict[Any, Size] = {("w", k): b.word() for k in range(f.n_words)}
        env.update({("d", i, a): d for i, v in enumerate(operands) for a, d in enumerate(b.types[v].shape)})
        mine = list(operands)
        for instr in f.instrs:
            sizes = tuple(size_at(s, env) for s in instr.sizes)
            made = b.append(instr.op, tuple(mine[i] for i in instr.ins), sizes)
            mine.extend(made if isinstance(made, tuple) else (made,))
        slots.append(mine)
    if whole:
        fragment, words = b.finish(b.instrs, sinks(b.instrs))
    else:
        outputs = [slots[j][o] for j, f in enumerate(fragments) for o in f.outputs]
        fragment, words = b.finish(b.instrs, list(dict.fromkeys(outputs)))
        saved = (slots[j][s] for j, f in enumerate(fragments) for s in saved_slots(f))
        fragment.cache.setdefault("saved", tuple(sorted(set(saved))))
    return Round(fragment, tuple(map(tuple, slots)), tuple(w.symbol[1] for w in words))  # type: ignore[union-attr]


def _replace(
    parts: Sequence[FragmentCall], made: Round, outside: Sequence[Node], nodes: Mapping[int, Sequence[Node]]
) -> None:
    """Puts one call in the place of a round's."""
    sites = [(slots[s], site) for c, slots in zip(parts, made.slots, strict=True) if c.sites for s, site in c.sites]
    words: tuple[Size, ...] = ()
    if made.words:
        all_words = [w for c in parts for w in c.words]
        words = tuple([all_words[k] for k in made.words])
    call = FragmentCall(made.fragment, tuple(outside), words, sites or None)
    call.seq, call.kind = parts[0].seq, parts[-1].kind
    parts[0].seq = number_within(call.seq, 1)  # it may live on, with other values
    call.saved = _saved(parts, made)
    waiting: dict[int, tuple[int, Node]] | None = None
    if any(c.nodes is not None for c in parts):
        waiting = {}
    for part, slots in zip(parts, made.slots, strict=True):
        for slot, node in _values(part, nodes):
            node.call, node.slot = call, slots[slot]
            if waiting is not None and node.data is None:
                waiting[id(node)] = node.slot, node
        TAKEN[part] = call, slots
        if part.nodes is not None:
            part.nodes = []
    if waiting is not None:
        call.nodes = [(slot, weakref.ref(node)) for slot, node in waiting.values()]


def _values(call: FragmentCall, nodes: Mapping[int, Sequence[Node]]) -> list[tuple[int, Node]]:
    """The nodes that are values of a call, by slot, each once."""
    known = nodes.get(id(call), ())
    if not call.nodes:
        return [(n.slot, n) for n in known]
    found = {id(n): (n.slot, n) for n in known}
    for s, reference in call.nodes:
        if (n := reference()) is not None:
            found[id(n)] = s, n
    return list(found.values())


def _saved(parts: Sequence[FragmentCall], made: Round) -> Any:
    """What a round keeps for its derivative; None where some of it has not been computed."""
    kept = saved_slots(made.fragment)
    if not kept:
        return None
    values = {
        slots[s]: v
        for c, slots in zip(parts, made.slots, strict=True)
        if c.saved is not None
        for s, v in zip(*c.saved, strict=True)
    }
    return (kept, tuple([values[s] for s in kept])) if all(s in values for s in kept) else None
