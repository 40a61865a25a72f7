"""What only moves memory: a x + y of 10^7 numbers, and the permutations of `../shared/data/einsum`, against a copy."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from functools import partial
from typing import Any

from bench.cases import Case, normal
from bench.cases.networks import FOLDER

#: a x + y moves three numbers where a copy moves two; 85 % of its bandwidth.
STREAM = 1 / 0.85


def cases() -> Iterator[Case]:
    functions = {"nbgraph": _axpy, "copy": lambda xp: lambda a, x, y: x.copy()}
    yield Case("memory/axpy", STREAM, partial(normal, (), (10**7,), (10**7,)), functions, scale=1.5)
    file = FOLDER / "permutation_patterns.json"
    patterns = json.loads(file.read_text())["patterns"] if file.exists() else []
    for p in patterns:
        # Column-major patterns, read with every order reversed: row-major.
        rank = len(p["shape"])
        axes = tuple(rank - 1 - axis for axis in reversed(p["perm"]))
        source = tuple(reversed(_source_shape(p)))
        functions = {"nbgraph": partial(_permute, axes), "torch": partial(_torch_permute, axes), "copy": _copy}
        yield Case(f"memory/permute/{p['id']}", 1.5, partial(normal, source), functions)


def _source_shape(pattern: dict[str, Any]) -> list[int]:
    """The source's sizes in its own memory order: destination axis k is source axis perm[k]."""
    shape = pattern["shape"]
    if math.prod(shape) > 2**26:  # 2 GiB of source and as much of result: half of it says the same
        shape = [max(d // 2, 1) if k < 3 else d for k, d in enumerate(shape)]
    return shape


def _axpy(xp: Any) -> Any:
    return lambda a, x, y: a * x + y


def _copy(xp: Any) -> Any:
    return lambda x: x.copy()


def _permute(axes: tuple[int, ...], xp: Any) -> Any:
    return lambda x: xp.transpose(x, axes)


def _torch_permute(axes: tuple[int, ...], xp: Any) -> Any:
    return lambda x: x.permute(axes).contiguous()
