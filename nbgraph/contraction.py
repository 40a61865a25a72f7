"""Plans of einsum of any number of operands, in terms of contractions of two.

In: subscripts and shapes (sizes may be symbolic). Out: steps.
Holds: every label of a `Contraction` step is in at least two of a, b and out, once in each; a label has one size
(dimensions of size 1 that broadcast against another size are squeezed first). Only shapes are read, never values.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache
from math import log2
from typing import Any, NamedTuple

from nbgraph import orders
from nbgraph.dims import DimExpr
from nbgraph.errors import ShapeError
from nbgraph.labels import Labels, differ
from nbgraph.types import Shape, Size, are_lasting

#: What a size that is not known yet counts as when the order of contraction is chosen.
STAND_IN = 8


class Diagonal(NamedTuple):
    """The diagonal of two axes; its axis is the last (as `numpy.diagonal`)."""

    operand: int
    axis1: int
    axis2: int


class Sum(NamedTuple):
    """The sum over axes."""

    operand: int
    axes: tuple[int, ...]


class Squeeze(NamedTuple):
    """Drops axes of size 1."""

    operand: int
    axes: tuple[int, ...]


class Transpose(NamedTuple):
    """Axes in another order: axis i of the result is axis `axes[i]`."""

    operand: int
    axes: tuple[int, ...]


class Contraction(NamedTuple):
    """The operation `contract` of two values."""

    left: int
    right: int
    a: Labels
    b: Labels
    out: Labels


Step = Diagonal | Sum | Squeeze | Transpose | Contraction


# -- einsum -----------------------------------------------------------------------------------------------------------


def plan_einsum(subscripts: str, shapes: Sequence[Shape], optimize: Any = "auto") -> tuple[Step, ...]:
    """The steps of `numpy.einsum(subscripts, ...)`.

    Values are numbered: the operands, then the result of each step; the last value is the result. `optimize` is
    `opt_einsum.contract_path`'s, or a path. With "auto" (or True) it sees sizes rounded to powers of two, so that a
    size that grows from one call to the next seldom changes the order, and with it the structure that is compiled.

    >>> plan_einsum("ij,jk", ((2, 3), (3, 4)))
    (Contraction(left=0, right=1, a=(0, 1), b=(1, 2), out=(0, 2)),)
    """
    optimize = path_finder(optimize)
    plan = _plan if all(map(are_lasting, shapes)) else _plan.__wrapped__
    return plan(subscripts, tuple(map(tuple, shapes)), optimize)


class Limited(NamedTuple):
    """How to find a path whose intermediate values have at most so many elements: NumPy's pair."""

    name: str
    elements: int


def path_finder(optimize: Any) -> Any:
    """`optimize` as something hashable: a name, a bool, a path, `Limited`, or a function or object that finds paths.

    >>> path_finder(["einsum_path", [0, 1]]), path_finder(("greedy", 1e3)), path_finder(None)
    (((0, 1),), Limited(name='greedy', elements=1000), 'auto')
    """
    if optimize is None:
        return "auto"
    if isinstance(optimize, str | bool | Limited) or callable(optimize):
        return optimize
    try:
        if len(optimize) == 2 and isinstance(optimize[0], str) and isinstance(optimize[1], int | float):
            return Limited(optimize[0], int(optimize[1]))
        return tuple(tuple(step) for step in optimize if not isinstance(step, str))
    except TypeError:
        wanted = "a name, a bool, a path, or what finds one"
        raise ShapeError("unknown `optimize`", operation="einsum", got=repr(optimize), wanted=wanted) from None


@lru_cache(maxsize=4096)
def _plan(subscripts: str, shapes: tuple[Shape, ...], optimize: Any) -> tuple[Step, ...]:
    inputs, output = parse_subscripts(subscripts, shapes)
    planner = _Planner(inputs, shapes)
    for operand in range(len(inputs)):
        planner.take_diagonals(operand)
    size = planner.squeeze_broadcasts()
    return planner.finish(output, _path(tuple(planner.labels), output, size, optimize), size)


