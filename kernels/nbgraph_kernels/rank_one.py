"""Adding an outer product to a matrix, without machine code of our own: what the first tier does where it is large.

In:    a matrix and two vectors of float32, float64, complex64 or complex128.
Out:   nothing; the matrix is written to.
Holds: BLAS xGER (xGERU) called in place: memory is gone through once, and the product is nowhere by itself. numba is
       not imported.
"""

from __future__ import annotations

import ctypes
from functools import cache
from typing import Any

import numpy as np

from .pointers import address

Array = np.ndarray[Any, Any]

_ROUTINES = {"f4": "sger", "f8": "dger", "c8": "cgeru", "c16": "zgeru"}
_int = ctypes.c_int32


def takes(total: Array) -> bool:
    """Whether `add_outer` can add to this matrix."""
    return total.dtype.str[1:] in _ROUTINES and total.flags.c_contiguous and max(total.shape) < 2**31


def add_outer(total: Array, x: Array, y: Array) -> None:
    """total[i, j] += x[i] * y[j]; `total` as `takes` has it, of the vectors' dtype and sizes."""
    if not total.size:
        return
    ger, one = _routine(total.dtype.str[1:])
    x, y = np.ascontiguousarray(x), np.ascontiguousarray(y)
    m, n, unit = _int(len(y)), _int(len(x)), _int(1)  # row-major here is column-major there, transposed
    by = ctypes.byref
    ger(by(m), by(n), one.ctypes.data, y.ctypes.data, by(unit), x.ctypes.data, by(unit), total.ctypes.data, by(m))


@cache
def _routine(code: str) -> tuple[Any, Array]:
    """The routine, and the factor 1."""
    return ctypes.CFUNCTYPE(None, *[ctypes.c_void_p] * 9)(address(_ROUTINES[code])), np.ones(1, code)
