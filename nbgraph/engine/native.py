"""The second tier: programs as machine code.

In: bound programs and arrays. Out: arrays of the outputs.
Holds: machine code belongs to one engine and is made once for each program; outputs are fresh arrays; temporaries lie
in a workspace that each thread keeps.
"""

from __future__ import annotations

import ctypes
import threading
import time
import warnings
import weakref
from array import array
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from functools import cache, partial
from typing import Any, TypeVar

import numpy as np

from nbgraph.codegen import generate
from nbgraph.codegen.emit import Word
from nbgraph.codegen.storage import Temporary
from nbgraph.dims import substitute, symbols
from nbgraph.engine.failure import OperationFailed
from nbgraph.engine.objects import Objects
from nbgraph.engine.tiers import DRIVERS, Ledger
from nbgraph.errors import describe, user_frame
from nbgraph.fragment import size_at
from nbgraph.kinds import Kernel
from nbgraph.memory import empty
from nbgraph.moving import function_of_words
from nbgraph.pretty import fragment_text
from nbgraph.ssa import Bound, Program
from nbgraph_kernels.locks import cached_property, lock

Array = np.ndarray[Any, Any]
T = TypeVar("T")
#: A fork waits for whoever compiles: a module half imported would stay so in the forked process.
COMPILING = lock(awaited=2)
_ALIGN = 64


class Code:
    """A program's machine code, and how its words are made for a call. It belongs to an engine and goes with it."""

    __slots__ = ("__weakref__", "key", "machine", "n_inputs", "nests", "picks", "pieces", "program", "words")

    def __init__(
        self, program: Program, machine: Any, picks: tuple[int, ...], words: Any, nests: Mapping[str, Any]
    ) -> None:
        self.program, self.machine, self.picks, self.words = program, machine, picks, words
        #: The nests that it calls, by text.
        self.nests = nests
        self.n_inputs = len(picks)
        #: Under which bound programs, which outlive engines, keep what was made of it.
        self.key = weakref.ref(self)
        #: By bound program: see `pieces`.
        self.pieces: dict[Bound, Any] = {}


class Placed:
    """Code at concrete sizes: the words after the arrays, with temporaries relative to the workspace."""

    __slots__ = ("_at", "offsets", "relative", "rest", "workspace")

    def __init__(self, code: Code, bound: Bound) -> None:
        source = code.machine.source
        env = _body_environment(code, bound)
        self.offsets, self.workspace = plan_workspace(source.temporaries, env)
        first = code.n_inputs + len(bound.out_types)
        self.rest = [self._word(what, env, code.nests) for what in source.words[first:]]
        self.relative = [first + k for k, (_, relative) in enumerate(self.rest) if relative]
        self._at: tuple[int, list[int]] = -1, []

    def _word(self, what: Word, env: Any, nests: Mapping[str, Any]) -> tuple[int, bool]:
        """A word's value, and whether it is relative to the workspace."""
        kind = what[0]
        if kind == "temporary":
            return self.offsets[what[1]], True
        if kind == "size":
            return int(size_at(what[1], env)), False
        if kind == "nest":
            return nests[what[1]].address, False
        return _address(kind, *what[1:]), False

    def at(self, base: int) -> list[int]:
        """The words for a workspace at this address."""
        found = self._at  # read and set as one: threads share the code, each has a workspace of its own
        if found[0] != base:
            found = self._at = base, [value + base if relative else value for value, relative in self.rest]
        return found[1]


def words_apart(
    code: Code, bound: Bound, words: Sequence[Sequence[Any]], moving: Sequence[int]
) -> tuple[dict[int, list[int]], int]:
    """Of calls whose words differ at the positions `moving`: by place among the words after the arrays, what it is at
    each call, for those that differ (temporaries relative to the workspace); and the bytes that every call's workspace
    fits in."""
    moves = Moves(code, bound, tuple(moving))
    rows = [moves.at(row) for row in words]
    found = {p: list(column) for p, column in zip(moves.places, zip(*rows, strict=True), strict=True)}
    if not moves.is_placed_anew:
        return found, 0
    source, inner, room = code.machine.source, _body_environment(code, bound), 0
    after = source.words[code.n_inputs + len(bound.out_types) :]
    places = [(p, what[1]) for p, what in enumerate(after) if what[0] == "temporary"]
    found.update({p: [] for p, _ in places})
    for row in words:
        inner.update(moves.inner(row))
        offsets, nbytes = plan_workspace(source.temporaries, inner)
        room = max(room, nbytes)
        for p, which in places:
            found[p].append(offsets[which])
    return found, room


