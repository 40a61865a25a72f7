"""Sizes that the data decides become numbers, and what was recorded under them becomes calls.

In: nodes that are about to be run or differentiated. Out: nothing; below them no size is left whose value can be known.
Holds: oldest first, each size is evaluated after what was recorded before it is sealed, so a graph of any number of
such sizes is walked once, and no value is computed twice. Shape rules run again at the numbers: what does not fit is an
error that names the operation. A node's type changes only when it is sealed: a size that turns out as 1 is no
structure of what was recorded while it was open. A size that depends on an unbound placeholder stays a symbol; it gets
its value with each eval, like the sizes of placeholders (`names_below`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from operator import attrgetter
from typing import Any

from nbgraph.decided import ALIVE, HOOKS, Decided, names_of, undecided
from nbgraph.dims import DimExpr, substitute
from nbgraph.errors import BindingError, BoundsError, ConcretizationError, NbgraphError
from nbgraph.node import LOCK, Node, Pack
from nbgraph.seal import commit, draft, equal_sizes
from nbgraph.trace import Projection, infer, value_of
from nbgraph.types import Shape, Size, TensorType

_seq = attrgetter("seq")


def settle(nodes: Sequence[Node], engine: Any = None, partly: bool = False) -> None:
    """Decides the sizes below nodes, running on `engine` what they need; seals all that depends on them.

    `partly`: sizes that depend on an unbound placeholder, or an argument of a function that is traced, stay symbols.
    """
    region = _open_below(nodes) if ALIVE else []
    names = sorted(_names(region), key=_seq)
    if not names:
        return
    done, is_open = 0, False
    for name in names:
        if name.value is None:
            start, done = done, _first_from(region, name.seq, done)
            _seal(region[start:done])
            try:
                if not is_open:
                    decide(name, engine)
            except (BindingError, ConcretizationError):
                if not partly:
                    raise
                is_open = True
            if is_open:
                _seal_below(name)
    if not is_open:
        _seal(region[done:])


def _seal_below(name: Decided) -> None:
    """Seals what leads to a size that stays a symbol: no call needs a size that another value of the call decides."""
    waiting, found = [name], {name}
    while waiting:
        below = _names(_open_below(undecided([waiting.pop()])))
        waiting += [n for n in below - found if n.value is None]
        found |= below
    for n in sorted(found, key=_seq):
        _seal(_open_below(undecided([n])))


def decide(name: Decided, engine: Any = None) -> int:
    """The value of a size, evaluated if it is not known."""
    node = name.node
    if name.value is None and node is not None:
        value = value_of(node)
        if value is None:
            (value,) = HOOKS.run([node], engine)
        name.value = checked(int(value))
        name.node = None
    assert name.value is not None
    return name.value


def checked(value: int) -> int:
    if value < 0:
        raise BoundsError("a size that the data decides is negative", got=value, wanted="a size >= 0")
    return value


def refresh(node: Node) -> None:
    """Seals a node whose type has symbols, if all of them are known by now."""
    names = names_of(node.type.shape)
    if names and not any(value_of(n) is None for n in undecided(names)):
        settle([node], partly=True)


def names_below(nodes: Sequence[Node]) -> list[Decided]:
    """The sizes that the data decides below nodes, and below what decides them, oldest first."""
    stack, seen, names = list(nodes), set[int](), set[Decided]()
    while stack:
        node = stack.pop()
        if id(node) in seen or node.data is not None:
            continue
        seen.add(id(node))
        below = node.inputs if node.op is not None else getattr(node.call, "inputs", ())
        if node.op is not None or below:
            stack.extend(below)
            new = _names([node]) - names
            names |= new
            stack += undecided(new)
    return sorted(names, key=_seq)


# -- walks ------------------------------------------------------------------------------------------------------------


def _open_below(nodes: Iterable[Node]) -> list[Node]:
    """The open nodes below nodes, oldest first."""
    stack, seen, found = list(nodes), set[int](), list[Node]()
    while stack:
        node = stack.pop()
        if id(node) in seen or node.op is None or node.data is not None:
            continue
        seen.add(id(node))
        found.append(node)
        stack.extend(node.inputs)
    found.sort(key=_seq)
    return found


def _names(nodes: Iterable[Node]) -> set[Decided]:
    """The names of sizes decided by data that nodes were recorded with."""
    found: set[Decided] = set()
    for n in nodes:
        for sizes in (n.sizes, getattr(n.call, "words", ()), () if n.type.concrete else n.type.shape):
            if sizes:
                found |= names_of(sizes)
        for pair in equal_sizes(n.call) if n.op is None else ():
            found |= names_of(pair)
    return found


def _first_from(region: Sequence[Node], seq: int, start: int) -> int:
    """The first place from `start` on of a node that is younger than `seq`."""
    while start < len(region) and region[start].seq <= seq:
        start += 1
    return start


# -- sealing ----------------------------------------------------------------------------------------------------------


def _seal(nodes: Sequence[Node]) -> None:
    """Writes the numbers into nodes whose sizes are known, and seals them."""
    with LOCK:
        nodes = [n for n in nodes if n.op is not None and n.data is None]
        known = {n: n.value for n in _names(nodes) if n.value is not None}
        changes = _at_numbers(nodes, known)
        parts = [nodes] if _holds_beside_one(nodes, known) else _one_by_one(nodes)
        for node, t, sizes in changes:
            node.sizes = sizes
            if isinstance(node, Pack):
                node.types, node.type = t, t[0]
            else:
                node.type = t
        for part in parts:
            for d in draft(part):
                commit(d, None)


#: A size that is equal to no other one.
_LIKE_NO_OTHER = 2**61 - 1


def _holds_beside_one(nodes: Sequence[Node], known: Mapping[Any, int]) -> bool:
    """Whether the operations mean at the numbers what they meant when recorded: a size that turned out as 1, which may
    broadcast now, is compared with no other size."""
    if 1 not in known.values():
        return True
    try:
        _at_numbers(nodes, {name: _LIKE_NO_OTHER if value == 1 else value for name, value in known.items()}, False)
    except NbgraphError:
        return False
    return True


def _one_by_one(nodes: Sequence[Node]) -> list[list[Node]]:
    """Each operation for itself: to every one its operands are what they turned out as. Results stay together."""
    groups: dict[int, list[Node]] = {}
    for n in nodes:
        if not isinstance(n, Pack):
            groups.setdefault(id(n.inputs[0] if type(n.op) is Projection else n), []).append(n)
    return list(groups.values())


def _at_numbers(nodes: Sequence[Node], known: Mapping[Any, int], bounds: bool = True) -> list[tuple[Node, Any, Shape]]:
    """The nodes that change, with their types and sizes at the numbers; nothing changes yet, as a rule may raise.

    Without `bounds` what is taken may leave what it is taken from.
    """
    changed: dict[int, Any] = {}
    found = []
    for n in nodes:
        sizes = tuple([_at(d, known) for d in n.sizes])
        if n.type.concrete and sizes == n.sizes and not any(id(i) in changed for i in n.inputs):
            continue
        if type(n.op) is Projection:
            pack = n.inputs[0]
            t = changed.get(id(pack), getattr(pack, "types", ()))[n.op.index]
        else:
            types: tuple[TensorType, ...] = tuple([changed.get(id(i), i.type) for i in n.inputs])
            try:
                t = infer(n.op, types, sizes)  # type: ignore[arg-type]
            except BoundsError:
                if bounds:
                    raise
                t = n.type.with_shape(tuple([_at(d, known) for d in n.type.shape]))
        changed[id(n)] = t
        found.append((n, t, sizes))
    return found


def _at(d: Size, known: Mapping[Any, int]) -> Size:
    return substitute(d, known) if type(d) is DimExpr else d


HOOKS.decide = decide
HOOKS.settle = settle
