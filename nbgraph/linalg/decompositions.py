"""Decompositions: singular values and vectors, QR, Cholesky, polar.

In: anything array-like; matrices are the last two axes; integers and booleans become float64. Out: a `TracedTensor`, or
a named tuple of them. A matrix that cannot be dealt with raises `LinAlgError` at the eval, with the user's line.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from nbgraph import api
from nbgraph.api import matrix_transpose
from nbgraph.errors import ShapeError, named
from nbgraph.linalg.inverses import ResultInfo
from nbgraph.linalg.stacks import matrix, square
from nbgraph.promote import apply

if TYPE_CHECKING:
    from nbgraph.tensor import TracedTensor


class SVDResult(NamedTuple):
    """Left vectors (columns), singular values, descending, and right vectors (rows)."""

    U: TracedTensor
    S: TracedTensor
    Vh: TracedTensor


class QRResult(NamedTuple):
    """Orthonormal columns and an upper triangular matrix."""

    Q: TracedTensor
    R: TracedTensor


class PolarResult(NamedTuple):
    """A matrix with orthonormal columns (or rows) and a positive semidefinite one."""

    U: TracedTensor
    P: TracedTensor


@named
def svd(
    a: Any, full_matrices: bool = True, compute_uv: bool = True, hermitian: bool = False, *, broadening: float = 0.0
) -> Any:
    """U[..., m, m], S[..., k] and Vh[..., n, n] with a = U[..., :k] @ diag(S) @ Vh[..., :k, :], k = min(m, n).

    With `full_matrices=False` U is [..., m, k] and Vh [..., k, n]; with `compute_uv=False` only S is made, as by
    `svdvals`. `hermitian` is taken for NumPy's sake and changes nothing.

    Vectors have a phase that means nothing; gradients are right for losses that do not depend on it. Where singular
    values coincide any basis will do: how vectors turn among themselves is left out of the derivative where a gap, a
    sum or a singular value is below 1e-12 of the largest (1e-5 in single precision). So gradients are finite there,
    and right for losses of values, of the subspaces of whole groups, and of U @ Vh; for U @ diag(g(S)) @ Vh they
    lack a part within the group. `broadening=g` replaces every 1/x by x / (x^2 + g^2).

    >>> svd([[0.0, 2.0], [1.0, 0.0]]).S.tolist()
    [2.0, 1.0]
    """
    a = matrix("svd", a)
    if not compute_uv:
        return svdvals(a, broadening=broadening)
    return SVDResult(*apply("svd", a, full=bool(full_matrices), broadening=float(broadening)))


@named
def svdvals(a: Any, *, broadening: float = 0.0) -> TracedTensor:
    """Singular values [..., k], descending, of a[..., m, n], k = min(m, n).

    The gradient is U diag(g) Vh; `broadening` (see `svd`) is of second derivatives.

    >>> svdvals([[3.0, 0.0], [0.0, -4.0]]).tolist()
    [4.0, 3.0]
    """
    made: TracedTensor = apply("svdvals", matrix("svdvals", a), broadening=float(broadening))
    return made


@named
def qr(a: Any, mode: str = "reduced") -> Any:
    """Q[..., m, k] with orthonormal columns and upper triangular R[..., k, n], a = Q @ R, k = min(m, n).

    With mode "complete" Q is [..., m, m] and R [..., m, n]; with mode "r" the result is R alone. Gradients need the
    first k columns of a to be independent, and for the columns that only make Q square they are right for losses that
    do not depend on the choice.

    >>> abs(qr([[3.0], [4.0]]).R).tolist()
    [[5.0]]
    """
    if mode not in ("reduced", "complete", "r"):
        wanted = "'reduced', 'complete' or 'r'"
        raise ShapeError("no such mode", operation="qr", position="mode", got=repr(mode), wanted=wanted)
    made = QRResult(*apply("qr", matrix("qr", a), complete=mode == "complete"))
    return made.R if mode == "r" else made


@named
def cholesky(a: Any, *, upper: bool = False) -> TracedTensor:
    """Lower triangular L[..., n, n] with a positive diagonal and a = L @ L^H, for Hermitian positive definite a.

    Only the lower triangle is read. With `upper` it is U, a = U^H @ U, and the upper triangle is read. A gradient is
    Hermitian: with respect to a as a whole. Raises `LinAlgError` at the eval if a is not positive definite.

    >>> cholesky([[4.0, 2.0], [2.0, 5.0]]).tolist()
    [[2.0, 0.0], [1.0, 2.0]]
    """
    a = square("cholesky", a)
    if not upper:
        made: TracedTensor = apply("cholesky", a)
        return made
    return _adjoint(apply("cholesky", _adjoint(a)))


@named
def cholesky_ex(a: Any, *, upper: bool = False) -> ResultInfo:
    """(l, info): as `cholesky`; info[...], int32, is 0, or i where the leading i x i minor is not positive definite.

    There the factor is NaN, and nothing is raised; values and gradients of other members of a batch are not touched.

    >>> cholesky_ex([[[4.0]], [[-1.0]]]).info.tolist()
    [0, 1]
    """
    a = square("cholesky_ex", a)
    a = _adjoint(a) if upper else a
    factor, info = apply("cholesky_ex", a)
    return ResultInfo(_adjoint(factor) if upper else factor, info)


@named
def polar(a: Any, side: str = "right") -> PolarResult:
    """U[..., m, n] and P with a = U @ P (`side="right"`, P[..., n, n]) or a = P @ U ("left", P[..., m, m]), as SciPy.

    U has orthonormal columns, or rows if m < n; P is positive semidefinite. Derivatives divide by sums of singular
    values alone, so coinciding ones do no harm; where singular values are zero, where U is not unique, its derivative
    is finite, and that of P right.

    >>> polar([[0.0, 2.0], [-1.0, 0.0]]).P.tolist()
    [[1.0, 0.0], [0.0, 2.0]]
    """
    if side not in ("right", "left"):
        wanted = "'right' or 'left'"
        raise ShapeError("no such side", operation="polar", position="side", got=repr(side), wanted=wanted)
    a = matrix("polar", a)
    u, s, vh = apply("svd", a, full=False, broadening=0.0)
    w = apply("polar_factor", a, u @ vh, u, s, vh)
    p = _adjoint(w) @ a if side == "right" else a @ _adjoint(w)
    return PolarResult(w, (p + _adjoint(p)) * 0.5)


def _adjoint(a: TracedTensor) -> TracedTensor:
    return api.conj(matrix_transpose(a))
