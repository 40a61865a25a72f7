"""Sizes as text: for people, and as Python source.

In: sizes. Out: text. Holds: precedence is Python's. A product is safe beside +; in a product only names and calls are.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import reduce
from typing import Any

from nbgraph.dims.expression import FLOOR, MAX, MIN, MODULO, SYMBOL, Atom, Monomial, Size, only_atom


def to_source(expr: Size, name_of: Callable[[Any], str]) -> str:
    """A Python integer expression for `expr`, with `name_of(name)` where a symbol stands.

    >>> from nbgraph.dims import dim, dim_min
    >>> to_source(dim_min(dim(0), dim(1) ** 2, 3), lambda i: f"w[{i}]")
    'min(min(w[1]*w[1], w[0]), 3)'
    """
    return render(expr, name_of, people=False)


def render(size: Size, name_of: Callable[[Any], str], *, people: bool) -> str:
    if isinstance(size, int):
        return str(size)
    terms = _positive_first([(_render_term(t, name_of, people), t[1] < 0) for t in size.terms])
    head, *rest = (("-" if negative else "+", text) for text, negative in terms)
    return head[0].removeprefix("+") + head[1] + "".join(f" {sign} {text}" for sign, text in rest)


def _positive_first(terms: list[tuple[str, bool]]) -> list[tuple[str, bool]]:
    """`n - m` rather than `-m + n`."""
    first = next((i for i, (_, negative) in enumerate(terms) if not negative), 0)
    return [terms[first], *terms[:first], *terms[first + 1 :]]


def _render_term(term: tuple[Monomial, int], name_of: Callable[[Any], str], people: bool) -> str:
    """Coefficient times factors; the sign is left to the sum, but `-(n//2)` keeps its brackets."""
    mono, coef = term[0], abs(term[1])
    if term[1] == 1 and len(mono) == 1 and mono[0][1] == 1:
        return _render_atom(mono[0][0], name_of, people)
    factors = [str(coef)] if coef != 1 or not mono else []
    for atom, power in mono:
        text = _render_atom(atom, name_of, people)
        factor = f"({text})" if atom.kind in (FLOOR, MODULO) else text
        factors += [f"{factor}**{power}"] if people and power > 1 else [factor] * power
    return "*".join(factors)


def _render_atom(atom: Atom, name_of: Callable[[Any], str], people: bool) -> str:
    if atom.kind == SYMBOL:
        return name_of(atom.args[0])
    texts = [render(arg, name_of, people=people) for arg in atom.args]
    if atom.kind in (MIN, MAX):
        return _render_call(atom.kind, texts, people)
    left, right = (_tight(arg, text) for arg, text in zip(atom.args, texts, strict=True))
    return f"{left}//{right}" if atom.kind == FLOOR else f"{left} % {right}"


def _render_call(name: str, texts: list[str], people: bool) -> str:
    if people:
        return f"{name}({', '.join(texts)})"
    return reduce(lambda left, right: f"{name}({left}, {right})", texts)


def _tight(operand: Size, text: str) -> str:
    """An operand of // or %: brackets around all but names, calls and numbers."""
    atom = only_atom(operand)
    bare = operand >= 0 if isinstance(operand, int) else atom is not None and atom.kind in (SYMBOL, MIN, MAX)
    return text if bare else f"({text})"
