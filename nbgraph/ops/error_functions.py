"""The error function and its kin."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any, final

import numpy as np

from nbgraph import later as special
from nbgraph.kinds import FLOATS, INEXACT
from nbgraph.op import Expression, Sample
from nbgraph.pointwise import OwnOfReal, Routine, Unary
from nbgraph.types import TensorType


@final
class Erf(OwnOfReal, Unary):
    """The error function, 2/sqrt(pi) times the integral of exp(-t^2) from 0 to x."""

    name = routine = "erf"
    codes = INEXACT
    function = special.erf
    real = "math.erf({x})"

    def reference(self, ins: Sequence[Any], sizes: tuple[int, ...]) -> Any:
        return special.erf(ins[0]) if ins[0].dtype.kind == "f" else super().reference(ins, sizes)

    def expression(self, types: Sequence[TensorType]) -> Expression | None:
        return Expression("{erf}({0})", {"erf": special.erf}) if types[0].code[0] == "f" else None

    def slope(self, b: Any, x: Any, y: Any) -> Any:
        return b.mul(_gaussian(b, x), 2.0 / math.sqrt(math.pi))


def _gaussian(b: Any, x: Any) -> Any:
    """exp(-x^2)."""
    return b.exp(b.neg(b.mul(x, x)))


@final
class Erfc(OwnOfReal, Unary):
    """1 - erf(x), exact where that is small."""

    name = "erfc"
    codes = INEXACT
    function = special.erfc
    routine = "erfc"
    real = "math.erfc({x})"

    def slope(self, b: Any, x: Any, y: Any) -> Any:
        return b.mul(_gaussian(b, x), -2.0 / math.sqrt(math.pi))


@final
class Erfcx(Routine, Unary):
    """exp(x^2) erfc(x).

    The derivative 2 x f(x) - 2/sqrt(pi) cancels for large x; from 26 on it is taken from the asymptotic series
    f(x) = (1 - u + 3 u^2 - 15 u^3 ...) / (x sqrt(pi)) with u = 1 / (2 x^2) (DLMF 7.12.1), to 1e-13; of complex x
    that is where |x| > 26 and the argument is less than 116 degrees.
    """

    name = "erfcx"
    codes = INEXACT
    function = special.erfcx
    routine = "erfcx"

    def slope(self, b: Any, x: Any, y: Any) -> Any:
        far = self._is_far(b, x)
        near_x, far_x = b.where(far, b.lit(1, x), x), b.where(far, x, b.lit(26, x))
        near = b.sub(b.mul(b.mul(near_x, b.erfcx(near_x)), 2), 2.0 / math.sqrt(math.pi))
        u = b.div(0.5, b.mul(far_x, far_x))
        series: Any = 135135.0
        for c in (-10395.0, 945.0, -105.0, 15.0, -3.0, 1.0):
            series = b.add(b.mul(u, series), c)
        return b.where(far, b.mul(b.mul(u, series), -2.0 / math.sqrt(math.pi)), near)

    def _is_far(self, b: Any, x: Any) -> Any:
        if not b.type(x).is_complex:
            return b.greater(x, b.lit(26, x))
        size, inclined = b.abs(x), b.add(b.real(x), b.mul(b.abs(b.imag(x)), 0.5))
        return b.logical_and(b.greater(size, b.lit(26, size)), b.greater(inclined, b.lit(0, size)))

    @classmethod
    def samples(cls, code: str, rng: np.random.Generator) -> Iterable[Sample]:
        yield from super().samples(code, rng)
        if code in cls.codes.split():
            turned = 1 - 0.25j if code[0] == "c" else 1
            yield Sample(cls(), (np.array([20, 30, 1e3]).astype(code) * np.array(turned, code),))


@final
class Erfinv(Routine, Unary):
    """The inverse of erf."""

    name = "erfinv"
    codes = FLOATS
    function = special.erfinv
    routine = "erfinv"
    low, high = -0.8, 0.8

    def slope(self, b: Any, x: Any, y: Any) -> Any:
        return b.mul(b.exp(b.mul(y, y)), math.sqrt(math.pi) / 2)


@final
class Ndtr(Routine, Unary):
    """The normal distribution function, erfc(-x / sqrt(2)) / 2."""

    name = "ndtr"
    codes = FLOATS
    function = special.ndtr
    routine = "ndtr"

    def slope(self, b: Any, x: Any, y: Any) -> Any:
        return b.mul(b.exp(b.mul(b.mul(x, x), -0.5)), 1 / math.sqrt(2 * math.pi))


@final
class LogNdtr(Routine, Unary):
    """log(ndtr(x)), for very negative x too. The derivative is sqrt(2/pi) / erfcx(-x / sqrt(2))."""

    name = "log_ndtr"
    codes = FLOATS
    function = special.log_ndtr
    routine = "log_ndtr"

    def slope(self, b: Any, x: Any, y: Any) -> Any:
        return b.div(math.sqrt(2 / math.pi), b.erfcx(b.mul(x, -math.sqrt(0.5))))


@final
class Ndtri(Routine, Unary):
    """The inverse of ndtr."""

    name = "ndtri"
    codes = FLOATS
    function = special.ndtri
    routine = "ndtri"
    low, high = 0.1, 0.9

    def slope(self, b: Any, x: Any, y: Any) -> Any:
        return b.mul(b.exp(b.mul(b.mul(y, y), 0.5)), math.sqrt(2 * math.pi))
