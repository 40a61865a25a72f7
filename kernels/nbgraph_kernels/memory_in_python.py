"""What kernels' pointers and stack mean where Python itself runs them.

In:    addresses; counts of bytes.
Out:   objects whose `p[i]` reads and writes element i, unchecked; addresses of memory that lives as they do.
Holds: elements are Python's numbers, of which those of single precision are rounded when they are written.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from typing import Any

_MOST = 2**24
_NUMBERS: dict[str, Any] = {"f4": ctypes.c_float * _MOST, "f8": ctypes.c_double * _MOST, "i8": ctypes.c_int64 * _MOST}


class Complexes:
    """Complex numbers, as pairs of real ones."""

    __slots__ = ("parts",)

    def __init__(self, parts: Any) -> None:
        self.parts = parts

    def __getitem__(self, k: int) -> complex:
        return complex(self.parts[2 * k], self.parts[2 * k + 1])

    def __setitem__(self, k: int, z: complex) -> None:
        self.parts[2 * k], self.parts[2 * k + 1] = z.real, z.imag


class Reserved(int):
    """An address of memory, which is there as long as this number."""

    memory: Any


def pointer(dtype: str) -> Callable[[int], Any] | None:
    """Make the function from an address to a pointer; None for dtypes that no kernel needs here."""
    if dtype in ("c8", "c16"):
        parts = _NUMBERS["f4" if dtype == "c8" else "f8"]
        return lambda address: Complexes(parts.from_address(address))
    return _NUMBERS[dtype].from_address if dtype in _NUMBERS else None


def stack(size: int) -> Callable[[], int]:
    """Make the function that reserves memory."""

    def reserve() -> int:
        memory = ctypes.create_string_buffer(size)
        address = Reserved(ctypes.addressof(memory))
        address.memory = memory
        return address

    return reserve
