"""The kernels of `lapack_banded` again, in plain SciPy.

In:    bands [..., r, n] and right-hand sides [..., n, k] of float32, float64, complex64 or complex128.
Out:   new C-contiguous arrays, the same bits that the kernels give.
Holds: the same routines on the same layouts. numba is not imported.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.linalg

from .references import _check

Array = np.ndarray[Any, Any]


def _driver(name: str, a: Array) -> Any:
    return scipy.linalg.get_lapack_funcs((name,), dtype=a.dtype)[0]


def reference_banded_solve(ab: Array, b: Array, above: int) -> Array:
    """x with a x = b. Raises `numpy.linalg.LinAlgError` if a matrix is singular."""
    x = np.empty(b.shape, b.dtype)
    if x.size:
        gbsv, (rows, n) = _driver("gbsv", ab), ab.shape[-2:]
        below = rows - 1 - above
        for index in np.ndindex(ab.shape[:-2]):
            band = np.zeros((2 * below + above + 1, n), ab.dtype, order="F")
            band[below:] = ab[index]
            _, _, x[index], info = gbsv(below, above, band, np.asfortranarray(b[index]))
            _check(info, "singular matrix")
    return x


def reference_banded_definite_solve(ab: Array, b: Array, below: bool) -> Array:
    """x with a x = b. Raises `numpy.linalg.LinAlgError` if a matrix is not positive definite."""
    x = np.empty(b.shape, b.dtype)
    if x.size:
        pbsv = _driver("pbsv", ab)
        for index in np.ndindex(ab.shape[:-2]):
            _, x[index], info = pbsv(np.asfortranarray(ab[index]), np.asfortranarray(b[index]), lower=below)
            _check(info, "not positive definite")
    return x


def reference_banded_cholesky(ab: Array, below: bool) -> Array:
    """The factor, 0 where the band leaves the matrix. Raises as `reference_banded_definite_solve`."""
    c = np.empty(ab.shape, ab.dtype)
    rows, n = ab.shape[-2:]
    if c.size:
        pbtrf = _driver("pbtrf", ab)
        row, column = np.arange(rows)[:, None], np.arange(n)
        inside = column + row < n if below else column >= rows - 1 - row
        for index in np.ndindex(ab.shape[:-2]):
            factor, info = pbtrf(np.asfortranarray(ab[index]), lower=below)
            _check(info, "not positive definite")
            c[index] = np.where(inside, factor, 0)
    return c
