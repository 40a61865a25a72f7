"""Fusion: which operations run in one loop nest, and which nests share their outer loops.

In: a lowered body. Out: `Group`s in an order that runs, each of one or several `Step`s: loop nests over one domain,
assemblies, kernel calls; views belong to no step.
Holds: an elementwise operation joins the first nest over its shape that comes late enough for its operands; a
reduction joins a nest over its operand's shape. The first step holds scalars and may be empty. A value made in a nest
is an element there; elsewhere it is memory. A nest that reads what reductions of a group gave begins no group of its
own where it can run row by row with those before it: for each index of the `depth` outer loops, which all nests of the
group have, they run in turn, and each reads only the row that was made just before. `part` numbers the functions that
the steps are cut into, in order; where there are many nests, each has a function of its own (`is_shared`).
"""

from __future__ import annotations

from collections.abc import Sequence

from nbgraph.codegen.legalise import Body
from nbgraph.codegen.rows import in_row
from nbgraph.fragment import Instr
from nbgraph.kinds import Assembly, Elementwise, Kernel, Reduction, Source, View
from nbgraph.types import Shape

#: Weight of the steps of one function: the compiler's time grows with the square of a function's length.
PART = 160
_STEP = 4
#: From so many nests on each is a function of its own, which is compiled once wherever it appears again. (A call takes
#: some 5 ns, which short programs shall not spend; what they have to compile is little.)
MANY_NESTS = 4


class Step:
    """A loop nest over `domain` (`kind` "nest"), an assembly ("assembly") or a kernel call ("kernel")."""

    __slots__ = ("domain", "instrs", "kind")

    def __init__(self, kind: str, domain: Shape, instrs: list[Instr]) -> None:
        self.kind, self.domain, self.instrs = kind, domain, instrs


class Group:
    """Steps that run in turn, nests for each index of the first `depth` loops, which they share."""

    __slots__ = ("depth", "is_shared", "steps")

    def __init__(self, step: Step) -> None:
        self.depth, self.steps = 0, [step]
        self.is_shared = False

    @property
    def has_loops(self) -> bool:
        """Whether it is a nest of loops, or several in turn."""
        step = self.steps[0]
        return step.kind == "assembly" or (step.kind == "nest" and any(d != 1 for d in step.domain))

    @property
    def weight(self) -> int:
        """What it costs the compiler, where it is."""
        return _STEP if self.is_shared else sum(_STEP + len(step.instrs) for step in self.steps)


#: Where a value is made: the number of the group, and of the step in it. Inputs are there before.
Place = tuple[int, int]
_BEFORE: Place = (-1, -1)


