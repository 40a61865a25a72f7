"""Hyperbolic functions and their inverses."""

from __future__ import annotations

from typing import Any, final

import numpy as np

from nbgraph.kinds import INEXACT
from nbgraph.pointwise import Unary


@final
class Tanh(Unary):
    """The hyperbolic tangent."""

    name = "tanh"
    codes = INEXACT
    function = np.tanh

    def slope(self, b: Any, x: Any, y: Any) -> Any:
        return b.sub(1, b.mul(y, y))


@final
class Sinh(Unary):
    """The hyperbolic sine."""

    name = "sinh"
    codes = INEXACT
    function = np.sinh

    def slope(self, b: Any, x: Any, y: Any) -> Any:
        return b.cosh(x)


@final
class Cosh(Unary):
    """The hyperbolic cosine."""

    name = "cosh"
    codes = INEXACT
    function = np.cosh

    def slope(self, b: Any, x: Any, y: Any) -> Any:
        return b.sinh(x)


@final
class Arcsinh(Unary):
    """The inverse hyperbolic sine."""

    name = "arcsinh"
    codes = INEXACT
    function = np.arcsinh
    low, high = -0.7, 0.7

    def derivative(self, b: Any, ins: Any, out: Any, tangents: Any) -> Any:
        (x,) = ins
        if b.type(x).is_complex:
            return b.div(tangents[0], b.sqrt(b.add(b.mul(x, x), 1)))
        return b.div(tangents[0], b.hypot(x, b.lit(1, x)))


@final
class Arccosh(Unary):
    """The inverse hyperbolic cosine, not negative."""

    name = "arccosh"
    codes = INEXACT
    function = np.arccosh
    low, high = 1.3, 3.0

    def derivative(self, b: Any, ins: Any, out: Any, tangents: Any) -> Any:
        (x,) = ins
        return b.div(tangents[0], b.mul(b.sqrt(b.sub(x, 1)), b.sqrt(b.add(x, 1))))


@final
class Arctanh(Unary):
    """The inverse hyperbolic tangent."""

    name = "arctanh"
    codes = INEXACT
    function = np.arctanh
    low, high = -0.7, 0.7

    def derivative(self, b: Any, ins: Any, out: Any, tangents: Any) -> Any:
        (x,) = ins
        return b.div(tangents[0], b.mul(b.sub(1, x), b.add(1, x)))
