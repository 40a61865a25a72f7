"""Where a NumPy array object keeps the address of its data, and how many words of a call are put on the stack.

In:    nothing. Out: a byte offset, for the kernel `entry`; a number. Holds: the compiler is not imported.
"""

from __future__ import annotations

import ctypes
from functools import cache

import numpy as np

ENTRY_WORDS = 256
"""So many words at most are on the stack: the arrays of a call, and sizes. Programs with more go another way."""

_SEARCHED_WORDS = 8
"""The address follows the object's head, which is 2 words, and more in some builds of Python."""


@cache
def array_data_offset() -> int:
    """Byte offset of the data address inside an array object: 16 on CPython.

    Found by looking for the known addresses of three arrays at the same place in their objects. Raises
    `RuntimeError` if there is none: then `entry` must not be used.
    """
    arrays = [np.empty(size) for size in (1, 2, 3)]
    for offset in range(0, 8 * _SEARCHED_WORDS, 8):
        if all(_word(id(array) + offset) == array.__array_interface__["data"][0] for array in arrays):
            return offset
    raise RuntimeError("this Python keeps no data address inside its array objects")


def _word(address: int) -> int:
    return ctypes.c_uint64.from_address(address).value
