"""The order of names, operations, terms and sizes: by names and structure alone, the same in every process.

In: names, atoms, terms, sizes. Out: keys to sort by.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from hashlib import blake2b
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from nbgraph.dims.expression import Atom, Key, Monomial, Size


def name_key(name: Hashable) -> Key:
    """An order for names of any type: numbers by value, text by alphabet, tuples by item."""
    match name:
        case bool():
            return (3, repr(name))
        case int():
            return (0, name)
        case str():
            return (1, name)
        case tuple():
            return (2, tuple(map(name_key, name)))
        case _:
            return (3, repr(name))


def digest(kind: str, args: Iterable[Size]) -> str:
    """An order for operations: by their text while it is short, by a hash of it where it is long.

    Bounded, because operands share parts and a written-out text can be exponentially long.
    """
    text = f"{kind}({', '.join(map(_label, args))})"
    return text if len(text) <= 120 else f"{kind}#{blake2b(text.encode(), digest_size=16).hexdigest()}"


def _label(size: Size) -> str:
    if isinstance(size, int):
        return str(size)
    return "+".join(f"{coef}{[(_atom_label(a), p) for a, p in mono]}" for mono, coef in size.terms)


def _atom_label(atom: Atom) -> str:
    return repr(atom.args[0]) if atom.kind == "symbol" else str(atom.key[2])


def term_key(term: tuple[Monomial, int]) -> Key:
    mono = term[0]
    return -sum(power for _, power in mono), tuple((atom.key, -power) for atom, power in mono)


def size_key(size: Size) -> Key:
    """Order of operands: expressions by their terms, numbers last."""
    if isinstance(size, int):
        return 1, size
    return 0, tuple((term_key(term), term[1]) for term in size.terms)
