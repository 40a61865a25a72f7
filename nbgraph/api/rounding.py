"""Rounding, division with remainder and the parts of floating-point numbers, with NumPy's names.

In: anything array-like; operands broadcast. Out: a `TracedTensor`, not evaluated; integers stay integers where NumPy
leaves them.
Holds: what only jumps has derivative 0, a remainder that of x1 - q x2 at constant q. Complex operands raise
`DtypeError`. An integer divided by 0 gives 0.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from nbgraph import promote
from nbgraph.api.elementwise import OPS, abs, imag, negative, real, subtract, where
from nbgraph.errors import named
from nbgraph.promote import as_code, binary, common, inexact_binary, no_out, operand, record1, record2, to_inexact

if TYPE_CHECKING:
    from nbgraph.tensor import TracedTensor


def _stepped(name: str, x: Any) -> TracedTensor:
    """Integers and booleans are integers already."""
    x = operand(x)
    return x if x.type.code[0] in "bi" else record1(OPS[name], x)


def floor(x: Any) -> TracedTensor:
    """The largest integer not above x.

    >>> floor([-1.5, 1.5]).tolist()
    [-2.0, 1.0]
    """
    return _stepped("floor", x)


def ceil(x: Any) -> TracedTensor:
    """The smallest integer not below x.

    >>> ceil([-1.5, 1.5]).tolist()
    [-1.0, 2.0]
    """
    return _stepped("ceil", x)


def trunc(x: Any) -> TracedTensor:
    """x without its fraction.

    >>> trunc([-1.5, 1.5]).tolist()
    [-1.0, 1.0]
    """
    return _stepped("trunc", x)


fix = trunc


def rint(x: Any) -> TracedTensor:
    """The nearest integer, of two the even one; of integers and booleans float64.

    >>> rint([0.5, 1.5]).tolist()
    [0.0, 2.0]
    """
    return record1(OPS["rint"], to_inexact(operand(x)))


@named
def round(a: Any, decimals: int = 0, out: None = None) -> TracedTensor:
    """Rounded to a number of decimals, which may be negative; of two neighbours the even one. Complex: both parts.

    >>> round([0.125, 2.5], 2).tolist()
    [0.12, 2.5]
    """
    no_out("round", out)
    x = operand(a)
    if x.type.code == "b1" or (x.type.code[0] == "i" and decimals >= 0):
        return x
    if x.type.is_complex:
        return round(real(x), decimals) + 1j * round(imag(x), decimals)
    if decimals == 0:
        return rint(x)
    scale = 10.0 ** abs(decimals)
    if decimals > 0:
        return promote.divide(rint(x * scale), scale)
    return as_code(rint(promote.divide(x, scale)) * scale, x.type.code)


around = round


def floor_divide(x1: Any, x2: Any) -> TracedTensor:
    """floor(x1 / x2).

    >>> floor_divide([7, -7], 2).tolist()
    [3, -4]
    """
    return binary(OPS["floor_divide"], x1, x2)


def remainder(x1: Any, x2: Any) -> TracedTensor:
    """x1 - floor(x1 / x2) * x2: it has the sign of x2.

    >>> remainder([7, -7], 4).tolist()
    [3, 1]
    """
    return binary(OPS["remainder"], x1, x2)


mod = remainder


def fmod(x1: Any, x2: Any) -> TracedTensor:
    """x1 - trunc(x1 / x2) * x2: it has the sign of x1.

    >>> fmod([7, -7], 4).tolist()
    [3, -3]
    """
    return binary(OPS["fmod"], x1, x2)


def divmod(x1: Any, x2: Any) -> tuple[TracedTensor, TracedTensor]:
    """The pair of `floor_divide` and `remainder`.

    >>> q, r = divmod(7.0, 4.0)
    >>> q.item(), r.item()
    (1.0, 3.0)
    """
    return floor_divide(x1, x2), remainder(x1, x2)


def modf(x: Any) -> tuple[TracedTensor, TracedTensor]:
    """Fraction and whole part of x, both with its sign.

    >>> fraction, whole = modf(-1.5)
    >>> fraction.item(), whole.item()
    (-0.5, -1.0)
    """
    x = to_inexact(operand(x))
    whole = trunc(x)
    rest = where(record1(OPS["isfinite"], x), subtract(x, whole), where(record1(OPS["isnan"], x), x, 0.0))
    return _signed(rest, x), whole


def _signed(rest: TracedTensor, x: TracedTensor) -> TracedTensor:
    """Zeros with the sign of x; the derivative of the fraction stays."""
    return where(rest == 0, rest * record2(OPS["copysign"], promote.weak(1.0, x.type.code), x), rest)


def ldexp(x1: Any, x2: Any) -> TracedTensor:
    """x1 * 2**x2 for integers x2, exactly; without a derivative by x2.

    >>> ldexp(1.5, [1, -1]).tolist()
    [3.0, 0.75]
    """
    x, n = to_inexact(operand(x1)), operand(x2)
    made: TracedTensor = promote.apply("scalbn", x, as_code(n, "i4") if n.type.code[0] in "bi" else n)
    return made


def frexp(x: Any) -> tuple[TracedTensor, TracedTensor]:
    """m and n (int32) of x = m * 2**n with 1/2 <= |m| < 1; n is 0 for 0, infinities and NaN.

    >>> m, n = frexp(6.0)
    >>> m.item(), n.item()
    (0.75, 3)
    """
    x = to_inexact(operand(x))
    n = record1(OPS["exponent"], x)
    return promote.apply("scalbn", x, negative(n)), n


def nextafter(x1: Any, x2: Any) -> TracedTensor:
    """The next floating-point number from x1 towards x2; it moves as x1 does.

    >>> nextafter(1.0, 2.0).item() - 1.0
    2.220446049250313e-16
    """
    return inexact_binary(OPS["nextafter"], x1, x2)


# -- whole numbers ----------------------------------------------------------------------------------------------------


def gcd(x1: Any, x2: Any) -> TracedTensor:
    """The greatest common divisor of integers.

    >>> gcd([12, 20], 18).tolist()
    [6, 2]
    """
    return binary(OPS["gcd"], x1, x2)


def lcm(x1: Any, x2: Any) -> TracedTensor:
    """The least common multiple of integers, not negative.

    >>> lcm([4, 0], 6).tolist()
    [12, 0]
    """
    x, y = common(x1, x2)
    divisor = gcd(x, y)
    return abs(floor_divide(x, where(divisor == 0, 1, divisor)) * y)
