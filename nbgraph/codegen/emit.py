"""Emitting: a legal body -> the source of Python functions over the word table, in `nbgraph_kernels.language`.

In: a lowered fragment. Out: `Source`: the text, and what each word of a call must hold: addresses of inputs, outputs
and workspace pieces, sizes, addresses of kernels and of the BLAS routines they use.
Holds: the function allocates nothing and raises nothing; it returns 0, or a status that says which kernel call failed.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any, NamedTuple

from nbgraph.codegen.fuse import Fusion, Group
from nbgraph.codegen.legalise import Body, legalise
from nbgraph.codegen.nests import emit_nests
from nbgraph.codegen.storage import Buffer, Storage, Temporary
from nbgraph.fragment import Fragment, Instr
from nbgraph.kinds import Assembly, Kernel, Layout
from nbgraph.types import Shape, Size, TensorType

#: A word is ("input", i), ("output", i), ("temporary", i), ("size", Size), ("kernel", name, code),
#: ("external", routine) or ("nest", text): the address of the function that the text defines.
Word = tuple[Any, ...]

_PREFIX = {"input": "in", "output": "out", "temporary": "tmp"}
#: What a nest assigns to, and a number in a name: that of a value, but for `_PLACES`, which count by themselves.
_ASSIGNED = re.compile(r"^ *([a-z]+)\d\w* = ", re.MULTILINE)
_NUMBERED = re.compile(r"\b([a-z]+)(\d+)(?![0-9a-zA-Z])")
_PLACES = {"s", *_PREFIX.values()}


class Source(NamedTuple):
    """Generated code: `text` defines `functions` of w, which run in turn until one returns something else than 0;
    `words` says what w holds; `temporaries` the workspace.

    `failing` names, for each status a kernel call can fail with, the operation.
    """

    text: str
    functions: tuple[str, ...]
    words: tuple[Word, ...]
    temporaries: tuple[Temporary, ...]
    failing: tuple[Any, ...]


class Operand(NamedTuple):
    """A value in memory, as a kernel operation sees it: source of its address in bytes, type, layout."""

    address: str
    type: TensorType
    layout: Layout


def generate(fragment: Fragment, accumulating: frozenset[int] = frozenset()) -> Source:
    """The source of a lowered fragment; outputs at the places `accumulating` are added to what is there."""
    body = legalise(fragment, accumulating)
    fusion = Fusion(body)
    return Emitter(body, fusion, Storage(body, fusion), accumulating).source()


def full_text(source: Source) -> str:
    """The text with that of the nests that it calls, each under the word that holds its address."""
    nests = [f"# w[{k}]\n{what[1]}" for k, what in enumerate(source.words) if what[0] == "nest"]
    return "\n".join([source.text, *nests])


class Emitter:
    """Writes the source of a body; `nests` writes its loop nests, operations of the kind `Kernel` their calls."""

    def __init__(self, body: Body, fusion: Fusion, storage: Storage, accumulating: frozenset[int]) -> None:
        self.body, self.fusion, self.storage, self.accumulating = body, fusion, storage, accumulating
        # Arrays come first, so that one loop can turn array objects into addresses.
        arrays: list[Word] = [("input", i) for i in range(len(body.inputs))]
        arrays += [("output", i) for i in range(len(body.outputs))]
        self.words: dict[Word, int] = {what: k for k, what in enumerate(arrays)}
        self._used: set[Word] = set()
        self.lines: list[str] = []
        self.pointers: dict[Buffer, str] = {}
        self.failing: list[Any] = []
        self.depth = 1
        #: In a nest that is a function of its own: the outputs it touches, as it meets them.
        self._outputs: list[int] | None = None

    # -- the parts of a line ---------------------------------------------------------------------------------------

    def word(self, *what: Any) -> str:
        """Source of a word of the table."""
        return f"w[{self.words.setdefault(what, len(self.words))}]"

    def size(self, d: Size) -> str:
        """Source of a size: a literal, or a word the caller computes."""
        return str(d) if type(d) is int else self.named("size", d)

    def named(self, *what: Any) -> str:
        """A variable that holds a word, read once at the top of the function."""
        self._used.add(what)
        return f"s{self.words.setdefault(what, len(self.words))}"

    def pointer(self, buffer: Buffer) -> str:
        """A typed pointer variable for a buffer, made at the top."""
        number = buffer.number if self._outputs is None else len(self.pointers)
        return self.pointers.setdefault(buffer, f"{_PREFIX[buffer.kind]}{number}")

    def line(self, text: str) -> None:
        """Adds a line at the present depth."""
        self.lines.append("    " * self.depth + text)

    def source(self) -> Source:
        texts, names = [], []
        for part in range(self.fusion.n_parts):
            names.append(f"fragment{part or ''}")
            texts.append(self._function(names[-1], self._known_before(part), partial(self._part, part)))
        temporaries = tuple(self.storage.temporaries)
        return Source("\n".join(texts), tuple(names), tuple(self.words), temporaries, tuple(self.failing))

    def _known_before(self, part: int) -> list[int]:
        """The scalars that a part reads and that are made before it begins."""
        return [v for v in sorted(self.storage.imports[part]) if not self._is_called_in(v, part)]

    def _is_called_in(self, v: int, part: int) -> bool:
        """Whether the part calls the nest that makes a scalar."""
        home = self.fusion.home[v]
        return home >= 0 and self.fusion.called_in[self.fusion.group[home]] == part

    def _function(self, name: str, scalars: Sequence[int], body: Callable[[], None]) -> str:
        """The source of a function, which reads these scalars from memory."""
        self._used, self.lines, self.pointers, self.depth = set(), [], {}, 1
        self._read(scalars)
        body()
        self.line("return 0")
        head = [f"def {name}(w):"]
        for buffer, pointer in self.pointers.items():
            word = self.word(buffer.kind, buffer.number)
            head.append(f"    {pointer} = {buffer.code}({word}, {self.region(buffer)})")
        for what, k in self.words.items():
            if what in self._used:
                head.append(f"    s{k} = w[{k}]")
        return "\n".join([*head, *self.lines, ""])

    def _read(self, scalars: Iterable[int]) -> None:
        for v in scalars:
            self.line(f"v{v} = {self.load(self.storage.buffers[v], '0')}")

    def _part(self, part: int) -> None:
        """The source of the steps of a part."""
        for k, group, called_in in zip(self.fusion.first, self.fusion.groups, self.fusion.called_in, strict=True):
            if called_in == part and group.is_shared:
                self._call_nest(k, group)
                self._read([v for v in sorted(self.storage.imports[part]) if self.fusion.home[v] in _steps(k, group)])
            elif called_in == part:
                self._group(k, group)

    # -- nests that are functions ------------------------------------------------------------------------------------

    def _call_nest(self, k: int, group: Group) -> None:
        """The source of a call of a group: equal nests, whatever their values are called, are one function."""
        outside = self.words, self._used, self.lines, self.pointers, self.depth
        self.words, self._outputs = {}, []
        scalars = sorted(self.storage.imports[self.fusion.part[k]])
        text = self._function("nest", scalars, partial(self._group, k, group))
        words = list(self.words)
        self.words, self._used, self.lines, self.pointers, self.depth = outside
        self._outputs = None
        given = [self.word(*what) for what in words]
        self.line(f"call({self.word('nest', _renumbered(text))}, ({', '.join(given)},))")

    def _group(self, k: int, group: Group) -> None:
        """The source of a group, whose first step is number k."""
        step = group.steps[0]
        if step.kind == "nest":
            emit_nests(self, range(k, k + len(group.steps)), group.depth)
        elif step.kind == "assembly":
            self._assembly(step.instrs[0])
        else:
            self._kernel(step.instrs[0], self.fusion.group[k])

    # -- loads and stores ------------------------------------------------------------------------------------------

    def load(self, buffer: Buffer, index: str) -> str:
        """Source of an element of a buffer."""
        text = f"{self.pointer(buffer)}[{index}]"
        return f"({text} != 0)" if buffer.code == "b1" else text

    def region(self, buffer: Buffer) -> int:
        """The number of the region of memory a buffer is in, as `nbgraph_kernels.regions` has them: outputs overlap
        nothing."""
        number = buffer.number
        if buffer.kind == "output" and self._outputs is not None:
            if number not in self._outputs:
                self._outputs.append(number)
            number = self._outputs.index(number)
        return {"input": 0, "temporary": 1, "output": 2 + number}[buffer.kind]

    def store(self, buffer: Buffer, index: str, value: str) -> None:
        """Stores an element of a buffer, or adds to it."""
        if buffer.code == "b1":
            value = f"uint8({value})"
        if buffer.kind == "output" and buffer.number in self.accumulating:
            value = f"{self.pointer(buffer)}[{index}] + {value}"
        self.line(f"{self.pointer(buffer)}[{index}] = {value}")

    def index(self, offset: Size, steps: Iterable[tuple[str, Size]]) -> str:
        """Source of an element's index: the offset, and loop variables by their strides."""
        terms = [] if offset == 0 else [self.size(offset)]
        for name, stride in steps:
            if stride != 0 and name != "0":
                terms.append(name if stride == 1 else f"{name}*{self._factor(stride)}")
        return " + ".join(terms) or "0"

    def _index(self, layout: Layout, loops: Sequence[str]) -> str:
        """The same, the layout's dimensions being those of the last loops."""
        names = loops[len(loops) - len(layout.shape) :]
        steps = zip(names, layout.strides, layout.shape, strict=True)
        return self.index(layout.offset, ((name, s) for name, s, d in steps if d != 1))

    def _factor(self, stride: Size) -> str:
        text = self.size(stride)
        return f"({text})" if text.startswith("-") else text

    # -- assemblies --------------------------------------------------------------------------------------------------

    def _assembly(self, instr: Instr) -> None:
        out = instr.first
        buffer, t = self.storage.buffers[out], self.body.types[out]
        assert isinstance(instr.op, Assembly)
        adding = buffer.kind == "output" and buffer.number in self.accumulating
        for part in instr.op.parts(Layout.row_major(t.shape), [self.body.types[i] for i in instr.ins], instr.sizes):
            if adding and part.source is None:
                continue
            layouts = [part.region, *([] if part.source is None else [self.body.layout[instr.ins[part.source]]])]
            depth, loops = self.depth, self._open_loops(part.region.shape, layouts)
            value = "0" if part.source is None else self._element(instr.ins[part.source], loops)
            self.store(buffer, self._index(part.region, loops), value)
            self.depth = depth

    def _element(self, v: int, loops: Sequence[str]) -> str:
        return self.load(self.storage.buffers[self.body.base[v]], self._index(self.body.layout[v], loops))

    def _open_loops(self, shape: Shape, layouts: Sequence[Layout]) -> list[str]:
        """Begins loops through all dimensions; what counts each of them. One of size 1 has no loop; neighbours that
        every layout goes through in one stride have one, which counts the last of them."""
        names = ["0"] * len(shape)
        spans: list[list[int]] = []
        for axis, d in enumerate(shape):
            if d == 1:
                continue
            if spans and all(_in_one_stride(layout, spans[-1][-1], axis) for layout in layouts):
                spans[-1].append(axis)
            else:
                spans.append([axis])
        for span in spans:
            size: Size = 1
            for axis in span:
                size = size * shape[axis]
            names[span[-1]] = f"i{span[-1]}"
            self.line(f"for {names[span[-1]]} in range({self.size(size)}):")
            self.depth += 1
        return names

    # -- kernels -----------------------------------------------------------------------------------------------------

    def _kernel(self, instr: Instr, group: int) -> None:
        assert isinstance(instr.op, Kernel)
        self._now = group
        ins = [self.operand(v) for v in instr.ins]
        outs = [self.operand(v) for v in instr.outs]
        self._instr = instr
        instr.op.lower(self, ins, outs, instr.sizes)

    def operand(self, v: int) -> Operand:
        """A value in memory as a kernel sees it."""
        buffer = self.storage.buffers[self.body.base[v]]
        layout, t = self.body.layout[v], self.body.types[v]
        address = self.word(buffer.kind, buffer.number)
        if layout.offset != 0:
            address = f"({address} + {self.size(layout.offset)}*{t.itemsize})"
        return Operand(address, t, layout)

    def workspace(self, nbytes: Size) -> str:
        """Source of the address of scratch memory for the operation being lowered."""
        buffer = self.storage.temporary("b1", nbytes, self._now, self._now)
        return self.word(buffer.kind, buffer.number)

    def call(self, name: str, code: str, *words: Any, inner: Sequence[Any] = ()) -> None:
        """Emits a call of a kernel; `words` are source text or sizes. Where it calls code that can fail itself, `inner`
        names the operations that do, and the status is that code's."""
        from nbgraph_kernels import registry

        externals = [self.word("external", e) for e in registry.externals(name, code)]
        given = [x if isinstance(x, str) else self.size(x) for x in words]
        self.failing.append(self._instr.op)
        place = f"({len(self.failing)} << 24)"
        self.failing += inner
        self.line(f"status = call({self.word('kernel', name, code)}, ({', '.join([*externals, *given])},))")
        self.line("if status != 0:")
        self.line(f"    return {place} + status" if inner else f"    return {place} | (status & 0xffffff)")


def _in_one_stride(layout: Layout, a: int, b: int) -> bool:
    """Whether dimension a goes on where b, the next one that is not of size 1, ends."""
    return layout.strides[a] == layout.strides[b] * layout.shape[b]


def _steps(k: int, group: Group) -> range:
    """The numbers of a group's steps, of which k is the first."""
    return range(k, k + len(group.steps))


def _renumbered(text: str) -> str:
    """A nest whose variables are numbered as they come.

    >>> _renumbered("v7 = in0[i0]\\nv9_1 = v7 + float64(v8)")
    'v0 = in0[i0]\\nv1_1 = v0 + float64(v2)'
    """
    numbers: dict[str, int] = {}
    names = set(_ASSIGNED.findall(text)) - _PLACES

    def renumbered(m: re.Match[str]) -> str:
        return f"{m[1]}{numbers.setdefault(m[2], len(numbers))}" if m[1] in names else m[0]

    return _NUMBERED.sub(renumbered, text)


__all__ = ["Operand", "Source", "full_text", "generate"]
