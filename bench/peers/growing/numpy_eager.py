"""NumPy: every operation at once."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from bench.peers.growing import sweep

NOTE = "nothing is compiled"


def available() -> str | None:
    return None


def split(x: Any, chi: int, right: bool) -> tuple[Any, Any]:
    """The tensors of two sites; the centre is the right one, or the left one."""
    U, S, V = sweep.factors(np, x)
    rank = min(chi, int(np.sum(S / S[0] > sweep.SMALLEST)))
    a, s, t, b = x.shape
    left, weights, other = U[:, :rank], S[:rank], V[:rank]
    left, other = (left, weights[:, None] * other) if right else (left * weights, other)
    return left.reshape(a, s, rank), other.reshape(rank, t, b)


def make(n: int, K: int, data: Any) -> Any:
    names = ("solve", "grow_left", "grow_right")
    solve, *grow = (partial(getattr(sweep, name), np, sweep.W) for name in names)
    parts = sweep.Parts(solve, split, *grow)

    def run() -> tuple[float, Any]:
        energies = sweep.run(parts, data(K), np.asarray)
        return energies[-1], np.array(energies)

    return run
