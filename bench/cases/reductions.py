"""Sum, mean, max, argmax and the Euclidean norm of 10^7 numbers: of all, along rows, along columns."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

from bench.cases import Case, normal

SIDE = 3162
AXES = {"all": None, "rows": 1, "columns": 0}


def cases() -> Iterator[Case]:
    for code in ("f8", "f4"):
        for where, axis in AXES.items():
            for name in ("sum", "mean", "max", "argmax", "norm"):
                if name == "argmax" and axis is None:
                    continue  # of a flat array, which is the case of a row
                functions = {
                    library: partial(_function, library, name, axis) for library in ("nbgraph", "numpy", "torch")
                }
                target = 0.8 if where == "columns" else 1.05
                data = partial(normal, (SIDE, SIDE), code=code)
                yield Case(f"reductions/{name}/{where}/{code}", target, data, functions)


def _function(library: str, name: str, axis: int | None, xp: Any) -> Any:
    if library == "torch":
        if name == "norm":
            return lambda x: xp.linalg.vector_norm(x, dim=axis)
        reduce = {"max": xp.amax}.get(name) or getattr(xp, name)
        return reduce if axis is None else lambda x: reduce(x, dim=axis)
    if name == "norm":
        return lambda x: xp.linalg.norm(x, axis=axis)
    return lambda x: getattr(xp, name)(x, axis=axis)
