"""Cutting a region into chunks that become fragments.

In: the open nodes of a region in recording order.
Out: where to cut. The period of the trace is found (same operations, same relative distances of operands), what
differs at the ends is peeled, and each period is a chunk, so that all of them are the same fragment, however many there
are; where nothing repeats, chunks are bounded by size, so that compile time stays linear.
Holds: a short region is one chunk, unless costly operations repeat in it. That it is cut even so is for the sake of a
loop's last, incomplete regions: they are made of the fragments of the others. A short region that follows one of its
own kind is part of a longer loop and is one chunk again. So what a loop is made of does not depend on its length.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Container, Iterable, Iterator, Sequence
from itertools import accumulate, chain, pairwise, repeat
from operator import attrgetter
from typing import Any

import numpy as np

from nbgraph.calls import FragmentCall
from nbgraph.kinds import Elementwise, View
from nbgraph.match import goes_on
from nbgraph.node import Node
from nbgraph.trace import Projection

#: A region of at most this many operations may be one fragment.
SHORT = 96
#: Chunks of about this many operations where nothing repeats.
LONG = 64
#: A loop inside a long period of another is cut where it has so many steps.
MANY = 8

#: So many operations may be in chunks, no two the same, between what repeats, before blocks are looked for in them.
DIVERSE = LONG
#: Where not all repeats, operands farther away than so many operations are told by their types alone: those from a list
#: of results are at another distance each time.
NEAR = 8

_op, _inputs = attrgetter("op"), attrgetter("inputs")
#: Odd numbers that mix bits well by multiplication modulo 2**64.
_ODD, _OTHER = np.uint64(0x9E3779B97F4A7C15), np.uint64(0xC2B2AE3D27D4EB4F)
#: Kinds of short regions in which costly operations repeat, numbered.
_KINDS: dict[Any, int] = {}
#: One period of each.
_TILES: dict[int, Any] = {}
_numbers = itertools.count(1)
_KINDS_LIMIT = 4096


def cut(region: Sequence[Node]) -> tuple[list[int], int]:
    """Where a region's chunks begin and, last, end; the number of its kind if it is short and part of a loop.

    The answer depends on nothing but the region's structure and `kinds_before` it.
    """
    n = len(region)
    if n > SHORT:
        bounds, repeating = _bounds(region, _Words(region), False)
        if n - repeating > LONG:
            otherwise, more = _bounds(region, _Words(region, NEAR), False)
            bounds = otherwise if more > repeating else bounds
        return [0, *bounds, n], 0
    if not _may_repeat(region):
        return _tiled(region)
    words = _Words(region)
    bounds, _ = _bounds(region, words, True)
    if not bounds:
        return _tiled(region)
    kind = _kind(tuple(words.numbers), _tile(region, bounds[0], bounds[1] if len(bounds) > 1 else n))
    if goes_on((i for node in region for i in node.inputs), kind):
        return [0, n], kind
    return [0, *bounds, n], kind


def kinds_before(n: int, outside: Sequence[Node]) -> frozenset[int]:
    """The kinds of loops that a region of n operations may go on with."""
    if n > SHORT:
        return frozenset()
    return frozenset([i.call.kind for i in outside if type(i.call) is FragmentCall and i.call.kind])


def _tiled(region: Sequence[Node]) -> tuple[list[int], int]:
    """A region that repeats nothing: cut where it begins with iterations of the loop that it goes on with."""
    n = len(region)
    for kind in kinds_before(n, [i for node in region for i in node.inputs]):
        tile = _TILES.get(kind, ())
        end = 0
        while tile and _tile(region, end, end + len(tile)) == tile:
            end += len(tile)
        if end:
            return [*range(0, end, len(tile)), end, *([n] if n > end else [])], kind
    return [0, n], 0


def _tile(region: Sequence[Node], start: int, end: int) -> Any:
    """What a chunk is as a fragment: operations, and operands by position, or by type if they are from outside."""
    chunk = region[start:end]
    position = {id(node): k for k, node in enumerate(chunk)}
    return tuple((node.op, tuple(position.get(id(i), i.type.klass) for i in node.inputs)) for node in chunk)


def _may_repeat(region: Sequence[Node]) -> bool:
    """Whether a costly operation comes twice."""
    seen: set[int] = set()
    for node in region:
        if node.op is not None and node.op.costly:
            if id(node.op) in seen:
                return True
            seen.add(id(node.op))
    return False


def _kind(words: Any, tile: Any) -> int:
    kind = _KINDS.get(words)
    if kind is None:
        if len(_KINDS) >= _KINDS_LIMIT:
            _KINDS.clear()
            _TILES.clear()
        kind = _KINDS[words] = next(_numbers)
        _TILES[kind] = tile
    return kind


class _Words:
    """What each node of a region is: its operation and where its operands are, relative to itself, if they are `near`.

    `numbers` are equal where words are; two that differ might have one number, which would cut a region oddly and no
    more. They are made by columns: a region may have a million nodes.
    """

    def __init__(self, region: Sequence[Node], near: int | None = None) -> None:
        self.region = region
        self.position = dict(zip(map(id, region), range(len(region)), strict=True))
        inputs = list(map(_inputs, region))
        operands = list(chain.from_iterable(inputs))
        n, arities = len(region), np.fromiter(map(len, inputs), np.int64, len(region))
        ends = np.cumsum(arities)
        self.near = near = n if near is None else near
        places = np.fromiter(map(self.position.get, map(id, operands), repeat(-n - 1)), np.int64, len(operands))
        told = np.repeat(np.arange(n), arities) - places
        far = np.flatnonzero(told > near)
        told[far] = np.fromiter((id(operands[i].type.klass) for i in far.tolist()), np.int64, len(far))
        which = np.arange(len(operands)) - np.repeat(ends - arities, arities)
        mixed = told.astype(np.uint64) * _ODD + which.astype(np.uint64) * _OTHER
        mixed ^= mixed >> np.uint64(31)
        sums = np.concatenate([np.zeros(1, np.uint64), np.cumsum(mixed * _ODD)])
        ops = np.fromiter(map(id, map(_op, region)), np.int64, n).astype(np.uint64)
        self.numbers: list[int] = (ops * _OTHER + sums[ends] - sums[ends - arities]).tolist()

    def __len__(self) -> int:
        return len(self.numbers)

    def __getitem__(self, k: int) -> Any:
        """The operation of node k, and its operands by distance, or by type if they are far or from outside."""
        node, far = self.region[k], k - self.near - 1
        at = [self.position.get(id(i), far) for i in node.inputs]
        return node.op, tuple([i.type.klass if p <= far else k - p for p, i in zip(at, node.inputs, strict=True)])


def _bounds(region: Sequence[Node], words: _Words, is_short: bool) -> tuple[list[int], int]:
    """Where to cut: at every period of each repeating stretch, and what is left at even distances, or as blocks; how
    many nodes repeat."""
    numbers, n = words.numbers, len(words)
    stretches = list(_stretches(region, words, 2 if is_short else 3, is_short))
    left = _between(stretches, n)
    repeating = n - sum(end - start for start, end in left)
    rest = [[*_even(start, end), end] for start, end in left]
    if (distinct := _operations(numbers, rest)) > DIVERSE and not is_short:
        # Perhaps few blocks in ever another order: a loop whose branches the data decide. Then what comes a few times
        # by chance is no stretch.
        many = [(first, end, period) for first, end, period in stretches if end - first >= MANY * period]
        joins = _joins(numbers)
        blocks = [_at_blocks(numbers, joins, start, end) for start, end in _between(many, n)]
        if 4 * _operations(numbers, blocks) <= distinct:
            stretches, rest, repeating = many, blocks, n
    bounds = [b for first, end, period in stretches for b in _periods(region, first, end, period)]
    bounds += chain.from_iterable(rest)
    return sorted({b for b in bounds if 0 < b < n and not _splits_pack(region, b)}), repeating


def _between(stretches: Sequence[tuple[int, int, int]], n: int) -> list[tuple[int, int]]:
    """Where what is left between stretches begins and ends; one may begin in the one before."""
    starts, ends = [0, *(end for _, end, _ in stretches)], [*(first for first, _, _ in stretches), n]
    return [(start, end) for start, end in zip(starts, ends, strict=True) if start < end]


def _stretches(region: Sequence[Node], words: _Words, fewest: int, is_short: bool) -> Iterator[tuple[int, int, int]]:
    """What repeats so many times or more: where it begins and ends, and its period."""
    numbers, k, start = words.numbers, 0, 0
    last: dict[int, int] = {}
    while k < len(numbers):
        earlier = last.get(numbers[k])
        last[numbers[k]] = k
        if earlier is not None and 0 < k - earlier <= LONG * 4:  # not 0, where a stretch has just ended
            period = k - earlier
            end = _repeats_until(numbers, earlier, period)
            times = (end - earlier) // period
            if times + 1 >= fewest:
                first = _first_period(region, words, max(start, earlier - period), earlier, period)
                times = (end - first) // period
            if times >= fewest and _is_worth_it(region, words, first, period, times, is_short):
                start = k = first + times * period
                yield first, start, period
                continue
        k += 1


def _is_worth_it(region: Sequence[Node], words: _Words, first: int, period: int, times: int, is_short: bool) -> bool:
    """Whether to cut a stretch: in a short region if it is a loop, else unless it is a few views of one thing after
    another, such as the rows of a `stack`."""
    if is_short:
        return _is_loop(region, words, first, period, times)
    return times * period > LONG or not all(isinstance(node.op, View) for node in region[first : first + period])


def _periods(region: Sequence[Node], first: int, end: int, period: int) -> list[int]:
    """Bounds of the periods of a stretch. Of elementwise operations alone, which fuse, several periods are a chunk.

    A long period in which something repeats many times, a loop in a loop, is cut at that: then neither the number of
    its steps nor that of the outer loop's is in a fragment.
    """
    several = period * (LONG // period)
    if several > period and all(isinstance(node.op, Elementwise) for node in region[first : first + period]):
        rest = first + (end - first) // several * several
        return [*range(first, rest, several), *range(rest, end + 1, period)]
    within = {0}
    if period > LONG:
        step = region[first : first + period]  # what a loop in it takes from the step is far, and the same for all
        for start, stop, inner in _stretches(step, _Words(step, NEAR), MANY, False):
            within.update(range(start, stop + 1, inner))
    within.discard(period)
    return [k + b for k in range(first, end, period) for b in sorted(within)] + [end]


def _is_loop(region: Sequence[Node], words: _Words, first: int, period: int, times: int) -> bool:
    """Whether the second period takes something from the first, and has a costly operation. What is done twice, to the
    same operands from outside, is done twice."""
    second = range(first + period, first + 2 * period)
    takes = any(type(d) is int and first <= k - d < first + period for k in second for d in words[k][1])
    if not takes or not any(region[k].op.costly for k in second):  # type: ignore[union-attr]
        return False
    return times > 2 or any(
        (type(d) is not int or k - d < first) and a is not b
        for k in second
        for d, a, b in zip(words[k][1], region[k].inputs, region[k - period].inputs, strict=True)
    )


def _splits_pack(region: Sequence[Node], b: int) -> bool:
    """Projections stay with their pack."""
    return type(region[b].op) is Projection


def _repeats_until(numbers: Sequence[int], start: int, period: int) -> int:
    """The end of the stretch from `start` in which every word equals the one a period later."""
    k, size = start, 4
    while numbers[k : k + size] == numbers[k + period : k + period + size]:  # slices are compared in C
        k += size
        size *= 2
        if k + period >= len(numbers):
            return len(numbers)
    while k + period < len(numbers) and numbers[k] == numbers[k + period]:
        k += 1
    return k + period


def _first_period(region: Sequence[Node], words: _Words, lowest: int, found: int, period: int) -> int:
    """Where the first period begins: `found` or earlier, since what later ones get from the period before, the first
    gets from elsewhere; less than a period later will do, too. The first of the places between which the fewest values
    are carried."""
    places, earliest, latest = list(range(found, found + period)), lowest, found
    for p in range(found - 1, lowest - 1, -1):
        earlier, later = _beginnings(region, words, p, period)
        earliest, latest = max(earliest, earlier), min(latest, later)
        if earliest > p:  # so it is from all places before
            break
        if p <= latest:
            places.insert(0, p)
    carried = _carried(words, places[0] + period, places[-1] + period, period)
    return min(places, key=lambda p: carried[p - places[0]])


def _carried(words: _Words, start: int, stop: int, period: int) -> list[int]:
    """For each place in a stretch, both ends included, how many values from before it are used after it."""
    used: dict[int, int] = {}
    for k in range(start - period, min(stop + period, len(words))):
        used.update({k - d: k for d in words[k][1] if type(d) is int and d <= period})  # the last use counts
    changes = [0] * (stop - start + 2)
    for made, last in used.items():
        if made < stop and last >= start:
            changes[max(made + 1 - start, 0)] += 1
            changes[min(last + 1 - start, stop - start + 1)] -= 1
    return list(accumulate(changes[:-1]))


def _beginnings(region: Sequence[Node], words: _Words, k: int, period: int) -> tuple[int, int]:
    """The earliest and the latest beginning of a first period in which operation k is that of the next period but for
    what is carried."""
    (op, distances), (later_op, later) = words[k], words[k + period]
    earliest, latest, nowhere = 0, k, (k + 1, k)
    if op is not later_op or len(distances) != len(later):
        return nowhere
    for j, (d, e) in enumerate(zip(distances, later, strict=True)):
        same = region[k].inputs[j].type.klass is region[k + period].inputs[j].type.klass
        if d == e and (same or type(d) is not int):
            continue
        if d == e:
            latest = min(latest, k - d)
        elif same and type(e) is int:  # carried later, from outside at first
            earliest = max(earliest, k - e + 1, k - d + 1 if type(d) is int else 0)
        else:
            return nowhere
    return earliest, latest


def _operations(numbers: Sequence[int], cut: Iterable[Sequence[int]]) -> int:
    """How many operations all different chunks have together."""
    return sum(map(len, {tuple(numbers[a:b]) for bounds in cut for a, b in pairwise(bounds)}))


def _at_blocks(numbers: Sequence[int], joins: Container[int], start: int, end: int) -> list[int]:
    """Bounds from `start` to `end` where blocks begin, and at even distances in long ones."""
    starts = [start, *(k for k in range(start + 1, end) if numbers[k] in joins), end]
    return [b for a, e in pairwise(starts) for b in _even(a, e)] + [end]


def _joins(numbers: Sequence[int]) -> set[int]:
    """Words that often follow one word, and often another: blocks begin with them, so there are no more than words."""
    often = Counter(b for (_, b), times in Counter(pairwise(numbers)).items() if times > 1)
    return {word for word, others in often.items() if others > 1}


def _even(start: int, end: int) -> list[int]:
    """Bounds from `start` to `end` at about LONG operations each."""
    return [start, *range(start + LONG, end, LONG)] if start < end else [start]
