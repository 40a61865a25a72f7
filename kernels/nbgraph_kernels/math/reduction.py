"""x modulo pi/2 for x of any size.

In:    a double |x| >= 2^-10. Out: a word whose lowest bits are n, and r as a double-double, x = n pi/2 + r, |r| <= pi/4.
Holds: the relative error of r is below 2^-70 for every double. Infinities give NaN. Not for loops that vectorise.

M. Payne & R. Hanek, Radian reduction for trigonometric functions, SIGNUM Newsletter 18 (1983): with x = M 2^E only the
bits of 2/pi between 2^(2 - E) and 2^(-190 - E) matter to n modulo 4 and to r. Those are multiplied as integers.
"""

from __future__ import annotations

from llvmlite import ir

from .coefficients import HALF_PI_PARTS, TWO_OVER_PI
from .values import Value, fast_two_sum, multiply, two_sum

_WORD, _LONG, _WHOLE = ir.IntType(64), ir.IntType(128), ir.IntType(192)
_TABLE = "nbgraph_two_over_pi"


def remainder(x: Value) -> tuple[Value, Value, Value]:
    """n and r; see above."""
    bits = x.abs().bits
    product = _product((bits & ((1 << 52) - 1)) | (1 << 52), (bits >> 52) - 1075 - 2 + 64)
    n = (product + (1 << 189)) >> 190  # the two bits before the point, rounded
    left = product - (n << 190)  # r * 2/pi * 2^190, signed
    negative = left < 0
    pieces = _pieces(negative.where(-left, left))
    high, low = multiply(_total(pieces), HALF_PI_PARTS)
    flip = (x.bits ^ negative.cast(_WORD) << 63) & x.format.sign
    number = n.cast(_WORD)
    n = (x < 0.0).where(-number, number)
    lost = x - x  # NaN of an infinity
    return n, (high.bits ^ flip).float + lost, (low.bits ^ flip).float


def _product(mantissa: Value, start: Value) -> Value:
    """The mantissa times the 192 bits of 2/pi that begin at bit `start`, modulo 2^192."""
    chunks = _bits_of_two_over_pi(start)
    total = None
    for chunk, place in zip(chunks, (128, 64, 0), strict=True):
        term = (mantissa.cast(_LONG) * chunk.cast(_LONG)).cast(_WHOLE) << place
        total = term if total is None else total + term
    assert total is not None
    return total


def _bits_of_two_over_pi(start: Value) -> list[Value]:
    """Three words, the first bits of which is bit `start` of the table."""
    builder, module = start.builder, start.builder.module
    table = module.globals.get(_TABLE)
    if table is None:
        kind = ir.ArrayType(_WORD, len(TWO_OVER_PI))
        table = ir.GlobalVariable(module, kind, _TABLE)
        table.initializer = ir.Constant(kind, [ir.Constant(_WORD, w) for w in TWO_OVER_PI])
        table.global_constant, table.linkage = True, "internal"
    first, shift = start >> 6, start & 63
    words = []
    for k in range(4):
        place = builder.gep(table, [_WORD(0), (first + k).ir], source_etype=table.value_type)
        words.append(Value(builder, builder.load(place, typ=_WORD)))
    return [_funnel(high, low, shift) for high, low in zip(words[:-1], words[1:], strict=True)]


def _funnel(high: Value, low: Value, shift: Value) -> Value:
    """The upper word of (high, low) shifted left."""
    return high._intrinsic("llvm.fshl", low, shift)


def _pieces(whole: Value) -> list[Value]:
    """An integer of 192 bits as doubles of 48 bits each, times 2^-190."""
    pieces = []
    for k in (3, 2, 1, 0):
        part = (whole >> (48 * k)).cast(_WORD) & ((1 << 48) - 1)
        pieces.append(Value(part.builder, part.builder.sitofp(part.ir, ir.DoubleType())) * 2.0 ** (48 * k - 190))
    return pieces


def _total(pieces: list[Value]) -> tuple[Value, Value]:
    """The sum as a double-double; each piece is smaller than the last place of what may stand before it."""
    high, low = fast_two_sum(pieces[0], pieces[1])
    high, more = two_sum(high, pieces[2])
    low, least = two_sum(low, more)
    high, low = fast_two_sum(high, low)
    return fast_two_sum(high, low + (least + pieces[3]))
