"""Pointers that say what they do not overlap with, so that loops over several arrays vectorise without checks.

In:    an address from the word table and the number of a region of memory.
Out:   a typed pointer; what is read and written through it is marked for LLVM as being in that region and in no
       other (scoped alias metadata).
Holds: whoever gives the numbers vouches for it: nothing is written in one region and touched in another. Within a
       region anything may overlap.
"""

from __future__ import annotations

from functools import partial
from typing import Any

from llvmlite import ir

from .language import helper, intrinsic
from .language.types import ELEMENTS, Pointer, Typed, int64
from .words import call, stack

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


@helper
def prefetch_element(pointer: Any, index: Any) -> None:
    """Asks for the line of memory of an element."""
    _prefetch(pointer, _byte(pointer, index))


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


#: Bytes that are stored at a time past the cache; of a row that is stored so at most.
_WIDE, PIECE = 32, 2**15

#: Makes room for such a row on the stack: gives its address.
piece = stack(PIECE)


@intrinsic
def shifted(cx: Any, pointer: Any, index: Any) -> Any:
    """The pointer to an element."""
    return Typed(pointer.type, cx.builder.gep(pointer.ir, [cx.cast(index, int64).ir]))


@partial(helper, apart=True)
def stream(to: Any, at: Any, source: Any, count: Any) -> None:
    """Copy `count` elements to those from `at` on without fetching their lines into the cache first: half of the
    traffic of a store. They are seen by other threads after `settle`."""
    wide = _per_store(to)
    k = 0
    while k < count and _byte(to, at + k) % _WIDE != 0:
        to[at + k] = source[k]
        k += 1
    while k + wide <= count:
        _store_past(to, at + k, source, k)
        k += wide
    while k < count:
        to[at + k] = source[k]
        k += 1


@helper
def stream_by(kernel: Any, to: Any, at: Any, source: Any, count: Any) -> None:
    """`stream` by the kernel at this address."""
    call(kernel, (_byte(to, at), _byte(source, 0), count))


@intrinsic
def _per_store(cx: Any, pointer: Any) -> Any:
    return Typed(int64, ir.IntType(64)(_WIDE // (pointer.type.dtype.bitwidth // 8)))


@intrinsic
def _store_past(cx: Any, to: Any, at: Any, source: Any, index: Any) -> None:
    kind = ir.VectorType(ir.IntType(64), _WIDE // 8)
    places = [cx.builder.gep(p.ir, [cx.cast(i, int64).ir]) for p, i in ((to, at), (source, index))]
    there, here = (cx.builder.bitcast(place, kind.as_pointer()) for place in places)
    access = cx.builder.store(cx.builder.load(here, align=1), there, align=_WIDE)
    access.set_metadata("nontemporal", cx.module.add_metadata([ir.IntType(32)(1)]))


@intrinsic
def settle(cx: Any) -> None:
    """What was stored past the cache is seen by whoever sees what is stored after this."""
    cx.builder.fence("seq_cst")
