"""Pytrees: nested containers taken apart into a list of leaves and a structure, and put together again.

In: tuples, lists, dicts, named tuples, dataclasses, None, and classes registered here, nested at will.
Out: the leaves, left to right, and a `TreeDef` that is hashable, comparable and printable.
Holds: `unflatten(treedef, leaves)` undoes `flatten`. Containers are known by their exact class, so a
subclass of list is a leaf unless registered. None has no leaves; everything unknown is one leaf.
"""

from __future__ import annotations

import dataclasses
from collections import OrderedDict, defaultdict
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Final, NamedTuple, TypeAlias, TypeVar

from nbgraph.errors import ShapeError

__all__ = ["TreeDef", "flatten", "leaves", "register", "structure", "tree_map", "unflatten"]

C = TypeVar("C")
Tree: TypeAlias = Any
Flattened: TypeAlias = tuple[Iterable[Tree], Hashable]


class _Node(NamedTuple):
    """How one class of container comes apart (children and the rest), and goes together."""

    flatten: Callable[[Any], Flattened]
    unflatten: Callable[[Any, Sequence[Tree]], Any]
    show: Callable[[Any, Sequence[str]], str]


@dataclass(frozen=True, slots=True)
class TreeDef:
    """A container without its leaves: its class, what is not a child of it, and its children's structures.

    >>> structure({"b": [1, 2], "a": (3, None)})
    {'a': (*, None), 'b': [*, *]}
    """

    cls: type | None
    meta: Hashable = None
    children: tuple[TreeDef, ...] = ()
    size: int = field(init=False, compare=False)

    def __post_init__(self) -> None:
        size = 1 if self.cls is None else sum(child.size for child in self.children)
        object.__setattr__(self, "size", size)

    def __len__(self) -> int:
        """How many leaves it takes."""
        return self.size

    def __repr__(self) -> str:
        if self.cls is None:
            return "*"
        return _node_of(self.cls).show(self.meta, [repr(child) for child in self.children])


_LEAF: Final = TreeDef(None)


def flatten(tree: Tree) -> tuple[list[Any], TreeDef]:
    """The leaves and the structure.

    >>> flatten({"w": [1, 2], "b": 3})
    ([3, 1, 2], {'b': *, 'w': [*, *]})
    """
    cls: Any = type(tree)
    if cls in _ROWS and len(set(map(type, tree))) == 1 and _find(type(tree[0])) is None:
        return list(tree), _row_of_leaves(cls, len(tree))  # a long list of tensors, say
    found: list[Any] = []
    return found, _flatten(tree, found)


_ROWS: Final = (list, tuple)


@lru_cache(maxsize=16)
def _row_of_leaves(cls: type, n: int) -> TreeDef:
    return TreeDef(cls, None, (_LEAF,) * n)


#: Classes that are leaves, known without looking at what they are.
_LEAVES: Final[set[type]] = {float, int, complex, bool}


def declare_leaf(cls: type) -> type:
    """Says that a class is no container, and gives it: of the many leaves most are of one class."""
    _LEAVES.add(cls)
    return cls


def _flatten(tree: Tree, found: list[Any]) -> TreeDef:
    if type(tree) in _LEAVES:
        found.append(tree)
        return _LEAF
    node = _find(type(tree))
    if node is None:
        found.append(tree)
        return _LEAF
    children, meta = node.flatten(tree)
    return TreeDef(type(tree), meta, tuple([_flatten(child, found) for child in children]))


def unflatten(treedef: TreeDef, leaves: Iterable[Any]) -> Tree:
    """The containers of `treedef`, filled with `leaves`.

    >>> unflatten(structure((0, [0])), "ab")
    ('a', ['b'])
    """
    given = list(leaves)
    if len(given) != treedef.size:
        raise ShapeError(f"{len(given)} leaves", wanted=f"{treedef.size} for the structure {treedef}")
    if treedef.cls is list and treedef is _row_of_leaves(list, len(given)):
        return given
    return _unflatten(treedef, iter(given))


def _unflatten(treedef: TreeDef, leaves: Iterator[Any]) -> Tree:
    if treedef.cls is None:
        return next(leaves)
    children = [_unflatten(child, leaves) for child in treedef.children]
    return _node_of(treedef.cls).unflatten(treedef.meta, children)


def tree_map(f: Callable[..., Any], tree: Tree, *rest: Tree) -> Tree:
    """`f` of every leaf, and of the leaves in its place in `rest`, in the structure of `tree`.

    >>> tree_map(lambda x, y: x + y, {"a": (1, 2)}, {"a": (10, 20)})
    {'a': (11, 22)}
    """
    first, treedef = flatten(tree)
    columns = [first, *(_leaves_as(treedef, other, i) for i, other in enumerate(rest, start=1))]
    return _unflatten(treedef, map(f, *columns))


def _leaves_as(treedef: TreeDef, tree: Tree, position: int) -> list[Any]:
    found, other = flatten(tree)
    if other != treedef:
        raise ShapeError(
            operation="tree_map",
            position=position,
            got=f"structure {other}",
            wanted=f"the structure of the first, {treedef}",
        )
    return found


