"""HIPS autograd: the plain loop in NumPy under a tape."""

from __future__ import annotations

from typing import Any

from bench.peers import missing


def available() -> str | None:
    return missing("autograd", "autograd.numpy")


def make(n: int, K: int, data: Any) -> Any:
    import autograd.numpy as anp
    from autograd import value_and_grad
    from autograd.extend import Box

    def norm(v: Any) -> Any:
        return anp.sqrt(anp.dot(v, v))

    def value(z: Any) -> float:
        while isinstance(z, Box):
            z = z._value
        return float(z)

    def loss(a: Any) -> Any:
        x = data.x
        for _ in range(K):
            y = anp.dot(a, x)
            new = y / norm(y)
            delta = norm(new - x)
            x = new
            if value(delta) < data.tol:
                break
        return anp.dot(x, anp.dot(a, x))

    both = value_and_grad(loss)
    return lambda: both(data.a)
