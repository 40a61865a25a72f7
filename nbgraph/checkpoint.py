"""`checkpoint` and `checkpoint_loop`: less memory for at most one more forward pass.

In: a function of containers of tensors; or a step, a state and a number of steps. Out: the same results, lazily, of
which only the inputs are kept: the backward pass runs the function again.
Holds: the function runs at once, on aliases of its arguments, so it may evaluate and decide by values; what it recorded
inside forgets how it came about as soon as it has a value. Tensors that it reads from elsewhere are inputs like the
others. When it runs again it sees the closure and the globals as they were; that it does the same is checked.
"""

from __future__ import annotations

import dis
from collections.abc import Callable, Sequence
from functools import lru_cache, wraps
from math import isqrt
from types import CellType, CodeType, FunctionType
from typing import Any

import numpy as np

from nbgraph.calls import Dropped, FragmentCall, JoinCall, RepeatCall, SplitCall
from nbgraph.captures import names_in
from nbgraph.derive import seal
from nbgraph.engine import Engine
from nbgraph.engine.core import value
from nbgraph.errors import BindingError, BoundsError, ShapeError, guarded, is_ours, user_frame
from nbgraph.jit import is_tracing
from nbgraph.loops import none_here
from nbgraph.node import LOCK, Node, _next_seq
from nbgraph.parts import Part, ReplayCall
from nbgraph.picks import PickCall, PlaceCall
from nbgraph.trace import SCALAR, alias_of
from nbgraph.trees import flatten, unflatten
from nbgraph.within import inside, met_outside, outside

__all__ = ["checkpoint", "checkpoint_loop"]


def checkpoint(f: Callable[..., Any]) -> Callable[..., Any]:
    """The function `f`, of whose calls only the inputs are kept for a backward pass, which runs `f` again.

    Arguments and results are containers; the tensors in them, and those that `f` reads from elsewhere, are
    differentiated by, to any order. `f` may evaluate and decide by values. Inside a jitted function it is `f` itself,
    since the backward pass of a jitted function computes everything again from its inputs.
    Raises `DifferentiationError`, when it is run again, if it does something else than before.

    >>> from nbgraph.tensor import TracedTensor
    >>> import nbgraph as nbg
    >>> f = checkpoint(lambda x: nbg.sin(nbg.exp(x)))
    >>> x = TracedTensor.from_tensor(0.5)
    >>> bool(abs(f(x).grad(x) - nbg.cos(nbg.exp(x)) * nbg.exp(x)) < 1e-15)
    True
    """

    @wraps(f)
    def checkpointed(*args: Any, **kwargs: Any) -> Any:
        if is_tracing():
            return f(*args, **kwargs)
        return _Again(_frozen(f, {}), (args, kwargs)).first()

    return checkpointed


@guarded
def checkpoint_loop(
    step: Callable[[Any], Any],
    state: Any,
    n: int,
    every: int | None = None,
    until: Callable[[Any], Any] | None = None,
    engine: Engine | None = None,
) -> Any:
    """The state after `n` steps `state = step(state)`, with a checkpoint every so many (default: about sqrt(n)).

    The state is a container of tensors; of all states only those at checkpoints are kept, and a backward pass makes
    the others again, one stretch at a time: memory for about 2 sqrt(n) states. Each stretch is evaluated, by `engine`,
    when it is recorded. With `until` the loop ends after the first step whose state `until` says true of.
    Raises `BoundsError` if `n` is negative or `every` not positive, `ShapeError` if a step gives another structure.

    >>> from nbgraph.tensor import TracedTensor
    >>> a = TracedTensor.from_tensor(2.0)
    >>> x = checkpoint_loop(lambda x: (x + a / x) / 2, TracedTensor.from_tensor(1.0), 100)
    >>> print(f"{x:.6f} {x.grad(a):.6f}")
    1.414214 0.353553
    """
    every = max(1, isqrt(max(n - 1, 0)) + 1) if every is None else every
    if n < 0 or every < 1:
        raise BoundsError(operation="checkpoint_loop", got=f"n={n}, every={every}", wanted="n >= 0 and every >= 1")
    structure = flatten(state)[1]
    step = _frozen(step, {})
    done = 0
    while done < n:
        stretch = _Stretch(step, min(every, n - done), until, engine)
        state = checkpoint(stretch)(state)
        given = flatten(state)[1]
        if given != structure:
            raise ShapeError(
                "the state changes its structure", operation="checkpoint_loop", got=given, wanted=structure
            )
        done += stretch.steps
        if stretch.stopped:
            break
    return state


class _Stretch:
    """Some steps of a loop as a function; how many is decided when it runs first.

    Every state is evaluated at once: each step is then the step before with other values, the quickest there is.
    """

    def __init__(self, step: Callable[[Any], Any], steps: int, until: Any, engine: Engine | None) -> None:
        self.step, self.steps, self.until, self.engine, self.stopped = step, steps, until, engine, False

    def __call__(self, state: Any) -> Any:
        lazily = is_tracing()
        for k in range(self.steps):
            state = self.step(state)
            lazily = lazily or not _evaluate_all(state, self.engine)
            if self.until is not None and self.until(state):
                self.steps, self.stopped = k + 1, True
                break
        self.until = None
        return state


