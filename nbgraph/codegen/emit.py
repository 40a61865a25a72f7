"""Emitting: a legal body -> the source of one Python function over the word table, for Numba.

In: a lowered fragment. Out: `Source`: the text, and what each word of a call must hold: addresses of inputs, outputs
and workspace pieces, sizes, addresses of kernels and of the BLAS routines they use.
Holds: the function allocates nothing and raises nothing; it returns 0, or a status that says which kernel call failed.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from nbgraph.codegen.fuse import Fusion, Step
from nbgraph.codegen.legalise import Body, legalise
from nbgraph.codegen.storage import Buffer, Storage, Temporary
from nbgraph.fragment import Fragment, Instr
from nbgraph.kinds import Assembly, Elementwise, Kernel, Layout, Reduction
from nbgraph.kinds import Source as SourceOp
from nbgraph.types import DTYPES, Shape, Size, TensorType

#: A word is ("input", i), ("output", i), ("temporary", i), ("size", Size), ("kernel", name, code) or
#: ("external", routine).
Word = tuple[Any, ...]

#: Elements that a reduction accumulates before they are added to the total.
BLOCK = 256

_PREFIX = {"input": "in", "output": "out", "temporary": "tmp"}


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
    return _Emitter(body, fusion, Storage(body, fusion), accumulating).source()


class _Emitter:
    def __init__(self, body: Body, fusion: Fusion, storage: Storage, accumulating: frozenset[int]) -> None:
        self.body, self.fusion, self.storage, self.accumulating = body, fusion, storage, accumulating
        # Arrays come first, so that one loop can turn array objects into addresses.
        arrays: list[Word] = [("input", i) for i in range(len(body.inputs))]
        arrays += [("output", i) for i in range(len(body.outputs))]
        self.words: dict[Word, int] = {what: k for k, what in enumerate(arrays)}
        self.named: set[Word] = set()
        self.lines: list[str] = []
        self.pointers: dict[Buffer, str] = {}
        self.failing: list[Any] = []
        self.depth = 1

    # -- the parts of a line ---------------------------------------------------------------------------------------

    def word(self, *what: Any) -> str:
        """Source of a word of the table."""
        return f"w[{self.words.setdefault(what, len(self.words))}]"

    def size(self, d: Size) -> str:
        """Source of a size: a literal, or a word the caller computes."""
        return str(d) if type(d) is int else self._named("size", d)

    def _named(self, *what: Any) -> str:
        """A variable that holds a word, read once at the top."""
        self.named.add(what)
        return f"s{self.words.setdefault(what, len(self.words))}"

    def pointer(self, buffer: Buffer) -> str:
        """A typed pointer variable for a buffer, made at the top."""
        return self.pointers.setdefault(buffer, f"{_PREFIX[buffer.kind]}{buffer.number}")

    def line(self, text: str) -> None:
        self.lines.append("    " * self.depth + text)

    def source(self) -> Source:
        texts, names = [], []
        for part, imports in enumerate(self.storage.imports):
            names.append(f"fragment{part or ''}")
            texts.append(self._function(names[-1], part, sorted(imports)))
        temporaries = tuple(self.storage.temporaries)
        return Source("\n".join(texts), tuple(names), tuple(self.words), temporaries, tuple(self.failing))

    def _function(self, name: str, part: int, scalars: Sequence[int]) -> str:
        """The source of the steps of a part."""
        self.named, self.lines, self.pointers = set(), [], {}
        for v in scalars:
            self.line(f"v{v} = {self._load(self.storage.buffers[v], '0')}")
        for k, step in enumerate(self.fusion.steps):
            if self.fusion.part[k] == part:
                {"nest": self._nest, "assembly": self._assembly, "kernel": self._kernel}[step.kind](k, step)
        self.line("return 0")
        head = [f"def {name}(w):"]
        for buffer, pointer in self.pointers.items():
            head.append(f"    {pointer} = {buffer.code}({self.word(buffer.kind, buffer.number)}, {_region(buffer)})")
        for what, k in self.words.items():
            if what in self.named:
                head.append(f"    s{k} = w[{k}]")
        return "\n".join([*head, *self.lines, ""])

    # -- loads and stores ------------------------------------------------------------------------------------------

    def _load(self, buffer: Buffer, index: str) -> str:
        text = f"{self.pointer(buffer)}[{index}]"
        return f"({text} != 0)" if buffer.code == "b1" else text

    def _index(self, layout: Layout, loops: Sequence[str]) -> str:
        """Source of the element index, the layout's dimensions aligned with the last loops."""
        terms = [] if layout.offset == 0 else [self.size(layout.offset)]
        names = loops[len(loops) - len(layout.shape) :]
        for name, stride, d in zip(names, layout.strides, layout.shape, strict=True):
            if d == 1 or stride == 0:
                continue
            terms.append(name if stride == 1 else f"{name}*{self._factor(stride)}")
        return " + ".join(terms) or "0"

    def _factor(self, stride: Size) -> str:
        text = self.size(stride)
        return f"({text})" if text.startswith("-") else text

    # -- loop nests ------------------------------------------------------------------------------------------------

    def _nest(self, k: int, step: Step) -> None:
        _Nest(self, k, step).emit()

    # -- assemblies --------------------------------------------------------------------------------------------------

    def _assembly(self, k: int, step: Step) -> None:
        (instr,) = step.instrs
        out = instr.first
        buffer, t = self.storage.buffers[out], self.body.types[out]
        assert isinstance(instr.op, Assembly)
        for part in instr.op.parts(Layout.row_major(t.shape), [self.body.types[i] for i in instr.ins], instr.sizes):
            loops = self._open_loops(part.region.shape)
            value = "0" if part.source is None else self._element(instr.ins[part.source], loops)
            self._store(buffer, self._index(part.region, loops), value)
            self.depth -= len(loops)

    def _element(self, v: int, loops: Sequence[str]) -> str:
        return self._load(self.storage.buffers[self.body.base[v]], self._index(self.body.layout[v], loops))

    def _open_loops(self, shape: Shape) -> list[str]:
        names = []
        for axis, d in enumerate(shape):
            name = f"i{axis}"
            self.line(f"for {name} in range({self.size(d)}):")
            self.depth += 1
            names.append(name)
        return names

    def _store(self, buffer: Buffer, index: str, value: str) -> None:
        if buffer.code == "b1":
            value = f"uint8({value})"
        if buffer.kind == "output" and buffer.number in self.accumulating:
            value = f"{self.pointer(buffer)}[{index}] + {value}"
        self.line(f"{self.pointer(buffer)}[{index}] = {value}")

    # -- kernels -----------------------------------------------------------------------------------------------------

    def _kernel(self, k: int, step: Step) -> None:
        (instr,) = step.instrs
        assert isinstance(instr.op, Kernel)
        self._step = k
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
        buffer = self.storage.temporary("b1", nbytes, self._step, self._step)
        return self.word(buffer.kind, buffer.number)

    def call(self, name: str, code: str, *words: Any) -> None:
        """Emits a call of a kernel; `words` are source text or sizes."""
        from nbgraph_kernels import registry

        externals = [self.word("external", e) for e in registry.externals(name, code)]
        given = [x if isinstance(x, str) else self.size(x) for x in words]
        self.failing.append(self._instr.op)
        self.line(f"status = call({self.word('kernel', name, code)}, ({', '.join([*externals, *given])},))")
        self.line("if status != 0:")
        self.line(f"    return ({len(self.failing)} << 24) | (status & 0xffffff)")


