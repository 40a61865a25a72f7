"""The kernels of `lapack_svd`, `lapack_qr`, `lapack_triangular` and `lapack_eigvalsh` again, in plain SciPy.

In:    arrays [..., m, n] of float32, float64, complex64 or complex128.
Out:   new C-contiguous arrays, the same bits that the kernels give.
Holds: the same routines on the same layouts with the same LWORK; small spectra go to `references_small`. numba is not
       imported.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

import numpy as np

from . import references_small
from . import sizes_factors as sizes
from .references import _check, driver
from .sizes import SMALL, SMALL_VALUES

Array = np.ndarray[Any, Any]


def _smaller(a: Array) -> int:
    return min(a.shape[-2:])


def reference_svd(a: Array, full: bool) -> tuple[Array, Array, Array]:
    """u [..., m, k], s [..., k] descending and vh [..., k, n] of a [..., m, n], by xGESDD; k is min(m, n).

    With `full` u is [..., m, m] and vh [..., n, n]. Raises `numpy.linalg.LinAlgError` if the driver does not converge,
    or finds a NaN.
    """
    *batch, m, n = a.shape
    k = _smaller(a)
    u = np.empty((*batch, m, m if full else k), a.dtype)
    s, vh = np.empty((*batch, k), a.real.dtype), np.empty((*batch, n if full else k, n), a.dtype)
    if not k:
        u[...], vh[...] = np.eye(*u.shape[-2:]), np.eye(*vh.shape[-2:])
        return u, s, vh
    small = max(m, n) <= SMALL and (m == n or not full)
    if small and references_small.pays("svd", a):
        info, u, s, vh = references_small.svd(a, 1)
        _check(info, "singular values did not converge")
        return u, s, vh
    lwork = sizes.gesdd_work(m, n, k)
    for index in np.ndindex(*batch):
        if small and references_small.singular(a[index], s[index], u[index], vh[index]):
            continue
        _check(0 if np.isfinite(a[index]).all() else -4, "singular values did not converge")
        left, s[index], right, info = driver("gesdd", a)(np.ascontiguousarray(a[index]).T, 1, full, lwork)
        _check(info, "singular values did not converge")
        u[index], vh[index] = right.T, left.T
    return u, s, vh


def reference_svdvals(a: Array) -> Array:
    """Singular values s [..., k], descending, of a [..., m, n], by xGESDD. Raises as `reference_svd`."""
    *batch, m, n = a.shape
    k = _smaller(a)
    s = np.empty((*batch, k), a.real.dtype)
    small = max(m, n) <= SMALL_VALUES
    if s.size and small and references_small.pays("svd", a):
        info, _, s, _ = references_small.svd(a, 0)
        _check(info, "singular values did not converge")
    elif s.size:
        lwork = sizes.gesdd_values_work(m, n, k)
        for index in np.ndindex(*batch):
            if small and references_small.singular(a[index], s[index]):
                continue
            _check(0 if np.isfinite(a[index]).all() else -4, "singular values did not converge")
            _, s[index], _, info = driver("gesdd", a)(np.ascontiguousarray(a[index]).T, 0, 0, lwork)
            _check(info, "singular values did not converge")
    return s


def reference_eigvalsh(a: Array) -> Array:
    """Eigenvalues w [..., n], ascending, by xSYEVD or xHEEVD. Reads the lower triangle of a [..., n, n].

    Raises `numpy.linalg.LinAlgError` if the driver does not converge.
    """
    w, n = np.empty(a.shape[:-1], a.real.dtype), a.shape[-1]
    small = n <= SMALL_VALUES
    if w.size and small and references_small.pays("eigvalsh", a):
        info, w = references_small.eigvalsh(a)
        _check(info, "eigenvalues did not converge")
    elif w.size:
        is_complex = a.dtype.kind == "c"
        name, lengths = "heevd" if is_complex else "syevd", {"lwork": sizes.syevd_values_work(n)}
        lengths |= {"liwork": 1, "lrwork": n} if is_complex else {"liwork": 1}
        for index in np.ndindex(a.shape[:-2]):
            if small and references_small.hermitian(a[index], w[index]):
                continue
            _check(0 if np.isfinite(np.tril(a[index])).all() else n, "eigenvalues did not converge")
            w[index], _, info = driver(name, a)(np.ascontiguousarray(a[index]).T, compute_v=0, lower=0, **lengths)
            _check(info, "eigenvalues did not converge")
    return w


def reference_cholesky(a: Array) -> Array:
    """Lower triangular l with a = l l^H, by xPOTRF. Reads the lower triangle of a [..., n, n].

    Raises `numpy.linalg.LinAlgError` if a matrix is not positive definite; its `info` is LAPACK's.
    """
    factor = np.empty_like(a, order="C")
    if factor.size:
        potrf = driver("potrf", a)
        for index in np.ndindex(a.shape[:-2]):
            upper, info = potrf(np.ascontiguousarray(a[index]).T, lower=0, clean=1)
            _check(info, "not positive definite")
            factor[index] = upper.T
    return factor


def reference_cholesky_ex(a: Array) -> tuple[Array, Array]:
    """(l, info): as `reference_cholesky`, but where a matrix fails l is NaN, and info, int32 [...], LAPACK's number."""
    factor, info = np.empty_like(a, order="C"), np.zeros(a.shape[:-2], np.int32)
    if factor.size:
        potrf = driver("potrf", a)
        for index in np.ndindex(a.shape[:-2]):
            upper, info[index] = potrf(np.ascontiguousarray(a[index]).T, lower=0, clean=1)
            factor[index] = np.nan if info[index] else upper.T
    return factor, info


