"""Numbers of the code being generated: vector mathematics is written in operators over them.

In:    llvmlite's builder and values of it, Python numbers.
Out:   `Value`, a float, integer or truth value of the code being generated, or a vector of such; every operator appends
       instructions.
Holds: no branch and no table, so the same text serves numbers and vectors. No fast-math flag is set: what is contracted
       is written `fma`, and sums are kept in the order in which they are written.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

from llvmlite import ir

_BIT = ir.IntType(1)


class Format(NamedTuple):
    """A binary floating-point format: its LLVM type, the integer of the same width, IEEE 754's parameters."""

    type: Any
    word: Any
    mantissa: int  # bits that are stored
    bias: int

    @property
    def one(self) -> int:
        """The bits of 1.0."""
        return self.bias << self.mantissa

    @property
    def magic(self) -> float:
        """Added to a small x, it leaves the nearest integer of x in the lowest bits."""
        return float(3 << (self.mantissa - 1))

    @property
    def exponents(self) -> int:
        """The bits of an exponent."""
        return self.sign - (1 << self.mantissa)

    @property
    def sign(self) -> int:
        """The bits of -0.0."""
        return 1 << (self.word.width - 1)

    def bits(self, power: float) -> int:
        """The bits of a power of two, or of infinity."""
        return self.exponents if power == math.inf else (math.frexp(power)[1] - 1 + self.bias) << self.mantissa


DOUBLE = Format(ir.DoubleType(), ir.IntType(64), 52, 1023)
SINGLE = Format(ir.FloatType(), ir.IntType(32), 23, 127)


