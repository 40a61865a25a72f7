"""Batched triangular equations that the derivative of a Schur form comes down to.

In:    words: x, t, m, limits, nbatch, n, adjoint; x, t and m complex [nbatch, n, n], row-major, t upper triangular
       (what is below is not read); limits real [nbatch].
Out:   the strictly lower triangular x whose x t - t x is m below the diagonal; with adjoint x t^H - t^H x. Where a gap
       |t_jj - t_ii| is not more than the limit of the matrix, x_ij is 0, and m_ij is not matched.
Holds: only what is below the diagonal of m is read. Status 0.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .language import helper
from .words import ELEMENTS, POINTERS

_REAL_OF = {"c8": "f4", "c16": "f8"}


@helper
def _conj(z: Any) -> Any:
    return complex(z.real, -z.imag)


@helper
def _quotient(x: Any, y: Any) -> Any:
    """x / y, y not 0."""
    size = max(abs(y.real), abs(y.imag))
    re, im = y.real / size, y.imag / size
    below = (re * re + im * im) * size
    return complex((x.real * re + x.imag * im) / below, (x.imag * re - x.real * im) / below)


@helper
def _plain(x: Any, t: Any, m: Any, limit: Any, n: Any) -> None:
    """x_ij needs the elements to its left and those below it."""
    for j in range(n):
        for i in range(n - 1, j, -1):
            gap = t[j * n + j] - t[i * n + i]
            if abs(gap) > limit:
                total = m[i * n + j]
                for k in range(j):
                    total -= x[i * n + k] * t[k * n + j]
                for k in range(i + 1, n):
                    total += t[i * n + k] * x[k * n + j]
                x[i * n + j] = _quotient(total, gap)


@helper
def _adjoint(x: Any, t: Any, m: Any, limit: Any, n: Any) -> None:
    """x_ij needs the elements to its right and those above it."""
    for j in range(n - 1, -1, -1):
        for i in range(j + 1, n):
            gap = t[j * n + j] - t[i * n + i]
            if abs(gap) > limit:
                total = m[i * n + j]
                for k in range(j + 1, i):
                    total += _conj(t[k * n + i]) * x[k * n + j] - x[i * n + k] * _conj(t[j * n + k])
                x[i * n + j] = _quotient(total, _conj(gap))


def build(name: str, dtype: str) -> Callable[[Any], int]:
    """The Python function of `schur_lower` for elements of `dtype`."""
    elements, reals, size = POINTERS[dtype], POINTERS[_REAL_OF[dtype]], ELEMENTS[dtype].bitwidth // 8

    def schur_lower(w: Any) -> int:
        n = w[5]
        piece = n * n * size
        for member in range(w[4]):
            x, t, m = elements(w[0] + member * piece), elements(w[1] + member * piece), elements(w[2] + member * piece)
            for k in range(n * n):
                x[k] = 0
            if w[6] != 0:
                _adjoint(x, t, m, reals(w[3])[member], n)
            else:
                _plain(x, t, m, reals(w[3])[member], n)
        return 0

    return schur_lower
