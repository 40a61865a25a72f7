"""Recording: the nodes of the graph and the calls that seals leave behind.

In: an `Op`, operand nodes, sizes. Out: a `Node`. Nothing is computed here.

A node is in one of three states:

- open: `op` is set; the operation and its operand nodes are recorded on the node itself;
- sealed: `op` is None and `call` is set; the node is value `slot` of that call of a fragment;
- leaf: both are None; `data` is its value.

`data` holds the value once it is known, whatever the state. References only lead to older nodes, so there are no
cycles: a graph is freed by reference counting alone, and whether a node is live is read off its reference count.
The order of `seq` is a topological order.
"""

from __future__ import annotations

import itertools
import math
import weakref
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from operator import attrgetter
from typing import Any

from nbgraph.decided import HOOKS, names_of
from nbgraph.dims import DimExpr
from nbgraph.errors import GENERATED, ConcretizationError, user_frame
from nbgraph.fragment import Fragment
from nbgraph.op import Op, Sizes
from nbgraph.types import Shape, TensorType, are_lasting
from nbgraph_kernels.locks import lock

#: Guards every change of structure (seals, commits). Recording needs no lock: it only makes new nodes.
LOCK = lock(awaited=1)
CX = Sizes()

_active = attrgetter("active")
_numbers = itertools.count(1)
_next_seq = _numbers.__next__
_TYPES = TensorType._table
_INFERRED: dict[Any, Any] = {}
_INFERRED_LIMIT = 20_000


class Node:
    """A value of the graph. Users see its subclass `TracedTensor`."""

    __slots__ = ("__weakref__", "active", "call", "data", "inputs", "op", "seq", "sizes", "slot", "type")

    op: Op | None
    inputs: tuple[Node, ...]
    sizes: Shape
    type: TensorType
    seq: int
    #: Whether a differentiable leaf can be reached from here (through inexact dtypes).
    active: bool
    data: Any
    call: Any
    #: Of a fragment call, the number of the value; of other calls, what they know it by.
    slot: Any


class Pack(Node):
    """The results of an operation with several results; users hold its projections. Has no value of its own."""

    __slots__ = ("types",)
    types: tuple[TensorType, ...]


class Projection(Op):
    """Result `index` of a `Pack`. Exists only while open; it has no place in fragments."""

    params = ("index",)
    index: int


#: Slots (a tuple that calls of a fragment share) and their values.
Saved = tuple[tuple[int, ...], tuple[Any, ...]]


class FragmentCall:
    """One operation in the graph of calls: a fragment applied to nodes.

    `active` says whether a differentiable leaf can be reached, so that history is kept. `nodes` lists weakly which
    node stands for which slot while the call has not run; `saved` holds results that must not be computed twice
    (`Op.unique`); `origin` says what a derived call was derived from; `sites` are the user's lines of operations that
    may fail; `after` counts the calls of the same trace before it that had not run (`nbgraph.loops`).
    """

    __slots__ = (
        "__weakref__",
        "active",
        "after",
        "fragment",
        "inputs",
        "kind",
        "nodes",
        "origin",
        "saved",
        "seq",
        "sites",
        "words",
    )

    def __init__(self, fragment: Fragment, inputs: tuple[Node, ...], words: Shape, sites: Any = None) -> None:
        self.fragment, self.inputs, self.words, self.sites = fragment, inputs, words, sites
        self.active = True in map(_active, inputs)
        self.seq = _next_seq()
        self.nodes: list[tuple[int, weakref.ref[Node]]] | None = None
        self.saved: Saved | None = None
        self.origin: Any = None  # of a derived call: (call, plan), the call None if it was only a piece
        self.kind = self.after = 0  # see `nbgraph.roll`, `nbgraph.loops`

    def kept(self, slot: int) -> Any:
        """The value of a slot if it is among the saved ones."""
        if self.saved is None or slot not in self.saved[0]:
            return None
        return self.saved[1][self.saved[0].index(slot)]


#: Of a call that lives on, by values that nobody knew of or by others derived from it: the round in its place, and
#: which slots its own are there.
TAKEN: weakref.WeakKeyDictionary[FragmentCall, tuple[FragmentCall, tuple[int, ...]]] = weakref.WeakKeyDictionary()


#: In a fragment's cache: how many calls of it were run by an eval together with operations on top of them.
TOPPED = "topped"


def call_that_ran(
    fragment: Fragment, inputs: tuple[Node, ...], words: Shape, active: bool, saved: Saved | None, sites: Any, kind: int
) -> FragmentCall:
    """A call whose values are known (the hot path)."""
    made = object.__new__(FragmentCall)
    made.fragment, made.inputs, made.words, made.sites = fragment, inputs, words, sites
    made.active, made.seq, made.nodes, made.saved, made.origin = active, _next_seq(), None, saved, None
    made.kind, made.after = kind, 0
    return made


class SumCall:
    """A sum of any number of nodes of one type: how cotangents of a value with many uses meet.

    It is not a fragment, so that its length is no part of any structure.
    """

    __slots__ = ("inputs", "nodes", "seq")

    def __init__(self, inputs: tuple[Node, ...]) -> None:
        self.inputs = inputs
        self.nodes: tuple[weakref.ref[Node], ...] = ()
        self.seq = _next_seq()


class JoinCall:
    """Any number of nodes one after another along an axis, or along a new one.

    It is not a fragment, so that its length is no part of any structure: how a list that grows from step to step is
    stacked. `nbgraph.joins` says when, and what it is as operations.
    """

    __slots__ = ("active", "axis", "inputs", "new_axis", "nodes", "seq")

    def __init__(self, inputs: tuple[Node, ...], axis: int, new_axis: bool) -> None:
        self.inputs, self.axis, self.new_axis = inputs, axis, new_axis
        self.active = True in map(_active, inputs)
        self.nodes: tuple[weakref.ref[Node], ...] = ()
        self.seq = _next_seq()


