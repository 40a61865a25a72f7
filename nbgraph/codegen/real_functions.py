"""Functions of real numbers that generated code calls and that the C library does not have.

In: one element each. Out: one element, as NumPy or SciPy would give it.
Holds: plain Python, compiled where it is used; nothing allocates or raises. `libm` is the C library's.
"""

from __future__ import annotations

import math
from typing import Any

libm: Any = None  # given when the functions are compiled


def float_remainder(x: float, y: float) -> float:
    """x - floor(x / y) y, with the sign of y; NaN where y is 0."""
    rest = libm.fmod(x, y)
    if rest == 0:
        return libm.copysign(0.0, y)
    if (rest < 0) != (y < 0):
        return rest + y
    return rest


def float_floor_divide(x: float, y: float) -> float:
    """floor(x / y) from the exact remainder, so that it agrees with that."""
    if y == 0:
        return x / y
    rest = libm.fmod(x, y)
    quotient = (x - rest) / y
    if rest != 0 and (rest < 0) != (y < 0):
        quotient -= 1.0
    if quotient == 0:
        return libm.copysign(0.0, x / y)
    whole = libm.floor(quotient)
    return whole + 1.0 if quotient - whole > 0.5 else whole


def int_remainder(x: int, y: int) -> int:
    """With the sign of y; 0 where y is 0. (The smallest integer over -1 would trap.)"""
    if y == 0 or y == -1:
        return y * 0
    return x % y


def int_floor_divide(x: int, y: int) -> int:
    """Rounded down; 0 where y is 0, and the smallest integer over -1 is itself."""
    if y == 0:
        return y
    if y == -1:
        return -x
    return x // y


def int_fmod(x: int, y: int) -> int:
    """With the sign of x; 0 where y is 0."""
    rest = int_remainder(x, y)
    return rest - y if rest != 0 and (rest < 0) != (x < 0) else rest


def exponent(x: float) -> int:
    """The n of x = m 2^n with 1/2 <= |m| < 1; 0 of 0, infinities and NaN."""
    return int(libm.logb(x)) + 1 if x != 0 and x - x == 0 else 0


def sinc(x: float) -> float:
    """sin(pi x) / (pi x), 1 at 0."""
    if x == 0:
        return 1.0
    y = math.pi * x
    return math.sin(y) / y


def spherical_jn(n: int, x: float) -> float:
    """The spherical Bessel function: its power series for |x| < n + 1, else upwards from j_0 and j_1 (DLMF 10.53.1,
    10.51.1)."""
    if abs(x) < n + 1.0:
        half = -0.5 * x * x
        term = total = 1.0
        for k in range(1, 20 + n):
            term *= half / (k * (2.0 * (n + k) + 1.0))
            total += term
        for k in range(n):
            total *= x / (2.0 * k + 3.0)
        return total
    if math.isinf(x):
        return 0.0
    low = math.sin(x) / x
    high = (low - math.cos(x)) / x
    for k in range(1, n + 1):
        low, high = high, (2.0 * k + 1.0) / x * high - low
    return low


def hurwitz_zeta(s: float, q: float) -> float:
    """The sum of (q + k)^-s over k >= 0 for s > 1; for q < 0 and integer s by its parts on both sides of 0."""
    if q > 0:
        return zeta_of_positive(s, q)
    if q == libm.floor(q):
        return math.inf
    sign = 1.0 if s % 2.0 == 0.0 else -1.0
    near = zeta_of_positive(s, q - libm.floor(q)) + sign * zeta_of_positive(s, libm.ceil(q) - q)
    return near - sign * zeta_of_positive(s, 1.0 - q)


def zeta_of_positive(s: float, q: float) -> float:
    """Nine terms, and the rest by the Euler-Maclaurin formula (DLMF 25.11.7 without its integral)."""
    if math.isinf(q):
        return 0.0
    total = 0.0
    for _ in range(9):
        total += q**-s
        q += 1.0
    power = q**-s
    if power == 0:
        return total
    total += power * q / (s - 1.0) + 0.5 * power
    # The sum over k >= 1 of B_2k / (2k)! s (s + 1) ... (s + 2k - 2) q^(-s - 2k + 1), by Horner's rule.
    u = 1.0 / (q * q)
    rest = -174611 / 802857662698291200000
    rest = 43867 / 5109094217170944000 + rest * u * (s + 17.0) * (s + 18.0)
    rest = -3617 / 10670622842880000 + rest * u * (s + 15.0) * (s + 16.0)
    rest = 1 / 74724249600 + rest * u * (s + 13.0) * (s + 14.0)
    rest = -691 / 1307674368000 + rest * u * (s + 11.0) * (s + 12.0)
    rest = 1 / 47900160 + rest * u * (s + 9.0) * (s + 10.0)
    rest = -1 / 1209600 + rest * u * (s + 7.0) * (s + 8.0)
    rest = 1 / 30240 + rest * u * (s + 5.0) * (s + 6.0)
    rest = -1 / 720 + rest * u * (s + 3.0) * (s + 4.0)
    return total + power * s / q * (1 / 12 + rest * u * (s + 1.0) * (s + 2.0))


def zeta(s: float, q: float) -> float:
    """Hurwitz's zeta function: infinite at s = 1 and q = 0, -1, ...; NaN for s < 1, and for q < 0 and broken s."""
    if s == 1.0:
        return math.inf
    if s < 1.0 or q != q:
        return math.nan
    if q < 0 and q != libm.floor(q) and s != libm.floor(s):
        return math.nan
    return hurwitz_zeta(s, q)


def greatest_common_divisor(a: Any, b: Any) -> Any:
    """Euclid's algorithm; not negative."""
    while b != 0:
        a, b = b, a % b
    return abs(a)


#: In an order in which each uses only those before it.
HELPERS = (
    float_remainder,
    float_floor_divide,
    int_remainder,
    int_floor_divide,
    int_fmod,
    exponent,
    sinc,
    spherical_jn,
    zeta_of_positive,
    hurwitz_zeta,
    zeta,
    greatest_common_divisor,
)
