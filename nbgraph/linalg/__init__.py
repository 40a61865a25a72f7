"""`nbg.linalg`: linear algebra with NumPy's names, signatures and defaults.

In: anything array-like; matrices are the last two axes, batch dimensions broadcast. Out: a `TracedTensor`, or a named
tuple of them. Integers and booleans become float64.
Holds: a matrix that cannot be dealt with (singular, not converged) raises `LinAlgError` when it is evaluated, with the
user's line; wrong shapes raise `ShapeError` at once.
"""

from nbgraph.api import diagonal, matmul, matrix_transpose, outer, trace
from nbgraph.errors import LinAlgError
from nbgraph.linalg.norms import norm
from nbgraph.linalg.spectra import EighResult, eigh, eigvalsh
from nbgraph.linalg.systems import solve

__all__ = [
    "EighResult",
    "LinAlgError",
    "diagonal",
    "eigh",
    "eigvalsh",
    "matmul",
    "matrix_transpose",
    "norm",
    "outer",
    "solve",
    "trace",
]
