"""Bessel functions of an order that is a parameter: their derivatives are those of the orders beside it. Airy's."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, ClassVar, final

import numpy as np

from nbgraph import later as special
from nbgraph.kinds import FLOATS, INEXACT, Elementwise
from nbgraph.op import Sample, sample_array
from nbgraph.pointwise import Part, in_double


class _Order(Elementwise):
    params = ("order",)
    order: int
    codes = FLOATS

    @classmethod
    def samples(cls, code: str, rng: np.random.Generator) -> Iterable[Sample]:
        if code in cls.codes.split():
            for n, shape in ((0, (3, 4)), (1, ()), (1, (0, 2)), (2, (2, 2))):
                yield Sample(cls(n), (sample_array(rng, code, shape, -3.0, 3.0),))
            if code[0] == "f":
                yield Sample(cls(1), (np.array([0, 1e-4, 30], code),))


class _Modified(_Order):
    """I_n, or e^-|x| I_n. SciPy has the orders 0 and 1 as functions of their own."""

    letter: ClassVar[str]

    def _name(self) -> str:
        return f"i{self.order if self.order < 2 else 'v'}{self.letter}"

    def reference(self, ins: Sequence[Any], sizes: tuple[int, ...]) -> Any:
        order = (float(self.order),) if self.order >= 2 else ()
        return np.asarray(getattr(special, self._name())(*order, ins[0].astype("f8"))).astype(ins[0].dtype)

    def externals(self, code: str) -> tuple[str, ...]:
        return (f"special.{self._name()}",)

    def scalar(self, code: str, *xs: str) -> str:
        order = f"{float(self.order)!r}, " if self.order >= 2 else ""
        return f"cython({xs[1]}, ({order}{in_double(code, xs[0])},))"

    def _mean_of_neighbours(self, b: Any, x: Any) -> Any:
        """(I_(n - 1) + I_(n + 1)) / 2, scaled alike; I_(-1) is I_1 (DLMF 10.29.1)."""
        below, above = type(self)(abs(self.order - 1)), type(self)(self.order + 1)
        if below is above:
            return b.emit(above, x)
        return b.mul(b.add(b.emit(below, x), b.emit(above, x)), 0.5)


@final
class BesselI(_Modified):
    """The modified Bessel function I_n(x)."""

    name = "bessel_i"
    letter = ""

    def derivative(self, b: Any, ins: Any, out: Any, tangents: Any) -> Any:
        return b.mul(tangents[0], self._mean_of_neighbours(b, ins[0]))


@final
class BesselIe(_Modified):
    """e^-|x| I_n(x); the kink of order 0 at 0 has the derivative 0."""

    name = "bessel_ie"
    letter = "e"

    def derivative(self, b: Any, ins: Any, out: Any, tangents: Any) -> Any:
        (x,) = ins
        return b.mul(tangents[0], b.sub(self._mean_of_neighbours(b, x), b.mul(b.sign(x), out)))

    @classmethod
    def samples(cls, code: str, rng: np.random.Generator) -> Iterable[Sample]:
        for sample in super().samples(code, rng):
            yield sample._replace(smooth=bool(np.all(sample.args[0])))


@final
class SphericalJn(_Order):
    """The spherical Bessel function j_n(x); (2n + 1) j_n' = n j_(n - 1) - (n + 1) j_(n + 1) (DLMF 10.51.2)."""

    name = "spherical_jn"
    codes = INEXACT

    def reference(self, ins: Sequence[Any], sizes: tuple[int, ...]) -> Any:
        (x,) = ins
        wide = x.astype("f8" if x.dtype.kind == "f" else "c16")
        return np.asarray(special.spherical_jn(self.order, wide)).astype(x.dtype)

    def scalar(self, code: str, *xs: str) -> str:
        if code[0] == "c":
            return f"complex_spherical_jn({self.order}, {xs[0]})"
        return f"spherical_jn({self.order}, {in_double(code, xs[0])})"

    def derivative(self, b: Any, ins: Any, out: Any, tangents: Any) -> Any:
        (x,), n = ins, self.order
        above = b.mul(b.emit(SphericalJn(n + 1), x), -(n + 1) / (2 * n + 1))
        below = b.mul(b.emit(SphericalJn(n - 1), x), n / (2 * n + 1)) if n else None
        return b.mul(tangents[0], b.add(below, above))


