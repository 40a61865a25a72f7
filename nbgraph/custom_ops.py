"""Functions with derivative rules of the user's, as operations.

In: a `Rule`: a function and its rule, each traced to a fragment. Out: `Custom`, an operation like any other, which
recording, sealing, loops and `nbg.jit` know nothing about; before anything runs it becomes what it is made of.
Holds: it is structure alone: another function with the same operations is the same operation. Whatever a traced
function uses besides its arguments (numbers, arrays, captured tensors) is a further operand, shared by all fragments
of a family. Rules are differentiated as what they are made of; the function itself always by its rule, at every order.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from nbgraph.errors import DifferentiationError
from nbgraph.fragment import Fragment, size_at
from nbgraph.keys import GlobalOpKey, GlobalValKey, Input, operations_below
from nbgraph.linearize import push_forward
from nbgraph.op import Op, Sizes
from nbgraph.resolve import Definition, LinearFragment
from nbgraph.transpose import pull_back
from nbgraph.types import Shape, TensorType

Keys = list[GlobalValKey]


class Rule(NamedTuple):
    """A function and its rule.

    `primal` takes `n_args` arguments, then the family's further operands; its outputs are the results, then what the
    rule was left (residuals), then factors that may not be computed twice. `derivative` takes the same, then: tangents
    of the inexact arguments; or, if the rule is in `reverse`, the first `n_kept` outputs of `primal` (all but the
    factors) and the cotangents of the inexact results. `slots` says which
    of its outputs is the tangent of each result (the cotangent of each argument); None is an exact zero.
    """

    name: str
    reverse: bool
    n_args: int
    n_results: int
    n_kept: int
    primal: Fragment
    derivative: Fragment
    slots: tuple[int | None, ...]


Family = tuple[Rule, ...]


def custom(index: int, family: Family) -> Custom:
    """The operation of one of a family of functions whose rules call each other."""
    made: Custom = Custom(index, family, *_traits(family[index].primal))
    return made


def again(index: int, primal: Fragment) -> Again:
    """A call of one of the family in its own rules."""
    made: Again = Again(index, primal, *_traits(primal))
    return made


def _traits(f: Fragment) -> tuple[int, bool, bool, bool]:
    ops = [i.op for i in f.instrs]
    return len(f.outputs), all(o.unique for o in ops), any(o.costly for o in ops), any(o.fallible for o in ops)


class _Traced(Op):
    """An operation whose results are outputs of a fragment."""

    primal: Fragment

    def infer(self, cx: Sizes, ins: Sequence[TensorType], sizes: Shape) -> Any:
        return _one_or_all(result_types(self.primal, cx, ins, sizes))


def result_types(f: Fragment, cx: Sizes, ins: Sequence[TensorType], words: Shape) -> tuple[TensorType, ...]:
    """The types of a fragment's outputs, by the shape rules of its operations."""
    env = environment_of(ins, words)
    types = list(ins)
    for instr in f.instrs:
        t = instr.op.infer(cx, [types[i] for i in instr.ins], tuple(size_at(s, env) for s in instr.sizes))
        types.extend(t if isinstance(t, tuple) else (t,))
    return tuple(types[o] for o in f.outputs)


class Again(_Traced):
    """A call of one of a family inside of the family's own fragments. Exists only there."""

    params = ("index", "primal", "n_out", "unique", "costly", "fallible")
    index: int

    def linearize(self, b: Any, ins: Any, outs: Any, tangents: Any, sizes: Shape) -> Any:
        raise DifferentiationError("a rule differentiates the function that it is the rule of", operation="custom rule")


