"""Trigonometric functions and their inverses, in radians."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any, final

import numpy as np

from nbgraph.kinds import INEXACT
from nbgraph.op import Sample
from nbgraph.pointwise import Unary


@final
class Sin(Unary):
    """The sine (radians)."""

    name = "sin"
    codes = INEXACT
    function = np.sin

    def slope(self, b: Any, x: Any, y: Any) -> Any:
        return b.cos(x)


@final
class Cos(Unary):
    """The cosine (radians)."""

    name = "cos"
    codes = INEXACT
    function = np.cos

    def slope(self, b: Any, x: Any, y: Any) -> Any:
        return b.neg(b.sin(x))


@final
class Tan(Unary):
    """The tangent (radians)."""

    name = "tan"
    codes = INEXACT
    function = np.tan
    low, high = -1.2, 1.2

    def slope(self, b: Any, x: Any, y: Any) -> Any:
        return b.add(b.mul(y, y), 1)


@final
class Arctan(Unary):
    """The inverse tangent."""

    name = "arctan"
    codes = INEXACT
    function = np.arctan
    low, high = -0.7, 0.7

    def derivative(self, b: Any, ins: Any, out: Any, tangents: Any) -> Any:
        return b.div(tangents[0], b.add(b.mul(ins[0], ins[0]), 1))


@final
class Arcsin(Unary):
    """The inverse sine."""

    name = "arcsin"
    codes = INEXACT
    function = np.arcsin
    low, high = -0.8, 0.8

    def derivative(self, b: Any, ins: Any, out: Any, tangents: Any) -> Any:
        return b.div(tangents[0], _cosine(b, ins[0]))


@final
class Arccos(Unary):
    """The inverse cosine."""

    name = "arccos"
    codes = INEXACT
    function = np.arccos
    low, high = -0.8, 0.8

    def derivative(self, b: Any, ins: Any, out: Any, tangents: Any) -> Any:
        return b.neg(b.div(tangents[0], _cosine(b, ins[0])))


def _cosine(b: Any, x: Any) -> Any:
    """sqrt(1 - x^2), without cancellation near 1."""
    return b.sqrt(b.mul(b.sub(1, x), b.add(1, x)))


@final
class Sinc(Unary):
    """sin(pi x) / (pi x), and 1 at 0; its derivatives are those of the spherical Bessel function j_0."""

    name = "sinc"
    codes = INEXACT
    function = np.sinc

    def scalar(self, code: str, *xs: str) -> str:
        return f"{'complex_' if code[0] == 'c' else ''}sinc({xs[0]})"

    def slope(self, b: Any, x: Any, y: Any) -> Any:
        return b.mul(b.spherical_jn(b.mul(x, math.pi), order=1), -math.pi)

    @classmethod
    def samples(cls, code: str, rng: np.random.Generator) -> Iterable[Sample]:
        yield from super().samples(code, rng)
        if code in cls.codes.split():
            yield Sample(cls(), (np.array([0, 1e-5, 0.01, -1], code),))
