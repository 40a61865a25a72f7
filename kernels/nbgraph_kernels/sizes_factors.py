"""How much memory the drivers of `lapack_svd`, `lapack_qr` and `lapack_eigvalsh` need.

In:    sizes of a matrix, k the smaller one: ints, or anything that adds and multiplies with ints.
Out:   sizes in elements (of the unit named) or in bytes.
Holds: as in `sizes`: only `+` and `*`, inlined by compiled code. Every LWORK is at least what LAPACK's own query calls
       the best, for its blocks of at most 64 columns.
"""

from __future__ import annotations

from typing import Any

from .sizes import ITEMSIZE, matrix_bytes

REAL = ("f4", "f8")


def gesdd_values_work(m: Any, n: Any, k: Any) -> Any:
    """LWORK of xGESDD without vectors, in elements."""
    return 10 * k + 64 * (m + n)


def gesdd_work(m: Any, n: Any, k: Any) -> Any:
    """LWORK of xGESDD with vectors, in elements."""
    return 4 * k * k + 7 * k + 64 * (m + n)


def gesdd_real_work(m: Any, n: Any, k: Any) -> Any:
    """Length of RWORK of CGESDD and ZGESDD, in reals."""
    return 7 * k * k + 7 * k + 2 * m * n


def svdvals_workspace(dtype: str, m: Any, n: Any, k: Any) -> Any:
    """Bytes for `svd` without vectors: the matrix, the work arrays, then the integers."""
    return _svd_bytes(dtype, m, n, k, gesdd_values_work(m, n, k))


def svd_workspace(dtype: str, m: Any, n: Any, k: Any) -> Any:
    """Bytes for `svd`, the same with vectors."""
    return _svd_bytes(dtype, m, n, k, gesdd_work(m, n, k))


def _svd_bytes(dtype: str, m: Any, n: Any, k: Any, work: Any) -> Any:
    size = ITEMSIZE[dtype]
    reals = 0 if dtype in REAL else gesdd_real_work(m, n, k) * (size // 2)
    return matrix_bytes(dtype, n, m) + work * size + reals + 8 * k * 4


def qr_work(n: Any, p: Any) -> Any:
    """LWORK of xGEQRF for n columns and of xORGQR for p, in elements."""
    return 64 * (n + p)


def qr_workspace(dtype: str, m: Any, n: Any, p: Any) -> Any:
    """Bytes for `qr`: the matrix and the columns of q beyond it, the scalars of the reflectors, the work array."""
    return matrix_bytes(dtype, m, n + p) + (n + qr_work(n, p)) * ITEMSIZE[dtype]


def syevd_values_work(n: Any) -> Any:
    """LWORK of xSYEVD without vectors, in reals; LWORK of xHEEVD is no more."""
    return 1 + 66 * n


def eigvalsh_workspace(dtype: str, n: Any) -> Any:
    """Bytes for `eigvalsh`: the matrix, the work arrays, then the one integer."""
    size = ITEMSIZE[dtype]
    reals = 0 if dtype in REAL else (n + 1) * (size // 2)
    return matrix_bytes(dtype, n, n) + syevd_values_work(n) * size + reals + 4
