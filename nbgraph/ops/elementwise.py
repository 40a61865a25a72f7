"""Elementwise operations: arithmetic, elementary functions, comparisons, logic, selection, parts of complex numbers.

Operands have one dtype (the API casts) and broadcast. Complex derivatives follow the inner product Re(conj(a) b):
a holomorphic f has the adjoint ct * conj(f'(z)), which follows from transposing `multiply`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, ClassVar, final

import numpy as np

from nbgraph.errors import DtypeError
from nbgraph.kinds import ALL, FLOATS, INEXACT, NUMERIC, REAL, Elementwise
from nbgraph.op import Sample, Sizes, sample_array
from nbgraph.types import DTYPES, REAL_OF, Shape, TensorType

#: Functions of complex numbers that generated code has of its own (`nbgraph.codegen.runtime`).
_COMPLEX = frozenset(("sqrt", "tan", "tanh", "exp", "expm1", "sin", "cos", "arctan", "sign", "log"))


class _Unary(Elementwise):
    """An operation of one operand, given by a NumPy function, the name of a scalar function, and f'."""

    function: ClassVar[Any]
    source: ClassVar[str] = ""
    low: ClassVar[float] = -2.0
    high: ClassVar[float] = 2.0

    def reference(self, ins: Sequence[Any], sizes: tuple[int, ...]) -> Any:
        return type(self).function(ins[0])

    def scalar(self, code: str, *xs: str) -> str:
        if code[0] == "c" and self.name in _COMPLEX:
            return f"complex_{self.name}({xs[0]})"
        module = "np" if code[0] == "c" or code == "f4" else "math"
        return f"{module}.{self.source or self.name}({xs[0]})"

    def slope(self, b: Any, x: Any, y: Any) -> Any:
        """f'(x), given x and y = f(x)."""
        raise TypeError(f"{self.name} has no slope")

    def derivative(self, b: Any, ins: Any, out: Any, tangents: Any) -> Any:
        return b.mul(tangents[0], self.slope(b, ins[0], out))

    @classmethod
    def samples(cls, code: str, rng: np.random.Generator) -> Iterable[Sample]:
        if code in cls.codes.split():
            for shape in ((3, 4), (), (0, 2)):
                yield Sample(cls(), (sample_array(rng, code, shape, cls.low, cls.high),))


class _Binary(Elementwise):
    """An operation of two operands, given by a NumPy ufunc and a source template."""

    function: ClassVar[Any]
    template: ClassVar[str] = ""
    low: ClassVar[float] = -2.0
    high: ClassVar[float] = 2.0

    def reference(self, ins: Sequence[Any], sizes: tuple[int, ...]) -> Any:
        return type(self).function(ins[0], ins[1])

    def scalar(self, code: str, *xs: str) -> str:
        return self.template.format(*xs)

    @classmethod
    def samples(cls, code: str, rng: np.random.Generator) -> Iterable[Sample]:
        if code in cls.codes.split():
            for left, right in (((3, 4), (3, 4)), ((4,), (3, 1)), ((), (2, 3)), ((0, 2), (1, 2))):
                x = sample_array(rng, code, left, cls.low, cls.high)
                yield Sample(cls(), (x, sample_array(rng, code, right, cls.low, cls.high)))


# -- arithmetic ---------------------------------------------------------------------------------------------------


@final
class Add(_Binary):
    """x + y (logical or for booleans)."""

    name = "add"
    function = np.add

    def scalar(self, code: str, *xs: str) -> str:
        return f"({xs[0]} | {xs[1]})" if code == "b1" else f"({xs[0]} + {xs[1]})"

    def derivative(self, b: Any, ins: Any, out: Any, tangents: Any) -> Any:
        return b.add(*tangents)

    def adjoint(self, b: Any, ct: Any, ins: Any, active: Sequence[bool]) -> Any:
        return ct, ct

    def simplify(self, b: Any, ins: Any, sizes: Shape) -> Any:
        for x, other in (ins, ins[::-1]):
            if b.is_literal(x, 0) and b.type(other).klass is b.out_class:
                return other
        return None


