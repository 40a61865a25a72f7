"""Floor division and remainders of sizes.

In: sizes. Out: sizes, canonical. Holds: where `a // b` simplifies (`n*m // m` is `n`), the divisor is taken to be
nonzero. Both operations start from a == q*b + r, which gives a//b == q + r//b and a%b == r%b.
"""

from __future__ import annotations

from functools import reduce
from math import gcd

from nbgraph.dims.arithmetic import add, multiply, over, times
from nbgraph.dims.expression import (
    FLOOR,
    MODULO,
    ONE,
    OPERATIONS,
    DimExpr,
    Monomial,
    Size,
    atom_of,
    canonical,
    only_atom,
    polynomial,
    wrap,
)
from nbgraph.dims.order import term_key


def floordiv(a: Size, b: Size) -> Size:
    if isinstance(b, int):
        return _floordiv_int(a, b)
    q, r = _split(a, b)
    if r == 0:
        return q
    shared = _shared(r, b)
    if shared != 1:  # (g*x)//(g*y) == x//y
        return add(q, floordiv(floordiv(r, shared), floordiv(b, shared)))
    return add(q, wrap(atom_of(FLOOR, r, b)))


def modulo(a: Size, b: Size) -> Size:
    if isinstance(b, int):
        return _modulo_int(a, b)
    r = _split(a, b)[1]
    if r == 0 or _is_modulo(r, b):
        return r
    shared = _shared(r, b)
    if shared != 1:  # (g*x) % (g*y) == g*(x % y)
        return multiply(modulo(floordiv(r, shared), floordiv(b, shared)), shared)
    return wrap(atom_of(MODULO, r, b))


def _shared(a: Size, b: DimExpr) -> Size:
    """The largest monomial, with its number, that divides every term of both."""
    terms = [*polynomial(a).items(), *b.terms]
    mono = reduce(_common, (mono for mono, _ in terms))
    return canonical({mono: gcd(*(coef for _, coef in terms))})


def _common(a: Monomial, b: Monomial) -> Monomial:
    other = dict(b)
    return tuple((atom, min(power, other[atom])) for atom, power in a if atom in other)


def _split(a: Size, b: DimExpr) -> tuple[Size, Size]:
    """Polynomial division by the leading term of b, for the terms it divides exactly."""
    rest, quotient, remainder = polynomial(a), dict[Monomial, int](), dict[Monomial, int]()
    lead, lead_coef = b.terms[0]
    while rest:
        mono = min(rest, key=lambda m: term_key((m, 0)))
        coef = rest.pop(mono)
        ratio = over(mono, lead)
        if ratio is None or coef % lead_coef:
            remainder[mono] = coef
            continue
        quotient[ratio] = factor = coef // lead_coef
        for other, other_coef in b.terms[1:]:
            target = times(ratio, other)
            rest[target] = rest.get(target, 0) - factor * other_coef
    return canonical(quotient), canonical(remainder)


# -- by a number ------------------------------------------------------------------------------------------------------


def _floordiv_int(a: Size, k: int) -> Size:
    if isinstance(a, int):
        return a // k
    if k == 0:
        raise ZeroDivisionError(f"({a})//0")
    if k < 0:
        return _floordiv_int(-a, -k)
    whole, rest, constant = _split_int(a, k)
    numerator = add(rest, constant)
    return whole if isinstance(numerator, int) else add(whole, _floor_rest(numerator, k))


def _floor_rest(a: DimExpr, k: int) -> Size:
    """a // k, where no coefficient is a multiple of k and the constant is in [0, k)."""
    shared, inner = _common_factor(a, k), _shifted_floor(a)
    if shared > 1:  # a//(g*h) == (a//g)//h, and a//g is a polynomial again
        return _floordiv_int(_floordiv_int(a, shared), k // shared)
    if a.terms[0][1] < 0:  # -(x)//k == -((x + k - 1)//k), so that both ways to round up are one
        return multiply(_floordiv_int(add(multiply(a, -1), k - 1), k), -1)
    if inner is not None:  # (x//m + c)//k == (x + c*m)//(k*m)
        (x, m), constant = inner
        return _floordiv_int(add(x, constant * m), k * m)
    return wrap(atom_of(FLOOR, a, k))


def _shifted_floor(a: DimExpr) -> tuple[tuple[Size, int], int] | None:
    """x, m and c where a is x//m + c for a number m."""
    mono, coef = a.terms[0]
    if len(mono) != 1 or mono[0][1] != 1 or coef != 1:
        return None
    atom, constant = mono[0][0], add(a, -wrap(mono[0][0]))
    if atom.kind != FLOOR or not isinstance(atom.args[1], int) or not isinstance(constant, int):
        return None
    x, m = atom.args
    return (x, m), constant


def _split_int(a: DimExpr, k: int) -> tuple[Size, Size, int]:
    """whole, rest, constant with a == k*whole + rest + constant: the multiples of k taken out."""
    poly = polynomial(a)
    constant = poly.pop(ONE, 0)
    whole = {mono: coef // k for mono, coef in poly.items() if coef % k == 0}
    rest = {mono: coef for mono, coef in poly.items() if coef % k}
    return add(canonical(whole), constant // k), canonical(rest), constant % k


def _common_factor(a: DimExpr, k: int) -> int:
    return gcd(k, *(coef for mono, coef in a.terms if mono))


def _modulo_int(a: Size, k: int) -> Size:
    if isinstance(a, int):
        return a % k
    if k == 0:
        raise ZeroDivisionError(f"({a}) % 0")
    if k < 0:
        return multiply(_modulo_int(-a, -k), -1)
    rest = canonical({mono: coef % k for mono, coef in a.terms})
    if isinstance(rest, int) or _is_modulo(rest, k):
        return rest
    return _modulo_rest(rest, k)


def _modulo_rest(a: DimExpr, k: int) -> Size:
    """a % k, where all coefficients are in [0, k): (g*x + c) % (g*h) == g*((x + c//g) % h) + c%g."""
    shared = _common_factor(a, k)
    if shared == 1:
        return wrap(atom_of(MODULO, a, k))
    constant = dict(a.terms).get(ONE, 0) % shared
    return add(multiply(_modulo_int(_floordiv_int(a, shared), k // shared), shared), constant)


def _is_modulo(a: Size, b: Size) -> bool:
    """Whether a is x % b for some x."""
    atom = only_atom(a)
    return atom is not None and atom.kind == MODULO and atom.args[1] == b


OPERATIONS.update({FLOOR: floordiv, MODULO: modulo})
