"""Derivatives of a fragment, as fragments: made once for each mask and kept on the fragment.

In: a fragment, which outputs have cotangents (or which inputs have tangents), which inputs are differentiated by.
Out: a `Plan`: a fragment that recomputes the forward values it needs from the call's inputs (the inputs are a
checkpoint), and where each of its inputs comes from. Results that may not be computed twice come from the call.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from typing import Any, NamedTuple

from nbgraph.fragment import Fragment, size_at
from nbgraph.keys import GlobalOpKey, GlobalValKey, Input
from nbgraph.linearize import differentiate
from nbgraph.materialize import MaterializedGraph, close, materialize
from nbgraph.resolve import LinearFragment, saved_slots, view_of
from nbgraph.rules import BUILDER
from nbgraph.transpose import transpose
from nbgraph.types import Size
from nbgraph.verify import verify


class Plan(NamedTuple):
    """A derived fragment. `sources` says of each input: ("input", i), ("saved", slot), ("tangent", i),
    ("cotangent", slot) or ("beside", slot), which is added to the cotangent, of the original call; `words` are sizes in
    the original's symbols; `results` maps an input (vjp) or slot (jvp) of the original to a slot of the fragment
    (absent: exactly zero)."""

    fragment: Fragment
    sources: tuple[tuple[str, int], ...]
    words: tuple[Size, ...]
    results: dict[int, int]
    #: Values of `words` at calls seen before, by input types and words.
    known: dict[Any, tuple[Size, ...]]

    def words_at(self, f: Fragment, types: tuple[Any, ...], words: Sequence[Size]) -> tuple[Size, ...]:
        """The words of a derived call of `f` at these input types and words."""
        if not self.words:
            return ()
        found = self.known.get((types, words))
        if found is None:
            env = f.environment(types, words)
            if len(self.known) > 8192:
                self.known.clear()
            found = self.known[types, words] = tuple(size_at(w, env) for w in self.words)
        return found


def vjp_plan(
    f: Fragment,
    slots: tuple[int, ...],
    wrt: tuple[int, ...],
    beside: tuple[int, ...] = (),
    together: tuple[tuple[int, ...], ...] = (),
) -> Plan:
    """Cotangents of the inputs `wrt` from cotangents of `slots`, of which those in `beside` come in two terms. Those of
    inputs that `together` groups are added up, as the cotangent of the first of them.

    A plan that was made for more inputs serves too: what it computes beyond is cheap, another compile is not.
    """
    with f.lock:
        made: list[tuple[frozenset[int], Plan]] = f.cache.setdefault(("vjp", slots, beside, together), [])
        wanted = frozenset(wrt)
        for known, plan in made:
            if wanted <= known:
                return plan
        plan = _make_vjp(f, slots, wrt, beside, together)
        made.append((wanted, plan))
        return plan


def _make_vjp(
    f: Fragment,
    slots: tuple[int, ...],
    wrt: tuple[int, ...],
    beside: tuple[int, ...],
    together: tuple[tuple[int, ...], ...],
) -> Plan:
    view, keys = view_of(f)
    linear = differentiate(view, [keys[s] for s in slots], [keys[i] for i in wrt])
    back = transpose(linear, beside=[slots.index(s) for s in beside])
    cts: dict[int, Any] = dict(zip(wrt, back.tangent_outputs, strict=True))
    for group in together:
        cts[group[0]] = reduce(BUILDER.add, [cts.pop(p) for p in group])
    return _plan(f, back, cts, slots)


def inline_plan(f: Fragment, slot: int, wrt: tuple[int, ...]) -> Plan:
    """Cotangents of the inputs `wrt` from the one of `slot`, with every value of the fragment at hand: an input of the
    plan may be ("value", slot)."""
    with f.lock:
        plan: Plan | None = f.cache.get(("inline", slot, wrt))
        if plan is None:
            view, keys = view_of(f, everything=True)
            back = transpose(differentiate(view, [keys[slot]], [keys[i] for i in wrt]))
            plan = _plan(f, back, dict(zip(wrt, back.tangent_outputs, strict=True)), (slot,))
            f.cache["inline", slot, wrt] = plan
        return plan


def jvp_plan(f: Fragment, wrt: tuple[int, ...], slots: tuple[int, ...]) -> Plan:
    """Tangents of `slots` from tangents of the inputs `wrt`."""
    with f.lock:
        plan = f.cache.get(("jvp", wrt, slots))
        if plan is None:
            view, keys = view_of(f)
            linear = differentiate(view, [keys[s] for s in slots], [keys[i] for i in wrt])
            plan = _plan(f, linear, dict(zip(slots, linear.tangent_outputs, strict=True)), ())
            f.cache["jvp", wrt, slots] = plan
        return plan


def _plan(f: Fragment, linear: LinearFragment, results: dict[int, Any], slots: Sequence[int]) -> Plan:
    """Closes a linear fragment together with the primal operations it uses."""
    kept = {name: key for name, key in results.items() if key is not None}
    outputs = list(dict.fromkeys(kept.values()))
    graph = materialize(outputs, (*f.input_keys, *linear.tangent_inputs))
    fragment, words = close(graph)
    verify(fragment, "derivative")
    # Masks that a derivative rule made are made again at the next order: only the primal's own are saved.
    factors = tuple(o for i in fragment.instrs if i.op.n_out > 1 and not i.op.unique for o in i.outs)
    fragment.cache.setdefault("saved", factors)
    slot_of = dict(zip(outputs, fragment.outputs, strict=True))
    sources = tuple(_source(k, slots) for k in graph.inputs)
    return Plan(fragment, sources, words, {name: slot_of[key] for name, key in kept.items()}, {})


def _source(key: Input, slots: Sequence[int]) -> tuple[str, int]:
    if isinstance(key.id, int):
        return "input", key.id
    name: Any = key.id
    kind, which = name
    return kind, slots[which] if kind in ("cotangent", "beside") else which


class Merged(NamedTuple):
    """A fragment and a derived one as one, sharing the operations they have in common."""

    fragment: Fragment
    words: tuple[Size, ...]
    sources: tuple[tuple[str, int], ...]
    first: dict[int, int]  # slot of the original -> slot
    second: dict[int, int]  # slot of the derived -> slot

    def slot_of(self, slot: int, original: Fragment) -> int:
        """Where the operation that makes a slot of the original is in the merged fragment (-1: nowhere)."""
        op = next(instr.op for instr in original.instrs if slot in instr.outs)
        return next((instr.first for instr in self.fragment.instrs if instr.op is op), -1)


def merge_plan(f: Fragment, slots: tuple[int, ...], plan: Plan) -> Merged:
    """`f` for `slots` and `plan.fragment` in one fragment (`materialize_merge` shares by key)."""
    with f.lock:
        key = ("merge", slots, plan.fragment, plan.sources)  # a tangent and a cotangent may go the same way
        cached = f.cache.get(key)
        if cached is None:
            cached = f.cache[key] = _make_merge(f, slots, plan)
        return cached


def _make_merge(f: Fragment, slots: tuple[int, ...], plan: Plan) -> Merged:
    keys = f.value_keys()
    handed = [_handed_key(keys, f, plan, j) for j in range(len(plan.sources))]
    derived = _instantiate(plan, handed)
    wanted = [keys[s] for s in slots]
    found = {s: derived[s] for s in sorted({*plan.results.values(), *saved_slots(plan.fragment)})}
    outputs = list(dict.fromkeys([*wanted, *found.values()]))
    extra = [k for k in handed if isinstance(k, Input) and not isinstance(k.id, int)]
    graph = materialize(outputs, (*f.input_keys, *extra))
    fragment, words = close(graph)
    slot_of = dict(zip(outputs, fragment.outputs, strict=True))
    return Merged(
        fragment,
        words,
        _sources(graph),
        {s: slot_of[keys[s]] for s in slots},
        {s: slot_of[k] for s, k in found.items()},
    )


def _handed_key(keys: Sequence[GlobalValKey], f: Fragment, plan: Plan, j: int) -> GlobalValKey:
    """What a derived fragment's input j is, in the merged one."""
    kind, which = plan.sources[j]
    if kind in ("input", "saved"):
        return keys[which]
    t = f.inputs[which] if kind == "tangent" else f.types[which]
    return Input((kind, which), t)


