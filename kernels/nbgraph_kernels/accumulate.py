"""Steps of reductions that LLVM may take several lanes at a time.

In:    an accumulator and one more value. Out: the accumulator after it, in its own type.
Holds: `plus` and `times` may be done in any order (LLVM's `reassoc`); of `greatest` and `least`, NaN wins. Nothing else
       in compiled code is reordered.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir

from .language import intrinsic
from .language.types import Typed

_FLAGS = ("reassoc",)


@intrinsic
def plus(cx: Any, total: Any, x: Any) -> Any:
    """total + x."""
    total = cx.typed(total)
    x = cx.cast(x, total.type)
    if total.type.kind in "fc":
        sums = [cx.builder.fadd(a, b, flags=_FLAGS) for a, b in zip(total.leaves, x.leaves, strict=True)]
        return Typed(total.type, *sums)
    return Typed(total.type, cx.builder.add(total.ir, x.ir))


@intrinsic
def times(cx: Any, total: Any, x: Any) -> Any:
    """total * x of real numbers."""
    total = cx.typed(total)
    if total.type.kind == "c":
        raise TypeError("times is of real numbers")
    x = cx.cast(x, total.type)
    if total.type.kind == "f":
        return Typed(total.type, cx.builder.fmul(total.ir, x.ir, flags=_FLAGS))
    return Typed(total.type, cx.builder.mul(total.ir, x.ir))


def _extremum(real: str, integer: str) -> Any:
    @intrinsic
    def step(cx: Any, best: Any, x: Any) -> Any:
        best = cx.typed(best)
        name, flags = (real, ("nsz",)) if best.type.kind == "f" else (integer, ())
        number = best.type.llvm
        function = cx.module.declare_intrinsic(name, [number], ir.FunctionType(number, [number, number]))
        return Typed(best.type, cx.builder.call(function, [best.ir, cx.cast(x, best.type).ir], fastmath=flags))

    return step


greatest = _extremum("llvm.maximum", "llvm.smax")
"""The larger of two real numbers."""
least = _extremum("llvm.minimum", "llvm.smin")
"""The smaller of two real numbers."""

STEPS: dict[str, Any] = {"plus": plus, "times": times, "greatest": greatest, "least": least}
"""All of them, by name."""
