"""Leaves: values as nodes.

In: arrays, numbers, anything array-like. Out: nodes with values, which nobody else can write to.
Holds: an array that is an operand again, with the same numbers, is the same leaf while that is in use. So what a loop
reads at every step (data, a matrix) is one operand of all steps, and is copied once; it may be written to meanwhile,
since its bits are compared, which costs no more than the copy would. Where a function is traced every array is a leaf
of its own: what a trace may be used again for is told by where its leaves come from.
"""

from __future__ import annotations

import weakref
from threading import get_ident
from typing import Any

import numpy as np

from nbgraph import memory
from nbgraph.errors import DtypeError, OutOfMemoryError
from nbgraph.node import Node
from nbgraph.trace import RECORDING, SCALAR, new_node
from nbgraph.types import CODES, DTYPES, TensorType, type_of_array

_TYPES = TensorType._table
_SCALAR_TYPES = {code: TensorType(code, ()) for code in CODES.values()}
#: Bytes: shorter views are copied in less time than it takes to say what they are views of, shorter arrays are compared
#: as strings of bytes, which are kept where they are few.
_SMALL, _MIDDLE, _FEW = 2**12, 2**17, 2**10
#: The threads in which a function is being traced.
TRACING: set[int] = set()
#: By array. Entries go with their leaves. (Without a lock: of two threads that meet an array at once each has a leaf.)
_KNOWN: dict[Any, _Known] = {}


def leaf(data: np.ndarray[Any, Any], active: bool) -> Node:
    """A node with a value; `data` must be private to the graph or read-only through its whole chain of bases."""
    t = type_of_array(data)
    node = new_node(t, active and t.inexact)
    node.data = data
    return node


def constant_of(value: Any, code: str | None = None) -> Node:
    """A constant leaf from anything array-like (copied unless immutable), converted to dtype `code` if given."""
    return leaf(own_array(value, code), False)


def array_constant(value: np.ndarray[Any, Any]) -> Node:
    """As `constant_of`, for an ndarray, or the leaf that was made of this very array before: see the module."""
    key: Any = id(value)
    source = value
    known = _KNOWN.get(key)
    if known is None and value.base is not None and value.nbytes >= _SMALL:
        source = value.base  # such as `a.T`, which is another object at every step
        key = id(source), value.ctypes.data, value.shape, value.strides
        known = _KNOWN.get(key)
    if TRACING and get_ident() in TRACING:
        return constant_of(value)
    if known is not None and known.source() is source:
        node = known()
        if node is not None:
            bits = known.bits  # those of a few numbers are compared here: loops read them at every step
            if bits is not None and value.tobytes() == bits and (value.dtype, value.shape) == known.form:
                return node
            if known.holds(value, node.data):
                return node
    made = _copied(value)
    entry = _Known(made, _forget)
    entry.key, entry.bits = key, None
    try:
        entry.source = weakref.ref(source)
    except TypeError:  # a base of which there are no weak references
        return made
    _KNOWN[key] = entry
    return made


class _Known(weakref.ref[Node]):
    """A leaf made of an array, as long as it is in use; `source` is the array, or the one that it is a view of; `bits`
    are those of the leaf where they are few and have been asked for, `form` its dtype and shape then."""

    __slots__ = ("bits", "form", "key", "source")
    bits: bytes | None
    form: Any
    key: Any
    source: Any

    def holds(self, value: np.ndarray[Any, Any], data: np.ndarray[Any, Any]) -> bool:
        """Whether an array has the bits of the leaf, whose value is `data`."""
        if value.nbytes > _FEW:
            return _are_same(value, data)
        if self.bits is None:
            self.bits, self.form = data.tobytes(), (data.dtype, data.shape)
        return value.tobytes() == self.bits and value.shape == data.shape and value.dtype == data.dtype


def _forget(known: Any, table: Any = _KNOWN) -> None:
    """Its leaf is gone. (The table is an argument, since it may be when Python ends.)"""
    if table.get(known.key) is known:
        table.pop(known.key, None)


def _are_same(value: np.ndarray[Any, Any], data: np.ndarray[Any, Any]) -> bool:
    """Whether an array holds the bits of another one, which is contiguous."""
    if value is data:
        return True
    if value.shape != data.shape or value.dtype != data.dtype:
        return False
    if value.nbytes < _MIDDLE:
        return value.tobytes() == data.tobytes()
    bits = f"u{value.itemsize}" if value.itemsize <= 8 else None
    if bits is None:  # complex numbers: as pairs, where they lie side by side
        return bool(value.flags.c_contiguous) and np.array_equal(value.view("u8"), data.view("u8"))
    return np.array_equal(value.view(bits), data.view(bits))


def _copied(value: np.ndarray[Any, Any]) -> Node:
    code = CODES.get(value.dtype)
    if code is None or not value.flags.writeable:
        return constant_of(value)
    data = value.copy() if value.nbytes < memory.SMALLEST else memory.copy(value)
    data.setflags(False)  # type: ignore[call-arg]  # by position: a keyword costs twice as much
    t = _TYPES.get((code, value.shape)) or TensorType(code, value.shape)
    node: Node = RECORDING.result(t, False, None, 0)
    node.data = data
    return node


def scalar(value: Any, code: str) -> Node:
    """A constant 0-d leaf: a run-time operand, never merged with another one in a fragment."""
    data = np.array(value, dtype=DTYPES[code])
    node: Node = RECORDING.result(_SCALAR_TYPES[code], False, None, SCALAR)
    node.data = data
    return node


def leaf_of_number(value: Any, code: str) -> Node:
    """As `leaf`, differentiable, from a number that is no integer (the hot path)."""
    data = np.array(value, dtype=DTYPES[code])
    data.setflags(write=False)
    node: Node = RECORDING.result(_SCALAR_TYPES[code], True, None, 0)
    node.data = data
    return node


def own_array(value: Any, code: str | None = None) -> np.ndarray[Any, Any]:
    """A read-only C-contiguous array that nobody else can write to.

    Copies unless the array is read-only through its whole chain of bases.
    """
    if type(value) is np.ndarray and code is None and value.dtype in CODES and value.flags.writeable:
        a = memory.copy(value)
        a.setflags(write=False)
        return a
    try:
        a = np.asarray(value) if code is None else np.asarray(value).astype(code, copy=False)
    except (TypeError, ValueError) as error:
        raise DtypeError("not a numeric array", got=type(value).__name__, wanted="numbers", hint=str(error)) from None
    if a.dtype not in CODES:
        a = _widened(a, value)
    if not (a.flags.c_contiguous and a.flags.aligned and _is_immutable(a)):
        try:
            a = memory.copy(a)
        except MemoryError as error:
            raise OutOfMemoryError.of(error) from error
        a.setflags(write=False)
    return a


def _widened(a: np.ndarray[Any, Any], value: Any) -> np.ndarray[Any, Any]:
    """Small integers and half precision become the next supported dtype; other dtypes raise."""
    native = a.dtype.newbyteorder("=")
    if native in CODES:
        return a.astype(native)
    for code in ("i4", "i8", "f4"):
        if a.dtype.kind in "iuf" and np.can_cast(a.dtype, code):
            return a.astype(code)
    wanted = " ".join(str(d) for d in CODES)
    raise DtypeError("unsupported dtype", got=a.dtype, wanted=f"one of {wanted}", hint="convert it with .astype")


def _is_immutable(a: np.ndarray[Any, Any]) -> bool:
    base: Any = a
    while isinstance(base, np.ndarray):
        if base.flags.writeable:
            return False
        base = base.base
    return base is None or isinstance(base, bytes | memory.Block)
