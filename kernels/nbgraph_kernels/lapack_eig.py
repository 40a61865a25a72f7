"""Batched eigenvalues and right eigenvectors of general matrices.

In:    words after the external's address: w, v, a, nbatch, n, workspace; w [nbatch, n] and v [nbatch, n, n] complex, a
       [nbatch, n, n] real or complex, C-contiguous; the size of the workspace is `sizes_functions.eig_workspace`.
Out:   w, and v, whose columns are eigenvectors of 2-norm 1 with a real largest component. Status: 0, or a positive
       number for the first member that is not finite or did not converge, after which none is done; -1 if n does not
       fit LAPACK's 32 bit integers.
Holds: a is left as it is. The driver sees what `references_functions` gives it, and results are equal to the bit.
Source: LAPACK xGEEV.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from . import sizes_functions
from .language import helper
from .words import ELEMENTS, POINTERS, fortran, slot

_LIMIT = 2**24
_COMPLEX_OF = {"f4": "c8", "f8": "c16"}

_geev_work = helper(sizes_functions.geev_work)


@helper
def _transpose(to: Any, source: Any, n: Any) -> bool:
    """Row-major to column-major or back, and whether all elements are finite."""
    finite = True
    for i in range(n):
        for j in range(n):
            x = source[i * n + j]
            to[j * n + i] = x
            finite = finite and np.isfinite(x.real) and np.isfinite(x.imag)
    return finite


@helper
def _join(to: Any, re: Any, im: Any, n: Any) -> None:
    for i in range(n):
        to[i] = complex(re[i], im[i])


@helper
def _vectors(v: Any, packed: Any, im: Any, n: Any) -> None:
    """Complex vectors, row-major, of real ones by columns: two columns are the parts of a conjugate pair."""
    for j in range(n):
        for i in range(n):
            if im[j] == 0:
                v[i * n + j] = complex(packed[j * n + i], 0)
            elif im[j] > 0:
                v[i * n + j] = complex(packed[j * n + i], packed[(j + 1) * n + i])
            else:
                v[i * n + j] = complex(packed[(j - 1) * n + i], -packed[j * n + i])


def build(name: str, dtype: str) -> Callable[[Any], int]:
    """The Python function of `eig` for elements of `dtype`."""
    return _real(dtype) if dtype in _COMPLEX_OF else _complex(dtype)


def _real(dtype: str) -> Callable[[Any], int]:
    elements, integers, results = POINTERS[dtype], POINTERS["i4"], POINTERS[_COMPLEX_OF[dtype]]
    size = ELEMENTS[dtype].bitwidth // 8

    def eig(w: Any) -> int:
        nbatch, n, matrix = w[4], w[5], w[6]
        if n > _LIMIT:
            return -1
        if n == 0:
            return 0
        packed, re = matrix + n * n * size, matrix + 2 * n * n * size
        im, work = re + n * size, re + 2 * n * size
        without, vectors = slot(np.uint8(78)), slot(np.uint8(86))
        order, one, info = slot(np.int32(n)), slot(np.int32(1)), slot(np.int32(0))
        length = slot(np.int32(_geev_work(n)))
        for member in range(nbatch):
            if not _transpose(elements(matrix), elements(w[3] + member * n * n * size), n):
                return n + 1
            fortran(
                w[0],
                (without, vectors, order, matrix, order, re, im, work, one, packed, order, work, length, info),
            )
            if integers(info)[0] != 0:
                return integers(info)[0]
            _join(results(w[1] + member * n * 2 * size), elements(re), elements(im), n)
            _vectors(results(w[2] + member * n * n * 2 * size), elements(packed), elements(im), n)
        return 0

    return eig


def _complex(dtype: str) -> Callable[[Any], int]:
    elements, integers = POINTERS[dtype], POINTERS["i4"]
    size = ELEMENTS[dtype].bitwidth // 8

    def eig(w: Any) -> int:
        nbatch, n, matrix = w[4], w[5], w[6]
        if n > _LIMIT:
            return -1
        if n == 0:
            return 0
        packed, work = matrix + n * n * size, matrix + 2 * n * n * size
        rwork = work + _geev_work(n) * size
        without, vectors = slot(np.uint8(78)), slot(np.uint8(86))
        order, one, info = slot(np.int32(n)), slot(np.int32(1)), slot(np.int32(0))
        length = slot(np.int32(_geev_work(n)))
        for member in range(nbatch):
            if not _transpose(elements(matrix), elements(w[3] + member * n * n * size), n):
                return n + 1
            values = w[1] + member * n * size
            fortran(
                w[0],
                (without, vectors, order, matrix, order, values, work, one, packed, order, work, length, rwork, info),
            )
            if integers(info)[0] != 0:
                return integers(info)[0]
            _transpose(elements(w[2] + member * n * n * size), elements(packed), n)
        return 0

    return eig
