"""Typed access to the word table: the few intrinsics that compiled code is written with.

In:    an address or a number, as compiled code reads it from the word table (`int64`).
Out:   a typed pointer, a stack slot, or the result of a call through a function address.
Holds: nothing here allocates, raises or needs a symbol; stack slots live in the entry block, so a loop does
       not grow the stack. The functions exist only inside compiled code (see `compile.compile_words`).
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.core.typing import signature
from numba.extending import intrinsic

ELEMENTS: dict[str, Any] = {
    "f4": types.float32,
    "f8": types.float64,
    "c8": types.complex64,
    "c16": types.complex128,
    "i4": types.int32,
    "i8": types.int64,
    "b1": types.uint8,
}
"""Numba's type of one element, by dtype code. A boolean is stored as a `uint8` that is 0 or 1."""

_I64 = ir.IntType(64)
_BYTES = ir.IntType(8).as_pointer()


def pointer(dtype: str) -> Any:
    """Make the intrinsic `address -> pointer` for elements of `dtype` (a key of `ELEMENTS`).

    Inside compiled code, `p = pointer("f8")(w[0])` gives a pointer whose `p[i]` reads and writes element i,
    unchecked.
    """
    result = types.CPointer(ELEMENTS[dtype])

    @intrinsic
    def as_pointer(typingctx: Any, address: Any) -> Any:
        def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
            return builder.inttoptr(args[0], context.get_value_type(result))

        return signature(result, types.int64), generate

    return as_pointer


POINTERS: dict[str, Any] = {dtype: pointer(dtype) for dtype in ELEMENTS}
"""The intrinsic of `pointer` for every dtype code."""


def stack(size: int) -> Any:
    """Make the intrinsic `() -> address` of `size` bytes on the stack, aligned to 64. One piece for each
    place it is written at, alive until the function returns."""

    @intrinsic
    def reserve(typingctx: Any) -> Any:
        def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
            with builder.goto_entry_block():  # cgutils.alloca_once also clears it: 34 s in LLVM for three tiles
                piece = builder.alloca(ir.ArrayType(ir.IntType(8), size))
            piece.align = 64
            return builder.ptrtoint(piece, _I64)

        return signature(types.int64), generate

    return reserve


@intrinsic
def slot(typingctx: Any, value: Any) -> Any:
    """Store a number on the stack, in its own type, and give the address: how Fortran takes its scalars.

    `slot(np.int32(n))` is an INTEGER, `slot(np.uint8(78))` the CHARACTER 'N'.
    """

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        place = cgutils.alloca_once(builder, args[0].type)
        builder.store(args[0], place)
        return builder.ptrtoint(place, _I64)

    return signature(types.int64, value), generate


@intrinsic
def call(typingctx: Any, address: Any, args: Any) -> Any:
    """Call the function `int64 f(int64*)` at `address` with a table of the `int64` words in the tuple
    `args`."""

    def generate(context: Any, builder: Any, sig: Any, values: Any) -> Any:
        count = len(sig.args[1])
        table = cgutils.alloca_once(builder, _I64, size=max(count, 1))
        for position in range(count):
            word = builder.extract_value(values[1], position)
            builder.store(word, builder.gep(table, [_I64(position)]))
        kind = ir.FunctionType(_I64, [_I64.as_pointer()]).as_pointer()
        return builder.call(builder.inttoptr(values[0], kind), [table])

    return signature(types.int64, types.int64, types.UniTuple(types.int64, len(args))), generate


@intrinsic
def call_at(typingctx: Any, address: Any, table: Any) -> Any:
    """Call the function `int64 f(int64*)` at `address` with the word table that lies at the address
    `table`."""

    def generate(context: Any, builder: Any, sig: Any, values: Any) -> Any:
        kind = ir.FunctionType(_I64, [_I64.as_pointer()]).as_pointer()
        return builder.call(builder.inttoptr(values[0], kind), [builder.inttoptr(values[1], _I64.as_pointer())])

    return signature(types.int64, types.int64, types.int64), generate


@intrinsic
def c_function(typingctx: Any, address: Any, args: Any) -> Any:
    """Call the C function at `address` with the `int64` words in the tuple `args`: ints, addresses. Gives its result,
    or whatever the register holds if it has none."""

    def generate(context: Any, builder: Any, sig: Any, values: Any) -> Any:
        count = len(sig.args[1])
        kind = ir.FunctionType(_I64, [_I64] * count).as_pointer()
        words = [builder.extract_value(values[1], position) for position in range(count)]
        return builder.call(builder.inttoptr(values[0], kind), words)

    return signature(types.int64, types.int64, types.UniTuple(types.int64, len(args))), generate


@intrinsic
def fortran(typingctx: Any, address: Any, args: Any) -> Any:
    """Call the Fortran subroutine at `address`; every `int64` in the tuple `args` is the address of one
    argument.

    No lengths of character arguments follow, as in SciPy's Cython interface. Gives 0.
    """

    def generate(context: Any, builder: Any, sig: Any, values: Any) -> Any:
        count = len(sig.args[1])
        kind = ir.FunctionType(ir.VoidType(), [_BYTES] * count).as_pointer()
        words = [builder.extract_value(values[1], position) for position in range(count)]
        builder.call(builder.inttoptr(values[0], kind), [builder.inttoptr(word, _BYTES) for word in words])
        return _I64(0)

    return signature(types.int64, types.int64, types.UniTuple(types.int64, len(args))), generate


@intrinsic
def cython(typingctx: Any, address: Any, args: Any) -> Any:
    """Call the function `double f(double, ..., int)` at `address` with the `float64` numbers in the tuple `args`.

    The last argument is Cython's own, for a `cpdef` function: whether to skip looking for an override.
    """

    def generate(context: Any, builder: Any, sig: Any, values: Any) -> Any:
        double, integer = ir.DoubleType(), ir.IntType(32)
        count = len(sig.args[1])
        kind = ir.FunctionType(double, [*[double] * count, integer]).as_pointer()
        given = [builder.extract_value(values[1], position) for position in range(count)]
        return builder.call(builder.inttoptr(values[0], kind), [*given, integer(0)])

    return signature(types.float64, types.int64, types.UniTuple(types.float64, len(args))), generate


def bits(source: Any, target: Any) -> Any:
    """Make the intrinsic that reads the bits of a `source` number as a `target` number of the same width."""

    @intrinsic
    def cast(typingctx: Any, value: Any) -> Any:
        def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
            return builder.bitcast(args[0], context.get_value_type(target))

        return signature(target, source), generate

    return cast


bits_to_f8 = bits(types.int64, types.float64)
f8_to_bits = bits(types.float64, types.int64)


@intrinsic
def address_of(typingctx: Any, pointer: Any) -> Any:
    """The address, as `int64`, that a typed pointer holds."""

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return builder.ptrtoint(args[0], _I64)

    return signature(types.int64, pointer), generate
