"""The kernels of `lapack_eig`, `lapack_schur` and `expm` again, in plain SciPy.

In:    arrays [..., n, n].
Out:   new C-contiguous arrays: of `eig` the same bits that the kernel gives, of the others the same to rounding errors.
Holds: the same drivers on the same layouts with the same LWORK. numba is not imported.
       A matrix that is not finite raises `numpy.linalg.LinAlgError`, but `expm` gives NaN.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.linalg

from . import sizes_functions as sizes

Array = np.ndarray[Any, Any]


def reference_eig(a: Array) -> tuple[Array, Array]:
    """Eigenvalues w [..., n] and right eigenvectors v [..., n, n], in columns, complex, by xGEEV."""
    code = np.result_type(a.dtype, np.complex64)
    w, v = np.empty(a.shape[:-1], code), np.empty(a.shape, code)
    if v.size:
        driver = _complex_geev if a.dtype.kind == "c" else _real_geev
        for index in np.ndindex(a.shape[:-2]):
            _check_finite(a[index])
            w[index], v[index], info = driver(np.asfortranarray(a[index]))
            _check(info, "the iteration did not converge")
    return w, v


def _complex_geev(a: Array) -> Any:
    (geev,) = scipy.linalg.get_lapack_funcs(("geev",), dtype=a.dtype)
    w, _, v, info = geev(a, compute_vl=0, compute_vr=1, lwork=sizes.geev_work(len(a)))
    return w, v, info


def _real_geev(a: Array) -> Any:
    (geev,) = scipy.linalg.get_lapack_funcs(("geev",), dtype=a.dtype)
    re, im, _, packed, info = geev(a, compute_vl=0, compute_vr=1, lwork=sizes.geev_work(len(a)))
    v = packed.astype(np.result_type(a.dtype, np.complex64))
    for j in np.flatnonzero(im > 0):  # two columns are the parts of a conjugate pair
        v[:, j] = packed[:, j] + 1j * packed[:, j + 1]
        v[:, j + 1] = v[:, j].conj()
    return re + 1j * im, v, info


def reference_schur(a: Array) -> tuple[Array, Array]:
    """Schur forms t and their vectors z, a = z t z^H, real of real matrices, by xGEES."""
    t, z = np.empty_like(a, order="C"), np.empty_like(a, order="C")
    if a.size:
        for index in np.ndindex(a.shape[:-2]):
            t[index], z[index] = _schur(a[index])
    return t, z


def reference_schur_lower(t: Array, m: Array, limits: Array, adjoint: bool) -> Array:
    """As the kernel `schur_lower`."""
    x, n = np.zeros_like(m, order="C"), m.shape[-1]
    for at in np.ndindex(m.shape[:-2]):
        y, s = x[at], t[at]
        for j in range(n - 1, -1, -1) if adjoint else range(n):
            for i in range(j + 1, n) if adjoint else range(n - 1, j, -1):
                gap = s[j, j] - s[i, i]
                if abs(gap) <= limits[at]:
                    continue
                if adjoint:
                    inner = slice(j + 1, i)
                    total = m[at][i, j] + s[inner, i].conj() @ y[inner, j] - y[i, inner] @ s[j, inner].conj()
                    y[i, j] = total / np.conj(gap)
                else:
                    total = m[at][i, j] - y[i, :j] @ s[:j, j] + s[i, i + 1 :] @ y[i + 1 :, j]
                    y[i, j] = total / gap
    return x


def reference_sqrtm(a: Array) -> Array:
    """The principal square root of every member of a batch of complex matrices."""
    x = np.empty_like(a, order="C")
    if x.size:
        for index in np.ndindex(a.shape[:-2]):
            t, z = _schur(a[index].T)
            x[index] = (z @ _triangular_root(t) @ z.conj().T).T
    return x


def _gauss_legendre(n: int) -> tuple[tuple[float, float], ...]:
    x, w = np.polynomial.legendre.leggauss(n)
    return tuple((float(node), float(weight)) for node, weight in zip((x + 1) / 2, w / 2, strict=True))


#: Nodes and weights on [0, 1]: log(1 + x) = int x / (1 + t x) dt; with twelve, to rounding errors for |x| < 0.5,
#: to 1e-6 for |x| < 10.
LOG_NODES = _gauss_legendre(12)


def reference_logm(a: Array) -> Array:
    """The principal logarithm of every member of a batch of complex matrices, as the operation `logm` says."""
    root, one = a, np.eye(a.shape[-1], dtype=a.dtype)
    for _ in range(3):
        root = reference_sqrtm(root)
    small = root - one
    x = np.zeros_like(a)
    for node, weight in LOG_NODES:
        x += 8 * weight * np.linalg.solve(one + node * small, small)
    power = reference_expm(x)
    ratio = np.linalg.solve(a, power)
    return (x + 2 * np.linalg.solve(one + ratio, one - ratio)).astype(a.dtype)


def _triangular_root(t: Array) -> Array:
    t, values = t.copy(), np.diagonal(t)
    limit = len(t) * np.finfo(t.dtype).eps * np.abs(values).max()
    for j, value in enumerate(values):
        # Eigenvalues that are negative up to rounding errors have the argument pi, not -pi.
        t[j, j] = np.sqrt(complex(value.real, 0) if value.real < 0 and abs(value.imag) <= limit else value)
        for i in range(j - 1, -1, -1):
            total = t[i, j] - t[i, i + 1 : j] @ t[i + 1 : j, j]
            both = t[i, i] + t[j, j]
            if both == 0 and total != 0:
                _check(j + 1, "there is no square root")
            t[i, j] = total / both if both != 0 else 0
    return t


def reference_sylvester(a: Array, b: Array, c: Array) -> Array:
    """x with a x + x b = c for every member of a batch of complex matrices, by xTRSYL."""
    x = np.empty_like(c, order="C")
    if x.size:
        (trsyl,) = scipy.linalg.get_lapack_funcs(("trsyl",), dtype=c.dtype)
        for index in np.ndindex(c.shape[:-2]):
            (tb, zb), (ta, za) = _schur(b[index].T), _schur(a[index].T)
            y, factor, info = trsyl(tb, ta, zb.conj().T @ c[index].T @ za)
            _check(info, "there is no one solution")
            x[index] = (zb @ y @ za.conj().T).T / factor
    return x


def _schur(a: Array) -> tuple[Array, Array]:
    _check_finite(a)
    (gees,) = scipy.linalg.get_lapack_funcs(("gees",), dtype=a.dtype)
    found = gees(lambda *_: None, np.asfortranarray(a), lwork=sizes.gees_work(len(a)), sort_t=0)
    _check(found[-1], "the iteration did not converge")
    return found[0], found[-3]


def reference_expm(a: Array) -> Array:
    """The exponential of every member of a batch."""
    x = np.full(a.shape, np.nan, a.dtype)
    for index in np.ndindex(a.shape[:-2]):
        if a[index].size and np.isfinite(a[index]).all():
            x[index] = scipy.linalg.expm(a[index])
    return x


def _check_finite(a: Array) -> None:
    if not np.isfinite(a).all():
        _check(len(a) + 1, "the matrix has infinities or NaN")


def _check(info: int, failure: str) -> None:
    if info:
        error = np.linalg.LinAlgError(f"{failure} (LAPACK info {info})")
        error.info = info  # type: ignore[attr-defined]
        raise error
