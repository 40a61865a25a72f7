"""The LAPACK kernels again, in plain SciPy: what runs before anything is compiled, and what tests compare
with.

In:    arrays [..., n, n] and [..., n, nrhs] of float32, float64, complex64 or complex128.
Out:   new C-contiguous arrays, the same bits that the kernels give.
Holds: the same drivers, column-major copies and LWORK as in `lapack`; small eigenvalue problems go to
       `references_small`. numba is not imported.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

import numpy as np

from . import references_small, sizes

Array = np.ndarray[Any, Any]


def driver(name: str, a: Array) -> Any:
    """SciPy's LAPACK routine for a matrix; SciPy's linear algebra is imported by the first that is asked for."""
    return import_module("scipy.linalg").get_lapack_funcs((name,), dtype=a.dtype)[0]


def reference_solve(a: Array, b: Array) -> Array:
    """Solve a x = b for every member of a batch, by xGESV.

    a [..., n, n], b [..., n, nrhs], of one dtype and with the same batch; gives x, shaped as b.
    Raises `numpy.linalg.LinAlgError` if a matrix is singular; its `info` is LAPACK's.
    """
    x = np.empty_like(b, order="C")
    if not x.size:
        return x
    gesv = driver("gesv", a)
    for index in np.ndindex(a.shape[:-2]):
        _, _, x[index], info = gesv(np.asfortranarray(a[index]), np.asfortranarray(b[index]))
        _check(info, "singular matrix")
    return x


def reference_eigh(a: Array) -> tuple[Array, Array]:
    """Eigenvalues w [..., n], ascending, and eigenvectors v [..., n, n], in columns, by xSYEVD or xHEEVD.

    Reads the lower triangle of a [..., n, n]. Raises `numpy.linalg.LinAlgError` if the driver does not
    converge.
    """
    w, v = np.empty(a.shape[:-1], a.real.dtype), np.empty_like(a, order="C")
    if not v.size:
        return w, v
    small = a.shape[-1] <= sizes.SMALL
    if small and references_small.pays("eigh", a):
        info, w, v = references_small.eigh(a)
        _check(info, "eigenvalues did not converge")
        return w, v
    evd = _heevd if a.dtype.kind == "c" else _syevd
    for index in np.ndindex(a.shape[:-2]):
        if small and references_small.hermitian(a[index], w[index], v[index]):
            continue
        _check(0 if np.isfinite(np.tril(a[index])).all() else len(a[index]), "eigenvalues did not converge")
        w[index], v[index], info = evd(np.asfortranarray(a[index]))
        _check(info, "eigenvalues did not converge")
    return w, v


def _syevd(a: Array) -> Any:
    n = len(a)
    return driver("syevd", a)(a, compute_v=1, lower=1, lwork=sizes.syevd_work(n), liwork=sizes.evd_integer_work(n))


def _heevd(a: Array) -> Any:
    n = len(a)
    lengths = {
        "lwork": sizes.heevd_work(n),
        "lrwork": sizes.heevd_real_work(n),
        "liwork": sizes.evd_integer_work(n),
    }
    return driver("heevd", a)(a, compute_v=1, lower=1, **lengths)


def _check(info: int, failure: str) -> None:
    if info:
        error = np.linalg.LinAlgError(f"{failure} (LAPACK info {info})")
        error.info = info  # type: ignore[attr-defined]
        raise error
