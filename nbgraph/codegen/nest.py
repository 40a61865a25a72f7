"""A loop nest: elementwise operations, sources of elements, and the reductions that end in it.

In: a step, and the loops around it. Out: its source, through the emitter's `line`, `load` and `store`.
Holds: dimensions of size 1 have no loop; neighbouring dimensions through which every operand goes in one stride, or not
at all, have one together. A sum is made block by block, so that its error grows with the length of a block, not with
the number of elements.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, NamedTuple

from nbgraph.fragment import Instr
from nbgraph.kinds import Elementwise, Layout, Reduction, Source
from nbgraph.types import DTYPES, Shape, Size

#: Elements that a reduction accumulates before they are added to the total; where rows are fetched meanwhile, fewer.
LONG, BLOCK = 1024, 256

#: Elements of the longest row that is fetched ahead: a few must fit into the second cache.
FAR = 8192

#: Bytes of an output from which its rows are stored past the cache (measured, of 4 MB: slower, if it is read soon; of
#: 8 and 16 MB: 0.7), and of a row at most (`PIECE` of `nbgraph_kernels.regions`, which is not imported here).
MANY, PIECE = 2**23, 2**15

#: The strides of the axes of a domain that move; by all others an access stays where it is.
Strides = dict[int, Size]


#: Every loop by its own name.
NO_NAMES: Mapping[str, str] = MappingProxyType({})


#: A pointer, an index, and the variable that says where it is not to be fetched ("" for none).
Place = tuple[str, str, str]


class Loop(NamedTuple):
    """A loop through some neighbouring axes of a domain."""

    name: str
    size: Size
    axes: tuple[int, ...]


def loops_through(nests: Sequence[Nest], axes: Iterable[int]) -> list[Loop]:
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


def open_loop(emitter: Any, loop: Loop, parts: Sequence[Accumulator], fetched: Sequence[Place] = ()) -> None:
    """Begins a loop, and before it one over its blocks if there are accumulators of one block's part.

    `fetched`: places from which as many elements as the block has are fetched, where that is not too far ahead, nor so
    near that the processor does it.
    """
    size = emitter.size(loop.size)
    if parts:
        open_blocks(emitter, "0", size, parts, BLOCK if fetched else LONG)
        if fetched:
            emitter.line(f"ahead = end - block if {BLOCK} <= {size} <= {FAR} else 0")
        for pointer, index, unless in fetched:
            emitter.line(f"fetch({pointer}, {index}, {f'0 if {unless} else ahead' if unless else 'ahead'})")
    emitter.line(f"for {loop.name} in {'range(block, end)' if parts else f'range({size})'}:")
    emitter.depth += 1


def open_blocks(emitter: Any, start: str, stop: str, parts: Sequence[Accumulator], length: int) -> None:
    """Begins a loop over blocks, and the accumulators of one block's part."""
    emitter.line(f"for block in range({start}, {stop}, {length}):")
    emitter.depth += 1
    emitter.line(f"end = min(block + {length}, {stop})")
    for part in parts:
        emitter.line(part.start_part())


def close_loop(emitter: Any, parts: Sequence[Accumulator]) -> None:
    """Ends what `_open` began."""
    emitter.depth -= 1
    for line in (line for part in parts for line in part.finish_part()):
        emitter.line(line)
    if parts:
        emitter.depth -= 1


class Accumulator:
    """What a reduction has come to: in memory (`depth` is None), or in a variable inside `depth` loops.

    `blocked`: what a block comes to is accumulated by itself, in the result's own dtype, which fills vectors; then it
    is taken into the total, for which single precision is widened where anything is rounded. In double precision what
    each addition of a block loses is added up, and added in the end (A. Neumaier, ZAMM 54, 39 (1974)).
    """

    def __init__(self, instr: Instr, code: str, depth: int | None, n_loops: int) -> None:
        op = instr.op
        assert isinstance(op, Reduction)
        self.instr, self.op, self.v, self.code, self.depth = instr, op, instr.first, code, depth
        self.blocked = depth is not None and depth < n_loops and op.mergeable
        self.wide = code if op.exact else {"f4": "f8", "c8": "c16"}.get(code, code)
        self.compensated = self.blocked and code in ("f8", "c16")
        self.start_value = op.initial(code)

    def start(self) -> list[str]:
        """The statements that start the total."""
        lost = [f"lost{self.v} = {cast(self.wide, self.start_value)}"] if self.compensated else []
        return [f"total{self.v} = {cast(self.wide, self.start_value)}", *lost]

    def start_part(self) -> str:
        """The statement that starts a block's part."""
        return f"part{self.v} = {cast(self.code, self.start_value)}"

    def finish_part(self) -> list[str]:
        """The statements that take a block's part into the total."""
        v = self.v
        if not self.compensated:
            return [self._combined("total", self.wide, f"part{v}")]
        return [
            f"sum{v} = total{v} + part{v}",
            f"back{v} = sum{v} - total{v}",
            f"lost{v} = lost{v} + ((total{v} - (sum{v} - back{v})) + (part{v} - back{v}))",
            f"total{v} = sum{v}",
        ]

    def step(self, x: str) -> str:
        """The statement that takes in one more element."""
        return self._combined("part", self.code, x) if self.blocked else self._combined("total", self.wide, x)

    def _combined(self, name: str, code: str, x: str) -> str:
        return f"{name}{self.v} = {cast(code, self.op.combine(code, f'{name}{self.v}', x))}"

    def finish(self) -> str:
        """The statement that makes the result."""
        v, total = self.v, f"total{self.v}"
        if self.compensated:  # of infinities, what is lost is NaN
            total = f"total{v} + lost{v} if lost{v} - lost{v} == 0 else total{v}"
        return f"v{v} = {cast(self.code, total)}"


