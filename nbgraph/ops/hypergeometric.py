"""Hypergeometric functions, and ratios of gamma functions.

Holds: by the parameters of the hypergeometric functions and of the incomplete beta function there are no derivatives.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, ClassVar, final

import numpy as np

from nbgraph import later as special
from nbgraph.errors import DifferentiationError
from nbgraph.kinds import FLOATS, Elementwise
from nbgraph.op import Sample, sample_array
from nbgraph.pointwise import Binary, Routine, Unary


class _OfLast(Routine, Elementwise):
    """A function of parameters and x, differentiated by x, the last operand."""

    codes = FLOATS
    #: Ranges of the operands' samples.
    ranges: ClassVar[tuple[tuple[float, float], ...]]

    def by_x(self, b: Any, ins: Any, out: Any) -> Any:
        """The derivative by x."""
        raise TypeError(type(self))

    def derivative(self, b: Any, ins: Any, out: Any, tangents: Any) -> Any:
        if any(t is not None for t in tangents[:-1]):
            raise DifferentiationError(
                "there is no derivative by a parameter", operation=self.name, hint="wrap it in nbg.stop_gradient"
            )
        return b.mul(tangents[-1], self.by_x(b, ins, out))

    @classmethod
    def samples(cls, code: str, rng: np.random.Generator) -> Iterable[Sample]:
        if code in cls.codes.split():
            for shape in ((3, 4), (), (0, 2)):
                args = tuple(sample_array(rng, code, shape, low, high) for low, high in cls.ranges)
                yield Sample(cls(), args, smooth=False)  # by x alone: tests of `nbg.special`


@final
class Hyp1f1(_OfLast):
    """Kummer's function M(a, b, x); its derivative is a / b M(a + 1, b + 1, x)."""

    name = routine = "hyp1f1"
    function = special.hyp1f1
    ranges = ((0.5, 2.0), (1.0, 3.0), (-2.0, 2.0))

    def by_x(self, b: Any, ins: Any, out: Any) -> Any:
        p, q, x = ins
        return b.mul(b.div(p, q), b.hyp1f1(b.add(p, 1), b.add(q, 1), x))


@final
class Hyp2f1(_OfLast):
    """Gauss's function F(a, b; c; x); its derivative is a b / c F(a + 1, b + 1; c + 1; x)."""

    name = routine = "hyp2f1"
    function = special.hyp2f1
    ranges = ((0.5, 2.0), (0.5, 2.0), (2.0, 3.0), (-0.7, 0.7))

    def by_x(self, b: Any, ins: Any, out: Any) -> Any:
        p, q, r, x = ins
        return b.mul(b.div(b.mul(p, q), r), b.hyp2f1(b.add(p, 1), b.add(q, 1), b.add(r, 1), x))


@final
class BetaInc(_OfLast):
    """The integral of t^(a - 1) (1 - t)^(b - 1) from 0 to x, over B(a, b)."""

    name = routine = "betainc"
    function = special.betainc
    ranges = ((0.5, 3.0), (0.5, 3.0), (0.1, 0.9))

    def by_x(self, b: Any, ins: Any, out: Any) -> Any:
        p, q, x = ins
        logarithm = b.add(b.xlogy(b.sub(p, 1), x), b.xlog1py(b.sub(q, 1), b.neg(x)))
        return b.exp(b.sub(logarithm, b.betaln(p, q)))


@final
class Rgamma(Routine, Unary):
    """1 / Gamma(x), which is 0 at the poles."""

    name = routine = "rgamma"
    codes = FLOATS
    function = special.rgamma
    low, high = 0.3, 4.0

    def slope(self, b: Any, x: Any, y: Any) -> Any:
        return b.neg(b.mul(y, b.digamma(x)))


class _Ratio(Routine, Binary):
    codes = FLOATS
    low, high = 0.5, 3.0

    def logarithmic(self, b: Any, ins: Any) -> tuple[Any, Any]:
        """The derivatives of the logarithm by both operands."""
        raise TypeError(type(self))

    def derivative(self, b: Any, ins: Any, out: Any, tangents: Any) -> Any:
        total = None
        for slope, t in zip(self.logarithmic(b, ins), tangents, strict=True):
            if t is not None:
                total = b.add(total, b.mul(t, b.mul(out, slope)))
        return total


@final
class Poch(_Ratio):
    """Gamma(x + m) / Gamma(x)."""

    name = routine = "poch"
    function = special.poch

    def logarithmic(self, b: Any, ins: Any) -> tuple[Any, Any]:
        x, m = ins
        above = b.digamma(b.add(x, m))
        return b.sub(above, b.digamma(x)), above


@final
class Binom(_Ratio):
    """Gamma(n + 1) / (Gamma(k + 1) Gamma(n - k + 1))."""

    name = routine = "binom"
    function = special.binom

    def logarithmic(self, b: Any, ins: Any) -> tuple[Any, Any]:
        n, k = ins
        rest = b.digamma(b.add(b.sub(n, k), 1))
        return b.sub(b.digamma(b.add(n, 1)), rest), b.sub(rest, b.digamma(b.add(k, 1)))
