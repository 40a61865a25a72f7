"""Recording: operations become nodes (`nbgraph.node`).

In: an `Op`, operand nodes, sizes. Out: a `Node`. Nothing is computed here.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Sequence
from operator import attrgetter, is_
from typing import Any

from nbgraph.calls import AliasCall, Formal, FragmentCall, Placeholder, SumCall
from nbgraph.decided import HOOKS, names_of
from nbgraph.dims import DimExpr
from nbgraph.errors import GENERATED, ConcretizationError, user_frame
from nbgraph.node import LOCK, Node, Pack, _next_seq
from nbgraph.op import Op, Sizes
from nbgraph.types import Shape, TensorType, are_lasting

CX = Sizes()

_active = attrgetter("active")
_TYPES = TensorType._table
_INFERRED: dict[Any, Any] = {}
_INFERRED_LIMIT = 20_000


class Projection(Op):
    """Result `index` of a `Pack`. Exists only while open; it has no place in fragments."""

    params = ("index",)
    index: int


_handle: Any = Node


def set_handle(cls: type[Node]) -> None:
    """Declares the class of the nodes that users hold."""
    global _handle
    _handle = cls


def handle() -> type[Node]:
    """The class of the nodes that users hold."""
    found: type[Node] = _handle
    return found


def new_node(t: TensorType, active: bool, cls: Any = None) -> Node:
    """A node with no history and no value yet."""
    made = object.__new__(cls or _handle)
    node: Node = made
    node.op, node.inputs, node.sizes = None, (), ()
    node.type, node.active = t, active
    node.data, node.call, node.slot = None, None, 0
    node.seq = _next_seq()
    return node


#: Marks, in `slot`, a leaf made from a Python scalar.
SCALAR = -1


def infer(op: Op, types: tuple[TensorType, ...], sizes: Shape) -> Any:
    """The result type of an operation, memoised."""
    key = (op, types, sizes)
    found = _INFERRED.get(key)
    if found is None:
        found = op.infer(CX, types, sizes)
        _note(key, found, types, sizes)
    return found


def _note(key: Any, found: Any, types: tuple[TensorType, ...], sizes: Shape = ()) -> None:
    """Remembers a result type, unless a size of this graph alone is in it."""
    if all(t.lasting for t in types) and are_lasting(sizes):
        if len(_INFERRED) > _INFERRED_LIMIT:
            _INFERRED.clear()
        _INFERRED[key] = found


def _new_result(t: TensorType, active: bool, call: Any, slot: Any) -> Node:
    """A node for a result of a call."""
    node = new_node(t, active)
    node.call, node.slot = call, slot
    return node


class _Recording:
    """How nodes are made: `make` by machine code, None as long as there is none (`engine/recorder.py`); `tell` says to
    it what results from an operation. `result` makes those of calls, by Python until then; `commit`, None as long as
    there is no machine code, makes a call that has run and open nodes its values (`engine/commits.py`); `caller` gives
    a function that records calls of a jitted one (`jit.py`), which says to `consider_calls` when there were many."""

    __slots__ = ("caller", "commit", "consider_calls", "make", "result", "tell")

    def __init__(self) -> None:
        self.caller: Any = None
        self.consider_calls: Any = None
        self.commit: Any = None
        self.make: Any = None
        self.tell: Any = None
        self.result: Any = _new_result


RECORDING = _Recording()


def record1(op: Op, a: Node) -> Node:
    """Records an operation of one operand and one result, without sizes (the hot path)."""
    make = RECORDING.make
    if make is not None and (found := make(op, a)) is not None:
        return found  # type: ignore[no-any-return]
    key = (op, a.type)
    t = _INFERRED.get(key)
    if t is None:
        t = infer(op, (a.type,), ())
        _note(key, t, (a.type,))
    if make is not None and key in _INFERRED:
        RECORDING.tell(op, a.type, None, t)
    made = object.__new__(_handle)
    node: Node = made
    node.op, node.inputs, node.sizes, node.type = op, (a,), (), t
    node.active = a.active and t.inexact
    node.data, node.call, node.slot = None, None, 0
    node.seq = _next_seq()
    return node


def record2(op: Op, a: Node, b: Node) -> Node:
    """Records an operation of two operands and one result, without sizes (the hot path)."""
    make = RECORDING.make
    if make is not None and (found := make(op, a, b)) is not None:
        return found  # type: ignore[no-any-return]
    key = (op, a.type, b.type)
    t = _INFERRED.get(key)
    if t is None:
        t = infer(op, (a.type, b.type), ())
        _note(key, t, (a.type, b.type))
    if make is not None and key in _INFERRED:
        RECORDING.tell(op, a.type, b.type, t)
    made = object.__new__(_handle)
    node: Node = made
    node.op, node.inputs, node.sizes, node.type = op, (a, b), (), t
    node.active = (a.active or b.active) and t.inexact
    node.data, node.call, node.slot = None, None, 0
    node.seq = _next_seq()
    return node


class Known:
    """A function of one or two operands that mostly records one operation, which their types say all about: who calls
    it asks machine code for it before, `RECORDING.make(known, *operands)`, which is told here what it did not know."""

    __slots__ = ("general",)

    def __init__(self, general: Callable[..., Any]) -> None:
        self.general = general

    def __call__(self, *xs: Any) -> Any:
        made = self.general(*xs)
        if RECORDING.make is not None:
            self._tell(made, xs)
        return made

    def _tell(self, made: Any, xs: tuple[Any, ...]) -> None:
        if type(made) is not _handle or made.op is None or made.sizes or made.op.fallible:
            return
        if len(made.inputs) == len(xs) and all(map(is_, made.inputs, xs)) and all(x.type.lasting for x in xs):
            RECORDING.tell(self, xs[0].type, xs[1].type if len(xs) > 1 else None, made.type, made.op)


def record(op: Op, inputs: Sequence[Node], sizes: Shape = ()) -> Any:
    """Records an operation; a tuple of nodes where it has several results."""
    inputs = tuple(inputs)
    t = infer(op, tuple([n.type for n in inputs]), sizes)
    return record_as(t, op, inputs, sizes)


def record_as(t: Any, op: Op, inputs: tuple[Node, ...], sizes: Shape) -> Any:
    """Records an operation whose result is known to be of type `t`, or whose results of a tuple of types."""
    if type(t) is tuple:
        return _record_pack(op, inputs, sizes, t, True in map(_active, inputs))
    active = False
    if t.inexact:
        for n in inputs:
            if n.active:
                active = True
                break
    make = RECORDING.make
    if make is not None:
        node: Node = make(op, inputs, sizes, t, active)
    else:
        made = object.__new__(_handle)
        node = made
        node.op, node.inputs, node.sizes, node.type = op, inputs, sizes, t
        node.active, node.data, node.call, node.slot = active, None, None, 0
        node.seq = _next_seq()
    if op.fallible:
        node.call = user_frame()
    return node


def site_of(node: Node) -> Any:
    """The user's line of an operation that may fail, while it is open: another thread may seal it at any moment."""
    site = node.call
    return site if type(site) is tuple else None


