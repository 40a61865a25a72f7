"""JAX, compiled: `lax.scan` over a fixed number of steps, gradient under `jit`."""

from __future__ import annotations

from typing import Any

from bench.peers.power.jax_common import available, runner, step

NOTE = "fixed K, no data-dependent stop (`while_loop` has no reverse mode); another K compiles again"


def make(n: int, K: int, data: Any) -> Any:
    import jax

    def loss(a: Any, x0: Any) -> Any:
        x, deltas = jax.lax.scan(lambda x, _: step(a, x), x0, None, length=K)
        return x @ (a @ x), deltas

    return runner(jax.jit(jax.value_and_grad(loss, has_aux=True)), data)


__all__ = ["NOTE", "available", "make"]
