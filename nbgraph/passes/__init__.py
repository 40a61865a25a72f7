"""Passes over SSA programs, in the order in which they run.

Each takes the wanted values as keys and gives equal values, so that interning merges common subexpressions and what
no output needs disappears when the result is materialised.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from nbgraph.keys import GlobalValKey
from nbgraph.passes.expand import expand
from nbgraph.passes.share import share
from nbgraph.passes.simplify import simplify

Pass = Callable[[Sequence[GlobalValKey]], list[GlobalValKey]]

#: For every program, interpreted or compiled.
COMMON: tuple[Pass, ...] = (simplify, share)
#: Before code is generated.
LOWERING: tuple[Pass, ...] = (expand, simplify)
