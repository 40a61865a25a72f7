"""Recording in machine code: where an engine has any, nodes and the calls that evals leave are made by it from then on,
in this whole process.

In: the objects of an engine. Out: nothing; `trace.record1`, `record2` and their like ask it first, and `Route.commit`.
Holds: it makes the nodes that Python would have made. It knows operations and types by identity; what it knows is kept
alive, and is told to it by what Python has recorded.
"""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from typing import Any

import numpy as np

from nbgraph.calls import FragmentCall
from nbgraph.engine.native import uninterrupted
from nbgraph.node import Node, numbers_of_nodes
from nbgraph.op import Op
from nbgraph.trace import RECORDING, handle
from nbgraph.types import TensorType
from nbgraph_kernels import python_api
from nbgraph_kernels.locks import lock

#: Entries of the table; a new one takes the place of another at times, which Python then records.
ENTRIES = 4096
#: So many nodes lose what compiling this takes (35 ms; .4 us each). Sooner where it is done for later processes, too.
PAYS, PAYS_SOON = 100_000, 20_000
_LOCK = lock()
_USED: list[Any] = []


def consider(engine: Any, recorded: int) -> None:
    """Records by machine code from now on if so many nodes have been recorded that it pays."""
    if not _USED and engine.jit != "never" and python_api.AVAILABLE:
        objects = engine.native.objects
        if recorded > (PAYS_SOON if engine.jit == "always" or objects.folder else PAYS):
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


class _Recorder:
    """The builtin function, and the table that it looks into."""

    def __init__(self) -> None:
        import nbgraph_kernels as kernels
        from nbgraph_kernels.recorder import CALLED, ENTRY, OF_CALLS, SLOTS, place

        self._place, self._width = place, ENTRY
        self._table = np.zeros(ENTRIES * ENTRY, np.int64)
        self._kept: dict[int, Any] = {}
        self._constants = [handle(), None, True, False, (), 0, numbers_of_nodes()]
        words = [*map(id, self._constants), *python_api.addresses_of(CALLED)]
        words += [self._table.ctypes.data, ENTRIES - 1, *_offsets(handle(), Node.__slots__, SLOTS)]
        words += [id(FragmentCall), *_offsets(FragmentCall, FragmentCall.__slots__, OF_CALLS)]
        template = np.array(words, np.int64)
        code = kernels.kernel("recorder")
        self.function = python_api.builtin_function(code.address, template, code, self)

    def note(self, op: Op, a: TensorType, b: TensorType | None, t: TensorType) -> None:
        """What results from an operation on operands of these types (b: None where there is one operand)."""
        ids = id(op), id(a), 0 if b is None else id(b)
        number = self._place(*ids, ENTRIES - 1)
        first = self._width * number
        with _LOCK:
            self._table[first] = 0  # it is no entry until all of it is there
            self._kept[number] = op, a, b, t
            self._table[first + 1 : first + self._width] = (*ids[1:], id(t), t.inexact)
            self._table[first] = ids[0]


def _offsets(cls: Any, slots: Sequence[str], names: Sequence[str]) -> list[int]:
    """Where an object of the class keeps its slots: found by looking for marks in the memory of one."""
    made, marks = object.__new__(cls), {name: object() for name in slots if name != "__weakref__"}
    for name, mark in marks.items():
        setattr(made, name, mark)
    words = (ctypes.c_int64 * (cls.__basicsize__ // 8)).from_address(id(made))
    places = {word: 8 * k for k, word in enumerate(words)}
    return [places[id(marks[name])] for name in names]
