"""Functions of the C library's `libm`, as intrinsics of compiled code.

In:    numbers (`float64`; `scalbn` also an exponent, `int32`; `nextafterf` single precision).
Out:   what C's `double f(double, ...)` of that name returns.
Holds: a call is a call of the symbol: no wrapper that could raise. LLVM knows the names and what they mean. The
       functions exist only inside compiled code.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.core.typing import signature
from numba.extending import intrinsic

_F8 = types.float64


def _function(name: str, result: Any, *arguments: Any) -> Any:
    """The intrinsic that calls the C function `name`."""

    def invoke(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        kind = ir.FunctionType(context.get_value_type(result), [context.get_value_type(t) for t in arguments])
        function = cgutils.get_or_insert_function(builder.module, kind, name)
        function.attributes.add("readnone")
        function.attributes.add("nounwind")
        return builder.call(function, args)

    if len(arguments) == 1:

        @intrinsic
        def call(typingctx: Any, x: Any) -> Any:
            return signature(result, *arguments), invoke

    else:

        @intrinsic
        def call(typingctx: Any, x: Any, y: Any) -> Any:
            return signature(result, *arguments), invoke

    return call


sinh, cosh, asin, acos = (_function(name, _F8, _F8) for name in ("sinh", "cosh", "asin", "acos"))
asinh, acosh, atanh = (_function(name, _F8, _F8) for name in ("asinh", "acosh", "atanh"))
exp2, log2, log10, cbrt = (_function(name, _F8, _F8) for name in ("exp2", "log2", "log10", "cbrt"))
floor, ceil, trunc, rint = (_function(name, _F8, _F8) for name in ("floor", "ceil", "trunc", "rint"))
atan2, hypot, fmod = (_function(name, _F8, _F8, _F8) for name in ("atan2", "hypot", "fmod"))
copysign, nextafter = (_function(name, _F8, _F8, _F8) for name in ("copysign", "nextafter"))
nextafterf = _function("nextafterf", types.float32, types.float32, types.float32)
logb = _function("logb", _F8, _F8)
scalbn = _function("scalbn", _F8, _F8, types.int32)
