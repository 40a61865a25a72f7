"""Machine code as a builtin function of Python.

In:    the address of `PyObject* f(PyObject* self, PyObject** arguments, Py_ssize_t count)`, and what `self` is.
Out:   a function; addresses of what such code calls in Python, NumPy and C.
Holds: a call of the function costs what one of Python's own costs: no tuple is made, and the global interpreter lock
       stays held. CPython with that lock, on systems with `clock_gettime`; `AVAILABLE` says whether this is one. numba
       is not imported.
"""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Sequence
from functools import cache
from typing import Any

from .arrays import array_data_offset

#: In which order a template holds the addresses: see `builtin`.
CALLED = (
    "PyList_New",
    "PyList_SetItem",
    "PyLong_FromLongLong",
    "Py_IncRef",
    "Py_DecRef",
    "PyArray_Empty",
    "clock_gettime",
)

_EMPTY = 184
"""The place of `PyArray_Empty` in NumPy's table of functions, which only ever grows."""

_FASTCALL = 0x0080
"""`METH_FASTCALL`."""


class _MethodDef(ctypes.Structure):
    """`PyMethodDef`."""

    _fields_ = (
        ("name", ctypes.c_char_p),
        ("function", ctypes.c_void_p),
        ("flags", ctypes.c_int),
        ("doc", ctypes.c_char_p),
    )


@cache
def addresses() -> tuple[int, ...]:
    """Of the functions `CALLED`. Raises `LookupError` where one cannot be had."""
    if not AVAILABLE:
        raise LookupError("this Python cannot be given builtin functions")
    found = addresses_of(CALLED[:5])
    clock = ctypes.cast(ctypes.CDLL(None).clock_gettime, ctypes.c_void_p).value
    return (*found, _array_function(_EMPTY), int(clock or 0))


def addresses_of(names: Sequence[str]) -> list[int]:
    """Of functions of Python's C interface."""
    return [int(ctypes.cast(getattr(ctypes.pythonapi, name), ctypes.c_void_p).value or 0) for name in names]


def builtin_function(address: int, self: Any, *needed: Any) -> Any:
    """The machine code at `address` as a function, which keeps `self` and what else is `needed` alive."""
    make = ctypes.pythonapi.PyCFunction_NewEx
    make.argtypes, make.restype = [ctypes.c_void_p, ctypes.py_object, ctypes.py_object], ctypes.py_object
    return make(ctypes.addressof(_definition(address)), self, needed)


@cache
def _definition(address: int) -> _MethodDef:
    """Functions point to it, so it is kept for good."""
    return _MethodDef(b"program", address, _FASTCALL, None)


def _array_function(place: int) -> int:
    """The address of a function of NumPy's C interface."""
    multiarray: Any = sys.modules["numpy._core._multiarray_umath"]
    pointer_of = ctypes.pythonapi.PyCapsule_GetPointer
    pointer_of.restype, pointer_of.argtypes = ctypes.c_void_p, [ctypes.py_object, ctypes.c_char_p]
    table = ctypes.cast(pointer_of(multiarray._ARRAY_API, None), ctypes.POINTER(ctypes.c_void_p))
    return int(table[place] or 0)


def _is_available() -> bool:
    if sys.implementation.name != "cpython" or not getattr(sys, "_is_gil_enabled", lambda: True)():
        return False
    try:
        array_data_offset()
        return hasattr(ctypes.CDLL(None), "clock_gettime")
    except (OSError, TypeError, RuntimeError):
        return False


AVAILABLE = _is_available()
