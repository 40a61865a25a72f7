"""Absolute values and signs."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, final

import numpy as np

from nbgraph.kinds import ALL, FLOATS, NUMERIC
from nbgraph.op import Sample
from nbgraph.pointwise import Binary, Unary
from nbgraph.types import REAL_OF


@final
class Abs(Unary):
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
        direction = b.sign(ins[0])
        return (
            b.real(b.mul(tangents[0], b.conj(direction)))
            if b.type(ins[0]).is_complex
            else b.mul(tangents[0], direction)
        )


@final
class Sign(Unary):
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
        r = b.abs(ins[0])
        safe = b.divisor(r)
        code = b.type(ins[0]).code
        along = b.mul(out, b.cast(b.real(b.mul(b.conj(out), tangents[0])), code))
        moved = b.div(b.sub(tangents[0], along), b.cast(safe, code))
        zero = b.equal(r, b.lit(0, r))
        return b.where(zero, b.zeros(b.type(moved)), moved)


@final
class Copysign(Binary):
    """|x| with the sign of y, that of a zero or NaN too. The derivative at x = 0 is 0."""

    name = "copysign"
    codes = FLOATS
    function = np.copysign

    def derivative(self, b: Any, ins: Any, out: Any, tangents: Any) -> Any:
        (x, y), (dx, _) = ins, tangents
        return b.mul(dx, b.mul(b.sign(x), b.copysign(b.lit(1, y), y))) if dx is not None else None

    @classmethod
    def samples(cls, code: str, rng: np.random.Generator) -> Iterable[Sample]:
        yield from super().samples(code, rng)
        if code in cls.codes.split():
            yield Sample(cls(), (np.array([1, -1, 0, 2], code), np.array([-0.0, 0.0, -3, np.nan], code)), smooth=False)


@final
class Signbit(Unary):
    """Whether the sign is minus, of a zero or NaN too."""

    name = "signbit"
    codes = FLOATS
    function = np.signbit

    def result_code(self, code: str) -> str:
        return "b1"

    def scalar(self, code: str, *xs: str) -> str:
        return f"(libm.copysign(1.0, float64({xs[0]})) < 0)"

    def derivative(self, b: Any, ins: Any, out: Any, tangents: Any) -> Any:
        return None
