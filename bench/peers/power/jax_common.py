"""What the JAX implementations share: 64-bit types, and one step."""

from __future__ import annotations

from typing import Any

from bench.peers import missing


def available() -> str | None:
    reason = missing("jax", "jax.numpy")
    if reason is None:
        import jax

        jax.config.update("jax_enable_x64", True)
    return reason


def step(a: Any, x: Any) -> tuple[Any, Any]:
    """The next vector and how far it moved."""
    import jax.numpy as jnp

    y = a @ x
    new = y / jnp.linalg.norm(y)
    return new, jnp.linalg.norm(new - x)


def runner(value_and_grad: Any, data: Any) -> Any:
    """A run from `value_and_grad(a, x) -> ((loss, deltas), gradient)`; the deltas are checked after the fact."""
    import jax
    import numpy as np

    def run() -> tuple[float, Any]:
        (loss, deltas), gradient = jax.device_get(value_and_grad(data.a, data.x))
        if (deltas < data.tol).any():
            raise RuntimeError("converged before the last step")
        return float(loss), np.asarray(gradient)

    return run
