"""The contraction instances of `../shared/data/einsum`, by their two paths, random operands.

torch and JAX contract pair by pair along the same path, as `opt_einsum` tells them to; JAX jitted.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

from bench.cases import Case

FOLDER = Path(__file__).resolve().parents[2].parent / "shared" / "data" / "einsum"


def cases() -> Iterator[Case]:
    for file in sorted(FOLDER.glob("*.json")):
        instance = json.loads(file.read_text())
        for name, path in instance.get("paths", {}).items():
            functions = {
                library: partial(_function, library, instance, path) for library in ("nbgraph", "torch", "jax")
            }
            yield Case(f"networks/{instance['name']}/{name}", 0.45, partial(_operands, instance), functions)


def _operands(instance: dict[str, Any]) -> list[Any]:
    """Normal numbers over the square root of the number summed, so that results are neither huge nor tiny."""
    import numpy as np

    rng = np.random.default_rng(1)
    code = {"complex128": "c16"}.get(instance["dtype"], "f8")
    made = []
    for shape in instance["shapes"]:
        x = rng.standard_normal(shape) + (1j * rng.standard_normal(shape) if code == "c16" else 0)
        made.append((x / np.sqrt(max(x.size, 1)) * np.sqrt(max(shape, default=1))).astype(code))
    return made


def _function(library: str, instance: dict[str, Any], path: dict[str, Any], xp: Any) -> Any:
    steps = [tuple(step) for step in path["path"]]
    text = instance["format_string"]
    if library == "nbgraph":
        return lambda *arrays: xp.einsum(text, *arrays, optimize=steps)
    import opt_einsum

    expression = opt_einsum.contract_expression(text, *map(tuple, instance["shapes"]), optimize=steps)
    return lambda *arrays: expression(*arrays)
