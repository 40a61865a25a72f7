"""Programs that work row by row, in pieces of their first axis, which several threads run at once.

In: a bound program whose arrays are large, and machine code. Out: its outputs.
Holds: the pieces follow from the sizes alone, and what they give is put together in order, so results are the same bits
whatever the number of threads. One thread runs a program whole unless something is summed over the rows. The code is
the program's own: it fits any size.

A value is split along its first axis if an input that it is made of is; elementwise operations, reductions along other
axes and views that keep that axis first leave it so. A reduction along it gives a part of the result for each piece.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from itertools import pairwise
from time import perf_counter
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from nbgraph.dims import symbols
from nbgraph.fragment import Fragment, Instr
from nbgraph.kinds import Elementwise, Reduction, View
from nbgraph.memory import empty
from nbgraph.ssa import Bound, Program
from nbgraph.types import Size, TensorType
from nbgraph_kernels.locks import lock

if TYPE_CHECKING:
    from concurrent.futures import ThreadPoolExecutor

Array = np.ndarray[Any, Any]

#: Elements of the largest array from which a program is run in pieces (handing a piece to a thread takes 10 to 30 us).
LARGE = 2**18
#: Of a piece, but for the number of pieces: what is large enough to be stored past the cache shall stay so.
EACH, FEWEST, MOST = 2**21, 2, 8
#: For so many sizes a program's code remembers whether it is run in pieces.
_KEPT = 64

#: What puts parts of a reduction together.
_TOGETHER: dict[str, Any] = {"sum": np.add, "prod": np.multiply, "max": np.maximum, "min": np.minimum}
#: Reductions that are no `Reduction`; views that keep the first axis where its size stays.
_ALONG = ("mean",)
_KEEPING = ("expand_dims", "squeeze", "reshape", "broadcast_to", "stop_gradient")
_WIDE = {"f4": np.float64, "c8": np.complex128}


class Split(NamedTuple):
    """Which inputs of a program's fragment are split; for each output the ufunc for its parts, None if it is split."""

    inputs: frozenset[int]
    outputs: tuple[Any, ...]


def split_of(program: Program) -> Split | None:
    """How a program is split; None if it is not."""
    if program.summed:
        return None
    body = program.body
    firsts = dict.fromkeys(t.shape[0] for t in sorted(body.inputs, key=lambda t: -t.ndim) if t.ndim)
    found = (_split(program, rows) for rows in firsts if type(rows) is not int)
    return next((each for each in found if each is not None), None)


def _split(program: Program, rows: Size) -> Split | None:
    body = program.body
    split = {i for i, t in enumerate(body.inputs) if t.ndim and t.shape[0] == rows}
    if any(_depends(d, rows) for t in body.types for axis, d in enumerate(t.shape) if axis or d != rows):
        return None
    parts: dict[int, Any] = {}
    for instr in body.instrs:
        if any(v in parts for v in instr.ins) or not _is_free(instr, rows):
            return None
        if _is_spread(body, instr, rows) or any(v in split for v in instr.ins):
            if _keeps(body, instr, split, rows):
                split.add(instr.first)
            elif (together := _part(instr)) is not None:
                parts[instr.first] = together
            else:
                return None
        elif any(rows in body.types[o].shape for o in instr.outs):
            return None
    if any(o not in split and o not in parts for o in body.outputs):  # the same for all pieces: nothing to be gained
        return None
    inputs = frozenset(program.picks[i] for i in split if i < len(body.inputs))
    if not _is_only_rows(program, inputs):
        return None
    return Split(inputs, tuple(parts.get(o) for o in body.outputs))


def _is_only_rows(program: Program, inputs: frozenset[int]) -> bool:
    """Whether the fragment's inputs have the number of rows nowhere but as the first size of those split, and no word
    of the body is made of it."""
    fragment = program.fragment
    rows = fragment.inputs[min(inputs)].shape[0]
    first = {i for i, t in enumerate(fragment.inputs) if t.ndim and t.shape[0] == rows}
    others = [d for i, t in enumerate(fragment.inputs) for axis, d in enumerate(t.shape) if axis or i not in first]
    return first == inputs and not any(_depends(d, rows) for d in (*others, *program.words))


def _depends(size: Size, rows: Size) -> bool:
    return type(size) is not int and not symbols(size).isdisjoint(symbols(rows))


def _is_free(instr: Instr, rows: Size) -> bool:
    """Whether nothing but the shapes of operands depends on the number of rows."""
    if isinstance(instr.op, View) and instr.op.name in _KEEPING:
        return True
    return not any(_depends(size, rows) for size in instr.sizes)


def _is_spread(body: Fragment, instr: Instr, rows: Size) -> bool:
    """Whether something that has no rows is repeated for each."""
    return instr.op.name == "broadcast_to" and body.types[instr.first].shape[0] == rows


def _keeps(body: Fragment, instr: Instr, split: set[int], rows: Size) -> bool:
    """Whether the result is split as the operands are."""
    op, t = instr.op, body.types[instr.first]
    if len(instr.outs) > 1 or not t.ndim or t.shape[0] != rows:
        return False
    operands = [(v in split, body.types[v]) for v in instr.ins]
    if isinstance(op, Elementwise):
        return all(_is_along(is_split, x, t) for is_split, x in operands)
    if isinstance(op, Reduction) or op.name in _ALONG:
        return 0 not in op.axes  # type: ignore[attr-defined]
    return isinstance(op, View) and op.name in _KEEPING


