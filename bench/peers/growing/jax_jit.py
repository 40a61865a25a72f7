"""JAX: jitted parts, compiled for every shape; the rank is a static argument."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from bench.peers import missing
from bench.peers.growing import sweep

NOTE = "every shape is compiled; the rank goes through Python"


def available() -> str | None:
    return missing("jax")


def make(n: int, K: int, data: Any) -> Any:
    import jax
    import jax.numpy as jnp

    jax.config.update("jax_enable_x64", True)
    w = jnp.asarray(sweep.W)
    solve, factors, *grow = (
        jax.jit(partial(getattr(sweep, name), jnp, *given))
        for name, given in (("solve", (w,)), ("factors", ()), ("grow_left", (w,)), ("grow_right", (w,)))
    )

    @partial(jax.jit, static_argnums=(4, 5))
    def cut(U: Any, S: Any, V: Any, x: Any, rank: int, right: bool) -> tuple[Any, Any]:
        a, s, t, b = x.shape
        left, weights, other = U[:, :rank], S[:rank], V[:rank]
        left, other = (left, weights[:, None] * other) if right else (left * weights, other)
        return left.reshape(a, s, rank), other.reshape(rank, t, b)

    def split(x: Any, chi: int, right: bool) -> tuple[Any, Any]:
        U, S, V = factors(x)
        values = np.asarray(S)
        rank = min(chi, int(np.sum(values / values[0] > sweep.SMALLEST)))
        made: tuple[Any, Any] = cut(U, S, V, x, rank, right)
        return made

    parts = sweep.Parts(solve, split, *grow)

    def run() -> tuple[float, Any]:
        energies = sweep.run(parts, data(K), jnp.asarray)
        return energies[-1], np.array(energies)

    return run
