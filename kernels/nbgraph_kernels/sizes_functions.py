"""How much memory the kernels of `lapack_eig`, `lapack_schur` and `expm` need.

In:    sizes of matrices: ints, or anything that adds and multiplies with ints.
Out:   sizes in elements, or in bytes.
Holds: as `sizes`. LWORK is what blocked code takes with blocks of up to 64 (LAPACK asks for the block size at run time,
       and results depend on LWORK, so it is fixed here): xGEHRD needs 64 n + 65 * 64 beside what its caller keeps.
"""

from __future__ import annotations

from typing import Any

from .sizes import ITEMSIZE


def geev_work(n: Any) -> Any:
    """LWORK of xGEEV with right eigenvectors, in elements."""
    return 68 * n + 4160


def gees_work(n: Any) -> Any:
    """LWORK of xGEES with vectors, in elements."""
    return 66 * n + 4160


def eig_workspace(dtype: str, n: Any) -> Any:
    """Bytes for `eig`: the matrix, the vectors, of a real matrix the parts of the values, the work arrays."""
    return (2 * n * n + 2 * n + geev_work(n)) * ITEMSIZE[dtype]


def schur_workspace(dtype: str, n: Any) -> Any:
    """Bytes for `schur`: the form, its vectors, the values, the work arrays."""
    return (2 * n * n + 2 * n + gees_work(n)) * ITEMSIZE[dtype]


def sqrtm_workspace(dtype: str, n: Any) -> Any:
    """Bytes for `sqrtm`: the Schur form, its vectors, a product, the values, the work arrays."""
    return (3 * n * n + 2 * n + gees_work(n)) * ITEMSIZE[dtype]


def sylvester_workspace(dtype: str, m: Any, n: Any) -> Any:
    """Bytes for `sylvester`: both Schur forms with their vectors, two products, and what the larger form needs."""
    return (2 * m * m + 2 * n * n + 2 * m * n + 2 * (m + n) + gees_work(m + n)) * ITEMSIZE[dtype]


def expm_workspace(dtype: str, n: Any) -> Any:
    """Bytes for `expm`: the matrix and three powers, numerator and denominator, the pivots."""
    return 6 * n * n * ITEMSIZE[dtype] + n * 4
