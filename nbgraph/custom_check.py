"""What rules return, against what they have to: structure, shapes, dtypes.

In: what a rule returned, and the leaves that it is about. Out: a node, or None for a zero, for each of them.
Holds: whatever does not fit is a named error that says which rule, where it is, and what was wanted.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from nbgraph.errors import DtypeError, ShapeError, describe
from nbgraph.node import Node
from nbgraph.promote import WEAK, as_code, operand
from nbgraph.trees import TreeDef, flatten, structure


class Place(NamedTuple):
    """A rule, and what it is a rule of."""

    of: str
    rule: Callable[..., Any]

    @property
    def title(self) -> str:
        return f"{self.of}: rule {getattr(self.rule, '__name__', 'given')}"

    @property
    def hint(self) -> str | None:
        """Where the rule is defined."""
        code = getattr(self.rule, "__code__", None)
        return code and f"the rule is at {describe((code, code.co_firstlineno))}"


def result_and_rest(place: Place, returned: Any, wanted: str) -> tuple[Any, Any]:
    """The two things that a rule returns."""
    if not isinstance(returned, (tuple, list)) or len(returned) != 2:
        got = f"{len(returned)} things" if isinstance(returned, (tuple, list)) else f"a {type(returned).__name__}"
        raise ShapeError("a rule returns a pair", operation=place.title, got=got, wanted=wanted, hint=place.hint)
    return returned[0], returned[1]


def match(place: Place, what: str, value: Any, tree: TreeDef, like: Sequence[Any], values: bool = False) -> list[Any]:
    """The leaves of a value in the structure and the types of others; unless it is `values`, None is a zero."""
    leaves = _leaves(place, what, value, tree, not values)
    return [_leaf(place, what, x, other, values) for x, other in zip(leaves, like, strict=True)]


def cotangents(place: Place, returned: Any, args: Sequence[Any]) -> dict[int, Any]:
    """What a rule for reverse mode returned, by the ids of the arguments' nodes."""
    if not isinstance(returned, (tuple, list)) or len(returned) != len(args):
        got = f"{len(returned)} of them" if isinstance(returned, (tuple, list)) else f"a {type(returned).__name__}"
        raise ShapeError(
            "a rule for reverse mode returns a tuple of cotangents",
            operation=place.title,
            got=got,
            wanted=f"{len(args)}: one for each argument",
            hint=place.hint,
        )
    found: dict[int, Any] = {}
    for k, (ct, arg) in enumerate(zip(returned, args, strict=True)):
        leaves, tree = flatten(arg)
        made = match(place, f"cotangent {k}", ct, tree, leaves)
        found.update((id(x), c) for x, c in zip(leaves, made, strict=True) if isinstance(x, Node))
    return found


def _leaves(place: Place, what: str, value: Any, tree: TreeDef, zeros: bool) -> list[Any]:
    if value is None and zeros:
        return [None] * len(tree)
    if tree.cls is None:
        leaves, got = [value], structure(value)
    else:
        leaves, got = flatten(value)
    if got == tree:
        return leaves
    parts = _parts(value, tree) if zeros else None
    if parts is None:
        raise ShapeError(f"{what} has another structure", operation=place.title, got=got, wanted=tree, hint=place.hint)
    return [x for part, t in zip(parts, tree.children, strict=True) for x in _leaves(place, what, part, t, zeros)]


def _parts(value: Any, tree: TreeDef) -> list[Any] | None:
    """The children of a container that has Nones where the structure has something."""
    meta: Any = tree.meta
    if type(value) is not tree.cls:
        return None
    if isinstance(value, (tuple, list)) and len(value) == len(tree.children):
        return list(value)
    if isinstance(value, dict) and set(value) == set(meta[1]):
        return [value[k] for k in meta[1]]
    return None


def _leaf(place: Place, what: str, x: Any, like: Any, value: bool) -> Any:
    """A leaf in the type of another; None for what has no derivative."""
    if x is None or not isinstance(like, Node) or (not value and not like.type.inexact):
        return None
    number, made, t = type(x) in WEAK, operand(x), like.type
    if made.type.ndim != t.ndim or any(
        a != b for a, b in zip(made.type.shape, t.shape, strict=True) if type(a) is int and type(b) is int
    ):
        raise ShapeError(
            f"{what} has another shape", operation=place.title, got=made.type.shape, wanted=t.shape, hint=place.hint
        )
    if number and not made.type.is_complex and t.inexact:
        return as_code(made, t.code)
    if made.type.code != t.code:
        raise DtypeError(
            f"{what} has another dtype", operation=place.title, got=made.type.dtype, wanted=t.dtype, hint=place.hint
        )
    return made