@final
class Subtract(_Binary):
    """x - y."""

    name = "subtract"
    codes = NUMERIC
    function = np.subtract
    template = "({} - {})"

    def derivative(self, b: Any, ins: Any, out: Any, tangents: Any) -> Any:
        return b.sub(*tangents)

    def adjoint(self, b: Any, ct: Any, ins: Any, active: Sequence[bool]) -> Any:
        return ct, b.neg(ct) if active[1] else None


@final
class Multiply(_Binary):
    """x * y (logical and for booleans)."""

    name = "multiply"
    function = np.multiply

    def scalar(self, code: str, *xs: str) -> str:
        return f"({xs[0]} & {xs[1]})" if code == "b1" else f"({xs[0]} * {xs[1]})"

    def derivative(self, b: Any, ins: Any, out: Any, tangents: Any) -> Any:
        (x, y), (dx, dy) = ins, tangents
        return b.add(b.mul(dx, y) if dx is not None else None, b.mul(x, dy) if dy is not None else None)

    def adjoint(self, b: Any, ct: Any, ins: Any, active: Sequence[bool]) -> Any:
        x, y = ins
        return (
            b.mul(ct, b.conj(y)) if active[0] else None,
            b.mul(ct, b.conj(x)) if active[1] else None,
        )

    def simplify(self, b: Any, ins: Any, sizes: Shape) -> Any:
        for x, other in (ins, ins[::-1]):
            if b.is_literal(x, 1) and b.type(other).klass is b.out_class:
                return other
        return None


@final
class Divide(_Binary):
    """x / y of inexact operands."""

    name = "divide"
    codes = INEXACT
    function = np.divide
    low, high = 0.5, 2.0

    def scalar(self, code: str, *xs: str) -> str:
        return f"complex_divide({xs[0]}, {xs[1]})" if code[0] == "c" else f"({xs[0]} / {xs[1]})"

    def derivative(self, b: Any, ins: Any, out: Any, tangents: Any) -> Any:
        (_, y), (dx, dy) = ins, tangents
        through_y = b.neg(b.mul(dy, b.div(out, y))) if dy is not None else None
        return b.add(b.div(dx, y) if dx is not None else None, through_y)

    def adjoint(self, b: Any, ct: Any, ins: Any, active: Sequence[bool]) -> Any:
        return b.div(ct, b.conj(ins[1])) if active[0] else None, None


@final
class Negative(_Unary):
    """-x."""

    name = "negative"
    codes = NUMERIC
    function = np.negative

    def scalar(self, code: str, *xs: str) -> str:
        return f"(-{xs[0]})"

    def derivative(self, b: Any, ins: Any, out: Any, tangents: Any) -> Any:
        return b.neg(tangents[0])

    def adjoint(self, b: Any, ct: Any, ins: Any, active: Sequence[bool]) -> Any:
        return (b.neg(ct),)


@final
class Power(_Binary):
    """x ** y with a run-time exponent. A constant exponent is `integer_power` or `real_power`."""

    name = "power"
    codes = INEXACT
    function = np.power
    low, high = 0.5, 2.0

    def scalar(self, code: str, *xs: str) -> str:
        return f"complex_power({xs[0]}, {xs[1]})" if code[0] == "c" else f"math.pow({xs[0]}, {xs[1]})"

    def derivative(self, b: Any, ins: Any, out: Any, tangents: Any) -> Any:
        (x, y), (dx, dy) = ins, tangents
        through_x = through_y = None
        if dx is not None:  # y x^(y - 1), zero where y is zero, whatever x is
            zero = b.equal(y, b.lit(0, y))
            exponent = b.where(zero, b.lit(1, y), b.sub(y, 1))
            through_x = b.mul(dx, b.mul(y, b.power(x, exponent)))
        if dy is not None:  # x^y log x, zero where x is zero
            log_x = b.log(b.where(b.equal(x, b.lit(0, x)), b.lit(1, x), x))
            through_y = b.mul(dy, b.mul(out, log_x))
        return b.add(through_x, through_y)