class Custom(_Traced):
    """A function with a rule; see the module. Its sizes: words of `primal`, then of every rule of the family."""

    params = ("index", "family", "n_out", "unique", "costly", "fallible")
    index: int
    family: Family

    @property
    def rule(self) -> Rule:
        return self.family[self.index]

    @property
    def primal(self) -> Fragment:  # type: ignore[override]
        return self.rule.primal

    def __repr__(self) -> str:
        return f"custom[{self.rule.name}]"

    # -- its fragments ------------------------------------------------------------------------------------------------

    def inline(
        self, f: Fragment, inputs: Sequence[GlobalValKey], words: Shape, sizes: Shape, given: Mapping[int, Any]
    ) -> tuple[Keys, list[Definition]]:
        """The keys of all values of a fragment of the family, those of `given` as they are, and how they are made."""
        env = environment_of([k.type for k in inputs], words)
        keys, made = list(inputs), []
        for instr in f.instrs:
            own = tuple(size_at(s, env) for s in instr.sizes)
            op, own = self.resolved(instr.op, own, sizes)
            op_key = GlobalOpKey(op, tuple(keys[i] for i in instr.ins), own)
            outs = tuple(given.get(o, k) for o, k in zip(instr.outs, op_key.results(), strict=True))
            made.append(Definition(op, op_key.inputs, own, outs))
            keys.extend(outs)
        return keys, made

    def resolved(self, op: Op, own: Shape, sizes: Shape) -> tuple[Op, Shape]:
        """An operation of a fragment of the family, outside of it."""
        if type(op) is not Again:
            return op, own
        return custom(op.index, self.family), (*own, *sizes[self.primal.n_words :])

    def words_of_rule(self, sizes: Shape) -> Shape:
        """The words of its derivative, among its sizes."""
        start = self.primal.n_words + sum(r.derivative.n_words for r in self.family[: self.index])
        return sizes[start : start + self.rule.derivative.n_words]

    # -- values -------------------------------------------------------------------------------------------------------

    def reference(self, ins: Sequence[Any], sizes: Shape) -> Any:
        f = self.primal
        env = environment_of([_Shaped(np.shape(x)) for x in ins], sizes)
        values = list(ins)
        for instr in f.instrs:
            own: Any = tuple(size_at(s, env) for s in instr.sizes)
            op, own = self.resolved(instr.op, own, sizes)
            result = op.reference([values[i] for i in instr.ins], own)
            values.extend(result if isinstance(result, tuple) else (result,))
        found = tuple(values[o] for o in f.outputs)
        return found if len(found) != 1 else found[0]

    def simplify(self, b: Any, ins: Any, sizes: Shape) -> Any:
        keys = self._plain(self.primal, ins, sizes, sizes)
        return _one_or_all([keys[o] for o in self.primal.outputs])

    def _plain(self, f: Fragment, inputs: Sequence[GlobalValKey], words: Shape, sizes: Shape) -> Keys:
        """The keys of a fragment's values, functions with rules inside of it taken apart as well."""
        env = environment_of([k.type for k in inputs], words)
        keys = list(inputs)
        for instr in f.instrs:
            op, own = self.resolved(instr.op, tuple(size_at(s, env) for s in instr.sizes), sizes)
            ins = tuple(keys[i] for i in instr.ins)
            if isinstance(op, (Custom, CustomPullback, CustomLinear)):
                keys.extend(_as_tuple(op.simplify(_rules(), ins, own)))
            else:
                keys.extend(GlobalOpKey(op, ins, own).results())
        return keys

    # -- derivatives --------------------------------------------------------------------------------------------------

    def linearize(self, b: Any, ins: Any, outs: Any, tangents: Any, sizes: Shape) -> Any:
        rule = self.rule
        if any(t is not None for t in tangents[rule.n_args :]):
            raise DifferentiationError(
                "there is no derivative by a tensor that the function reads from outside",
                operation=f"custom rule of {rule.name}",
                hint="make it an argument of the function, and of its rule",
            )
        if rule.reverse:
            mask = tuple(k for k in range(rule.n_args) if tangents[k] is not None)
            op = CustomLinear(self, mask, self.n_out)
            made = _as_tuple(b.emit(op, *ins, *outs, *(tangents[k] for k in mask), sizes=sizes))
            found = [t if o.type.inexact else None for o, t in zip(outs, made, strict=True)]
        else:
            found = self._tangents(ins, tangents, sizes)
        return _one_or_all(found)

    def _tangents(self, ins: Any, tangents: Any, sizes: Shape) -> list[Any]:
        """What the rule says, as operations linear in the tangents."""
        rule = self.rule
        inexact = [k for k in range(rule.n_args) if ins[k].type.inexact]
        formals = [Input(("tangent of rule", k), ins[k].type, True) for k in inexact]
        words = self.words_of_rule(sizes)
        keys, made = self.inline(rule.derivative, [*ins, *formals], words, sizes, {})
        moved: dict[Any, Any] = {
            f: tangents[k] for f, k in zip(formals, inexact, strict=True) if tangents[k] is not None
        }
        push_forward(made, moved)
        found = [None if s is None else moved.get(keys[rule.derivative.outputs[s]]) for s in rule.slots]
        if _uses(found, formals):
            raise DifferentiationError(
                "the rule is not linear in its tangents",
                operation=f"custom_jvp of {rule.name}",
                hint="a tangent may be multiplied by values and added to other tangents, nothing else",
            )
        return found


