"""Expansion: operations without code of their own become ones that have (`Op.expand`: contract, mean, ...)."""

from __future__ import annotations

from collections.abc import Sequence

from nbgraph.keys import GlobalValKey
from nbgraph.passes.rewrite import rewrite


def expand(outputs: Sequence[GlobalValKey]) -> list[GlobalValKey]:
    """Equal values made of elementwise operations, reductions, views, assemblies, sources and kernels."""
    return rewrite(outputs, lambda b, op, ins, sizes: op.expand(b, ins, sizes))
