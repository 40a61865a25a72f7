"""The names that generated code uses, its compiler, its loader. The one place of code generation that compiles.

In: source from `emit`; object code that was made from it before. Out: `Machine`: the address of `int64 f(int64*)`,
alive as long as the object.
Holds: loading imports no compiler.
"""

from __future__ import annotations

import math
from functools import cache
from types import FunctionType
from typing import Any

import numpy as np

from nbgraph.codegen import complex_functions, real_functions
from nbgraph.codegen.emit import Source


class Machine:
    """Machine code of one fragment and what its words are; `loaded`: from disk."""

    __slots__ = ("address", "code_bytes", "keepalive", "loaded", "object_code", "source")

    def __init__(self, source: Source, object_code: bytes, address: int, keepalive: Any, loaded: bool) -> None:
        self.source, self.object_code, self.address = source, object_code, address
        self.keepalive, self.loaded = keepalive, loaded
        self.code_bytes = len(object_code)


def compile_source(source: Source) -> Machine:
    """Compiles generated source."""
    from nbgraph_kernels.compile import compile_words
    from nbgraph_kernels.language import codes_in

    codes = codes_in(source.text, _namespace(), "generated")
    plain = "for " not in source.text
    quick = plain and source.text.count("call(") >= source.text.count("\n    v")  # more calls than numbers
    made = compile_words(*(codes[name] for name in source.functions), plain=plain, quick=quick)
    return Machine(source, made.object_code, made.address, made.keepalive, loaded=False)


def compile_nest(text: str) -> Any:
    """Compiles a nest that is a function of its own: what `("nest", text)` is the address of."""
    from nbgraph_kernels.compile import compile_words
    from nbgraph_kernels.language import codes_in

    return compile_words(codes_in(text, _namespace(), "generated")["nest"])


def load_nest(object_code: bytes) -> Any:
    """The same from object code that `compile_nest` made; see `load_source`."""
    from nbgraph_kernels.compile import loaded

    return loaded(object_code)


def load_source(source: Source, object_code: bytes) -> Machine:
    """Machine code from object code that an earlier `compile_source` of the same source made.

    The bytes are executed: check first that they are what was written.
    """
    from nbgraph_kernels.load import ENTRY, load

    address, keepalive = load(object_code, ENTRY)
    return Machine(source, object_code, address, keepalive, loaded=True)


@cache
def _namespace() -> dict[str, Any]:
    from nbgraph_kernels import accumulate, libm, regions, words
    from nbgraph_kernels.language import helper, types
    from nbgraph_kernels.math import namespace

    names = ("float32", "float64", "complex64", "complex128", "int32", "int64", "uint8")
    scalars = {name: getattr(types, name) for name in names}
    known: dict[str, Any] = {
        "bool": bool,
        "min": min,
        "max": max,
        "abs": abs,
        "range": range,
        "int": int,
        "float": float,
        "complex": complex,
    }
    helpers: dict[str, Any] = {"math": namespace(math), "np": namespace(np), "libm": libm}
    for f in (*_HELPERS, *real_functions.HELPERS, *complex_functions.HELPERS):
        helpers[f.__name__] = helper(_with_globals(f, helpers))
    calls = {"call": words.call, "cython": words.cython, "cython_complex": words.cython_complex}
    calls |= {"cython_part": words.cython_part, "fetch": regions.fetch}
    calls |= {"piece": regions.piece, "shifted": regions.shifted, "stream": regions.stream_by, "settle": regions.settle}
    return {**known, **regions.POINTERS, **accumulate.STEPS, **scalars, **helpers, **calls}


def _with_globals(function: Any, helpers: dict[str, Any]) -> Any:
    """The function with the helpers made before it in place of the Python functions it names."""
    return FunctionType(function.__code__, {**function.__globals__, **helpers}, function.__name__)


def sign(x: Any) -> Any:
    """-1, 0 or 1; NaN of NaN."""
    if x > 0:
        return 1 + 0 * min(x, 0)
    if x < 0:
        return 0 * max(x, 0) - 1
    return x + abs(x)  # 0 of either zero, NaN of NaN


def complex_divide(a: Any, b: Any) -> Any:
    """a / b by Smith's method (Comm. ACM 5, 435 (1962)), with NumPy's results at zero and infinity."""
    x, y, c, d = a.real, a.imag, b.real, b.imag
    if abs(c) >= abs(d):
        if c == 0 and d == 0:
            return complex(x / abs(c), y / abs(c))
        ratio = d / c
        scale = 1.0 / (c + d * ratio)
        return complex((x + y * ratio) * scale, (y - x * ratio) * scale)
    ratio = c / d
    scale = 1.0 / (d + c * ratio)
    return complex((x * ratio + y) * scale, (y * ratio - x) * scale)


def complex_sign(z: Any) -> Any:
    """z / |z|, 0 at 0."""
    r = abs(z)
    if r == 0:
        return complex(0.0, 0.0)
    if math.isinf(r):
        re, im = math.isinf(z.real), math.isinf(z.imag)
        if re and im:
            return complex(math.nan, math.nan)
        return complex(math.copysign(1.0, z.real), 0.0) if re else complex(0.0, math.copysign(1.0, z.imag))
    return complex(z.real / r, z.imag / r)


