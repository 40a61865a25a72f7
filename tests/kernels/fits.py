"""Where the constants of `nbgraph_kernels.math.coefficients` come from.

    python tests/kernels/fits.py > kernels/nbgraph_kernels/math/coefficients.py

Polynomials go through the function at the Chebyshev nodes of an interval a little larger than the reduced argument's,
with 60 digits; their coefficients are then rounded. Needs mpmath.
"""

from __future__ import annotations

import textwrap
from collections.abc import Callable
from typing import Any

import numpy as np
from mpmath import mp, mpf

mp.dps = 60


def fit(f: Callable[[Any], Any], low: Any, high: Any, degree: int, crowding: Any = 1) -> list[Any]:
    """Coefficients, lowest first, of the polynomial through f at the Chebyshev nodes of [low, high].

    `crowding` above 1 moves the nodes towards `low`: for errors that count for less where f is small."""
    nodes = _nodes(low, high, degree + 1, crowding)
    return [+c for c in _newton(nodes, _values(f, nodes))]


def _nodes(low: Any, high: Any, count: int, crowding: Any) -> list[Any]:
    nodes = [mp.cos(mp.pi * (k + mpf(1) / 2) / count) for k in range(count)]
    if crowding != 1:
        nodes = [2 * ((1 + u) / 2) ** mpf(crowding) - 1 for u in nodes]
    return [(mpf(low) + high) / 2 + (mpf(high) - low) / 2 * u for u in nodes]


def _values(f: Callable[[Any], Any], nodes: list[Any]) -> list[Any]:
    with mp.workdps(250):  # the functions have removable singularities
        return [f(node) for node in nodes]


def _newton(nodes: list[Any], values: list[Any]) -> list[Any]:
    """The interpolating polynomial's coefficients, by divided differences."""
    with mp.workdps(120):
        table = list(values)
        for step in range(1, len(nodes)):
            for k in range(len(nodes) - 1, step - 1, -1):
                table[k] = (table[k] - table[k - 1]) / (nodes[k] - nodes[k - step])
        total = [mpf(0)]
        for node, difference in zip(reversed(nodes), reversed(table), strict=True):
            shifted = [mpf(0), *total]
            for k, c in enumerate(total):
                shifted[k] -= node * c
            shifted[0] += difference
            total = shifted
        return total[: len(nodes)]


def rational(f: Callable[[Any], Any], low: Any, high: Any, top: int, bottom: int, crowding: Any = 1) -> list[list[Any]]:
    """P, of degree `top`, and Q, of degree `bottom` and ending with 1, whose quotient goes through f at such nodes."""
    nodes = _nodes(low, high, top + bottom + 1, crowding)
    values = _values(f, nodes)
    with mp.workdps(120):
        pairs = list(zip(nodes, values, strict=True))
        rows = [[z**j for j in range(top + 1)] + [-v * z**j for j in range(bottom)] for z, v in pairs]
        found = list(mp.lu_solve(mp.matrix(rows), mp.matrix([v * z**bottom for z, v in pairs])))
    return [[+c for c in found[: top + 1]], [*(+c for c in found[top + 1 :]), mpf(1)]]