class Value:
    """A number of the code being generated, or as many as a vector has."""

    __slots__ = ("builder", "ir")
    __hash__ = None  # type: ignore[assignment]

    def __init__(self, builder: Any, value: Any) -> None:
        self.builder, self.ir = builder, value

    @property
    def lanes(self) -> int:
        """How many numbers a vector has; 0 for a number."""
        return self.ir.type.count if isinstance(self.ir.type, ir.VectorType) else 0

    @property
    def kind(self) -> Any:
        """LLVM's type of one number."""
        return self.ir.type.element if self.lanes else self.ir.type

    def wide(self, kind: Any) -> Any:
        """LLVM's type of as many numbers of this kind as this has."""
        return ir.VectorType(kind, self.lanes) if self.lanes else kind

    @property
    def format(self) -> Format:
        """The format of a float."""
        return DOUBLE if self.kind in (DOUBLE.type, DOUBLE.word) else SINGLE

    @property
    def is_single(self) -> bool:
        """Whether it is 32 bits wide."""
        return self.format is SINGLE

    def like(self, other: Any) -> Any:
        """A Python number as a constant of this type; a value's own IR."""
        if isinstance(other, Value):
            return other.ir
        table = getattr(self.builder, "table", None)
        return table.load(self.ir.type, other) if table and table.has(self.ir.type, other) else self._literal(other)

    def _literal(self, number: Any) -> Any:
        return ir.Constant(self.ir.type, [number] * self.lanes if self.lanes else number)

    def constant(self, number: Any) -> Value:
        """A constant of this type."""
        return Value(self.builder, self.like(number))

    def choose(self, single: Any, double: Any) -> Any:
        """One of two things by the format."""
        return single if self.is_single else double

    def _is_float(self) -> bool:
        return not isinstance(self.kind, ir.IntType)

    def _binary(self, other: Any, real: str, integer: str, reflected: bool = False) -> Value:
        operands = (self.ir, self.like(other))
        name = real if self._is_float() else integer
        return Value(self.builder, getattr(self.builder, name)(*(operands[::-1] if reflected else operands)))

    def _compare(self, relation: str, other: Any) -> Value:
        compare = self.builder.fcmp_ordered if self._is_float() else self.builder.icmp_signed
        if relation == "!=" and self._is_float():
            compare = self.builder.fcmp_unordered
        return Value(self.builder, compare(relation, self.ir, self.like(other)))

    def _intrinsic(self, name: str, *others: Any) -> Value:
        operands, module = [self.ir, *map(self.like, others)], self.builder.module
        kind = ir.FunctionType(self.ir.type, [self.ir.type] * len(operands))
        full = f"{name}.{f'v{self.lanes}' if self.lanes else ''}{self.kind.intrinsic_name}"
        called = module.globals.get(full) or ir.Function(module, kind, full)
        return Value(self.builder, self.builder.call(called, operands))

    # -- arithmetic ------------------------------------------------------------------------------------------------

    def __add__(self, other: Any) -> Value:
        return self._binary(other, "fadd", "add")

    def __radd__(self, other: Any) -> Value:
        return self._binary(other, "fadd", "add", True)

    def __sub__(self, other: Any) -> Value:
        return self._binary(other, "fsub", "sub")

    def __rsub__(self, other: Any) -> Value:
        return self._binary(other, "fsub", "sub", True)

    def __mul__(self, other: Any) -> Value:
        return self._binary(other, "fmul", "mul")

    def __rmul__(self, other: Any) -> Value:
        return self._binary(other, "fmul", "mul", True)

    def __truediv__(self, other: Any) -> Value:
        return self._binary(other, "fdiv", "udiv")

    def __rtruediv__(self, other: Any) -> Value:
        return self._binary(other, "fdiv", "udiv", True)

    def __neg__(self) -> Value:
        return Value(self.builder, self.builder.fneg(self.ir) if self._is_float() else self.builder.neg(self.ir))

    def fma(self, factor: Any, term: Any) -> Value:
        """self * factor + term, rounded once."""
        return self._intrinsic("llvm.fma", factor, term)

    def sqrt(self) -> Value:
        """The square root."""
        return self._intrinsic("llvm.sqrt")

    def abs(self) -> Value:
        """|x|."""
        return self._intrinsic("llvm.fabs")

    def rint(self) -> Value:
        """The nearest integer, ties to even."""
        return self._intrinsic("llvm.rint")

    def copysign(self, sign: Any) -> Value:
        """|x| with the sign of another number."""
        return self._intrinsic("llvm.copysign", sign)

    def polynomial(self, coefficients: Sequence[float]) -> Value:
        """A polynomial, the coefficient of the lowest power first: as lower part + power * upper part, and these in the
        same way, so that few operations wait for each other; short ones by Horner's scheme, which has fewer."""
        count = len(coefficients)
        if count < self.choose(8, 6):
            return self.horner(coefficients)
        cut = min((4, 8, 16), key=lambda k: max(k, count - k))
        power = self
        for _ in range(cut.bit_length() - 1):
            power = power * power
        return power.fma(self.polynomial(coefficients[cut:]), self.polynomial(coefficients[:cut]))

    def horner(self, coefficients: Sequence[float]) -> Value:
        """A polynomial by one chain: half an ulp better, slower."""
        *lower, highest = coefficients
        total = self.constant(highest)
        for c in reversed(lower):
            total = total.fma(self, c)
        return total

    # -- comparisons and choice ------------------------------------------------------------------------------------

    def __lt__(self, other: Any) -> Value:
        return self._compare("<", other)

    def __le__(self, other: Any) -> Value:
        return self._compare("<=", other)

    def __gt__(self, other: Any) -> Value:
        return self._compare(">", other)

    def __ge__(self, other: Any) -> Value:
        return self._compare(">=", other)

    def __eq__(self, other: Any) -> Value:  # type: ignore[override]
        return self._compare("==", other)

    def __ne__(self, other: Any) -> Value:  # type: ignore[override]
        return self._compare("!=", other)

    def where(self, yes: Any, no: Any) -> Value:
        """`yes` where this truth value holds, else `no`; one of them may be a Python number."""
        pattern = yes if isinstance(yes, Value) else no
        return Value(self.builder, self.builder.select(self.ir, pattern.like(yes), pattern.like(no)))

    def clamp(self, low: float, high: float) -> Value:
        """Within [low, high]; NaN stays."""
        x = (self < low).where(low, self)
        return (x > high).where(high, x)

    # -- bits ------------------------------------------------------------------------------------------------------

    def __and__(self, other: Any) -> Value:
        return self._binary(other, "and_", "and_")

    def __or__(self, other: Any) -> Value:
        return self._binary(other, "or_", "or_")

    def __xor__(self, other: Any) -> Value:
        return self._binary(other, "xor", "xor")

    def __lshift__(self, count: Any) -> Value:
        return Value(self.builder, self.builder.shl(self.ir, self._count(count)))

    def __rshift__(self, count: Any) -> Value:
        """Zeros come in from the left."""
        return Value(self.builder, self.builder.lshr(self.ir, self._count(count)))

    def _count(self, count: Any) -> Any:
        """By how many bits: a number is part of the instruction."""
        return count.ir if isinstance(count, Value) else self._literal(count)

    def shift_in(self, lower: Value, count: Value) -> Value:
        """The upper word of this word and a lower one, shifted left together."""
        return self._intrinsic("llvm.fshl", lower, count)

    @property
    def bits(self) -> Value:
        """A float's bits."""
        return Value(self.builder, self.builder.bitcast(self.ir, self.wide(self.format.word)))

    @property
    def float(self) -> Value:
        """The float of these bits."""
        return Value(self.builder, self.builder.bitcast(self.ir, self.wide(self.format.type)))

    def cast(self, kind: Any) -> Value:
        """To another LLVM type of one number: floats rounded, integers (taken as unsigned) extended or cut."""
        builder, old, wide = self.builder, self.kind, self.wide(kind)
        if isinstance(old, ir.IntType):
            if not isinstance(kind, ir.IntType):
                return Value(builder, builder.uitofp(self.ir, wide))
            return Value(builder, (builder.zext if kind.width > old.width else builder.trunc)(self.ir, wide))
        if old == kind:
            return self
        return Value(builder, (builder.fpext if kind == DOUBLE.type else builder.fptrunc)(self.ir, wide))

    def xor_sign(self, word: Value) -> Value:
        """The float with its sign flipped where the top bit of the word is set."""
        return (self.bits ^ (word & self.format.sign)).float

    def or_sign(self, sign: Value) -> Value:
        """A number that is not negative, with the sign of another: quicker than `copysign`."""
        return (self.bits | (sign.bits & self.format.sign)).float

    def round_to_word(self) -> tuple[Value, Value]:
        """The nearest integer n of a small x, as a float, and a word whose lowest bits are n."""
        shifted = self + self.format.magic
        return shifted - self.format.magic, shifted.bits

    def power_of_two(self) -> Value:
        """2^n, for a float n that is an integer and gives a normal number."""
        return (((self + self.format.magic).bits << self.format.mantissa) + self.format.one).float


