"""Systems of linear equations.

In: anything array-like; matrices are the last two axes, batch dimensions broadcast; integers and booleans become
float64. Out: a `TracedTensor`. A singular matrix raises `LinAlgError` at the eval, wrong shapes `ShapeError` at once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from nbgraph import api
from nbgraph.errors import ShapeError, named
from nbgraph.linalg.stacks import square
from nbgraph.promote import apply, common, to_inexact

if TYPE_CHECKING:
    from nbgraph.tensor import TracedTensor


@named
def solve(a: Any, b: Any) -> TracedTensor:
    """x with a @ x = b, for a[..., n, n] and b[n] (one vector) or b[..., n, k] (as NumPy 2).

    >>> solve([[2.0, 0.0], [0.0, 4.0]], [2.0, 2.0]).tolist()
    [1.0, 0.5]
    """
    a, b = (to_inexact(x) for x in common(a, b))
    is_vector = b.type.ndim == 1
    if is_vector:
        b = api.expand_dims(b, 1)
    for position, x in enumerate((a, b)):
        if x.type.ndim < 2:
            wanted = "[..., n, n]" if position == 0 else "[n] or [..., n, k]"
            raise ShapeError("wrong rank", operation="solve", position=position, got=x.type.shape, wanted=wanted)
    a = square("solve", a)
    n, rows = a.type.shape[-1], b.type.shape[-2]
    if isinstance(n, int) and isinstance(rows, int) and n != rows:
        wanted = f"{n} rows"
        raise ShapeError("sizes differ", operation="solve", position=1, got=b.type.shape, wanted=wanted)
    batch = api.broadcast_shapes(a.type.shape[:-2], b.type.shape[:-2])
    a, b = (api.broadcast_to(x, (*batch, *x.type.shape[-2:])) if x.type.shape[:-2] != batch else x for x in (a, b))
    # By factors that are kept: a derivative solves with them once more, and factors nothing.
    x = apply("factored_solve", a, *apply("regular_factors", a), b, adjoint=False)
    return api.squeeze(x, -1) if is_vector else x
