"""Sums, products, minima and maxima of sizes, and sizes in place of names.

In: sizes. Out: sizes, canonical. Holds: a symbol is >= 0, and nothing else is used of it.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from functools import reduce

from nbgraph.dims.expression import (
    MAX,
    MIN,
    OPERATIONS,
    SYMBOL,
    Atom,
    DimExpr,
    Monomial,
    Polynomial,
    Size,
    as_size,
    atom_of,
    canonical,
    monomial,
    nonnegative,
    only_atom,
    polynomial,
    wrap,
)
from nbgraph.dims.order import size_key


def add(left: Size, right: Size) -> Size:
    if left == 0:
        return right
    total = polynomial(left)
    for mono, coef in polynomial(right).items():
        total[mono] = total.get(mono, 0) + coef
    return canonical(total)


def subtract(left: Size, right: Size) -> Size:
    return add(left, multiply(right, -1))


def multiply(left: Size, right: Size) -> Size:
    if left == 1:
        return right
    total: Polynomial = {}
    for a, p in polynomial(left).items():
        for b, q in polynomial(right).items():
            mono = times(a, b)
            total[mono] = total.get(mono, 0) + p * q
    return canonical(total)


def product(factors: Iterable[Size], start: Size = 1) -> Size:
    return reduce(multiply, factors, start)


def times(a: Monomial, b: Monomial) -> Monomial:
    powers = dict(a)
    for atom, power in b:
        powers[atom] = powers.get(atom, 0) + power
    return monomial(powers)


def over(a: Monomial, b: Monomial) -> Monomial | None:
    """a / b where b divides a."""
    powers = dict(a)
    for atom, power in b:
        powers[atom] = powers.get(atom, 0) - power
    return None if min(powers.values(), default=0) < 0 else monomial(powers)


# -- minima and maxima ------------------------------------------------------------------------------------------------


def dim_min(*sizes: Size) -> Size:
    """The smallest of the sizes.

    >>> from nbgraph.dims import dim
    >>> n, m = dim("n"), dim("m")
    >>> dim_min(n, dim_min(m, n + 1)), dim_min(n, 0), dim_min(3, 2)
    (min(m, n), 0, 2)
    """
    return extremum(MIN, sizes)


def dim_max(*sizes: Size) -> Size:
    """The largest of the sizes.

    >>> from nbgraph.dims import dim
    >>> n, m = dim("n"), dim("m")
    >>> dim_max(n, m, 2*m), dim_max(n, 0), dim_max(3, 2)
    (max(2*m, n), n, 3)
    """
    return extremum(MAX, sizes)


def extremum(kind: str, sizes: Iterable[Size]) -> Size:
    """min or max: flat, sorted, without the operands that the others cover."""
    kept = list(dict.fromkeys(_flat(kind, sizes)))
    for size in sorted(kept, key=_depth, reverse=True):  # else 1 goes from max(n, 1, min(2, max(n, 1))), the rest stays
        others = [other for other in kept if other is not size]
        if others and is_covered(kind, size, others):
            kept = others
    if not kept:
        raise TypeError(f"dim_{kind} expected at least one size")
    return kept[0] if len(kept) == 1 else wrap(atom_of(kind, *sorted(kept, key=size_key)))


def _depth(size: Size) -> int:
    """How many extrema a size is nested of."""
    atom = only_atom(size)
    return 0 if atom is None or atom.kind not in (MIN, MAX) else 1 + max(map(_depth, atom.args))


def is_covered(kind: str, size: Size, others: Sequence[Size]) -> bool:
    """Whether it follows from the form that `size` is at most the largest of the others (MAX), or at least the
    smallest (MIN): by a difference, or by operands of extrema.

    >>> from nbgraph.dims import dim
    >>> n, m = dim("n"), dim("m")
    >>> is_covered(MAX, dim_min(n, m), [m + 1]), is_covered(MIN, dim_max(n, m), [m]), is_covered(MAX, n, [m])
    (True, True, False)
    """
    others = list(_flat(kind, others))
    if any(nonnegative(subtract(*((other, size) if kind == MAX else (size, other)))) for other in others):
        return True
    atom = only_atom(size)
    if atom is not None and atom.kind in (MIN, MAX):
        among = all if atom.kind == kind else any
        if among(is_covered(kind, arg, others) for arg in atom.args):
            return True
    for k, other in enumerate(others):
        atom = only_atom(other)
        if atom is not None and atom.kind in (MIN, MAX):
            rest = others[:k] + others[k + 1 :]
            return all(is_covered(kind, size, [*rest, arg]) for arg in atom.args)
    return False


def _flat(kind: str, sizes: Iterable[Size]) -> Iterable[Size]:
    for size in map(as_size, sizes):
        atom = only_atom(size)
        yield from atom.args if atom is not None and atom.kind == kind else (size,)


# -- sizes in place of names ------------------------------------------------------------------------------------------


def substitute(expr: Size, mapping: Mapping[Hashable, Size]) -> Size:
    """`expr` with sizes in place of names, all at once; names not in `mapping` stay.

    >>> from nbgraph.dims import dim
    >>> n, m = dim("n"), dim("m")
    >>> substitute(n // 2 + m, {"n": 2*m, "m": 1})
    m + 1
    """
    if not isinstance(expr, DimExpr) or expr.names.isdisjoint(mapping):
        return expr
    if expr.symbol is not None:
        return as_size(mapping[expr.symbol])
    return fold(expr, lambda atom: _substitute_atom(atom, mapping))


def _substitute_atom(atom: Atom, mapping: Mapping[Hashable, Size]) -> Size:
    if atom.names.isdisjoint(mapping):
        return wrap(atom)
    if atom.kind == SYMBOL:
        return as_size(mapping[atom.args[0]])
    return OPERATIONS[atom.kind](*(substitute(arg, mapping) for arg in atom.args))


def fold(expr: DimExpr, value_of: Callable[[Atom], Size]) -> Size:
    """The polynomial with other sizes in place of its atoms."""
    total: Size = 0
    for mono, coef in expr.terms:
        factors = (value_of(atom) for atom, power in mono for _ in range(power))
        total = add(total, product(factors, coef))
    return total


OPERATIONS.update({"+": add, "-": subtract, "*": multiply, MIN: dim_min, MAX: dim_max})