@final
class IntegerPower(Elementwise):
    """x ** n for an integer n: x**2 has exact derivatives of every order, at 0 too."""

    name = "integer_power"
    params = ("exponent",)
    exponent: int
    codes = NUMERIC

    def reference(self, ins: Sequence[Any], sizes: tuple[int, ...]) -> Any:
        if self.exponent == 2:
            return np.square(ins[0])
        if self.exponent < 0 and ins[0].dtype.kind != "i":
            return np.reciprocal(np.power(ins[0], -self.exponent))
        return np.power(ins[0], self.exponent)

    def scalar(self, code: str, *xs: str) -> str:
        n, x = abs(self.exponent), xs[0]
        if code[0] == "c":
            return f"complex_integer_power({x}, {self.exponent})"
        power = f"({'*'.join([x] * n)})" if 1 <= n <= 4 else f"({x} ** {n})"
        if n == 0:
            power = "1"
        return f"(1 / {power})" if self.exponent < 0 else power

    def derivative(self, b: Any, ins: Any, out: Any, tangents: Any) -> Any:
        n = self.exponent
        if n == 0:
            return None
        below = b.emit(IntegerPower(n - 1), ins[0]) if n != 1 else None
        slope = b.lit(1, ins[0]) if below is None else b.mul(below, n)
        return b.mul(tangents[0], slope)

    @classmethod
    def samples(cls, code: str, rng: np.random.Generator) -> Iterable[Sample]:
        if code in cls.codes.split():
            for n in (0, 1, 2, 3, 5):
                yield Sample(cls(n), (sample_array(rng, code, (3, 2), 0.5, 2.0),))
            if code in INEXACT.split():
                yield Sample(cls(-2), (sample_array(rng, code, (3, 2), 0.5, 2.0),))


@final
class RealPower(Elementwise):
    """x ** p for a constant p that is no integer; the exponent is structure."""

    name = "real_power"
    params = ("exponent",)
    exponent: float
    codes = INEXACT

    def reference(self, ins: Sequence[Any], sizes: tuple[int, ...]) -> Any:
        return np.power(ins[0], ins[0].dtype.type(self.exponent))

    def scalar(self, code: str, *xs: str) -> str:
        if code[0] == "c":
            return f"complex_power({xs[0]}, complex128({self.exponent!r}))"
        return f"math.pow({xs[0]}, {DTYPES[code].name}({self.exponent!r}))"

    def derivative(self, b: Any, ins: Any, out: Any, tangents: Any) -> Any:
        p = self.exponent
        return b.mul(tangents[0], b.mul(b.emit(RealPower(p - 1.0), ins[0]), p))

    @classmethod
    def samples(cls, code: str, rng: np.random.Generator) -> Iterable[Sample]:
        if code in cls.codes.split():
            for p in (0.5, 1.5, -0.75):
                yield Sample(cls(p), (sample_array(rng, code, (3, 2), 0.5, 2.0),))


# -- elementary functions -----------------------------------------------------------------------------------------


@final
class Sqrt(_Unary):
    """The square root."""

    name = "sqrt"
    codes = INEXACT
    function = np.sqrt
    low = 0.3

    def derivative(self, b: Any, ins: Any, out: Any, tangents: Any) -> Any:
        return b.div(b.mul(tangents[0], 0.5), out)


@final
class Exp(_Unary):
    """e^x."""

    name = "exp"
    codes = INEXACT
    function = np.exp

    def slope(self, b: Any, x: Any, y: Any) -> Any:
        return y


@final
class Expm1(_Unary):
    """e^x - 1, exact near 0."""

    name = "expm1"
    codes = INEXACT
    function = np.expm1

    def slope(self, b: Any, x: Any, y: Any) -> Any:
        return b.exp(x)


@final
class Log(_Unary):
    """The natural logarithm."""

    name = "log"
    codes = INEXACT
    function = np.log
    low = 0.3

    def derivative(self, b: Any, ins: Any, out: Any, tangents: Any) -> Any:
        return b.div(tangents[0], ins[0])


