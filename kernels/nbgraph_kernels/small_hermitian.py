"""Eigenvalues and eigenvectors of one small Hermitian matrix, in double precision.

In:    w, v, a: addresses of n numbers, of the vectors' matrix, of a matrix of which the lower triangle is read; n, at
       most `sizes.SMALL`, or `sizes.SMALL_VALUES` where v is not wanted.
Out:   1 and w, ascending, and v, whose columns are the eigenvectors; or 0, and nothing is written: sums that are NaN,
       infinite, or near overflow or underflow, or no convergence. Then LAPACK is to be asked.
Holds: at these orders it takes less time than LAPACK (docs/design/0027). Single precision is computed in double.
       Rows and columns are taken in the order in which the diagonal ends large: what is reduced first is then small,
       and the small eigenvalues of graded matrices keep their digits, however they are graded.
       `references` calls the kernel, or runs this code in Python: vectors are the same under both tiers.
Source: Householder's tridiagonalisation and implicit QL steps: Golub and Van Loan, Matrix Computations, sections 8.3.1
       and 8.3.3; EISPACK htridi, imtql2; LAPACK xSYTD2, xSTEQR, whose test of convergence is taken.
"""

from __future__ import annotations

import math
from typing import Any

from .language import helper
from .sizes import SMALL
from .small_reflections import (
    F8,
    I8,
    LEAST,
    MOST,
    add_conjugate,
    add_scaled,
    fill,
    inner,
    order,
    reflect_rows,
    reflector,
    rotate,
    rotation,
    scale,
)
from .words import ELEMENTS, POINTERS, stack

_STEPS = 30
"""QL steps for each eigenvalue, on average, until LAPACK is asked; two are usual."""
_EPS = 2.0**-53
_REAL = ("f4", "f8")


def hermitian(dtype: str, wanted: bool) -> Any:
    """Make `run(w, v, a, n)` for matrices of a dtype; v is written if it is wanted."""
    given, wide = POINTERS[dtype], "f8" if dtype in _REAL else "c16"
    elements, size = POINTERS[wide], ELEMENTS[wide].bitwidth // 8
    values = POINTERS["f8" if dtype in ("f8", "c16") else "f4"]
    doubles = size // 8
    square = SMALL * SMALL * size
    matrix, reflections, vectors = stack(square), stack(square), stack(8 * SMALL * 6)
    tridiagonalise, gather = _tridiagonalise(wide), _gather(wide)

    def run(w: Any, v: Any, a: Any, n: Any) -> Any:
        at, z = matrix(), reflections()
        is_turned = abs(given(a)[0].real) > abs(given(a)[n * n - 1].real)
        if _load(elements(at), given(a), n, is_turned) == 0:
            return 0
        d = vectors()
        e, tau, t = d + 8 * SMALL, d + 16 * SMALL, d + 32 * SMALL
        tridiagonalise(at, z, F8(d), F8(e), elements(tau), elements(t), n)
        if wanted:
            gather(at, z, elements(tau), elements(t), n)
        if _ql(F8(d), F8(e), z, n, n * doubles if wanted else 0) == 0:
            return 0
        places = I8(tau)
        order(places, F8(d), n, 1.0)
        for k in range(n):
            values(w)[k] = F8(d)[places[k]]
        if wanted:
            for k in range(n):
                for i in range(n):
                    given(v)[(n - 1 - i if is_turned else i) * n + k] = elements(z)[places[k] * n + i]
        return 1

    return helper(run, apart=True)


@helper
def _load(to: Any, a: Any, n: Any, is_turned: Any) -> Any:
    """The whole matrix, from its lower triangle, last row first if it is turned; 1 if its sum of magnitudes is one to
    compute with."""
    total = 0.0
    for i in range(n):
        for j in range(i):
            to[i * n + j] = a[i * n + j]
            x = to[i * n + j]
            to[j * n + i] = x.conjugate()
            total += abs(x.real) + abs(x.imag)
        to[i * n + i] = a[i * n + i].real
        total += abs(to[i * n + i].real)
    if is_turned:
        _turn(to, n * n)
    return 1 if LEAST <= total <= MOST or total == 0.0 else 0


