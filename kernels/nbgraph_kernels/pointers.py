"""Addresses of the BLAS and LAPACK routines and of the special functions that SciPy carries.

In:    a routine's name ("dgemm"), or a special function's ("special.digamma").
Out:   its address, as an int.
Holds: numba is not imported. Arguments of routines go by reference, integers are 32 bit, and characters have
       no hidden lengths. A special function is `double f(double, ..., int)`: Cython's last argument is 0. It
       neither raises nor needs the GIL.
"""

from __future__ import annotations

import ctypes
import re
from functools import cache
from typing import Any

_name_of = ctypes.pythonapi.PyCapsule_GetName
_name_of.restype, _name_of.argtypes = ctypes.c_char_p, [ctypes.py_object]
_pointer_of = ctypes.pythonapi.PyCapsule_GetPointer
_pointer_of.restype, _pointer_of.argtypes = ctypes.c_void_p, [ctypes.py_object, ctypes.c_char_p]


@cache
def _capsules() -> dict[str, Any]:
    """Every routine's capsule; BLAS comes before LAPACK where both have a name."""
    from scipy.linalg import cython_blas, cython_lapack

    return {**cython_lapack.__pyx_capi__, **cython_blas.__pyx_capi__}


@cache
def _special_functions() -> dict[str, Any]:
    """The capsules of real functions in double precision; of one for several types, by its own name."""
    from scipy.special import cython_special

    found = {}
    for name, capsule in cython_special.__pyx_capi__.items():
        result, _, arguments = _name_of(capsule).decode().partition(" (")
        if result == "double" and set(arguments.split(", ")[:-1]) == {"double"}:
            found[re.sub(r"^__pyx_fuse_\d+", "", name)] = capsule
    return found


@cache
def address(routine: str) -> int:
    """The address of `routine`, a lower-case name with its type letter, or "special." and a function's name.

    Raises `LookupError` if there is none.
    """
    family, _, name = routine.rpartition(".")
    capsule = (_special_functions() if family == "special" else _capsules()).get(name)
    if capsule is None:
        raise LookupError(f"SciPy has no routine {routine!r}")
    return int(_pointer_of(capsule, _name_of(capsule)))