@final
class Log1p(_Unary):
    """log(1 + x), exact near 0."""

    name = "log1p"
    codes = INEXACT
    function = np.log1p
    low = -0.5

    def derivative(self, b: Any, ins: Any, out: Any, tangents: Any) -> Any:
        return b.div(tangents[0], b.add(ins[0], 1))


@final
class Sin(_Unary):
    """The sine (radians)."""

    name = "sin"
    codes = INEXACT
    function = np.sin

    def slope(self, b: Any, x: Any, y: Any) -> Any:
        return b.cos(x)


@final
class Cos(_Unary):
    """The cosine (radians)."""

    name = "cos"
    codes = INEXACT
    function = np.cos

    def slope(self, b: Any, x: Any, y: Any) -> Any:
        return b.neg(b.sin(x))


@final
class Tan(_Unary):
    """The tangent (radians)."""

    name = "tan"
    codes = INEXACT
    function = np.tan
    low, high = -1.2, 1.2

    def slope(self, b: Any, x: Any, y: Any) -> Any:
        return b.add(b.mul(y, y), 1)


@final
class Tanh(_Unary):
    """The hyperbolic tangent."""

    name = "tanh"
    codes = INEXACT
    function = np.tanh

    def slope(self, b: Any, x: Any, y: Any) -> Any:
        return b.sub(1, b.mul(y, y))


@final
class Arctan(_Unary):
    """The inverse tangent."""

    name = "arctan"
    codes = INEXACT
    function = np.arctan
    source = "arctan"
    low, high = -0.7, 0.7

    def scalar(self, code: str, *xs: str) -> str:
        return super().scalar(code, *xs) if code[0] == "c" else f"np.arctan({xs[0]})"

    def derivative(self, b: Any, ins: Any, out: Any, tangents: Any) -> Any:
        return b.div(tangents[0], b.add(b.mul(ins[0], ins[0]), 1))


@final
class Erf(_Unary):
    """The error function, 2/sqrt(pi) times the integral of exp(-t^2) from 0 to x."""

    name = "erf"
    codes = FLOATS

    def reference(self, ins: Sequence[Any], sizes: tuple[int, ...]) -> Any:
        from scipy import special  # 0.15 s that programs without it do not pay

        return special.erf(ins[0])

    def scalar(self, code: str, *xs: str) -> str:
        return f"math.erf({xs[0]})"

    def slope(self, b: Any, x: Any, y: Any) -> Any:
        return b.mul(b.exp(b.neg(b.mul(x, x))), 2.0 / np.sqrt(np.pi))


@final
class Abs(_Unary):
    """|x|; for complex x the modulus, which is real. The derivative at 0 is 0."""

    name = "abs"
    function = np.abs
    codes = ALL

    def result_code(self, code: str) -> str:
        return REAL_OF.get(code, code)

    def scalar(self, code: str, *xs: str) -> str:
        return xs[0] if code == "b1" else f"abs({xs[0]})"

    def derivative(self, b: Any, ins: Any, out: Any, tangents: Any) -> Any:
        # Re(conj(sign z) dz), with sign z = z / |z| and 0 at 0.
        direction = b.emit(Sign(), ins[0])
        return (
            b.real(b.mul(tangents[0], b.conj(direction)))
            if b.type(ins[0]).is_complex
            else b.mul(tangents[0], direction)
        )


@final
class Sign(_Unary):
    """x / |x|, and 0 at 0 (NumPy 2's meaning for complex x too)."""

    name = "sign"
    function = np.sign
    codes = NUMERIC

    def scalar(self, code: str, *xs: str) -> str:
        return f"{'complex_' if code[0] == 'c' else ''}sign({xs[0]})"

    def derivative(self, b: Any, ins: Any, out: Any, tangents: Any) -> Any:
        if not b.type(ins[0]).is_complex:
            return None
        # d(z/r) = (dz - s Re(conj(s) dz)) / r with s = z/r; zero at z = 0.
        r = b.emit(Abs(), ins[0])
        safe = b.where(b.equal(r, b.lit(0, r)), b.lit(1, r), r)
        code = b.type(ins[0]).code
        along = b.mul(out, b.cast(b.real(b.mul(b.conj(out), tangents[0])), code))
        moved = b.div(b.sub(tangents[0], along), b.cast(safe, code))
        zero = b.equal(r, b.lit(0, r))
        return b.where(zero, b.zeros(b.type(moved)), moved)


