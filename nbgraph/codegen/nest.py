"""Loop nests: elementwise operations, sources of elements, and the reductions that end in them.

In: steps that share their first loops. Out: their source, through the emitter's `line`, `load` and `store`.
Holds: dimensions of size 1 have no loop; neighbouring dimensions through which every operand goes in one stride, or not
at all, have one together. A sum is made block by block, so that its error grows with the number of blocks and the
length of one, not with the number of elements.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from nbgraph.fragment import Instr
from nbgraph.kinds import Elementwise, Layout, Reduction, Source
from nbgraph.types import DTYPES, Shape, Size

#: Elements that a reduction accumulates before they are added to the total.
BLOCK = 256

#: The strides of the axes of a domain that move; by all others an access stays where it is.
Strides = dict[int, Size]


class Loop(NamedTuple):
    """A loop through some neighbouring axes of a domain."""

    name: str
    size: Size
    axes: tuple[int, ...]


def emit_nests(emitter: Any, steps: Sequence[int], depth: int) -> None:
    """The source of the steps with these numbers, which run in turn for each index of the first `depth` axes."""
    nests = [Nest(emitter, k) for k in steps]
    shared = _loops(nests, range(depth))
    for nest in nests:
        nest.plan(shared, depth)
        nest.initialise_memory(shared=False)
    for k, loop in enumerate(shared):
        for nest in nests:
            nest.start(k)
        _open(emitter, loop, [part for nest in nests for part in nest.parts(k)])
    for nest in nests:
        nest.emit()
    for k in reversed(range(len(shared))):
        _close(emitter, [part for nest in nests for part in nest.parts(k)])
        for nest in nests:
            nest.finish(k)


def _loops(nests: Sequence[Nest], axes: Iterable[int]) -> list[Loop]:
    """Loops through these axes, as few as fit all nests."""
    domain = nests[0].domain
    spans: list[list[int]] = []
    for axis in axes:
        if type(domain[axis]) is int and domain[axis] == 1:
            continue
        if spans and all(nest.may_join(spans[-1][-1], axis) for nest in nests):
            spans[-1].append(axis)
        else:
            spans.append([axis])
    return [Loop(f"i{span[0]}", _count(domain[a] for a in span), tuple(span)) for span in spans]


def _open(emitter: Any, loop: Loop, parts: Sequence[Accumulator]) -> None:
    """Begins a loop, and before it one over its blocks if there are accumulators of one block's part."""
    indices = f"range({emitter.size(loop.size)})"
    if parts:
        emitter.line(f"for block in range(0, {emitter.size(loop.size)}, {BLOCK}):")
        emitter.depth += 1
        for part in parts:
            emitter.line(part.start_part())
        indices = f"range(block, min(block + {BLOCK}, {emitter.size(loop.size)}))"
    emitter.line(f"for {loop.name} in {indices}:")
    emitter.depth += 1


def _close(emitter: Any, parts: Sequence[Accumulator]) -> None:
    """Ends what `_open` began."""
    emitter.depth -= 1
    for part in parts:
        emitter.line(part.finish_part())
    if parts:
        emitter.depth -= 1


class Accumulator:
    """What a reduction has come to: in memory (`depth` is None), or in a variable inside `depth` loops.

    `blocked`: what a block comes to is accumulated by itself, in the result's own dtype, which fills vectors; then it
    is taken into the total, for which single precision is widened where anything is rounded.
    """

    def __init__(self, instr: Instr, code: str, depth: int | None, n_loops: int) -> None:
        op = instr.op
        assert isinstance(op, Reduction)
        self.instr, self.op, self.v, self.code, self.depth = instr, op, instr.first, code, depth
        self.blocked = depth is not None and depth < n_loops and op.mergeable
        self.wide = code if op.exact else {"f4": "f8", "c8": "c16"}.get(code, code)
        self.start_value = op.initial(code)

    def start(self) -> str:
        """The statement that starts the total."""
        return f"total{self.v} = {_cast(self.wide, self.start_value)}"

    def start_part(self) -> str:
        """The statement that starts a block's part."""
        return f"part{self.v} = {_cast(self.code, self.start_value)}"

    def finish_part(self) -> str:
        """The statement that takes a block's part into the total."""
        return self._combined("total", self.wide, f"part{self.v}")

    def step(self, x: str) -> str:
        """The statement that takes in one more element."""
        return self._combined("part", self.code, x) if self.blocked else self._combined("total", self.wide, x)

    def _combined(self, name: str, code: str, x: str) -> str:
        return f"{name}{self.v} = {_cast(code, self.op.combine(code, f'{name}{self.v}', x))}"

    def finish(self) -> str:
        """The statement that makes the result."""
        return f"v{self.v} = {_cast(self.code, f'total{self.v}')}"


