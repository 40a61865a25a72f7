"""The larger and the smaller of two."""

from __future__ import annotations

from typing import Any, ClassVar, final

import numpy as np

from nbgraph.kinds import FLOATS, REAL
from nbgraph.pointwise import Binary


class _Extremum(Binary):
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


class _NumberWins(_Extremum):
    """As its base, but a NaN loses against a number."""

    codes = FLOATS

    def derivative(self, b: Any, ins: Any, out: Any, tangents: Any) -> Any:
        x, y = ins
        numbers = (b.where(b.isnan(x), y, x), b.where(b.isnan(y), x, y))
        given = [b.zeros(b.type(k)) if t is None else t for k, t in zip(ins, tangents, strict=True)]
        dx, dy = b.where(b.isnan(x), given[1], given[0]), b.where(b.isnan(y), given[0], given[1])
        return super().derivative(b, numbers, out, (dx, dy))


@final
class Fmax(_NumberWins):
    """The larger element, or the one that is not NaN."""

    name = "fmax"
    function = np.fmax
    comparison = "greater"
    template = "({0} if ({0} >= {1} or {1} != {1}) else {1})"


@final
class Fmin(_NumberWins):
    """The smaller element, or the one that is not NaN."""

    name = "fmin"
    function = np.fmin
    comparison = "less"
    template = "({0} if ({0} <= {1} or {1} != {1}) else {1})"
