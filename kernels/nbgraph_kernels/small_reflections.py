"""What small factorisations are made of: Householder's reflections, Givens' rotations, orders.

In:    typed pointers and addresses of double precision numbers, real or complex, row-major; sizes.
Out:   the vectors of reflections, matrices times them, rows rotated.
Holds: helpers of `small_hermitian` and `small_singular`, whose operands they have checked: no square overflows. What
       squares to less than `TINY` counts as zero, so that no reflection or rotation is made of squares that have lost
       digits.
Source: Golub and Van Loan, Matrix Computations, sections 5.1 and 5.2; LAPACK xLARFG, xLARF, xLARTG.
"""

from __future__ import annotations

import math
from typing import Any

from .language import helper
from .words import POINTERS

LEAST, MOST = 1e-70, 1e70
"""Sums of magnitudes that are dealt with; LAPACK scales what lies outside, and says what NaN is."""
TINY = 1e-280
"""Squares below are zero: LEAST^2 / TINY is far beyond double precision."""

F8, I8 = POINTERS["f8"], POINTERS["i8"]


# -- vectors and matrices, for "f8" and "c16" -------------------------------------------------------------------------


def _square(x: Any, count: Any) -> Any:
    """x^H x, by four sums."""
    a, b, c, d = 0.0, 0.0, 0.0, 0.0
    for k in range(3, count, 4):
        a += _size(x[k - 3])
        b += _size(x[k - 2])
        c += _size(x[k - 1])
        d += _size(x[k])
    for k in range(count - count % 4, count):
        a += _size(x[k])
    return (a + b) + (c + d)


@helper
def _size(x: Any) -> Any:
    return x.real * x.real + x.imag * x.imag


def _inner(x: Any, y: Any, count: Any) -> Any:
    """x^H y, by four sums."""
    a = x[0] * 0.0
    b, c, d = a, a, a
    for k in range(3, count, 4):
        a += x[k - 3].conjugate() * y[k - 3]
        b += x[k - 2].conjugate() * y[k - 2]
        c += x[k - 1].conjugate() * y[k - 1]
        d += x[k].conjugate() * y[k]
    for k in range(count - count % 4, count):
        a += x[k].conjugate() * y[k]
    return (a + b) + (c + d)


def _fill(x: Any, value: Any, count: Any) -> None:
    for k in range(count):
        x[k] = value


def _scale(x: Any, factor: Any, count: Any) -> None:
    for k in range(count):
        x[k] = x[k] * factor


def _add_scaled(y: Any, x: Any, factor: Any, count: Any) -> None:
    for k in range(count):
        y[k] += x[k] * factor


def _add_conjugate(y: Any, x: Any, factor: Any, count: Any) -> None:
    for k in range(count):
        y[k] += x[k].conjugate() * factor


square, inner = helper(_square, apart=True), helper(_inner, noalias=True, apart=True)
fill, scale = helper(_fill, apart=True), helper(_scale, apart=True)
add_scaled = helper(_add_scaled, noalias=True, apart=True)
add_conjugate = helper(_add_conjugate, noalias=True, apart=True)


def _reflector(v: Any, count: Any, at: Any) -> Any:
    """(beta, tau) with (1 - tau v v^H)^H x = beta e_at, beta real; v takes the place of x, v_at = 1. tau 0: v = 0."""
    alpha = v[at]
    v[at] = 0
    rest = square(v, count) + alpha.imag * alpha.imag
    if rest <= TINY:
        fill(v, 0.0, count)
        return alpha.real, alpha * 0.0
    beta = -math.copysign(math.sqrt(alpha.real * alpha.real + rest), alpha.real)
    gap = alpha - beta
    scale(v, gap.conjugate() * (1.0 / (gap.real * gap.real + gap.imag * gap.imag)), count)
    v[at] = 1
    return beta, gap * (-1.0 / beta)


reflector = helper(_reflector, apart=True)


def reflect_rows(dtype: str) -> Any:
    """Make `run(a, stride, rows, columns, v, tau, t)`: a, at an address, becomes (1 - tau v v^H) a; t is
    room for a row."""
    elements, size = POINTERS[dtype], 8 if dtype == "f8" else 16

    def run(a: Any, stride: Any, rows: Any, columns: Any, v: Any, tau: Any, t: Any) -> None:
        # t = v^H a
        fill(t, 0.0, columns)
        for i in range(rows):
            add_scaled(t, elements(a + i * stride * size), v[i].conjugate(), columns)
        for i in range(rows):
            add_scaled(elements(a + i * stride * size), t, -(tau * v[i]), columns)

    return helper(run, apart=True)


# -- rotations of real numbers ----------------------------------------------------------------------------------------


@helper
def rotation(f: Any, g: Any) -> Any:
    """(c, s, r) with c f + s g = r and c g = s f."""
    r = f * f + g * g
    if r > TINY:
        r = math.sqrt(r)
        inverse = 1.0 / r
        return f * inverse, g * inverse, r
    f, g = f * 1e140, g * 1e140
    r = f * f + g * g
    if r > TINY:
        r = math.sqrt(r)
        return f / r, g / r, r * 1e-140
    return 1.0, 0.0, f * 1e-140


def _rotate(x: Any, y: Any, c: Any, s: Any, count: Any) -> None:
    """(x, y) := (c x + s y, c y - s x)."""
    for k in range(count):
        u, v = x[k], y[k]
        x[k] = c * u + s * v
        y[k] = c * v - s * u


rotate = helper(_rotate, noalias=True, apart=True)


# -- orders -----------------------------------------------------------------------------------------------------------


@helper
def order(places: Any, x: Any, count: Any, sign: Any) -> None:
    """The places of x's numbers, ascending, or descending if `sign` is -1."""
    for k in range(count):
        j = k
        while j > 0 and sign * x[k] < sign * x[places[j - 1]]:
            places[j] = places[j - 1]
            j -= 1
        places[j] = k
