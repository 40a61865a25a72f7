"""What operators do to numbers.

In:    a walk (where instructions go), values. Out: values.
Holds: two Python numbers are computed while compiling. Python's rules, but for these: integers wrap at 64 bits,
       integers divided by 0 give 0, floats divided by 0 give what IEEE 754 says.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from functools import reduce
from typing import Any

import numpy as np
from llvmlite import ir

from .types import (
    Scalar,
    Typed,
    arithmetic_type,
    common_type,
    float32,
    float64,
    int64,
    put_together,
    shown,
    truth,
    type_of,
)

_INTEGERS = "bui"


def is_known(value: Any) -> bool:
    """Whether a value is a Python number, known while compiling."""
    return isinstance(value, bool | int | float | complex) and not isinstance(value, np.generic)


# -- conversions -------------------------------------------------------------------------------------------------------


def cast(cx: Any, value: Any, to: Any) -> Any:
    """The value in a type. Raises `TypeError` where it has none there."""
    if isinstance(to, tuple):
        return tuple(cast(cx, v, t) for v, t in zip(value, to, strict=True))
    if to is None:
        return None
    if not isinstance(value, Typed):
        return _constant(value, to)
    old = value.type
    if old == to:
        return value
    if not isinstance(old, Scalar) or not isinstance(to, Scalar) or (old.kind == "c" and to.kind != "c"):
        raise TypeError(f"{shown(old)} is no {shown(to)}")
    if to.kind == "c":
        parts = value.leaves if old.kind == "c" else (cast(cx, value, to.part).ir, to.part.llvm(0.0))
        return Typed(to, *(_resized(cx.builder, p, to.part) for p in parts))
    if to.kind == "b":
        return is_true(cx, value)
    return Typed(to, _converted(cx.builder, value.ir, old, to))


def _converted(builder: Any, x: Any, old: Scalar, to: Scalar) -> Any:
    """A real number in another real type."""
    unsigned = old.kind in "bu"
    if to.kind == "f":
        if old.kind == "f":
            return _resized(builder, x, to)
        return (builder.uitofp if unsigned else builder.sitofp)(x, to.llvm)
    if old.kind == "f":
        return (builder.fptoui if to.kind == "u" else builder.fptosi)(x, to.llvm)
    if old.bitwidth == to.bitwidth:
        return x
    widen = builder.zext if unsigned else builder.sext
    return (widen if to.bitwidth > old.bitwidth else builder.trunc)(x, to.llvm)


def _resized(builder: Any, x: Any, to: Scalar) -> Any:
    if x.type == to.llvm:
        return x
    return (builder.fpext if to == float64 else builder.fptrunc)(x, to.llvm)


def _constant(value: Any, to: Any) -> Any:
    """A number that is known while compiling, in a type."""
    if not isinstance(to, Scalar) or not isinstance(value, bool | int | float | complex | np.generic):
        raise TypeError(f"{value!r} is no {shown(to)}")
    if to.kind == "c":
        z = complex(value)
        return Typed(to, ir.Constant(to.part.llvm, z.real), ir.Constant(to.part.llvm, z.imag))
    if to.kind == "f":
        return Typed(to, ir.Constant(to.llvm, float(value)))  # type: ignore[arg-type]
    return Typed(to, ir.Constant(to.llvm, int(bool(value) if to.kind == "b" else value)))  # type: ignore[arg-type]


def typed(cx: Any, value: Any) -> Any:
    """The value as one of run time, in its own type."""
    return value if isinstance(value, Typed) else cast(cx, value, type_of(value))


def is_true(cx: Any, value: Any) -> Typed:
    """Whether a number is not 0."""
    x: Typed = typed(cx, value)
    if x.type == truth:
        return x
    if x.type.kind in "fc":
        return Typed(truth, reduce(cx.builder.or_, [cx.builder.fcmp_unordered("!=", p, p.type(0.0)) for p in x.leaves]))
    return Typed(truth, cx.builder.icmp_unsigned("!=", x.ir, x.ir.type(0)))


def chosen(cx: Any, condition: Typed, yes: Any, no: Any) -> Any:
    """One of two values."""
    to = common_type(type_of(yes), type_of(no))
    pairs = zip(leaves_of(cast(cx, yes, to)), leaves_of(cast(cx, no, to)), strict=True)
    return put_together(to, [cx.builder.select(condition.ir, a, b) for a, b in pairs])


def leaves_of(value: Any) -> list[Any]:
    """The LLVM values that a value is made of."""
    if value is None:
        return []
    return [leaf for v in value for leaf in leaves_of(v)] if isinstance(value, tuple) else list(value.leaves)


# -- operators of two operands -----------------------------------------------------------------------------------------

_PYTHON: dict[str, Callable[..., Any]] = {
    "Add": operator.add, "Sub": operator.sub, "Mult": operator.mul, "Div": operator.truediv,
    "FloorDiv": operator.floordiv, "Mod": operator.mod, "Pow": operator.pow, "LShift": operator.lshift,
    "RShift": operator.rshift, "BitAnd": operator.and_, "BitOr": operator.or_, "BitXor": operator.xor,
    "Eq": operator.eq, "NotEq": operator.ne, "Lt": operator.lt, "LtE": operator.le, "Gt": operator.gt,
    "GtE": operator.ge,
}  # fmt: skip
_SIGNS = {"Eq": "==", "NotEq": "!=", "Lt": "<", "LtE": "<=", "Gt": ">", "GtE": ">="}
_OF_BITS = {"BitAnd": "and_", "BitOr": "or_", "BitXor": "xor", "LShift": "shl", "RShift": "ashr"}
_OF_FLOATS = {"Add": "fadd", "Sub": "fsub", "Mult": "fmul", "Div": "fdiv"}
_OF_INTEGERS = {"Add": "add", "Sub": "sub", "Mult": "mul"}


def binary(cx: Any, name: str, x: Any, y: Any) -> Any:
    """An operator, by the name of its node in Python's syntax trees."""
    if is_known(x) and is_known(y):
        return _PYTHON[name](x, y)
    if name == "Pow":
        return _power(cx, typed(cx, x), y)
    a, b = typed(cx, x), typed(cx, y)
    if not isinstance(a.type, Scalar) or not isinstance(b.type, Scalar):
        raise TypeError(f"{name} of {shown(a.type)} and {shown(b.type)}")
    to = arithmetic_type(a.type, b.type)
    if name in _OF_BITS:
        return _of_bits(cx, name, a, b)
    if name == "Div" and to == int64:
        to = float64
    a, b = cast(cx, a, to), cast(cx, b, to)
    if to.kind == "c":
        return _of_complex(cx, name, a, b)
    if to.kind == "f" and name in _OF_FLOATS:
        return Typed(to, getattr(cx.builder, _OF_FLOATS[name])(a.ir, b.ir, flags=cx.flags))
    if to.kind == "f" and name == "Mod":
        return _float_remainder(cx, a, b)
    if to == int64 and name in _OF_INTEGERS:
        return Typed(to, getattr(cx.builder, _OF_INTEGERS[name])(a.ir, b.ir))
    if to == int64:
        return Typed(to, _floor_division(cx.builder, a.ir, b.ir)[name == "Mod"])
    raise TypeError(f"{name} of {a.type} and {b.type}")


