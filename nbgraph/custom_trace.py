"""From functions and derivative rules that were run on formals to operations.

In: `Definition`s: what a function and its rule recorded. Out: once all that call each other are known, a `Finished`:
the `Custom` operation, and what operands and sizes it takes besides the arguments.
Holds: a rule may call the function that it is the rule of (`y = f(x)`), or another one whose rule calls it: those make
one family (a strongly connected component of calls, Tarjan 1972), whose fragments refer to each other by number.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Sequence
from itertools import count
from threading import local
from typing import Any

from nbgraph.custom_ops import Custom, Rule, again, custom
from nbgraph.errors import DifferentiationError
from nbgraph.fragment import Fragment, FragmentBuilder, live_instrs
from nbgraph.node import Node, Pack
from nbgraph.op import Op
from nbgraph.resolve import saved_slots
from nbgraph.seal import anonymous
from nbgraph.trace import Projection, new_node
from nbgraph.types import Shape

_orders = count()


class _Stack(local):
    """The definitions that a thread is at: being traced, or waiting for an older one that is."""

    def __init__(self) -> None:
        self.definitions: list[Definition] = []


_STACK = _Stack()


class Definition:
    """A function and its rule in the making.

    `formals` stand for its arguments, `given` for tangents or cotangents; `region` and `results` are what the function
    recorded and returned, `rule_region` and `rule_results` the same of its rule. There, `stand_ins` (formal, value) are
    in the place of what the function computed, as a rule that differentiates seals what it reaches. `out` is for
    whoever traces.
    """

    def __init__(self, name: str, key: Hashable, reverse: bool, formals: Sequence[Node]) -> None:
        self.name, self.key, self.reverse, self.formals = name, key, reverse, list(formals)
        self.region: list[Node] = []
        self.results: list[Node] | None = None
        self.given: list[Node] = []
        self.stand_ins: list[tuple[Node, Node]] = []
        self.rule_region: list[Node] = []
        self.rule_results: list[Node | None] = []
        self.calls: list[Pack] = []
        self.order = 0
        self.out: Any = None
        self.index = self.low = len(_STACK.definitions)

    def __enter__(self) -> Definition:
        _STACK.definitions.append(self)
        return self

    def __exit__(self, failed: Any, *_: object) -> None:
        if failed is not None:
            del _STACK.definitions[self.index :]

    def ran(self, region: list[Node], results: list[Node]) -> None:
        """The function was run."""
        self.region, self.results, self.order = region, results, next(_orders)

    def stand_in(self, node: Node, make: Callable[[], Node]) -> Node:
        """What the rule gets in the place of a value: the value itself if the function did not compute it."""
        if not any(node is n for n in self.region):
            return node
        for made, value in self.stand_ins:
            if value is node:
                return made
        self.stand_ins.append((make(), node))
        return self.stand_ins[-1][0]

    def finished(self) -> Finished | None:
        """Its operation; None where it waits for an older one of its family."""
        if self.low < self.index:
            return None
        members = _STACK.definitions[self.index :]
        del _STACK.definitions[self.index :]
        return Finished(members)

    def call(self, args: Sequence[Node]) -> list[Node]:
        """The results of a call of it from inside of its family."""
        if self.results is None:
            raise DifferentiationError(
                "the function calls itself with arguments of the same kind", operation=f"custom rule of {self.name}"
            )
        for d in _STACK.definitions[self.low + 1 :]:  # all of them lie on a circle of calls
            d.low = min(d.low, self.low)
        pack: Any = new_node(self.results[0].type, True, Pack)
        pack.op, pack.inputs, pack.types = _Pending(), tuple(args), tuple(r.type for r in self.results)
        self.calls.append(pack)
        return projections(pack, len(self.results))


def definition_of(key: Hashable) -> Definition | None:
    """The definition that is under way for a function and a kind of arguments."""
    return next((d for d in _STACK.definitions if d.key == key), None)


def projections(pack: Any, n: int) -> list[Node]:
    """Nodes for the first results of an operation."""
    found = []
    for k, t in enumerate(pack.types[:n]):
        node = new_node(t, pack.active and t.inexact)
        node.op, node.inputs = Projection(k), (pack,)
        found.append(node)
    return found


class _Pending(Op):
    """A call whose operation is not known yet."""

    def infer(self, cx: Any, ins: Any, sizes: Any) -> Any:
        raise DifferentiationError("a rule differentiates the function that it is the rule of", operation="custom rule")


class Finished:
    """The operation of the first of a family: it takes the arguments, then `outside`; its sizes."""

    def __init__(self, members: Sequence[Definition]) -> None:
        self.outside = _outside(members)
        left = {d: _residuals(d) for d in members}
        primals: dict[Definition, Fragment] = {}
        words: dict[Definition, Shape] = {}
        for d in sorted(members, key=lambda d: d.order):  # a function was run after those that it calls
            primals[d], words[d] = self._primal(d, left[d])
            for pack in d.calls:
                pack.op, pack.sizes = again(d.index - members[0].index, primals[d]), words[d]
                pack.inputs = (*pack.inputs, *self.outside)
        rules, tail = [], list[Any]()
        for d in members:
            rule, more = self._rule(d, primals[d], left[d])
            rules.append(rule)
            tail += more
        self.op: Custom = custom(0, tuple(rules))
        self.sizes: Shape = (*words[members[0]], *tail)

    def _primal(self, d: Definition, left: Sequence[Node]) -> tuple[Fragment, Shape]:
        assert d.results is not None
        f, words = fragment_of([*d.formals, *self.outside], d.region, [*d.results, *left])
        if d.reverse:  # the derivative of a residual takes the very factors that the residual was made of
            more = [s for s in saved_slots(f) if s not in f.outputs]
            f = Fragment(f.inputs, f.instrs, (*f.outputs, *more), f.types, f.n_words)
        return f, words

    def _rule(self, d: Definition, primal: Fragment, left: Sequence[Node]) -> tuple[Rule, Shape]:
        assert d.results is not None
        given = {id(value): made for made, value in d.stand_ins}
        kept = [given.get(id(n), n) for n in (*d.results, *left)] if d.reverse else []
        made = [r for r in d.rule_results if r is not None]
        f, words = fragment_of([*d.formals, *self.outside, *kept, *d.given], d.rule_region, made)
        place = count()
        slots = tuple(None if r is None else next(place) for r in d.rule_results)
        return Rule(d.name, d.reverse, len(d.formals), len(d.results), len(kept), primal, f, slots), words


def _outside(members: Iterable[Definition]) -> list[Node]:
    """What a family uses from elsewhere: numbers, arrays, captured tensors."""
    known: set[int] = set()
    used: list[Node] = []
    for d in members:
        assert d.results is not None
        for node in (*d.region, *d.rule_region):
            used += node.inputs
        used += [*d.results, *(r for r in d.rule_results if r is not None)]
        known.update(map(id, (*d.formals, *d.given, *d.region, *d.rule_region, *(made for made, _ in d.stand_ins))))
    return list({id(n): n for n in used if id(n) not in known}.values())


def _residuals(d: Definition) -> list[Node]:
    """What the rule uses of what the function computed, besides its results."""
    assert d.results is not None
    results = set(map(id, d.results))
    used = {id(i) for node in d.rule_region for i in node.inputs} | {id(r) for r in d.rule_results}
    return [value for made, value in d.stand_ins if id(made) in used and id(value) not in results]


def fragment_of(inputs: Sequence[Node], region: Sequence[Node], outputs: Sequence[Node]) -> tuple[Fragment, Shape]:
    """What was recorded, as a fragment, and the words of its call."""
    b = FragmentBuilder()
    number: dict[int, int] = {}
    for node in inputs:
        number.setdefault(id(node), b.input(anonymous(node.type)))
    sizes: list[Any] = []
    for node in region:
        if type(node.op) is Projection:
            number[id(node)] = number[id(node.inputs[0])] + node.op.index
            continue
        assert node.op is not None
        number[id(node)] = len(b.types)
        b.append(node.op, tuple(number[id(i)] for i in node.inputs), tuple(b.word() for _ in node.sizes))
        sizes += node.sizes
    wanted = [number[id(o)] for o in outputs]
    f, words = b.finish(list(live_instrs(b.instrs, wanted)), wanted)
    return f, tuple(sizes[w.symbol[1]] for w in words)  # type: ignore[union-attr]
