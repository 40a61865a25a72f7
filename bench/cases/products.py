"""Products of square float64 matrices and their gradients; batches of small ones."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

from bench.cases import Case, normal

LIBRARIES = ("nbgraph", "numpy", "torch")


def cases() -> Iterator[Case]:
    functions = dict.fromkeys(LIBRARIES, _product)
    for n in (8, 16, 64, 256, 1024):
        target = 0.6 if n <= 16 else 1.05
        yield Case(f"products/{n}", target, partial(normal, (n, n), (n, n)), functions)
        yield Case(f"products/{n}/gradient", target, partial(normal, *[(n, n)] * 3), _with_gradient(functions), (0, 1))
    for count, n in ((32, 64), (32, 128), (1000, 8)):
        target = 0.6 if n == 8 else 1.0
        shape = (count, n, n)
        yield Case(f"products/{count}x{n}", target, partial(normal, shape, shape), functions)
        data = partial(normal, shape, shape, shape)
        yield Case(f"products/{count}x{n}/gradient", target, data, _with_gradient(functions), (0, 1))


def _product(xp: Any) -> Any:
    return xp.matmul


def _with_gradient(functions: dict[str, Any]) -> dict[str, Any]:
    return functions | {"numpy": _by_hand}


def _by_hand(xp: Any) -> Any:
    """The product and its two gradients in NumPy, given the cotangent: it has no derivatives."""
    return lambda x, y, ct: (x @ y, ct @ y.mT, x.mT @ ct)
