"""LU factors, and systems solved with them.

In: anything array-like; matrices are the last two axes; integers and booleans become float64. Out: a `TracedTensor`, or
a named tuple of them. A singular matrix has factors like others: what is solved with them is infinite or NaN.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from nbgraph import api
from nbgraph.dims import dim_min
from nbgraph.errors import DtypeError, ShapeError, named
from nbgraph.linalg.stacks import identity_like, lower, matrix, stacked, upper
from nbgraph.promote import apply, as_code, common, operand, to_inexact

if TYPE_CHECKING:
    from nbgraph.tensor import TracedTensor


class LuFactors(NamedTuple):
    """L and U in one matrix, and the exchanges of rows."""

    lu: TracedTensor
    piv: TracedTensor


class LuFactorsInfo(NamedTuple):
    """L and U in one matrix, the exchanges of rows, and 0 or the place of a zero on the diagonal of U."""

    lu: TracedTensor
    piv: TracedTensor
    info: TracedTensor


class PLU(NamedTuple):
    """A permutation, a unit lower triangular and an upper triangular matrix."""

    p: TracedTensor
    l: TracedTensor  # noqa: E741
    u: TracedTensor


@named
def lu_factor(a: Any) -> LuFactors:
    """LU factors (lu, piv) of matrices a[..., m, n], as `lu_solve` takes them.

    lu[..., m, n] holds U and, below its diagonal, L, whose own diagonal is 1; row i was exchanged with row piv[i],
    for i ascending. piv is int32, [..., min(m, n)].

    >>> lu, piv = lu_factor([[1.0, 2.0], [2.0, 2.0]])
    >>> lu.tolist(), piv.tolist()
    ([[2.0, 2.0], [0.5, 1.0]], [1, 1])
    """
    return LuFactors(*lu_factor_ex(a)[:2])


@named
def lu_factor_ex(a: Any) -> LuFactorsInfo:
    """(lu, piv, info): as `lu_factor`; info[...], int32, is 0, or i where U[i - 1, i - 1] is the first exact zero.

    >>> lu_factor_ex([[[1.0, 2.0], [2.0, 4.0]], [[1.0, 0.0], [0.0, 1.0]]]).info.tolist()
    [2, 0]
    """
    return LuFactorsInfo(*apply("lu_factor", matrix("lu_factor", a)))


@named
def lu_solve(lu_and_piv: Any, b: Any, trans: int = 0) -> TracedTensor:
    """x with a @ x = b (trans=1: a.T @ x = b; 2: a^H @ x = b) for b[n] or b[..., n, k], from `lu_factor(a)`.

    Differentiable by the factors and by b. A pivot that is no row raises `LinAlgError` at the eval.

    >>> lu_solve(lu_factor([[0.0, 4.0], [2.0, 0.0]]), [2.0, 2.0]).tolist()
    [1.0, 0.5]
    """
    if trans not in (0, 1, 2):
        raise ShapeError("no such system", operation="lu_solve", position="trans", got=trans, wanted="0, 1 or 2")
    if not isinstance(lu_and_piv, tuple | list) or len(lu_and_piv) != 2:
        told: Any = {"got": type(lu_and_piv).__name__, "wanted": "the pair that `lu_factor` gives"}
        raise ShapeError("no factors", operation="lu_solve", position=0, **told)
    lu, piv = lu_and_piv
    lu, piv, b, is_vector = _factored_system(lu, piv, b)
    if trans == 0:
        half = apply("packed_solve", lu, apply("exchange_rows", b, piv, backward=False), upper=False, adjoint=False)
        x = apply("packed_solve", lu, half, upper=True, adjoint=False)
    else:
        b = api.conj(b) if trans == 1 else b
        half = apply("packed_solve", lu, b, upper=True, adjoint=True)
        x = apply("packed_solve", lu, half, upper=False, adjoint=True)
        x = apply("exchange_rows", x, piv, backward=True)
        x = api.conj(x) if trans == 1 else x
    return api.squeeze(x, -1) if is_vector else x


def _factored_system(lu: Any, piv: Any, b: Any) -> tuple[TracedTensor, TracedTensor, TracedTensor, bool]:
    """The operands in one dtype with equal batch dimensions, and whether b was one vector."""
    lu, b = (to_inexact(x) for x in common(lu, b))
    piv = operand(piv)
    if piv.type.code[0] != "i":
        raise DtypeError("wrong pivots", operation="lu_solve", position="piv", got=piv.dtype, wanted="integers")
    is_vector = b.type.ndim == 1
    b = api.expand_dims(b, 1) if is_vector else b
    for position, x, least in (("lu", lu, 2), ("piv", piv, 1), ("b", b, 2)):
        if x.type.ndim < least:
            told: Any = {"got": x.type.shape, "wanted": f"at least {least} dimensions"}
            raise ShapeError("wrong rank", operation="lu_solve", position=position, **told)
    n, k = lu.type.shape[-2], piv.type.shape[-1]
    if isinstance(n, int) and isinstance(k, int) and n != k:
        raise ShapeError("sizes differ", operation="lu_solve", position="piv", got=piv.type.shape, wanted=f"{n} pivots")
    lu, piv, b = stacked(lu, as_code(piv, "i4"), b, ranks=(2, 1, 2))
    return lu, piv, b, is_vector


@named
def lu(a: Any, permute_l: bool = False) -> Any:
    """(p, l, u) with a = p @ l @ u, for a[..., m, n]: p[..., m, m] a permutation, l[..., m, k], u[..., k, n].

    With `permute_l` (p @ l, u). p is real and has no derivative.

    >>> p, l, u = lu([[1.0, 2.0], [2.0, 2.0]])
    >>> p.tolist(), l.tolist(), u.tolist()
    ([[0.0, 1.0], [1.0, 0.0]], [[1.0, 0.0], [0.5, 1.0]], [[2.0, 2.0], [0.0, 1.0]])
    """
    a = matrix("lu", a)
    m, n = a.type.shape[-2:]
    packed, piv, _ = apply("lu_factor", a)
    k = m if m == n else dim_min(m, n)
    left = packed if n is k else packed[..., :, :k]
    left = lower(left) + identity_like(left)
    right = upper(packed if m is k else packed[..., :k, :])
    if permute_l:
        return apply("exchange_rows", left, piv, backward=True), right
    rows = api.broadcast_to(api.eye(m, dtype=a.type.real_code), (*a.type.shape[:-1], m))
    return PLU(apply("exchange_rows", rows, piv, backward=True), left, right)