def parse_subscripts(subscripts: str, shapes: Sequence[Shape]) -> tuple[list[Labels], Labels]:
    """Labels of the operands and of the result; NumPy's syntax, ellipses filled in (they align at the right)."""
    text = subscripts.replace(" ", "")
    left, arrow, right = text.partition("->")
    terms = left.split(",")
    _check_text(subscripts, terms, right, arrow, len(shapes))
    counts = [len(term.replace("...", "")) for term in terms]
    dotted = [len(shape) - n for term, n, shape in zip(terms, counts, shapes, strict=True) if "..." in term]
    ellipsis = tuple(-i for i in range(max(dotted, default=0), 0, -1))  # -1 is the last of its dimensions
    inputs = []
    for position, (term, n, shape) in enumerate(zip(terms, counts, shapes, strict=True)):
        if len(shape) < n or ("..." not in term and len(shape) != n):
            wanted = f"{n} dimensions{' or more' if '...' in term else ''} for {term!r}"
            raise ShapeError("wrong rank", operation="einsum", position=position, got=f"shape {shape}", wanted=wanted)
        inputs.append(_labels(term, ellipsis[len(ellipsis) - (len(shape) - n) :]))
    if not arrow:
        letters = left.replace(",", "").replace("...", "")
        return inputs, (*ellipsis, *(ord(c) for c in sorted(set(letters)) if letters.count(c) == 1))
    if ellipsis and "..." not in right:
        raise _malformed(subscripts, "an ellipsis of the operands is not in the result", "'...' after '->'")
    return inputs, _labels(right, ellipsis)


def _labels(term: str, ellipsis: Labels) -> Labels:
    before, dots, after = term.partition("...")
    return (*map(ord, before), *(ellipsis if dots else ()), *map(ord, after))


def _check_text(subscripts: str, terms: list[str], right: str, arrow: str, n_operands: int) -> None:
    if len(terms) != n_operands:
        raise ShapeError(
            f"subscripts {subscripts!r} do not match the operands",
            operation="einsum", got=f"{n_operands} operands", wanted=str(len(terms)),
        )  # fmt: skip
    for term in (*terms, right):
        letters = term.replace("...", "", 1)
        if any(c in ".->" for c in letters):  # anything else is a label: large networks run out of letters
            raise _malformed(subscripts, f"{term!r} is no term", "labels and at most one '...'")
    letters = right.replace("...", "", 1)
    unknown = sorted(set(letters) - set("".join(terms)))
    if unknown or len(set(letters)) != len(letters):
        raise _malformed(subscripts, f"{right!r} is no result", "each label once, and only labels of the operands")


def _malformed(subscripts: str, message: str, wanted: str) -> ShapeError:
    return ShapeError(message, operation="einsum", got=repr(subscripts), wanted=wanted)


