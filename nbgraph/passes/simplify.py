"""Algebraic simplification: each operation's own `simplify` rule (x*1, x+0, casts to the same dtype, ...)."""

from __future__ import annotations

from collections.abc import Sequence

from nbgraph.keys import GlobalValKey
from nbgraph.passes.rewrite import rewrite


def simplify(outputs: Sequence[GlobalValKey]) -> list[GlobalValKey]:
    """Equal values with the operations' simplification rules applied."""
    return rewrite(outputs, lambda b, op, ins, sizes: op.simplify(b, ins, sizes))
