"""More functions of complex numbers for generated code; the first of them are in `runtime`.

In: complex elements. Out: complex elements, on NumPy's side of each branch cut.
Holds: plain Python, compiled where it is used; nothing allocates or raises. Inverse functions after W. Kahan,
Branch Cuts for Complex Elementary Functions (1987): products of roots, which neither overflow nor cancel.
"""

from __future__ import annotations

import math
from typing import Any

libm: Any = None  # these are given when the functions are compiled
complex_sqrt: Any = None
complex_arctan: Any = None
complex_log: Any = None
complex_exp: Any = None
complex_sin: Any = None
complex_cos: Any = None
complex_divide: Any = None


def complex_sinh(z: Any) -> Any:
    """sinh x cos y + i cosh x sin y, each part 0 where one of its factors is."""
    x, y = z.real, z.imag
    im = y if y == 0 else math.cosh(x) * math.sin(y)
    return complex(x if x == 0 else math.sinh(x) * math.cos(y), im)


def complex_cosh(z: Any) -> Any:
    """cosh x cos y + i sinh x sin y, the imaginary part 0 where one of its factors is."""
    x, y = z.real, z.imag
    return complex(math.cosh(x) * math.cos(y), x * y if x == 0 or y == 0 else math.sinh(x) * math.sin(y))


def complex_arcsin(z: Any) -> Any:
    """Re = atan(x / Re(sqrt(1 - z) sqrt(1 + z))), Im = asinh(Im(conj(sqrt(1 - z)) sqrt(1 + z)))."""
    below, above = complex_sqrt(complex(1.0 - z.real, -z.imag)), complex_sqrt(complex(1.0 + z.real, z.imag))
    re = math.atan2(z.real, below.real * above.real - below.imag * above.imag)
    return complex(re, libm.asinh(below.real * above.imag - below.imag * above.real))


def complex_arccos(z: Any) -> Any:
    """Re = 2 atan(Re sqrt(1 - z) / Re sqrt(1 + z)), Im = asinh(Im(conj(sqrt(1 + z)) sqrt(1 - z)))."""
    below, above = complex_sqrt(complex(1.0 - z.real, -z.imag)), complex_sqrt(complex(1.0 + z.real, z.imag))
    re = 2.0 * math.atan2(below.real, above.real)
    return complex(re, libm.asinh(above.real * below.imag - above.imag * below.real))


def complex_arccosh(z: Any) -> Any:
    """Re = asinh(Re(conj(sqrt(z - 1)) sqrt(z + 1))), Im = 2 atan(Im sqrt(z - 1) / Re sqrt(z + 1))."""
    below, above = complex_sqrt(complex(z.real - 1.0, z.imag)), complex_sqrt(complex(z.real + 1.0, z.imag))
    re = libm.asinh(below.real * above.real + below.imag * above.imag)
    return complex(re, 2.0 * math.atan2(below.imag, above.real))


def complex_arcsinh(z: Any) -> Any:
    """-i asin(i z)."""
    turned = complex_arcsin(complex(-z.imag, z.real))
    return complex(turned.imag, -turned.real)


def complex_arctanh(z: Any) -> Any:
    """-i atan(i z)."""
    turned = complex_arctan(complex(-z.imag, z.real))
    return complex(turned.imag, -turned.real)


def complex_exp2(z: Any) -> Any:
    """exp(z log 2)."""
    return complex_exp(complex(z.real * math.log(2.0), z.imag * math.log(2.0)))


def complex_log2(z: Any) -> Any:
    """log z / log 2."""
    w = complex_log(complex(z.real, z.imag))
    return complex(w.real / math.log(2.0), w.imag / math.log(2.0))


def complex_log1p(z: Any) -> Any:
    """log(1 + z), of |1 + z| and its angle: what NumPy does."""
    x = 1.0 + z.real
    return complex(math.log(abs(complex(x, z.imag))), math.atan2(z.imag, x))