def _instantiate(plan: Plan | Piece, inputs: Sequence[GlobalValKey]) -> list[GlobalValKey]:
    """The keys of the derived fragment's values over the original's keys and size symbols."""
    env: dict[Any, Size] = {("w", k): w for k, w in enumerate(plan.words)}
    for i, key in enumerate(inputs):
        env.update({("d", i, axis): d for axis, d in enumerate(key.type.shape)})
    keys = list(inputs)
    for instr in plan.fragment.instrs:
        sizes = tuple(size_at(s, env) for s in instr.sizes)
        keys.extend(GlobalOpKey(instr.op, tuple(keys[i] for i in instr.ins), sizes).results())
    return keys


def recomputed(f: Fragment, plan: Plan) -> dict[int, int]:
    """Which slots of a derived fragment are values of `f` made again, by slot of `f`."""
    key = ("recomputed", plan.fragment, plan.sources)
    found: dict[int, int] | None = f.cache.get(key)
    if found is None:
        keys = f.value_keys()
        derived = _instantiate(plan, [_handed_key(keys, f, plan, j) for j in range(len(plan.sources))])
        found = f.cache[key] = _places(keys, derived, len(f.inputs), len(plan.sources))
    return found


def _places(keys: Sequence[Any], others: Sequence[Any], start: int, first: int) -> dict[int, int]:
    """Where the keys from `start` on are among others, which have them as results of operations from `first` on."""
    given = set(others[:first])
    place = {key: k for k, key in enumerate(others) if k >= first and key not in given}
    return {k: place[keys[k]] for k in range(start, len(keys)) if keys[k] in place}


