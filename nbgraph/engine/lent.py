"""Machine code at hand for a call whose program has none.

In: a program that adds some results of a call to totals, and those totals by slot. Out: another program of the fragment
that has been compiled and gives the same results.
Holds: which results of a derived call go into totals differs at the ends of loops, and a program for each set would be
compiled for a handful of calls. These are run by what was compiled for others: it stores what it does not add, which is
added afterwards, and what it adds and nobody wants goes nowhere. A program that is asked for often is compiled.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np

from nbgraph.ssa import Program

Array = np.ndarray[Any, Any]
#: So many calls of a program are run by another one's code.
SELDOM = 256


def code_at_hand(engine: Any, program: Program, slots: frozenset[int], summed: Collection[int]) -> Program | None:
    """A compiled program that can take the place of one that is not; None where there is none, or it is asked often.
    `slots` are the results that are wanted, those of `summed` in totals."""
    codes, lent = engine.native.codes, engine.native.lent
    if program in codes or engine.jit == "never" or lent[program] >= SELDOM:
        return None
    for other in program.fragment.cache.get("programs", ()):
        added = {*other.summed}.difference(summed)
        if other in codes and slots <= other.position.keys() and slots.isdisjoint(added):
            lent[program] += 1
            return other
    return None


def add_rest(program: Program, outs: Sequence[Array], totals: Mapping[int, Array]) -> None:
    """Adds to totals what a program has stored."""
    for slot in totals.keys() - {*program.summed}:
        np.add(totals[slot], outs[program.position[slot]], out=totals[slot])
