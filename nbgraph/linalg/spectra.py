"""Eigenvalues and eigenvectors.

In: anything array-like; matrices are the last two axes; integers and booleans become float64. Out: a `TracedTensor`, or
a named tuple of them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from nbgraph import api
from nbgraph.api import matrix_transpose
from nbgraph.errors import ShapeError, named
from nbgraph.linalg.stacks import square
from nbgraph.promote import apply

if TYPE_CHECKING:
    from nbgraph.tensor import TracedTensor


class EighResult(NamedTuple):
    """Eigenvalues, ascending, and eigenvectors (columns)."""

    eigenvalues: TracedTensor
    eigenvectors: TracedTensor


@named
def eigh(a: Any, UPLO: str = "L") -> EighResult:
    """Eigenvalues w[..., n], ascending, and eigenvectors v[..., n, n] of Hermitian matrices: a @ v = v * w.

    Only the lower triangle is read (the upper one with UPLO="U"). Eigenvectors have a sign or a phase that means
    nothing; gradients are right for losses that do not depend on it.

    >>> eigh([[2.0, 0.0], [0.0, 1.0]]).eigenvalues.tolist()
    [1.0, 2.0]
    """
    return EighResult(*apply("eigh", _lower("eigh", a, UPLO)))


def _lower(name: str, a: Any, UPLO: str) -> TracedTensor:
    """The matrices with what is read in the lower triangle."""
    a = square(name, a)
    if not isinstance(UPLO, str) or UPLO.upper() not in ("L", "U"):
        raise ShapeError("no such triangle", operation=name, position="UPLO", got=repr(UPLO), wanted="'L' or 'U'")
    return api.conj(matrix_transpose(a)) if UPLO.upper() == "U" else a


@named
def eigvalsh(a: Any, UPLO: str = "L") -> TracedTensor:
    """Eigenvalues of Hermitian matrices, ascending. The gradient is V diag(g) V^H.

    >>> eigvalsh([[2.0, 0.0], [0.0, 1.0]]).tolist()
    [1.0, 2.0]
    """
    made: TracedTensor = apply("eigvalsh", _lower("eigvalsh", a, UPLO))
    return made
