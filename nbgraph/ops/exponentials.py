"""Exponentials, logarithms, roots."""

from __future__ import annotations

import math
from typing import Any, ClassVar, final

import numpy as np

from nbgraph.kinds import FLOATS, INEXACT
from nbgraph.pointwise import Binary, Unary, scalar_call


@final
class Sqrt(Unary):
    """The square root."""

    name = "sqrt"
    codes = INEXACT
    function = np.sqrt
    low = 0.3

    def derivative(self, b: Any, ins: Any, out: Any, tangents: Any) -> Any:
        return b.div(b.mul(tangents[0], 0.5), out)


@final
class Exp(Unary):
    """e^x."""

    name = "exp"
    codes = INEXACT
    function = np.exp

    def slope(self, b: Any, x: Any, y: Any) -> Any:
        return y


@final
class Expm1(Unary):
    """e^x - 1, exact near 0."""

    name = "expm1"
    codes = INEXACT
    function = np.expm1

    def slope(self, b: Any, x: Any, y: Any) -> Any:
        return b.exp(x)


@final
class Log(Unary):
    """The natural logarithm."""

    name = "log"
    codes = INEXACT
    function = np.log
    low = 0.3

    def derivative(self, b: Any, ins: Any, out: Any, tangents: Any) -> Any:
        return b.div(tangents[0], ins[0])


@final
class Log1p(Unary):
    """log(1 + x), exact near 0."""

    name = "log1p"
    codes = INEXACT
    function = np.log1p
    low = -0.5

    def derivative(self, b: Any, ins: Any, out: Any, tangents: Any) -> Any:
        return b.div(tangents[0], b.add(ins[0], 1))


@final
class Exp2(Unary):
    """2^x."""

    name = "exp2"
    codes = INEXACT
    function = np.exp2

    def slope(self, b: Any, x: Any, y: Any) -> Any:
        return b.mul(y, math.log(2.0))


class _LogToBase(Unary):
    """d log_B(x) = dx / (x log B)."""

    codes = INEXACT
    low = 0.3
    base: ClassVar[float]

    def derivative(self, b: Any, ins: Any, out: Any, tangents: Any) -> Any:
        return b.div(tangents[0], b.mul(ins[0], math.log(self.base)))


@final
class Log2(_LogToBase):
    """The logarithm to base 2."""

    name = "log2"
    function = np.log2
    base = 2.0


@final
class Log10(_LogToBase):
    """The logarithm to base 10."""

    name = "log10"
    function = np.log10
    base = 10.0


@final
class Cbrt(Unary):
    """The real cube root."""

    name = "cbrt"
    codes = FLOATS
    function = np.cbrt
    low = 0.3

    def derivative(self, b: Any, ins: Any, out: Any, tangents: Any) -> Any:
        return b.div(tangents[0], b.mul(b.mul(out, out), 3))


class _LogAddExp(Binary):
    """log_B(B^x + B^y) from the larger of the two; equal infinities stay as they are."""

    codes = FLOATS
    base: ClassVar[float]
    exponential: ClassVar[str]

    def scalar(self, code: str, *xs: str) -> str:
        x, y = xs
        far = scalar_call(self.exponential, code, f"-abs({x} - {y})")
        scale = 1 / math.log(self.base)
        near = f"max({x}, {y}) + {scalar_call('log1p', code, far)} * {scale!r}"
        return f"({x} + {math.log(2.0) * scale!r} if {x} == {y} else {near})"

    def derivative(self, b: Any, ins: Any, out: Any, tangents: Any) -> Any:
        # The weights are 1 / (1 + B^(y - x)) and 1 / (1 + B^(x - y)).
        (x, y), (dx, dy) = ins, tangents
        apart = b.mul(b.emit(_DIFFERENCE, x, y), math.log(self.base))
        return b.add(
            b.mul(dx, b.expit(apart)) if dx is not None else None,
            b.mul(dy, b.expit(b.neg(apart))) if dy is not None else None,
        )


@final
class LogAddExp(_LogAddExp):
    """log(e^x + e^y)."""

    name = "logaddexp"
    function = np.logaddexp
    base = math.e
    exponential = "exp"


@final
class LogAddExp2(_LogAddExp):
    """log2(2^x + 2^y)."""

    name = "logaddexp2"
    function = np.logaddexp2
    base = 2.0
    exponential = "exp2"


@final
class Difference(Binary):
    """x - y, 0 where they are equal infinities (a distance between logarithms)."""

    name = "log_difference"
    codes = FLOATS
    function = staticmethod(lambda x, y: np.where(x == y, x.dtype.type(0), np.subtract(x, y)))
    template = "(0.0 if {0} == {1} else {0} - {1})"

    def derivative(self, b: Any, ins: Any, out: Any, tangents: Any) -> Any:
        return b.sub(*tangents)


_DIFFERENCE = Difference()
