"""Recording in machine code: where an engine has any, nodes and the calls that evals leave are made by it from then on,
in this whole process.

In: the objects of an engine. Out: nothing; `trace.record1`, `record2` and their like ask it first, `Route.commit`, and
jitted functions, once there have been many calls of them.
Holds: it makes the nodes that Python would have made. It knows operations and types by identity; what it knows is kept
alive, and is told to it by what Python has recorded.
"""

from __future__ import annotations

import ctypes
import weakref
from collections.abc import Sequence
from functools import partial
from itertools import chain
from typing import Any

import numpy as np

from nbgraph.calls import OFTEN, TOPPED, FragmentCall
from nbgraph.engine.native import uninterrupted
from nbgraph.loops import LoopCall, holders
from nbgraph.node import Node, numbers_of_nodes
from nbgraph.op import Op
from nbgraph.picks import PickCall
from nbgraph.steps import SIZE, Read, Step
from nbgraph.trace import RECORDING, handle
from nbgraph.types import TensorType
from nbgraph_kernels import python_api
from nbgraph_kernels.locks import lock

#: Entries of the table; a new one takes the place of another at times, which Python then records.
ENTRIES = 4096
#: So many nodes lose what compiling this takes (35 ms; .4 us each). Sooner where it is done for later processes, too.
PAYS, PAYS_SOON = 100_000, 10_000
#: So many calls of a jitted function: the code for these takes 130 ms, and saves 2 to 3 us each.
CALLS_PAY, CALLS_PAY_SOON = 40_000, 1_000
_LOCK = lock()
_USED: list[Any] = []


def consider(engine: Any, recorded: int) -> None:
    """Records by machine code from now on if so many nodes have been recorded that it pays."""
    if not _USED and engine.jit != "never" and python_api.AVAILABLE:
        objects = engine.native.objects
        if recorded > (PAYS_SOON if objects.is_eager else PAYS):
            uninterrupted(lambda: use(objects, may_compile=True))


def use(objects: Any, may_compile: bool = False) -> None:
    """Records by machine code from now on, if that is there, or may be compiled."""
    if _USED or not python_api.AVAILABLE:
        return
    if may_compile:
        objects.make_kernel("recorder", "")
    elif not objects.load_kernel("recorder", ""):
        return
    with _LOCK:
        if not _USED:
            made = _Recorder()
            _USED.append(made)
            RECORDING.tell, RECORDING.make, RECORDING.result = made.note, made.function, made.function
            RECORDING.commit = made.function
            RECORDING.consider_calls = partial(_consider_calls, weakref.ref(objects))


def _consider_calls(objects: Any, recorded: int) -> None:
    """Records calls of jitted functions by machine code from now on if that is there, or there were so many of one that
    compiling it pays."""
    there = objects()
    if there is not None:
        may_compile = recorded > (CALLS_PAY_SOON if there.is_eager else CALLS_PAY)
        uninterrupted(lambda: use_calls(there, may_compile)) if may_compile else use_calls(there)


def use_calls(objects: Any, may_compile: bool = False) -> None:
    """The same as `use`, after it, for calls of jitted functions."""
    if may_compile:
        objects.make_kernel("jitted", "")
    if RECORDING.caller is None and objects.load_kernel("jitted", ""):
        RECORDING.caller = _USED[0].caller


def words() -> Any:
    """What other machine code has to know of nodes and calls; None where there is none."""
    return _USED[0].words if _USED else None


