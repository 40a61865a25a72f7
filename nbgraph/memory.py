"""Memory of large arrays, used again when an array is gone.

In: a shape and a dtype. Out: a C-contiguous array that shares memory with no other one that is alive.
Holds: a large array's memory comes back when nothing refers to the array any more, and the next one of about its size
gets it. At most `KEPT` bytes of each size, or one array, wait for that, and one array of all sizes above `COMMON`
together. Why: the system gives a process pages of zeros
one by one, at 2 to 3 microseconds for 4 KB where this was measured; what is computed into them takes a fifth of that.
"""

from __future__ import annotations

import math
import sys
from collections import deque
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]

#: Smaller arrays are NumPy's affair, whose memory the C library keeps; larger ones are rare and would keep much.
SMALLEST, LARGEST = 2**17, 2**28
KEPT, COMMON = 2**25, 2**26
_ALIGN = 64


def size_for(nbytes: int) -> int:
    """The size of the memory for so many bytes: one of four between powers of 2."""
    step = 1 << ((nbytes - 1).bit_length() - 3)
    return -(-nbytes // step) * step


_SIZES = (SMALLEST, *(2**k // 8 * m for k in range(SMALLEST.bit_length(), LARGEST.bit_length()) for m in (5, 6, 7, 8)))
#: Memory that waits and its aligned address, by size. Appending to a full deque drops the oldest: no lock is needed, so
#: that arrays may die anywhere.
_WAITING: dict[int, deque[tuple[Array, int]]] = {size: deque(maxlen=max(KEPT // size, 1)) for size in _SIZES}
_ONE: deque[tuple[Array, int]] = deque(maxlen=1)
_WAITING |= {size: _ONE for size in _SIZES if size > COMMON}


class Block:
    """Memory lent to one array, whose `base` it is. It cannot be written to by another way."""

    __slots__ = ("__array_interface__", "_memory", "_size")

    def __init__(self, size: int, shape: tuple[Any, ...], dtype: np.dtype[Any]) -> None:
        self._size = size
        try:
            self._memory = _WAITING[size].pop()
            if size > COMMON and self._memory[0].size != size + _ALIGN:  # of another size: it is given back
                del self._memory
                self._memory = _fresh(size)
        except IndexError:
            self._memory = _fresh(size)
        data = (self._memory[1], False)
        self.__array_interface__ = {"version": 3, "shape": shape, "typestr": dtype.str, "data": data}

    def __del__(self, waiting: Any = _WAITING) -> None:
        memory = getattr(self, "_memory", None)  # there was none to be had, or Ctrl-C came first
        if memory is not None:
            waiting[self._size].append(memory)


def _fresh(size: int) -> tuple[Array, int]:
    try:
        made = np.empty(size + _ALIGN, np.uint8)
    except MemoryError:
        release()
        made = np.empty(size + _ALIGN, np.uint8)
    start = made.ctypes.data
    return made, start + -start % _ALIGN


def empty(shape: tuple[Any, ...], dtype: np.dtype[Any]) -> Array:
    """As `numpy.empty`."""
    nbytes = dtype.itemsize
    for d in shape:
        nbytes *= d
    if not SMALLEST <= nbytes <= LARGEST:
        if nbytes > sys.maxsize:
            raise MemoryError(
                f"an array of shape {shape} and data type {dtype} has more bytes than there are addresses"
            )
        return np.empty(shape, dtype)
    return np.asarray(Block(size_for(nbytes), shape, dtype))


def allocator(shape: tuple[Any, ...], dtype: np.dtype[Any]) -> Any:
    """`numpy.empty` or `empty`, whichever arrays of this kind get their memory from."""
    return empty if SMALLEST <= math.prod(shape) * dtype.itemsize <= LARGEST else np.empty


def zeros(shape: tuple[Any, ...], dtype: np.dtype[Any]) -> Array:
    """As `numpy.zeros`."""
    made = empty(shape, dtype)
    if made.base is None:
        return np.zeros(shape, dtype)
    made.fill(0)
    return made


def copy(a: Array) -> Array:
    """As `numpy.array(a, order="C")`."""
    if a.nbytes < SMALLEST:
        return a.copy()
    made = empty(a.shape, a.dtype)
    made[...] = a
    return made


def is_own(a: Array) -> bool:
    """Whether an array owns its memory, or is what a block was lent to: no view of another one."""
    base: Any = a.base
    return base is None or type(base) is Block


def release() -> None:
    """Gives memory that waits back to the system."""
    for waiting in _WAITING.values():
        waiting.clear()