class _Real(Elementwise):
    """Bessel functions of a real order, a parameter: by the orders one below and one above (DLMF 10.6.1, 10.29.1)."""

    params = ("order",)
    order: float
    codes = FLOATS
    routine: ClassVar[str]
    #: Signs of the orders below and above in twice the derivative.
    signs: ClassVar[tuple[int, int]]
    low: ClassVar[float] = 0.3
    high: ClassVar[float] = 4.0

    def reference(self, ins: Sequence[Any], sizes: tuple[int, ...]) -> Any:
        return np.asarray(getattr(special, self.routine)(self.order, ins[0].astype("f8"))).astype(ins[0].dtype)

    def externals(self, code: str) -> tuple[str, ...]:
        return (f"special.{self.routine}",)

    def scalar(self, code: str, *xs: str) -> str:
        return f"cython({xs[1]}, ({self.order!r}, {in_double(code, xs[0])},))"

    def derivative(self, b: Any, ins: Any, out: Any, tangents: Any) -> Any:
        (x,), (below, above) = ins, self.signs
        made = b.mul(b.emit(type(self)(self.order - 1.0), x), 0.5 * below)
        made = b.add(made, b.mul(b.emit(type(self)(self.order + 1.0), x), 0.5 * above))
        return b.mul(tangents[0], made)

    @classmethod
    def samples(cls, code: str, rng: np.random.Generator) -> Iterable[Sample]:
        if code in cls.codes.split():
            for order, shape in ((0.0, (3, 4)), (-1.5, ()), (2.5, (0, 2))):
                yield Sample(cls(order), (sample_array(rng, code, shape, cls.low, cls.high),))


@final
class BesselJ(_Real):
    """J_v(x); NaN for x < 0 and broken v."""

    name = "bessel_j"
    routine = "jv"
    signs = (1, -1)


@final
class BesselY(_Real):
    """Y_v(x) for x > 0."""

    name = "bessel_y"
    routine = "yv"
    signs = (1, -1)
    low = 0.8


@final
class BesselIv(_Real):
    """I_v(x)."""

    name = "bessel_iv"
    routine = "iv"
    signs = (1, 1)


@final
class BesselIve(_Real):
    """e^-|x| I_v(x)."""

    name = "bessel_ive"
    routine = "ive"
    signs = (1, 1)

    def derivative(self, b: Any, ins: Any, out: Any, tangents: Any) -> Any:
        damped = b.mul(tangents[0], b.mul(b.sign(ins[0]), out))
        return b.sub(super().derivative(b, ins, out, tangents), damped)


@final
class BesselK(_Real):
    """K_v(x) for x > 0."""

    name = "bessel_k"
    routine = "kv"
    signs = (-1, -1)
    low = 0.8


@final
class BesselKe(_Real):
    """e^x K_v(x) for x > 0."""

    name = "bessel_ke"
    routine = "kve"
    signs = (-1, -1)
    low = 0.8

    def derivative(self, b: Any, ins: Any, out: Any, tangents: Any) -> Any:
        return b.add(super().derivative(b, ins, out, tangents), b.mul(tangents[0], out))


# -- Airy's, which are of order 1/3 ------------------------------------------------------------------------------------


class _Airy(Part):
    """A solution of y'' = x y, or its derivative."""

    routine = "airy"
    function = special.airy
    count = 4


@final
class AiryAi(_Airy):
    """Ai(x)."""

    name = "airy_ai"
    place = 0

    def slope(self, b: Any, x: Any) -> Any:
        return b.airy_aip(x)


@final
class AiryAip(_Airy):
    """Ai'(x)."""

    name = "airy_aip"
    place = 1

    def slope(self, b: Any, x: Any) -> Any:
        return b.mul(x, b.airy_ai(x))


@final
class AiryBi(_Airy):
    """Bi(x)."""

    name = "airy_bi"
    place = 2

    def slope(self, b: Any, x: Any) -> Any:
        return b.airy_bip(x)


@final
class AiryBip(_Airy):
    """Bi'(x)."""

    name = "airy_bip"
    place = 3

    def slope(self, b: Any, x: Any) -> Any:
        return b.mul(x, b.airy_bi(x))