def recorder(
    given: Sequence[str],
    steps: Sequence[tuple[Op, tuple[int, ...], Shape, TensorType]],
    results: Sequence[int],
    site: Any,
    moved: Sequence[int],
    sizes_at: Callable[..., tuple[Shape, ...]],
) -> Callable[..., list[Node]]:
    """A function (nodes, outside, ct, words) that records operations known beforehand, as straight-line code.

    `given` are sources of the first values in those names; a step is an operation of one result, its operands by
    number, sizes and type. `site`: the user's line of operations that may fail, as source, or what finds it. The sizes
    of the steps `moved` differ from time to time: `sizes_at` gives them from the words.
    """
    names: dict[str, Any] = {
        "new": object.__new__,
        "handle": _handle,
        "number": _next_seq,
        "find_site": site,
        "site_of": site_of,
        "sizes_at": sizes_at,
    }
    lines = ["def record(nodes, outside, ct, words):"]
    if moved:
        lines.append(f"  {''.join(f'sizes{k}, ' for k in moved)} = sizes_at(*words)")
    lines += [f"  v{k} = {source}" for k, source in enumerate(given)]
    for k, (op, ins, sizes, t) in enumerate(steps):
        v = f"v{len(given) + k}"
        names |= {f"op{k}": op, f"sizes{k}": sizes, f"type{k}": t}
        active = " or ".join(f"v{i}.active" for i in dict.fromkeys(ins)) if t.inexact and ins else "False"
        place = (site if isinstance(site, str) else "find_site()") if op.fallible else "None"
        lines += [
            f"  {v} = new(handle); {v}.op = op{k}; {v}.inputs = ({''.join(f'v{i}, ' for i in ins)})",
            f"  {v}.sizes = sizes{k}; {v}.type = type{k}; {v}.active = {active}",
            f"  {v}.data = None; {v}.call = {place}; {v}.slot = 0; {v}.seq = number()",
        ]
    lines.append(f"  return [{', '.join(f'v{r}' for r in results)}]")
    exec(compile("\n".join(lines), GENERATED, "exec"), names)
    return names["record"]  # type: ignore[no-any-return]


