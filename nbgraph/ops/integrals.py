"""Functions that are integrals: exponential, elliptic, trigonometric, Fresnel's, Dawson's, Spence's, Owen's."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any, ClassVar, final

import numpy as np

from nbgraph import later as special
from nbgraph.kinds import FLOATS, INEXACT, Elementwise
from nbgraph.op import Sample, sample_array
from nbgraph.pointwise import Binary, Part, Routine, Unary, in_double


class _Real(Routine, Unary):
    codes = FLOATS


@final
class Dawsn(_Real):
    """Dawson's integral, exp(-x^2) times the integral of exp(t^2) from 0 to x."""

    name = routine = "dawsn"
    function = special.dawsn

    def slope(self, b: Any, x: Any, y: Any) -> Any:
        return b.sub(1, b.mul(b.mul(x, y), 2))


@final
class Erfi(_Real):
    """-i erf(i x)."""

    name = routine = "erfi"
    codes = INEXACT
    function = special.erfi

    def slope(self, b: Any, x: Any, y: Any) -> Any:
        return b.mul(b.exp(b.mul(x, x)), 2.0 / math.sqrt(math.pi))


@final
class Erfcinv(_Real):
    """The inverse of erfc."""

    name = routine = "erfcinv"
    function = special.erfcinv
    low, high = 0.2, 1.8

    def slope(self, b: Any, x: Any, y: Any) -> Any:
        return b.mul(b.exp(b.mul(y, y)), -0.5 * math.sqrt(math.pi))


@final
class Expi(_Real):
    """The exponential integral Ei(x)."""

    name = routine = "expi"
    function = special.expi
    low = 0.3

    def slope(self, b: Any, x: Any, y: Any) -> Any:
        return b.div(b.exp(x), x)


@final
class Expn(Elementwise):
    """E_n(x), the integral of e^(-x t) / t^n from 1 to infinity; the order is a parameter: E_n' = -E_(n - 1)."""

    name = "expn"
    params = ("order",)
    order: int
    codes = FLOATS

    def reference(self, ins: Sequence[Any], sizes: tuple[int, ...]) -> Any:
        return np.asarray(special.expn(self.order, ins[0].astype("f8"))).astype(ins[0].dtype)

    def externals(self, code: str) -> tuple[str, ...]:
        return ("special.expn",)

    def scalar(self, code: str, *xs: str) -> str:
        return f"cython({xs[1]}, ({float(self.order)!r}, {in_double(code, xs[0])},))"

    def derivative(self, b: Any, ins: Any, out: Any, tangents: Any) -> Any:
        (x,) = ins
        below = b.emit(Expn(self.order - 1), x) if self.order else b.mul(out, b.add(b.div(1, x), 1))
        return b.neg(b.mul(tangents[0], below))

    @classmethod
    def samples(cls, code: str, rng: np.random.Generator) -> Iterable[Sample]:
        if code in cls.codes.split():
            for n, shape in ((0, (2,)), (1, (3, 4)), (3, ()), (2, (0, 2))):
                yield Sample(cls(n), (sample_array(rng, code, shape, 0.3, 3.0),))


class _TrigonometricIntegral(Part):
    routine = "sici"
    function = special.sici
    count = 2
    low, high = 0.3, 4.0


@final
class Si(_TrigonometricIntegral):
    """The integral of sin(t) / t from 0 to x."""

    name = "sine_integral"
    place = 0

    def slope(self, b: Any, x: Any) -> Any:
        return b.spherical_jn(x, order=0)


@final
class Ci(_TrigonometricIntegral):
    """The integral of (cos(t) - 1) / t from 0 to x, and Euler's constant and log(x); of negative x that of |x|."""

    name = "cosine_integral"
    place = 1

    def slope(self, b: Any, x: Any) -> Any:
        return b.div(b.cos(x), x)


class _Fresnel(Part):
    routine = "fresnel"
    function = special.fresnel
    count = 2

    def _angle(self, b: Any, x: Any) -> Any:
        return b.mul(b.mul(x, x), 0.5 * math.pi)


@final
class FresnelS(_Fresnel):
    """The integral of sin(pi t^2 / 2) from 0 to x."""

    name = "fresnel_s"
    place = 0

    def slope(self, b: Any, x: Any) -> Any:
        return b.sin(self._angle(b, x))


@final
class FresnelC(_Fresnel):
    """The integral of cos(pi t^2 / 2) from 0 to x."""

    name = "fresnel_c"
    place = 1

    def slope(self, b: Any, x: Any) -> Any:
        return b.cos(self._angle(b, x))


