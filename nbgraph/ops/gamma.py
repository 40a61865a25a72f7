"""The gamma function and what comes of it: logarithm, derivatives of that, beta, incomplete gamma, zeta.

Holds: by the parameters of `gammainc`, `gammaincc` and the exponent of `zeta` there are no derivatives.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any, final

import numpy as np

from nbgraph import later as special
from nbgraph.errors import DifferentiationError
from nbgraph.kinds import FLOATS, Elementwise
from nbgraph.op import Sample, sample_array
from nbgraph.pointwise import Binary, Routine, Unary, in_double


@final
class Gammaln(Routine, Unary):
    """log |Gamma(x)|."""

    name = "gammaln"
    codes = FLOATS
    function = special.gammaln
    routine = "gammaln"
    low, high = 0.3, 4.0

    def slope(self, b: Any, x: Any, y: Any) -> Any:
        return b.digamma(x)


@final
class Gamma(Routine, Unary):
    """Gamma(x)."""

    name = "gamma"
    codes = FLOATS
    function = special.gamma
    routine = "gamma"
    low, high = 0.3, 4.0

    def slope(self, b: Any, x: Any, y: Any) -> Any:
        return b.mul(y, b.digamma(x))


@final
class Digamma(Routine, Unary):
    """The derivative of log Gamma(x)."""

    name = "digamma"
    codes = FLOATS
    function = special.psi
    routine = "psi"
    low, high = 0.3, 4.0

    def slope(self, b: Any, x: Any, y: Any) -> Any:
        return b.polygamma(x, order=1)

    @classmethod
    def samples(cls, code: str, rng: np.random.Generator) -> Iterable[Sample]:
        yield from super().samples(code, rng)
        if code in cls.codes.split():
            yield Sample(cls(), (np.array([-0.5, -2.3], code),))


@final
class Polygamma(Elementwise):
    """The derivative of digamma of an order n >= 1: (-1)^(n + 1) n! zeta(n + 1, x)."""

    name = "polygamma"
    params = ("order",)
    order: int
    codes = FLOATS

    def reference(self, ins: Sequence[Any], sizes: tuple[int, ...]) -> Any:
        n = self.order
        values = (-1) ** (n + 1) * math.gamma(n + 1.0) * hurwitz_zeta(np.array(n + 1.0), ins[0].astype("f8"))
        return np.asarray(values).astype(ins[0].dtype)

    def scalar(self, code: str, *xs: str) -> str:
        factor = (-1) ** (self.order + 1) * math.gamma(self.order + 1.0)
        return f"({factor!r} * hurwitz_zeta({self.order + 1.0!r}, {in_double(code, xs[0])}))"

    def derivative(self, b: Any, ins: Any, out: Any, tangents: Any) -> Any:
        return b.mul(tangents[0], b.emit(Polygamma(self.order + 1), ins[0]))

    @classmethod
    def samples(cls, code: str, rng: np.random.Generator) -> Iterable[Sample]:
        if code in cls.codes.split():
            for n, shape in ((1, (3, 4)), (1, ()), (2, (0, 2)), (3, (2, 2))):
                yield Sample(cls(n), (sample_array(rng, code, shape, 0.8, 4.0),))
            yield Sample(cls(1), (np.array([-0.5, -2.3, 40], code),))


def hurwitz_zeta(s: np.ndarray[Any, Any], q: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """SciPy's zeta(s, q), which adds up -q terms where q < 0: here from the parts on both sides of 0."""
    below = (q < 0) & (q != np.floor(q))
    above = np.where(below, q - np.floor(q), np.maximum(q, 0))
    under = special.zeta(s, np.where(below, np.ceil(q) - q, 1))
    beyond = special.zeta(s, np.where(below, 1 - q, 1))
    sign = np.where(s % 2 == 0, 1, -1)
    both = np.where(below, special.zeta(s, above) + sign * under - sign * beyond, special.zeta(s, above))
    return np.where(s == 1, np.inf, np.where(below & (s != np.floor(s)), np.nan, both))