class _Planner:
    """The steps so far, and the labels and shapes of every value."""

    def __init__(self, labels: Iterable[Labels], shapes: Sequence[Shape]) -> None:
        self.labels = list(labels)
        self.shapes = list(shapes)
        self.steps: list[Step] = []
        self.place = list(range(len(self.labels)))  # the value that an operand is by now

    def _step(self, operand: int, step: Step, labels: Labels, shape: Shape) -> None:
        self.steps.append(step)
        self.place[operand] = len(self.place) + len(self.steps) - 1
        self.labels[operand], self.shapes[operand] = labels, shape

    def take_diagonals(self, operand: int) -> None:
        """Until no label is twice in the operand."""
        while True:
            labels, shape = self.labels[operand], self.shapes[operand]
            j = next((j for j, label in enumerate(labels) if label in labels[:j]), None)
            if j is None:
                return
            i = labels.index(labels[j])
            if differ(shape[i], shape[j]):
                raise _mismatch(operand, shape, shape[i], j)
            size = _agree(shape[i], shape[j], operand, shape, j)
            kept = [axis for axis in range(len(labels)) if axis not in (i, j)]
            left = tuple(labels[axis] for axis in kept), tuple(shape[axis] for axis in kept)
            self._step(operand, Diagonal(self.place[operand], i, j), (*left[0], labels[j]), (*left[1], size))

    def squeeze_broadcasts(self) -> dict[int, Size]:
        """The size of each label; operands that have 1 where another has more lose that dimension."""
        size: dict[int, Size] = {}
        for operand, (labels, shape) in enumerate(zip(self.labels, self.shapes, strict=True)):
            for axis, (label, d) in enumerate(zip(labels, shape, strict=True)):
                known = size.get(label, 1)
                if type(known) is int and known == 1:
                    size[label] = d
                elif not (type(d) is int and d == 1):
                    size[label] = _agree(known, d, operand, shape, axis)
        for operand, (labels, shape) in enumerate(zip(self.labels, self.shapes, strict=True)):
            axes = tuple(i for i, (x, d) in enumerate(zip(labels, shape, strict=True)) if d == 1 and size[x] != 1)
            if axes:
                kept = [i for i in range(len(labels)) if i not in axes]
                left = tuple(labels[i] for i in kept), tuple(shape[i] for i in kept)
                self._step(operand, Squeeze(self.place[operand], axes), *left)
        return size

    def finish(self, output: Labels, path: Sequence[Sequence[int]], size: dict[int, Size]) -> tuple[Step, ...]:
        """The steps with the contractions of a path: each entry takes positions of a shrinking list, and appends."""
        first = len(self.place)
        products: dict[int, tuple[int, int]] = {}
        labels_of = {self.place[i]: labels for i, labels in enumerate(self.labels)}
        values = [(self.place[i], labels) for i, labels in enumerate(self.labels)]
        for positions in path:
            taken = [values.pop(p) for p in sorted(positions, reverse=True)][::-1]
            while len(taken) > 1:
                left, right = self._lone_sum(taken[0], taken[1:], values, output, first), taken[1]
                right = self._lone_sum(right, [left, *taken[2:]], values, output, first)
                elsewhere = {x for _, labels in (*taken[2:], *values) for x in labels} | set(output)
                last = len(taken) == 2 and not values
                out = output if last else _natural_order(left[1], right[1], elsewhere)
                made = first + len(self.steps)
                products[made] = left[0], right[0]
                labels_of |= {left[0]: left[1], right[0]: right[1], made: out}
                self.steps.append(_contraction(left[1], right[1], out, *products[made]))
                taken[:2] = [(made, out)]
            values += taken
        ((value, labels),) = (self._lone_sum(values[0], (), (), output, first),)
        if len(products) > 1:
            self._arrange(products, labels_of, first, size)
        if labels != output:
            self.steps.append(Transpose(value, tuple(labels.index(x) for x in output)))
        return tuple(self.steps)

    def _arrange(
        self, products: dict[int, tuple[int, int]], labels: dict[int, Labels], first: int, size: dict[int, Size]
    ) -> None:
        """Gives what one contraction makes and another one reads the order that suits them."""
        read = {value for operands in products.values() for value in operands}
        steps = [orders.Step(*operands, made) for made, operands in products.items()]
        extents = {label: _extent(d, rounded=True) for label, d in size.items()}
        orders.arrange(steps, labels, [made for made in products if made in read], extents)
        for left, right, made in steps:
            self.steps[made - first] = _contraction(labels[left], labels[right], labels[made], left, right)

    def _lone_sum(
        self, value: tuple[int, Labels], others: Sequence[Any], values: Sequence[Any], output: Labels, first: int
    ) -> tuple[int, Labels]:
        """The value summed over the labels that nothing else has."""
        number, labels = value
        elsewhere = {x for _, other in (*others, *values) for x in other} | set(output)
        axes = tuple(i for i, x in enumerate(labels) if x not in elsewhere)
        if not axes:
            return value
        self.steps.append(Sum(number, axes))
        return first + len(self.steps) - 1, tuple(x for x in labels if x in elsewhere)


