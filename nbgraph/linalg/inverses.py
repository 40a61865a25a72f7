"""Inverses, and forms that tell of each matrix whether it is singular instead of raising.

In: anything array-like; matrices are the last two axes, batch dimensions broadcast; integers and booleans become
float64. Out: a `TracedTensor`, or a named tuple of them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from nbgraph import api
from nbgraph.errors import named
from nbgraph.linalg.stacks import identity_like, square, system
from nbgraph.promote import apply

if TYPE_CHECKING:
    from nbgraph.tensor import TracedTensor


class ResultInfo(NamedTuple):
    """A result, and int32 numbers that are 0 where it is one."""

    result: TracedTensor
    info: TracedTensor


@named
def inv(a: Any) -> TracedTensor:
    """The inverses of a[..., n, n]. Raises `LinAlgError` at the eval if a matrix is singular.

    >>> inv([[2.0, 0.0], [0.0, 4.0]]).tolist()
    [[0.5, 0.0], [0.0, 0.25]]
    """
    made: TracedTensor = apply("inv", square("inv", a))
    return made


@named
def inv_ex(a: Any) -> ResultInfo:
    """(inverse, info): info[...] is 0, or i where the i-th pivot is zero; there the inverse is infinite or NaN.

    Values and gradients of other members of a batch are not touched.

    >>> inv_ex([[[2.0]], [[0.0]]]).info.tolist()
    [0, 1]
    """
    a = square("inv_ex", a)
    return _solved(a, identity_like(a))


@named
def solve_ex(a: Any, b: Any) -> ResultInfo:
    """(x, info) with a @ x = b, for a[..., n, n] and b[n] or b[..., n, k]; info as `inv_ex`.

    >>> x, info = solve_ex([[[2.0]], [[0.0]]], [[1.0]])
    >>> x[0].tolist(), info.tolist()
    ([[0.5]], [0, 1])
    """
    a, b, is_vector = system("solve_ex", a, b)
    x, info = _solved(a, b)
    return ResultInfo(api.squeeze(x, -1) if is_vector else x, info)


def _solved(a: TracedTensor, b: TracedTensor) -> ResultInfo:
    lu, pivots, info = apply("lu_factor", a)
    return ResultInfo(apply("factored_solve", a, lu, pivots, b, adjoint=False), info)