# -- extrema ------------------------------------------------------------------------------------------------------


class _Extremum(_Binary):
    """Ties share the derivative equally; NaN wins."""

    codes = REAL
    comparison: ClassVar[str]

    def derivative(self, b: Any, ins: Any, out: Any, tangents: Any) -> Any:
        (x, y), (dx, dy) = ins, tangents
        code = b.type(x).code
        tie = b.mul(b.cast(b.equal(x, y), code), 0.5)
        first = b.add(b.cast(getattr(b, self.comparison)(x, y), code), tie)
        second = b.add(b.cast(getattr(b, self.comparison)(y, x), code), tie)
        return b.add(
            b.mul(dx, first) if dx is not None else None,
            b.mul(dy, second) if dy is not None else None,
        )


@final
class Maximum(_Extremum):
    """The larger element."""

    name = "maximum"
    function = np.maximum
    comparison = "greater"
    template = "({0} if ({0} >= {1} or {0} != {0}) else {1})"


@final
class Minimum(_Extremum):
    """The smaller element."""

    name = "minimum"
    function = np.minimum
    comparison = "less"
    template = "({0} if ({0} <= {1} or {0} != {0}) else {1})"


# -- comparisons and logic ----------------------------------------------------------------------------------------


class _Comparison(_Binary):
    """A boolean result. Not unique: near a tie two engines may decide differently, so masks are saved."""

    unique = False

    def result_code(self, code: str) -> str:
        return "b1"

    def scalar(self, code: str, *xs: str) -> str:
        return self.template.format(*xs)

    def derivative(self, b: Any, ins: Any, out: Any, tangents: Any) -> Any:
        return None


@final
class Equal(_Comparison):
    """x == y."""

    name = "equal"
    function = np.equal
    template = "({} == {})"


@final
class NotEqual(_Comparison):
    """x != y."""

    name = "not_equal"
    function = np.not_equal
    template = "({} != {})"


@final
class Less(_Comparison):
    """x < y."""

    name = "less"
    codes = REAL
    function = np.less
    template = "({} < {})"


@final
class LessEqual(_Comparison):
    """x <= y."""

    name = "less_equal"
    codes = REAL
    function = np.less_equal
    template = "({} <= {})"


@final
class Greater(_Comparison):
    """x > y."""

    name = "greater"
    codes = REAL
    function = np.greater
    template = "({} > {})"


@final
class GreaterEqual(_Comparison):
    """x >= y."""

    name = "greater_equal"
    codes = REAL
    function = np.greater_equal
    template = "({} >= {})"


class _Logic(_Binary):
    """Truth values of operands of any dtype."""

    def result_code(self, code: str) -> str:
        return "b1"

    def derivative(self, b: Any, ins: Any, out: Any, tangents: Any) -> Any:
        return None


@final
class LogicalAnd(_Logic):
    """Both are nonzero."""

    name = "logical_and"
    function = np.logical_and
    template = "(({} != 0) & ({} != 0))"


@final
class LogicalOr(_Logic):
    """At least one is nonzero."""

    name = "logical_or"
    function = np.logical_or
    template = "(({} != 0) | ({} != 0))"


@final
class LogicalXor(_Logic):
    """Exactly one is nonzero."""

    name = "logical_xor"
    function = np.logical_xor
    template = "(({} != 0) != ({} != 0))"


@final
class LogicalNot(_Unary):
    """Whether it is zero."""

    name = "logical_not"
    function = np.logical_not

    def result_code(self, code: str) -> str:
        return "b1"

    def scalar(self, code: str, *xs: str) -> str:
        return f"({xs[0]} == 0)"

    def derivative(self, b: Any, ins: Any, out: Any, tangents: Any) -> Any:
        return None


