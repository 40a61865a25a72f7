"""Memory of large arrays, used again.

In: a shape and a dtype. Out: an array, its contents as they come (`empty`), zero (`zeros`), or copied (`copy`).
Holds: the system gives and takes back blocks of this size, and clearing their pages anew costs more than most loops
over them do; so a block is kept when the last array that lies in it is gone, and handed out again. No more than `LIMIT`
bytes are kept idle. Smaller arrays are NumPy's own affair.
"""

from __future__ import annotations

import math
import weakref
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]

#: Arrays of at least so many bytes come from here. (The C library maps blocks of this size one by one.)
LARGE = 128 * 1024
#: The most that is kept for arrays to come.
LIMIT = 256 * 1024 * 1024
_ALIGN = 64

#: Idle blocks by their size. Finalisers may not wait for locks: every change is a single call.
_IDLE: dict[int, list[memoryview]] = {}
#: References to the arrays that lie in the other blocks, lest they go before these do.
_USED: dict[int, _Reference] = {}


def empty(shape: Any, dtype: np.dtype[Any]) -> Array:
    """An array with anything in it.

    >>> empty((300, 300), np.dtype("float64")).shape
    (300, 300)
    """
    nbytes = math.prod(shape) * dtype.itemsize
    if nbytes < LARGE:
        return np.empty(shape, dtype)
    size = -(-nbytes // 4096) * 4096
    try:
        block = _IDLE[size].pop()
    except (KeyError, IndexError):
        block = _new_block(size)
    # The block is free when this array is gone: it is the base of every view of it, as it rests on no array itself.
    flat = np.frombuffer(block, dtype, nbytes // dtype.itemsize)
    reference = _Reference(flat, _give_back)
    reference.block = block
    _USED[id(reference)] = reference
    return flat.reshape(shape)


def zeros(shape: Any, dtype: np.dtype[Any]) -> Array:
    """An array of zeros.

    >>> float(zeros((300, 300), np.dtype("float64")).sum())
    0.0
    """
    if math.prod(shape) * dtype.itemsize < LARGE:
        return np.zeros(shape, dtype)
    made = empty(shape, dtype)
    made.fill(0)
    return made


def copy(a: Array) -> Array:
    """A copy in row-major order.

    >>> bool((copy(np.ones((300, 300))) == 1).all())
    True
    """
    if a.nbytes < LARGE:
        return a.copy()
    made = empty(a.shape, a.dtype)
    np.copyto(made, a)
    return made


def idle() -> int:
    """How many bytes are kept for arrays to come."""
    return sum(size * len(blocks) for size, blocks in list(_IDLE.items()))


class _Reference(weakref.ref[Array]):
    """To the array that lies in a block."""

    __slots__ = ("block",)
    block: memoryview


def _new_block(size: int) -> memoryview:
    raw: Any = np.empty(size + _ALIGN, np.uint8)
    start = -raw.ctypes.data % _ALIGN
    return memoryview(raw)[start : start + size]


def _give_back(reference: weakref.ref[Array]) -> None:
    """Called when the array in a block is gone."""
    made = _USED.pop(id(reference))
    size = made.block.nbytes
    if idle() + size <= LIMIT:
        _IDLE.setdefault(size, []).append(made.block)
