"""`jit`: a function becomes one call of one fragment.

In: a function of containers of tensors. Out: a function that gives the same, lazily: each call of it records a single
`FragmentCall`, or one more row of a `LoopCall` (`nbgraph.loops`), whatever the function does; or its operations, if
they are few and evals run them again and again together with others (`nbgraph.record_call`).
Holds: the function runs when arguments of a new kind come (structure, dtypes, shapes, static values), or when something
else it reads has changed; then on nodes without values. What it records becomes a fragment, and a few lines of Python
are generated that record its call. Tensors that it reads from outside are further inputs. Another size runs the
function again, since Python code may depend on sizes, and gives the same fragment: nothing is compiled again. A
function in which the data decide a size cannot be one call: it runs at each call, in the caller's graph.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Hashable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial, wraps
from threading import get_ident
from typing import Any

import numpy as np

from nbgraph.captures import Guards
from nbgraph.decided import ALIVE
from nbgraph.derive import seal
from nbgraph.dims import DimExpr
from nbgraph.errors import DtypeError
from nbgraph.leaves import TRACING, array_constant
from nbgraph.node import Node, _next_seq
from nbgraph.opened import decides_sizes, region_of
from nbgraph.promote import WEAK, operand, weak
from nbgraph.record_call import STALE, Recorder, inlined_recorder, recorder
from nbgraph.seal import plan_of
from nbgraph.settle import settle
from nbgraph.tensor import TracedTensor
from nbgraph.trace import RECORDING, SCALAR, formal
from nbgraph.trees import TreeDef, flatten, unflatten
from nbgraph.within import inside, met_outside
from nbgraph_kernels.locks import in_forked_process

__all__ = ["jit"]

#: How many traces of one signature are kept: for each state of what the function reads.
_KEPT = 8
_SIGNATURES = 4096
#: Whenever Python has recorded so many more calls of a function it says so.
_OFTEN = 64


def jit(
    f: Callable[..., Any] | None = None,
    static_argnums: int | Sequence[int] = (),
    static_argnames: str | Sequence[str] = (),
) -> Any:
    """The function `f`, traced once for each kind of arguments; then a call of it records one call of a fragment (or
    its operations, where they are few and evals run them again and again together with what is on top of them).

    Arguments and results are containers of tensors, arrays and numbers, by position or by name; numbers become
    run-time operands, arrays constants. What is no number (a string, a function, an object such as `self`) and the
    arguments named static have to be hashable; another one traces again. So does another shape, and anything else
    that `f` reads (globals, closures, attributes) once it has changed; tensors read so are inputs, and gradients
    flow to them. Works under every transform and inside other jitted functions. May be used as a decorator.

    A function in which the data decide a size (`x[x > 0]`) runs at each call instead, with the same results.
    A test of a traced value in Python (`if`, `while`, `float`, `.eval()`) raises `ConcretizationError` with the line:
    write `nbg.where`, or take the test out of the function. An argument that is not hashable raises `DtypeError`.

    >>> step = jit(lambda x, lr: x - lr * (x**2 - 2.0) / x)
    >>> x = TracedTensor.from_tensor(1.0)
    >>> for _ in range(40):
    ...     x = step(x, 0.5)
    >>> print(f"{x:.6f}")
    1.414214
    """
    if f is None:
        return partial(jit, static_argnums=static_argnums, static_argnames=static_argnames)
    traced = Traced(f, _tuple(static_argnums), _tuple(static_argnames))
    known = traced.known

    @wraps(f)
    def jitted(*args: Any, **kwargs: Any) -> Any:
        if not kwargs and not TRACES.running:
            quick = traced.quick
            if quick is not None and (out := quick(*args)) is not None:
                return out
            latest = traced.latest
            if latest is not None:
                out = latest(args, True)
                if out is not STALE:
                    if quick is None:
                        traced.quick = traced.quicken(latest)
                    return out
            record: Any
            nodes: Sequence[Any] = args
            try:
                record = None if traced.mixed else known[tuple([a.type for a in args])]
            except (AttributeError, KeyError):
                record = None
            if record is None:
                nodes, kinds = _plain(args)
                record = known.get(kinds)
                traced.mixed = record is not None  # look there first the next time
            traced.latest = traced.quick = None
            if record is not None:
                if not traced.mixed:
                    traced.latest, traced.quick = record, record.quick
                out = traced.recorded(record, nodes)
                if out is not STALE:
                    return out
        return traced(args, kwargs)

    return jitted


def _never(*args: Any) -> None:
    """In the place of a function by machine code where there can be none."""


def _plain(args: tuple[Any, ...]) -> tuple[list[Any], Hashable]:
    """Tensors, arrays and numbers as nodes, and what of them a trace depends on; None where there is anything else."""
    nodes: list[Any] = []
    kinds: list[Any] = []
    for a in args:
        cls = type(a)
        if cls is TracedTensor:
            nodes.append(a)
        elif cls is np.ndarray:
            a = array_constant(a)
            nodes.append(a)
        elif cls in WEAK:
            nodes.append(weak(a, WEAK[cls]))
            kinds.append(cls)
            continue
        else:
            return nodes, None
        kinds.append(a.type)
    return nodes, tuple(kinds)


def _tuple(given: Any) -> tuple[Any, ...]:
    return tuple(given) if isinstance(given, (tuple, list, set, frozenset, range)) else (given,)


class _Traces:
    """The threads that are tracing."""

    def __init__(self) -> None:
        self.running = TRACING

    @contextmanager
    def here(self) -> Iterator[None]:
        """This thread is tracing for as long."""
        me = get_ident()
        outermost = me not in self.running
        try:  # what is added goes in any case, an interrupt just after it too
            self.running.add(me)
            yield
        finally:
            if outermost:
                self.running.discard(me)

    def only_here(self) -> None:
        """There is no other thread: a new one may go by the number of one that was."""
        self.running.intersection_update({get_ident()})


TRACES = _Traces()
in_forked_process(TRACES.only_here)


def is_tracing() -> bool:
    """Whether this thread is inside of a function that is traced."""
    return get_ident() in TRACES.running


class Static:
    """An argument that is part of the signature."""

    __slots__ = ("value",)

    def __init__(self, value: Any) -> None:
        self.value = value


class Traced:
    """The traces of a function. `known`: those for tensors, arrays and numbers by position alone, by their kinds;
    `latest`: the one that was used last, if it is for tensors alone, and `quick` the same by machine code, if there is
    any (it gives None where `latest` has to be asked); `calls`: how many Python recorded by it; `mixed`: whether there
    were others last time."""

    def __init__(self, f: Callable[..., Any], nums: tuple[int, ...], names: tuple[str, ...]) -> None:
        self.f, self.name = f, str(getattr(f, "__name__", type(f).__name__))
        self.known: dict[Any, Recorder] = {}
        self.latest: Recorder | None = None
        self.quick: Callable[..., Any] | None = None
        self.calls = 0
        self.mixed = False
        self._recorders: dict[Any, list[Recorder]] = {}
        self.nums, self.names = nums, frozenset(names)
        positions = _positions(f)
        self.names |= {positions[k] for k in nums if -len(positions) <= k < len(positions)}
        self.nums += tuple(k for k, name in enumerate(positions) if name in self.names)

    def __call__(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        if is_tracing():  # part of what is being traced
            return self.f(*args, **kwargs)
        if ALIVE:  # the call is sealed as it is recorded
            settle([x for x in flatten((args, kwargs))[0] if isinstance(x, Node) and not x.type.lasting], partly=True)
        if self.nums or self.names:
            args, kwargs = self._with_statics(args, kwargs)
        nodes: list[Any] = []
        signature = (
            *[self.sign(a, nodes) for a in args],
            *[(name, self.sign(kwargs[name], nodes)) for name in sorted(kwargs)],
        )
        recorders = self._recorders.get(signature, ())
        for record in recorders:
            out = record(nodes)
            if out is not STALE:
                return out
        record = self._trace(args, kwargs, nodes, signature)
        return record(nodes)

    def _with_statics(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        nums = {k % len(args) for k in self.nums if -len(args) <= k < len(args)}
        return (
            tuple(Static(a) if k in nums else a for k, a in enumerate(args)),
            {name: Static(a) if name in self.names else a for name, a in kwargs.items()},
        )

    def recorded(self, record: Any, nodes: Sequence[Any]) -> Any:
        """The results of a call by a trace, by machine code if there is any; `STALE` where it is to be traced again."""
        quick = record.quick
        if quick is not None and (out := quick(*nodes)) is not None:
            return out
        out = record(nodes)
        if quick is None and out is not STALE:
            self.quicken(record)
        return out

    def quicken(self, record: Any) -> Any:
        """One more call that Python recorded. Machine code is asked from now on, if there is any, which is given."""
        self.calls += 1
        caller = RECORDING.caller
        if caller is not None:
            record.quick = caller(record) or _never
        elif self.calls % _OFTEN == 0 and RECORDING.consider_calls is not None:
            RECORDING.consider_calls(self.calls)
        return record.quick

    # -- signatures ---------------------------------------------------------------------------------------------------

    def sign(self, x: Any, nodes: list[Any]) -> Hashable:
        """What of an argument the trace depends on; its traced leaves, as nodes, are appended."""
        cls = type(x)
        if cls is TracedTensor:
            nodes.append(x)
            return x.type  # type: ignore[no-any-return]
        if cls in WEAK:
            nodes.append(weak(x, WEAK[cls]))
            return cls  # type: ignore[return-value]
        if cls is tuple or cls is list:
            return (cls, *[self.sign(i, nodes) for i in x])
        if cls is Static:
            return self._static(x.value)
        found, tree = flatten(x)
        if tree.cls is not None:
            return (tree, *[self.sign(i, nodes) for i in found])
        if not is_array(x):
            return self._static(x)
        nodes.append(operand(x))
        return nodes[-1].type  # type: ignore[no-any-return]

    def _static(self, value: Any) -> Hashable:
        try:
            hash(value)
        except TypeError:
            raise DtypeError(
                "a static argument has to be hashable",
                operation=f"jit of {self.name}",
                got=f"a {type(value).__name__}",
                hint="pass tensors, arrays and numbers, in tuples, lists or dicts",
            ) from None
        return (Static, _types(value), value)

    # -- tracing ------------------------------------------------------------------------------------------------------

    def _trace(self, args: Any, kwargs: Any, nodes: list[Any], signature: Any) -> Recorder:
        """Runs the function on nodes without values; keeps what records its call, if that may be used again.

        It may not if a tensor came from where no guard looks: the next call might find another one there.
        Nor is it kept for arguments with sizes of their graph alone.
        """
        leaves, tree = flatten((args, kwargs))
        objects = [x.value if type(x) is Static else x for x in leaves if not is_traced(x)]
        seal([n for n in Guards([self.f, *objects]).nodes if n.op is not None])
        numbers = [type(x) in WEAK for x in leaves if is_traced(x)]
        formals = [formal(n.type, self.name, is_number) for n, is_number in zip(nodes, numbers, strict=True)]
        given = iter(formals)
        filled = [next(given) if is_traced(x) else x.value if type(x) is Static else x for x in leaves]
        start = _next_seq()
        filled_args, filled_kwargs = unflatten(tree, filled)
        with TRACES.here(), inside(start) as inner:
            result = self.f(*filled_args, **filled_kwargs)
        guards = Guards([self.f, *objects])  # now: what tracing changes, such as a counter, is not to trace again
        found, out_tree = flatten(result)
        region, outputs = region_of([operand(x) for x in found if is_traced(x)], start)
        given = iter(outputs)
        results = [next(given) if is_traced(x) else x for x in found]
        if decides_sizes(region):
            made, known = _inlined(self.f, leaves, tree), True
        else:
            seen = guards.tensors.keys() | set(map(id, formals))
            of = dict(zip(map(id, formals), nodes, strict=True))
            if met_outside(inner.pairs(lambda n: of.get(id(n), n))):  # only the caller's graph knows how
                made, outside = inlined_recorder(_inlined(self.f, leaves, tree), formals, guards, inner), []
            else:
                plan, outside = plan_of(region) if region else (None, [])
                made = recorder(plan, region, outside, formals, results, out_tree, guards, inner)
            read = (*outside, *outputs, *(n for v, others in inner.pairs() for n in (v, *others)))
            known = all(n.seq > start or id(n) in seen or is_scalar(n) for n in read)
        if known and all(n.type.lasting for n in formals):
            self._keep(made, signature, len(formals) == len(args) and not kwargs)
        return made

    def _keep(self, record: Recorder, signature: Any, plain: bool) -> None:
        if len(self._recorders) >= _SIGNATURES:
            self._recorders.clear()
            self.known.clear()
            self.latest = self.quick = None
        recorders = self._recorders.setdefault(signature, [])
        recorders.insert(0, record)
        del recorders[_KEPT:]
        if plain and all(type(s) is not tuple and (type(s) is not type or s in WEAK) for s in signature):
            self.known[signature] = record


def _inlined(f: Callable[..., Any], leaves: Sequence[Any], tree: TreeDef) -> Recorder:
    """Runs a function at each call, in the caller's graph: its operations cannot be one call."""
    fixed = [None if is_traced(x) else x.value if type(x) is Static else x for x in leaves]
    places = [k for k, x in enumerate(leaves) if is_traced(x)]

    def record(nodes: Sequence[Any], ask: bool = False) -> Any:
        if ask:  # it is as quick to look for it
            return STALE
        filled = list(fixed)
        for k, node in zip(places, nodes, strict=True):
            filled[k] = node
        args, kwargs = unflatten(tree, filled)
        found, out_tree = flatten(f(*args, **kwargs))
        return unflatten(out_tree, [operand(x) if is_traced(x) else x for x in found])

    made: Any = record
    made.quick = _never
    return record


def _types(value: Any) -> Hashable:
    """What tells equal values apart: (1, 2) from (1.0, 2)."""
    cls: Any = type(value)
    return (tuple, *map(_types, value)) if cls is tuple else cls


def _positions(f: Any) -> list[str]:
    """The names of the arguments that may be given by position."""
    try:
        parameters = inspect.signature(f).parameters.values()
    except (TypeError, ValueError):
        return []
    return [p.name for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]


def is_traced(leaf: Any) -> bool:
    """Whether a leaf of arguments or results is a tensor or becomes one."""
    return isinstance(leaf, Node) or type(leaf) in WEAK or (type(leaf) is not Static and is_array(leaf))


def is_array(x: Any) -> bool:
    if isinstance(x, (np.ndarray, np.generic, DimExpr)):
        return True
    return hasattr(x, "__array__") and not isinstance(x, type)


def is_scalar(node: Node) -> bool:
    return node.slot == SCALAR and node.call is None
