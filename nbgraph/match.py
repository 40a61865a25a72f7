"""Recognising a region that was sealed before, by code generated for it.

In: the structure of a sealed region. Out: a function of its targets that gives the region's nodes, the operands from
outside and what is known of them, or None where the region is another one.
Why: walking, sorting and hashing a region costs several times what checking it against the last one does, and in a
loop it is the last one again. The check is straight-line Python: one comparison an operation and one an operand.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from itertools import chain
from sys import getrefcount
from typing import Any, NamedTuple

from nbgraph.calls import FragmentCall
from nbgraph.errors import GENERATED
from nbgraph.moving import moving_words
from nbgraph.node import LOCK, Node
from nbgraph.trace import is_adopted
from nbgraph.types import Shape


class Found(NamedTuple):
    """A region that was recognised.

    `key` holds the matcher, a bit for each live node (one that something outside the region refers to), whether any
    operand is active, the types of the operands and the sizes of the operations, but for words that move: what else a
    run of it depends on are these and `arrays`, the operands' values; None where one is not known. `sizes` are those of
    the operations that have any, read once: a thread that seals the region meanwhile takes them from its nodes.
    """

    nodes: tuple[Node, ...]
    outside: tuple[Node, ...]
    key: tuple[Any, ...]
    arrays: tuple[Any, ...] | None
    sizes: tuple[Shape, ...]

    def words(self, plan: Any) -> tuple[Any, ...]:
        """The words of the region's fragment."""
        raw = list(chain.from_iterable(self.sizes))
        return tuple([raw[j] for j in plan.words])

    @property
    def live(self) -> list[int]:
        """The positions of live nodes."""
        bits = self.key[1]
        return [k for k in range(len(self.nodes)) if bits >> k & 1]


class Matcher:
    """`find` matches targets, oldest first; `plan` is the sealer's, or `tiles` are where the region is several calls;
    `kind` is not 0 where it is told by its operands, too: whether one of them comes from a region of that kind has to
    be as `after` says (see `nbgraph.roll`). `operations` and their `operands` are those of the region, `roots` the
    positions of the targets, `sized` those of operations that have sizes."""

    __slots__ = ("after", "find", "kind", "operands", "operations", "plan", "roots", "sized", "tiles")

    def __init__(self, plan: Any, kind: int, tiles: Sequence[Any] = (), after: bool = True) -> None:
        self.plan, self.kind, self.tiles, self.after = plan, kind, tiles, after
        self.sized: Sequence[int] = ()
        self.operations: Sequence[Any] = ()
        self.operands: Sequence[tuple[int, ...]] = ()
        self.roots: Sequence[int] = ()
        self.find: Callable[..., Found | None]


#: The matchers for a target of an operation, or for targets of several, last used first.
_Recent = dict[Any, list[Matcher]]
_RECENT: _Recent = {}
#: Those of regions that are several calls.
_TILED: _Recent = {}
_RECENT_PER_OP = 8
_RECENT_OPS = 256


def last_found(target: Node) -> Found | None:
    """As `recognise`, by the matcher that was used last for targets of this operation, where that says all."""
    matchers = _RECENT.get(target.op)
    if not matchers:
        return None
    matcher = matchers[0]
    return None if matcher.kind else matcher.find(target)


def recognise(*targets: Node) -> Found | None:
    """The region below targets, oldest first, if it is one that was sealed before. `Found.key[0]` is its matcher."""
    return _find(targets, _RECENT)


def recognise_tiled(*targets: Node) -> Found | None:
    """The same where the region was several calls; the key says of each operand whether it is active."""
    return _find(targets, _TILED)


def operations_of(targets: Sequence[Node]) -> Any:
    """What matchers of a region with these targets are kept by."""
    return targets[0].op if len(targets) == 1 else tuple([t.op for t in targets])


def _find(targets: Sequence[Node], recent: _Recent) -> Found | None:
    matchers = recent.get(targets[0].op if len(targets) == 1 else operations_of(targets))
    if matchers is None:
        return None
    for k, matcher in enumerate(matchers):
        found = matcher.find(*targets)
        if found is not None and (not matcher.kind or goes_on(found.outside, matcher.kind) == matcher.after):
            if k:
                with LOCK:  # evals match without it
                    if matcher in matchers:
                        matchers.remove(matcher)
                        matchers.insert(0, matcher)
            return found
    return None


def matcher_for(
    nodes: Sequence[Node],
    operands: Sequence[tuple[int, ...]],
    outside: Sequence[Node],
    roots: Sequence[int],
    plan: Any,
    kind: int = 0,
    tiles: Sequence[Any] = (),
) -> Matcher:
    """Makes a matcher for a region: `operands` by position, ~k for the k-th from outside; `roots`: the positions of its
    targets, ascending."""
    matcher = Matcher(plan, kind, tiles, not tiles or goes_on(outside, kind))
    matcher.operations, matcher.operands, matcher.roots = [n.op for n in nodes], operands, roots
    matcher.find = _generate(matcher, nodes, operands, outside, roots)
    return matcher


def remember(operations: Any, matcher: Matcher) -> None:
    """Tries a matcher first for the next targets of operations, see `operations_of`."""
    recent = _TILED if matcher.tiles else _RECENT
    if len(recent) >= _RECENT_OPS:
        recent.clear()
    matchers = recent.setdefault(operations, [])
    if matcher in matchers:
        matchers.remove(matcher)
    matchers.insert(0, matcher)
    del matchers[_RECENT_PER_OP:]


