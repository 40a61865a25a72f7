"""JAX, a compiled step in the plain loop: the only way there that stops when the data say so."""

from __future__ import annotations

from typing import Any

from bench.peers.power.jax_common import available, step

NOTE = "one jitted step in a Python loop, so it does stop by the data; only K <= 100 unless --no-limits"


def limit(n: int, K: int) -> str | None:
    return "milliseconds a step" if K > 100 else None


def make(n: int, K: int, data: Any) -> Any:
    import jax
    import numpy as np

    jitted = jax.jit(step)

    def value(z: Any) -> float:
        while isinstance(z, jax.core.Tracer):
            z = z.primal
        return float(z)

    def loss(a: Any, x: Any) -> Any:
        for _ in range(K):
            x, delta = jitted(a, x)
            if value(jax.lax.stop_gradient(delta)) < data.tol:
                break
        return x @ (a @ x)

    both = jax.value_and_grad(loss)

    def run() -> tuple[float, Any]:
        value, gradient = jax.device_get(both(data.a, data.x))
        return float(value), np.asarray(gradient)

    return run


__all__ = ["NOTE", "available", "limit", "make"]
