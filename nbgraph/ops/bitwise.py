"""Operations on the bits of integers; of booleans they are those of logic."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, final

import numpy as np

from nbgraph.op import Sample, sample_array
from nbgraph.pointwise import Binary, Unary


class _Bitwise(Binary):
    """Of integers and booleans; without a derivative."""

    codes = "b1 i4 i8"

    def derivative(self, b: Any, ins: Any, out: Any, tangents: Any) -> Any:
        return None


@final
class BitwiseAnd(_Bitwise):
    """Bits that are in both."""

    name = "bitwise_and"
    function = np.bitwise_and
    template = "({} & {})"


@final
class BitwiseOr(_Bitwise):
    """Bits that are in one or both."""

    name = "bitwise_or"
    function = np.bitwise_or
    template = "({} | {})"


@final
class BitwiseXor(_Bitwise):
    """Bits that are in one of both."""

    name = "bitwise_xor"
    function = np.bitwise_xor
    template = "({} ^ {})"


@final
class Invert(Unary):
    """All bits the other way; of booleans `not`."""

    name = "invert"
    codes = "b1 i4 i8"
    function = np.invert

    def scalar(self, code: str, *xs: str) -> str:
        return f"({xs[0]} == 0)" if code == "b1" else f"(~{xs[0]})"

    def derivative(self, b: Any, ins: Any, out: Any, tangents: Any) -> Any:
        return None


class _Shift(_Bitwise):
    """Of integers by 0 or more bits; by all bits and more as if one by one, as in NumPy."""

    codes = "i4 i8"

    @classmethod
    def samples(cls, code: str, rng: np.random.Generator) -> Iterable[Sample]:
        if code in cls.codes.split():
            for left, right in (((3, 4), (3, 4)), ((4,), (3, 1)), ((), (2, 3)), ((0, 2), (1, 2))):
                yield Sample(cls(), (sample_array(rng, code, left, -99, 99), sample_array(rng, code, right, 0, 9)))
            yield Sample(cls(), (np.array([5, -5], code), np.array([70, 70], code)))


@final
class LeftShift(_Shift):
    """x 2^n, cut off at the left."""

    name = "left_shift"
    function = np.left_shift

    def scalar(self, code: str, *xs: str) -> str:
        x, n = xs
        return f"({x} << {n} if 0 <= {n} < {8 * int(code[1])} else 0)"


@final
class RightShift(_Shift):
    """x / 2^n, rounded down."""

    name = "right_shift"
    function = np.right_shift

    def scalar(self, code: str, *xs: str) -> str:
        x, n = xs
        last = 8 * int(code[1]) - 1
        return f"({x} >> ({n} if 0 <= {n} < {last} else {last}))"
