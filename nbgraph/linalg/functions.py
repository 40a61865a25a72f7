"""Functions of matrices: exponential, logarithm, powers, square root; Schur forms; Sylvester equations.

In: anything array-like; matrices are the last two axes; integers and booleans become float64. Out: a `TracedTensor`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from nbgraph import api
from nbgraph.errors import ShapeError, named
from nbgraph.linalg.stacks import matrix, square, stacked
from nbgraph.promote import apply, as_code, common, to_inexact
from nbgraph.types import COMPLEX_OF

if TYPE_CHECKING:
    from nbgraph.tensor import TracedTensor


class SchurResult(NamedTuple):
    """An upper triangular matrix and a unitary one."""

    T: TracedTensor
    Z: TracedTensor


@named
def expm(A: Any) -> TracedTensor:
    """exp(A), the sum of A^k / k!, of A[..., n, n]; NaN where A has an infinity or a NaN.

    Its derivatives of any order are exponentials of block matrices. Another size of the norm, and so another number of
    squarings, is the same compiled code.

    >>> expm([[0.0, 1.0], [0.0, 0.0]]).tolist()
    [[1.0, 1.0], [0.0, 1.0]]
    """
    made: TracedTensor = apply("expm", square("expm", A))
    return made


@named
def sqrtm(A: Any) -> TracedTensor:
    """The principal square root of A[..., n, n], complex: X @ X = A, eigenvalues with arguments in (-pi/2, pi/2].

    Of a real matrix without eigenvalues on the negative real axis it is real: take `.real`. Raises `LinAlgError` at the
    eval for a matrix that has no root or is not finite; a derivative at a singular matrix raises it, too.

    >>> sqrtm([[4.0, 0.0], [0.0, 9.0]]).real.tolist()
    [[2.0, 0.0], [0.0, 3.0]]
    """
    made: TracedTensor = apply("sqrtm", _complex(square("sqrtm", A)))
    return made


@named
def logm(A: Any) -> TracedTensor:
    """The principal logarithm of A[..., n, n], complex: expm(X) = A, eigenvalues with imaginary parts in (-pi, pi].

    Of a real matrix without eigenvalues on the negative real axis it is real: take `.real`. Its derivatives of any
    order are logarithms of block matrices. Raises `LinAlgError` at the eval for a singular matrix, or one that is not
    finite.

    >>> bool(abs(logm(expm([[0.0, 1.0], [0.0, 0.0]]))[0, 1] - 1.0) < 1e-14)
    True
    """
    made: TracedTensor = apply("logm", _complex(square("logm", A)))
    return made


@named
def fractional_matrix_power(A: Any, t: Any) -> TracedTensor:
    """A ** t for a real number t, complex: expm(t logm(A)), of a regular A[..., n, n].

    >>> bool(abs(fractional_matrix_power([[4.0]], 0.5)[0, 0] - 2.0) < 1e-14)
    True
    """
    return expm(api.multiply(logm(A), t))


@named
def schur(a: Any, output: str = "real") -> SchurResult:
    """(T, Z) with a = Z @ T @ Z^H for a[..., n, n]: Z unitary, T upper triangular, its diagonal the eigenvalues.

    Of a real matrix with output "real" both are real, and T has 2 x 2 blocks for pairs of complex eigenvalues; that
    form has no derivative. With "complex" both are complex. Columns of Z have a phase that means nothing; gradients are
    right for losses that do not depend on it. Where eigenvalues coincide the pair is left out of them.

    >>> schur([[1.0, 2.0], [0.0, 3.0]]).T.tolist()
    [[1.0, 2.0], [0.0, 3.0]]
    """
    if output not in ("real", "complex", "r", "c"):
        told: Any = {"got": repr(output), "wanted": "'real' or 'complex'"}
        raise ShapeError("no such form", operation="schur", position="output", **told)
    x = square("schur", a)
    return SchurResult(*apply("schur", _complex(x) if output[0] == "c" else x))


@named
def solve_sylvester(a: Any, b: Any, q: Any) -> TracedTensor:
    """x with a @ x + x @ b = q, for a[..., m, m], b[..., n, n], q[..., m, n].

    Raises `LinAlgError` at the eval if a and -b share an eigenvalue.

    >>> solve_sylvester([[1.0]], [[3.0]], [[8.0]]).tolist()
    [[2.0]]
    """
    given = [to_inexact(x) for x in common(a, b, q)]
    checks = (square, square, matrix)
    checked = [check("solve_sylvester", x, k) for k, (check, x) in enumerate(zip(checks, given, strict=True))]
    x: TracedTensor = apply("sylvester", *stacked(*map(_complex, checked)))
    return x if given[0].type.is_complex else api.real(x)


def _complex(a: TracedTensor) -> TracedTensor:
    return as_code(a, COMPLEX_OF.get(a.type.code, a.type.code))