def reference_solve_triangular(t: Array, b: Array, lower: bool, adjoint: bool, unit: bool) -> Array:
    """x with op(T) x = b, by xTRSM; T is a triangle of t [..., n, n], op(T) is T or T^H, b is [..., n, nrhs].

    The diagonal is taken to be ones if `unit`. Raises `numpy.linalg.LinAlgError` if there is a 0 on it otherwise; its
    `info` says where, from 1.
    """
    x = np.empty_like(b, order="C")
    if x.size:
        (trsm,) = import_module("scipy.linalg").get_blas_funcs(("trsm",), dtype=t.dtype)
        form = {"side": 1, "lower": not lower, "trans_a": 2 if adjoint else 0, "diag": unit}
        for index in np.ndindex(t.shape[:-2]):
            zeros = np.flatnonzero(np.diagonal(t[index]) == 0)
            _check(0 if unit or not zeros.size else int(zeros[0]) + 1, "singular matrix")
            x[index] = trsm(1, np.ascontiguousarray(t[index]).T, np.ascontiguousarray(b[index]).T, **form).T
    return x


def reference_qr(a: Array, complete: bool) -> tuple[Array, Array]:
    """q [..., m, p] and upper triangular r [..., p, n] of a [..., m, n], by xGEQRF and xORGQR or xUNGQR.

    p is min(m, n), or m if `complete`.
    """
    *batch, m, n = a.shape
    k = _smaller(a)
    p = m if complete else k
    q, r = np.empty((*batch, m, p), a.dtype), np.empty((*batch, p, n), a.dtype)
    if not k:
        q[...] = np.eye(m, p)
        return q, r
    geqrf, orgqr, lwork = driver("geqrf", a), driver("orgqr", a), sizes.qr_work(n, p)
    for index in np.ndindex(*batch):
        packed, scalars, _, info = geqrf(np.asfortranarray(a[index]), lwork)
        _check(info, "wrong argument")
        r[index] = np.triu(packed[:p])
        reflectors = np.zeros((m, p), a.dtype, order="F")
        reflectors[:, :k] = packed[:, :k]
        q[index], _, info = orgqr(reflectors, scalars, lwork)
        _check(info, "wrong argument")
    return q, r
