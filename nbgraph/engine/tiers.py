"""Which tier runs a program: NumPy at once, or machine code.

In: what programs have cost so far and are about to cost. Out: whether to compile one now.
Holds: under `auto` a program is compiled when the time spent interpreting it reaches what its own code is predicted to
cost, and the time that programs spent beyond that reaches what they share and nobody has paid yet: the import of the
compiler, the drivers, the kernels that are neither in this process nor on disk. So the total is never worse than about
twice the better choice, for one program (rent a ski until the rent is its price) as for many that share a cost.
"""

from __future__ import annotations

import sys
from collections.abc import Callable

from nbgraph.fragment import Fragment
from nbgraph.kinds import Assembly, Kernel, Reduction
from nbgraph.ssa import Program
from nbgraph_kernels.locks import cached_property

#: Whether a kernel, by name and dtype code, is there already.
HasKernel = Callable[[str, str], bool]

#: Seconds, a fitted line over lowered programs (`python -m bench compile`): a base, each loop nest (kernel calls count
#: as such), each operation.
BASE, PER_NEST, PER_OPERATION = 0.012, 0.016, 0.003
#: Seconds until the compiler is imported and has compiled for the first time.
IMPORT = 0.15
#: The kernels that calls are made with.
DRIVERS = ("entry", "objects_entry", "objects_driver", "repeat")
#: Seconds to compile a kernel that no program has used yet and that is not on disk, measured on one core.
FIRST_USE = {
    "entry": 0.01, "objects_entry": 0.012, "objects_driver": 0.013, "repeat": 0.016,
    "gemm": 0.4, "matmul": 0.35, "permute": 0.4, "fft": 0.6, "rfft": 0.5, "irfft": 0.5, "expm": 0.35,
    "sort": 0.15, "argsort": 0.15, "qr": 0.17, "eigh": 0.35, "eigvalsh": 0.25, "svd": 0.5,
}  # fmt: skip
FIRST_USE_OF_OTHERS = 0.1


def is_in_process(name: str, code: str) -> bool:
    """Whether a kernel was compiled or loaded already."""
    from nbgraph_kernels import registry  # 7 ms that programs which only interpret do not pay

    return registry.is_made(name, code)


class Account:
    """What the programs of one engine have spent beyond the cost of their own code, and what that has paid for."""

    def __init__(self) -> None:
        self.excess = 0.0
        self.paid = 0.0


class Ledger:
    """What one program has cost an engine: interpreting so far, the prediction for its own code.

    `is_made` says which kernels need no compiling; the engine's also knows those on disk.
    """

    def __init__(self, program: Program, account: Account | None = None) -> None:
        self.program, self.account = program, account or Account()
        self.is_made: HasKernel = is_in_process
        self.spent = 0.0
        self.calls = 0
        self._shared = (-1.0, 0.0)  # what had been paid when it was looked up, and what it was

    @cached_property
    def body(self) -> Fragment:
        return self.program.lowered()[0]

    @cached_property
    def own(self) -> float:
        """The predicted seconds of compiling the program itself."""
        return own_seconds(self.body)

    def record(self, seconds: float, calls: int = 1) -> None:
        """Notes calls that were interpreted."""
        self.calls += calls
        before, self.spent = self.spent, self.spent + seconds
        if self.spent >= BASE:
            self.account.excess += self._beyond(self.spent) - self._beyond(before)

    def calls_within(self, seconds: float) -> int:
        """How many calls are interpreted in that time, as far as is known."""
        return int(seconds * self.calls / self.spent) if self.spent else 0

    def pays(self, coming: int) -> bool:
        """Whether compiling pays now, with `coming` further calls known."""
        ahead = self.spent
        if coming > 1 and self.calls:
            ahead = max(ahead, ahead / self.calls * coming)
        if ahead < BASE or ahead < self.own:  # the first test needs no prediction
            return False
        others = self.account.excess - self._beyond(self.spent) - self.account.paid
        return others + self._beyond(ahead) >= self.shared()

    def shared(self) -> float:
        """The predicted seconds of what the program needs besides its own code; looked up again when some was paid."""
        paid, seconds = self._shared
        if paid != self.account.paid:
            seconds = shared_seconds(self.body, self.is_made)
            self._shared = self.account.paid, seconds
        return seconds

    def pay(self) -> None:
        """Notes that the program is being compiled."""
        self.account.paid += self.shared()

    def _beyond(self, seconds: float) -> float:
        """How much more that is than the program's own code costs."""
        return 0.0 if seconds < BASE else max(seconds - self.own, 0.0)


def own_seconds(body: Fragment) -> float:
    """The predicted cost of compiling a lowered body, kernels and drivers not counted."""
    nests = 1 + sum(isinstance(instr.op, (Kernel, Reduction, Assembly)) for instr in body.instrs)
    return BASE + PER_NEST * nests + PER_OPERATION * len(body.instrs)


def shared_seconds(body: Fragment, is_made: HasKernel = is_in_process) -> float:
    """The predicted cost of what a lowered body needs besides, and others may need too."""
    kernels = {(i.op.kernel, body.types[i.ins[0]].code) for i in body.instrs if isinstance(i.op, Kernel)}
    kernels |= {(name, "") for name in DRIVERS}
    missing = [name for name, code in kernels if not is_made(name, code)]
    first = 0.0 if "nbgraph_kernels.compile" in sys.modules else IMPORT
    return first + sum(FIRST_USE.get(name, FIRST_USE_OF_OTHERS) for name in missing)