def _record_pack(op: Op, inputs: tuple[Node, ...], sizes: Shape, types: Any, active: bool) -> tuple[Node, ...]:
    pack = new_node(types[0], active, Pack)
    assert isinstance(pack, Pack)
    pack.op, pack.inputs, pack.sizes, pack.types = op, inputs, sizes, types
    if op.fallible:
        pack.call = user_frame()
    results = []
    for index, t in enumerate(types):
        node = new_node(t, active and t.inexact)
        node.op, node.inputs = Projection(index), (pack,)
        results.append(node)
    return tuple(results)


def is_adopted(node: Node) -> bool:
    """Whether an open node is a projection of a pack that was sealed before it; then it is a value of the pack's call
    from now on."""
    op, inputs = node.op, node.inputs
    if type(op) is not Projection or (inputs and inputs[0].op is not None):
        return False
    with LOCK:
        if node.op is not None:  # else another thread was first
            (pack,), index = inputs, op.index
            node.call, node.slot = pack.call, pack.slot + index
            if pack.data is not None:
                node.data = pack.data[index]
            elif isinstance(node.call, FragmentCall):
                node.data = node.call.kept(node.slot)
            node.op, node.inputs = None, ()
    return True


def sum_of(nodes: Sequence[Node]) -> Node:
    """The sum of nodes of one type; the node itself where there is only one."""
    if len(nodes) == 1:
        return nodes[0]
    total = new_node(nodes[0].type, any(n.active for n in nodes))
    total.call = SumCall(tuple(nodes))
    total.call.nodes = (weakref.ref(total),)
    return total


def alias_of(node: Node) -> Node:
    """A new identity for the same value; differentiable whatever the node is made of."""
    if not node.type.concrete:
        HOOKS.settle([node], partly=True)
    made = new_node(node.type, node.type.inexact)
    made.call = AliasCall(node)
    return made


def placeholder(t: TensorType, name: str) -> Node:
    """A node whose value comes with each eval."""
    made = new_node(t, t.inexact)
    made.call = Placeholder(name)
    return made


def formal(t: TensorType, function: str, weak: bool = False) -> Node:
    """A node for an argument of a function that is traced."""
    made = new_node(t, t.inexact)
    made.call = Formal(function, weak)
    return made


def is_weak(node: Node) -> bool:
    """Whether a node is made of nothing but Python numbers, arguments of a traced function among them."""
    if node.type.shape != () or (node.op is None and type(node.call) is not Formal):
        return False
    stack, seen = [node], {id(node)}
    while stack:
        n = stack.pop()
        if n.op is None:
            if not (n.slot == SCALAR if n.call is None else type(n.call) is Formal and n.call.weak):
                return False
            continue
        for i in n.inputs:
            if id(i) not in seen:
                seen.add(id(i))
                stack.append(i)
    return True


def value_of(node: Node) -> Any:
    """The known value of a node, through aliases; None where it is not known yet."""
    while node.data is None and node.op is None and type(node.call) is AliasCall:
        node = node.call.inputs[0]
    return node.data


def unaliased(node: Node) -> Node:
    """The node itself, or the one that it is another identity of and that is nearest to a value."""
    while node.data is None and node.op is None and type(node.call) is AliasCall:
        node = node.call.inputs[0]
    return node


def concrete_size(d: Any, what: str) -> int:
    """An int from a size, or `ConcretizationError` naming it; one that the data decides is evaluated."""
    if isinstance(d, DimExpr):
        if len(names_of([d])) == len(d.names):
            return int(d)
        raise ConcretizationError(f"{what} is {d}, known only when sizes are bound")
    return int(d)