class _Nest:
    """One loop nest: elementwise operations, index sources, and the reductions that end in it."""

    def __init__(self, emitter: _Emitter, k: int, step: Step) -> None:
        self.e, self.k, self.step = emitter, k, step
        self.body, self.storage = emitter.body, emitter.storage
        self.loaded: dict[int, str] = {}

    def emit(self) -> None:
        e, domain = self.e, self.step.domain
        rank = len(domain)
        self.flat = rank > 1 and self._can_flatten()
        shape: Shape = (_count(domain),) if self.flat else domain
        self.loops = [f"i{axis}" for axis in range(len(shape))]
        reductions = [i for i in self.step.instrs if isinstance(i.op, Reduction)]
        inner = self._plan(reductions, len(shape))
        for instr, depth in inner.items():
            if depth is None:
                self._initialise_memory(instr)
        self.blocked = [
            i
            for i, depth in inner.items()
            if depth is not None and depth < len(shape) and i.op.mergeable  # type: ignore[attr-defined]
        ]
        for axis, d in enumerate(shape):
            self._start_accumulators(inner, axis)
            last = axis == len(shape) - 1
            if last and self.blocked:
                self._open_block(d)
            e.line(f"for {self.loops[axis]} in {self._range(d, last)}:")
            e.depth += 1
        self._start_accumulators(inner, len(shape))
        for instr in self.step.instrs:
            self._statement(instr, inner)
        for axis in range(len(shape), -1, -1):
            if axis == len(shape) - 1 and self.blocked:
                self._close_block()
            for instr, depth in inner.items():
                if depth == axis:
                    self._finish(instr)
            if axis:
                e.depth -= 1

    # A reduction is made block by block, so that its error grows with the number of blocks and the length of one, not
    # with the number of elements.

    def _range(self, d: Size, last: bool) -> str:
        if last and self.blocked:
            return f"range(block, min(block + {BLOCK}, {self.e.size(d)}))"
        return f"range({self.e.size(d)})"

    def _open_block(self, d: Size) -> None:
        self.e.line(f"for block in range(0, {self.e.size(d)}, {BLOCK}):")
        self.e.depth += 1
        for instr in self.blocked:
            self.e.line(f"part{instr.first} = {self._start_value(instr, self._narrow(instr))}")

    def _close_block(self) -> None:
        for instr in self.blocked:
            self.e.line(self._combined(instr, f"total{instr.first}", f"part{instr.first}", self._wide(instr)))
        self.e.depth -= 1

    def _plan(self, reductions: Sequence[Instr], depth: int) -> dict[Instr, int | None]:
        """For each reduction: the loop depth at which its scalar accumulator lives, None if it lives in memory."""
        plan: dict[Instr, int | None] = {}
        rank = len(self.step.domain)
        for instr in reductions:
            axes = instr.op.axes  # type: ignore[attr-defined]
            trailing = tuple(range(rank - len(axes), rank))
            if self.flat:
                plan[instr] = 0 if axes else 1
            else:
                plan[instr] = rank - len(axes) if axes == trailing else None
        return plan

    def _can_flatten(self) -> bool:
        """Whether every access is row-major over the whole domain, so that one loop does."""
        domain, rank = self.step.domain, len(self.step.domain)
        for instr in self.step.instrs:
            if isinstance(instr.op, SourceOp):
                return False
            if isinstance(instr.op, Reduction) and instr.op.axes not in ((), tuple(range(rank))):
                return False
            for v in instr.ins:
                if self.storage.is_register(v, self.k, self.step):
                    continue
                if self.body.types[v].shape != domain or not self.body.layout[v].is_row_major:
                    return False
        return True

    # -- statements --------------------------------------------------------------------------------------------------

    def _operand(self, v: int) -> str:
        if self.storage.is_register(v, self.k, self.step):
            return f"v{v}"
        name = self.loaded.get(v)
        if name is None:
            name = self.loaded[v] = f"x{v}"
            buffer = self.storage.buffers[self.body.base[v]]
            index = "i0" if self.flat else self.e._index(self.body.layout[v], self.loops)
            self.e.line(f"{name} = {self.e._load(buffer, index)}")
        return name

    def _statement(self, instr: Instr, inner: dict[Instr, int | None]) -> None:
        op, code = instr.op, self.body.types[instr.first].code
        if isinstance(op, Reduction):
            x = self._operand(instr.ins[0])
            code_in = self.body.types[instr.ins[0]].code
            if code != code_in:
                x = _cast(code, x)
            if inner[instr] is None:
                self._accumulate_memory(instr, op, code, x)
            else:
                name, code = ("part", self._narrow(instr)) if instr in self.blocked else ("total", self._wide(instr))
                self.e.line(self._combined(instr, f"{name}{instr.first}", x, code))
            return
        if isinstance(op, SourceOp):
            text = op.element(code, self.loops, [self.e.size(s) for s in instr.sizes])
        else:
            assert isinstance(op, Elementwise)
            operand_code = self.body.types[instr.ins[-1]].code if instr.ins else code
            xs = [self._operand(v) for v in instr.ins]
            xs += [self.e._named("external", routine) for routine in op.externals(operand_code)]
            text = op.scalar(operand_code, *xs)
        self.e.line(f"v{instr.first} = {_cast(code, text)}")
        self._keep(instr.first)

    def _keep(self, v: int) -> None:
        """Stores an element that is needed in memory."""
        if v in self.storage.buffers:
            index = "i0" if self.flat else self.e._index(self.body.layout[v], self.loops)
            self.e._store(self.storage.buffers[v], index, f"v{v}")

    # -- reductions --------------------------------------------------------------------------------------------------

    def _kept_loops(self, instr: Instr) -> list[str]:
        axes = instr.op.axes  # type: ignore[attr-defined]
        return [f"i{axis}" for axis in range(len(self.step.domain)) if axis not in axes]

    def _start_accumulators(self, inner: dict[Instr, int | None], depth: int) -> None:
        for instr, at in inner.items():
            if at == depth:
                self.e.line(f"total{instr.first} = {self._start_value(instr, self._wide(instr))}")

    def _start_value(self, instr: Instr, code: str) -> str:
        op = instr.op
        assert isinstance(op, Reduction)
        return _cast(code, op.initial(self.body.types[instr.first].code))

    def _combined(self, instr: Instr, acc: str, x: str, code: str) -> str:
        """The statement that takes one more value into an accumulator of dtype `code`."""
        op = instr.op
        assert isinstance(op, Reduction)
        return f"{acc} = {_cast(code, op.combine(code, acc, x))}"

    def _narrow(self, instr: Instr) -> str:
        """The dtype in which a block is accumulated: its own, which fills vectors."""
        return self.body.types[instr.first].code

    def _wide(self, instr: Instr) -> str:
        """The dtype of an accumulator: single precision is accumulated in double, where anything is rounded."""
        code = self.body.types[instr.first].code
        if instr.op.exact:  # type: ignore[attr-defined]
            return code
        return {"f4": "f8", "c8": "c16"}.get(code, code)

    def _finish(self, instr: Instr) -> None:
        v = instr.first
        self.e.line(f"v{v} = {_cast(self.body.types[v].code, f'total{v}')}")
        if v in self.storage.buffers:
            loops = [] if self.flat else self._kept_loops(instr)
            self.e._store(self.storage.buffers[v], self.e._index(self.body.layout[v], loops), f"v{v}")

    def _initialise_memory(self, instr: Instr) -> None:
        v = instr.first
        t = self.body.types[v]
        op = instr.op
        assert isinstance(op, Reduction)
        loops = self.e._open_loops(t.shape)
        index = self.e._index(self.body.layout[v], loops)
        self.e._store(self.storage.buffers[v], index, _cast(t.code, op.initial(t.code)))
        self.e.depth -= len(loops)

    def _accumulate_memory(self, instr: Instr, op: Reduction, code: str, x: str) -> None:
        v = instr.first
        index = self.e._index(self.body.layout[v], self._kept_loops(instr))
        self.e.line(f"v{v} = {self.e._load(self.storage.buffers[v], index)}")
        self.e._store(self.storage.buffers[v], index, _cast(code, op.update(code, f"v{v}", x)))


def _region(buffer: Buffer) -> int:
    """The region of memory a buffer is in, as `nbgraph_kernels.regions` numbers them: outputs overlap nothing."""
    return {"input": 0, "temporary": 1, "output": 2 + buffer.number}[buffer.kind]


def _cast(code: str, text: str) -> str:
    """The expression in exactly this dtype (Numba widens small types)."""
    return f"bool({text})" if code == "b1" else f"{DTYPES[code].name}({text})"


def _count(shape: Shape) -> Size:
    n: Size = 1
    for d in shape:
        n = n * d
    return n


__all__ = ["Operand", "Source", "generate"]
