"""Fusion: which operations run in one loop nest.

In: a lowered body. Out: `Step`s in an order that runs: loop nests over one domain, assemblies, kernel calls; views
belong to no step.
Holds: an elementwise operation joins the first nest over its shape that comes late enough for its operands; a
reduction joins a nest over its operand's shape. The first step holds scalars and may be empty. A value made in a nest
is an element there; elsewhere it is memory. `part` numbers the functions that the steps are cut into, in order.
"""

from __future__ import annotations

from collections.abc import Sequence

from nbgraph.codegen.legalise import Body
from nbgraph.fragment import Instr
from nbgraph.kinds import Assembly, Elementwise, Kernel, Reduction, Source, View
from nbgraph.types import Shape

#: Weight of the steps of one function: the compiler's time grows with the square of a function's length.
PART = 160
_STEP = 4


class Step:
    """A loop nest over `domain` (`kind` "nest"), an assembly ("assembly") or a kernel call ("kernel")."""

    __slots__ = ("domain", "instrs", "kind")

    def __init__(self, kind: str, domain: Shape, instrs: list[Instr]) -> None:
        self.kind, self.domain, self.instrs = kind, domain, instrs


class Fusion:
    """The steps of a body; `home` is the step that makes each value (-1 for inputs; views: their memory's)."""

    def __init__(self, body: Body) -> None:
        self.body = body
        # Scalars of inputs alone come first, or a literal in the middle would end the nest before it.
        self.steps: list[Step] = [Step("nest", (), [])]
        self.home: dict[int, int] = dict.fromkeys(range(len(body.inputs)), -1)
        #: Values that are one element of their nest while it runs.
        self.elements: set[int] = set()
        for instr in body.instrs:
            self._place(instr)
        self.part = self._cut()

    def _cut(self) -> list[int]:
        """The part of each step."""
        parts, part, weight = [], 0, 0
        for step in self.steps:
            own = _STEP + len(step.instrs)
            if weight and weight + own > PART:
                part, weight = part + 1, 0
            weight += own
            parts.append(part)
        return parts

    def _place(self, instr: Instr) -> None:
        op, types = instr.op, self.body.types
        if isinstance(op, View):
            self.home[instr.first] = self.home[instr.ins[0]]
        elif isinstance(op, (Elementwise, Source)):
            self._join(instr, types[instr.first].shape)
            self.elements.add(instr.first)
        elif isinstance(op, Reduction):
            self._join(instr, types[instr.ins[0]].shape)
        elif isinstance(op, (Assembly, Kernel)):
            kind = "assembly" if isinstance(op, Assembly) else "kernel"
            self.steps.append(Step(kind, (), [instr]))
            for o in instr.outs:
                self.home[o] = len(self.steps) - 1
        else:
            raise TypeError(f"no code can be generated for {op!r}")

    def _join(self, instr: Instr, domain: Shape) -> None:
        position = self._earliest(instr.ins, domain)
        for k in range(position, len(self.steps)):
            if self.steps[k].kind == "nest" and self.steps[k].domain == domain:
                break
        else:
            k = len(self.steps)
            self.steps.append(Step("nest", domain, []))
        self.steps[k].instrs.append(instr)
        self.home[instr.first] = k

    def _earliest(self, ins: Sequence[int], domain: Shape) -> int:
        """The first step that comes late enough for these operands."""
        earliest = 0
        for v in ins:
            k = self.home[v]
            in_nest = v in self.elements and self.body.types[v].shape == domain
            earliest = max(earliest, k if in_nest else k + 1)
        return max(earliest, 0)
