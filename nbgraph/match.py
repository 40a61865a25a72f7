"""Recognising a region that was sealed before, by code generated for it.

In: the structure of a sealed region with one target. Out: a function of a target node that gives the region's nodes and
the operands from outside, or None where the region is another one.
Why: walking, sorting and hashing a region costs several times what checking it against the last one does, and in a
loop it is the last one again. The check is straight-line Python: one comparison an operation and one an operand.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from nbgraph.trace import Node

Found = tuple[list[Node], list[Node]]


class Matcher(NamedTuple):
    """`find` matches; `plan` and `spare` (references accounted for, negative) are the sealer's."""

    find: Callable[[Node], Found | None]
    plan: Any
    spare: list[int]


#: The matchers for targets of an operation, last used first.
_RECENT: dict[Any, list[Matcher]] = {}
_RECENT_PER_OP = 4
_RECENT_OPS = 256


def recognise(target: Node) -> tuple[Matcher, Found] | None:
    """The matcher that fits the region below a target, with what it found."""
    matchers = _RECENT.get(target.op)
    if matchers is None:
        return None
    for k, matcher in enumerate(matchers):
        found = matcher.find(target)
        if found is not None:
            if k:
                matchers.insert(0, matchers.pop(k))
            return matcher, found
    return None


def remember(
    nodes: Sequence[Node],
    operands: Sequence[tuple[int, ...]],
    outside: Sequence[Node],
    root: int,
    plan: Any,
    spare: list[int],
) -> None:
    """Makes a matcher for a region: `operands` by position, ~k for the k-th from outside."""
    matcher = Matcher(_generate(nodes, operands, outside, root), plan, spare)
    if len(_RECENT) >= _RECENT_OPS:
        _RECENT.clear()
    matchers = _RECENT.setdefault(nodes[root].op, [])
    matchers.insert(0, matcher)
    del matchers[_RECENT_PER_OP:]


def _generate(
    nodes: Sequence[Node], operands: Sequence[tuple[int, ...]], outside: Sequence[Node], root: int
) -> Callable[[Node], Found | None]:
    names: dict[str, Any] = {}
    known = {root}
    lines = [f"def find(n{root}):", "  try:"]
    for k in range(len(nodes) - 1, -1, -1):
        names[f"o{k}"] = nodes[k].op
        lines.append(f"    if n{k}.op is not o{k}: return None")
        parts, checks = [], []
        for p, ref in enumerate(operands[k]):
            if ref in known:
                parts.append(f"t{p}")
                checks.append(f"    if t{p} is not {_name(ref)}: return None")
            else:
                known.add(ref)
                parts.append(_name(ref))
                if ref < 0:
                    names[f"c{~ref}"] = outside[~ref].type.klass
                    x = _name(ref)
                    checks.append(f"    if {x}.op is not None or {x}.type.klass is not c{~ref}: return None")
        if parts:
            lines.append(f"    {', '.join(parts)}, = n{k}.inputs")
        elif nodes[k].inputs:
            raise AssertionError("operands are missing")
        lines += checks
    lines.append("  except ValueError: return None")  # another number of operands
    region = ", ".join(f"n{k}" for k in range(len(nodes)))
    lines.append(f"  return [{region}], [{', '.join(f'x{k}' for k in range(len(outside)))}]")
    exec("\n".join(lines), names)
    return names["find"]  # type: ignore[no-any-return]


def _name(ref: int) -> str:
    return f"n{ref}" if ref >= 0 else f"x{~ref}"
