"""`resolve`: a logical lookup over fragments, nothing copied.

In: fragments, and linear fragments derived from them. Out: a `ResolvedView`: every operation of theirs in topological
order, found by the key of its results. Fragments that contain the same operation on the same inputs share its key.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from nbgraph.fragment import Fragment
from nbgraph.keys import GlobalOpKey, GlobalValKey, Input, operations_below
from nbgraph.op import Op
from nbgraph.types import Shape


class Definition(NamedTuple):
    """One operation: its operands' keys, and the keys that its results go by."""

    op: Op
    ins: tuple[GlobalValKey, ...]
    sizes: Shape
    outs: tuple[GlobalValKey, ...]


class LinearFragment:
    """Operations linear in `tangent_inputs`, beside the primal values they use.

    `tangent_outputs` has None where a tangent is exactly zero. `view` is the primal that it was derived from.
    """

    def __init__(
        self,
        view: ResolvedView,
        tangent_inputs: Sequence[Input],
        tangent_outputs: Sequence[GlobalValKey | None],
    ) -> None:
        self.view = view
        self.tangent_inputs = tuple(tangent_inputs)
        self.tangent_outputs = tuple(tangent_outputs)

    @property
    def operations(self) -> list[GlobalOpKey]:
        """The operations on tangents, in topological order."""
        active: set[int] = {id(k) for k in self.tangent_inputs}
        found = []
        for op_key in operations_below([k for k in self.tangent_outputs if k is not None]):
            if any(id(k) in active for k in op_key.inputs):
                active.update(map(id, op_key.results()))
                found.append(op_key)
        return found

    def __repr__(self) -> str:
        return f"<LinearFragment of {len(self.operations)} operations>"

    def __str__(self) -> str:
        lines = [f"linear fragment({', '.join(map(repr, self.tangent_inputs))})"]
        lines += [f"  {op_key!r}" for op_key in self.operations]
        lines.append(f"  return {', '.join('0' if k is None else repr(k) for k in self.tangent_outputs)}")
        return "\n".join(lines)


class ResolvedView:
    """What `resolve` gives: definitions by key, `inputs`, and the fragments' `outputs` one after another."""

    def __init__(
        self, definitions: Iterable[Definition], inputs: Iterable[Input], outputs: Iterable[GlobalValKey]
    ) -> None:
        self.definitions = tuple(definitions)
        self.inputs = tuple(inputs)
        self.outputs = tuple(outputs)
        self._by_key = {k: d for d in self.definitions for k in d.outs}

    def lookup(self, key: GlobalValKey) -> Definition | None:
        """The operation that makes a value, or None for an input."""
        return self._by_key.get(key)

    def __repr__(self) -> str:
        return f"<ResolvedView of {len(self.definitions)} operations, {len(self.inputs)} inputs>"


def resolve(*fragments: Fragment | LinearFragment) -> ResolvedView:
    """A view over fragments; their inputs go by position (`Input(i)`), so equal operations are one."""
    definitions: dict[GlobalOpKey, Definition] = {}
    inputs: dict[Input, None] = {}
    outputs: list[GlobalValKey] = []
    for f in fragments:
        keys, ins = _keys_of(f)
        outputs += keys
        inputs.update(dict.fromkeys(ins))
        for op_key in operations_below(keys):
            definitions[op_key] = Definition(op_key.op, op_key.inputs, op_key.sizes, op_key.results())
    return ResolvedView(definitions.values(), inputs, outputs)


def _keys_of(f: Fragment | LinearFragment) -> tuple[list[GlobalValKey], tuple[Input, ...]]:
    if isinstance(f, LinearFragment):
        return [k for k in f.tangent_outputs if k is not None], (*f.view.inputs, *f.tangent_inputs)
    return list(f.output_keys), f.input_keys


def saved_slots(f: Fragment) -> tuple[int, ...]:
    """Values that a backward pass may need and that are kept for it.

    Factors, and masks and indices that are used, must not be computed twice; products are not worth computing twice.
    """
    found: tuple[int, ...] | None = f.cache.get("saved")
    if found is not None:
        return found
    used: set[int] = set()  # what an inexact value is made of, directly or through masks
    for instr in reversed(f.instrs):
        if any(f.types[o].inexact or o in used for o in instr.outs):
            used.update(instr.ins)
    made_once = [instr for instr in f.instrs if not instr.op.unique or instr.op.costly]
    slots = tuple(o for i in made_once for o in i.outs if i.op.n_out > 1 or o in used)
    kept: tuple[int, ...] = f.cache.setdefault(
        "saved", slots
    )  # another thread may have said it first: calls go by that
    return kept


def made_of(f: Fragment, slot: int, other: int) -> bool:
    """Whether a value of a fragment is made of another one."""
    found: list[int] | None = f.cache.get("below")
    if found is None:
        found = [0] * len(f.types)
        for instr in f.instrs:  # operands come before what is made of them
            bits = 0
            for i in instr.ins:
                bits |= found[i] | 1 << i
            for o in instr.outs:
                found[o] = bits
        f.cache["below"] = found
    return bool(found[slot] >> other & 1)


def is_computed_once(f: Fragment) -> bool:
    """Whether a value is in it of which another run may give another one as good (`Op.unique`)."""
    found: bool | None = f.cache.get("once")
    if found is None:
        found = f.cache["once"] = not all(instr.op.unique for instr in f.instrs)
    return found


def view_of(fragment: Fragment, everything: bool = False) -> tuple[ResolvedView, list[GlobalValKey]]:
    """The view of one fragment for a derivative that runs in another call, and the keys of its values.

    Results that may not be computed twice (`Op.unique`) go by `Input(("saved", slot))`: they come from the call. Where
    every value is at hand, all go by `Input(("value", slot))`.
    """
    keys: list[GlobalValKey] = list(fragment.input_keys)
    kind = "value" if everything else "saved"
    saved = {i.first for i in fragment.instrs} if everything else set(saved_slots(fragment))
    definitions = []
    for instr in fragment.instrs:
        ins = tuple(keys[i] for i in instr.ins)
        op_key = GlobalOpKey(instr.op, ins, instr.sizes)
        outs = op_key.results()
        if instr.first in saved:
            outs = tuple(Input((kind, instr.first + s), t) for s, t in enumerate(op_key.types))
        definitions.append(Definition(instr.op, ins, instr.sizes, outs))
        keys.extend(outs)
    return ResolvedView(definitions, fragment.input_keys, [keys[o] for o in fragment.outputs]), keys