class Fusion:
    """The steps of a body, by group and in one list; `home` is the step that makes each value (-1 for inputs; views:
    their memory's), `group` the number of each step's group."""

    def __init__(self, body: Body) -> None:
        self.body = body
        # Scalars of inputs alone come first, or a literal in the middle would end the nest before it.
        self.groups = [Group(Step("nest", (), []))]
        #: Values that are one element of their nest while it runs.
        self.elements: set[int] = set()
        #: The axes along which a value was reduced.
        self.reduced: dict[int, tuple[int, ...]] = {}
        self._places: dict[int, Place] = dict.fromkeys(range(len(body.inputs)), _BEFORE)
        for instr in body.instrs:
            self._place(instr)
        self._number()

    def _number(self) -> None:
        """Numbers the steps through all groups, and the parts they are cut into."""
        self.steps = [step for group in self.groups for step in group.steps]
        self.group = [g for g, group in enumerate(self.groups) for _ in group.steps]
        self.first = [self.group.index(g) for g in range(len(self.groups))]
        self.home = {v: self.first[g] + p if g >= 0 else -1 for v, (g, p) in self._places.items()}
        self._share()
        #: The part in which each group is, or is called.
        self.called_in: list[int] = []
        part, weight = 0, 0
        for group in self.groups:
            if weight and weight + group.weight > PART:
                part, weight = part + 1, 0
            weight += group.weight
            self.called_in.append(part)
        self.n_parts = part + 1
        own = {g: self.n_parts + k for k, g in enumerate(g for g, each in enumerate(self.groups) if each.is_shared)}
        self.part = [own.get(g, self.called_in[g]) for g in self.group]

    def _share(self) -> None:
        """Marks the groups that have a function of their own."""
        nests = [group for group in self.groups if group.has_loops]
        for group in nests:
            group.is_shared = len(nests) >= MANY_NESTS

    # -- placing -----------------------------------------------------------------------------------------------------

    def _place(self, instr: Instr) -> None:
        op, types = instr.op, self.body.types
        if isinstance(op, View):
            self._places[instr.first] = self._places[instr.ins[0]]
        elif isinstance(op, (Elementwise, Source)):
            self._join(instr, types[instr.first].shape)
            self.elements.add(instr.first)
        elif isinstance(op, Reduction):
            self._join(instr, types[instr.ins[0]].shape)
            self.reduced[instr.first] = op.axes
        elif isinstance(op, (Assembly, Kernel)):
            kind = "assembly" if isinstance(op, Assembly) else "kernel"
            self.groups.append(Group(Step(kind, (), [instr])))
            self._places.update(dict.fromkeys(instr.outs, (len(self.groups) - 1, 0)))
        else:
            raise TypeError(f"no code can be generated for {op!r}")

    def _join(self, instr: Instr, domain: Shape) -> None:
        g, p = self._places[instr.first] = self._nest(instr.ins, domain)
        self.groups[g].steps[p].instrs.append(instr)

    def _nest(self, ins: Sequence[int], domain: Shape) -> Place:
        """The nest for an operation: one there is, else another one in the group of its latest operand, else a new
        one."""
        latest = max((self._places[v][0] for v in ins), default=0)
        for g in range(max(latest, 0), len(self.groups)):
            group = self.groups[g]
            for p, step in enumerate(group.steps):
                if step.kind == "nest" and step.domain == domain and self._fits(ins, domain, (g, p), group.depth):
                    return g, p
        depth = self._shared(ins, domain, latest) if latest >= 0 else 0
        if depth:
            group = self.groups[latest]
            group.depth = depth
            group.steps.append(Step("nest", domain, []))
            return latest, len(group.steps) - 1
        self.groups.append(Group(Step("nest", domain, [])))
        return len(self.groups) - 1, 0

    def _fits(self, ins: Sequence[int], domain: Shape, at: Place, depth: int) -> bool:
        """Whether a nest at this place, in a group of this depth, has all operands."""
        for v in ins:
            made = self._places[v]
            if made[0] < at[0] or (made == at and v in self.elements and self.body.types[v].shape == domain):
                continue
            if made >= at or not self._is_in_row(v, domain, depth):
                return False
        return True

    def _is_in_row(self, v: int, domain: Shape, depth: int) -> bool:
        """Whether a nest over the domain reads of v only what was made for the same index of the first loops."""
        base = self.body.base[v]
        if any(axis < depth for axis in self.reduced.get(base, ())):
            return False
        return in_row(self.body.layout[v], self.body.types[base].shape, domain, depth)

    def _shared(self, ins: Sequence[int], domain: Shape, g: int) -> int:
        """How many outer loops a new nest would share with those of the group of its latest operand; 0: none."""
        group = self.groups[g]
        first = group.steps[0]
        # What is not made of the results of reductions may as well be a nest of its own: that is one long loop.
        known = group.depth or any(self.body.base[v] in self.reduced for v in ins if self._places[v][0] == g)
        if first.kind != "nest" or not known or group.weight + _STEP >= PART:
            return 0
        depths = (group.depth,) if group.depth else range(_common(first.domain, domain), 0, -1)
        at = (g, len(group.steps))
        for depth in depths:
            if domain[:depth] == first.domain[:depth] and self._fits(ins, domain, at, depth):
                return depth
        return 0


def _common(a: Shape, b: Shape) -> int:
    """The number of leading dimensions that are the same."""
    n = 0
    while n < min(len(a), len(b)) and a[n] == b[n]:
        n += 1
    return n