# -- double-double: a number as hi + lo, |lo| at most half an ulp of hi -----------------------------


def two_sum(a: Value, b: Value) -> tuple[Value, Value]:
    """a + b exactly (Knuth, TAOCP 2, 4.2.2, theorem B)."""
    s = a + b
    other = s - a
    return s, (a - (s - other)) + (b - other)


def fast_two_sum(a: Any, b: Value) -> tuple[Value, Value]:
    """a + b exactly, for |a| >= |b| (Dekker 1971)."""
    s = a + b
    return s, b - (s - a)


def two_product(a: Value, b: Any) -> tuple[Value, Value]:
    """a * b exactly."""
    p = a * b
    return p, a.fma(b, -p)


def multiply(a: tuple[Value, Value], b: tuple[Any, Any]) -> tuple[Value, Value]:
    """The product of two double-doubles."""
    p, rest = two_product(a[0], b[0])
    return fast_two_sum(p, a[0].fma(b[1], a[1].fma(b[0], rest)))


def quotient(a: tuple[Value, Any], b: tuple[Value, Value]) -> Value:
    """a / b of double-doubles as one number, nearly correctly rounded: one division and its remainder."""
    inverse = 1.0 / b[0]
    q = a[0] * inverse
    remainder = (-q).fma(b[0], a[0]) - q * b[1] + a[1]
    return remainder.fma(inverse, q)
