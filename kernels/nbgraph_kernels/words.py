"""Typed access to the word table: the few intrinsics that compiled code is written with.

In:    an address or a number, as compiled code reads it from the word table (`int64`).
Out:   a typed pointer, a stack slot, or the result of a call through a function address.
Holds: nothing here allocates, raises or needs a symbol; stack slots live in the entry block, so a loop does
       not grow the stack. The functions exist only inside compiled code (see `compile.compile_words`), but for
       `POINTERS` and `stack`, which Python may call, too.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir

from . import memory_in_python
from .language import intrinsic
from .language.types import ELEMENTS, Pointer, Typed, complex128, float64, int64

__all__ = ["ELEMENTS", "POINTERS"]

_I64 = ir.IntType(64)
_BYTES = ir.IntType(8).as_pointer()
_WORDS = _I64.as_pointer()


def pointer(dtype: str) -> Any:
    """Make the intrinsic `address -> pointer` for elements of `dtype` (a key of `ELEMENTS`).

    Inside compiled code, `p = pointer("f8")(w[0])` gives a pointer whose `p[i]` reads and writes element i,
    unchecked.
    """
    result = Pointer(ELEMENTS[dtype])

    def as_pointer(cx: Any, address: Any) -> Any:
        return Typed(result, cx.builder.inttoptr(cx.cast(address, int64).ir, result.llvm))

    return intrinsic(as_pointer, memory_in_python.pointer(dtype))


POINTERS: dict[str, Any] = {dtype: pointer(dtype) for dtype in ELEMENTS}
"""The intrinsic of `pointer` for every dtype code."""


def stack(size: int) -> Any:
    """Make the intrinsic `() -> address` of `size` bytes on the stack, aligned to 64. One piece for each
    place it is written at, alive until the function returns."""

    def reserve(cx: Any) -> Any:
        return Typed(int64, cx.builder.ptrtoint(cx.alloca(ir.ArrayType(ir.IntType(8), size), align=64), _I64))

    return intrinsic(reserve, memory_in_python.stack(size))


@intrinsic
def slot(cx: Any, value: Any) -> Any:
    """Store a number on the stack, in its own type, and give the address: how Fortran takes its scalars.

    `slot(np.int32(n))` is an INTEGER, `slot(np.uint8(78))` the CHARACTER 'N'.
    """
    value = cx.typed(value)
    place = cx.alloca(value.type.llvm)
    if len(value.leaves) == 1:
        cx.builder.store(value.ir, place)
    else:
        for k, part in enumerate(value.leaves):
            cx.builder.store(part, cx.builder.gep(place, [ir.IntType(32)(0), ir.IntType(32)(k)]))
    return Typed(int64, cx.builder.ptrtoint(place, _I64))


@intrinsic
def call(cx: Any, address: Any, args: Any) -> Any:
    """Call the function `int64 f(int64*)` at `address` with a table of the `int64` words in the tuple
    `args`."""
    table = cx.alloca(_I64, size=max(len(args), 1))
    for position, word in enumerate(cx.words(args)):
        cx.builder.store(word, cx.builder.gep(table, [_I64(position)]))
    return _called(cx, address, table)


@intrinsic
def call_at(cx: Any, address: Any, table: Any) -> Any:
    """Call the function `int64 f(int64*)` at `address` with the word table that lies at the address
    `table`."""
    return _called(cx, address, cx.builder.inttoptr(cx.cast(table, int64).ir, _WORDS))


def _called(cx: Any, address: Any, table: Any) -> Typed:
    kind = ir.FunctionType(_I64, [_WORDS]).as_pointer()
    return Typed(int64, cx.builder.call(cx.builder.inttoptr(cx.cast(address, int64).ir, kind), [table]))


@intrinsic
def c_function(cx: Any, address: Any, args: Any) -> Any:
    """Call the C function at `address` with the `int64` words in the tuple `args`: ints, addresses. Gives its result,
    or whatever the register holds if it has none."""
    kind = ir.FunctionType(_I64, [_I64] * len(args)).as_pointer()
    return Typed(int64, cx.builder.call(cx.builder.inttoptr(cx.cast(address, int64).ir, kind), cx.words(args)))


@intrinsic
def fortran(cx: Any, address: Any, args: Any) -> Any:
    """Call the Fortran subroutine at `address`; every `int64` in the tuple `args` is the address of one
    argument.

    No lengths of character arguments follow, as in SciPy's Cython interface.
    """
    kind = ir.FunctionType(ir.VoidType(), [_BYTES] * len(args)).as_pointer()
    addresses = [cx.builder.inttoptr(word, _BYTES) for word in cx.words(args)]
    cx.builder.call(cx.builder.inttoptr(cx.cast(address, int64).ir, kind), addresses)


@intrinsic
def cython(cx: Any, address: Any, args: Any) -> Any:
    """Call the function `double f(double, ..., int)` at `address` with the `float64` numbers in the tuple `args`.

    The last argument is Cython's own, for a `cpdef` function: whether to skip looking for an override.
    """
    double, integer = ir.DoubleType(), ir.IntType(32)
    kind = ir.FunctionType(double, [*[double] * len(args), integer]).as_pointer()
    given = [cx.cast(x, float64).ir for x in args]
    function = cx.builder.inttoptr(cx.cast(address, int64).ir, kind)
    return Typed(float64, cx.builder.call(function, [*given, integer(0)]))


@intrinsic
def cython_complex(cx: Any, address: Any, args: Any) -> Any:
    """The same of a function `double complex f(..., int)` of numbers that are `complex128` or `float64`.

    A complex number by value is two doubles in registers, as a result too (System V and AArch64 conventions).
    """
    double, integer = ir.DoubleType(), ir.IntType(32)
    given = [part for x in args for part in _parts(cx, x)]
    pair = ir.LiteralStructType([double, double])
    kind = ir.FunctionType(pair, [*[double] * len(given), integer]).as_pointer()
    found = cx.builder.call(cx.builder.inttoptr(cx.cast(address, int64).ir, kind), [*given, integer(0)])
    return Typed(complex128, cx.builder.extract_value(found, 0), cx.builder.extract_value(found, 1))


@intrinsic
def cython_part(cx: Any, address: Any, x: Any, count: Any, place: Any) -> Any:
    """Call the function `void f(x, double*, ...)` at `address`, which has `count` results: the one at `place`.

    Of a complex x they are complex, too.
    """
    given, double = _parts(cx, x), ir.DoubleType()
    result = double if len(given) == 1 else ir.LiteralStructType([double, double])
    places = [cx.alloca(result) for _ in range(count)]
    kind = ir.FunctionType(ir.VoidType(), [*[double] * len(given), *[p.type for p in places]]).as_pointer()
    cx.builder.call(cx.builder.inttoptr(cx.cast(address, int64).ir, kind), [*given, *places])
    found = cx.builder.load(places[place])
    if len(given) == 1:
        return Typed(float64, found)
    return Typed(complex128, cx.builder.extract_value(found, 0), cx.builder.extract_value(found, 1))


def _parts(cx: Any, x: Any) -> list[Any]:
    """A number as C passes it: as one double, or as two."""
    x = cx.typed(x)
    to = complex128 if x.type.kind == "c" else float64
    return list(cx.cast(x, to).leaves)


def bits(source: Any, target: Any) -> Any:
    """Make the intrinsic that reads the bits of a `source` number as a `target` number of the same width."""

    @intrinsic
    def reread(cx: Any, value: Any) -> Any:
        return Typed(target, cx.builder.bitcast(cx.cast(value, source).ir, target.llvm))

    return reread


bits_to_f8 = bits(int64, float64)
f8_to_bits = bits(float64, int64)


@intrinsic
def address_of(cx: Any, pointer: Any) -> Any:
    """The address, as `int64`, that a typed pointer holds."""
    return Typed(int64, cx.builder.ptrtoint(pointer.ir, _I64))
