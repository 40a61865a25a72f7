"""Pointers that say what they do not overlap with, so that loops over several arrays vectorise without checks.

In:    an address from the word table and the number of a region of memory.
Out:   a typed pointer; what is read and written through it is marked for LLVM as being in that region and in no
       other (scoped alias metadata).
Holds: whoever gives the numbers vouches for it: nothing is written in one region and touched in another. Within a
       region anything may overlap.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir

from .language import helper, intrinsic
from .language.types import ELEMENTS, Pointer, Typed, int64

#: Inputs may overlap each other, and so may pieces of the workspace, which are reused. Outputs have a region each, as
#: long as there are numbers; the last number is shared.
INPUTS, WORKSPACE, FIRST_OUTPUT, COUNT = 0, 1, 2, 16


def pointer(dtype: str) -> Any:
    """Make the intrinsic `(address, region) -> pointer` for elements of `dtype`; the region is a literal."""

    @intrinsic
    def as_pointer(cx: Any, address: Any, region: int) -> Any:
        result = Pointer(ELEMENTS[dtype], min(region, COUNT - 1))
        return Typed(result, cx.builder.inttoptr(cx.cast(address, int64).ir, result.llvm))

    return as_pointer


POINTERS: dict[str, Any] = {dtype: pointer(dtype) for dtype in ELEMENTS}
"""The intrinsic of `pointer` for every dtype code."""


#: Bytes of a line of the cache.
LINE = 64


@helper
def fetch(pointer: Any, start: Any, count: Any) -> None:
    """Ask for the cache lines of `count` elements from `start` on, to be written if the region is an output's.

    Nothing waits for them; addresses outside of all memory are ignored.
    """
    first = _byte(pointer, start)
    for offset in range(0, _byte(pointer, start + count) - first, LINE):
        _prefetch(pointer, first + offset)


@intrinsic
def _byte(cx: Any, pointer: Any, index: Any) -> Any:
    """The address of an element."""
    at = cx.builder.gep(pointer.ir, [cx.cast(index, int64).ir])
    return Typed(int64, cx.builder.ptrtoint(at, ir.IntType(64)))


@intrinsic
def _prefetch(cx: Any, pointer: Any, address: Any) -> None:
    flag, byte = ir.IntType(32), ir.IntType(8).as_pointer()
    kind = ir.FunctionType(ir.VoidType(), [byte, flag, flag, flag])
    prefetch = cx.module.globals.get("llvm.prefetch.p0i8") or ir.Function(cx.module, kind, "llvm.prefetch.p0i8")
    is_written = int((pointer.type.region or 0) >= FIRST_OUTPUT)
    cx.builder.call(prefetch, [cx.builder.inttoptr(address.ir, byte), flag(is_written), flag(3), flag(1)])


def mark(program: Any, access: Any, region: int) -> None:
    """Marks a load or a store as being in a region."""
    scope, others = _scopes(program)[region]
    access.set_metadata("alias.scope", scope)
    access.set_metadata("noalias", others)


def _scopes(program: Any) -> list[tuple[Any, Any]]:
    """For each region LLVM's list of its alias scope, and the list of all others; once a module."""
    known: list[tuple[Any, Any]] | None = program.metadata.get("scopes")
    if known is None:
        module = program.module
        domain = module.add_metadata([ir.MetaDataString(module, "nbgraph")])
        scopes = [module.add_metadata([ir.MetaDataString(module, f"region {k}"), domain]) for k in range(COUNT)]
        known = [(module.add_metadata([s]), module.add_metadata([o for o in scopes if o is not s])) for s in scopes]
        program.metadata["scopes"] = known
    return known