def complex_log10(z: Any) -> Any:
    """log z / log 10."""
    w = complex_log(complex(z.real, z.imag))
    return complex(w.real / math.log(10.0), w.imag / math.log(10.0))


def complex_sinc(z: Any) -> Any:
    """sin(pi z) / (pi z), 1 at 0."""
    if z.real == 0 and z.imag == 0:
        return complex(1.0, 0.0)
    w = complex(math.pi * z.real, math.pi * z.imag)
    return complex_divide(complex_sin(w), w)


def complex_spherical_jn(n: int, z: Any) -> Any:
    """As `real_functions.spherical_jn`."""
    x = complex(z.real, z.imag)
    if abs(x) < n + 1.0:
        half = -0.5 * x * x
        term = total = complex(1.0, 0.0)
        for k in range(1, 20 + n):
            term = term * half * (1.0 / (k * (2.0 * (n + k) + 1.0)))
            total += term
        for k in range(n):
            total = total * x * (1.0 / (2.0 * k + 3.0))
        return total
    inverse = complex_divide(complex(1.0, 0.0), x)
    low = complex_sin(x) * inverse
    high = (low - complex_cos(x)) * inverse
    for k in range(1, n + 1):
        low, high = high, (2.0 * k + 1.0) * inverse * high - low
    return low


def complex_lambertw(k: int, z: Any) -> Any:
    """The w of branch k with w e^w = z, by Halley's iteration (Corless, Gonnet, Hare, Jeffrey and Knuth, Adv. Comput.
    Math. 5, 329 (1996), equation 5.9), from the series at the branch point -1/e (4.22), log(1 + z) for small z, or the
    asymptotic series (4.20)."""
    x = complex(z.real, z.imag)
    if x.real == 0 and x.imag == 0:
        return complex(0.0, 0.0) if k == 0 else complex(-math.inf, 0.0)
    if math.isnan(x.real) or math.isnan(x.imag):
        return complex(math.nan, math.nan)
    if math.isinf(x.real) or math.isinf(x.imag):
        return complex_log(x) + complex(0.0, 2.0 * math.pi * k)
    p = complex_sqrt(complex(2.0 * (math.e * x.real + 1.0), 2.0 * math.e * x.imag))
    lower = (k == -1 and x.imag >= 0) or (k == 1 and x.imag < 0)  # the other sheet at the branch point
    if abs(p) < 1.0 and (k == 0 or lower):
        p = -p if lower else p
        w = complex(-1.0, 0.0) + p - p * p * (1.0 / 3.0) + p * p * p * (11.0 / 72.0)
    elif k == 0 and abs(x) < 3.0 and abs(complex(x.real + 1.0, x.imag)) > 0.5:
        w = complex_log1p(x)
    else:
        w = complex_log(x) + complex(0.0, 2.0 * math.pi * k)
        if k == -1 and x.imag == 0 and x.real < 0 and x.real > -0.37:
            w = complex(math.log(-x.real), 0.0)
            w = w - complex(math.log(-w.real), 0.0)
        else:
            w = w - complex_log(w)
    for _ in range(60):
        one = complex(w.real + 1.0, w.imag)
        if one.real == 0 and one.imag == 0:
            return w
        if w.real >= 0:  # e^w may overflow
            rest = w - x * complex_exp(complex(-w.real, -w.imag))
            slope = one
        else:
            power = complex_exp(w)
            rest = w * power - x
            slope = one * power
        half = complex_divide(complex(w.real + 2.0, w.imag) * rest, one * 2.0)
        step = complex_divide(rest, slope - half)
        w = w - step
        if abs(step) <= 1e-15 * abs(w):
            return w
    return w


HELPERS = (
    complex_sinh,
    complex_cosh,
    complex_arcsin,
    complex_arccos,
    complex_arccosh,
    complex_arcsinh,
    complex_arctanh,
    complex_exp2,
    complex_log2,
    complex_log1p,
    complex_log10,
    complex_sinc,
    complex_spherical_jn,
    complex_lambertw,
)
