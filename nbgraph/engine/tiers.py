"""Which tier runs a program: NumPy at once, or machine code.

In: what a program has cost so far and is about to cost. Out: whether to compile it now.
Holds: under `auto` a structure is compiled when the time spent interpreting it reaches the predicted cost of compiling
it, so the total is never worse than about twice the better choice. The kernels that a program would be the first to
use are part of that cost, unless they are on disk.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property

from nbgraph.fragment import Fragment
from nbgraph.kinds import Assembly, Kernel, Reduction
from nbgraph.ssa import Program

#: Whether a kernel, by name and dtype code, is there already.
HasKernel = Callable[[str, str], bool]

#: Seconds, a fitted line over lowered programs (`python -m bench compile`): a base, each loop nest, each operation,
#: each kernel call.
BASE, PER_NEST, PER_OPERATION, PER_CALL = 0.025, 0.015, 0.0024, 0.03
#: Seconds to compile a kernel that no program has used yet and that is not on disk.
FIRST_USE = {"gemm": 0.3, "matmul": 1.0, "solve": 0.2, "eigh": 0.2}
FIRST_USE_OF_OTHERS = 0.15


def is_in_process(name: str, code: str) -> bool:
    """Whether a kernel was compiled or loaded already."""
    from nbgraph_kernels import registry  # 7 ms that programs which only interpret do not pay

    return registry.is_made(name, code)


class Ledger:
    """What one program has cost an engine: interpreting so far, the prediction for compiling.

    `is_made` says which kernels need no compiling; the engine's also knows those on disk.
    """

    def __init__(self, program: Program) -> None:
        self.program = program
        self.is_made: HasKernel = is_in_process
        self.spent = 0.0
        self.calls = 0

    @cached_property
    def predicted(self) -> float:
        """The predicted seconds of compiling the program."""
        return predicted_seconds(self.program.lowered()[0], self.is_made)

    def record(self, seconds: float, calls: int = 1) -> None:
        self.spent += seconds
        self.calls += calls

    def pays(self, coming: int) -> bool:
        """Whether compiling pays now, with `coming` further calls known."""
        ahead = max(self.spent, self.spent / self.calls * coming if self.calls else 0.0)
        return ahead >= BASE and ahead >= self.predicted


def predicted_seconds(body: Fragment, is_made: HasKernel = is_in_process) -> float:
    """The predicted cost of compiling a lowered body."""
    total = BASE + PER_NEST + PER_OPERATION * len(body.instrs)
    for instr in body.instrs:
        if isinstance(instr.op, Kernel):
            name, code = instr.op.kernel, body.types[instr.ins[0]].code
            total += PER_CALL
            if not is_made(name, code):
                total += FIRST_USE.get(name, FIRST_USE_OF_OTHERS)
        elif isinstance(instr.op, (Reduction, Assembly)):
            total += PER_NEST
    return total
