"""Products of vectors and matrices that are no contractions, and matrices of powers: kron, cross, vecdot, vander.

In: anything array-like. Out: a `TracedTensor`, not evaluated.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from nbgraph.api.elementwise import conj, multiply, subtract
from nbgraph.api.joining import stack
from nbgraph.api.products import matmul
from nbgraph.api.reductions import sum
from nbgraph.api.shapes import _axis, expand_dims, flip, moveaxis, reshape, squeeze
from nbgraph.errors import ShapeError, named
from nbgraph.promote import apply, as_code, common, operand

if TYPE_CHECKING:
    from nbgraph.tensor import TracedTensor


@named
def kron(a: Any, b: Any) -> TracedTensor:
    """The Kronecker product: every element of a times all of b. Shapes are aligned at the right.

    >>> kron([1, 10], [1, 2]).tolist()
    [1, 2, 10, 20]
    """
    x, y = common(a, b)
    rank = max(x.type.ndim, y.type.ndim)
    x, y = (expand_dims(z, tuple(range(rank - z.type.ndim))) if z.type.ndim < rank else z for z in (x, y))
    shape = tuple(n * m for n, m in zip(x.type.shape, y.type.shape, strict=True))
    odd, even = tuple(range(1, 2 * rank, 2)), tuple(range(0, 2 * rank, 2))
    return reshape(multiply(expand_dims(x, odd), expand_dims(y, even)), shape) if rank else multiply(x, y)


@named
def cross(a: Any, b: Any, axisa: int = -1, axisb: int = -1, axisc: int = -1, axis: int | None = None) -> TracedTensor:
    """The cross product of vectors of three elements; other dimensions broadcast.

    The vectors are along `axisa` and `axisb`, those of the result along `axisc`; `axis` is all three. Raises
    `ShapeError` for another number of elements.

    >>> cross([1, 0, 0], [0, 1, 0]).tolist()
    [0, 0, 1]
    """
    if axis is not None:
        axisa = axisb = axisc = axis
    x, y = common(a, b)
    for position, (z, along) in enumerate(((x, axisa), (y, axisb))):
        if z.type.shape[_axis("cross", along, z.type.ndim)] != 3:
            told: Any = {"got": z.type.shape, "wanted": f"3 elements along axis {along}"}
            raise ShapeError("no vectors of three elements", operation="cross", position=position, **told)
    x, y = moveaxis(x, axisa, -1), moveaxis(y, axisb, -1)
    parts = [subtract(x[..., i] * y[..., j], x[..., j] * y[..., i]) for i, j in ((1, 2), (2, 0), (0, 1))]
    return stack(parts, axisc)


@named
def vecdot(x1: Any, x2: Any, /, *, axis: int = -1) -> TracedTensor:
    """The sums of conj(x1) * x2 along an axis; other dimensions broadcast.

    >>> vecdot([[1, 2], [3, 4]], [1, 10]).tolist()
    [21, 43]
    """
    x, y = common(x1, x2)
    for position, z in enumerate((x, y)):
        if z.type.ndim == 0:
            raise ShapeError("wrong rank", operation="vecdot", position=position, got=(), wanted="a vector")
    n, m = (z.type.shape[_axis("vecdot", axis, z.type.ndim)] for z in (x, y))
    if n != m:
        raise ShapeError("sizes differ", operation="vecdot", position=1, got=m, wanted=n)
    return as_code(sum(conj(x) * y, axis), x.type.code)


@named
def matvec(x1: Any, x2: Any, /) -> TracedTensor:
    """Matrices [..., m, n] times vectors [..., n]; batch dimensions broadcast.

    >>> matvec([[1, 2], [3, 4]], [1, 1]).tolist()
    [3, 7]
    """
    return squeeze(matmul(x1, expand_dims(_vector("matvec", x2, 1), -1)), -1)


@named
def vecmat(x1: Any, x2: Any, /) -> TracedTensor:
    """Vectors [..., m], conjugated, times matrices [..., m, n]; batch dimensions broadcast.

    >>> vecmat([1, 1], [[1, 2], [3, 4]]).tolist()
    [4, 6]
    """
    return squeeze(matmul(expand_dims(conj(_vector("vecmat", x1, 0)), -2), x2), -2)


def _vector(name: str, a: Any, position: int) -> TracedTensor:
    v = operand(a)
    if v.type.ndim == 0:
        raise ShapeError("wrong rank", operation=name, position=position, got=(), wanted="a vector")
    return v


@named
def vander(x: Any, N: Any = None, increasing: bool = False) -> TracedTensor:
    """Powers of each element: x^(N-1), ..., x, 1, or ascending if `increasing`. N is the length of x by default.

    Of x[..., n] it is [..., n, N].

    >>> vander([1, 2, 3], 2).tolist()
    [[1, 1], [2, 1], [3, 1]]
    """
    x = operand(x)
    if x.type.ndim == 0:
        raise ShapeError("wrong rank", operation="vander", position=0, got=(), wanted="a vector")
    if x.type.code in ("b1", "i4"):
        x = as_code(x, "i8")
    powers = apply("powers", x, n=x.type.shape[-1] if N is None else N)
    return powers if increasing else flip(powers, -1)
