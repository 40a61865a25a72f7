"""Arithmetic: sums, products, quotients, powers."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, final

import numpy as np

from nbgraph.kinds import INEXACT, NUMERIC, Elementwise
from nbgraph.op import Expression, Sample, sample_array
from nbgraph.pointwise import Binary, Unary
from nbgraph.types import DTYPES, Shape, TensorType


@final
class Add(Binary):
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
class Subtract(Binary):
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
class Multiply(Binary):
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
class Divide(Binary):
    """x / y of inexact operands."""

    name = "divide"
    codes = INEXACT
    function = np.divide
    low, high = 0.5, 2.0

    def scalar(self, code: str, *xs: str) -> str:
        return f"complex_divide({xs[0]}, {xs[1]})" if code[0] == "c" else f"({xs[0]} / {xs[1]})"

    def derivative(self, b: Any, ins: Any, out: Any, tangents: Any) -> Any:
        (_, y), (dx, dy) = ins, tangents
        # One division, and the sign on dy, which may be the smaller one.
        through_y = b.mul(out, b.neg(dy)) if dy is not None else None
        return b.div(b.add(dx, through_y), y)

    def adjoint(self, b: Any, ct: Any, ins: Any, active: Sequence[bool]) -> Any:
        return b.div(ct, b.conj(ins[1])) if active[0] else None, None


@final
class Negative(Unary):
    """-x."""

    name = "negative"
    codes = NUMERIC
    function = np.negative

    def expression(self, types: Sequence[TensorType]) -> Expression | None:
        return None if types[0].ndim else Expression("(-{0})")  # of a number: a fifth of the ufunc's time

    def scalar(self, code: str, *xs: str) -> str:
        return f"(-{xs[0]})"

    def derivative(self, b: Any, ins: Any, out: Any, tangents: Any) -> Any:
        return b.neg(tangents[0])

    def adjoint(self, b: Any, ct: Any, ins: Any, active: Sequence[bool]) -> Any:
        return (b.neg(ct),)


@final
class Power(Binary):
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
            log_x = b.log(b.divisor(x))
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
