"""Systems of equations with triangular matrices, and with a Cholesky factor.

In: anything array-like; matrices are the last two axes, batch dimensions broadcast; integers and booleans become
float64. Out: a `TracedTensor`. Names and signatures are SciPy's.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from nbgraph import api
from nbgraph.errors import ShapeError, named
from nbgraph.linalg.decompositions import cholesky
from nbgraph.linalg.stacks import system
from nbgraph.promote import apply

if TYPE_CHECKING:
    from nbgraph.tensor import TracedTensor

_FORMS = {0: "N", "N": "N", 1: "T", "T": "T", 2: "C", "C": "C"}


@named
def solve_triangular(
    a: Any, b: Any, trans: int | str = 0, lower: bool = False, unit_diagonal: bool = False
) -> TracedTensor:
    """x with T @ x = b, T the upper triangle of a[..., n, n] (the lower one with `lower`), for b[n] or b[..., n, k].

    `trans`: 0 or "N" for T, 1 or "T" for its transpose, 2 or "C" for its adjoint. With `unit_diagonal` the diagonal is
    taken to be ones and not read. Raises `LinAlgError` at the eval if there is a zero on the diagonal.

    >>> solve_triangular([[2.0, 0.0], [1.0, 4.0]], [2.0, 5.0], lower=True).tolist()
    [1.0, 1.0]
    """
    if not isinstance(trans, int | str) or trans not in _FORMS:
        wanted = "0, 1, 2, 'N', 'T' or 'C'"
        raise ShapeError("no such form", operation="solve_triangular", position="trans", got=repr(trans), wanted=wanted)
    a, b, is_vector = system("solve_triangular", a, b)
    form = _FORMS[trans]
    # The transpose of T is the adjoint of its conjugate.
    a = api.conj(a) if form == "T" and a.type.is_complex else a
    x = apply("solve_triangular", a, b, lower=bool(lower), adjoint=form != "N", unit=bool(unit_diagonal))
    return api.squeeze(x, -1) if is_vector else x


@named
def cho_factor(a: Any, lower: bool = False) -> tuple[TracedTensor, bool]:
    """(c, lower): the Cholesky factor for `cho_solve`, a = c^H @ c, or c @ c^H with `lower`.

    The other triangle of c is zeros (SciPy leaves there what was in a).

    >>> cho_factor([[4.0]], lower=True)[0].tolist()
    [[2.0]]
    """
    return cholesky(a, upper=not lower), bool(lower)


@named
def cho_solve(c_and_lower: tuple[Any, bool], b: Any) -> TracedTensor:
    """x with a @ x = b, given `cho_factor(a)`, for b[n] or b[..., n, k].

    >>> cho_solve(cho_factor([[4.0]]), [8.0]).tolist()
    [2.0]
    """
    if not isinstance(c_and_lower, tuple | list) or len(c_and_lower) != 2:
        told: Any = {"got": type(c_and_lower).__name__, "wanted": "the pair that `cho_factor` gives"}
        raise ShapeError("no factor", operation="cho_solve", position=0, **told)
    c, lower = c_and_lower
    half = solve_triangular(c, b, trans="N" if lower else "C", lower=lower)
    return solve_triangular(c, half, trans="C" if lower else "N", lower=lower)
