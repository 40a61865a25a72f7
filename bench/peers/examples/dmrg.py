"""The open Heisenberg chain by two-site DMRG, and its gradient by every coupling."""

from __future__ import annotations

from typing import Any

SIZE = "N = 10, chi = 32"
N, CHI, SWEEPS = 10, 32, 10


def nbgraph(engine: Any) -> Any:
    import nbgraph as nbg
    from nbgraph.examples.dmrg import ground_state

    def run() -> Any:
        ground = ground_state([1.0] * (N - 1), CHI, SWEEPS, engine=engine)
        return list(nbg.eval(ground.E, ground.E.grad(ground.J), engine=engine))

    return run
