"""Which programs need to be told how many threads to use.

In: bound programs of an engine. Out: the context they run in, or None where nothing would use a second thread.
Holds: telling BLAS takes 1 to 2 us, so programs that are as quick as that are spared. OpenBLAS multiplies alone up to
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

#: Elements of the largest array in products that OpenBLAS does alone: (m n k)^2 = (m n) (m k) (k n).
_SMALL = 64**2


#: The context of a program that needs no limit.
UNLIMITED: AbstractContextManager[None] = nullcontext()


def limit_for(engine: Any, bounds: Iterable[Bound], workspace: int = 0) -> AtMost | None:
    """The engine's limit, if one of the programs has products that are not small, or factorisations."""
    for bound in bounds:
        factors, products = _work(bound.program)
        if factors or (products and (workspace > 4 * _SMALL or _largest(bound) > _SMALL)):
            limit: AtMost = engine.blas
            return limit
    return None


def _work(program: Program) -> tuple[bool, bool]:
    """Whether there are factorisations, and products."""
    ops = [instr.op for instr in program.body.instrs]
    return any(isinstance(op, Kernel) and uses_blas(op.kernel) for op in ops), any(op.costly for op in ops)


def _largest(bound: Bound) -> int:
    """Elements of the largest input or output."""
    return max((t.size for t in (*bound.in_types, *bound.out_types)), default=0)