class Nest:
    """The nest of step k."""

    def __init__(self, emitter: Any, k: int) -> None:
        self.e, self.k, self.instrs = emitter, k, emitter.fusion.steps[k].instrs
        self.types, self.storage = emitter.body.types, emitter.storage
        self.domain: Shape = emitter.fusion.steps[k].domain
        self.loaded: set[str] = set()
        self.reductions = [i for i in self.instrs if isinstance(i.op, Reduction)]
        self.has_source = any(isinstance(i.op, Source) for i in self.instrs)
        read = dict.fromkeys(v for i in self.instrs for v in i.ins if self.storage.register(v, k) is None)
        self.strides = {v: self._strides(v) for v in read}
        self.made = {i.first for i in self.instrs}
        self.fetched: list[Place] = []
        #: Outputs whose rows are stored past the cache where they are many.
        self.streamed: list[int] = []
        #: Where the statements are written several times: what is behind the names of the present copy's variables,
        #: and what stands for the loops' names.
        self.copy, self.names = "", NO_NAMES

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
        self.loops = [*shared, *loops_through([self], range(depth, len(self.domain)))]
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

    def has_blocks_of_rows(self) -> bool:
        """Whether it goes through a row in one loop, block by block."""
        return 0 < self.shared == len(self.loops) - 1 and bool(self.parts(self.shared))

    def next_rows(self) -> list[Place]:
        """The places of the next row, from the present block on, of what it goes through in one stride."""
        if not 0 < self.shared == len(self.loops) - 1:
            return []
        stored = [i.first for i in self.instrs if i.first in self.storage.buffers and not isinstance(i.op, Reduction)]
        outer, inner = self.loops[-2:]
        names = {outer.name: f"({outer.name} + 1)", inner.name: "block"}
        return [
            (self.e.pointer(self._buffer(v)), self._index(v, names=names), f"past{v}" if v in self.streamed else "")
            for v in dict.fromkeys([*self.strides, *stored])
            for steps in (self._strides(v),)
            if outer.axes[-1] in steps and steps.get(inner.axes[-1]) == 1
        ]

    def streamable(self) -> list[int]:
        """Outputs that it stores row by row, in one stride."""
        if not 0 < self.shared == len(self.loops) - 1:
            return []
        outer, inner = self.loops[-2:]
        if self._is_little(_count(loop.size for loop in self.loops)):
            return []
        made = [i.first for i in self.instrs if not isinstance(i.op, Reduction) and i.first in self.storage.buffers]
        strides = {v: self._strides(v) for v in made if self._is_plain_output(self._buffer(v))}
        return [v for v, s in strides.items() if outer.axes[-1] in s and s.get(inner.axes[-1]) == 1]

    def _is_little(self, elements: Size) -> bool:
        """Whether the number is known, and too small for any output to be stored past the cache."""
        return type(elements) is int and elements * max(self.types[i.first].itemsize for i in self.instrs) < MANY

    def _is_plain_output(self, buffer: Any) -> bool:
        return buffer.kind == "output" and buffer.number not in self.e.accumulating

    # -- text --------------------------------------------------------------------------------------------------------

    def start_streams(self) -> None:
        """Before all loops: whether there is much to store, and room for a row."""
        for v in self.streamed:
            buffer, itemsize = self._buffer(v), self.types[v].itemsize
            rows, row = _count(loop.size for loop in self.loops[:-1]), self.loops[-1].size
            few = f"{self.e.size(row)} <= {PIECE // itemsize}"
            self.e.line(f"past{v} = {few} and {self.e.size(rows * row)} >= {MANY // itemsize}")
            self.e.line(f"row{v} = {buffer.code}(piece(), {self.e.region(buffer)})")

    def start_rows(self) -> None:
        """Before the last loop: where the row goes at first."""
        for v in self.streamed:
            self.e.line(f"here{v} = row{v} if past{v} else shifted({self._row(v)})")

    def finish_rows(self) -> None:
        """After the last loop."""
        for v in self.streamed:
            kernel = self.e.named("kernel", "stream", self._buffer(v).code)
            self.e.line(f"if past{v}:")
            self.e.line(f"    stream({kernel}, {self._row(v)}, row{v}, {self.e.size(self.loops[-1].size)})")

    def _row(self, v: int) -> str:
        return f"{self.e.pointer(self._buffer(v))}, {self._index(v, names={self.loops[-1].name: '0'})}"

    def emit(self) -> None:
        """All that is not shared."""
        self.initialise_memory(shared=True)
        n = len(self.loops)
        for k in range(self.shared, n):
            self.start(k)
            open_loop(self.e, self.loops[k], self.parts(k), self.fetched)
        self.start(n)
        self.statements()
        self.finish(n)
        for k in reversed(range(self.shared, n)):
            close_loop(self.e, self.parts(k))
            self.finish(k)

    def start(self, depth: int) -> None:
        """Starts the accumulators that are variables inside this many loops."""
        for a in self.accumulators.values():
            if a.depth == depth:
                for line in a.start():
                    self.e.line(line)

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
                    open_loop(self.e, loop, ())
                self.e.store(self._buffer(a.v), self._index(a.v, a.op.axes), cast(a.code, a.start_value))
                self.e.depth -= len(opened)

    def statements(self) -> None:
        """What is done for one element."""
        for instr in self.instrs:
            if isinstance(instr.op, Reduction):
                self._accumulate(self.accumulators[instr.first], self.term(instr))
            else:
                self.element(instr)

    def element(self, instr: Instr) -> None:
        """The statement that makes an element."""
        op, code = instr.op, self.types[instr.first].code
        if isinstance(op, Source):
            text = op.element(code, self._element_index(), [self.e.size(s) for s in instr.sizes])
        else:
            assert isinstance(op, Elementwise)
            operand_code = self.types[instr.ins[-1]].code if instr.ins else code
            xs = [self._operand(v) for v in instr.ins]
            xs += [self.e.named("external", routine) for routine in op.externals(operand_code)]
            text = op.scalar(operand_code, *xs)
        self.e.line(f"v{instr.first}{self.copy} = {cast(code, text)}")
        self._keep(instr.first)

    def term(self, instr: Instr) -> str:
        """What a reduction takes in."""
        x, code = self._operand(instr.ins[0]), self.types[instr.first].code
        return x if self.types[instr.ins[0]].code == code else cast(code, x)

    def _accumulate(self, a: Accumulator, x: str) -> None:
        if a.depth is None:
            self.update(a, x)
        else:
            self.e.line(a.step(x))

    def update(self, a: Accumulator, x: str) -> None:
        """Takes an element into an accumulator in memory."""
        buffer, index = self._buffer(a.v), self._index(a.v, a.op.axes)
        self.e.line(f"v{a.v} = {self.e.load(buffer, index)}")
        # An extremum's element first: one that may be its first operand is stored under a mask, which is slow.
        acc_and_x = (x, f"v{a.v}") if a.op.exact else (f"v{a.v}", x)
        self.e.store(buffer, index, cast(a.code, a.op.combine(a.code, *acc_and_x)))

    # -- values ------------------------------------------------------------------------------------------------------

    def _operand(self, v: int) -> str:
        register = self.storage.register(v, self.k)
        if register is not None:
            return f"v{register}{self.copy if register in self.made else ''}"
        name = f"x{v}{self.copy}"
        if name not in self.loaded:
            self.loaded.add(name)
            self.e.line(f"{name} = {self.e.load(self._buffer(v), self._index(v))}")
        return name

    def _keep(self, v: int, reduced: Sequence[int] = ()) -> None:
        """Stores a value that is needed in memory."""
        if v in self.streamed:
            value = f"uint8(v{v})" if self.types[v].code == "b1" else f"v{v}"
            self.e.line(f"here{v}[{self.loops[-1].name}] = {value}")
        elif v in self.storage.buffers:
            self.e.store(self._buffer(v), self._index(v, reduced), f"v{v}{self.copy}")

    def _buffer(self, v: int) -> Any:
        return self.storage.buffers[self.e.body.base[v]]

    def _index(self, v: int, reduced: Sequence[int] = (), names: Mapping[str, str] | None = None) -> str:
        """Source of the index of a value's element; `names` stand for those of the loops."""
        strides, names = self._strides(v, reduced), names or self.names
        steps = ((names.get(loop.name, loop.name), strides.get(loop.axes[-1], 0)) for loop in self.loops)
        text: str = self.e.index(self.storage.layout(v).offset, steps)
        return text

    def _element_index(self) -> list[str]:
        """Names of the index along every axis (no axes have a loop together where there is a source)."""
        names = {loop.axes[0]: loop.name for loop in self.loops}
        return [names.get(axis, "0") for axis in range(len(self.domain))]


def cast(code: str, text: str) -> str:
    """The expression in exactly this dtype (operators widen small types)."""
    return f"bool({text})" if code == "b1" else f"{DTYPES[code].name}({text})"


def _count(sizes: Iterable[Size]) -> Size:
    n: Size = 1
    for d in sizes:
        n = n * d
    return n


__all__ = ["Accumulator", "Loop", "Nest", "cast", "close_loop", "loops_through", "open_blocks", "open_loop"]
