"""Arithmetic of whole numbers."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, final

import numpy as np

from nbgraph.op import Sample
from nbgraph.pointwise import Binary


@final
class Gcd(Binary):
    """The greatest common divisor, not negative; of two zeros 0. By Euclid's algorithm."""

    name = "gcd"
    codes = "i4 i8"
    function = np.gcd
    template = "greatest_common_divisor({}, {})"
    low, high = -40.0, 40.0

    def derivative(self, b: Any, ins: Any, out: Any, tangents: Any) -> Any:
        return None

    @classmethod
    def samples(cls, code: str, rng: np.random.Generator) -> Iterable[Sample]:
        yield from super().samples(code, rng)
        if code in cls.codes.split():
            yield Sample(cls(), (np.array([0, 0, -12, 2**31 - 1], code), np.array([0, -7, 18, 2**31 - 1], code)))
