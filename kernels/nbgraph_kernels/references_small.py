"""Small factorisations by the kernels' own code: it is not LAPACK's, and factors are not unique.

In:    matrices of float32, float64, complex64 or complex128, of sizes that `small_hermitian` and `small_singular` deal
       with; for one, C-contiguous arrays that its factors are written into.
Out:   of a batch, new C-contiguous arrays by the kernel; of one matrix, whether the own code dealt with it. The same
       bits either way: its arithmetic is IEEE 754's, operation by operation.
Holds: the kernel is compiled when what Python computed instead has taken a good part of the time of that, so that a
       first small problem needs no compiler (docs/design/0033).
"""

from __future__ import annotations

import ctypes
from functools import cache
from importlib import import_module
from typing import Any

import numpy as np

from . import registry
from .locks import lock
from .pointers import address

Array = np.ndarray[Any, Any]

_FUNCTION = ctypes.CFUNCTYPE(ctypes.c_int64, ctypes.c_void_p)
_ENOUGH = 50_000
"""Python takes 2 to 4 microseconds for each of `_steps`, compiling .3 s: half as much again at worst."""
_LOCK = lock()
_DONE: dict[tuple[str, str], int] = {}


def pays(kernel: str, a: Array) -> bool:
    """Whether a batch is one for the kernel: there it is, or Python has done enough with this one."""
    key = kernel, _code(a)
    if registry.is_made(*key):
        return True
    with _LOCK:
        _DONE[key] = _DONE.get(key, 0) + _steps(a)
        return _DONE[key] > _ENOUGH


def _steps(a: Array) -> int:
    return a.size * (max(a.shape[-2:]) + 8)


# -- a batch, by the kernel -------------------------------------------------------------------------------------------


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


# -- one matrix, by Python --------------------------------------------------------------------------------------------


def hermitian(a: Array, w: Array, v: Array | None = None) -> bool:
    """Eigenvalues to w, and eigenvectors to v; False, and nothing written, for what is LAPACK's to do."""
    a, run = np.ascontiguousarray(a), _hermitian(_code(a), v is not None)
    return bool(run(w.ctypes.data, w.ctypes.data if v is None else v.ctypes.data, a.ctypes.data, len(a)))


def singular(a: Array, s: Array, u: Array | None = None, vh: Array | None = None) -> bool:
    """The same for singular values and vectors."""
    a, run = np.ascontiguousarray(a), _singular(_code(a))
    places = [s.ctypes.data if each is None else each.ctypes.data for each in (u, s, vh, a)]
    return bool(run(*places, *a.shape, 0 if u is None else 1))


@cache
def _hermitian(code: str, wanted: bool) -> Any:
    return import_module(".small_hermitian", __package__).hermitian(code, wanted)


@cache
def _singular(code: str) -> Any:
    return import_module(".small_singular", __package__).singular(code)