class Moves:
    """What of the words after the arrays changes with those words of a fragment that move: `places`; `at` gives it.

    `is_placed_anew`: so do the places of temporaries, which are none of these.
    """

    def __init__(self, code: Code, bound: Bound, moving: tuple[int, ...]) -> None:
        source, names = code.machine.source, {("w", k) for k in moving}
        outer = {name: d for name, d in bound.env.items() if name not in names}
        found = {("w", j): substitute(w, outer) for j, w in enumerate(code.words)}
        changed = {name: w for name, w in found.items() if not names.isdisjoint(symbols(w))}
        env = {**_body_environment(code, bound), **changed}
        after = source.words[code.n_inputs + len(bound.out_types) :]
        sizes = {p: substitute(what[1], env) for p, what in enumerate(after) if what[0] == "size"}
        sizes = {p: d for p, d in sizes.items() if type(d) is not int}
        self.places = tuple(sizes)
        self.is_placed_anew = any(not changed.keys().isdisjoint(symbols(t.nbytes)) for t in source.temporaries)
        self._moving, self._names = moving, tuple(changed)
        self._at = function_of_words(tuple(sizes.values()), moving)
        self._inner = function_of_words(tuple(changed.values()), moving)

    def at(self, words: Sequence[Any]) -> tuple[int, ...]:
        """The values at `places`, for all words of the fragment."""
        found: tuple[int, ...] = self._at(*[words[k] for k in self._moving])
        return found

    def inner(self, words: Sequence[Any]) -> dict[Any, int]:
        """The words of the lowered body that change."""
        return dict(zip(self._names, self._inner(*[words[k] for k in self._moving]), strict=True))


def _body_environment(code: Code, bound: Bound) -> Any:
    """Sizes in the symbols of the lowered body."""
    env: dict[Any, Any] = {("w", k): size_at(w, bound.env) for k, w in enumerate(code.words)}
    for j, i in enumerate(code.picks):
        for axis in range(len(code.program.fragment.inputs[i].shape)):
            env["d", j, axis] = bound.env["d", i, axis]
    return env