class CustomLinear(Op):
    """The tangents of a function whose rule is for reverse mode: they are only there to be pulled back.

    Operands: those of the function, its results, the tangents of the arguments `mask`.
    """

    params = ("function", "mask", "n_out")
    direction = "linear"
    function: Custom
    mask: tuple[int, ...]

    def infer(self, cx: Sizes, ins: Sequence[TensorType], sizes: Shape) -> Any:
        return self.function.infer(cx, ins[: len(self.function.primal.inputs)], sizes)

    def _split(self, ins: Sequence[Any]) -> tuple[Any, Any, Any]:
        n = len(self.function.primal.inputs)
        return ins[:n], ins[n : n + self.n_out], ins[n + self.n_out :]

    def transpose(self, b: Any, ct: Any, ins: Any, active: Sequence[bool], sizes: Shape) -> Any:
        f, rule, cts = self.function, self.function.rule, _as_tuple(ct)
        operands, outs, tangents = self._split(ins)
        found: dict[int, Any] = {}
        of_results = [c for c, o in zip(cts[: rule.n_results], outs, strict=False) if o.type.inexact]
        mask = tuple(k for k in self.mask if rule.slots[k] is not None)
        if mask and any(c is not None for c in of_results):
            types = [o.type for o in outs[: rule.n_results] if o.type.inexact]
            given = [b.zeros(t) if c is None else c for c, t in zip(of_results, types, strict=True)]
            made = b.emit(CustomPullback(f, mask, len(mask)), *operands, *outs[: rule.n_kept], *given, sizes=sizes)
            found.update(zip(mask, _as_tuple(made), strict=True))
        if any(c is not None for c in cts[rule.n_results :]):
            formals, linear = self._residuals(operands, outs, sizes)
            given_by = dict(zip(linear, cts[rule.n_results :], strict=True))
            for k, c in zip(self.mask, _pulled(given_by, formals), strict=True):
                found[k] = b.add(found.get(k), c)
        return (*[None] * (len(ins) - len(tangents)), *(found.get(k) for k in self.mask))

    def _residuals(self, operands: Any, outs: Any, sizes: Shape) -> tuple[list[Input], list[Any]]:
        """The tangents of the outputs that are not results, from new inputs in the place of tangents."""
        f, primal = self.function, self.function.primal
        formals = [Input(("tangent of function", k), operands[k].type, True) for k in self.mask]
        moved: dict[Any, Any] = {operands[k]: t for k, t in zip(self.mask, formals, strict=True)}
        given = {o: key for o, key in zip(primal.outputs, outs, strict=True) if o >= len(operands)}
        _, made = f.inline(primal, operands, sizes, sizes, given)
        push_forward(made, moved)
        return formals, [moved.get(k) for k in outs[f.rule.n_results :]]

    def simplify(self, b: Any, ins: Any, sizes: Shape) -> Any:
        return _one_or_all(
            [b.zeros(t) if k is None else k for k, t in zip(self._forward(ins, sizes), self._types(ins), strict=True)]
        )

    def linearize(self, b: Any, ins: Any, outs: Any, tangents: Any, sizes: Shape) -> Any:
        return _one_or_all(_pushed(self._forward(ins, sizes), ins, tangents))

    def _types(self, ins: Any) -> list[TensorType]:
        return [o.type for o in self._split(ins)[1]]

    def _forward(self, ins: Any, sizes: Shape) -> list[Any]:
        """The tangents of results: the rule, linear in cotangents, transposed again; for derivatives of gradients."""
        f, rule = self.function, self.function.rule
        operands, outs, tangents = self._split(ins)
        results = [o for o in outs[: rule.n_results] if o.type.inexact]
        at = [Input(("cotangent of rule", k), o.type) for k, o in enumerate(results)]
        along = [Input(("change of cotangent", k), o.type, True) for k, o in enumerate(results)]
        words = f.words_of_rule(sizes)
        keys, made = f.inline(rule.derivative, [*operands, *outs[: rule.n_kept], *at], words, sizes, {})
        moved: dict[Any, Any] = dict(zip(at, along, strict=True))
        push_forward(made, moved)
        given: dict[Any, Any] = {}
        for k, t in zip(self.mask, tangents, strict=True):
            slot = rule.slots[k]
            out = None if slot is None else moved.get(keys[rule.derivative.outputs[slot]])
            if out is not None:
                given[out] = _rules().add(given.get(out), t)
        found = iter(_pulled(given, along))
        tangents_of = [next(found) if o.type.inexact else None for o in outs[: rule.n_results]]
        if _uses(tangents_of, at):
            raise DifferentiationError(
                "forward mode of a rule for reverse mode that is not linear in its cotangents",
                operation=f"custom_vjp of {rule.name}",
                hint="differentiate the gradient in reverse mode: nbg.jacrev(nbg.grad(f))",
            )
        formals, linear = self._residuals(operands, outs, sizes)
        moved = dict(zip(formals, tangents, strict=True))
        return [*tangents_of, *_substituted(linear, formals, moved)]


