"""Minima and maxima of sizes.

In: sizes. Out: sizes, canonical. Holds: what is made of `min` and `max` alone is an element of the free distributive
lattice over its operands, ordered as far as their differences show it. Such an element is a maximum of minima in one
way, in which no term can be left out, and a minimum of maxima in one way (G. Birkhoff, Lattice Theory, II.7); the
shorter of the two is the form, of equals the maximum. One of more than `LARGEST` operands, where terms can become
exponentially many, is not looked for: what was nested stays so.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import chain
from typing import Final, TypeAlias

from nbgraph.dims.expression import MAX, MIN, OPERATIONS, Size, as_size, atom_of, is_at_least, only_atom, wrap
from nbgraph.dims.order import size_key

LARGEST: Final = 64
OTHER: Final = {MIN: MAX, MAX: MIN}

#: Some operands, a bit for each. A term is an extremum of operands, all those among them that change nothing there.
Term: TypeAlias = int


def dim_min(*sizes: Size) -> Size:
    """The smallest of the sizes.

    >>> from nbgraph.dims import dim
    >>> n, m = dim("n"), dim("m")
    >>> dim_min(n, dim_min(m, n + 1)), dim_min(n, 0), dim_min(3, 2), dim_min(n, dim_max(n, m))
    (min(m, n), 0, 2, n)
    """
    return _extremum(MIN, sizes)


def dim_max(*sizes: Size) -> Size:
    """The largest of the sizes.

    >>> from nbgraph.dims import dim
    >>> n, m = dim("n"), dim("m")
    >>> dim_max(n, m, 2*m), dim_max(n, 0), dim_max(3, 2), dim_max(n, dim_min(n, m))
    (max(2*m, n), n, 3, n)
    """
    return _extremum(MAX, sizes)


def _extremum(kind: str, sizes: Sequence[Size]) -> Size:
    if sizes and all(type(s) is int for s in sizes):  # as in most calls
        return max(sizes) if kind == MAX else min(sizes)
    operands = _without_covered(kind, list(dict.fromkeys(_flat(kind, map(as_size, sizes)))))
    if not operands:
        raise TypeError(f"dim_{kind} expected at least one size")
    if len(operands) == 1 or not any(map(_parts, operands)):
        return _joined(kind, operands)
    form = _Lattice(kind, operands).form()
    return _joined(kind, operands) if form is None else form


def _flat(kind: str, sizes: Iterable[Size]) -> Iterable[Size]:
    for size in sizes:
        found, parts = _parts(size) or ("", ())
        yield from parts if found == kind else (size,)


def _parts(size: Size) -> tuple[str, Sequence[Size]] | None:
    """The kind and the operands, where the size is an extremum."""
    atom = only_atom(size)
    return (atom.kind, atom.args) if atom is not None and atom.kind in (MIN, MAX) else None


def _without_covered(kind: str, sizes: list[Size]) -> list[Size]:
    """Without those that another one's difference shows to change nothing."""
    kept: list[Size] = []
    for size in sizes:
        if not any(_is_covered(kind, size, other) for other in kept):
            kept = [*(other for other in kept if not _is_covered(kind, other, size)), size]
    return kept


def _is_covered(kind: str, size: Size, other: Size) -> bool:
    return is_at_least(*((other, size) if kind == MAX else (size, other)))


def _joined(kind: str, sizes: Sequence[Size]) -> Size:
    return sizes[0] if len(sizes) == 1 else wrap(atom_of(kind, *sorted(sizes, key=size_key)))


class _Lattice:
    """Sizes as extrema of extrema of those that are none."""

    def __init__(self, kind: str, sizes: Sequence[Size]) -> None:
        self.kind, self.sizes = kind, sizes
        self.operands = list(dict.fromkeys(chain.from_iterable(map(_leaves, sizes))))
        self._covers: dict[tuple[str, Size], Term] = {}

    def _covered(self, kind: str, size: Size) -> Term:
        """What an operand covers in an extremum of a kind, itself among it."""
        found = self._covers.get((kind, size))
        if found is None:
            found = sum(1 << k for k, other in enumerate(self.operands) if _is_covered(kind, other, size))
            self._covers[kind, size] = found
        return found

    def form(self) -> Size | None:
        """The extremum of them all; None where that would be too long."""
        if len(self.operands) > LARGEST:
            return None
        found = [form for outer in (MAX, MIN) if (form := self._form(outer)) is not None]
        return min(found, key=lambda form: form[0])[1] if found else None

    def _form(self, outer: str) -> tuple[int, Size] | None:
        """The number of its operands and itself, as an extremum of this kind of others of the other kind."""
        terms = self._terms_of_all(outer, self.kind, self.sizes)
        parts = [self._needed(OTHER[outer], term) for term in terms or ()]
        length = sum(map(len, parts))
        if not 0 < length <= LARGEST:
            return None
        return length, _joined(outer, [_joined(OTHER[outer], part) for part in parts])

    def _needed(self, kind: str, term: Term) -> list[Size]:
        """The operands of a term that no other one covers."""
        there = [size for k, size in enumerate(self.operands) if term >> k & 1]
        return [
            size for size in there if not any(_is_covered(kind, size, other) for other in there if other is not size)
        ]

    def _terms(self, outer: str, size: Size) -> list[Term] | None:
        """Those of which a size is the outer extremum; None: too many."""
        parts = _parts(size)
        return [self._covered(OTHER[outer], size)] if parts is None else self._terms_of_all(outer, *parts)

    def _terms_of_all(self, outer: str, kind: str, sizes: Sequence[Size]) -> list[Term] | None:
        """The same of an extremum: its operands' terms together, or (x v y) ^ (z v w) = xz v xw v yz v yw."""
        found: list[Term] | None = None
        for size in sizes:
            terms = self._terms(outer, size)
            if terms is None:
                return None
            if found is not None:
                terms = [*found, *terms] if kind == outer else [x | y for x in found for y in terms]
            found = _least(terms)
            if len(found) > LARGEST:
                return None
        return found


def _least(terms: Iterable[Term]) -> list[Term]:
    """Those that count: a term is covered by one whose bits are among its own."""
    kept: list[Term] = []
    for term in sorted(set(terms), key=int.bit_count):
        if not any(other & term == other for other in kept):
            kept.append(term)
    return kept


def _leaves(size: Size) -> Iterable[Size]:
    """What extrema, nested or not, are made of."""
    parts = _parts(size)
    return (size,) if parts is None else chain.from_iterable(map(_leaves, parts[1]))


OPERATIONS.update({MIN: dim_min, MAX: dim_max})