def _natural_order(a: Labels, b: Labels, wanted: set[int]) -> Labels:
    """Batch labels, a's, b's: what a batched matrix product writes without another copy."""
    batch = [x for x in a if x in b]
    return tuple(x for x in (*batch, *(x for x in a if x not in b), *(x for x in b if x not in a)) if x in wanted)


def _contraction(a: Labels, b: Labels, out: Labels, left: int, right: int) -> Contraction:
    number: dict[int, int] = {}
    for label in (*a, *b):
        number.setdefault(label, len(number))
    return Contraction(left, right, *(tuple(number[x] for x in labels) for labels in (a, b, out)))


def _agree(d: Size, e: Size, operand: int, shape: Shape, axis: int) -> Size:
    if type(d) is int and type(e) is int and d != e:
        raise _mismatch(operand, shape, d, axis)
    return e if type(e) is int else d


def _mismatch(operand: int, shape: Shape, wanted: Size, axis: int) -> ShapeError:
    return ShapeError(
        "sizes of one label differ",
        operation="einsum", position=operand, got=f"shape {shape}", wanted=f"size {wanted} along axis {axis}",
    )  # fmt: skip


# -- the order of contraction -----------------------------------------------------------------------------------------


def _path(inputs: tuple[Labels, ...], output: Labels, size: dict[int, Size], optimize: Any) -> Sequence[Sequence[int]]:
    """Positions to contract, one tuple after another."""
    if len(inputs) <= 2:
        return [tuple(range(len(inputs)))]
    if type(optimize) is tuple:
        return _given_path(optimize, len(inputs))
    if optimize is False:
        return [(0, 1), *((0, n) for n in range(len(inputs) - 2, 0, -1))]
    rounded = optimize is True or optimize == "auto"
    names: dict[int, int] = {}
    for label in (x for labels in (*inputs, output) for x in labels):
        names.setdefault(label, len(names))
    extents = tuple(_extent(size[label], rounded) for label in names)
    terms = tuple(tuple(names[x] for x in labels) for labels in (*inputs, output))
    return _found_path(terms, extents, "auto" if optimize is True else optimize)


def _extent(d: Size, rounded: bool) -> int:
    if isinstance(d, DimExpr):
        return STAND_IN
    return 2 ** round(log2(d)) if rounded and d > 0 else max(d, 1)


@lru_cache(maxsize=4096)
def _found_path(terms: tuple[Labels, ...], extents: tuple[int, ...], optimize: Any) -> tuple[tuple[int, ...], ...]:
    import opt_einsum  # 20 ms that programs without large contractions do not pay

    words = ["".join(map(opt_einsum.get_symbol, labels)) for labels in terms]
    shapes = [tuple(extents[x] for x in labels) for labels in terms[:-1]]
    text = f"{','.join(words[:-1])}->{words[-1]}"
    if callable(optimize) and not isinstance(optimize, opt_einsum.paths.PathOptimizer):
        sizes = {opt_einsum.get_symbol(x): d for x, d in enumerate(extents)}
        found = optimize([frozenset(w) for w in words[:-1]], frozenset(words[-1]), sizes)
        return _given_path(tuple(tuple(positions) for positions in found), len(words) - 1)
    limit = None
    if type(optimize) is Limited:
        optimize, limit = optimize
    try:
        path, _ = opt_einsum.contract_path(text, *shapes, shapes=True, optimize=optimize, memory_limit=limit)
    except KeyError:
        wanted = "a name that opt_einsum knows"
        raise ShapeError("unknown `optimize`", operation="einsum", got=repr(optimize), wanted=wanted) from None
    return tuple(tuple(positions) for positions in path)


def _given_path(path: tuple[tuple[int, ...], ...], n: int) -> tuple[tuple[int, ...], ...]:
    """A path from the caller, checked; what it leaves is contracted from the left."""
    left = n
    for positions in path:
        if not positions or len(set(positions)) != len(positions) or not all(0 <= p < left for p in positions):
            wanted = "positions of operands left"
            raise ShapeError("not a contraction path", operation="einsum", got=path, wanted=wanted)
        left -= len(positions) - 1
    return (*path, tuple(range(left)))
