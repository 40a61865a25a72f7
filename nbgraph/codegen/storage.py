"""Where each value of a legal body lives.

In: a body and its fusion. Out: `Storage`: which values have memory and in which buffer, which are scalar variables, and
the pieces of the workspace with the steps between which each is in use.
Holds: a value with memory lies in its base's buffer by its layout; a value without is an element of one nest only, or
a 0-d value kept in a variable.
"""

from __future__ import annotations

from typing import NamedTuple

from nbgraph.codegen.fuse import Fusion, Step
from nbgraph.codegen.legalise import Body
from nbgraph.types import Size


class Buffer(NamedTuple):
    """A piece of memory: `kind` is "input", "output" or "temporary", with its number."""

    kind: str
    number: int
    code: str


class Temporary(NamedTuple):
    """A piece of the workspace: its size in bytes and the steps in which it is first and last in use."""

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
        self.imports: list[set[int]] = [set() for _ in range(fusion.part[-1] + 1)]
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
        """Which bases need memory, and the last step that uses each."""
        self.in_memory: set[int] = set(self.output_of)
        self.last: dict[int, int] = {}
        for k, step in enumerate(self.fusion.steps):
            for instr in step.instrs:
                if step.kind != "nest":
                    self.in_memory.update(instr.outs)
                for v in instr.ins:
                    base = self.body.base[v]
                    self.last[base] = k
                    if not self.is_register(v, k, step):
                        self.in_memory.add(base)
                    elif v in self.scalars:
                        self._import(v, self.fusion.part[k])
        for base in self.output_of:
            self.last[base] = len(self.fusion.steps)

    def _import(self, v: int, part: int) -> None:
        home = self.fusion.home[v]
        if home < 0 or self.fusion.part[home] != part:
            self.imports[part].add(v)
            self.in_memory.add(v)

    def is_register(self, v: int, k: int, step: Step) -> bool:
        """Whether step k reads the value from a variable."""
        if step.kind != "nest":
            return False
        return v in self.scalars or (
            v in self.fusion.elements and self.fusion.home[v] == k and self.body.types[v].shape == step.domain
        )

    def _buffer(self, o: int) -> Buffer:
        t = self.body.types[o]
        if o in self.output_of:
            return Buffer("output", self.output_of[o], t.code)
        first = self.fusion.home[o]
        nbytes: Size = t.itemsize
        for d in t.shape:
            nbytes = nbytes * d
        return self.temporary(t.code, nbytes, first, self.last.get(o, first))

    def temporary(self, code: str, nbytes: Size, first: int, last: int) -> Buffer:
        """A new piece of the workspace."""
        self.temporaries.append(Temporary(nbytes, first, last))
        return Buffer("temporary", len(self.temporaries) - 1, code)


__all__ = ["Buffer", "Storage", "Temporary"]
