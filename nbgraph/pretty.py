"""Text forms of the IRs: what `print(fragment)` shows, and DOT.

In: a `Fragment` (or anything with `inputs`, `instrs`, `outputs`, `types`). Out: text, one operation a line:

    fragment(%0: float64[d0.0, d0.1], %1: float64[d0.1])
      %2: float64[d0.0] = contract[labels=...](%0, %1)
      return %2

Sizes read off inputs print as `d<input>.<axis>`, run-time words as `w<k>`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from nbgraph.dims import to_source
from nbgraph.types import Size, TensorType


def size_text(d: Size) -> str:
    """A size in a fragment's symbols, as text."""
    return to_source(d, _symbol_text)


def _symbol_text(name: Any) -> str:
    if isinstance(name, tuple) and name and name[0] == "d":
        return f"d{name[1]}.{name[2]}"
    if isinstance(name, tuple) and name and name[0] == "w":
        return f"w{name[1]}"
    return str(name)


def type_text(t: TensorType) -> str:
    """A type with its sizes as text."""
    return f"{t.dtype}[{', '.join(size_text(d) for d in t.shape)}]"


def instr_text(instr: Any, types: Sequence[TensorType]) -> str:
    """One operation as text."""
    outs = ", ".join(f"%{o}: {type_text(types[o])}" for o in instr.outs)
    ins = ", ".join(f"%{i}" for i in instr.ins)
    sizes = f" sizes({', '.join(size_text(s) for s in instr.sizes)})" if instr.sizes else ""
    return f"{outs} = {instr.op!r}({ins}){sizes}"


def fragment_text(f: Any, name: str = "fragment") -> str:
    """A fragment, or an SSA program, as text."""
    head = ", ".join(f"%{i}: {type_text(t)}" for i, t in enumerate(f.inputs))
    lines = [f"{name}({head})"]
    lines += [f"  {instr_text(i, f.types)}" for i in f.instrs]
    lines.append(f"  return {', '.join(f'%{o}' for o in f.outputs)}")
    return "\n".join(lines)


def fragment_dot(f: Any) -> str:
    """A fragment as a DOT graph, for Graphviz. An operation is one node, named after its first result."""
    made_by = {o: instr.first for instr in f.instrs for o in instr.outs}
    lines = ["digraph fragment {", "  rankdir=TB; node [shape=box, fontname=monospace];"]
    for i, t in enumerate(f.inputs):
        lines.append(f'  v{i} [label="%{i}: {type_text(t)}", shape=ellipse];')
    for instr in f.instrs:
        results = ", ".join(f"%{o}: {type_text(f.types[o])}" for o in instr.outs)
        label = f"{instr.op!r}".replace('"', "'")
        lines.append(f'  v{instr.first} [label="{label}\\n{results}"];')
        lines += [f"  v{made_by.get(i, i)} -> v{instr.first};" for i in instr.ins]
    for o in dict.fromkeys(f.outputs):
        lines.append(f"  out{o} [shape=plaintext, label=output]; v{made_by.get(o, o)} -> out{o};")
    return "\n".join([*lines, "}"])