def _of_bits(cx: Any, name: str, a: Any, b: Any) -> Typed:
    if a.type == b.type == truth and name not in ("LShift", "RShift"):
        return Typed(truth, getattr(cx.builder, _OF_BITS[name])(a.ir, b.ir))
    if a.type.kind not in _INTEGERS or b.type.kind not in _INTEGERS:
        raise TypeError(f"{name} of {a.type} and {b.type}")
    return Typed(int64, getattr(cx.builder, _OF_BITS[name])(cast(cx, a, int64).ir, cast(cx, b, int64).ir))


def _of_complex(cx: Any, name: str, x: Any, y: Any) -> Typed:
    """Sums and products by parts; there is no quotient that would be right everywhere."""
    (a, b), (c, d), builder, flags = x.leaves, y.leaves, cx.builder, cx.flags
    if name in ("Add", "Sub"):
        method = getattr(builder, _OF_FLOATS[name])
        return Typed(x.type, method(a, c, flags=flags), method(b, d, flags=flags))
    if name != "Mult":
        raise TypeError(f"{name} of complex numbers")

    def times(u: Any, v: Any) -> Any:
        return builder.fmul(u, v, flags=flags)

    re = builder.fsub(times(a, c), times(b, d), flags=flags)
    return Typed(x.type, re, builder.fadd(times(a, d), times(b, c), flags=flags))


def _floor_division(builder: Any, a: Any, b: Any) -> tuple[Any, Any]:
    """Quotient, rounded down, and remainder, with the sign of b; both 0 where b is 0."""
    zero, one = a.type(0), a.type(1)
    if isinstance(b, ir.Constant) and b.constant > 0:
        q, r = builder.sdiv(a, b), builder.srem(a, b)
        below = builder.icmp_signed("<", r, zero)
        return builder.sub(q, builder.zext(below, a.type)), builder.select(below, builder.add(r, b), r)
    is_zero = builder.icmp_signed("==", b, zero)
    safe = builder.select(is_zero, one, b)
    q, r = builder.sdiv(a, safe), builder.srem(a, safe)
    apart = builder.icmp_signed("<", builder.xor(r, safe), zero)
    below = builder.and_(builder.icmp_signed("!=", r, zero), apart)
    q, r = builder.sub(q, builder.zext(below, a.type)), builder.select(below, builder.add(r, safe), r)
    return builder.select(is_zero, zero, q), builder.select(is_zero, zero, r)


