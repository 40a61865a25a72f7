"""Sums and products of sizes, and sizes in place of names.

In: sizes. Out: sizes, canonical. Holds: a symbol is >= 0, and nothing else is used of it.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Mapping
from functools import reduce

from nbgraph.dims.expression import (
    OPERATIONS,
    SYMBOL,
    Atom,
    DimExpr,
    Monomial,
    Polynomial,
    Size,
    as_size,
    canonical,
    monomial,
    polynomial,
    wrap,
)


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


OPERATIONS.update({"+": add, "-": subtract, "*": multiply})
