"""Rounding to integers, division with remainder, and the parts of a floating-point number.

Holds: what only jumps has derivative 0; a remainder x - q y has that of x - q y at constant q. Of integers a division
by 0 gives 0.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, final

import numpy as np

from nbgraph.errors import DtypeError
from nbgraph.kinds import FLOATS, Elementwise
from nbgraph.op import Sample, Sizes, sample_array
from nbgraph.pointwise import Binary, Unary, in_double
from nbgraph.types import Shape, TensorType

_ORDERED = "i4 i8 f4 f8"


class _Step(Unary):
    """A function that is constant but for jumps."""

    codes = FLOATS

    def derivative(self, b: Any, ins: Any, out: Any, tangents: Any) -> Any:
        return None


@final
class Floor(_Step):
    """The integer below."""

    name = "floor"
    function = np.floor


@final
class Ceil(_Step):
    """The integer above."""

    name = "ceil"
    function = np.ceil


@final
class Trunc(_Step):
    """The integer towards 0."""

    name = "trunc"
    function = np.trunc


@final
class Rint(_Step):
    """The nearest integer, of two the even one."""

    name = "rint"
    function = np.rint


class _Division(Binary):
    """Of real operands; the divisors of samples stay away from 0."""

    codes = _ORDERED

    @classmethod
    def samples(cls, code: str, rng: np.random.Generator) -> Iterable[Sample]:
        if code not in cls.codes.split():
            return
        for left, right in (((3, 4), (3, 4)), ((4,), (3, 1)), ((), (2, 3)), ((0, 2), (1, 2))):
            y = sample_array(rng, code, right, 1.2, 3.0) * np.where(rng.random(right) < 0.5, 1, -1).astype(code)
            yield Sample(cls(), (sample_array(rng, code, left, -9.0, 9.0), y))
        yield Sample(cls(), (np.array([5, -5, 0, 4], code), np.array([-1, 1, 3, -2], code)), smooth=False)


@final
class FloorDivide(_Division):
    """floor(x / y)."""

    name = "floor_divide"
    function = np.floor_divide

    def scalar(self, code: str, *xs: str) -> str:
        x, y = (x if code[0] == "i" else in_double(code, x) for x in xs)
        return f"{'int' if code[0] == 'i' else 'float'}_floor_divide({x}, {y})"

    def derivative(self, b: Any, ins: Any, out: Any, tangents: Any) -> Any:
        return None


@final
class Remainder(_Division):
    """x - floor(x / y) y: the remainder with the sign of y."""

    name = "remainder"
    function = np.remainder

    def scalar(self, code: str, *xs: str) -> str:
        x, y = (x if code[0] == "i" else in_double(code, x) for x in xs)
        return f"{'int' if code[0] == 'i' else 'float'}_remainder({x}, {y})"

    def derivative(self, b: Any, ins: Any, out: Any, tangents: Any) -> Any:
        (x, y), (dx, dy) = ins, tangents
        return b.sub(dx, b.mul(dy, b.floor_divide(x, y)) if dy is not None else None)


@final
class Fmod(_Division):
    """x - trunc(x / y) y: the remainder with the sign of x."""

    name = "fmod"
    function = np.fmod

    def scalar(self, code: str, *xs: str) -> str:
        return f"int_fmod({xs[0]}, {xs[1]})" if code[0] == "i" else super().scalar(code, *xs)

    def derivative(self, b: Any, ins: Any, out: Any, tangents: Any) -> Any:
        (x, y), (dx, dy) = ins, tangents
        quotient = b.rint(b.div(b.sub(x, out), y)) if dy is not None else None
        return b.sub(dx, b.mul(dy, quotient) if dy is not None else None)


@final
class NextAfter(Binary):
    """The next floating-point number from x towards y."""

    name = "nextafter"
    codes = FLOATS
    function = np.nextafter

    def scalar(self, code: str, *xs: str) -> str:
        return f"libm.nextafter{'f' if code == 'f4' else ''}({xs[0]}, {xs[1]})"

    def derivative(self, b: Any, ins: Any, out: Any, tangents: Any) -> Any:
        return tangents[0]


@final
class Scalbn(Elementwise):
    """x 2^n exactly, for int32 n."""

    name = "scalbn"
    codes = FLOATS

    def infer(self, cx: Sizes, ins: Sequence[TensorType], sizes: Shape) -> TensorType:
        if ins[1].code != "i4":
            raise DtypeError("unsupported exponent", operation=self.name, position=1, got=ins[1].dtype, wanted="int32")
        return TensorType(self.check_codes(ins[:1]), cx.broadcast(self.name, ins))

    def reference(self, ins: Sequence[Any], sizes: tuple[int, ...]) -> Any:
        return np.ldexp(ins[0], ins[1])

    def scalar(self, code: str, *xs: str) -> str:
        return f"libm.scalbn(float64({xs[0]}), int32({xs[1]}))"

    def derivative(self, b: Any, ins: Any, out: Any, tangents: Any) -> Any:
        return b.scalbn(tangents[0], ins[1])

    def adjoint(self, b: Any, ct: Any, ins: Any, active: Sequence[bool]) -> Any:
        return b.scalbn(ct, ins[1]), None

    @classmethod
    def samples(cls, code: str, rng: np.random.Generator) -> Iterable[Sample]:
        if code in cls.codes.split():
            for left, right in (((3, 4), (3, 4)), ((4,), (3, 1)), ((), (2, 3)), ((0, 2), (1, 2))):
                n = sample_array(rng, "i4", right, -9.0, 9.0)
                yield Sample(cls(), (sample_array(rng, code, left), n))


@final
class Exponent(Unary):
    """The n of x = m 2^n with 1/2 <= |m| < 1; 0 of 0, infinities and NaN."""

    name = "exponent"
    codes = FLOATS
    function = staticmethod(lambda x: np.frexp(x)[1])

    def result_code(self, code: str) -> str:
        return "i4"

    def scalar(self, code: str, *xs: str) -> str:
        return f"exponent({in_double(code, xs[0])})"

    def derivative(self, b: Any, ins: Any, out: Any, tangents: Any) -> Any:
        return None
