"""Which size of a matrix is the smaller one, as far as it is known: a guard of the operations that need it.

In: shapes [..., m, n]. Out: whether m and whether n may be more than k = min(m, n), and k.
Holds: of concrete sizes one of both is known not to be, so k is m or n itself; of symbolic ones k may stay min(m, n).
"""

from __future__ import annotations

from typing import Any

from nbgraph.dims import dim_min
from nbgraph.errors import ShapeError
from nbgraph.matrices import check_matrix, order
from nbgraph.op import Sizes
from nbgraph.types import Size, TensorType


def excess(name: str, t: TensorType, given: dict[str, Any]) -> tuple[bool, bool]:
    """Whether m, and whether n, may be more than k: `tall` and `wide` as they are given, or of the type."""
    if "tall" in given:
        return given["tall"], given["wide"]
    check_matrix(name, 0, t)
    m, n = t.shape[-2:]
    k = dim_min(m, n)
    return k != m, k != n


def smaller(cx: Sizes, name: str, t: TensorType, tall: bool, wide: bool) -> Size:
    """k, under the guard."""
    if not tall and not wide:
        return order(cx, name, 0, t)
    check_matrix(name, 0, t)
    m, n = t.shape[-2:]
    k = dim_min(m, n) if tall and wide else n if tall else m
    if isinstance(m, int) and isinstance(n, int) and k != min(m, n):
        wanted = "at least as many rows as columns" if tall else "at least as many columns as rows"
        raise ShapeError("made for other sizes", operation=name, position=0, got=t.shape, wanted=wanted)
    return k
