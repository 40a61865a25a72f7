"""Pointers that say what they do not overlap with, so that loops over several arrays vectorise without checks.

In:    an address from the word table and the number of a region of memory.
Out:   a typed pointer; what is read and written through it is marked for LLVM as being in that region and in no
       other (scoped alias metadata).
Holds: whoever gives the numbers vouches for it: nothing is written in one region and touched in another. Within a
       region anything may overlap.
"""

from __future__ import annotations

import operator
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.core.datamodel import models, register_default
from numba.core.imputils import lower_builtin
from numba.core.typing import signature
from numba.extending import intrinsic

from .words import ELEMENTS

#: Inputs may overlap each other, and so may pieces of the workspace, which are reused. Outputs have a region each, as
#: long as there are numbers; the last number is shared.
INPUTS, WORKSPACE, FIRST_OUTPUT, COUNT = 0, 1, 2, 16


class RegionPointer(types.CPointer):
    """A pointer into a region."""

    def __init__(self, dtype: Any, region: int) -> None:
        super().__init__(dtype)
        self.region = min(region, COUNT - 1)
        self.name = f"{dtype}*{self.region}"

    @property
    def key(self) -> Any:
        return self.dtype, self.region


register_default(RegionPointer)(models.PointerModel)


def pointer(dtype: str) -> Any:
    """Make the intrinsic `(address, region) -> pointer` for elements of `dtype`; the region is a literal."""

    @intrinsic(prefer_literal=True)
    def as_pointer(typingctx: Any, address: Any, region: Any) -> Any:
        result = RegionPointer(ELEMENTS[dtype], region.literal_value)

        def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
            return builder.inttoptr(args[0], context.get_value_type(result))

        return signature(result, types.int64, region), generate

    return as_pointer


POINTERS: dict[str, Any] = {dtype: pointer(dtype) for dtype in ELEMENTS}
"""The intrinsic of `pointer` for every dtype code."""


#: Bytes of a line of the cache.
LINE = 64


@intrinsic
def fetch(typingctx: Any, pointer: Any, start: Any, count: Any) -> Any:
    """Ask for the cache lines of `count` elements from `start` on, to be written if the region is an output's.

    Nothing waits for them; addresses outside of all memory are ignored.
    """
    if not isinstance(pointer, RegionPointer):
        return None

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        word, flag, byte = ir.IntType(64), ir.IntType(32), ir.IntType(8).as_pointer()
        function_type = ir.FunctionType(ir.VoidType(), [byte, flag, flag, flag])
        prefetch = cgutils.get_or_insert_function(builder.module, function_type, "llvm.prefetch.p0i8")
        first = builder.bitcast(builder.gep(args[0], [args[1]]), byte)
        nbytes = builder.mul(args[2], word(context.get_abi_sizeof(context.get_value_type(pointer.dtype))))
        options = [flag(int(pointer.region >= FIRST_OUTPUT)), flag(3), flag(1)]
        with cgutils.for_range_slice(builder, word(0), nbytes, word(LINE), inc=True) as (offset, _):
            builder.call(prefetch, [builder.gep(first, [offset]), *options])
        return context.get_dummy_value()

    return signature(types.void, pointer, types.int64, types.int64), generate


@lower_builtin(operator.getitem, RegionPointer, types.Integer)
def _load(context: Any, builder: Any, sig: Any, args: Any) -> Any:
    return _mark(builder, builder.load(builder.gep(args[0], [args[1]])), sig.args[0].region)


@lower_builtin(operator.setitem, RegionPointer, types.Integer, types.Any)
def _store(context: Any, builder: Any, sig: Any, args: Any) -> None:
    _mark(builder, builder.store(args[2], builder.gep(args[0], [args[1]])), sig.args[0].region)


def _mark(builder: Any, access: Any, region: int) -> Any:
    scope, others = _scopes(builder.module)[region]
    access.set_metadata("alias.scope", scope)
    access.set_metadata("noalias", others)
    return access


def _scopes(module: Any) -> list[tuple[Any, Any]]:
    """For each region LLVM's list of its alias scope, and the list of all others; once a module."""
    known = module.__dict__.get("nbgraph_scopes")
    if known is None:
        domain = module.add_metadata([ir.MetaDataString(module, "nbgraph")])
        scopes = [module.add_metadata([ir.MetaDataString(module, f"region {k}"), domain]) for k in range(COUNT)]
        known = [(module.add_metadata([s]), module.add_metadata([o for o in scopes if o is not s])) for s in scopes]
        module.nbgraph_scopes = known
    return known