@final
class Zeta(Binary):
    """Hurwitz's zeta function, the sum of (q + k)^-s over k >= 0; NaN for s < 1."""

    name = "zeta"
    codes = FLOATS

    def reference(self, ins: Sequence[Any], sizes: tuple[int, ...]) -> Any:
        return np.asarray(hurwitz_zeta(*(x.astype("f8") for x in ins))).astype(ins[0].dtype)

    def scalar(self, code: str, *xs: str) -> str:
        return f"zeta({', '.join(in_double(code, x) for x in xs)})"

    def derivative(self, b: Any, ins: Any, out: Any, tangents: Any) -> Any:
        (s, q), (ds, dq) = ins, tangents
        if ds is not None:
            raise _by_parameter(self.name, 0)
        return b.neg(b.mul(dq, b.mul(s, b.zeta(b.add(s, 1), q))))

    @classmethod
    def samples(cls, code: str, rng: np.random.Generator) -> Iterable[Sample]:
        if code in cls.codes.split():
            for left, right in (((3, 4), (3, 4)), ((4,), (3, 1)), ((), (2, 3)), ((0, 2), (1, 2))):
                s, q = sample_array(rng, code, left, 1.5, 4.0), sample_array(rng, code, right, 0.5, 4.0)
                yield Sample(cls(), (s, q), smooth=False)


def _by_parameter(name: str, position: int) -> DifferentiationError:
    return DifferentiationError(
        f"has no derivative by operand {position}", operation=name, position=position,
        hint="hold it fixed: wrap it in nbg.stop_gradient",
    )  # fmt: skip


class _TwoParameters(Routine, Binary):
    """A function of two positive numbers."""

    codes = FLOATS
    low, high = 0.4, 3.0


@final
class Beta(_TwoParameters):
    """Gamma(x) Gamma(y) / Gamma(x + y)."""

    name = "beta"
    function = special.beta
    routine = "beta"

    def derivative(self, b: Any, ins: Any, out: Any, tangents: Any) -> Any:
        return b.mul(out, _of_log_beta(b, ins, tangents))


@final
class Betaln(_TwoParameters):
    """log |beta(x, y)|."""

    name = "betaln"
    function = special.betaln
    routine = "betaln"

    def derivative(self, b: Any, ins: Any, out: Any, tangents: Any) -> Any:
        return _of_log_beta(b, ins, tangents)


def _of_log_beta(b: Any, ins: Any, tangents: Any) -> Any:
    """The sum over both operands of (digamma(x) - digamma(x + y)) dx."""
    both = b.digamma(b.add(*ins))
    terms = (b.mul(t, b.sub(b.digamma(x), both)) if t is not None else None for x, t in zip(ins, tangents, strict=True))
    return b.add(*terms)


class _Incomplete(_TwoParameters):
    """Of a parameter a > 0 and x >= 0; differentiated by x only."""

    sign: int

    def derivative(self, b: Any, ins: Any, out: Any, tangents: Any) -> Any:
        (a, x), (da, dx) = ins, tangents
        if da is not None:
            raise _by_parameter(self.name, 0)
        log_density = b.sub(b.sub(b.xlogy(b.sub(a, 1), x), x), b.gammaln(a))
        return b.mul(dx, b.mul(b.exp(log_density), self.sign))

    @classmethod
    def samples(cls, code: str, rng: np.random.Generator) -> Iterable[Sample]:
        for sample in super().samples(code, rng):
            yield sample._replace(smooth=False)  # by the first operand there is no derivative


@final
class GammaInc(_Incomplete):
    """The integral of t^(a - 1) e^-t from 0 to x, over Gamma(a)."""

    name = "gammainc"
    function = special.gammainc
    routine = "gammainc"
    sign = 1


@final
class GammaIncC(_Incomplete):
    """1 - gammainc(a, x), exact where that is small."""

    name = "gammaincc"
    function = special.gammaincc
    routine = "gammaincc"
    sign = -1
