"""What functions of matrices do with their operands first.

In: anything array-like. Out: tensors of one inexact dtype, matrices in the last two axes, with the same batch
dimensions. Raises `ShapeError` naming the function where there are no matrices.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from nbgraph import api
from nbgraph.errors import ShapeError
from nbgraph.promote import common, operand, to_inexact

if TYPE_CHECKING:
    from nbgraph.tensor import TracedTensor


def matrix(name: str, a: Any, position: int = 0) -> TracedTensor:
    """One stack of matrices."""
    x = to_inexact(operand(a))
    _check_rank(name, position, x, 2)
    return x


def square(name: str, a: Any, position: int = 0) -> TracedTensor:
    """One stack of square matrices."""
    x = matrix(name, a, position)
    n, m = x.type.shape[-2:]
    if isinstance(n, int) and isinstance(m, int) and n != m:
        raise ShapeError("sizes differ", operation=name, position=position, got=x.type.shape, wanted="a square matrix")
    return x


def vector(name: str, v: Any, position: int = 0) -> TracedTensor:
    """One vector whose size is a number other than 0."""
    x = operand(v)
    if x.type.ndim != 1 or not isinstance(x.type.shape[0], int) or x.type.shape[0] == 0:
        wanted = "a vector of known size, not empty"
        raise ShapeError("wrong shape", operation=name, position=position, got=x.type.shape, wanted=wanted)
    return x


def system(name: str, a: Any, b: Any) -> tuple[TracedTensor, TracedTensor, bool]:
    """a[..., n, n] and b[..., n, k] with equal batch dimensions, and whether b was one vector [n]."""
    a, b = (to_inexact(x) for x in common(a, b))
    is_vector = b.type.ndim == 1
    if is_vector:
        b = api.expand_dims(b, 1)
    for position, x in enumerate((a, b)):
        _check_rank(name, position, x, 2)
    a, b = stacked(a, b)
    return a, b, is_vector


def stacked(*xs: TracedTensor, ranks: tuple[int, ...] = ()) -> list[TracedTensor]:
    """Operands with their batch dimensions broadcast; `ranks` says how many dimensions each has beside (default: 2)."""
    ranks = ranks or (2,) * len(xs)
    batches = [x.type.shape[: x.type.ndim - rank] for x, rank in zip(xs, ranks, strict=True)]
    batch = api.broadcast_shapes(*batches)
    return [
        x if own == batch else api.broadcast_to(x, (*batch, *x.type.shape[len(own) :]))
        for x, own in zip(xs, batches, strict=True)
    ]


def identity_like(a: TracedTensor) -> TracedTensor:
    """The identity in place of each matrix."""
    *_, n, m = a.type.shape
    return api.broadcast_to(api.eye(n, m, dtype=a.dtype), a.type.shape)


def lower(a: TracedTensor, diagonal: bool = False) -> TracedTensor:
    """The lower triangles; without their diagonal unless `diagonal`."""
    row, column = _places(a)
    return api.where(column <= row if diagonal else column < row, a, 0)


def upper(a: TracedTensor) -> TracedTensor:
    """The upper triangles, with their diagonal."""
    row, column = _places(a)
    return api.where(column >= row, a, 0)


def _places(a: TracedTensor) -> tuple[TracedTensor, TracedTensor]:
    m, n = a.type.shape[-2:]
    return api.expand_dims(api.arange(m), 1), api.arange(n)


def _check_rank(name: str, position: int, x: TracedTensor, least: int) -> None:
    if x.type.ndim < least:
        told: Any = {"got": x.type.shape, "wanted": f"at least {least} dimensions"}
        raise ShapeError("wrong rank", operation=name, position=position, **told)