def odd(f: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """P with f(x) = x + x^3 P(x^2)."""
    return lambda z: (f(mp.sqrt(z)) / mp.sqrt(z) - 1) / z


def near_erf(z: Any) -> Any:
    """E with erf(x) = x + x E(x^2)."""
    return mp.erf(mp.sqrt(z)) / mp.sqrt(z) - 1


def even(z: Any) -> Any:
    """C with cos(x) = 1 - x^2/2 + x^4 C(x^2)."""
    return (mp.cos(mp.sqrt(z)) - 1 + z / 2) / z**2


def scaled_erfc(center: float) -> Callable[[Any], Any]:
    """(1 + s x) e^(x^2) erfc x of t = (x - center)/(x + center)."""

    def g(t: Any) -> Any:
        x = center * (1 + t) / (1 - t)
        return (1 + SLOPE * x) * mp.exp(x * x) * mp.erfc(x)

    return g


def mapped(center: float, x: Any) -> Any:
    """t of x."""
    return (mpf(x) - center) / (mpf(x) + center)


HALF_LN2, QUARTER_PI, TINY = mp.log(2) / 2 * mpf("1.001"), mp.pi / 4 * mpf("1.003"), mpf(10) ** -30

#: name -> formula, function, low, high, degree in single and in double precision (`high` may differ, too).
POLYNOMIALS: dict[str, tuple[str, Any, Any, Any, int, int]] = {
    "EXP": ("(e^r - 1 - r) / r^2", lambda r: (mp.expm1(r) - r) / r**2, -HALF_LN2, HALF_LN2, 4, 9),
    "HALF_EXP": ("e^2r / 2", lambda r: mp.exp(2 * r) / 2, -HALF_LN2 / 2, HALF_LN2 / 2, 6, 11),
    "EXP2": ("(2^r - 1) / r", lambda r: mp.expm1(r * mp.log(2)) / r, -mpf("0.5005"), mpf("0.5005"), 5, 10),
    "LOG": ("(2 atanh(s)/s - 2) / s^2 of s^2", lambda z: 2 * odd(mp.atanh)(z), TINY, mpf("0.0296"), 3, 7),
    "SIN": ("(sin(r)/r - 1) / r^2 of r^2", odd(mp.sin), TINY, QUARTER_PI**2, 3, 6),
    "COS": ("(cos(r) - 1 + r^2/2) / r^4 of r^2", even, TINY, QUARTER_PI**2, 3, 5),
    "SINH": ("(sinh(x)/x - 1) / x^2 of x^2", odd(mp.sinh), TINY, mpf(1), 3, 7),
    "ATAN": ("(atan(x)/x - 1) / x^2 of x^2", odd(mp.atan), TINY, mpf(1), 10, 20),
    "ASIN": ("(asin(x)/x - 1) / x^2 of x^2", odd(mp.asin), TINY, mpf("0.2505"), 5, 12),
}  # fmt: skip

#: s, near 2/sqrt(pi).
SLOPE = 1.125
#: center (where the function is nearly a float), smallest and largest x, degree.
ERFC = ((2.6171875, 0, 10.1, 9), (4.0390625, 0, 27.3, 22))
#: Where erf goes from one way to the other, in double precision.
ERF_SEAM = 0.92


def parts(x: Any, count: int, kind: Any) -> list[Any]:
    """A number as an unevaluated sum of floats."""
    found = []
    for _ in range(count):
        found.append(kind(str(x)) if kind is float else _single(x))
        x = x - mpf(float(found[-1]))
    return found


def _single(x: Any) -> float:
    return float(np.float32(float(x)))


def show(values: Any) -> str:
    """A tuple of floats, a line each if there are many."""
    texts = [repr(v) for v in values]
    if len(texts) < 5:
        return f"({', '.join(texts)})"
    return "(\n" + "".join(f"        {t},\n" for t in texts) + "    )"


def rounded(coefficients: Any, single: bool) -> list[float]:
    """Coefficients in one of the precisions."""
    return [_single(c) if single else float(str(c)) for c in coefficients]


def constants() -> dict[str, tuple[str, Any, Any]]:
    """name -> comment, value in single and in double precision, as source."""
    made: dict[str, tuple[str, Any, Any]] = {}
    pairs = {
        "LN2": ("1 / ln 2, and ln 2 in parts", [1 / mp.log(2)], mp.log(2), 2),
        "LOG2_E": ("log2 e in parts", [], 1 / mp.log(2), 2),
        "LOG10_E": ("log10 e in parts", [], 1 / mp.log(10), 2),
        "LOG10_2": ("log10 2 in parts", [], mp.log(2) / mp.log(10), 2),
        "HALF_PI": ("2 / pi, and pi/2 in parts", [2 / mp.pi], mp.pi / 2, 3),
    }
    for name, (comment, before, x, count) in pairs.items():
        made[name] = comment, *(show([*rounded(before, k is None), *parts(x, count, k)]) for k in (None, float))
    for name, (formula, f, low, high, *degrees) in POLYNOMIALS.items():
        highs = high if isinstance(high, tuple) else (high, high)
        fits = [rounded(fit(f, low, h, d), k == 0) for k, (h, d) in enumerate(zip(highs, degrees, strict=True))]
        made[name] = formula, *map(show, fits)
    tanh = [rational(odd(mp.tanh), TINY, mpf("0.3605"), *degrees) for degrees in ((1, 1), (2, 3))]
    made["TANH"] = "P and Q of x^2, with tanh(x)/x - 1 = x^2 P/Q", *map(_pair, tanh, (True, False))
    log = fit(lambda f: (mp.log1p(f) - f + f * f / 2) / f**3, mp.sqrt(mpf("0.5")) - 1, mp.sqrt(2) - 1, 7)
    formula, _, double = made["LOG"]
    made["LOG"] = f"single: (log(1 + f) - f + f^2/2) / f^3 of f; double: {formula}", show(rounded(log, True)), double
    erfc = "a, and (1 + s x) e^(x^2) erfc x of t = (x - a) / (x + a)"
    made["ERFC"] = erfc, *map(_erfc, ERFC, (True, False))
    near = fit(near_erf, TINY, mpf("1.1236"), 6), rational(near_erf, TINY, mpf(ERF_SEAM) ** 2, 4, 5)
    formula = "erf(x)/x - 1 of x^2; double: P and Q of x^2, of which it is the quotient"
    made["ERF"] = formula, show(rounded(near[0], True)), _pair(near[1], False)
    root = fit(lambda x: mp.root(mp.erfc(x), 4), mpf("1.06"), mpf(4), 9, mpf("1.6"))
    far = rational(lambda x: mp.exp(x * x) * mp.erfc(x), mpf(ERF_SEAM), mpf(6), 6, 7, mpf("2.5"))
    fourth = "single: the fourth root of erfc x; double: P and Q with e^(x^2) erfc x = P/Q"
    made["ERF_FAR"] = fourth, show(rounded(root, True)), _pair(far, False)
    made["POW"] = (
        "single: 2 atanh(s)/s of s^2, (2^r - 1) / r, for double precision; double: 2/3 in parts, and "
        "((2 atanh(s)/s - 2) / s^2 - 2/3) / s^2 of s^2",
        *_power(),
    )
    return made


def _pair(quotient: list[list[Any]], single: bool) -> str:
    return f"({', '.join(show(rounded(c, single)) for c in quotient)})"


def _erfc(way: tuple[float, float, float, int], single: bool = False) -> str:
    center, low, high, degree = way
    found = fit(scaled_erfc(center), mapped(center, low), mapped(center, high), degree)
    return f"({center}, {show(rounded(found, single))})"


def _power() -> tuple[str, str]:
    (_, log, low, high, *_), (_, exp2, bottom, top, *_) = POLYNOMIALS["LOG"], POLYNOMIALS["EXP2"]
    after = fit(lambda z: (log(z) - mpf(2) / 3) / z, low, high, 6)
    short = fit(lambda z: 2 + z * log(z), low, high, 4), fit(exp2, bottom, top, 5)
    singles = ", ".join(show(rounded(c, False)) for c in short)
    return f"({singles})", f"({show(parts(mpf(2) / 3, 2, float))}, {show(rounded(after, False))})"


def words(count: int) -> list[int]:
    """A zero word, and the bits of 2/pi after the point."""
    with mp.workprec(64 * count + 64):
        whole = int(mp.floor(2 / mp.pi * mpf(2) ** (64 * count)))
    return [0] + [(whole >> (64 * (count - 1 - k))) & (2**64 - 1) for k in range(count)]


def text() -> str:
    """The source of `coefficients.py`."""
    lines = [
        '"""Constants of the reductions and polynomials, made by `tests/kernels/fits.py`.',
        "",
        "A name holds what is used in single and in double precision. Polynomials: the coefficient of the lowest power",
        'first."""',
        "",
    ]
    for name, (comment, single, double) in constants().items():
        lines += [
            *(f"#: {line}" for line in textwrap.wrap(f"{comment}.", 110)),
            f"{name} = (",
            f"    {single},",
            f"    {double},",
            ")",
            "",
        ]
    lines += ["#: s in 1 + s x, near 2/sqrt(pi).", f"SLOPE = {SLOPE}", ""]
    lines += ["#: Where erf goes from one way to the other, in double precision.", f"ERF_SEAM = {ERF_SEAM}", ""]
    lines += ["#: pi/2 as a double-double.", f"HALF_PI_PARTS = {show(parts(mp.pi / 2, 2, float))}", ""]
    lines += ["#: 64 zero bits, then those of 2/pi after the point.", "TWO_OVER_PI = ("]
    lines += [f"    0x{w:016X}," for w in words(20)] + [")", ""]
    return "\n".join(lines)


if __name__ == "__main__":
    print(text(), end="")