def goes_on(operands: Iterable[Node], kind: int) -> bool:
    """Whether an operand comes from a region of this kind."""
    return any(type(x.call) is FragmentCall and x.call.kind == kind for x in operands)


def _references_of_a_local() -> int:
    """What `getrefcount` says of an object that only a local variable refers to."""
    local = object()
    return getrefcount(local)


def _generate(
    matcher: Matcher,
    nodes: Sequence[Node],
    operands: Sequence[tuple[int, ...]],
    outside: Sequence[Node],
    roots: Sequence[int],
) -> Callable[..., Found | None]:
    names: dict[str, Any] = {"matcher": matcher, "getrefcount": getrefcount, "Found": Found, "new": tuple.__new__}
    names["is_adopted"] = is_adopted
    lines = [f"def find({', '.join(map(_name, roots))}):", "  try:", *_checks(nodes, operands, outside, roots, names)]
    lines.append("  except ValueError: return None")  # another number of operands
    matcher.sized = sized = [k for k, node in enumerate(nodes) if node.sizes]
    lines += [f"  s{k} = n{k}.sizes" for k in sized]
    lines += [f"  if not ({' and '.join(f's{k}' for k in sized)}): return None"] * bool(sized)  # sealed meanwhile
    lines.append("  live = " + (" | ".join(_liveness(len(nodes), operands, roots)) or "0"))
    xs = [f"x{k}" for k in range(len(outside))]
    lines += [f"  a{x} = {x}.data" for x in xs]
    if matcher.tiles:
        sizes, active = [f"s{k}" for k in sized], _tuple(f"{x}.active" for x in xs)
    else:
        sizes, active = _fixed_sizes(nodes, matcher.plan), " or ".join(f"{x}.active" for x in xs) or "False"
    key = ", ".join(["matcher", "live", active, *(f"{x}.type" for x in xs), *sizes])
    unknown = " or ".join(f"a{x} is None" for x in xs) or "False"
    arrays = f"None if {unknown} else {_tuple(f'a{x}' for x in xs)}"
    region = _tuple(f"n{k}" for k in range(len(nodes)))
    sizes_read = _tuple(f"s{k}" for k in sized)
    lines.append(f"  return new(Found, ({region}, {_tuple(xs)}, ({key}), {arrays}, {sizes_read}))")
    exec(compile("\n".join(lines), GENERATED, "exec"), names)
    return names["find"]  # type: ignore[no-any-return]


def _fixed_sizes(nodes: Sequence[Node], plan: Any) -> list[str]:
    """Expressions of the sizes of operations, without those that are words that move: a run does not depend on them."""
    moving = {plan.words[k] for k in moving_words(plan.fragment)}
    found, first = [], 0
    for k, node in enumerate(nodes):
        fixed = [j for j in range(len(node.sizes)) if first + j not in moving]
        if len(fixed) == len(node.sizes):
            found += [f"s{k}"] * bool(fixed)
        else:
            found += [f"s{k}[{j}]" for j in fixed]
        first += len(node.sizes)
    return found


def _checks(
    nodes: Sequence[Node],
    operands: Sequence[tuple[int, ...]],
    outside: Sequence[Node],
    roots: Sequence[int],
    names: dict[str, Any],
) -> list[str]:
    """Lines that compare operations and operands with those of the region seen before, users before what they use."""
    known, lines = set(roots), []
    for k in range(len(nodes) - 1, -1, -1):
        names[f"o{k}"] = nodes[k].op
        lines.append(f"    if n{k}.op is not o{k}: return None")
        parts, checks = [], []
        for p, ref in enumerate(operands[k]):
            x = _name(ref)
            if ref in known:
                parts.append(f"t{p}")
                checks.append(f"    if t{p} is not {x}: return None")
                continue
            known.add(ref)
            parts.append(x)
            if ref < 0:
                names[f"c{~ref}"] = outside[~ref].type.klass
                checks.append(f"    if {x}.op is not None and not is_adopted({x}): return None")
                checks.append(f"    if {x}.type.klass is not c{~ref}: return None")
        if parts:
            lines.append(f"    {', '.join(parts)}, = n{k}.inputs")
        lines += checks
    met_again = sorted({line.split()[1] for line in lines if line.startswith("    if t")})
    if met_again:  # further references to nodes, which are not to count
        lines.append(f"    {' = '.join(met_again)} = None")
    return lines


def _liveness(n: int, operands: Sequence[tuple[int, ...]], roots: Sequence[int]) -> list[str]:
    """For each node an expression of its bit: whether more refers to it than the region and the local variable. Targets
    are always live."""
    inside = [_references_of_a_local()] * n
    for refs in operands:
        for ref in refs:
            if ref >= 0:
                inside[ref] += 1
    return [f"{1 << k}" if k in roots else f"(getrefcount(n{k}) > {inside[k]}) << {k}" for k in range(n)]


def _tuple(names: Any) -> str:
    return f"({''.join(f'{name}, ' for name in names)})"


def _name(ref: int) -> str:
    return f"n{ref}" if ref >= 0 else f"x{~ref}"