class _Recorder:
    """The builtin function, and the table that it looks into."""

    def __init__(self) -> None:
        import nbgraph_kernels as kernels
        from nbgraph_kernels import graph_objects as g
        from nbgraph_kernels.recorder import ENTRY, place

        self._place, self._width = place, ENTRY
        self._table = np.zeros(ENTRIES * ENTRY, np.int64)
        self._kept: dict[int, Any] = {}
        self._constants = [handle(), None, True, False, (), 0, numbers_of_nodes()]
        words = list(map(id, (*self._constants, FragmentCall, LoopCall, PickCall, holders())))
        words += [*python_api.addresses_of(g.FUNCTIONS), self._table.ctypes.data, ENTRIES - 1]
        words += [*_offsets(handle(), Node.__slots__, g.OF_NODES)]
        for cls, names in ((FragmentCall, g.OF_CALLS), (LoopCall, g.OF_LOOPS), (PickCall, g.OF_PICKS)):
            words += _offsets(cls, cls.__slots__, names)
        assert len(words) == g.COUNT
        self.words = np.array(words, np.int64)
        code = kernels.kernel("recorder")
        self.function = python_api.builtin_function(code.address, self.words, code, self)

    def note(self, what: Any, a: TensorType, b: TensorType | None, t: TensorType, op: Op | None = None) -> None:
        """What results from an operation on operands of these types (b: None where there is one operand); or from
        something else that is asked for, which is `op` then."""
        ids = id(what), id(a), 0 if b is None else id(b)
        number = self._place(*ids, ENTRIES - 1)
        first = self._width * number
        with _LOCK:
            self._table[first] = 0  # it is no entry until all of it is there
            self._kept[number] = what, a, b, t, op
            self._table[first + 1 : first + self._width] = (*ids[1:], id(t), t.inexact, id(op or what))
            self._table[first] = ids[0]

    def caller(self, record: Any) -> Any:
        """The function that records calls of a trace as `record` does, which has to be asked where it gives None; None
        where there can be none."""
        import nbgraph_kernels as kernels
        from nbgraph_kernels.jitted_calls import MOST

        step: Step | None = record.step
        if step is None or max(len(step.operands), len(step.reads), len(step.results)) > MOST:
            return None
        tables = _tables(step)
        types, operands, results, order, reads, asked, operations, places = (t.ctypes.data for t in tables)
        of = [step.of, step.fragment, step.words, step.sites, step.fragment.cache, TOPPED]
        words = [self.words.ctypes.data, len(step.types), types, *map(id, of), len(step.operands), operands]
        words += [len(step.results), results, len(step.order), order, len(step.reads), reads, len(step.asked), asked]
        words += [len(step.operations), operations, step.single, places, OFTEN]
        code = kernels.kernel("jitted")
        made = python_api.builtin_function(code.address, np.array(words, np.int64), code, self, step, tables)
        return made if step.shown is None else _shown(made, step.shown)


def _tables(step: Step) -> list[Any]:
    """What the template of a trace points to (`nbgraph_kernels.jitted`)."""
    operands = [(how, id(what) if how == 2 else what) for how, what in step.operands]
    results = [(id(slot), id(t), reach) for slot, t, reach in step.results]
    operations = [(id(op), id(sizes), id(t), t.inexact, len(refs), *refs) for op, sizes, t, refs in step.operations]
    tables: list[Any] = [list(map(id, step.types)), operands, results, step.order, list(map(_read, step.reads))]
    tables += [step.asked, list(chain.from_iterable(operations)), step.places]
    return [np.array(t, np.int64) for t in tables]


def _read(read: Read) -> tuple[int, ...]:
    is_tensor = read.how != SIZE and isinstance(read.was, Node)
    was = read.was if read.how == SIZE else id(read.was.type) if is_tensor else id(read.was)
    return read.how, is_tensor, id(read.of), id(read.key), was


def _shown(made: Any, shown: Any) -> Any:
    """A function that puts the results into their container."""

    def call(*args: Any) -> Any:
        out = made(*args)
        return None if out is None else shown(*out)

    return call


def _offsets(cls: Any, slots: Sequence[str], names: Sequence[str]) -> list[int]:
    """Where an object of the class keeps its slots: found by looking for marks in the memory of one."""
    made, marks = object.__new__(cls), {name: object() for name in slots if name != "__weakref__"}
    for name, mark in marks.items():
        setattr(made, name, mark)
    words = (ctypes.c_int64 * (cls.__basicsize__ // 8)).from_address(id(made))
    places = {word: 8 * k for k, word in enumerate(words)}
    return [places[id(marks[name])] for name in names]
