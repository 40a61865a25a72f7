"""JAX, compiled: the Python loop under `jit`, which unrolls it."""

from __future__ import annotations

from typing import Any

from bench.peers.power.jax_common import available, runner, step

NOTE = "fixed K, no data-dependent stop; compile time grows with K, so only K <= 100 unless --no-limits"


def limit(n: int, K: int) -> str | None:
    return "compile time grows with K" if K > 100 else None


def make(n: int, K: int, data: Any) -> Any:
    import jax
    import jax.numpy as jnp

    def loss(a: Any, x: Any) -> Any:
        deltas = []
        for _ in range(K):
            x, delta = step(a, x)
            deltas.append(delta)
        return x @ (a @ x), jnp.stack(deltas)

    return runner(jax.jit(jax.value_and_grad(loss, has_aux=True)), data)


__all__ = ["NOTE", "available", "limit", "make"]
