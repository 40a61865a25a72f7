"""What the families of linear algebra share: checks of stacks of matrices, and products of them in derivative rules.

In: types, or a rule builder and keys of stacks [..., m, n]. Out: sizes, or keys.
Holds: sizes are never looked into, so they may be symbolic.
"""

from __future__ import annotations

import math
from typing import Any

from nbgraph.errors import DtypeError, ShapeError
from nbgraph.kinds import INEXACT
from nbgraph.labels import common_size
from nbgraph.op import Sizes
from nbgraph.types import Shape, Size, TensorType


def check_matrix(name: str, position: int, t: TensorType) -> None:
    """Demands an inexact dtype and two dimensions at least."""
    if t.code not in INEXACT.split():
        wanted = "float32, float64, complex64 or complex128"
        raise DtypeError("unsupported dtype", operation=name, position=position, got=t.dtype, wanted=wanted)
    if t.ndim < 2:
        raise ShapeError("wrong rank", operation=name, position=position, got=t.shape, wanted="at least 2 dimensions")


def order(cx: Sizes, name: str, position: int, t: TensorType) -> Size:
    """n of a stack of n x n matrices."""
    check_matrix(name, position, t)
    n, m = t.shape[-2:]
    return common_size(cx, n, m, operation=name, position=position, got=t.shape, wanted="a square matrix")


def same_code(name: str, position: int, t: TensorType, code: str) -> None:
    """Demands a dtype."""
    if t.code != code:
        raise DtypeError("dtypes differ", operation=name, position=position, got=t.code, wanted=code)


def same_shape(cx: Sizes, name: str, position: int, got: Shape, wanted: Shape) -> Shape:
    """The common shape, of sizes that are equal."""
    if len(got) != len(wanted):
        raise ShapeError("ranks differ", operation=name, position=position, got=got, wanted=wanted)
    told: Any = {"operation": name, "position": position, "got": got, "wanted": wanted}
    return tuple(common_size(cx, d, e, **told) for d, e in zip(got, wanted, strict=True))


def count(shape: Shape) -> Size:
    """How many matrices there are in a stack."""
    return math.prod(shape[:-2])


# -- in rules ---------------------------------------------------------------------------------------------------------


def turned(b: Any, x: Any) -> Any:
    """The transposed matrices."""
    batch = tuple(range(b.type(x).ndim - 2))
    return b.transpose(x, axes=(*batch, len(batch) + 1, len(batch)))


def adjoint(b: Any, x: Any) -> Any:
    """The conjugate transposed matrices."""
    return b.conj(turned(b, x))


def matmul(b: Any, x: Any, y: Any) -> Any:
    """The products of the matrices of two stacks."""
    batch = tuple(range(b.type(x).ndim - 2))
    i, j, k = len(batch), len(batch) + 1, len(batch) + 2
    return b.contract(x, y, a=(*batch, i, j), b=(*batch, j, k), out=(*batch, i, k))


def diagonal(b: Any, x: Any) -> Any:
    """The main diagonals."""
    rank = b.type(x).ndim
    return b.diagonal(x, axis1=rank - 2, axis2=rank - 1)


def trace(b: Any, x: Any) -> Any:
    """The sums of the main diagonals."""
    return b.sum(diagonal(b, x), axes=(b.type(x).ndim - 2,))


def scaled(b: Any, x: Any, factor: Any) -> Any:
    """Matrices times one number each."""
    rank = b.type(x).ndim
    return b.mul(x, b.expand_dims(factor, axes=(rank - 2, rank - 1)))


def identity(b: Any, like: Any) -> Any:
    """The identity in place of each matrix."""
    shape = b.shape(like)
    return b.broadcast_to(b.eye(code=b.type(like).code, n=shape[-2], m=shape[-1]), shape)


def upper(b: Any, x: Any) -> Any:
    """The upper triangles, with their diagonal."""
    return _where_offset(b, x, b.greater_equal)


def strictly_lower(b: Any, x: Any) -> Any:
    """The lower triangles, without their diagonal."""
    return _where_offset(b, x, b.less)


def _where_offset(b: Any, x: Any, compare: Any) -> Any:
    """x where its column compares so with its row, else 0."""
    m, n = b.shape(x)[-2:]
    row, column = b.expand_dims(b.iota(code="i8", n=m), axes=(1,)), b.iota(code="i8", n=n)
    return b.where(compare(column, row), x, b.lit(0, x))
