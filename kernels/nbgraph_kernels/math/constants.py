"""Constants of vector functions in a table in memory, from where an instruction takes them as its operand.

In:    numbers, and types of vectors that they fill.
Out:   loads from a table of the function that is being built.
Holds: LLVM does not see what is loaded. In a loop with more constants than registers it would make each anew where it
       is used, by two instructions (its address, a broadcast), a quarter of all. Where instructions broadcast a number
       from memory by themselves (AVX-512), and in loops whose constants stay in registers, there is no table.
"""

from __future__ import annotations

import struct
from typing import Any

from llvmlite import ir

_BYTES = ir.IntType(8).as_pointer()
#: How numbers are packed and read as integers, by their bits.
_FORMATS = {32: ("<f", "<I"), 64: ("<d", "<Q")}


class Table:
    """The constants of the function that a builder is at the start of: vectors of so many numbers of so many bits."""

    def __init__(self, builder: Any, lanes: int, bits: int) -> None:
        self._builder, self._lanes, self._bits, self._line = builder, lanes, bits, lanes * bits // 8
        self._places: dict[int, int] = {}
        module, name = builder.module, builder.function.name
        self._kind = ir.ArrayType(ir.VectorType(ir.IntType(bits), lanes), 0)
        self._table = ir.GlobalVariable(module, self._kind, f"constants_{name}")
        self._table.linkage, self._table.global_constant, self._table.align = "internal", True, self._line
        hidden = ir.InlineAsm(ir.FunctionType(_BYTES, [_BYTES]), "", "=r,0")
        self._start = builder.call(hidden, [builder.bitcast(self._table, _BYTES)])

    def has(self, kind: Any, number: Any) -> bool:
        """Whether a vector of this type comes from the table: zeros need no memory."""
        fits = isinstance(kind, ir.VectorType) and (kind.count, _width(kind.element)) == (self._lanes, self._bits)
        return fits and _word(kind.element, number) != 0

    def load(self, kind: Any, number: Any) -> Any:
        """The vector of this type filled with the number."""
        place = self._places.setdefault(_word(kind.element, number), len(self._places))
        at = self._builder.gep(self._start, [ir.IntType(64)(place * self._line)])
        return self._builder.load(self._builder.bitcast(at, kind.as_pointer()), align=self._line)

    def close(self) -> None:
        """Writes the table, when the function is built: its length is known only now."""
        self._kind.count = len(self._places)
        self._table.initializer = ir.Constant(self._kind, [[word] * self._lanes for word in self._places])


def _width(kind: Any) -> int:
    return kind.width if isinstance(kind, ir.IntType) else 64 if isinstance(kind, ir.DoubleType) else 32


def _word(kind: Any, number: Any) -> int:
    """What a number is in memory, as an integer."""
    if isinstance(kind, ir.IntType):
        return int(number) & ((1 << kind.width) - 1)
    real, word = _FORMATS[_width(kind)]
    return int(struct.unpack(word, struct.pack(real, number))[0])