@helper
def _turn(a: Any, count: Any) -> None:
    """The elements from the last to the first: a matrix with its rows and columns in the opposite order."""
    for k in range(count // 2):
        a[k], a[count - 1 - k] = a[count - 1 - k], a[k]


def _tridiagonalise(dtype: str) -> Any:
    elements, size = POINTERS[dtype], ELEMENTS[dtype].bitwidth // 8

    def run(a: Any, v: Any, d: Any, e: Any, tau: Any, w: Any, n: Any) -> None:
        """d, e with a = q t q^H, q = h_(n-1) ... h_1, h_l = 1 - tau_l v_l v_l^H; v_l is row l, of l numbers."""
        for l in range(n - 1, 0, -1):  # noqa: E741
            row, x = elements(a + l * n * size), elements(v + l * n * size)
            for i in range(l):
                x[i] = row[i].conjugate()
            d[l] = row[l].real
            e[l - 1], tau[l] = reflector(x, l, l - 1)
            if l > 1 and (tau[l].real != 0.0 or tau[l].imag != 0.0):
                # a := h^H a h = a - x w^H - w x^H, with p = tau a x, w = p - (tau p^H x / 2) x
                fill(w, 0.0, l)
                for j in range(l):
                    add_conjugate(w, elements(a + j * n * size), x[j], l)
                scale(w, tau[l], l)
                add_scaled(w, x, inner(w, x, l) * tau[l] * -0.5, l)
                for i in range(l):
                    _add_two(elements(a + i * n * size), x, w, -w[i], -x[i], l)
        d[0] = elements(a)[0].real

    return helper(run)


def _add_two_conjugate(y: Any, x: Any, w: Any, of_x: Any, of_w: Any, count: Any) -> None:
    for k in range(count):
        y[k] += x[k].conjugate() * of_x + w[k].conjugate() * of_w


_add_two = helper(_add_two_conjugate, noalias=True, apart=True)


def _gather(dtype: str) -> Any:
    elements, size, reflect = POINTERS[dtype], ELEMENTS[dtype].bitwidth // 8, reflect_rows(dtype)

    def run(q: Any, v: Any, tau: Any, t: Any, n: Any) -> None:
        """q, made of the reflections, transposed in place of v."""
        fill(elements(q), 0.0, n * n)
        for l in range(n):  # noqa: E741
            elements(q)[l * n + l] = 1
            if l > 0:
                reflect(q, n, l, l, elements(v + l * n * size), tau[l], t)
        for i in range(n):
            for j in range(n):
                elements(v)[j * n + i] = elements(q)[i * n + j]

    return helper(run)


@helper
def _ql(d: Any, e: Any, z: Any, n: Any, width: Any) -> Any:
    """The eigenvalues of a tridiagonal matrix to d; z's rows, of `width` doubles, turn along. 0: no convergence."""
    steps = _STEPS * n
    for l in range(n):  # noqa: E741
        while True:
            m = l
            while m < n - 1 and not _is_small(e[m], d[m], d[m + 1]):
                m += 1
            if m == l:
                break
            if steps == 0:
                return 0
            steps -= 1
            _ql_step(d, e, l, m, z, width)
    return 1


@helper
def _is_small(e: Any, x: Any, y: Any) -> Any:
    return e * e <= _EPS * _EPS * abs(x) * abs(y) + LEAST * LEAST * 1e-80


@helper
def _ql_step(d: Any, e: Any, first: Any, last: Any, z: Any, width: Any) -> None:
    """One implicit step with Wilkinson's shift, from the last to the first of an unreduced block."""
    g = (d[first + 1] - d[first]) / (2.0 * e[first])
    g = d[last] - d[first] + e[first] / (g + math.copysign(math.sqrt(g * g + 1.0), g))
    c, s, p = 1.0, 1.0, 0.0
    for i in range(last - 1, first - 1, -1):
        f, b = s * e[i], c * e[i]
        c, s, r = rotation(g, f)
        if i < last - 1:
            e[i + 1] = r
        g = d[i + 1] - p
        r = (d[i] - g) * s + 2.0 * c * b
        p = s * r
        d[i + 1] = g + p
        g = c * r - b
        rotate(F8(z + 8 * (i + 1) * width), F8(z + 8 * i * width), c, s, width)
    d[first] -= p
    e[first] = g
    e[last] = 0.0