def _evaluate_all(state: Any, engine: Engine | None) -> bool:
    """Evaluates a state; False if that has to wait until placeholders are bound."""
    try:
        for x in (state,) if isinstance(state, Node) else flatten(state)[0]:
            if isinstance(x, Node) and x.data is None and x.type.concrete:
                value(x, engine)
    except BindingError:
        return False
    return True


class _Again:
    """A call that can be made again, with other tensors in the place of those among its arguments."""

    def __init__(self, f: Callable[..., Any], arguments: Any) -> None:
        leaves, self.tree = flatten(arguments)
        self.f = f
        self.leaves = [np.array(x) if type(x) is np.ndarray else x for x in leaves]
        self.at = [k for k, x in enumerate(leaves) if isinstance(x, Node)]
        self.nodes: list[Any] = [leaves[k] for k in self.at]
        self.results: list[int] = []  # which leaves of what is returned are made by the function

    def first(self) -> Any:
        """What the call returns, as results of a part."""
        seal(self.nodes)
        args = [alias_of(n) for n in self.nodes]
        start = _next_seq()
        with inside(start) as inner:
            found, tree = self._run(args)
        given = dict(zip(map(id, args), self.nodes, strict=True))
        if met_outside(inner.pairs(lambda n: given.get(id(n), n))):
            return self._plainly()
        found = [given.get(id(x), x) for x in found]
        self.results = [k for k, x in enumerate(found) if isinstance(x, Node) and x.seq > start]
        made = [found[k] for k in self.results]
        captured = self._sealed(made, start, args)
        with LOCK:
            _forget(made, start)
        if any(n.active for n in (*self.nodes, *captured)):
            self.leaves = [None if isinstance(x, Node) else x for x in self.leaves]
            part = Part(self, self.nodes, captured)
            for k in self.results:
                found[k] = part.result(found[k])
        self.nodes = []
        return unflatten(tree, found)

    def __call__(self, args: Sequence[Node], engine: Engine | None = None) -> tuple[list[Node], list[Node]]:
        """The results once more, and the differentiable tensors that were read from elsewhere."""
        if engine is not None and isinstance(self.f, _Stretch):
            self.f.engine = engine
        start = _next_seq()
        found, _ = self._run(args)
        made = [found[k] for k in self.results]
        return made, self._sealed(made, start, args)

    def _run(self, args: Sequence[Node]) -> tuple[list[Any], Any]:
        """The leaves of what the function returns, and its structure."""
        given, named = self._filled(args)
        with none_here():
            return flatten(self.f(*given, **named))

    def _plainly(self) -> Any:
        """What the function returns, recorded as if there were no checkpoint."""
        given, named = self._filled(self.nodes)
        return self.f(*given, **named)

    def _filled(self, args: Sequence[Node]) -> Any:
        """The arguments, with other tensors among them."""
        leaves = list(self.leaves)
        for k, node in zip(self.at, args, strict=True):
            leaves[k] = node
        return unflatten(self.tree, leaves)

    def _sealed(self, made: Sequence[Node], start: int, args: Sequence[Node]) -> list[Node]:
        """Seals results; returns the differentiable tensors, older than the call, that they depend on."""
        if any(n.op is not None for n in made):
            seal([n for n in outside(made, start) if n.op is not None])
            seal(made)
        known = set(map(id, args))
        return [n for n in outside(made, start) if n.active and id(n) not in known]


def _forget(made: Sequence[Node], start: int) -> None:
    """What was made inside is not differentiated through: it loses its history, now or when it has a value."""
    history = Dropped(user_frame(), start)
    stack, seen = list(made), set[int]()
    while stack:
        node = stack.pop()
        if node.seq <= start or node.slot == SCALAR:  # numbers are shared with others
            continue
        node.active = False
        if node.op is None and node.data is not None:
            node.call = history
        source = node if node.op is not None else node.call
        if source is not None and id(source) not in seen:
            seen.add(id(source))
            stack.extend(source.inputs)
            if type(source) in (FragmentCall, JoinCall, RepeatCall, ReplayCall, SplitCall, PickCall, PlaceCall):
                source.active = False


# -- functions as they are now ----------------------------------------------------------------------------------------


def _frozen(f: Any, known: dict[int, Any]) -> Any:
    """A copy of a function of the user's whose closure and globals do not change any more."""
    if type(f) is not FunctionType or is_ours(f.__code__.co_filename) or _writes_globals(f.__code__):
        return f
    if id(f) in known:
        return known[id(f)]
    cells = tuple(CellType() for _ in f.__closure__ or ())
    names = names_in(f.__code__) | {"__builtins__", "__name__"}
    seen: dict[str, Any] = {}
    made = known[id(f)] = FunctionType(f.__code__, seen, f.__name__, f.__defaults__, cells)
    seen.update({name: _frozen(f.__globals__[name], known) for name in names if name in f.__globals__})
    made.__kwdefaults__ = f.__kwdefaults__
    for mine, cell in zip(cells, f.__closure__ or (), strict=True):
        try:
            mine.cell_contents = _frozen(cell.cell_contents, known)
        except ValueError:  # nothing in it yet
            continue
    return made


@lru_cache(maxsize=1024)
def _writes_globals(code: CodeType) -> bool:
    """Whether code sets globals or variables of a closure: then it has to be the function itself that runs."""
    return any(i.opname in ("STORE_GLOBAL", "DELETE_GLOBAL") for i in dis.get_instructions(code)) or any(
        _writes_globals(c) for c in code.co_consts if isinstance(c, CodeType)
    )
