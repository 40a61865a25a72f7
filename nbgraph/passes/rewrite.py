"""Rewriting a graph of keys operation by operation, operands first.

In: wanted keys and a hook that gives an equal value for an operation on already rewritten operands, or None.
Out: the rewritten keys. Runs until nothing changes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from nbgraph.keys import GlobalOpKey, GlobalValKey, operations_below
from nbgraph.op import Op
from nbgraph.rules import RuleBuilder
from nbgraph.types import Shape, TypeClass

Hook = Callable[["RewriteBuilder", Op, tuple[GlobalValKey, ...], Shape], Any]
_ROUNDS = 8


class RewriteBuilder(RuleBuilder):
    """The builder handed to `simplify` and `expand`: it can also look at what it is given."""

    #: The type class of the result being rewritten: a replacement must have the same.
    out_class: TypeClass

    def is_literal(self, x: GlobalValKey, value: complex) -> bool:
        """Whether x is the structural constant `value`, possibly broadcast."""
        op_key = getattr(x, "op_key", None)
        while op_key is not None and op_key.op.name == "broadcast_to":
            op_key = getattr(op_key.inputs[0], "op_key", None)
        return op_key is not None and op_key.op.name == "literal" and op_key.op.value == value

    def made_by(self, x: GlobalValKey, name: str) -> GlobalOpKey | None:
        """The operation that gives x, if it is the named one."""
        op_key = getattr(x, "op_key", None)
        return op_key if op_key is not None and op_key.op.name == name else None


def rewrite(outputs: Sequence[GlobalValKey], hook: Hook) -> list[GlobalValKey]:
    """The outputs with `hook` applied everywhere, until a round changes nothing."""
    current = list(outputs)
    for _ in range(_ROUNDS):
        rewritten = _round(current, hook)
        if all(a is b for a, b in zip(rewritten, current, strict=True)):
            break
        current = rewritten
    return current


def _round(outputs: Sequence[GlobalValKey], hook: Hook) -> list[GlobalValKey]:
    new: dict[GlobalValKey, GlobalValKey] = {}
    b = RewriteBuilder()
    for op_key in operations_below(outputs):
        ins = tuple(new.get(k, k) for k in op_key.inputs)
        b.out_class = op_key.types[0].klass
        value = hook(b, op_key.op, ins, op_key.sizes)
        results = GlobalOpKey(op_key.op, ins, op_key.sizes).results() if value is None else _as_tuple(value)
        new.update(zip(op_key.results(), results, strict=True))
    return [new.get(k, k) for k in outputs]


def _as_tuple(value: Any) -> tuple[GlobalValKey, ...]:
    return value if isinstance(value, tuple) else (value,)


__all__ = ["RewriteBuilder", "rewrite"]