@final
class IsNaN(_Unary):
    """Whether it is NaN."""

    name = "isnan"
    codes = INEXACT
    function = np.isnan

    def result_code(self, code: str) -> str:
        return "b1"

    def scalar(self, code: str, *xs: str) -> str:
        return f"({xs[0]} != {xs[0]})"

    def derivative(self, b: Any, ins: Any, out: Any, tangents: Any) -> Any:
        return None


@final
class IsFinite(_Unary):
    """Whether it is neither infinite nor NaN."""

    name = "isfinite"
    codes = INEXACT
    function = np.isfinite

    def result_code(self, code: str) -> str:
        return "b1"

    def scalar(self, code: str, *xs: str) -> str:
        return f"({xs[0]} - {xs[0]} == 0)"

    def derivative(self, b: Any, ins: Any, out: Any, tangents: Any) -> Any:
        return None


# -- selection, dtype, parts --------------------------------------------------------------------------------------


@final
class Where(Elementwise):
    """x where the condition holds, else y; only the chosen branch has a derivative."""

    name = "where"

    def infer(self, cx: Sizes, ins: Sequence[TensorType], sizes: Shape) -> TensorType:
        if ins[0].code != "b1":
            raise DtypeError("condition is not boolean", operation="where", position=0, got=ins[0].dtype, wanted="bool")
        return TensorType(self.check_codes(ins[1:]), cx.broadcast(self.name, ins))

    def reference(self, ins: Sequence[Any], sizes: tuple[int, ...]) -> Any:
        return np.where(ins[0], ins[1], ins[2])

    def scalar(self, code: str, *xs: str) -> str:
        return f"({xs[1]} if {xs[0]} else {xs[2]})"

    def derivative(self, b: Any, ins: Any, out: Any, tangents: Any) -> Any:
        dx, dy = (b.zeros(b.type(k)) if t is None else t for k, t in zip(ins[1:], tangents[1:], strict=True))
        return b.where(ins[0], dx, dy)

    def adjoint(self, b: Any, ct: Any, ins: Any, active: Sequence[bool]) -> Any:
        zero = b.lit(0, ct)
        return (
            None,
            b.where(ins[0], ct, zero) if active[1] else None,
            b.where(ins[0], zero, ct) if active[2] else None,
        )

    @classmethod
    def samples(cls, code: str, rng: np.random.Generator) -> Iterable[Sample]:
        for c, x, y in (((3, 4), (3, 4), (3, 4)), ((4,), (3, 1), ()), ((), (2, 0), (1, 1))):
            mask = sample_array(rng, "b1", c)
            yield Sample(cls(), (mask, sample_array(rng, code, x), sample_array(rng, code, y)))


@final
class Astype(Elementwise):
    """The value in another dtype; complex to real drops the imaginary part."""

    name = "astype"
    params = ("code",)
    code: str

    def result_code(self, code: str) -> str:
        return self.code

    def reference(self, ins: Sequence[Any], sizes: tuple[int, ...]) -> Any:
        x = np.asarray(ins[0])
        if x.dtype.kind == "c" and self.code[0] not in "cb":
            x = x.real
        return x.astype(self.code)

    def scalar(self, code: str, *xs: str) -> str:
        x = xs[0]
        if self.code == "b1":
            return f"({x} != 0)"
        if code[0] == "c" and self.code[0] != "c":
            x = f"{x}.real"
        return f"{DTYPES[self.code].name}({x})"

    def derivative(self, b: Any, ins: Any, out: Any, tangents: Any) -> Any:
        return b.cast(tangents[0], self.code) if b.type(ins[0]).inexact else None

    def adjoint(self, b: Any, ct: Any, ins: Any, active: Sequence[bool]) -> Any:
        return (b.cast(ct, b.type(ins[0]).code),)

    def simplify(self, b: Any, ins: Any, sizes: Shape) -> Any:
        return ins[0] if b.type(ins[0]).code == self.code else None

    @classmethod
    def samples(cls, code: str, rng: np.random.Generator) -> Iterable[Sample]:
        for to in ALL.split():
            yield Sample(cls(to), (sample_array(rng, code, (2, 3)),))


