"""Pickles of tensors: the graph below one, as flat tables.

In: a tensor. Out: `(rebuild, (table, index))`, without recursion, so depth is no matter.
Holds: what was open, sealed or known is so again, with gradients connected; the user's lines of recorded operations
and the tie of a derived call to the call it came from (an optimisation) are left out. Each tensor carries its whole
graph: `pickle.dumps((loss, params))` writes what they share twice. When read, both are joined again: a value that
is still alive from the same pickled state is reused, so `loss.grad(params)` works.
"""

from __future__ import annotations

import threading
import uuid
import weakref
from typing import Any

from nbgraph.trace import (
    AliasCall,
    Dropped,
    FragmentCall,
    Node,
    Pack,
    Placeholder,
    SumCall,
    _next_seq,
    new_node,
)

#: Stands for this process, so that values of one process are told from those of another.
_PROCESS = uuid.uuid4().hex
_LOCK = threading.RLock()

#: What was read and is still alive, by where and in what state it was written.
_ALIVE: weakref.WeakValueDictionary[Any, Any] = weakref.WeakValueDictionary()

Row = tuple[Any, ...]


def reduce(node: Node) -> Any:
    """What `__reduce_ex__` returns for a tensor.

    >>> import pickle
    >>> from nbgraph.tensor import TracedTensor
    >>> x = TracedTensor.from_tensor(3.0)
    >>> y, x = pickle.loads(pickle.dumps((x * x, x)))
    >>> y.grad(x).item()
    6.0
    """
    things = _below(node)
    number = {id(t): k for k, t in enumerate(things)}
    return rebuild, ((_PROCESS, [_row(t, number) for t in things]), number[id(node)])


def rebuild(table: tuple[str, list[Row]], index: int) -> Any:
    """The tensor that was row `index` of a table."""
    process, rows = table
    with _LOCK:
        seqs: dict[int, int] = {}
        things: list[Any] = []
        for row in rows:
            things.append(_made(process, row, things, seqs))
        for row, thing in zip(rows, things, strict=True):
            _tie(row, thing, things)
        return things[index]


def _below(node: Node) -> list[Any]:
    """The nodes and calls that a node is made of, oldest first."""
    seen: dict[int, Any] = {}
    stack: list[Any] = [node]
    while stack:
        thing = stack.pop()
        if thing is None or id(thing) in seen:
            continue
        seen[id(thing)] = thing
        stack.extend(thing.inputs)
        if isinstance(thing, Node) and thing.op is None:
            stack.append(thing.call)
    # A call may share its number with a node that stands for one of its values; it comes first.
    return sorted(seen.values(), key=lambda t: (t.seq, isinstance(t, Node)))


# -- rows -------------------------------------------------------------------------------------------------------------


def _row(thing: Any, number: dict[int, int]) -> Row:
    """(kind, creation number, inputs, and what the kind needs)."""
    inputs = tuple(number[id(i)] for i in thing.inputs)
    if isinstance(thing, Node):
        return _node_row(thing, inputs, number)
    if type(thing) is FragmentCall:
        saved = dict(thing.saved) if thing.saved else None
        waiting = _waiting(thing.nodes, number)
        return "call", thing.seq, inputs, thing.fragment, thing.words, saved, waiting
    if type(thing) is SumCall:
        return "sum", thing.seq, inputs, _waiting(((0, r) for r in thing.nodes), number)
    if type(thing) is Placeholder:
        return "placeholder", thing.seq, inputs, thing.name
    return "alias" if type(thing) is AliasCall else "dropped", thing.seq, inputs


def _node_row(node: Node, inputs: tuple[int, ...], number: dict[int, int]) -> Row:
    call = None if node.op is not None or node.call is None else number[id(node.call)]
    types = node.types if isinstance(node, Pack) else None
    return "node", node.seq, inputs, node.op, node.sizes, node.type, node.active, node.data, call, node.slot, types


def _waiting(references: Any, number: dict[int, int]) -> list[tuple[int, int]] | None:
    """The nodes of the table that wait for a call to run, by slot; None where it has run."""
    if references is None:
        return None
    nodes = [(slot, ref()) for slot, ref in references]
    return [(slot, number[id(n)]) for slot, n in nodes if n is not None and id(n) in number]


def _made(process: str, row: Row, things: list[Any], seqs: dict[int, int]) -> Any:
    """The thing of a row, or the one that was made of it before."""
    state = row[8] if row[0] == "node" else None
    key = (process, row[0], row[1], None if state is None else id(things[state]), row[0] == "node" and row[3] is None)
    made = _ALIVE.get(key)
    if made is None:
        made = _ALIVE[key] = _new(row, [things[i] for i in row[2]], things)
        if row[1] not in seqs:
            seqs[row[1]] = _next_seq()
        made.seq = seqs[row[1]]
    return made


def _new(row: Row, inputs: list[Any], things: list[Any]) -> Any:
    kind = row[0]
    if kind == "node":
        return _new_node(row, inputs, things)
    if kind == "call":
        call = FragmentCall(row[3], tuple(inputs), row[4])
        call.saved = row[5] and {slot: _frozen(a) for slot, a in row[5].items()}
        return call
    if kind == "sum":
        return SumCall(tuple(inputs))
    if kind == "placeholder":
        return Placeholder(row[3])
    return AliasCall(inputs[0]) if kind == "alias" else Dropped(None, 0)


def _new_node(row: Row, inputs: list[Any], things: list[Any]) -> Node:
    _, _, _, op, sizes, t, active, data, call, slot, types = row
    node = new_node(t, active, None if types is None else Pack)
    node.op, node.inputs, node.sizes, node.slot = op, tuple(inputs), sizes, slot
    node.data = tuple(map(_frozen, data)) if isinstance(data, tuple) else _frozen(data)
    node.call = None if call is None else things[call]
    if isinstance(node, Pack):
        node.types = types
    return node


def _frozen(data: Any) -> Any:
    if data is not None:
        data.setflags(write=False)
    return data


def _tie(row: Row, thing: Any, things: list[Any]) -> None:
    """Tells a call that has not run which nodes wait for it."""
    if row[0] not in ("call", "sum") or row[-1] is None:
        return
    waiting = [(slot, weakref.ref(things[k])) for slot, k in row[-1]]
    if row[0] == "sum":
        thing.nodes = thing.nodes or tuple(ref for _, ref in waiting)
    else:
        thing.nodes = [*(thing.nodes or ()), *waiting]
