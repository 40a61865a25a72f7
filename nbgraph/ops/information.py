"""Terms of entropies, and the logistic function with its inverse.

Holds: x log y is 0 where x is 0, and so are its derivatives where log y is infinite.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, final

import numpy as np

from nbgraph import later as special
from nbgraph.kinds import FLOATS, INEXACT
from nbgraph.op import Expression
from nbgraph.pointwise import Binary, OwnOfReal, Routine, Unary, scalar_call
from nbgraph.types import Shape, TensorType


class _TimesLog(Binary):
    """x log(y + c), 0 where x is 0 and y no NaN."""

    codes = FLOATS
    low, high = 0.3, 2.0
    log: ClassVar[str]
    neutral: ClassVar[float]  # its logarithm is 0

    def scalar(self, code: str, *xs: str) -> str:
        x, y = xs
        return f"(0.0 if {x} == 0 and {y} == {y} else {x} * {scalar_call(self.log, code, y)})"

    def shifted(self, b: Any, y: Any) -> Any:
        """y + c."""
        return y

    def derivative(self, b: Any, ins: Any, out: Any, tangents: Any) -> Any:
        (x, y), (dx, dy) = ins, tangents
        inside, zero, one = self.shifted(b, y), b.lit(0, y), b.lit(1, y)
        nothing = b.equal(x, b.lit(0, x))
        through_x = through_y = None
        if dx is not None:
            outside = b.logical_and(nothing, b.less_equal(inside, zero))
            through_x = b.mul(dx, getattr(b, self.log)(b.where(outside, b.lit(self.neutral, y), y)))
        if dy is not None:
            at_zero = b.logical_and(nothing, b.equal(inside, zero))
            through_y = b.mul(dy, b.div(x, b.where(at_zero, one, inside)))
        return b.add(through_x, through_y)


@final
class XLogY(_TimesLog):
    """x log y."""

    name = "xlogy"
    function = special.xlogy
    log = "log"
    neutral = 1


@final
class XLog1pY(_TimesLog):
    """x log(1 + y)."""

    name = "xlog1py"
    function = special.xlog1py
    log = "log1p"
    neutral = 0

    def shifted(self, b: Any, y: Any) -> Any:
        return b.add(y, 1)


@final
class Entr(Routine, Unary):
    """-x log x, 0 at 0, -inf below."""

    name = "entr"
    codes = FLOATS
    function = special.entr
    routine = "entr"
    low = 0.2

    def slope(self, b: Any, x: Any, y: Any) -> Any:
        return b.sub(-1, b.log(x))


@final
class RelEntr(Routine, Binary):
    """x log(x / y), 0 for x = 0 and y >= 0, infinite outside."""

    name = "rel_entr"
    codes = FLOATS
    function = special.rel_entr
    routine = "rel_entr"
    low = 0.3

    def derivative(self, b: Any, ins: Any, out: Any, tangents: Any) -> Any:
        (x, y), (dx, dy) = ins, tangents
        ratio = b.div(x, y)
        return b.sub(
            b.mul(dx, b.add(b.log(ratio), 1)) if dx is not None else None,
            b.mul(dy, ratio) if dy is not None else None,
        )


@final
class KlDiv(Routine, Binary):
    """x log(x / y) - x + y, y for x = 0 and y >= 0, infinite outside."""

    name = "kl_div"
    codes = FLOATS
    function = special.kl_div
    routine = "kl_div"
    low = 0.3

    def derivative(self, b: Any, ins: Any, out: Any, tangents: Any) -> Any:
        (x, y), (dx, dy) = ins, tangents
        ratio = b.div(x, y)
        return b.add(
            b.mul(dx, b.log(ratio)) if dx is not None else None,
            b.mul(dy, b.sub(1, ratio)) if dy is not None else None,
        )


@final
class Expit(Unary):
    """1 / (1 + e^-x), the logistic function; complex too."""

    name = "expit"
    codes = INEXACT
    function = staticmethod(
        lambda x: 1 / (1 + np.exp(-x)) if x.dtype.kind == "c" else special.expit(x.astype("f8")).astype(x.dtype)
    )

    def expression(self, types: Sequence[TensorType]) -> Expression | None:
        return Expression("{expit}({0})", {"expit": special.expit}) if types[0].code == "f8" else None

    def expand(self, b: Any, ins: Any, sizes: Shape) -> Any:
        return b.div(1, b.add(b.exp(b.neg(ins[0])), 1)) if b.type(ins[0]).is_complex else None

    def scalar(self, code: str, *xs: str) -> str:
        if code[0] == "c":
            return f"(1 / (1 + {scalar_call('exp', code, f'-{xs[0]}')}))"
        return f"math.sigmoid({xs[0]})"  # where e^-x overflows the result may still be a number

    def slope(self, b: Any, x: Any, y: Any) -> Any:
        return b.mul(y, b.expit(b.neg(x)))


@final
class Logit(Routine, Unary):
    """log(x / (1 - x)), the inverse of expit."""

    name = "logit"
    codes = FLOATS
    function = special.logit
    routine = "logit"
    low, high = 0.1, 0.9

    def derivative(self, b: Any, ins: Any, out: Any, tangents: Any) -> Any:
        (x,) = ins
        return b.div(tangents[0], b.mul(x, b.sub(1, x)))


@final
class LogExpit(OwnOfReal, Unary):
    """log(expit(x)), for very negative x too."""

    name = "log_expit"
    codes = FLOATS
    function = special.log_expit
    routine = "log_expit"
    real = "min({x}, 0) - math.log1p(math.exp(-abs({x})))"

    def slope(self, b: Any, x: Any, y: Any) -> Any:
        return b.expit(b.neg(x))
