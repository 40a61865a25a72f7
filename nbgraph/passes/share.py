"""Sharing: an operation that gives a part of what another one in the program gives anyway is left out (`Op.part`).

Singular values where the vectors are made, too, are those of that decomposition.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from nbgraph.keys import GlobalValKey, operations_below
from nbgraph.op import Op
from nbgraph.passes.rewrite import rewrite


def share(outputs: Sequence[GlobalValKey]) -> list[GlobalValKey]:
    """Equal values; a program without such operations as it is."""
    present = operations_below(outputs)
    if all(type(k.op).part is Op.part for k in present):
        return list(outputs)
    made = set(present)

    def hook(b: Any, op: Op, ins: Any, sizes: Any) -> Any:
        results = op.part(b, ins, sizes)
        return results[0][results[1]] if results is not None and results[0][0].op_key in made else None

    return rewrite(outputs, hook)
