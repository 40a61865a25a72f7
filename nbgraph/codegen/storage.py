"""Where each value of a legal body lives.

In: a body and its fusion. Out: `Storage`: which values have memory and in which buffer, which are variables, and the
pieces of the workspace with the groups of steps between which each is in use.
Holds: a value with memory lies in its base's buffer by its layout; a value without is an element of one nest only, a
0-d value kept in a variable, or one element a row of nests that share their outer loops. What only such nests use has
memory for one row.
"""

from __future__ import annotations

from typing import NamedTuple

from nbgraph.codegen.fuse import Fusion
from nbgraph.codegen.legalise import Body
from nbgraph.codegen.rows import row_layout
from nbgraph.kinds import Layout
from nbgraph.types import Shape, Size


class Buffer(NamedTuple):
    """A piece of memory: `kind` is "input", "output" or "temporary", with its number."""

    kind: str
    number: int
    code: str


class Temporary(NamedTuple):
    """A piece of the workspace: its size in bytes and the groups of steps in which it is first and last in use."""

    nbytes: Size
    first: int
    last: int


class Storage:
    """`buffers` by base value; `scalars`: 0-d values that are kept in a variable, which a part of the code other than
    that of their making reads from memory first (`imports`, by part)."""

    def __init__(self, body: Body, fusion: Fusion) -> None:
        self.body, self.fusion = body, fusion
        self.buffers: dict[int, Buffer] = {i: Buffer("input", i, t.code) for i, t in enumerate(body.inputs)}
        self.temporaries: list[Temporary] = []
        self.scalars = {v for v, k in fusion.home.items() if self._is_scalar(v, k)}
        self.output_of = {body.base[o]: number for number, o in enumerate(body.outputs)}
        self.imports: list[set[int]] = [set() for _ in range(max(fusion.part) + 1)]
        self._survey()
        for instr in body.instrs:
            for o in instr.outs:
                if o in self.in_memory and body.base[o] == o:
                    self.buffers[o] = self._buffer(o)

    def _is_scalar(self, v: int, home: int) -> bool:
        if self.body.types[v].ndim or self.body.base[v] != v:
            return False
        return home < 0 or self.fusion.steps[home].kind == "nest"

    def _survey(self) -> None:
        """Which bases need memory, the last group that uses each, and which are used row by row only."""
        self.in_memory: set[int] = set(self.output_of)
        self.last: dict[int, int] = {}
        scattered = set(self.output_of)
        for k, step in enumerate(self.fusion.steps):
            group = self.fusion.group[k]
            for instr in step.instrs:
                if step.kind != "nest":
                    self.in_memory.update(instr.outs)
                    scattered.update(instr.outs)
                for v in instr.ins:
                    base = self.body.base[v]
                    self.last[base] = group
                    if self._group_of(base) != group:
                        scattered.add(base)
                    if self.register(v, k) is None:
                        self.in_memory.add(base)
                    elif v in self.scalars:
                        self._import(v, self.fusion.part[k])
        for base in self.output_of:
            self.last[base] = len(self.fusion.groups)
        #: Bases of which one row at a time is in memory, and the number of loops that make the row.
        self.rows = {v: self._depth(v) for v in self.in_memory - scattered if self._depth(v)}

    def _group_of(self, base: int) -> int:
        """The group that makes it, -1 for inputs."""
        home = self.fusion.home[base]
        return self.fusion.group[home] if home >= 0 else -1

    def _depth(self, base: int) -> int:
        """The number of loops that the nests of the group that makes it share."""
        home = self._group_of(base)
        return self.fusion.groups[home].depth if home >= 0 else 0

    def _import(self, v: int, part: int) -> None:
        home = self.fusion.home[v]
        if home < 0 or self.fusion.part[home] != part:
            self.imports[part].add(v)
            self.in_memory.add(v)

    def register(self, v: int, k: int) -> int | None:
        """The value whose variable step k reads for this one; None: it reads memory."""
        step, home = self.fusion.steps[k], self.fusion.home[v]
        if step.kind != "nest":
            return None
        if v in self.scalars or (v in self.fusion.elements and home == k and self.body.types[v].shape == step.domain):
            return v
        base = self.body.base[v]
        if self._group_of(base) == self.fusion.group[k] and self._is_one(base):
            return base
        return None

    def _is_one(self, base: int) -> bool:
        """Whether its row is one element."""
        depth = self._depth(base)
        return depth > 0 and all(type(d) is int and d == 1 for d in self.body.types[base].shape[depth:])

    def layout(self, v: int) -> Layout:
        """How a value lies in its buffer."""
        layout, depth = self.body.layout[v], self.rows.get(self.body.base[v])
        return row_layout(layout, depth) if depth else layout

    def _buffer(self, o: int) -> Buffer:
        t = self.body.types[o]
        if o in self.output_of:
            return Buffer("output", self.output_of[o], t.code)
        first = self._group_of(o)
        kept: Shape = t.shape[self.rows.get(o, 0) :]
        nbytes: Size = t.itemsize
        for d in kept:
            nbytes = nbytes * d
        return self.temporary(t.code, nbytes, first, self.last.get(o, first))

    def temporary(self, code: str, nbytes: Size, first: int, last: int) -> Buffer:
        """A new piece of the workspace."""
        self.temporaries.append(Temporary(nbytes, first, last))
        return Buffer("temporary", len(self.temporaries) - 1, code)


__all__ = ["Buffer", "Storage", "Temporary"]
