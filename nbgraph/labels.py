"""Labels of the dimensions of products of two operands: matmul, dot, inner, outer, tensordot as `contract`.

In: shapes (sizes may be symbolic) or numbers of dimensions. Out: label tuples of a, b and the result.
Holds: every label is in at least two of a, b and out, once in each; only shapes are read, never values.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any, NamedTuple

from nbgraph.errors import ShapeError
from nbgraph.op import Sizes
from nbgraph.types import Shape, Size

Labels = tuple[int, ...]


class Product(NamedTuple):
    """A product of two operands: what to squeeze, then the labels of `contract`."""

    squeeze_a: tuple[int, ...]
    squeeze_b: tuple[int, ...]
    a: Labels
    b: Labels
    out: Labels


@lru_cache(maxsize=4096)
def matmul_labels(x: Shape, y: Shape) -> Product:
    """`numpy.matmul` of these shapes: batch dimensions broadcast, a vector is a row on the left, a column on the right.

    >>> matmul_labels((5, 2, 3), (3, 4))
    Product(squeeze_a=(), squeeze_b=(), a=(0, 1, 2), b=(2, 3), out=(0, 1, 3))
    """
    for position, shape in enumerate((x, y)):
        if not shape:
            raise ShapeError(operation="matmul", position=position, got="shape ()", wanted="at least one dimension")
    lead_x, lead_y = max(len(x) - 2, 0), max(len(y) - 2, 0)
    lead = max(lead_x, lead_y)
    k, m, n = -1, -2, -3
    batch = tuple(range(lead))
    a = [*batch[lead - lead_x :], *((m, k) if len(x) > 1 else (k,))]
    b = [*batch[lead - lead_y :], *((k, n) if len(y) > 1 else (k,))]
    size_y = dict(zip(b, y, strict=True))
    squeezed: tuple[list[int], list[int]] = [], []
    for axis, label in enumerate(a):
        d, e = x[axis], size_y.get(label)
        if e is None:
            continue
        if label != k and broadcasts(d, e):
            squeezed[d != 1].append(axis if d == 1 else b.index(label))
        elif differ(d, e):
            wanted = f"size {d} along axis {b.index(label)} (operand 0 has shape {x})"
            raise ShapeError("sizes differ", operation="matmul", position=1, got=f"shape {y}", wanted=wanted)
    out = (*batch, *((m,) if len(x) > 1 else ()), *((n,) if len(y) > 1 else ()))
    left = tuple(label for axis, label in enumerate(a) if axis not in squeezed[0])
    right = tuple(label for axis, label in enumerate(b) if axis not in squeezed[1])
    return Product(tuple(squeezed[0]), tuple(squeezed[1]), *_renumbered(left, right, out))


@lru_cache(maxsize=4096)
def dot_labels(ndim_a: int, ndim_b: int) -> tuple[Labels, Labels, Labels]:
    """`numpy.dot`: the last axis of a with the last but one of b (the only one of a vector); 0-d operands multiply."""
    if not ndim_a or not ndim_b:
        return tensordot_labels(ndim_a, ndim_b, 0)
    return tensordot_labels(ndim_a, ndim_b, ((ndim_a - 1,), (max(ndim_b - 2, 0),)))


@lru_cache(maxsize=4096)
def inner_labels(ndim_a: int, ndim_b: int) -> tuple[Labels, Labels, Labels]:
    """`numpy.inner`: the last axes; 0-d operands multiply."""
    if not ndim_a or not ndim_b:
        return tensordot_labels(ndim_a, ndim_b, 0)
    return tensordot_labels(ndim_a, ndim_b, ((ndim_a - 1,), (ndim_b - 1,)))


@lru_cache(maxsize=4096)
def outer_labels(ndim_a: int, ndim_b: int) -> tuple[Labels, Labels, Labels]:
    """Every element with every element (`numpy.outer` of operands that were made flat)."""
    return tensordot_labels(ndim_a, ndim_b, 0)


def tensordot_labels(ndim_a: int, ndim_b: int, axes: Any = 2) -> tuple[Labels, Labels, Labels]:
    """`numpy.tensordot`: `axes` is a count, or the axes of a and those of b (an int or a sequence each).

    >>> tensordot_labels(2, 2, 1)
    ((0, 1), (1, 2), (0, 2))
    """
    if isinstance(axes, int):
        if not 0 <= axes <= min(ndim_a, ndim_b):
            wanted = f"0 to {min(ndim_a, ndim_b)}"
            raise ShapeError("too many axes", operation="tensordot", position="axes", got=axes, wanted=wanted)
        axes = range(ndim_a - axes, ndim_a), range(axes)
    of_a, of_b = ((x,) if isinstance(x, int) else tuple(x) for x in axes)
    of_a, of_b = _normal("a", of_a, ndim_a), _normal("b", of_b, ndim_b)
    if len(of_a) != len(of_b):
        wanted = "as many axes of a as of b"
        raise ShapeError(operation="tensordot", position="axes", got=(of_a, of_b), wanted=wanted)
    a = tuple(range(ndim_a))
    b = [ndim_a + axis for axis in range(ndim_b)]
    for i, j in zip(of_a, of_b, strict=True):
        b[j] = i
    out = [x for x in a if x not in of_a] + [x for x in b if x >= ndim_a]
    return _renumbered(a, b, out)  # type: ignore[no-any-return]


def _normal(name: str, axes: tuple[int, ...], ndim: int) -> tuple[int, ...]:
    """Axes counted from the front; each within the operand, and once."""
    result = tuple(axis + ndim if axis < 0 else axis for axis in axes)
    if len(set(result)) != len(result) or not all(0 <= axis < ndim for axis in result):
        wanted = f"different axes of {ndim} dimensions"
        raise ShapeError(f"axes of {name} are wrong", operation="tensordot", position="axes", got=axes, wanted=wanted)
    return result


def _renumbered(*labels: Sequence[int]) -> Any:
    """The tuples with labels numbered by first use."""
    number: dict[int, int] = {}
    for label in (x for each in labels for x in each):
        number.setdefault(label, len(number))
    return tuple(tuple(number[x] for x in each) for each in labels)


def broadcasts(d: Size, e: Size) -> bool:
    """Whether exactly one of two sizes is literally 1."""
    return (type(d) is int and d == 1) != (type(e) is int and e == 1)


def differ(d: Size, e: Size) -> bool:
    """Whether two sizes are known to be different (a literal 1 differs from every symbol: it is structure)."""
    return broadcasts(d, e) or (type(d) is int and type(e) is int and d != e)


def common_size(cx: Sizes, x: Size, y: Size, *, operation: str, position: int, got: object, wanted: object) -> Size:
    """The one size that two dimensions have, or `ShapeError` naming the operand. A literal 1 equals only itself."""
    if not broadcasts(x, y):
        try:
            return cx.same(x, y)
        except ShapeError:
            pass
    raise ShapeError("sizes differ", operation=operation, position=position, got=got, wanted=wanted)
