"""Polar coordinates of the plane: the distance from 0, and the angle.

Holds: derivatives at the origin, where there are none, are 0.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, final

import numpy as np

from nbgraph.kinds import FLOATS
from nbgraph.op import Sample
from nbgraph.pointwise import Binary


class _Polar(Binary):
    """A function of coordinates x, y whose derivative has cos and sin of the angle in it."""

    codes = FLOATS

    @classmethod
    def samples(cls, code: str, rng: np.random.Generator) -> Iterable[Sample]:
        yield from super().samples(code, rng)
        if code in cls.codes.split():
            yield Sample(cls(), (np.array([0, 0, 3], code), np.array([0, -2, 0], code)), smooth=False)


@final
class Hypot(_Polar):
    """sqrt(x^2 + y^2), without overflow."""

    name = "hypot"
    function = np.hypot

    def derivative(self, b: Any, ins: Any, out: Any, tangents: Any) -> Any:
        radius = _radius(b, out)
        terms = (b.mul(t, b.div(x, radius)) if t is not None else None for x, t in zip(ins, tangents, strict=True))
        return b.add(*terms)


@final
class Arctan2(_Polar):
    """The angle of the point (x, y) from operands y and x, in [-pi, pi]."""

    name = "arctan2"
    function = np.arctan2

    def derivative(self, b: Any, ins: Any, out: Any, tangents: Any) -> Any:
        (y, x), (dy, dx) = ins, tangents
        radius = _radius(b, b.hypot(x, y))
        moved = b.sub(
            b.mul(dy, b.div(x, radius)) if dy is not None else None,
            b.mul(dx, b.div(y, radius)) if dx is not None else None,
        )
        return b.div(moved, radius)


def _radius(b: Any, r: Any) -> Any:
    """The distance from 0 as a divisor: 1 where it is 0."""
    return b.divisor(r)
