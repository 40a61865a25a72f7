"""Pickles of tensors: the graph below one, as flat tables.

In: a tensor. Out: `(rebuild, (table, index))`, without recursion, so depth is no matter.
Holds: what was open, sealed or known is so again, with gradients connected; the user's lines of recorded operations
and the tie of a derived call to the call it came from (an optimisation) are left out. Each tensor carries its whole
graph: `pickle.dumps((loss, params))` writes what they share twice. When read, both are joined again: a value that
is still alive from the same pickled state is reused, so `loss.grad(params)` works.
"""

from __future__ import annotations

import uuid
import weakref
from typing import Any

from nbgraph.calls import AliasCall, Dropped, FragmentCall, Placeholder, SumCall
from nbgraph.decided import ALIVE
from nbgraph.derive import vjp
from nbgraph.node import LOCK, Node, Pack, _next_seq
from nbgraph.parts import plain_call
from nbgraph.settle import settle
from nbgraph.trace import new_node
from nbgraph_kernels.locks import in_forked_process

#: Stands for this process, so that values of one process are told from those of another.
_PROCESS = uuid.uuid4().hex


def _another_process() -> None:
    """A forked process goes on with the same creation numbers, for other values."""
    global _PROCESS
    _PROCESS = uuid.uuid4().hex


in_forked_process(_another_process)

#: What was read and is still alive, by where and in what state it was written. Guarded by `LOCK`.
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
    if ALIVE:
        settle([node], partly=True)
    with LOCK:  # what is walked is what is written
        things = _below(node)
        number = {id(t): k for k, t in enumerate(things)}
        return rebuild, ((_PROCESS, [_row(t, number) for t in things]), number[id(node)])


def rebuild(table: tuple[str, list[Row]], index: int) -> Any:
    """The tensor that was row `index` of a table."""
    process, rows = table
    with LOCK:
        things: list[Any] = []
        new = []
        for row in rows:
            key = (process, *_identity(row))
            thing = _ALIVE.get(key)
            if thing is None:
                thing = _shell(row)
                new.append((row, thing))
                if isinstance(thing, Node | FragmentCall):  # the others stand behind one node
                    _ALIVE[key] = thing
            things.append(thing)
        seqs = {seq: _next_seq() for seq in sorted({row[1] for row, _ in new})}
        made = {id(thing) for _, thing in new}
        for row, thing in new:
            _link(row, thing, things)
            thing.seq = seqs[row[1]]
        for _, thing in new:
            if isinstance(thing, Node) and type(thing.call) is FragmentCall and id(thing.call) not in made:
                # A further value of a call that was there: no younger than those that came with it.
                thing.seq = max((i.seq for i in thing.call.inputs), default=0)
        for row, thing in zip(rows, things, strict=True):
            _tie(row, thing, things)
        return things[index]


def _below(node: Node) -> list[Any]:
    """The nodes and calls that a node is made of."""
    seen: dict[int, Any] = {}
    stack: list[Any] = [node]
    while stack:
        thing = stack.pop()
        if thing is None or id(thing) in seen:
            continue
        seen[id(thing)] = thing
        stack.extend(thing.inputs)
        if isinstance(thing, Node) and thing.op is None:
            stack.append(plain_call(thing, vjp))
    return list(seen.values())


# -- rows -------------------------------------------------------------------------------------------------------------


def _row(thing: Any, number: dict[int, int]) -> Row:
    """(kind, creation number, inputs, and what the kind needs)."""
    inputs = tuple(number[id(i)] for i in thing.inputs)
    if isinstance(thing, Node):
        return _node_row(thing, inputs, number)
    if type(thing) is FragmentCall:
        saved = thing.saved and (thing.saved[0], tuple(thing.saved[1]))
        waiting = _waiting(thing.nodes, number)
        return "call", thing.seq, inputs, thing.fragment, thing.words, saved, waiting
    if type(thing) is SumCall:
        return "sum", thing.seq, inputs, _waiting(((0, r) for r in thing.nodes), number)
    if type(thing) is Placeholder:
        return "placeholder", thing.seq, inputs, thing.name
    return "alias" if type(thing) is AliasCall else "dropped", thing.seq, inputs


def _node_row(node: Node, inputs: tuple[int, ...], number: dict[int, int]) -> Row:
    call = None if node.op is not None else node.call
    place = None if call is None else (number[id(call)], call.seq)
    types = node.types if isinstance(node, Pack) else None
    return "node", node.seq, inputs, node.op, node.sizes, node.type, node.active, node.data, place, node.slot, types


def _waiting(references: Any, number: dict[int, int]) -> list[tuple[int, int]] | None:
    """The nodes of the table that wait for a call to run, by slot; None where it has run."""
    if references is None:
        return None
    nodes = [(slot, ref()) for slot, ref in references]
    return [(slot, number[id(n)]) for slot, n in nodes if n is not None and id(n) in number]


def _identity(row: Row) -> tuple[Any, ...]:
    """What a row stands for: a value or call of its process; a value once more in each state (open, or of a call)."""
    if row[0] != "node":
        return row[0], row[1], None, False
    return row[0], row[1], row[8] and (row[8][1], row[9]), row[3] is not None


def _shell(row: Row) -> Any:
    """The thing of a row, not linked to others yet."""
    kind = row[0]
    if kind == "node":
        return new_node(row[5], row[6], None if row[10] is None else Pack)
    if kind == "call":
        return FragmentCall(row[3], (), row[4])
    if kind == "sum":
        return SumCall(())
    if kind == "placeholder":
        return Placeholder(row[3])
    return AliasCall(Node()) if kind == "alias" else Dropped(None, 0)


def _link(row: Row, thing: Any, things: list[Any]) -> None:
    """Fills a thing in."""
    thing.inputs = tuple(things[i] for i in row[2])
    if row[0] == "call":
        thing.active = any(i.active for i in thing.inputs)
        thing.saved = row[5] and (row[5][0], tuple(map(_frozen, row[5][1])))
    elif row[0] == "node":
        _, _, _, thing.op, thing.sizes, _, _, data, place, thing.slot, types = row
        thing.data = tuple(map(_frozen, data)) if isinstance(data, tuple) else _frozen(data)
        thing.call = None if place is None else things[place[0]]
        if types is not None:
            thing.types = types


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
