"""Elementwise functions with NumPy's names: arithmetic, elementary functions, selection, parts.

In: anything array-like; operands broadcast. Out: a `TracedTensor`, not evaluated, of NumPy 2's result dtype.
Holds: functions that need fractions (`exp`, `sqrt`, `divide`, ...) give float64 for integers and booleans. Shapes
that do not broadcast raise `ShapeError`, dtypes that a function does not take raise `DtypeError`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from nbgraph import promote
from nbgraph.errors import DtypeError
from nbgraph.kinds import Elementwise
from nbgraph.node import Node
from nbgraph.op import REGISTRY
from nbgraph.promote import BOUND, as_code, binary, bound, common, no_out, operand, record1, record2, to_inexact, unary
from nbgraph.trace import record, record_as
from nbgraph.types import COMPLEX_OF, code_of

if TYPE_CHECKING:
    from nbgraph.tensor import TracedTensor

OPS: dict[str, Any] = {name: cls() for name, cls in REGISTRY.items() if issubclass(cls, Elementwise) and not cls.params}

# -- arithmetic -------------------------------------------------------------------------------------------------------


def add(x1: Any, x2: Any) -> TracedTensor:
    """x1 + x2; of booleans their logical or.

    >>> add([1, 2], 0.5).tolist()
    [1.5, 2.5]
    """
    return binary(OPS["add"], x1, x2)


def subtract(x1: Any, x2: Any) -> TracedTensor:
    """x1 - x2; not of booleans.

    >>> subtract([1, 2], 1).tolist()
    [0, 1]
    """
    return binary(OPS["subtract"], x1, x2)


def multiply(x1: Any, x2: Any) -> TracedTensor:
    """x1 * x2; of booleans their logical and.

    >>> multiply([1, 2], [[1], [10]]).tolist()
    [[1, 2], [10, 20]]
    """
    return binary(OPS["multiply"], x1, x2)


def divide(x1: Any, x2: Any) -> TracedTensor:
    """x1 / x2; of integers and booleans it is float64.

    >>> divide(1, [2, 4]).tolist()
    [0.5, 0.25]
    """
    return promote.divide(x1, x2)


true_divide = divide


def power(x1: Any, x2: Any) -> TracedTensor:
    """x1 ** x2. A number as exponent is part of the structure, so `x**2` has exact derivatives of every order; one that
    changes from call to call (and is none of -2, -1, .5, 2, 3) is a run-time operand.

    Integers to a tensor of integers go by way of float64 (exact below 2**53); a negative number as exponent of
    integers is an error, as in NumPy.

    >>> power([1.0, 2.0, 3.0], 2).tolist()
    [1.0, 4.0, 9.0]
    """
    return promote.power(x1, x2)


def square(x: Any) -> TracedTensor:
    """x * x.

    >>> square([1, -3]).tolist()
    [1, 9]
    """
    return promote.power(x, 2)


def negative(x: Any) -> TracedTensor:
    """-x; not of booleans.

    >>> negative([1, -2]).tolist()
    [-1, 2]
    """
    return record1(OPS["negative"], operand(x))


def positive(x: Any) -> TracedTensor:
    """x.

    >>> positive(-1).item()
    -1
    """
    return operand(x)


def abs(x: Any) -> TracedTensor:
    """|x|, real for complex x. Its derivative at 0 is 0.

    >>> abs([-1.5, 3 + 4j]).tolist()
    [1.5, 5.0]
    """
    return record1(OPS["abs"], operand(x))


absolute = abs


def fabs(x: Any) -> TracedTensor:
    """|x| of real numbers, as a floating-point number.

    >>> fabs([-1, 2]).tolist()
    [1.0, 2.0]
    """
    given = to_inexact(operand(x))
    if given.type.is_complex:
        raise DtypeError(
            "complex operand", operation="fabs", position=0, got=given.dtype, wanted="real numbers", hint="use nbg.abs"
        )
    return abs(given)


def sign(x: Any) -> TracedTensor:
    """x / |x|, and 0 at 0; its derivative is 0 for real x.

    >>> sign([-2, 0, 5]).tolist()
    [-1, 0, 1]
    """
    return record1(OPS["sign"], operand(x))


# -- elementary functions ---------------------------------------------------------------------------------------------


def sqrt(x: Any) -> TracedTensor:
    """The square root; NaN of negative real x.

    >>> sqrt([4, 9]).tolist()
    [2.0, 3.0]
    """
    return unary(OPS["sqrt"], x)


def exp(x: Any) -> TracedTensor:
    """e ** x.

    >>> exp(0).item()
    1.0
    """
    return unary(OPS["exp"], x)


def expm1(x: Any) -> TracedTensor:
    """e ** x - 1, exact near 0.

    >>> expm1(1e-20).item()
    1e-20
    """
    return unary(OPS["expm1"], x)


def log(x: Any) -> TracedTensor:
    """The natural logarithm; NaN of negative real x, -inf of 0.

    >>> log(1).item()
    0.0
    """
    return unary(OPS["log"], x)


def log1p(x: Any) -> TracedTensor:
    """log(1 + x), exact near 0.

    >>> log1p(1e-20).item()
    1e-20
    """
    return unary(OPS["log1p"], x)


def sin(x: Any) -> TracedTensor:
    """The sine of an angle in radians.

    >>> sin(0).item()
    0.0
    """
    return unary(OPS["sin"], x)


def cos(x: Any) -> TracedTensor:
    """The cosine of an angle in radians.

    >>> cos(0).item()
    1.0
    """
    return unary(OPS["cos"], x)


def tan(x: Any) -> TracedTensor:
    """The tangent of an angle in radians.

    >>> tan(0).item()
    0.0
    """
    return unary(OPS["tan"], x)


def tanh(x: Any) -> TracedTensor:
    """The hyperbolic tangent.

    >>> tanh(1000.0).item()
    1.0
    """
    return unary(OPS["tanh"], x)


def arctan(x: Any) -> TracedTensor:
    """The inverse tangent, in radians.

    >>> arctan(0).item()
    0.0
    """
    return unary(OPS["arctan"], x)


atan = arctan


def erf(x: Any) -> TracedTensor:
    """The error function of real x.

    >>> erf(0).item()
    0.0
    """
    return unary(OPS["erf"], x)


# -- extrema ----------------------------------------------------------------------------------------------------------


def maximum(x1: Any, x2: Any) -> TracedTensor:
    """The larger of two real elements; NaN wins. Ties share the derivative equally.

    >>> maximum([1, 5], 3).tolist()
    [3, 5]
    """
    return binary(OPS["maximum"], x1, x2)


def minimum(x1: Any, x2: Any) -> TracedTensor:
    """The smaller of two real elements; NaN wins. Ties share the derivative equally.

    >>> minimum([1, 5], 3).tolist()
    [1, 3]
    """
    return binary(OPS["minimum"], x1, x2)


def clip(
    a: Any, a_min: Any = None, a_max: Any = None, out: None = None, *, min: Any = None, max: Any = None
) -> TracedTensor:
    """a kept within bounds, None being no bound; a_max where a_min > a_max, as in NumPy. `min`, `max`: other names.

    The derivative passes to a strictly inside the bounds, to a bound where it is the result.

    >>> clip([-1.0, 0.5, 2.0], 0, 1).tolist()
    [0.0, 0.5, 1.0]
    """
    no_out("clip", out)
    low, high = (a_min if min is None else min), (a_max if max is None else max)
    bounds = {name: b for name, b in (("greater", low), ("less", high)) if b is not None}
    x, *given = common(a, *bounds.values())
    for relation, limit in zip(bounds, given, strict=True):
        inside = record2(OPS[relation], x, limit)
        if x.type.inexact:  # NaN stays
            inside = record2(OPS["logical_or"], inside, record1(OPS["isnan"], x))
        x = record(OPS["where"], (inside, x, limit))
    return operand(x)


# -- selection, parts, dtype ------------------------------------------------------------------------------------------


def where(condition: Any, x: Any, y: Any) -> TracedTensor:
    """x where the condition is nonzero, else y; only what was chosen has a derivative.

    >>> where([True, False], [1.0, 2.0], 0).tolist()
    [1.0, 0.0]
    """
    if not (isinstance(condition, Node) and condition.type.code == "b1"):
        condition = as_code(operand(condition), "b1")
    x, y = common(x, y)
    key = ("where", condition.type, x.type, y.type)
    op, sizes, t = BOUND.get(key) or bound(key, condition, x, y)
    made: TracedTensor = record_as(t, op, (condition, x, y), sizes)
    return made


def astype(x: Any, dtype: Any, *, copy: bool = True, device: Any = None) -> TracedTensor:
    """x in another dtype; complex to real drops the imaginary part. `copy` is of no account: tensors are immutable.

    >>> astype([1.5, 2.5], "int64").tolist()
    [1, 2]
    """
    check_device(device)
    return as_code(operand(x), code_of(dtype))


def check_device(device: Any) -> None:
    """The one device is the CPU."""
    if device is not None and not (isinstance(device, str) and device == "cpu"):
        raise DtypeError("no such device", got=repr(device), wanted="None or 'cpu'")


def complex(real: Any, imag: Any) -> TracedTensor:
    """The complex number of a real and an imaginary part.

    >>> complex([1.0], 2.0).tolist()
    [(1+2j)]
    """
    x, y = (to_inexact(t) for t in common(real, imag))
    if x.type.is_complex:
        raise DtypeError("parts are complex", operation="complex", got=x.dtype, wanted="real parts")
    return add(x, multiply(y, as_code(operand(1j), COMPLEX_OF[x.type.code])))


def real(x: Any) -> TracedTensor:
    """The real part; x itself if it is real.

    >>> real([1 + 2j]).tolist()
    [1.0]
    """
    x = operand(x)
    return record1(OPS["real"], x) if x.type.is_complex else x


def imag(x: Any) -> TracedTensor:
    """The imaginary part; zeros if x is real.

    >>> imag([1 + 2j]).tolist()
    [2.0]
    """
    x = operand(x)
    if x.type.is_complex:
        return record1(OPS["imag"], x)
    zeros: TracedTensor = promote.apply("broadcast_to", promote.weak(0, x.type.code), shape=x.type.shape)
    return zeros


def conj(x: Any) -> TracedTensor:
    """The complex conjugate; x itself if it is real.

    >>> conj([1 + 2j]).tolist()
    [(1-2j)]
    """
    x = operand(x)
    return record1(OPS["conj"], x) if x.type.is_complex else x


conjugate = conj


def stop_gradient(x: Any) -> TracedTensor:
    """The value of x, as a constant of every derivative.

    >>> stop_gradient(1.5).item()
    1.5
    """
    return record1(OPS["stop_gradient"], operand(x))
