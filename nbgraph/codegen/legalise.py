"""Legalising: a body in which every view has a layout and every output has memory of its own.

In: a lowered body. Out: a `Body` with `copy` operations where a view of a strided value, a kernel operand or an output
needs row-major memory; and the layout of every value over the memory of its base.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from nbgraph.fragment import Fragment, Instr
from nbgraph.kinds import Assembly, Kernel, Layout, View
from nbgraph.op import REGISTRY
from nbgraph.types import Size, TensorType

#: Dimensions of a loop nest at most (Python nests 20 blocks).
_DEEPEST = 12


class Body:
    """A flat SSA list like a fragment's. `base[v]` is the value whose memory v lies in, `layout[v]` how."""

    def __init__(self, inputs: Sequence[TensorType], n_words: int) -> None:
        self.inputs, self.n_words = tuple(inputs), n_words
        self.types: list[TensorType] = list(inputs)
        self.instrs: list[Instr] = []
        self.outputs: tuple[int, ...] = ()
        self.base: list[int] = list(range(len(self.types)))
        self.layout: list[Layout] = [Layout.row_major(t.shape) for t in self.types]
        self._copies: dict[int, int] = {}

    def is_computed(self, v: int) -> bool:
        """Whether the value has memory that an operation of this body writes."""
        return v >= len(self.inputs) and self.base[v] == v

    def add(self, instr: Instr, ins: tuple[int, ...], types: Sequence[TensorType]) -> Instr:
        """Appends an operation on new operand numbers."""
        op = instr.op
        new = Instr(op, ins, instr.sizes, len(self.types))
        if isinstance(op, View):
            layout = op.relayout(self.layout[ins[0]], types[0], instr.sizes)
            if layout is None:
                new = Instr(op, (self.copy(ins[0]),), instr.sizes, len(self.types))
                layout = op.relayout(self.layout[new.ins[0]], types[0], instr.sizes)
                assert layout is not None, op
            self.base.append(self.base[new.ins[0]])
            self.layout.append(layout)
        else:
            self.base.extend(new.outs)
            self.layout.extend(Layout.row_major(t.shape) for t in types)
        self.types.extend(types)
        self.instrs.append(new)
        return new

    def copy(self, v: int) -> int:
        """The value in row-major memory of its own."""
        made = self._copies.get(v)
        if made is None:
            op = REGISTRY["row_major" if self.is_scattered(v) else "copy"]()
            made = self._copies[v] = self.add(Instr(op, (v,), (), 0), (v,), [self.types[v]]).first
        return made

    def is_scattered(self, v: int) -> bool:
        """Whether a loop nest over the value would jump about in memory, or is more than Python can nest."""
        strides = self.layout[v].strides
        return len(strides) > _DEEPEST or (
            len(strides) > 1 and not (type(strides[-1]) is int and strides[-1] in (0, 1))
        )

    def is_whole(self, v: int) -> bool:
        """Whether a value lies row-major over all of its base's memory."""
        return self.layout[v].is_row_major and _count(self.types[v].shape) == _count(self.types[self.base[v]].shape)


def legalise(fragment: Fragment, accumulating: frozenset[int] = frozenset()) -> Body:
    """The body of a lowered fragment, made legal; outputs at the places `accumulating` will be added to."""
    body = Body(fragment.inputs, fragment.n_words)
    number = list(range(len(fragment.inputs)))
    for instr in fragment.instrs:
        ins = tuple(number[i] for i in instr.ins)
        if isinstance(instr.op, Kernel):
            ins = tuple(v if instr.op.reads(body.types[v], body.layout[v]) else body.copy(v) for v in ins)
        new = body.add(instr, ins, [fragment.types[o] for o in instr.outs])
        number.extend(new.outs)
    body.outputs = _outputs(body, [number[o] for o in fragment.outputs], accumulating)
    return body


def _outputs(body: Body, outputs: Sequence[int], accumulating: frozenset[int]) -> tuple[int, ...]:
    """Outputs that are computed, or whole views of something computed that is no other output.

    What is added to an array is made by a copy, which is elementwise, so that the adding is part of a loop nest; what
    is put together of regions is added region by region.
    """
    uses = Counter(i for instr in body.instrs for i in instr.ins) + Counter(outputs)
    regions = {i.first for i in body.instrs if isinstance(i.op, Assembly) and i.op.disjoint and uses[i.first] == 1}
    taken = {o for p, o in enumerate(outputs) if body.is_computed(o) and p not in accumulating}
    first = {o: p for p, o in reversed(list(enumerate(outputs))) if p not in accumulating}
    legal = []
    for p, o in enumerate(outputs):
        base = body.base[o]
        if (p in accumulating and o not in regions) or (o in first and first[o] != p):
            o = _fresh_copy(body, o)
        elif not body.is_computed(o):
            if body.is_computed(base) and base not in taken and body.is_whole(o):
                taken.add(base)
            else:
                o = _fresh_copy(body, o, scattered=body.is_scattered(o))
        legal.append(o)
    return tuple(legal)


def _fresh_copy(body: Body, v: int, scattered: bool = False) -> int:
    """A copy that nothing else uses."""
    op = REGISTRY["row_major" if scattered else "copy"]()
    return body.add(Instr(op, (v,), (), 0), (v,), [body.types[v]]).first


def _count(shape: Sequence[Size]) -> Size:
    n: Size = 1
    for d in shape:
        n = n * d
    return n
