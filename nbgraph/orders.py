"""In which order the dimensions of intermediate values lie, so that products read and write them without copies.

In:    contractions, each as the numbers of its operands and its result; the labels of all values; the size that each
       label counts with.
Out:   labels of the values in another order, where they may have one.
Holds: a value is made once and read once. Only orders change, so results are the same but for rounding.

A matrix product wants of each operand that its batch labels, those of its own side and those summed over lie in three
runs, in any order but with no batch label innermost; what it writes has three runs too. `copied` counts the elements
that are moved otherwise. From the last contraction to the first, and back, each value gets the order that costs the two
contractions least that have to do with it; what costs nothing is left as it is.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import permutations
from math import prod
from typing import NamedTuple

Labels = tuple[int, ...]


class Step(NamedTuple):
    """A contraction: the numbers of its operands and of its result."""

    left: int
    right: int
    out: int


class Groups(NamedTuple):
    """The labels by what becomes of them; batch, m and n in the order of the result, k in that of a."""

    batch: Labels
    m: Labels
    n: Labels
    k: Labels

    @classmethod
    def of(cls, a: Labels, b: Labels, out: Labels) -> Groups:
        """Of a contraction of operands with labels a and b."""
        return cls(
            tuple(x for x in out if x in a and x in b),
            tuple(x for x in out if x not in b),
            tuple(x for x in out if x not in a),
            tuple(x for x in a if x not in out),
        )


def arrange(steps: Sequence[Step], labels: dict[int, Labels], free: Sequence[int], size: Mapping[int, int]) -> None:
    """Puts the labels of the values `free`, in the order they are made in, in better orders."""
    maker = {step.out: step for step in steps}
    reader = {value: step for step in steps for value in (step.left, step.right)}
    for values in (free[::-1], free):
        for value in values:
            made, read = maker[value], reader[value]
            best = labels[value]
            least = _total(value, best, made, read, labels, size)
            if least:
                for order in _candidates(value, made, read, labels):
                    cost = _total(value, order, made, read, labels, size)
                    if cost < least:
                        best, least = order, cost
            labels[value] = best


def _total(
    value: int, order: Labels, made: Step, read: Step, labels: dict[int, Labels], size: Mapping[int, int]
) -> int:
    """What the value costs in an order, where it is made and where it is read."""
    labels[value] = order
    return sum(copied(labels[s.left], labels[s.right], labels[s.out], size) for s in (made, read))


def _candidates(value: int, made: Step, read: Step, labels: dict[int, Labels]) -> dict[Labels, None]:
    """Orders in the runs that are wanted where the value is read, and in those that are written."""
    written = _runs(labels[made.left], labels[made.right], labels[value])
    other = labels[read.right if value == read.left else read.left]
    batch, own, _, summed = Groups.of(labels[value], other, labels[read.out])
    others = tuple(x for x in other if x in summed)
    found: dict[Labels, None] = {}
    for wanted in permutations((batch, own, others)):
        found[tuple(x for run in wanted for x in run)] = None
        place = {x: n for n, run in enumerate(wanted) for x in run}
        for runs in permutations(written):
            flat = [x for run in runs for x in run]
            found[tuple(sorted(flat, key=place.__getitem__))] = None
            found[tuple(x for run in runs for x in sorted(run, key=place.__getitem__))] = None
    return found


def _runs(a: Labels, b: Labels, out: Labels) -> tuple[Labels, Labels, Labels]:
    """Batch labels, rows and columns of a result, in the order that the operands have them in."""
    return (
        tuple(x for x in a if x in b and x in out),
        tuple(x for x in a if x not in b),
        tuple(x for x in b if x not in a),
    )


def copied(a: Labels, b: Labels, out: Labels, size: Mapping[int, int]) -> int:
    """How many elements a contraction moves besides reading its operands and writing its result."""
    groups = Groups.of(a, b, out)
    batch, m, n, k = groups
    if not k:
        return sum(_count(x, size) for x in (a, b) if x != tuple(label for label in out if label in x))
    if not m and not n:
        return _count(b, size) if tuple(x for x in a if x in b) != b else 0
    if not lies_in_runs(out, batch, m, n) or out[: len(batch)] != batch:
        return _count(out, size) + _read(a, b, groups, size)
    return _read(a, b, groups, size)


def _read(a: Labels, b: Labels, groups: Groups, size: Mapping[int, int]) -> int:
    batch, m, n, k = groups
    costs = []
    for summed in {k, tuple(x for x in b if x in k)}:
        cost = 0
        for labels, own in ((a, m), (b, n)):
            if not lies_in_runs(labels, batch, own, summed) or labels[-1] in batch:
                cost += _count(labels, size)
        costs.append(cost)
    return min(costs)


def lies_in_runs(labels: Labels, *groups: Labels) -> bool:
    """Whether each group's labels lie side by side and in order, so that a reshape of a row-major operand is a view."""
    places = ([labels.index(label) for label in group if label in labels] for group in groups)
    return all(p == list(range(p[0], p[0] + len(p))) for p in places if p)


def _count(labels: Labels, size: Mapping[int, int]) -> int:
    return prod(size[x] for x in labels)
