"""x modulo pi/2 for x of any size.

In:    a double |x| >= 2^-10. Out: a word whose lowest bits are n, and r as a double-double: x = n pi/2 + r with
       |r| <= pi/4.
Holds: the relative error of r is below 2^-60 for every double. Infinities give NaN. Not for loops that vectorise.

M. Payne & R. Hanek, Radian reduction for trigonometric functions, SIGNUM Newsletter 18 (1983): with x = M 2^E only the
bits of 2/pi between 2^(2 - E) and 2^(-190 - E) matter to n modulo 4 and to r. Those are multiplied as integers.
"""

from __future__ import annotations

from itertools import pairwise

from llvmlite import ir

from .coefficients import HALF_PI_PARTS, TWO_OVER_PI
from .values import Value, fast_two_sum, multiply

_WORD, _LONG = ir.IntType(64), ir.IntType(128)
_TABLE = "nbgraph_two_over_pi"


def remainder(x: Value) -> tuple[Value, Value, Value]:
    """n and r; see above."""
    bits = x.abs().bits
    product = _product((bits & ((1 << 52) - 1)) | (1 << 52), (bits >> 52) - 1075 - 2 + 64)
    n = (product + (1 << 125)) >> 126  # the two bits before the point, rounded
    left = product - (n << 126)  # r * 2/pi * 2^126, signed
    negative = left < 0
    high, low = multiply(_pieces(negative.where(-left, left)), HALF_PI_PARTS)
    flip = (x.bits ^ negative.cast(_WORD) << 63) & x.format.sign
    number = n.cast(_WORD)
    return (x < 0.0).where(-number, number), (high.bits ^ flip).float + (x - x), (low.bits ^ flip).float


def _product(mantissa: Value, start: Value) -> Value:
    """The mantissa times the 192 bits of 2/pi that begin at bit `start`, modulo 2^192; the upper 128 bits of that."""
    first, second, third = _bits_of_two_over_pi(start)
    wide = mantissa.cast(_LONG)
    below = wide * second.cast(_LONG) + ((wide * third.cast(_LONG)) >> 64)
    return ((mantissa * first).cast(_LONG) << 64) + below


def _bits_of_two_over_pi(start: Value) -> list[Value]:
    """Three words, the first bit of which is bit `start` of the table."""
    builder, module = start.builder, start.builder.module
    table = module.globals.get(_TABLE)
    if table is None:
        kind = ir.ArrayType(_WORD, len(TWO_OVER_PI))
        table = ir.GlobalVariable(module, kind, _TABLE)
        table.initializer = ir.Constant(kind, [ir.Constant(_WORD, w) for w in TWO_OVER_PI])
        table.global_constant, table.linkage = True, "internal"
    first, shift = start >> 6, start & 63
    places = [builder.gep(table, [_WORD(0), (first + k).ir], source_etype=table.value_type) for k in range(4)]
    words = [Value(builder, builder.load(place, typ=_WORD)) for place in places]
    return [high.shift_in(low, shift) for high, low in pairwise(words)]


def _pieces(whole: Value) -> tuple[Value, Value]:
    """An integer of 125 bits times 2^-126 as a double-double: the sum of pieces of 43 bits, which are exact."""
    pieces = []
    for k in (2, 1, 0):
        part = (whole >> (43 * k)).cast(_WORD) & ((1 << 43) - 1)
        pieces.append(Value(part.builder, part.builder.sitofp(part.ir, ir.DoubleType())) * 2.0 ** (43 * k - 126))
    high, low = fast_two_sum(pieces[0], pieces[1])
    high, low = fast_two_sum(high, low + pieces[2])
    return high, low