class SplitCall:
    """The parts of a node along an axis, or its elements there: the cotangents of what a `JoinCall` joined.

    Part k is from `starts[k]` to `starts[k + 1]`. `nodes` lists weakly which node stands for which part.
    """

    __slots__ = ("active", "axis", "inputs", "new_axis", "nodes", "seq", "starts")

    def __init__(self, node: Node, axis: int, new_axis: bool, starts: Sequence[int]) -> None:
        self.inputs, self.axis, self.new_axis, self.starts = (node,), axis, new_axis, starts
        self.active = node.active
        self.nodes: list[tuple[int, weakref.ref[Node]]] = []
        self.seq = _next_seq()


class RepeatCall:
    """The backward pass through many calls of one loop, as one call: a derived fragment applied once for each of them.

    `calls` are those calls, newest first: the `rest` of the `run` that was found (`nbgraph.repeats.Run`). `plan` says
    where an input of the fragment comes from: inputs and saved values from each call in turn, cotangents from the step
    before: that of slot s is the step's result `links[s]`; the first ones are the first of `inputs`, in the order of
    `links`.
    Other cotangents come from outside, one for each step, or one for all: `each`, by slot; of a slot that is linked too
    they are added. Results that `sums` lists are added up over all steps; of those that `apart` lists every step has
    its own (slot and step are their place); the others are those of the last step. `nodes` lists weakly which node
    stands for which result. `numbers` are creation numbers set aside for what it stands for, see `repeats.unroll`.
    """

    __slots__ = (
        "active",
        "apart",
        "each",
        "inputs",
        "links",
        "nodes",
        "numbers",
        "plan",
        "rest",
        "run",
        "seq",
        "sums",
    )

    def __init__(
        self,
        run: Any,
        rest: Any,
        plan: Any,
        links: dict[int, int],
        given: Sequence[Node],
        each: Mapping[int, Sequence[Node]],
        sums: Sequence[int],
        apart: Sequence[int],
    ) -> None:
        self.run, self.rest, self.plan, self.links = run, rest, plan, links
        self.sums, self.apart = tuple(sums), tuple(apart)
        self.each = dict(each)
        self.inputs = (*given, *itertools.chain.from_iterable(each.values()), *rest.newest)
        self.active = True
        self.numbers = reserved(rest.steps + len(self.sums) + 1)
        self.seq = self.numbers[-1]
        self.nodes: list[tuple[Any, weakref.ref[Node]]] = []

    @property
    def fragment(self) -> Fragment:
        """The fragment of a step."""
        made: Fragment = self.plan.fragment
        return made

    @property
    def calls(self) -> list[FragmentCall]:
        """The calls that are pulled back, newest first."""
        made: list[FragmentCall] = self.rest.calls
        return made


class AliasCall:
    """The same value as another node under a new identity, so that one can differentiate with respect to it.

    With a `part` (`nbgraph.parts.Part`) it is a result of a checkpointed part, and depends on what that depends on.
    """

    __slots__ = ("__weakref__", "inputs", "part", "seq")

    def __init__(self, node: Node, part: Any = None) -> None:
        self.inputs = (node,)
        self.part = part
        self.seq = _next_seq()


class Placeholder:
    """An input whose value comes with each eval."""

    __slots__ = ("inputs", "name", "seq")

    def __init__(self, name: str) -> None:
        self.name = name
        self.inputs: tuple[Node, ...] = ()
        self.seq = _next_seq()


class Formal:
    """An argument of a function that `nbg.jit` traces: it has no value. `weak`: it stands for a Python number."""

    __slots__ = ("function", "inputs", "seq", "weak")

    def __init__(self, function: str, weak: bool) -> None:
        self.function, self.weak = function, weak
        self.inputs: tuple[Node, ...] = ()
        self.seq = _next_seq()

    def asked(self) -> ConcretizationError:
        """The error for asking what depends on it for a value."""
        return ConcretizationError(
            "a value was asked for while the function is traced, when there is none yet",
            operation=f"jit of {self.function}",
            hint="write nbg.where(test, a, b) for an if, or take the test (and float, bool, eval, while) out of the "
            "function; a number that decides the structure belongs in static_argnums",
        )


class Dropped:
    """Stands where history was dropped: the value is known, how it came about is not."""

    __slots__ = ("inputs", "seq", "site")

    def __init__(self, site: Any, seq: int) -> None:
        self.site, self.seq = site, seq
        self.inputs: tuple[Node, ...] = ()


def reserved(n: int) -> range:
    """So many creation numbers, one after another, taken at once."""
    (last,) = deque(itertools.islice(_numbers, n), maxlen=1)  # one call into C: no other thread comes between
    return range(last - n + 1, last + 1)


def number_within(seq: Any, k: int) -> Any:
    """Creation number k of those between one and the next: what stands in the place of a call is no younger than what
    uses it, and each is known by a number of its own."""
    if type(seq) is int and k < 64:
        return seq + k / (k + 1)  # a float tells them apart as long as there are fewer than 2**40 nodes
    from fractions import Fraction  # takes a while to import, and is seldom needed

    return seq + (math.floor(seq) + 1 - Fraction(seq)) * Fraction(k, k + 1)


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
    there is no machine code, makes a call that has run and open nodes its values (`engine/commits.py`)."""

    __slots__ = ("commit", "make", "result", "tell")

    def __init__(self) -> None:
        self.commit: Any = None
        self.make: Any = None
        self.tell: Any = None
        self.result: Any = _new_result


RECORDING = _Recording()


def numbers_of_nodes() -> Any:
    """The counter that numbers nodes."""
    return _numbers


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
