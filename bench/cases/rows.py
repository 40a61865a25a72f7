"""Softmax, layer norm and logsumexp along the rows of a 4096 x 1024 float32 matrix, with and without gradients.

Every peer runs its own: torch its fused kernels, JAX what it compiles `jax.nn`'s to.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

from bench.cases import Case, normal

M, N = 4096, 1024
EPSILON = 1e-5


def cases() -> Iterator[Case]:
    whole, row = (M, N), (N,)
    for name, operands, result in (
        ("softmax", [whole], whole),
        ("layer_norm", [whole, row, row], whole),
        ("logsumexp", [whole], (M,)),
    ):
        functions = {library: partial(globals()[f"_{name}"], library) for library in ("nbgraph", "torch", "jax")}
        yield Case(f"rows/{name}", 0.7, partial(normal, *operands, code="f4"), functions)
        data = partial(normal, *operands, result, code="f4")
        yield Case(f"rows/{name}/gradient", 0.7, data, functions, tuple(range(len(operands))))


def _softmax(library: str, xp: Any) -> Any:
    if library == "torch":
        return lambda x: xp.softmax(x, -1)
    return lambda x: xp.nn.softmax(x, axis=-1)


def _logsumexp(library: str, xp: Any) -> Any:
    if library == "torch":
        return lambda x: xp.logsumexp(x, -1)
    return lambda x: xp.nn.logsumexp(x, axis=-1)


def _layer_norm(library: str, xp: Any) -> Any:
    if library == "torch":
        return lambda x, g, b: xp.nn.functional.layer_norm(x, (N,), g, b, EPSILON)
    return lambda x, g, b: xp.nn.standardize(x, axis=-1, epsilon=EPSILON) * g + b
