"""Which tier runs a program: NumPy at once, or machine code.

In: what a program has cost so far and is about to cost. Out: whether to compile it now.
Holds: under `auto` a structure is compiled when the time spent interpreting it reaches the predicted cost of compiling
it, so the total is never worse than about twice the better choice.
"""

from __future__ import annotations

from nbgraph.fragment import Fragment
from nbgraph.kinds import Kernel, Reduction

#: Seconds: a fitted line over fragments (bench/compile_cost.py): a base, each loop nest, each operation.
BASE, PER_NEST, PER_OPERATION = 0.06, 0.035, 0.004


class Ledger:
    """What one program has cost an engine: interpreting so far, the prediction for compiling."""

    __slots__ = ("calls", "predicted", "spent")

    def __init__(self, body: Fragment) -> None:
        self.spent = 0.0
        self.calls = 0
        self.predicted = predicted_seconds(body)

    def record(self, seconds: float) -> None:
        self.spent += seconds
        self.calls += 1

    def pays(self, coming: int) -> bool:
        """Whether compiling pays now, with `coming` further calls known."""
        if self.spent >= self.predicted:
            return True
        return self.calls > 0 and self.spent / self.calls * coming >= self.predicted


def predicted_seconds(body: Fragment) -> float:
    """The predicted cost of compiling a body."""
    nests = 1 + sum(isinstance(instr.op, (Reduction, Kernel)) for instr in body.instrs)
    return BASE + PER_NEST * nests + PER_OPERATION * len(body.instrs)
