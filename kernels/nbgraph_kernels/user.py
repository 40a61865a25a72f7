"""Kernels from outside: Python functions over arrays, as functions over the word table.

In:    a function `kernel(*outs, *ins, *numbers)`, and what its arrays are: a dtype code and a rank of each.
Out:   words: the addresses of the arrays, C-contiguous, then all their sizes. Status 0, or what the function returns.
Holds: no array is made here, only a view of memory; the function may read, write and loop, and call functions made by
       `numba.njit`, but must not allocate or raise (`user_compile` refuses it).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.core.typing import signature
from numba.extending import intrinsic
from numba.np.arrayobj import make_array, populate_array

from .user_compile import helper

_I64 = ir.IntType(64)
_ELEMENTS = {
    "f4": types.float32, "f8": types.float64, "c8": types.complex64, "c16": types.complex128, "i4": types.int32,
    "i8": types.int64, "b1": types.boolean,
}  # fmt: skip


def view(code: str, ndim: int) -> Any:
    """Make the intrinsic `(address, sizes) -> array` of elements of dtype `code` in C order."""
    element = _ELEMENTS[code]
    result = types.Array(element, ndim, "C")

    @intrinsic
    def as_array(typingctx: Any, address: Any, sizes: Any) -> Any:
        def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
            array = make_array(result)(context, builder)
            kind = context.get_data_type(element)
            itemsize = _I64(context.get_abi_sizeof(kind))
            shape = cgutils.unpack_tuple(builder, args[1], ndim)
            strides, step = [], itemsize
            for d in reversed(shape):
                strides.append(step)
                step = builder.mul(step, d)
            data = builder.inttoptr(args[0], kind.as_pointer())
            described = {"shape": shape, "strides": strides[::-1], "itemsize": itemsize, "meminfo": None}
            populate_array(array, data=data, **described)
            return array._getvalue()

        return signature(result, types.int64, sizes), generate

    return as_array


def build(
    function: Callable[..., Any], arrays: Sequence[tuple[str, int]], numbers: Sequence[Any], returns: bool
) -> Callable[[Any], int]:
    """The function over words; `numbers` are known when it is compiled, `returns` says whether it gives a status."""
    names: dict[str, Any] = {"kernel": helper(getattr(function, "py_func", function))}
    given, word = [], len(arrays)
    for k, (code, ndim) in enumerate(arrays):
        names[f"view{k}"] = view(code, ndim)
        sizes = "".join(f"w[{word + axis}], " for axis in range(ndim))
        given.append(f"view{k}(w[{k}], ({sizes}))")
        word += ndim
    for k, number in enumerate(numbers):
        names[f"number{k}"] = number
        given.append(f"number{k}")
    call = f"kernel({', '.join(given)})"
    lines = f"    return {call}" if returns else f"    {call}\n    return 0"
    exec(compile(f"def over_words(w):\n{lines}\n", "<nbgraph user kernel>", "exec"), names)
    made: Callable[[Any], int] = names["over_words"]
    return made