@final
class Spence(_Real):
    """The integral of log(t) / (1 - t) from 1 to x."""

    name = routine = "spence"
    function = special.spence
    low, high = 0.2, 0.9

    def slope(self, b: Any, x: Any, y: Any) -> Any:
        u = b.sub(x, 1)
        at_one = b.equal(u, b.lit(0, u))
        safe = b.where(at_one, b.lit(1, u), u)
        # -log(1 + u) / u = -1 + u / 2 - ... : first order at 1 itself
        return b.where(at_one, b.sub(b.mul(u, 0.5), 1), b.neg(b.div(b.log1p(safe), safe)))


class _Elliptic(_Real):
    """A complete elliptic integral of the parameter m.

    Near 0, where the slope is a difference of equal numbers over m, it is a power series (DLMF 19.5.1, 19.5.2), to
    1e-15 for |m| < 0.1.
    """

    low, high = -0.9, 0.9
    terms: ClassVar[tuple[float, ...]]

    def far(self, b: Any, m: Any) -> Any:
        """The slope away from 0."""
        raise TypeError(type(self))

    def slope(self, b: Any, x: Any, y: Any) -> Any:
        near = b.less(b.abs(x), b.lit(0.1, x))
        small, large = b.where(near, x, b.lit(0, x)), b.where(near, b.lit(0.5, x), x)
        series: Any = b.broadcast_to(b.lit(self.terms[-1], x), b.shape(x))
        for c in self.terms[-2::-1]:
            series = b.add(b.mul(series, small), c)
        return b.where(near, series, self.far(b, large))

    @classmethod
    def samples(cls, code: str, rng: np.random.Generator) -> Iterable[Sample]:
        yield from super().samples(code, rng)
        if code in cls.codes.split():
            yield Sample(cls(), (np.array([0, 0.01, -0.05, 0.3, -7], code),))


def _series(sign: float, shift: int) -> tuple[float, ...]:
    """pi / 2 times n ((2n - 1)!! / (2n)!!)^2, over 2n - 1 for E, for n = 1, 2, ...: the slope's coefficients."""
    found, c = [], 1.0
    for n in range(1, 19):
        c *= ((2 * n - 1) / (2 * n)) ** 2
        found.append(sign * 0.5 * math.pi * n * c / ((2 * n - 1) if shift else 1))
    return tuple(found)


@final
class Ellipk(_Elliptic):
    """The complete elliptic integral of the first kind, K(m)."""

    name = routine = "ellipk"
    function = special.ellipk
    terms = _series(1.0, 0)

    def far(self, b: Any, m: Any) -> Any:
        """(E - (1 - m) K) / (2 m (1 - m)) (DLMF 19.4.1)."""
        other = b.sub(1, m)
        return b.div(b.sub(b.ellipe(m), b.mul(other, b.ellipk(m))), b.mul(b.mul(m, other), 2))


@final
class Ellipe(_Elliptic):
    """The complete elliptic integral of the second kind, E(m)."""

    name = routine = "ellipe"
    function = special.ellipe
    terms = _series(-1.0, 1)

    def far(self, b: Any, m: Any) -> Any:
        """(E - K) / (2 m) (DLMF 19.4.2)."""
        return b.div(b.sub(b.ellipe(m), b.ellipk(m)), b.mul(m, 2))


@final
class OwensT(Routine, Binary):
    """Owen's T(h, a): the integral of exp(-h^2 (1 + t^2) / 2) / (1 + t^2) from 0 to a, over 2 pi."""

    name = routine = "owens_t"
    codes = FLOATS
    function = special.owens_t

    def derivative(self, b: Any, ins: Any, out: Any, tangents: Any) -> Any:
        (h, a), (dh, da) = ins, tangents
        gaussian = b.exp(b.mul(b.mul(h, h), -0.5))
        by_h = by_a = None
        if dh is not None:
            inner = b.erf(b.mul(b.mul(a, h), math.sqrt(0.5)))
            by_h = b.mul(dh, b.mul(b.mul(gaussian, inner), -0.5 / math.sqrt(2 * math.pi)))
        if da is not None:
            square = b.mul(a, a)
            tail = b.exp(b.mul(b.mul(b.mul(h, h), square), -0.5))
            by_a = b.mul(da, b.div(b.mul(b.mul(gaussian, tail), 0.5 / math.pi), b.add(square, 1)))
        return b.add(by_h, by_a)