def complex_sqrt(z: Any) -> Any:
    """The root in the right half plane: of the larger part directly, the other by division."""
    x, y = z.real, z.imag
    if x == 0 and y == 0:
        return complex(0.0, y)
    r = math.sqrt((abs(x) + abs(complex(x, y))) * 0.5)
    other = abs(y) / (2.0 * r)
    if x >= 0:
        return complex(r, math.copysign(other, y))
    return complex(other, math.copysign(r, y))


def complex_tan(z: Any) -> Any:
    """(sin 2x + i sinh 2y) / (cos 2x + cosh 2y); +-i where cosh overflows."""
    x, y = 2.0 * z.real, 2.0 * z.imag
    if abs(y) > 700.0:
        return complex(0.0, math.copysign(1.0, y))
    below = math.cos(x) + math.cosh(y)
    return complex(math.sin(x) / below, math.sinh(y) / below)


def complex_arctan(z: Any) -> Any:
    """Re = atan2(2x, 1 - x^2 - y^2) / 2, Im = log1p(4y / (x^2 + (1 - y)^2)) / 4 (Abramowitz & Stegun 4.4.39)."""
    x, y = z.real, z.imag
    if abs(x) > 1e8 or abs(y) > 1e8:  # pi/2 - 1/z
        inverse = complex_divide(complex(1.0, 0.0), complex(x, y))
        return complex(math.copysign(0.5 * math.pi, x) - inverse.real, -inverse.imag)
    high = abs(y)
    below = x * x + (1.0 - high) * (1.0 - high)
    if below == 0:
        return complex(x, math.copysign(math.inf, y))
    im = math.copysign(0.25 * math.log1p(4.0 * high / below), y)
    return complex(0.5 * math.atan2(2.0 * x, (1.0 - y) * (1.0 + y) - x * x), im)


def complex_tanh(z: Any) -> Any:
    """(sinh 2x + i sin 2y) / (cosh 2x + cos 2y); +-1 where cosh overflows."""
    x, y = 2.0 * z.real, 2.0 * z.imag
    if abs(x) > 700.0:
        return complex(math.copysign(1.0, x), 0.0)
    below = math.cosh(x) + math.cos(y)
    return complex(math.sinh(x) / below, math.sin(y) / below)


def complex_exp(z: Any) -> Any:
    """e^x (cos y + i sin y), with an imaginary part of 0 where y is 0."""
    r = math.exp(z.real)
    if z.imag == 0:
        return complex(r, z.imag)
    return complex(r * math.cos(z.imag), r * math.sin(z.imag))


def complex_log(z: Any) -> Any:
    """log |z| + i arg z; near |z| = 1 by log1p(|z|^2 - 1) / 2, which keeps what is left of the real part."""
    x, y = abs(z.real), abs(z.imag)
    large, small = max(x, y), min(x, y)
    re = math.log(abs(complex(x, y)))
    if 0.5 < large < 1.5 and small < 1.0:
        re = 0.5 * math.log1p((large - 1.0) * (large + 1.0) + small * small)
    return complex(re, math.atan2(z.imag, z.real))


def complex_expm1(z: Any) -> Any:
    """expm1(x) cos y - 2 sin(y/2)^2 + i e^x sin y."""
    half = math.sin(0.5 * z.imag)
    return complex(math.expm1(z.real) * math.cos(z.imag) - 2.0 * half * half, math.exp(z.real) * math.sin(z.imag))


def complex_sin(z: Any) -> Any:
    """sin x cosh y + i cos x sinh y, each part 0 where one of its factors is."""
    x, y = z.real, z.imag
    re = x if x == 0 else math.sin(x) * math.cosh(y)
    return complex(re, y if y == 0 else math.cos(x) * math.sinh(y))


def complex_cos(z: Any) -> Any:
    """cos x cosh y - i sin x sinh y, the imaginary part 0 where one of its factors is."""
    x, y = z.real, z.imag
    return complex(math.cos(x) * math.cosh(y), -(x * y) if x == 0 or y == 0 else -math.sin(x) * math.sinh(y))


def complex_integer_power(z: Any, n: int) -> Any:
    """z^n by squaring."""
    result, square, left = complex(1.0, 0.0), complex(z.real, z.imag), abs(n)
    while left > 0:
        if left % 2 == 1:
            result = result * square
        square = square * square
        left = left // 2
    if n < 0:
        return complex_divide(complex(1.0, 0.0), result)
    return result


def complex_power(z: Any, w: Any) -> Any:
    """z^w = exp(w log z); 1 for w = 0, 0 for z = 0; a small integer w by squaring, as NumPy does."""
    if w.real == 0 and w.imag == 0:
        return complex(1.0, 0.0)
    if z.real == 0 and z.imag == 0:
        if w.real > 0 and w.imag == 0:
            return complex(0.0, 0.0)
        return complex(math.nan, math.nan)
    if w.imag == 0 and abs(w.real) < 100 and w.real == math.floor(w.real):
        return complex_integer_power(z, int(w.real))
    return complex_exp(complex(w.real, w.imag) * complex_log(complex(z.real, z.imag)))


#: In an order in which each uses only those before it.
_HELPERS = (
    sign,
    complex_divide,
    complex_sign,
    complex_sqrt,
    complex_tan,
    complex_arctan,
    complex_tanh,
    complex_exp,
    complex_log,
    complex_expm1,
    complex_sin,
    complex_cos,
    complex_integer_power,
    complex_power,
)
