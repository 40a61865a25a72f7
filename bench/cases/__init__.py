"""What `python -m bench kernels` and `python -m bench linalg` measure: families of cases, a file a family.

A family is a module with `cases() -> iterable of Case`. Nothing heavy is imported before a case is asked for its data
or its functions.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

FAMILIES = ("rows", "reductions", "products", "networks", "memory", "options")


@dataclass(frozen=True)
class Case:
    """One row of the table.

    `functions[library](module)` gives the function of arrays in that library, whose time is compared; `data()` its
    operands, and after them, where `wrt` is not empty, the cotangent of its result: then the result and the gradients
    by the operands `wrt` are computed. The ratio to the best of the others should be `target` or less. `scale`
    multiplies the time of `copy`, for a case whose measure is what it moves.
    """

    name: str
    target: float
    data: Callable[[], list[Any]]
    functions: Mapping[str, Callable[[Any], Callable[..., Any]]]
    wrt: Sequence[int] = ()
    scale: float = 1.0


def every_case(families: Sequence[str] = FAMILIES) -> dict[str, Case]:
    """All cases by name, in the order of the table."""
    modules = (importlib.import_module(f"{__name__}.{family}") for family in families)
    return {case.name: case for module in modules for case in module.cases()}


def normal(*shapes: tuple[int, ...], code: str = "f8", seed: int = 0) -> list[Any]:
    """Arrays of normal numbers, the same for every library."""
    import numpy as np

    rng = np.random.default_rng(seed)
    return [rng.standard_normal(shape).astype(code) for shape in shapes]