def _is_along(is_split: bool, x: TensorType, t: TensorType) -> bool:
    """Whether an operand meets the rows of an elementwise result with its own, or with one for all."""
    return x.ndim == t.ndim if is_split else x.ndim < t.ndim or (type(x.shape[0]) is int and x.shape[0] == 1)


def _part(instr: Instr) -> Any:
    """The ufunc for the parts of a reduction along the rows."""
    op = instr.op
    return _TOGETHER.get(op.name) if isinstance(op, Reduction) and 0 in op.axes else None


class Pieces:
    """A bound program in pieces; `outputs` runs them, by the engine's threads."""

    def __init__(self, engine: Any, bound: Bound, split: Split, count: int) -> None:
        program, inputs = bound.program, bound.program.fragment.inputs
        self._native, self._threads, self._counters = engine.native, engine.threads, engine.counters
        self._operations, self._out_types, self._together = program.n_ops, bound.out_types, split.outputs
        self._cut = [i in split.inputs for i in range(len(inputs))]
        rows = bound.in_types[min(split.inputs)].shape[0]
        assert type(rows) is int
        self._count, self._least = count, rows // count
        self._edges = [slice(*edge) for edge in pairwise(rows * k // count for k in range(count + 1))]
        words = [bound.env["w", k] for k in range(program.fragment.n_words)]
        self._bounds = [program.bind(self._types(bound, self._least + more), tuple(words)) for more in (0, 1)]

    def _types(self, bound: Bound, rows: int) -> tuple[TensorType, ...]:
        pairs = zip(bound.in_types, self._cut, strict=True)
        return tuple([t.with_shape((rows, *t.shape[1:])) if cut else t for t, cut in pairs])

    def outputs(self, arrays: Sequence[Array]) -> list[Array]:
        """The program's outputs, for the arrays of the fragment's inputs."""
        made = [self._room(t, f) for t, f in zip(self._out_types, self._together, strict=True)]
        start = perf_counter()
        shares = [range(k, self._count, self._threads) for k in range(min(self._threads, self._count))]
        others = [_workers(self._threads).submit(self._run, arrays, made, share) for share in shares[1:]]
        self._run(arrays, made, shares[0])
        for each in others:
            each.result()
        outs = [_joined(t, a, f) for t, a, f in zip(self._out_types, made, self._together, strict=True)]
        counters = self._counters
        counters.run_seconds += perf_counter() - start
        counters.hits += 1
        counters.operations += self._operations
        return outs

    def _room(self, t: TensorType, together: Any) -> Array:
        """An output's array; an array of its parts."""
        return empty(t.shape, t.dtype) if together is None else empty((self._count, *t.shape), t.dtype)

    def _run(self, arrays: Sequence[Array], made: Sequence[Array], share: range) -> None:
        """Runs some of the pieces."""
        for k in share:
            edge = self._edges[k]
            ins = [a[edge] if cut else a for a, cut in zip(arrays, self._cut, strict=True)]
            outs = [a[edge] if f is None else a[k, ...] for a, f in zip(made, self._together, strict=True)]
            bound = self._bounds[edge.stop - edge.start - self._least]
            self._native.run_into(bound, ins, outs)


def _joined(t: TensorType, parts: Array, together: Any) -> Array:
    """An output from what the pieces gave, in their order."""
    if together is None:
        return parts
    return np.asarray(together.reduce(parts, axis=0, dtype=_WIDE.get(t.code, t.dtype)), t.dtype)


def pieces_for(engine: Any, bound: Bound) -> Pieces | None:
    """The program in pieces, if it is large and works row by row, and several threads or a sum over rows ask for it."""
    known: dict[Bound, Pieces | None] = engine.native.codes[bound.program].pieces
    if bound not in known:
        if len(known) >= _KEPT:
            known.clear()
        known[bound] = _pieces(engine, bound)
    return known[bound]


def _pieces(engine: Any, bound: Bound) -> Pieces | None:
    elements = max((t.size for t in (*bound.in_types, *bound.out_types)), default=0)
    if elements < LARGE:
        return None
    split, count = split_of(bound.program), min(max(elements // EACH, FEWEST), MOST)
    if split is None or bound.in_types[min(split.inputs)].shape[0] < count:
        return None
    return Pieces(engine, bound, split, count) if engine.threads > 1 or any(split.outputs) else None


_LOCK = lock()
_POOLS: dict[tuple[int, int], ThreadPoolExecutor] = {}


def _workers(threads: int) -> ThreadPoolExecutor:
    """The threads besides the one that asks; a forked process has its own."""
    from concurrent.futures import ThreadPoolExecutor  # 10 ms that most programs need not pay

    key = os.getpid(), threads
    with _LOCK:
        if key not in _POOLS:
            _POOLS[key] = ThreadPoolExecutor(threads - 1, thread_name_prefix="nbgraph")
        return _POOLS[key]


__all__ = ["Pieces", "pieces_for", "split_of"]
