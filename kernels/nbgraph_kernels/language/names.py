"""What functions of Python, `math` and `numpy` mean in the language.

In:    a walk and values. Out: values.
Holds: what is not here is not in the language. `math` and `numpy` inside of generated code are other ones, in which
       elementary functions are ours (`nbgraph_kernels.math.namespace`); here they are LLVM's, which calls `libm`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from .numbers import absolute, cast, extremum, is_known, is_true, typed
from .types import Typed, complex64, complex128, float32, float64, int64, truth


def _to(type_: Any, python: Any) -> Callable[..., Any]:
    """A conversion to a type."""

    def convert(cx: Any, x: Any) -> Any:
        return python(x) if is_known(x) else cast(cx, x, type_)

    return convert


def _complex(cx: Any, re: Any, im: Any = 0.0) -> Any:
    """From its parts; single precision of two in single precision."""
    if is_known(re) and is_known(im):
        return complex(re, im)
    re, im = typed(cx, re), typed(cx, im)
    if re.type.kind == "c":
        return re
    to = complex64 if re.type == im.type == float32 else complex128
    return Typed(to, cast(cx, re, to.part).ir, cast(cx, im, to.part).ir)


def _float(cx: Any, x: Any) -> Any:
    x = typed(cx, x)
    return x if x.type.kind == "f" else cast(cx, x, float64)


def _of_float(name: str) -> Callable[..., Any]:
    """An intrinsic function of LLVM of a float."""

    def call(cx: Any, x: Any) -> Any:
        x = _float(cx, x)
        return Typed(x.type, cx.llvm_intrinsic(name, x.ir))

    return call


def _to_integer(name: str) -> Callable[..., Any]:
    """Python's `math.floor` and `math.ceil`: an integer."""
    rounded = _of_float(name)

    def call(cx: Any, x: Any) -> Any:
        return cast(cx, rounded(cx, x), int64)

    return call


def _copysign(cx: Any, x: Any, sign: Any) -> Any:
    to = float32 if all(getattr(v, "type", None) == float32 for v in (x, sign)) else float64
    return Typed(to, cx.llvm_intrinsic("llvm.copysign", cast(cx, x, to).ir, cast(cx, sign, to).ir))


def _hypot(cx: Any, x: Any, y: Any) -> Any:
    return absolute(cx, _complex(cx, x, y))


def _compared_with_infinity(relation: str) -> Callable[..., Any]:
    def call(cx: Any, x: Any) -> Any:
        x = _float(cx, x)
        size = cx.llvm_intrinsic("llvm.fabs", x.ir)
        return Typed(truth, cx.builder.fcmp_ordered(relation, size, size.type(math.inf)))

    return call


def _is_nan(cx: Any, x: Any) -> Any:
    x = _float(cx, x)
    return Typed(truth, cx.builder.fcmp_unordered("uno", x.ir, x.ir))


MEANINGS: dict[Any, Callable[..., Any]] = {
    int: _to(int64, int),
    float: _to(float64, float),
    bool: lambda cx, x: bool(x) if is_known(x) else is_true(cx, x),
    complex: _complex,
    abs: absolute,
    min: lambda cx, *values: extremum(cx, "Lt", *values),
    max: lambda cx, *values: extremum(cx, "Gt", *values),
    math.floor: _to_integer("llvm.floor"),
    math.ceil: _to_integer("llvm.ceil"),
    math.copysign: _copysign,
    math.hypot: _hypot,
    math.isinf: _compared_with_infinity("=="),
    math.isnan: _is_nan,
    np.isfinite: _compared_with_infinity("<"),
    **{f: _of_float(f"llvm.{f.__name__}") for f in (math.sqrt, math.sin, math.cos, math.exp, math.log, math.log2)},
    **{f: _of_float(f"llvm.{f.__name__}") for f in (np.sqrt, np.floor, np.ceil)},
}
"""By the function itself."""
