"""Which programs need to be told how many threads to use.

In: bound programs of an engine. Out: the context they run in, or None where nothing would use a second thread.
Holds: telling BLAS takes 2 us, so programs that are as quick as that are spared. OpenBLAS multiplies alone up to
m n k = 64^3, and a matrix and a vector up to 9216 elements; LAPACK's routines use both cores for matrices of any size.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any

from nbgraph.kinds import Kernel
from nbgraph.ssa import Bound, Program
from nbgraph_kernels.registry import uses_blas

if TYPE_CHECKING:
    from nbgraph_kernels.blas_threads import AtMost

#: Bytes of an array below which products of it are small.
_SMALL = 32 * 1024


#: The context of a program that needs no limit.
UNLIMITED: AbstractContextManager[None] = nullcontext()


def limit_for(engine: Any, bounds: Iterable[Bound], workspace: int = 0) -> AtMost | None:
    """The engine's limit, if one of the programs has products that are not small, or factorisations."""
    for bound in bounds:
        factors, products = _work(bound.program)
        if factors or (products and (workspace >= _SMALL or _largest(bound) >= _SMALL)):
            limit: AtMost = engine.blas
            return limit
    return None


def _work(program: Program) -> tuple[bool, bool]:
    """Whether there are factorisations, and products."""
    ops = [instr.op for instr in program.body.instrs]
    return any(isinstance(op, Kernel) and uses_blas(op.kernel) for op in ops), any(op.costly for op in ops)


def _largest(bound: Bound) -> int:
    """Bytes of the largest input or output."""
    return max((t.nbytes for t in (*bound.in_types, *bound.out_types)), default=0)