class Piece(NamedTuple):
    """Part of a fragment that was cut at some of its values: `sources` are ("input", i) or ("value", slot)."""

    fragment: Fragment
    sources: tuple[tuple[str, int], ...]
    words: tuple[Size, ...]
    slots: dict[int, int]  # slot of the original -> slot, for those wanted and those that are saved
    wanted: tuple[int, ...]  # the slots of the original that it was made for: other pieces make the others


def cut_at(f: Fragment, slots: tuple[int, ...], wanted: tuple[int, ...]) -> list[Piece]:
    """Pieces that compute `wanted` with the values `slots` as inputs, and each of `slots` from those before it.

    This is how a derivative by a value in the middle of a call sees what depends on it (DESIGN, rule 1).
    """
    with f.lock:
        cached = f.cache.get(("cut", slots, wanted))
        if cached is None:
            pieces = [_piece(f, slots[:k], (s,)) for k, s in enumerate(slots)]
            rest = tuple(s for s in wanted if s not in slots)
            if rest:
                pieces.append(_piece(f, slots, rest))
            cached = f.cache["cut", slots, wanted] = pieces
        return cached


def slots_within(f: Fragment, piece: Piece) -> dict[int, int]:
    """Which slots of a piece are values of `f`, by slot of `f`."""
    key = ("within", piece.fragment, piece.sources)
    found: dict[int, int] | None = f.cache.get(key)
    if found is None:
        given = tuple([s for kind, s in piece.sources if kind == "value"])
        values, keys = _keys_with(f, given)
        handed = [f.input_keys[k] if kind == "input" else values[k] for kind, k in piece.sources]
        found = f.cache[key] = _places(keys, _instantiate(piece, handed), len(f.inputs), len(handed))
    return found


def _keys_with(f: Fragment, given: tuple[int, ...]) -> tuple[dict[int, Input], list[GlobalValKey]]:
    """The values `given` as inputs, and the keys of all values where these are."""
    keys: list[GlobalValKey] = list(f.input_keys)
    values = {s: Input(("value", s), f.types[s]) for s in given}
    for instr in f.instrs:
        results = GlobalOpKey(instr.op, tuple(keys[i] for i in instr.ins), instr.sizes).results()
        keys.extend(values.get(instr.first + k, r) for k, r in enumerate(results))
    return values, keys


def _piece(f: Fragment, given: tuple[int, ...], wanted: tuple[int, ...]) -> Piece:
    values, keys = _keys_with(f, given)
    made = {k for op_key in materialize([keys[s] for s in wanted]).operations for k in op_key.results()}
    slots = list(dict.fromkeys([*wanted, *(s for s in saved_slots(f) if keys[s] in made)]))
    graph = materialize([keys[s] for s in slots], (*f.input_keys, *values.values()))
    fragment, words = close(graph)
    mine = dict(zip(slots, fragment.outputs, strict=True))
    # What the call does not keep, nor does a piece of it: of a derived call that is less than of others.
    fragment.cache.setdefault("saved", tuple(sorted({mine[s] for s in saved_slots(f) if s in mine})))
    return Piece(fragment, _sources(graph), words, mine, wanted)


def _sources(graph: MaterializedGraph) -> tuple[tuple[str, int], ...]:
    return tuple(("input", k.id) if isinstance(k.id, int) else k.id for k in graph.inputs)  # type: ignore[misc]
