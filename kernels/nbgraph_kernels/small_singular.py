"""Singular values and vectors of one small matrix, in double precision.

In:    u, s, vh, a: addresses of [m, k], k, [k, n] and [m, n] numbers, k = min(m, n); `wanted`, whether u and vh are; m
       and n, at most `sizes.SMALL`, or `sizes.SMALL_VALUES` where they are not.
Out:   1 and a = u diag(s) vh, s descending; or 0, and nothing is written: sums that are NaN, infinite, or near overflow
       or underflow, or no convergence. Then LAPACK is to be asked.
Holds: at these sizes it takes less time than LAPACK (docs/design/0027). Single precision is computed in double. A wide
       matrix is transposed first. `references_factors` calls the kernel itself, so vectors are the same under both
       tiers.
Source: Householder's bidiagonalisation and implicit QR steps with and without shift: Golub and Van Loan, Matrix
       Computations, sections 5.4.8 and 8.6; Demmel and Kahan, SIAM J. Sci. Stat. Comput. 11, 873 (1990); LAPACK xGEBD2,
       xBDSQR.
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
    add_scaled,
    fill,
    inner,
    order,
    reflect_rows,
    reflector,
    rotate,
    rotation,
)
from .words import ELEMENTS, POINTERS, stack

_STEPS = 30
"""QR steps for each singular value, on average, until LAPACK is asked; two are usual."""
_EPS = 2.0**-53
_REAL = ("f4", "f8")


def singular(dtype: str) -> Any:
    """Make `run(u, s, vh, a, m, n, wanted)` for matrices of a dtype."""
    given, wide = POINTERS[dtype], "f8" if dtype in _REAL else "c16"
    elements, size = POINTERS[wide], ELEMENTS[wide].bitwidth // 8
    values = POINTERS["f8" if dtype in ("f8", "c16") else "f4"]
    doubles = size // 8
    square = SMALL * SMALL * size
    matrix, left, right, vectors = stack(square), stack(square), stack(square), stack(8 * SMALL * 8)
    bidiagonalise, gather, store = _bidiagonalise(wide), _gather(wide), _store(wide)

    def run(u: Any, s: Any, vh: Any, a: Any, m: Any, n: Any, wanted: Any) -> Any:
        at, ut, vt = matrix(), left(), right()
        tall, k = max(m, n), min(m, n)
        if _load(elements(at), given(a), m, n) == 0:
            return 0
        d = vectors()
        e, of_left, of_right, t = d + 8 * SMALL, d + 16 * SMALL, d + 32 * SMALL, d + 48 * SMALL
        bidiagonalise(at, ut, vt, F8(d), F8(e), elements(of_left), elements(of_right), elements(t), tall, k)
        if wanted != 0:
            gather(at, ut, elements(of_left), elements(t), tall, k, 0)
            gather(at, vt, elements(of_right), elements(t), k, k, 1)
        many = doubles if wanted != 0 else 0
        if _qr(F8(d), F8(e), ut, vt, k, tall * many, k * many) == 0:
            return 0
        for i in range(k):
            # The sign of a value goes to its vector.
            F8(e)[i] = math.copysign(1.0, F8(d)[i])
            F8(d)[i] = abs(F8(d)[i])
        places = I8(of_left)
        order(places, F8(d), k, -1.0)
        for i in range(k):
            values(s)[i] = F8(d)[places[i]]
        if wanted != 0:
            store(given(u), given(vh), elements(ut), elements(vt), F8(e), places, m, n)
        return 1

    return helper(run, apart=True)


@helper
def _load(to: Any, a: Any, m: Any, n: Any) -> Any:
    """The matrix, transposed if it is wide; 1 if its sum of magnitudes is one to compute with."""
    total = 0.0
    for i in range(m):
        for j in range(n):
            place = j * m + i if m < n else i * n + j
            to[place] = a[i * n + j]
            x = to[place]
            total += abs(x.real) + abs(x.imag)
    return 1 if LEAST <= total <= MOST or total == 0.0 else 0


def _bidiagonalise(dtype: str) -> Any:
    elements, size, reflect = POINTERS[dtype], ELEMENTS[dtype].bitwidth // 8, reflect_rows(dtype)

    def run(a: Any, x: Any, y: Any, d: Any, e: Any, tau: Any, rho: Any, t: Any, m: Any, n: Any) -> None:
        """d, e with a = p b q^H, b upper bidiagonal, p = h_0 h_1 ..., conj(q) = g_0 g_1 ..., h_i = 1 - tau_i v v^H,
        g_i = 1 - rho_i w w^H; v is in row i of x [n, m] from element i, w in row i of y [n, n] from element i + 1."""
        for i in range(n):
            column, v = elements(a + (i * n + i) * size), elements(x + (i * m + i) * size)
            for j in range(m - i):
                v[j] = column[j * n]
            d[i], tau[i] = reflector(v, m - i, 0)
            rest = n - 1 - i
            if rest == 0:
                return
            beside = a + (i * n + i + 1) * size
            reflect(beside, n, m - i, rest, v, tau[i].conjugate(), t)
            row, w = elements(beside), elements(y + (i * n + i + 1) * size)
            for j in range(rest):
                w[j] = row[j]
            e[i], rho[i] = reflector(w, rest, 0)
            # a conj(g)
            for j in range(i + 1, m):
                row = elements(a + (j * n + i + 1) * size)
                add_scaled(row, w, -(rho[i].conjugate() * inner(w, row, rest)), rest)

    return helper(run, apart=True)


def _gather(dtype: str) -> Any:
    elements, size, reflect = POINTERS[dtype], ELEMENTS[dtype].bitwidth // 8, reflect_rows(dtype)

    def run(q: Any, v: Any, tau: Any, t: Any, m: Any, n: Any, skipped: Any) -> None:
        """The first n columns of the product of reflections, transposed in place of their vectors, the rows of v; the
        first `skipped` elements of each are not in them."""
        fill(elements(q), 0.0, m * n)
        for i in range(n - 1, -1, -1):
            elements(q)[i * n + i] = 1
        for i in range(n - 1 - skipped, -1, -1):
            j = i + skipped
            reflect(q + (j * n + j) * size, n, m - j, n - j, elements(v + (i * m + j) * size), tau[i], t)
        for i in range(m):
            for j in range(n):
                elements(v)[j * m + i] = elements(q)[i * n + j]

    return helper(run, apart=True)


def _store(dtype: str) -> Any:
    def run(u: Any, vh: Any, ut: Any, vt: Any, sign: Any, places: Any, m: Any, n: Any) -> None:
        """Rows of both, in order; of a matrix that was transposed they have changed their sides."""
        k = min(m, n)
        for j in range(k):
            p = places[j]
            if m < n:
                for i in range(m):
                    u[i * k + j] = vt[p * k + i] * sign[p]
                for i in range(n):
                    vh[j * n + i] = ut[p * n + i]
            else:
                for i in range(m):
                    u[i * k + j] = ut[p * m + i]
                for i in range(n):
                    vh[j * n + i] = vt[p * n + i] * sign[p]

    return helper(run)


@helper
def _qr(d: Any, e: Any, ut: Any, vt: Any, n: Any, left: Any, right: Any) -> Any:
    """The singular values of a bidiagonal matrix to d, with any signs; rows of `left` and `right` doubles turn along.
    0: no convergence."""
    steps, last = _STEPS * n, n - 1
    while last > 0:
        first = last
        while first > 0 and not _is_small(e[first - 1], d[first - 1], d[first]):
            first -= 1
        if first == last:
            last -= 1
        elif steps == 0:
            return 0
        else:
            steps -= 1
            shift = _shift(d, e, first, last)
            if shift == 0.0:
                _step_without_shift(d, e, first, last, ut, vt, left, right)
            else:
                _step(d, e, first, last, shift, ut, vt, left, right)
    return 1


@helper
def _is_small(e: Any, x: Any, y: Any) -> Any:
    return abs(e) <= _EPS * (abs(x) + abs(y)) + LEAST * 1e-40


@helper
def _shift(d: Any, e: Any, first: Any, last: Any) -> Any:
    """0 where a shift would cost the smallest values their digits, else the smaller value of the last two rows."""
    least = most = bound = abs(d[first])
    for i in range(first, last):
        if bound == 0.0:
            return 0.0
        bound = abs(d[i + 1]) * (bound / (bound + abs(e[i])))
        least, most = min(least, bound), max(most, max(abs(d[i + 1]), abs(e[i])))
    if 100.0 * (last - first + 1) * least <= most:
        return 0.0
    shift = _smaller_value(abs(d[last - 1]), abs(e[last - 1]), abs(d[last]))
    ratio = shift / d[first]
    return 0.0 if ratio * ratio < _EPS else shift


@helper
def _smaller_value(f: Any, g: Any, h: Any) -> Any:
    """The smaller singular value of [[f, g], [0, h]], none negative, f and h positive (LAPACK xLAS2)."""
    low, high = min(f, h), max(f, h)
    total, gap, beside = 1.0 + low / high, (high - low) / high, g / high
    beside = beside * beside
    return 2.0 * low / (math.sqrt(total * total + beside) + math.sqrt(gap * gap + beside))


@helper
def _step(
    d: Any, e: Any, first: Any, last: Any, shift: Any, ut: Any, vt: Any, left: Any, right: Any
) -> None:  # fmt: skip
    f = (abs(d[first]) - shift) * (math.copysign(1.0, d[first]) + shift / d[first])
    g = e[first]
    for i in range(first, last):
        c, s, r = rotation(f, g)
        if i > first:
            e[i - 1] = r
        f = c * d[i] + s * e[i]
        e[i] = c * e[i] - s * d[i]
        g = s * d[i + 1]
        d[i + 1] = c * d[i + 1]
        _turn(vt, i, c, s, right)
        c, s, d[i] = rotation(f, g)
        f = c * e[i] + s * d[i + 1]
        d[i + 1] = c * d[i + 1] - s * e[i]
        if i < last - 1:
            g = s * e[i + 1]
            e[i + 1] = c * e[i + 1]
        _turn(ut, i, c, s, left)
    e[last - 1] = f


@helper
def _step_without_shift(d: Any, e: Any, first: Any, last: Any, ut: Any, vt: Any, left: Any, right: Any) -> None:
    c, s, old_c, old_s = 1.0, 0.0, 1.0, 0.0
    for i in range(first, last):
        c, s, r = rotation(d[i] * c, e[i])
        if i > first:
            e[i - 1] = old_s * r
        _turn(vt, i, c, s, right)
        old_c, old_s, d[i] = rotation(old_c * r, d[i + 1] * s)
        _turn(ut, i, old_c, old_s, left)
    h = d[last] * c
    d[last] = h * old_c
    e[last - 1] = h * old_s


@helper
def _turn(rows: Any, i: Any, c: Any, s: Any, width: Any) -> None:
    rotate(F8(rows + 8 * i * width), F8(rows + 8 * (i + 1) * width), c, s, width)
