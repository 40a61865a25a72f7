"""Discrete Fourier transforms along the middle axis, of any length.

In:    words: out, x, outer, n, inner, inverse, workspace; arrays are C-contiguous, the size of the workspace is in
       `sizes`. `fft`: x and out complex [outer, n, inner]. `rfft`: x real [outer, n, inner], out complex
       [outer, n // 2 + 1, inner]. `irfft`: the other way; inverse is not read by these two.
Out:   `fft`: sum over j of x_j exp(-2 pi i j k / n), with + if inverse is 1; `rfft`: the first half of that; `irfft`:
       the real x whose `rfft` is n times that given (imaginary parts that do not matter are not read). Status 0.
Holds: nothing is divided by n. Computed in double precision, real and imaginary parts apart.
Source: Stockham's transform (Van Loan, Computational Frameworks for the FFT, section 1.7); lengths with a large prime
       factor by Bluestein's convolution (IEEE Trans. Audio Electroacoust. 18, 451 (1970)).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from .language import helper
from .words import ELEMENTS, POINTERS

LANES = 4
"""Lines that are transformed together: of eight, two copies of 256 numbers each are more than the first cache."""
LARGEST = 4096
"""Up to this length they are; longer ones one by one, to stay in the cache."""
_PRIMES = 61
"""The largest prime factor that is summed directly."""

_F8 = POINTERS["f8"]
_HALF = math.sqrt(0.5)
_QUARTER_PI = math.pi / 4


# -- roots of unity ---------------------------------------------------------------------------------------------------


@helper
def _root(k: Any, n: Any) -> Any:
    """(cos, -sin) of 2 pi k / n, 0 <= k < n: from an angle of at most pi / 4."""
    flip = 2 * k > n
    a = 8 * (n - k if flip else k)  # of 8 n for a full turn
    negate = a > 2 * n
    if negate:
        a = 4 * n - a
    swap = a > n
    if swap:
        a = 2 * n - a
    angle = _QUARTER_PI * (a / n)
    c, s = math.cos(angle), math.sin(angle)
    if swap:
        c, s = s, c
    return (-c if negate else c), (s if flip else -s)


@helper
def _roots(re: Any, im: Any, n: Any, low: Any, high: Any) -> None:
    """exp(-2 pi i k / n) for all k < n, each a product of two of about 2 sqrt(n); `low`, `high`: room for those."""
    step = 1
    while step * step < n:
        step = 2 * step
    count = (n + step - 1) // step
    for j in range(min(step, n)):
        low[2 * j], low[2 * j + 1] = _root(j, n)
    for j in range(count):
        high[2 * j], high[2 * j + 1] = _root(j * step, n)
    for j in range(count):
        a, b = high[2 * j], high[2 * j + 1]
        for i in range(min(step, n - j * step)):
            c, d = low[2 * i], low[2 * i + 1]
            re[j * step + i] = a * c - b * d
            im[j * step + i] = a * d + b * c


# -- butterflies: `count` numbers each, twiddled; what is read and what is written lies apart ------------------------


def _two(y0: Any, z0: Any, y1: Any, z1: Any, x0: Any, w0: Any, x1: Any, w1: Any, c: Any, s: Any, count: Any) -> None:
    for q in range(count):
        a, b = x0[q] - x1[q], w0[q] - w1[q]
        y0[q] = x0[q] + x1[q]
        z0[q] = w0[q] + w1[q]
        y1[q] = a * c - b * s
        z1[q] = a * s + b * c


def _four(
    y0: Any, z0: Any, y1: Any, z1: Any, y2: Any, z2: Any, y3: Any, z3: Any,
    x0: Any, w0: Any, x1: Any, w1: Any, x2: Any, w2: Any, x3: Any, w3: Any,
    c1: Any, s1: Any, c2: Any, s2: Any, c3: Any, s3: Any, count: Any,
) -> None:  # fmt: skip
    for q in range(count):
        a, b = x0[q] + x2[q], w0[q] + w2[q]
        c, d = x0[q] - x2[q], w0[q] - w2[q]
        e, f = x1[q] + x3[q], w1[q] + w3[q]
        g, h = x1[q] - x3[q], w1[q] - w3[q]
        y0[q] = a + e
        z0[q] = b + f
        # -i (x1 - x3)
        p, r = c + h, d - g
        y1[q] = p * c1 - r * s1
        z1[q] = p * s1 + r * c1
        p, r = a - e, b - f
        y2[q] = p * c2 - r * s2
        z2[q] = p * s2 + r * c2
        p, r = c - h, d + g
        y3[q] = p * c3 - r * s3
        z3[q] = p * s3 + r * c3


def _first_four(
    y: Any, z: Any, x0: Any, w0: Any, x1: Any, w1: Any, x2: Any, w2: Any, x3: Any, w3: Any,
    cosine: Any, sine: Any, every: Any, count: Any,
) -> None:  # fmt: skip
    """`_four` of single numbers, `count` times: what is written lies together, and butterflies vectorise."""
    for p in range(count):
        k = p * every
        a, b = x0[p] + x2[p], w0[p] + w2[p]
        c, d = x0[p] - x2[p], w0[p] - w2[p]
        e, f = x1[p] + x3[p], w1[p] + w3[p]
        g, h = x1[p] - x3[p], w1[p] - w3[p]
        q, r, t, u, v, o = c + h, d - g, a - e, b - f, c - h, d + g
        y[4 * p] = a + e
        z[4 * p] = b + f
        y[4 * p + 1] = q * cosine[k] - r * sine[k]
        z[4 * p + 1] = q * sine[k] + r * cosine[k]
        y[4 * p + 2] = t * cosine[2 * k] - u * sine[2 * k]
        z[4 * p + 2] = t * sine[2 * k] + u * cosine[2 * k]
        y[4 * p + 3] = v * cosine[3 * k] - o * sine[3 * k]
        z[4 * p + 3] = v * sine[3 * k] + o * cosine[3 * k]


def _add(y: Any, z: Any, x: Any, w: Any, c: Any, s: Any, count: Any) -> None:
    for q in range(count):
        y[q] += x[q] * c - w[q] * s
        z[q] += x[q] * s + w[q] * c


_two = helper(_two, {"contract"}, True)
_four = helper(_four, {"contract"}, True)
_first_four = helper(_first_four, {"contract"}, True)
_add = helper(_add, {"contract"}, True)


@helper
def _plane(count: Any) -> Any:
    """Bytes from the real to the imaginary parts of `count` numbers. With a power of 2 what a stage reads and writes
    at a time would lie in one set of the cache."""
    return 8 * count + 320


@helper
def _fours(to: Any, x: Any, plane: Any, length: Any, m: Any, every: Any, c: Any, d: Any, span: Any) -> None:
    """The butterflies of a stage, of `span` numbers each; a literal makes better code."""
    step = m * length
    for p in range(m):
        y, v, k = to + 4 * p * length, x + p * length, p * every
        _four(
            _F8(y), _F8(y + plane), _F8(y + length), _F8(y + length + plane),
            _F8(y + 2 * length), _F8(y + 2 * length + plane), _F8(y + 3 * length), _F8(y + 3 * length + plane),
            _F8(v), _F8(v + plane), _F8(v + step), _F8(v + step + plane),
            _F8(v + 2 * step), _F8(v + 2 * step + plane), _F8(v + 3 * step), _F8(v + 3 * step + plane),
            c[k], d[k], c[2 * k], d[2 * k], c[3 * k], d[3 * k], span,
        )  # fmt: skip


@helper
def _first_fours(to: Any, x: Any, plane: Any, m: Any, every: Any, c: Any, d: Any) -> None:
    step = 8 * m
    _first_four(
        _F8(to), _F8(to + plane), _F8(x), _F8(x + plane), _F8(x + step), _F8(x + step + plane),
        _F8(x + 2 * step), _F8(x + 2 * step + plane), _F8(x + 3 * step), _F8(x + 3 * step + plane), c, d, every, m,
    )  # fmt: skip


@helper
def _factor(n: Any) -> Any:
    """The next radix for what is left of a length."""
    if n % 4 == 0:
        return 4
    if n % 2 == 0:
        return 2
    r = 3
    while n % r != 0:
        r += 2
    return r


@helper
def _largest_prime(n: Any) -> Any:
    found, p = 1, 2
    while p * p <= n:
        if n % p == 0:
            found, n = max(found, p), n // p
        else:
            p += 1
    return max(found, n)


@helper
def _stage(to: Any, x: Any, rows: Any, s: Any, m: Any, r: Any, lanes: Any, table: Any, n: Any) -> None:
    """One radix of a transform of `rows` numbers: from m r blocks of s to m blocks of s r. Addresses of planes; the
    table has the n-th roots of unity, n a multiple of rows."""
    plane, span = _plane(rows * lanes), s * lanes
    length, every = 8 * span, (n // rows) * s
    c, d = _F8(table), _F8(table + 8 * n)
    if r == 4:
        if span == 1:
            _first_fours(to, x, plane, m, every, c, d)
        elif span == 4:
            _fours(to, x, plane, length, m, every, c, d, 4)
        else:
            _fours(to, x, plane, length, m, every, c, d, span)
        return
    for p in range(m):
        y, v = to + r * p * length, x + p * length
        step = m * length
        if r == 2:
            k = p * every
            _two(
                _F8(y), _F8(y + plane), _F8(y + length), _F8(y + length + plane),
                _F8(v), _F8(v + plane), _F8(v + step), _F8(v + step + plane), c[k], d[k], span,
            )  # fmt: skip
        else:
            for j in range(r):
                out_re, out_im = _F8(y + j * length), _F8(y + j * length + plane)
                for q in range(span):
                    out_re[q] = 0.0
                    out_im[q] = 0.0
                for i in range(r):
                    # The i-th of r numbers, times the root of the butterfly and the twiddle.
                    k = ((i * j) % r * (n // r) + p * j * every) % n
                    source = v + i * step
                    _add(out_re, out_im, _F8(source), _F8(source + plane), c[k], d[k], span)


@helper
def _transform(x: Any, spare: Any, rows: Any, lanes: Any, table: Any, n: Any) -> Any:
    """The transform of planes [2, rows, lanes] at x; gives the address of the result, x or spare."""
    left, s = rows, 1
    while left > 1:
        r = _factor(left)
        left //= r
        _stage(spare, x, rows, s, left, r, lanes, table, n)
        x, spare = spare, x
        s *= r
    return x


# -- Bluestein: a transform as a convolution with exp(i pi k^2 / n), by transforms of a power of 2 --------------------


@helper
def _padded(n: Any) -> Any:
    size = 1
    while size < 2 * n - 1:
        size *= 2
    return size


@helper
def _prepare_chirp(n: Any, size: Any, chirp: Any, kernel: Any, work: Any, table: Any, low: Any, high: Any) -> None:
    """exp(-i pi k^2 / n) to chirp, the transform of its conjugate to kernel; table: the roots for `size`."""
    c, d = _F8(chirp), _F8(chirp + 8 * n)
    re, im = _F8(kernel), _F8(kernel + _plane(size))
    _roots(_F8(work), _F8(work + 16 * n), 2 * n, low, high)
    roots_re, roots_im = _F8(work), _F8(work + 16 * n)
    for i in range(size):
        re[i] = 0.0
        im[i] = 0.0
    at = 0  # k^2 mod 2 n
    for k in range(n):
        c[k], d[k] = roots_re[at], roots_im[at]
        re[k], im[k] = c[k], -d[k]
        if k > 0:
            re[size - k], im[size - k] = c[k], -d[k]
        at = (at + 2 * k + 1) % (2 * n)
    _roots(_F8(table), _F8(table + 8 * size), size, low, high)
    made = _transform(kernel, work, size, 1, table, size)
    made_re, made_im = _F8(made), _F8(made + _plane(size))
    for i in range(size):
        re[i], im[i] = made_re[i], made_im[i]


@helper
def _bluestein(x: Any, spare: Any, n: Any, size: Any, chirp: Any, kernel: Any, table: Any) -> Any:
    """The transform of planes of n numbers at x, where there is room for `size`; gives the address of the result."""
    c, d = _F8(chirp), _F8(chirp + 8 * n)
    kr, ki = _F8(kernel), _F8(kernel + _plane(size))
    given, beside, re, im = _F8(x), _F8(x + _plane(n)), _F8(spare), _F8(spare + _plane(size))
    for k in range(n):
        a, b = given[k], beside[k]
        re[k] = a * c[k] - b * d[k]
        im[k] = a * d[k] + b * c[k]
    for k in range(n, size):
        re[k] = 0.0
        im[k] = 0.0
    there = _transform(spare, x, size, 1, table, size)
    other = x if there == spare else spare
    re, im = _F8(there), _F8(there + _plane(size))
    for k in range(size):
        a, b = re[k], im[k]
        # With real and imaginary part exchanged the transform is the inverse one.
        re[k] = a * ki[k] + b * kr[k]
        im[k] = a * kr[k] - b * ki[k]
    back = _transform(there, other, size, 1, table, size)
    result = there if back == other else other
    re, im, out, out_im = _F8(back), _F8(back + _plane(size)), _F8(result), _F8(result + _plane(n))
    for k in range(n):
        b, a = re[k] / size, im[k] / size
        out[k] = a * c[k] - b * d[k]
        out_im[k] = a * d[k] + b * c[k]
    return result


# -- lines ------------------------------------------------------------------------------------------------------------


def build(name: str, dtype: str) -> Callable[[Any], int]:
    """The Python function of `fft` (dtype complex), `rfft` or `irfft` (dtype real)."""
    complex_code = {"f4": "c8", "f8": "c16"}.get(dtype, dtype)
    load, store = {
        "fft": (_load(dtype), _store(dtype)),
        "rfft": (_load_real(dtype), _store_half(complex_code)),
        "irfft": (_load_half(complex_code), _store_real(dtype)),
    }[name]
    halves = name != "fft"

    def lines(w: Any) -> int:
        n, inner, inverse, work = w[3], w[4], w[5], w[6]
        total = w[2] * inner
        if n == 0 or total == 0:
            return 0
        half = halves and n % 2 == 0
        rows = n // 2 if half else n  # length of the complex transforms
        direct = _largest_prime(rows) <= _PRIMES
        lanes = min(LANES, total) if direct and n <= LARGEST else 1
        size = rows if direct else _padded(rows)
        x, spare = work, work + 2 * _plane(size * lanes)
        table = spare + 2 * _plane(size * lanes)
        roots = table + 16 * size
        chirp = roots + 16 * n
        kernel = chirp + 16 * rows
        low = kernel + 2 * _plane(size)
        high = low + 16 * (2 * n + 16)
        _roots(_F8(roots), _F8(roots + 8 * n), n, _F8(low), _F8(high))
        if not direct:
            _prepare_chirp(rows, size, chirp, kernel, x, table, _F8(low), _F8(high))
        first = 0
        while first < total:  # a range by a step that is not constant could raise
            count = min(lanes, total - first)
            load(x, w[1], first, count, rows, n, inner, inverse, half, roots)
            if direct:
                made = _transform(x, spare, rows, count, roots, n)
            else:
                made = _bluestein(x, spare, rows, size, chirp, kernel, table)
            store(w[0], made, first, count, rows, n, inner, inverse, half, roots)
            first += count
        return 0

    return lines


@helper
def _start(line: Any, length: Any, inner: Any) -> Any:
    """Where a line begins in an array [outer, length, inner]."""
    return (line // inner) * length * inner + line % inner


def _load(code: str) -> Any:
    """Make the function that takes complex lines apart; for the inverse, real and imaginary parts are exchanged."""
    elements = POINTERS[code]

    def load(
        to: Any, x: Any, first: Any, count: Any, rows: Any, n: Any, inner: Any, inverse: Any, half: Any, roots: Any
    ) -> None:
        source = elements(x)
        plane = _plane(rows * count)
        re, im = (_F8(to + plane), _F8(to)) if inverse else (_F8(to), _F8(to + plane))
        for lane in range(count):
            at = _start(first + lane, n, inner)
            for j in range(n):
                z = source[at + j * inner]
                re[j * count + lane] = z.real
                im[j * count + lane] = z.imag

    return helper(load)


def _store(code: str) -> Any:
    elements, element = POINTERS[code], ELEMENTS[code]

    def store(
        out: Any, x: Any, first: Any, count: Any, rows: Any, n: Any, inner: Any, inverse: Any, half: Any, roots: Any
    ) -> None:
        to = elements(out)
        plane = _plane(rows * count)
        re, im = (_F8(x + plane), _F8(x)) if inverse else (_F8(x), _F8(x + plane))
        for lane in range(count):
            at = _start(first + lane, n, inner)
            for j in range(n):
                to[at + j * inner] = element(complex(re[j * count + lane], im[j * count + lane]))

    return helper(store)


def _load_real(code: str) -> Any:
    """Make the function that reads real lines: of even length as complex numbers of two neighbours each."""
    elements = POINTERS[code]

    def load(
        to: Any, x: Any, first: Any, count: Any, rows: Any, n: Any, inner: Any, inverse: Any, half: Any, roots: Any
    ) -> None:
        source, re, im = elements(x), _F8(to), _F8(to + _plane(rows * count))
        for lane in range(count):
            at = _start(first + lane, n, inner)
            for j in range(rows):
                if half:
                    re[j * count + lane] = source[at + 2 * j * inner]
                    im[j * count + lane] = source[at + (2 * j + 1) * inner]
                else:
                    re[j * count + lane] = source[at + j * inner]
                    im[j * count + lane] = 0.0

    return helper(load)


def _store_half(code: str) -> Any:
    """Make the function that writes the first half of the transform of real lines.

    Of even length: X_k = (Z_k + conj Z_(h-k)) / 2 - i w^k (Z_k - conj Z_(h-k)) / 2, h = n / 2, w = exp(-2 pi i / n).
    """
    elements, element = POINTERS[code], ELEMENTS[code]

    def store(
        out: Any, x: Any, first: Any, count: Any, rows: Any, n: Any, inner: Any, inverse: Any, half: Any, roots: Any
    ) -> None:
        to, re, im = elements(out), _F8(x), _F8(x + _plane(rows * count))
        cosine, sine = _F8(roots), _F8(roots + 8 * n)
        for lane in range(count):
            at = _start(first + lane, n // 2 + 1, inner)
            for k in range(n // 2 + 1):
                if half:
                    i, j = (k if k < rows else 0) * count + lane, (rows - k if k > 0 else 0) * count + lane
                    a, b = 0.5 * (re[i] + re[j]), 0.5 * (im[i] - im[j])
                    c, d = 0.5 * (im[i] + im[j]), -0.5 * (re[i] - re[j])
                    z = complex(a + c * cosine[k] - d * sine[k], b + c * sine[k] + d * cosine[k])
                else:
                    z = complex(re[k * count + lane], im[k * count + lane])
                to[at + k * inner] = element(z)

    return helper(store)


def _load_half(code: str) -> Any:
    """Make the function that reads the first half of a transform, for the inverse one (parts exchanged).

    Of even length: Z_k = (X_k + conj X_(h-k)) + i conj(w^k) (X_k - conj X_(h-k)).
    """
    elements = POINTERS[code]

    def load(
        to: Any, x: Any, first: Any, count: Any, rows: Any, n: Any, inner: Any, inverse: Any, half: Any, roots: Any
    ) -> None:
        source, im, re = elements(x), _F8(to), _F8(to + _plane(rows * count))
        cosine, sine = _F8(roots), _F8(roots + 8 * n)
        for lane in range(count):
            at = _start(first + lane, n // 2 + 1, inner)
            for k in range(rows):
                place = k * count + lane
                if half:
                    u, v = source[at + k * inner], source[at + (rows - k) * inner]
                    a, b = u.real + v.real, u.imag - v.imag
                    c, d = u.real - v.real, u.imag + v.imag
                    if k == 0:
                        b, d = 0.0, 0.0
                    e, f = c * cosine[k] + d * sine[k], d * cosine[k] - c * sine[k]
                    re[place] = a - f
                    im[place] = b + e
                elif 2 * k < n:
                    z = source[at + k * inner]
                    re[place] = z.real
                    im[place] = z.imag if k > 0 else 0.0
                else:
                    z = source[at + (n - k) * inner]
                    re[place] = z.real
                    im[place] = -z.imag

    return helper(load)


def _store_real(code: str) -> Any:
    elements, element = POINTERS[code], ELEMENTS[code]

    def store(
        out: Any, x: Any, first: Any, count: Any, rows: Any, n: Any, inner: Any, inverse: Any, half: Any, roots: Any
    ) -> None:
        to, im, re = elements(out), _F8(x), _F8(x + _plane(rows * count))
        for lane in range(count):
            at = _start(first + lane, n, inner)
            for j in range(rows):
                if half:
                    to[at + 2 * j * inner] = element(re[j * count + lane])
                    to[at + (2 * j + 1) * inner] = element(im[j * count + lane])
                else:
                    to[at + j * inner] = element(re[j * count + lane])

    return helper(store)
