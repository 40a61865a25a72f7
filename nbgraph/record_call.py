"""The few lines that record a call of a traced function, generated for it.

In: the plan of its region, the operands from outside, its results and the guards. Out: a function of the nodes of the
arguments that gives the results, or `STALE` where something the traced function read has changed; if asked to, also
where they are not tensors of the types it was traced for.
Holds: results are nodes of one `FragmentCall` that has not run, or of one more row of the loop that made the operands
(`nbgraph.loops`); an argument that comes out again is itself. A result is active where a differentiable operand reaches
it, as if every operation had been recorded. Few operations that evals run again and again together with what is on top
of them are recorded as such instead (`engine/topped.py`).
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import count
from operator import attrgetter
from typing import Any

from nbgraph.calls import OFTEN, TOPPED, FragmentCall
from nbgraph.captures import Guards
from nbgraph.derive import seal
from nbgraph.errors import GENERATED
from nbgraph.loops import AFTER, PAUSE, LoopCall, Traced, begin
from nbgraph.moving import moving_words
from nbgraph.node import Node, Pack, _next_seq
from nbgraph.picks import is_taken
from nbgraph.steps import Step
from nbgraph.trace import RECORDING, Projection, site_of
from nbgraph.trees import TreeDef, unflatten
from nbgraph.types import TensorType
from nbgraph.within import RUNNING, Inner, met_outside

Recorder = Callable[..., Any]
_seq = attrgetter("seq")
_CALLS = frozenset({FragmentCall, LoopCall})
#: So many arguments are looked at for a call before.
_ASKED = 8
#: A call of so few operations may be recorded as these.
FEW = 16
#: Stands for the line that gives the results, which is known last.
_RETURN = "<return>"
#: What a recorder gives where the function has to be traced again.
STALE: Any = type("Stale", (), {"__repr__": lambda _: "STALE"})()


def recorder(
    plan: Any,
    region: Sequence[Node],
    outside: Sequence[Node],
    formals: Sequence[Node],
    results: Sequence[Any],
    tree: TreeDef,
    guards: Guards,
    inner: Inner,
) -> Recorder:
    """See the module. `results` are leaves of `tree`: nodes, or things that are handed out as they are. The function's
    attribute `step` says to machine code what it does, `quick` is the same by machine code, once there is any."""
    writer = _Writer(formals, guards)
    writer.check(inner, "")
    if region:
        if not writer.lines and _is_short(plan, region, outside):
            writer.one_by_one(plan, region, results, tree)
        writer.call(plan, region, outside, [r for r in results if isinstance(r, Node)])
    shown = _expression(tree, iter([writer.name_of(r) for r in results]), writer.constant)
    made = writer.function(shown)
    made.step = writer.step(results, tree)  # type: ignore[attr-defined]
    return made


def inlined_recorder(f: Recorder, formals: Sequence[Node], guards: Guards, inner: Inner) -> Recorder:
    """A recorder that calls `f` instead, as long as something differentiated inside depends on the variable outside."""
    writer = _Writer(formals, guards)
    writer.check(inner, "not ")
    return writer.function(f"{writer.constant(f)}(({''.join(f'{x}, ' for x in writer.arguments)}))")


class _Writer:
    """The text of a recorder in the making. `known` maps the ids of nodes to the names they go by."""

    def __init__(self, formals: Sequence[Node], guards: Guards) -> None:
        self.arguments = [f"a{k}" for k in range(len(formals))]
        self.types = [formal.type for formal in formals]
        self.guards = guards
        self.names: dict[str, Any] = {"STALE": STALE, **guards.names}
        self.lines: list[str] = []
        self.known = dict(guards.tensors)
        self.known.update(zip(map(id, formals), self.arguments, strict=True))
        self._numbers = count()
        self._may_be_one_by_one = False
        #: The call, once it is written, if machine code may ask all that is asked before it.
        self._called: Any = None
        self._region: Sequence[Node] = ()

    def constant(self, value: Any) -> str:
        """A name for a value."""
        name = f"c{next(self._numbers)}"
        self.names[name] = value
        return name

    def name_of(self, thing: Any) -> str:
        """What a node, or any other result, goes by."""
        found = self.known.get(id(thing))
        if found is None:
            found = self.known[id(thing)] = self.constant(thing)
        return found

    def check(self, inner: Inner, wrong: str) -> None:
        """A line that asks whether what is differentiated inside depends on the variables outside."""
        pairs = inner.pairs(self.name_of)
        if pairs:
            self.names.update(met_outside=met_outside, running=RUNNING)
            shown = "".join(f"({v}, ({', '.join(nodes)},)), " for v, nodes in pairs)
            # What is older does not depend on a variable, nor does what is not active: mostly there is nothing to ask.
            may = [f"({n}.active or not {v}.active) and {n}.seq >= {v}.seq" for v, nodes in pairs for n in nodes]
            asked = f"(running.inners or {' or '.join(may)}) and met_outside(({shown}))"
            self.lines.append(f"if {wrong}({asked}): return STALE")

    def one_by_one(self, plan: Any, region: Sequence[Node], results: Sequence[Any], tree: TreeDef) -> None:
        """Lines that record the operations themselves, where evals have run so many calls together with what was on top
        of them, and the arguments are known: then the two are recognised as one region, without a call between."""
        self._may_be_one_by_one = True
        arguments = [x for x in self.arguments if any(self.known.get(id(i)) == x for n in region for i in n.inputs)]
        known = " and ".join(f"({x}.data is not None or ({x}.op is not None and is_taken({x})))" for x in arguments)
        self.names.update(recording=RECORDING, is_taken=is_taken)
        cache = self.constant(plan.fragment.cache)
        self.lines += [
            f"if {cache}.get({TOPPED!r}, 0) > {OFTEN} and (make := recording.make) is not None:",
            f"  if {known or 'True'}:",
        ]
        names = {id(node): f"n{k}" for k, node in enumerate(region)}
        for k, node in enumerate(region):
            inputs = [names.get(id(i)) or self.name_of(i) for i in node.inputs]
            active = " or ".join(f"{x}.active" for x in dict.fromkeys(inputs)) if node.type.inexact else "False"
            what = ", ".join(map(self.constant, (node.sizes, node.type)))
            self.lines.append(f"    n{k} = make({self.constant(node.op)}, ({', '.join(inputs)},), {what}, {active})")
        shown = [names.get(id(r)) or self.name_of(r) for r in results]
        self.lines.append(f"    return {_expression(tree, iter(shown), self.constant)}")
        self.lines.append(f"  {cache}[{TOPPED!r}] = 0")

    def call(self, plan: Any, region: Sequence[Node], outside: Sequence[Node], results: Sequence[Node]) -> None:
        """Lines that make the call and its result nodes."""
        is_asked = bool(self.lines) and not self._may_be_one_by_one
        inputs = [self.name_of(n) for n in outside]
        varying = [x for x in inputs if not x.startswith("c")]
        constant_active = any(n.active for n, x in zip(outside, inputs, strict=True) if x.startswith("c"))
        active = ["True"] if constant_active else [f"{x}.active" for x in dict.fromkeys(varying)]
        if varying:
            # Slices of leaves, which a loop hands its steps, are values at once.
            is_open = " or ".join(f"({x}.op is not None and not is_taken({x}))" for x in dict.fromkeys(varying))
            self.lines.append(f"if {is_open}: seal(({', '.join(dict.fromkeys(varying))},))")
        self.names.update(new=object.__new__, FragmentCall=FragmentCall, seal=seal, recording=RECORDING)
        self.names.update(is_taken=is_taken)
        self.names.update(next_seq=_next_seq, ref=weakref.ref)
        sizes = [size for node in region for size in node.sizes]
        words = tuple([sizes[j] for j in plan.words])
        sites = [(plan.slots[k], site) for k in plan.fallible if (site := site_of(region[k]))] or None
        made, of, asked = self._made(plan, region, outside, results), None, list[str]()
        fields = {
            "fragment": self.constant(plan.fragment),
            "inputs": f"({', '.join(inputs)}{',' if inputs else ''})",
            "words": self.constant(words),
            "sites": self.constant(sites),
            "active": " or ".join(active) or "False",
            "kind": "0",
            "after": "0",
        }
        if made and all(n.type.concrete for n in outside) and all(type(w) is int for w in words):
            of = Traced(plan.fragment, words, sites, made, {})
            asked = self._loop(of, inputs)
            fields["after"] = "after"
        self.lines.append("call = new(FragmentCall)")
        self.lines += [f"call.{name} = {value}" for name, value in fields.items()]
        self.lines.append("call.saved = call.origin = None")
        self._results(made, inputs)
        if not is_asked and self.guards.reads is not None:
            self._called = plan.fragment, words, sites, of, inputs, made, asked
            self._region = region if self._may_be_one_by_one else ()

    def step(self, results: Sequence[Any], tree: TreeDef) -> Step | None:
        """What machine code may know of it; None where only Python can record it."""
        if self._called is None:
            return None
        fragment, words, sites, of, inputs, made, asked = self._called
        numbers, names = {f"r{j}": j for j in range(len(made))}, [self.name_of(r) for r in results]
        if not numbers.keys() >= set(names):
            return None
        plain = tree.cls is tuple and all(child.cls is None for child in tree.children)
        return Step(
            self.types,
            self.guards.reads or (),
            fragment,
            words,
            sites,
            of,
            operands=[self._operand(x) for x in inputs],
            results=[(slot, t, sum(1 << i for i in reach)) for slot, t, reach in made],
            order=[numbers[name] for name in names],
            single=tree.cls is None,
            shown=None if plain or tree.cls is None else self._container(tree, len(names)),
            asked=[self.arguments.index(x) for x in asked],
            operations=self._operations(inputs),
            places=[k for name in numbers for k, n in enumerate(self._region) if self.known.get(id(n)) == name],
        )

    def _operations(self, inputs: Sequence[str]) -> list[tuple[Any, Any, TensorType, list[int]]]:
        """The operations of the call, as in `Step`."""
        number = {id(node): k for k, node in enumerate(self._region)}
        operand = {name: ~p for p, name in enumerate(inputs)}
        refs = [
            [number[id(i)] if id(i) in number else operand[self.name_of(i)] for i in n.inputs] for n in self._region
        ]
        return [(n.op, n.sizes, n.type, r) for n, r in zip(self._region, refs, strict=True)]

    def _operand(self, name: str) -> tuple[int, Any]:
        """What an operand is, as in `Step`."""
        if name in self.arguments:
            return 0, self.arguments.index(name)
        if name in self.guards.variables:
            return 1, self.guards.variables[name]
        return 2, self.names[name]

    def _container(self, tree: TreeDef, n: int) -> Callable[..., Any]:
        """A function that puts so many results into a container."""
        given = [f"x{k}" for k in range(n)]
        shown = _expression(tree, iter(given), self.constant)
        return eval(compile(f"lambda {', '.join(given)}: {shown}", GENERATED, "eval"), self.names)  # type: ignore[no-any-return]

    def _made(
        self, plan: Any, region: Sequence[Node], outside: Sequence[Node], results: Sequence[Node]
    ) -> tuple[tuple[int, TensorType, tuple[int, ...]], ...]:
        """The results that the call makes, see `Traced`; they get names."""
        position = {id(node): k for k, node in enumerate(region)}
        reach = _reach(region, outside)
        made: list[tuple[int, TensorType, tuple[int, ...]]] = []
        # In the order in which they come about, so that creation numbers tell what may depend on what.
        for node in sorted({r for r in results if id(r) in position}, key=_seq):
            k = position[id(node)]
            self.known[id(node)] = f"r{len(made)}"
            made.append((plan.slots[k], node.type, tuple([i for i in range(len(outside)) if reach[k] >> i & 1])))
        return tuple(made)

    def _loop(self, traced: Traced, inputs: Sequence[str]) -> list[str]:
        """Lines that find the call before, of which this one is another row (`nbgraph.loops`); the arguments that are
        looked at."""
        calls, fragment, of = (self.constant(x) for x in (_CALLS, traced.fragment, traced))
        self.names.update(LoopCall=LoopCall, begin=begin)
        arguments = [x for x in dict.fromkeys(inputs) if x in self.arguments][:_ASKED]
        for depth, x in enumerate(arguments):
            indent = "  " * depth
            self.lines += [
                f"{indent}before = {x}.call",
                f"{indent}if before.__class__ not in {calls} or before.fragment is not {fragment}:",
            ]
        self.lines.append("  " * len(arguments) + "before = None")
        given = ", ".join(inputs)
        self.lines += [
            "after, out = 0, None",
            "if before is None: pass",
            "elif before.__class__ is LoopCall:",
            f"  if before.of is not {of} or not before.waits: pass",
            f"  elif before.tip: out = before.extend(before, {given})",
            f"  elif before.n == before.room - 1: out = begin({of}, before, ({given},))",
            f"  if out is None and before.n < {AFTER}: after = {-PAUSE}",
            "elif before.nodes is not None:",
            "  after = before.after + 1",
            f"  if after == {AFTER}:",
            f"    out, after = begin({of}, before, ({given},)), {-PAUSE}",
            "if out is not None:",
            f"  {''.join(f'r{j}, ' for j in range(len(traced.results)))} = out",
            f"  {_RETURN}",
        ]
        return arguments

    def _results(self, made: Sequence[Any], inputs: Sequence[str]) -> None:
        waiting: list[str] = []
        self.lines.append("make = recording.result")
        for slot, t, reach in made:
            r = f"r{len(waiting)}"
            waiting.append(f"({slot}, ref({r}))")
            reached = dict.fromkeys(inputs[i] for i in reach if self._may_be_active(inputs[i]))
            active = " or ".join(f"{x}.active" for x in reached) or "False"
            self.lines.append(f"{r} = make({self.constant(t)}, {active}, call, {slot})")
        self.lines += [f"call.nodes = [{', '.join(waiting)}]", "call.seq = next_seq()"]

    def _may_be_active(self, name: str) -> bool:
        return not name.startswith("c") or bool(self.names[name].active)

    def function(self, shown: str) -> Recorder:
        """The finished function."""
        types = zip(self.arguments, map(self.constant, self.types), strict=True)
        lines = [
            "def record(args, ask=False):",
            "  try:",
            f"    {''.join(f'{x}, ' for x in self.arguments) or '()'} = args",
            f"    if ask and ({' or '.join(f'{x}.type is not {t}' for x, t in types) or 'False'}): return STALE",
            *(f"    {line}" for line in self.guards.lines),
            "  except (AttributeError, KeyError, IndexError, TypeError, ValueError): return STALE",
        ]
        lines += [f"  {line}" for line in [*self.lines, _RETURN]]
        lines = [line.replace(_RETURN, f"return {shown}") for line in lines]
        exec(compile("\n".join(lines), GENERATED, "exec"), self.names)
        made: Any = self.names["record"]
        made.step = made.quick = None  # see `recorder`, and who calls it
        return made  # type: ignore[no-any-return]


def _is_short(plan: Any, region: Sequence[Node], outside: Sequence[Node]) -> bool:
    """Whether a call may be recorded as its operations: few, whose lines need not be kept, of known sizes."""
    if len(region) > FEW or plan.fallible or moving_words(plan.fragment):
        return False
    plain = all(type(n.op) is not Projection and not isinstance(n, Pack) and n.inputs for n in region)
    return plain and all(n.type.concrete and all(type(s) is int for s in n.sizes) for n in (*region, *outside))


def _reach(region: Sequence[Node], outside: Sequence[Node]) -> list[int]:
    """For each node, as bits, the operands from outside that reach it through real and complex dtypes."""
    bits = {id(node): 1 << k for k, node in enumerate(outside) if node.type.inexact}
    for node in region:
        found = 0
        for i in node.inputs:
            found |= bits.get(id(i), 0)
        bits[id(node)] = found if node.type.inexact or isinstance(node, Pack) else 0
    return [bits[id(node)] for node in region]


def _expression(tree: TreeDef, names: Iterator[str], constant: Callable[[Any], str]) -> str:
    """Python for a container of that structure."""
    if tree.cls is None:
        return next(names)
    if tree.cls in (tuple, list, dict, type(None)):
        parts = [_expression(child, names, constant) for child in tree.children]
        if tree.cls is dict:
            keys: Iterable[Any] = tree.meta[1]  # type: ignore[index]
            return "{" + ", ".join(f"{constant(k)}: {part}" for k, part in zip(keys, parts, strict=True)) + "}"
        text = "".join(f"{part}, " for part in parts)
        return f"[{text}]" if tree.cls is list else f"({text})" if tree.cls is tuple else "None"
    leaves = "".join(f"{next(names)}, " for _ in range(len(tree)))
    return f"{constant(unflatten)}({constant(tree)}, ({leaves}))"
