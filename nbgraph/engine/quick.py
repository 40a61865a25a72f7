"""A short program as a builtin function of Python.

In: code at given sizes, and where its inputs come from. Out: a function: arrays of the arguments -> a list of
fresh arrays; None where the arrays are not what it was made for; the status of an operation that failed.
Holds: short because it keeps the interpreter's lock, and has one workspace. No line of Python runs in a call: the code
itself tells BLAS how many threads to use, and puts back what was there.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from nbgraph.engine.native import Code, Native, entry_address, placed_for
from nbgraph.engine.tape import Tape
from nbgraph.engine.threads import limit_for
from nbgraph.ssa import Bound
from nbgraph.types import TensorType
from nbgraph_kernels import blas_threads, python_api
from nbgraph_kernels.arrays import ENTRY_WORDS

Array = np.ndarray[Any, Any]

#: Bytes of arguments, results and workspace together; and of a product alone, which takes a millisecond for so much.
#: What Python would do meanwhile took 10 to 80 us more, as the product has driven it out of the cache.
SHORT, PRODUCT = 2**17, 2**21
_ALIGN = 64
#: Kinds of words of `nbgraph_kernels.builtin`.
_PLAIN, _ARGUMENT, _RESULT = 0, 1, 2
_HEAD = 10  # `nbgraph_kernels.builtin`


def never(*arrays: Any) -> Any:
    """The function of a program that is not short."""
    return None


class Quick:
    """The only call of a tape: `quick` is the function, `fits` whether there is one. Called with a tuple it gives the
    arrays or None, and raises what failed."""

    def __init__(
        self, native: Native, tape: Tape, constants: Sequence[Array], types: Sequence[TensorType], bound: Bound
    ) -> None:
        (call,) = tape.calls
        code = native.codes[bound.program]
        self._native, self._program, self.quick = native, bound.program, never
        outputs = list(tape.outputs)
        # Else a result is given, or is twice among the outputs.
        if len(outputs) == len(call.dests) and set(outputs) == set(call.dests):
            places = [outputs.index(v) for v in call.dests]
            self.quick = quick_function(native, code, bound, constants, types, call.sources, places)
        self.fits = self.quick is not never

    def __call__(self, arrays: tuple[Any, ...]) -> list[Array] | None:
        outs: Any = self.quick(*arrays)
        if type(outs) is int:
            raise self._native.failure(self._program, outs)
        return outs


def quick_function(
    native: Native,
    code: Code,
    bound: Bound,
    constants: Sequence[Array],
    types: Sequence[TensorType],
    sources: Sequence[int],
    places: Sequence[int],
) -> Any:
    """A function of the arguments; `never` where the program is not short, or Python is not one that can do this.

    `sources` number the fragment's inputs among arguments and constants, whose types are `types`; `places` say where
    its outputs are among the results.
    """
    placed = placed_for(code, bound)
    nbytes = placed.workspace + sum(t.nbytes for t in (*types, *bound.out_types))
    n_words = len(code.picks) + len(bound.out_types) + len(placed.rest)
    most = PRODUCT if _is_product(code, bound, placed.workspace) else SHORT
    if nbytes > most or n_words > ENTRY_WORDS or not python_api.AVAILABLE:
        return never
    arguments = types[: len(types) - len(constants)]
    workspace = np.empty(placed.workspace + _ALIGN, np.uint8)
    base = -(-workspace.ctypes.data // _ALIGN) * _ALIGN
    given = [(k, _ARGUMENT) for k in range(len(arguments))] + [(c.ctypes.data, _PLAIN) for c in constants]
    words = [given[sources[i]] for i in code.picks]
    words += [(p, _RESULT) for p in places]
    words += [(value + base if relative else value, _PLAIN) for value, relative in placed.rest]
    tally = native.engine.counters.tally
    limit = limit_for(native.engine, [bound], placed.workspace)
    blas = None if limit is None else blas_threads.functions()
    threads = (0, 0, 0) if limit is None or blas is None else (limit.n, *blas)
    outs = [bound.out_types[places.index(p)] for p in range(len(places))]
    counted = tally.ctypes.data, bound.program.n_ops
    template = _template(code.machine.address, arguments, words, outs, counted, threads)
    address = entry_address("builtin")
    return python_api.builtin_function(address, template, code, workspace, tally, tuple(constants))


def _is_product(code: Code, bound: Bound, workspace: int) -> bool:
    """Whether a program has one result, and no kernel but that of products: it calls it once, as nothing else is in
    memory."""
    kernels = {what[1] for what in code.machine.source.words if what[0] == "kernel"}
    return kernels == {"gemm"} and len(bound.out_types) == 1 and workspace == 0


def _template(
    function: int,
    arguments: Sequence[TensorType],
    words: Sequence[tuple[int, int]],
    outs: Sequence[TensorType],
    counted: tuple[int, int],
    threads: tuple[int, int, int],
) -> Array:
    """The words of `nbgraph_kernels.builtin`, and the tables that they point to behind them."""
    called = python_api.addresses()
    checks = [c for t in arguments for c in (id(np.ndarray), id(t.dtype), t.ndim, *t.shape)]
    sources = [x for word in words for x in word]
    sizes = [d for t in outs for d in t.shape]
    lengths = [_HEAD + len(called) + len(threads), len(checks), len(sources), len(sizes), 3 * len(outs)]
    template = np.zeros(sum(lengths), np.int64)
    first, start = np.cumsum(lengths) - lengths, template.ctypes.data
    at_checks, at_sources, at_sizes, at_results = [start + 8 * k for k in first[1:].tolist()]
    results = []
    for t in outs:
        results += [id(t.dtype), t.ndim, at_sizes]
        at_sizes += 8 * t.ndim
    head = [function, len(arguments), at_checks, id(None), len(words), at_sources]
    head += [len(outs), at_results, *counted]
    template[:] = [*head, *called, *threads, *checks, *sources, *sizes, *results]
    return template
