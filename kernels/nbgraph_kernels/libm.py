"""Functions of the C library's `libm`, as intrinsics of compiled code.

In:    numbers (`float64`; `scalbn` also an exponent, `int32`; `nextafterf` single precision).
Out:   what C's `double f(double, ...)` of that name returns.
Holds: a call is a call of the symbol: no wrapper that could raise. LLVM knows the names and what they mean. The
       functions exist only inside compiled code.
"""

from __future__ import annotations

from typing import Any

from .language import intrinsic
from .language.types import Typed, float32, float64, int32


def _function(name: str, *arguments: Any) -> Any:
    """The intrinsic that calls the C function `name`, whose result has its first argument's type."""

    @intrinsic
    def call(cx: Any, *values: Any) -> Any:
        given = [cx.cast(v, t).ir for v, t in zip(values, arguments, strict=True)]
        return Typed(arguments[0], cx.c_call(name, *given))

    return call


_F8 = float64

sinh, cosh, asin, acos = (_function(name, _F8) for name in ("sinh", "cosh", "asin", "acos"))
asinh, acosh, atanh = (_function(name, _F8) for name in ("asinh", "acosh", "atanh"))
exp2, log2, log10, cbrt = (_function(name, _F8) for name in ("exp2", "log2", "log10", "cbrt"))
floor, ceil, trunc, rint = (_function(name, _F8) for name in ("floor", "ceil", "trunc", "rint"))
atan2, hypot, fmod = (_function(name, _F8, _F8) for name in ("atan2", "hypot", "fmod"))
copysign, nextafter = (_function(name, _F8, _F8) for name in ("copysign", "nextafter"))
nextafterf = _function("nextafterf", float32, float32)
logb = _function("logb", _F8)
scalbn = _function("scalbn", _F8, int32)