def leaves(tree: Tree) -> list[Any]:
    """The leaves, left to right.

    >>> leaves([1, (2, None), {"x": 3}])
    [1, 2, 3]
    """
    return flatten(tree)[0]


def structure(tree: Tree) -> TreeDef:
    """The structure, leaves left out.

    >>> structure((1, 2)) == structure(("a", "b"))
    True
    """
    return flatten(tree)[1]


def register(cls: type[C], flatten: Callable[[C], Flattened], unflatten: Callable[[Any, Sequence[Tree]], C]) -> None:
    """Make a class a container: `flatten(x)` gives (children, meta), `unflatten(meta, children)` undoes it.

    `meta` is hashable and compares by value: it is part of the structure.

    >>> class Interval:
    ...     def __init__(self, low, high):
    ...         self.low, self.high = low, high
    >>> register(Interval, lambda i: ((i.low, i.high), None), lambda _, ends: Interval(*ends))
    >>> leaves([Interval(1, 2), 3])
    [1, 2, 3]
    """
    if cls in _NODES:
        raise ValueError(f"{cls.__name__} is a container already")
    _NODES[cls] = _Node(flatten, unflatten, lambda meta, shown: _call(cls, ([meta] if meta else []) + [*shown]))


def _find(cls: type) -> _Node | None:
    """The container's row; named tuples and dataclasses are known by what they are."""
    node = _NODES.get(cls)
    if node is None and issubclass(cls, tuple) and hasattr(cls, "_fields"):
        return _named_tuple(cls)
    if node is None and dataclasses.is_dataclass(cls):
        return _dataclass(cls)
    return node


def _node_of(cls: type) -> _Node:
    node = _find(cls)
    assert node is not None, f"{cls.__name__} made a structure and is no container"
    return node


def _call(cls: type, arguments: Iterable[object]) -> str:
    return f"{cls.__name__}({', '.join(map(str, arguments))})"


def _keywords(names: Iterable[str], shown: Iterable[str]) -> Iterator[str]:
    return (f"{name}={text}" for name, text in zip(names, shown, strict=True))


# The containers


def _named_tuple(cls: Any) -> _Node:
    return _Node(
        flatten=lambda tree: (tree, None),
        unflatten=lambda _, children: cls(*children),
        show=lambda _, shown: _call(cls, _keywords(cls._fields, shown)),
    )


def _dataclass(cls: Any) -> _Node:
    """Fields of __init__ are children; `field(metadata={"static": True})` puts one into the structure."""
    fields = [f for f in dataclasses.fields(cls) if f.init]
    free = [f.name for f in fields if not f.metadata.get("static")]
    static = [f.name for f in fields if f.metadata.get("static")]

    def take(tree: Any) -> Flattened:
        return [getattr(tree, name) for name in free], tuple(getattr(tree, name) for name in static)

    def put(meta: Any, children: Sequence[Tree]) -> Any:
        return cls(**dict(zip(free, children, strict=True)), **dict(zip(static, meta, strict=True)))

    def show(meta: Any, shown: Sequence[str]) -> str:
        return _call(cls, [*_keywords(free, shown), *_keywords(static, map(repr, meta))])

    return _Node(take, put, show)


def _dict(make: Callable[[Any, dict[Any, Any]], Any], extra: Callable[[Any], Hashable]) -> _Node:
    """A mapping; `extra` is what it knows beyond its items, and `make(extra, items)` rebuilds it."""

    def take(tree: dict[Any, Any]) -> Flattened:
        keys = _sorted(tree)
        return [tree[key] for key in keys], (extra(tree), tuple(keys))

    def put(meta: Any, children: Sequence[Tree]) -> Any:
        return make(meta[0], dict(zip(meta[1], children, strict=True)))

    return _Node(take, put, lambda meta, shown: _braces(meta[1], shown))


def _sorted(tree: dict[Any, Any]) -> list[Any]:
    """Sorted keys, so that the order of insertion does not matter; as inserted where keys do not compare."""
    if type(tree) is OrderedDict:
        return list(tree)
    try:
        return sorted(tree)
    except TypeError:
        return list(tree)


def _braces(keys: Iterable[Any], shown: Iterable[str]) -> str:
    return "{" + ", ".join(f"{key!r}: {text}" for key, text in zip(keys, shown, strict=True)) + "}"


def _parentheses(_: object, shown: Sequence[str]) -> str:
    return f"({shown[0]},)" if len(shown) == 1 else f"({', '.join(shown)})"


_NODES: Final[dict[type, _Node]] = {
    type(None): _Node(lambda _: ((), None), lambda _, __: None, lambda _, __: "None"),
    tuple: _Node(lambda t: (t, None), lambda _, children: tuple(children), _parentheses),
    list: _Node(lambda t: (t, None), lambda _, children: list(children), lambda _, s: f"[{', '.join(s)}]"),
    dict: _dict(make=lambda _, items: items, extra=lambda _: None),
    OrderedDict: _dict(make=lambda _, items: OrderedDict(items), extra=lambda _: None),
    defaultdict: _dict(make=defaultdict, extra=lambda tree: tree.default_factory),
}
