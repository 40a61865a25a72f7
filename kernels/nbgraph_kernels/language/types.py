"""What a value of the language is.

In:    nothing. Out: types, values that have one, and how they lie in registers and in memory.
Holds: a value is a `Typed` (LLVM values and their type), a tuple of values, or a Python number or function, which is
       known while compiling. A complex number is two LLVM values wherever it is not in memory.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from llvmlite import ir

from nbgraph_kernels.locks import cached_property


@dataclass(frozen=True)
class Scalar:
    """A number: `kind` is b (a truth value), u, i (an integer), f or c, as in NumPy."""

    kind: str
    bitwidth: int

    @cached_property
    def part(self) -> Scalar:
        """The type of a real or imaginary part."""
        return Scalar("f", self.bitwidth // 2)

    @cached_property
    def llvm(self) -> Any:
        """LLVM's type of it, in memory."""
        if self.kind == "c":
            return ir.LiteralStructType([self.part.llvm, self.part.llvm])
        if self.kind == "f":
            return ir.DoubleType() if self.bitwidth == 64 else ir.FloatType()
        return ir.IntType(self.bitwidth)

    def __call__(self, number: Any) -> Any:
        """A number in this type; inside of compiled code."""
        raise TypeError(f"{self} of a number is for compiled code")

    def __str__(self) -> str:
        return "bool" if self.kind == "b" else f"{_NAMES[self.kind]}{self.bitwidth}"


_NAMES = {"u": "uint", "i": "int", "f": "float", "c": "complex"}


@dataclass(frozen=True)
class Pointer:
    """A pointer to numbers; into a region of memory (see `regions`), if it is known to be in one."""

    dtype: Scalar
    region: int | None = None

    @cached_property
    def llvm(self) -> Any:
        """LLVM's type of it."""
        return self.dtype.llvm.as_pointer()

    def __str__(self) -> str:
        return f"pointer to {self.dtype}"


truth, uint8, int32, int64 = Scalar("b", 1), Scalar("u", 8), Scalar("i", 32), Scalar("i", 64)
float32, float64, complex64, complex128 = Scalar("f", 32), Scalar("f", 64), Scalar("c", 64), Scalar("c", 128)

#: By dtype code. A boolean is stored as a `uint8` that is 0 or 1.
ELEMENTS = {
    "f4": float32, "f8": float64, "c8": complex64, "c16": complex128, "i4": int32, "i8": int64, "b1": uint8,
}  # fmt: skip

#: A type is a `Scalar`, a `Pointer`, a tuple of types, or None (no value).
Type = Any


class Typed:
    """A value that is computed at run time."""

    __slots__ = ("leaves", "type")

    def __init__(self, type: Type, *leaves: Any) -> None:
        self.type, self.leaves = type, leaves

    @property
    def ir(self) -> Any:
        """The one LLVM value."""
        (leaf,) = self.leaves
        return leaf


def scalar_of(dtype: Any) -> Scalar:
    """The type of a NumPy scalar or dtype."""
    found = np.dtype(dtype)
    return truth if found.kind == "b" else Scalar(found.kind, 8 * found.itemsize)


def type_of(value: Any) -> Type:
    """The type of a value. Raises `TypeError` for what is none: functions, modules."""
    if isinstance(value, Typed):
        return value.type
    if isinstance(value, tuple):
        return tuple(map(type_of, value))
    if isinstance(value, np.generic):
        return scalar_of(value.dtype)
    if value is None:
        return None
    found = _OF_PYTHON.get(type(value))
    if found is None:
        raise TypeError(f"{value!r} is no number")
    return found


_OF_PYTHON = {bool: truth, int: int64, float: float64, complex: complex128}


def llvm_types(type_: Type) -> list[Any]:
    """LLVM's types of the values that one value is made of."""
    if isinstance(type_, tuple):
        return [leaf for each in type_ for leaf in llvm_types(each)]
    if type_ is None:
        return []
    return [type_.part.llvm] * 2 if type_ in (complex64, complex128) else [type_.llvm]


def put_together(type_: Type, leaves: list[Any]) -> Any:
    """The value made of LLVM values, which are taken from the front of the list."""
    if isinstance(type_, tuple):
        return tuple(put_together(each, leaves) for each in type_)
    count = len(llvm_types(type_))
    taken, leaves[:count] = leaves[:count], []
    return Typed(type_, *taken) if count else None


def arithmetic_type(a: Scalar, b: Scalar) -> Scalar:
    """What + - * of two numbers is computed in: integers in 64 bits; single precision where both have it."""
    if a.kind in "bui" and b.kind in "bui":
        return int64
    single = all(t in (float32, complex64) for t in (a, b))
    if "c" in (a.kind, b.kind):
        return complex64 if single else complex128
    return float32 if single else float64


def common_type(a: Type, b: Type) -> Type:
    """The type of what may be either. Raises `TypeError` if there is none."""
    if a == b:
        return a
    if isinstance(a, Scalar) and isinstance(b, Scalar):
        return arithmetic_type(a, b)
    if isinstance(a, tuple) and isinstance(b, tuple) and len(a) == len(b):
        return tuple(map(common_type, a, b))
    raise TypeError(f"{shown(a)} and {shown(b)} are nothing in common")


def shown(type_: Type) -> str:
    """A type in words."""
    return f"({', '.join(map(shown, type_))})" if isinstance(type_, tuple) else str(type_)
