"""nbgraph: the plain loop, the check by `eval` at every step, `grad` through all of it."""

from __future__ import annotations

from functools import cache
from typing import Any

from bench.peers import missing

NOTE = "stops when the data say so"


def available() -> str | None:
    return missing("nbgraph")


@cache
def engine(jit: str) -> Any:
    """One engine a process, as a program would have."""
    import nbgraph as nbg

    return nbg.Engine(jit=jit)


def make(n: int, K: int, data: Any, jit: str = "auto") -> Any:
    import nbgraph as nbg

    eng = engine(jit)

    def run() -> tuple[float, Any]:
        a, x = nbg.TracedTensor.from_tensor(data.a), nbg.constant(data.x)
        for _ in range(K):
            y = a @ x
            new = y / nbg.linalg.norm(y)
            delta = nbg.linalg.norm(new - x)
            x = new
            if delta.eval(eng) < data.tol:
                break
        loss = x @ (a @ x)
        value, gradient = nbg.eval(loss, loss.grad(a), engine=eng)
        return float(value), gradient

    return run


def remark(jit: str = "auto") -> str:
    s = engine(jit).stats()
    return f"{s.compiled} compiled ({s.compile_seconds:.1f} s); calls: {s.hits} compiled, {s.interpreted} interpreted"