class CustomPullback(Op):
    """The rule for reverse mode: cotangents of the arguments `mask`.

    Operands: those of the function, its results and residuals, the cotangents of its inexact results.
    """

    params = ("function", "mask", "n_out")
    direction = "pullback"
    function: Custom
    mask: tuple[int, ...]

    def infer(self, cx: Sizes, ins: Sequence[TensorType], sizes: Shape) -> Any:
        return _one_or_all([ins[k] for k in self.mask])

    def _keys(self, ins: Any, sizes: Shape, plain: bool) -> tuple[list[Any], list[Definition]]:
        f, rule = self.function, self.function.rule
        words = f.words_of_rule(sizes)
        made: list[Definition] = []
        if plain:
            keys = f._plain(rule.derivative, ins, words, sizes)
        else:
            keys, made = f.inline(rule.derivative, ins, words, sizes, {})
        slots: Any = [rule.slots[k] for k in self.mask]
        return [keys[rule.derivative.outputs[s]] for s in slots], made

    def reference(self, ins: Sequence[Any], sizes: Shape) -> Any:
        raise TypeError("a rule is taken apart before it runs")

    def simplify(self, b: Any, ins: Any, sizes: Shape) -> Any:
        return _one_or_all(self._keys(ins, sizes, True)[0])

    def linearize(self, b: Any, ins: Any, outs: Any, tangents: Any, sizes: Shape) -> Any:
        keys, made = self._keys(ins, sizes, False)
        moved = {k: t for k, t in zip(ins, tangents, strict=True) if t is not None}
        push_forward(made, moved)
        return _one_or_all([moved.get(k) for k in keys])


# Named afterwards, since they are not for the registry: nobody makes them by name.
Again.name, Custom.name, CustomLinear.name, CustomPullback.name = "again", "custom", "custom_linear", "custom_pullback"

# -- keys -------------------------------------------------------------------------------------------------------------


class _Shaped(NamedTuple):
    shape: tuple[int, ...]


def environment_of(types: Iterable[Any], words: Shape) -> dict[Any, Any]:
    """What the size symbols of a fragment stand for, at inputs of these types."""
    env: dict[Any, Any] = {("w", k): w for k, w in enumerate(words)}
    for i, t in enumerate(types):
        env.update({("d", i, axis): d for axis, d in enumerate(t.shape)})
    return env


def _rules() -> Any:
    from nbgraph.rules import BUILDER

    return BUILDER


def _as_tuple(value: Any) -> tuple[Any, ...]:
    return value if isinstance(value, tuple) else (value,)


def _one_or_all(values: Sequence[Any]) -> Any:
    return values[0] if len(values) == 1 else tuple(values)


def _pushed(outs: Sequence[Any], ins: Sequence[Any], tangents: Sequence[Any]) -> list[Any]:
    """The tangents of keys that are made of others."""
    moved = {k: t for k, t in zip(ins, tangents, strict=True) if t is not None}
    below = operations_below([k for k in outs if k is not None], ins)
    push_forward([Definition(o.op, o.inputs, o.sizes, o.results()) for o in below], moved)
    return [None if k is None else moved.get(k) for k in outs]


def _pulled(cts: Mapping[Any, Any], formals: Sequence[Input]) -> list[Any]:
    """The cotangents of inputs from those of keys that are linear in them."""
    given = {k: c for k, c in cts.items() if k is not None and c is not None}
    pull_back(LinearFragment(None, formals, list(given)), given)  # type: ignore[arg-type]
    return [given.get(f) for f in formals]


def _substituted(keys: Sequence[Any], formals: Sequence[Input], by: Mapping[Any, Any]) -> list[Any]:
    """Keys linear in inputs, with others in their place: the derivative in that direction."""
    return _pushed(keys, formals, [by[f] for f in formals])


def _uses(keys: Sequence[Any], inputs: Sequence[Input]) -> bool:
    """Whether keys are made of one of the inputs."""
    wanted = set(map(id, inputs))
    found = [k for k in keys if k is not None]
    below = operations_below(found)
    return any(id(k) in wanted for k in found) or any(id(k) in wanted for o in below for k in o.inputs)


__all__ = [
    "Again",
    "Custom",
    "CustomLinear",
    "CustomPullback",
    "Family",
    "Rule",
    "again",
    "custom",
    "environment_of",
    "result_types",
]
