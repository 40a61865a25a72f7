"""Eigenvalues and eigenvectors of general matrices.

In: anything array-like; matrices are the last two axes; integers and booleans become float64. Out: complex tensors.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from nbgraph.errors import named
from nbgraph.linalg.stacks import square
from nbgraph.promote import apply

if TYPE_CHECKING:
    from nbgraph.tensor import TracedTensor


class EigResult(NamedTuple):
    """Eigenvalues, in no order, and eigenvectors (columns)."""

    eigenvalues: TracedTensor
    eigenvectors: TracedTensor


@named
def eig(a: Any) -> EigResult:
    """Eigenvalues w[..., n] and right eigenvectors v[..., n, n] of a[..., n, n]: a @ v = v * w. Always complex.

    Vectors have 2-norm 1 and a phase that means nothing (LAPACK's: the largest component is real); gradients are right
    for losses that do not depend on it. `nbg.testing.check_grads` tells those that do. Coinciding eigenvalues are left
    out of derivatives of vectors; a matrix without a basis of eigenvectors has no derivative (`LinAlgError`, or large
    numbers near it). A matrix with an infinity or a NaN raises `LinAlgError` at the eval.

    >>> eig([[0.0, 1.0], [-1.0, 0.0]]).eigenvalues.tolist()
    [1j, -1j]
    """
    return EigResult(*apply("eig", square("eig", a)))


@named
def eigvals(a: Any) -> TracedTensor:
    """Eigenvalues of a[..., n, n], complex, as those of `eig`.

    >>> eigvals([[2.0, 1.0], [0.0, 3.0]]).tolist()
    [(2+0j), (3+0j)]
    """
    return eig(a).eigenvalues
