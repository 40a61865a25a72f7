"""Steps of reductions that LLVM may take several lanes at a time.

In:    an accumulator and one more value. Out: the accumulator after it, in its own type.
Holds: `plus` and `times` may be done in any order (LLVM's `reassoc`); of `greatest` and `least`, NaN wins. Nothing else
       in compiled code is reordered.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.core.typing import signature
from numba.extending import intrinsic

_FLAGS = ("reassoc",)


@intrinsic
def plus(typingctx: Any, total: Any, x: Any) -> Any:
    """total + x."""

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        if isinstance(total, types.Complex):
            value = context.make_complex(builder, total, args[0])
            more = context.make_complex(builder, total, args[1])
            value.real = builder.fadd(value.real, more.real, flags=_FLAGS)
            value.imag = builder.fadd(value.imag, more.imag, flags=_FLAGS)
            return value._getvalue()
        return builder.fadd(*args, flags=_FLAGS) if isinstance(total, types.Float) else builder.add(*args)

    return signature(total, total, total), generate


@intrinsic
def times(typingctx: Any, total: Any, x: Any) -> Any:
    """total * x of real numbers."""
    if isinstance(total, types.Complex):
        return None

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return builder.fmul(*args, flags=_FLAGS) if isinstance(total, types.Float) else builder.mul(*args)

    return signature(total, total, total), generate


def _extremum(real: str, integer: str) -> Any:
    @intrinsic
    def step(typingctx: Any, best: Any, x: Any) -> Any:
        def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
            name = real if isinstance(best, types.Float) else integer
            number = args[0].type
            function = builder.module.declare_intrinsic(name, [number], ir.FunctionType(number, [number, number]))
            return builder.call(function, args, fastmath=("nsz",) if isinstance(best, types.Float) else ())

        return signature(best, best, best), generate

    return step


greatest = _extremum("llvm.maximum", "llvm.smax")
"""The larger of two real numbers."""
least = _extremum("llvm.minimum", "llvm.smin")
"""The smaller of two real numbers."""

STEPS: dict[str, Any] = {"plus": plus, "times": times, "greatest": greatest, "least": least}
"""All of them, by name."""