def plan_workspace(temporaries: Sequence[Temporary], env: Any) -> tuple[list[int], int]:
    """Offsets of temporaries (first fit: two that are in use at once never overlap) and the bytes needed."""
    placed: list[tuple[int, int, Temporary]] = []
    offsets, total = [], 0
    for t in temporaries:
        size = -(-int(size_at(t.nbytes, env)) // _ALIGN) * _ALIGN
        busy = sorted((a, b) for a, b, other in placed if other.first <= t.last and t.first <= other.last)
        offset = 0
        for a, b in busy:
            if offset + size <= a:
                break
            offset = max(offset, b)
        placed.append((offset, offset + size, t))
        offsets.append(offset)
        total = max(total, offset + size)
    return offsets, total


@cache
def _address(kind: str, *what: str) -> int:
    import nbgraph_kernels as kernels

    if kind == "external":
        return kernels.address(what[0])
    return kernels.kernel(what[0], what[1]).address


def entry_address(name: str) -> int:
    """The address of a driver kernel."""
    return _address("kernel", name, "")


@cache
def entry_point(name: str) -> tuple[Any, int]:
    """A driver kernel as a function of Python, and the offset of the data pointer in an array object."""
    import nbgraph_kernels as kernels
    from nbgraph_kernels.arrays import array_data_offset

    made = kernels.kernel(name)
    return ctypes.CFUNCTYPE(ctypes.c_int64, ctypes.c_void_p)(made.address), array_data_offset()


class _Scratch(threading.local):
    """Each thread's workspace."""

    memory: Array = np.empty(0, np.uint8)
    base: int = 0

    def at_least(self, nbytes: int) -> int:
        """The aligned address of a workspace of this many bytes."""
        if self.memory.nbytes < nbytes + _ALIGN:
            self.memory = np.empty(max(nbytes + _ALIGN, 2 * self.memory.nbytes), np.uint8)
            self.base = -(-self.memory.ctypes.data // _ALIGN) * _ALIGN
        return self.base


class Native:
    """The machine code of an engine."""

    def __init__(self, engine: Any) -> None:
        self.engine = engine
        self.objects = Objects(engine.cache_dir, engine.jit == "always")
        self.codes: dict[Program, Code] = {}
        self.log: list[str] = []
        #: How often programs without code were run by another one's (`engine/lent.py`).
        self.lent: Counter[Program] = Counter()
        #: Runs of short programs that builtin functions would have made shorter (`runners.PAYS`).
        self.runs = 0
        self._refused: set[Program] = set()
        #: What is interpreted since the engine's limit of code was reached.
        self._beyond: set[Program] = set()
        self._looked_up: set[Program] = set()
        self._scratch = _Scratch()

    def ready(self, program: Program, ledger: Ledger, coming: int) -> bool:
        """Whether the program has machine code, after loading it if it is on disk, or compiling it if that is due."""
        if program in self.codes:
            return True
        if self.is_full:
            self._leave(program)
            return False
        if self.engine.jit == "always":
            self.compile(program)
            return True
        if program not in self._looked_up:
            self._looked_up.add(program)
            ledger.is_made = self.objects.has_kernel
            if self.objects.has(program) and self._make(program, may_compile=False):
                return True
            self._make_references(program)
        if program in self._refused or not ledger.pays(coming):
            return False
        ledger.pay()
        return self._try(program)

    def _make_references(self, program: Program) -> None:
        """Kernels that operations may be interpreted with, from disk, or put there if they were compiled meanwhile."""
        for instr in program.body.instrs if self.objects.folder else ():
            if isinstance(instr.op, Kernel) and instr.op.interprets:
                name, code = instr.op.kernel, program.body.types[instr.ins[0]].code
                uninterrupted(partial(self.objects.keep_kernel, name, code))

    @property
    def is_full(self) -> bool:
        """Whether there is as much code as the engine may have."""
        limit: int | None = self.engine.code_limit
        return limit is not None and self.engine.counters.code_bytes >= limit

    def _leave(self, program: Program) -> None:
        """Counts a program that is not compiled any more; says so once."""
        with self.engine._lock:
            if program in self._beyond:
                return
            self._beyond.add(program)
            self.engine.counters.refused = len(self._beyond)
        if len(self._beyond) == 1:
            text = f"an engine has compiled {self.engine.counters.code_bytes} bytes, its `code_limit`"
            warnings.warn(f"{text}: what is new to it is interpreted", RuntimeWarning, stacklevel=2)

    def _try(self, program: Program) -> bool:
        """Compiles under `auto`; what cannot be compiled is interpreted, with a warning once."""
        try:
            self.compile(program)
        except Exception as error:
            self._refused.add(program)
            warnings.warn(f"nbgraph interprets a fragment that did not compile: {error}", RuntimeWarning, stacklevel=2)
            return False
        return True

    def compile(self, program: Program) -> Code:
        """The machine code of a program, made once: loaded if it is on disk, else compiled."""
        code = self._make(program, may_compile=True)
        assert code is not None
        return code

    def _make(self, program: Program, may_compile: bool) -> Code | None:
        with self.engine._lock, COMPILING:
            code = self.codes.get(program)
            if code is None:
                start, before = time.perf_counter(), self.objects.nest_bytes
                code = uninterrupted(lambda: make_code(program, self.objects, may_compile))
                self.engine.counters.code_bytes += self.objects.nest_bytes - before
                if code is not None:
                    self._count(program, code, time.perf_counter() - start)
                    self.codes[program] = code
            return code

    def _count(self, program: Program, code: Code, seconds: float) -> None:
        counters, machine = self.engine.counters, code.machine
        counters.code_bytes += machine.code_bytes
        if machine.loaded:
            counters.loaded += 1
            head = f"load {counters.loaded}"
        else:
            counters.compiled += 1
            counters.compile_seconds += seconds
            head = f"compile {counters.compiled}"
        self.log.append(
            f"{head}: new {self._what_is_new(program)}, {seconds * 1e3:.0f} ms, {machine.code_bytes} bytes, "
            f"asked for at {describe(user_frame())}\n{fragment_text(program.body, 'program')}"
        )

    def _what_is_new(self, program: Program) -> str:
        others = [p for p in self.codes if p.fragment is program.fragment]
        if not others:
            return "structure"
        return f"outputs: slots {program.slots}, {program.summed} added up, where there were " + "; ".join(
            f"{p.slots}, {p.summed} added up" for p in others
        )

    def explain(self) -> str:
        """One paragraph for each compile and each load from disk."""
        return "\n\n".join(self.log) or "nothing was compiled"

    # -- calls ---------------------------------------------------------------------------------------------------

    def run_bound(self, bound: Bound, arrays: Sequence[Array], totals: Sequence[Array] = ()) -> list[Array]:
        """One call of a program that has machine code; its last outputs are added to `totals`."""
        code = self.codes[bound.program]
        placed = placed_for(code, bound)
        outs = [empty(t.shape, t.dtype) for t in (bound.out_types[: -len(totals)] if totals else bound.out_types)]
        outs += totals
        ins = [arrays[i] for i in code.picks]
        machine, offset = code.machine.address, self._entry[1]
        words = [machine, len(ins) + len(outs), offset, *map(id, ins), *map(id, outs)]
        words += placed.at(self.workspace(placed.workspace))
        status = self.timed(self._entry[0], array("q", words))
        self.count(1, bound.program.n_ops)
        if status:
            raise self.failure(bound.program, status)
        return outs

    def run_into(self, bound: Bound, arrays: Sequence[Array], outs: Sequence[Array]) -> None:
        """One call with given outputs, which is not counted."""
        code = self.codes[bound.program]
        placed = placed_for(code, bound)
        entry, offset = self._entry
        ins = [arrays[i] for i in code.picks]
        words = [code.machine.address, len(ins) + len(outs), offset, *map(id, ins), *map(id, outs)]
        table = array("q", words + placed.at(self.workspace(placed.workspace)))
        status = entry(table.buffer_info()[0])
        if status:
            raise self.failure(bound.program, status)

    def workspace(self, nbytes: int) -> int:
        """The address of this thread's workspace."""
        return self._scratch.at_least(nbytes)

    def scratch(self, nbytes: int) -> Array:
        """This thread's workspace as an array, with room for an aligned piece of this many bytes."""
        self._scratch.at_least(nbytes)
        return self._scratch.memory

    @cached_property
    def _entry(self) -> tuple[Any, int]:
        return entry_point("entry")

    def timed(self, function: Any, table: array[int]) -> int:
        """The status of compiled code called on a table of words."""
        start = time.perf_counter()
        status: int = function(table.buffer_info()[0])
        self.engine.counters.run_seconds += time.perf_counter() - start
        return status

    def count(self, calls: int, operations: int) -> None:
        counters = self.engine.counters
        counters.hits += calls
        counters.operations += operations

    def failure(self, program: Program, status: int) -> OperationFailed:
        """What a status of a program's code says."""
        op = self.codes[program].machine.source.failing[(status >> 24) - 1]
        return OperationFailed.from_status(op, status & 0xFFFFFF)


def compile_program(program: Program) -> Code:
    """Generates and compiles the code of a program."""
    code = make_code(program, Objects(None), may_compile=True)
    assert code is not None
    return code


def make_code(program: Program, objects: Objects, may_compile: bool) -> Code | None:
    """The code of a program and the kernels it uses, each loaded if it is on disk; else compiled, or None."""
    from nbgraph.codegen import runtime

    body, words, picks = program.lowered()
    source = generate(body, program.accumulating)
    kernels = [what[1:] for what in source.words if what[0] == "kernel"] + [(name, "") for name in DRIVERS]
    nests = {}
    for text in [what[1] for what in source.words if what[0] == "nest"]:
        nests[text] = objects.nest(text, may_compile)
    machine = objects.load(program, source)
    if may_compile:
        if machine is None:
            machine = runtime.compile_source(source)
            objects.keep(program, machine)
        for name, code in kernels:
            objects.make_kernel(name, code)
    elif machine is None or None in nests.values() or not all(objects.load_kernel(*kernel) for kernel in kernels):
        return None
    return Code(program, machine, picks, words, nests)


def uninterrupted(work: Callable[[], T]) -> T:
    """What `work` returns; run in a thread of its own, since Ctrl-C (which reaches the main thread only) in the middle
    of the compiler would leave that unusable. The main thread can be interrupted while it waits."""
    if threading.current_thread() is not threading.main_thread():
        return work()
    done: list[Any] = []

    def run() -> None:
        try:
            done.append((work(), None))
        except BaseException as error:  # handed on to the thread that waits
            done.append((None, error))

    thread = threading.Thread(target=run, name="nbgraph compiles", daemon=True)
    thread.start()
    thread.join()
    result, error = done[0]
    if error is not None:
        raise error
    return result


def placed_for(code: Code, bound: Bound) -> Placed:
    """The code at a bound program's sizes, kept with it."""
    placed = bound.native.get(code.key)
    if placed is None:
        for gone in [key for key in list(bound.native) if key() is None]:
            bound.native.pop(gone, None)
        placed = bound.native[code.key] = Placed(code, bound)
    return placed
