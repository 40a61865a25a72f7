"""Small factorisations by the kernels themselves: they are not LAPACK's, and factors are not unique.

In:    arrays [..., m, n] of float32, float64, complex64 or complex128, of sizes that `small_hermitian` and
       `small_singular` deal with.
Out:   new C-contiguous arrays, the same bits that the kernels give.
Holds: the kernel is compiled at its first use. numba is not imported.
"""

from __future__ import annotations

import ctypes
from typing import Any

import numpy as np

from . import registry
from .pointers import address

Array = np.ndarray[Any, Any]

_FUNCTION = ctypes.CFUNCTYPE(ctypes.c_int64, ctypes.c_void_p)


def eigh(a: Array) -> tuple[int, Array, Array]:
    """LAPACK's info, w and v of `references.reference_eigh`."""
    a, n = np.ascontiguousarray(a), a.shape[-1]
    w, v = np.empty(a.shape[:-1], a.real.dtype), np.empty_like(a)
    return _run("eigh", [w, v, a], a.size // (n * n), n, registry.workspace("eigh", _code(a), n)), w, v


def eigvalsh(a: Array) -> tuple[int, Array]:
    """LAPACK's info, and w of `references_factors.reference_eigvalsh`."""
    a, n = np.ascontiguousarray(a), a.shape[-1]
    w = np.empty(a.shape[:-1], a.real.dtype)
    return _run("eigvalsh", [w, a], a.size // (n * n), n, registry.workspace("eigvalsh", _code(a), n)), w


def svd(a: Array, job: int) -> tuple[int, Array, Array, Array]:
    """LAPACK's info, u, s and vh; job is 0 for s alone (u and vh are then of no size), 1 for the thin form."""
    a = np.ascontiguousarray(a)
    *batch, m, n = a.shape
    k = min(m, n)
    inner = k if job else 0
    u, vh = np.empty((*batch, m, inner), a.dtype), np.empty((*batch, inner, n), a.dtype)
    s = np.empty((*batch, k), a.real.dtype)
    words = a.size // (m * n), m, n, k, job, registry.workspace("svd", _code(a), m, n, k)
    return _run("svd", [u, s, vh, a], *words), u, s, vh


def _code(a: Array) -> str:
    return f"{a.dtype.kind}{a.dtype.itemsize}"


def _run(name: str, arrays: list[Array], *words: int) -> int:
    """The status of a call with a workspace, whose size is the last word; the last array's dtype is the kernel's."""
    made = registry.kernel(name, _code(arrays[-1]))
    memory = np.empty(words[-1], np.uint8)
    places = [each.ctypes.data for each in (*arrays, memory)]
    table = np.array([*map(address, made.externals), *places[:-1], *words[:-1], places[-1]], np.int64)
    return int(_FUNCTION(made.address)(table.ctypes.data))