class Nest:
    """The nest of step k."""

    def __init__(self, emitter: Any, k: int) -> None:
        self.e, self.k, self.instrs = emitter, k, emitter.fusion.steps[k].instrs
        self.types, self.storage = emitter.body.types, emitter.storage
        self.domain: Shape = emitter.fusion.steps[k].domain
        self.loaded: dict[int, str] = {}
        self.reductions = [i for i in self.instrs if isinstance(i.op, Reduction)]
        self.has_source = any(isinstance(i.op, Source) for i in self.instrs)
        read = dict.fromkeys(v for i in self.instrs for v in i.ins if self.storage.register(v, k) is None)
        self.strides = {v: self._strides(v) for v in read}

    # -- loops -------------------------------------------------------------------------------------------------------

    def _strides(self, v: int, reduced: Sequence[int] = ()) -> Strides:
        """Strides of a value over the axes of the domain that are not reduced; its dimensions are the last of them."""
        layout: Layout = self.storage.layout(v)
        axes = [axis for axis in range(len(self.domain)) if axis not in reduced]
        steps = zip(axes[len(axes) - len(layout.shape) :], layout.strides, layout.shape, strict=True)
        return {axis: s for axis, s, d in steps if d != 1 and s != 0}

    def may_join(self, a: int, b: int) -> bool:
        """Whether axes a and b, between which there is none, may have one loop."""
        if self.has_source or any((a in i.op.axes) != (b in i.op.axes) for i in self.reductions):
            return False
        return all(s.get(a, 0) == s.get(b, 0) * self.domain[b] for s in self.strides.values())

    def plan(self, shared: Sequence[Loop], depth: int) -> None:
        """Sets the loops, of which the first are shared, and where each reduction accumulates."""
        self.shared = len(shared)
        self.loops = [*shared, *_loops([self], range(depth, len(self.domain)))]
        self.accumulators = {i.first: self._accumulator(i) for i in self.reductions}

    def _accumulator(self, instr: Instr) -> Accumulator:
        kept = self._kept(instr)
        trailing = kept == self.loops[: len(kept)]
        return Accumulator(instr, self.types[instr.first].code, len(kept) if trailing else None, len(self.loops))

    def _kept(self, instr: Instr) -> list[Loop]:
        """The loops through the axes that a reduction keeps."""
        return [loop for loop in self.loops if loop.axes[0] not in instr.op.axes]  # type: ignore[attr-defined]

    def parts(self, k: int) -> list[Accumulator]:
        """What is accumulated block by block in loop k."""
        return [a for a in self.accumulators.values() if a.blocked] if k == len(self.loops) - 1 else []

    # -- text --------------------------------------------------------------------------------------------------------

    def emit(self) -> None:
        """All that is not shared."""
        self.initialise_memory(shared=True)
        n = len(self.loops)
        for k in range(self.shared, n):
            self.start(k)
            _open(self.e, self.loops[k], self.parts(k))
        self.start(n)
        for instr in self.instrs:
            self._statement(instr)
        self.finish(n)
        for k in reversed(range(self.shared, n)):
            _close(self.e, self.parts(k))
            self.finish(k)

    def start(self, depth: int) -> None:
        """Starts the accumulators that are variables inside this many loops."""
        for a in self.accumulators.values():
            if a.depth == depth:
                self.e.line(a.start())

    def finish(self, depth: int) -> None:
        """Makes their results."""
        for a in self.accumulators.values():
            if a.depth == depth:
                self.e.line(a.finish())
                self._keep(a.v, a.op.axes)

    def initialise_memory(self, shared: bool) -> None:
        """Starts the accumulators in memory: before all loops, or inside the shared ones where those are kept."""
        for a in self.accumulators.values():
            kept = self._kept(a.instr)
            inside = kept[: self.shared] == self.loops[: self.shared]
            if a.depth is None and inside == shared:
                opened = kept[self.shared if inside else 0 :]
                for loop in opened:
                    _open(self.e, loop, ())
                self.e.store(self._buffer(a.v), self._index(a.v, a.op.axes), _cast(a.code, a.start_value))
                self.e.depth -= len(opened)

    def _statement(self, instr: Instr) -> None:
        op, code = instr.op, self.types[instr.first].code
        if isinstance(op, Reduction):
            self._accumulate(self.accumulators[instr.first], instr.ins[0])
            return
        if isinstance(op, Source):
            text = op.element(code, self._element_index(), [self.e.size(s) for s in instr.sizes])
        else:
            assert isinstance(op, Elementwise)
            operand_code = self.types[instr.ins[-1]].code if instr.ins else code
            xs = [self._operand(v) for v in instr.ins]
            xs += [self.e.named("external", routine) for routine in op.externals(operand_code)]
            text = op.scalar(operand_code, *xs)
        self.e.line(f"v{instr.first} = {_cast(code, text)}")
        self._keep(instr.first)

    def _accumulate(self, a: Accumulator, operand: int) -> None:
        x = self._operand(operand)
        if self.types[operand].code != a.code:
            x = _cast(a.code, x)
        if a.depth is not None:
            self.e.line(a.step(x))
            return
        buffer, index = self._buffer(a.v), self._index(a.v, a.op.axes)
        self.e.line(f"v{a.v} = {self.e.load(buffer, index)}")
        self.e.store(buffer, index, _cast(a.code, a.op.update(a.code, f"v{a.v}", x)))

    # -- values ------------------------------------------------------------------------------------------------------

    def _operand(self, v: int) -> str:
        register = self.storage.register(v, self.k)
        if register is not None:
            return f"v{register}"
        name = self.loaded.get(v)
        if name is None:
            name = self.loaded[v] = f"x{v}"
            self.e.line(f"{name} = {self.e.load(self._buffer(v), self._index(v))}")
        return name

    def _keep(self, v: int, reduced: Sequence[int] = ()) -> None:
        """Stores a value that is needed in memory."""
        if v in self.storage.buffers:
            self.e.store(self._buffer(v), self._index(v, reduced), f"v{v}")

    def _buffer(self, v: int) -> Any:
        return self.storage.buffers[self.e.body.base[v]]

    def _index(self, v: int, reduced: Sequence[int] = ()) -> str:
        strides = self._strides(v, reduced)
        steps = ((loop.name, strides.get(loop.axes[-1], 0)) for loop in self.loops)
        text: str = self.e.index(self.storage.layout(v).offset, steps)
        return text

    def _element_index(self) -> list[str]:
        """Names of the index along every axis (no axes have a loop together where there is a source)."""
        names = {loop.axes[0]: loop.name for loop in self.loops}
        return [names.get(axis, "0") for axis in range(len(self.domain))]


def _cast(code: str, text: str) -> str:
    """The expression in exactly this dtype (Numba widens small types)."""
    return f"bool({text})" if code == "b1" else f"{DTYPES[code].name}({text})"


def _count(sizes: Iterable[Size]) -> Size:
    n: Size = 1
    for d in sizes:
        n = n * d
    return n


__all__ = ["BLOCK", "emit_nests"]
