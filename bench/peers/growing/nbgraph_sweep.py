"""nbgraph: plain functions, or jitted as JAX's are; the rank is a tensor."""

from __future__ import annotations

from functools import cache, partial
from typing import Any

import numpy as np

from bench.peers import missing
from bench.peers.growing import sweep

NOTE = "the rank stays in the graph"


def available() -> str | None:
    return missing("nbgraph")


@cache
def engine(jit: str, jitted: bool = False) -> Any:
    """One engine a process, as a program would have."""
    import nbgraph as nbg

    return nbg.Engine(jit=jit)


def make(n: int, K: int, data: Any, jit: str = "auto", jitted: bool = False) -> Any:
    import nbgraph as nbg

    eng, w = engine(jit, jitted), nbg.constant(sweep.W)
    solve, *grow = (partial(getattr(sweep, name), nbg, w) for name in ("solve", "grow_left", "grow_right"))
    factors: Any = partial(sweep.factors, nbg)
    if jitted:
        solve, factors, *grow = map(nbg.jit, (solve, factors, *grow))

    def split(x: Any, chi: int, right: bool) -> tuple[Any, Any]:
        U, S, V = factors(x)
        rank = nbg.minimum((S / S[0] > sweep.SMALLEST).sum(), chi)
        a, s, t, b = x.shape
        left, weights, other = nbg.truncate(U, rank, 1), nbg.truncate(S, rank), nbg.truncate(V, rank)
        left, other = (left, weights[:, None] * other) if right else (left * weights, other)
        made = left.reshape(a, s, -1), other.reshape(-1, t, b)
        nbg.eval(*made, engine=eng)
        return made

    parts = sweep.Parts(solve, split, *grow)

    def run() -> tuple[float, Any]:
        energies = sweep.run(parts, data(K), nbg.constant)
        return energies[-1], np.array(energies)

    return run


def remark(jit: str = "auto", jitted: bool = False) -> str:
    s = engine(jit, jitted).stats()
    return f"{s.compiled} compiled ({s.compile_seconds:.1f} s); calls: {s.hits} compiled, {s.interpreted} interpreted"