def _float_remainder(cx: Any, a: Any, b: Any) -> Typed:
    """With the sign of b."""
    builder, zero = cx.builder, a.ir.type(0.0)
    r = builder.frem(a.ir, b.ir)
    apart = builder.xor(builder.fcmp_ordered("<", b.ir, zero), builder.fcmp_ordered("<", r, zero))
    signed = cx.llvm_intrinsic("llvm.copysign", zero, b.ir)
    whole = builder.fcmp_ordered("==", r, zero)
    return Typed(a.type, builder.select(whole, signed, builder.select(apart, builder.fadd(r, b.ir), r)))


def _power(cx: Any, x: Any, n: Any) -> Typed:
    """By squaring for an exponent that is a known integer; else LLVM's power of floats."""
    if isinstance(n, int) and x.type.kind != "c":
        if x.type.kind != "f":
            x = cast(cx, x, int64)
        return _static_power(cx, x, n)
    to = arithmetic_type(x.type, type_of(n))
    if to.kind != "f":
        raise TypeError(f"power of {x.type} and {shown(type_of(n))}")
    return Typed(to, cx.llvm_intrinsic("llvm.pow", cast(cx, x, to).ir, cast(cx, n, to).ir))


def _static_power(cx: Any, x: Any, n: int) -> Any:
    result, square, left = cast(cx, 1, x.type), x, abs(n)
    while left:
        if left & 1:
            result = binary(cx, "Mult", result, square)
        left >>= 1
        square = binary(cx, "Mult", square, square) if left else square
    return binary(cx, "Div", 1.0 if x.type == float64 else cast(cx, 1, x.type), result) if n < 0 else result


# -- comparisons, signs ------------------------------------------------------------------------------------------------


def compare(cx: Any, name: str, x: Any, y: Any) -> Any:
    """A comparison; NaN is equal to nothing."""
    if is_known(x) and is_known(y):
        return _PYTHON[name](x, y)
    a, b, sign = typed(cx, x), typed(cx, y), _SIGNS[name]
    if a.type == b.type == truth:
        return Typed(truth, cx.builder.icmp_unsigned(sign, a.ir, b.ir))
    to = arithmetic_type(a.type, b.type)
    a, b = cast(cx, a, to), cast(cx, b, to)
    if to == int64:
        return Typed(truth, cx.builder.icmp_signed(sign, a.ir, b.ir))
    ask = cx.builder.fcmp_unordered if sign == "!=" else cx.builder.fcmp_ordered
    if to.kind == "f":
        return Typed(truth, ask(sign, a.ir, b.ir))
    if name not in ("Eq", "NotEq"):
        raise TypeError("complex numbers have no order")
    parts = [ask(sign, p, q) for p, q in zip(a.leaves, b.leaves, strict=True)]
    return Typed(truth, (cx.builder.or_ if sign == "!=" else cx.builder.and_)(*parts))


def negative(cx: Any, x: Any) -> Any:
    """-x."""
    if is_known(x):
        return -x
    x = typed(cx, x)
    if x.type.kind in "fc":
        return Typed(x.type, *map(cx.builder.fneg, x.leaves))
    return Typed(int64, cx.builder.neg(cast(cx, x, int64).ir))


def inverted(cx: Any, x: Any) -> Any:
    """~x."""
    return ~x if is_known(x) else Typed(int64, cx.builder.not_(cast(cx, x, int64).ir))


def absolute(cx: Any, x: Any) -> Any:
    """|x|."""
    if is_known(x):
        return abs(x)
    x = typed(cx, x)
    if x.type.kind == "f":
        return Typed(x.type, cx.llvm_intrinsic("llvm.fabs", x.ir))
    if x.type.kind == "c":
        return Typed(x.type.part, cx.c_call("hypotf" if x.type.part == float32 else "hypot", *x.leaves))
    less = cx.builder.icmp_signed("<", x.ir, x.ir.type(0))
    return Typed(x.type, cx.builder.select(less, cx.builder.neg(x.ir), x.ir))


def extremum(cx: Any, name: str, *values: Any) -> Any:
    """Python's `min` and `max`: the first of equals, and an operand with NaN is never taken for one before it."""
    best = values[0]
    for x in values[1:]:
        if is_known(best) and is_known(x):
            best = (min if name == "Lt" else max)(best, x)
        else:
            best = chosen(cx, compare(cx, name, x, best), x, best)
    return best
