"""Functions of matrices with SciPy's signatures: directional derivatives of the exponential, functions by eigenvectors.

In: anything array-like; matrices are the last two axes. Out: `TracedTensor`s, not evaluated, or tuples of them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from nbgraph import api, linalg
from nbgraph.errors import named
from nbgraph.linalg.stacks import square
from nbgraph.promote import common, to_inexact
from nbgraph.scipy.linalg.keywords import refuse

if TYPE_CHECKING:
    from nbgraph.tensor import TracedTensor


@named
def expm_frechet(A: Any, E: Any, method: Any = None, compute_expm: bool = True, check_finite: bool = True) -> Any:
    """(expm(A), L) with the derivative L of expm at A[..., n, n] in the direction E; L alone without `compute_expm`.

    Both are blocks of one exponential, whatever the method (Mathias, SIAM J. Matrix Anal. Appl. 17, 610 (1996)):
    expm([[A, E], [0, A]]) = [[expm(A), L], [0, expm(A)]].

    >>> [x.tolist() for x in expm_frechet([[0.0]], [[2.0]])]
    [[[1.0]], [[2.0]]]
    """
    if method not in (None, "SPS", "blockEnlarge"):
        refuse("expm_frechet", "method", method, "None, 'SPS' or 'blockEnlarge'")
    a, e = (square("expm_frechet", to_inexact(x), k) for k, x in enumerate(common(A, E)))
    n: Any = a.shape[-1]
    upper = api.concatenate([a, e], axis=-1)
    lower = api.concatenate([api.zeros_like(a), a], axis=-1)
    made = linalg.expm(api.concatenate([upper, lower], axis=-2))
    derivative = made[..., :n, n:]
    return (made[..., :n, :n], derivative) if compute_expm else derivative


@named
def funm(A: Any, func: Callable[[Any], Any], disp: bool = True) -> TracedTensor:
    """f(A), complex, of A[..., n, n] that has n independent eigenvectors: V diag(f(w)) V^-1, where `func` gives f of a
    complex tensor of eigenvalues.

    Of a real matrix and a function that is real on the real axis take `.real`. Digits are lost as the condition number
    of V grows; for matrices near one without a basis of eigenvectors use `expm`, `logm` or `sqrtm`, which need none.

    >>> bool(abs(funm([[4.0, 1.0], [0.0, 9.0]], api.sqrt)[0, 1] - 0.2) < 1e-14)
    True
    """
    if not disp:
        refuse("funm", "disp", disp, "True")
    w, v = linalg.eig(square("funm", A))
    scaled = v * api.expand_dims(func(w), -2)
    return api.matrix_transpose(linalg.solve(api.matrix_transpose(v), api.matrix_transpose(scaled)))