@final
class Real(_Unary):
    """The real part."""

    name = "real"
    codes = INEXACT
    function = np.real

    def result_code(self, code: str) -> str:
        return REAL_OF.get(code, code)

    def scalar(self, code: str, *xs: str) -> str:
        return f"{xs[0]}.real" if code[0] == "c" else xs[0]

    def derivative(self, b: Any, ins: Any, out: Any, tangents: Any) -> Any:
        return b.real(tangents[0])

    def adjoint(self, b: Any, ct: Any, ins: Any, active: Sequence[bool]) -> Any:
        return (b.cast(ct, b.type(ins[0]).code),)


@final
class Imag(_Unary):
    """The imaginary part of a complex value."""

    name = "imag"
    codes = "c8 c16"
    function = np.imag

    def result_code(self, code: str) -> str:
        return REAL_OF[code]

    def scalar(self, code: str, *xs: str) -> str:
        return f"{xs[0]}.imag"

    def derivative(self, b: Any, ins: Any, out: Any, tangents: Any) -> Any:
        return b.imag(tangents[0])

    def adjoint(self, b: Any, ct: Any, ins: Any, active: Sequence[bool]) -> Any:
        # ct Im t = Re(conj(i ct) t) for real ct.
        return (b.mul(b.cast(ct, b.type(ins[0]).code), 1j),)


@final
class Conj(_Unary):
    """The complex conjugate."""

    name = "conj"
    codes = INEXACT
    function = np.conj

    def scalar(self, code: str, *xs: str) -> str:
        return f"{xs[0]}.conjugate()" if code[0] == "c" else xs[0]

    def derivative(self, b: Any, ins: Any, out: Any, tangents: Any) -> Any:
        return b.conj(tangents[0])

    def adjoint(self, b: Any, ct: Any, ins: Any, active: Sequence[bool]) -> Any:
        return (b.conj(ct),)


@final
class Copy(_Unary):
    """The same value in row-major memory of its own (code generation inserts it)."""

    name = "copy"
    function = np.array

    def scalar(self, code: str, *xs: str) -> str:
        return xs[0]

    def derivative(self, b: Any, ins: Any, out: Any, tangents: Any) -> Any:
        return tangents[0]

    def adjoint(self, b: Any, ct: Any, ins: Any, active: Sequence[bool]) -> Any:
        return (ct,)


@final
class StopGradient(_Unary):
    """The value, without a derivative."""

    name = "stop_gradient"
    function = staticmethod(lambda x: x)
    is_view = True

    def scalar(self, code: str, *xs: str) -> str:
        return xs[0]

    def derivative(self, b: Any, ins: Any, out: Any, tangents: Any) -> Any:
        return None

    @classmethod
    def samples(cls, code: str, rng: np.random.Generator) -> Iterable[Sample]:
        for sample in super().samples(code, rng):
            yield sample._replace(smooth=False)  # its derivative is not that of its values


@final
class Literal(Elementwise):
    """A 0-d constant that is part of the structure (derivative rules use it)."""

    name = "literal"
    params = ("code", "value")
    code: str
    value: complex

    def infer(self, cx: Sizes, ins: Sequence[TensorType], sizes: Shape) -> TensorType:
        return TensorType(self.code, ())

    def reference(self, ins: Sequence[Any], sizes: tuple[int, ...]) -> Any:
        return np.array(self.value, self.code)

    def scalar(self, code: str, *xs: str) -> str:
        kind = self.code[0]
        value = {"b": bool, "i": int, "f": float, "c": complex}[kind](self.value)
        return f"{DTYPES[self.code].name}({value!r})" if kind != "b" else repr(value)

    @classmethod
    def samples(cls, code: str, rng: np.random.Generator) -> Iterable[Sample]:
        yield Sample(cls(code, 1), ())
