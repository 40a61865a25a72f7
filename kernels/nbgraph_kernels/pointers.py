"""Addresses of the BLAS and LAPACK routines that SciPy carries.

In:    a routine's name ("dgemm").
Out:   its address, as an int.
Holds: numba is not imported. Arguments go by reference, integers are 32 bit, and characters have no hidden
       lengths.
"""

from __future__ import annotations

import ctypes
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
def address(routine: str) -> int:
    """The address of `routine`, a lower-case name with its type letter. Raises `LookupError` if there is none."""
    capsule = _capsules().get(routine)
    if capsule is None:
        raise LookupError(f"SciPy has no BLAS or LAPACK routine {routine!r}")
    return int(_pointer_of(capsule, _name_of(capsule)))
